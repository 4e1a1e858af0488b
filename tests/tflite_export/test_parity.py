"""Parity: worked by hand, NaN and infinities included."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgekit.shared.errors import ExportError
from edgekit.tflite_export.card import Decision
from edgekit.tflite_export.parity import compare, compare_outputs

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


def test_integer_outputs_decide_by_themselves() -> None:
    ranks = {"rank": np.array([[1, 2], [3, 4]], np.int32)}
    other = {"rank": np.array([[1, 2], [4, 3]], np.int32)}
    assert compare_outputs(ranks, other).decision_flips == 1


@pytest.mark.parametrize("other", [{"score": REFERENCE["score"]}, {**REFERENCE, "score": np.zeros((3, 2))}])
def test_outputs_that_cannot_be_compared_are_refused(other: dict[str, np.ndarray]) -> None:
    with pytest.raises(ExportError, match="Found output"):
        compare_outputs(REFERENCE, other)


def test_predictors_are_compared_on_the_same_inputs() -> None:
    inputs = {"x": np.array([[1.0], [2.0]])}
    parity = compare(lambda i: {"y": i["x"]}, lambda i: {"y": i["x"] * 2}, inputs)
    assert (parity.max_abs_error, parity.n) == (2.0, 2)
