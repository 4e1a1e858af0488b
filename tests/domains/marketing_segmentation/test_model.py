"""The segmentation network: what it answers, what the fit leaves in it, and that a device file answers the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from edgekit.domains.marketing_segmentation import data, synthesis
from edgekit.domains.marketing_segmentation import model as module
from edgekit.domains.marketing_segmentation.choice import Choice
from edgekit.domains.marketing_segmentation.config import MarketingConfig, ModelSettings
from edgekit.domains.marketing_segmentation.features import (
    BEHAVIOUR,
    CODE,
    COMES_BACK,
    NAMES,
    ORDERS,
    SEGMENTS,
    SPEND,
    Plan,
)
from edgekit.domains.marketing_segmentation.model import (
    MEMBERS,
    build_model,
    fit_model,
    fitted_segmentation,
    set_segmentation,
)
from edgekit.domains.marketing_segmentation.segmentation import Segmentation
from edgekit.shared.config import override
from edgekit.shared.domain import Examples, Predictor, Prepared
from edgekit.shared.training import Fitted, predictor
from edgekit.tflite_export.convert import convert
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.ops import require_builtin

COUNT = 4
CONFIG = override(
    MarketingConfig(),
    {
        "synthetic": {"customers": 200, "days": 400},
        "data": {"validation_share": 0.4},
        "model": {"segments": COUNT, "code": 5, "width": 16, "members": 2},
        "training": {"epochs": 2},
    },
)
SHORT = override(CONFIG, {"model": {"width": 4, "members": 1}, "training": {"epochs": 1}})
REQUIRED = ("orders", "spend", "recency_days", "age_days")


@pytest.fixture(scope="module")
def shop() -> Prepared:
    orders = synthesis.synthesize(CONFIG, seed=0)
    return data.prepare(orders, data.split(orders, CONFIG, seed=0), CONFIG)


@pytest.fixture(scope="module")
def labelled(shop: Prepared) -> Examples:
    return known(shop.train)


@pytest.fixture(scope="module")
def base(shop: Prepared) -> Segmentation:
    return fitted_segmentation(shop.train, CONFIG.model, segments=COUNT)


@pytest.fixture(scope="module")
def fitted(shop: Prepared) -> Fitted:
    return fit_model(shop, CONFIG, seed=3, report=lambda line: None)


@pytest.fixture(scope="module")
def predict(fitted: Fitted) -> Predictor:
    return predictor(fitted.model)


def known(train: Examples) -> Examples:
    """Return the examples whose future is known."""
    return train.take(np.isfinite(train.target[:, 0]))


def odd(rows: np.ndarray) -> np.ndarray:
    """Return behaviour that no customer shows: nothing, very much, and nothing known beyond what always is."""
    made = rows[:5].copy()
    made[0], made[1], made[2], made[3] = 0, 1e6, -1, np.nan
    made[4, [NAMES.index(name) for name in NAMES if name not in REQUIRED]] = np.nan
    return np.concatenate([rows, made])


def hold_in_range(outputs: dict[str, np.ndarray], rows: int, *, segments: int = COUNT, code: int = 5) -> None:
    """Hold the answers to their forms and ranges."""
    widths = {SEGMENTS: segments, CODE: code, ORDERS: 1, SPEND: 1, COMES_BACK: 1}
    assert {name: values.shape for name, values in outputs.items()} == {name: (rows, w) for name, w in widths.items()}
    assert all(values.dtype == np.float32 and np.isfinite(values).all() for values in outputs.values())
    np.testing.assert_allclose(outputs[SEGMENTS].sum(axis=1), 1, atol=1e-5)
    assert (outputs[SEGMENTS] >= 0).all() and (outputs[ORDERS] >= 0).all() and (outputs[SPEND] >= 0).all()
    assert ((outputs[COMES_BACK] >= 0) & (outputs[COMES_BACK] <= 1)).all()


# === What it answers ===


@pytest.mark.parametrize(
    "settings",
    [
        ModelSettings(width=8, members=1),
        ModelSettings(width=8, members=3, code=3, assignment="student_t"),
        ModelSettings(width=4, members=2, code=8, dropout=0.0),
    ],
    ids=["one member", "three members", "wide code"],
)
@pytest.mark.parametrize("segments", [2, 7])
def test_the_answers_have_names_and_forms(settings: ModelSettings, segments: int) -> None:
    keras.utils.set_random_seed(0)
    model = build_model(Plan(91), settings, segments=segments)
    assert {item.name: (tuple(item.shape), item.dtype) for item in model.inputs} == {
        BEHAVIOUR: ((None, len(NAMES)), "float32")
    }
    rows = np.random.default_rng(0).lognormal(1, 1, (9, len(NAMES))).astype(np.float32)
    hold_in_range(predictor(model)({BEHAVIOUR: rows}), 9, segments=segments, code=settings.code)


def test_answers_stay_in_range_for_whom_nobody_is_like(predict: Predictor, shop: Prepared) -> None:
    rows = odd(shop.test.inputs[BEHAVIOUR])
    hold_in_range(predict({BEHAVIOUR: rows}), len(rows))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in REQUIRED])
def test_what_is_not_known_of_anybody_leaves_numbers(predict: Predictor, shop: Prepared, name: str) -> None:
    rows = shop.test.inputs[BEHAVIOUR][:20].copy()
    rows[:, NAMES.index(name)] = np.nan
    hold_in_range(predict({BEHAVIOUR: rows}), 20)


def test_a_customer_is_answered_alike_in_whatever_company(predict: Predictor, shop: Prepared) -> None:
    rows = shop.test.inputs[BEHAVIOUR][:30]
    whole, alone = predict({BEHAVIOUR: rows}), predict({BEHAVIOUR: rows[7:8]})
    for name, values in whole.items():
        np.testing.assert_allclose(alone[name], values[7:8], rtol=1e-4, atol=1e-5)


# === Segments ===


def test_the_network_answers_as_the_segmentation_put_into_it(shop: Prepared, base: Segmentation) -> None:
    model, rows = build_model(shop.plan, CONFIG.model, segments=COUNT), shop.test.inputs[BEHAVIOUR]
    set_segmentation(model, base)
    found = predictor(model)({BEHAVIOUR: rows})
    np.testing.assert_allclose(found[CODE], base.code(rows), atol=1e-5)
    np.testing.assert_array_equal(found[SEGMENTS].argmax(axis=1), base.labels(rows))


def test_learning_what_to_expect_leaves_the_segments_alone(fitted: Fitted, shop: Prepared, base: Segmentation) -> None:
    found, rows = predictor(fitted.model)(shop.test.inputs), shop.test.inputs[BEHAVIOUR]
    np.testing.assert_array_equal(fitted.model.get_layer(CODE).get_weights()[0], base.kernel)
    np.testing.assert_array_equal(found[SEGMENTS].argmax(axis=1), base.labels(rows))
    assert len(set(base.labels(rows))) == COUNT


def test_segments_are_in_order_of_what_their_customers_spend(fitted: Fitted, labelled: Examples) -> None:
    segment = predictor(fitted.model)(labelled.inputs)[SEGMENTS].argmax(axis=1)
    spend = [np.log1p(labelled.target[segment == number, 1]).mean() for number in range(COUNT)]
    assert (np.diff(spend) > 0).all()


# === What is expected ===


@pytest.mark.parametrize(("output", "column"), [(ORDERS, 0), (SPEND, 1)])
def test_expectations_add_up_to_what_the_training_customers_did(
    fitted: Fitted, labelled: Examples, output: str, column: int
) -> None:
    expected = predictor(fitted.model)(labelled.inputs)[output].astype(np.float64)
    assert expected.sum() == pytest.approx(labelled.target[:, column].sum(dtype=np.float64), rel=0.01)
    assert expected.std() > 0.1 * expected.mean(), "not everybody is expected to do the same"


def test_who_came_back_was_expected_to(fitted: Fitted, shop: Prepared) -> None:
    validation = shop.validation.take(np.isfinite(shop.validation.target[:, 0]))
    found, came = predictor(fitted.model)(validation.inputs), validation.target[:, 0] > 0
    assert found[COMES_BACK][came].mean() > found[COMES_BACK][~came].mean() + 0.02
    assert found[ORDERS][came].mean() > 1.2 * found[ORDERS][~came].mean()


def test_the_members_differ_and_their_mean_is_told(fitted: Fitted, shop: Prepared) -> None:
    model = fitted.model
    inside = keras.Model(model.inputs, {MEMBERS: model.get_layer(MEMBERS).output})
    members = predictor(inside)(shop.test.inputs)[MEMBERS]
    assert members.shape == (len(shop.test), 2, 3)
    assert (np.abs(members[:, 0] - members[:, 1]).max(axis=0) > 1e-3).all()
    back = 1 / (1 + np.exp(-members[:, :, 1].astype(np.float64)))
    np.testing.assert_allclose(predictor(model)(shop.test.inputs)[COMES_BACK][:, 0], back.mean(axis=1), atol=1e-5)


# === The fit ===


def test_the_same_seed_gives_the_same_network(fitted: Fitted, shop: Prepared, tmp_path: Path) -> None:
    said = list[str]()
    again = fit_model(shop, CONFIG, seed=3, report=said.append, log=tmp_path / "t.csv")
    for first, second in zip(fitted.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert [line.split("  ")[0] for line in said] == ["epoch 1/2", "epoch 2/2"]
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 1 + 2


def test_another_seed_gives_other_expectations_of_the_same_segments(fitted: Fitted, shop: Prepared) -> None:
    other = fit_model(shop, CONFIG, seed=4, report=lambda line: None)
    first, second = (predictor(one.model)(shop.test.inputs) for one in (fitted, other))
    np.testing.assert_array_equal(first[SEGMENTS], second[SEGMENTS])
    assert all(not np.array_equal(first[name], second[name]) for name in (ORDERS, SPEND, COMES_BACK))


def test_all_weights_but_those_that_were_looked_up_can_be_trained_further(fitted: Fitted) -> None:
    trainable = {variable.path for variable in fitted.model.trainable_variables}
    assert {f"{CODE}/kernel", f"{CODE}/bias", "member_0_head/kernel", "member_1_head/bias"} <= trainable
    assert not any(path.startswith(("standardized", "expectation")) for path in trainable)


def test_a_number_that_was_asked_for_is_told_as_chosen(fitted: Fitted) -> None:
    assert fitted.chosen == {"model": {"segments": COUNT}}
    assert fitted.notes == (f"{COUNT} segments, as model.segments asks for",)
    assert set(fitted.history) >= {"loss", "score"} and len(fitted.history["score"]) == 2
    assert fitted.best_epoch == 1 + int(np.argmax(fitted.history["score"])) and fitted.seconds > 0


def test_a_number_that_was_chosen_is_built_and_told(shop: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "choose_segments", lambda *_, **__: Choice(3, ("3 segments, of several",)))
    left_open = override(SHORT, {"model": {"segments": None}})
    found = fit_model(shop, left_open, seed=0, report=lambda line: None)
    assert found.notes == ("3 segments, of several",) and override(left_open, found.chosen).model.segments == 3
    answered = predictor(found.model)(shop.test.inputs)[SEGMENTS]
    assert answered.shape[1] == 3 and set(answered.argmax(axis=1)) == {0, 1, 2}


@pytest.mark.parametrize("column", [slice(0, 2), slice(1, 2)], ids=["nobody comes back", "orders are free"])
def test_a_shop_where_nobody_spends_expects_no_spend(shop: Prepared, column: slice) -> None:
    def without(part: Examples) -> Examples:
        target = part.target.copy()
        target[np.isfinite(target[:, 0]), column] = 0
        return replace(part, target=target)

    poor = replace(shop, train=without(shop.train), validation=without(shop.validation))
    found = fit_model(poor, SHORT, seed=0, report=lambda line: None)
    outputs = predictor(found.model)(shop.test.inputs)
    hold_in_range(outputs, len(shop.test))
    assert outputs[SPEND].max() < 1e-3
    expected, orders = predictor(found.model)(known(poor.train).inputs)[ORDERS].sum(), known(poor.train).target[:, 0]
    assert expected == pytest.approx(orders.sum(), rel=0.01, abs=1e-3)


def test_it_is_fitted_where_every_future_is_known(shop: Prepared, labelled: Examples) -> None:
    table = replace(shop, train=labelled)
    found = fit_model(table, SHORT, seed=0, report=lambda line: None)
    hold_in_range(predictor(found.model)(shop.test.inputs), len(shop.test))


# === Files ===


def test_a_saved_network_answers_as_before(fitted: Fitted, shop: Prepared, tmp_path: Path) -> None:
    fitted.model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    given = {BEHAVIOUR: odd(shop.test.inputs[BEHAVIOUR])}
    found = predictor(loaded)(given)
    for name, values in predictor(fitted.model)(given).items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("profile", ["device", "server"])
def test_a_device_file_answers_as_the_network(fitted: Fitted, shop: Prepared, profile: str) -> None:
    content = convert(fitted.model, profile=profile)
    assert require_builtin(content)
    rows = odd(shop.test.inputs[BEHAVIOUR][:60])
    assert np.isnan(rows[:60]).any(axis=1).mean() > 0.5
    found = Engine(content).predict({BEHAVIOUR: rows})
    for name, values in predictor(fitted.model)({BEHAVIOUR: rows}).items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-5)
