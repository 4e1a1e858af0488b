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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras import layers, ops

from ...shared.chosen_rows import spread
from ...shared.config import override
from ...shared.domain import Prepared, Progress
from ...shared.recurrent import LoopGRU
from ...shared.spreadsheet import write_csv
from ...shared.training import Fitted, predictor, seed_everything
from .config import RECIPES, ModelSettings, RetailConfig
from .evaluate import ITEMS, SCORES, evaluate
from .features import TOP, Plan
from .layers import CausalAttention, Cosine, Highest, ItemTable, Thinned, WithoutSeen
from .learning import Course, fill, learn, make_learner

ALL_SCORES = "all_scores"
MAX_VALIDATION = 10_000  # examples that choose the epoch
TEMPERATURE = 0.07  # of the cosines, at the beginning
SEEDS = 1000  # between the seeds of two members

Encode = Callable[[Any, Any], Any]
"""Codes int32 (batch, step) and vectors float32 (batch, step, width) to states of that form."""


@dataclass(frozen=True)
class Member:
    """One network without its scores.

    Attributes:
        encode: its layers as a function.
        encoder: the same as a model of ``codes`` int32 (batch, any step) and ``vectors`` float32 (batch, step, width).
        table: what its items are described by.
    """

    encode: Encode
    encoder: keras.Model
    table: ItemTable


def build_member(plan: Plan, settings: ModelSettings, number: int = 0) -> Member:
    """Return a network for the catalogue of ``plan``; members of one model have different numbers."""
    build = _transformer if settings.kind == "transformer" else _recurrent
    encode = build(settings, f"member_{number}")
    codes = layers.Input((None,), dtype="int32", name="codes")
    vectors = layers.Input((None, settings.width), name="vectors")
    encoder = keras.Model({"codes": codes, "vectors": vectors}, encode(codes, vectors), name="encoder")
    table = ItemTable(len(plan.items) + 1, settings.width, name="items")
    table.build(())
    return Member(encode, encoder, table)


def build_model(members: Sequence[Member], plan: Plan) -> keras.Model:
    """Return the network that ships: the members' scores added up, with their present weights.

    Returns:
        ``history`` int32 (batch, window) and ``exclude`` int32 (batch, excluded) to ``items`` int32 and ``scores``
        float32 (batch, top), highest first, without what was had or is excluded; and ``all_scores`` float32 (batch,
        item + 1), of everything.
    """
    history = layers.Input((plan.window,), dtype="int32", name="history")
    exclude = layers.Input((plan.excluded,), dtype="int32", name="exclude")
    width = members[0].table.width
    table = ItemTable(len(plan.items) + 1, width, members=len(members), name="items")
    table.build(())
    fill(table, [member.table.table.numpy() for member in members])
    parts = ops.split(table(history), len(members), axis=-1)
    newest = [member.encode(history, part)[:, -1] for member, part in zip(members, parts, strict=True)]
    scores = table(newest[0] if len(newest) == 1 else layers.Concatenate()(newest), reverse=True)
    left = WithoutSeen(name="without_seen")(scores, layers.Concatenate()([history, exclude]))
    items, highest = Highest(min(TOP, len(plan.items)), name="highest")(left)
    outputs = {ITEMS: items, SCORES: highest, ALL_SCORES: scores}
    return keras.Model({"history": history, "exclude": exclude}, outputs, name="retail_recommendation")


def _transformer(settings: ModelSettings, name: str) -> Encode:
    """Return blocks of attention and dense layers, each normalised first (Xiong et al. 2020, ICML)."""
    blocks = [_block(settings, f"{name}_{number}") for number in range(settings.blocks)]
    drop, thinned = layers.Dropout(settings.dropout or 0.0, name=f"{name}_mask"), Thinned(name=f"{name}_thinned")
    last, cosine = _norm(f"{name}_last"), Cosine(TEMPERATURE, name=f"{name}_cosine")

    def encode(codes: Any, vectors: Any) -> Any:
        mask = drop(ops.ones_like(vectors))
        states = thinned(vectors, mask)
        for first, attention, second, widen, inner, narrow in blocks:
            states = states + thinned(attention(first(states), codes), mask)
            states = states + thinned(narrow(inner(widen(second(states)))), mask)
        return cosine(last(states))

    return encode


def _block(settings: ModelSettings, name: str) -> tuple[layers.Layer, ...]:
    width, rate = settings.width, settings.dropout or 0.0
    return (
        _norm(f"{name}_attention_norm"),
        CausalAttention(width, settings.heads, settings.window, rate, name=f"{name}_attention"),
        _norm(f"{name}_dense_norm"),
        layers.Dense(2 * width, activation="gelu", name=f"{name}_widen"),
        layers.Dropout(rate, name=f"{name}_inner"),
        layers.Dense(width, name=f"{name}_narrow"),
    )


def _norm(name: str) -> layers.Layer:
    return layers.LayerNormalization(epsilon=1e-6, name=name)


def _recurrent(settings: ModelSettings, name: str) -> Encode:
    """Return gated recurrent layers (Hidasi et al. 2016, ICLR, GRU4Rec), each beside a way around it."""
    drop = layers.Dropout(settings.dropout or 0.0, name=f"{name}_mask")
    gates = [LoopGRU(settings.width, sequences=True, name=f"{name}_{number}") for number in range(settings.blocks)]
    last, cosine = _norm(f"{name}_last"), Cosine(TEMPERATURE, name=f"{name}_cosine")

    def encode(codes: Any, vectors: Any) -> Any:
        states = drop(vectors)
        for gate in gates:
            states = states + gate(states)
        return cosine(last(states))

    return encode


def fit_model(
    prepared: Prepared, config: RetailConfig, *, seed: int, report: Progress, log: Path | None = None
) -> Fitted:
    """Fit a member by each recipe, the others by the better; recipe and epochs are chosen by NDCG@10 on validation."""
    tried = {}
    for name, settings in candidates(config).items():
        report(f"recipe {name}")
        tried[name] = (*_fit(prepared, settings, 0, seed=seed, report=report), settings)
    figures = {name: max(course.history["score"]) for name, (_, course, _) in tried.items()}
    chosen = max(figures, key=lambda name: figures[name])
    first, course, settings = tried[chosen]
    fitted = [(first, course)]
    for number in range(1, config.model.members):
        report(f"member {number + 1} of {config.model.members}")
        fitted.append(_fit(prepared, settings, number, seed=seed, report=report))
    if log is not None:
        rows = zip(range(1, len(course.history["score"]) + 1), *course.history.values(), strict=True)
        write_csv(log, ("epoch", *course.history), rows)
    model = build_model([member for member, _ in fitted], prepared.plan)
    seconds = sum(one[1].seconds for one in tried.values()) + sum(one.seconds for _, one in fitted[1:])
    told = ", ".join(f"{name} {figure:.4f}" for name, figure in figures.items())
    notes = (f"recipe {chosen} of {told} (ndcg@10 on validation); {len(fitted)} members",)
    return Fitted(model, course.history, course.best_epoch, seconds, notes)


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


def _fit(
    prepared: Prepared, config: RetailConfig, number: int, *, seed: int, report: Progress
) -> tuple[Member, Course]:
    seed_everything(seed + SEEDS * number)
    member = build_member(prepared.plan, config.model, number)
    learner = make_learner(member.encoder, member.table, prepared.plan, prepared.train, config.training)
    score = _validation_score(member, prepared, config)
    return member, learn(learner, prepared.train, score=score, seed=seed + SEEDS * number, report=report)


def _validation_score(member: Member, prepared: Prepared, config: RetailConfig) -> Callable[[], float]:
    few = prepared.validation.take(spread(len(prepared.validation), MAX_VALIDATION))
    ranker = build_model([member], prepared.plan)
    lists = predictor(keras.Model(ranker.input, {name: ranker.output[name] for name in (ITEMS, SCORES)}))
    table = ranker.get_layer("items")

    def score() -> float:
        fill(table, [member.table.table.numpy()])
        return evaluate(lists(few.inputs), few, config)["ndcg@10"].compute(None)

    return score
