"""Readings at any times onto a regular grid; whatever that changes is counted and said.

Rows are sorted, times that are a little early or late are moved to the nearest step, several readings of one step
become one, and steps without a reading are missing ones. Numpy only: a device puts its readings on the grid in the same
way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...shared.errors import ContractError
from .clock import DAY, HOUR, Clock, interval_text, moment_text
from .number_text import MAX_CELLS

USUAL = np.array([second for second in (1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 240, 300, 360, 600, 720, 900, 1200, 1800,
                                        3600, 7200, 10_800, 14_400, 21_600, 43_200, DAY)])  # fmt: skip
"""Intervals of real networks; a gap near one of them is taken for it, so that unsteady clocks do not hide it."""
UNSTEADY = 0.1
LEAST_GAPS = 10
"""Fewer gaps do not contradict an interval: a device may hold three readings."""
STEADY_SHARE = 0.5
"""An interval is one that at least this share of the gaps has."""
MOST_EMPTY = 20
"""More steps than this for each one with a reading are wrong times, not gaps."""
NIGHT = 4 * HOUR
"""Clocks are turned between midnight and then."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Where rows lie on a regular grid.

    Attributes:
        start: seconds of the first step, on the wall clock.
        interval: seconds between steps.
        num_steps: steps from the first to the last row.
        step: int64 (row,), the step of each row.
        notes: what was moved, sorted, left empty.
    """

    start: int
    interval: int
    num_steps: int
    step: np.ndarray
    notes: tuple[str, ...] = ()


def make_grid(
    clock: Clock, *, interval: int | None = None, start: int | None = None, group: np.ndarray | None = None
) -> Grid:
    """Lay a grid through the times of rows.

    Args:
        clock: the times, at least one, in the order of the file.
        interval: seconds between steps; guessed from the most frequent gap where left out.
        start: the first step as the user named it, which must agree.
        group: int64 (row,) codes of the sensors, where a row is one reading; times of different sensors make no gap.

    Raises:
        ContractError: no interval can be seen, or the one given contradicts the times; or times are far off.
    """
    order = np.arange(len(clock)) if group is None else np.argsort(group, kind="stable")
    owner = np.zeros(len(clock), dtype=np.int64) if group is None else group[order]
    wall = clock.wall[order]
    seconds = _interval(_gaps(wall, owner), interval)
    phase = _phase(wall, seconds)
    lone = np.floor_divide(wall - phase + seconds // 2, seconds)
    step = np.floor_divide(clock.wall - phase + seconds // 2, seconds)
    first, num_steps = int(step.min()), int(step.max() - step.min()) + 1
    begin = first * seconds + phase
    taken = np.unique(step)
    _require_dense(taken, seconds, phase, num_steps)
    if start is not None and abs(start - begin) >= seconds:
        raise ContractError(
            f"--start says {moment_text(start)}, but the first time in the file is {moment_text(begin)}. Leave --start "
            "out: the file's own times count."
        )
    twice = np.union1d(clock.twice, _turned_back(wall, owner, seconds))
    notes = (
        *_order_notes(wall, owner, twice),
        *_moved_notes(wall - (lone * seconds + phase)),
        *_twice_notes(twice, seconds),
        *_gap_notes(taken, seconds, phase),
    )
    return Grid(begin, seconds, num_steps, step - first, notes)


def grid_without_times(num_rows: int, *, interval: int | None, start: int | None) -> Grid:
    """Return the grid of rows that follow each other without a gap.

    Raises:
        ContractError: ``interval`` or ``start`` is not given.
    """
    missing = [name for name, value in (("--interval", interval), ("--start", start)) if value is None]
    if interval is None or start is None:
        raise ContractError(
            f"The file holds no times, and {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not given. "
            "Expected a column of times; or name when the first row was read and how long a step is, such as "
            "--interval 5min --start 2012-03-01. (METR-LA begins 2012-03-01, PEMS-BAY 2017-01-01, PEMS04 2018-01-01, "
            "PEMS08 2016-07-01, all with 5min.)"
        )
    note = (
        f"the file holds no times: its rows are taken for every {interval_text(interval)} from {moment_text(start)} "
        "on, without gaps"
    )
    return Grid(start, interval, num_rows, np.arange(num_rows, dtype=np.int64), (note,))


# === Times ===


def _gaps(wall: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Return the int64 gaps between different times of one owner, in order of time."""
    order = np.lexsort((wall, owner))
    gaps, same = np.diff(wall[order]), np.diff(owner[order]) == 0
    return np.asarray(gaps[same & (gaps > 0)])


def _interval(gaps: np.ndarray, given: int | None) -> int:
    seen = _steady(gaps)
    if given is not None:
        if seen not in (None, given) and len(gaps) >= LEAST_GAPS:
            raise ContractError(
                f"--interval says {interval_text(given)}, but the times are {interval_text(seen or 0)} apart mostly "
                f"({_shares(gaps)}). Leave --interval out, or average the readings first if longer steps are wanted."
            )
        return given
    if seen is None:
        found = f"the most frequent gaps are {_shares(gaps)}" if len(gaps) else "all times are the same"
        raise ContractError(
            f"The times follow no interval: {found}. Name one with --interval, such as --interval 5min."
        )
    if DAY % seen:
        raise ContractError(
            f"The times are {interval_text(seen)} apart mostly ({_shares(gaps)}), which does not divide a day. Name an "
            "interval that does with --interval; readings are moved to the nearest step."
        )
    return seen


def _steady(gaps: np.ndarray) -> int | None:
    """Return the gap that at least ``STEADY_SHARE`` of the gaps have, exactly or nearly."""
    values, counts = np.unique(gaps, return_counts=True)
    for candidates in (values, _usual(values)):
        merged, place = np.unique(candidates, return_inverse=True)
        total = np.bincount(place.reshape(-1), counts)
        if len(merged) and total.max() >= STEADY_SHARE * len(gaps):
            return int(merged[total.argmax()])
    return None


def _usual(gaps: np.ndarray) -> np.ndarray:
    """Return gaps with those near a usual interval replaced by it."""
    above = np.minimum(np.searchsorted(USUAL, gaps), len(USUAL) - 1)
    below = np.maximum(above - 1, 0)
    nearest = np.where(gaps - USUAL[below] < USUAL[above] - gaps, USUAL[below], USUAL[above])
    return np.where(np.abs(gaps - nearest) <= UNSTEADY * nearest, nearest, gaps)


def _shares(gaps: np.ndarray) -> str:
    values, counts = np.unique(gaps, return_counts=True)
    best = np.argsort(-counts, kind="stable")[:3]
    return ", ".join(f"{interval_text(int(values[place]))}: {counts[place] / len(gaps):.0%}" for place in best)


def _phase(wall: np.ndarray, interval: int) -> int:
    """Return by how many seconds steps lie behind whole multiples of the interval since midnight.

    One that half of the times have exactly, if the others lie around it; else the mean around the circle, where it is
    far from 0.
    """
    rest = wall % interval
    values, counts = np.unique(rest, return_counts=True)
    usual = int(values[counts.argmax()])
    mean = np.exp(2j * np.pi * rest / interval).mean()
    turn = float(np.angle(mean)) / (2 * np.pi)
    aside = abs((usual / interval - turn + 0.5) % 1 - 0.5)
    if counts.max() >= STEADY_SHARE * len(wall) and aside <= 0.125:
        return usual
    if abs(mean) < 0.5 or abs(turn) <= 0.25:
        return 0
    unit = 60 if interval % 60 == 0 and interval > 120 else 1
    return round(turn * interval / unit) * unit % interval


def _require_dense(taken: np.ndarray, interval: int, phase: int, num_steps: int) -> None:
    if num_steps <= MOST_EMPTY * len(taken) and num_steps <= MAX_CELLS:
        return
    at = int(np.diff(taken).argmax()) if len(taken) > 1 else 0
    before, after = (moment_text(int(step) * interval + phase) for step in taken[at : at + 2])
    raise ContractError(
        f"{len(taken):,} different times lie scattered over {num_steps:,} steps of {interval_text(interval)}; the "
        f"longest gap is from {before} to {after}. Are some times wrong? Mend or remove them, or name another "
        "--interval."
    )


def _turned_back(wall: np.ndarray, owner: np.ndarray, interval: int) -> np.ndarray:
    """Return the times that follow a jump back by an hour at night: the wall clock showed them twice."""
    if interval >= HOUR:
        return np.zeros(0, dtype=np.int64)
    back = (np.diff(wall) == interval - HOUR) & (np.diff(owner) == 0)
    hour = wall[1:][back]
    begin = np.unique(hour[(hour % DAY < NIGHT) & (hour % HOUR < interval)])
    return (begin[:, None] + np.arange(0, HOUR, interval)).ravel()


# === What is said ===


def _order_notes(wall: np.ndarray, owner: np.ndarray, twice: np.ndarray) -> Iterator[str]:
    """Tell how many rows stand after a later one of the same owner; in an hour shown twice they may."""
    highest = np.maximum.accumulate(wall + (owner - owner.min()) * (int(wall.max() - wall.min()) + 1))
    highest -= (owner - owner.min()) * (int(wall.max() - wall.min()) + 1)
    early = int(((wall < highest) & ~np.isin(wall, twice)).sum())
    if early:
        yield f"{early:,} of {len(wall):,} rows stood after a later one: sorted by time"


def _moved_notes(moved: np.ndarray) -> Iterator[str]:
    count = int((moved != 0).sum())
    if count:
        most = interval_text(int(np.abs(moved).max()))
        yield (
            f"{count:,} of {len(moved):,} times were not on the grid and were moved to the nearest step, by up to "
            f"{most}"
        )


def _twice_notes(twice: np.ndarray, interval: int) -> Iterator[str]:
    if len(twice):
        begin = twice[np.flatnonzero(np.diff(twice, prepend=twice[0] - DAY) > interval)]
        said = ", ".join(map(moment_text, begin[:5].tolist())) + (" …" if len(begin) > 5 else "")
        yield (
            f"the clock was turned back an hour (end of daylight saving time): the hour from {said} occurs twice and "
            "counts once"
        )


def _gap_notes(taken: np.ndarray, interval: int, phase: int) -> Iterator[str]:
    gaps = np.diff(taken)
    num_steps, holes = int(taken[-1] - taken[0]) + 1, gaps > 1
    if not holes.any():
        return
    length, begin = (gaps[holes] - 1) * interval, (taken[:-1][holes] + 1) * interval + phase
    forward = (length == HOUR) & (begin % DAY < NIGHT) & (begin % HOUR < interval)
    longest = int(length.argmax())
    yield (
        f"{num_steps - len(taken):,} of {num_steps:,} steps have no row and are missing, in {len(length):,} "
        f"{'gap' if len(length) == 1 else 'gaps'}; the longest, {_hours(int(length[longest]))}, begins "
        f"{moment_text(begin[longest])}"
    )
    if interval < HOUR and forward.any():
        said = ", ".join(map(moment_text, begin[forward][:5].tolist())) + (" …" if forward.sum() > 5 else "")
        yield f"the hour from {said} is left out, as when daylight saving time begins; it stays missing"


def _hours(seconds: int) -> str:
    return f"{seconds / HOUR:.3g} hours" if seconds >= HOUR else interval_text(seconds)


# === Readings ===


def lay(grid: Grid, values: np.ndarray, *, aggregate: str = "mean") -> tuple[np.ndarray, list[str]]:
    """Put rows of readings on the grid.

    Args:
        grid: where each row lies.
        values: float32 (row, sensor), NaN missing.
        aggregate: what becomes of several readings of a sensor in one step: ``mean`` or ``first``, in the order of the
            file; missing ones do not count.

    Returns:
        float32 (step, sensor), and what to tell.

    Raises:
        ContractError: there are too many steps to hold.
    """
    _require_room(grid, values.shape[1])
    if len(values) == grid.num_steps and np.array_equal(grid.step, np.arange(grid.num_steps)):
        return values, []
    laid = np.full((grid.num_steps, values.shape[1]), np.nan, dtype=np.float32)
    count = np.bincount(grid.step, minlength=grid.num_steps)
    single = count[grid.step] == 1
    laid[grid.step[single]] = values[single]
    rows = np.flatnonzero(~single)
    if not len(rows):
        return laid, []
    rows = rows[np.argsort(grid.step[rows], kind="stable")]
    step = grid.step[rows]
    begin = np.flatnonzero(np.diff(step, prepend=-1))
    laid[step[begin]], differ = _combined(values[rows], begin, aggregate)
    return laid, [_repeat_note(len(rows), len(begin), int(differ.any(axis=1).sum()), aggregate, long=False)]


def lay_long(
    grid: Grid, sensor: np.ndarray, value: np.ndarray, num_sensors: int, *, aggregate: str = "mean"
) -> tuple[np.ndarray, list[str]]:
    """Put single readings on the grid, as :func:`lay` does.

    Args:
        grid: where each reading lies.
        sensor: int64 (reading,) codes.
        value: float32 (reading,), NaN missing.
        num_sensors: columns of the result.
        aggregate: as in :func:`lay`.
    """
    _require_room(grid, num_sensors)
    laid = np.full(grid.num_steps * num_sensors, np.nan, dtype=np.float32)
    here = np.flatnonzero(~np.isnan(value))
    cell = grid.step[here] * num_sensors + sensor[here]
    order = np.argsort(cell, kind="stable")
    cell, read = cell[order], value[here][order]
    begin = np.flatnonzero(np.diff(cell, prepend=-1))
    notes: list[str] = []
    if len(begin) == len(cell):
        laid[cell] = read
    else:
        combined, differ = _combined(read[:, None], begin, aggregate)
        laid[cell[begin]] = combined[:, 0]
        size = np.diff(np.append(begin, len(cell)))
        shared = int(size[size > 1].sum()), int((size > 1).sum())
        notes = [_repeat_note(*shared, int(differ.sum()), aggregate, long=True)]
    return laid.reshape(grid.num_steps, num_sensors), notes


def _combined(values: np.ndarray, begin: np.ndarray, aggregate: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one row for each group of rows that begins at ``begin``, and bool alike: where they differ."""
    here = ~np.isnan(values)
    low = np.minimum.reduceat(np.where(here, values, np.inf), begin)
    high = np.maximum.reduceat(np.where(here, values, -np.inf), begin)
    count = np.add.reduceat(here, begin, dtype=np.int64)
    if aggregate == "mean":
        total = np.add.reduceat(np.where(here, values, 0).astype(np.float64), begin)
        combined = total / np.maximum(count, 1)
    else:
        place = np.where(here, np.arange(len(values))[:, None], len(values))
        first = np.minimum.reduceat(place, begin)
        combined = np.take_along_axis(values, np.minimum(first, len(values) - 1), axis=0)
    return np.where(count > 0, combined, np.nan).astype(np.float32), low < high


def _repeat_note(rows: int, steps: int, differ: int, aggregate: str, *, long: bool) -> str:
    what, where = ("readings", "steps of their sensors") if long else ("rows", "steps")
    kept = "their mean counts" if aggregate == "mean" else "the first counts"
    return (
        f"{rows:,} {what} share {steps:,} {where} ({differ:,} with different values): {kept} (data.aggregate = "
        f"{aggregate})"
    )


def _require_room(grid: Grid, num_sensors: int) -> None:
    if grid.num_steps * num_sensors > MAX_CELLS:
        raise ContractError(
            f"{grid.num_steps:,} steps of {interval_text(grid.interval)} with {num_sensors:,} sensors are more than "
            f"{MAX_CELLS:,} readings. Split the file in time, or check for single times that are far off."
        )
