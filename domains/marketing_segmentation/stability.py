"""How much of a segmentation stays when the customers it was learnt from are drawn anew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...shared.domain import Examples
from ...shared.errors import ContractError
from ...shared.estimates import Statistic

UNIT = "unit"
MOST_CODES = 1000


def adjusted_rand(first: np.ndarray, second: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Return how far two segmentations agree: 1 if they are equal up to names, 0 as by chance, below 0 if worse.

    With weights, a pair of rows counts the product of theirs; a row is no pair with itself, however heavy.

    Args:
        first: labels (row,), of any kind that can be sorted.
        second: as ``first``.
        weight: (row,) 0 or more.

    Raises:
        ContractError: the lengths differ.

    Source: Hubert & Arabie 1985, Journal of Classification 2.
    """
    if np.shape(first) != np.shape(second) or np.ndim(first) != 1:
        raise ContractError(
            f"Two segmentations of the same rows are compared; got labels of shapes {np.shape(first)} and "
            f"{np.shape(second)}. Give one label a row in both."
        )
    weight = np.ones(len(first)) if weight is None else np.asarray(weight, dtype=np.float64)
    one, other = (_codes(labels) for labels in (first, second))
    both = one * (int(other.max(initial=0)) + 1) + other
    together, in_one, in_other = (_pairs(labels, weight) for labels in (both, one, other))
    every = _pairs(np.zeros(len(one), np.int64), weight)
    chance = in_one * in_other / every if every else 0.0
    most = (in_one + in_other) / 2
    return float((together - chance) / (most - chance)) if most > chance else 1.0


def _codes(labels: np.ndarray) -> np.ndarray:
    """Return int64 (row,) codes from 0; labels that are such codes already are not sorted again."""
    if labels.dtype.kind == "i" and labels.min(initial=0) >= 0 and labels.max(initial=0) < MOST_CODES:
        return labels
    return np.asarray(np.unique(labels, return_inverse=True)[1])


def _pairs(labels: np.ndarray, weight: np.ndarray) -> float:
    """Return the weight of all pairs of rows with the same label."""
    total = np.bincount(labels, weight)
    return float(np.square(total).sum() - np.square(weight).sum()) / 2


def resampled(train: Examples, seed: int) -> Examples:
    """Draw as many customers as there are, with replacement; a customer drawn twice brings all rows twice."""
    order = np.argsort(train.context[UNIT], kind="stable")
    _, start, count = np.unique(train.context[UNIT][order], return_index=True, return_counts=True)
    drawn = np.random.default_rng(seed).integers(len(start), size=len(start))
    return train.take(np.concatenate([order[start[unit] : start[unit] + count[unit]] for unit in drawn]))


def stability(base: np.ndarray, refits: Sequence[np.ndarray], units: np.ndarray) -> Statistic:
    """Return the mean adjusted Rand index between a segmentation and its refits, of the same rows.

    Args:
        base: labels (row,) of the model that is used.
        refits: labels (row,) of models fitted to resampled customers.
        units: (row,) the customer of each row.

    Raises:
        ContractError: there is no refit, or the lengths differ.
    """
    if not len(refits):
        raise ContractError("Stability needs at least one refit; got none. Raise training.refits.")

    codes = [np.unique(labels, return_inverse=True)[1] for labels in (base, *refits)]  # sorted once, not by draw

    def compute(weight: np.ndarray | None) -> float:
        return float(np.mean([adjusted_rand(codes[0], labels, weight) for labels in codes[1:]]))

    return Statistic(compute, units)
