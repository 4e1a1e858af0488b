"""Turn results files into the tables of README.md.

python benchmarks/results_table.py            # writes the tables into README.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- results:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
TITLES = {
    "auc": "AUC ROC", "average_precision": "AP", "cp@100": "CP@100", "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity", "coverage": "conformal coverage", "calibration_error": "calibration error",
    "rmse@15": "RMSE to 15 min", "rmse@30": "to 30", "rmse@45": "to 45", "rmse@60": "to 60", "mae": "MAE",
    "coverage@90": "coverage of the band",
    "spend_explained": "spend explained", "orders_explained": "orders explained",
    "lines_explained": "order lines explained", "stability_ari": "stability (ARI)",
    "orders_deviance": "deviance of orders", "orders_aggregate_error": "error of all orders",
    "spend_aggregate_error": "error of all spend", "return_auc": "AUC of coming back",
    "hr@10": "HR@10", "ndcg@10": "NDCG@10", "mrr": "MRR",
}  # fmt: skip
LOWER_IS_BETTER = (
    "calibration_error", "rmse@15", "rmse@30", "rmse@45", "rmse@60", "mae", "orders_deviance", "orders_aggregate_error",
    "spend_aggregate_error",
)  # fmt: skip
DIGITS = {"hr@10": 4, "ndcg@10": 4, "mrr": 4}
"""Where three decimals hide what is compared."""
NO_CONTEST = ("coverage", "coverage@90")  # nearer to its aim is better, not higher
NAMES = {"tflite": "**edgekit, `.tflite`**", "keras": "edgekit, Keras"}
RATIOS = {
    "windows_vs_pandas": "all features of the whole file, against pandas groupby-rolling for its part of them",
    "score_vs_invoke": "one score through the runtime, against the bare interpreter",
    "batch_vs_keras": "rows a second of the server file, against Keras `predict` as it is called",
    "batch_vs_keras_same_batch": "the same, with Keras `predict` in equally large batches",
    "import_vs_tensorflow": "time to import the runtime, against `import tensorflow`",
    "keras_predict_vs_tflite": "one call through Keras `predict`, against the device file",
    "tflite_vs_float32": "one image through the shipped file, against the float32 file",
    "predict_vs_bare": "one recommendation, history of 50, against encoder and scores alone",
    "recommend_vs_bare": "the same through the API, ids in and titles out",
    "epoch_vs_plain_fit": "an epoch with negatives, against `model.fit` on padded histories with all logits",
    "exact_epoch_vs_plain_fit": "one of the last epochs, with all items, against the same",
    "segment_vs_keras": "one customer through Keras `predict`, against the device file",
    "forecast_vs_keras": "one forecast of all sensors through Keras `predict`, against the device file",
    "mae_30pct_silent_vs_none": "no speed: MAE with 30 % of the sensors silent, against none",
    "explain_bytes": "bytes with the heat map's signature, against without it",
}


def write(readme: str) -> str:
    """Return README's text with every table made anew from its results file."""
    return BLOCK.sub(lambda found: f"{found[1]}{tables(_results(found[2]))}\n{found[3]}", readme)


def tables(results: Mapping[str, Any]) -> str:
    """Return the Markdown of one results file."""
    return "\n\n".join(LAYOUTS[results["domain"]](results))


def _fraud(results: Mapping[str, Any]) -> list[str]:
    """Lay out figures, published figures, speed, size."""
    peak = results["memory"]["load_and_features_peak_bytes"]
    return [
        "Training weeks from 2018-07-04 to 2018-07-25:",
        _ahead(results["table"]),
        _figures(results["table"], {}),
        _verdict(results["verdict"]),
        "Training weeks from 2018-07-25 to 2018-08-15, those of the published figures:",
        _ahead(results["table_book_folds"]),
        _figures(results["table_book_folds"], results["published"]),
        _verdict(results["verdict_book_folds"]),
        _ratios(results["ratios"]),
        f"{_size(results['export'])} Reading the file and making all features takes at most {peak / 1e9:.1f} GB.",
    ]


def _imaging(results: Mapping[str, Any]) -> list[str]:
    """Lay out figures, published figures, refusals of foreign images, heat map, speed, size."""
    kinds = {kind: share for kind, share in results["foreign"].items() if not kind.endswith("of the seeds")}
    lines = ["| foreign images | refused (mean of the seeds) | lowest |", "| --- | --- | --- |"]
    lines += [
        f"| {kind} | {share:.3f} | {results['foreign'][f'{kind}, lowest of the seeds']:.3f} |"
        for kind, share in kinds.items()
    ]
    refused, heat = results["table"]["tflite"]["refused"], results["heat_map"]
    return [
        _ahead(results["table"]),
        _figures(results["table"], results["published"]),
        _verdict(results["verdict"]),
        "\n".join(lines),
        f"Of the test images themselves {refused['value']:.3f} ± {refused['sd']:.3f} are refused. On the synthetic set "
        f"{heat['inside']:.2f} of the heat map lies inside the planted lesions, {heat['times_chance']:.1f} times what "
        "chance would put there.",
        _ratios(results["ratios"]),
        _size(results["export"]),
    ]


def _retail(results: Mapping[str, Any]) -> list[str]:
    """Lay out figures, published figures, MovieLens, speed, size."""
    ease = results["ease_fitted_on_validation_too"]
    return [
        _ahead(results["table"]),
        _figures(results["table"], results["published"]),
        _verdict(results["verdict"]),
        "EASE that is fitted on the validation items, too, as others report it, reaches "
        f"{ease['hr@10']['value']:.4f} / {ease['ndcg@10']['value']:.4f}.",
        f"MovieLens latest-small, {results['movielens']}:",
        _ahead(results["table_movielens"]),
        _figures(results["table_movielens"], {}),
        _verdict(results["verdict_movielens"]),
        _ratios(results["ratios"]),
        _size(results["export"]),
    ]


def _traffic(results: Mapping[str, Any]) -> list[str]:
    """Lay out figures, published figures, silent sensors, speed, size."""
    return [
        _ahead(results["table"]),
        _figures(results["table"], results["published"]),
        _verdict(results["verdict"]),
        _ratios(results["ratios"]),
        _size(results["export"]),
    ]


def _segments(results: Mapping[str, Any]) -> list[str]:
    """Lay out figures, what they are to the best rivals, the easier split, synthetic kinds, speed, size."""
    easier, found, ratios = results["easier_split"], results["recovery"], results["ratios"]
    told = ", ".join(f"{name} {value:.3f}" for name, value in easier.items())
    return [
        _ahead(results["table"]),
        _figures(results["table"], {}),
        _verdict(results["verdict"]),
        f"With {' / '.join(map(str, results['segments']))} segments (by seed), the `.tflite` explains "
        f"{ratios['spend_explained_vs_best_rival']:.2f} "
        "times the spend that the best rival's segments do, at "
        f"{ratios['stability_ari_vs_best_rival']:.2f} times the stability of the most stable one; the deviance of its "
        f"orders is {ratios['orders_deviance_vs_best_rival']:.3f} times the best rival's.",
        f"On the easier split, by customer within the test period (segments before export): spend explained {told}.",
        f"Synthetic customers: adjusted Rand index with the true kinds {found['edgekit']:.2f}, k-means on recency, "
        f"frequency and spend {found['kmeans_rfm']:.2f}.",
        _ratios(ratios),
        _size(results["export"]),
    ]


def _ahead(table: Mapping[str, Any]) -> str:
    """Say first where a rival has the higher figure."""
    rivals = [
        f"{name} in {title} ({_number(metric, row[metric]['value'])} to "
        f"{_number(metric, table['tflite'][metric]['value'])})"
        for metric, title in TITLES.items()
        for name, row in table.items()
        if name not in NAMES and metric in row and _is_ahead(metric, row, table["tflite"])
    ]
    return f"Ahead of the `.tflite`: {', '.join(rivals)}." if rivals else "No rival is ahead of the `.tflite`."


def _is_ahead(metric: str, rival: Mapping[str, Any], device: Mapping[str, Any]) -> bool:
    if metric in NO_CONTEST:
        return False
    sign = -1 if metric in LOWER_IS_BETTER else 1
    return bool(sign * rival[metric]["value"] > sign * device[metric]["value"])


def _figures(table: Mapping[str, Any], published: Mapping[str, Any]) -> str:
    metrics = [metric for metric in TITLES if metric in table["tflite"]]
    lines = [["system", *(TITLES[metric] for metric in metrics)], ["---"] * (len(metrics) + 1)]
    own = {name: table[name] for name in NAMES if name in table}
    lines += [
        [NAMES.get(name, name), *(_cell(metric, row[metric]) if metric in row else "" for metric in metrics)]
        for name, row in (own | table).items()
    ]
    lines += [
        [f"{name}, published", *(_number(metric, row[metric]) if metric in row else "" for metric in metrics)]
        for name, row in published.items()
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(metric: str, figure: Mapping[str, float]) -> str:
    value, spread, low, high = (_number(metric, figure[name]) for name in ("value", "sd", "low", "high"))
    return f"{value} ± {spread} [{low}, {high}]"


def _number(metric: str, value: float, sign: str = "") -> str:
    return f"{value:{sign}.{DIGITS.get(metric, 3)}f}"


def _verdict(verdict: Mapping[str, Any]) -> str:
    metric, difference = verdict["metric"], verdict["difference"]
    value, low, high = (_number(metric, difference[name], "+") for name in ("value", "low", "high"))
    return f"The `.tflite` less the best rival, {verdict['best_rival']}, in {TITLES[metric]}: {value} [{low}, {high}]."


def _ratios(ratios: Mapping[str, float]) -> str:
    lines = ["| speed, as a ratio measured in one run | |", "| --- | --- |"]
    lines += [f"| {meaning} | {ratios[name]:.2f} |" for name, meaning in RATIOS.items() if name in ratios]
    return "\n".join(lines)


def _size(export: Mapping[str, Any]) -> str:
    return (
        f"The gate ships `{export['chosen']}`: {export['bytes'] / 1000:.0f} kB, card and golden vectors included, "
        f"{export['bytes'] / export['float32_bytes']:.2f} of float32."
    )


def _results(domain: str) -> Any:
    return json.loads((ROOT / "benchmarks" / "results" / f"{domain}.json").read_text())


LAYOUTS = {
    "finance_fraud": _fraud,
    "healthcare_imaging": _imaging,
    "marketing_segmentation": _segments,
    "retail_recommendation": _retail,
    "transportation": _traffic,
}

if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(write(path.read_text()))
