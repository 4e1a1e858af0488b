"""The layers of the forecasting networks, worked by hand, and that each can be saved."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edgekit.domains.transportation import layers as module
from edgekit.domains.transportation.layers import (
    NEVER,
    WAVES,
    Band,
    ClockFeatures,
    Fading,
    Filled,
    Identity,
    OtherSensors,
    Standardised,
)

NAN = np.nan
BATCH, SENSORS, STEPS = 5, 4, 3


def state(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def presence(share: float, seed: int = 1) -> np.ndarray:
    """Return (batch, sensor, step) of 0 and 1."""
    return (np.random.default_rng(seed).random((BATCH, SENSORS, STEPS)) < share).astype(np.float32)


# === Scales ===


def scaled() -> Standardised:
    layer = Standardised(2)
    layer.build((None, STEPS, 2))
    layer.mean.assign([10, -4])
    layer.deviation.assign([2, 8])
    return layer


def test_readings_are_standardised_by_sensor_and_missing_ones_are_0() -> None:
    readings = np.array([[[12, NAN], [NAN, 4], [8, -4]]], np.float32)
    values, there = scaled()(readings)
    assert values.numpy().tolist() == [[[1, 0, -1], [0, 1, 0]]]
    assert there.numpy().tolist() == [[[1, 0, 1], [0, 1, 1]]]
    assert values.numpy().dtype == there.numpy().dtype == np.float32


def test_a_mean_is_no_missing_reading() -> None:
    _, there = scaled()(np.array([[[10, -4]] * 3], np.float32))
    assert there.numpy().min() == 1


def test_standardised_values_go_back_to_the_unit() -> None:
    layer, readings = scaled(), 30 * state(BATCH, STEPS, 2)
    np.testing.assert_allclose(layer.back(layer(readings)[0]), readings, atol=1e-4)
    assert layer.trainable_variables == []


# === What the others read ===


def others(heads: int = 2, sensors: int = SENSORS) -> OtherSensors:
    layer = OtherSensors(sensors, heads)
    layer.build((None, sensors, STEPS), (None, sensors, STEPS))
    layer.logits.assign(3 * state(heads, sensors, sensors, seed=7))
    return layer


def by_hand(layer: OtherSensors, values: np.ndarray, there: np.ndarray, head: int) -> tuple[np.ndarray, np.ndarray]:
    """Return averages (batch, sensor, step) and the weight held at the last step, sensor by sensor."""
    logits = layer.logits.numpy()[head]
    average, held = np.zeros_like(values), np.zeros(values.shape[:2], np.float32)
    for row, sensor, step in np.ndindex(*values.shape):
        rest = [other for other in range(values.shape[1]) if other != sensor]
        weight = np.exp(logits[sensor, rest])
        weight = weight / weight.sum() * there[row, rest, step]
        average[row, sensor, step] = weight @ values[row, rest, step] / (weight.sum() + 1e-3)
        held[row, sensor] = weight.sum()
    return average, held


@pytest.mark.parametrize("share", [1.0, 0.6, 0.2])
@pytest.mark.parametrize("heads", [1, 3])
def test_the_others_are_averaged_over_those_that_are_there(share: float, heads: int) -> None:
    layer, values, there = others(heads), state(BATCH, SENSORS, STEPS), presence(share)
    found = [part.numpy() for part in layer(values, there)]
    assert len(found) == 2 * heads
    for head in range(heads):
        average, held = by_hand(layer, values, there, head)
        np.testing.assert_allclose(found[head], average, atol=1e-4)
        np.testing.assert_allclose(found[heads + head][..., 0], held, atol=1e-5)


def test_a_sensor_never_sees_itself() -> None:
    layer, values, there = others(), state(BATCH, SENSORS, STEPS), presence(0.7)
    changed = values.copy()
    changed[:, 2] += 100
    for before, after in zip(layer(values, there), layer(changed, there), strict=True):
        np.testing.assert_allclose(after[:, 2], before[:, 2], atol=1e-3)
    by_the_others = np.abs(layer(changed, there)[0] - layer(values, there)[0])[:, [0, 1, 3]]
    assert by_the_others.max(axis=(0, 2)).min() > 1


def test_a_sensor_does_not_see_itself_where_all_others_are_its_opposite() -> None:
    """Logits begin at many times the correlations: its own is the highest, those of its opposites the lowest."""
    layer = others(1, 2)
    layer.logits.assign([[[15, -15], [-15, 15]]])
    average = layer(np.array([[[100] * 3, [-1] * 3]], np.float32), np.ones((1, 2, 3), np.float32))[0].numpy()
    np.testing.assert_allclose(average[0, :, 0], [-1, 100], rtol=0.01)


def test_what_silent_sensors_hold_does_not_count() -> None:
    layer, values, there = others(), state(BATCH, SENSORS, STEPS), presence(0.5)
    noisy = np.where(there > 0, values, 1e6).astype(np.float32)
    for before, after in zip(layer(values, there), layer(noisy, there), strict=True):
        np.testing.assert_array_equal(after, before)


def test_where_all_are_silent_nothing_is_known() -> None:
    for part in others()(state(BATCH, SENSORS, STEPS), np.zeros((BATCH, SENSORS, STEPS), np.float32)):
        np.testing.assert_allclose(part, 0, atol=1e-9)


def test_a_sensors_own_silence_changes_nothing_of_what_it_sees() -> None:
    layer, values, there = others(), state(BATCH, SENSORS, STEPS), presence(1.0)
    silent = there.copy()
    silent[:, 1] = 0
    for before, after in zip(layer(values, there), layer(values, silent), strict=True):
        np.testing.assert_allclose(after[:, 1], before[:, 1], atol=1e-4)
    assert np.exp(NEVER) < 1e-12


# === Filling gaps ===


def filled(rounds: int, coefficients: np.ndarray) -> Filled:
    layer = Filled(len(coefficients), rounds)
    shape = (None, len(coefficients), STEPS)
    layer.build(shape, shape, shape)
    layer.coefficients.assign(coefficients)
    return layer


def test_known_values_are_not_touched() -> None:
    values, there = state(BATCH, SENSORS, STEPS), presence(0.5)
    found = filled(3, state(SENSORS, SENSORS))(values, there, state(BATCH, SENSORS, STEPS, seed=3)).numpy()
    np.testing.assert_array_equal(found[there > 0], values[there > 0])
    assert (found[there == 0] != values[there == 0]).all()


def test_enough_rounds_give_the_mean_of_the_field_given_what_is_known() -> None:
    """The missing values of a Gaussian field with covariance C: C[m, k] C[k, k]⁻¹ times the known ones."""
    covariance = np.array([[1, 0.6, 0.3, 0.2], [0.6, 1, 0.5, 0.3], [0.3, 0.5, 1, 0.6], [0.2, 0.3, 0.6, 1]])
    inverse = np.linalg.inv(covariance)
    coefficients = -inverse / np.diag(inverse)[:, None]
    values, there = state(BATCH, SENSORS, STEPS), np.ones((BATCH, SENSORS, STEPS), np.float32)
    there[:, [1, 2]] = 0
    found = filled(60, coefficients)(values, there, 9 * state(BATCH, SENSORS, STEPS, seed=3)).numpy()
    known, missing = [0, 3], [1, 2]
    slope = covariance[np.ix_(missing, known)] @ np.linalg.inv(covariance[np.ix_(known, known)])
    expected = np.einsum("mk,bks->bms", slope, values[:, known])
    np.testing.assert_allclose(found[:, missing], expected, atol=1e-5)


def test_one_round_is_the_regression_on_the_guess() -> None:
    coefficients, values = state(2, 2), np.array([[[2.0] * 3, [0.0] * 3]], np.float32)
    there, guess = np.array([[[1.0] * 3, [0.0] * 3]], np.float32), np.full((1, 2, 3), 5, np.float32)
    found = filled(1, coefficients)(values, there, guess).numpy()
    np.testing.assert_allclose(found[0, 1], 2 * coefficients[1, 0], rtol=1e-5)
    np.testing.assert_allclose(filled(0, coefficients)(values, there, guess).numpy()[0, 1], 5)


def test_a_sensor_is_not_regressed_on_itself() -> None:
    there, guess = np.zeros((1, SENSORS, STEPS), np.float32), state(1, SENSORS, STEPS)
    found = filled(2, 3 * np.eye(SENSORS))(guess, there, guess).numpy()
    np.testing.assert_array_equal(found, np.zeros_like(guess))


# === Who and when ===


def test_a_description_is_the_same_whatever_the_state() -> None:
    layer = Identity(SENSORS, 6)
    found = layer(state(BATCH, SENSORS, STEPS)).numpy()
    assert found.shape == (BATCH, SENSORS, 6)
    np.testing.assert_array_equal(found, np.tile(layer.table.numpy(), (BATCH, 1, 1)))
    assert len(np.unique(found[0], axis=0)) == SENSORS


def clock(moments: list[list[int]], steps: int = 288) -> np.ndarray:
    found: np.ndarray = ClockFeatures(steps)(np.array(moments, np.int32)).numpy()
    return found


def test_the_waves_of_known_times() -> None:
    midnight, six, noon = clock([[0, 0], [72, 0], [144, 0]])[:, : 2 * WAVES]
    turns = np.arange(1, WAVES + 1)
    np.testing.assert_allclose(midnight, np.r_[np.zeros(WAVES), np.ones(WAVES)], atol=1e-6)
    np.testing.assert_allclose(six, np.r_[np.sin(turns * np.pi / 2), np.cos(turns * np.pi / 2)], atol=1e-6)
    np.testing.assert_allclose(noon, np.r_[np.zeros(WAVES), (-1.0) ** turns], atol=1e-5)


@pytest.mark.parametrize("steps", [24, 288])
def test_the_last_step_of_the_day_is_next_to_the_first(steps: int) -> None:
    found = clock([[step, 2] for step in [*range(steps), 0]], steps)
    apart = np.linalg.norm(np.diff(found, axis=0), axis=1)
    np.testing.assert_allclose(apart, apart[0], rtol=1e-3)
    assert len(np.unique(found.round(5), axis=0)) == steps


def test_weekends_have_waves_of_their_own() -> None:
    found = clock([[100, day] for day in range(7)])
    waves, weekend, flag = found[:, : 2 * WAVES], found[:, 2 * WAVES : -1], found[:, -1]
    assert flag.tolist() == [0, 0, 0, 0, 0, 1, 1] and found.shape == (7, 4 * WAVES + 1)
    np.testing.assert_array_equal(waves, np.tile(waves[0], (7, 1)))
    np.testing.assert_array_equal(weekend, waves * flag[:, None])


def test_nothing_of_the_clock_is_learnt() -> None:
    layer = ClockFeatures(24)
    layer(np.zeros((1, 2), np.int32))
    assert layer.trainable_variables == []


# === Answers ===


def test_the_last_value_fades() -> None:
    found = Fading(4)(np.array([[[2.0], [-1.0]]], np.float32)).numpy()
    assert found.shape == (1, 2, 4)
    np.testing.assert_allclose(found[0, 0], 2 * np.exp(-np.arange(1, 5) / 8), rtol=1e-6)
    np.testing.assert_allclose(found[0, 1], -found[0, 0] / 2, rtol=1e-6)


def band(margin: list[float]) -> Band:
    layer, shape = Band(STEPS), (None, SENSORS, STEPS)
    layer.build(shape, shape, shape)
    layer.margin.assign(margin)
    return layer


def test_a_margin_is_added_on_both_sides_of_its_step() -> None:
    centre, rooms = np.zeros((1, 1, 3), np.float32), np.array([[[1.0, 2, 3]]], np.float32)
    low, high = band([0, 0.5, -1])(centre, rooms, 2 * rooms)
    np.testing.assert_allclose(low, [[[-1, -2.5, -2]]])
    np.testing.assert_allclose(high, [[[2, 4.5, 5]]])


@pytest.mark.parametrize("margin", [0.0, 0.7, -0.7, -100.0])
def test_the_ends_never_cross_the_centre(margin: float) -> None:
    centre, below, above = (state(BATCH, SENSORS, STEPS, seed=seed) for seed in range(3))
    low, high = band([margin] * 3)(centre, np.abs(below), np.abs(above))
    assert (low.numpy() <= centre).all() and (centre <= high.numpy()).all()


def test_margins_are_not_learnt() -> None:
    assert band([0, 0, 0]).trainable_variables == []


# === Saving ===

OF_SENSORS = ((SENSORS, STEPS), "float32")
SAVED: dict[type[keras.layers.Layer], tuple[list[tuple[tuple[int, ...], str]], dict[str, Any]]] = {
    Standardised: ([((STEPS, SENSORS), "float32")], {"sensors": SENSORS}),
    OtherSensors: ([OF_SENSORS, OF_SENSORS], {"sensors": SENSORS, "heads": 3}),
    Filled: ([OF_SENSORS, OF_SENSORS, OF_SENSORS], {"sensors": SENSORS, "rounds": 5}),
    Identity: ([OF_SENSORS], {"sensors": SENSORS, "width": 6}),
    ClockFeatures: ([((2,), "int32")], {"steps_a_day": 24}),
    Fading: ([((SENSORS, 1), "float32")], {"horizon": 7}),
    Band: ([OF_SENSORS, OF_SENSORS, OF_SENSORS], {"horizon": STEPS}),
}


def test_every_layer_is_registered_and_tested_here() -> None:
    made = {thing for _, thing in inspect.getmembers(module, inspect.isclass) if thing.__module__ == module.__name__}
    assert made == set(SAVED)
    assert {keras.saving.get_registered_name(layer) for layer in made} == {f"edgekit>{each.__name__}" for each in made}


@pytest.mark.parametrize("layer", list(SAVED), ids=lambda layer: layer.__name__)
def test_a_saved_layer_answers_as_before(layer: type[keras.layers.Layer], tmp_path: Path) -> None:
    forms, settings = SAVED[layer]
    given = [keras.Input(shape, dtype=dtype) for shape, dtype in forms]
    made = layer(**settings)
    model = keras.Model(given, made(*given))
    for place, variable in enumerate(made.weights):
        variable.assign(np.abs(state(*variable.shape, seed=place)) + 0.1)
    values = [
        np.random.default_rng(0).integers(0, 7, (2, *shape)).astype(dtype) if dtype == "int32" else state(2, *shape)
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
