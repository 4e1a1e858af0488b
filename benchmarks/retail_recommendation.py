r"""Repeat the leave-one-out protocol on Amazon Beauty with several seeds, on the device file itself.

    python benchmarks/retail_recommendation.py --data Beauty.txt --ratings ratings.csv --movies movies.csv \
        --out benchmarks/results/retail_recommendation.json

Protocol: 5-core Beauty (22,363 users, 12,101 items), test on each user's last item, validation on the last but one,
train on the rest; every item that the user did not have is ranked. For each seed the whole run of ``edgekit run
retail_recommendation``: epoch and rung are chosen on validation, test is read once. Networks and rivals are fitted on
train alone. Beside it MovieLens latest-small with its titles and genres, split by time, as a shop's own data are; and
what a recommendation and an epoch cost.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from over_seeds import Run, figures, fitted_once, median_seconds, run, sizes, statistics, verdict
from rich.console import Console

from edgekit import pipeline
from edgekit.domains.retail_recommendation.config import RECIPES, RetailConfig
from edgekit.domains.retail_recommendation.device import ALL_SCORES, Recommender
from edgekit.domains.retail_recommendation.features import Plan
from edgekit.domains.retail_recommendation.learning import make_learner, make_step, run_epoch
from edgekit.domains.retail_recommendation.model import build_member
from edgekit.domains.retail_recommendation.rivals import ease, purchases, recommend
from edgekit.domains.retail_recommendation.solution import DOMAIN
from edgekit.evidence import Material
from edgekit.shared.config import override
from edgekit.shared.domain import Examples, Request
from edgekit.shared.files import write_bytes, write_json
from edgekit.shared.training import seed_everything
from edgekit.shared.versions import versions
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.quantize import export

METRICS = ("hr@10", "ndcg@10", "mrr")
PROTOCOL = (
    "Amazon Beauty 5-core, leave-one-out in time: test on each user's last item, validation on the last but one, "
    "fitted on the rest; full ranking of all items but those that the user had; every choice on validation, test read "
    "once a seed; mean and standard deviation over the seeds; intervals by bootstrap over users"
)
PUBLISHED_SOURCE = "github.com/blondered/transformer_benchmark (eSASRec), 5-core Beauty, full ranking"
PUBLISHED = {
    "SASRec, as usually reported": (0.0605, 0.0318),
    "SASRec, sampled softmax": (0.0921, 0.0531),
    "eSASRec": (0.0928, 0.0523),
}
EASE_STRENGTH = 100.0  # as usual for this set; not tuned
CALLS = 300
K = 10
PLAIN_SHARE = 16
"""The plain fit goes through one window of so many: its logits take minutes an epoch."""
PLAIN_BATCH = 128
console = Console(stderr=True)


def main() -> None:
    """Read the arguments, run everything, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="Beauty.txt: lines `user item item …`")
    parser.add_argument("--ratings", type=Path, required=True, help="ratings.csv of MovieLens latest-small")
    parser.add_argument("--movies", type=Path, required=True, help="movies.csv of the same")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--seeds", type=int, default=3, help="networks trained")
    arguments = parser.parse_args()
    config, clock = RetailConfig(), pipeline.Clock(console.log)
    beauty = pipeline.gather(DOMAIN, config, Request(arguments.data), clock, seed=0)
    ease_on_more = fitted_on_validation_too(beauty, config)
    runs, made = over_seeds(beauty, config, clock, arguments.seeds)
    results = {
        "format": 1,
        "domain": DOMAIN.name,
        "data": f"{arguments.data.name}, {len(beauty.data):,} interactions, sha256 {beauty.data.fingerprint}",
        "protocol": PROTOCOL,
        "seeds": arguments.seeds,
        "table": {name: figures(metrics) for name, metrics in made.items()},
        "verdict": verdict(made, DOMAIN.primary_metric),
        "ease_fitted_on_validation_too": ease_on_more,
        "published": {
            name: {"hr@10": hits, "ndcg@10": gain, "source": PUBLISHED_SOURCE}
            for name, (hits, gain) in PUBLISHED.items()
        },
        "ratios": recommendation(runs[0], beauty, config) | epochs(beauty, override(config, RECIPES["sparse"])),
        "export": sizes(DOMAIN, runs, beauty, config),
    }
    movies = movielens(arguments.ratings, arguments.movies, clock)
    write_json(arguments.out, results | movies | {"versions": versions()})


def over_seeds(
    material: Material, config: RetailConfig, clock: pipeline.Clock, seeds: int
) -> tuple[list[Run], dict[str, Any]]:
    """Return the runs and the statistics of every predictor."""
    domain = replace(DOMAIN, rivals=fitted_once(DOMAIN.rivals))
    runs = [run(domain, material, config, clock, seed=seed) for seed in range(seeds)]
    return runs, statistics(runs, metrics=METRICS)


def fitted_on_validation_too(material: Material, config: RetailConfig) -> dict[str, Any]:
    """Return the figures of EASE when it may learn from all but the last items, as others report it."""
    splits = material.splits
    rows = np.sort(np.concatenate([splits.train, splits.validation]))
    train = DOMAIN.prepare(material.data, replace(splits, train=rows, validation=splits.validation[:0]), config).train
    num_items, test = len(material.prepared.plan.items), material.prepared.test
    score = ease(purchases(train, num_items), strength=EASE_STRENGTH)
    made = DOMAIN.evaluate(recommend(score, test.inputs, num_items), test, config)
    return figures({metric: [made[metric]] for metric in METRICS})


def movielens(ratings: Path, movies: Path, clock: pipeline.Clock) -> dict[str, Any]:
    """Return the figures of one run on MovieLens latest-small, on default settings."""
    columns = {"user": "userid", "item": "movieid", "timestamp": "timestamp"}
    config = RetailConfig()
    material = pipeline.gather(DOMAIN, config, Request(ratings, columns, items=movies), clock, seed=0)
    runs, made = over_seeds(material, config, clock, 1)
    test = material.prepared.test
    return {
        "movielens": f"one seed, {len(material.data):,} ratings, {material.splits.rule}; {len(test):,} test examples, "
        f"{test.context['cold_user'].mean():.0%} of new users, {test.context['cold_item'].mean():.0%} with new items",
        "table_movielens": {name: figures(metrics) for name, metrics in made.items()},
        "verdict_movielens": verdict(made, DOMAIN.primary_metric),
        "export_movielens": sizes(DOMAIN, runs, material, config),
    }


# === What it costs ===


def recommendation(one: Run, material: Material, config: RetailConfig) -> dict[str, float]:
    """Return the time of a recommendation against encoder and product of the scores alone, and against Keras."""
    learnt, ladder, measured = one
    recipe = ladder.chosen.recipe if ladder.chosen else "float32"
    ranker, plan = learnt.fitted.model, material.prepared.plan
    bare = keras.Model({"history": ranker.input["history"]}, {ALL_SCORES: ranker.output[ALL_SCORES]})
    engine = Engine(export(bare, recipe))
    card = pipeline.card_of(DOMAIN, config, material, learnt, measured.figures)
    files = pipeline.device_files(ladder, card, DOMAIN.golden(material.prepared, learnt.answers), config)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{DOMAIN.name}.tflite"
        write_bytes(path, files[path.name])
        recommender = Recommender(path)
    given = _longest(material.prepared.test, plan)
    history = {"history": given["history"]}
    names = [plan.items[code - 1] for code in given["history"][0].tolist()]
    plain, whole, api, slow = median_seconds(
        lambda: engine.predict(history),
        lambda: recommender.model.predict(given),
        lambda: recommender.recommend(names, K, explain=False),
        lambda: ranker.predict(given, verbose=0),
        times=CALLS,
    )
    return {
        "predict_vs_bare": whole / plain,
        "recommend_vs_bare": api / plain,
        "keras_predict_vs_tflite": slow / whole,
    }


def _longest(test: Examples, plan: Plan) -> dict[str, np.ndarray]:
    """Return the inputs of an example whose window is full."""
    row = int((test.inputs["history"] > 0).sum(axis=1).argmax())
    return test.take(np.array([row])).inputs


def epochs(material: Material, config: RetailConfig) -> dict[str, float]:
    """Return the time of an epoch against ``model.fit`` on padded windows with all logits at each step."""
    sampled, exact = (_own_epoch(material, config, exact=exact) for exact in (False, True))
    plain = _plain_epoch(material, config)
    console.log(f"an epoch with negatives {sampled:.1f} s, with all items {exact:.1f} s, a plain one {plain:.1f} s")
    return {"epoch_vs_plain_fit": sampled / plain, "exact_epoch_vs_plain_fit": exact / plain}


def _own_epoch(material: Material, config: RetailConfig, *, exact: bool) -> float:
    seed_everything(0)
    plan, train = material.prepared.plan, material.prepared.train
    member = build_member(plan, config.model)
    learner = make_learner(member.encoder, member.table, plan, train, config.training)
    step, rng = make_step(learner, exact=exact), np.random.default_rng(0)
    run_epoch(learner, step, train, rng)  # traces
    return config.model.members * _timed(lambda: run_epoch(learner, step, train, rng))


def _plain_epoch(material: Material, config: RetailConfig) -> float:
    """Return the seconds of an epoch, from a part of the windows."""
    plan, train = material.prepared.plan, material.prepared.train
    settings, rows = config.model, len(plan.items) + 1
    codes = keras.Input((plan.window,), dtype="int32")
    vectors = keras.layers.Embedding(rows, settings.width)(codes)
    states = build_member(plan, settings).encoder({"codes": codes, "vectors": vectors})
    model = keras.Model(codes, keras.layers.Dense(rows)(states))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    model.compile(optimizer="adam", loss=loss)
    few = slice(0, max(PLAIN_BATCH, len(train) // PLAIN_SHARE // PLAIN_BATCH * PLAIN_BATCH))
    history, target = train.inputs["history"][few], train.target[few]
    model.fit(history[:PLAIN_BATCH], target[:PLAIN_BATCH], batch_size=PLAIN_BATCH, verbose=0)  # traces
    taken = _timed(lambda: model.fit(history, target, batch_size=PLAIN_BATCH, verbose=0))
    return taken * len(train) / len(history)


def _timed(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
