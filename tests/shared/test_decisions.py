from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from edgekit.shared import decisions
from edgekit.shared.errors import ConfigError, ContractError

Y = np.array([0, 1, 0, 1, 1])
SCORE = np.array([0.1, 0.9, 0.8, 0.4, 0.2])


def alerts_of(threshold: decisions.Threshold, score: np.ndarray = SCORE) -> np.ndarray:
    return np.flatnonzero(score >= threshold.value)


# === Known answers ===


def test_a_share_of_alerts() -> None:
    threshold = decisions.from_alert_budget(SCORE, share=0.4)
    np.testing.assert_array_equal(alerts_of(threshold), [1, 2])
    assert threshold.value == pytest.approx(0.6)  # midway between .8 and .4
    assert threshold.expected == {"alerts": 2.0, "alert_share": 0.4}
    assert threshold.rule == "at most 0.4 of all rows alert"


def test_alerts_a_day() -> None:
    threshold = decisions.from_alert_budget(SCORE, per_day=1.5, days=2)
    assert len(alerts_of(threshold)) == 3
    assert threshold.expected["alerts_per_day"] == 1.5
    assert threshold.rule == "at most 1.5 alerts a day"


def test_equal_scores_alert_together_and_never_beyond_the_budget() -> None:
    tied = np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    threshold = decisions.from_alert_budget(tied, share=0.6)
    np.testing.assert_array_equal(alerts_of(threshold, tied), [0])


def test_the_whole_budget_alerts_everything() -> None:
    assert len(alerts_of(decisions.from_alert_budget(SCORE, share=1.0))) == 5


def test_least_cost_by_hand() -> None:
    # Alerts 0…5: cost 9, 6, 8, 5, 2, 4 with a miss at 3 and a false alarm at 2.
    threshold = decisions.from_costs(Y, SCORE, cost_false_alarm=2.0, cost_missed=3.0)
    np.testing.assert_array_equal(alerts_of(threshold), [1, 2, 3, 4])
    assert threshold.expected["cost"] == 2.0
    assert threshold.expected["cost_without_model"] == 4.0
    assert threshold.expected["precision"] == pytest.approx(3 / 4)
    assert threshold.expected["recall"] == 1.0
    assert threshold.rule == "least total cost: a false alarm costs 2, a miss 3"


def test_amounts_decide_which_miss_is_dear() -> None:
    amounts = np.array([10.0, 1000.0, 10.0, 1.0, 1.0])
    threshold = decisions.from_costs(Y, SCORE, cost_false_alarm=5.0, cost_missed=0.5, amounts=amounts)
    np.testing.assert_array_equal(alerts_of(threshold), [1])
    assert threshold.expected["cost"] == 1.0
    assert threshold.rule.endswith("a miss 0.5 of the amount")
    per_row = decisions.from_costs(Y, SCORE, cost_false_alarm=5.0, cost_missed=amounts / 2)
    assert per_row.value == threshold.value


def test_of_equally_cheap_thresholds_the_one_with_fewest_alerts() -> None:
    # Alerting the middle pair saves exactly what it wastes.
    y_true, score = np.array([1, 1, 0, 0]), np.array([0.9, 0.5, 0.5, 0.1])
    threshold = decisions.from_costs(y_true, score, cost_false_alarm=0.1, cost_missed=0.1)
    np.testing.assert_array_equal(alerts_of(threshold, score), [0])


@pytest.mark.parametrize(("score", "top"), [([1.0, 1, 1, 1, 0], 4), ([0.25] * 5, 5), ([0.0] * 5, 5)])
def test_nothing_alerts_when_more_rows_than_the_budget_share_the_highest_score(score: list[float], top: int) -> None:
    scores = np.array(score)
    threshold = decisions.from_alert_budget(scores, share=0.4)
    assert len(alerts_of(threshold, scores)) == 0
    assert threshold.expected == {"alerts": 0.0, "alert_share": 0.0}
    assert threshold.rule == (
        f"at most 0.4 of all rows alert; nothing alerts, for {top} of 5 rows share the highest score: raise the budget"
    )


def test_the_threshold_above_zero_is_no_denormal_number() -> None:
    # A processor that takes denormal numbers for zero would alert on everything.
    assert decisions.from_alert_budget(np.zeros(5), share=0.4).value == float(np.finfo(np.float32).tiny)


def test_a_miss_may_cost_less_than_a_review() -> None:
    # Each positive found loses 5 by its review; the one of 100 gains 95.
    missed = np.array([0.0, 100.0, 0.0, 0.0, 0.0]) - 5.0
    threshold = decisions.from_costs(Y, SCORE, cost_false_alarm=5.0, cost_missed=missed)
    np.testing.assert_array_equal(alerts_of(threshold), [1])
    assert len(alerts_of(decisions.from_costs(Y, SCORE, cost_false_alarm=1.0, cost_missed=-1.0))) == 0


def test_costs_can_say_never_to_alert() -> None:
    threshold = decisions.from_costs(Y, SCORE, cost_false_alarm=1.0, cost_missed=0.0)
    assert len(alerts_of(threshold)) == 0
    assert "precision" not in threshold.expected
    assert threshold.expected["recall"] == 0.0


def test_lowest_threshold_of_a_precision() -> None:
    threshold = decisions.from_precision(Y, SCORE, target=0.75)
    np.testing.assert_array_equal(alerts_of(threshold), [1, 2, 3, 4])
    assert threshold.expected["precision"] == 0.75
    assert threshold.rule == "precision of at least 0.75"


def test_precision_out_of_reach_falls_back_and_says_so() -> None:
    y_true, score = np.array([1, 0, 0, 0]), np.array([0.5, 0.5, 0.2, 0.1])
    threshold = decisions.from_precision(y_true, score, target=0.9)
    np.testing.assert_array_equal(alerts_of(threshold, score), [0, 1])
    assert "0.9 was not reached; the highest on validation is 0.5" in threshold.rule


@pytest.mark.parametrize(("target", "alerts"), [(0.3, 1), (0.34, 3), (2 / 3, 3), (0.9, 4), (1.0, 4)])
def test_highest_threshold_of_a_sensitivity(target: float, alerts: int) -> None:
    threshold = decisions.from_sensitivity(Y, SCORE, target=target)
    assert len(alerts_of(threshold)) == alerts
    assert threshold.expected["recall"] >= target


def test_threshold_as_json_is_plain() -> None:
    threshold = decisions.from_precision(Y, SCORE, target=1.0)
    assert threshold.as_json() == {
        "value": threshold.value,
        "rule": "precision of at least 1",
        "expected": {"alerts": 1.0, "alert_share": 0.2, "precision": 1.0, "recall": 1 / 3},
    }


def test_the_highest_of_an_output_needs_no_threshold() -> None:
    highest = decisions.Threshold(None, "the 10 highest scores", {})
    assert highest.as_json() == {"value": None, "rule": "the 10 highest scores", "expected": {}}
    with pytest.raises(ContractError, match="takes the 10 highest scores"):
        _ = highest.number
    assert decisions.Threshold(0.5, "fixed", {}).number == 0.5


# === float32 ===

CHOICES: list[Callable[[np.ndarray, np.ndarray], decisions.Threshold]] = [
    lambda y, s: decisions.from_costs(y, s, cost_false_alarm=1.0, cost_missed=4.0),
    lambda y, s: decisions.from_costs(y, s, cost_false_alarm=1.0, cost_missed=0.0),
    lambda y, s: decisions.from_precision(y, s, target=0.5),
    lambda y, s: decisions.from_sensitivity(y, s, target=0.8),
    lambda y, s: decisions.from_sensitivity(y, s, target=1.0),
    lambda y, s: decisions.from_alert_budget(s, share=1.0),
]


@pytest.mark.parametrize("choose", CHOICES)
@pytest.mark.parametrize("seed", range(5))
def test_float32_and_float64_decide_alike(
    choose: Callable[[np.ndarray, np.ndarray], decisions.Threshold], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    y_true = (rng.random(200) < 0.3).astype(np.int64)
    score = rng.random(200) * 0.6 + 0.3 * y_true
    threshold = choose(y_true, score)
    assert threshold.value == float(np.float32(threshold.value))
    in_double = score >= threshold.value
    in_single = score.astype(np.float32) >= np.float32(threshold.value)
    np.testing.assert_array_equal(in_double, in_single)
    assert in_double.sum() == threshold.expected["alerts"]


def test_neighbouring_float32_scores_are_still_told_apart() -> None:
    high = np.float32(0.5)
    score = np.array([np.nextafter(high, np.float32(0)), high], dtype=np.float32)
    threshold = decisions.from_precision(np.array([0, 1]), score, target=1.0)
    np.testing.assert_array_equal(score >= np.float32(threshold.value), [False, True])


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1, width=32)), min_size=1, max_size=25),
    false_alarm=st.integers(0, 5),
    missed=st.integers(-3, 5),
)
def test_no_threshold_is_cheaper(rows: list[tuple[int, float]], false_alarm: int, missed: int) -> None:
    y_true = np.array([row[0] for row in rows])
    score = np.array([row[1] for row in rows], dtype=np.float32)

    def cost(value: float) -> int:
        alert = score >= np.float32(value)
        return int(false_alarm * (alert & (y_true == 0)).sum() + missed * (~alert & (y_true == 1)).sum())

    threshold = decisions.from_costs(y_true, score, cost_false_alarm=false_alarm, cost_missed=missed)
    candidates = [*score.tolist(), 2.0]
    assert cost(threshold.number) == threshold.expected["cost"]
    assert cost(threshold.number) == min(cost(value) for value in candidates)


# === Calibration ===


def calibration_sample(slope: float, shift: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    logit = rng.normal(2.0, 3.0, 40_000)
    y_true = (rng.random(40_000) < 1 / (1 + np.exp(-(slope * logit + shift)))).astype(np.int64)
    return logit, y_true


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.4, -3.0), (2.0, 1.0)])
def test_platt_recovers_the_truth(slope: float, shift: float) -> None:
    found = decisions.fit_platt(*calibration_sample(slope, shift))
    assert found == pytest.approx((slope, shift), abs=0.1)


def test_platt_equals_logistic_regression_on_many_rows() -> None:
    logit, y_true = calibration_sample(0.5, -1.0)
    oracle = LogisticRegression(C=np.inf, tol=1e-10).fit(logit[:, None], y_true)
    expected = (oracle.coef_[0, 0], oracle.intercept_[0])
    assert decisions.fit_platt(logit, y_true) == pytest.approx(expected, rel=2e-3)


def test_platt_of_two_points_meets_the_smoothed_targets() -> None:
    # N₊ = N₋ = 2: targets ¾ and ¼ are met exactly by logits ±log 3 at 1 and 0.
    slope, shift = decisions.fit_platt(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 0, 1, 1]))
    assert (shift, slope + shift) == pytest.approx((-np.log(3), np.log(3)))


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_platt_does_not_depend_on_the_scale(size: float) -> None:
    logit, y_true = calibration_sample(1.0, 0.0)
    slope, shift = decisions.fit_platt(logit, y_true)
    assert decisions.fit_platt(logit * size, y_true) == pytest.approx((slope / size, shift))


def test_platt_never_reverses_a_ranking() -> None:
    logit, y_true = calibration_sample(1.0, 0.0)
    slope, shift = decisions.fit_platt(-logit, y_true)
    assert slope > 0
    mean = (1 / (1 + np.exp(slope * logit - shift))).mean()
    assert mean == pytest.approx(y_true.mean(), abs=1e-3)


@pytest.mark.parametrize("y_true", [np.zeros(4), np.ones(4), np.array([0, 1, 0, 1])])
def test_platt_needs_two_classes_and_different_logits(y_true: np.ndarray) -> None:
    with pytest.raises(ContractError, match="positive"):
        decisions.fit_platt(np.full(4, 0.3), y_true)


def test_reliability_by_hand() -> None:
    curve = decisions.reliability(np.array([0, 0, 1, 0]), np.array([0.1, 0.2, 0.6, 0.7]), bins=2)
    np.testing.assert_allclose(curve.predicted, [0.15, 0.65])
    np.testing.assert_allclose(curve.observed, [0.0, 0.5])
    np.testing.assert_array_equal(curve.count, [2, 2])


def test_reliability_leaves_empty_bins_out() -> None:
    curve = decisions.reliability(np.array([0, 1, 1]), np.full(3, 0.5), bins=10)
    np.testing.assert_array_equal(curve.count, [3])


# === Refusals ===


@pytest.mark.parametrize(
    "budget",
    [
        {},
        {"per_day": 5.0},
        {"share": 0.1, "per_day": 1.0, "days": 1.0},
        {"per_day": 0.0, "days": 3},
    ],
)
def test_exactly_one_budget(budget: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="either per_day > 0 with days > 0, or a share"):
        decisions.from_alert_budget(SCORE, **budget)


@pytest.mark.parametrize("share", [0.0, 1.5, -0.1, float("nan")])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(ConfigError, match="write 0.05"):
        decisions.from_alert_budget(SCORE, share=share)
    with pytest.raises(ConfigError, match="target precision"):
        decisions.from_precision(Y, SCORE, target=share)
    with pytest.raises(ConfigError, match="target sensitivity"):
        decisions.from_sensitivity(Y, SCORE, target=share)


def test_a_budget_below_one_alert_is_refused() -> None:
    with pytest.raises(ContractError, match="0.5 alerts on 5 rows, less than one"):
        decisions.from_alert_budget(SCORE, share=0.1)


@pytest.mark.parametrize("score", [np.array([0.5, np.nan]), np.zeros((2, 2)), np.zeros(0)])
def test_scores_must_be_finite_and_flat(score: np.ndarray) -> None:
    with pytest.raises(ContractError, match="finite scores in one dimension"):
        decisions.from_alert_budget(score, share=0.5)


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        ({"cost_false_alarm": -1.0, "cost_missed": 1.0}, "cost_false_alarm=-1.0"),
        ({"cost_false_alarm": 1.0, "cost_missed": -np.inf}, "Costs must be finite; missing row 0 would cost -inf"),
        (
            {"cost_false_alarm": 1.0, "cost_missed": np.ones(3)},
            r"cost_missed needs .* shape \(3,\)",
        ),
        (
            {
                "cost_false_alarm": 1.0,
                "cost_missed": 1.0,
                "amounts": np.array([1, 1, np.nan, 1, 1]),
            },
            "missing row 2 would cost nan",
        ),
    ],
)
def test_costs_must_make_sense(costs: dict[str, float | np.ndarray], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        decisions.from_costs(Y, SCORE, **costs)  # type: ignore[arg-type]


def test_labels_must_fit_the_scores() -> None:
    with pytest.raises(ContractError, match="Labels must be 0 or 1, one for each score"):
        decisions.from_precision(np.array([0, 1, 2]), np.zeros(3), target=0.5)
    with pytest.raises(ContractError, match="1 of 2 are not"):
        decisions.reliability(np.array([0, 1]), np.array([0.5, np.nan]))
    with pytest.raises(ContractError, match="None of the 2 rows is positive"):
        decisions.from_sensitivity(np.zeros(2), np.zeros(2), target=0.5)
