"""The forecasting networks: functional Keras graphs from readings with gaps to medians and bands."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from ...shared.domain import Examples, Prepared, Progress
from ...shared.recurrent import LoopGRU
from ...shared.training import Fitted, fit, predictor, seed_everything
from .batches import batches
from .config import ModelSettings, TrafficConfig
from .evaluate import evaluate
from .features import MOMENT, READINGS, Plan
from .layers import Band, ClockFeatures, Fading, Filled, Identity, OtherSensors, Standardised
from .masked_errors import HIGH, LOW, MEDIAN
from .profiles import record

HEADS = 4
MOST_WEIGHTS = 4_000_000
"""What the tables between sensors may hold; larger networks get fewer heads, or none."""
STRAIGHT = 0.75  # deviations from which a large error counts by its size, not by its square (Huber 1964)
BAND_WEIGHT = 0.5
_RIDGE = 0.1


def build_model(plan: Plan, settings: ModelSettings) -> keras.Model:
    """Return an uncompiled network.

    Args:
        plan: sensors, window, horizon and interval.
        settings: kind and size.

    Returns:
        A model of ``readings`` float32 (batch, window, sensor), NaN where missing, and ``moment`` int32 (batch, 2),
        with float32 outputs ``median``, ``low`` and ``high`` (batch, horizon, sensor) in the unit of the readings.
    """
    sensors = len(plan.sensors)
    readings = layers.Input((plan.window, sensors), name=READINGS)
    moment = layers.Input((2,), dtype="int32", name=MOMENT)
    scale = Standardised(sensors, name="scale")
    values, presence = scale(readings)
    known, last = _what_is_known(values, presence, sensors, settings)
    body = _identity if settings.kind == "identity" else _recurrent
    clock = layers.Dense(settings.clock, name="clock")(ClockFeatures(plan.steps_a_day, name="waves")(moment))
    state = body(known, clock, plan, settings)
    raw = layers.Dense(3 * plan.horizon, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), name="raw")
    centre, below, above = ops.split(raw(state), 3, axis=-1)
    centre = centre + Fading(plan.horizon, name="fading")(last)
    rooms = (ops.softplus(room - 0.5) for room in (below, above))
    low, high = Band(plan.horizon, name="band")(centre, *rooms)
    outputs = {name: scale.back(part) for name, part in ((MEDIAN, centre), (LOW, low), (HIGH, high))}
    return keras.Model({READINGS: readings, MOMENT: moment}, outputs, name="transportation")


def heads(sensors: int) -> int:
    """Return how many averages over the other sensors a network of this size affords."""
    return min(HEADS, MOST_WEIGHTS // sensors**2 - 1) if sensors > 1 and 2 * sensors**2 <= MOST_WEIGHTS else 0


def _what_is_known(values: Any, presence: Any, sensors: int, settings: ModelSettings) -> tuple[list[Any], Any]:
    """Return what is known of each sensor, (batch, sensor, step) each, and its last value, filled in where missing."""
    count = heads(sensors) if settings.neighbours else 0
    if not count:
        return [values, presence], values[..., -1:]
    others = OtherSensors(sensors, count, name="others")(values, presence)
    filled = Filled(sensors, name="filled")(values, presence, others[count - 1])
    return [values, presence, *others, filled], filled[..., -1:]


def _identity(known: list[Any], clock: Any, plan: Plan, settings: ModelSettings) -> Any:
    """Return (batch, sensor, state): each sensor by itself, told apart by its description (Shao et al. 2022, CIKM)."""
    seen = layers.Dense(settings.width, name="seen")(layers.Concatenate()(known))
    return _blocks(_described(seen, clock, plan, settings), settings)


def _recurrent(known: list[Any], clock: Any, plan: Plan, settings: ModelSettings) -> Any:
    """Return the same from an encoder of the window (Cho et al. 2014, EMNLP) instead of one product."""
    sensors, steps = len(plan.sensors), plan.window
    by_step = [part for part in known if part.shape[-1] == steps]
    sequence = ops.reshape(ops.stack(by_step, axis=-1), (-1, steps, len(by_step)))
    state = LoopGRU(settings.width, name="encoder")(sequence)
    return _blocks(_described(ops.reshape(state, (-1, sensors, settings.width)), clock, plan, settings), settings)


def _described(seen: Any, clock: Any, plan: Plan, settings: ModelSettings) -> Any:
    """Put beside what is seen of a sensor which one it is, and what time."""
    which = Identity(len(plan.sensors), settings.identity, name="identity")(seen)
    when = ops.expand_dims(clock, 1) + ops.zeros_like(seen[..., :1])
    return layers.Concatenate()([seen, which, when])


def _blocks(state: Any, settings: ModelSettings) -> Any:
    width = state.shape[-1]
    for number in range(settings.blocks):
        inner = layers.LayerNormalization(name=f"norm_{number}")(state)
        inner = layers.Dense(width, activation="relu", name=f"inner_{number}")(inner)
        inner = layers.Dropout(settings.dropout, name=f"dropout_{number}")(inner)
        state = state + layers.Dense(width, name=f"outer_{number}")(inner)
    return layers.LayerNormalization(name="norm")(state)


def fit_model(
    prepared: Prepared, config: TrafficConfig, *, seed: int, report: Progress, log: Path | None = None
) -> Fitted:
    """Fit the network; its epoch is chosen by the masked error on validation, where its bands are calibrated, too."""
    seed_everything(seed)
    model = build_model(prepared.plan, config.model)
    scale = learn_scales(model, prepared)
    below, above = (1 - config.decision.coverage) / 2, (1 + config.decision.coverage) / 2
    model.compile(
        optimizer=_optimizer(config, windows=len(prepared.train)),
        loss={MEDIAN: _huber(scale), LOW: _pinball(below, scale), HIGH: _pinball(above, scale)},
        loss_weights={MEDIAN: 1.0, LOW: BAND_WEIGHT, HIGH: BAND_WEIGHT},
    )
    data = batches(prepared.train, config.training, seed=seed)
    score = _validation_score(model, prepared.validation, config)
    fitted = fit(model, data, settings=config.training, score=score, report=report, log=log)
    calibrate(model, prepared.validation, config.decision.coverage)
    return Fitted(model, fitted.history, fitted.best_epoch, fitted.seconds)


def _optimizer(config: TrafficConfig, *, windows: int) -> keras.optimizers.Optimizer:
    """Return AdamW with half an epoch of warm-up and a cosine fall to almost nothing."""
    settings = config.training
    steps = math.ceil(windows / settings.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 10,
        max(1, steps * settings.epochs),
        alpha=0.01,
        warmup_target=settings.learning_rate,
        warmup_steps=max(1, steps // 2),
    )
    return keras.optimizers.AdamW(
        rate,
        weight_decay=settings.weight_decay,
        clipnorm=1.0,
        use_ema=settings.average > 0,
        ema_momentum=settings.average or 0.99,
    )


def _huber(scale: float) -> Any:
    def loss(truth: Any, forecast: Any) -> Any:
        error = ops.abs(truth - forecast) / scale
        return _masked(ops.where(error < STRAIGHT, error * error, STRAIGHT * (2 * error - STRAIGHT)), truth)

    return loss


def _pinball(share: float, scale: float) -> Any:
    """Return the loss whose minimum is a quantile (Koenker & Bassett 1978, Econometrica 46)."""

    def loss(truth: Any, forecast: Any) -> Any:
        error = (truth - forecast) / scale
        return _masked(ops.maximum(share * error, (share - 1) * error), truth)

    return loss


def _masked(losses: Any, truth: Any) -> Any:
    """Return the mean where there is a truth."""
    there = ops.cast(ops.equal(truth, truth), "float32")
    return ops.sum(ops.where(there > 0, losses, 0.0)) / ops.maximum(ops.sum(there), 1.0)


def _validation_score(model: keras.Model, validation: Examples, config: TrafficConfig) -> Any:
    predict = predictor(model)
    return lambda: -evaluate(predict(validation.inputs), validation, config)["mae"].compute(None)


# === What is set, not learnt ===


def learn_scales(model: keras.Model, prepared: Prepared) -> float:
    """Set each sensor's mean and deviation, and begin the tables between sensors at their correlations.

    Returns:
        The mean deviation, in the unit of the readings.
    """
    readings, _ = record(prepared.train)
    mean, deviation = _mean_and_deviation(readings.astype(np.float64))
    scale = model.get_layer("scale")
    scale.mean.assign(mean)
    scale.deviation.assign(deviation)
    names = {layer.name for layer in model.layers}
    if "others" in names:
        values = np.nan_to_num((readings - mean) / deviation)
        together = np.isfinite(readings).astype(np.float64)
        correlation = values.T @ values / np.maximum(together.T @ together, 1)
        others = model.get_layer("others")
        others.logits.assign(_beginnings(correlation, prepared.plan.weights, others.heads))
        model.get_layer("filled").coefficients.assign(_regression(correlation))
    return float(deviation.mean())


def _mean_and_deviation(readings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both (sensor,); a sensor without readings gets those of all, one that never changes a deviation of 1."""
    count = np.isfinite(readings).sum(axis=0)
    filled = np.nan_to_num(readings)
    overall = filled.sum() / max(count.sum(), 1)
    mean = np.where(count > 0, filled.sum(axis=0) / np.maximum(count, 1), overall)
    square = np.where(np.isfinite(readings), (filled - mean) ** 2, 0)
    spread = np.sqrt(square.sum(axis=0) / np.maximum(count, 1))
    usual = float(np.sqrt(square.sum() / max(count.sum(), 1))) or 1.0
    return mean, np.where((count > 0) & (spread > 0), spread, usual)


def _beginnings(correlation: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Return (head, sensor, sensor) logits: correlations at several sharpnesses, the last one with the neighbours."""
    made = [sharpness * correlation for sharpness in (18.0, 12.0, 6.0)]
    if weights.size:
        made.insert(0, np.log(weights + 0.02) + 8 * correlation)
    return np.stack(made[:count][::-1] if len(made) >= count else [*made[::-1], *made[: count - len(made)]])


def _regression(correlation: np.ndarray) -> np.ndarray:
    """Return (sensor, sensor) coefficients of each sensor on all others, shrunk towards none."""
    inverse = np.linalg.inv((1 - _RIDGE) * correlation + _RIDGE * np.eye(len(correlation)))
    coefficients = -inverse / np.diag(inverse)[:, None]
    np.fill_diagonal(coefficients, 0)
    return np.asarray(coefficients)


def calibrate(model: keras.Model, validation: Examples, coverage: float) -> None:
    """Widen or narrow the band at each step so that it holds the wanted share of validation readings.

    Source: Romano, Patterson & Candès 2019, NeurIPS.
    """
    found, target = predictor(model)(validation.inputs), validation.target
    outside = np.maximum(found[LOW] - target, target - found[HIGH]) / np.asarray(model.get_layer("scale").deviation)
    margins = [_upper_quantile(outside[:, step], coverage) for step in range(target.shape[1])]
    model.get_layer("band").margin.assign(np.array(margins, dtype=np.float32))


def _upper_quantile(scores: np.ndarray, share: float) -> float:
    there = scores[np.isfinite(scores)]
    if not there.size:
        return 0.0
    level = min(1.0, math.ceil((there.size + 1) * share) / there.size)
    return float(np.quantile(there, level, method="higher"))
