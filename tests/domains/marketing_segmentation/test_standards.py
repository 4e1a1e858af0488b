"""Behaviour on a common scale: by hand, bounded, and the same for one customer as among many."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation.standards import BENDS, CLIP, WIDTH, Standards, learn_standards

nan = np.nan
COLUMNS = 4


def logs(*rows: tuple[float, ...]) -> np.ndarray:
    """Return behaviour whose log(1 + x) is as given."""
    return np.expm1(np.array(rows, np.float64)).astype(np.float32)


def drawn(rows: int = 60, *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    made = rng.lognormal(2, 1, (rows, COLUMNS)).astype(np.float32)
    made[rng.random(made.shape) < 0.2] = nan
    return made


def parts(standards: Standards, behaviour: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return scaled logarithms, marks, and what lies above each bend."""
    return tuple(np.split(standards.apply(behaviour), WIDTH, axis=1))


def test_one_column_by_hand() -> None:
    """Logs 1, 3 and unknown twice: mean 2, deviation 1, half of them unknown."""
    given = logs((1,), (3,), (nan,), (nan,))
    made = learn_standards(given, given)
    np.testing.assert_allclose(made.apply(given), [
        # scaled, mark, above -1, above 0, above 1; each 0 for an unknown number but the mark
        [-1, -1, -1, 0, 0],
        [1, -1, 1, 1, 0],
        [0, 1, 0, 0, 0],
        [0, 1, 0, 0, 0],
    ], atol=1e-5)  # fmt: skip


@pytest.mark.parametrize(("place", "bend"), list(enumerate(BENDS)))
def test_above_a_bend_a_logarithm_counts_once_more(place: int, bend: float) -> None:
    made = learn_standards(drawn(), drawn())
    scaled, _, *above = parts(made, drawn(seed=1))
    np.testing.assert_allclose(above[place], np.maximum(scaled, bend) - max(bend, 0), atol=1e-6)


def test_columns_are_on_a_common_scale() -> None:
    known = drawn(500)
    scaled, marks, *_ = parts(learn_standards(known, known), known)
    told = np.where(np.isnan(known), nan, scaled)
    np.testing.assert_allclose(np.nanmean(told, axis=0), 0, atol=0.01)
    np.testing.assert_allclose(np.nanstd(told, axis=0), 1, atol=0.01)
    np.testing.assert_allclose(marks.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(marks.std(axis=0), 1, atol=1e-5)


def test_the_unknown_counts_as_nothing_but_is_marked() -> None:
    made = learn_standards(drawn(), drawn())
    scaled, marks, *above = parts(made, np.full((1, COLUMNS), nan, np.float32))
    assert not scaled.any() and (marks > 0).all() and not np.concatenate(above).any()


@pytest.mark.parametrize(
    "labelled",
    [
        pytest.param(logs((2,), (2,), (2,)), id="constant"),
        pytest.param(logs((nan,), (nan,)), id="never known"),
        pytest.param(logs((2,), (nan,)), id="known once"),
    ],
)
def test_what_nothing_can_be_learnt_from_counts_nothing(labelled: np.ndarray) -> None:
    """The column varies among customers whose future is not known: that must not move them."""
    everyone = np.concatenate([labelled, logs((1,), (4,), (9,))])
    scaled, _, *above = parts(learn_standards(everyone, labelled), logs((0,), (1,), (9,), (nan,)))
    assert not scaled.any() and not np.concatenate(above).any()


@pytest.mark.parametrize(("labelled", "counts"), [((1, 3), False), ((nan, nan), False), ((1, nan), True)])
def test_a_mark_counts_where_both_were_seen_with_their_future(labelled: tuple[float, float], counts: bool) -> None:
    known = logs(*((value,) for value in labelled))
    everyone = np.concatenate([known, logs((nan,), (2,), (5,))])
    marks = parts(learn_standards(everyone, known), logs((2,), (nan,)))[1]
    assert marks.any() == counts


@pytest.mark.parametrize("value", [0.0, 2.5, 11.0])
def test_a_constant_column_counts_nothing(value: float) -> None:
    given = np.full((30, 1), value, np.float32)
    assert not learn_standards(given, given).apply(np.array([[0.0], [1e9], [nan]], np.float32)).any()


@pytest.mark.parametrize(("value", "bound"), [(1e30, CLIP), (0.0, -CLIP)])
def test_nobody_is_further_away_than_the_clip(value: float, bound: float) -> None:
    """One in a hundred thousand was seen ten deviations away."""
    rng = np.random.default_rng(0)
    given = logs(*((level,) for level in rng.normal(12, 0.1, 5000)), (30,), (0,))
    scaled = parts(learn_standards(given, given), np.array([[value]], np.float32))[0]
    assert scaled.item() == pytest.approx(bound)


@pytest.mark.parametrize(("value", "same_as"), [(9.0, 3.0), (0.5, 1.0)])
def test_what_was_never_seen_with_its_future_counts_as_the_nearest_that_was(value: float, same_as: float) -> None:
    labelled, everyone = logs((1,), (2,), (3,)), logs((1,), (2,), (3,), (9,), (0.5,), (4,))
    made = learn_standards(everyone, labelled)
    np.testing.assert_allclose(made.apply(logs((value,))), made.apply(logs((same_as,))), atol=1e-6)
    assert made.apply(logs((2,)))[0, 0] != made.apply(logs((same_as,)))[0, 0]


def test_numbers_below_zero_count_as_zero() -> None:
    made = learn_standards(drawn(), drawn())
    np.testing.assert_array_equal(made.apply(np.full((1, COLUMNS), -5.0)), made.apply(np.zeros((1, COLUMNS))))


def test_all_is_float32_and_finite() -> None:
    known = drawn()
    known[:, 0] = nan
    made = learn_standards(known, known[:20])
    assert {part.dtype for part in vars(made).values()} == {np.dtype(np.float32)}
    assert {part.shape for part in vars(made).values()} == {(COLUMNS,)}
    applied = made.apply(known)
    assert applied.dtype == np.float32 and applied.shape == (60, WIDTH * COLUMNS) and np.isfinite(applied).all()


@pytest.mark.parametrize("row", [0, 17, 59])
def test_one_customer_gets_the_same_answer_as_among_many(row: int) -> None:
    made, others = learn_standards(drawn(), drawn(seed=1)[:30]), drawn(seed=2)
    np.testing.assert_array_equal(made.apply(others[row : row + 1])[0], made.apply(others)[row])
