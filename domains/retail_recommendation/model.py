"""The recommendation networks: functional Keras graphs from a history of codes to the best items."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from ...shared.domain import Examples, Prepared, Progress
from ...shared.recurrent import LoopGRU
from ...shared.training import Fitted, predictor, seed_everything
from .config import ModelSettings, RetailConfig
from .evaluate import ITEMS, SCORES, evaluate
from .features import TOP, Plan
from .layers import CausalAttention, Highest, ItemTable, WithoutSeen
from .learning import batches, count_batches, learn, learner

ALL_SCORES = "all_scores"
MAX_VALIDATION = 20_000  # examples that choose the epoch


def build_model(plan: Plan, settings: ModelSettings) -> tuple[keras.Model, keras.Model]:
    """Return the encoder and the network; both share their weights.

    Args:
        plan: window, places to exclude and catalogue.
        settings: kind and size.

    Returns:
        The encoder: codes int32 (batch, any step) to states float32 (batch, step, width). The network: ``history``
        int32 (batch, window) and ``exclude`` int32 (batch, excluded) to ``items`` int32 and ``scores`` float32 (batch,
        top), highest first, without what was had or is excluded; and ``all_scores`` float32 (batch, item + 1), of
        everything.
    """
    table = ItemTable(len(plan.items) + 1, settings.width, name="items")
    encode = _transformer(settings) if settings.kind == "transformer" else _recurrent(settings)
    codes = layers.Input((None,), dtype="int32", name="codes")
    encoder = keras.Model(codes, encode(table, codes), name="encoder")
    history = layers.Input((plan.window,), dtype="int32", name="history")
    exclude = layers.Input((plan.excluded,), dtype="int32", name="exclude")
    scores = table(encoder(history)[:, -1], reverse=True)
    left = WithoutSeen(name="without_seen")(scores, layers.Concatenate()([history, exclude]))
    items, highest = Highest(min(TOP, len(plan.items)), name="highest")(left)
    outputs = {ITEMS: items, SCORES: highest, ALL_SCORES: scores}
    return encoder, keras.Model({"history": history, "exclude": exclude}, outputs, name="retail_recommendation")


def _transformer(settings: ModelSettings) -> Any:
    """Return a function of table and codes: blocks of attention and dense layers, each normalised first."""
    width = settings.width
    drop = [layers.Dropout(settings.dropout) for _ in range(1 + 2 * settings.blocks)]
    blocks = [
        (
            layers.LayerNormalization(epsilon=1e-6, name=f"attention_norm_{number}"),
            CausalAttention(width, settings.heads, settings.window, settings.dropout, name=f"attention_{number}"),
            layers.LayerNormalization(epsilon=1e-6, name=f"dense_norm_{number}"),
            layers.Dense(2 * width, activation="gelu", name=f"widen_{number}"),
            layers.Dense(width, name=f"narrow_{number}"),
        )
        for number in range(settings.blocks)
    ]
    last = layers.LayerNormalization(epsilon=1e-6, name="last_norm")

    def encode(table: ItemTable, codes: Any) -> Any:
        states = drop[0](table(codes))
        for number, (first, attention, second, widen, narrow) in enumerate(blocks):
            states = states + drop[1 + 2 * number](attention(first(states), codes))
            states = states + drop[2 + 2 * number](narrow(widen(second(states))))
        return last(states)

    return encode


def _recurrent(settings: ModelSettings) -> Any:
    """Return a function of table and codes: gated recurrent layers (Hidasi et al. 2016, ICLR, GRU4Rec)."""
    drop = layers.Dropout(settings.dropout)
    gates = [LoopGRU(settings.width, sequences=True, name=f"gru_{number}") for number in range(settings.blocks)]
    last = layers.LayerNormalization(epsilon=1e-6, name="last_norm")

    def encode(table: ItemTable, codes: Any) -> Any:
        states = drop(table(codes))
        for gate in gates:
            states = gate(states)
        return last(states)

    return encode


def fit_model(
    prepared: Prepared, config: RetailConfig, *, seed: int, report: Progress, log: Path | None = None
) -> Fitted:
    """Fit the network; its epoch is chosen by NDCG@10 on validation."""
    seed_everything(seed)
    settings, train = config.training, prepared.train
    encoder, model = build_model(prepared.plan, config.model)
    history, target, tokens = train.inputs["history"], train.target, settings.batch_size
    steps = settings.epochs * count_batches(target, tokens=tokens)
    one = learner(encoder, model.get_layer("items").table, target, settings, steps=steps)
    rng = np.random.default_rng(seed)

    def epoch() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return batches(history, target, tokens=tokens, rng=rng)

    course = learn(one, epoch, score=_validation_score(model, prepared.validation, config), report=report, log=log)
    return Fitted(model, course.history, course.best_epoch, course.seconds)


def _validation_score(model: keras.Model, validation: Examples, config: RetailConfig) -> Any:
    few = validation.take(
        np.unique(np.linspace(0, len(validation) - 1, min(len(validation), MAX_VALIDATION)).astype(int))
    )
    predict = predictor(keras.Model(model.input, {name: model.output[name] for name in (ITEMS, SCORES)}))
    return lambda: evaluate(predict(few.inputs), few, config)["ndcg@10"].compute(None)
