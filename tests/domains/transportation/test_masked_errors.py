"""Masked errors against slow loops and by hand: what is missing counts nowhere, and weights are repeated days."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from edgekit.domains.transportation import masked_errors as module
from edgekit.domains.transportation.masked_errors import (
    Sums,
    add_up,
    coverage,
    interval_score,
    mae,
    mape,
    rmse,
    width,
)
from edgekit.shared.errors import ContractError
from edgekit.shared.estimates import Statistic, bootstrap, paired_difference

NAN = np.nan
Arrays = dict[str, np.ndarray]


def band(median: np.ndarray, *, by: float = 0.0) -> Arrays:
    return {"median": median, "low": median - by, "high": median + by}


def column(*values: float) -> np.ndarray:
    """Return one sensor's readings at one step for several examples."""
    return np.array(values, np.float32).reshape(-1, 1, 1)


def summed(forecast: np.ndarray, truth: np.ndarray, *, by: float = 0.0, below: float | None = None) -> Sums:
    return add_up(band(forecast, by=by), truth, np.arange(len(truth)), below=below)


# === By hand ===


def test_errors_by_hand() -> None:
    sums = summed(column(10, 20, 30), column(11, 18, 30))
    assert mae(sums).compute(None) == pytest.approx(3 / 3)
    assert rmse(sums).compute(None) == pytest.approx(math.sqrt(5 / 3))
    assert mape(sums).compute(None) == pytest.approx((1 / 11 + 2 / 18) / 3)


def test_what_is_missing_counts_nowhere() -> None:
    known = summed(column(10, 20), column(11, 18), by=5.0)
    more = summed(column(10, 20, 999), column(11, 18, NAN), by=5.0)
    for figure in (mae, rmse, mape, coverage, width):
        assert figure(more).compute(None) == figure(known).compute(None)
    assert more.count.tolist() == [[1], [1], [0]] and more.beyond[2] == more.width[2] == more.squared[2] == 0


def test_the_root_is_taken_last() -> None:
    """The mean of the examples' roots would be 2."""
    assert rmse(summed(column(1, 3), column(0, 0))).compute(None) == pytest.approx(math.sqrt(5))


def test_percentages_leave_out_readings_near_zero() -> None:
    sums = summed(column(1, 1, 5), column(0, 0.0009, 4))
    assert mape(sums).compute(None) == pytest.approx(1 / 4)
    assert sums.divisible.ravel().tolist() == [0, 0, 1]
    assert mape(summed(column(2), column(-0.5))).compute(None) == pytest.approx(5)


def test_the_ends_of_a_band_are_inside() -> None:
    sums = summed(column(10, 10, 10, 10), column(8, 12, 7.9, 12.1), by=2.0)
    assert sums.covered.ravel().tolist() == [1, 1, 0, 0]
    assert (coverage(sums).compute(None), width(sums).compute(None)) == (0.5, 4)
    assert sums.beyond.sum() == pytest.approx(0.2, abs=1e-5)
    assert interval_score(sums, 0.9).compute(None) == pytest.approx(4 + 20 * 0.2 / 4, abs=1e-4)


@pytest.mark.parametrize("wrong", [0.6, 1.5])
def test_the_interval_score_is_best_for_the_true_quantiles(wrong: float) -> None:
    truth = np.random.default_rng(0).normal(size=(20_000, 1, 1)).astype(np.float32)
    true, other = (
        interval_score(summed(np.zeros_like(truth), truth, by=1.645 * factor), 0.9).compute(None)
        for factor in (1.0, wrong)
    )
    assert true < other - 0.1


def test_only_readings_below_a_speed() -> None:
    sums = summed(column(40, 40, 40, 60), column(30, 50, 39, 60), by=5.0, below=50.0)
    assert sums.count.sum() == 2 and mae(sums).compute(None) == pytest.approx(11 / 2)
    assert (coverage(sums).compute(None), width(sums).compute(None)) == (0.5, 10)
    assert mape(sums).compute(None) == pytest.approx((10 / 30 + 1 / 39) / 2)


def test_a_step_without_readings_is_undefined() -> None:
    truth = np.array([[[1.0], [NAN]]], np.float32)
    sums = summed(np.zeros_like(truth), truth)
    assert math.isnan(mae(sums, slice(1, 2)).compute(None)) and math.isnan(rmse(sums, slice(1, 2)).compute(None))
    assert mae(sums).compute(None) == 1
    assert math.isnan(mae(sums).compute(np.zeros(1)))


# === Against loops ===


def random_case(seed: int = 0) -> tuple[Arrays, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 100, (30, 4, 5)).astype(np.float32)
    truth[rng.random(truth.shape) < 0.1] = 0
    truth[rng.random(truth.shape) < 0.3] = NAN
    truth[4] = NAN
    median = rng.uniform(0, 100, truth.shape).astype(np.float32)
    low, high = median - rng.uniform(0, 30, truth.shape), median + rng.uniform(0, 30, truth.shape)
    outputs = {"median": median, "low": low.astype(np.float32), "high": high.astype(np.float32)}
    return outputs, truth, rng.integers(0, 6, 30) * 7 + 3


def looped(outputs: Arrays, truth: np.ndarray, weight: np.ndarray, steps: range) -> dict[str, float]:
    """Walk through every reading, as often as its example counts."""
    errors, shares, inside, widths, scores = (list[float]() for _ in range(5))
    for example in range(len(truth)):
        for step in steps:
            for value, median, low, high in zip(
                truth[example, step], *(outputs[name][example, step] for name in ("median", "low", "high")), strict=True
            ):
                if math.isnan(value):
                    continue
                for _ in range(int(weight[example])):
                    errors.append(float(median) - float(value))
                    if abs(value) >= 1e-3:
                        shares.append(abs(errors[-1]) / float(value))
                    inside.append(float(low <= value <= high))
                    widths.append(float(high) - float(low))
                    scores.append(widths[-1] + 10 * max(low - value, 0) + 10 * max(value - high, 0))
    return {
        "mae": float(np.mean(np.abs(errors))),
        "rmse": math.sqrt(np.mean(np.square(errors))),
        "mape": float(np.mean(shares)),
        "coverage": float(np.mean(inside)),
        "width": float(np.mean(widths)),
        "interval_score": float(np.mean(scores)),
    }


FIGURES: dict[str, Callable[[Sums, slice], Statistic]] = {
    "mae": mae,
    "rmse": rmse,
    "mape": mape,
    "coverage": coverage,
    "width": width,
    "interval_score": lambda sums, steps: interval_score(sums, 0.8, steps),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("steps", [range(4), range(2), range(2, 3)])
@pytest.mark.parametrize("cells", [1, 45, 1 << 20])
def test_sums_are_those_of_slow_loops(
    monkeypatch: pytest.MonkeyPatch, cells: int, steps: range, weighted: bool
) -> None:
    monkeypatch.setattr(module, "_CELLS", cells)
    outputs, truth, unit = random_case()
    times = np.array([2.0, 0, 1, 3, 1, 0]) if weighted else np.ones(6)
    sums = add_up(outputs, truth, unit)
    np.testing.assert_array_equal(sums.units, np.arange(6) * 7 + 3)
    per_example = times[np.searchsorted(sums.units, unit)]
    expected = looped(outputs, truth, per_example, steps)
    span = slice(steps.start, steps.stop)
    found = {name: figure(sums, span).compute(times if weighted else None) for name, figure in FIGURES.items()}
    assert found == pytest.approx(expected, rel=1e-5)


def test_nothing_is_changed_and_tables_are_small() -> None:
    outputs, truth, unit = random_case()
    before = {name: values.copy() for name, values in outputs.items()}
    sums = add_up(outputs, truth, unit)
    assert all(np.array_equal(before[name], outputs[name]) for name in before)
    assert sums.absolute.shape == (6, 4) and sums.absolute.dtype == np.float64 and np.isnan(truth[4]).all()
    assert mae(sums).units.shape == (6,)


def test_days_are_drawn_whole_and_differences_are_paired() -> None:
    outputs, truth, unit = random_case()
    better = band(np.where(np.isnan(truth), 0, truth + 1).astype(np.float32))
    first, second = (mae(add_up(given, truth, unit)) for given in (outputs, better))
    assert bootstrap(first).n == 6 and bootstrap(first).low < first.compute(None) < bootstrap(first).high
    difference = paired_difference(first, second)
    assert difference.value == pytest.approx(first.compute(None) - 1) and difference.low > 0


# === Refusals ===


@pytest.mark.parametrize("name", ["median", "low", "high"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_forecast_must_be_finite(name: str, value: float) -> None:
    outputs, truth, unit = random_case()
    outputs[name][7, 2, 3] = value
    with pytest.raises(ContractError, match=f"'{name}' holds {value} at step 2 of sensor 3"):
        add_up(outputs, truth, unit)


@pytest.mark.parametrize("part", ["example", "step", "unit"])
def test_shapes_must_fit(part: str) -> None:
    outputs, truth, unit = random_case()
    if part == "unit":
        unit = unit[1:]
    else:
        outputs["low"] = outputs["low"][1:] if part == "example" else outputs["low"][:, 1:]
    with pytest.raises(ContractError, match=r"\(30, 4, 5\)"):
        add_up(outputs, truth, unit)
