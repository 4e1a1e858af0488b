"""The imaging networks: functional Keras graphs from uint8 levels to probabilities, doubt and heat maps.

Compared on training and validation images of PneumoniaMNIST, whose test images differ in kind. Validation saturates
(area under the curve .99 and more for everything), so those 500 images were held out of training whose acquisition
(levels, sharpness, borders) contradicts their class the most; on these, by area under the curve, one seed, differences
below .01 being noise:

- 10 epochs: no augmentation .709, standardised images .813; with all variations .831, standardised .832, standardised
  and local contrast .842, local contrast alone .855; group norm .771, instance norm early .842, mixed styles .835;
- of the variations, with local contrast: without sharpness .831, without tones .822, without noise .857, without
  erasing .864, without shading .868, with mixup .839, with cutmix .832, with half the movement .873, without movement
  .916, but then .842 once the images are moved, against .896;
- 30 epochs, no erasing, no shading, half the movement: local contrast .914 and .909 (two seeds), standardised .887,
  wider (279k weights) .911, weighted against the acquisition .913; four networks together .915;
- 60 epochs .921; with this module the last epoch .922, the epoch of least validation log loss (30) .916, weights
  averaged with momentum .998 over 40 epochs .913.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from scipy.optimize import minimize

from ...shared.chosen_rows import spread
from ...shared.domain import Examples, Prepared, Progress
from ...shared.errors import ConfigError
from ...shared.training import Fitted, fit, predictor, seed_everything
from .batches import class_weights, most_images, training_batches, varied
from .config import ImagingConfig, ModelSettings
from .evaluate import one_hot
from .features import Plan
from .layers import Cast, FeatureDistance, LevelStatistics, LocalContrast, Temperature
from .verdicts import DISTANCE, HEAT, PROBABILITY, SUSPICION

COARSEST = 8
"""The last map has at most this many rows: fewer see the whole, more show where."""
NARROWEST = 16
LARGE = 96
"""From this edge on the first convolution strides, or the first stage would take most of the time."""
BIAS_PENALTY = 1e-2
_INPUT_SCALES = {"MobileNetV2": (1 / 127.5, -1.0)}  # the others rescale inside


def build_model(plan: Plan, settings: ModelSettings) -> keras.Model:
    """Return an uncompiled network.

    Args:
        plan: the form of the images, and the classes.
        settings: kind and size.

    Returns:
        A model of ``image`` uint8 (batch, size, size, channel) with float32 outputs ``probability`` (batch, class),
        ``suspicion`` (batch, 1), ``distance`` (batch, 1) and ``heat`` (batch, row, column, class), the class maps
        whose mean are the logits. Its layer ``logits`` (batch, class) is what is trained.

    Raises:
        ConfigError: the backbone's weights cannot be loaded.
    """
    image = layers.Input((plan.size, plan.size, plan.channels), dtype="uint8", name="image")
    level = _resized(Cast(name="level")(image), settings.size or plan.size)
    encode = _compact if settings.kind == "compact" else _backbone
    maps, pooled = encode(level, settings)
    kept = layers.Dropout(settings.dropout, noise_shape=(None, 1, 1, maps.shape[-1]), name="dropout")(maps)
    heat = layers.Conv2D(len(plan.classes), 1, name="class_maps")(kept)
    logits = layers.GlobalAveragePooling2D(name="logits")(heat)
    scaled = Temperature(name="temperature")(logits)
    probability = ops.sigmoid(scaled) if plan.multi_label else ops.softmax(scaled)
    features = layers.Concatenate(name="features")([LevelStatistics()(level), *pooled])
    outputs = {
        PROBABILITY: probability,
        SUSPICION: _suspicion(probability, plan),
        DISTANCE: FeatureDistance(name="feature_distance")(features),
        HEAT: heat,
    }
    return keras.Model({"image": image}, outputs, name="healthcare_imaging")


def _resized(level: Any, size: int) -> Any:
    """Bring levels to ``size``: halved by averaging while twice too large, which keeps detail from aliasing."""
    while level.shape[1] >= 2 * size:
        level = layers.AveragePooling2D(2)(level)
    return level if level.shape[1] == size else layers.Resizing(size, size, name="resized")(level)


def _suspicion(probability: Any, plan: Plan) -> Any:
    """Return what :func:`.verdicts.suspicion` computes, in the graph."""
    if plan.multi_label:
        return ops.max(probability, axis=1, keepdims=True)
    return 1 - probability[:, plan.normal : plan.normal + 1]


def _compact(level: Any, settings: ModelSettings) -> tuple[Any, list[Any]]:
    """Return the last maps and the pooled maps of every stage of a small residual network."""
    hidden = LocalContrast(name="local_contrast")(level)
    strides, pooled = 2 if level.shape[1] >= LARGE else 1, []
    widths = _widths(level.shape[1] // strides, settings.width)
    hidden = _convolved(hidden, widths[0], strides=strides, name="stem")
    for stage, width in enumerate(widths[1:], start=1):
        hidden = _convolved(layers.AveragePooling2D(2)(hidden), width, name=f"stage_{stage}_in")
        hidden = layers.Add()([hidden, _convolved(hidden, width, name=f"stage_{stage}_residual")])
        pooled.append(layers.GlobalAveragePooling2D(name=f"stage_{stage}_mean")(hidden))
    return hidden, pooled


def _widths(edge: int, last: int) -> list[int]:
    """Return the channels of each stage: as many stages as halve ``edge`` to ``COARSEST``, each twice as wide."""
    stages = 1
    while edge > COARSEST:
        stages, edge = stages + 1, edge // 2
    return [max(min(NARROWEST, last), last >> (stages - 1 - stage)) for stage in range(stages)]


def _convolved(hidden: Any, width: int, *, name: str, strides: int = 1) -> Any:
    hidden = layers.Conv2D(width, 3, strides=strides, padding="same", use_bias=False, name=name)(hidden)
    hidden = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(hidden)
    return layers.ReLU(name=f"{name}_relu")(hidden)


def _backbone(level: Any, settings: ModelSettings) -> tuple[Any, list[Any]]:
    """Return the last maps of a network of keras.applications, with its weights, and their means."""
    rgb = layers.Concatenate(name="rgb")([level] * 3) if level.shape[-1] == 1 else level
    scale, offset = _INPUT_SCALES.get(settings.backbone, (1.0, 0.0))
    rescaled = layers.Rescaling(scale, offset, name="rescaled")(rgb)
    try:
        network = getattr(keras.applications, settings.backbone)(
            include_top=False, weights=settings.weights or None, input_shape=tuple(rescaled.shape[1:])
        )
    except Exception as error:  # a download that fails raises Exception itself
        raise ConfigError(
            f"Cannot make {settings.backbone} for images of {level.shape[1]} pixels with model.weights = "
            f"{settings.weights!r}: {' '.join(str(error).split())[:300]} Use images of at least 32 pixels, and a "
            ".weights.h5 file of that network, imagenet, or nothing."
        ) from error
    network.trainable = not settings.frozen
    maps = network(rescaled)
    return maps, [layers.GlobalAveragePooling2D(name="backbone_mean")(maps)]


def fit_model(
    prepared: Prepared, config: ImagingConfig, *, seed: int, report: Progress, log: Path | None = None
) -> Fitted:
    """Fit the network; its temperature, and its epoch if the best is to be kept, are chosen on validation."""
    seed_everything(seed)
    plan: Plan = prepared.plan
    model = build_model(plan, config.model)
    trained = keras.Model(model.inputs, {"logits": model.get_layer("logits").output})
    truth = one_hot(prepared.train, len(plan.classes)).astype(np.float32)
    weights = class_weights(truth, balanced=config.training.class_weights)
    batches = training_batches(prepared.train, truth, weights, config.training, seed=seed)
    trained.compile(
        optimizer=_optimizer(config, steps=len(batches)), loss={"logits": _loss(plan, config.training.label_smoothing)}
    )
    score = _validation_score(trained, prepared.validation, plan)
    fitted = fit(trained, batches, settings=config.training, score=score, report=report, log=log)
    calibrate(model, varied(prepared.validation, config.training), plan)
    learn_distance(model, prepared.train)
    return Fitted(model, fitted.history, fitted.best_epoch, fitted.seconds)


def _optimizer(config: ImagingConfig, *, steps: int) -> keras.optimizers.Optimizer:
    """Return AdamW with one epoch of warm-up and a cosine fall to almost nothing."""
    settings = config.training
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps * (settings.epochs - 1)), alpha=0.01, warmup_target=settings.learning_rate, warmup_steps=steps
    )
    average = settings.average or None
    optimizer = keras.optimizers.AdamW(
        rate, weight_decay=settings.weight_decay, use_ema=average is not None, ema_momentum=average or 0.99
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _loss(plan: Plan, smoothing: float) -> keras.losses.Loss:
    kind = keras.losses.BinaryCrossentropy if plan.multi_label else keras.losses.CategoricalCrossentropy
    return kind(from_logits=True, label_smoothing=smoothing)


def _validation_score(trained: keras.Model, validation: Examples, plan: Plan) -> Callable[[], float]:
    """Return the negative log loss: unlike the area under the curve it still tells networks apart that rank alike."""
    predict = predictor(trained)
    truth = one_hot(validation, len(plan.classes))
    return lambda: (
        -log_loss(predict(validation.inputs)["logits"].astype(np.float64), truth, multi_label=plan.multi_label)
    )


def log_loss(logits: np.ndarray, truth: np.ndarray, *, multi_label: bool) -> float:
    """Return the mean negative log-likelihood of float64 (image, class) ``truth``, in nats."""
    if multi_label:
        return float(np.mean(np.logaddexp(0, logits) - truth * logits))
    shifted = logits - logits.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - (truth * shifted).sum(axis=1)))


def calibrate(model: keras.Model, validation: Examples, plan: Plan) -> None:
    """Fit temperature and class offsets inside ``model`` on ``validation``; class weights had moved the offsets.

    On validation images alone a network can be all but perfect, and its best temperature claims as much of every other
    machine's images; that of plain and varied images together claims less.
    """
    predict = predictor(keras.Model(model.inputs, {"logits": model.get_layer("logits").output}))
    logits = predict(validation.inputs)["logits"].astype(np.float64)
    truth = one_hot(validation, logits.shape[1])
    # a class that validation lacks keeps its offset and is left out: its absence would be learnt as impossible
    known = truth.any(axis=0)
    seen, wanted = logits[:, known], truth[:, known]

    def cost(constants: np.ndarray) -> float:
        scaled = seen * np.exp(constants[0]) + constants[1:]
        penalty = BIAS_PENALTY * float(np.square(constants[1:]).sum()) / len(seen)
        return log_loss(scaled, wanted, multi_label=plan.multi_label) + penalty

    found = minimize(cost, np.zeros(1 + seen.shape[1]), bounds=[(-4, 4)] + [(-8, 8)] * seen.shape[1]).x
    offset = np.zeros(logits.shape[1])
    offset[known] = found[1:]
    model.get_layer("temperature").set(np.exp(found[0]), offset)


def learn_distance(model: keras.Model, train: Examples) -> None:
    """Tell the distance layer of ``model`` what training images look like."""
    rows = spread(len(train), most_images(train.inputs["image"]))
    predict = predictor(keras.Model(model.inputs, {"features": model.get_layer("features").output}))
    model.get_layer("feature_distance").learn(predict(train.take(rows).inputs)["features"])
