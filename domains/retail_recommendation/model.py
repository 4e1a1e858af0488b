"""The recommendation networks: functional Keras graphs from a history of codes to the best items.

Compared on the validation items of Amazon Beauty 5-core (HR@10 / NDCG@10 of the full ranking, one seed; seeds differ by
.0007 in NDCG). The loss matters most:

- binary cross-entropy with one negative .0588 / .0301; gBCE (Petrov & Macdonald 2023; negatives shared by a batch, best
  of four forms, still rising at the end) .0839 / .0476;
- sampled softmax with the correction by log q .1151 / .0690; all items .1176 / .0702, four times as long;
- sampled, and the last epochs over all items .1171 / .0702 (mean of three seeds .1168 / .0698 against .1158 / .0690).

Then, against the sampled one: fresh masks instead of one .1082 / .0637, the next item only .1082 / .0657, recurrent
layers .1129 / .0661. Of no use: more negatives, a longer average, another temperature, 128 numbers an item.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
from keras import layers, ops

from ...shared.chosen_rows import spread
from ...shared.config import override
from ...shared.domain import Examples, Prepared, Progress
from ...shared.recurrent import LoopGRU
from ...shared.spreadsheet import write_csv
from ...shared.training import Fitted, predictor, seed_everything
from .config import RECIPES, ModelSettings, RetailConfig
from .evaluate import ITEMS, SCORES, evaluate
from .features import TOP, Plan
from .layers import CausalAttention, Cosine, Highest, ItemTable, Thinned, WithoutSeen
from .learning import learn, make_learner

ALL_SCORES = "all_scores"
MAX_VALIDATION = 10_000  # examples that choose the epoch
TEMPERATURE = 0.07  # of the cosines, at the beginning

Encode = Callable[[Any, Any], Any]
"""Codes int32 (batch, step) and vectors float32 (batch, step, width) to states of that form."""


@dataclass(frozen=True)
class Networks:
    """One network in two forms, which share their weights.

    Attributes:
        encoder: ``codes`` int32 (batch, any step) and their ``vectors`` float32 (batch, step, width) to states float32
            (batch, step, width); what learns.
        ranker: ``history`` int32 (batch, window) and ``exclude`` int32 (batch, excluded) to ``items`` int32 and
            ``scores`` float32 (batch, top), highest first, without what was had or is excluded; and ``all_scores``
            float32 (batch, item + 1), of everything. What ships.
        table: of the ranker.
    """

    encoder: keras.Model
    ranker: keras.Model
    table: ItemTable


def build_model(plan: Plan, settings: ModelSettings) -> Networks:
    """Return the network for the window, the places to exclude and the catalogue of ``plan``."""
    encode = _transformer(settings) if settings.kind == "transformer" else _recurrent(settings)
    codes = layers.Input((None,), dtype="int32", name="codes")
    vectors = layers.Input((None, settings.width), name="vectors")
    encoder = keras.Model({"codes": codes, "vectors": vectors}, encode(codes, vectors), name="encoder")
    history = layers.Input((plan.window,), dtype="int32", name="history")
    exclude = layers.Input((plan.excluded,), dtype="int32", name="exclude")
    table = ItemTable(len(plan.items) + 1, settings.width, name="items")
    scores = table(encode(history, table(history))[:, -1], reverse=True)
    left = WithoutSeen(name="without_seen")(scores, layers.Concatenate()([history, exclude]))
    items, highest = Highest(min(TOP, len(plan.items)), name="highest")(left)
    outputs = {ITEMS: items, SCORES: highest, ALL_SCORES: scores}
    ranker = keras.Model({"history": history, "exclude": exclude}, outputs, name="retail_recommendation")
    return Networks(encoder, ranker, table)


def _transformer(settings: ModelSettings) -> Encode:
    """Return blocks of attention and dense layers, each normalised first (Xiong et al. 2020, ICML)."""
    blocks = [_block(settings, number) for number in range(settings.blocks)]
    drop, thinned = layers.Dropout(settings.dropout or 0.0, name="mask"), Thinned(name="thinned")
    last, cosine = _norm("last_norm"), Cosine(TEMPERATURE, name="cosine")

    def encode(codes: Any, vectors: Any) -> Any:
        mask = drop(ops.ones_like(vectors))
        states = thinned(vectors, mask)
        for first, attention, second, widen, inner, narrow in blocks:
            states = states + thinned(attention(first(states), codes), mask)
            states = states + thinned(narrow(inner(widen(second(states)))), mask)
        return cosine(last(states))

    return encode


def _block(settings: ModelSettings, number: int) -> tuple[layers.Layer, ...]:
    width, rate = settings.width, settings.dropout or 0.0
    return (
        _norm(f"attention_norm_{number}"),
        CausalAttention(width, settings.heads, settings.window, rate, name=f"attention_{number}"),
        _norm(f"dense_norm_{number}"),
        layers.Dense(2 * width, activation="gelu", name=f"widen_{number}"),
        layers.Dropout(rate, name=f"inner_{number}"),
        layers.Dense(width, name=f"narrow_{number}"),
    )


def _norm(name: str) -> layers.Layer:
    return layers.LayerNormalization(epsilon=1e-6, name=name)


def _recurrent(settings: ModelSettings) -> Encode:
    """Return gated recurrent layers (Hidasi et al. 2016, ICLR, GRU4Rec)."""
    drop = layers.Dropout(settings.dropout or 0.0, name="mask")
    gates = [LoopGRU(settings.width, sequences=True, name=f"gru_{number}") for number in range(settings.blocks)]
    last, cosine = _norm("last_norm"), Cosine(TEMPERATURE, name="cosine")

    def encode(codes: Any, vectors: Any) -> Any:
        states = drop(vectors)
        for gate in gates:
            states = states + gate(states)
        return cosine(last(states))

    return encode


def fit_model(
    prepared: Prepared, config: RetailConfig, *, seed: int, report: Progress, log: Path | None = None
) -> Fitted:
    """Fit the network by each recipe and keep the better; epoch and recipe are chosen by NDCG@10 on validation."""
    tried = []
    for name, settings in candidates(config).items():
        report(f"recipe {name}")
        tried.append(_fit(prepared, settings, seed=seed, report=report))
    best = max(tried, key=lambda fitted: max(fitted.history["score"]))
    if log is not None:
        rows = zip(range(1, len(best.history["score"]) + 1), *best.history.values(), strict=True)
        write_csv(log, ("epoch", *best.history), rows)
    return replace(best, seconds=sum(fitted.seconds for fitted in tried))


def candidates(config: RetailConfig) -> dict[str, RetailConfig]:
    """Return what is to be tried: all of ``RECIPES``, or one where the settings say anything of it."""
    dropout, weights = config.model.dropout, config.training.next_weights
    if dropout is None and weights is None:
        return {name: override(config, recipe) for name, recipe in RECIPES.items()}
    usual = override(config, RECIPES["dense"])
    own = {
        "model": {"dropout": usual.model.dropout if dropout is None else dropout},
        "training": {"next_weights": weights or usual.training.next_weights},
    }
    return {"as set": override(config, own)}


def _fit(prepared: Prepared, config: RetailConfig, *, seed: int, report: Progress) -> Fitted:
    seed_everything(seed)
    networks = build_model(prepared.plan, config.model)
    learner = make_learner(networks.encoder, networks.table, prepared.plan, prepared.train, config.training)
    score = _validation_score(networks.ranker, prepared.validation, config)
    course = learn(learner, prepared.train, score=score, seed=seed, report=report)
    return Fitted(networks.ranker, course.history, course.best_epoch, course.seconds)


def _validation_score(ranker: keras.Model, validation: Examples, config: RetailConfig) -> Callable[[], float]:
    few = validation.take(spread(len(validation), MAX_VALIDATION))
    predict = predictor(keras.Model(ranker.input, {name: ranker.output[name] for name in (ITEMS, SCORES)}))
    return lambda: evaluate(predict(few.inputs), few, config)["ndcg@10"].compute(None)
