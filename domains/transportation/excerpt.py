"""What a report draws of a long test: which sensors, how far ahead, and which day."""

from __future__ import annotations

import numpy as np

from .breakdowns import Congestion, rates
from .features import DAY, Plan
from .masked_errors import Sums

MINUTES_BEFORE = 30
LEAST_STEPS = 24
"""A day of fewer steps makes no drawing."""


def telling(sensors: Sums, readings: np.ndarray, congestion: Congestion | None) -> dict[int, str]:
    """Return up to three sensors worth a drawing, with the reason.

    They are the one whose error is in the middle, the one with the largest, and of the others the one with the most
    congestion. Only sensors with half as many readings as the fullest are looked at: of a handful, errors say little.

    Args:
        sensors: errors by sensor.
        readings: float (step, sensor), NaN where missing.
        congestion: what counts as such, if anything.
    """
    error, count = rates(sensors)["mae"], sensors.count.sum(axis=1)
    fit = np.flatnonzero((count > 0) & (count >= count.max() / 2))
    order = fit[np.argsort(error[fit], kind="stable")].tolist()
    found = {order[(len(order) - 1) // 2]: "error in the middle"}
    found.setdefault(order[-1], "largest error")
    slow = _congested(readings, congestion).sum(axis=0)
    rest = [sensor for sensor in order if sensor not in found and slow[sensor]]
    if rest:
        found[max(rest, key=lambda sensor: int(slow[sensor]))] = "most congestion"
    return found


def step_shown(plan: Plan) -> int:
    """Return the step half an hour ahead, or the middle one where none is."""
    step, rest = divmod(MINUTES_BEFORE * 60, plan.interval)
    return step if not rest and 1 <= step <= plan.horizon else (plan.horizon + 1) // 2


def stretch(time: np.ndarray, readings: np.ndarray, congestion: Congestion | None) -> tuple[slice, str]:
    """Return a day's place in the course of test, and which day it is: the one with the most congestion, if any.

    Args:
        time: int64 (step,) seconds on the wall, evenly spaced.
        readings: float (step, sensor), NaN where missing.
        congestion: what counts as such, if anything.
    """
    interval = int(time[1] - time[0]) if len(time) > 1 else DAY
    day = max(DAY // interval, LEAST_STEPS)
    starts = np.flatnonzero(time % DAY == 0)
    starts = starts[starts + day <= len(time)]
    if len(time) <= day:
        return slice(0, day), "all of test"
    if not len(starts) or day * interval > DAY:
        return slice(0, day), "the first part of test"
    slow = _congested(readings, congestion).sum(axis=1)
    if not slow.any():
        return slice(int(starts[0]), int(starts[0]) + day), "the first whole day of test"
    start = max(starts.tolist(), key=lambda place: int(slow[place : place + day].sum()))
    return slice(start, start + day), "the day of test with the most congestion"


def _congested(readings: np.ndarray, congestion: Congestion | None) -> np.ndarray:
    """Return bool (step, sensor)."""
    return np.zeros(readings.shape, bool) if congestion is None else np.asarray(readings < congestion.limit)
