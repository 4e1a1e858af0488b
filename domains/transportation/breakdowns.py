"""The errors of forecasts taken apart: by hour, by sensor, in congestion, and with sensors that fall silent.

Each is the same sums as in ``masked_errors``, added up over other groups of readings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import reduce

import numpy as np

from ...shared.domain import Arrays, Examples, Predictor
from .evaluate import TIME, UNIT, step_seconds
from .features import DAY, READINGS, THURSDAY
from .masked_errors import HIGH, LOW, MEDIAN, Sums, add_up
from .silence import SHARES, silenced

HOURS, HOUR = 24, 3600
FORECAST = (MEDIAN, LOW, HIGH)
SATURDAY = 5
FREE_FLOW = 85
"""The percentile of a sensor's speeds that stands for an empty road, as in the congestion reports of the FHWA."""
SLOW = 0.6
"""What share of the speed of an empty road counts as congestion."""
MOST_SILENT_WINDOWS = 500
_BLOCK = 256  # windows turned at once, so that they stay in the processor's cache
_TABLES = tuple(field.name for field in fields(Sums))[1:]
_SPEEDS = re.compile(
    r"mph|kp?h|kmp?h|(km|mi|miles?|kilomet(re|er)s?)/(h|hr|hour)|(m|ft)/s|kn|knots?|.*(speed|velocity).*"
)


# === Sums over other groups ===


def by_window(outputs: Arrays, examples: Examples) -> Sums:
    """Add up the errors of each window; the tables are (window, step), ``units`` those of the examples."""
    made = add_up(outputs, examples.target, np.arange(len(examples)))
    return replace(made, units=examples.context[UNIT])


def by_unit(windows: Sums) -> Sums:
    """Add up windows by their unit, so that the bootstrap works on small tables (unit, step)."""
    units, slot = np.unique(windows.units, return_inverse=True)

    def added(name: str) -> np.ndarray:
        table = getattr(windows, name)
        total = np.zeros((len(units), table.shape[1]))
        np.add.at(total, slot, table)
        return total

    return _made(units, added)


def by_hour(windows: Sums, examples: Examples, *, apart: bool = False) -> Sums:
    """Add up the errors by the hour for which the forecast was made; the tables are (hour, 1).

    Args:
        windows: of the examples, as by ``by_window``.
        examples: their context tells the time.
        apart: count Saturdays and Sundays apart, as hours 24 to 47.
    """
    interval, steps = step_seconds(examples), windows.count.shape[1]
    when = examples.context[TIME][:, None] + interval * np.arange(1, steps + 1)
    slot = when % DAY // HOUR
    groups = 2 * HOURS if apart else HOURS
    if apart:
        slot = slot + HOURS * ((when // DAY + THURSDAY) % 7 >= SATURDAY)
    return _made(
        np.arange(groups),
        lambda name: np.bincount(slot.ravel(), getattr(windows, name).ravel(), minlength=groups)[:, None],
    )


def by_sensor(outputs: Arrays, target: np.ndarray) -> Sums:
    """Add up the errors of each sensor over all windows; the tables are (sensor, step)."""
    places = np.arange(target.shape[2])
    blocks = (slice(start, start + _BLOCK) for start in range(0, len(target), _BLOCK))
    return reduce(
        _joined,
        (add_up({name: outputs[name][block].T for name in FORECAST}, target[block].T, places) for block in blocks),
    )


def less(whole: Sums, part: Sums) -> Sums:
    """Return the sums of what is in the whole but not in its part."""
    return _made(whole.units, lambda name: np.maximum(getattr(whole, name) - getattr(part, name), 0))


def rates(sums: Sums) -> dict[str, np.ndarray]:
    """Return ``mae``, ``rmse``, ``coverage`` and ``width`` of each unit over all steps, NaN where nothing is scored."""
    count = sums.count.sum(axis=1)

    def mean(table: np.ndarray) -> np.ndarray:
        made = np.full(len(count), np.nan)
        np.divide(table.sum(axis=1), count, out=made, where=count > 0)
        return made

    return {
        "mae": mean(sums.absolute),
        "rmse": np.sqrt(mean(sums.squared)),
        "coverage": mean(sums.covered),
        "width": mean(sums.width),
    }


def _joined(first: Sums, second: Sums) -> Sums:
    return _made(first.units, lambda name: getattr(first, name) + getattr(second, name))


def _made(units: np.ndarray, table: Callable[[str], np.ndarray]) -> Sums:
    return Sums(units, *(table(name) for name in _TABLES))


# === The course of time ===


def course(examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    """Return what followed the windows as one course: int64 (step,) seconds, float32 (step, sensor) readings.

    Args:
        examples: in order of time, at least one.
    """
    interval, target = step_seconds(examples), examples.target
    last = examples.context[TIME]
    place = (last - last[0]) // interval
    horizon = target.shape[1]
    readings = np.full((int(place[-1]) + horizon, target.shape[2]), np.nan, np.float32)
    for step in reversed(range(horizon)):  # the same readings, from ever other windows
        readings[place + step] = target[:, step]
    return int(last[0]) + interval * np.arange(1, len(readings) + 1, dtype=np.int64), readings


def ahead(values: np.ndarray, examples: Examples, step: int) -> np.ndarray:
    """Put the forecasts of one step ahead on the course of time: float (step, sensor), NaN where there is none.

    Args:
        values: (n, horizon, sensor) of the examples.
        examples: as for ``course``, on whose times the answer stands.
        step: how many steps ahead, from 1.
    """
    last = examples.context[TIME]
    place = (last - last[0]) // step_seconds(examples)
    made = np.full((int(place[-1]) + values.shape[1], values.shape[2]), np.nan, np.float32)
    made[place + step - 1] = values[:, step - 1]
    return made


# === Congestion ===


@dataclass(frozen=True, eq=False)
class Congestion:
    """Below which reading a sensor's road is congested.

    Attributes:
        limit: float (sensor,), NaN where a sensor has no reading.
        rule: how it was found, in words that follow "readings".
    """

    limit: np.ndarray
    rule: str

    def only(self, readings: np.ndarray) -> np.ndarray:
        """Return a copy of (…, sensor) readings in which all others are missing."""
        return np.where(readings < self.limit, readings, np.float32(np.nan))


def congestion(readings: np.ndarray, unit: str, fixed: float | None) -> Congestion | None:
    """Return what counts as congestion; None where the readings are no speeds and no limit is given.

    Args:
        readings: float (step, sensor), NaN where missing.
        unit: of the readings; where it is not declared, they are taken for speeds.
        fixed: the limit of all sensors, if one is given.
    """
    if fixed is not None:
        return Congestion(np.full(readings.shape[1], fixed), f"below {fixed:g} {unit}".strip())
    if unit and not is_speed(unit):
        return None
    limit = np.full(readings.shape[1], np.nan)
    known = np.flatnonzero(~np.isnan(readings).all(axis=0))
    limit[known] = SLOW * np.nanpercentile(readings[:, known], FREE_FLOW, axis=0)
    rule = f"below {100 * SLOW:g} % of their sensor's {FREE_FLOW}th percentile in test, which stands for an empty road"
    return Congestion(limit, rule)


def is_speed(unit: str) -> bool:
    """Tell whether readings in this unit are speeds, as far as its name says."""
    return _SPEEDS.fullmatch(re.sub(r"\s+(per|an?)\s+", "/", unit.strip().lower()).replace(" ", "")) is not None


# === Silent sensors ===


@dataclass(frozen=True, eq=False)
class Silence:
    """How forecasts fare with so many sensors silent; all sums are by unit.

    Attributes:
        share: of the sensors that was asked for.
        count: sensors that were made silent in every window.
        everywhere, silent, others: errors over all sensors, over those that say nothing in the window, be it by
            themselves, and over those that do.
    """

    share: float
    count: int
    everywhere: Sums
    silent: Sums
    others: Sums


def under_silence(
    predict: Predictor, examples: Examples, shares: tuple[float, ...] = (0.0, *SHARES), *, seed: int = 0
) -> tuple[Silence, ...]:
    """Forecast some windows, evenly spread, with a share of their sensors silent.

    Args:
        predict: is asked anew for each share.
        examples: at most ``MOST_SILENT_WINDOWS`` of them are taken.
        shares: shares that come to the same number of sensors are tried once.
        seed: draws the sensors.
    """
    some = spread(examples, MOST_SILENT_WINDOWS)
    found = dict[int, Silence]()
    for share in shares:
        inputs = silenced(some.inputs, share, seed)
        chosen = np.isnan(inputs[READINGS]).all(axis=1)
        count = max(1, round(share * chosen.shape[1])) if share > 0 else 0
        if count not in found:
            made = predict(inputs)
            whole = add_up(made, some.target, some.context[UNIT])
            unheard = np.where(chosen[:, None], some.target, np.float32(np.nan))
            silent = add_up(made, unheard, some.context[UNIT])
            found[count] = Silence(share, count, whole, silent, less(whole, silent))
    return tuple(found.values())


def spread(examples: Examples, most: int) -> Examples:
    """Return at most so many examples, evenly spread over the given ones."""
    if len(examples) <= most:
        return examples
    return examples.take(np.linspace(0, len(examples) - 1, most).round().astype(np.int64))
