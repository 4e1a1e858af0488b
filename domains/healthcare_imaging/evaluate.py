"""What a set of answers is worth to a clinic, and the operating point it works at."""

from __future__ import annotations

from typing import cast

import numpy as np

from ...shared import decisions, metrics
from ...shared.decisions import Threshold
from ...shared.domain import Arrays, Examples
from ...shared.estimates import Compute, Statistic, mean_statistic
from . import verdicts
from .config import ImagingConfig
from .verdicts import DECISIONS, DISTANCE, PROBABILITY, SUSPICION, OperatingPoint


def evaluate(
    outputs: Arrays, examples: Examples, config: ImagingConfig, *, threshold: Threshold | None = None
) -> dict[str, Statistic]:
    """Return the metrics of a predictor's outputs, ready for the bootstrap by patient (else near-duplicate group).

    ``auc`` is that of the finding, for many classes and several labels the mean over the classes, one against the
    rest; ``brier`` and ``calibration_error`` judge the probabilities. With an operating point: ``accuracy`` and
    ``balanced_accuracy`` of the decided labels (of several labels, the mean over them), ``sensitivity`` and
    ``specificity`` of "anything found" if nobody abstained; ``missed``, the share of findings of which a device says
    "clear"; ``coverage`` of the conformal sets; ``abstained`` and ``refused``, the shares of which it says so (refused
    where the predictor measures a distance), and ``accepted_accuracy`` that of the rest. ``specificity`` without an
    image of no finding, and ``accepted_accuracy`` where nothing is decided, are left out.
    """
    probability, units = outputs[PROBABILITY].astype(np.float64), examples.context["unit"]
    computed = {
        "auc": _auc(probability, outputs[SUSPICION][:, 0], examples),
        "calibration_error": _calibration_error(probability, examples),
    }
    made = {name: Statistic(compute, units) for name, compute in computed.items()}
    made["brier"] = mean_statistic(_brier(probability, examples), units)
    if threshold is not None:
        made |= _at_operating_point(outputs, examples, cast("OperatingPoint", threshold))
    return made


def decide(outputs: Arrays, validation: Examples, config: ImagingConfig) -> OperatingPoint:
    """Choose the threshold by target sensitivity, the conformal limit, and the largest distance, on validation."""
    settings, probability = config.decision, outputs[PROBABILITY]
    base = decisions.from_sensitivity(
        validation.context["finding"], outputs[SUSPICION][:, 0], target=settings.target_sensitivity
    )
    scores = verdicts.nonconformity(probability, validation.target)
    distance = outputs.get(DISTANCE)
    return OperatingPoint(
        base.number,
        base.rule,
        base.expected,
        nonconformity=verdicts.conformal_limit(scores, coverage=settings.coverage),
        coverage=settings.coverage,
        farthest=0.0 if distance is None else float(np.quantile(distance, 1 - settings.false_refusals)),
        labels=_label_thresholds(probability, validation, settings.target_sensitivity),
    )


def _label_thresholds(probability: np.ndarray, validation: Examples, target: float) -> tuple[float, ...]:
    """Choose one threshold a label by target sensitivity; 0.5 for a label that validation lacks."""
    if validation.target.ndim == 1:
        return ()
    return tuple(
        decisions.from_sensitivity(truth, score, target=target).number if truth.any() else 0.5
        for truth, score in zip(validation.target.T, probability.T, strict=True)
    )


def one_hot(examples: Examples, classes: int) -> np.ndarray:
    """Return float64 (image, class) of 0 and 1, for single and several labels alike."""
    if examples.target.ndim == 2:
        return np.asarray(examples.target, dtype=np.float64)
    return np.asarray(np.eye(classes)[examples.target])


def _auc(probability: np.ndarray, suspicion: np.ndarray, examples: Examples) -> Compute:
    if examples.target.ndim == 1 and probability.shape[1] == 2:
        return metrics.ranked_roc_auc(examples.context["finding"], suspicion)
    truth = one_hot(examples, probability.shape[1])
    known = [code for code in range(truth.shape[1]) if 0 < truth[:, code].sum() < len(truth)]
    areas = [metrics.ranked_roc_auc(truth[:, code], probability[:, code]) for code in known]
    return _mean_defined(areas)


def _mean_defined(computes: list[Compute]) -> Compute:
    """Return the mean of those that are defined: a rare class may be missing from a resample."""

    def compute(weight: np.ndarray | None) -> float:
        values = np.array([one(weight) for one in computes])
        return float(values[~np.isnan(values)].mean()) if (~np.isnan(values)).any() else float("nan")

    return compute


def _calibration_error(probability: np.ndarray, examples: Examples) -> Compute:
    """Compare confidence in the most probable class with how often it is right; every label where there are several."""
    if examples.target.ndim == 1:
        right = (probability.argmax(axis=1) == examples.target).astype(np.float64)
        return metrics.binned_calibration_error(right, np.clip(probability.max(axis=1), 0, 1))
    classes = probability.shape[1]
    of_all = metrics.binned_calibration_error(examples.target.ravel(), np.clip(probability, 0, 1).ravel())
    return lambda weight: of_all(None if weight is None else np.repeat(weight, classes))


def _brier(probability: np.ndarray, examples: Examples) -> np.ndarray:
    """Return (image,) squared errors: of the finding for two classes, else summed over the classes (Brier 1950)."""
    error = np.square(probability - one_hot(examples, probability.shape[1])).sum(axis=1)
    return np.asarray(error / 2 if examples.target.ndim == 1 and probability.shape[1] == 2 else error)


def _at_operating_point(outputs: Arrays, examples: Examples, point: OperatingPoint) -> dict[str, Statistic]:
    probability, units, finding = outputs[PROBABILITY], examples.context["unit"], examples.context["finding"]
    several, right, said = examples.target.ndim == 2, correct(outputs, examples, point), told(outputs, examples, point)
    flagged = verdicts.flagged(probability, outputs[SUSPICION][:, 0], point, multi_label=several)
    kept = said <= DECISIONS.index("flagged")
    covered = verdicts.nonconformity(probability, examples.target) <= point.nonconformity
    computed = {
        "sensitivity": metrics.ratio(finding * flagged, finding * 1.0),
        "specificity": metrics.ratio((1 - finding) * ~flagged, 1.0 - finding),
        "missed": metrics.ratio(finding * (said == DECISIONS.index("clear")), finding * 1.0),
        "balanced_accuracy": _balanced(right, examples),
        "accepted_accuracy": metrics.ratio(right * kept, kept.astype(np.float64)),
    }
    undefined = {"specificity"} if finding.all() else set()  # and no interval would be either
    undefined |= set() if kept.any() else {"accepted_accuracy"}
    made = {name: Statistic(compute, units) for name, compute in computed.items() if name not in undefined}
    made |= {"accuracy": mean_statistic(right, units), "coverage": mean_statistic(covered, units)}
    made["abstained"] = mean_statistic(said == DECISIONS.index("abstained"), units)
    if DISTANCE in outputs:
        made["refused"] = mean_statistic(said == DECISIONS.index("refused"), units)
    return made


def told(outputs: Arrays, examples: Examples, point: OperatingPoint) -> np.ndarray:
    """Return int64 (image,) places in ``verdicts.DECISIONS``: what a device says of each example."""
    normal, several = int(examples.context["normal"][0]), examples.target.ndim == 2
    return verdicts.told(outputs, point, normal=normal, multi_label=several)


def correct(outputs: Arrays, examples: Examples, point: OperatingPoint) -> np.ndarray:
    """Return float64 (image,): 1 where the decided label is true; of several labels, the share decided right."""
    probability = outputs[PROBABILITY]
    if examples.target.ndim == 2:
        return np.asarray((verdicts.present(probability, point) == (examples.target > 0)).mean(axis=1))
    normal = int(examples.context["normal"][0])
    decided = verdicts.decided(probability, outputs[SUSPICION][:, 0], point, normal=normal)
    return np.asarray(decided == examples.target, dtype=np.float64)


def _balanced(right: np.ndarray, examples: Examples) -> Compute:
    """Mean over the classes of the share decided right, so that a rare class counts as much as a common one."""
    if examples.target.ndim == 2:
        return metrics.ratio(right, np.ones(len(right)))
    shares = [
        metrics.ratio(right * (examples.target == code), (examples.target == code) * 1.0)
        for code in np.unique(examples.target)
    ]
    return _mean_defined(shares)
