"""Windows over the users' rows: what each row's user had before it, and what follows in training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .features import PADDING
from .log import Log

NO_ROW = -1
_CHUNK = 4096  # examples looked at together, to bound the memory


@dataclass(frozen=True, eq=False)
class Sequences:
    """The rows of a log put user by user, in the order of time within each.

    Attributes:
        place: int64 (row,) the position of each row.
        row: int64 (position,) the row at each position.
        user: int64 (position,).
        first: int64 (position,) where the user's rows begin.
        item: int32 (position,) codes.
        again: int64 (position,) where the user has the same item next; the number of rows where never.
    """

    place: np.ndarray
    row: np.ndarray
    user: np.ndarray
    first: np.ndarray
    item: np.ndarray
    again: np.ndarray

    def earlier(self, rows: np.ndarray) -> np.ndarray:
        """Return int64: how many rows the user of each of ``rows`` has before it."""
        return np.asarray(self.place[rows] - self.first[self.place[rows]])

    def repeats(self, rows: np.ndarray) -> np.ndarray:
        """Return bool: whether the user of each of ``rows`` had its item before."""
        before = np.zeros(len(self.item) + 1, dtype=bool)
        before[self.again] = True
        return np.asarray(before[self.place[rows]])


def group(log: Log) -> Sequences:
    """Put the rows of ``log`` user by user."""
    row = np.argsort(log.user, kind="stable")
    place = np.empty_like(row)
    place[row] = np.arange(len(row))
    user, item = log.user[row], log.item[row]
    pair = user * (log.num_items + 1) + item
    order = np.argsort(pair, kind="stable")
    same = pair[order][1:] == pair[order][:-1]
    again = np.full(len(row), len(row), dtype=np.int64)
    again[order[:-1][same]] = order[1:][same]
    return Sequences(place, row, user, np.searchsorted(user, user), item, again)


def newest(sequences: Sequences, rows: np.ndarray, *, window: int) -> np.ndarray:
    """Return int32 (example, window): the newest items that the user of each of ``rows`` had before it, 0 in front."""
    stop = sequences.place[rows]
    return _up_to(sequences.item, stop - 1, sequences.first[stop], window, nothing=PADDING)


def _up_to(values: np.ndarray, last: np.ndarray, first: np.ndarray, window: int, *, nothing: int) -> np.ndarray:
    """Return the ``window`` values up to the positions ``last``, ``nothing`` before the positions ``first``."""
    position = last[:, None] - np.arange(window - 1, -1, -1)
    there = position >= first[:, None]
    return np.where(there, values[np.where(there, position, 0)], values.dtype.type(nothing))


def older(sequences: Sequences, rows: np.ndarray, *, window: int, limit: int) -> np.ndarray:
    """Return int32 (example, limit): what the user had before the ``window`` newest items and does not have in it.

    Each item once, at its newest place, newest first, 0 behind; as ``features.inputs`` makes them one by one.
    """
    stop = sequences.place[rows]
    kept = _candidates(sequences, stop)
    low = np.searchsorted(kept, sequences.first[stop])
    high = np.searchsorted(kept, stop - window)
    found = np.full((len(rows), limit), PADDING, dtype=np.int32)
    filled = np.zeros(len(rows), dtype=np.int64)
    active = np.flatnonzero(high > low)
    while len(active):
        for some in np.array_split(active, math.ceil(len(active) / _CHUNK)):
            at = high[some, None] - 1 - np.arange(limit)
            position = kept[np.maximum(at, 0)]
            there = (at >= low[some, None]) & (sequences.again[position] >= stop[some, None])
            column = filled[some, None] + np.cumsum(there, axis=1) - 1
            example, place = np.nonzero(there & (column < limit))
            found[some[example], column[example, place]] = sequences.item[position[example, place]]
            filled[some] += there.sum(axis=1)
        high[active] -= limit
        active = active[(high[active] > low[active]) & (filled[active] < limit)]
    return found


def _candidates(sequences: Sequences, stop: np.ndarray) -> np.ndarray:
    """Return the positions whose item the user has not again before the first of the positions ``stop``."""
    never = len(sequences.item)
    earliest = np.full(never, never, dtype=np.int64)
    np.minimum.at(earliest, sequences.first[stop], stop)
    earliest = earliest[sequences.first]
    return np.flatnonzero((earliest < never) & (sequences.again >= earliest))


def training_windows(
    sequences: Sequences, train: np.ndarray, *, window: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut the users' training rows into windows, from the end, so that every row is a target once.

    The first row of a user is one, too, after no item at all: so the network learns what newcomers begin with.

    Args:
        sequences: the rows of the log.
        train: int64 rows to learn from.
        window: items a window holds.

    Returns:
        int32 (window, step) items, 0 in front; int64 (window, step) the row that follows each, −1 where there is
        none; int64 (window,) users.
    """
    position = np.sort(sequences.place[train])
    user, begin, count = np.unique(sequences.user[position], return_index=True, return_counts=True)
    windows = -(-count // window)
    number = np.arange(windows.sum()) - np.repeat(np.cumsum(windows) - windows, windows)  # 0 is the user's newest
    first = np.repeat(begin, windows)
    last = first + np.repeat(count, windows) - 1 - number * window
    history = _up_to(sequences.item[position], last - 1, first, window, nothing=PADDING)
    follows = _up_to(sequences.row[position], last, first, window, nothing=NO_ROW)
    return history, follows, np.repeat(user, windows)
