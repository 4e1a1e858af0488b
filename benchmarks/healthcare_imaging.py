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
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from edgekit import pipeline
from edgekit.domains.healthcare_imaging import verdicts
from edgekit.domains.healthcare_imaging.config import ImagingConfig
from edgekit.domains.healthcare_imaging.features import to_canvas
from edgekit.domains.healthcare_imaging.illustrate import heat_in_lesions, refusals
from edgekit.domains.healthcare_imaging.solution import DOMAIN
from edgekit.domains.healthcare_imaging.verdicts import DISTANCE, OperatingPoint
from edgekit.evidence import Export, Learnt, Material, Measured
from edgekit.shared.domain import Domain, Predictor, Prepared, Progress, Request, Rivals
from edgekit.shared.errors import RunError
from edgekit.shared.estimates import Compute, Statistic, bootstrap, paired_difference
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
CALLS = 300
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
    statistics = {name: over_seeds(name, runs, material, config) for name in runs[0][2].outputs}
    rivals = [name for name in statistics if name not in ("keras", "tflite")]
    write_json(
        arguments.out,
        {
            "format": 1,
            "domain": DOMAIN.name,
            "data": f"{arguments.data.name}, {len(material.data):,} images, sha256 {material.data.fingerprint}",
            "protocol": PROTOCOL,
            "seeds": arguments.seeds,
            "table": {name: figures(metrics) for name, metrics in statistics.items()},
            "verdict": verdict(statistics, rivals),
            "published": {
                name: {"auc": auc, "accuracy": accuracy, "source": PUBLISHED_SOURCE}
                for name, (auc, accuracy) in PUBLISHED.items()
            },
            "foreign": foreign(runs, material, arguments.other),
            "heat_map": heat_map(config, clock),
            "ratios": ratios(runs[0]),
            "export": sizes(runs, material, config),
            "versions": versions(),
        },
    )


Run = tuple[Learnt, Export, Measured]


def run(domain: Domain, material: Material, config: ImagingConfig, clock: pipeline.Clock, *, seed: int) -> Run:
    """Fit, export and measure with one seed.

    Raises:
        RunError: nothing ships, so there is nothing to measure.
    """
    console.log(f"seed {seed}")
    learnt = pipeline.learn(domain, config, material.prepared, clock, seed=seed)
    export = pipeline.export_ladder(DOMAIN, config, material.prepared, learnt, clock, seed=seed)
    if export.chosen is None:
        raise RunError(f"No rung is inside the budget with seed {seed}: {[rung.reason for rung in export.rungs]}.")
    measured = pipeline.measure(DOMAIN, config, material.prepared, learnt, export, seed=seed)
    for name, metrics in measured.figures.items():
        console.log(name, {metric: round(estimate.value, 4) for metric, estimate in metrics.items()})
    return learnt, export, measured


def fitted_once(fit: Rivals) -> Rivals:
    """Fit the rivals with the first seed alone: they draw next to nothing at random."""
    kept: dict[str, Predictor] = {}

    def rivals(prepared: Prepared, config: Any, /, *, seed: int, report: Progress) -> dict[str, Predictor]:
        if not kept:
            kept.update(fit(prepared, config, seed=seed, report=report))
        return kept

    return rivals


def over_seeds(name: str, runs: Sequence[Run], material: Material, config: ImagingConfig) -> dict[str, list[Statistic]]:
    """Return each metric of a predictor, one statistic a seed."""
    test = material.prepared.test
    by_seed = [
        DOMAIN.evaluate(measured.outputs[name], test, config, threshold=measured.thresholds[name])
        for _, _, measured in runs
    ]
    return {metric: [one[metric] for one in by_seed] for metric in METRICS if all(metric in one for one in by_seed)}


def joined(seeds: Sequence[Statistic]) -> Statistic:
    """Return the mean over the seeds as one statistic; an image is in or out of all of them."""
    return Statistic(_mean([one.compute for one in seeds]), seeds[0].units)


def _mean(computes: Sequence[Compute]) -> Compute:
    return lambda weight: float(np.mean([compute(weight) for compute in computes]))


def figures(metrics: Mapping[str, Sequence[Statistic]]) -> dict[str, dict[str, float]]:
    """Return mean, standard deviation over the seeds, and interval of each metric."""
    return {
        metric: bootstrap(joined(seeds)).as_json() | {"sd": float(np.std([one.compute(None) for one in seeds]))}
        for metric, seeds in metrics.items()
    }


def verdict(statistics: Mapping[str, Mapping[str, Sequence[Statistic]]], rivals: Sequence[str]) -> dict[str, Any]:
    """Compare the device file with the rival of the highest AUC."""
    pooled = {name: joined(metrics["auc"]) for name, metrics in statistics.items()}
    best = max(rivals, key=lambda name: pooled[name].compute(None))
    return {
        "metric": "auc",
        "best_rival": best,
        "difference": paired_difference(pooled["tflite"], pooled[best]).as_json(),
    }


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
    slow, fast = _seconds(lambda: network.predict(image, verbose=0), 30), _seconds(lambda: device(image), CALLS)
    return {
        "keras_predict_vs_tflite": slow / fast,
        "tflite_vs_float32": _rung_median(export, chosen.recipe if chosen else "float32")
        / _rung_median(export, "float32"),
        "explain_bytes": len(convert(network, views=DOMAIN.views)) / plain,
    }


def _rung_median(export: Export, recipe: str) -> float:
    found = next(rung.latency for rung in export.rungs if rung.recipe == recipe)
    return found.median_ms if found else float("nan")


def _seconds(call: Callable[[], Any], calls: int) -> float:
    """Return the median time of a call."""
    call()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def sizes(runs: Sequence[Run], material: Material, config: ImagingConfig) -> dict[str, Any]:
    """Return the rung chosen by each seed, and the largest whole files, card and golden images included."""
    shipped, float32 = [], []
    for learnt, export, measured in runs:
        card = pipeline.card_of(DOMAIN, config, material, learnt, measured.figures)
        files = pipeline.device_files(export, card, DOMAIN.golden(material.prepared, learnt.answers), config)
        shipped.append(len(files[f"{DOMAIN.name}.tflite"]))
        float32.append(len(files["export/float32.tflite"]))
    recipes = [export.chosen.recipe for _, export, _ in runs if export.chosen]
    return {
        "chosen": max(set(recipes), key=recipes.count),
        "bytes": max(shipped),
        "float32_bytes": max(float32),
        "by_seed": recipes,
    }


if __name__ == "__main__":
    main()
