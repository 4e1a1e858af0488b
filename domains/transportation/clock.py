"""Times as they stand in files become the time on the wall, which the rhythm of a road follows.

A time of a zone keeps the wall clock of that zone. Where daylight saving time begins or ends, the wall clock leaves an
hour out or shows it twice; which hours are shown twice is kept, for the grid. Everything here is numpy and the standard
library.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import numpy as np

from ...shared.columns import MISSING_TEXT, read_timestamp
from ...shared.errors import ConfigError, ContractError

DAY = 86_400
HOUR = 3_600
EARLIEST = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp())
LATEST = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
"""Times outside are clocks that were never set, row numbers, or numbers that are not in seconds."""
CHANGES_A_YEAR = 4
"""More changes between two offsets are not daylight saving time but two zones."""
_SECONDS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": HOUR, "hour": HOUR, "d": DAY}
_NO_OFFSET = np.iinfo(np.int64).min


@dataclass(frozen=True, eq=False)
class Words:
    """A column of text: the different cells, and which of them each row holds.

    Attributes:
        distinct: different cells in order of first appearance.
        codes: int64 (row,) positions in ``distinct``.
    """

    distinct: tuple[str, ...]
    codes: np.ndarray

    def place(self, wrong: np.ndarray) -> str:
        """Return ``row 7: found 'x' (and 2 more rows)`` for the first row whose cell is ``wrong``, bool (distinct,)."""
        rows = np.flatnonzero(wrong[self.codes])
        return found_at(rows[0], self.distinct[self.codes[rows[0]]], len(rows))


@dataclass(frozen=True, eq=False)
class Clock:
    """The times of rows.

    Attributes:
        wall: int64 (row,) seconds since 1970 of the time on the wall, as if it were UTC.
        twice: int64, times that the wall clock showed twice when it was turned back, as far as the file says so.
        notes: what was assumed about zones.
    """

    wall: np.ndarray
    twice: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.wall)


def found_at(row: int, cell: str, count: int) -> str:
    """Return where and what the first of ``count`` wrong cells is; ``row`` counts from 0, the text from 1."""
    more = f" (and {count - 1:,} more {'row' if count == 2 else 'rows'})" if count > 1 else ""
    return f"row {row + 1}: found {cell[:40]!r}{more}"


# === Settings in words ===


def parse_interval(text: str) -> int:
    """Return the seconds of ``5min``, ``300s``, ``1h``.

    Raises:
        ConfigError: it is none, or does not divide a day: steps would fall on other times every day.
    """
    match = re.fullmatch(r"\s*(\d{1,6})\s*([a-z]+)\s*", text.lower())
    unit = match[2] if match and match[2] in _SECONDS else match[2].removesuffix("s") if match else ""
    if not match or unit not in _SECONDS:
        raise ConfigError(f"Not an interval: {text!r}. Expected a whole number and a unit, such as 5min, 30s or 1h.")
    seconds = int(match[1]) * _SECONDS[unit]
    if not seconds or DAY % seconds:
        raise ConfigError(
            f"An interval must divide a day, so that steps fall on the same times every day; {text!r} does not. "
            "Expected such as 1min, 5min, 15min or 1h."
        )
    return seconds


def interval_text(seconds: int) -> str:
    """Return an interval as :func:`parse_interval` reads it."""
    for size, unit in ((HOUR, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def parse_moment(text: str) -> int:
    """Return the seconds of the wall clock of an ISO date; one with a zone keeps the wall clock of its zone.

    Raises:
        ConfigError: it is no such date.
    """
    moment = None if text.strip().isdigit() else _iso(text)
    if moment is None:
        raise ConfigError(f"Not a time: {text!r}. Expected an ISO date such as 2012-03-01T00:00.")
    seconds = int(moment.replace(tzinfo=UTC).timestamp())
    if not EARLIEST <= seconds < LATEST:
        raise ConfigError(f"Expected a time from 1990 until 2100; got {text!r}.")
    return seconds


def moment_text(seconds: int) -> str:
    """Return a time of the wall clock for people to read."""
    moment = datetime.fromtimestamp(int(seconds), tz=UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}".removesuffix(":00") if moment.second == 0 else f"{moment:%Y-%m-%d %H:%M:%S}"


# === Zones ===


def zone(name: str) -> tzinfo:
    """Return a zone by name (``America/Los_Angeles``) or offset (``+01:00``).

    Raises:
        ContractError: no such zone is known here.
    """
    try:
        fixed = datetime.fromisoformat(f"2000-01-01T00:00{name}").tzinfo if name[:1] in "+-" else None
        return fixed or ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise ContractError(
            f"The times are in the zone {name!r}, which is not known here. Write them as text with their offset, such "
            "as 2012-03-01T00:05-08:00."
        ) from error


def in_zone(seconds: np.ndarray, where: tzinfo) -> list[str]:
    """Return (n,) seconds since 1970 UTC as ISO dates with the offset that ``where`` had at each."""
    return [datetime.fromtimestamp(int(second), tz=where).isoformat() for second in seconds]


def read_clock(words: Words) -> tuple[Clock, list[str]]:
    """Read the times of rows.

    Args:
        words: ISO dates, all with a zone or none; or seconds since 1970.

    Returns:
        The times of the wall clock, which mean nothing where there are problems; and the problems.
    """
    if not len(words.codes):
        return Clock(np.zeros(0, dtype=np.int64)), []
    wall, offset, wrong, expected = _moments(words.distinct)
    if wrong.any():
        return Clock(wall[words.codes]), [f"{words.place(wrong)}, expected {expected}"]
    outside = (wall < EARLIEST) | (wall >= LATEST)
    if outside.any():
        return Clock(wall[words.codes]), [
            f"{words.place(outside)}, expected a time from 1990 until 2100. If it holds row numbers, leave it out with "
            "--exclude, and name --interval and --start instead"
        ]
    return _settled(words, wall, offset)


def _moments(cells: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Return int64 wall clock and offset, bool wrong (all (cell,)), and what was expected."""
    array = np.array(cells, dtype=object)
    absent = np.array([cell.strip().lower() in MISSING_TEXT for cell in cells], dtype=bool)
    present = [cell for cell in cells if cell.strip()]
    numbers = sum(cell.strip().lstrip("-").replace(".", "", 1).isdigit() for cell in present[:100])
    if numbers >= 0.9 * len(present[:100]):
        seconds, wrong, expected = read_timestamp(array, absent)
        return seconds, np.zeros(len(cells), dtype=np.int64), wrong | absent, expected
    dates = [_iso(cell) for cell in cells]
    wall = [0 if date is None else int((date.replace(tzinfo=UTC)).timestamp()) for date in dates]
    shifts = [date.utcoffset() if date is not None else None for date in dates]
    offset = [_NO_OFFSET if shift is None else round(shift / timedelta(seconds=1)) for shift in shifts]
    wrong = np.array([date is None for date in dates], dtype=bool)
    expected = "an ISO date such as 2012-03-01T00:05 (or numbers of seconds since 1970 throughout)"
    return np.array(wall, dtype=np.int64), np.array(offset, dtype=np.int64), wrong, expected


def _iso(text: str) -> datetime | None:
    try:
        return None if text.strip().isdigit() else datetime.fromisoformat(text.strip())
    except ValueError:
        return None


def _settled(words: Words, wall: np.ndarray, offset: np.ndarray) -> tuple[Clock, list[str]]:
    """Decide whose wall clock counts; all arrays are (distinct,)."""
    clock, offsets = Clock(wall[words.codes]), np.unique(offset).tolist()
    if offsets == [_NO_OFFSET]:
        return clock, []
    if _NO_OFFSET in offsets:
        return clock, [
            f"{words.place(offset == _NO_OFFSET)}, a time without a zone, while others have one. Give all a zone, or "
            "none"
        ]
    told = " and ".join(map(_offset_text, offsets[:5])) + (" …" if len(offsets) > 5 else "")
    if offsets == [0]:
        said = "the times are UTC, and that is taken for the clock on the wall: where it is not, rush hours move by an "
        return Clock(clock.wall, notes=(f"{said}hour when daylight saving time begins and ends",)), []
    if len(offsets) == 1:
        return Clock(clock.wall, notes=(f"times carry the offset {told}: the clock on the wall there counts",)), []
    if len(offsets) > 2 or offsets[1] - offsets[0] != HOUR or _changes(wall, offset) > _most_changes(wall):
        return clock, [
            f"times carry the offsets {told}, which daylight saving time does not explain. Expected the clock of one "
            "place; write all times in one zone"
        ]
    twice = np.intersect1d(wall[offset == offsets[0]], wall[offset == offsets[1]])
    note = f"times carry the offsets {told}, as with daylight saving time: the clock on the wall counts"
    return Clock(clock.wall, twice, (note,)), []


def _offset_text(seconds: int) -> str:
    minutes = abs(seconds) // 60
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"


def _changes(wall: np.ndarray, offset: np.ndarray) -> int:
    order = np.lexsort((offset, wall - offset))
    return int((np.diff(offset[order]) != 0).sum())


def _most_changes(wall: np.ndarray) -> float:
    return CHANGES_A_YEAR * (1 + int(wall.max() - wall.min()) / (365 * DAY))
