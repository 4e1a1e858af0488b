"""The loop GRU is Keras' GRU, and converts with any batch."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from edgekit.shared.recurrent import LoopGRU
from edgekit.tflite_export.convert import convert
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.ops import require_builtin

STEPS, WIDTH, UNITS = 5, 3, 4


@pytest.fixture(scope="module")
def pair() -> tuple[LoopGRU, keras.layers.GRU]:
    """Return both layers with the same random weights."""
    keras.utils.set_random_seed(0)
    mine, reference = LoopGRU(UNITS), keras.layers.GRU(UNITS, reset_after=True)
    mine.build((None, STEPS, WIDTH))
    reference.build((None, STEPS, WIDTH))
    rng = np.random.default_rng(0)
    reference.set_weights([rng.normal(size=weight.shape).astype(np.float32) for weight in reference.get_weights()])
    mine.set_weights(reference.get_weights())
    return mine, reference


def sequences(rows: int, steps: int = STEPS) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(rows, steps, WIDTH)).astype(np.float32)


@pytest.mark.parametrize("steps", [1, STEPS, 12])
def test_it_is_the_gru_of_keras(pair: tuple[LoopGRU, keras.layers.GRU], steps: int) -> None:
    mine, reference = pair
    np.testing.assert_allclose(mine(sequences(7, steps)), reference(sequences(7, steps)), atol=1e-6)


def test_it_learns_as_the_gru_of_keras(pair: tuple[LoopGRU, keras.layers.GRU]) -> None:
    models = []
    for layer in pair:
        steps = keras.Input((STEPS, WIDTH))
        model = keras.Model(steps, layer(steps))
        start = [weight.copy() for weight in layer.get_weights()]
        model.compile("sgd", "mse")
        model.fit(sequences(32), np.ones((32, UNITS), np.float32), epochs=2, shuffle=False, verbose=0)
        models.append(layer.get_weights())
        layer.set_weights(start)
    for mine, reference in zip(*models, strict=True):
        np.testing.assert_allclose(mine, reference, atol=1e-5)


@pytest.mark.parametrize("profile", ["device", "server"])
def test_it_converts_with_builtin_ops(pair: tuple[LoopGRU, keras.layers.GRU], profile: str, tmp_path: Path) -> None:
    inputs = keras.Input((STEPS, WIDTH), name="steps")
    model = keras.Model({"steps": inputs}, {"state": pair[0](inputs)})
    content = convert(model, profile=profile)
    assert require_builtin(content)
    expected = pair[1](sequences(9))
    np.testing.assert_allclose(Engine(content).predict({"steps": sequences(9)})["state"], expected, atol=1e-5)


def test_it_survives_a_file(tmp_path: Path, pair: tuple[LoopGRU, keras.layers.GRU]) -> None:
    inputs = keras.Input((STEPS, WIDTH))
    keras.Model(inputs, pair[0](inputs)).save(tmp_path / "loop.keras")
    again = keras.saving.load_model(tmp_path / "loop.keras", safe_mode=True)
    np.testing.assert_array_equal(again(sequences(3)), pair[0](sequences(3)))


def test_its_shape_and_settings_are_told() -> None:
    layer = LoopGRU(UNITS)
    assert layer.compute_output_shape((None, STEPS, WIDTH)) == (None, UNITS)
    assert LoopGRU.from_config(layer.get_config()).units == UNITS
