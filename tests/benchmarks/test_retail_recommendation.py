"""The benchmark of the recommendation domain: what its protocol says, and what is compared with what."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgekit import pipeline
from edgekit.domains.retail_recommendation.config import RetailConfig
from edgekit.domains.retail_recommendation.features import Plan
from edgekit.domains.retail_recommendation.solution import DOMAIN
from edgekit.evidence import Material
from edgekit.shared.config import override
from edgekit.shared.domain import Examples, Request

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
CONFIG = override(
    RetailConfig(),
    {
        "synthetic": {"shoppers": 60, "items": 40, "days": 60},
        "data": {"split": "leave_one_out"},
        "model": {"width": 8, "blocks": 1, "members": 3, "window": 10},
        "training": {"negatives": 8},
    },
)


def script(name: str) -> ModuleType:
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return script("retail_recommendation")


@pytest.fixture(scope="module")
def shop() -> Material:
    return pipeline.gather(DOMAIN, CONFIG, Request(), pipeline.Clock(lambda line: None), seed=0)


# === The protocol ===


def test_every_figure_of_the_protocol_is_measured(benchmark: ModuleType, shop: Material) -> None:
    test = shop.prepared.test
    outputs = {"items": np.ones((len(test), 1), np.int32), "scores": np.ones((len(test), 1), np.float32)}
    assert set(benchmark.METRICS) == set(DOMAIN.evaluate(outputs, test, RetailConfig(), threshold=None))
    assert DOMAIN.primary_metric in benchmark.METRICS and benchmark.K == RetailConfig().decision.k == 10


def test_published_figures_are_those_of_the_source(benchmark: ModuleType) -> None:
    assert benchmark.PUBLISHED == {
        "SASRec, as usually reported": (0.0605, 0.0318),
        "SASRec, sampled softmax": (0.0921, 0.0531),
        "eSASRec": (0.0928, 0.0523),
    }
    assert "5-core Beauty, full ranking" in benchmark.PUBLISHED_SOURCE


@pytest.mark.parametrize(
    "said", ["leave-one-out", "full ranking of all items but those that the user had", "every choice on validation"]
)
def test_the_protocol_says_what_was_done(benchmark: ModuleType, said: str) -> None:
    assert said in benchmark.PROTOCOL


def test_rivals_are_fitted_once_and_every_seed_is_run(
    benchmark: ModuleType, shop: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[tuple[Any, int]]()

    def run(domain: Any, *_: Any, seed: int) -> str:
        asked.append((domain, seed))
        return f"run {seed}"

    monkeypatch.setattr(benchmark, "run", run)
    monkeypatch.setattr(benchmark, "statistics", lambda runs, *, metrics: metrics)
    runs, made = benchmark.over_seeds(shop, CONFIG, None, 3)
    assert runs == ["run 0", "run 1", "run 2"] and made == benchmark.METRICS
    assert [seed for _, seed in asked] == [0, 1, 2] and len({id(domain.rivals) for domain, _ in asked}) == 1
    assert all(domain.rivals is not DOMAIN.rivals and domain.fit is DOMAIN.fit for domain, _ in asked)


# === The rival that may learn from validation ===


def lists_by_hand(shop: Material, strength: float) -> list[list[int]]:
    """Return the ten best items for each example of test, by the linear model of all rows but those of test."""
    log, test = shop.data, shop.prepared.test
    known = np.setdiff1d(np.arange(len(log)), shop.splits.test)
    had = np.zeros((log.num_users, log.num_items + 1))
    had[log.user[known], log.item[known]] = 1
    inverse = np.linalg.inv(had.T @ had + strength * np.eye(log.num_items + 1))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    lists = []
    for history, exclude in zip(test.inputs["history"], test.inputs["exclude"], strict=True):
        given = np.zeros(log.num_items + 1)
        given[history[history > 0]] = 1
        scores = given @ weights
        scores[[0, *history, *exclude]] = -np.inf
        lists.append(np.argsort(-scores)[:10].tolist())
    return lists


def test_ease_may_learn_from_all_but_the_last_items(benchmark: ModuleType, shop: Material) -> None:
    found = benchmark.fitted_on_validation_too(shop, CONFIG)
    target = shop.prepared.test.target.tolist()
    ranks = [
        row.index(item) if item in row else None
        for row, item in zip(lists_by_hand(shop, benchmark.EASE_STRENGTH), target, strict=True)
    ]
    hits = [rank is not None for rank in ranks]
    gains = [0.0 if rank is None else 1 / np.log2(rank + 2) for rank in ranks]
    assert set(found) == set(benchmark.METRICS) and found["hr@10"]["n"] == len(target)
    assert 0.1 < np.mean(hits) < 0.9, "it can be told from others"
    assert found["hr@10"]["value"] == pytest.approx(np.mean(hits), abs=1e-9)
    assert found["ndcg@10"]["value"] == pytest.approx(np.mean(gains), abs=1e-6)


# === What it costs ===


def test_the_longest_history_fills_the_window(benchmark: ModuleType) -> None:
    history = np.array([[0, 0, 3], [4, 5, 6], [0, 7, 8]], np.int32)
    test = Examples({"history": history, "exclude": history * 0 + 9}, np.array([1, 2, 3], np.int32))
    found = benchmark._longest(test, Plan(window=3, excluded=3, items=tuple("abcdefghi")))
    assert found["history"].tolist() == [[4, 5, 6]] and found["exclude"].tolist() == [[9, 9, 9]]


def test_an_epoch_of_ours_is_one_of_every_member(
    benchmark: ModuleType, shop: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = list[str]()
    monkeypatch.setattr(benchmark, "make_step", lambda learner, *, exact: f"exact {exact}")
    monkeypatch.setattr(benchmark, "run_epoch", lambda learner, step, train, rng: done.append(step))
    monkeypatch.setattr(benchmark, "_timed", lambda call: call() or 5.0)
    assert benchmark._own_epoch(shop, CONFIG, exact=True) == 15.0
    assert done == ["exact True"] * 2, "once before it is timed"


def test_a_plain_epoch_is_told_from_a_part_of_the_windows(
    benchmark: ModuleType, shop: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "PLAIN_BATCH", 4)
    monkeypatch.setattr(benchmark, "_timed", lambda call: call() and 5.0)
    windows = len(shop.prepared.train)
    part = windows // benchmark.PLAIN_SHARE // 4 * 4
    assert windows > part
    assert benchmark._plain_epoch(shop, CONFIG) == pytest.approx(5.0 * windows / max(part, 4))


def test_epochs_are_compared_with_a_plain_one(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "_own_epoch", lambda *_, exact: 6.0 if exact else 3.0)
    monkeypatch.setattr(benchmark, "_plain_epoch", lambda *_: 12.0)
    monkeypatch.setattr(benchmark, "console", SimpleNamespace(log=lambda line: None))
    found = benchmark.epochs(None, None)
    assert found == {"epoch_vs_plain_fit": 0.25, "exact_epoch_vs_plain_fit": 0.5}
    assert set(found) <= set(script("results_table").RATIOS)
