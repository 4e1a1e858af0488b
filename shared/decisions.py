"""From scores to decisions: thresholds chosen on validation, and calibrated probabilities.

The rule is always ``score >= threshold``. Scores are compared as float32, the dtype in which a
device file answers. A threshold is a float32 value halfway between the lowest score that alerts
and the next one below, so float32 scores lead to the same decision in float32 and in float64
arithmetic, and rounding on another device seldom moves a row across it. A threshold just above
the highest score means "never alert"; it may exceed 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import ConfigError, ContractError
from .metrics import equal_mass_bins

SMALLEST_SLOPE = 1e-3
"""Platt's slope per standard deviation of the logits stays at or above this: never a reversal."""

_NEWTON_STEPS = 100
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Threshold:
    """A decision threshold and how it came about.

    Attributes:
        value: alert when ``score >= value``; exactly a float32 number. None where the highest of an output is taken.
        rule: one sentence saying what the threshold was chosen for.
        expected: what it did on the data it was chosen on: ``alerts`` (rows), ``alert_share``,
            and, as far as they are defined, ``precision``, ``recall``, ``alerts_per_day``,
            ``cost`` and ``cost_without_model``.
    """

    value: float | None
    rule: str
    expected: Mapping[str, float]

    @property
    def number(self) -> float:
        """The value where there must be one.

        Raises:
            ContractError: the highest of an output is taken, so nothing is compared with a threshold.
        """
        if self.value is None:
            raise ContractError(f"This decision has no threshold (it takes {self.rule}); a number was expected.")
        return self.value

    def as_json(self) -> dict[str, Any]:
        """Return ``{"value", "rule", "expected"}`` in plain Python types."""
        return {"value": self.value, "rule": self.rule, "expected": dict(self.expected)}


@dataclass(frozen=True, eq=False)
class Reliability:
    """Points of a reliability plot; all arrays are (bin,), empty bins left out.

    Attributes:
        predicted: mean probability in the bin.
        observed: share of positives in the bin.
        count: int64, rows in the bin.
    """

    predicted: np.ndarray
    observed: np.ndarray
    count: np.ndarray


@dataclass(frozen=True, eq=False)
class _Cuts:
    """Every way to divide rows by score, from no alert (index 0) to all rows (last index).

    Attributes:
        order: (row,) positions by falling score.
        scores: (level,) float32 distinct scores, falling.
        alerts: (level + 1,) number of rows that alert when the first 0, 1, … levels do.
    """

    order: np.ndarray
    scores: np.ndarray
    alerts: np.ndarray

    def count(self, per_row: np.ndarray) -> np.ndarray:
        """Return (level + 1,) the sum of ``per_row`` over the rows that alert at each cut."""
        sums = np.append(0.0, np.cumsum(per_row[self.order], dtype=np.float64))
        return np.asarray(sums[self.alerts])

    def threshold(self, cut: int) -> float:
        """Return the float32 threshold at which exactly the first ``cut`` levels alert."""
        if cut == 0:
            above, tiny = np.nextafter(self.scores[0], np.float32(np.inf)), np.finfo(np.float32).tiny
            return float(above if abs(above) >= tiny else tiny)  # some processors take denormal numbers for zero
        lowest_alert = self.scores[cut - 1]
        if cut == len(self.scores):
            below = np.nextafter(lowest_alert, np.float32(-np.inf))
            return float(below if lowest_alert else lowest_alert)  # 0.0 stays a plain zero
        middle = np.float32((float(lowest_alert) + float(self.scores[cut])) / 2)
        return float(middle if middle > self.scores[cut] else lowest_alert)


# === Thresholds ===


def from_alert_budget(
    scores: np.ndarray,
    *,
    per_day: float | None = None,
    days: float | None = None,
    share: float | None = None,
) -> Threshold:
    """Choose the lowest threshold that keeps within a budget of alerts.

    Give either ``per_day`` with ``days``, or ``share``. Equal scores alert together or not at
    all, so there may be fewer alerts than the budget allows, never more; when more rows than the
    budget share the top score, nothing alerts and ``rule`` says so.

    Args:
        scores: (row,) finite validation scores, with the mix of rows met in use.
        per_day: alerts that can be handled in a day, > 0.
        days: number of days that ``scores`` cover, > 0.
        share: share of the rows that may alert, in (0, 1].

    Raises:
        ConfigError: not exactly one budget is given, or it is out of range.
        ContractError: the budget is below one alert.
    """
    cuts = _cut(scores)
    num_rows = int(cuts.alerts[-1])
    budget, rule = _budget(num_rows, per_day=per_day, days=days, share=share)
    if budget < 1:
        raise ContractError(
            f"The budget ({rule}) is {budget:.3g} alerts on {num_rows} rows, less than one. "
            "Raise it, or choose the threshold on more rows."
        )
    if cuts.alerts[1] > budget:
        rule += (
            f"; nothing alerts, for {cuts.alerts[1]:,} of {num_rows:,} rows share the highest score: raise the budget"
        )
    cut = int(np.searchsorted(cuts.alerts, budget, side="right")) - 1
    expected = _alerts(cuts, cut)
    if days is not None:
        expected["alerts_per_day"] = expected["alerts"] / days
    return Threshold(cuts.threshold(cut), rule, expected)


def from_costs(
    y_true: np.ndarray,
    probability: np.ndarray,
    *,
    cost_false_alarm: float,
    cost_missed: float | np.ndarray,
    amounts: np.ndarray | None = None,
) -> Threshold:
    """Choose the threshold of least total cost; of equally cheap ones, that of fewest alerts.

    A review that every alert costs is a false alarm's cost, and for a positive it lessens what a miss costs more
    than an alert: give ``cost_missed`` less the review, which may then be negative.

    Args:
        y_true: (row,) 0 or 1.
        probability: (row,) finite scores.
        cost_false_alarm: cost of alerting a negative, ≥ 0.
        cost_missed: what a positive that does not alert costs more than one that does: one number, or
            (row,) one for each row. With ``amounts`` it is the share of the amount that is lost.
        amounts: (row,) money at stake, ≥ 0, in the unit of ``cost_false_alarm``; None when
            ``cost_missed`` is a cost already.

    Returns:
        A threshold whose ``expected`` holds ``cost`` and ``cost_without_model``, the smaller
        cost of alerting on nothing and on everything.

    Raises:
        ContractError: invalid labels, scores or costs.

    Source: Elkan 2001, IJCAI (cost-sensitive learning with costs per row).
    """
    positive = _labels(y_true, probability)
    missed = _row_costs(cost_missed, amounts, len(positive))
    if not (math.isfinite(cost_false_alarm) and cost_false_alarm >= 0):
        raise ContractError(f"A cost is a number ≥ 0; got cost_false_alarm={cost_false_alarm}.")
    cuts = _cut(probability)
    saved, wasted = cuts.count(missed * positive), cuts.count(cost_false_alarm * (1 - positive))
    cost = saved[-1] - saved + wasted
    slack = _TOLERANCE * max(float(cost.max()), 1.0)  # sums of cents differ in the last digits
    cut = int(np.argmax(cost <= cost.min() + slack))
    expected = _with_hits(cuts, cut, positive)
    expected["cost"] = float(cost[cut])
    expected["cost_without_model"] = float(min(cost[0], cost[-1]))
    return Threshold(cuts.threshold(cut), _cost_rule(cost_false_alarm, cost_missed, amounts), expected)


def from_precision(y_true: np.ndarray, probability: np.ndarray, *, target: float) -> Threshold:
    """Choose the lowest threshold whose precision reaches ``target``, so the most is found.

    When no threshold reaches it, the one of highest precision is taken (of equal ones, that with
    most alerts), and ``rule`` says so.

    Args:
        y_true: (row,) 0 or 1.
        probability: (row,) finite scores.
        target: precision wanted, in (0, 1].

    Raises:
        ConfigError: ``target`` is out of range.
        ContractError: invalid arrays, or no positive.
    """
    _check_share("target precision", target)
    positive = _labels(y_true, probability, needs_positive=True)
    cuts = _cut(probability)
    reached = cuts.count(positive)[1:] / cuts.alerts[1:]
    best = float(reached.max())
    cut = int(np.flatnonzero(reached >= min(target, best))[-1]) + 1
    rule = f"precision of at least {target:g}"
    if best < target:
        rule += f" was not reached; the highest on validation is {best:.3g}, used instead"
    return Threshold(cuts.threshold(cut), rule, _with_hits(cuts, cut, positive))


def from_sensitivity(y_true: np.ndarray, probability: np.ndarray, *, target: float) -> Threshold:
    """Choose the highest threshold whose sensitivity (recall) reaches ``target``.

    It always exists: alerting every row finds every positive.

    Args:
        y_true: (row,) 0 or 1.
        probability: (row,) finite scores.
        target: sensitivity wanted, in (0, 1].

    Raises:
        ConfigError: ``target`` is out of range.
        ContractError: invalid arrays, or no positive.
    """
    _check_share("target sensitivity", target)
    positive = _labels(y_true, probability, needs_positive=True)
    cuts = _cut(probability)
    found = cuts.count(positive)
    needed = math.ceil(target * found[-1] - _TOLERANCE)  # 0.7 · 10 is 7, not 7.000…1
    cut = int(np.argmax(found >= needed))
    rule = f"sensitivity of at least {target:g}"
    return Threshold(cuts.threshold(cut), rule, _with_hits(cuts, cut, positive))


# === Calibration ===


def fit_platt(logit: np.ndarray, y_true: np.ndarray) -> tuple[float, float]:
    """Fit ``probability = 1 / (1 + exp(−(slope · logit + shift)))`` by Newton's method.

    The targets are smoothed as Platt advises, so a separable validation set does not give an
    infinite slope. The slope is kept at or above ``SMALLEST_SLOPE`` for each standard deviation of
    the logits: where the best one is lower, the ranking is no better than chance, and only the
    shift is fitted. Calibration so never changes the ranking.

    Args:
        logit: (row,) finite scores of the model before the sigmoid.
        y_true: (row,) 0 or 1, both present.

    Returns:
        ``(slope, shift)``, both finite, slope > 0.

    Raises:
        ContractError: one class only, all logits equal, or invalid arrays.

    Source: Platt 1999, Advances in Large Margin Classifiers; Lin et al. 2007, Machine Learning
        68(3) (Newton's method with backtracking).
    """
    positive = _labels(y_true, logit, needs_positive=True)
    score = np.asarray(logit, dtype=np.float64)
    center, scale = float(score.mean()), float(score.std())
    if positive.all() or scale == 0:
        raise ContractError(
            f"Calibration needs both classes and different logits; got {int(positive.sum())} "
            f"positives of {len(positive)} rows and logits from {score.min()} to {score.max()}. "
            "If all logits are equal, the model did not learn: look at the training curve."
        )
    target = _smoothed(positive)
    unit = (score - center) / scale  # Newton's steps are then well scaled
    slope, shift = _newton(np.column_stack([unit, np.ones_like(unit)]), target)
    if slope < SMALLEST_SLOPE:
        slope = SMALLEST_SLOPE
        (shift,) = _newton(np.ones((len(unit), 1)), target, slope * unit)
    return float(slope / scale), float(shift - slope * center / scale)


def reliability(y_true: np.ndarray, probability: np.ndarray, *, bins: int = 10) -> Reliability:
    """Return the points of a reliability plot over bins of equal mass.

    A calibrated model lies on the diagonal. Bins as in :func:`.metrics.equal_mass_bins`.

    Args:
        y_true: (row,) 0 or 1.
        probability: (row,) finite, in [0, 1].
        bins: at least 1.

    Raises:
        ConfigError: ``bins`` is below 1.
        ContractError: invalid arrays.

    Source: Niculescu-Mizil & Caruana 2005, ICML.
    """
    positive = _labels(y_true, probability)
    bin_of_row = equal_mass_bins(probability, bins=bins)
    count = np.bincount(bin_of_row, minlength=bins)
    held = count > 0
    predicted = np.bincount(bin_of_row, weights=probability, minlength=bins)[held] / count[held]
    observed = np.bincount(bin_of_row, weights=positive, minlength=bins)[held] / count[held]
    return Reliability(predicted, observed, count[held].astype(np.int64))


def _smoothed(positive: np.ndarray) -> np.ndarray:
    """Return Platt's targets (N₊ + 1)/(N₊ + 2) and 1/(N₋ + 2)."""
    num_positive = positive.sum()
    num_negative = len(positive) - num_positive
    high, low = (num_positive + 1) / (num_positive + 2), 1 / (num_negative + 2)
    return np.asarray(np.where(positive > 0, high, low))


def _newton(columns: np.ndarray, target: np.ndarray, offset: np.ndarray | float = 0.0) -> np.ndarray:
    """Minimise the cross-entropy of a logistic model; the loss is convex, so this is the optimum.

    Args:
        columns: (row, parameter) full column rank.
        target: (row,) in (0, 1).
        offset: (row,) added to the linear predictor.
    """
    parameters = np.zeros(columns.shape[1])
    loss = _cross_entropy(columns @ parameters + offset, target)
    for _ in range(_NEWTON_STEPS):
        chance = _sigmoid(columns @ parameters + offset)
        gradient = columns.T @ (chance - target)
        if np.abs(gradient).max() < _TOLERANCE * len(target):
            break
        curvature = columns.T @ (columns * (chance * (1 - chance))[:, None])
        step = np.linalg.solve(curvature + 1e-12 * np.eye(len(parameters)), gradient)
        size = 1.0
        # A full step may overshoot where the sigmoid is flat: halve it until the loss falls.
        while (after := _cross_entropy(columns @ (parameters - size * step) + offset, target)) > (
            loss - 1e-4 * size * float(gradient @ step)
        ):
            size /= 2
            if size < _TOLERANCE:  # no digit left to gain
                return parameters
        parameters, loss = parameters - size * step, after
    return parameters


def _sigmoid(logit: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(logit))  # never overflows
    return np.asarray(np.where(logit >= 0, 1.0, small) / (1 + small))


def _cross_entropy(logit: np.ndarray, target: np.ndarray) -> float:
    return float((np.logaddexp(0.0, logit) - target * logit).sum())


# === Checks ===


def _cut(scores: np.ndarray) -> _Cuts:
    single = np.asarray(scores, dtype=np.float32)
    if single.ndim != 1 or len(single) == 0 or not np.isfinite(single).all():
        raise ContractError(
            f"A threshold needs finite scores in one dimension; got shape {single.shape} with "
            f"{int((~np.isfinite(single)).sum())} scores that are not finite. Score every row once."
        )
    order = np.argsort(-single, kind="stable")
    ranked = single[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    return _Cuts(order, ranked[ends], np.append(0, ends + 1))


def _labels(y_true: np.ndarray, scores: np.ndarray, *, needs_positive: bool = False) -> np.ndarray:
    truth = np.asarray(y_true)
    if truth.shape != np.shape(scores) or not np.isin(truth, (0, 1)).all():
        raise ContractError(
            f"Labels must be 0 or 1, one for each score; got shape {truth.shape} for scores of "
            f"shape {np.shape(scores)} with values such as {np.unique(truth)[:4].tolist()}."
        )
    if not np.isfinite(scores).all():
        raise ContractError(
            f"Scores must be finite; {int((~np.isfinite(scores)).sum())} of {truth.size} are not. "
            "Look for inputs that were not imputed, or for a training run that diverged."
        )
    if needs_positive and not truth.any():
        raise ContractError(
            f"None of the {truth.size} rows is positive, so there is nothing to choose or fit "
            "this on. Use a longer validation period or a larger validation share."
        )
    return np.asarray(truth, dtype=np.float64)


def _budget(num_rows: int, *, per_day: float | None, days: float | None, share: float | None) -> tuple[float, str]:
    """Return the budget as a number of alerts, and its sentence."""
    if share is not None and per_day is None and days is None:
        _check_share("alert share", share)
        return share * num_rows + _TOLERANCE, f"at most {share:.4g} of all rows alert"
    if share is None and per_day is not None and days is not None and min(per_day, days) > 0:
        return per_day * days + _TOLERANCE, f"at most {per_day:g} alerts a day"
    raise ConfigError(
        "An alert budget is either per_day > 0 with days > 0, or a share in (0, 1]; got "
        f"per_day={per_day}, days={days}, share={share}."
    )


def _row_costs(cost: float | np.ndarray, amounts: np.ndarray | None, num_rows: int) -> np.ndarray:
    """Return (row,) the cost of missing each row."""
    for name, value in (("cost_missed", cost), ("amounts", amounts)):
        shape = np.shape(value) if value is not None else ()
        if shape not in ((), (num_rows,)):
            raise ContractError(f"{name} needs one value or {num_rows} values; got shape {shape}.")
    per_row = np.broadcast_to(np.asarray(cost, dtype=np.float64), (num_rows,))
    per_row = per_row if amounts is None else per_row * np.asarray(amounts, dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(per_row))
    if len(wrong):
        raise ContractError(
            f"Costs must be finite; missing row {wrong[0]} would cost "
            f"{per_row[wrong[0]]} ({len(wrong)} such rows). Check the amounts."
        )
    return np.asarray(per_row)


def _cost_rule(cost_false_alarm: float, cost_missed: float | np.ndarray, amounts: np.ndarray | None) -> str:
    missed = "its own cost for each row" if np.ndim(cost_missed) else f"{cost_missed:g}"
    unit = " of the amount" if amounts is not None else ""
    return f"least total cost: a false alarm costs {cost_false_alarm:g}, a miss {missed}{unit}"


def _alerts(cuts: _Cuts, cut: int) -> dict[str, float]:
    alerts = float(cuts.alerts[cut])
    return {"alerts": alerts, "alert_share": alerts / float(cuts.alerts[-1])}


def _with_hits(cuts: _Cuts, cut: int, positive: np.ndarray) -> dict[str, float]:
    expected = _alerts(cuts, cut)
    hits, total = float(cuts.count(positive)[cut]), float(positive.sum())
    if expected["alerts"]:
        expected["precision"] = hits / expected["alerts"]
    if total:
        expected["recall"] = hits / total
    return expected


def _check_share(what: str, value: float) -> None:
    if not 0 < value <= 1:
        raise ConfigError(f"The {what} lies in (0, 1]; got {value}. For 5 percent, write 0.05.")
