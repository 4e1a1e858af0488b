"""The sections of a report that a shop would look at: who is served well, what is shown, and examples by title."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np

from ...shared import plots
from ...shared.decisions import Threshold
from ...shared.domain import Arrays, Examples, Predictor, Prepared
from ...shared.estimates import Estimate, bootstrap
from ...shared.report import Cell, Figure, Section, Table, Text
from . import ranking
from .config import RetailConfig
from .evaluate import evaluate, listed
from .features import Plan

LENGTHS = (0, 1, 2, 5, 10, 20, 50)
"""Edges of the history lengths that are told apart."""
LEAST_EXAMPLES, LEAST_SHOPPERS = 20, 10
EXAMPLES, SHOWN_ITEMS = 4, 5
COMMON = 5  # shoppers who had a pair, before it is shown as nobody's own


def illustrate(
    outputs: Mapping[str, Arrays],
    prepared: Prepared,
    threshold: Threshold,
    config: RetailConfig,
    *,
    predict: Predictor,
) -> tuple[Section, ...]:
    """Return who is served, what is shown, and example lists; the first of ``outputs`` is the one that counts."""
    answers = next(iter(outputs.values()))
    return (
        _by_length(answers, prepared.test, config),
        _newcomers(outputs, prepared.test, config),
        _what_is_shown(outputs, prepared, config.decision.k),
        _examples(predict, prepared),
    )


def _by_length(answers: Arrays, test: Examples, config: RetailConfig) -> Section:
    length = test.context["length"]
    rows, values = [], dict[str, Estimate]()
    for low, high in zip(LENGTHS, (*LENGTHS[1:], None), strict=True):
        part = (length >= low) & (length < (high or np.inf))
        name = f"{low}" if high == low + 1 else f"{low} to {high - 1}" if high else f"{low} and more"
        figures = _figures(answers, test, part, config)
        rows.append((name, int(part.sum()), figures.get("hr@10"), figures.get("ndcg@10")))
        if "ndcg@10" in figures:
            values[name] = figures["ndcg@10"]
    table = Table(("items in the history", "examples", "hr@10", "ndcg@10"), tuple(rows))
    if not values:
        return Section("By length of the history", (table,))
    figure = Figure(
        plots.bars(values, xlabel="ndcg@10"), "NDCG@10 on test by length of the history.", "As in the table."
    )
    return Section("By length of the history", (table, figure))


def _newcomers(outputs: Mapping[str, Arrays], test: Examples, config: RetailConfig) -> Section:
    parts = {
        "known shoppers": ~test.context["cold_user"],
        "new shoppers": test.context["cold_user"],
        "known items": ~test.context["cold_item"],
        "new items": test.context["cold_item"],
    }
    rows = tuple(
        (name, *(_figures(answers, test, part, config).get("ndcg@10") for part in parts.values()))
        for name, answers in outputs.items()
    )
    columns = ("ndcg@10 on test", *(f"{name}, {int(part.sum()):,}" for name, part in parts.items()))
    caption = "New: not in training. What comes next and is new since training can be found by its attributes only."
    return Section("New shoppers and new items", (Table(columns, rows, caption, 0),))


def _figures(answers: Arrays, test: Examples, part: np.ndarray, config: RetailConfig) -> dict[str, Estimate]:
    """Return the metrics on a part of the examples, none where it is too small."""
    if part.sum() < LEAST_EXAMPLES or len(np.unique(test.context["unit"][part])) < LEAST_SHOPPERS:
        return {}
    made = evaluate({name: values[part] for name, values in answers.items()}, test.take(part), config)
    return {name: bootstrap(made[name]) for name in ("hr@10", "ndcg@10")}


def _what_is_shown(outputs: Mapping[str, Arrays], prepared: Prepared, k: int) -> Section:
    plan, test = cast("Plan", prepared.plan), prepared.test
    popularity = np.bincount(prepared.train.target.ravel(), minlength=len(plan.items) + 1).astype(np.float64)
    popularity[0] = 0
    attributes = plan.attribute_matrix()
    rows: list[tuple[Cell, ...]] = []
    for name, answers in outputs.items():
        items = listed(answers)
        shown, had = ranking.popularity_bias(items, k, history=test.inputs["history"], popularity=popularity)
        variety = ranking.intra_list_diversity(items, k, attributes) if attributes.shape[1] else None
        novelty = ranking.novelty(items, k, popularity)
        figures = (novelty, shown, had, variety)
        known = (None if figure is None or np.isnan(figure) else figure for figure in figures)
        rows.append((name, ranking.coverage(items, k, len(plan.items)), *known))
    columns = ("predictor", "catalogue shown", "novelty", "popularity shown", "popularity had", "diversity")
    caption = (
        f"Of the first {k} places on test: share of the catalogue that anybody is shown; mean surprise in bits; mean "
        "popularity percentile of what is shown and of what shoppers had; 1 − the similarity of attributes in a list."
    )
    return Section("What is shown", (Table(columns, tuple(rows), caption, 0),))


def _examples(predict: Predictor, prepared: Prepared) -> Section:
    """Recommend for made-up shoppers, who had the items that most often follow on each other in training."""
    plan = cast("Plan", prepared.plan)
    histories = _made_up(prepared.train)
    if not len(histories):
        return Section("Examples", (Text("No two items follow on each other for several shoppers."),))
    exclude = np.zeros((len(histories), plan.excluded), dtype=np.int32)
    found = listed(predict({"history": histories, "exclude": exclude}))
    rows = tuple(
        (
            ", ".join(_name(plan, code) for code in history[history > 0].tolist()),
            ", ".join(_name(plan, code) for code in items[:SHOWN_ITEMS].tolist() if code),
        )
        for history, items in zip(histories, found, strict=True)
    )
    caption = "Made-up shoppers, each with a pair of items that often follow on each other; nobody's history is shown."
    return Section("Examples", (Table(("had", "is shown"), rows, caption),), brief=True)


def _made_up(train: Examples) -> np.ndarray:
    """Return int32 (example, window): the pairs that most shoppers had, no item twice; none that few of them had."""
    history, target = train.inputs["history"], train.target
    there = (history > 0) & (target > 0)
    unit = np.broadcast_to(train.context["unit"][:, None], target.shape)
    by_shopper = np.unique(np.stack([history[there], target[there], unit[there]]), axis=1)
    pairs, counts = np.unique(by_shopper[:2], axis=1, return_counts=True)
    chosen, seen = list[tuple[int, int]](), set[int]()
    for column in np.argsort(-counts, kind="stable")[: int((counts >= COMMON).sum())].tolist():
        first, second = pairs[:, column].tolist()
        if first not in seen and second not in seen and len(chosen) < EXAMPLES:
            chosen.append((first, second))
            seen |= {first, second}
    made = np.zeros((len(chosen), history.shape[1]), dtype=np.int32)
    if chosen:
        made[:, -2:] = chosen
    return made


def _name(plan: Plan, code: int) -> str:
    return (plan.titles[code - 1] if plan.titles else "") or plan.items[code - 1]
