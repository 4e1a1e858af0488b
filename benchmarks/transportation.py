r"""Repeat T-GCN's protocol on Los-loop with several seeds, on the device file; METR-LA and PEMS if you have them.

    python benchmarks/transportation.py --data los_speed.csv --adjacency los_adj.csv \
        --out benchmarks/results/transportation.json
    python benchmarks/transportation.py … --others metr-la.h5 pems-bay.h5 PEMS04.npz PEMS08.npz

Protocol (Zhao et al. 2020, IEEE T-ITS 21(9)): 207 sensors, 12 five-minute steps in; the first 80 % of the time for
training (the end of it for validation), the last 20 % for test; for each horizon all windows that fit into the test
part but the last; one figure over all steps up to the horizon. One model for all horizons; epoch, band and rung are
chosen on validation, test is read once a seed. The others: 70/10/20 in time (60/20/20 for PEMS04 and PEMS08), zeros
missing, errors of the step itself (Li et al. 2018, ICLR).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from over_seeds import Run, figures, fitted_once, joined, median_seconds, run, sizes, statistics, verdict
from rich.console import Console

from edgekit import pipeline
from edgekit.domains.transportation.config import TrafficConfig
from edgekit.domains.transportation.evaluate import evaluate
from edgekit.domains.transportation.features import inputs
from edgekit.domains.transportation.silence import silenced
from edgekit.domains.transportation.solution import DOMAIN
from edgekit.evidence import Material
from edgekit.shared.config import override
from edgekit.shared.domain import Examples, Request
from edgekit.shared.errors import ConfigError
from edgekit.shared.estimates import Statistic
from edgekit.shared.files import write_json
from edgekit.shared.versions import versions

METRICS = ("mae", "coverage@90", "width@90")
HORIZONS = {15: 3, 30: 6, 45: 9, 60: 12}
"""Minutes to steps."""
PROTOCOL = (
    "Los-loop (first week of METR-LA), 207 sensors, 12 steps in, first 80 % of the time for training and validation, "
    "last 20 % for test; RMSE over all steps up to the horizon, all windows of the test part but the last of each "
    "horizon; one model for all horizons, every choice on validation, test read once a seed; mean and standard "
    "deviation over the seeds; intervals by bootstrap over blocks of two hours"
)
PUBLISHED_SOURCE = (
    "Zhao et al. 2020, IEEE T-ITS 21(9), table of Los-loop; the 15-minute figure is the best of 5,000 test epochs "
    "(the authors' log), the others are from memory and not checked"
)
PUBLISHED = {"T-GCN": (5.126, 6.060, 6.707, 7.268)}
SILENT = 0.3
CALLS = 100
OTHERS: dict[str, dict[str, Any]] = {
    "metr-la": {"data": {"missing_code": 0.0, "unit": "mph", "validation_share": 0.1, "test_share": 0.2}},
    "pems-bay": {"data": {"missing_code": 0.0, "unit": "mph", "validation_share": 0.1, "test_share": 0.2}},
    "pems04": {"data": {"interval": "5min", "start": "2018-01-01", "validation_share": 0.2, "test_share": 0.2}},
    "pems08": {"data": {"interval": "5min", "start": "2016-07-01", "validation_share": 0.2, "test_share": 0.2}},
}
console = Console(stderr=True)


def main() -> None:
    """Read the arguments, run everything, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="los_speed.csv")
    parser.add_argument("--adjacency", type=Path, required=True, help="los_adj.csv")
    parser.add_argument("--others", type=Path, nargs="*", default=[], help=f"files named {', '.join(OTHERS)}")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--seeds", type=int, default=3, help="networks trained")
    arguments = parser.parse_args()
    settings = {"interval": "5min", "start": "2012-03-01", "unit": "mph", "adjacency": str(arguments.adjacency)}
    config, clock = override(TrafficConfig(), {"data": settings}), pipeline.Clock(console.log)
    material = pipeline.gather(DOMAIN, config, Request(arguments.data), clock, seed=0)
    domain = replace(DOMAIN, rivals=fitted_once(DOMAIN.rivals))
    runs = [run(domain, material, config, clock, seed=seed) for seed in range(arguments.seeds)]
    made = statistics(runs, metrics=METRICS)
    table = {name: by_horizon(name, runs, material, config) | metrics for name, metrics in made.items()}
    write_json(
        arguments.out,
        {
            "format": 1,
            "domain": DOMAIN.name,
            "data": f"{arguments.data.name}, {len(material.data):,} steps, sha256 {material.data.fingerprint}",
            "protocol": PROTOCOL,
            "seeds": arguments.seeds,
            "table": {name: figures(metrics) for name, metrics in table.items()},
            "verdict": verdict(made, DOMAIN.primary_metric, higher_is_better=False),
            "published": {
                name: {f"rmse@{minutes}": value for minutes, value in zip(HORIZONS, values, strict=True)}
                | {"source": PUBLISHED_SOURCE}
                for name, values in PUBLISHED.items()
            },
            "ratios": silence(runs, material, config) | speed(runs[0], material),
            "export": sizes(DOMAIN, runs, material, config),
            "others": {path.stem: other(path, clock) for path in arguments.others},
            "versions": versions(),
        },
    )


def by_horizon(name: str, runs: list[Run], material: Material, config: TrafficConfig) -> dict[str, list[Statistic]]:
    """Return the RMSE up to each horizon on T-GCN's windows, one statistic a seed."""
    made: dict[str, list[Statistic]] = {}
    for minutes, steps in HORIZONS.items():
        examples = windows(material, steps)
        found = [evaluate(measured.predictors[name](examples.inputs), examples, config) for _, _, measured in runs]
        made[f"rmse@{minutes}"] = [one[f"rmse@{minutes}"] for one in found]
    return made


def windows(material: Material, steps: int) -> Examples:
    """Return all windows of the test part that ``steps`` steps follow, but the last; later steps are not scored."""
    plan, readings, test = material.prepared.plan, material.data, material.splits.test
    part = readings.values[test]
    first = np.arange(len(part) - plan.window - steps)
    window = part[first[:, None] + np.arange(plan.window)]
    target = np.full((len(first), plan.horizon, part.shape[1]), np.nan, dtype=np.float32)
    target[:, :steps] = part[first[:, None] + plan.window + np.arange(steps)]
    last = readings.times()[test[first + plan.window - 1]]
    context = {"unit": last // 7200, "time": last, "interval": np.full(len(last), plan.interval)}
    return Examples(inputs(window, last, plan), target, context)


def silence(runs: list[Run], material: Material, config: TrafficConfig) -> dict[str, float]:
    """Return the error of the device file with silent sensors against that with none."""
    test = material.prepared.test
    quiet = silenced(test.inputs, SILENT, 0)
    errors = [
        [evaluate(measured.predictors["tflite"](given), test, config)["mae"] for given in (quiet, test.inputs)]
        for _, _, measured in runs
    ]
    with_silent, without = (joined([pair[side] for pair in errors]).compute(None) for side in (0, 1))
    return {"mae_30pct_silent_vs_none": with_silent / without}


def speed(one: Run, material: Material) -> dict[str, float]:
    """Return the time of one forecast of all sensors through Keras against the device file."""
    learnt, _, measured = one
    given = material.prepared.test.take(np.array([0])).inputs
    network, device = learnt.fitted.model, measured.predictors["tflite"]
    slow, fast = median_seconds(lambda: network.predict(given, verbose=0), lambda: device(given), times=CALLS)
    return {"forecast_vs_keras": slow / fast}


def other(path: Path, clock: pipeline.Clock) -> dict[str, Any]:
    """Return the figures of one run on another network's data.

    Raises:
        ConfigError: the file's name says no protocol.
    """
    if path.stem.lower() not in OTHERS:
        raise ConfigError(f"No protocol is known for {path}. Expected files named {', '.join(OTHERS)}.")
    config = override(TrafficConfig(), OTHERS[path.stem.lower()])
    material = pipeline.gather(DOMAIN, config, Request(path), clock, seed=0)
    _, _, measured = run(DOMAIN, material, config, clock, seed=0)
    return {name: {metric: value.as_json() for metric, value in row.items()} for name, row in measured.figures.items()}


if __name__ == "__main__":
    main()
