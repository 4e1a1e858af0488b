"""The parts of the imaging networks that Keras lacks, all of builtin TFLite operators."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

PACKAGE = "edgekit"
WINDOW = 9 / 28  # of the image's edge: wide enough for a rib, narrow enough for a lung
DIRECTIONS = 24  # of most variance, kept apart in the distance
SMALLEST_SPREAD = 0.02  # of the largest: a feature that hardly ever moves must not decide alone
SMALLEST_VARIANCE = 0.02
SMOOTHING = 0.02  # variance below which contrast is taken for noise and not raised


@keras.saving.register_keras_serializable(PACKAGE)
class LocalContrast(layers.Layer):  # type: ignore[misc]
    """Levels 0…255 to contrast against the neighbourhood, so that exposure, shading and gain no longer show.

    The image is standardised, then the mean around each pixel is taken away and the standard deviation around it
    divided out. (batch, height, width, channel) float32 to the same shape.

    Source: Pinto, Cox & DiCarlo 2008, PLoS Computational Biology 4(1); Jarrett et al. 2009, ICCV (local contrast
    normalisation).
    """

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Fix the window to an odd number of pixels."""
        self.window = max(3, round(WINDOW * int(shape[1] or 0)) // 2 * 2 + 1)

    def call(self, level: Any) -> Any:
        """Return the local contrast."""
        image = level / 255.0
        centred = image - ops.mean(image, axis=(1, 2, 3), keepdims=True)
        standard = centred * ops.rsqrt(ops.mean(ops.square(centred), axis=(1, 2, 3), keepdims=True) + 1e-3)
        detail = standard - self._around(standard)
        return detail * ops.rsqrt(self._around(ops.square(detail)) + SMOOTHING)

    def _around(self, values: Any) -> Any:
        return ops.average_pool(values, self.window, strides=1, padding="same")


@keras.saving.register_keras_serializable(PACKAGE)
class Cast(layers.Layer):  # type: ignore[misc]
    """uint8 levels to float32, first of all: layers that round disagree between training and device."""

    def compute_output_spec(self, level: Any) -> Any:
        """Return the same shape in float32."""
        return keras.KerasTensor(level.shape, "float32")

    def call(self, level: Any) -> Any:
        """Return float32 levels 0…255."""
        return ops.cast(level, "float32")


@keras.saving.register_keras_serializable(PACKAGE)
class Temperature(layers.Layer):  # type: ignore[misc]
    """Scale logits by one number and shift each class by another, both chosen on validation.

    Source: Guo et al. 2017, ICML (temperature scaling, with offsets as in vector scaling).
    """

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the inverse temperature and the offsets; they change nothing until they are set."""
        self.inverse = self.add_weight(shape=(1,), initializer="ones", trainable=False, name="inverse")
        self.offset = self.add_weight(shape=(shape[-1],), initializer="zeros", trainable=False, name="offset")

    def set(self, inverse: float, offset: np.ndarray) -> None:
        """Set the inverse temperature, above 0, and the offsets, float (class,)."""
        self.inverse.assign([inverse])
        self.offset.assign(offset)

    def call(self, logits: Any) -> Any:
        """Return calibrated logits."""
        return logits * self.inverse + self.offset


@keras.saving.register_keras_serializable(PACKAGE)
class FeatureDistance(layers.Layer):  # type: ignore[misc]
    """Distance of features to those of the training images, in their own directions of spread.

    Mahalanobis distance in the ``DIRECTIONS`` of most variance, and what is left over in units of its own spread,
    divided by the square root of the number of features: about 1 for an image like those of training.
    (batch, feature) float32 to (batch, 1).

    Source: Lee et al. 2018, NeurIPS (features of several layers); Tipping & Bishop 1999, JRSS B 61(3) (one variance for
    the directions left over).
    """

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the weights; :meth:`learn` sets them."""
        size = int(shape[-1] or 0)
        fixed = {"trainable": False, "initializer": "ones"}
        self.mean = self.add_weight(shape=(size,), name="mean", **fixed)
        self.scale = self.add_weight(shape=(size,), name="scale", **fixed)
        self.basis = self.add_weight(shape=(min(DIRECTIONS, size), size), name="basis", **fixed)
        self.precision = self.add_weight(shape=(min(DIRECTIONS, size),), name="precision", **fixed)
        self.precision_left = self.add_weight(shape=(1,), name="precision_left", **fixed)

    def learn(self, features: np.ndarray) -> None:
        """Set the weights from the training images' features, float (image, feature)."""
        mean, spread = features.mean(axis=0), features.std(axis=0)
        scale = 1 / np.maximum(spread, max(SMALLEST_SPREAD * spread.max(), 1e-6))
        own, kept = (features - mean) * scale, self.precision.shape[0]
        variance, directions = np.linalg.eigh(own.T @ own / len(own))  # the least first
        variance, directions = np.maximum(variance[::-1], 0), directions.T[::-1]
        left = variance[kept:].sum() / max(len(variance) - kept, 1)
        self.mean.assign(mean)
        self.scale.assign(scale)
        self.basis.assign(directions[:kept])
        self.precision.assign(1 / np.maximum(variance[:kept], SMALLEST_VARIANCE))
        self.precision_left.assign([1 / max(left, SMALLEST_VARIANCE)])

    def call(self, features: Any) -> Any:
        """Return the distance."""
        own = (features - self.mean) * self.scale
        # a product and a sum, not a matrix product: quantizers leave its constants as they are
        along = ops.sum(own[:, None, :] * self.basis, axis=-1)
        left = ops.maximum(ops.sum(ops.square(own), axis=-1) - ops.sum(ops.square(along), axis=-1), 0.0)
        squared = ops.sum(ops.square(along) * self.precision, axis=-1) + left * self.precision_left
        return ops.sqrt(squared[:, None] / features.shape[-1])


@keras.saving.register_keras_serializable(PACKAGE)
class LevelStatistics(layers.Layer):  # type: ignore[misc]
    """Mean, spread and mean step of the levels, which contrast normalisation takes away: blank and noise show here.

    (batch, height, width, channel) float32 levels 0…255 to (batch, 4 · channel).
    """

    def call(self, level: Any) -> Any:
        """Return the statistics, about 0…1."""
        image = level / 255.0
        mean = ops.mean(image, axis=(1, 2), keepdims=True)
        across, down = image[:, :, 1:] - image[:, :, :-1], image[:, 1:] - image[:, :-1]
        parts = (
            mean[:, 0, 0],
            ops.sqrt(ops.mean(ops.square(image - mean), axis=(1, 2)) + 1e-6),
            ops.mean(ops.abs(across), axis=(1, 2)),
            ops.mean(ops.abs(down), axis=(1, 2)),
        )
        return ops.concatenate(parts, axis=-1)
