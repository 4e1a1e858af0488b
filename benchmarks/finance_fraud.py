"""Repeat the Fraud Detection Handbook's test protocol and measure the speed figures.

    python benchmarks/finance_fraud.py --data transactions.parquet --out benchmarks/results/finance_fraud.json

Protocol: four folds. Train on the 7 days from 2018-07-25, and from 7, 14 and 21 days before; 7 days of label
delay; test on the following 7 days. The figures the Handbook prints belong to the training weeks from 2018-07-25 and
7, 14 and 21 days after (chapter 5: the last test fold starts training three weeks later, and the folds go back from
there), so these are run as well and reported as ``table_book_folds``. From each test day the customers known to be
defrauded are removed: those with a fraud in the training week, and those with a fraud on a day whose label is known
by then. Epochs, calibration, the rivals' settings and the gate are chosen on the week before each training week.
Source: Le Borgne et al. 2022, Reproducible Machine Learning for Credit Card Fraud Detection, chapters 4, 5 and 7.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import keras
import numpy as np
from finance_fraud_speed import measure_speed
from rich.console import Console

from edgekit.domains.finance_fraud import data, features, windows
from edgekit.domains.finance_fraud.config import FraudConfig
from edgekit.domains.finance_fraud.evaluate import evaluate
from edgekit.domains.finance_fraud.model import fit_model
from edgekit.domains.finance_fraud.rivals import rivals
from edgekit.domains.finance_fraud.solution import DOMAIN
from edgekit.shared.contract import Table
from edgekit.shared.domain import Arrays, Examples, Predictor, Prepared, Request
from edgekit.shared.estimates import Compute, Statistic, bootstrap, paired_difference
from edgekit.shared.files import write_json
from edgekit.shared.training import predictor
from edgekit.shared.versions import versions
from edgekit.tflite_export.assemble import assemble
from edgekit.tflite_export.card import Card
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.gate import Rung, smallest_accepted
from edgekit.tflite_export.ladder import Validation, climb

COLUMNS = {
    "timestamp": "TX_DATETIME",
    "customer": "CUSTOMER_ID",
    "terminal": "TERMINAL_ID",
    "amount": "TX_AMOUNT",
    "label": "TX_FRAUD",
}
EXCLUDE = ("TX_FRAUD_SCENARIO",)
WEEK = DELAY = 7
FIRST_START = (date(2018, 7, 4) - date(1970, 1, 1)).days
FOLDS = 7
STATED, BOOK = slice(0, 4), slice(3, 7)  # training weeks from 2018-07-04 to 07-25, and from 07-25 to 08-15
METRICS = ("auc", "average_precision", "cp@100")
Answers = list[list[Arrays]]  # by fold, then by seed
PROTOCOL = (
    "Fraud Detection Handbook, test folds: train on the 7 days from 2018-07-25 and from 7, 14 and 21 days before, "
    "7 days of delay, test on the following 7 days without customers known to be defrauded; every choice on the "
    "week before each training week; mean and standard deviation over the folds, each the mean over the seeds; "
    "intervals by bootstrap over customers (cp@100: over days)"
)
PUBLISHED_SOURCE = (
    "Fraud Detection Handbook, chapter 7, Sequential Modeling, table of test performances (simulated data)"
)
PUBLISHED = {
    "Handbook decision tree": (0.797, 0.579, 0.284),
    "Handbook logistic regression": (0.868, 0.623, 0.297),
    "Handbook random forest": (0.870, 0.678, 0.299),
    "Handbook XGBoost": (0.869, 0.687, 0.303),
    "Handbook neural network": (0.876, 0.675, 0.303),
    "Handbook LSTM": (0.876, 0.665, 0.297),
}
console = Console(stderr=True)


@dataclass(frozen=True)
class Fold:
    """One training week with the weeks before and after it."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def main() -> None:
    """Read the arguments, run everything, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the Handbook's simulated transactions")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--seeds", type=int, default=3, help="networks trained per fold")
    arguments = parser.parse_args()
    config = FraudConfig()
    table = data.load(Request(arguments.data, COLUMNS, EXCLUDE), config)
    folds = [fold(table, FIRST_START + WEEK * number) for number in range(FOLDS)]
    own = network_inputs(table, config)
    networks, shipped = answer_networks(own, folds, config, seeds=arguments.seeds)
    rivals = answer_rivals(own, folds, config, "")
    rivals |= answer_rivals(book_inputs(table), folds, config, " (book features)")
    tests = [own.examples.take(one.test) for one in folds]
    by_fold = {name: over_folds(answers, tests, config) for name, answers in (networks | rivals).items()}
    statistics, book = (_of_folds(by_fold, chosen) for chosen in (STATED, BOOK))
    results = {
        "format": 1,
        "domain": DOMAIN.name,
        "data": f"{arguments.data.name}, {len(table):,} transactions, sha256 {table.fingerprint}",
        "protocol": PROTOCOL,
        "seeds": arguments.seeds,
        "table": {name: figures(metrics) for name, metrics in statistics.items()},
        "table_book_folds": {name: figures(metrics) for name, metrics in book.items()},
        "verdict": verdict(statistics, list(rivals)),
        "verdict_book_folds": verdict(book, list(rivals)),
        "published": {
            name: dict(zip(METRICS, values, strict=True)) | {"source": PUBLISHED_SOURCE}
            for name, values in PUBLISHED.items()
        },
        "export": sizes(shipped, table, own, folds[0], config),
        "versions": versions() | {"machine": platform.machine()},
    }
    write_json(arguments.out, results | measure_speed(arguments.data, table, own, shipped))
    console.print(f"written: {arguments.out}")


def fold(table: Table, start: int) -> Fold:
    """Return the rows of a fold whose training week begins on day ``start`` (days since 1970)."""
    day, label = table.columns["timestamp"] // features.DAY, table.columns["label"] > 0
    customer = data.context(table)["customer"]
    train = (day >= start) & (day < start + WEEK)
    known = set(customer[train & label])
    test = []
    for today in range(start + WEEK + DELAY, start + WEEK + DELAY + WEEK):
        known |= set(customer[(day == today - DELAY - 1) & label])  # known on the day after the delay is over
        test.append(np.flatnonzero((day == today) & ~np.isin(customer, list(known))))
    before = (day >= start - WEEK) & (day < start)
    return Fold(np.flatnonzero(train), np.flatnonzero(before), np.concatenate(test))


@dataclass(frozen=True)
class Inputs:
    """All rows as model inputs, with the plan that made them."""

    plan: features.Plan
    examples: Examples

    def prepared(self, one: Fold) -> Prepared:
        """Return the three weeks of a fold."""
        parts = (self.examples.take(rows) for rows in (one.train, one.validation, one.test))
        return Prepared(self.plan, *parts)


def network_inputs(table: Table, config: FraudConfig) -> Inputs:
    """Return edgekit's own features of all rows."""
    plan = data.learn_plan(table, np.arange(1), config)
    return Inputs(plan, _examples(table, features.inputs(table.columns, plan)))


def book_inputs(table: Table) -> Inputs:
    """Return the Handbook's own features (chapter 3, "Baseline feature transformation"), counted as there."""
    seconds, cents = table.columns["timestamp"], table.columns["amount"]
    fraud = table.columns["label"].astype(np.int64)
    columns = [cents / 100, (seconds + features.MONDAY) // features.DAY % 7 >= 5, seconds % features.DAY // 3600 <= 6]
    longest = (DELAY + 30) * features.DAY
    customers = windows.group(features.codes(table.columns["customer"]), seconds, longest=longest)
    money, here = windows.running(customers, cents), customers.before() + 1
    for days in (1, 7, 30):
        start = customers.since(days * features.DAY)
        columns += [customers.in_row_order(here - start)]
        columns += [customers.in_row_order((money[here] - money[start]) / (here - start) / 100)]
    terminals = windows.group(features.codes(table.columns["terminal"]), seconds, longest=longest)
    frauds, known = windows.running(terminals, fraud), terminals.since(DELAY * features.DAY)
    for days in (1, 7, 30):
        start = terminals.since((DELAY + days) * features.DAY)
        columns += [terminals.in_row_order(known - start)]
        columns += [terminals.in_row_order((frauds[known] - frauds[start]) / np.maximum(known - start, 1))]
    numeric = np.stack([column.astype(np.float32) for column in columns], axis=1)
    plan = features.Plan((), tuple(f"book_{number}" for number in range(numeric.shape[1])), {}, DELAY * features.DAY)
    return Inputs(plan, _examples(table, {"numeric": numeric}))


def _examples(table: Table, inputs: dict[str, np.ndarray]) -> Examples:
    return Examples(inputs, table.columns["label"].astype(np.float32), data.context(table))


@dataclass(frozen=True)
class Shipped:
    """The first network trained, and what its export gave."""

    network: keras.Model
    chosen: Rung
    rungs: tuple[Rung, ...]


def answer_networks(
    own: Inputs, folds: Sequence[Fold], config: FraudConfig, *, seeds: int
) -> tuple[dict[str, Answers], Shipped]:
    """Train and export on every fold with every seed; return the test answers and the first export."""
    answers: dict[str, Answers] = {"tflite": [[] for _ in folds], "keras": [[] for _ in folds]}
    exports: list[Shipped] = []
    for number, one in enumerate(folds):
        prepared = own.prepared(one)
        for seed in range(seeds):
            fitted = fit_model(prepared, config, seed=seed, report=_silent)
            shipped = export(fitted.model, prepared, config)
            exports.append(shipped)
            answers["tflite"][number].append(_device(shipped.chosen)(prepared.test.inputs))
            answers["keras"][number].append(predictor(fitted.model)(prepared.test.inputs))
            console.print(
                f"fold {number + 1}/{len(folds)}, seed {seed}: best epoch {fitted.best_epoch}, "
                f"{shipped.chosen.recipe} ships, {fitted.seconds:.0f} s"
            )
    return answers, exports[0]


def export(network: keras.Model, prepared: Prepared, config: FraudConfig) -> Shipped:
    """Take a network through the gate on the week before its training week."""
    before = prepared.validation
    gate = Validation(
        before.inputs,
        predictor(network)(before.inputs),
        lambda outputs: evaluate(outputs, before, config)[DOMAIN.primary_metric],
    )
    rungs = climb(network, gate, recipes=config.export.recipes)
    chosen = smallest_accepted(rungs)
    if chosen is None:
        raise SystemExit(f"No rung passed the gate: {[rung.reason for rung in rungs]}")
    return Shipped(network, chosen, rungs)


def _device(chosen: Rung) -> Predictor:
    content = chosen.server_content or chosen.content
    if content is None:
        raise SystemExit(f"The rung {chosen.recipe} holds no file.")
    return Engine(content).predict


def answer_rivals(own: Inputs, folds: Sequence[Fold], config: FraudConfig, suffix: str) -> dict[str, Answers]:
    """Return the rivals' test answers by fold; each is fitted once, with one seed."""
    answers: dict[str, Answers] = {}
    for number, one in enumerate(folds):
        prepared = own.prepared(one)
        for name, predict in rivals(prepared, config, seed=0, report=_silent).items():
            answers.setdefault(name + suffix, []).append([predict(prepared.test.inputs)])
        console.print(f"fold {number + 1}/{len(folds)}: rivals{suffix} done")
    return answers


def over_folds(answers: Answers, tests: Sequence[Examples], config: FraudConfig) -> dict[str, list[Statistic]]:
    """Return each metric by fold, as the mean over the seeds."""
    by_fold = [
        [evaluate(output, test, config) for output in outputs] for outputs, test in zip(answers, tests, strict=True)
    ]
    return {
        metric: [Statistic(_mean([seed[metric].compute for seed in one]), one[0][metric].units) for one in by_fold]
        for metric in METRICS
    }


def joined(folds: Sequence[Statistic]) -> Statistic:
    """Return the mean over the folds as one statistic, resampled jointly: a customer is in or out of all folds."""
    cuts = np.cumsum([len(one.units) for one in folds])[:-1]

    def compute(weight: np.ndarray | None) -> float:
        weights = [None] * len(folds) if weight is None else np.split(weight, cuts)
        return float(np.mean([one.compute(part) for one, part in zip(folds, weights, strict=True)]))

    return Statistic(compute, np.concatenate([one.units for one in folds]))


def _of_folds(by_fold: dict[str, dict[str, list[Statistic]]], chosen: slice) -> dict[str, dict[str, list[Statistic]]]:
    return {name: {metric: folds[chosen] for metric, folds in metrics.items()} for name, metrics in by_fold.items()}


def _by_day(folds: Sequence[Statistic]) -> list[Statistic]:
    """Number the days of the folds apart; customers keep their numbers."""
    return [Statistic(one.compute, one.units + 1000 * number) for number, one in enumerate(folds)]


def _pooled(metric: str, folds: Sequence[Statistic]) -> Statistic:
    return joined(_by_day(folds) if metric == "cp@100" else folds)


def _mean(computes: Sequence[Compute]) -> Compute:
    return lambda weight: float(np.mean([compute(weight) for compute in computes]))


def figures(metrics: dict[str, list[Statistic]]) -> dict[str, dict[str, float]]:
    """Return mean, standard deviation over the folds, and interval of each metric."""
    made = {}
    for metric, folds in metrics.items():
        values = [one.compute(None) for one in folds]
        made[metric] = bootstrap(_pooled(metric, folds)).as_json() | {"sd": float(np.std(values))}
    return made


def verdict(statistics: dict[str, dict[str, list[Statistic]]], rivals: Sequence[str]) -> dict[str, Any]:
    """Compare the device file with the rival of the highest average precision."""
    pooled = {name: _pooled("average_precision", metrics["average_precision"]) for name, metrics in statistics.items()}
    best = max(rivals, key=lambda name: pooled[name].compute(None))
    difference = paired_difference(pooled["tflite"], pooled[best]).as_json()
    return {"metric": "average_precision", "best_rival": best, "difference": difference}


def sizes(shipped: Shipped, table: Table, own: Inputs, first: Fold, config: FraudConfig) -> dict[str, Any]:
    """Return the chosen recipe and the sizes of whole device files, card and golden vectors included."""
    prepared = own.prepared(first)
    told = DOMAIN.describe(table, prepared, config)
    golden = prepared.validation.take(slice(24)).inputs

    def whole(rung: Rung) -> int:
        card = Card(
            domain=DOMAIN.name, summary=DOMAIN.title, inputs=told.inputs, outputs=told.outputs, labels=told.labels,
            decision=None, recipe=rung.recipe, limits=told.limits, settings=told.settings,
        )  # fmt: skip
        return len(assemble(rung.content or b"", card, golden))

    float32 = next(rung for rung in shipped.rungs if rung.recipe == "float32")
    return {"chosen": shipped.chosen.recipe, "bytes": whole(shipped.chosen), "float32_bytes": whole(float32)}


def _silent(line: str) -> None:
    """Progress is one line a fold; the epochs would drown it."""


if __name__ == "__main__":
    main()
