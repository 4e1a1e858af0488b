"""The layers of the fraud networks: preprocessing in the graph, an implicit ensemble, calibration."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

CERTAIN = 6.0  # a logit of 6 is a probability of .9975
ROOM = 6.0
LEAST_SPREAD = 1e-4
LEAST_WIDTH = 1e-30
CLIP = 6.0  # standard deviations; beyond it an amount says "very large" and no more


@keras.saving.register_keras_serializable("edgekit")
class NumericEmbedding(keras.layers.Layer):  # type: ignore[misc]
    """Raw numbers, NaN among them, to a piecewise-linear encoding, a scaled copy and missing marks.

    A missing number is replaced by the training median first of all. Each feature is cut at ``bins + 1``
    training edges; bin b holds 0 below it, 1 above it and the fraction in between (Gorishniy, Rubachev,
    Babenko 2022, "On Embeddings for Numerical Features in Tabular Deep Learning", section 3.2).

    Input: float32 (batch, feature). Output: float32 (batch, feature, bins + 2).
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
        scaled = ops.clip((_signed_log(filled) - self.mean) * self.scale, -CLIP, CLIP)
        return ops.concatenate([pieces, scaled[:, :, None], ops.cast(missing, "float32")[:, :, None]], axis=-1)

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
        spread = logs.std(axis=0)  # a column that hardly varies would turn rounding into a signal
        self.scale.assign(np.where(spread > LEAST_SPREAD, 1 / np.maximum(spread, LEAST_SPREAD), 0))
        self.start.assign(np.stack([edge[:-1] for edge in edges]))
        self.slope.assign(np.stack([_slopes(edge) for edge in edges]))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape[0], input_shape[-1], self.bins + 2

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
    return np.where(width > LEAST_WIDTH, 1 / np.maximum(width, LEAST_WIDTH), 0)


@keras.saving.register_keras_serializable("edgekit")
class MemberScale(keras.layers.Layer):  # type: ignore[misc]
    """Let each member of an implicit ensemble see the features in its own way, from random signs on.

    Source: Gorishniy, Kotelnikov, Babenko 2024, "TabM", section 3 (TabM-mini), with one weight a feature where
    TabM has one for each number of its encoding: as good on validation, and twelve times smaller.

    Input: float32 (batch, feature, width). Output: float32 (batch, member, feature · width).
    """

    def __init__(self, members: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.members = members

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = (self.members, int(input_shape[1] or 0), 1)
        self.scale = self.add_weight(shape=shape, initializer=RandomSigns(), name="scale")

    def call(self, inputs: Any) -> Any:
        members = ops.expand_dims(inputs, 1) * self.scale
        return ops.reshape(members, (-1, self.members, inputs.shape[1] * inputs.shape[2]))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape[0], self.members, int(input_shape[1] or 0) * int(input_shape[2] or 0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "members": self.members}


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
    """Platt scaling of a logit, in the graph: probability = sigmoid(slope · logit + shift).

    Above ``CERTAIN`` the scaled logit is squeezed, in order, into the next ``ROOM`` units. Otherwise the surest frauds
    of a large training set would all be exactly 1 in float32, and no threshold could tell ten of them from a thousand.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.slope = self.add_weight(shape=(), initializer="ones", trainable=False, name="slope")
        self.shift = self.add_weight(shape=(), initializer="zeros", trainable=False, name="shift")

    def call(self, logit: Any) -> Any:
        scaled = self.slope * logit + self.shift
        excess = ops.relu(scaled - CERTAIN)
        return ops.sigmoid(scaled - excess + ROOM * excess / (excess + ROOM))

    def set(self, slope: float, shift: float) -> None:
        """Set both numbers, fitted on validation."""
        self.slope.assign(slope)
        self.shift.assign(shift)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape
