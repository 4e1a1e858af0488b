"""From probabilities to labels, sets and refusals, worked by hand; coverage by simulation."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.domains.healthcare_imaging import verdicts
from edgekit.domains.healthcare_imaging.verdicts import OperatingPoint

POINT = OperatingPoint(0.5, "sensitivity", {}, nonconformity=0.6, coverage=0.9, farthest=2.0, labels=())
THREE = np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.05, 0.9, 0.05]], dtype=np.float32)


def at(**changes: Any) -> OperatingPoint:
    return replace(POINT, **changes)


# === Suspicion and labels ===


@pytest.mark.parametrize(
    ("normal", "multi_label", "expected"),
    [(0, False, [0.3, 0.7, 0.95]), (2, False, [0.9, 0.6, 0.95]), (0, True, [0.7, 0.4, 0.9])],
)
def test_suspicion_worked_by_hand(normal: int, multi_label: bool, expected: list[float]) -> None:
    found = verdicts.suspicion(THREE, normal=normal, multi_label=multi_label)
    assert found.shape == (3, 1)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-6)


def test_below_the_threshold_the_answer_is_normal_whatever_is_most_probable() -> None:
    probability = np.array([[0.1, 0.8, 0.1], [0.1, 0.8, 0.1]], dtype=np.float32)
    suspicion = np.array([0.49, 0.5], dtype=np.float32)
    assert verdicts.decided(probability, suspicion, POINT, normal=0).tolist() == [0, 1]


def test_above_the_threshold_the_answer_is_never_normal() -> None:
    probability = np.array([[0.9, 0.04, 0.06], [0.04, 0.9, 0.06]], dtype=np.float32)
    low = at(value=0.05)
    assert verdicts.decided(probability, 1 - probability[:, 0], low, normal=0).tolist() == [2, 1]
    assert verdicts.decided(probability, 1 - probability[:, 1], low, normal=1).tolist() == [0, 2]


def test_deciding_leaves_the_probabilities_as_they_are() -> None:
    given = THREE.copy()
    verdicts.decided(given, np.ones(3, np.float32), POINT, normal=0)
    np.testing.assert_array_equal(given, THREE)


def test_a_score_at_the_threshold_counts() -> None:
    assert verdicts.decided(THREE[:1], np.array([0.5], np.float32), POINT, normal=0).tolist() == [1]
    exact = np.float32(0.3)
    assert verdicts.present(np.array([[exact, 0.2]]), at(labels=(float(exact), 0.21))).tolist() == [[True, False]]


# === Conformal sets ===


def test_nonconformity_worked_by_hand() -> None:
    np.testing.assert_allclose(verdicts.nonconformity(THREE, np.array([0, 2, 0])), [0.3, 0.6, 0.95], rtol=1e-6)
    truth = np.array([[1, 0, 0], [1, 1, 1], [0, 1, 0]], dtype=np.uint8)
    np.testing.assert_allclose(verdicts.nonconformity(THREE, truth), [0.3, 0.7, 0.1], rtol=1e-6)


@pytest.mark.parametrize(
    ("count", "coverage", "rank"),
    [(9, 0.9, 9), (19, 0.9, 18), (99, 0.9, 90), (99, 0.55, 55), (100, 0.9, 91), (10, 0.5, 6), (19, 0.95, 19)],
)
def test_the_limit_is_the_score_of_the_rank_that_theory_names(count: int, coverage: float, rank: int) -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1, count + 1)) / 1000
    assert verdicts.conformal_limit(scores, coverage=coverage) == rank / 1000


@pytest.mark.parametrize(("count", "coverage"), [(0, 0.5), (8, 0.9), (18, 0.95), (1, 0.9)])
def test_too_few_scores_exclude_nothing(count: int, coverage: float) -> None:
    limit = verdicts.conformal_limit(np.zeros(count), coverage=coverage)
    assert limit == 1.0
    assert verdicts.plausible(THREE, at(nonconformity=limit)).all()


@pytest.mark.parametrize("coverage", [0.7, 0.9, 0.95])
@pytest.mark.parametrize("calibration", [39, 60])
def test_sets_cover_as_often_as_they_promise(coverage: float, calibration: int) -> None:
    """Over many draws, coverage is ⌈(n + 1) level⌉ / (n + 1): the level, or up to 1/(n + 1) more."""
    rng, draws, fresh = np.random.default_rng(3), 1500, 40
    covered = np.empty(draws)
    for draw in range(draws):
        probability = rng.dirichlet((1.0, 0.6, 0.4), calibration + fresh)
        cumulative = probability.cumsum(axis=1)
        truth = (rng.random((len(probability), 1)) > cumulative).sum(axis=1).clip(0, 2)
        scores = verdicts.nonconformity(probability, truth)
        point = at(nonconformity=verdicts.conformal_limit(scores[:calibration], coverage=coverage))
        sets = verdicts.plausible(probability[calibration:], point)
        covered[draw] = sets[np.arange(fresh), truth[calibration:]].mean()
    expected = np.ceil((calibration + 1) * coverage - 1e-9) / (calibration + 1)
    assert coverage <= expected + 1e-9 and expected <= coverage + 1 / (calibration + 1)
    assert abs(covered.mean() - expected) < 2 * covered.std() / np.sqrt(draws)


def test_several_labels_are_covered_all_at_once() -> None:
    rng, draws, calibration, fresh = np.random.default_rng(4), 1500, 49, 40
    covered, apart = np.empty(draws), np.empty(draws)
    for draw in range(draws):
        probability = rng.beta(0.5, 0.5, (calibration + fresh, 4))
        truth = (rng.random(probability.shape) < probability).astype(np.uint8)
        scores = verdicts.nonconformity(probability, truth)
        point = at(nonconformity=verdicts.conformal_limit(scores[:calibration], coverage=0.9))
        given, true = probability[calibration:], truth[calibration:] > 0
        label_covered = np.where(true, verdicts.plausible(given, point), given <= point.nonconformity)
        covered[draw], apart[draw] = label_covered.all(axis=1).mean(), label_covered.mean()
    assert abs(covered.mean() - 0.9) < 2 * covered.std() / np.sqrt(draws)
    assert apart.mean() > 0.95  # each label alone is then covered more often


def doubts(probability: np.ndarray, point: OperatingPoint, *, several: bool = False) -> list[bool]:
    suspicious = verdicts.suspicion(probability, normal=0, multi_label=several)[:, 0]
    found = verdicts.doubtful(probability, suspicious, point, normal=0, multi_label=several)
    return [bool(doubt) for doubt in found]


def test_doubt_is_anything_but_one_plausible_answer() -> None:
    probability = np.array([[0.9, 0.1], [0.5, 0.5], [0.3, 0.7]], dtype=np.float32)
    assert doubts(probability, at(nonconformity=0.2)) == [False, True, True]  # an empty set is a doubt too
    assert doubts(probability, at(nonconformity=0.4)) == [False, True, False]
    assert doubts(probability, at(nonconformity=0.95)) == [True] * 3
    assert verdicts.plausible(probability, at(nonconformity=0.2)).tolist() == [[True, False], [False] * 2, [False] * 2]


def test_an_answer_that_the_threshold_turns_against_the_set_is_a_doubt() -> None:
    probability = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]], dtype=np.float32)
    assert doubts(probability, at(nonconformity=0.4, value=0.2)) == [False, True, False]  # flagged, normal plausible
    assert doubts(probability, at(nonconformity=0.4, value=0.9)) == [False, False, True]  # clear, b plausible


@pytest.mark.parametrize("limit", [0.2, 0.4])
def test_doubt_about_one_label_of_several_is_a_doubt(limit: float) -> None:
    probability = np.array([[0.9, 0.95], [0.9, 0.5], [0.1, 0.05]], dtype=np.float32)
    fair = at(nonconformity=limit, labels=(0.5, 0.5))
    assert doubts(probability, fair, several=True) == [False, True, False]
    assert doubts(probability, replace(fair, nonconformity=0.96), several=True) == [True] * 3  # both ways plausible
    assert doubts(probability, replace(fair, labels=(0.08, 0.5)), several=True) == [False, True, True]  # told present


# === What is told ===


def answers(probability: Any, *, several: bool = False, distance: Any = None) -> dict[str, np.ndarray]:
    given = np.array(probability, dtype=np.float32)
    made = {"probability": given, "suspicion": verdicts.suspicion(given, normal=0, multi_label=several)}
    return made if distance is None else {**made, "distance": np.array(distance, dtype=np.float32)[:, None]}


def said(outputs: dict[str, np.ndarray], point: OperatingPoint, *, several: bool = False) -> list[str]:
    places = verdicts.told(outputs, point, normal=0, multi_label=several)
    assert places.dtype == np.int64
    return [verdicts.DECISIONS[place] for place in places]


CLEAR, SHOWS, EVEN = [0.9, 0.1], [0.1, 0.9], [0.5, 0.5]


def test_of_every_image_one_thing_is_told() -> None:
    rows = [CLEAR, SHOWS, EVEN, CLEAR, SHOWS, EVEN]
    given = answers(rows, distance=[1, 2, 1, 2.01, np.nan, np.inf])
    assert said(given, POINT) == ["clear", "flagged", "abstained", "refused", "refused", "refused"]


def test_without_a_distance_nothing_is_refused() -> None:
    assert said(answers([CLEAR, SHOWS, EVEN]), at(farthest=0.0)) == ["clear", "flagged", "abstained"]


def test_of_several_labels_any_that_is_present_is_flagged_and_suspicion_decides_nothing() -> None:
    probability = np.array([[0.9, 0.05], [0.9, 0.95], [0.05, 0.1], [0.05, 0.05]], dtype=np.float32)
    suspicion = probability.max(axis=1)
    for value in (0.0, 0.5, 1.0):
        point = at(value=value, labels=(0.95, 0.08))
        found = verdicts.flagged(probability, suspicion, point, multi_label=True)
        assert found.tolist() == [False, True, True, False]
        assert found.tolist() == verdicts.present(probability, point).any(axis=1).tolist()


def test_of_several_labels_the_only_plausible_answer_is_told() -> None:
    given = answers([[0.9, 0.95], [0.1, 0.05], [0.9, 0.5], [0.1, 0.3]], several=True)
    point = at(value=0.2, labels=(0.5, 0.5), nonconformity=0.4)  # a suspicion of 0.3 is above the threshold
    assert said(given, point, several=True) == ["flagged", "clear", "abstained", "clear"]
    assert said(given, replace(point, labels=(0.5, 0.2)), several=True)[3] == "abstained"  # told, but implausible


def test_one_class_is_flagged_from_the_threshold_on() -> None:
    suspicion = np.array([0.49, 0.5, 0.51], dtype=np.float32)
    probability = np.stack([1 - suspicion, suspicion], axis=1)
    assert verdicts.flagged(probability, suspicion, POINT, multi_label=False).tolist() == [False, True, True]


# === Refusal ===


def test_what_is_far_or_has_no_distance_is_foreign() -> None:
    distance = np.array([0.0, 2.0, 2.001, np.inf, np.nan], dtype=np.float32)
    assert verdicts.foreign(distance, POINT).tolist() == [False, False, True, True, True]


# === Storing ===


def test_a_point_survives_json() -> None:
    point = at(labels=(0.25, 0.5), nonconformity=float(np.float32(0.1)))
    again = verdicts.from_json(json.loads(json.dumps(point.as_json())))
    assert again == replace(point, expected={})


@pytest.mark.parametrize("key", ["value", "nonconformity", "coverage", "farthest", "rule", "labels"])
def test_a_missing_constant_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        verdicts.from_json({name: value for name, value in POINT.as_json().items() if name != key})


@pytest.mark.parametrize("value", [None, "0.5", True, float("nan"), float("inf"), [0.5], {}, 10**400, 1j])
@pytest.mark.parametrize("key", ["value", "nonconformity", "coverage", "farthest"])
def test_a_constant_that_is_no_number_is_refused(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match="finite number|operating point"):
        verdicts.from_json({**POINT.as_json(), key: value})


@pytest.mark.parametrize("labels", [None, 3, "ab", [None], [float("nan")], [[0.5]], {"a": 0.5}])
def test_label_thresholds_that_are_none_are_refused(labels: Any) -> None:
    with pytest.raises(ValueError, match="finite number|operating point"):
        verdicts.from_json({**POINT.as_json(), "labels": labels})


@pytest.mark.parametrize("values", [None, 3, [], "point", [["value", 0.5]]])
def test_what_is_no_point_is_refused(values: Any) -> None:
    with pytest.raises(ValueError, match="operating point"):
        verdicts.from_json(values)
