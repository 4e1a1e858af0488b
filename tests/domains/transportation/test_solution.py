"""A whole run of the forecasting domain: what it leaves behind, and what it says."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from edgekit.domains.transportation import TrafficForecaster
from edgekit.domains.transportation.config import TrafficConfig
from edgekit.domains.transportation.data import prepare, split
from edgekit.domains.transportation.solution import DOMAIN, GOLDEN_ROWS, calibration, describe, golden
from edgekit.pipeline import Outcome, run
from edgekit.shared import run_folder
from edgekit.shared.config import override
from edgekit.shared.decisions import Threshold
from edgekit.shared.domain import Prepared, Request
from edgekit.tflite_export.runtime import load_model, verify

TINY = {
    "synthetic": {"sensors": 6, "days": 14, "interval_minutes": 30},
    "model": {"window": 6, "horizon": 4, "width": 16, "identity": 4, "clock": 4, "blocks": 1, "members": 1},
    "training": {"epochs": 3},
    "export": {"max_drop": 0.2},
}
CONFIG: TrafficConfig = override(DOMAIN.config, TINY)
STEP = 1800


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = run_folder.start(tmp_path_factory.mktemp("road") / "run")
    return run(DOMAIN, CONFIG, Request(), folder=folder, seed=0, report=lambda line: None)


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    readings = DOMAIN.synthesize(CONFIG, seed=0)
    return prepare(readings, split(readings, CONFIG, seed=0), CONFIG)


@pytest.fixture(scope="module")
def report(outcome: Outcome) -> Any:
    return json.loads((outcome.folder / "report.json").read_text())


# === The parts ===


def test_lower_is_better_and_nothing_is_decided() -> None:
    assert (DOMAIN.primary_metric, DOMAIN.higher_is_better, DOMAIN.score_output) == ("mae", False, "")


def test_golden_windows_have_ever_more_silent_sensors(prepared: Prepared) -> None:
    made = golden(prepared, {})
    missing = np.isnan(made["readings"]).all(axis=1).mean(axis=1)
    assert made["readings"].shape == (GOLDEN_ROWS, 6, 6) and made["moment"].shape == (GOLDEN_ROWS, 2)
    assert missing[0] < 0.5 and missing[-1] == 1 and missing[:4].mean() < missing[4:].mean()
    real = prepared.validation.inputs["readings"]
    assert np.isnan(real).all(axis=(1, 2)).sum() == 0, "the examples themselves are not written to"


def test_ranges_are_learnt_from_training_windows(prepared: Prepared) -> None:
    made = calibration(prepared, CONFIG)
    times = {tuple(row) for row in prepared.train.inputs["moment"].tolist()}
    assert 0 < len(made["readings"]) <= 512 and {tuple(row) for row in made["moment"].tolist()} <= times


@pytest.mark.parametrize(("unit", "shown"), [("mph", "mph"), ("", "that of the training data")])
def test_the_card_says_unit_band_and_form(prepared: Prepared, unit: str, shown: str) -> None:
    from dataclasses import replace

    given = replace(prepared, plan=replace(prepared.plan, unit=unit))
    made = describe(DOMAIN.synthesize(CONFIG, seed=0), given, CONFIG, threshold=Threshold(None, "", {}))
    assert [(one.name, one.shape, one.missing) for one in made.inputs] == [
        ("readings", (6, 6), "NaN"),
        ("moment", (2,), made.inputs[1].missing),
    ]
    assert [(one.name, one.shape, one.unit) for one in made.outputs] == [
        (name, (4, 6), shown) for name in ("median", "low", "high")
    ]
    assert "90%" in made.outputs[1].meaning and made.labels == () and set(made.settings) == {"plan"}
    assert prepared.notes[0] in made.limits


# === A run ===


def test_a_run_ships_a_file_that_forecasts(outcome: Outcome) -> None:
    assert outcome.chosen is not None
    file = outcome.folder / "transportation.tflite"
    forecaster = TrafficForecaster(file)
    assert (forecaster.plan.unit, forecaster.plan.interval, len(forecaster.plan.sensors)) == ("km/h", STEP, 6)
    found = forecaster.forecast({forecaster.plan.sensors[0]: [80, 81, 79]}, at="2024-01-10T08:00")
    assert len(found.rows()) == 24 and 0 < found.median.mean() < 150
    assert (found.low <= found.median).all() and (found.median <= found.high).all()
    assert verify(file).passed and load_model(file).card.decision is None


def test_golden_windows_in_the_file_end_in_silence(outcome: Outcome) -> None:
    readings = load_model(outcome.folder / "transportation.tflite").golden.inputs["readings"]
    assert len(readings) == GOLDEN_ROWS and np.isnan(readings[-1]).all() and np.isfinite(readings[0]).any()


def test_the_figures_are_those_of_forecasts(report: Any) -> None:
    assert {"mae", "rmse", "coverage@90", "width@90", "mae@60", "rmse_at@60"} <= report["metrics"]["tflite"].keys()
    assert set(report["metrics"]["rivals"]) == {
        "last_value", "window_mean", "time_of_week", "ridge_ar", "ridge_ar_sensor",
    }  # fmt: skip


def test_the_verdict_goes_by_the_lowest_error(report: Any) -> None:
    rivals = {name: metrics["mae"]["value"] for name, metrics in report["metrics"]["rivals"].items()}
    assert report["verdict"]["best_rival"] == min(rivals, key=lambda name: rivals[name])


def test_the_report_has_sections_of_its_own(report: Any) -> None:
    titles = " ".join(section["title"] for section in report["sections"]).lower()
    assert "horizon" in titles and "silent" in titles
    assert not any("threshold" in section["title"].lower() for section in report["sections"])
