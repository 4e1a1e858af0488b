"""The benchmark of the imaging domain: what it measures, and what README says of it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edgekit.domains.healthcare_imaging.config import ImagingConfig
from edgekit.domains.healthcare_imaging.evaluate import evaluate
from edgekit.domains.healthcare_imaging.verdicts import OperatingPoint
from edgekit.shared.domain import Examples

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


def script(name: str) -> ModuleType:
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return script("healthcare_imaging")


def test_every_figure_of_a_device_is_told(benchmark: ModuleType) -> None:
    probability = np.random.default_rng(3).dirichlet((1, 1), 60).astype(np.float32)
    outputs = {"probability": probability, "suspicion": probability[:, 1:], "distance": probability[:, :1]}
    context = {"unit": np.arange(60), "finding": np.arange(60) % 2, "normal": np.zeros(60, np.int64)}
    point = OperatingPoint(0.5, "by hand", {}, 0.6, 0.9, farthest=2.0, labels=())
    examples = Examples({"image": np.zeros((60, 1))}, np.arange(60) % 2, context)
    assert set(benchmark.METRICS) == set(evaluate(outputs, examples, ImagingConfig(), threshold=point))


def test_an_image_without_a_distance_is_refused(benchmark: ModuleType) -> None:
    point = OperatingPoint(0.5, "by hand", {}, 0.6, 0.9, farthest=2.0, labels=())
    distance = np.array([[0.0], [2.0], [2.1], [np.nan]])
    assert benchmark._refused(lambda _: {"distance": distance}, np.zeros((4, 28, 28, 1), np.uint8), point) == 0.5


def figure(value: float) -> dict[str, float]:
    return {"value": value, "sd": 0.01, "low": value - 0.02, "high": value + 0.02}


RESULTS: dict[str, Any] = {
    "domain": "healthcare_imaging",
    "table": {
        "tflite": {"auc": figure(0.95), "accuracy": figure(0.9), "coverage": figure(0.8), "refused": figure(0.011)}
        | {"calibration_error": figure(0.05)},
        "forest": {"auc": figure(0.9), "accuracy": figure(0.91), "coverage": figure(0.85)}
        | {"calibration_error": figure(0.02)},
    },
    "verdict": {"best_rival": "forest", "metric": "auc", "difference": {"value": 0.05, "low": 0.01, "high": 0.09}},
    "published": {"ResNet": {"auc": 0.944, "accuracy": 0.854, "source": "a paper"}},
    "foreign": {"noise": 0.99, "noise, lowest of the seeds": 0.97},
    "heat_map": {"inside": 0.12, "by_chance": 0.02, "times_chance": 6.0},
    "ratios": {"explain_bytes": 1.002},
    "export": {"chosen": "dynamic_int8", "bytes": 200_000, "float32_bytes": 800_000},
}


def test_readme_says_first_where_a_rival_is_ahead() -> None:
    parts = script("results_table").tables(RESULTS).split("\n\n")
    assert parts[0] == (
        "Ahead of the `.tflite`: forest in accuracy (0.910 to 0.900), forest in calibration error (0.020 to 0.050)."
    )
    assert "| ResNet, published | 0.944 | 0.854 |  |  |" in parts[1]
    assert "| noise | 0.990 | 0.970 |" in parts[3]
    assert "0.011 ± 0.010 are refused" in parts[4] and "6.0 times" in parts[4]
