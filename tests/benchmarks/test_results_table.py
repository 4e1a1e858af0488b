"""The tables of the README: which figures stand under which folds."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "results_table.py"


@pytest.fixture(scope="module")
def results_table() -> ModuleType:
    found = importlib.util.spec_from_file_location("results_table", SCRIPT)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def figure(value: float) -> dict[str, float]:
    return {"value": value, "sd": 0.01, "low": value - 0.02, "high": value + 0.02}


def table(device: float, trees: float) -> dict[str, Any]:
    metrics = ("auc", "average_precision", "cp@100")
    return {
        name: {metric: figure(value) for metric in metrics} for name, value in (("tflite", device), ("trees", trees))
    }


def verdict(value: float) -> dict[str, Any]:
    difference = {"value": value, "low": value - 0.01, "high": value + 0.01}
    return {"best_rival": "trees", "metric": "average_precision", "difference": difference}


RESULTS: dict[str, Any] = {
    "domain": "finance_fraud",
    "table": table(0.711, 0.7),
    "verdict": verdict(0.011),
    "table_book_folds": table(0.622, 0.6),
    "verdict_book_folds": verdict(0.022),
    "published": {"XGBoost": {"auc": 0.862, "average_precision": 0.639, "cp@100": 0.273}},
    "ratios": {"score_vs_invoke": 1.237},
    "export": {"chosen": "dynamic_int8", "bytes": 40_000, "float32_bytes": 80_000},
    "memory": {"load_and_features_peak_bytes": 1_200_000_000},
}
PUBLISHED = "| XGBoost, published | 0.862 | 0.639 | 0.273 |"


def test_published_figures_stand_under_the_folds_they_were_measured_on(results_table: ModuleType) -> None:
    own, book = results_table.tables(RESULTS).split("those of the published figures:")
    assert PUBLISHED in book.splitlines() and "published" not in own
    assert "0.711 ± 0.010 [0.691, 0.731]" in own and "0.622" not in own
    assert "0.622 ± 0.010 [0.602, 0.642]" in book and "0.711" not in book


def test_both_verdicts_are_printed_under_their_own_table(results_table: ModuleType) -> None:
    own, book = results_table.tables(RESULTS).split("those of the published figures:")
    told = "The `.tflite` less the best rival, trees, in AP: "
    assert f"{told}+0.011 [+0.001, +0.021]." in own and own.count(told) == 1
    assert f"{told}+0.022 [+0.012, +0.032]." in book and book.count(told) == 1


def test_speed_and_size_end_the_block(results_table: ModuleType) -> None:
    speed, size = results_table.tables(RESULTS).split("\n\n")[-2:]
    assert speed.endswith("| one score through the runtime, against the bare interpreter | 1.24 |")
    assert "`dynamic_int8`: 40 kB" in size and "0.50 of float32" in size and "1.2 GB" in size


def test_the_block_of_a_readme_is_made_anew_and_the_rest_is_kept(
    results_table: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_table, "_results", {"fraud": RESULTS}.__getitem__)
    readme = "# Title\n<!-- results:fraud -->\nold\n<!-- end -->\nThe rest.\n"
    made = results_table.write(readme)
    assert made == f"# Title\n<!-- results:fraud -->\n{results_table.tables(RESULTS)}\n<!-- end -->\nThe rest.\n"
    assert results_table.write(made) == made
