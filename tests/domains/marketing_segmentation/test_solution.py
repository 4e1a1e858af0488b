"""A whole run of the segmentation domain: what it leaves behind, and what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation import Segmenter
from edgekit.domains.marketing_segmentation.config import MarketingConfig
from edgekit.domains.marketing_segmentation.data import prepare, split
from edgekit.domains.marketing_segmentation.evaluate import Naming
from edgekit.domains.marketing_segmentation.features import NAMES
from edgekit.domains.marketing_segmentation.made_up import made_up
from edgekit.domains.marketing_segmentation.solution import DOMAIN, calibration, describe, golden
from edgekit.pipeline import Outcome, run
from edgekit.shared import run_folder
from edgekit.shared.config import override
from edgekit.shared.decisions import Threshold
from edgekit.shared.domain import Prepared, Request
from edgekit.tflite_export.runtime import load_model, verify

TINY = {
    "synthetic": {"customers": 300, "days": 400},
    "data": {"currency": "EUR"},
    "model": {"segments": 3, "width": 8, "members": 1},
    "training": {"epochs": 2, "refits": 2},
    "export": {"max_drop": 0.3},
}
CONFIG: MarketingConfig = override(DOMAIN.config, TINY)
FILE = "marketing_segmentation.tflite"


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = run_folder.start(tmp_path_factory.mktemp("shop") / "run")
    return run(DOMAIN, CONFIG, Request(), folder=folder, seed=0, report=lambda line: None)


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    orders = DOMAIN.synthesize(CONFIG, seed=0)
    return prepare(orders, split(orders, CONFIG, seed=0), CONFIG)


@pytest.fixture(scope="module")
def report(outcome: Outcome) -> Any:
    return json.loads((outcome.folder / "report.json").read_text())


# === The parts ===


def test_segments_are_judged_by_what_they_say_of_the_future() -> None:
    found = (DOMAIN.primary_metric, DOMAIN.higher_is_better, DOMAIN.score_output)
    assert found == ("spend_explained", True, "segments")


def test_golden_customers_are_nobody_s(prepared: Prepared) -> None:
    made = golden(prepared, {})["behaviour"]
    np.testing.assert_array_equal(made, made_up(prepared.plan))
    real = np.concatenate([part.inputs["behaviour"] for part in (prepared.train, prepared.validation, prepared.test)])
    assert not any((np.nan_to_num(real, nan=-1) == np.nan_to_num(row, nan=-1)).all(axis=1).any() for row in made)


def test_ranges_are_learnt_from_training_customers(prepared: Prepared) -> None:
    made = calibration(prepared, CONFIG)["behaviour"]
    rows = {row.tobytes() for row in prepared.train.inputs["behaviour"]}
    assert 0 < len(made) <= 512 and {row.tobytes() for row in made} <= rows


@pytest.mark.parametrize(("currency", "shown"), [("GBP", "GBP"), ("", "the currency of the training data")])
def test_the_card_says_horizon_currency_and_names(prepared: Prepared, currency: str, shown: str) -> None:
    given = replace(prepared, plan=replace(prepared.plan, currency=currency))
    naming = Naming(None, "", {}, ("best", "other", "lapsed"))
    made = describe(DOMAIN.synthesize(CONFIG, seed=0), given, CONFIG, threshold=naming)
    assert [(one.name, one.shape, one.missing) for one in made.inputs] == [("behaviour", (len(NAMES),), "NaN")]
    shapes = {"segments": (3,), "code": (CONFIG.model.code,), "orders": (1,), "spend": (1,), "comes_back": (1,)}
    assert {one.name: one.shape for one in made.outputs} == shapes and made.labels == naming.names
    assert [one.unit for one in made.outputs if one.name == "spend"] == [shown]
    assert all("91 days" in one.meaning for one in made.outputs[2:])
    assert made.settings["plan"] == {"horizon_days": 91, "currency": currency, "names": list(NAMES)}
    assert made.settings["reading"] == {"decimal": "auto", "date_format": None}
    assert set(prepared.notes) <= set(made.limits)


def test_a_file_without_names_says_so(prepared: Prepared) -> None:
    made = describe(DOMAIN.synthesize(CONFIG, seed=0), prepared, CONFIG, threshold=Threshold(None, "", {}))
    assert made.labels == () and made.outputs[0].shape == (0,)


# === A run ===


def test_a_run_ships_a_file_that_segments(outcome: Outcome) -> None:
    assert outcome.chosen is not None
    segmenter = Segmenter(outcome.folder / FILE)
    assert (segmenter.plan.currency, segmenter.plan.horizon_days) == ("EUR", 91)
    assert len(set(segmenter.names)) == 3 and all(segmenter.names)
    often = [{"timestamp": f"2024-{month:02}-03", "item": "a1", "price": 40} for month in range(1, 11)]
    answers = [segmenter.segment(lines, at="2024-11-04") for lines in (often, often[:1])]
    for answer in answers:
        assert 0 < answer.comes_back < 1 and 0 < answer.orders < 100 and 0 < answer.spend < 1e5
        assert answer.name == segmenter.names[answer.segment] and answer.currency == "EUR"
    assert answers[0].orders > answers[1].orders and answers[0].comes_back > answers[1].comes_back


def test_the_file_verifies_and_carries_nobody(outcome: Outcome) -> None:
    model = load_model(outcome.folder / FILE)
    assert verify(outcome.folder / FILE).passed and model.card.decision is not None
    assert (model.card.decision.output, model.card.decision.threshold) == ("segments", None)
    np.testing.assert_array_equal(model.golden.inputs["behaviour"], made_up(Segmenter(outcome.folder / FILE).plan))


def test_the_figures_are_those_of_segments_and_expectations(report: Any) -> None:
    assert set(DOMAIN.headline) <= report["metrics"]["tflite"].keys()
    rivals = report["metrics"]["rivals"]
    assert {"rfm_quintiles", "kmeans_rfm", "mixture_rfm", "kmeans_all", "bg_nbd", "gradient_boosting"} <= rivals.keys()
    assert "spend_explained" in rivals["kmeans_rfm"] and "orders_deviance" in rivals["bg_nbd"]


def test_the_verdict_goes_by_the_segments_that_explain_most(report: Any) -> None:
    rivals = {
        name: metrics["spend_explained"]["value"]
        for name, metrics in report["metrics"]["rivals"].items()
        if "spend_explained" in metrics
    }
    assert report["verdict"]["best_rival"] == max(rivals, key=lambda name: rivals[name])


def test_the_report_shows_the_segments_by_name(outcome: Outcome, report: Any) -> None:
    page = (outcome.folder / "report.html").read_text()
    assert report["sections"] and all(name in page for name in Segmenter(outcome.folder / FILE).names)


def test_the_report_tells_what_the_fit_chose(report: Any) -> None:
    assert report["training"]["chosen"] == {"model": {"segments": 3}}
    assert report["training"]["notes"] == ["3 segments, as model.segments asks for"]
