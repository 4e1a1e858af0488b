"""The forecasting networks: functional Keras graphs from readings with gaps to medians and bands."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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

HEADS = 2
ROUNDS = 4
MOST_WEIGHTS = 4_000_000
"""What the tables between sensors may hold; larger networks get fewer heads, or none."""
STRAIGHT = 0.6  # deviations from which a large error counts by its size, not by its square (Huber 1964)
BAND_WEIGHT = 0.5
SEEDS = 1000  # between the seeds of two members
_RIDGE = 0.1

Trunk = Callable[[Any, Any, Any], tuple[Any, Any, Any]]
"""Values, presence, both (batch, sensor, step), and waves of the clock to centre, room below and room above it, each
(batch, sensor, horizon), all in deviations of the sensor."""


def build_model(plan: Plan, settings: ModelSettings, trunks: Sequence[Trunk] = ()) -> keras.Model:
    """Return an uncompiled network: the mean of some trunks, of new ones if none are given.

    Args:
        plan: sensors, window, horizon and interval.
        settings: kind and size.
        trunks: members, with their weights.

    Returns:
        A model of ``readings`` float32 (batch, window, sensor), NaN where missing, and ``moment`` int32 (batch, 2),
        with float32 outputs ``median``, ``low`` and ``high`` (batch, horizon, sensor) in the unit of the readings.
    """
    trunks = trunks or [build_trunk(plan, settings, number) for number in range(settings.members)]
    readings = layers.Input((plan.window, len(plan.sensors)), name=READINGS)
    moment = layers.Input((2,), dtype="int32", name=MOMENT)
    scale = Standardised(len(plan.sensors), name="scale")
    values, presence = scale(readings)
    waves = ClockFeatures(plan.steps_a_day, name="waves")(moment)
    parts = zip(*(trunk(values, presence, waves) for trunk in trunks), strict=True)
    centre, below, above = (sum(part[1:], part[0]) / len(part) for part in parts)
    low, high = Band(plan.horizon, name="band")(centre, below, above)
    outputs = {name: scale.back(part) for name, part in ((MEDIAN, centre), (LOW, low), (HIGH, high))}
    return keras.Model({READINGS: readings, MOMENT: moment}, outputs, name="transportation")


def build_trunk(plan: Plan, settings: ModelSettings, number: int = 0) -> Trunk:
    """Return the layers of a member as a function; members of one model have different numbers."""
    name, sensors = f"member_{number}", len(plan.sensors)
    count = heads(sensors) if settings.neighbours else 0
    others = OtherSensors(sensors, count, name=f"{name}_others") if count else None
    filled = Filled(sensors, ROUNDS, name=f"{name}_filled")
    encode = (_identity if settings.kind == "identity" else _recurrent)(plan, settings, name)
    clock = layers.Dense(settings.clock, name=f"{name}_clock")
    which = Identity(sensors, settings.identity, name=f"{name}_identity")
    blocks = _blocks(settings, name)
    start = keras.initializers.RandomNormal(stddev=0.01)
    raw = layers.Dense(3 * plan.horizon, kernel_initializer=start, name=f"{name}_raw")
    fading = Fading(plan.horizon, name=f"{name}_fading")

    def forecast(values: Any, presence: Any, waves: Any) -> tuple[Any, Any, Any]:
        known, held, last = [values, presence], [], values
        if others is not None:
            found = others(values, presence)
            averages, held = found[:count], found[count:]
            last = filled(values, presence, averages[-1])
            known += [*averages, last]
        seen = encode(known, held)
        when = ops.tile(ops.expand_dims(clock(waves), 1), (1, sensors, 1))  # a sum with zeros does not convert
        state = blocks(layers.Concatenate()([seen, which(seen), when]))
        centre, below, above = ops.split(raw(state), 3, axis=-1)
        return centre + fading(last[..., -1:]), ops.softplus(below - 0.5), ops.softplus(above - 0.5)

    return forecast


def heads(sensors: int) -> int:
    """Return how many averages over the other sensors a network of this size affords."""
    return min(HEADS, MOST_WEIGHTS // sensors**2 - 1) if sensors > 1 and 2 * sensors**2 <= MOST_WEIGHTS else 0


def _identity(plan: Plan, settings: ModelSettings, name: str) -> Any:
    """Return each sensor by itself, told apart by its description alone (Shao et al. 2022, CIKM, STID)."""
    seen = layers.Dense(settings.width, name=f"{name}_seen")
    return lambda known, held: seen(layers.Concatenate()([*known, *held]))


def _recurrent(plan: Plan, settings: ModelSettings, name: str) -> Any:
    """Return the same from an encoder of the window (Cho et al. 2014, EMNLP) instead of one product."""
    encoder = LoopGRU(settings.width, name=f"{name}_encoder")

    def encode(known: list[Any], held: list[Any]) -> Any:
        sequence = ops.reshape(ops.stack(known, axis=-1), (-1, plan.window, len(known)))
        return ops.reshape(encoder(sequence), (-1, len(plan.sensors), settings.width))

    return encode


def _blocks(settings: ModelSettings, name: str) -> Callable[[Any], Any]:
    """Return residual perceptrons, each normalised first."""
    width = settings.width + settings.identity + settings.clock
    made = [
        (
            layers.LayerNormalization(name=f"{name}_norm_{number}"),
            layers.Dense(width, activation="relu", name=f"{name}_inner_{number}"),
            layers.Dropout(settings.dropout, name=f"{name}_dropout_{number}"),
            layers.Dense(width, name=f"{name}_outer_{number}"),
        )
        for number in range(settings.blocks)
    ]
    last = layers.LayerNormalization(name=f"{name}_norm")

    def apply(state: Any) -> Any:
        for norm, inner, dropout, outer in made:
            state = state + outer(dropout(inner(norm(state))))
        return last(state)

    return apply


def fit_model(
    prepared: Prepared, config: TrafficConfig, *, seed: int, report: Progress, log: Path | None = None
) -> Fitted:
    """Fit the members; their epochs are chosen by the masked error on validation, where the band is calibrated, too."""
    statistics, trunks, courses = learn_statistics(prepared), list[Trunk](), list[Fitted]()
    for number in range(config.model.members):
        report(f"member {number + 1} of {config.model.members}")
        seed_everything(seed + SEEDS * number)
        trunks.append(build_trunk(prepared.plan, config.model, number))
        model = build_model(prepared.plan, config.model, trunks[-1:])
        begin(model, statistics, prepared.plan.weights)
        _compile(model, config, windows=len(prepared.train), scale=float(statistics.deviation.mean()))
        data = batches(prepared.train, config.training, seed=seed + SEEDS * number)
        score = _validation_score(model, prepared.validation, config)
        courses.append(fit(model, data, settings=config.training, score=score, report=report, log=log))
        log = None  # the first member's course stands for all
    joined = build_model(prepared.plan, config.model, trunks)
    joined.get_layer("scale").set_weights([statistics.mean, statistics.deviation])
    calibrate(joined, prepared.validation, config.decision.coverage)
    return Fitted(joined, courses[0].history, courses[0].best_epoch, sum(course.seconds for course in courses))


def _compile(model: keras.Model, config: TrafficConfig, *, windows: int, scale: float) -> None:
    below, above = (1 - config.decision.coverage) / 2, (1 + config.decision.coverage) / 2
    model.compile(
        optimizer=_optimizer(config, windows=windows),
        loss={MEDIAN: _huber(scale), LOW: _pinball(below, scale), HIGH: _pinball(above, scale)},
        loss_weights={MEDIAN: 1.0, LOW: BAND_WEIGHT, HIGH: BAND_WEIGHT},
    )


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
        error, there = _error(truth, forecast, scale)
        size = ops.abs(error)
        return _mean(ops.where(size < STRAIGHT, size * size, STRAIGHT * (2 * size - STRAIGHT)), there)

    return loss


def _pinball(share: float, scale: float) -> Any:
    """Return the loss whose minimum is a quantile (Koenker & Bassett 1978, Econometrica 46)."""

    def loss(truth: Any, forecast: Any) -> Any:
        error, there = _error(truth, forecast, scale)
        return _mean(ops.maximum(share * error, (share - 1) * error), there)

    return loss


def _error(truth: Any, forecast: Any, scale: float) -> tuple[Any, Any]:
    """Return scaled errors, 0 where no truth is (a NaN would come back in the gradient), and where there is one."""
    there = ops.equal(truth, truth)
    return (ops.where(there, truth, forecast) - forecast) / scale, ops.cast(there, "float32")


def _mean(losses: Any, there: Any) -> Any:
    return ops.sum(losses * there) / ops.maximum(ops.sum(there), 1.0)


def _validation_score(model: keras.Model, validation: Examples, config: TrafficConfig) -> Any:
    predict = predictor(model)
    return lambda: -evaluate(predict(validation.inputs), validation, config)["mae"].compute(None)


# === What is set, not learnt ===


@dataclass(frozen=True, eq=False)
class Statistics:
    """What training readings say of each sensor: mean and deviation (sensor,), correlation (sensor, sensor)."""

    mean: np.ndarray
    deviation: np.ndarray
    correlation: np.ndarray


def learn_statistics(prepared: Prepared) -> Statistics:
    """Return what the training readings say, pair by pair where both were there."""
    readings = record(prepared.train)[0].astype(np.float64)
    mean, deviation = _mean_and_deviation(readings)
    values = np.nan_to_num((readings - mean) / deviation)
    together = np.isfinite(readings).astype(np.float64)
    return Statistics(mean, deviation, values.T @ values / np.maximum(together.T @ together, 1))


def begin(model: keras.Model, statistics: Statistics, weights: np.ndarray) -> None:
    """Set each sensor's mean and deviation, and begin the tables between sensors at their correlations."""
    for layer in model.layers:
        if isinstance(layer, Standardised):
            layer.set_weights([statistics.mean, statistics.deviation])
        elif isinstance(layer, OtherSensors):
            layer.logits.assign(_beginnings(statistics.correlation, weights, layer.heads))
        elif isinstance(layer, Filled):
            layer.coefficients.assign(_regression(statistics.correlation))


def _mean_and_deviation(readings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both (sensor,); a sensor without readings gets those of all, one that never changes their deviation."""
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
    nearest = np.log(weights + 0.02) + 8 * correlation if weights.size else 15 * correlation
    made = [nearest, *(sharpness * correlation for sharpness in (6, 12, 18))]
    return np.stack(made[:count][::-1])


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
    rank = min(there.size, math.ceil((there.size + 1) * share))
    return float(np.partition(there, rank - 1)[rank - 1])
