"""What lists of recommendations are worth to a shop. There is no threshold: a shopper is shown the k best items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...shared.decisions import Threshold
from ...shared.domain import Arrays, Examples
from ...shared.estimates import Statistic, mean_statistic
from . import ranking

if TYPE_CHECKING:
    from .config import RetailConfig

ITEMS, SCORES = "items", "scores"
NOTHING_LEFT = -1e9
"""The score of places for which no item is left."""
PUBLISHED_K = 10  # what most papers report


def evaluate(
    outputs: Arrays, examples: Examples, config: RetailConfig, *, threshold: Threshold | None = None
) -> dict[str, Statistic]:
    """Return the metrics of a predictor's lists, ready for the bootstrap by shopper.

    All are of the full ranking: every item of the catalogue that the shopper did not have competes. ``hr@k`` is the
    share of examples whose next item is among the first k, ``ndcg@k`` counts it the less the further down it stands,
    ``mrr`` is the mean of 1 / rank within the list. Both are given for 10, and for the shop's own k where it differs.
    An item that comes next although the shopper had it already is never found, for it is never recommended. Coverage
    and the like stand in the report without intervals: a resample holds fewer shoppers, and so shows fewer items.

    Args:
        outputs: ``items`` int32 and ``scores`` float32, both (example, place), the highest first.
        examples: their context holds ``unit``, the shopper.
        config: its ``decision.k`` is the shop's own k.
        threshold: not needed.
    """
    items, target, units = listed(outputs), examples.target, examples.context["unit"]
    made = {}
    for k in dict.fromkeys((PUBLISHED_K, config.decision.k)):
        made[f"hr@{k}"] = mean_statistic(ranking.hits(items, target, k), units)
        made[f"ndcg@{k}"] = mean_statistic(ranking.ndcg(items, target, k), units)
    made["mrr"] = mean_statistic(ranking.reciprocal_rank(items, target), units)
    return made


def decide(outputs: Arrays, validation: Examples, config: RetailConfig) -> Threshold:
    """Say how scores become a decision: the k highest are shown; nothing is chosen, but it is told what that gave."""
    items, k = listed(outputs), config.decision.k
    figures = {f"hr@{k}": ranking.hits, f"ndcg@{k}": ranking.ndcg}
    expected = {name: float(figure(items, validation.target, k).mean()) for name, figure in figures.items()}
    return Threshold(None, f"the {k} highest scores", expected)


def listed(outputs: Arrays) -> np.ndarray:
    """Return int (example, place) item codes, 0 at places for which no item was left."""
    return np.asarray(np.where(outputs[SCORES] > NOTHING_LEFT, outputs[ITEMS], 0))
