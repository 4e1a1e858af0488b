"""The figures of a clinic, against hand-made answers and scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, roc_auc_score

from edgekit.domains.healthcare_imaging import verdicts
from edgekit.domains.healthcare_imaging.config import DecisionSettings, ImagingConfig
from edgekit.domains.healthcare_imaging.evaluate import correct, decide, evaluate, one_hot
from edgekit.domains.healthcare_imaging.verdicts import DISTANCE, PROBABILITY, SUSPICION, OperatingPoint
from edgekit.shared.decisions import Threshold
from edgekit.shared.domain import Examples
from edgekit.shared.errors import ContractError
from edgekit.shared.estimates import bootstrap

CONFIG = ImagingConfig()
POINT = OperatingPoint(0.5, "by hand", {}, nonconformity=0.65, coverage=0.9, farthest=2.0, labels=())
Outputs = dict[str, np.ndarray]

# Six images of classes normal, b, c, of four patients. Decided: 0, 1, 1, 2, 1, 0.
SIX = np.array(
    [[0.8, 0.1, 0.1], [0.4, 0.5, 0.1], [0.1, 0.45, 0.45], [0.2, 0.1, 0.7], [0.4, 0.4, 0.2], [0.55, 0.05, 0.4]],
    dtype=np.float32,
)
TRUTH = np.array([0, 1, 2, 2, 0, 1])
UNITS = np.array([0, 0, 1, 1, 2, 3])


def examples(truth: np.ndarray, *, normal: int = 0, units: np.ndarray | None = None) -> Examples:
    finding = truth.any(axis=1) if truth.ndim == 2 else truth != normal
    context = {
        "unit": np.arange(len(truth)) if units is None else units,
        "finding": finding.astype(np.int64),
        "normal": np.full(len(truth), normal),
    }
    return Examples({"image": np.zeros((len(truth), 2, 2, 1), np.uint8)}, truth, context)


def outputs(probability: np.ndarray, *, normal: int = 0, several: bool = False, distance: Any = None) -> Outputs:
    made = {PROBABILITY: probability, SUSPICION: verdicts.suspicion(probability, normal=normal, multi_label=several)}
    return made if distance is None else {**made, DISTANCE: np.asarray(distance, np.float32)[:, None]}


def figures(given: Outputs, truth: Examples, point: Threshold | None = None) -> dict[str, float]:
    return {name: made.compute(None) for name, made in evaluate(given, truth, CONFIG, threshold=point).items()}


def random_outputs(rng: np.random.Generator, truth: np.ndarray, classes: int) -> np.ndarray:
    """Return probabilities that lean towards the truth."""
    logits = rng.normal(size=(len(truth), classes)) + 1.5 * np.eye(classes)[truth]
    exponential = np.exp(logits)
    return np.asarray(exponential / exponential.sum(axis=1, keepdims=True), dtype=np.float32)


# === By hand ===


def test_figures_of_three_classes_worked_by_hand() -> None:
    given = outputs(SIX, distance=[1, 1, 1, 3, 1, np.nan])
    made = figures(given, examples(TRUTH, units=UNITS), POINT)
    assert made["accuracy"] == pytest.approx(3 / 6)
    assert made["balanced_accuracy"] == pytest.approx((1 / 2 + 1 / 2 + 1 / 2) / 3)
    assert made["sensitivity"] == pytest.approx(3 / 4)  # the last image is not flagged
    assert made["specificity"] == pytest.approx(1 / 2)
    # Plausible from 0.35 on: {0}, {0, 1}, {1, 2}, {2}, {0, 1}, {0, 2}.
    assert made["coverage"] == pytest.approx(5 / 6)
    assert made["refused"] == pytest.approx(2 / 6)  # a distance of NaN is no proof
    assert made["abstained"] == pytest.approx(3 / 6)  # of four in doubt, the last is refused
    assert made["accepted_accuracy"] == pytest.approx(1.0) and made["missed"] == 0  # the first alone is told a label
    squares = np.square(SIX - np.eye(3)[TRUTH]).sum(axis=1)
    assert made["brier"] == pytest.approx(squares.mean())


@pytest.mark.parametrize(
    ("distance", "missed", "accepted"),
    [
        (None, 1 / 4, 3 / 4),
        ([1, 1, 1, 1, 1, 1], 1 / 4, 3 / 4),
        ([1, 1, 1, 3, 1, 1], 1 / 4, 2 / 3),  # a hit is refused
        ([1, 1, 3, 1, 1, 9], 0, 1),  # the miss is refused, and one in doubt
    ],
)
def test_missed_and_accepted_are_those_that_a_device_tells(distance: Any, missed: float, accepted: float) -> None:
    point = replace(POINT, nonconformity=0.5)  # plausible: {0}, {1}, {}, {2}, {}, {0}
    made = figures(outputs(SIX, distance=distance), examples(TRUTH), point)
    assert (made["missed"], made["accepted_accuracy"]) == (pytest.approx(missed), pytest.approx(accepted))
    refused = 0 if distance is None else sum(far > 2 for far in distance)
    in_doubt = 2 if distance is None or distance[2] == 1 else 1
    assert made["abstained"] == pytest.approx(in_doubt / 6) and made.get("refused", 0) == pytest.approx(refused / 6)
    assert made["sensitivity"] == pytest.approx(3 / 4)  # as if nobody abstained


def test_below_the_threshold_the_label_is_normal_even_if_another_is_most_probable() -> None:
    probability = np.array([[0.3, 0.4, 0.3], [0.3, 0.4, 0.3]], np.float32)
    truth = examples(np.array([0, 1]))
    assert correct(outputs(probability), truth, replace(POINT, value=0.71)).tolist() == [1, 0]
    assert correct(outputs(probability), truth, replace(POINT, value=0.69)).tolist() == [0, 1]


def test_figures_of_several_labels_worked_by_hand() -> None:
    probability = np.array([[0.9, 0.2], [0.6, 0.7], [0.1, 0.3], [0.2, 0.1]], np.float32)
    truth = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], np.uint8)
    point = replace(POINT, labels=(0.5, 0.25), nonconformity=0.35)
    made = figures(outputs(probability, several=True), examples(truth), point)
    assert made["accuracy"] == made["balanced_accuracy"] == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert made["sensitivity"] == 1 and made["specificity"] == 1  # 0.3 is present, whatever the suspicion
    assert made["coverage"] == pytest.approx(2 / 4)  # |truth - p| at most 0.35: the first and the last
    assert made["abstained"] == pytest.approx(2 / 4)  # 0.6 is neither nor; 0.3 is told, but implausible
    assert made["accepted_accuracy"] == pytest.approx(1.0) and made["missed"] == 0
    high = figures(outputs(probability, several=True), examples(truth), replace(point, labels=(0.7, 0.95)))
    assert high["sensitivity"] == pytest.approx(1 / 3)  # suspicions of 0.7 and more, but only the first is present
    assert high["missed"] == pytest.approx(1 / 3)  # the third is clear, the second in doubt
    assert made["auc"] == pytest.approx((4 / 4 + 2 / 3) / 2)
    assert made["brier"] == pytest.approx((0.05 + 0.65 + 0.5 + 0.05) / 4)


def test_calibration_error_worked_by_hand() -> None:
    probability = np.repeat(np.array([[0.1, 0.9], [0.4, 0.6]], np.float32), 10, axis=0)
    truth = np.array([1] * 8 + [0] * 2 + [1] * 5 + [0] * 5)
    assert figures(outputs(probability), examples(truth))["calibration_error"] == pytest.approx(0.1, abs=1e-6)


# === Against scikit-learn ===


@pytest.mark.parametrize("normal", [0, 1])
def test_two_classes_agree_with_scikit_learn(normal: int) -> None:
    rng = np.random.default_rng(normal)
    truth = (rng.random(200) < 0.3).astype(np.int64)
    probability = random_outputs(rng, truth, 2)
    made = figures(outputs(probability, normal=normal), examples(truth, normal=normal), POINT)
    finding, chance = truth != normal, 1 - probability[:, normal]
    assert made["auc"] == pytest.approx(roc_auc_score(finding, chance))
    assert made["brier"] == pytest.approx(brier_score_loss(finding, chance))
    assert made["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(finding, chance >= 0.5))


@pytest.mark.parametrize("classes", [3, 4])
def test_many_classes_agree_with_scikit_learn(classes: int) -> None:
    rng = np.random.default_rng(classes)
    truth = rng.integers(0, classes, 300)
    probability = random_outputs(rng, truth, classes)
    made = figures(outputs(probability), examples(truth), POINT)
    assert made["auc"] == pytest.approx(np.mean([roc_auc_score(truth == c, probability[:, c]) for c in range(classes)]))
    decided = verdicts.decided(probability, 1 - probability[:, 0], POINT, normal=0)
    assert made["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, decided))
    assert made["accuracy"] == pytest.approx((truth == decided).mean())


def test_several_labels_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    truth = (rng.random((200, 3)) < (0.2, 0.4, 0.6)).astype(np.uint8)
    probability = (0.3 * truth + 0.7 * rng.random(truth.shape)).astype(np.float32)
    made = figures(outputs(probability, several=True), examples(truth))
    assert made["auc"] == pytest.approx(roc_auc_score(truth, probability, average="macro"))


def test_a_class_that_is_not_there_does_not_count() -> None:
    rng = np.random.default_rng(6)
    truth = rng.integers(0, 2, 60)
    probability = random_outputs(rng, truth, 3)
    expected = np.mean([roc_auc_score(truth == c, probability[:, c]) for c in range(2)])
    assert figures(outputs(probability), examples(truth))["auc"] == pytest.approx(expected)


# === Units ===


@pytest.mark.parametrize("several", [False, True])
def test_every_figure_is_resampled_by_patient(several: bool) -> None:
    """A weight of 2 equals the rows twice, a weight of 0 equals no rows."""
    rng = np.random.default_rng(7)
    truth = (rng.random((80, 3)) < 0.4).astype(np.uint8) if several else rng.integers(0, 3, 80)
    probability = rng.dirichlet(np.ones(3), 80).astype(np.float32)
    point = replace(POINT, labels=(0.3, 0.4, 0.2) if several else (), nonconformity=0.7)
    given, context = outputs(probability, several=several, distance=rng.random(80) * 3), examples(truth)
    weight = rng.integers(0, 3, 80).astype(np.float64)
    rows = np.repeat(np.arange(80), weight.astype(int))
    twice = figures({name: values[rows] for name, values in given.items()}, context.take(rows), point)
    made = evaluate(given, context, CONFIG, threshold=point)
    assert set(made) == set(twice) and all(np.isfinite(list(twice.values())))
    unbinned = [name for name in made if name != "calibration_error"]  # its bins are those of all rows
    assert {name: made[name].compute(weight) for name in unbinned} == pytest.approx(
        {name: twice[name] for name in unbinned}
    )
    assert all(np.array_equal(statistic.units, context.context["unit"]) for statistic in made.values())


def test_the_calibration_error_of_several_labels_weighs_whole_images() -> None:
    probability = np.repeat(np.array([[0.2, 0.9]], np.float32), 4, axis=0)
    truth = np.array([[0, 1], [1, 1], [0, 0], [0, 1]], np.uint8)
    made = evaluate(outputs(probability, several=True), examples(truth), CONFIG)["calibration_error"]
    assert made.compute(None) == pytest.approx((abs(0.2 - 1 / 4) + abs(0.9 - 3 / 4)) / 2)
    assert made.compute(np.array([1.0, 2, 0, 1])) == pytest.approx((abs(0.2 - 2 / 4) + abs(0.9 - 4 / 4)) / 2)


def test_intervals_count_patients() -> None:
    truth = np.tile(TRUTH, 5)
    made = evaluate(outputs(np.tile(SIX, (5, 1))), examples(truth, units=np.arange(30) // 2), CONFIG, threshold=POINT)
    assert bootstrap(made["auc"]).n == 15


def test_class_means_are_over_the_classes_that_a_resample_holds() -> None:
    truth, rng = np.array([0] * 10 + [1] * 10 + [2]), np.random.default_rng(10)
    probability = random_outputs(rng, truth, 3)
    made = evaluate(outputs(probability), examples(truth), CONFIG, threshold=POINT)
    weight = np.ones(21)
    weight[20] = 0
    areas = [roc_auc_score(truth[:20] == code, probability[:20, code]) for code in (0, 1)]
    assert made["auc"].compute(weight) == pytest.approx(np.mean(areas))
    right = verdicts.decided(probability, 1 - probability[:, 0], POINT, normal=0) == truth
    assert made["balanced_accuracy"].compute(weight) == pytest.approx((right[:10].mean() + right[10:20].mean()) / 2)
    weight[10:] = 0
    assert made["balanced_accuracy"].compute(weight) == pytest.approx(right[:10].mean())
    assert np.isnan(made["auc"].compute(weight))  # one class alone ranks nothing


def test_resamples_that_lack_a_class_count_too() -> None:
    """A third of them lacks a class of one patient."""
    truth, rng = np.array([0] * 10 + [1] * 10 + [2]), np.random.default_rng(10)
    made = evaluate(outputs(random_outputs(rng, truth, 3)), examples(truth), CONFIG, threshold=POINT)
    for name in ("auc", "balanced_accuracy"):
        draws = [made[name].compute(rng.multinomial(21, np.full(21, 1 / 21)).astype(np.float64)) for _ in range(50)]
        assert np.isfinite(draws).all()
        assert bootstrap(made[name]).n == 21


# === What cannot be told ===


def test_without_a_point_only_the_ranking_and_the_probabilities_are_judged() -> None:
    assert set(figures(outputs(SIX, distance=np.ones(6)), examples(TRUTH))) == {"auc", "brier", "calibration_error"}


def test_without_a_distance_nothing_is_refused() -> None:
    assert "refused" not in figures(outputs(SIX), examples(TRUTH), POINT)


def test_where_all_abstain_there_is_no_accepted_accuracy() -> None:
    made = figures(outputs(SIX), examples(TRUTH), replace(POINT, nonconformity=1.0))
    assert "accepted_accuracy" not in made and made["abstained"] == 1 and all(np.isfinite(list(made.values())))


def test_where_every_image_has_a_finding_there_is_no_specificity() -> None:
    truth = np.array([[1, 0], [1, 1], [0, 1]], np.uint8)
    made = figures(outputs(SIX[:3, :2], several=True), examples(truth), replace(POINT, labels=(0.5, 0.5)))
    assert "specificity" not in made and made["sensitivity"] == pytest.approx(2 / 3)


def test_where_all_are_refused_there_is_no_accepted_accuracy() -> None:
    made = figures(outputs(SIX, distance=[9] * 6), examples(TRUTH), replace(POINT, nonconformity=0.5))
    assert "accepted_accuracy" not in made and (made["refused"], made["abstained"], made["missed"]) == (1, 0, 0)


# === Choosing the operating point ===


def test_the_point_reaches_the_sensitivity_coverage_and_refusals_asked_for() -> None:
    rng = np.random.default_rng(8)
    truth = rng.integers(0, 2, 399)
    given = outputs(random_outputs(rng, truth, 2), distance=rng.gamma(4, 0.25, 399))
    config = ImagingConfig(decision=DecisionSettings(target_sensitivity=0.9, coverage=0.8, false_refusals=0.05))
    validation = examples(truth)
    point = decide(given, validation, config)
    made = {name: s.compute(None) for name, s in evaluate(given, validation, config, threshold=point).items()}
    found = given[SUSPICION][truth == 1, 0]
    assert made["sensitivity"] >= 0.9 > (found > np.sort(found[found >= point.value])[0]).mean()
    assert made["coverage"] == pytest.approx(320 / 399)  # rank ⌈400 · 0.8⌉
    assert made["refused"] == pytest.approx(20 / 399)
    assert point.coverage == 0.8 and point.labels == () and "0.9" in point.rule
    assert verdicts.from_json(point.as_json()) == replace(point, expected={})


def test_a_rival_without_distance_has_a_point_too() -> None:
    assert decide(outputs(SIX), examples(TRUTH), CONFIG).farthest == 0.0


def test_few_validation_images_make_every_answer_plausible() -> None:
    point = decide(outputs(SIX), examples(TRUTH), CONFIG)
    assert point.nonconformity == 1.0
    assert "accepted_accuracy" not in figures(outputs(SIX), examples(TRUTH), point)


def test_each_label_gets_its_threshold_and_one_that_validation_lacks_a_half() -> None:
    truth = np.zeros((40, 3), np.uint8)
    truth[:20, 0] = truth[10:30, 1] = 1
    rng = np.random.default_rng(9)
    probability = (0.4 * truth + 0.5 * rng.random(truth.shape)).astype(np.float32)
    config = ImagingConfig(decision=DecisionSettings(target_sensitivity=0.8))
    point = decide(outputs(probability, several=True), examples(truth), config)
    present = verdicts.present(probability, point)
    assert (present[:20, 0].sum(), present[10:30, 1].sum(), point.labels[2]) == (16, 16, 0.5)


def test_validation_without_a_finding_is_one_clear_error() -> None:
    with pytest.raises(ContractError, match="positive"):
        decide(outputs(SIX), examples(np.zeros(6, np.int64)), CONFIG)


def test_one_hot_of_single_and_several_labels() -> None:
    assert one_hot(examples(np.array([2, 0])), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    several = one_hot(examples(np.array([[1, 0], [1, 1]], np.uint8)), 2)
    assert several.tolist() == [[1, 0], [1, 1]] and several.dtype == np.float64
