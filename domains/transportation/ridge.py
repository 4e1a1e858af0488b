"""Ridge autoregression on departures from what is typical of the time: linear, and hard to beat a few minutes ahead.

A departure is a reading minus the sensor's mean at that time (see ``profiles``); a missing one counts as none. The
departures of the window give those of each step ahead by coefficients of that step's own, without a constant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...shared.domain import Arrays, Examples
from .features import READINGS
from .profiles import typical

_CELLS = 1 << 21  # departures held at once


@dataclass(frozen=True, eq=False)
class Moments:
    """What least squares needs to know of the training windows; float64.

    Attributes:
        gram: (group, horizon, window, window) sums over the rows whose target is there.
        cross: (group, horizon, window).
    """

    gram: np.ndarray
    cross: np.ndarray

    def pooled(self) -> Moments:
        """Return the moments of all groups together."""
        return Moments(self.gram.sum(axis=0, keepdims=True), self.cross.sum(axis=0, keepdims=True))


def departures(inputs: Arrays, table: np.ndarray) -> np.ndarray:
    """Return float32 (n, window, sensor): readings minus what is typical of their time, 0 where missing."""
    readings = inputs[READINGS]
    gone = readings - typical(table, inputs, np.arange(1 - readings.shape[1], 1))
    return np.where(np.isnan(gone), np.float32(0), gone)


def moments(train: Examples, table: np.ndarray, *, by_sensor: bool) -> Moments:
    """Add up the moments of the windows, of each sensor or of all in one group, in blocks.

    Args:
        train: windows with targets; a target that is missing does not count.
        table: profile (slot, sensor).
        by_sensor: one group for each sensor; memory then grows with sensors · horizon · window².
    """
    window, horizon, sensors = train.inputs[READINGS].shape[1], *train.target.shape[1:]
    groups = sensors if by_sensor else 1
    gram, cross = np.zeros((groups, horizon, window, window)), np.zeros((groups, horizon, window))
    size = max(1, _CELLS // (max(window, horizon) * max(sensors, window)))
    for start in range(0, len(train), size):
        block = train.take(slice(start, start + size))
        before = _rows(departures(block.inputs, table))
        after = _rows(block.target - typical(table, block.inputs, np.arange(1, horizon + 1)))
        for sensor in range(sensors):
            lags, known = before[sensor], ~np.isnan(after[sensor])
            cross[sensor % groups] += np.where(known, after[sensor], 0) @ lags.T
            gram[sensor % groups] += _gram(lags, known)
    return Moments(gram, cross)


def _rows(values: np.ndarray) -> np.ndarray:
    """Turn (n, step, sensor) into float64 (sensor, step, row)."""
    return np.array(values.transpose(2, 1, 0), dtype=np.float64, order="C")


def _gram(lags: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return (horizon or 1, window, window): for each step Σ of lag · lag over the rows whose target is there.

    Args:
        lags: (window, row).
        known: bool (horizon, row).
    """
    if known.all():
        return np.asarray(lags @ lags.T)[None]
    kept = (known[:, None] * lags).reshape(-1, lags.shape[1])  # one product of large matrices instead of many small
    return np.asarray((kept @ lags.T).reshape(len(known), len(lags), len(lags)))


def solve(sums: Moments, strength: float, *, towards: np.ndarray | None = None) -> np.ndarray:
    """Return the coefficients of each group and step, float64 (group, horizon, window).

    Args:
        sums: of the training windows.
        strength: of the penalty, > 0, as a share of the mean diagonal entry of all groups' matrices: of how much a
            lag of a typical group moves, summed over its rows.
        towards: (horizon, window) coefficients to which the penalty draws; zeros if left out.
    """
    diagonal = float(np.diagonal(sums.gram, axis1=-2, axis2=-1).mean())
    penalty = strength * (diagonal or 1.0)  # where nothing ever departs from what is typical, any will do
    goal = np.zeros(sums.cross.shape[1:]) if towards is None else towards
    matrix = sums.gram + penalty * np.eye(sums.gram.shape[-1])
    return np.asarray(np.linalg.solve(matrix, (sums.cross + penalty * goal)[..., None])[..., 0])


def forecast(inputs: Arrays, table: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Return float32 (n, horizon, sensor).

    Args:
        inputs: ``readings`` and ``moment``.
        table: profile (slot, sensor).
        coefficients: (1 or sensor, horizon, window).
    """
    before, weights = departures(inputs, table), coefficients.astype(np.float32)
    if len(weights) == 1:
        gone = weights[0] @ before
    else:
        gone = (before.transpose(2, 0, 1) @ weights.swapaxes(1, 2)).transpose(1, 2, 0)
    return np.asarray(gone + typical(table, inputs, np.arange(1, weights.shape[1] + 1)), dtype=np.float32)
