"""Errors of forecasts where readings are missing, added up once per unit, so that a resample costs next to nothing.

What is missing is never scored: it stands in no sum and in no count. A benchmark that writes 0 for "missing" must have
its zeros read as missing, for otherwise every figure changes.

The bootstrap draws whole units (days). An error that is a ratio of two sums, or the root of one, needs no more of a
unit than these sums, so they are taken once, in blocks, and a draw works on (unit, step) tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...shared.domain import Arrays
from ...shared.errors import ContractError
from ...shared.estimates import Statistic
from ...shared.metrics import ratio

MEDIAN, LOW, HIGH = "median", "low", "high"
SMALLEST_TRUTH = 1e-3
"""Of a reading nearer to 0 no percentage is taken: it would be anything up to infinity."""
_CELLS = 1 << 20  # readings held at once


@dataclass(frozen=True, eq=False)
class Sums:
    """What the errors of each unit add up to; every table is float64 (unit, step of the horizon).

    Attributes:
        units: (unit,) distinct units, in order.
        count: readings that are there, and so are scored.
        absolute: Σ |forecast − reading|.
        squared: Σ (forecast − reading)².
        divisible: readings of at least ``SMALLEST_TRUTH`` in size.
        relative: Σ |forecast − reading| / |reading| over these.
        covered: readings inside the band, its ends included.
        width: Σ (high − low).
        beyond: Σ of how far readings lie outside the band.
    """

    units: np.ndarray
    count: np.ndarray
    absolute: np.ndarray
    squared: np.ndarray
    divisible: np.ndarray
    relative: np.ndarray
    covered: np.ndarray
    width: np.ndarray
    beyond: np.ndarray


def add_up(outputs: Arrays, target: np.ndarray, unit: np.ndarray, *, below: float | None = None) -> Sums:
    """Add up the errors of each unit and step, in blocks: no copy of the arrays is made.

    Args:
        outputs: ``median``, ``low`` and ``high`` (n, horizon, sensor) in the unit of the readings.
        target: float32 (n, horizon, sensor), NaN where missing.
        unit: (n,) what an interval resamples, for example the day.
        below: score only readings lower than this, for example those in congestion; all if left out.

    Raises:
        ContractError: the shapes differ, or a forecast is not a finite number.
    """
    _check_shapes(outputs, target, unit)
    num, horizon, sensors = target.shape
    units, slot = np.unique(unit, return_inverse=True)
    parts = np.empty((8, num, horizon))
    size = max(1, _CELLS // max(1, horizon * sensors))
    for start in range(0, num, size):
        block = slice(start, start + size)
        median, low, high = (_finite(outputs[name][block], name) for name in (MEDIAN, LOW, HIGH))
        parts[:, block] = _block_sums(median, low, high, target[block], below)
    totals = np.zeros((len(units), 8, horizon))
    np.add.at(totals, slot, parts.transpose(1, 0, 2))
    return Sums(units, *np.ascontiguousarray(totals.transpose(1, 0, 2)))


def _block_sums(
    median: np.ndarray, low: np.ndarray, high: np.ndarray, truth: np.ndarray, below: float | None
) -> list[np.ndarray]:
    """Return the eight sums over the sensors, each (n, horizon), in the order of ``Sums``."""
    known = ~np.isnan(truth)
    if below is not None:
        known &= truth < below
    error = np.abs(np.where(known, median - truth, 0))
    size = np.abs(truth)
    divisible = known & (size >= SMALLEST_TRUTH)
    relative = np.divide(error, size, out=np.zeros_like(error), where=divisible)
    covered = known & (low <= truth) & (truth <= high)
    beyond = np.where(known, np.maximum(low - truth, 0) + np.maximum(truth - high, 0), 0)
    tables = (known, error, error * error, divisible, relative, covered, np.where(known, high - low, 0), beyond)
    return [table.sum(axis=2, dtype=np.float64) for table in tables]


# === Figures ===


def mae(sums: Sums, steps: slice = slice(None)) -> Statistic:
    """Return the mean absolute error over all readings of these steps, sensors and examples together.

    Source: Li et al. 2018, ICLR ("Diffusion Convolutional Recurrent Neural Network"), masked MAE.
    """
    return _over(sums, sums.absolute, sums.count, steps)


def rmse(sums: Sums, steps: slice = slice(None)) -> Statistic:
    """Return the root of the mean squared error over all readings of these steps, not the mean of roots.

    Source: Li et al. 2018, ICLR, masked RMSE; over all steps up to a horizon as in Zhao et al. 2020, IEEE T-ITS 21(9)
        ("T-GCN").
    """
    mean = _over(sums, sums.squared, sums.count, steps).compute
    return Statistic(lambda weight: math.sqrt(mean(weight)), sums.units)


def mape(sums: Sums, steps: slice = slice(None)) -> Statistic:
    """Return the mean of |error| / |reading| as a share (0.07, which tables print as 7 %).

    Readings nearer to 0 than ``SMALLEST_TRUTH`` are left out of the sum and of the count.

    Source: Li et al. 2018, ICLR, masked MAPE.
    """
    return _over(sums, sums.relative, sums.divisible, steps)


def coverage(sums: Sums, steps: slice = slice(None)) -> Statistic:
    """Return the share of readings inside the band, its ends included."""
    return _over(sums, sums.covered, sums.count, steps)


def width(sums: Sums, steps: slice = slice(None)) -> Statistic:
    """Return the mean of high − low where there is a reading, in the unit of the readings."""
    return _over(sums, sums.width, sums.count, steps)


def interval_score(sums: Sums, level: float, steps: slice = slice(None)) -> Statistic:
    """Return the mean of (high − low) + 2 / (1 − level) · (how far the reading lies outside); lower is better.

    It is least for the true quantiles, so neither a wide band that misses nothing nor a narrow one that misses much
    scores well.

    Args:
        sums: of the forecasts.
        level: what share the band is meant to hold, between 0 and 1.
        steps: of the horizon.

    Source: Gneiting & Raftery 2007, JASA 102(477), eq. 43.
    """
    return _over(sums, sums.width + 2 / (1 - level) * sums.beyond, sums.count, steps)


def _over(sums: Sums, part: np.ndarray, whole: np.ndarray, steps: slice) -> Statistic:
    return Statistic(ratio(part[:, steps].sum(axis=1), whole[:, steps].sum(axis=1)), sums.units)


# === Checks ===


def _check_shapes(outputs: Arrays, target: np.ndarray, unit: np.ndarray) -> None:
    shapes = {name: outputs[name].shape for name in (MEDIAN, LOW, HIGH)}
    if target.ndim != 3 or unit.shape != target.shape[:1] or set(shapes.values()) != {target.shape}:
        raise ContractError(
            f"Forecasts need the shape (example, step, sensor) of the readings that came, {target.shape}, and one unit "
            f"for each example; got {shapes} and units of shape {unit.shape}. Forecast the examples that are scored."
        )


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    if not np.isfinite(values).all():
        wrong = np.argwhere(~np.isfinite(values))
        example, step, sensor = wrong[0]
        raise ContractError(
            f"A forecast must be a finite number; {name!r} holds {values[example, step, sensor]} at step {step} of "
            f"sensor {sensor} ({len(wrong)} such in a block of {values.size}). Look for readings that were not "
            "imputed, or for a training run that diverged."
        )
    return values
