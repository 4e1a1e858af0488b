"""Stability: the adjusted Rand index against hand and library, and resampling of whole customers."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from edgekit.domains.marketing_segmentation.stability import adjusted_rand, resampled, stability
from edgekit.shared.domain import Examples
from edgekit.shared.errors import ContractError
from edgekit.shared.estimates import bootstrap


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([0, 0, 1, 1], [1, 1, 0, 0], 1.0),
        ([0, 0, 1, 1], [0, 1, 0, 1], -0.5),
        ([0, 0, 1, 1], [0, 0, 1, 2], 4 / 7),  # 1 pair together; by chance 2·1/6; at most 1.5
        ([0, 0, 0], [0, 0, 0], 1.0),
        ([0, 1, 2], [2, 0, 1], 1.0),
        ([0, 0, 0, 0], [0, 0, 1, 1], 0.0),
    ],
)
def test_agreement_by_hand(first: list[int], second: list[int], expected: float) -> None:
    assert adjusted_rand(np.array(first), np.array(second)) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_without_weights_it_is_the_index_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 5, 300)
    second = np.where(rng.random(300) < 0.6, first, rng.integers(3, 9, 300))
    assert adjusted_rand(first, second) == pytest.approx(adjusted_rand_score(first, second))


def test_weights_of_0_and_1_choose_rows_and_their_scale_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    first, second, kept = rng.integers(0, 3, 90), rng.integers(0, 3, 90), rng.random(90) < 0.5
    expected = adjusted_rand(first[kept], second[kept])
    assert adjusted_rand(first, second, kept) == pytest.approx(expected)
    assert adjusted_rand(first, second, 7.0 * kept) == pytest.approx(expected)


def test_a_row_is_no_pair_with_itself_however_heavy() -> None:
    first, second = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert adjusted_rand(first, second, np.array([9.0, 1, 1, 9])) < 0


def test_labels_of_different_rows_are_refused() -> None:
    with pytest.raises(ContractError, match=r"\(3,\) and \(2,\)"):
        adjusted_rand(np.zeros(3), np.zeros(2))


def train() -> Examples:
    """Return customers 10, 11, … of 1, 2 or 3 rows in mixed order; a row tells its customer and number."""
    unit = np.repeat(np.arange(10, 40), np.arange(30) % 3 + 1)
    order = np.random.default_rng(0).permutation(len(unit))
    inputs = {"behaviour": np.stack([unit, np.arange(len(unit))], axis=1)[order].astype(np.float32)}
    return Examples(inputs, np.zeros((len(unit), 2)), {"unit": unit[order]})


def test_customers_are_drawn_whole() -> None:
    given, drawn = train(), resampled(train(), 3)
    np.testing.assert_array_equal(drawn.inputs["behaviour"][:, 0], drawn.context["unit"])
    rows, times = np.unique(drawn.inputs["behaviour"], axis=0, return_counts=True)
    for_each = {unit: set(times[rows[:, 0] == unit]) for unit in np.unique(drawn.context["unit"])}
    assert all(len(counts) == 1 for counts in for_each.values()) and max(times) > 1
    assert sum(counts.pop() for counts in for_each.values()) == len(np.unique(given.context["unit"]))
    size = {unit: (given.context["unit"] == unit).sum() for unit in range(10, 40)}
    assert all((rows[:, 0] == unit).sum() == size[unit] for unit in for_each)


def test_a_seed_draws_the_same_and_another_does_not() -> None:
    first, again, other = (resampled(train(), seed).context["unit"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(first) != len(other) or (first != other).any()


def test_stability_is_the_mean_agreement_with_an_interval_over_customers() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 4, 200)
    refits = [(base + 1) % 4, np.where(rng.random(200) < 0.8, base, 0)]
    figure = stability(base, refits, np.arange(200))
    expected = (1 + adjusted_rand_score(base, refits[1])) / 2
    assert figure.compute(None) == pytest.approx(expected)
    estimate = bootstrap(figure, draws=50)
    assert estimate.low < expected < estimate.high <= 1


def test_without_a_refit_nothing_is_known() -> None:
    with pytest.raises(ContractError, match="training.refits"):
        stability(np.zeros(3), [], np.arange(3))
