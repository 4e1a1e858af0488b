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
TITLES = {"auc": "AUC ROC", "average_precision": "AP", "cp@100": "CP@100"}
NAMES = {"tflite": "**edgekit, `.tflite`**", "keras": "edgekit, Keras"}
RATIOS = {
    "windows_vs_pandas": "all features of the whole file, against pandas groupby-rolling for its part of them",
    "score_vs_invoke": "one score through the runtime, against the bare interpreter",
    "batch_vs_keras": "rows a second of the server file, against Keras `predict` as it is called",
    "batch_vs_keras_same_batch": "the same, with Keras `predict` in equally large batches",
    "import_vs_tensorflow": "time to import the runtime, against `import tensorflow`",
}


def write(readme: str) -> str:
    """Return README's text with every table made anew from its results file."""
    return BLOCK.sub(lambda found: f"{found[1]}{tables(_results(found[2]))}\n{found[3]}", readme)


def tables(results: Mapping[str, Any]) -> str:
    """Return the Markdown of one results file: figures, published figures, speed, size."""
    parts = [
        "Training weeks from 2018-07-04 to 2018-07-25:",
        _ahead(results["table"]),
        _figures(results["table"], {}),
        _verdict(results["verdict"]),
        "Training weeks from 2018-07-25 to 2018-08-15, those of the published figures:",
        _ahead(results["table_book_folds"]),
        _figures(results["table_book_folds"], results["published"]),
        _verdict(results["verdict_book_folds"]),
        _ratios(results["ratios"]),
        _size(results),
    ]
    return "\n\n".join(parts)


def _ahead(table: Mapping[str, Any]) -> str:
    """Say first where a rival has the higher figure."""
    rivals = [
        f"{name} in {title} ({row[metric]['value']:.3f} to {table['tflite'][metric]['value']:.3f})"
        for metric, title in TITLES.items()
        for name, row in table.items()
        if name not in NAMES and metric in row and row[metric]["value"] > table["tflite"][metric]["value"]
    ]
    return f"Ahead of the `.tflite`: {', '.join(rivals)}." if rivals else "No rival is ahead of the `.tflite`."


def _figures(table: Mapping[str, Any], published: Mapping[str, Any]) -> str:
    metrics = [metric for metric in TITLES if metric in next(iter(table.values()))]
    lines = [["system", *(TITLES[metric] for metric in metrics)], ["---"] * (len(metrics) + 1)]
    lines += [[NAMES.get(name, name), *(_cell(row[metric]) for metric in metrics)] for name, row in table.items()]
    lines += [[f"{name}, published", *(f"{row[metric]:.3f}" for metric in metrics)] for name, row in published.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(figure: Mapping[str, float]) -> str:
    return f"{figure['value']:.3f} ± {figure['sd']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _verdict(verdict: Mapping[str, Any]) -> str:
    difference = verdict["difference"]
    return (
        f"The `.tflite` less the best rival, {verdict['best_rival']}, in {TITLES[verdict['metric']]}: "
        f"{difference['value']:+.3f} [{difference['low']:+.3f}, {difference['high']:+.3f}]."
    )


def _ratios(ratios: Mapping[str, float]) -> str:
    lines = ["| speed, as a ratio measured in one run | |", "| --- | --- |"]
    lines += [f"| {meaning} | {ratios[name]:.2f} |" for name, meaning in RATIOS.items() if name in ratios]
    return "\n".join(lines)


def _size(results: Mapping[str, Any]) -> str:
    export, peak = results["export"], results["memory"]["load_and_features_peak_bytes"]
    return (
        f"The gate ships `{export['chosen']}`: {export['bytes'] / 1000:.0f} kB, card and golden vectors included, "
        f"{export['bytes'] / export['float32_bytes']:.2f} of float32. Reading the file and making all features takes "
        f"at most {peak / 1e9:.1f} GB."
    )


def _results(domain: str) -> Any:
    return json.loads((ROOT / "benchmarks" / "results" / f"{domain}.json").read_text())


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(write(path.read_text()))
