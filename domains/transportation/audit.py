"""Checks of readings before training: sensors that see nothing, see what cannot be, or see what another sees."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...shared.audit import Finding
from ...shared.splits import Splits
from .clock import DAY, HOUR, moment_text
from .drifts import clock_shifts, named, unit_changes
from .readings import Readings

MOSTLY_MISSING = 0.5
STUCK_SECONDS = 3 * HOUR
"""A reading that does not change for so long is no reading; an empty road (0) may stay empty for a day."""
STUCK_STEPS = 12
STUCK_AT_ZERO = DAY
FASTEST = {"mph": 130.0, "mi/h": 130.0, "km/h": 210.0, "kmh": 210.0, "kph": 210.0, "m/s": 60.0}
"""No loop or camera averages more over some minutes."""
FEW = 0.01
LEAST_REPEATS = 20
FAR_OUT = 1.5
"""The largest reading, if it occurs often and is this many times the next, is a code."""
LEAST_ZERO_RUNS, LEAST_ZEROS = 10, 0.001
"""Falls to 0, and the share of zeros, below which they change no figure."""
MOST_COMPARED = 3000
"""Sensors that are compared pair by pair."""
SAMPLED_STEPS = 200
SAME_SHARE = 0.95
LEAST_COMMON = 50


def audit(readings: Readings, splits: Splits) -> list[Finding]:
    """Return what a reader must know about readings and their split; nothing is changed.

    Args:
        readings: on their grid.
        splits: steps of the readings.
    """
    return [
        *_silent(readings, splits),
        *_stuck(readings),
        *_impossible(readings),
        *_codes(readings),
        *_zeros(readings),
        *_duplicates(readings),
        *clock_shifts(readings),
        *unit_changes(readings),
        *_weekdays(readings, splits),
    ]


# === Silence ===


def _silent(readings: Readings, splits: Splits) -> Iterator[Finding]:
    missing = np.isnan(readings.values)
    share = missing.mean(axis=0)
    dead, unseen = share == 1, missing[splits.train].all(axis=0)
    yield from _sensors(
        readings,
        dead,
        "Sensors without a reading",
        "They are forecast from the time and their neighbours only, and never scored. Leave them out with --exclude, "
        "or find out why they are silent.",
    )
    yield from _sensors(
        readings,
        unseen & ~dead,
        "Sensors silent in all of train",
        "They read something later only, so nothing about them could be learned, and they are scored all the same.",
    )
    yield from _sensors(
        readings,
        (share > MOSTLY_MISSING) & ~unseen,
        "Sensors with more missing readings than others",
        f"More than {MOSTLY_MISSING:.0%} are missing; figures for these sensors rest on few readings.",
    )
    if missing.any():
        parts = ", ".join(f"{missing[index].mean():.2%} of {name}" for name, index in splits.parts().items())
        quiet = int(missing.all(axis=1).sum())
        silence = f" At {quiet:,} steps the whole network is silent." if quiet else ""
        yield Finding("info", "Missing readings", f"{missing.mean():.2%} ({parts}). They are never scored.{silence}")


def _sensors(readings: Readings, which: np.ndarray, title: str, advice: str) -> Iterator[Finding]:
    names = [readings.sensors[place] for place in np.flatnonzero(which)]
    if names:
        told = f"{len(names):,} of {len(readings.sensors):,} sensors: {named(names)}. {advice}"
        yield Finding("warning", title, told)


# === Stuck sensors ===


def _stuck(readings: Readings) -> Iterator[Finding]:
    """Report sensors that hold one value for hours; missing readings end a run."""
    steps = max(STUCK_STEPS, STUCK_SECONDS // readings.interval)
    longest, begin = longest_runs(readings.values, at_zero=False)
    empty, since = longest_runs(readings.values, at_zero=True)
    too_empty = empty > max(steps, STUCK_AT_ZERO // readings.interval)
    stuck = (longest >= steps) | too_empty
    places = np.flatnonzero(stuck)
    if not len(places):
        return
    length, start = np.where(too_empty, empty, longest), np.where(too_empty, since, begin)
    worst = places[length[places].argmax()]
    value = readings.values[start[worst], worst]
    hours = length[worst] * readings.interval / HOUR
    names = named([readings.sensors[place] for place in places])
    moment = moment_text(readings.start + int(start[worst]) * readings.interval)
    yield Finding(
        "warning",
        "Stuck sensors",
        f"{len(places):,} of {len(readings.sensors):,} sensors hold one value for hours: {names}. The longest: "
        f"{readings.sensors[worst]!r} reads {value:g} for {hours:,.4g} hours from {moment} on. Such readings teach "
        "that nothing happens and are easy to forecast; make them missing.",
    )


def longest_runs(values: np.ndarray, *, at_zero: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return for each sensor the length of its longest run of one value, and the step at which it begins.

    Args:
        values: (step, sensor); NaN belongs to no run.
        at_zero: whether runs of 0 are meant, or those of any other value.
    """
    length = np.zeros(values.shape[1], dtype=np.int64)
    begin = np.zeros(values.shape[1], dtype=np.int64)
    for place in range(values.shape[1]):
        column = values[:, place]
        starts = np.flatnonzero(np.append(True, column[1:] != column[:-1]))
        runs = np.diff(np.append(starts, len(column)))
        meant = (column[starts] == 0) == at_zero
        runs = np.where(meant & ~np.isnan(column[starts]), runs, 0)
        length[place], begin[place] = runs.max(), starts[runs.argmax()]
    return length, begin


# === Values ===


def _impossible(readings: Readings) -> Iterator[Finding]:
    values, unit = readings.values, readings.unit.strip().lower()
    known = int((~np.isnan(values)).sum())
    negative = values < 0
    count = int(negative.sum())
    if 0 < count < FEW * known:
        yield Finding(
            "warning",
            "Negative readings",
            f"{count:,} of {known:,} readings are below 0, the lowest {np.nanmin(values):g}, while all others are not: "
            f"{_worst(readings, negative)}. Make them missing with --set data.low=0.",
        )
    fast = values > FASTEST.get(unit, np.inf)
    if fast.any():
        yield Finding(
            "warning",
            "Impossible speeds",
            f"{int(fast.sum()):,} readings are above {FASTEST[unit]:g} {readings.unit}, the highest "
            f"{np.nanmax(values):g}: {_worst(readings, fast)}. Is the unit right? If so, make them missing with --set "
            f"data.high={FASTEST[unit]:g}.",
        )


def _worst(readings: Readings, wrong: np.ndarray) -> str:
    return named([readings.sensors[place] for place in np.argsort(-wrong.sum(axis=0)) if wrong[:, place].any()])


def _codes(readings: Readings) -> Iterator[Finding]:
    """Report the largest reading where it stands far above all others and occurs often, as 999 and 9999 do."""
    values = readings.values
    highest = np.fmax.reduce(values, axis=None)
    at = values == highest
    count = int(at.sum())
    rest = np.fmax.reduce(np.where(at, np.float32(np.nan), values), axis=None)
    if count >= LEAST_REPEATS and rest > 0 and highest >= FAR_OUT * rest:
        yield Finding(
            "warning",
            "A reading may be a code",
            f"{highest:g} occurs {count:,} times, while no other reading is above {rest:g}: {_worst(readings, at)}. If "
            f"it means missing: --set data.missing_code={highest:g}.",
        )


def _zeros(readings: Readings) -> Iterator[Finding]:
    """Report zeros that follow ordinary readings at once, as a missing reading does and an empty road does not."""
    values = readings.values
    begins = (values[1:] == 0) & (values[:-1] > 0)
    typical = np.array([np.median(column[column > 0]) if (column > 0).any() else np.inf for column in values.T])
    sudden = begins & (values[:-1] > typical / 2)
    count, zeros = int(begins.sum()), int((values == 0).sum())
    if count >= LEAST_ZERO_RUNS and zeros >= LEAST_ZEROS * values.size and sudden.sum() >= count / 2:
        yield Finding(
            "warning",
            "0 may mean missing",
            f"{zeros:,} readings ({zeros / values.size:.2%}) are 0, and {int(sudden.sum()):,} of the {count:,} times "
            "that a sensor falls to 0 it does so from an ordinary reading. In METR-LA 0 means missing; if it does "
            "here: --set data.missing_code=0. Figures with and without that mask do not compare.",
        )


# === Sensors that see the same ===


def _duplicates(readings: Readings) -> Iterator[Finding]:
    values, count = readings.values, len(readings.sensors)
    pairs = list(_alike(values)) if count <= MOST_COMPARED else list(_equal(values))
    if not pairs:
        return
    told = ", ".join(f"{readings.sensors[i]!r} and {readings.sensors[j]!r}" for i, j in pairs[:5])
    more = f" and {len(pairs) - 5:,} more pairs" if len(pairs) > 5 else ""
    yield Finding(
        "warning",
        "Duplicated sensors",
        f"{told}{more} read the same at {SAME_SHARE:.0%} or more of the steps at which both read something. One sensor "
        "under two names counts twice in every figure: leave one out with --exclude.",
    )


def _alike(values: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield pairs that read the same nearly always; each sensor is compared where it is not at its usual value."""
    sample = values[np.unique(np.linspace(0, len(values) - 1, SAMPLED_STEPS).astype(np.int64))]
    for first in range(values.shape[1] - 1):
        own = sample[:, first, None]
        equal, both = (sample[:, first + 1 :] == own).sum(axis=0), (~np.isnan(sample[:, first + 1 :] + own)).sum(axis=0)
        for other in np.flatnonzero((both > 0) & (equal >= 0.8 * both)) + first + 1:
            if _same(values[:, first], values[:, other]):
                yield first, int(other)


def _same(first: np.ndarray, other: np.ndarray) -> bool:
    common = ~np.isnan(first + other)
    first, other = first[common], other[common]
    if len(first) < LEAST_COMMON:
        return False
    numbers, counts = np.unique(first, return_counts=True)
    unusual = (first != numbers[counts.argmax()]) | (first != other)
    return bool(unusual.sum() >= LEAST_COMMON and (first == other)[unusual].mean() >= SAME_SHARE)


def _equal(values: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield pairs that are equal throughout, gaps among them."""
    seen: dict[bytes, int] = {}
    for place in range(values.shape[1]):
        column = np.ascontiguousarray(values[:, place])
        if np.fmin.reduce(column) < np.fmax.reduce(column):
            first = seen.setdefault(column.tobytes(), place)
            if first != place:
                yield first, place


# === Days ===


def _weekdays(readings: Readings, splits: Splits) -> Iterator[Finding]:
    """Report weekdays of test that train has never seen."""
    days = readings.times() // DAY
    weekday = (days + 3) % 7  # 1970-01-01 was a Thursday
    names = np.array(["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"])
    new = np.setdiff1d(weekday[splits.test], weekday[splits.train])
    if len(new):
        yield Finding(
            "info",
            "Test holds weekdays that train does not",
            f"{', '.join(names[new])}. The readings span {len(np.unique(days)):,} days; the rhythm of a week takes "
            "several weeks to be learned and to be judged.",
        )
