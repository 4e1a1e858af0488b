"""What a fraud team asks of a model: ranking, cards found a day, money saved, honest probabilities, and the rivals."""

from __future__ import annotations

import numpy as np

from ...shared import decisions, metrics
from ...shared.decisions import Threshold
from ...shared.domain import Arrays, Examples
from ...shared.estimates import Compute, Statistic, mean_statistic
from .config import DecisionSettings, FraudConfig
from .model import SCORE


def evaluate(
    outputs: Arrays, examples: Examples, config: FraudConfig, *, threshold: Threshold | None = None
) -> dict[str, Statistic]:
    """Return the metrics of a predictor's ``probability``, ready for the bootstrap by customer (else by row).

    ``average_precision`` and ``auc`` rank transactions; ``recall@budget`` is the share of frauds among the
    alerts a day that can be looked at; ``saved_share`` is the money these alerts save as a share of what all
    frauds cost; ``calibration_error`` is the expected calibration error; ``cp@k`` is card precision, by day, see
    :func:`card_precision`. All of them rank or budget, so ``threshold`` changes none.
    """
    score = outputs[SCORE].reshape(-1)
    target, settings = examples.target, config.decision
    units = examples.context.get("customer", np.arange(len(target)))
    budget = min(len(target), alert_budget(examples, settings))
    computed = {
        "average_precision": metrics.ranked_average_precision(target, score),
        "auc": metrics.ranked_roc_auc(target, score),
        "recall@budget": metrics.ranked_recall_at(target, score, k=budget),
        "calibration_error": metrics.binned_calibration_error(target, score),
    }
    if missed_costs(examples, settings)[target > 0].any():  # else no money is at stake, and no share of it
        computed["saved_share"] = _saved_share(score, examples, settings, budget)
    made = {name: Statistic(compute, units) for name, compute in computed.items()}
    if {"day", "customer"} <= examples.context.keys() and len(np.unique(examples.context["day"])) > 1:
        daily = card_precision(score, examples, k=settings.top_customers)
        made[f"cp@{settings.top_customers}"] = mean_statistic(daily, np.arange(len(daily)))
    return made


def alert_budget(examples: Examples, settings: DecisionSettings) -> int:
    """Return how many transactions can be looked at in the period of ``examples``."""
    if "day" not in examples.context:
        return max(1, int(len(examples) * settings.alert_share))
    return settings.alerts_per_day * len(np.unique(examples.context["day"]))


def card_precision(score: np.ndarray, examples: Examples, *, k: int) -> np.ndarray:
    """Return (day,) float64: the share of the k highest-scored customers of each day who had a fraud that day.

    A customer's score is that of the highest transaction of the day. Customers found leave the following days.
    Equal scores are ranked by customer code. 0 is worst, 1 is best.

    Source: Fraud Detection Handbook, chapter 4, "Precision top-k metrics" (card precision top-k).
    """
    found: np.ndarray = np.array([], dtype=np.int64)
    shares = []
    for day in np.unique(examples.context["day"]):
        today = (examples.context["day"] == day) & ~np.isin(examples.context["customer"], found)
        customers, index = np.unique(examples.context["customer"][today], return_inverse=True)
        highest = np.full(len(customers), -np.inf)
        np.maximum.at(highest, index, score[today])
        defrauded = np.zeros(len(customers), dtype=bool)
        np.logical_or.at(defrauded, index, examples.target[today] > 0)
        top = np.argsort(-highest, kind="stable")[:k]
        caught = customers[top][defrauded[top]]
        shares.append(len(caught) / k)
        found = np.concatenate([found, caught])
    return np.array(shares)


def money_saved(alert: np.ndarray, examples: Examples, settings: DecisionSettings) -> tuple[float, float]:
    """Return money saved by alerting on ``alert`` (row,) bool, and all that the frauds cost.

    Every alert costs a review; every fraud alerted on saves its amount (``missed_cost`` without amounts).
    """
    cost = missed_costs(examples, settings)
    fraud = examples.target > 0
    saved = cost[alert & fraud].sum() - settings.review_cost * alert.sum()
    return float(saved), float(cost[fraud].sum())


def missed_costs(examples: Examples, settings: DecisionSettings) -> np.ndarray:
    """Return (row,) what each transaction costs if it is a fraud that is missed."""
    amounts = examples.context.get("amount")
    return np.full(len(examples), settings.missed_cost) if amounts is None else np.maximum(amounts, 0.0)


def decide(outputs: Arrays, validation: Examples, config: FraudConfig) -> Threshold:
    """Choose the alert threshold on validation by the configured rule."""
    score, settings = outputs[SCORE].reshape(-1), config.decision
    if settings.rule == "costs":
        missed = missed_costs(validation, settings) - settings.review_cost  # a fraud found is reviewed as well
        return decisions.from_costs(validation.target, score, cost_false_alarm=settings.review_cost, cost_missed=missed)
    if settings.rule == "precision":
        return decisions.from_precision(validation.target, score, target=settings.target_precision)
    if "day" in validation.context:
        days = len(np.unique(validation.context["day"]))
        return decisions.from_alert_budget(score, per_day=settings.alerts_per_day, days=days)
    return decisions.from_alert_budget(score, share=settings.alert_share)


def _saved_share(score: np.ndarray, examples: Examples, settings: DecisionSettings, budget: int) -> Compute:
    """Money saved by alerting on the ``budget`` highest scores, as a share of what all frauds cost."""
    alert = np.zeros(len(score), dtype=bool)
    alert[np.argsort(-score, kind="stable")[:budget]] = True
    cost = missed_costs(examples, settings) * (examples.target > 0)
    saved = alert * (cost - settings.review_cost)

    def compute(weight: np.ndarray | None) -> float:
        lost = float(cost.sum() if weight is None else cost @ weight)
        return float(saved.sum() if weight is None else saved @ weight) / lost if lost > 0 else float("nan")

    return compute
