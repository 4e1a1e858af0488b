"""Rows chosen from examples: to learn ranges from, and to record inside a device file without anybody's row."""

from __future__ import annotations

import numpy as np

from .domain import Examples

GOLDEN_ROWS = 24
CALIBRATION_ROWS = 512


def spread(rows: int, wanted: int) -> np.ndarray:
    """Return up to ``wanted`` row numbers, evenly spread."""
    return np.unique(np.linspace(0, rows - 1, min(rows, wanted)).astype(np.int64))


def calibration_rows(examples: Examples) -> dict[str, np.ndarray]:
    """Return the inputs of evenly spread rows."""
    return examples.take(spread(len(examples), CALIBRATION_ROWS)).inputs


def shuffled_rows(examples: Examples, score: np.ndarray) -> dict[str, np.ndarray]:
    """Make golden inputs: from the lowest to the highest score, and a row with everything missing.

    Each column is shuffled on its own, so that the values are real and no row is a real person's.

    Args:
        examples: where the values come from.
        score: (example, …) the network's answers to them.
    """
    highest = score.reshape(len(examples), -1).max(axis=1)
    rows = np.argsort(highest, kind="stable")[spread(len(highest), GOLDEN_ROWS - 1)]
    rng = np.random.default_rng(0)
    return {
        name: np.concatenate([rng.permuted(values[rows], axis=0), _missing(values[:1])])
        for name, values in examples.inputs.items()
    }


def _missing(row: np.ndarray) -> np.ndarray:
    return np.full_like(row, np.nan if row.dtype.kind == "f" else 0)
