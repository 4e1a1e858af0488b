"""Raw values to 8 bits: one rule for pictures, DICOM and NIfTI.

Intensities without a window of their own are scaled from their 0.1 and 99.9 percentile to 0…255. Scanners write 12 bits
into files of 16 bits, so that the files' full range would leave images nearly black; and the smallest and largest value
are often a burnt-in mark or a dead pixel.
"""

from __future__ import annotations

import numpy as np

PERCENTILES = (0.1, 99.9)
SAMPLE = 4_000_000  # values are enough for percentiles; sorting a hundred million takes seconds and gives the same
_BLOCK = 2**20


def percentiles(values: np.ndarray, valid: np.ndarray | None = None) -> tuple[float, float]:
    """Return the 0.1 and 99.9 percentile of the finite ``values``; (0, 0) if there is none.

    Args:
        values: (…, width) numbers; of many, only every so many-th row is looked at.
        valid: bool of the same shape, which values count.
    """
    step = max(1, values.size // SAMPLE)
    rows = values.reshape(-1, values.shape[-1])[::step]
    chosen = rows if valid is None else rows[valid.reshape(-1, values.shape[-1])[::step]]
    finite = chosen[np.isfinite(chosen)]
    if not finite.size:
        return 0.0, 0.0
    low, high = np.percentile(finite.astype(np.float64), PERCENTILES)
    return float(low), float(high)


def to_bytes(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Scale ``low``…``high`` to 0…255 and clip; returns uint8 of the same shape. NaN becomes 0.

    Where ``low`` is not below ``high`` everything becomes 0: a flat image shows nothing.
    """
    made = np.zeros(values.size, dtype=np.uint8)
    if not low < high:
        return made.reshape(values.shape)
    flat = values.reshape(-1)
    for start in range(0, flat.size, _BLOCK):  # in blocks, since float64 of a whole volume may not fit into memory
        block = np.nan_to_num(flat[start : start + _BLOCK].astype(np.float64), nan=low, posinf=high, neginf=low)
        # halves first: high - low of the largest floats is infinite
        share = (np.clip(block, low, high) / 2 - low / 2) / (high / 2 - low / 2)
        made[start : start + _BLOCK] = np.rint(share * 255).astype(np.uint8)
    return made.reshape(values.shape)


def grey_if_equal(rgb: np.ndarray) -> np.ndarray:
    """Return (…, 3) colours as they are, or as (…) grey where the three channels are equal throughout."""
    equal = np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 0], rgb[..., 2])
    return np.ascontiguousarray(rgb[..., 0]) if equal else rgb
