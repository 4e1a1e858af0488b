"""The layers of the fraud networks: preprocessing in the graph, an implicit ensemble, calibration."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

CLIP = 6.0  # standard deviations; beyond it an amount says "very large" and no more


@keras.saving.register_keras_serializable("edgekit")
class NumericEmbedding(keras.layers.Layer):  # type: ignore[misc]
    """Raw numbers, NaN among them, to a piecewise-linear encoding, a scaled copy and missing marks.

    A missing number is replaced by the training median first of all. Each feature is cut at ``bins + 1``
    training edges; bin b holds 0 below it, 1 above it and the fraction in between (Gorishniy, Rubachev,
    Babenko 2022, "On Embeddings for Numerical Features in Tabular Deep Learning", section 3.2).

    Input: float32 (batch, feature). Output: float32 (batch, feature · bins + 2 · feature).
    """

    def __init__(self, bins: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bins = bins

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        features = int(input_shape[-1] or 0)
        fixed = {"trainable": False, "initializer": "zeros"}
        self.median = self.add_weight(shape=(features,), name="median", **fixed)
        self.mean = self.add_weight(shape=(features,), name="mean", **fixed)
        self.scale = self.add_weight(shape=(features,), name="scale", **fixed)
        self.start = self.add_weight(shape=(features, self.bins), name="start", **fixed)
        self.slope = self.add_weight(shape=(features, self.bins), name="slope", **fixed)

    def call(self, inputs: Any) -> Any:
        missing = ops.isnan(inputs)
        filled = ops.where(missing, self.median, inputs)
        pieces = ops.clip((filled[:, :, None] - self.start) * self.slope, 0.0, 1.0)
        flat = ops.reshape(pieces, (-1, inputs.shape[-1] * self.bins))
        scaled = ops.clip((_signed_log(filled) - self.mean) * self.scale, -CLIP, CLIP)
        return ops.concatenate([flat, scaled, ops.cast(missing, "float32")], axis=-1)

    def learn(self, values: np.ndarray, target: np.ndarray) -> None:
        """Set medians, scales and edges from float32 (row, feature) training ``values`` and 0/1 ``target``.

        Half of the edges are quantiles of all rows and half of the frauds, which lie where the others do not.
        """
        median = np.array([np.median(known) if len(known) else 0.0 for known in map(_known, values.T)])
        filled = np.where(np.isnan(values), median, values)
        logs = np.sign(filled) * np.log1p(np.abs(filled))
        edges = [_edges(column, target, self.bins) for column in filled.T]
        self.median.assign(median)
        self.mean.assign(logs.mean(axis=0))
        self.scale.assign(1 / (logs.std(axis=0) + 1e-6))
        self.start.assign(np.stack([edge[:-1] for edge in edges]))
        self.slope.assign(np.stack([_slopes(edge) for edge in edges]))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, int]:
        return input_shape[0], int(input_shape[-1] or 0) * (self.bins + 2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bins": self.bins}


def _known(column: np.ndarray) -> np.ndarray:
    known: np.ndarray = column[~np.isnan(column)]
    return known


def _signed_log(values: Any) -> Any:
    return ops.sign(values) * ops.log1p(ops.abs(values))


def _edges(column: np.ndarray, target: np.ndarray, bins: int) -> np.ndarray:
    """Return ``bins + 1`` increasing edges; where values repeat, the last edge does."""
    half = bins // 2
    frauds = column[target == 1] if target.any() else column
    asked = np.concatenate(
        [
            np.quantile(column, np.linspace(0, 1, bins - half + 1)),
            np.quantile(frauds, np.linspace(0, 1, half + 2)[1:-1]),
        ]
    )
    edges = np.unique(asked.astype(np.float32))
    return np.pad(edges, (0, bins + 1 - len(edges)), mode="edge")


def _slopes(edges: np.ndarray) -> np.ndarray:
    width = np.diff(edges)
    return np.where(width > 0, 1 / np.where(width > 0, width, 1), 0)


@keras.saving.register_keras_serializable("edgekit")
class MemberDense(keras.layers.Layer):  # type: ignore[misc]
    """One dense layer for all members of an implicit ensemble: shared weights, own scales and shifts.

    Source: Gorishniy, Kotelnikov, Babenko 2024, "TabM", section 3 (after BatchEnsemble, Wen et al. 2020). Members
    start apart by random signs on the features of the first layer.

    Input: float32 (batch, width), only for the first layer, or (batch, member, width).
    Output: float32 (batch, member, units).
    """

    def __init__(self, units: int, members: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.members = units, members

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width, first = int(input_shape[-1] or 0), len(input_shape) == 2
        scale = RandomSigns() if first else "ones"
        self.scale_in = self.add_weight(shape=(self.members, width), initializer=scale, name="scale_in")
        self.kernel = self.add_weight(shape=(width, self.units), initializer="glorot_uniform", name="kernel")
        self.scale_out = self.add_weight(shape=(self.members, self.units), initializer="ones", name="scale_out")
        self.shift = self.add_weight(shape=(self.members, self.units), initializer="zeros", name="shift")

    def call(self, inputs: Any) -> Any:
        width = inputs.shape[-1]
        members = inputs if len(inputs.shape) == 3 else ops.expand_dims(inputs, 1)
        # two-dimensional, so that it becomes one fully connected op, which the quantizers know
        flat = ops.reshape(members * self.scale_in, (-1, width)) @ self.kernel
        return ops.reshape(flat, (-1, self.members, self.units)) * self.scale_out + self.shift

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape[0], self.members, self.units

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "members": self.members}


@keras.saving.register_keras_serializable("edgekit")
class RandomSigns(keras.initializers.Initializer):  # type: ignore[misc]
    """-1 or 1 with equal chance."""

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        return ops.cast(keras.random.randint(shape, 0, 2) * 2 - 1, dtype or "float32")


@keras.saving.register_keras_serializable("edgekit")
class MemberHead(keras.layers.Layer):  # type: ignore[misc]
    """One logit per member, each with its own weights.

    Input: float32 (batch, member, width). Output: float32 (batch, member).
    """

    def __init__(self, prior: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.prior = prior

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = (int(input_shape[-2] or 0), int(input_shape[-1] or 0))
        self.kernel = self.add_weight(shape=shape, initializer="glorot_uniform", name="kernel")
        start = keras.initializers.Constant(self.prior)
        self.bias = self.add_weight(shape=shape[:1], initializer=start, name="bias")

    def call(self, inputs: Any) -> Any:
        return ops.sum(inputs * self.kernel, axis=-1) + self.bias

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(input_shape[:-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "prior": self.prior}


@keras.saving.register_keras_serializable("edgekit")
class Calibration(keras.layers.Layer):  # type: ignore[misc]
    """Platt scaling of a logit, in the graph: probability = sigmoid(slope · logit + shift)."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.slope = self.add_weight(shape=(), initializer="ones", trainable=False, name="slope")
        self.shift = self.add_weight(shape=(), initializer="zeros", trainable=False, name="shift")

    def call(self, logit: Any) -> Any:
        return ops.sigmoid(self.slope * logit + self.shift)

    def set(self, slope: float, shift: float) -> None:
        """Set both numbers, fitted on validation."""
        self.slope.assign(slope)
        self.shift.assign(shift)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape
