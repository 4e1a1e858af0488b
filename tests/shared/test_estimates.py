from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.shared.errors import ConfigError, ContractError
from edgekit.shared.estimates import (
    Estimate,
    Statistic,
    bootstrap,
    mean_statistic,
    paired_difference,
)


def normal_mean(seed: int, *, n: int = 40) -> Statistic:
    values = np.random.default_rng(seed).normal(1.0, 2.0, n)
    return mean_statistic(values, np.arange(n))


def test_estimate_is_written_with_two_digits_of_its_interval() -> None:
    assert str(Estimate(0.7311, 0.71, 0.75, 9)) == "0.731 [0.710, 0.750]"
    assert str(Estimate(12345.6, 12000.0, 12700.0, 9)) == "12346 [12000, 12700]"
    assert str(Estimate(1.0, 1.0, 1.0, 9)) == "1.000 [1.000, 1.000]"


def test_estimate_as_json_holds_plain_numbers() -> None:
    estimate = Estimate(np.float32(0.5), np.float64(0.25), np.float64(0.75), np.int64(4))  # type: ignore[arg-type]
    assert estimate.as_json() == {"value": 0.5, "low": 0.25, "high": 0.75, "n": 4}
    assert {type(number) for number in estimate.as_json().values()} == {float, int}


@pytest.mark.parametrize("numbers", [(math.nan, 0, 1), (0, -math.inf, 1), (0, 0, math.nan)])
def test_estimate_refuses_what_is_not_finite(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(ContractError, match="finite numbers; got value="):
        Estimate(*numbers, n=3)


def test_value_is_the_plain_mean_and_n_counts_units() -> None:
    statistic = mean_statistic(np.array([1.0, 2.0, 3.0, 6.0]), np.array(["a", "a", "b", "c"]))
    estimate = bootstrap(statistic)
    assert estimate.value == 3.0
    assert estimate.n == 3
    assert estimate.low <= estimate.value <= estimate.high


def test_weights_come_whole_for_each_unit() -> None:
    units = np.array([7, 3, 7, 3, 5])
    seen: list[np.ndarray] = []

    def compute(weight: np.ndarray | None) -> float:
        if weight is not None:
            seen.append(weight)
        return 1.0

    bootstrap(Statistic(compute, units), draws=30)
    weights = np.array(seen)
    assert weights.shape == (30, 5)
    assert weights.dtype == np.float64
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, 1], weights[:, 3])
    np.testing.assert_array_equal(weights[:, [0, 1, 4]].sum(axis=1), 3)  # three units drawn
    assert weights.max() > 1


def test_two_units_give_the_interval_of_all_four_outcomes() -> None:
    # Draws are {0, 0}, {0, 1}, {1, 0}, {1, 1}: means 0, ½, ½, 1.
    estimate = bootstrap(mean_statistic(np.array([0.0, 1.0]), np.array([0, 1])))
    assert (estimate.value, estimate.low, estimate.high) == (0.5, 0.0, 1.0)


def test_interval_matches_the_textbook_for_a_mean() -> None:
    values = np.random.default_rng(3).normal(0.0, 1.0, 2000)
    estimate = bootstrap(mean_statistic(values, np.arange(2000)), draws=2000)
    half = 1.96 * values.std() / math.sqrt(2000)
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    estimates = [bootstrap(normal_mean(seed), seed=seed) for seed in range(400)]
    covered = np.mean([estimate.low <= 1.0 <= estimate.high for estimate in estimates])
    assert 0.91 <= covered <= 0.97


def test_rows_of_one_unit_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(0).normal(size=50)
    once = bootstrap(mean_statistic(values, np.arange(50)))
    copied = bootstrap(mean_statistic(np.repeat(values, 20), np.repeat(np.arange(50), 20)))
    as_rows = bootstrap(mean_statistic(np.repeat(values, 20), np.arange(1000)))
    assert copied.low == pytest.approx(once.low)
    assert copied.high == pytest.approx(once.high)
    assert as_rows.high - as_rows.low < 0.5 * (once.high - once.low)


def test_a_higher_level_is_wider() -> None:
    statistic = normal_mean(0)
    narrow, wide = bootstrap(statistic, level=0.5), bootstrap(statistic, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


@settings(max_examples=20, deadline=None)
@given(
    values=st.lists(st.floats(-100, 100), min_size=2, max_size=12),
    seed=st.integers(0, 1000),
)
def test_bootstrap_is_deterministic_and_stays_within_the_values(values: list[float], seed: int) -> None:
    statistic = mean_statistic(np.array(values), np.arange(len(values)))
    first = bootstrap(statistic, draws=20, seed=seed)
    assert first == bootstrap(statistic, draws=20, seed=seed)
    assert min(values) - 1e-9 <= first.low <= first.high <= max(values) + 1e-9


def test_another_seed_gives_another_interval() -> None:
    assert bootstrap(normal_mean(0), seed=1) != bootstrap(normal_mean(0), seed=2)


def test_pairing_shrinks_the_interval() -> None:
    rng = np.random.default_rng(1)
    hardness, days = rng.normal(size=60), np.arange(60)
    first = mean_statistic(hardness + rng.normal(0.1, 0.05, 60), days)
    second = mean_statistic(hardness, days)
    difference = paired_difference(first, second)
    alone = bootstrap(first)
    assert difference.value == pytest.approx(first.compute(None) - second.compute(None))
    assert difference.high - difference.low < 0.2 * (alone.high - alone.low)
    assert difference.low > 0


def test_a_statistic_differs_from_itself_by_nothing() -> None:
    difference = paired_difference(normal_mean(0), normal_mean(0), draws=20)
    assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)


def test_pairing_needs_the_same_units() -> None:
    with pytest.raises(ValueError, match="same units slot by slot; got 40 and 39 slots"):
        paired_difference(normal_mean(0), normal_mean(0, n=39))


def test_undefined_draws_are_left_out() -> None:
    # Undefined when the only positive unit, 0, is not drawn: about 37 % of the draws.
    values = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])

    def compute(weight: np.ndarray | None) -> float:
        return 1.0 if weight is None or weight @ values > 0 else math.nan

    estimate = bootstrap(Statistic(compute, np.arange(6)))
    assert (estimate.low, estimate.high) == (1.0, 1.0)


def test_mostly_undefined_draws_are_refused() -> None:
    def compute(weight: np.ndarray | None) -> float:
        return 1.0 if weight is None or weight.min() > 0 else math.nan

    with pytest.raises(ContractError, match="of 200 resamples of 10 units"):
        bootstrap(Statistic(compute, np.arange(10)))


def test_an_undefined_figure_is_refused() -> None:
    with pytest.raises(ContractError, match="undefined on the whole data"):
        bootstrap(Statistic(lambda weight: math.nan, np.arange(4)))


def test_one_unit_has_no_interval() -> None:
    with pytest.raises(ContractError, match="at least 2 units; got 1"):
        bootstrap(mean_statistic(np.array([1.0, 2.0]), np.array([5, 5])))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"draws": 0}, "draws=0"), ({"level": 1.0}, "level=1.0"), ({"level": 0.0}, "level=0.0")],
)
def test_settings_out_of_range_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        bootstrap(normal_mean(0), **changes)  # type: ignore[arg-type]


def test_mean_refuses_masked_values_and_other_shapes() -> None:
    with pytest.raises(ContractError, match="found nan at position 1"):
        mean_statistic(np.array([1.0, np.nan]), np.arange(2))
    with pytest.raises(ContractError, match="units of the same shape"):
        mean_statistic(np.ones(3), np.arange(2))


@pytest.mark.parametrize("units", [np.zeros((2, 2)), np.zeros(0)])
def test_statistic_needs_one_unit_for_each_slot(units: np.ndarray) -> None:
    with pytest.raises(ContractError, match="one unit for each slot"):
        Statistic(lambda weight: 0.0, units)
