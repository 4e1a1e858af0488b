"""What segments tell of the future and how well it is foreseen, worked by hand; and what is decided."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import mean_poisson_deviance, roc_auc_score

from edgekit.domains.marketing_segmentation.config import DataSettings, MarketingConfig
from edgekit.domains.marketing_segmentation.evaluate import FOLDS, decide, evaluate, explained
from edgekit.domains.marketing_segmentation.features import BEHAVIOUR, NAMES
from edgekit.shared.domain import Examples
from edgekit.shared.errors import ContractError
from edgekit.shared.estimates import bootstrap, paired_difference

CONFIG = MarketingConfig(data=DataSettings(horizon_days=60))
OF_SEGMENTS = {"spend_explained", "orders_explained", "lines_explained"}
OF_ORDERS = {"orders_deviance", "orders_mae", "orders_rmse", "orders_aggregate_error"}
OF_SPEND = {"spend_mae", "spend_aggregate_error"}


def examples(orders: Any, spend: Any, *, lines: Any = None, units: Any = None) -> Examples:
    target = np.stack([orders, spend], axis=1).astype(np.float32)
    context = {
        "unit": np.arange(len(target)) if units is None else np.array(units),
        "cut": np.zeros(len(target), np.int64),
        "lines": np.asarray(orders if lines is None else lines, np.float64),
    }
    rng = np.random.default_rng(0)
    return Examples({BEHAVIOUR: rng.lognormal(2, 1, (len(target), len(NAMES))).astype(np.float32)}, target, context)


def hard(segment: Any, *, count: int | None = None) -> dict[str, np.ndarray]:
    segment = np.array(segment)
    return {"segments": np.eye(count or int(segment.max()) + 1, dtype=np.float32)[segment]}


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def figures(outputs: dict[str, np.ndarray], given: Examples) -> dict[str, float]:
    return {name: made.compute(None) for name, made in evaluate(outputs, given, CONFIG).items()}


def drawn(rows: int = 200, *, seed: int = 0) -> tuple[dict[str, np.ndarray], Examples]:
    """Return outputs of every kind, and what followed for two rows a customer."""
    rng = np.random.default_rng(seed)
    orders = rng.poisson(1.0, rows)
    given = examples(orders, orders * rng.lognormal(3, 1, rows), lines=3 * orders, units=np.arange(rows) // 2)
    outputs = {
        "segments": rng.dirichlet(np.ones(4), rows).astype(np.float32),
        "orders": rng.gamma(1, 1, (rows, 1)).astype(np.float32),
        "spend": rng.gamma(1, 30, (rows, 1)).astype(np.float32),
        "comes_back": rng.random((rows, 1)).round(1).astype(np.float32),
    }
    return outputs, given


# === What segments tell ===


def test_a_share_explained_by_hand() -> None:
    """Each is foreseen by the other of the segment, 1 apart; about the mean, 3.5, the squares add up to 17."""
    segment, value = np.array([0, 0, 1, 1]), np.array([1.0, 2.0, 5.0, 6.0])
    assert explained(segment, value, np.arange(4))(None) == pytest.approx(1 - 4 / 17)


def test_segments_are_judged_on_logarithms_of_what_follows() -> None:
    spend = np.expm1([1.0, 2.0, 5.0, 6.0])
    orders, lines = np.array([1, 3, 3, 1]), np.array([2, 2, 5, 5])
    made = figures(hard([0, 0, 1, 1]), examples(orders, spend, lines=lines))
    assert made == pytest.approx(
        {"spend_explained": 1 - 4 / 17, "orders_explained": -3.0, "lines_explained": 1.0}, rel=1e-5
    )


def test_perfect_segments_explain_nearly_all() -> None:
    rng = np.random.default_rng(0)
    segment = rng.integers(0, 4, 400)
    value = 2.0 * segment + rng.normal(0, 0.1, 400)
    assert 0.99 < explained(segment, value, np.arange(400))(None) < 1


@pytest.mark.parametrize("seed", range(4))
def test_random_segments_explain_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    segment, value = rng.integers(0, 20, 400), rng.normal(size=400)
    own = np.bincount(segment, value) / np.bincount(segment)
    assert np.var(own[segment]) / np.var(value) > 0.02, "judged by their own mean they would seem to"
    assert -0.2 < explained(segment, value, np.arange(400))(None) < 0.02


def test_one_segment_of_all_explains_a_little_less_than_nothing() -> None:
    value = np.random.default_rng(0).normal(size=500)
    assert -0.01 < explained(np.zeros(500, np.int64), value, np.arange(500))(None) < 0


@pytest.mark.parametrize("rows", [1, 3])
def test_a_segment_of_one_customer_explains_nothing(rows: int) -> None:
    """Rows of one customer are in one fold, so that they do not foresee each other."""
    units = np.repeat(np.arange(40), rows)
    value = np.random.default_rng(0).normal(size=40)[units]
    assert explained(units, value, units)(None) == pytest.approx(0)


def test_a_customers_other_rows_are_not_known() -> None:
    """Two customers of a segment, three rows each: the one is foreseen by the other's rows alone."""
    units, value = np.repeat([7, 9], 3), np.array([1.0, 1, 1, 3, 3, 3])
    assert explained(np.zeros(6, np.int64), value, units)(None) == pytest.approx(1 - 6 * 4 / 6)


def test_names_of_segments_and_customers_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    segment, value = rng.integers(0, 3, 90), rng.normal(size=90)
    first = explained(segment, value, np.arange(90))(None)
    assert explained(np.array([5, 0, 2])[segment], value, np.arange(90) * 17 + 3)(None) == pytest.approx(first)


def test_folds_are_as_many_as_said() -> None:
    """With a customer a fold, each is judged by all others: leaving one out."""
    value = np.random.default_rng(0).normal(size=FOLDS)
    others = (value.sum() - value) / (FOLDS - 1)
    expected = 1 - np.square(value - others).sum() / np.square(value - value.mean()).sum()
    assert explained(np.zeros(FOLDS, np.int64), value, np.arange(FOLDS))(None) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.0, 1.0, 2.0, 19.99, 1e6])
@pytest.mark.parametrize("weight", [None, np.arange(20.0) % 4])
def test_what_is_equal_for_all_cannot_be_explained(value: float, weight: np.ndarray | None) -> None:
    """The variance is not quite 0 in floating point."""
    made = explained(np.arange(20) % 5, np.full(20, np.log1p(value)), np.arange(20))
    assert np.isnan(made(weight))


# === What is foreseen ===


def test_figures_of_orders_by_hand() -> None:
    made = figures({"orders": column(1, 2, 2, 1)}, examples([0, 2, 1, 1], [0, 1, 1, 1]))
    assert made == pytest.approx(
        {
            "orders_deviance": 2 * (1 + 0 + (np.log(1 / 2) + 1) + 0) / 4,
            "orders_mae": 2 / 4,
            "orders_rmse": (2 / 4) ** 0.5,
            "orders_aggregate_error": 6 / 4 - 1,
        }
    )


@pytest.mark.parametrize(("expected", "error"), [((10, 20), 0.5), ((40, 50), 0.5), ((30, 30), 0.0), ((60, 0), 0.0)])
def test_figures_of_spend_by_hand(expected: tuple[float, float], error: float) -> None:
    made = figures({"spend": column(*expected)}, examples([1, 1], [20, 40]))
    absolute = (abs(expected[0] - 20) + abs(expected[1] - 40)) / 2
    assert made == pytest.approx({"spend_mae": absolute, "spend_aggregate_error": error})


def test_the_deviance_is_that_of_the_field() -> None:
    outputs, given = drawn()
    made = figures(outputs, given)["orders_deviance"]
    assert made == pytest.approx(mean_poisson_deviance(given.target[:, 0], outputs["orders"][:, 0]), rel=1e-6)


def test_nothing_expected_is_no_infinite_surprise() -> None:
    given = examples([0, 1], [0, 1])
    assert figures({"orders": column(0, 0)}, given)["orders_deviance"] == pytest.approx(np.log(1e6) - 1 + 2e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_area_is_that_of_the_field(seed: int) -> None:
    outputs, given = drawn(seed=seed)
    expected = roc_auc_score(given.target[:, 0] > 0, outputs["comes_back"][:, 0])
    assert figures(outputs, given)["return_auc"] == pytest.approx(expected)


# === All figures ===


def test_a_weight_is_as_good_as_repetition() -> None:
    """A weight of 2 equals the rows twice; the last customers, who count nothing, might as well be away."""
    outputs, given = drawn()
    weight = np.random.default_rng(1).integers(1, 4, 200).astype(np.float64)
    weight[given.context["unit"] >= 90] = 0
    rows = np.repeat(np.arange(200), weight.astype(int))
    made = evaluate(outputs, given, CONFIG)
    repeated = evaluate({name: values[rows] for name, values in outputs.items()}, given.take(rows), CONFIG)
    assert set(made) == OF_SEGMENTS | OF_ORDERS | OF_SPEND | {"return_auc"}
    assert {name: figure.compute(weight) for name, figure in made.items()} == pytest.approx(
        {name: figure.compute(None) for name, figure in repeated.items()}
    )
    assert all(np.array_equal(figure.units, given.context["unit"]) for figure in made.values())
    assert bootstrap(made["spend_explained"], draws=20).n == 100
    assert paired_difference(made["orders_mae"], made["orders_mae"], draws=20).high == 0


def test_rows_without_a_target_are_left_out() -> None:
    outputs, given = drawn()
    blank = given.take(np.arange(0, 200, 3))
    blank.target[:] = np.nan
    joined = Examples(
        {BEHAVIOUR: np.concatenate([given.inputs[BEHAVIOUR], blank.inputs[BEHAVIOUR]])},
        np.concatenate([given.target, blank.target]),
        {name: np.concatenate([values, blank.context[name]]) for name, values in given.context.items()},
    )
    longer = {name: np.concatenate([values, values[::3]]) for name, values in outputs.items()}
    assert figures(longer, joined) == figures(outputs, given)


@pytest.mark.parametrize(
    ("kept", "names"),
    [
        (("segments",), OF_SEGMENTS),
        (("orders",), OF_ORDERS),
        (("spend",), OF_SPEND),
        (("comes_back",), {"return_auc"}),
        (("orders", "spend", "comes_back"), OF_ORDERS | OF_SPEND | {"return_auc"}),
        ((), set()),
    ],
)
def test_outputs_give_their_own_figures(kept: tuple[str, ...], names: set[str]) -> None:
    outputs, given = drawn()
    assert set(evaluate({name: outputs[name] for name in kept}, given, CONFIG)) == names


@pytest.mark.parametrize(("lines", "names"), [(np.nan, OF_SEGMENTS - {"lines_explained"}), (0, {"spend_explained"})])
def test_what_is_not_known_or_never_is_cannot_be_explained(lines: float, names: set[str]) -> None:
    outputs, given = drawn()
    given.context["lines"][:] = lines
    given.target[:, 0] *= 1 if np.isnan(lines) else 0
    assert set(evaluate({"segments": outputs["segments"]}, given, CONFIG)) == names


@pytest.mark.parametrize("orders", [0, 2])
def test_without_two_classes_there_is_no_area(orders: int) -> None:
    given = examples([orders] * 3, [orders] * 3)
    assert evaluate({"comes_back": column(0.1, 0.2, 0.3)}, given, CONFIG) == {}


# === What is decided ===


def test_segments_are_named_and_nothing_has_a_threshold() -> None:
    outputs, given = drawn()
    made = decide(outputs, given, CONFIG)
    assert (made.value, made.rule) == (None, "the most probable segment")
    assert made.expected == figures(outputs, given)
    assert len(made.names) == len(set(made.names)) == 4 and all(made.names)
    with pytest.raises(ContractError, match="no threshold"):
        _ = made.number


def test_without_segments_there_is_nothing_to_name() -> None:
    outputs, given = drawn()
    made = decide({"orders": outputs["orders"]}, given, CONFIG)
    assert made.names == () and set(made.expected) == OF_ORDERS
