from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from edgekit.shared import metrics
from edgekit.shared.errors import ConfigError, ContractError
from edgekit.shared.estimates import Statistic, bootstrap

Y = np.array([0, 1, 0, 1, 1])
SCORE = np.array([0.1, 0.9, 0.8, 0.4, 0.2])


def sample(seed: int, *, n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, scores with many ties and weights with zeros."""
    rng = np.random.default_rng(seed)
    y_true = (rng.random(n) < 0.2).astype(np.int64)
    probability = np.round(rng.normal(0.3 + 0.3 * y_true, 0.2), 1 + seed % 3).clip(0.01, 0.99)
    return y_true, probability, rng.integers(0, 3, n).astype(np.float64)


# === Known answers ===


def test_roc_auc_counts_won_pairs() -> None:
    # Positives .9 .4 .2 against negatives .8 .1: won 2 + 1 + 1 of 6.
    assert metrics.roc_auc(Y, SCORE) == pytest.approx(4 / 6)


def test_an_equal_score_wins_half_a_pair() -> None:
    assert metrics.roc_auc(np.array([0, 1]), np.array([0.5, 0.5])) == 0.5


def test_average_precision_by_hand() -> None:
    # Order 1 0 1 1 0: precision at the positives is 1/1, 2/3, 3/4.
    assert metrics.average_precision(Y, SCORE) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


def test_average_precision_takes_equal_scores_together() -> None:
    y_true, tied = np.array([1, 0, 1, 0]), np.array([0.9, 0.9, 0.9, 0.1])
    assert metrics.average_precision(y_true, tied) == pytest.approx(2 / 3)


@pytest.mark.parametrize(("k", "precision", "recall"), [(1, 1, 1 / 3), (2, 1 / 2, 1 / 3), (4, 3 / 4, 1)])
def test_a_budget_of_alerts(k: int, precision: float, recall: float) -> None:
    assert metrics.precision_at(Y, SCORE, k=k) == pytest.approx(precision)
    assert metrics.recall_at(Y, SCORE, k=k) == pytest.approx(recall)


def test_ties_at_the_cut_count_by_expectation() -> None:
    # One place is left for three equal rows, one of them positive.
    y_true, tied = np.array([0, 0, 1, 1]), np.array([0.5, 0.5, 0.5, 0.9])
    assert metrics.precision_at(y_true, tied, k=2) == pytest.approx((1 + 1 / 3) / 2)
    assert metrics.recall_at(y_true, tied, k=2) == pytest.approx((1 + 1 / 3) / 2)


def test_precision_and_recall_at_a_threshold_include_it() -> None:
    assert metrics.precision(Y, SCORE, threshold=0.4) == pytest.approx(2 / 3)
    assert metrics.recall(Y, SCORE, threshold=0.4) == pytest.approx(2 / 3)


def test_a_ratio_by_hand() -> None:
    compute = metrics.ratio(np.array([1.0, 0.0, 2.0]), np.array([1.0, 1.0, 4.0]))
    assert compute(None) == compute(np.ones(3)) == 3 / 6
    assert compute(np.array([2.0, 1.0, 0.0])) == 2 / 3
    assert math.isnan(compute(np.zeros(3))) and math.isnan(metrics.ratio(np.zeros(2), np.zeros(2))(None))


def test_brier_by_hand() -> None:
    assert metrics.brier(np.array([0, 1]), np.array([0.1, 0.7])) == pytest.approx((0.01 + 0.09) / 2)


def test_log_loss_by_hand() -> None:
    expected = -(math.log(0.9) + math.log(0.7)) / 2
    assert metrics.log_loss(np.array([0, 1]), np.array([0.1, 0.7])) == pytest.approx(expected)


def test_log_loss_stays_finite_when_certain_and_wrong() -> None:
    loss = metrics.log_loss(np.array([0, 1]), np.array([1.0, 0.0]))
    assert loss == pytest.approx(-math.log(metrics.PROBABILITY_MARGIN))


def test_expected_calibration_error_by_hand() -> None:
    # Bins {.1 .2} with no positive and {.6 .7} with one: (2 · .15 + 2 · .15) / 4.
    y_true, probability = np.array([0, 0, 1, 0]), np.array([0.1, 0.2, 0.6, 0.7])
    error = metrics.expected_calibration_error(y_true, probability, bins=2)
    assert error == pytest.approx(0.15)


def test_bins_hold_equal_mass_and_keep_ties_together() -> None:
    np.testing.assert_array_equal(metrics.equal_mass_bins(np.array([0.4, 0.1, 0.3, 0.2]), bins=2), [1, 0, 1, 0])
    tied = metrics.equal_mass_bins(np.array([0.5, 0.5, 0.5, 0.9]), bins=2)
    assert len(set(tied[:3])) == 1


def test_calibration_error_weighs_rows_within_their_bins() -> None:
    # As above with the last row left out: (1·.1 + 1·.2 − 0) / 3 and |.6 − 1| / 3.
    y_true, probability = np.array([0, 0, 1, 0]), np.array([0.1, 0.2, 0.6, 0.7])
    compute = metrics.binned_calibration_error(y_true, probability, bins=2)
    assert compute(np.array([1.0, 1.0, 1.0, 0.0])) == pytest.approx((0.3 + 0.4) / 3)
    assert compute(None) == compute(np.ones(4)) == pytest.approx(0.15)
    assert math.isnan(compute(np.zeros(4)))


def test_a_calibrated_model_has_little_calibration_error() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(50_000) ** 3
    y_true = (rng.random(50_000) < probability).astype(np.int64)
    assert metrics.expected_calibration_error(y_true, probability) < 0.01
    assert metrics.expected_calibration_error(y_true, np.sqrt(probability)) > 0.1


# === scikit-learn as the oracle ===


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (metrics.roc_auc, sklearn_metrics.roc_auc_score),
        (metrics.average_precision, sklearn_metrics.average_precision_score),
        (metrics.brier, sklearn_metrics.brier_score_loss),
        (metrics.log_loss, sklearn_metrics.log_loss),
    ],
)
def test_equals_sklearn(seed: int, weighted: bool, ours: Callable[..., float], theirs: Callable[..., float]) -> None:
    y_true, probability, weight = sample(seed)
    given_weight = weight if weighted else None
    assert ours(y_true, probability, weight=given_weight) == pytest.approx(
        theirs(y_true, probability, sample_weight=given_weight), abs=1e-12
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_threshold_metrics_equal_sklearn(weighted: bool) -> None:
    y_true, probability, weight = sample(2)
    w = weight if weighted else None
    alert = probability >= 0.4
    assert metrics.precision(y_true, probability, threshold=0.4, weight=w) == pytest.approx(
        sklearn_metrics.precision_score(y_true, alert, sample_weight=w)
    )
    assert metrics.recall(y_true, probability, threshold=0.4, weight=w) == pytest.approx(
        sklearn_metrics.recall_score(y_true, alert, sample_weight=w)
    )


# === Properties ===

PLAIN = [metrics.roc_auc, metrics.average_precision]
RANKED = [
    metrics.ranked_roc_auc,
    metrics.ranked_average_precision,
    lambda y, s: metrics.ranked_precision_at(y, s, k=20),
    lambda y, s: metrics.ranked_recall_at(y, s, k=20),
    lambda y, s: metrics.thresholded_precision(y, s, threshold=0.4),
    lambda y, s: metrics.thresholded_recall(y, s, threshold=0.4),
]
RANKED_NAMES = ["roc_auc", "average_precision", "precision_at", "recall_at", "precision", "recall"]


@pytest.mark.parametrize("build", RANKED, ids=RANKED_NAMES)
def test_a_weight_of_two_is_a_row_given_twice(build: Callable[..., Callable[..., float]]) -> None:
    y_true, score, weight = sample(1)
    times = weight.astype(np.int64)
    copied = build(np.repeat(y_true, times), np.repeat(score, times))(None)
    assert build(y_true, score)(weight) == pytest.approx(copied, abs=1e-12)


@pytest.mark.parametrize("build", RANKED, ids=RANKED_NAMES)
def test_order_of_rows_does_not_matter(build: Callable[..., Callable[..., float]]) -> None:
    y_true, score, weight = sample(0)
    order = np.random.default_rng(0).permutation(len(y_true))
    shuffled = build(y_true[order], score[order])
    assert shuffled(weight[order]) == pytest.approx(build(y_true, score)(weight), abs=1e-12)


@pytest.mark.parametrize("build", RANKED, ids=RANKED_NAMES)
def test_no_weight_is_a_weight_of_one(build: Callable[..., Callable[..., float]]) -> None:
    y_true, score, _ = sample(0)
    compute = build(y_true, score)
    assert compute(np.ones(len(y_true))) == pytest.approx(compute(None), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=30).filter(
        lambda rows: len({label for label, _ in rows}) == 2
    )
)
def test_ranking_metrics_agree_with_slow_definitions(rows: list[tuple[bool, int]]) -> None:
    y_true, score = np.array([r[0] for r in rows]), np.array([float(r[1]) for r in rows])
    pairs = np.sign(score[y_true][:, None] - score[~y_true][None, :])
    assert metrics.roc_auc(y_true, score) == pytest.approx((pairs + 1).mean() / 2)
    at_each = [y_true[score >= s].mean() for s in score[y_true]]
    assert metrics.average_precision(y_true, score) == pytest.approx(np.mean(at_each))


def test_ranking_keeps_through_the_bootstrap() -> None:
    y_true, score, _ = sample(0)
    compute = metrics.ranked_average_precision(y_true, score)
    estimate = bootstrap(Statistic(compute, np.arange(len(y_true)) // 3))
    assert estimate.value == pytest.approx(metrics.average_precision(y_true, score))
    assert 0 < estimate.low < estimate.value < estimate.high < 1
    assert estimate.n == 100


# === Refusals ===


@pytest.mark.parametrize("label", [0, 1])
def test_auc_of_one_class_is_undefined(label: int) -> None:
    y_true = np.full(4, label)
    assert math.isnan(metrics.ranked_roc_auc(y_true, np.arange(4.0))(None))
    with pytest.raises(ContractError, match=f"{4 * label} of 4 rows are positive"):
        metrics.roc_auc(y_true, np.arange(4.0))


def test_nothing_to_find_is_undefined() -> None:
    y_true, score = np.zeros(4, dtype=np.int64), np.arange(4.0)
    assert math.isnan(metrics.ranked_average_precision(y_true, score)(None))
    assert math.isnan(metrics.ranked_recall_at(y_true, score, k=2)(None))
    with pytest.raises(ContractError, match="Average precision is undefined: 0 of 4"):
        metrics.average_precision(y_true, score)
    with pytest.raises(ContractError, match="Recall is undefined: 0 of 4"):
        metrics.recall_at(y_true, score, k=2)
    with pytest.raises(ContractError, match="Recall is undefined: 0 of 4"):
        metrics.recall(y_true, score, threshold=2.0)


def test_a_class_that_weighs_nothing_is_undefined() -> None:
    compute = metrics.ranked_roc_auc(Y, SCORE)
    assert math.isnan(compute(1.0 - Y))
    assert math.isnan(metrics.ranked_average_precision(Y, SCORE)(1.0 - Y))


def test_precision_without_an_alert_is_undefined() -> None:
    assert math.isnan(metrics.thresholded_precision(Y, SCORE, threshold=2.0)(None))
    with pytest.raises(ContractError, match=r"no score reaches the threshold 2.0 \(the highest is 0.9"):
        metrics.precision(Y, SCORE, threshold=2.0)


@pytest.mark.parametrize("metric", [*PLAIN, metrics.brier, metrics.log_loss])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_named(metric: Callable[..., float], bad: float) -> None:
    score = SCORE.copy()
    score[3] = bad
    with pytest.raises(ContractError, match=f"finite; found {bad} at row 3"):
        metric(Y, score)


def test_labels_other_than_zero_and_one_are_named() -> None:
    with pytest.raises(ContractError, match="0 or 1; found 2 at row 1"):
        metrics.roc_auc(np.array([0, 2, 1]), np.zeros(3))


@pytest.mark.parametrize("score", [np.zeros(4), np.zeros((5, 1)), np.zeros(0)])
def test_shapes_must_agree(score: np.ndarray) -> None:
    with pytest.raises(ContractError, match="one dimension and one length"):
        metrics.roc_auc(Y, score)


@pytest.mark.parametrize("metric", [metrics.brier, metrics.log_loss, metrics.expected_calibration_error])
def test_a_logit_is_not_a_probability(metric: Callable[..., float]) -> None:
    with pytest.raises(ContractError, match=r"\[0, 1\]; found -2.0 at row 0 .* not its logit"):
        metric(np.array([0, 1]), np.array([-2.0, 0.5]))


@pytest.mark.parametrize("weight", [-np.ones(5), np.zeros(5), np.full(5, np.nan)])
def test_weights_must_weigh(weight: np.ndarray) -> None:
    with pytest.raises(ContractError, match="Weights must be finite"):
        metrics.roc_auc(Y, SCORE, weight=weight)


def test_weights_need_the_shape_of_the_labels() -> None:
    with pytest.raises(ContractError, match=r"Weights need the shape of the labels \(5,\); got \(3,\)"):
        metrics.roc_auc(Y, SCORE, weight=np.ones(3))


def test_budgets_out_of_range_are_refused() -> None:
    with pytest.raises(ContractError, match="k=6 alerts needs as many rows; got 5"):
        metrics.precision_at(Y, SCORE, k=6)
    with pytest.raises(ConfigError, match="at least 1 alert; got k=0"):
        metrics.recall_at(Y, SCORE, k=0)
    with pytest.raises(ConfigError, match="bins=0"):
        metrics.expected_calibration_error(Y, SCORE, bins=0)
