"""The fraud sections of a report: what a team would look at before it trusts the alerts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...shared import decisions, plots
from ...shared.decisions import Threshold
from ...shared.domain import Arrays, Examples, Predictor, Prepared
from ...shared.report import Figure, Section, Table
from .config import FraudConfig
from .evaluate import missed_costs, money_saved
from .model import SCORE


def illustrate(
    outputs: Mapping[str, Arrays],
    prepared: Prepared,
    threshold: Threshold,
    config: FraudConfig,
    *,
    predict: Predictor | None = None,
) -> tuple[Section, ...]:
    """Return ranking, alerts, money and calibration on test; the first of ``outputs`` is the one that counts.

    All of it follows from ``outputs``, so ``predict`` is asked nothing.
    """
    examples = prepared.test
    scores = {name: output[SCORE].reshape(-1) for name, output in outputs.items()}
    featured = next(iter(scores.values()))
    return (
        _ranking(scores, examples),
        _alerts(featured, examples, threshold, config),
        _calibration(featured, examples),
    )


def _ranking(scores: Mapping[str, np.ndarray], examples: Examples) -> Section:
    curves = {name: precision_recall(score, examples.target) for name, score in scores.items()}
    rate = float(examples.target.mean())
    figure = Figure(
        plots.precision_recall(curves, rate),
        "Precision against recall on test: of the alerts, how many are frauds; of the frauds, how many are found.",
        f"Precision-recall curves of {', '.join(curves)}; the base rate is {rate:.2%}.",
    )
    return Section("Ranking", (figure,))


def precision_recall(score: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return recall and precision at every distinct score, from the highest down."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    found = np.cumsum(target[order])[last]
    return found / max(1.0, float(target.sum())), found / (last + 1)


def _alerts(score: np.ndarray, examples: Examples, threshold: Threshold, config: FraudConfig) -> Section:
    alert = score >= threshold.number
    frauds = examples.target > 0
    saved, lost = money_saved(alert, examples, config.decision)
    rows: list[tuple[str, str | int | float]] = [
        ("threshold", threshold.number),
        ("alerts", int(alert.sum())),
        ("frauds among them (precision)", float(frauds[alert].mean()) if alert.any() else 0.0),
        ("frauds found (recall)", float(alert[frauds].mean())),
        ("money saved", saved),
        ("money lost without a model", lost),
    ]
    if "day" in examples.context:
        rows.insert(2, ("alerts a day", float(alert.sum() / len(np.unique(examples.context["day"])))))
    table = Table(("At the threshold, on test", "value"), tuple(rows), caption=f"{threshold.rule}.")
    levels = np.unique(np.quantile(score, np.linspace(0, 1, 200)))
    worth = np.array([money_saved(score >= level, examples, config.decision)[0] for level in levels])
    figure = Figure(
        plots.curve(
            levels,
            {"money saved": worth},
            xlabel="threshold on the probability",
            ylabel="money saved on test",
            mark=threshold.value,
        ),
        f"Money saved on test against the threshold, at {config.decision.review_cost:g} per review.",
        f"At the shipped threshold {threshold.value:.3g} the model saves {saved:,.0f} of {lost:,.0f}.",
    )
    cost = (
        "the transaction's amount"
        if "amount" in examples.context
        else f"{missed_costs(examples, config.decision)[0]:g}"
    )
    return Section("Alerts and money", (table, figure), note=f"A missed fraud costs {cost}.")


def _calibration(score: np.ndarray, examples: Examples) -> Section:
    points = decisions.reliability(examples.target, score)
    figures = (
        Figure(
            plots.reliability((points.predicted, points.observed), points.count),
            "Reliability on test: of the transactions given a probability, how many were frauds.",
            "Observed share of frauds against predicted probability in bins of equal size.",
        ),
        Figure(
            plots.score_histogram(score, examples.target),
            "Scores of frauds and of genuine transactions on test, logarithmic counts.",
            "Histogram of scores by label.",
        ),
    )
    return Section("Calibration", figures)
