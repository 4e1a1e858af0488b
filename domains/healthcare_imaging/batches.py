"""Training batches, read as they are needed, so that a set larger than memory trains."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from ...shared.chosen_rows import spread
from ...shared.domain import Examples
from .augment import VARIATIONS, augmenter
from .config import ImagingTrainingSettings

CALIBRATION_IMAGES = 256
MAX_BYTES = 256 << 20
_CHUNK = 64


def most_images(images: np.ndarray) -> int:
    """Return how many images may be taken into memory at a time."""
    return max(1, MAX_BYTES // int(np.prod(images.shape[1:])))


def training_batches(
    train: Examples, truth: np.ndarray, weights: np.ndarray, settings: ImagingTrainingSettings, *, seed: int
) -> tf.data.Dataset:
    """Return shuffled, varied batches of (inputs, truth, weight), another order and other variations each epoch.

    Args:
        train: images uint8 (image, size, size, channel), in memory or mapped.
        truth: float32 (image, class) of 0 and 1.
        weights: float32 (image,).
        settings: batch size, modality and mixup.
        seed: of order and variations.
    """
    images, size = train.inputs["image"], min(settings.batch_size, len(truth))
    augment = augmenter(VARIATIONS[settings.modality], mixup=settings.mixup, seed=seed)

    def read(rows: np.ndarray) -> np.ndarray:
        order = np.argsort(rows)  # neighbours in a mapped file are read one after the other
        found = np.empty((size, *images.shape[1:]), dtype=np.uint8)
        found[order] = images[rows[order]]
        return found

    def gather(rows: Any) -> tuple[dict[str, Any], Any, Any]:
        image = tf.numpy_function(read, [rows], tf.uint8, stateful=False)
        image.set_shape((size, *images.shape[1:]))
        return {"image": image}, tf.gather(truth, rows), tf.gather(weights, rows)

    order = tf.data.Dataset.range(len(truth)).shuffle(len(truth), seed=seed, reshuffle_each_iteration=True)
    read_batches = order.batch(size, drop_remainder=True).map(gather)
    draws = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
    return tf.data.Dataset.zip(draws, read_batches).map(augment).prefetch(2)


def calibration_images(train: Examples, settings: ImagingTrainingSettings) -> dict[str, np.ndarray]:
    """Return training images to learn the ranges of activations from, half of them varied.

    On ranges of plain images alone, a network in 8 bits clips what brighter, sharper or noisier ones bring.
    """
    return varied(train.take(spread(len(train), CALIBRATION_IMAGES // 2)), settings).inputs


def varied(examples: Examples, settings: ImagingTrainingSettings) -> Examples:
    """Return the examples, or as many as fit, as they are, and then the same varied as in training."""
    plain = examples.take(spread(len(examples), most_images(examples.inputs["image"])))
    augment = augmenter(VARIATIONS[settings.modality], mixup=0.0, seed=0)
    parts = [
        augment(start, ({"image": tf.constant(plain.inputs["image"][start : start + _CHUNK])}, None, None))[0]
        for start in range(0, len(plain), _CHUNK)
    ]
    images = np.concatenate([plain.inputs["image"], *(part["image"].numpy() for part in parts)])
    context = {name: np.concatenate([values, values]) for name, values in plain.context.items()}
    return Examples({"image": images}, np.concatenate([plain.target, plain.target]), context)


def class_weights(truth: np.ndarray, *, balanced: bool) -> np.ndarray:
    """Return float32 (image,) weights of mean 1: all equal, or each class as much as any other.

    Where there can be several labels, an image weighs as much as its rarest one.
    """
    if not balanced:
        return np.ones(len(truth), dtype=np.float32)
    weight = (truth * (1 / np.maximum(truth.sum(axis=0), 1))).max(axis=1)
    weight = np.where(weight > 0, weight, 1 / max((truth.sum(axis=1) == 0).sum(), 1))
    return np.asarray(weight / weight.mean(), dtype=np.float32)
