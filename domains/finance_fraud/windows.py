"""Sums over time windows of an entity's earlier rows: exact, in row order, for a million rows in seconds.

All values are int64 (money in cents, flags as 0 or 1), so that differences of running totals are exact and the
same figures come out one transaction at a time (``stream``). A row never sees a later row, not even one of
the same second: among ties the order of the rows decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Grouped:
    """The rows of a table, entity by entity, in time order within each.

    Attributes:
        order: (row,) row numbers of the table, sorted by entity.
        seconds: (row,) int64 times in that order.
        key: (row,) int64, entity and time in one increasing number.
        first: (row,) position at which the row's entity begins.
    """

    order: np.ndarray
    seconds: np.ndarray
    key: np.ndarray
    first: np.ndarray

    def before(self) -> np.ndarray:
        """Return the position of each row itself: everything of its entity in front of it is the past."""
        return np.arange(len(self.order))

    def since(self, seconds: int) -> np.ndarray:
        """Return the position of the entity's first row later than ``seconds`` before each row."""
        return np.asarray(np.maximum(np.searchsorted(self.key, self.key - seconds, side="right"), self.first))

    def in_row_order(self, values: np.ndarray) -> np.ndarray:
        """Put values that stand in entity order back into the order of the table."""
        out = np.empty_like(values)
        out[self.order] = values
        return out


def group(entity: np.ndarray, seconds: np.ndarray, *, longest: int) -> Grouped:
    """Group rows by entity.

    Args:
        entity: (row,) int64 codes, 0-based.
        seconds: (row,) int64 times, not decreasing.
        longest: the longest look-back in seconds that will be asked for.
    """
    small = entity.max(initial=0) < 2**16  # numpy sorts 16-bit numbers in linear time
    order = np.argsort(entity.astype(np.uint16) if small else entity, kind="stable")
    sorted_entity, sorted_seconds = entity[order], seconds[order] - seconds.min(initial=0)
    stride = int(sorted_seconds.max(initial=0)) + longest + 1  # wider than any look-back: entities cannot touch
    key = sorted_entity * stride + sorted_seconds
    return Grouped(order, sorted_seconds, key, np.searchsorted(sorted_entity, sorted_entity))


def running(grouped: Grouped, values: np.ndarray) -> np.ndarray:
    """Return (row + 1,) running totals of ``values`` (given in table order) in entity order."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(values[grouped.order], dtype=np.int64)])
