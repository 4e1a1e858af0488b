"""The figures of forecasts: what is over all steps up to a horizon, what is of one step, and what is left out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgekit.domains.transportation.config import DecisionSettings, TrafficConfig
from edgekit.domains.transportation.evaluate import decide, evaluate, marks, step_seconds
from edgekit.shared.domain import Examples
from edgekit.shared.errors import ContractError
from edgekit.shared.estimates import bootstrap, paired_difference

DAY = 86_400


def settings(coverage: float = 0.9, congestion: float | None = None) -> TrafficConfig:
    return TrafficConfig(decision=DecisionSettings(coverage=coverage, congestion=congestion))


def examples(target: np.ndarray, interval: int = 300) -> Examples:
    """Return windows that follow each other through three days."""
    time = np.linspace(0, 3 * DAY - 1, len(target)).astype(np.int64)
    context = {"unit": time // DAY, "time": time, "interval": np.full(len(target), interval)}
    return Examples({"readings": np.zeros((len(target), 2, target.shape[2]), np.float32)}, target, context)


def off_by_step(num: int = 6, horizon: int = 12, sensors: int = 2) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return forecasts that miss by 1 at the first step, by 2 at the second …, with bands of ± 6, and the truth."""
    truth = np.full((num, horizon, sensors), 50, np.float32)
    median = truth + np.arange(1, horizon + 1, dtype=np.float32)[:, None]
    return {"median": median, "low": median - 6, "high": median + 6}, truth


def figures(config: TrafficConfig | None = None, interval: int = 300, horizon: int = 12) -> dict[str, float]:
    outputs, truth = off_by_step(horizon=horizon)
    made = evaluate(outputs, examples(truth, interval), config or settings())
    return {name: figure.compute(None) for name, figure in made.items()}


def test_the_figures_of_five_minute_steps() -> None:
    horizons = {15: 3, 30: 6, 45: 9, 60: 12}
    expected = {"mae": 6.5, "rmse": math.sqrt(650 / 12), "mape": 0.13}
    expected |= {f"mae@{minutes}": (steps + 1) / 2 for minutes, steps in horizons.items()}
    expected |= {f"mape@{minutes}": (steps + 1) / 100 for minutes, steps in horizons.items()}
    expected |= {
        f"rmse@{minutes}": math.sqrt(np.mean(np.arange(1, steps + 1) ** 2)) for minutes, steps in horizons.items()
    }
    expected |= {f"{name}_at@{minutes}": horizons[minutes] for name in ("mae", "rmse") for minutes in (15, 30, 60)}
    expected |= {f"mape_at@{minutes}": horizons[minutes] / 50 for minutes in (15, 30, 60)}
    beyond = sum(range(1, 7)) / 12
    expected |= {"coverage@90": 0.5, "width@90": 12, "interval_score@90": 12 + 20 * beyond}
    assert figures() == pytest.approx(expected)


def test_bands_are_named_by_what_they_are_meant_to_hold() -> None:
    made = figures(settings(coverage=0.95))
    assert {"coverage@95", "width@95", "interval_score@95"} < set(made) and "coverage@90" not in made
    assert made["interval_score@95"] == pytest.approx(12 + 40 * sum(range(1, 7)) / 12)


@pytest.mark.parametrize(
    ("interval", "horizon", "expected"),
    [
        (300, 12, {15: 3, 30: 6, 45: 9, 60: 12}),
        (300, 6, {15: 3, 30: 6}),
        (300, 4, {15: 3, 20: 4}),
        (600, 6, {30: 3, 60: 6}),
        (900, 4, {15: 1, 30: 2, 45: 3, 60: 4}),
        (60, 60, {15: 15, 30: 30, 45: 45, 60: 60}),
        (3600, 12, {60: 1, 720: 12}),
        (7200, 1, {120: 1}),
        (30, 1, {}),
        (90, 11, {15: 10}),
    ],
)
def test_only_horizons_that_exist(interval: int, horizon: int, expected: dict[int, int]) -> None:
    assert marks(interval, horizon) == expected


def test_the_last_step_has_figures_of_its_own_where_none_is_published() -> None:
    made = figures(interval=3600, horizon=12)
    assert {name for name in made if "mae" in name} == {"mae", "mae@60", "mae@720", "mae_at@60", "mae_at@720"}
    assert made["mae_at@720"] == 12 and made["mae_at@60"] == 1


def test_congestion_stands_apart() -> None:
    outputs, truth = off_by_step()
    truth[:2] = 20
    outputs["median"][:2], outputs["low"][:2] = 25, 20
    made = evaluate(outputs, examples(truth), settings(congestion=30.0))
    assert made["mae_congested"].compute(None) == 5 and made["coverage_congested"].compute(None) == 1
    assert made["mae"].compute(None) == pytest.approx((5 * 2 + 6.5 * 4) / 6)
    assert made["mae_congested"].compute(np.array([0.0, 1, 1])) != made["mae_congested"].compute(None)  # undefined


def test_what_is_undefined_is_left_out() -> None:
    outputs, truth = off_by_step()
    truth[:] = 0
    truth[:, 2] = np.nan
    made = evaluate(outputs, examples(truth), settings(congestion=-1.0))
    assert not [name for name in made if "mape" in name or "congested" in name]
    assert "mae@15" in made and "mae_at@15" not in made and "rmse_at@15" not in made
    assert all(math.isfinite(bootstrap(figure, draws=20).value) for figure in made.values())


def test_missing_readings_are_not_scored() -> None:
    outputs, truth = off_by_step()
    truth[1:3, 4:, 0] = np.nan
    outputs["median"][1:3, 4:, 0] = 1e6
    assert evaluate(outputs, examples(truth), settings())["mae"].compute(None) < 7


def test_every_figure_is_resampled_by_day() -> None:
    """A weight of 2 equals the day's windows twice, a weight of 0 equals none of them."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(10, 90, (60, 12, 3)).astype(np.float32)
    truth[rng.random(truth.shape) < 0.2] = np.nan
    median = rng.uniform(10, 90, truth.shape).astype(np.float32)
    outputs = {"median": median, "low": median - 20, "high": median + 25}
    given, weight = examples(truth), np.array([2.0, 0.0, 1.0])
    rows = np.repeat(np.arange(60), weight[given.context["unit"]].astype(int))
    made = evaluate(outputs, given, settings(congestion=40.0))
    twice = evaluate(
        {name: values[rows] for name, values in outputs.items()}, given.take(rows), settings(congestion=40.0)
    )
    assert set(made) == set(twice) and len(made) == 29
    assert {name: figure.compute(weight) for name, figure in made.items()} == pytest.approx(
        {name: figure.compute(None) for name, figure in twice.items()}
    )
    assert all(figure.units.tolist() == [0, 1, 2] for figure in made.values())
    assert bootstrap(made["mae"]).n == 3 and paired_difference(made["mae"], made["mae"]).high == 0


def test_nothing_to_score_is_refused() -> None:
    outputs, truth = off_by_step()
    with pytest.raises(ContractError, match="all 144 targets of 6 windows are missing"):
        evaluate(outputs, examples(np.full_like(truth, np.nan)), settings())


@pytest.mark.parametrize(("intervals", "found"), [([300, 300, 600], r"3 windows have \[300, 600\]"), ([], "0 windows")])
def test_examples_need_one_interval(intervals: list[int], found: str) -> None:
    given = Examples({}, np.zeros((len(intervals), 1, 1)), {"interval": np.array(intervals, np.int64)})
    with pytest.raises(ContractError, match=found):
        step_seconds(given)


def test_no_threshold_is_chosen() -> None:
    outputs, truth = off_by_step()
    made = decide(outputs, examples(truth), settings(coverage=0.8))
    assert (made.value, made.rule) == (None, "the median and the band meant to hold 80% of the readings")
    score = 12 + 10 * sum(range(1, 7)) / 12
    assert made.expected == pytest.approx({"mae": 6.5, "coverage@80": 0.5, "width@80": 12, "interval_score@80": score})
