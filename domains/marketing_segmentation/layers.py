"""The layers of the segmentation network: preprocessing in the graph, and soft membership."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import keras
import numpy as np
from keras import ops

from .features import DAYS_A_WEEK, SMALLEST_ORDER
from .standards import BENDS, WIDTH, Standards

HIGHEST_LOG_RATE = 6.0
"""Of orders in the horizon; e⁶ is 403."""
HIGHEST_LOG_SPEND = 25.0
LEAST_CHANCE = 1e-4
PARTS = tuple(part.name for part in fields(Standards))


@keras.saving.register_keras_serializable("edgekit")
class Standardized(keras.layers.Layer):  # type: ignore[misc]
    """Raw behaviour, NaN among it, to :meth:`.standards.Standards.apply`.

    Input: float32 (batch, name). Output: float32 (batch, 5 × name).
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = (int(input_shape[-1] or 0),)
        for name in PARTS:
            setattr(self, name, self.add_weight(shape=shape, name=name, trainable=False, initializer="zeros"))

    def call(self, inputs: Any) -> Any:
        missing = ops.isnan(inputs)
        logs = ops.log(1.0 + ops.maximum(ops.where(missing, ops.zeros_like(inputs), inputs), 0.0))
        scaled = ops.clip((logs - self.mean) * self.rate, self.low, self.high)
        scaled = ops.where(missing, ops.zeros_like(scaled), scaled)
        marks = (ops.cast(missing, "float32") - self.absent) * self.absent_rate
        above = [ops.maximum(scaled - bend, 0.0) - max(-bend, 0.0) for bend in BENDS]
        return ops.concatenate([scaled, marks, *above], axis=-1)

    def set(self, standards: Standards) -> None:
        """Take over what was learnt from the training customers."""
        for name in PARTS:
            getattr(self, name).assign(getattr(standards, name))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape[0], WIDTH * int(input_shape[-1] or 0)


@keras.saving.register_keras_serializable("edgekit")
class Membership(keras.layers.Layer):  # type: ignore[misc]
    """Probabilities of the segments by the squared distance d² of a code from each centre.

    ``student_t``: in proportion to 1 / (1 + d² / v) (Xie, Girshick and Farhadi 2016, "Unsupervised Deep Embedding for
    Clustering Analysis", eq. 1); ``gaussian``: to exp(−d² / 2v), a mixture of equal shares and widths. v is the mean
    squared distance from the nearest centre, by dimension.

    Input: float32 (batch, code). Output: float32 (batch, segment), rows sum to 1.
    """

    def __init__(self, segments: int, assignment: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.segments, self.assignment = segments, assignment

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = int(input_shape[-1] or 0)
        self.centres = self.add_weight(shape=(self.segments, width), name="centres", initializer="zeros")
        self.variance = self.add_weight(shape=(), name="variance", trainable=False, initializer="ones")

    def call(self, inputs: Any) -> Any:
        distance = ops.sum(ops.square(inputs[:, None, :] - self.centres), axis=-1)
        if self.assignment == "gaussian":
            return ops.softmax(-distance / (2 * self.variance), axis=-1)
        return ops.softmax(-ops.log(1 + distance / self.variance), axis=-1)

    def set(self, centres: np.ndarray, variance: float) -> None:
        """Take over centres float32 (segment, code) and the variance around them."""
        self.centres.assign(centres)
        self.variance.assign(variance)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape[0], self.segments

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "segments": self.segments, "assignment": self.assignment}


@keras.saving.register_keras_serializable("edgekit")
class Purchases(keras.layers.Layer):  # type: ignore[misc]
    """What a purchase model expects, for the members to correct: log orders, logit of coming back, log spend if so.

    The rate of purchases and the probability of being alive are those of the BG/NBD model (Fader, Hardie and Lee 2005,
    Marketing Science 24(2), eq. 4 and its posterior), spend is that of the customer's mean order. Orders leave out that
    a customer may stop within the horizon; the members learn it.

    Args:
        columns: places of orders, spend, recency_days and age_days in the behaviour; unknown ones count as 0.
        weeks: of the horizon.

    Input: float32 (batch, name) raw behaviour. Output: float32 (batch, 3).
    """

    def __init__(self, columns: Sequence[int], weeks: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.columns, self.weeks = tuple(columns), weeks

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.parameters = self.add_weight(shape=(4,), name="parameters", trainable=False, initializer="ones")

    def call(self, inputs: Any) -> Any:
        r, alpha, a, b = (self.parameters[place] for place in range(4))
        known = ops.where(ops.isnan(inputs), ops.zeros_like(inputs), inputs)
        orders, spend, recency, age = (known[:, place] for place in self.columns)
        repeats, age = ops.maximum(orders - 1, 0.0), age / DAYS_A_WEEK
        last = ops.maximum(age - recency / DAYS_A_WEEK, 0.0)
        purchases = r + repeats
        gone = (
            ops.log(a)
            - ops.log(b + ops.maximum(repeats - 1, 0.0))
            + purchases * ops.log((alpha + age) / (alpha + last))
        )
        alive = ops.where(repeats > 0, -ops.softplus(gone), ops.zeros_like(gone))
        none = purchases * ops.log((alpha + age) / (alpha + age + self.weeks))  # log chance of no order if alive
        back = ops.clip(ops.exp(alive) * (1 - ops.exp(none)), LEAST_CHANCE, 1 - LEAST_CHANCE)
        expected = alive + ops.log(purchases / (alpha + age) * self.weeks)
        expected = ops.maximum(expected, math.log(LEAST_CHANCE))
        order = ops.log(ops.maximum(spend / ops.maximum(orders, 1.0), SMALLEST_ORDER))
        return ops.stack([expected, ops.log(back) - ops.log(1 - back), expected - ops.log(back) + order], axis=1)

    def set(self, r: float, alpha: float, a: float, b: float) -> None:
        """Take over the parameters; times are in weeks."""
        self.parameters.assign(np.array([r, alpha, a, b], np.float32))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape[0], 3

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "columns": list(self.columns), "weeks": self.weeks}


@keras.saving.register_keras_serializable("edgekit")
class Expectation(keras.layers.Layer):  # type: ignore[misc]
    """Members' log rate, logit and log spend to expected orders, expected spend and the probability of coming back.

    Spend is zero-inflated log-normal: the probability of coming back times exp(μ + σ² / 2) (Wang, Liu and Miao 2019,
    "A Deep Probabilistic Model for Customer Lifetime Value Prediction"). Members are averaged, and orders and spend
    multiplied by a level, with which they add up to what the training customers did.

    Input: float32 (batch, member, 3). Output: three of float32 (batch, 1).
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.variance = self.add_weight(shape=(), name="variance", trainable=False, initializer="zeros")
        self.level = self.add_weight(shape=(2,), name="level", trainable=False, initializer="ones")

    def call(self, inputs: Any) -> Any:
        back = ops.sigmoid(inputs[:, :, 1])
        orders = ops.exp(ops.minimum(inputs[:, :, 0], HIGHEST_LOG_RATE))
        spend = back * ops.exp(ops.minimum(inputs[:, :, 2] + self.variance / 2, HIGHEST_LOG_SPEND))
        of_members = (orders * self.level[0], spend * self.level[1], back)
        return tuple(ops.mean(values, axis=1, keepdims=True) for values in of_members)

    def set(self, variance: float, level: np.ndarray) -> None:
        """Take over the variance of log spend, and the levels of orders and spend."""
        self.variance.assign(variance)
        self.level.assign(level)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> Any:
        return ((input_shape[0], 1),) * 3
