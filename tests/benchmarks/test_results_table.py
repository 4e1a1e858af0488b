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


# === Recommendations ===


def ranked(hits: float, gain: float) -> dict[str, Any]:
    return {"hr@10": figure(hits), "ndcg@10": figure(gain), "mrr": figure(0.05001)}


RETAIL: dict[str, Any] = {
    "domain": "retail_recommendation",
    "table": {"ease": ranked(0.12345, 0.07), "keras": ranked(0.2, 0.1), "tflite": ranked(0.12335, 0.08)},
    "verdict": {
        "best_rival": "ease",
        "metric": "ndcg@10",
        "difference": {"value": 0.01004, "low": -0.00996, "high": 0.03006},
    },
    "ease_fitted_on_validation_too": {"hr@10": figure(0.13131), "ndcg@10": figure(0.07474)},
    "published": {"SASRec": {"hr@10": 0.0921, "ndcg@10": 0.0531, "source": "a paper"}},
    "movielens": "100 ratings, split by time",
    "table_movielens": {"tflite": ranked(0.3, 0.2), "popularity": ranked(0.2, 0.1)},
    "verdict_movielens": {
        "best_rival": "popularity",
        "metric": "ndcg@10",
        "difference": {"value": 0.1, "low": 0.05, "high": 0.15},
    },
    "ratios": {
        "exact_epoch_vs_plain_fit": 0.444,
        "predict_vs_bare": 1.111,
        "recommend_vs_bare": 1.222,
        "epoch_vs_plain_fit": 0.333,
        "keras_predict_vs_tflite": 55.556,
    },
    "export": {"chosen": "tied_int8", "bytes": 1_500_000, "float32_bytes": 6_000_000},
}


def test_recommendations_are_laid_out_with_four_decimals(results_table: ModuleType) -> None:
    parts = results_table.tables(RETAIL).split("\n\n")
    assert parts[0] == "Ahead of the `.tflite`: ease in HR@10 (0.1235 to 0.1234)."
    assert parts[1].splitlines() == [
        "| system | HR@10 | NDCG@10 | MRR |",
        "| --- | --- | --- | --- |",
        "| **edgekit, `.tflite`** | 0.1234 ± 0.0100 [0.1033, 0.1434] | 0.0800 ± 0.0100 [0.0600, 0.1000] | "
        "0.0500 ± 0.0100 [0.0300, 0.0700] |",
        "| edgekit, Keras | 0.2000 ± 0.0100 [0.1800, 0.2200] | 0.1000 ± 0.0100 [0.0800, 0.1200] | "
        "0.0500 ± 0.0100 [0.0300, 0.0700] |",
        "| ease | 0.1235 ± 0.0100 [0.1035, 0.1434] | 0.0700 ± 0.0100 [0.0500, 0.0900] | "
        "0.0500 ± 0.0100 [0.0300, 0.0700] |",
        "| SASRec, published | 0.0921 | 0.0531 |  |",
    ]
    told = "The `.tflite` less the best rival, ease, in NDCG@10: +0.0100 [-0.0100, +0.0301]."
    assert parts[2] == told
    assert parts[3] == (
        "EASE that is fitted on the validation items, too, as others report it, reaches 0.1313 / 0.0747."
    )


def test_movielens_speed_and_size_end_the_block(results_table: ModuleType) -> None:
    parts = results_table.tables(RETAIL).split("\n\n")
    assert parts[4] == "MovieLens latest-small, 100 ratings, split by time:"
    assert parts[5] == "No rival is ahead of the `.tflite`."
    assert "0.3000 ± 0.0100 [0.2800, 0.3200]" in parts[6] and "published" not in parts[6]
    assert parts[7] == "The `.tflite` less the best rival, popularity, in NDCG@10: +0.1000 [+0.0500, +0.1500]."
    assert parts[8].splitlines()[2:] == [
        "| one call through Keras `predict`, against the device file | 55.56 |",
        "| one recommendation, history of 50, against encoder and scores alone | 1.11 |",
        "| the same through the API, ids in and titles out | 1.22 |",
        "| an epoch with negatives, against `model.fit` on padded histories with all logits | 0.33 |",
        "| one of the last epochs, with all items, against the same | 0.44 |",
    ]
    assert (
        parts[9] == ("The gate ships `tied_int8`: 1500 kB, card and golden vectors included, 0.25 of float32.")
        and len(parts) == 10
    )


@pytest.mark.parametrize(
    ("metric", "value", "sign", "shown"),
    [
        ("auc", 0.91234, "", "0.912"),
        ("auc", 0.91234, "+", "+0.912"),
        ("ndcg@10", 0.07046, "", "0.0705"),
        ("mrr", -0.00004, "+", "-0.0000"),
        ("hr@10", 0.1, "", "0.1000"),
    ],
)
def test_figures_have_as_many_decimals_as_they_need(
    results_table: ModuleType, metric: str, value: float, sign: str, shown: str
) -> None:
    assert results_table._number(metric, value, sign) == shown


@pytest.mark.parametrize(
    ("metric", "rival", "ahead"),
    [
        ("ndcg@10", 0.08004, True),
        ("ndcg@10", 0.07996, False),
        ("calibration_error", 0.07, True),
        ("coverage", 0.9, False),
    ],
)
def test_a_rival_is_ahead_where_its_figure_is_better(
    results_table: ModuleType, metric: str, rival: float, ahead: bool
) -> None:
    told = results_table._ahead({"tflite": {metric: figure(0.08)}, "ease": {metric: figure(rival)}})
    assert (told != "No rival is ahead of the `.tflite`.") is ahead


@pytest.mark.parametrize("domain", ["finance_fraud", "healthcare_imaging", "retail_recommendation"])
def test_every_domain_has_a_layout(results_table: ModuleType, domain: str) -> None:
    assert domain in results_table.LAYOUTS
