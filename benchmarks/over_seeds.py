"""What benchmarks with several seeds have in common: one run a seed, and figures that are the mean over the seeds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edgekit import pipeline
from edgekit.evidence import Export, Learnt, Material, Measured
from edgekit.shared.domain import Domain, Predictor, Prepared, Progress, Rivals
from edgekit.shared.errors import RunError
from edgekit.shared.estimates import Compute, Statistic, bootstrap, paired_difference

Run = tuple[Learnt, Export, Measured]
NETWORKS = (pipeline.KERAS, pipeline.DEVICE)


def run(domain: Domain, material: Material, config: Any, clock: pipeline.Clock, *, seed: int) -> Run:
    """Fit, export and measure with one seed.

    Raises:
        RunError: nothing ships, so there is nothing to measure.
    """
    clock.say(f"seed {seed}")
    learnt = pipeline.learn(domain, config, material.prepared, clock, seed=seed)
    export = pipeline.export_ladder(domain, config, material.prepared, learnt, clock, seed=seed)
    if export.chosen is None:
        raise RunError(f"No rung is inside the budget with seed {seed}: {[rung.reason for rung in export.rungs]}.")
    measured = pipeline.measure(domain, config, material.prepared, learnt, export, seed=seed)
    for name, metrics in measured.figures.items():
        shown = ", ".join(f"{metric} {estimate.value:.4f}" for metric, estimate in metrics.items())
        clock.say(f"{name}: {shown}")
    return learnt, export, measured


def fitted_once(fit: Rivals) -> Rivals:
    """Fit the rivals with the first seed alone: they draw next to nothing at random."""
    kept: dict[str, Predictor] = {}

    def rivals(prepared: Prepared, config: Any, /, *, seed: int, report: Progress) -> dict[str, Predictor]:
        if not kept:
            kept.update(fit(prepared, config, seed=seed, report=report))
        return kept

    return rivals


def statistics(runs: Sequence[Run], *, metrics: Sequence[str]) -> dict[str, dict[str, list[Statistic]]]:
    """Return the metrics of each predictor on test, one statistic a seed; those that a seed lacks are left out."""
    made = {}
    for name in runs[0][2].outputs:
        by_seed = [measured.statistics[name] for _, _, measured in runs]
        kept = [metric for metric in metrics if all(metric in one for one in by_seed)]
        made[name] = {metric: [one[metric] for one in by_seed] for metric in kept}
    return made


def joined(seeds: Sequence[Statistic]) -> Statistic:
    """Return the mean over the seeds as one statistic; a unit is in or out of all of them."""
    return Statistic(_mean([one.compute for one in seeds]), seeds[0].units)


def _mean(computes: Sequence[Compute]) -> Compute:
    return lambda weight: float(np.mean([compute(weight) for compute in computes]))


def figures(metrics: Mapping[str, Sequence[Statistic]]) -> dict[str, dict[str, float]]:
    """Return mean, standard deviation over the seeds, and interval of each metric."""
    return {
        metric: bootstrap(joined(seeds)).as_json() | {"sd": float(np.std([one.compute(None) for one in seeds]))}
        for metric, seeds in metrics.items()
    }


def verdict(
    made: Mapping[str, Mapping[str, Sequence[Statistic]]], metric: str, *, higher_is_better: bool = True
) -> dict[str, Any]:
    """Compare the device file with the rival whose ``metric`` is best."""
    sign = 1 if higher_is_better else -1
    pooled = {name: joined(metrics[metric]) for name, metrics in made.items() if metric in metrics}
    best = max((name for name in pooled if name not in NETWORKS), key=lambda name: sign * pooled[name].compute(None))
    difference = paired_difference(pooled[pipeline.DEVICE], pooled[best])
    return {"metric": metric, "best_rival": best, "difference": difference.as_json()}


def sizes(domain: Domain, runs: Sequence[Run], material: Material, config: Any) -> dict[str, Any]:
    """Return the rung chosen by each seed, and the largest whole files, card and golden vectors included."""
    shipped, float32 = [], []
    for learnt, export, measured in runs:
        card = pipeline.card_of(domain, config, material, learnt, measured.figures)
        files = pipeline.device_files(export, card, domain.golden(material.prepared, learnt.answers), config)
        shipped.append(len(files[f"{domain.name}.tflite"]))
        float32.append(len(files["export/float32.tflite"]))
    recipes = [export.chosen.recipe for _, export, _ in runs if export.chosen]
    return {
        "chosen": max(set(recipes), key=recipes.count),
        "bytes": max(shipped),
        "float32_bytes": max(float32),
        "by_seed": recipes,
    }


def median_seconds(*calls: Callable[[], Any], times: int) -> tuple[float, ...]:
    """Return the median time of each call, the calls taking turns: what else the machine does meets all of them."""
    taken: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(times):
        for call, kept in zip(calls, taken, strict=True):
            start = time.perf_counter()
            call()
            kept.append(time.perf_counter() - start)
    return tuple(float(np.median(kept)) for kept in taken)
