"""A whole run of the recommendation domain: what it leaves behind, and what it says."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgekit.domains.retail_recommendation import Recommender
from edgekit.domains.retail_recommendation.solution import DOMAIN, GOLDEN_ROWS
from edgekit.pipeline import Outcome, run
from edgekit.shared import run_folder
from edgekit.shared.config import override
from edgekit.shared.domain import Request
from edgekit.tflite_export.runtime import load_model

TINY = {
    "synthetic": {"shoppers": 120, "items": 60, "days": 120},
    "model": {"kind": "transformer", "width": 16, "heads": 2, "blocks": 1, "window": 12, "dropout": 0.1},
    "training": {"epochs": 3, "learning_rate": 1e-2, "batch_size": 256, "negatives": 40},
    "export": {"max_drop": 0.2},
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = run_folder.start(tmp_path_factory.mktemp("retail") / "run")
    config = override(DOMAIN.config, TINY)
    return run(DOMAIN, config, Request(), folder=folder, seed=0, report=lambda line: None)


def test_a_run_ships_a_file_that_recommends(outcome: Outcome) -> None:
    assert outcome.chosen is not None
    recommender = Recommender(outcome.folder / "retail_recommendation.tflite")
    items = recommender.plan.items
    answer = recommender.recommend(items[:3], 10)
    assert len(answer.items) == 10 and all(found.title for found in answer.items)


def test_golden_histories_are_made_up_and_of_all_lengths(outcome: Outcome) -> None:
    model = load_model(outcome.folder / "retail_recommendation.tflite")
    history = model.golden.inputs["history"]
    assert len(history) == GOLDEN_ROWS
    assert {0, 12} <= set((history > 0).sum(axis=1).tolist())
    config = override(DOMAIN.config, TINY)
    log = DOMAIN.synthesize(config, seed=0)
    prepared = DOMAIN.prepare(log, DOMAIN.split(log, config, seed=0), config)
    real = np.concatenate([part.inputs["history"] for part in (prepared.train, prepared.validation, prepared.test)])
    long = history[(history > 0).sum(axis=1) > 2]
    assert not any((real == row).all(axis=1).any() for row in long)


def test_the_report_has_the_sections_of_a_shop(outcome: Outcome) -> None:
    report = json.loads((outcome.folder / "report.json").read_text())
    titles = [section["title"] for section in report["sections"]]
    wanted = ["By length of the history", "New shoppers and new items", "What is shown", "Examples"]
    assert [title for title in titles if title in wanted] == wanted
    assert {"hr@10", "ndcg@10", "mrr"} <= report["metrics"]["tflite"].keys()
    assert set(report["metrics"]["rivals"]) == {"popularity", "recent_popularity", "item_knn", "ease"}


def test_a_run_ends_with_examples_of_what_is_shown(outcome: Outcome) -> None:
    titles = [section.title for section in outcome.summary.sections]
    assert titles == ["The network and its rivals", "The gate", "Examples"]


def test_examples_name_items_by_title_and_show_no_shoppers_history(outcome: Outcome) -> None:
    report = json.loads((outcome.folder / "report.json").read_text())
    table = next(section for section in report["sections"] if section["title"] == "Examples")["blocks"][0]
    recommender = Recommender(outcome.folder / "retail_recommendation.tflite")
    titles = set(recommender.plan.titles)
    for had, is_shown in table["rows"]:
        assert len(had.split(", ")) == 2 and set(had.split(", ")) <= titles
        assert set(is_shown.split(", ")) <= titles
