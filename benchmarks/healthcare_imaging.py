"""Repeat the PneumoniaMNIST protocol of MedMNIST with several seeds, on the device file itself.

    python benchmarks/healthcare_imaging.py --data pneumoniamnist.npz --out benchmarks/results/healthcare_imaging.json

Protocol: official split, 28×28 pixels. For each seed the whole run of ``edgekit run healthcare_imaging`` on its default
settings: temperature, threshold, conformal limit, largest distance and rung are chosen on validation, the last epoch is
kept; test is read once. Beside the classification figures: how many of the foreign images of ``foreign.KINDS`` (and of
another body part, ``--other``) the file refuses; and on the synthetic set, where the lesions are known, how much of the
heat map lies inside them. Source: Yang et al. 2023, Scientific Data 10:41.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from over_seeds import Run, figures, fitted_once, median_seconds, run, sizes, statistics, verdict
from rich.console import Console

from edgekit import pipeline
from edgekit.domains.healthcare_imaging import verdicts
from edgekit.domains.healthcare_imaging.config import ImagingConfig
from edgekit.domains.healthcare_imaging.features import to_canvas
from edgekit.domains.healthcare_imaging.illustrate import heat_in_lesions, refusals
from edgekit.domains.healthcare_imaging.solution import DOMAIN
from edgekit.domains.healthcare_imaging.verdicts import DISTANCE, OperatingPoint
from edgekit.evidence import Export, Material
from edgekit.shared.domain import Predictor, Request
from edgekit.shared.files import write_json
from edgekit.shared.versions import versions
from edgekit.tflite_export.convert import convert

METRICS = (
    "auc", "accuracy", "balanced_accuracy", "sensitivity", "specificity", "calibration_error", "brier", "coverage",
    "abstained", "accepted_accuracy", "missed", "refused",
)  # fmt: skip
PROTOCOL = (
    "PneumoniaMNIST 28×28 of MedMNIST v2, official split, one model; every choice on validation, test read once a "
    "seed; mean and standard deviation over the seeds; intervals by bootstrap over test images (copies of one "
    "image as one), each figure being the mean over the seeds' models"
)
PUBLISHED_SOURCE = "Yang et al. 2023, Scientific Data 10:41, table of PneumoniaMNIST; threshold 0.5 or argmax"
PUBLISHED = {
    "ResNet-18 (28)": (0.944, 0.854),
    "ResNet-18 (224)": (0.956, 0.864),
    "ResNet-50 (28)": (0.948, 0.854),
    "ResNet-50 (224)": (0.962, 0.884),
    "auto-sklearn": (0.942, 0.855),
    "AutoKeras": (0.947, 0.878),
    "Google AutoML Vision": (0.991, 0.946),
}
OTHER_IMAGES = 400
CALLS = 100
console = Console(stderr=True)


def main() -> None:
    """Read the arguments, run everything, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="pneumoniamnist.npz")
    parser.add_argument("--other", type=Path, help="an .npz of another body part, as one more kind of foreign image")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--seeds", type=int, default=5, help="networks trained")
    arguments = parser.parse_args()
    config, clock = ImagingConfig(), pipeline.Clock(console.log)
    material = pipeline.gather(DOMAIN, config, Request(arguments.data), clock, seed=0)
    domain = replace(DOMAIN, rivals=fitted_once(DOMAIN.rivals))
    runs = [run(domain, material, config, clock, seed=seed) for seed in range(arguments.seeds)]
    made = statistics(runs, metrics=METRICS)
    write_json(
        arguments.out,
        {
            "format": 1,
            "domain": DOMAIN.name,
            "data": f"{arguments.data.name}, {len(material.data):,} images, sha256 {material.data.fingerprint}",
            "protocol": PROTOCOL,
            "seeds": arguments.seeds,
            "table": {name: figures(metrics) for name, metrics in made.items()},
            "verdict": verdict(made, DOMAIN.primary_metric),
            "published": {
                name: {"auc": auc, "accuracy": accuracy, "source": PUBLISHED_SOURCE}
                for name, (auc, accuracy) in PUBLISHED.items()
            },
            "foreign": foreign(runs, material, arguments.other),
            "heat_map": heat_map(config, clock),
            "ratios": ratios(runs[0]),
            "export": sizes(DOMAIN, runs, material, config),
            "versions": versions(),
        },
    )


def foreign(runs: Sequence[Run], material: Material, other: Path | None) -> dict[str, float]:
    """Return the share of foreign images that the device files refuse, by kind, and the lowest over the seeds."""
    plan, made = material.prepared.plan, []
    for number, (learnt, _, measured) in enumerate(runs):
        point: Any = learnt.threshold
        shares = refusals(measured.predictors["tflite"], plan, point, seed=number)
        if other:
            images = _other_images(other, plan)
            shares["another body part"] = _refused(measured.predictors["tflite"], images, point)
        made.append(shares)
    lowest = {f"{kind}, lowest of the seeds": min(shares[kind] for shares in made) for kind in made[0]}
    return {kind: float(np.mean([shares[kind] for shares in made])) for kind in made[0]} | lowest


def _other_images(path: Path, plan: Any) -> np.ndarray:
    with np.load(path, allow_pickle=False) as stored:
        images = stored["test_images"][:OTHER_IMAGES]
    return np.stack([to_canvas(image, size=plan.size, channels=plan.channels, fit=plan.fit) for image in images])


def _refused(predict: Predictor, images: np.ndarray, point: OperatingPoint) -> float:
    return float(verdicts.foreign(predict({"image": images})[DISTANCE], point).mean())


def heat_map(config: ImagingConfig, clock: pipeline.Clock) -> dict[str, float]:
    """Return how much of the heat lies inside planted lesions, on the synthetic set, and how much would by chance."""
    material = pipeline.gather(DOMAIN, config, Request(), clock, seed=0)
    _, _, measured = run(DOMAIN, material, config, clock, seed=0)
    inside, chance = heat_in_lesions(measured.outputs["tflite"], material.prepared.test, material.prepared.plan)
    return {"inside": inside, "by_chance": chance, "times_chance": inside / chance}


def ratios(one: Run) -> dict[str, float]:
    """Return times of one call against each other, and what the second signature adds to the file."""
    learnt, export, measured = one
    image = {"image": np.zeros((1, *learnt.fitted.model.inputs[0].shape[1:]), dtype=np.uint8)}
    device, network = measured.predictors["tflite"], learnt.fitted.model
    chosen = export.chosen
    plain = len(convert(network))
    slow, fast = median_seconds(lambda: network.predict(image, verbose=0), lambda: device(image), times=CALLS)
    return {
        "keras_predict_vs_tflite": slow / fast,
        "tflite_vs_float32": _rung_median(export, chosen.recipe if chosen else "float32")
        / _rung_median(export, "float32"),
        "explain_bytes": len(convert(network, views=DOMAIN.views)) / plain,
    }


def _rung_median(export: Export, recipe: str) -> float:
    found = next(rung.latency for rung in export.rungs if rung.recipe == recipe)
    return found.median_ms if found else float("nan")


if __name__ == "__main__":
    main()
