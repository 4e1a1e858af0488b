"""What a segmentation is worth: what segments tell of the future, and how well orders and spend are foreseen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...shared import metrics
from ...shared.decisions import Threshold
from ...shared.domain import Arrays, Examples
from ...shared.estimates import Compute, Statistic, mean_statistic
from .config import MarketingConfig
from .features import COMES_BACK, ORDERS, SEGMENTS, SPEND, Plan
from .profiles import segment_names

FOLDS = 10
LEAST_EXPECTED = 1e-6
"""Expected orders below it count as this many: a deviance is infinite at zero."""
ROUNDING = 1e-9
"""A variance that is a smaller part of the mean square is none: nothing can be explained."""


def evaluate(
    outputs: Arrays, examples: Examples, config: MarketingConfig, *, threshold: Threshold | None = None
) -> dict[str, Statistic]:
    """Return the figures that ``outputs`` allow.

    ``spend_explained``, ``orders_explained``: share of the variance of log(1 + spend) and log(1 + orders) in the
    horizon that the most probable segment explains, each customer judged by segment means of other customers (ten
    folds). ``lines_explained``: the same of order lines, which no network is trained on. ``orders_deviance``: mean
    Poisson deviance of the expected orders; ``orders_mae``, ``orders_rmse``, ``spend_mae``: errors;
    ``orders_aggregate_error``, ``spend_aggregate_error``: |sum expected / sum observed − 1|; ``return_auc``: area
    under the ROC of coming back. Rows without a target are left out; units are customers.
    """
    known = np.isfinite(examples.target[:, 0])
    orders, spend = (examples.target[known, column].astype(np.float64) for column in (0, 1))
    units = examples.context["unit"][known]
    made: dict[str, Statistic] = {}
    if SEGMENTS in outputs:
        segment = outputs[SEGMENTS][known].argmax(axis=1)
        future = {"spend": spend, "orders": orders, "lines": examples.context["lines"][known].astype(np.float64)}
        made |= {
            f"{name}_explained": Statistic(explained(segment, np.log1p(values), units), units)
            for name, values in future.items()
            if np.isfinite(values).all() and values.any()
        }
    if ORDERS in outputs:
        expected = outputs[ORDERS][known, 0].astype(np.float64)
        made |= _of_orders(expected, orders, units)
    if SPEND in outputs:
        expected = outputs[SPEND][known, 0].astype(np.float64)
        made["spend_mae"] = mean_statistic(np.abs(expected - spend), units)
        made["spend_aggregate_error"] = Statistic(_aggregate_error(expected, spend), units)
    back = (orders > 0).astype(np.float64)
    if COMES_BACK in outputs and 0 < back.sum() < len(back):
        made["return_auc"] = Statistic(metrics.ranked_roc_auc(back, outputs[COMES_BACK][known, 0]), units)
    return made


def explained(segment: np.ndarray, value: np.ndarray, units: np.ndarray) -> Compute:
    """Return the share of the variance of ``value`` explained by means of a segment's customers in other folds.

    Args:
        segment: int64 (row,) codes from 0.
        value: float64 (row,).
        units: (row,) customers; all rows of one are in one fold.
    """
    fold = np.unique(units, return_inverse=True)[1] % FOLDS
    width = int(segment.max(initial=0)) + 1
    cell, shape = fold * width + segment, (FOLDS, width)

    def compute(weight: np.ndarray | None) -> float:
        weight = np.ones(len(value)) if weight is None else weight
        rows, sums, squares = (
            np.bincount(cell, weight * part, FOLDS * width).reshape(shape)
            for part in (np.ones(len(value)), value, np.square(value))
        )
        mean = sums.sum() / max(rows.sum(), 1e-12)
        others, of_others = rows.sum(axis=0) - rows, sums.sum(axis=0) - sums
        told = np.where(others > 0, of_others / np.maximum(others, 1e-12), mean)
        error = (squares - 2 * told * sums + np.square(told) * rows).sum()
        total = squares.sum() - rows.sum() * mean**2
        return float(1 - error / total) if total > ROUNDING * squares.sum() else float("nan")

    return compute


def _of_orders(expected: np.ndarray, orders: np.ndarray, units: np.ndarray) -> dict[str, Statistic]:
    rate = np.maximum(expected, LEAST_EXPECTED)
    with np.errstate(divide="ignore", invalid="ignore"):
        surprise = np.where(orders > 0, orders * np.log(orders / rate), 0.0)
    mean_square = metrics.ratio(np.square(expected - orders), np.ones(len(orders)))
    return {
        "orders_deviance": mean_statistic(2 * (surprise - (orders - rate)), units),
        "orders_mae": mean_statistic(np.abs(expected - orders), units),
        "orders_rmse": Statistic(lambda weight: float(np.sqrt(mean_square(weight))), units),
        "orders_aggregate_error": Statistic(_aggregate_error(expected, orders), units),
    }


def _aggregate_error(expected: np.ndarray, observed: np.ndarray) -> Compute:
    share = metrics.ratio(expected, observed)
    return lambda weight: abs(share(weight) - 1)


@dataclass(frozen=True)
class Naming(Threshold):
    """How customers are put into segments, and what the segments are called.

    Attributes:
        names: one for each segment; empty for predictors without segments.
    """

    names: tuple[str, ...] = ()


def decide(outputs: Arrays, validation: Examples, config: MarketingConfig) -> Naming:
    """Name the segments by the customers of validation; nothing is compared with a threshold."""
    made = evaluate(outputs, validation, config)
    expected = {name: statistic.compute(None) for name, statistic in made.items()}
    names = segment_names(outputs, validation, Plan(config.data.horizon_days)) if SEGMENTS in outputs else ()
    return Naming(None, "the most probable segment", expected, names)
