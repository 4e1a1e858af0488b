"""The layers of the segmentation network, worked by hand; that each can be saved and converted and answers the same."""

from __future__ import annotations

import inspect
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edgekit.domains.marketing_segmentation import layers as module
from edgekit.domains.marketing_segmentation.bgnbd import BetaGeometric
from edgekit.domains.marketing_segmentation.features import SMALLEST_ORDER
from edgekit.domains.marketing_segmentation.layers import (
    HIGHEST_LOG_RATE,
    HIGHEST_LOG_SPEND,
    Expectation,
    Membership,
    Purchases,
    Standardized,
)
from edgekit.domains.marketing_segmentation.standards import WIDTH, Standards, learn_standards
from edgekit.tflite_export.convert import convert
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.ops import require_builtin

KINDS = ("gaussian", "student_t")
CONSTANT, EMPTY, FULL = 2, 3, 4
NAMES = 6


def behaviour(rows: int = 300, seed: int = 0) -> np.ndarray:
    """Return raw behaviour of which some is unknown; one column is constant, one empty, one known of everybody."""
    rng = np.random.default_rng(seed)
    made = rng.lognormal(2, 1.5, (rows, NAMES))
    made[:, :2][rng.random((rows, 2)) < 0.3] = np.nan
    made[:, CONSTANT], made[:, EMPTY] = 7, np.nan
    return made.astype(np.float32)


RAW = behaviour()
STANDARDS = learn_standards(RAW, RAW[:200])
EDGES = RAW[:8].copy()
EDGES[0] = np.nan
EDGES[1] = 0
EDGES[2] = -5
EDGES[3] = np.finfo(np.float32).max
EDGES[4, [0, 1, FULL, 5]] = np.inf
EDGES[5, [0, 1, FULL, 5]] = -np.inf
EDGES[6, ::2], EDGES[6, 1::2] = np.nan, 1e30


# === Standardized ===


@pytest.mark.parametrize("rows", [RAW, EDGES], ids=["customers", "edges"])
def test_the_layer_is_the_standards(rows: np.ndarray) -> None:
    found = layer_of(Standardized)(rows).numpy()
    assert found.shape == (len(rows), WIDTH * NAMES) and np.isfinite(found).all()
    np.testing.assert_allclose(found, STANDARDS.apply(rows), atol=1e-6)


@pytest.mark.parametrize("part", [part.name for part in fields(Standards)])
def test_every_part_of_the_standards_is_taken_over(part: str) -> None:
    layer = layer_of(Standardized)
    layer.set(replace(STANDARDS, **{part: getattr(STANDARDS, part) + np.float32(0.25)}))
    assert np.abs(layer(RAW).numpy() - STANDARDS.apply(RAW)).max() > 1e-3


def test_nothing_of_it_is_trained() -> None:
    assert layer_of(Standardized).trainable_variables == []


# === Membership ===

CODES = np.array([[0, 0], [1, 0], [0, 3], [9, 9]], np.float32)
CENTRES = np.array([[0, 0], [2, 0], [0, 2]], np.float32)
BY_HAND = {
    # squared distances 0, 4, 4; then 1, 1, 5; then 9, 13, 1; v = 2
    "gaussian": [np.exp([0, -1, -1]), np.exp([-0.25, -0.25, -1.25]), np.exp([-2.25, -3.25, -0.25])],
    "student_t": [[1, 1 / 3, 1 / 3], [2 / 3, 2 / 3, 2 / 7], [2 / 11, 2 / 15, 2 / 3]],
}


def membership(assignment: str, variance: float = 2.0) -> Membership:
    made = Membership(len(CENTRES), assignment)
    made.build((None, CENTRES.shape[1]))
    made.set(CENTRES, variance)
    return made


@pytest.mark.parametrize("assignment", KINDS)
def test_memberships_worked_by_hand(assignment: str) -> None:
    expected = np.array(BY_HAND[assignment])
    found = membership(assignment)(CODES[:3]).numpy()
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("assignment", KINDS)
@pytest.mark.parametrize("variance", [1e-6, 0.3, 50.0])
def test_memberships_add_up_and_the_nearer_centre_has_more(assignment: str, variance: float) -> None:
    codes = np.random.default_rng(0).normal(0, 4, (200, 2)).astype(np.float32)
    found = membership(assignment, variance)(codes).numpy()
    assert (found >= 0).all() and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    distance = np.square(codes[:, None] - CENTRES).sum(axis=-1)
    np.testing.assert_array_equal(found.argmax(axis=1), distance.argmin(axis=1))
    ordered = np.take_along_axis(found, distance.argsort(axis=1), axis=1)
    assert (np.diff(ordered, axis=1) <= 1e-7).all()


@pytest.mark.parametrize("assignment", KINDS)
def test_memberships_are_the_softer_the_larger_the_variance(assignment: str) -> None:
    sharp, soft = (membership(assignment, variance)(CODES).numpy()[[0, 2]].max(axis=1) for variance in (0.5, 5.0))
    assert (sharp > soft + 0.1).all()


def test_far_away_all_is_open_by_student_and_nothing_by_gauss() -> None:
    far = np.array([[1e3, 2.0]], np.float32)
    assert membership("student_t")(far).numpy().max() < 0.34
    assert membership("gaussian")(far).numpy().max() > 0.99


# === Purchases ===

HISTORIES = np.array(
    [  # orders, spend, recency_days, age_days
        [1, 25, 10, 10],
        [1, 4, 300, 300],
        [3, 30, 14, 70],
        [3, 30, 180, 210],
        [40, 32_000, 2, 350],
        [40, 0, 200, 350],
        [2, 25, 0, 0],
    ],
    np.float32,
)
TYPICAL = (0.243, 4.414, 0.793, 2.426)


def purchases(weeks: float = 13.0) -> Purchases:
    made = Purchases((0, 1, 2, 3), weeks)
    made.build((None, 4))
    made.set(*TYPICAL)
    return made


@pytest.mark.parametrize("weeks", [4.0, 13.0])
def test_purchases_are_those_of_the_model(weeks: float) -> None:
    orders, spend, recency, age = HISTORIES.astype(np.float64).T
    fitted, repeats, age = BetaGeometric(*TYPICAL), orders - 1, age / 7
    last = np.where(repeats > 0, age - recency / 7, 0)
    back = np.clip(fitted.comes_back(repeats, last, age, weeks), 1e-4, 1 - 1e-4)
    expected = fitted.alive(repeats, last, age) * (TYPICAL[0] + repeats) / (TYPICAL[1] + age) * weeks
    expected = np.maximum(expected, 1e-4)
    found = purchases(weeks)(HISTORIES).numpy().astype(np.float64)
    np.testing.assert_allclose(np.exp(found[:, 0]), expected, rtol=1e-4)
    np.testing.assert_allclose(1 / (1 + np.exp(-found[:, 1])), back, rtol=1e-3)
    np.testing.assert_allclose(
        np.exp(found[:, 2]), expected / back * np.maximum(spend / orders, SMALLEST_ORDER), rtol=1e-3
    )


def test_a_single_order_worked_by_hand() -> None:
    found = purchases()(HISTORIES[:1]).numpy()[0].astype(np.float64)
    r, alpha, age = 0.243, 4.414, 10 / 7
    back = 1 - ((alpha + age) / (alpha + age + 13)) ** r
    expected = r / (alpha + age) * 13
    np.testing.assert_allclose(
        found, [np.log(expected), np.log(back / (1 - back)), np.log(expected / back * 25)], atol=1e-4
    )


def test_the_columns_are_found_by_place() -> None:
    mixed = np.concatenate([np.full((len(HISTORIES), 1), np.nan, np.float32), HISTORIES[:, ::-1]], axis=1)
    made = Purchases((4, 3, 2, 1), 13.0)
    made.build((None, 5))
    made.set(*TYPICAL)
    np.testing.assert_array_equal(made(mixed), purchases()(HISTORIES))


ODD = np.array([[0, 0, 0, 0], [5, 1, 90, 30], [1e6, 1e9, 0, 1], [1e6, 0, 3000, 3001], [np.nan] * 4], np.float32)


def test_an_odd_history_stays_a_number() -> None:
    found = purchases()(ODD).numpy()
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[-1], found[0])  # what is not known counts as nothing


# === Expectation ===


def expectation(variance: float = 0.0, level: tuple[float, float] = (1, 1)) -> Expectation:
    made = Expectation()
    made.build((None, 2, 3))
    made.set(variance, np.array(level, np.float32))
    return made


def test_expectations_worked_by_hand() -> None:
    members = np.array([[[np.log(2), 0, np.log(10)], [np.log(4), np.log(3), np.log(20)]]], np.float32)
    orders, spend, back = (values.numpy() for values in expectation(2 * np.log(3), (0.5, 2))(members))
    assert orders.shape == spend.shape == back.shape == (1, 1)
    assert orders[0, 0] == pytest.approx((2 + 4) / 2 * 0.5)
    assert back[0, 0] == pytest.approx((1 / 2 + 3 / 4) / 2)
    assert spend[0, 0] == pytest.approx((1 / 2 * 10 + 3 / 4 * 20) / 2 * 3 * 2, rel=1e-5)


def test_expectations_stay_in_range_whatever_members_say() -> None:
    wild = np.random.default_rng(0).normal(0, 60, (50, 3, 3)).astype(np.float32)
    orders, spend, back = (values.numpy() for values in expectation(9.0)(wild))
    assert ((orders >= 0) & (orders <= np.exp(HIGHEST_LOG_RATE) * 1.001)).all()
    assert ((spend >= 0) & (spend <= np.exp(HIGHEST_LOG_SPEND) * 1.001)).all()
    assert ((back >= 0) & (back <= 1)).all()


# === Saving and converting ===

SAVED: dict[str, tuple[type[keras.layers.Layer], tuple[int, ...], dict[str, Any]]] = {
    "Standardized": (Standardized, (NAMES,), {}),
    "Membership gaussian": (Membership, (2,), {"segments": 3, "assignment": "gaussian"}),
    "Membership student_t": (Membership, (2,), {"segments": 3, "assignment": "student_t"}),
    "Purchases": (Purchases, (4,), {"columns": (0, 1, 2, 3), "weeks": 13.0}),
    "Expectation": (Expectation, (2, 3), {}),
}
SETTINGS = {
    "Standardized": (STANDARDS,),
    "Membership": (CENTRES, 2.0),
    "Purchases": TYPICAL,
    "Expectation": (0.4, np.array([1.1, 0.9], np.float32)),
}
ROWS = {
    "Standardized": EDGES,
    "Membership": CODES,
    "Purchases": np.concatenate([HISTORIES, ODD]),
    "Expectation": np.random.default_rng(0).normal(0, 2, (6, 2, 3)).astype(np.float32),
}


def layer_of(kind: type[keras.layers.Layer], shape: tuple[int, ...] = (NAMES,), **settings: Any) -> Any:
    """Return a layer with weights that matter."""
    made = kind(**settings)
    made.build((None, *shape))
    made.set(*SETTINGS[kind.__name__])
    return made


@pytest.fixture(params=list(SAVED))
def saved(request: pytest.FixtureRequest) -> tuple[keras.Model, np.ndarray]:
    """Return a network of one layer, and what it is asked."""
    kind, shape, settings = SAVED[request.param]
    given = keras.Input(shape, dtype="float32", name="given")
    answer = layer_of(kind, shape, **settings)(given)
    outputs = answer if isinstance(answer, tuple) else (answer,)
    return keras.Model({"given": given}, {f"part_{n}": part for n, part in enumerate(outputs)}), ROWS[kind.__name__]


def answers(model: keras.Model, rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values.numpy() for name, values in model({"given": rows}).items()}


def test_every_layer_is_tested_here() -> None:
    made = {thing for _, thing in inspect.getmembers(module, inspect.isclass) if thing.__module__ == module.__name__}
    assert made == {kind for kind, _, _ in SAVED.values()}
    assert all(keras.saving.get_registered_name(kind) == f"edgekit>{kind.__name__}" for kind in made)


@pytest.mark.parametrize("name", list(SAVED))
def test_the_settings_of_a_layer_make_it_again(name: str) -> None:
    kind, shape, settings = SAVED[name]
    again = kind.from_config(layer_of(kind, shape, **settings).get_config())
    assert {key: getattr(again, key) for key in settings} == settings


@pytest.mark.parametrize("name", list(SAVED))
def test_the_form_of_the_answer_is_known_beforehand(name: str) -> None:
    kind, shape, settings = SAVED[name]
    layer, rows = layer_of(kind, shape, **settings), ROWS[kind.__name__]
    told, found = layer.compute_output_shape((None, *shape)), layer(rows)
    pairs = zip(told, found, strict=True) if isinstance(found, tuple) else [(told, found)]
    assert all(one[0] is None and one[1:] == tuple(values.shape[1:]) for one, values in pairs)


def test_a_saved_layer_answers_as_before(saved: tuple[keras.Model, np.ndarray], tmp_path: Path) -> None:
    model, rows = saved
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    found = answers(loaded, rows)
    for name, values in answers(model, rows).items():
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("profile", ["device", "server"])
def test_a_converted_layer_answers_the_same(saved: tuple[keras.Model, np.ndarray], profile: str) -> None:
    model, rows = saved
    content = convert(model, profile=profile)
    assert require_builtin(content)
    found = Engine(content).predict({"given": rows})
    for name, values in answers(model, rows).items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-5)
