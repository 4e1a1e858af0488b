"""The figures of a fraud team, against answers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.domains.finance_fraud.config import DecisionSettings, FraudConfig
from edgekit.domains.finance_fraud.evaluate import (
    alert_budget,
    card_precision,
    decide,
    evaluate,
    missed_costs,
    money_saved,
)
from edgekit.shared.decisions import Threshold
from edgekit.shared.domain import Examples
from edgekit.shared.estimates import bootstrap

Rows = list[tuple[int, int, float, int]]  # day, customer, score, fraud

THREE_DAYS: Rows = [
    (10, 0, 0.9, 1),  # day 10: customers 0 and 1 are looked at, 0 is found and leaves
    (10, 1, 0.8, 0),
    (10, 2, 0.7, 1),  # a fraud in third place is not looked at
    (10, 0, 0.1, 0),
    (11, 0, 0.99, 1),  # has left
    (11, 4, 0.5, 0),
    (11, 3, 0.5, 1),  # 1, 3 and 4 are equal: the lower codes 1 and 3 are looked at, both are found
    (11, 1, 0.5, 0),
    (11, 1, 0.2, 1),  # its fraud is another transaction than its highest score
    (11, 2, 0.3, 1),
    (12, 3, 0.9, 1),  # has left
    (12, 4, 0.6, 1),  # the only customer of the day: k is larger than what there is
]


def examples(rows: Rows, **context: Any) -> tuple[np.ndarray, Examples]:
    day, customer, score, fraud = map(np.array, zip(*rows, strict=True))
    made = {"day": day, "customer": customer, **{name: np.array(values) for name, values in context.items()}}
    return score.astype(np.float64), Examples({"x": np.zeros(len(rows))}, fraud.astype(np.float32), made)


def without(given: Examples, *names: str) -> Examples:
    return Examples(
        given.inputs, given.target, {name: given.context[name] for name in given.context if name not in names}
    )


def configured(**decision: Any) -> FraudConfig:
    return FraudConfig(decision=DecisionSettings(**decision))


# === Card precision ===


def test_card_precision_worked_by_hand() -> None:
    assert card_precision(*examples(THREE_DAYS), k=2).tolist() == [1 / 2, 2 / 2, 1 / 2]


def test_the_order_of_the_rows_does_not_matter() -> None:
    score, given = examples(THREE_DAYS)
    mixed = np.random.default_rng(0).permutation(len(score))
    assert card_precision(score[mixed], given.take(mixed), k=2).tolist() == [0.5, 1.0, 0.5]


# k = 1: customer 1 comes first among the equals of day 11, so customer 3 is still there on day 12.
@pytest.mark.parametrize(("k", "expected"), [(1, [1, 1, 1]), (4, [2 / 4, 2 / 4, 1 / 4])])
def test_card_precision_at_other_k(k: int, expected: list[float]) -> None:
    assert card_precision(*examples(THREE_DAYS), k=k).tolist() == expected


def test_a_customer_who_was_missed_stays() -> None:
    rows: Rows = [(1, 0, 0.1, 1), (1, 1, 0.9, 0), (2, 0, 0.9, 1), (2, 1, 0.1, 0)]
    assert card_precision(*examples(rows), k=1).tolist() == [0, 1]


# === Money ===

PAYMENTS: Rows = [(1, 0, 0.9, 1), (1, 1, 0.8, 0), (2, 2, 0.7, 1), (2, 3, 0.6, 1)]
AMOUNTS = [100.0, 50.0, -20.0, 10.0]


def test_money_saved_worked_by_hand() -> None:
    alert = np.array([True, True, True, False])
    _, given = examples(PAYMENTS, amount=AMOUNTS)
    assert money_saved(alert, given, DecisionSettings(review_cost=5.0)) == (100 - 3 * 5, 110)  # a refund loses nothing
    flat = without(given, "amount")
    assert money_saved(alert, flat, DecisionSettings(review_cost=5.0, missed_cost=40.0)) == (2 * 40 - 15, 120)
    assert missed_costs(given, DecisionSettings()).tolist() == [100, 50, 0, 10]


def test_no_alert_saves_nothing() -> None:
    _, given = examples(PAYMENTS, amount=AMOUNTS)
    assert money_saved(np.zeros(4, bool), given, DecisionSettings()) == (0, 110)


# === Budgets ===


def test_the_budget_counts_days_and_without_them_rows() -> None:
    _, given = examples(PAYMENTS)
    assert alert_budget(given, DecisionSettings(alerts_per_day=3)) == 6
    assert alert_budget(without(given, "day"), DecisionSettings(alert_share=0.5)) == 2
    assert alert_budget(without(given, "day"), DecisionSettings(alert_share=0.01)) == 1


def figures(score: np.ndarray, given: Examples, config: FraudConfig) -> dict[str, float]:
    outputs = {"probability": score.astype(np.float32)[:, None]}
    return {name: statistic.compute(None) for name, statistic in evaluate(outputs, given, config).items()}


def test_figures_worked_by_hand() -> None:
    score, given = examples(PAYMENTS, amount=AMOUNTS)
    made = figures(score, given, configured(alerts_per_day=1, review_cost=5.0, top_customers=1))
    assert made["average_precision"] == pytest.approx((1 / 1 + 2 / 3 + 3 / 4) / 3)
    assert made["auc"] == pytest.approx(1 / 3)
    assert made["recall@budget"] == pytest.approx(1 / 3)  # two alerts in two days: one fraud of three
    assert made["saved_share"] == pytest.approx((100 - 2 * 5) / 110)
    assert made["cp@1"] == pytest.approx(1.0)
    assert 0 <= made["calibration_error"] <= 1


@pytest.mark.parametrize("value", [0.0, 0.65, 2.0])
def test_a_threshold_changes_no_figure(value: float) -> None:
    score, given = examples(PAYMENTS, amount=AMOUNTS)
    outputs, config = {"probability": score[:, None]}, configured(alerts_per_day=1, top_customers=1)
    at = evaluate(outputs, given, config, threshold=Threshold(value, "", {}))
    without_any = evaluate(outputs, given, config)
    assert {name: statistic.compute(None) for name, statistic in at.items()} == {
        name: statistic.compute(None) for name, statistic in without_any.items()
    }


def test_a_perfect_ranking_gets_the_best_figures() -> None:
    _, given = examples(PAYMENTS, amount=[100.0, 50.0, 30.0, 10.0])
    made = figures(given.target * 0.9, given, configured(alerts_per_day=2, review_cost=0.0, top_customers=1))
    assert (made["average_precision"], made["auc"], made["recall@budget"], made["saved_share"]) == (1, 1, 1, 1)


def test_a_budget_larger_than_the_rows_finds_all() -> None:
    made = figures(*examples(PAYMENTS, amount=AMOUNTS), configured(alerts_per_day=1000, review_cost=5.0))
    assert made["recall@budget"] == 1 and made["saved_share"] == pytest.approx((110 - 4 * 5) / 110)


def test_customers_are_drawn_whole_and_card_precision_by_day() -> None:
    score, given = examples(THREE_DAYS, amount=np.ones(12))
    made = evaluate({"probability": score[:, None]}, given, configured(top_customers=2))
    assert made["average_precision"].units.tolist() == given.context["customer"].tolist()
    assert len(made["cp@2"].units) == 3
    estimate = bootstrap(made["cp@2"], seed=0)
    assert (estimate.value, estimate.n) == (pytest.approx(2 / 3), 3)


def test_weights_count_a_customer_twice() -> None:
    score, given = examples(PAYMENTS, amount=AMOUNTS)
    made = evaluate({"probability": score[:, None]}, given, configured(alerts_per_day=1, review_cost=5.0))
    weight = np.array([1.0, 0.0, 1.0, 2.0])
    assert made["saved_share"].compute(weight) == pytest.approx((100 - 5) / (100 + 2 * 10))


@pytest.mark.parametrize("missing", ["day", "customer"])
def test_no_card_precision_without_days_or_customers(missing: str) -> None:
    score, given = examples(PAYMENTS, amount=AMOUNTS)
    assert not [name for name in figures(score, without(given, missing), configured()) if name.startswith("cp@")]


def test_no_share_saved_where_no_money_is_at_stake() -> None:
    score, given = examples(PAYMENTS, amount=[0.0, 50.0, -20.0, 0.0])
    assert "saved_share" not in figures(score, given, configured())


# === Decisions ===


def alerts(given: Examples, score: np.ndarray, **decision: Any) -> tuple[list[bool], str]:
    threshold = decide({"probability": score[:, None].astype(np.float32)}, given, configured(**decision))
    return (score.astype(np.float32) >= threshold.value).tolist(), threshold.rule


def test_the_budget_rule_alerts_as_often_as_can_be_looked_at() -> None:
    score, given = examples(PAYMENTS)
    assert alerts(given, score, alerts_per_day=1)[0] == [True, True, False, False]
    assert alerts(without(given, "day"), score, alert_share=0.75)[0] == [True, True, True, False]


def test_the_cost_rule_loses_the_least_money() -> None:
    score, given = examples(PAYMENTS, amount=[100.0, 50.0, 0.0, 16.0])
    # Alerting all three others costs three reviews and saves 16 more.
    assert alerts(given, score, rule="costs", review_cost=5.0)[0] == [True, True, True, True]
    assert alerts(given, score, rule="costs", review_cost=5.5)[0] == [True, False, False, False]
    cheap = without(given, "amount")
    assert alerts(cheap, score, rule="costs", review_cost=5.0, missed_cost=6.0)[0] == [True, False, False, False]
    assert alerts(cheap, score, rule="costs", review_cost=5.0, missed_cost=0.5)[0] == [False] * 4


def test_frauds_that_cost_less_than_a_review_do_not_alert() -> None:
    score, given = examples([(1, 0, 0.9, 1), (1, 1, 0.8, 1), (2, 2, 0.2, 0)], amount=[50.0, 50.0, 50.0])
    assert alerts(given, score, rule="costs", review_cost=100.0)[0] == [False, False, False]
    assert alerts(given, score, rule="costs", review_cost=49.0)[0] == [True, True, False]


@pytest.mark.parametrize("with_amounts", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_no_threshold_saves_more_money_than_the_cost_rules(seed: int, with_amounts: bool) -> None:
    rng = np.random.default_rng(seed)
    fraud = rng.random(60) < 0.3
    score = np.round(0.3 * fraud + rng.random(60), 1).astype(np.float32)  # with ties
    context = {"amount": rng.normal(60, 60, 60)} if with_amounts else {}
    given = Examples({"x": np.zeros(60)}, fraud.astype(np.float32), context)
    decision = DecisionSettings(rule="costs", review_cost=float(rng.choice([0.0, 5.0, 40.0, 90.0])), missed_cost=50.0)
    threshold = decide({"probability": score[:, None]}, given, FraudConfig(decision=decision))
    saved = [money_saved(score >= cut, given, decision)[0] for cut in [*score, np.float32(9)]]
    assert money_saved(score >= np.float32(threshold.value), given, decision)[0] == pytest.approx(max(saved))
    assert max(saved) > min(saved)


def test_the_precision_rule_finds_the_most_within_its_precision() -> None:
    score, given = examples(PAYMENTS)
    assert alerts(given, score, rule="precision", target_precision=0.7)[0] == [True, True, True, True]
    assert alerts(given, score, rule="precision", target_precision=0.9)[0] == [True, False, False, False]
