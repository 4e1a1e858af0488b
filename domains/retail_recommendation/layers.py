"""The parts of the recommendation networks that Keras lacks, all of builtin TFLite operators."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

PACKAGE = "edgekit"
NOTHING = -1e9
"""The score of what must not be recommended; finite, so that sums of it stay numbers."""


@keras.saving.register_keras_serializable(PACKAGE)
class ItemTable(layers.Layer):  # type: ignore[misc]
    """One table of item vectors of length 1, looked up for the history and multiplied by for the scores.

    Codes int32 (batch, step) to float32 (batch, step, width); with ``reverse``, states float32 (batch, width) to scores
    float32 (batch, item + 1). Row 0 is the padding. The table is not learnt itself: ``ItemRows`` is, and fills it.
    With several members each has its own vector of an item, side by side, and their scores add up.

    Source: Press & Wolf 2017, EACL (tied embeddings).
    """

    def __init__(self, rows: int, width: int, members: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self.rows, self.width, self.members = rows, width, members

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the table."""
        form, start = (self.rows, self.members * self.width), keras.initializers.RandomNormal(stddev=self.width**-0.5)
        self.table = self.add_weight(shape=form, initializer=start, trainable=False, name="table")

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        """Return item vectors, scaled to the size that attention expects, or scores."""
        if reverse:
            return ops.matmul(inputs, ops.transpose(self.table))
        return ops.take(self.table, inputs, axis=0) * self.width**0.5

    def compute_output_spec(self, inputs: Any, reverse: bool = False) -> Any:
        """Return the form of the answer."""
        last = (*inputs.shape[:-1], self.rows) if reverse else (*inputs.shape, self.members * self.width)
        return keras.KerasTensor(last, "float32")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "rows": self.rows, "width": self.width, "members": self.members}


class ItemRows(layers.Layer):  # type: ignore[misc]
    """What items are described by while it is learnt: a vector of their own, and one of each attribute that they have.

    Codes int32 (any shape) to float32 (…, width) of length 1. In training an item's own vector is left out now and
    then, so that the attributes alone learn to describe an item: that is all there is of one that nobody had yet, and
    such an item has no vector of its own. It stays out of the device file, which holds the sums.

    Source: Volkovs, Yu & Poutanen 2017, NeurIPS (DropoutNet: leaving the own vector out).
    """

    def __init__(self, known: np.ndarray, attributes: np.ndarray, width: int, *, hidden: float) -> None:
        """Take bool (item + 1,) whether somebody had it, uint8 (item + 1, attribute), and the share left out."""
        super().__init__(name="item_rows")
        described = attributes.any(axis=1, keepdims=True)
        self.width, self.held = width, attributes if described.any() else None
        self.owned = (known[:, None] | ~described).astype(np.float32)
        self.hidden = (hidden * described).astype(np.float32)
        self.lots = keras.random.SeedGenerator()

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the vectors."""
        start = keras.initializers.RandomNormal(stddev=self.width**-0.5)
        self.own = self.add_weight(shape=(len(self.owned), self.width), initializer=start, name="own")
        if self.held is not None:
            form = (self.held.shape[1], self.width)
            self.shared = self.add_weight(shape=form, initializer=start, name="shared")

    def call(self, codes: Any, training: bool = False) -> Any:
        """Return the items' vectors."""
        vectors = ops.take(self.own, codes, axis=0)
        if self.held is not None:
            kept = ops.take(self.owned, codes, axis=0)
            if training:
                lots = keras.random.uniform(ops.shape(kept), seed=self.lots)
                kept = ops.where(lots < ops.take(self.hidden, codes, axis=0), 0.0, kept)
            held = ops.cast(ops.take(self.held, codes, axis=0), "float32")
            held = held / ops.sqrt(ops.maximum(ops.sum(held, axis=-1, keepdims=True), 1.0))
            vectors = vectors * kept + ops.matmul(held, self.shared)
        return _of_length_one(vectors)


def _of_length_one(vectors: Any) -> Any:
    return vectors / ops.sqrt(ops.sum(ops.square(vectors), axis=-1, keepdims=True) + 1e-12)


@keras.saving.register_keras_serializable(PACKAGE)
class Cosine(layers.Layer):  # type: ignore[misc]
    """States float32 (…, width) to the same of one learnt length, so that scores are scaled cosines.

    A table of rows of any length tells how often an item is had by the length; with cosines the rare ones learn, too.

    Source: Wang et al. 2017, ACM MM (NormFace: normalise both, and learn the scale).
    """

    def __init__(self, temperature: float, **options: Any) -> None:
        super().__init__(**options)
        self.temperature = temperature

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the scale."""
        start = keras.initializers.Constant(-math.log(self.temperature))
        self.log_scale = self.add_weight(shape=(), initializer=start, name="log_scale")

    def call(self, states: Any) -> Any:
        """Return the states brought to the learnt length."""
        return _of_length_one(states) * ops.exp(self.log_scale)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "temperature": self.temperature}


@keras.saving.register_keras_serializable(PACKAGE)
class Thinned(layers.Layer):  # type: ignore[misc]
    """States and a mask, both float32 (batch, step, width), to the states with what the mask leaves out at 0.

    In training only. One mask for every addition to the stream of a network makes a thinner network of it for each
    step of each history; fresh masks let a unit that one addition drops be carried by the others.
    """

    def call(self, states: Any, mask: Any, training: bool = False) -> Any:
        """Return the states, thinned in training."""
        return states * mask if training else states

    def compute_output_spec(self, states: Any, mask: Any, training: bool = False) -> Any:
        """Return the form of the answer."""
        return keras.KerasTensor(states.shape, "float32")


@keras.saving.register_keras_serializable(PACKAGE)
class CausalAttention(layers.Layer):  # type: ignore[misc]
    """Self-attention to earlier items, with a learnt bias for each head and distance, and no absolute places.

    So the beginning of a history in training looks exactly like a short history in use. Padding is attended to only
    where nothing else came before, so that a history without items has an answer of its own.
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
        fit = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * each**-0.5 + bias + NOTHING * (2 * later + empty)
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
