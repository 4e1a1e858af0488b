"""The record of readings."""

from __future__ import annotations

import numpy as np

from edgekit.domains.transportation.readings import Readings


def test_times_count_from_the_start() -> None:
    values, none = np.zeros((3, 1), np.float32), np.zeros((0, 0), np.float32)
    readings = Readings(1_330_560_000, 300, values, ("a",), "mph", none, "s", "f")
    assert len(readings) == 3
    assert (
        readings.times().tolist() == [1_330_560_000, 1_330_560_300, 1_330_560_600]
        and readings.times().dtype == np.int64
    )
