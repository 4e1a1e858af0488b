"""The segmentation network: raw behaviour to segment, code, expected orders and spend, and coming back, in one graph.

Segments come from a linear code (``segmentation``, ``refine``); what is expected comes from a small ensemble beside it,
which sees the behaviour and the code. Both look at the same preprocessing, which is the first layer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from ...shared.domain import Examples, Prepared, Progress
from ...shared.training import Fitted, fit, predictor, seed_everything
from . import bgnbd
from .choice import choose_segments
from .config import MarketingConfig, ModelSettings
from .features import BEHAVIOUR, CODE, COMES_BACK, DAYS_A_WEEK, ORDERS, SEGMENTS, SPEND, Plan, histories
from .layers import Expectation, Membership, Purchases, Standardized
from .refine import refine
from .segmentation import Segmentation, fit_segmentation, parts

AVERAGE = 0.99
"""Momentum of the running average of the weights, by step."""
MEMBERS = "members"
HISTORY = ("orders", "spend", "recency_days", "age_days")
"""What the purchase model looks at."""


def build_model(plan: Plan, settings: ModelSettings, *, segments: int) -> keras.Model:
    """Return the untrained network.

    Input: ``behaviour`` float32 (batch, name), raw, NaN where unknown. Outputs: ``segments`` float32 (batch, segment)
    probabilities; ``code`` float32 (batch, code); ``orders``, ``spend`` (in the currency of the data) and
    ``comes_back`` (probability), each float32 (batch, 1), for the horizon.
    """
    given = layers.Input((len(plan.names),), dtype="float32", name=BEHAVIOUR)
    scaled = Standardized(name="standardized")(given)
    code = layers.Dense(settings.code, name=CODE)(scaled)
    seen = layers.Concatenate()([scaled, code])
    purchases = Purchases(
        [plan.names.index(name) for name in HISTORY], plan.horizon_days / DAYS_A_WEEK, name="purchases"
    )(given)
    corrections = [_correction(seen, settings, number) for number in range(settings.members)]
    members = ops.stack([purchases + correction for correction in corrections], axis=1)
    members = layers.Activation("linear", name=MEMBERS)(members)
    orders, spend, back = Expectation(name="expectation")(members)
    outputs = {
        SEGMENTS: Membership(segments, settings.assignment, name=SEGMENTS)(code),
        CODE: code,
        ORDERS: orders,
        SPEND: spend,
        COMES_BACK: back,
    }
    return keras.Model({BEHAVIOUR: given}, outputs)


def _correction(seen: Any, settings: ModelSettings, number: int) -> Any:
    """Return (batch, 3), what a member adds to the log orders, logit of coming back and log spend of ``Purchases``."""
    hidden = seen
    for depth in range(2):
        hidden = layers.Dense(settings.width, activation="silu", name=f"member_{number}_{depth}")(hidden)
        hidden = layers.Dropout(settings.dropout)(hidden)
    return layers.Dense(3, kernel_initializer="zeros", name=f"member_{number}_head")(hidden)


def fit_model(
    prepared: Prepared, config: MarketingConfig, *, seed: int, report: Progress, log: Path | None = None
) -> Fitted:
    """Choose the number of segments, fit them, then fit what is expected; epochs are chosen on validation."""
    started = time.perf_counter()
    seed_everything(seed)
    chosen = choose_segments(prepared, config, report=report)
    model = build_model(prepared.plan, config.model, segments=chosen.segments)
    set_segmentation(model, fitted_segmentation(prepared.train, config.model, segments=chosen.segments))
    labelled = prepared.train.take(np.isfinite(prepared.train.target[:, 0]))
    _set_purchases(model, parts(prepared.train)[1], prepared.plan)
    trained = keras.Model(model.inputs, {MEMBERS: model.get_layer(MEMBERS).output})
    model.get_layer(CODE).trainable = False
    trained.compile(optimizer=_optimizer(config, len(labelled)), loss={MEMBERS: _Loss(labelled.target)})
    fitted = fit(
        trained,
        labelled,
        settings=config.training,
        score=_validation_score(trained, prepared.validation, _Loss(labelled.target)),
        report=report,
        log=log,
    )
    model.get_layer(CODE).trainable = True
    _set_levels(model, trained, labelled)
    seconds = time.perf_counter() - started
    settings = {"model": {"segments": chosen.segments}}
    return Fitted(model, fitted.history, fitted.best_epoch, seconds, chosen.notes, settings)


def fitted_segmentation(train: Examples, settings: ModelSettings, *, segments: int) -> Segmentation:
    """Fit code and segments as they ship; a refit for the stability is this on resampled customers."""
    return refine(fit_segmentation(train, segments=segments, code=settings.code), train, assignment=settings.assignment)


def set_segmentation(model: keras.Model, fitted: Segmentation) -> None:
    """Write preprocessing, code and segments into the network."""
    model.get_layer("standardized").set(fitted.standards)
    model.get_layer(CODE).set_weights([fitted.kernel, fitted.bias])
    model.get_layer(SEGMENTS).set(fitted.centres, fitted.variance)


def _set_purchases(model: keras.Model, current: np.ndarray, plan: Plan) -> None:
    """Fit the purchase model to the customers as they stand at the calibration date, without what follows."""
    found = bgnbd.fit(*histories(current, plan.names))
    model.get_layer("purchases").set(found.r, found.alpha, found.a, found.b)


@keras.saving.register_keras_serializable("edgekit")
class _Loss(keras.losses.Loss):  # type: ignore[misc]
    """Poisson of orders, cross-entropy of coming back, squared error of log spend of those who do, by member."""

    def __init__(self, target: np.ndarray, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        spent = np.log(np.maximum(target[target[:, 1] > 0, 1], 1e-2))
        self.spread = float(max(spent.std(), 0.1)) if len(spent) else 1.0

    def call(self, target: Any, members: Any) -> Any:
        orders, spend = target[:, None, 0], target[:, None, 1]
        back = ops.cast(orders > 0, "float32")
        rate, logit, expected = members[:, :, 0], members[:, :, 1], members[:, :, 2]
        poisson = ops.exp(ops.clip(rate, -10.0, 6.0)) - orders * rate
        cross = ops.softplus(logit) - back * logit
        error = back * ops.square((expected - ops.log(ops.maximum(spend, 1e-2))) / self.spread) / 2
        return ops.mean(poisson + cross + error, axis=-1)


def _optimizer(config: MarketingConfig, rows: int) -> keras.optimizers.Optimizer:
    steps = config.training.epochs * -(-rows // config.training.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(config.training.learning_rate, steps)
    return keras.optimizers.AdamW(rate, weight_decay=config.training.weight_decay, use_ema=True, ema_momentum=AVERAGE)


def _validation_score(
    trained: keras.Model, validation: Examples, loss: Callable[[Any, Any], Any]
) -> Callable[[], float]:
    predict, known = predictor(trained), validation.take(np.isfinite(validation.target[:, 0]))
    return lambda: -float(loss(known.target, predict(known.inputs)[MEMBERS]))


def _set_levels(model: keras.Model, trained: keras.Model, labelled: Examples) -> None:
    """Learn the variance of log spend, and the levels with which expectations add up on the training customers."""
    members, (orders, spend) = predictor(trained)(labelled.inputs)[MEMBERS], labelled.target.T
    spent = spend > 0
    residual = np.log(spend[spent])[:, None] - members[spent, :, 2] if spent.any() else np.zeros(1)
    expectation = model.get_layer("expectation")
    expectation.set(float(np.square(residual).mean()), np.ones(2, np.float32))
    expected = predictor(model)(labelled.inputs)
    level = [orders.sum() / expected[ORDERS].sum(), spend.sum() / expected[SPEND].sum()]
    expectation.set(float(np.square(residual).mean()), np.array(level, np.float32))
