"""Behaviour on a common scale: logarithms in standard deviations, bent at some places, with marks for the unknown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CLIP = 4.0
"""Standard deviations; beyond it a customer is "very large" and no more."""
BENDS = (-1.0, 0.0, 1.0)
"""Standard deviations above which a logarithm counts once more, so that a linear model can follow a curve."""
LEAST_SPREAD = 1e-4
"""A column that hardly varies would turn rounding into a signal; it is left out."""


@dataclass(frozen=True, eq=False)
class Standards:
    """What the layer ``Standardized`` needs to know.

    Attributes:
        mean, rate: float32 (name,) of log(1 + x): mean, and one over the standard deviation; 0 where a column is empty
            or constant among those whose future is known, so that nothing could be learnt from it.
        low, high: float32 (name,) between which standardised logarithms are kept: what was never seen with its future
            counts as the nearest that was.
        absent, absent_rate: float32 (name,) share of customers of whom a number is not known, likewise.
    """

    mean: np.ndarray
    rate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    absent: np.ndarray
    absent_rate: np.ndarray

    def apply(self, behaviour: np.ndarray) -> np.ndarray:
        """Return float32 (row, 5 × name): standardised logarithms, marks of the unknown, and what lies above the bends.

        An unknown number counts as the mean: 0.
        """
        missing = np.isnan(behaviour)
        logs = np.log1p(np.maximum(np.where(missing, 0, behaviour), 0))
        scaled = np.where(missing, 0, np.clip((logs - self.mean) * self.rate, self.low, self.high))
        marks = (missing - self.absent) * self.absent_rate
        above = [np.maximum(scaled - bend, 0) - max(-bend, 0) for bend in BENDS]
        return np.concatenate([scaled, marks, *above], axis=1).astype(np.float32)


def learn_standards(behaviour: np.ndarray, labelled: np.ndarray) -> Standards:
    """Return the standards of raw behaviour, NaN where unknown.

    Args:
        behaviour: float32 (row, name) of all customers to learn from.
        labelled: float32 (row, name) of those whose future is known.
    """
    mean, spread, absent = _moments(behaviour)
    _, learnable, missing = _moments(labelled)
    rate = _rate(spread) * (learnable > LEAST_SPREAD)
    seen = np.log1p(np.maximum(labelled, 0)).astype(np.float64)
    low, high = (
        np.clip((_of_column(edge, seen) - mean) * rate, -CLIP, CLIP) for edge in (np.minimum.reduce, np.maximum.reduce)
    )
    absent_rate = _rate(np.sqrt(absent * (1 - absent))) * ((missing > 0) & (missing < 1))
    return Standards(*(part.astype(np.float32) for part in (mean, rate, low, high, absent, absent_rate)))


def _moments(behaviour: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return float64 (name,) mean and deviation of the known logarithms, and the share that is not known."""
    known = np.isfinite(behaviour)
    logs = np.log1p(np.maximum(np.where(known, behaviour, 0), 0)).astype(np.float64)
    rows = np.maximum(known.sum(axis=0), 1)
    mean = (logs * known).sum(axis=0) / rows
    return mean, np.sqrt((np.square(logs - mean) * known).sum(axis=0) / rows), 1 - known.mean(axis=0)


def _of_column(edge: Callable[[np.ndarray], float], values: np.ndarray) -> np.ndarray:
    """Return the lowest or highest known number of each column, 0 where there is none."""
    known = (column[np.isfinite(column)] for column in values.T)
    return np.array([edge(column) if len(column) else 0.0 for column in known])


def _rate(spread: np.ndarray) -> np.ndarray:
    return np.where(spread > LEAST_SPREAD, 1 / np.maximum(spread, LEAST_SPREAD), 0)


WIDTH = 2 + len(BENDS)
"""Numbers that each column of the behaviour becomes."""
