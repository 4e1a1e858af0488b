"""From probabilities to what a clinician is told: a label, a doubt, or a refusal. Numpy only, also on the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...shared.decisions import Threshold

PROBABILITY, SUSPICION, DISTANCE, HEAT = "probability", "suspicion", "distance", "heat"
"""Outputs of the network, float32: (image, class), (image, 1), (image, 1), (image, row, column, class)."""

Decision = Literal["clear", "flagged", "abstained", "refused"]
DECISIONS: tuple[Decision, ...] = ("clear", "flagged", "abstained", "refused")


@dataclass(frozen=True)
class OperatingPoint(Threshold):
    """What was chosen on validation.

    Attributes:
        value: the threshold on suspicion; always a number here.
        nonconformity: a label is plausible when 1 − its probability is at most this.
        coverage: share of images whose plausible labels hold the true one, as aimed at.
        farthest: largest distance of an image that is taken for one of this kind.
        labels: (class,) a label counts as present from this probability on; used where there can be several.
    """

    value: float
    nonconformity: float
    coverage: float
    farthest: float
    labels: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the point in plain Python types; see :func:`from_json`."""
        return {
            **super().as_json(),
            "nonconformity": self.nonconformity,
            "coverage": self.coverage,
            "farthest": self.farthest,
            "labels": list(self.labels),
        }


def from_json(values: Any) -> OperatingPoint:
    """Return the point that :meth:`OperatingPoint.as_json` wrote.

    Raises:
        ValueError: it is not one; a model file is not to be trusted.
    """
    try:
        numbers = {key: values[key] for key in ("value", "nonconformity", "coverage", "farthest")}
        rule, labels = str(values["rule"]), tuple(values["labels"])
        finite = all(type(number) in (int, float) and np.isfinite(number) for number in (*numbers.values(), *labels))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an operating point: {type(error).__name__} {error}") from error
    if not finite:
        raise ValueError("a decision constant is not a finite number")
    return OperatingPoint(rule=rule, expected={}, labels=labels, **numbers)


def suspicion(probability: np.ndarray, *, normal: int, multi_label: bool) -> np.ndarray:
    """Return (image, 1): how likely anything is found, from (image, class) probabilities.

    One minus the probability of the normal class; where there can be several labels, that of the most probable.
    """
    if multi_label:
        return np.asarray(probability.max(axis=1, keepdims=True))
    return np.asarray(1 - probability[:, normal : normal + 1])


def decided(probability: np.ndarray, suspicious: np.ndarray, point: OperatingPoint, *, normal: int) -> np.ndarray:
    """Return (image,) class codes: the normal class below the threshold, else the most probable other one.

    Args:
        probability: (image, class).
        suspicious: (image,) suspicion.
        point: the operating point.
        normal: code of the normal class.
    """
    others = probability.copy()
    others[:, normal] = -np.inf
    return np.where(suspicious >= point.value, others.argmax(axis=1), normal)


def present(probability: np.ndarray, point: OperatingPoint) -> np.ndarray:
    """Return bool (image, class): which of several labels are present."""
    return probability >= np.asarray(point.labels, dtype=np.float32)


def nonconformity(probability: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return (image,): how badly the true answer conforms to the probabilities, 0 best, 1 worst.

    Single labels: 1 − the probability of the true class (least ambiguous sets; Sadinle, Lei & Wasserman 2019,
    JASA 114(525)). Several: the largest |truth − probability|, so that all labels are covered at once.

    Args:
        probability: (image, class).
        truth: (image,) class codes, or (image, class) of 0 and 1.
    """
    if truth.ndim == 2:
        return np.asarray(np.abs(truth - probability).max(axis=1))
    return np.asarray(1 - probability[np.arange(len(truth)), truth])


def conformal_limit(scores: np.ndarray, *, coverage: float) -> float:
    """Return the limit that new scores stay under with probability ``coverage``, 1 if there are too few to say.

    Source: split conformal prediction; Papadopoulos et al. 2002, ECML; Lei et al. 2018, JASA 113(523), theorem 2.2.
    """
    rank = int(np.ceil((len(scores) + 1) * coverage - 1e-9))  # 100 · 0.55 is 55, not 55.000…1
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else 1.0


def plausible(probability: np.ndarray, point: OperatingPoint) -> np.ndarray:
    """Return bool (image, class): the conformal set of each image."""
    return np.asarray(1 - probability <= point.nonconformity)


def foreign(distance: np.ndarray, point: OperatingPoint) -> np.ndarray:
    """Return bool, of the shape of ``distance``: not an image of this kind; a distance of NaN is none either."""
    return np.asarray(~(distance <= point.farthest))


def doubtful(
    probability: np.ndarray, suspicious: np.ndarray, point: OperatingPoint, *, normal: int, multi_label: bool
) -> np.ndarray:
    """Return bool (image,): abstain, because what would be told is not the only plausible answer.

    Args:
        probability: (image, class).
        suspicious: (image,) suspicion.
        point: the operating point.
        normal: code of the normal class.
        multi_label: whether there can be several labels.
    """
    yes = plausible(probability, point)
    if multi_label:
        no = probability <= point.nonconformity
        return np.asarray(((yes == no) | (yes != present(probability, point))).any(axis=1))
    told = decided(probability, suspicious, point, normal=normal)
    return np.asarray((yes.sum(axis=1) != 1) | ~yes[np.arange(len(yes)), told])


def flagged(probability: np.ndarray, suspicious: np.ndarray, point: OperatingPoint, *, multi_label: bool) -> np.ndarray:
    """Return bool (image,): something is found; of several labels, any is present."""
    if multi_label:
        return np.asarray(present(probability, point).any(axis=1))
    return np.asarray(suspicious >= point.value)


def told(outputs: Mapping[str, np.ndarray], point: OperatingPoint, *, normal: int, multi_label: bool) -> np.ndarray:
    """Return int64 (image,) places in ``DECISIONS``: what a device says, of every image one thing.

    Args:
        outputs: the network's; without a distance nothing is refused.
        point: the operating point.
        normal: code of the normal class.
        multi_label: whether there can be several labels.
    """
    probability, suspicious = outputs[PROBABILITY], outputs[SUSPICION][:, 0]
    said = flagged(probability, suspicious, point, multi_label=multi_label).astype(np.int64)
    said[doubtful(probability, suspicious, point, normal=normal, multi_label=multi_label)] = DECISIONS.index(
        "abstained"
    )
    if DISTANCE in outputs:
        said[foreign(outputs[DISTANCE][:, 0], point)] = DECISIONS.index("refused")
    return said
