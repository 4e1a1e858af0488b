"""Metrics of two-class predictions, each ``f(y_true, y_score) -> float``.

The ``ranked_…`` builders sort the scores once and return a function of the weights, which the
bootstrap of :mod:`.estimates` calls hundreds of times; it returns NaN where the figure is
undefined. The plain functions call the same code and raise there, because a single figure that
cannot be computed is a fault in the data. All of them raise ContractError for labels other than
0 and 1, for scores that are not finite and for arrays of different lengths.

Arguments that mean the same everywhere:
    y_true: (row,) 0 or 1, or bool.
    y_score: (row,) finite; higher means more likely positive.
    probability: (row,) in [0, 1].
    weight: (row,) not negative, or None for all ones.
    k: number of alerts, from 1 to the number of rows.
    threshold: rows at or above it are alerts.
    bins: number of bins, at least 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .errors import ConfigError, ContractError
from .estimates import Compute

_Found = Callable[[np.ndarray | None], tuple[float, float, float]]

PROBABILITY_MARGIN = float(np.finfo(np.float32).eps)
"""Log loss keeps probabilities this far from 0 and 1: a float32 sigmoid saturates there."""


@dataclass(frozen=True, eq=False)
class _Ranking:
    """Rows in order of falling score; only score levels that hold a positive matter.

    Attributes:
        order: (row,) positions of all rows.
        positives: (positive,) positions of the positives.
        level: (positive,) which level each of them stands in, counted from 0.
        first: (level,) place in ``order`` where the level begins.
        stop: (level,) place in ``order`` just after the level.
    """

    order: np.ndarray
    positives: np.ndarray
    level: np.ndarray
    first: np.ndarray
    stop: np.ndarray

    def weigh(self, weight: np.ndarray | None) -> _Mass:
        """Return the weight of positives in, and of rows around, every level."""
        if weight is None:
            counts = np.bincount(self.level, minlength=len(self.first))
            return _Mass(counts, self.first, self.stop, len(self.order))
        hits = np.bincount(self.level, weight[self.positives], minlength=len(self.first))
        rows = np.append(0.0, np.cumsum(weight[self.order]))
        return _Mass(hits, rows[self.first], rows[self.stop], float(rows[-1]))


@dataclass(frozen=True, eq=False)
class _Mass:
    """Weights by level of score: positives in it, rows above it, rows down to its end; all rows."""

    hits: np.ndarray
    above: np.ndarray
    through: np.ndarray
    rows: float


# === Ranking ===


def ranked_roc_auc(y_true: np.ndarray, y_score: np.ndarray) -> Compute:
    """Sort once; return the area under the ROC curve as a function of the weights."""
    ranking = _rank(y_true, y_score)

    def compute(weight: np.ndarray | None) -> float:
        mass = ranking.weigh(weight)
        positives = float(mass.hits.sum())
        negatives = mass.rows - positives
        if positives <= 0 or negatives <= 0:
            return math.nan
        beaten_by = mass.above - (np.cumsum(mass.hits) - mass.hits)  # negatives above the level
        equal = mass.through - mass.above - mass.hits
        return float(1 - mass.hits @ (beaten_by + equal / 2) / (positives * negatives))

    return compute


def roc_auc(y_true: np.ndarray, y_score: np.ndarray, *, weight: np.ndarray | None = None) -> float:
    """Area under the ROC curve.

    The chance that a positive scores above a negative; an equal score counts half. Higher is
    better: 1 ranks every positive above every negative, 0.5 is chance, 0 is the reverse order.

    Raises:
        ContractError: one class only, or invalid arrays.

    Source: Hanley & McNeil 1982, Radiology 143(1).
    """
    value = ranked_roc_auc(y_true, y_score)(_checked_weight(weight, y_true))
    return _defined(value, "ROC AUC", y_true)


def ranked_average_precision(y_true: np.ndarray, y_score: np.ndarray) -> Compute:
    """Sort once; return average precision as a function of the weights."""
    ranking = _rank(y_true, y_score)

    def compute(weight: np.ndarray | None) -> float:
        mass = ranking.weigh(weight)
        drawn = mass.hits > 0  # a level of weight 0 adds no recall, and its precision may be 0/0
        if not drawn.any():
            return math.nan
        at_or_above = np.cumsum(mass.hits)
        precision_there = at_or_above[drawn] / mass.through[drawn]
        return float(mass.hits[drawn] @ precision_there / at_or_above[-1])

    return compute


def average_precision(y_true: np.ndarray, y_score: np.ndarray, *, weight: np.ndarray | None = None) -> float:
    """Average precision: Σ (Rₖ − Rₖ₋₁) Pₖ over the distinct scores, from high to low.

    No interpolation, equal scores enter together, as in scikit-learn. Higher is better: 1 ranks
    every positive first, the share of positives is chance, and 0 is only approached.

    Raises:
        ContractError: no positive, or invalid arrays.

    Source: Davis & Goadrich 2006, ICML (why the curve is not interpolated linearly).
    """
    value = ranked_average_precision(y_true, y_score)(_checked_weight(weight, y_true))
    return _defined(value, "Average precision", y_true)


# === A fixed number of alerts ===


def ranked_precision_at(y_true: np.ndarray, y_score: np.ndarray, *, k: int) -> Compute:
    """Sort once; return :func:`precision_at` as a function of the weights."""
    found = _found_in_top(y_true, y_score, k=k)

    def compute(weight: np.ndarray | None) -> float:
        hits, alerts, _ = found(weight)
        return hits / alerts if alerts > 0 else math.nan

    return compute


def precision_at(y_true: np.ndarray, y_score: np.ndarray, *, k: int) -> float:
    """Share of positives among the ``k`` highest scores.

    Where equal scores straddle the cut, the expectation over their random order is taken, so the
    order of rows does not matter. Higher is better: 1 means that every alert is a positive, 0
    that none is.

    Raises:
        ConfigError: ``k`` is below 1.
        ContractError: ``k`` exceeds the rows, or invalid arrays.

    Source: Manning et al. 2008, Introduction to Information Retrieval, §8.4; ties as in McSherry
        & Najork 2008, ECIR.
    """
    _check_budget(k, len(y_true))
    return ranked_precision_at(y_true, y_score, k=k)(None)


def ranked_recall_at(y_true: np.ndarray, y_score: np.ndarray, *, k: int) -> Compute:
    """Sort once; return :func:`recall_at` as a function of the weights."""
    found = _found_in_top(y_true, y_score, k=k)

    def compute(weight: np.ndarray | None) -> float:
        hits, _, positives = found(weight)
        return hits / positives if positives > 0 else math.nan

    return compute


def recall_at(y_true: np.ndarray, y_score: np.ndarray, *, k: int) -> float:
    """Share of all positives that stand among the ``k`` highest scores.

    Ties at the cut as in :func:`precision_at`. Higher is better: 1 means that every positive is
    found within the budget of alerts (impossible when there are more than ``k``), 0 that none is.

    Raises:
        ConfigError: ``k`` is below 1.
        ContractError: no positive, ``k`` exceeds the rows, or invalid arrays.

    Source: Manning et al. 2008, Introduction to Information Retrieval, §8.4.
    """
    _check_budget(k, len(y_true))
    return _defined(ranked_recall_at(y_true, y_score, k=k)(None), "Recall", y_true)


# === A threshold ===


def thresholded_precision(y_true: np.ndarray, y_score: np.ndarray, *, threshold: float) -> Compute:
    """Return :func:`precision` as a function of the weights, NaN when nothing is alerted."""
    positive, score = _checked(y_true, y_score)
    alert = (score >= threshold).astype(np.float64)
    return ratio(alert * positive, alert)


def precision(y_true: np.ndarray, y_score: np.ndarray, *, threshold: float, weight: np.ndarray | None = None) -> float:
    """Share of positives among the rows with ``y_score >= threshold``: TP / (TP + FP).

    Higher is better: 1 means that every alert is a positive, 0 that none is.

    Raises:
        ContractError: no score reaches the threshold, or invalid arrays.

    Source: van Rijsbergen 1979, Information Retrieval, ch. 7.
    """
    compute = thresholded_precision(y_true, y_score, threshold=threshold)
    value = compute(_checked_weight(weight, y_true))
    if math.isnan(value):
        raise ContractError(
            f"Precision is undefined: no score reaches the threshold {threshold} (the highest is "
            f"{np.max(y_score)}). Lower the threshold, or report the number of alerts instead."
        )
    return value


def thresholded_recall(y_true: np.ndarray, y_score: np.ndarray, *, threshold: float) -> Compute:
    """Return :func:`recall` as a function of the weights, NaN when there is no positive."""
    positive, score = _checked(y_true, y_score)
    return ratio(positive * (score >= threshold), positive)


def recall(y_true: np.ndarray, y_score: np.ndarray, *, threshold: float, weight: np.ndarray | None = None) -> float:
    """Share of the positives with ``y_score >= threshold``: TP / (TP + FN), or sensitivity.

    Higher is better: 1 means that every positive is found, 0 that none is.

    Raises:
        ContractError: no positive, or invalid arrays.

    Source: van Rijsbergen 1979, Information Retrieval, ch. 7.
    """
    compute = thresholded_recall(y_true, y_score, threshold=threshold)
    return _defined(compute(_checked_weight(weight, y_true)), "Recall", y_true)


def ratio(part: np.ndarray, whole: np.ndarray) -> Compute:
    """Return Σ ``part`` / Σ ``whole`` as a function of the weights, NaN where the whole is nothing; both (row,)."""

    def compute(weight: np.ndarray | None) -> float:
        total = float(whole.sum() if weight is None else weight @ whole)
        share = float(part.sum() if weight is None else weight @ part)
        return share / total if total > 0 else math.nan

    return compute


# === Probabilities ===


def brier(y_true: np.ndarray, probability: np.ndarray, *, weight: np.ndarray | None = None) -> float:
    """Brier score: the mean of (probability − y)².

    Lower is better: 0 is certain and right about every row, 1 certain and wrong; always saying
    the share of positives r scores r (1 − r).

    Raises:
        ContractError: a probability outside [0, 1], or invalid arrays.

    Source: Brier 1950, Monthly Weather Review 78(1).
    """
    positive, chance = _checked_probability(y_true, probability)
    return float(np.average((chance - positive) ** 2, weights=_checked_weight(weight, y_true)))


def log_loss(y_true: np.ndarray, probability: np.ndarray, *, weight: np.ndarray | None = None) -> float:
    """Log loss: the mean of −log of the probability given to what happened, in nats.

    Probabilities are kept ``PROBABILITY_MARGIN`` away from 0 and 1. Lower is better: 0 is
    certain and right about every row, log 2 ≈ 0.693 is a coin, about 15.9 certain and wrong.

    Raises:
        ContractError: a probability outside [0, 1], or invalid arrays.

    Source: Good 1952, JRSS B 14(1).
    """
    positive, chance = _checked_probability(y_true, probability)
    inner = np.clip(chance, PROBABILITY_MARGIN, 1 - PROBABILITY_MARGIN)
    loss = -np.where(positive > 0, np.log(inner), np.log1p(-inner))
    return float(np.average(loss, weights=_checked_weight(weight, y_true)))


def equal_mass_bins(probability: np.ndarray, *, bins: int) -> np.ndarray:
    """Return the bin (0 … bins − 1) of each row; bins hold about equally many rows.

    Equal probabilities share a bin, whichever holds the middle of their ranks, so a coarse
    (quantized) model may leave some bins empty. Bins of equal width would put nearly every row
    of a rare-event model into the first.

    Returns:
        int64 (row,).

    Raises:
        ConfigError: ``bins`` is below 1.
    """
    if bins < 1:
        raise ConfigError(f"Binning needs at least 1 bin; got bins={bins}. Try 10.")
    _, level, count = np.unique(probability, return_inverse=True, return_counts=True)
    middle = (np.cumsum(count) - count / 2) / len(probability)
    return np.asarray((middle * bins).astype(np.int64)[level])


def binned_calibration_error(y_true: np.ndarray, probability: np.ndarray, *, bins: int = 10) -> Compute:
    """Bin once; return :func:`expected_calibration_error` as a function of the weights."""
    positive, chance = _checked_probability(y_true, probability)
    bin_of_row = equal_mass_bins(chance, bins=bins)
    excess = chance - positive

    def compute(weight: np.ndarray | None) -> float:
        total = len(excess) if weight is None else weight.sum()
        gap = np.bincount(bin_of_row, excess if weight is None else weight * excess)
        return float(np.abs(gap).sum() / total) if total > 0 else math.nan

    return compute


def expected_calibration_error(
    y_true: np.ndarray, probability: np.ndarray, *, bins: int = 10, weight: np.ndarray | None = None
) -> float:
    """Expected calibration error over bins of equally many rows.

    Σ over the bins of (share of the weight) · |mean probability − share of positives|. Lower is
    better: 0 means that each bin holds as many positives as promised, 1 that every certain
    promise is broken. The figure depends on ``bins``, so compare only equal numbers of them.

    Raises:
        ConfigError: ``bins`` is below 1.
        ContractError: a probability outside [0, 1], or invalid arrays.

    Source: Naeini et al. 2015, AAAI; equal mass as in Nixon et al. 2019, CVPR workshops.
    """
    compute = binned_calibration_error(y_true, probability, bins=bins)
    return compute(_checked_weight(weight, y_true))


# === Checks ===


def _rank(y_true: np.ndarray, y_score: np.ndarray) -> _Ranking:
    positive, score = _checked(y_true, y_score)
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    starts = np.append(True, ranked[1:] != ranked[:-1])
    edges = np.append(np.flatnonzero(starts), len(ranked))
    hit = np.flatnonzero(positive[order])
    held, level = np.unique(np.cumsum(starts)[hit] - 1, return_inverse=True)
    return _Ranking(order, order[hit], level, edges[held], edges[held + 1])


def _found_in_top(y_true: np.ndarray, y_score: np.ndarray, *, k: int) -> _Found:
    """Return a function of the weights: positives found, alerts raised, positives in all."""
    if k < 1:
        raise ConfigError(f"A budget needs at least 1 alert; got k={k}.")
    ranking = _rank(y_true, y_score)

    def found(weight: np.ndarray | None) -> tuple[float, float, float]:
        mass = ranking.weigh(weight)
        alerts = min(float(k), mass.rows)
        # Of a level that the cut divides, the same share of positives and of rows is alerted.
        height = mass.through - mass.above
        share = np.clip(alerts - mass.above, 0.0, height) / np.where(height > 0, height, 1.0)
        return float(mass.hits @ share), alerts, float(mass.hits.sum())

    return found


def _checked(y_true: np.ndarray, y_score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and scores as float64 after every check they share."""
    truth, score = np.asarray(y_true), np.asarray(y_score)
    if truth.ndim != 1 or truth.shape != score.shape or len(truth) == 0:
        raise ContractError(
            f"Labels and scores need one dimension and one length; got {truth.shape} and "
            f"{score.shape}. Flatten the scores and score every row once."
        )
    _refuse((truth != 0) & (truth != 1), truth, "Labels must be 0 or 1", "Map them first.")
    advice = "Look for inputs that were not imputed, or for a training run that diverged."
    _refuse(~np.isfinite(score), score, "Scores must be finite", advice)
    return truth.astype(np.float64), score.astype(np.float64)


def _checked_probability(y_true: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    positive, chance = _checked(y_true, probability)
    advice = "Pass the model's probability, not its logit."
    _refuse((chance < 0) | (chance > 1), chance, "Probabilities must lie in [0, 1]", advice)
    return positive, chance


def _refuse(wrong: np.ndarray, values: np.ndarray, rule: str, advice: str) -> None:
    rows = np.flatnonzero(wrong)
    if len(rows):
        raise ContractError(f"{rule}; found {values[rows[0]]} at row {rows[0]} ({len(rows)} such rows). {advice}")


def _checked_weight(weight: np.ndarray | None, y_true: np.ndarray) -> np.ndarray | None:
    if weight is None:
        return None
    checked = np.asarray(weight, dtype=np.float64)
    if checked.shape != np.shape(y_true):
        raise ContractError(f"Weights need the shape of the labels {np.shape(y_true)}; got {checked.shape}.")
    if not (np.isfinite(checked).all() and checked.min() >= 0 and checked.sum() > 0):
        raise ContractError(
            f"Weights must be finite, not negative, and not all zero; they run from {checked.min()} to {checked.max()}."
        )
    return checked


def _check_budget(k: int, num_rows: int) -> None:
    if k > num_rows:
        raise ContractError(f"A budget of k={k} alerts needs as many rows; got {num_rows}. Lower k or add rows.")


def _defined(value: float, name: str, y_true: np.ndarray) -> float:
    if math.isnan(value):
        num_positive = int(np.sum(y_true))
        raise ContractError(
            f"{name} is undefined: {num_positive} of {len(y_true)} rows are positive (after "
            "weighting, one class is missing). Score data that hold both classes."
        )
    return value
