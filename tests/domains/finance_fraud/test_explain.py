"""Reasons, on predictors whose right answer is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgekit.domains.finance_fraud import features
from edgekit.domains.finance_fraud.explain import HISTORY_GROUP, explain, ordinary
from edgekit.domains.finance_fraud.features import Plan

PLAN = Plan((), ("a", "b", "c"), {"kind": ("x", "y")}, 86_400)
ONE = {"numeric": np.array([[1.0, 1.0, 1.0]], np.float32), "categorical": np.array([[2]], np.int32)}
ORDINARY = {"numeric": np.zeros((1, 3), np.float32), "categorical": np.array([[1]], np.int32)}
Inputs = dict[str, np.ndarray]


def predictor(logit: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[[Inputs], Inputs]:
    def predict(inputs: Inputs) -> Inputs:
        value = logit(inputs["numeric"].astype(np.float64).T, inputs["categorical"][:, 0])
        return {"probability": 1 / (1 + np.exp(-value))[:, None]}

    return predict


def contributions(logit: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> dict[str, float]:
    return {reason.name: reason.contribution for reason in explain(ONE, ORDINARY, PLAN, predictor(logit))}


def test_where_one_column_matters_it_alone_is_the_reason() -> None:
    found = contributions(lambda number, kind: 3 * number[1] - 2)
    assert next(iter(found)) == "b"
    assert found == {"b": pytest.approx(3), "a": 0, "c": 0, "kind": 0}


def test_an_additive_model_gets_its_exact_contributions() -> None:
    found = contributions(lambda number, kind: number[0] - 2 * number[1] + 0.5 * number[2] + 1.5 * (kind == 2) - 1)
    assert found == {"kind": pytest.approx(1.5), "a": pytest.approx(1), "c": pytest.approx(0.5), "b": pytest.approx(-2)}
    assert list(found) == ["kind", "a", "c", "b"]  # the strongest first


def test_two_groups_that_say_the_same_share_the_credit() -> None:
    found = contributions(lambda number, kind: 4 * np.maximum(number[0], number[2]))
    assert found["a"] == pytest.approx(2) and found["c"] == pytest.approx(2) and found["b"] == 0


def test_two_groups_that_only_work_together_share_the_credit() -> None:
    found = contributions(lambda number, kind: 4 * number[0] * (kind == 2))
    assert found["a"] == pytest.approx(2) and found["kind"] == pytest.approx(2) and found["b"] == 0


def test_probabilities_of_zero_and_one_give_finite_contributions() -> None:
    reasons = explain(
        ONE, ORDINARY, PLAN, lambda inputs: {"probability": (inputs["numeric"][:, :1] > 0).astype(np.float32)}
    )
    assert reasons[0].name == "a" and np.isfinite(reasons[0].contribution)


def test_the_columns_of_one_group_move_together() -> None:
    plan = Plan(("timestamp", "amount"), (), {}, 86_400)
    assert plan.columns == ("amount", "hour", "weekday")
    one, usual = np.array([[5.0, 3.5, 6.0]], np.float32), np.zeros((1, 3), np.float32)

    def night_of_a_sunday(inputs: Inputs) -> Inputs:
        return {"probability": np.where((inputs["numeric"][:, 1:] > 0).all(1), 0.9, 0.1)[:, None]}

    reasons = explain({"numeric": one}, {"numeric": usual}, plan, night_of_a_sunday)
    assert [reason.name for reason in reasons] == ["time of day", "amount"]
    assert reasons[0].contribution == pytest.approx(2 * np.log(9)) and reasons[0].text == "03:30 UTC on a Sunday"
    assert one.tolist() == [[5.0, 3.5, 6.0]] and not usual.any()  # nothing of the caller's is changed


def test_the_history_is_a_group_of_its_own() -> None:
    plan = Plan(("timestamp", "customer", "amount"), (), {}, 86_400, 2)
    history = np.ones((1, 2, 3), np.float32)
    one = {"numeric": np.zeros((1, len(plan.columns)), np.float32), "history": history}
    usual = {**one, "history": np.full_like(history, np.nan)}
    predict = lambda inputs: {"probability": np.where(np.isnan(inputs["history"][:, 0, 0]), 0.2, 0.8)}  # noqa: E731
    first = explain(one, usual, plan, predict)[0]
    assert (first.name, first.contribution) == (HISTORY_GROUP, pytest.approx(2 * np.log(4)))
    assert first.text == "the order of the customer's last transactions"


# === The ordinary transaction ===


def test_the_ordinary_transaction_holds_medians_and_most_frequent_values_of_genuine_rows() -> None:
    nan = np.nan
    numeric = np.array([[1, nan, nan], [2, 5, nan], [9, 7, nan], [1000, 1000, 1000]], np.float32)
    inputs = {
        "numeric": numeric,
        "categorical": np.array([[1], [2], [2], [3]], np.int32),
        "history": np.ones((4, 2, 3), np.float32),
    }
    made = ordinary(inputs, np.array([0, 0, 0, 1], np.float32))
    np.testing.assert_array_equal(made["numeric"], [[2, 6, nan]])
    assert made["categorical"].tolist() == [[2]] and np.isnan(made["history"]).all()
    assert {name: (array.shape, array.dtype) for name, array in made.items()} == {
        name: ((1, *array.shape[1:]), array.dtype) for name, array in inputs.items()
    }


# === Texts ===

SEEN = {
    "amount": 512.0,
    "amount_to_habit": 6.12,
    "habit_amount": 83.66,
    "hour": 23.999,
    "weekday": 0,
    "customer_count_1d": 4,
    "customer_count_7d": 9,
    "customer_unusual_14d": 2,
    "terminal_count_1d": 30,
    "terminal_count_7d": 200,
    "terminal_known_30d": 120,
    "terminal_risk_30d": 0.1,
}


def texts(**changes: float) -> dict[str, str]:
    plan = Plan(features.ROLES, ("age",), {"kind": ("chip",)}, 86_400)
    seen = {**dict.fromkeys(plan.columns, 0.0), **SEEN, "age": np.nan, **changes}
    numeric = np.array([[seen[name] for name in plan.columns]], np.float32)
    one = {"numeric": numeric, "categorical": np.array([[int(changes.get("kind", 1))]], np.int32)}
    reasons = explain(one, one, plan, lambda inputs: {"probability": np.full(len(inputs["numeric"]), 0.5)})
    return {reason.name: reason.text for reason in reasons}


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ("amount", "amount 512.00, 6.1 times the customer's usual 83.66"),
        ("time of day", "23:59 UTC on a Monday"),
        ("customer activity", "4 transactions in a day, 9 in 7 days"),
        ("recent unusual amounts", "2 unusual amounts of this customer in the 14 days before"),
        ("terminal activity", "30 transactions at the terminal in a day, 200 in 7 days"),
        ("known frauds at the terminal", "12 of 120 known transactions at the terminal were frauds"),
        ("age", "age is missing"),
        ("kind", "kind is 'chip'"),
    ],
)
def test_every_group_says_what_was_seen(group: str, said: str) -> None:
    assert texts()[group] == said


def test_texts_of_what_is_new_or_unknown() -> None:
    made = texts(amount_to_habit=np.nan, kind=0, age=31.5)
    assert made["amount"] == "amount 512.00"
    assert made["kind"] == "kind is a value not known from training" and made["age"] == "age is 31.5"
