"""The parts of the recommendation networks that Keras lacks, all of builtin TFLite operators."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

PACKAGE = "edgekit"
NOTHING = -1e9
"""The score of what must not be recommended; finite, so that sums of it stay numbers."""


@keras.saving.register_keras_serializable(PACKAGE)
class ItemTable(layers.Layer):  # type: ignore[misc]
    """One table of item vectors, looked up for the history and multiplied by for the scores.

    Codes int32 (batch, step) to float32 (batch, step, width); with ``reverse``, states float32 (batch, width) to scores
    float32 (batch, item + 1). Row 0 is the padding.

    Source: Press & Wolf 2017, EACL (tied embeddings).
    """

    def __init__(self, rows: int, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.rows, self.width = rows, width

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the table."""
        self.table = self.add_weight(
            shape=(self.rows, self.width), initializer=keras.initializers.RandomNormal(stddev=0.02), name="table"
        )

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        """Return item vectors, scaled to the size that attention expects, or scores."""
        if reverse:
            return ops.matmul(inputs, ops.transpose(self.table))
        return ops.take(self.table, inputs, axis=0) * self.width**0.5

    def compute_output_spec(self, inputs: Any, reverse: bool = False) -> Any:
        """Return the form of the answer."""
        last = (*inputs.shape[:-1], self.rows) if reverse else (*inputs.shape, self.width)
        return keras.KerasTensor(last, "float32")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "rows": self.rows, "width": self.width}


@keras.saving.register_keras_serializable(PACKAGE)
class CausalAttention(layers.Layer):  # type: ignore[misc]
    """Self-attention to earlier items, with a learnt bias for each head and distance, and no absolute places.

    So the beginning of a history in training looks exactly like a short history in use. Padding is never attended to.
    (batch, step, width) float32 and codes int32 (batch, step) to (batch, step, width), for any number of steps up to
    ``window``.

    Source: Kang & McAuley 2018, ICDM (SASRec); Raffel et al. 2020, JMLR 21 (bias by distance).
    """

    def __init__(self, width: int, heads: int, window: int, dropout: float, **options: Any) -> None:
        super().__init__(**options)
        self.width, self.heads, self.window, self.rate = width, heads, window, dropout
        self.mixed = layers.Dense(3 * width, name="mixed")
        self.joined = layers.Dense(width, name="joined")
        self.dropout = layers.Dropout(dropout)

    def build(self, states_shape: tuple[int | None, ...], codes_shape: tuple[int | None, ...]) -> None:
        """Make the weights."""
        self.mixed.build(states_shape)
        self.joined.build(states_shape)
        self.distance = self.add_weight(shape=(self.window, self.heads), initializer="zeros", name="distance")

    def call(self, states: Any, codes: Any, training: bool = False) -> Any:
        """Return what each step takes from itself and the steps before it."""
        steps, each = ops.shape(states)[1], self.width // self.heads
        query, key, value = (
            ops.transpose(ops.reshape(part, (-1, steps, self.heads, each)), (0, 2, 1, 3))
            for part in ops.split(self.mixed(states), 3, axis=-1)
        )
        gap = ops.arange(steps)[:, None] - ops.arange(steps)[None, :]
        bias = ops.transpose(ops.take(self.distance, ops.clip(gap, 0, self.window - 1), axis=0), (2, 0, 1))[None]
        later, empty = ops.cast(gap < 0, "float32")[None, None], ops.cast(ops.equal(codes, 0), "float32")[:, None, None]
        fit = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * each**-0.5 + bias + NOTHING * (later + empty)
        taken = ops.matmul(self.dropout(ops.softmax(fit), training=training), value)
        return self.joined(ops.reshape(ops.transpose(taken, (0, 2, 1, 3)), (-1, steps, self.width)))

    def compute_output_spec(self, states: Any, codes: Any, training: bool = False) -> Any:
        """Return the form of the answer."""
        return keras.KerasTensor(states.shape, "float32")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {"width": self.width, "heads": self.heads, "window": self.window, "dropout": self.rate}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(PACKAGE)
class WithoutSeen(layers.Layer):  # type: ignore[misc]
    """Scores float32 (batch, item + 1) and codes int32 (batch, place) to scores in which those items have ``NOTHING``.

    Code 0, the padding, is always among them.
    """

    def call(self, scores: Any, codes: Any) -> Any:
        """Return the scores of what may be recommended."""
        batch, rows = ops.shape(scores)[0], scores.shape[1]
        padded = ops.pad(codes, ((0, 0), (1, 0)))
        places = padded + ops.expand_dims(ops.arange(batch, dtype="int32") * rows, 1)
        ones = ops.ones((batch * padded.shape[1],), dtype="float32")
        hits = ops.scatter(ops.reshape(places, (-1, 1)), ones, (batch * rows,))
        return ops.where(ops.reshape(hits, (batch, rows)) > 0, NOTHING, scores)

    def compute_output_spec(self, scores: Any, codes: Any) -> Any:
        """Return the form of the answer."""
        return keras.KerasTensor(scores.shape, "float32")


@keras.saving.register_keras_serializable(PACKAGE)
class Highest(layers.Layer):  # type: ignore[misc]
    """Scores float32 (batch, item + 1) to the codes int32 and scores float32 (batch, count) of the highest."""

    def __init__(self, count: int, **options: Any) -> None:
        super().__init__(**options)
        self.count = count

    def call(self, scores: Any) -> tuple[Any, Any]:
        """Return codes and scores, highest first."""
        values, codes = ops.top_k(scores, k=self.count)
        return ops.cast(codes, "int32"), values

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "count": self.count}
