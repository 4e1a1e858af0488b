"""Sensors that fall silent, drawn at random: how a forecast fares when part of the network says nothing."""

from __future__ import annotations

import numpy as np

from ...shared.domain import Arrays
from ...shared.errors import ConfigError
from .features import READINGS

SHARES = (0.1, 0.3, 0.5)
"""The shares of silent sensors that the report tells of."""


def silenced(inputs: Arrays, share: float, seed: int) -> dict[str, np.ndarray]:
    """Return the inputs with that share of the sensors missing in the whole window, others for each example.

    The targets of silent sensors are still scored: their forecast has to come from the time and from the others. With
    the same seed the sensors of a smaller share are among those of a larger one, so the figures of several shares
    differ by the share alone, and two predictors miss the same sensors.

    Args:
        inputs: ``readings`` float32 (n, window, sensor) and what else there is, which stays as it is.
        share: 0…1, rounded to whole sensors, but at least one unless it is 0.
        seed: same seed and shape, same sensors.

    Returns:
        A new dictionary with a copy of ``readings``.

    Raises:
        ConfigError: the share is not within 0…1.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"A share of silent sensors lies within 0…1; got {share}. Try 0.3.")
    readings = np.array(inputs[READINGS], dtype=np.float32)
    num, _, sensors = readings.shape
    count = max(1, round(share * sensors)) if share > 0 else 0
    drawn = np.argsort(np.random.default_rng(seed).random((num, sensors), dtype=np.float32), axis=1)[:, :count]
    readings.transpose(0, 2, 1)[np.arange(num)[:, None], drawn] = np.nan
    return {**inputs, READINGS: readings}
