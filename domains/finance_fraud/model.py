"""The fraud networks: functional Keras graphs with the preprocessing first.

Compared on validation weeks of the Fraud Detection Handbook's simulated data (training weeks from 2018-05-16 to
2018-06-13, each with a test week two weeks later), by average precision and on the same features:

- earlier features, five weeks, three seeds: multilayer perceptron on scaled numbers .719, with the piecewise-linear
  embedding .742, residual blocks with it .745, an implicit ensemble of eight (TabM) with it .755;
- these features, five weeks: residual blocks .757, gradient boosting .761, the ensemble .768;
- these features, three weeks: the ensemble .775; with one member weight a feature .776; with the linear path beside it
  .776 and AUC .897 instead of .894; wider, deeper or more strongly regularised, the same within .002;
- stopping at the best sum of AUC and average precision raised AUC from .892 to .896 and cost .004 of average precision.
- two weeks, one seed: ``tabular`` .781 (AUC .892), ``sequence`` .781 (AUC .895) at twice the time to fit,
  ``autoencoder``, fitted without labels, .212 (AUC .837).

The ensemble with the linear path is therefore the default, ``tabular``: the last transactions add nothing to the
average precision that the windows do not hold already.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from ...shared.decisions import fit_platt
from ...shared.domain import Examples, Prepared, Progress
from ...shared.metrics import average_precision
from ...shared.recurrent import LoopGRU
from ...shared.training import Fitted, fit, predictor, seed_everything
from .config import FraudConfig, ModelSettings
from .features import Plan
from .layers import Calibration, MemberHead, MemberScale, NumericEmbedding

SCORE = "probability"
ENCODER_UNITS = 16
HISTORY_BINS = 4


def build_model(plan: Plan, settings: ModelSettings, *, prior: float) -> keras.Model:
    """Return an uncompiled network with named inputs as ``features.inputs`` makes them.

    Args:
        plan: the inputs.
        settings: kind and size.
        prior: share of frauds in training, 0…1 exclusive, where the output starts.

    Returns:
        A model whose output ``probability`` is float32 (batch, 1), 0…1. Its layer ``logits``, float32
        (batch, member), is what is trained.
    """
    inputs, blocks = _encode(plan, settings)
    unsupervised = settings.kind == "autoencoder"
    logits = _reconstruction(blocks, settings) if unsupervised else _ensemble(blocks, settings, prior)
    mean = ops.mean(logits, axis=1, keepdims=True)
    return keras.Model(inputs, {SCORE: Calibration(name="calibration")(mean)}, name="finance_fraud")


def _encode(plan: Plan, settings: ModelSettings) -> tuple[dict[str, Any], list[Any]]:
    """Return the inputs and their encodings, each float32 (batch, feature, width)."""
    inputs, blocks = {}, []
    if plan.columns:
        inputs["numeric"] = layers.Input((len(plan.columns),), dtype="float32", name="numeric")
        blocks.append(NumericEmbedding(settings.bins, name="numeric_embedding")(inputs["numeric"]))
    if plan.vocabularies:
        inputs["categorical"] = layers.Input((len(plan.vocabularies),), dtype="int32", name="categorical")
        blocks += _category_embeddings(inputs["categorical"], plan, learnt=settings.kind != "autoencoder")
    if plan.history:
        inputs["history"] = layers.Input((plan.history, 3), dtype="float32", name="history")
        steps = NumericEmbedding(HISTORY_BINS, name="history_embedding")(ops.reshape(inputs["history"], (-1, 3)))
        sequence = ops.reshape(steps, (-1, plan.history, steps.shape[1] * steps.shape[2]))
        blocks.append(LoopGRU(ENCODER_UNITS, name="encoder")(sequence)[:, None, :])
    return inputs, blocks


def _category_embeddings(codes: Any, plan: Plan, *, learnt: bool) -> list[Any]:
    """Embed each category; an autoencoder's stay fixed, or it would learn to make them all alike."""
    tables = [
        layers.Embedding(len(words) + 1, min(16, 2 + len(words) // 4), name=f"category_{number}", trainable=learnt)
        for number, words in enumerate(plan.vocabularies.values())
    ]
    return [table(codes[:, number : number + 1]) for number, table in enumerate(tables)]


def _ensemble(blocks: list[Any], settings: ModelSettings, prior: float) -> Any:
    """Return (batch, member) logits of a deep ensemble and a linear path beside it (Cheng et al. 2016, Wide & Deep)."""
    hidden = _joined([MemberScale(settings.members)(block) for block in blocks])
    for number in range(settings.depth):
        # two-dimensional, so that it becomes one fully connected op, which the quantizers know
        flat = ops.reshape(hidden, (-1, hidden.shape[-1]))
        shared = layers.Dense(settings.width, activation="relu", name=f"dense_{number}")(flat)
        hidden = ops.reshape(shared, (-1, settings.members, settings.width))
        hidden = layers.Dropout(settings.dropout)(hidden)
    deep = MemberHead(prior=float(np.log(prior / (1 - prior))), name="members")(hidden)
    wide = layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="wide")(_flat(blocks))
    return layers.Add(name="logits")([deep, wide])


def _flat(blocks: list[Any]) -> Any:
    return _joined([ops.reshape(block, (-1, block.shape[1] * block.shape[2])) for block in blocks])


def _joined(parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else layers.Concatenate()(parts)


def _reconstruction(blocks: list[Any], settings: ModelSettings) -> Any:
    """Return (batch, 1) the logarithm of the mean squared error with which a narrow network repeats its input."""
    encoded = _flat(blocks)
    hidden = layers.Dense(settings.width, activation="relu", name="compress")(encoded)
    hidden = layers.Dense(max(2, settings.width // 8), activation="relu", name="code")(hidden)
    hidden = layers.Dense(settings.width, activation="relu", name="expand")(hidden)
    repeated = layers.Dense(encoded.shape[-1], name="repeated")(hidden)
    error = ops.mean(ops.square(repeated - encoded), axis=-1, keepdims=True)
    return layers.Activation("linear", name="logits")(ops.log(error + 1e-6))


def fit_model(
    prepared: Prepared, config: FraudConfig, *, seed: int, report: Progress, log: Path | None = None
) -> Fitted:
    """Fit the network; its epoch and its calibration are chosen on validation."""
    seed_everything(seed)
    train, validation = prepared.train, prepared.validation
    unsupervised = config.model.kind == "autoencoder"
    model = build_model(prepared.plan, config.model, prior=float(np.clip(train.target.mean(), 1e-4, 0.5)))
    _learn_scales(model, train, np.zeros_like(train.target) if unsupervised else train.target)
    trained = keras.Model(model.inputs, {"logits": model.get_layer("logits").output})
    trained.compile(
        optimizer=_optimizer(config), loss={"logits": _mean_error if unsupervised else _member_cross_entropy}
    )
    fitted = fit(
        trained,
        Examples(train.inputs, train.target[:, None]),
        settings=config.training,
        score=_validation_score(trained, validation, unsupervised),
        report=report,
        log=log,
    )
    calibrate(model, validation)
    return Fitted(model, fitted.history, fitted.best_epoch, fitted.seconds)


def calibrate(model: keras.Model, validation: Examples) -> None:
    """Fit the Platt scaling inside ``model`` on validation."""
    logits = _mean_logits(keras.Model(model.inputs, {"logits": model.get_layer("logits").output}), validation)
    model.get_layer("calibration").set(*fit_platt(logits, validation.target))


def _learn_scales(model: keras.Model, train: Examples, target: np.ndarray) -> None:
    if "numeric" in train.inputs:
        model.get_layer("numeric_embedding").learn(train.inputs["numeric"], target)
    if "history" in train.inputs:
        steps = train.inputs["history"]
        each = np.repeat(target, steps.shape[1])
        model.get_layer("history_embedding").learn(steps.reshape(-1, steps.shape[-1]), each)


def _optimizer(config: FraudConfig) -> keras.optimizers.Optimizer:
    optimizer = keras.optimizers.AdamW(config.training.learning_rate, weight_decay=config.training.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["scale", "bias"])
    return optimizer


def _member_cross_entropy(target: Any, logits: Any) -> Any:
    """Train every member on its own error; averaging first would let them hide behind each other."""
    each = keras.ops.binary_crossentropy(ops.broadcast_to(target, ops.shape(logits)), logits, from_logits=True)
    return ops.mean(each, axis=-1)


def _mean_error(target: Any, log_error: Any) -> Any:
    return ops.mean(ops.exp(log_error), axis=-1)


def _validation_score(trained: keras.Model, validation: Examples, unsupervised: bool) -> Callable[[], float]:
    predict = predictor(trained)

    def score() -> float:
        logits = predict(validation.inputs)["logits"].mean(axis=1)
        return -float(np.exp(logits).mean()) if unsupervised else average_precision(validation.target, logits)

    return score


def _mean_logits(trained: keras.Model, examples: Examples) -> np.ndarray:
    mean: np.ndarray = predictor(trained)(examples.inputs)["logits"].mean(axis=1)
    return mean
