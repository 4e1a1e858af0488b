"""What reading a network's files gives: the readings of every sensor on a regular grid of times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Readings:
    """A network's readings on a regular grid of times.

    Attributes:
        start: seconds since 1970 of the first step; the time on the wall, as if it were UTC, because the rhythm of a
            road follows the clock on the wall.
        interval: seconds between two steps; divides a day.
        values: float32 (step, sensor) in ``unit``; NaN is missing.
        sensors: the sensors' own names, in the order of ``values``.
        unit: as declared, such as ``mph``; empty where it was not.
        weights: float32 (sensor, sensor), 0 or more; ``weights[i, j]`` is how much ``j`` tells about ``i``, 0 on the
            diagonal. (0, 0) without an adjacency.
        source, fingerprint, notes: where the readings come from, and what was assumed or changed.
    """

    start: int
    interval: int
    values: np.ndarray
    sensors: tuple[str, ...]
    unit: str
    weights: np.ndarray
    source: str
    fingerprint: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def times(self) -> np.ndarray:
        """Return the int64 (step,) seconds since 1970 of each step, as ``start`` counts them."""
        return self.start + self.interval * np.arange(len(self.values), dtype=np.int64)
