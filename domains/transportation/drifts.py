"""Clocks and units that change in the middle: the same rhythm at other times of the day, or on another scale.

Both are found by comparing days with later days of the same sensor, so that a busy sensor beside a quiet one is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from ...shared.audit import Finding
from .clock import DAY, interval_text, moment_text
from .readings import Readings

WEEK = 7
SHIFT_CORRELATION = 0.9
"""A shifted day must resemble the unshifted one this closely …"""
SHIFT_GAIN = 0.15
"""… and by this much more than without the shift."""
NETWORK_CORRELATION, NETWORK_GAIN = 0.5, 0.05
"""Many sensors together show a shift by less."""
LEAST_SHIFT = 20 * 60
MOST_SHIFT = 8 * 3600
MOST_SHIFTS = 3
LEVELS = (0.25, 0.5, 0.75, 0.9)
"""Quantiles of a day's readings that a new unit changes by one and the same factor."""
SAME_FACTOR = 0.05
LEAST_FACTOR = 1.5
"""Smaller lasting factors are seasons and roadworks, unless they are those between two units."""
UNITS = (
    (1.609344, "as between km/h and mph"),
    (3.6, "as between km/h and m/s"),
    (2.236936, "as between mph and m/s"),
    (12.0, "as between counts an hour and in five minutes"),
    (4.0, "as between counts an hour and in a quarter of an hour"),
    (60.0, "as between counts an hour and in a minute"),
    (100.0, "as between a share and per cent"),
)
LEAST_DAYS = 2
SHOWN = 5


def named(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more


def _days(readings: Readings) -> tuple[np.ndarray, int]:
    """Return float32 (day, step of the day, sensor) of whole days, and the seconds at which the first begins."""
    steps = DAY // readings.interval
    skip = -(readings.start // readings.interval) % steps
    count = max(0, (len(readings) - skip) // steps)
    whole = readings.values[skip : skip + count * steps]
    return whole.reshape(count, steps, len(readings.sensors)), readings.start + skip * readings.interval


# === Clocks ===


def clock_shifts(readings: Readings) -> Iterator[Finding]:
    """Report sensors whose week follows the same rhythm as the week before, but earlier or later.

    Compares mean days of whole weeks, so that every weekday counts alike; with less than two weeks nothing is said.
    The lag is that of the largest correlation, of all sensors together or of a single one. At most ``MOST_SHIFTS`` are
    told.
    """
    yield from islice(_shifts(readings), MOST_SHIFTS)


def _shifts(readings: Readings) -> Iterator[Finding]:
    days, begin = _days(readings)
    weeks = len(days) // WEEK
    if weeks < 2 or DAY // readings.interval < 24:
        return
    profiles = _weekly_profiles(days[: weeks * WEEK].reshape(weeks, WEEK, *days.shape[1:]))
    for week in range(1, weeks):
        correlation, lags = _correlation(profiles[week - 1], profiles[week], readings.interval)
        together = correlation.mean(axis=1)
        best = int(together.argmax())
        moment = begin + week * WEEK * DAY
        gained = together[best] - together[0] >= NETWORK_GAIN and together[best] >= NETWORK_CORRELATION
        if gained and abs(lags[best]) >= LEAST_SHIFT:
            yield _shift_finding(readings, readings.sensors, int(lags[best]), moment)
            continue
        best_of = correlation.argmax(axis=0)
        high, lag = correlation.max(axis=0), lags[best_of]
        clear = (high >= SHIFT_CORRELATION) & (high - correlation[0] >= SHIFT_GAIN) & (np.abs(lag) >= LEAST_SHIFT)
        shifted = [readings.sensors[place] for place in np.flatnonzero(clear)]
        if shifted:
            yield _shift_finding(readings, shifted, int(np.median(lag[clear])), moment)


def _weekly_profiles(weeks: np.ndarray) -> np.ndarray:
    """Return float64 (week, step of the day, sensor): mean days, standardised; 0 where a sensor has too little."""
    here = ~np.isnan(weeks)
    count = here.sum(axis=1)
    mean = np.where(here, weeks, 0).sum(axis=1, dtype=np.float64) / np.maximum(count, 1)
    known = (count > 0).all(axis=1, keepdims=True)
    centred = np.where(known, mean - mean.mean(axis=1, keepdims=True), 0.0)
    spread = np.sqrt(np.square(centred).sum(axis=1, keepdims=True))
    return np.asarray(centred / np.where(spread > 0, spread, 1.0))


def _correlation(before: np.ndarray, after: np.ndarray, interval: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (lag, sensor) correlations, the first without a lag, and the lags in seconds; later is positive."""
    product = np.fft.rfft(after, axis=0) * np.conj(np.fft.rfft(before, axis=0))
    correlation = np.fft.irfft(product, n=len(before), axis=0)
    most = min(MOST_SHIFT // interval, len(before) // 2 - 1)
    lags = np.r_[0 : most + 1, -most:0]
    return correlation[lags], lags * interval


def _shift_finding(readings: Readings, shifted: Sequence[str], seconds: int, begin: int) -> Finding:
    everyone = len(shifted) == len(readings.sensors)
    how = f"about {interval_text(abs(seconds))} {'later' if seconds > 0 else 'earlier'}"
    who = "The sensors together" if everyone else f"{len(shifted):,} of {len(readings.sensors):,} sensors"
    return Finding(
        "warning",
        "The clock of the network may have been shifted" if everyone else "Clocks of sensors may have been shifted",
        f"{who} follow their usual rhythm {how} in the week from {moment_text(begin)[:10]} on than in the week before"
        f"{'' if everyone else ': ' + named(shifted)}. Was a clock set, a zone changed, or daylight saving time missed?"
        " Mend the times, for the time of day is half of a forecast.",
    )


# === Units ===


def unit_changes(readings: Readings) -> Iterator[Finding]:
    """Report sensors whose readings are multiplied by a lasting factor from some day on.

    The typical day of up to a week before is compared with that of up to a week after, the day between left out; the
    factor must be the same for low and for high readings.
    """
    days, begin = _days(readings)
    if len(days) < 2 * LEAST_DAYS + 1:
        return
    levels = np.log(np.stack([_levels(day) for day in days]))
    middle, spread, size = _steps(levels)
    known = np.min([np.abs(np.abs(middle) - np.log(factor)) for factor, _ in UNITS], axis=0) < SAME_FACTOR
    fits = (spread < 2 * SAME_FACTOR) & (known | (np.abs(middle) > np.log(LEAST_FACTOR)))
    strength = np.where(fits & (np.abs(middle) > np.log(LEAST_FACTOR) - SAME_FACTOR), size, 0)
    when = strength.argmax(axis=0)
    changed = np.flatnonzero(strength.max(axis=0) > 0)
    groups: dict[tuple[str, bool], list[tuple[int, int, float]]] = {}
    for place in changed:
        factor = float(middle[when[place], place])
        group = groups.setdefault((_between(factor), factor > 0), [])
        group.append((int(place), _first_day(levels[:, :, place], int(when[place]) + LEAST_DAYS), factor))
    for (between, _), members in groups.items():
        yield _unit_finding(readings, members, between, begin)


def _between(factor: float) -> str:
    """Return between which units a log factor lies, or an empty text."""
    told = [what for known, what in UNITS if abs(abs(factor) - np.log(known)) < SAME_FACTOR]
    return told[0] if told else ""


def _first_day(levels: np.ndarray, border: int) -> int:
    """Return the first day on the new scale of one sensor, from (day, level) log quantiles and a day near it.

    It is the one that leaves the fewest days on the wrong side of the middle between the scales.
    """
    daily = levels.mean(axis=1)
    low, high = max(0, border - WEEK), border + 1 + WEEK
    before, after = np.nanmedian(daily[low:border]), np.nanmedian(daily[border + 1 : high])
    new = np.where(np.isnan(daily), 0, np.sign(daily - (before + after) / 2) * np.sign(after - before))[low:high]
    right = [new[day:].sum() - new[:day].sum() for day in range(len(new) + 1)]
    return low + int(np.argmax(right))


def _levels(day: np.ndarray) -> np.ndarray:
    """Return (level, sensor) quantiles of a day's readings; NaN where there are few or none above 0."""
    ordered = np.sort(day, axis=0)  # missing ones come last
    count = (~np.isnan(day)).sum(axis=0)
    place = np.minimum((np.array(LEVELS)[:, None] * count).astype(np.int64), np.maximum(count - 1, 0))
    found = np.take_along_axis(ordered, place, axis=0).astype(np.float64)
    return np.where((count >= len(day) // 4) & (found > 0), found, np.nan)


def _steps(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (border, sensor) from log quantiles (day, level, sensor): log factor, its spread, and how clear it is.

    A border is a day with at least ``LEAST_DAYS`` on each side. The clearer of two neighbouring borders is the one
    whose days agree most within each side.
    """
    borders = range(LEAST_DAYS, len(levels) - LEAST_DAYS)
    factor, spread, clear = [], [], []
    for day in borders:
        sides = levels[max(0, day - WEEK) : day], levels[day + 1 : day + 1 + WEEK]
        before, after = (_median(side) for side in sides)
        change = after - before
        within = sum(
            _median(np.abs(side - centre).max(axis=1)) for side, centre in zip(sides, (before, after), strict=True)
        )
        factor.append(np.median(change, axis=0))
        spread.append(np.ptp(change, axis=0))
        clear.append(np.abs(factor[-1]) / (0.05 + within))
    middle, width, clearness = np.stack(factor), np.stack(spread), np.stack(clear)
    unknown = np.isnan(middle) | np.isnan(width)
    return np.where(unknown, 0, middle), np.where(unknown, np.inf, width), np.where(np.isnan(clearness), 0, clearness)


def _median(side: np.ndarray) -> np.ndarray:
    return np.asarray(np.median(side, axis=0))


def _unit_finding(readings: Readings, members: list[tuple[int, int, float]], between: str, begin: int) -> Finding:
    """Report sensors that changed alike; ``members`` are their place, the first day on the new scale, log factor."""
    factor = float(np.median([change for _, _, change in members]))
    day = moment_text(begin + int(np.median([first for _, first, _ in members])) * DAY)[:10]
    how = f"{np.exp(abs(factor)):.3g} times {'higher' if factor > 0 else 'lower'}"
    names = named([readings.sensors[place] for place, _, _ in members])
    return Finding(
        "warning",
        "The unit may have changed in the middle",
        f"{len(members):,} of {len(readings.sensors):,} sensors read {how} from about {day} on, low and high readings "
        f"alike{', ' + between if between else ''}: {names}. Bring all readings in one unit, or leave the other part "
        "out.",
    )
