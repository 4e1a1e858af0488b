"""The shop's sections of a report: few examples make no figure, and nobody's own history is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.domains.retail_recommendation import illustrate as sections
from edgekit.domains.retail_recommendation.config import RetailConfig
from edgekit.domains.retail_recommendation.features import Plan
from edgekit.shared.config import override
from edgekit.shared.decisions import Threshold
from edgekit.shared.domain import Arrays, Examples, Prepared
from edgekit.shared.report import Report, Section, Table, Text
from edgekit.shared.report_html import render_html

ITEMS, WINDOW, SHOWN = 12, 4, 10
PLAN = Plan(
    window=WINDOW,
    excluded=1,
    items=tuple(f"i{code}" for code in range(1, ITEMS + 1)),
    titles=tuple(f"Item {code}" for code in range(1, ITEMS + 1)),
    attribute_names=(),
    attributes=(),
)


def asked(shoppers: int, *, length: int = 2, cold: bool = False) -> Examples:
    history = np.zeros((shoppers, WINDOW), np.int32)
    history[:, WINDOW - length :] = np.arange(1, length + 1)
    context = {
        "unit": np.arange(shoppers),
        "length": np.full(shoppers, length),
        "cold_item": np.zeros(shoppers, bool),
        "cold_user": np.full(shoppers, cold),
        "repeat": np.zeros(shoppers, bool),
    }
    inputs = {"history": history, "exclude": np.zeros((shoppers, 1), np.int32)}
    return Examples(inputs, np.full(shoppers, 5, np.int32), context)


def train(pairs: dict[tuple[int, int], int]) -> Examples:
    """Return training windows in which so many shoppers had each pair."""
    rows = [pair for pair, shoppers in pairs.items() for _ in range(shoppers)]
    history, target = np.zeros((len(rows), WINDOW), np.int32), np.zeros((len(rows), WINDOW), np.int32)
    history[:, -1], target[:, -1] = [first for first, _ in rows], [second for _, second in rows]
    return Examples({"history": history}, target, {"unit": np.arange(len(rows))})


def best_first(inputs: Arrays) -> dict[str, np.ndarray]:
    count = len(inputs["history"])
    items = np.tile(np.arange(3, 3 + SHOWN, dtype=np.int32), (count, 1))
    return {"items": items, "scores": np.tile(np.linspace(1, 0, SHOWN, dtype=np.float32), (count, 1))}


def draw(prepared: Prepared, **decision: Any) -> dict[str, Section]:
    config = override(RetailConfig(), {"decision": decision})
    outputs = {"tflite": best_first(prepared.test.inputs)}
    found = sections.illustrate(outputs, prepared, Threshold(None, "the best", {}), config, predict=best_first)
    render_html(Report("A shop", Text("lead"), found, {}))
    return {section.title: section for section in found}


def tables(section: Section) -> list[Table]:
    return [block for block in section.blocks if isinstance(block, Table)]


@pytest.mark.parametrize("k", [1, 10])
def test_all_sections_are_drawn_for_lists_of_any_length(k: int) -> None:
    made = asked(30)
    found = draw(Prepared(PLAN, train({(1, 2): 6}), made, made), k=k)
    assert list(found) == ["By length of the history", "New shoppers and new items", "What is shown", "Examples"]
    assert f"first {k} places" in tables(found["What is shown"])[0].caption


@pytest.mark.parametrize(("shoppers", "told"), [(sections.LEAST_EXAMPLES, True), (sections.LEAST_EXAMPLES - 1, False)])
def test_few_examples_make_no_figure(shoppers: int, told: bool) -> None:
    made = asked(shoppers)
    table = tables(draw(Prepared(PLAN, train({(1, 2): 6}), made, made))["By length of the history"])[0]
    row = next(row for row in table.rows if row[0] == "2 to 4")
    assert row[1] == shoppers and (row[2] is not None) == told


def test_many_examples_of_few_shoppers_make_no_figure() -> None:
    made = asked(60)
    made.context["unit"][:] = np.arange(60) % (sections.LEAST_SHOPPERS - 1)
    table = tables(draw(Prepared(PLAN, train({(1, 2): 6}), made, made))["By length of the history"])[0]
    assert all(row[2] is None for row in table.rows)


def test_new_shoppers_are_told_apart() -> None:
    made = asked(30, cold=True)
    table = tables(draw(Prepared(PLAN, train({(1, 2): 6}), made, made))["New shoppers and new items"])[0]
    assert table.columns[1:3] == ("known shoppers, 0", "new shoppers, 30")
    assert table.rows[0][1] is None and table.rows[0][2] is not None


@pytest.mark.parametrize(("shoppers", "shown"), [(sections.COMMON, True), (sections.COMMON - 1, False)])
def test_only_pairs_that_several_shoppers_had_are_shown(shoppers: int, shown: bool) -> None:
    made = asked(30)
    section = draw(Prepared(PLAN, train({(1, 2): shoppers, (3, 4): 1}), made, made))["Examples"]
    told = [row[0] for table in tables(section) for row in table.rows]
    assert told == (["Item 1, Item 2"] if shown else [])
    assert any(isinstance(block, Text) for block in section.blocks) != shown
