"""Training batches: windows in random order, in which sensors fall silent at random."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from ...shared.domain import Examples
from .config import TrafficTrainingSettings
from .features import MOMENT, READINGS
from .masked_errors import HIGH, LOW, MEDIAN

OFTEN = 0.5  # of the windows have silent sensors
SINGLE_OFTEN, SINGLE_SHARE = 0.1, 0.3  # of the windows lack single readings, at most such a share

Batch = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


def batches(train: Examples, settings: TrafficTrainingSettings, *, seed: int) -> tf.data.Dataset:
    """Return batches of inputs and of targets, the same for each output; every pass draws anew."""
    rng = np.random.default_rng(seed)
    inputs = {name: tf.TensorSpec((None, *values.shape[1:]), values.dtype) for name, values in train.inputs.items()}
    form = tf.TensorSpec((None, *train.target.shape[1:]), tf.float32)
    signature = (inputs, dict.fromkeys((MEDIAN, LOW, HIGH), form))
    made = tf.data.Dataset.from_generator(lambda: draw(train, settings, rng), output_signature=signature)
    count = math.ceil(len(train) / settings.batch_size)
    return made.apply(tf.data.experimental.assert_cardinality(count)).prefetch(2)


def draw(train: Examples, settings: TrafficTrainingSettings, rng: np.random.Generator) -> Iterator[Batch]:
    """Yield each window once."""
    order = rng.permutation(len(train))
    for start in range(0, len(order), settings.batch_size):
        rows = order[start : start + settings.batch_size]
        readings = silenced(train.inputs[READINGS][rows], settings.silent, rng)
        target = np.asarray(train.target[rows], dtype=np.float32)
        yield {READINGS: readings, MOMENT: train.inputs[MOMENT][rows]}, dict.fromkeys((MEDIAN, LOW, HIGH), target)


def silenced(readings: np.ndarray, most: float, rng: np.random.Generator) -> np.ndarray:
    """Return float32 (window, step, sensor) readings without those of some sensors, and without some single ones."""
    windows, _, sensors = readings.shape
    share = np.where(rng.random(windows) < OFTEN, rng.random(windows) * most, 0)
    gone = (rng.random((windows, sensors)) < share[:, None])[:, None]
    single = np.where(rng.random(windows) < SINGLE_OFTEN, rng.random(windows) * SINGLE_SHARE, 0)
    gone = gone | (rng.random(readings.shape, dtype=np.float32) < single[:, None, None])
    return np.where(gone, np.float32(np.nan), readings).astype(np.float32)
