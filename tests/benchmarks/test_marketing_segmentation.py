"""The benchmark of the segmentation domain on a tiny shop: what it tells, and who is judged by whom."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation.config import MarketingConfig
from edgekit.domains.marketing_segmentation.data import prepare, split
from edgekit.domains.marketing_segmentation.synthesis import synthesize
from edgekit.shared.config import override
from edgekit.shared.estimates import mean_statistic

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
CONFIG = override(MarketingConfig(), {"synthetic": {"customers": 400, "days": 400}, "model": {"segments": 3}})
UNITS = np.arange(40)


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module("marketing_segmentation")
    finally:
        sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def material() -> Any:
    shop = synthesize(CONFIG, seed=1)
    splits = split(shop, CONFIG, seed=1)
    return SimpleNamespace(data=shop, splits=splits, prepared=prepare(shop, splits, CONFIG))


def test_the_easier_split_tells_a_share_for_the_network_and_simple_clusterings(
    benchmark: ModuleType, material: Any
) -> None:
    found = benchmark.easier(material, CONFIG, 3)
    assert list(found) == ["edgekit", "kmeans_rfm", "rfm_quintiles"]
    assert all(0.05 < share < 0.9 for share in found.values())


def test_every_customer_is_judged_by_segments_of_others(
    benchmark: ModuleType, material: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[int]] = []
    fit = benchmark.fitted_segmentation

    def spied(train: Any, settings: Any, *, segments: int) -> Any:
        seen.append(set(train.context["unit"].tolist()))
        return fit(train, settings, segments=segments)

    monkeypatch.setattr(benchmark, "fitted_segmentation", spied)
    benchmark.easier(material, CONFIG, 3)
    everyone = set(material.prepared.test.context["unit"].tolist())
    assert len(seen) == benchmark.PARTS
    assert set.intersection(*seen) == set() and set.union(*seen) == everyone


def test_recovery_compares_with_the_true_kinds(benchmark: ModuleType) -> None:
    found = benchmark.recovery(CONFIG, 1)
    assert found["ratio"] == pytest.approx(found["edgekit"] / found["kmeans_rfm"])
    assert 0 < found["kmeans_rfm"] < 1 and 0 < found["edgekit"] < 1


def test_the_device_file_is_set_against_the_best_rival_of_each_metric(benchmark: ModuleType) -> None:
    def of(value: float) -> list[Any]:
        return [mean_statistic(np.full(40, value), UNITS)]

    made = {
        "tflite": {"spend_explained": of(0.3), "stability_ari": of(0.9), "orders_deviance": of(1.2)},
        "kmeans": {"spend_explained": of(0.2), "stability_ari": of(0.6)},
        "quintiles": {"spend_explained": of(0.25), "stability_ari": of(0.5)},
        "bg_nbd": {"orders_deviance": of(1.0)},
        "boosting": {"orders_deviance": of(1.5)},
    }
    assert benchmark.against_best(made) == pytest.approx(
        {
            "spend_explained_vs_best_rival": 0.3 / 0.25,
            "stability_ari_vs_best_rival": 0.9 / 0.6,
            "orders_deviance_vs_best_rival": 1.2,
        }
    )


def test_every_metric_has_a_direction(benchmark: ModuleType) -> None:
    assert set(benchmark.HIGHER) < set(benchmark.METRICS)
    assert all(name.endswith(("explained", "ari", "auc")) for name in benchmark.HIGHER)
    assert all(name.endswith(("deviance", "mae", "error")) for name in set(benchmark.METRICS) - set(benchmark.HIGHER))
