r"""Segment the customers of Online Retail forward in time with several seeds, on the device file.

    python benchmarks/marketing_segmentation.py --data online_retail.parquet \
        --out benchmarks/results/marketing_segmentation.json

Protocol: what is known at the end of 2011-09-09; test is the 91 days that follow. The network and boosting learn from
five earlier days whose 91 days end by then; BG/NBD, Pareto/NBD and the clusterings from the customers as they stand at
the end of 2011-09-09. A quarter of the customers is kept apart for every choice; test holds all customers. Stability is
the mean adjusted Rand index over bootstrap refits. Beside it, labelled as such, the easier split by customer within
the test period; and how well the true kinds of synthetic customers are found again.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from over_seeds import Run, figures, joined, median_seconds, run, sizes, statistics, verdict
from rich.console import Console

from edgekit import pipeline
from edgekit.domains.marketing_segmentation.config import MarketingConfig
from edgekit.domains.marketing_segmentation.evaluate import evaluate
from edgekit.domains.marketing_segmentation.features import BEHAVIOUR, SEGMENTS
from edgekit.domains.marketing_segmentation.model import fitted_segmentation
from edgekit.domains.marketing_segmentation.rivals import refit
from edgekit.domains.marketing_segmentation.solution import DOMAIN
from edgekit.domains.marketing_segmentation.stability import adjusted_rand
from edgekit.domains.marketing_segmentation.synthesis import synthesize
from edgekit.evidence import Material
from edgekit.shared.config import override
from edgekit.shared.domain import Request
from edgekit.shared.estimates import Statistic
from edgekit.shared.files import write_json
from edgekit.shared.versions import versions

COLUMNS = {
    "customer": "CustomerID",
    "order": "InvoiceNo",
    "timestamp": "InvoiceDate",
    "quantity": "Quantity",
    "price": "UnitPrice",
    "item": "StockCode",
}
SETTINGS = {"data": {"calibration": "2011-09-09", "currency": "GBP"}}
METRICS = (
    "spend_explained",
    "orders_explained",
    "lines_explained",
    "stability_ari",
    "orders_deviance",
    "orders_mae",
    "orders_aggregate_error",
    "spend_aggregate_error",
    "return_auc",
)
HIGHER = ("spend_explained", "orders_explained", "lines_explained", "stability_ari", "return_auc")
"""Metrics of which more is better; of the others less."""
PROTOCOL = (
    "Online Retail, all known at the end of 2011-09-09, test the 91 days that follow; the network and boosting learn "
    "from five earlier days whose 91 days end by then, purchase models and clusterings from the customers at the end "
    "of 2011-09-09; a quarter of the customers kept apart for every choice, others with every seed; rivals get as many "
    "segments as the network chose; explained shares cross-fitted over ten folds of customers; stability over 20 "
    "bootstrap refits; mean and standard deviation over the seeds; intervals by bootstrap over customers"
)
EASIER = ("kmeans_rfm", "rfm_quintiles")
"""Clusterings that the network is compared with on the easier split."""
PARTS = 4
CALLS = 300
console = Console(stderr=True)


def main() -> None:
    """Read the arguments, run everything, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="online_retail.parquet")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--seeds", type=int, default=3, help="networks trained, and synthetic shops made")
    arguments = parser.parse_args()
    config, clock = override(MarketingConfig(), SETTINGS), pipeline.Clock(console.log)
    found = recovery(MarketingConfig(), arguments.seeds)
    console.log(found)
    request = Request(arguments.data, COLUMNS)
    materials = [pipeline.gather(DOMAIN, config, request, clock, seed=seed) for seed in range(arguments.seeds)]
    runs = [run(DOMAIN, material, config, clock, seed=seed) for seed, material in enumerate(materials)]
    made, material = statistics(runs, metrics=METRICS), materials[0]
    segments = [measured.outputs[pipeline.DEVICE][SEGMENTS].shape[1] for _, _, measured in runs]
    write_json(
        arguments.out,
        {
            "format": 1,
            "domain": DOMAIN.name,
            "data": f"{arguments.data.name}, {len(material.data):,} lines, sha256 {material.data.fingerprint}",
            "protocol": PROTOCOL,
            "seeds": arguments.seeds,
            "segments": segments,
            "table": {name: figures(metrics) for name, metrics in made.items()},
            "verdict": verdict(made, DOMAIN.primary_metric),
            "verdicts": {metric: verdict(made, metric, higher_is_better=metric in HIGHER) for metric in METRICS},
            "published": {},
            "easier_split": easier(material, config, segments[0]),
            "recovery": found,
            "ratios": against_best(made) | speed(runs[0], material),
            "export": sizes(DOMAIN, runs, material, config),
            "versions": versions(),
        },
    )


def against_best(made: Mapping[str, Mapping[str, Sequence[Statistic]]]) -> dict[str, float]:
    """Return the device file's figures as multiples of the best rival's."""
    ratios = {}
    for metric in ("spend_explained", "stability_ari", "orders_deviance"):
        best = verdict(made, metric, higher_is_better=metric in HIGHER)["best_rival"]
        own, other = (joined(made[name][metric]).compute(None) for name in (pipeline.DEVICE, best))
        ratios[f"{metric}_vs_best_rival"] = own / other
    return ratios


def easier(material: Material, config: MarketingConfig, segments: int) -> dict[str, float]:
    """Return what segments explain that may learn from other customers of the test period itself, before any export.

    Each quarter of the customers is judged by segments fitted to the others and their future, and the mean is told. In
    use nobody has that future.
    """
    test, asked = material.prepared.test, override(config, {"model": {"segments": segments}})
    part = np.random.default_rng(0).permutation(len(test)) % PARTS
    found: dict[str, list[float]] = {"edgekit": [], **{name: [] for name in EASIER}}
    for number in range(PARTS):
        others, here = test.take(part != number), test.take(part == number)
        own = fitted_segmentation(others, config.model, segments=segments).labels(here.inputs[BEHAVIOUR])
        told = {"edgekit": {SEGMENTS: np.eye(segments)[own]}}
        told |= {name: refit(name, others, asked, seed=0)(here.inputs) for name in EASIER}
        for name, answer in told.items():
            found[name].append(evaluate(answer, here, config)["spend_explained"].compute(None))
    return {name: float(np.mean(values)) for name, values in found.items()}


def recovery(config: MarketingConfig, seeds: int) -> dict[str, float]:
    """Return how far segments agree with the true kinds of synthetic customers: mean adjusted Rand index."""
    found: dict[str, list[float]] = {"edgekit": [], "kmeans_rfm": []}
    for seed in range(seeds):
        shop = synthesize(config, seed=seed)
        prepared = DOMAIN.prepare(shop, DOMAIN.split(shop, config, seed=seed), config)
        test, kinds = prepared.test, len(shop.kinds)
        asked = override(config, {"model": {"segments": kinds}})
        rival = refit("kmeans_rfm", prepared.train, asked, seed=seed)(test.inputs)[SEGMENTS].argmax(axis=1)
        own = fitted_segmentation(prepared.train, config.model, segments=kinds).labels(test.inputs[BEHAVIOUR])
        truth = np.asarray(shop.kind)[test.context["unit"]]
        for name, labels in (("edgekit", own), ("kmeans_rfm", rival)):
            found[name].append(adjusted_rand(truth, labels))
    means = {name: float(np.mean(values)) for name, values in found.items()}
    return {**means, "ratio": means["edgekit"] / means["kmeans_rfm"]}


def speed(one: Run, material: Material) -> dict[str, float]:
    """Return the time of one customer through Keras against the device file."""
    learnt, _, measured = one
    given = material.prepared.test.take(np.array([0])).inputs
    network, device = learnt.fitted.model, measured.predictors[pipeline.DEVICE]
    slow, fast = median_seconds(lambda: network.predict(given, verbose=0), lambda: device(given), times=CALLS)
    return {"segment_vs_keras": slow / fast}


if __name__ == "__main__":
    main()
