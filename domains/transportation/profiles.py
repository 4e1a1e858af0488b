"""What is typical of each sensor at each time of the week, learnt from training readings.

A slot is a step of the week: 0 is Monday 00:00, and a week has 7 · ``per_day`` slots. A profile is float32
(slot, sensor) without NaN, whatever calendar it was learnt by.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from ...shared.domain import Arrays, Examples
from ...shared.errors import ContractError
from .evaluate import TIME, step_seconds
from .features import DAY, MOMENT, READINGS

CALENDARS = ("week", "workday", "day")
"""Which slots share a mean: those of the same time of the week; of all working days or of the weekend; of all days."""
DAYS, SATURDAY = 7, 5


def slots(moment: np.ndarray, ahead: np.ndarray, per_day: int) -> np.ndarray:
    """Return int64 (n, step): the slots so many steps after the last reading of a window.

    Args:
        moment: int (n, 2) step of the day and day of the week (0 Monday) of the last reading.
        ahead: int (step,) steps after it; 0 is the last reading itself, negative ones come before.
        per_day: steps of a day.
    """
    last = moment[:, 1].astype(np.int64) * per_day + moment[:, 0]
    return np.asarray((last[:, None] + ahead) % (DAYS * per_day))


def record(train: Examples) -> tuple[np.ndarray, np.ndarray]:
    """Put windows together again, so that each reading counts once however many windows hold it.

    Args:
        train: windows with their targets, in any order; context ``time`` (seconds of the last reading) and
            ``interval``.

    Returns:
        Readings float32 (step, sensor) from the first to the last step, NaN where there is none, and the slot of
        each step, int64 (step,).

    Raises:
        ContractError: there is no reading at all.
    """
    interval, time = step_seconds(train), train.context[TIME]
    readings = train.inputs[READINGS]
    window, horizon = readings.shape[1], train.target.shape[1]
    place = (time - time.min()) // interval + window - 1
    made = np.full((int(place.max()) + 1 + horizon, readings.shape[2]), np.nan, np.float32)
    seen = np.zeros(len(made), dtype=bool)
    for values, shift in _columns(readings, train.target):
        (new,) = np.nonzero(~seen[place + shift])  # nearly all are those of the first column
        made[place[new] + shift] = values[new]
        seen[place[new] + shift] = True
    if np.isnan(made).all():
        raise ContractError(
            f"The training part holds no reading: all of its {made.size} are missing. "
            "Bring readings from a longer time, or check the code for missing values."
        )
    first = int(np.argmin(time))
    per_day = DAY // interval
    ahead = np.arange(len(made)) - (window - 1)
    return made, slots(train.inputs[MOMENT][first : first + 1], ahead, per_day)[0]


def _columns(readings: np.ndarray, target: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """Return (n, sensor) readings of one step with its distance from the last one; that one first."""
    window, horizon = readings.shape[1], target.shape[1]
    shifts = sorted(range(1 - window, horizon + 1), key=abs)
    return [(target[:, shift - 1] if shift > 0 else readings[:, window - 1 + shift], shift) for shift in shifts]


def profile(readings: np.ndarray, slot: np.ndarray, *, per_day: int, calendar: str) -> np.ndarray:
    """Return the mean of each sensor by a calendar, float32 (7 · ``per_day``, sensor), finite.

    Where a sensor has no reading at a time of that calendar, the mean at this time of all days stands in, then its
    own mean, then that of all sensors.

    Args:
        readings: (step, sensor), NaN where missing, at least one there.
        slot: int (step,) of the week.
        per_day: steps of a day.
        calendar: one of ``CALENDARS``.

    Raises:
        ValueError: there is no such calendar.
    """
    known = ~np.isnan(readings)
    values = np.where(known, readings, np.float32(0))
    week = np.arange(DAYS * per_day)
    made = np.full(readings.shape[1], values.sum(dtype=np.float64) / known.sum())
    for groups in (np.zeros_like(week), week % per_day, _groups(week, per_day, calendar)):
        steps = csr_array(
            (np.ones(len(slot)), (groups[slot], np.arange(len(slot)))), shape=(groups.max() + 1, len(slot))
        )
        total, count = steps @ values.astype(np.float64), steps @ known.astype(np.float64)
        mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)[groups]
        made = np.where(np.isnan(mean), made, mean)
    return made.astype(np.float32)


def _groups(week: np.ndarray, per_day: int, calendar: str) -> np.ndarray:
    """Return (slot,) which slots share a mean."""
    if calendar == "week":
        return week
    if calendar == "workday":
        return np.asarray(week % per_day + per_day * (week // per_day >= SATURDAY))
    if calendar == "day":
        return np.asarray(week % per_day)
    raise ValueError(f"There is no calendar {calendar!r}; one of {CALENDARS} was expected.")


def typical(table: np.ndarray, inputs: Arrays, ahead: np.ndarray) -> np.ndarray:
    """Return float32 (n, step, sensor): what is typical so many steps after the last reading of each window."""
    return np.asarray(table[slots(inputs[MOMENT], ahead, len(table) // DAYS)])
