"""Parity: worked by hand, NaN and infinities included."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgekit.shared.errors import ExportError
from edgekit.tflite_export.card import Decision
from edgekit.tflite_export.parity import compare, compare_outputs, decided_differently, same_ranking

REFERENCE = {"score": np.array([[0.4], [0.6], [0.9]]), "map": np.array([[1.0], [np.nan], [np.inf]])}


def changed(score: list[float]) -> dict[str, np.ndarray]:
    """Return the reference with other scores."""
    return {**REFERENCE, "score": np.array(score)[:, None]}


def test_equal_outputs_have_no_error_even_with_nan_and_infinity() -> None:
    parity = compare_outputs(REFERENCE, changed([0.4, 0.6, 0.9]))
    assert (parity.max_abs_error, parity.mean_abs_error, parity.n) == (0.0, 0.0, 3)


def test_errors_by_output_and_over_all() -> None:
    parity = compare_outputs(REFERENCE, changed([0.4, 0.5, 0.7]))
    assert parity.by_output == pytest.approx({"map": 0.0, "score": 0.2})
    assert parity.mean_abs_error == pytest.approx(0.3 / 6)


@pytest.mark.parametrize(("threshold", "flips"), [(0.55, 1), (0.65, 0), (0.8, 1)])
def test_flips_at_a_threshold(threshold: float, flips: int) -> None:
    decision = Decision("score", threshold, "")
    parity = compare_outputs(REFERENCE, changed([0.4, 0.5, 0.7]), decision=decision)
    assert parity.decision_flips == flips


def test_a_score_on_the_threshold_is_a_yes() -> None:
    decision = Decision("score", 0.6, "")
    parity = compare_outputs(REFERENCE, changed([0.4, 0.6 - 1e-9, 0.9]), decision=decision)
    assert parity.decision_flips == 1


def test_flips_of_the_largest() -> None:
    one, other = np.array([[0.6, 0.4], [0.1, 0.9]]), np.array([[0.4, 0.6], [0.2, 0.8]])
    parity = compare_outputs({"p": one}, {"p": other}, decision=Decision("p", None, ""))
    assert parity.decision_flips == 1


def test_one_nan_alone_is_an_infinite_error() -> None:
    parity = compare_outputs(REFERENCE, changed([0.4, 0.6, math.nan]))
    assert parity.max_abs_error == math.inf
    assert parity.as_json()["max_abs_error"] is None


def ranks(*rows: list[int]) -> dict[str, np.ndarray]:
    return {"rank": np.array(rows, np.int32)}


@pytest.mark.parametrize(
    ("other", "flips"),
    [
        (ranks([1, 2], [3, 4]), [False, False]),
        (ranks([1, 2], [4, 3]), [False, True]),
        (ranks([9, 2], [4, 3]), [True, True]),
        (ranks([1, 9], [3, 9]), [False, False]),
    ],
)
def test_integer_outputs_decide_by_their_first_place(other: dict[str, np.ndarray], flips: list[bool]) -> None:
    mine = ranks([1, 2], [3, 4])
    assert decided_differently(mine, other, decision=None).tolist() == flips
    assert compare_outputs(mine, other).decision_flips == sum(flips)


def test_codes_without_places_decide_too() -> None:
    found = decided_differently({"c": np.array([1, 2, 3])}, {"c": np.array([1, 2, 4])}, decision=None)
    assert found.tolist() == [False, False, True]


def test_codes_have_no_distance_and_numbers_have() -> None:
    one = {"items": np.array([[7, 900]], np.int32), "scores": np.array([[2.0, 1.0]], np.float32)}
    other = {"items": np.array([[7, 5]], np.int32), "scores": np.array([[2.0, 0.5]], np.float32)}
    parity = compare_outputs(one, other)
    assert (parity.max_abs_error, parity.mean_abs_error, parity.decision_flips) == (0.5, 0.25, 0)
    assert parity.by_output == {"scores": 0.5}


def test_codes_alone_have_no_error() -> None:
    parity = compare_outputs(ranks([1, 2]), ranks([2, 1]))
    assert (parity.max_abs_error, parity.mean_abs_error, parity.decision_flips) == (0.0, 0.0, 1)


# === Rankings ===

CODES, SCORES = [[5, 3, 8, 2]], [[4.0, 3.0, 2.95, 1.0]]


@pytest.mark.parametrize(
    ("found", "same"),
    [
        ([5, 3, 8, 2], True),
        ([5, 8, 3, 2], True),  # a near tie
        ([3, 5, 8, 2], False),
        ([5, 3, 2, 8], False),
        ([5, 8, 2, 3], False),
        ([5, 3, 8, 9], True),  # 9 may have stood just behind the end
        ([5, 3, 9, 2], False),
        ([9, 3, 8, 2], False),
        ([5, 3, 3, 2], False),  # an item twice
        ([5, 8, 8, 2], False),
        ([5, 3, 8, 8], False),
    ],
)
def test_places_change_only_where_scores_are_near(found: list[int], same: bool) -> None:
    arrays = np.array(CODES), np.array([found]), np.array(SCORES, np.float32)
    assert same_ranking(*arrays, allowed=0.1) is same


@pytest.mark.parametrize(("allowed", "same"), [(0.04, False), (0.06, True)])
def test_how_near_is_near(allowed: float, same: bool) -> None:
    assert same_ranking(np.array([[1, 2]]), np.array([[2, 1]]), np.array([[3.0, 2.95]]), allowed=allowed) is same


def test_every_example_counts() -> None:
    recorded, scores = np.array([[1, 2], [1, 2]]), np.array([[3.0, 2.95], [3.0, 1.0]])
    assert same_ranking(recorded, np.array([[2, 1], [1, 2]]), scores, allowed=0.1)
    assert not same_ranking(recorded, np.array([[1, 2], [2, 1]]), scores, allowed=0.1)


def test_scores_that_are_no_numbers_are_never_near() -> None:
    scores = np.array([[np.nan, np.nan]])
    assert not same_ranking(np.array([[1, 2]]), np.array([[2, 1]]), scores, allowed=0.1)


@pytest.mark.parametrize("other", [{"score": REFERENCE["score"]}, {**REFERENCE, "score": np.zeros((3, 2))}])
def test_outputs_that_cannot_be_compared_are_refused(other: dict[str, np.ndarray]) -> None:
    with pytest.raises(ExportError, match="Found output"):
        compare_outputs(REFERENCE, other)


def test_predictors_are_compared_on_the_same_inputs() -> None:
    inputs = {"x": np.array([[1.0], [2.0]])}
    parity = compare(lambda i: {"y": i["x"]}, lambda i: {"y": i["x"] * 2}, inputs)
    assert (parity.max_abs_error, parity.n) == (2.0, 2)
