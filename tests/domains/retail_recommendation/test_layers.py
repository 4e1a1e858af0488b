"""The layers of the recommendation networks, worked by hand; what is hidden in training; and that each can be saved."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from edgekit.domains.retail_recommendation import layers as module
from edgekit.domains.retail_recommendation.config import ModelSettings
from edgekit.domains.retail_recommendation.features import Plan
from edgekit.domains.retail_recommendation.layers import (
    NOTHING,
    CausalAttention,
    Cosine,
    Highest,
    ItemRows,
    ItemTable,
    Thinned,
    WithoutSeen,
)
from edgekit.domains.retail_recommendation.model import build_member

WIDTH = 4
ATTRIBUTES = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1], [0, 0, 0]], np.uint8)
KNOWN = np.array([True, True, True, True, False, False])
ALL = np.arange(6, dtype=np.int32)
DESCRIBED_AND_HAD, BARE_AND_HAD, DESCRIBED_AND_NEW, BARE_AND_NEW = 2, 3, 4, 5


@pytest.fixture(autouse=True)
def _seeded() -> None:
    keras.utils.set_random_seed(0)


def rows_of(hidden: float = 0.0, attributes: np.ndarray = ATTRIBUTES) -> ItemRows:
    made = ItemRows(KNOWN, attributes, WIDTH, hidden=hidden)
    made.build(())
    return made


def unit(vectors: np.ndarray) -> np.ndarray:
    made: np.ndarray = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return made


# === What items are described by ===


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "attributes", [ATTRIBUTES, ATTRIBUTES * 0, ATTRIBUTES[:, :0]], ids=["some", "none", "no names"]
)
def test_item_vectors_are_of_length_one(attributes: np.ndarray, training: bool) -> None:
    codes = np.random.default_rng(0).integers(0, 6, (7, 5, 3)).astype(np.int32)
    found = rows_of(0.5, attributes)(codes, training=training).numpy()
    assert found.shape == (7, 5, 3, WIDTH) and found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, atol=1e-5)


def test_an_item_is_its_own_vector_and_those_of_its_attributes() -> None:
    rows = rows_of()
    own, shared = rows.own.numpy(), rows.shared.numpy()
    expected = [
        own[0],
        own[1] + shared[0],
        own[2] + (shared[0] + shared[1]) / np.sqrt(2),
        own[3],
        (shared[1] + shared[2]) / np.sqrt(2),  # nobody had it, so it has no vector of its own
        own[5],
    ]
    np.testing.assert_allclose(rows(ALL).numpy(), unit(np.array(expected)), atol=1e-6)


def test_own_vectors_are_hidden_in_training_only_and_only_of_described_items() -> None:
    rows = rows_of(hidden=0.3)
    plain, own, shared = rows(ALL).numpy(), rows.own.numpy(), rows.shared.numpy()
    drawn = rows(np.tile(ALL, (4000, 1)), training=True).numpy()
    alone = unit((shared[0] + shared[1]) / np.sqrt(2))
    without = np.isclose(drawn[:, DESCRIBED_AND_HAD], alone, atol=1e-5).all(axis=1)
    whole = np.isclose(drawn[:, DESCRIBED_AND_HAD], plain[DESCRIBED_AND_HAD], atol=1e-5).all(axis=1)
    assert (without ^ whole).all() and without.mean() == pytest.approx(0.3, abs=0.03)
    for bare in (0, BARE_AND_HAD, BARE_AND_NEW):
        np.testing.assert_allclose(drawn[:, bare], np.tile(unit(own[bare]), (4000, 1)), atol=1e-5)
    np.testing.assert_array_equal(rows(np.tile(ALL, (100, 1))).numpy(), np.tile(plain, (100, 1, 1)))


def test_each_occurrence_is_hidden_by_a_lot_of_its_own() -> None:
    drawn = rows_of(hidden=0.5)(np.full((50, 2), DESCRIBED_AND_HAD, np.int32), training=True).numpy()
    assert 5 < np.isclose(drawn[:, 0], drawn[:, 1]).all(axis=1).sum() < 45


def test_nothing_is_hidden_where_nothing_shall_be() -> None:
    rows = rows_of(hidden=0.0)
    np.testing.assert_array_equal(rows(np.tile(ALL, 50), training=True), rows(np.tile(ALL, 50)))


@pytest.mark.parametrize("training", [False, True])
def test_gradients_reach_attributes_and_own_vectors_but_none_of_a_new_item(training: bool) -> None:
    rows = rows_of(hidden=0.0)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(rows(ALL, training=training) * tf.constant([1.0, 2.0, 3.0, 4.0]))
    own, shared = (tf.convert_to_tensor(g) for g in tape.gradient(value, [rows.own.value, rows.shared.value]))
    assert (np.abs(shared.numpy()).max(axis=1) > 1e-3).all()
    assert (np.abs(own.numpy()).max(axis=1) > 1e-3).tolist() == [True, True, True, True, False, True]


def test_a_catalogue_without_attributes_learns_own_vectors_only() -> None:
    rows = rows_of(0.5, ATTRIBUTES * 0)
    assert [variable.name for variable in rows.trainable_variables] == ["own"]
    np.testing.assert_array_equal(rows(ALL, training=True), rows(ALL))


# === The table that ships ===


def test_the_table_is_looked_up_and_multiplied_by() -> None:
    table = ItemTable(6, WIDTH)
    table.build((None, 3))
    held = table.table.numpy()
    codes = np.array([[0, 5, 2]], np.int32)
    np.testing.assert_allclose(table(codes), held[codes] * np.sqrt(WIDTH), rtol=1e-6)
    states = np.random.default_rng(0).normal(size=(3, WIDTH)).astype(np.float32)
    np.testing.assert_allclose(table(states, reverse=True), states @ held.T, rtol=1e-5)
    assert table.trainable_variables == []


def test_members_have_vectors_of_their_own_and_their_scores_add_up() -> None:
    table = ItemTable(6, WIDTH, members=3)
    table.build(())
    assert table.table.shape == (6, 3 * WIDTH)
    parts = np.split(table.table.numpy(), 3, axis=1)
    codes = np.array([[0, 5, 2]], np.int32)
    np.testing.assert_allclose(
        table(codes), np.concatenate([part[codes] for part in parts], -1) * WIDTH**0.5, rtol=1e-6
    )
    states = np.random.default_rng(0).normal(size=(2, 3 * WIDTH)).astype(np.float32)
    single = [state @ part.T for state, part in zip(np.split(states, 3, axis=1), parts, strict=True)]
    np.testing.assert_allclose(table(states, reverse=True), np.sum(single, axis=0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("members", [1, 3])
def test_the_form_of_the_answer_is_known_beforehand(members: int) -> None:
    table = ItemTable(6, WIDTH, members=members)
    assert table(keras.Input((5,), dtype="int32")).shape == (None, 5, members * WIDTH)
    assert table(keras.Input((members * WIDTH,)), reverse=True).shape == (None, 6)


# === Cosine ===


@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_states_are_brought_to_one_length(temperature: float) -> None:
    states = np.random.default_rng(0).normal(size=(5, 3, WIDTH)).astype(np.float32) * [
        [[0.01]],
        [[1]],
        [[9]],
        [[2]],
        [[5]],
    ]
    found = Cosine(temperature)(states).numpy()
    np.testing.assert_allclose(found, unit(states) / temperature, rtol=1e-4)


def test_the_length_is_learnt() -> None:
    cosine = Cosine(0.1)
    cosine(np.ones((1, WIDTH), np.float32))
    (scale,) = cosine.trainable_variables
    scale.assign(np.log(7.0))
    assert np.linalg.norm(cosine(np.ones((1, WIDTH), np.float32))) == pytest.approx(7, rel=1e-5)


def test_states_of_no_length_stay_numbers() -> None:
    assert np.isfinite(Cosine(0.07)(np.zeros((2, WIDTH), np.float32)).numpy()).all()


# === Thinned ===


def test_states_are_thinned_in_training_only() -> None:
    states, mask = (np.random.default_rng(seed).normal(size=(2, 3, WIDTH)).astype(np.float32) for seed in (0, 1))
    np.testing.assert_array_equal(Thinned()(states, mask, training=True), states * mask)
    np.testing.assert_array_equal(Thinned()(states, mask), states)


def test_one_mask_thins_every_addition_of_a_network() -> None:
    settings = ModelSettings(kind="transformer", width=16, heads=2, blocks=3, dropout=0.5)
    encoder = build_member(Plan(4, 2, ("a", "b", "c")), settings, 3).encoder
    stream = keras.Model(encoder.inputs, encoder.get_layer("member_3_last").input)
    codes = tf.constant(np.random.default_rng(0).integers(1, 4, (40, 6)), tf.int32)
    vectors = tf.constant(np.random.default_rng(1).normal(size=(40, 6, 16)), tf.float32)
    left_out = stream([codes, vectors], training=True).numpy() == 0
    assert left_out.mean() == pytest.approx(0.5, abs=0.03), "what one addition drops, no other carries"
    assert len(np.unique(left_out.reshape(-1, 16), axis=0)) > 200, "each step of each history has its own mask"
    assert not (stream([codes, vectors], training=False).numpy() == 0).any()


# === Attention ===


def attention(window: int = 6, heads: int = 2) -> CausalAttention:
    """Return a layer whose weights, biases by distance too, are all random and large enough to matter."""
    made = CausalAttention(8, heads, window, 0.5)
    made(np.zeros((1, 2, 8), np.float32), np.zeros((1, 2), np.int32))
    rng = np.random.default_rng(5)
    for variable in made.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    return made


def by_hand(layer: CausalAttention, states: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return what each step takes, step by step and head by head."""
    kernel, bias = layer.mixed.kernel.numpy(), layer.mixed.bias.numpy()
    query, key, value = np.split(states @ kernel + bias, 3, axis=-1)
    each = 8 // layer.heads
    taken = np.zeros_like(states)
    for row, step, head in np.ndindex(len(states), states.shape[1], layer.heads):
        part = slice(head * each, (head + 1) * each)
        seen = [past for past in range(step + 1) if codes[row, past]] or list(range(step + 1))
        padded = not codes[row, : step + 1].any()
        fits = np.array(
            [
                0 if padded else query[row, step, part] @ key[row, past, part] / np.sqrt(each)
                + layer.distance.numpy()[step - past, head]
                for past in seen
            ]
        )  # fmt: skip
        weight = np.exp(fits - fits.max())
        taken[row, step, part] = weight / weight.sum() @ value[row, seen, part]
    return taken @ layer.joined.kernel.numpy() + layer.joined.bias.numpy()


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_worked_by_hand(heads: int) -> None:
    layer = attention(heads=heads)
    codes = np.array([[3, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 0, 0, 2, 5], [0, 0, 0, 0, 0]], np.int32)
    states = np.random.default_rng(0).normal(size=(4, 5, 8)).astype(np.float32)
    np.testing.assert_allclose(layer(states, codes), by_hand(layer, states, codes), atol=1e-3)


@pytest.mark.parametrize("codes", [[1, 2, 3, 4, 5], [0, 2, 3, 4, 5], [0, 0, 0, 4, 5], [0, 0, 0, 0, 0]])
@pytest.mark.parametrize("changed", [1, 2, 4])
def test_no_step_sees_a_later_one(codes: list[int], changed: int) -> None:
    layer, given = attention(), np.array([codes], np.int32)
    states = np.random.default_rng(0).normal(size=(1, 5, 8)).astype(np.float32)
    other, others = states.copy(), given.copy()
    other[:, changed:] += 3
    others[:, changed:] = 9
    before, after = layer(states, given).numpy()[0], layer(other, others).numpy()[0]
    np.testing.assert_array_equal(after[:changed], before[:changed])
    assert (np.abs(after[changed:] - before[changed:]).max(axis=1) > 1e-2).all()


@pytest.mark.parametrize("padding", [2, 3, 6])
def test_a_history_without_items_has_one_answer_however_much_padding_it_has(padding: int) -> None:
    layer, vector = attention(), np.random.default_rng(0).normal(size=8).astype(np.float32)
    found = layer(np.tile(vector, (1, padding, 1)), np.zeros((1, padding), np.int32)).numpy()[0]
    value = np.split(vector @ layer.mixed.kernel.numpy() + layer.mixed.bias.numpy(), 3)[2]
    np.testing.assert_allclose(found, np.tile(layer.joined(value[None]), (padding, 1)), atol=1e-4)


@pytest.mark.parametrize("padding", [1, 3])
def test_padding_in_front_of_items_changes_nothing(padding: int) -> None:
    layer, rng = attention(), np.random.default_rng(0)
    states, front = (rng.normal(size=(1, steps, 8)).astype(np.float32) for steps in (3, padding))
    codes = np.array([[4, 2, 1]], np.int32)
    padded = layer(np.hstack([front, states]), np.hstack([np.zeros((1, padding), np.int32), codes]))
    np.testing.assert_allclose(padded[:, padding:], layer(states, codes), atol=1e-4)


def test_it_is_the_distance_that_counts() -> None:
    layer = attention()
    codes, states = np.array([[1, 2, 3, 4]], np.int32), np.ones((1, 4, 8), np.float32)
    states[:, 1] = -1
    first = layer(states, codes).numpy()[0, 3]
    states[:, [1, 2]] = states[:, [2, 1]]
    assert np.abs(layer(states, codes).numpy()[0, 3] - first).max() > 1e-2


# === What may be recommended ===


def test_what_was_had_and_padding_get_nothing_in_their_own_row_only() -> None:
    scores = np.arange(15, dtype=np.float32).reshape(3, 5)
    codes = np.array([[2, 2, 0], [4, 1, 3], [0, 0, 0]], np.int32)
    expected = scores.copy()
    expected[:, 0] = expected[0, 2] = expected[1, 1] = expected[1, 3] = expected[1, 4] = NOTHING
    np.testing.assert_array_equal(WithoutSeen()(scores, codes), expected)


def test_the_highest_come_first_and_of_equal_ones_the_lowest_code() -> None:
    scores = np.array([[1, 5, 3, 5, 2], [0, -1, NOTHING, -3, 7]], np.float32)
    codes, values = Highest(4)(scores)
    assert codes.numpy().tolist() == [[1, 3, 2, 4], [4, 0, 1, 3]] and codes.numpy().dtype == np.int32
    assert values.numpy().tolist() == [[5, 5, 3, 2], [7, 0, -1, -3]]


# === Saving ===

STATES, CODES = ((5, WIDTH), "float32"), ((5,), "int32")
ATTENDS = {"width": WIDTH, "heads": 2, "window": 9, "dropout": 0.5}
SAVED: dict[type[keras.layers.Layer], tuple[list[tuple[tuple[int, ...], str]], dict[str, Any]]] = {
    ItemTable: ([CODES], {"rows": 7, "width": WIDTH, "members": 2}),
    Cosine: ([STATES], {"temperature": 0.3}),
    Thinned: ([STATES, STATES], {}),
    CausalAttention: ([STATES, CODES], ATTENDS),
    WithoutSeen: ([((7,), "float32"), CODES], {}),
    Highest: ([((7,), "float32")], {"count": 3}),
}


def test_every_layer_that_a_saved_network_holds_is_tested_here() -> None:
    made = {thing for _, thing in inspect.getmembers(module, inspect.isclass) if thing.__module__ == module.__name__}
    registered = {thing for thing in made if keras.saving.get_registered_name(thing) == f"edgekit>{thing.__name__}"}
    assert registered == set(SAVED) and made - registered == {ItemRows}


@pytest.mark.parametrize("layer", list(SAVED), ids=lambda layer: layer.__name__)
def test_a_saved_layer_answers_as_before(layer: type[keras.layers.Layer], tmp_path: Path) -> None:
    forms, settings = SAVED[layer]
    given = [keras.Input(shape, dtype=dtype) for shape, dtype in forms]
    made = layer(**settings)
    model = keras.Model(given, made(made(*given)[:, -1], reverse=True) if layer is ItemTable else made(*given))
    rng = np.random.default_rng(0)
    for variable in made.weights:
        variable.assign(rng.normal(size=variable.shape))
    values = [
        (rng.integers(0, 7, (2, *shape)) if dtype == "int32" else rng.normal(size=(2, *shape))).astype(dtype)
        for shape, dtype in forms
    ]
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    own = next(each for each in loaded.layers if type(each) is layer)
    assert settings.items() <= own.get_config().items()
    found, expected = (keras.tree.flatten(each(values)) for each in (loaded, model))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
