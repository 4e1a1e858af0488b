"""The parts of the forecasting networks that Keras lacks, all of builtin TFLite operators.

Arrays of a network's state are float32 (batch, sensor, feature); a presence is 1 where a reading is there, else 0.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

PACKAGE = "edgekit"
WAVES = 6  # sine and cosine pairs that tell the time of the day: a week shows each step of a day a few times only
SATURDAY = 5
Shape = tuple[int | None, ...]
NEVER = -30.0  # a logit that softmax makes nothing of


@keras.saving.register_keras_serializable(PACKAGE)
class Standardised(layers.Layer):  # type: ignore[misc]
    """Readings (batch, step, sensor) with NaN to standardised values and their presence, both (batch, sensor, step).

    Missing values become 0, the sensor's mean. Mean and deviation of each sensor are set from training readings.
    """

    def __init__(self, sensors: int, **options: Any) -> None:
        super().__init__(**options)
        self.sensors = sensors

    def build(self, shape: Shape) -> None:
        """Make the scales."""
        self.mean = self.add_weight(shape=(self.sensors,), initializer="zeros", trainable=False, name="mean")
        self.deviation = self.add_weight(shape=(self.sensors,), initializer="ones", trainable=False, name="deviation")

    def call(self, readings: Any) -> tuple[Any, Any]:
        """Return values and presence."""
        there = ops.equal(readings, readings)  # NaN is not
        values = ops.where(there, (readings - self.mean) / self.deviation, ops.zeros_like(readings))
        return ops.transpose(values, (0, 2, 1)), ops.transpose(ops.cast(there, "float32"), (0, 2, 1))

    def back(self, values: Any) -> Any:
        """Return standardised values (batch, sensor, step) in the unit of the readings, (batch, step, sensor)."""
        return ops.transpose(values, (0, 2, 1)) * self.deviation + self.mean

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "sensors": self.sensors}


@keras.saving.register_keras_serializable(PACKAGE)
class OtherSensors(layers.Layer):  # type: ignore[misc]
    """What the other sensors read, averaged with learnt weights over those that are there.

    Values and presence (batch, sensor, step) to averages of the same form for each head, and how much of its weight
    each sensor's present ones hold, (batch, sensor, 1) for each head; all of one list. A sensor never sees itself, so
    the averages of a silent sensor look like those of one that speaks.

    Source: masked attention with weights that do not depend on the readings, after Wu et al. 2019, IJCAI (Graph
    WaveNet: an adjacency that is learnt).
    """

    def __init__(self, sensors: int, heads: int, **options: Any) -> None:
        super().__init__(**options)
        self.sensors, self.heads = sensors, heads

    def build(self, values_shape: Shape, presence_shape: Shape) -> None:
        """Make the weights."""
        form = (self.heads, self.sensors, self.sensors)
        self.logits = self.add_weight(shape=form, initializer="zeros", name="logits")

    def call(self, values: Any, presence: Any) -> list[Any]:
        """Return the averages by head, then the weights held by head."""
        own = ops.eye(self.sensors)
        others = self.logits * (1 - own) + NEVER * own
        share = ops.reshape(ops.softmax(others, axis=-1), (self.heads * self.sensors, self.sensors))
        steps = values.shape[-1]
        both = ops.matmul(share, ops.concatenate([values * presence, presence], axis=-1))
        both = ops.split(ops.reshape(both, (-1, self.heads, self.sensors, 2 * steps)), self.heads, axis=1)
        sums = [ops.split(ops.squeeze(part, axis=1), 2, axis=-1) for part in both]
        return [total / (held + 1e-3) for total, held in sums] + [held[..., -1:] for _, held in sums]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "sensors": self.sensors, "heads": self.heads}


@keras.saving.register_keras_serializable(PACKAGE)
class Filled(layers.Layer):  # type: ignore[misc]
    """Values, presence and a first guess, all (batch, sensor, step), to values with the missing ones filled in.

    Each sensor is regressed on all others; where several are missing their values are found together, by a few rounds
    that start from the guess (Jacobi's iteration of the conditional means of a Gaussian field; Rue & Held 2005, §2.2).
    """

    def __init__(self, sensors: int, rounds: int = 3, **options: Any) -> None:
        super().__init__(**options)
        self.sensors, self.rounds = sensors, rounds

    def build(self, values_shape: Shape, presence_shape: Shape, guess_shape: Shape) -> None:
        """Make the coefficients."""
        form = (self.sensors, self.sensors)
        self.coefficients = self.add_weight(shape=form, initializer="zeros", name="coefficients")

    def call(self, values: Any, presence: Any, guess: Any) -> Any:
        """Return the values without gaps."""
        others = self.coefficients * (1 - ops.eye(self.sensors))
        known, missing = values * presence, 1 - presence
        filled = known + missing * guess
        for _ in range(self.rounds):
            filled = known + missing * ops.matmul(others, filled)
        return filled

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "sensors": self.sensors, "rounds": self.rounds}


@keras.saving.register_keras_serializable(PACKAGE)
class Identity(layers.Layer):  # type: ignore[misc]
    """Any state to a learnt description of each sensor, (batch, sensor, width): all that tells sensors apart.

    Source: Shao et al. 2022, CIKM (STID).
    """

    def __init__(self, sensors: int, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.sensors, self.width = sensors, width

    def build(self, shape: Shape) -> None:
        """Make the descriptions."""
        start = keras.initializers.RandomNormal(stddev=0.3)
        self.table = self.add_weight(shape=(1, self.sensors, self.width), initializer=start, name="table")

    def call(self, state: Any) -> Any:
        """Return the descriptions, once for each of the batch."""
        return ops.tile(self.table, (ops.shape(state)[0], 1, 1))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "sensors": self.sensors, "width": self.width}


@keras.saving.register_keras_serializable(PACKAGE)
class ClockFeatures(layers.Layer):  # type: ignore[misc]
    """Moments int32 (batch, 2), step of the day and day of the week, to smooth waves of the day, (batch, feature).

    The waves stand twice, the second time on weekends only, beside the weekend itself.
    """

    def __init__(self, steps_a_day: int, **options: Any) -> None:
        super().__init__(**options)
        self.steps_a_day = steps_a_day

    def build(self, shape: Shape) -> None:
        """Make the tables."""
        day = np.arange(self.steps_a_day)[:, None] / self.steps_a_day * 2 * np.pi
        turns = day * np.arange(1, WAVES + 1)
        waves = np.concatenate([np.sin(turns), np.cos(turns)], axis=1)
        self.waves = self.add_weight(shape=waves.shape, initializer="zeros", trainable=False, name="waves")
        self.weekend = self.add_weight(shape=(7, 1), initializer="zeros", trainable=False, name="weekend")
        self.waves.assign(waves)
        self.weekend.assign(np.arange(7)[:, None] >= SATURDAY)

    def call(self, moment: Any) -> Any:
        """Return the features."""
        waves, weekend = ops.take(self.waves, moment[:, 0], axis=0), ops.take(self.weekend, moment[:, 1], axis=0)
        return ops.concatenate([waves, waves * weekend, weekend], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "steps_a_day": self.steps_a_day}


@keras.saving.register_keras_serializable(PACKAGE)
class Fading(layers.Layer):  # type: ignore[misc]
    """The last values (batch, sensor, 1) to what is left of them at each step ahead, (batch, sensor, horizon)."""

    def __init__(self, horizon: int, **options: Any) -> None:
        super().__init__(**options)
        self.horizon = horizon

    def build(self, shape: Shape) -> None:
        """Make the shares."""
        self.shares = self.add_weight(shape=(self.horizon,), initializer="zeros", name="shares")
        self.shares.assign(np.exp(-np.arange(1, self.horizon + 1) / 8))

    def call(self, last: Any) -> Any:
        """Return the shares of the last values."""
        return last * self.shares

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "horizon": self.horizon}


@keras.saving.register_keras_serializable(PACKAGE)
class Band(layers.Layer):  # type: ignore[misc]
    """Centre, room below and room above, (batch, sensor, step), to the ends of a band around the centre.

    Both rooms are 0 or more, so the ends never cross the centre. A margin for each step, which is calibrated after
    training and may be negative, is added on both sides.

    Source: Romano, Patterson & Candès 2019, NeurIPS (conformalised quantile regression).
    """

    def __init__(self, horizon: int, **options: Any) -> None:
        super().__init__(**options)
        self.horizon = horizon

    def build(self, centre_shape: Shape, below_shape: Shape, above_shape: Shape) -> None:
        """Make the margins."""
        self.margin = self.add_weight(shape=(self.horizon,), initializer="zeros", trainable=False, name="margin")

    def call(self, centre: Any, below: Any, above: Any) -> tuple[Any, Any]:
        """Return the lower and the upper end."""
        low, high = centre - below - self.margin, centre + above + self.margin
        return ops.minimum(low, centre), ops.maximum(high, centre)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "horizon": self.horizon}
