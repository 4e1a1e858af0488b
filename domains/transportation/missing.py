"""Readings that are none: the code that stands for a missing one, impossible ones, infinite ones."""

from __future__ import annotations

import numpy as np


def without_impossible(
    values: np.ndarray, *, code: float | None = None, low: float | None = None, high: float | None = None
) -> tuple[np.ndarray, list[str]]:
    """Make missing what cannot be a reading.

    Args:
        values: float32 of any shape, NaN missing.
        code: a reading that means missing.
        low: smallest possible reading.
        high: largest possible reading.

    Returns:
        A copy with NaN in their place (or ``values`` itself where nothing changes), and what to tell with counts.
    """
    notes: list[str] = []
    tests = [(np.isinf(values), "infinite")]
    if code is not None:
        tests.append((values == np.float32(code), f"{code:g}, which means missing (data.missing_code)"))
    if low is not None:
        tests.append((values < np.float32(low), f"below {low:g} (data.low)"))
    if high is not None:
        tests.append((values > np.float32(high), f"above {high:g} (data.high)"))
    gone = np.zeros(values.shape, dtype=bool)
    for wrong, why in tests:
        count = int((wrong & ~gone).sum())
        gone |= wrong
        if count:
            share = count / values.size
            notes.append(f"{count:,} readings ({share:.2%}) are {why}: they count as missing")
    return (np.where(gone, np.float32(np.nan), values) if notes else values), notes
