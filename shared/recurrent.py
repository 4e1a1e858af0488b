"""A recurrent layer that converts to built-in TFLite ops with any batch size."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("edgekit")
class LoopGRU(keras.layers.Layer):  # type: ignore[misc]
    """A gated recurrent unit (Cho et al. 2014, reset after the matrix product) that returns its last state, or all.

    The input projection stands outside the loop and the loop carries the state alone, without a TensorArray:
    Keras' own GRU needs Flex ops as soon as the batch is dynamic.

    Input: float32 (batch, step, feature). Output: float32 (batch, units), or (batch, step, units) with ``sequences``.
    """

    def __init__(self, units: int, sequences: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.sequences = units, sequences

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = int(input_shape[-1] or 0)
        self.kernel = self.add_weight(shape=(width, 3 * self.units), initializer="glorot_uniform", name="kernel")
        self.recurrent = self.add_weight(shape=(self.units, 3 * self.units), initializer="orthogonal", name="recurrent")
        self.bias = self.add_weight(shape=(2, 3 * self.units), initializer="zeros", name="bias")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        projected = tf.transpose(inputs @ self.kernel + self.bias[0], [1, 0, 2])  # (step, batch, 3 units)
        steps = tf.shape(projected)[0]
        state = tf.zeros_like(projected[0, :, : self.units])

        def step(index: tf.Tensor, state: tf.Tensor, past: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            update, reset, fresh = tf.split(tf.gather(projected, index), 3, axis=-1)
            past_update, past_reset, past_fresh = tf.split(state @ self.recurrent + self.bias[1], 3, axis=-1)
            gate = tf.sigmoid(update + past_update)
            candidate = tf.tanh(fresh + tf.sigmoid(reset + past_reset) * past_fresh)
            state = gate * state + (1 - gate) * candidate
            if self.sequences:  # added where it belongs: a growing tensor does not run in a file of fixed batch
                past += tf.one_hot(index, steps)[:, None, None] * state[None]
            return index + 1, state, past

        past = tf.zeros_like(projected[:, :, : self.units]) if self.sequences else tf.constant(0.0)
        _, state, past = tf.while_loop(lambda index, *_: index < steps, step, (tf.constant(0), state, past))
        return tf.transpose(past, [1, 0, 2]) if self.sequences else state

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:2], self.units) if self.sequences else (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "sequences": self.sequences}
