"""The figures of a shop, worked by hand, and what is decided without a threshold."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgekit.domains.retail_recommendation.config import DecisionSettings, RetailConfig
from edgekit.domains.retail_recommendation.evaluate import NOTHING_LEFT, decide, evaluate, listed
from edgekit.shared.domain import Examples
from edgekit.shared.estimates import bootstrap, paired_difference

CONFIG = RetailConfig()
OUTPUTS = {
    "items": np.array([[3, 1, 2], [5, 4, 3], [1, 2, 3], [4, 5, 1]], np.int32),
    "scores": np.array([[3, 2, 1], [3, 2, 1], [3, 2, NOTHING_LEFT], [3, 2, 1]], np.float32),
}
TARGET = np.array([3, 3, 3, 5], np.int32)  # ranks 1, 3, none (its place is empty), 2


def examples(target: np.ndarray, *, units: list[int] | None = None) -> Examples:
    unit = np.arange(len(target)) if units is None else np.array(units)
    return Examples({"history": np.zeros((len(target), 2), np.int32)}, target, {"unit": unit})


def figures(config: RetailConfig = CONFIG) -> dict[str, float]:
    return {name: made.compute(None) for name, made in evaluate(OUTPUTS, examples(TARGET), config).items()}


def test_figures_by_hand() -> None:
    assert figures() == pytest.approx(
        {
            "hr@10": 3 / 4,
            "ndcg@10": (1 + 1 / 2 + 1 / math.log2(3)) / 4,
            "mrr": (1 + 1 / 3 + 1 / 2) / 4,
        }
    )


def test_the_shops_own_k_is_added() -> None:
    made = figures(RetailConfig(decision=DecisionSettings(k=2)))
    assert set(made) == {"hr@10", "ndcg@10", "mrr", "hr@2", "ndcg@2"}
    assert (made["hr@2"], made["ndcg@2"]) == pytest.approx((2 / 4, (1 + 1 / math.log2(3)) / 4))


def test_a_place_without_an_item_is_empty() -> None:
    assert listed(OUTPUTS).tolist() == [[3, 1, 2], [5, 4, 3], [1, 2, 0], [4, 5, 1]]


def test_every_figure_is_resampled_by_shopper() -> None:
    """A weight of 2 equals the rows twice, a weight of 0 equals no rows."""
    rng = np.random.default_rng(0)
    items = np.argsort(rng.random((60, 40)), axis=1).astype(np.int32) + 1
    outputs = {"items": items, "scores": -np.sort(rng.random((60, 40)).astype(np.float32), axis=1)}
    given = examples(rng.integers(1, 41, 60), units=[row // 3 for row in range(60)])
    weight = rng.integers(0, 3, 60).astype(np.float64)
    rows = np.repeat(np.arange(60), weight.astype(int))
    made = evaluate(outputs, given, CONFIG)
    twice = evaluate({name: values[rows] for name, values in outputs.items()}, given.take(rows), CONFIG)
    assert {name: figure.compute(weight) for name, figure in made.items()} == pytest.approx(
        {name: figure.compute(None) for name, figure in twice.items()}
    )
    assert all(np.array_equal(figure.units, given.context["unit"]) for figure in made.values())
    assert bootstrap(made["ndcg@10"]).n == 20
    assert paired_difference(made["ndcg@10"], made["ndcg@10"]).high == 0


@pytest.mark.parametrize(("k", "hit", "gain"), [(2, 0.5, (1 + 1 / math.log2(3)) / 4), (1, 0.25, 0.25)])
def test_the_highest_scores_are_shown_and_no_threshold_is_chosen(k: int, hit: float, gain: float) -> None:
    made = decide(OUTPUTS, examples(TARGET), RetailConfig(decision=DecisionSettings(k=k)))
    assert (made.value, made.rule) == (None, f"the {k} highest scores")
    assert made.expected == pytest.approx({f"hr@{k}": hit, f"ndcg@{k}": gain})
