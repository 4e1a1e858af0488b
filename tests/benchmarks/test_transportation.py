"""The benchmark of the forecasting domain: which windows are scored, what is compared, and what is marked unchecked."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgekit.domains.transportation.config import TrafficConfig
from edgekit.domains.transportation.data import prepare, split
from edgekit.domains.transportation.evaluate import evaluate
from edgekit.domains.transportation.readings import Readings
from edgekit.shared.config import override
from edgekit.shared.errors import ConfigError
from edgekit.shared.estimates import mean_statistic

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
STEPS, SENSORS, THURSDAY = 2016, 2, 1_330_560_000
CONFIG = TrafficConfig()
UNITS = np.arange(50)
ERRORS = np.random.default_rng(0).random(50) + 1


def script(name: str) -> ModuleType:
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return script("transportation")


@pytest.fixture(scope="module")
def material() -> Any:
    """Return a week of readings that tell their step."""
    values = np.arange(STEPS, dtype=np.float32)[:, None].repeat(SENSORS, axis=1)
    nothing = np.zeros((0, 0), np.float32)
    readings = Readings(THURSDAY, 300, values, ("a", "b"), "mph", nothing, "made", "")
    splits = split(readings, CONFIG, seed=0)
    return SimpleNamespace(data=readings, splits=splits, prepared=prepare(readings, splits, CONFIG))


# === T-GCN's windows ===


@pytest.mark.parametrize(("steps", "count"), [(3, 389), (6, 386), (9, 383), (12, 380)])
def test_all_windows_of_the_test_part_but_the_last_are_scored(
    benchmark: ModuleType, material: Any, steps: int, count: int
) -> None:
    found = benchmark.windows(material, steps)
    assert len(found) == count
    first = int(STEPS * 0.8)
    assert found.inputs["readings"][0, :, 0].tolist() == list(range(first, first + 12))
    assert found.target[0, :steps, 0].tolist() == list(range(first + 12, first + 12 + steps))
    assert found.target[-1, steps - 1, 0] == STEPS - 2
    assert found.context["time"][0] == THURSDAY + 300 * (first + 11)
    np.testing.assert_array_equal(found.inputs["moment"][:, 0], (first + 11 + np.arange(count)) % 288)


@pytest.mark.parametrize("steps", [3, 12])
def test_steps_beyond_the_horizon_are_not_scored(benchmark: ModuleType, material: Any, steps: int) -> None:
    found = benchmark.windows(material, steps)
    assert found.target.shape == (len(found), 12, SENSORS)
    assert np.isfinite(found.target[:, :steps]).all() and np.isnan(found.target[:, steps:]).all()
    far = np.nan_to_num(found.target) + np.where(np.arange(12) < steps, 2, 1e6)[:, None].astype(np.float32)
    made = evaluate(dict.fromkeys(("median", "low", "high"), far), found, CONFIG)
    assert made[f"rmse@{5 * steps}"].compute(None) == pytest.approx(2)


def test_intervals_are_by_blocks_of_two_hours(benchmark: ModuleType, material: Any) -> None:
    found = benchmark.windows(material, 12)
    assert found.context["unit"].tolist() == (found.context["time"] // 7200).tolist()


def test_each_predictor_is_scored_at_each_horizon(benchmark: ModuleType, material: Any) -> None:
    def late(inputs: Any) -> dict[str, np.ndarray]:
        """Return the last value, which is late by as many units as the step lies ahead."""
        last = np.repeat(inputs["readings"][:, -1:], 12, axis=1)
        return dict.fromkeys(("median", "low", "high"), last)

    runs = [(None, None, SimpleNamespace(predictors={"last": late}))] * 2
    found = benchmark.by_horizon("last", runs, material, CONFIG)
    expected = {f"rmse@{5 * steps}": np.sqrt(np.mean(np.arange(1, steps + 1) ** 2)) for steps in (3, 6, 9, 12)}
    assert {name: len(seeds) for name, seeds in found.items()} == dict.fromkeys(expected, 2)
    assert {name: seeds[0].compute(None) for name, seeds in found.items()} == pytest.approx(expected)


# === What is told ===


def test_published_figures_say_what_was_checked(benchmark: ModuleType) -> None:
    assert benchmark.PUBLISHED == {"T-GCN": (5.126, 6.060, 6.707, 7.268)}
    assert len(benchmark.PUBLISHED["T-GCN"]) == len(benchmark.HORIZONS) == 4
    assert "the best of 5,000 test epochs" in benchmark.PUBLISHED_SOURCE
    assert "the others are from memory and not checked" in benchmark.PUBLISHED_SOURCE


def test_silence_is_told_as_a_ratio_of_errors(benchmark: ModuleType, material: Any) -> None:
    def worse(inputs: Any) -> dict[str, np.ndarray]:
        silent = np.isnan(inputs["readings"]).all(axis=1, keepdims=True)
        truth = material.prepared.test.target
        return dict.fromkeys(("median", "low", "high"), truth + np.where(silent, np.float32(3), np.float32(1)))

    runs = [(None, None, SimpleNamespace(predictors={"tflite": worse}))] * 2
    found = benchmark.silence(runs, material, CONFIG)
    assert found == {"mae_30pct_silent_vs_none": pytest.approx(2)}, "one of two sensors errs by 3 instead of 1"


@pytest.mark.parametrize("name", ["los_speed.csv", "metr_la.h5", "PEMS03.npz"])
def test_a_file_without_a_protocol_is_refused(benchmark: ModuleType, name: str) -> None:
    with pytest.raises(ConfigError, match="No protocol is known for .*metr-la, pems-bay, pems04, pems08"):
        benchmark.other(Path("data") / name, None)


@pytest.mark.parametrize("name", ["metr-la", "pems-bay", "pems04", "pems08"])
def test_the_other_protocols_are_settings(benchmark: ModuleType, name: str) -> None:
    found = override(CONFIG, benchmark.OTHERS[name]).data
    assert (found.test_share, found.validation_share) == (0.2, 0.1 if name in ("metr-la", "pems-bay") else 0.2)
    assert (found.missing_code == 0) == (name in ("metr-la", "pems-bay"))
    assert (found.start is None) == (name in ("metr-la", "pems-bay"))


# === Over the seeds ===


@pytest.mark.parametrize(
    ("direction", "best", "difference"),
    [({"higher_is_better": False}, "low", -0.1), ({"higher_is_better": True}, "high", -0.3), ({}, "high", -0.3)],
)
def test_the_best_rival_has_the_lowest_error(direction: dict[str, bool], best: str, difference: float) -> None:
    values = {"tflite": ERRORS, "keras": ERRORS - 0.5, "low": ERRORS + 0.1, "high": ERRORS + 0.3}
    made = {name: {"mae": [mean_statistic(value, UNITS)]} for name, value in values.items()}
    found = script("over_seeds").verdict(made, "mae", **direction)
    assert (found["metric"], found["best_rival"]) == ("mae", best)
    assert found["difference"]["value"] == pytest.approx(difference)
