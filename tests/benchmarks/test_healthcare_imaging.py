"""The benchmark of the imaging domain: what is averaged over the seeds, and what README says of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgekit.domains.healthcare_imaging.config import ImagingConfig
from edgekit.domains.healthcare_imaging.evaluate import evaluate
from edgekit.domains.healthcare_imaging.verdicts import OperatingPoint
from edgekit.shared.domain import Examples
from edgekit.shared.errors import RunError
from edgekit.shared.estimates import mean_statistic

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def script(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return script("healthcare_imaging")


UNITS = np.arange(50)
FIRST, SECOND = (np.random.default_rng(seed).random(50) for seed in (1, 2))


def test_a_figure_is_the_mean_of_the_seeds_and_its_spread(benchmark: ModuleType) -> None:
    made = benchmark.figures({"auc": [mean_statistic(FIRST, UNITS), mean_statistic(SECOND, UNITS)]})["auc"]
    means = [FIRST.mean(), SECOND.mean()]
    assert made["value"] == pytest.approx(np.mean(means))
    assert made["sd"] == pytest.approx(np.std(means))
    assert made["low"] < made["value"] < made["high"] and made["n"] == 50


def test_seeds_are_resampled_together(benchmark: ModuleType) -> None:
    """An image drawn twice counts twice for every seed: the interval is that of the images' mean over the seeds."""
    seeds = [mean_statistic(FIRST, UNITS), mean_statistic(1 - FIRST, UNITS)]
    made = benchmark.figures({"auc": seeds})["auc"]
    assert (made["low"], made["high"]) == pytest.approx((0.5, 0.5))


def test_the_verdict_is_against_the_best_rival(benchmark: ModuleType) -> None:
    values = {"tflite": FIRST, "weak": FIRST - 0.2, "strong": FIRST - 0.1}
    statistics = {name: {"auc": [mean_statistic(value, UNITS)]} for name, value in values.items()}
    made = benchmark.verdict(statistics, ["weak", "strong"])
    assert made["best_rival"] == "strong" and made["difference"]["value"] == pytest.approx(0.1)


def test_every_figure_of_a_device_is_told(benchmark: ModuleType) -> None:
    probability = np.random.default_rng(3).dirichlet((1, 1), 60).astype(np.float32)
    outputs = {"probability": probability, "suspicion": probability[:, 1:], "distance": probability[:, :1]}
    context = {"unit": np.arange(60), "finding": np.arange(60) % 2, "normal": np.zeros(60, np.int64)}
    point = OperatingPoint(0.5, "by hand", {}, 0.6, 0.9, farthest=2.0, labels=())
    examples = Examples({"image": np.zeros((60, 1))}, np.arange(60) % 2, context)
    assert set(benchmark.METRICS) == set(evaluate(outputs, examples, ImagingConfig(), threshold=point))


def test_metrics_that_a_seed_lacks_are_left_out(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [
        {"auc": mean_statistic(FIRST, UNITS), "accuracy": mean_statistic(FIRST, UNITS)},
        {"auc": mean_statistic(SECOND, UNITS)},
    ]
    monkeypatch.setattr(benchmark, "DOMAIN", SimpleNamespace(evaluate=lambda *_, **__: made.pop(0)))
    measured: Any = SimpleNamespace(outputs={"tflite": {}}, thresholds={"tflite": None})
    material: Any = SimpleNamespace(prepared=SimpleNamespace(test=None))
    found = benchmark.over_seeds("tflite", [(None, None, measured)] * 2, material, None)
    assert list(found) == ["auc"] and len(found["auc"]) == 2


def test_rivals_are_fitted_once_for_all_seeds(benchmark: ModuleType) -> None:
    asked = list[int]()

    def fit(prepared: Any, config: Any, /, *, seed: int, report: Any) -> dict[str, Any]:
        asked.append(seed)
        return {"forest": seed}

    rivals = benchmark.fitted_once(fit)
    assert [rivals(None, None, seed=seed, report=None) for seed in (3, 4)] == [{"forest": 3}] * 2
    assert asked == [3]


def test_a_seed_that_ships_nothing_is_one_clear_error(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    export = SimpleNamespace(chosen=None, rungs=[SimpleNamespace(reason="auc falls by 0.2")])
    steps = SimpleNamespace(learn=lambda *_, **__: None, export_ladder=lambda *_, **__: export)
    monkeypatch.setattr(benchmark, "pipeline", steps)
    material: Any = SimpleNamespace(prepared=None)
    with pytest.raises(RunError, match="No rung is inside the budget with seed 7: .*auc falls by 0.2"):
        benchmark.run(None, material, None, None, seed=7)


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
