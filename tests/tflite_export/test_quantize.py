"""Recipes: smaller files, close answers, and a crash that stays outside."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.shared.errors import ConfigError, ExportError
from edgekit.tflite_export import quantize
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.flatfile import with_entries
from edgekit.tflite_export.ops import require_builtin

if TYPE_CHECKING:
    import keras

Inputs = dict[str, np.ndarray]


@pytest.mark.parametrize(
    ("name", "ratio", "error"),
    [("float16", 0.7, 1e-3), ("dynamic_int8", 0.5, 2e-2), ("dynamic_int4", 0.95, 0.15)],
)
def test_files_shrink_and_answers_stay_close(
    tiny_model: keras.Model,
    tiny_content: bytes,
    tiny_inputs: Inputs,
    name: str,
    ratio: float,
    error: float,
) -> None:
    content = quantize.export(tiny_model, name)
    require_builtin(content)
    assert len(content) < ratio * len(tiny_content)
    expected = Engine(tiny_content).predict(tiny_inputs)["score"]
    np.testing.assert_allclose(Engine(content).predict(tiny_inputs)["score"], expected, atol=error)


def test_large_networks_keep_their_weights_inside_under_every_recipe() -> None:
    import keras

    given = keras.Input((1024,), name="x")
    network = keras.Model({"x": given}, {"score": keras.layers.Dense(1024, name="score")(given)})
    content = quantize.export(network, "dynamic_int4")
    read = with_entries(content, {"card": b"{}"})  # what the quantizer appends behind the file would be lost here
    row = {"x": np.linspace(-1, 1, 1024, dtype=np.float32)[None]}
    np.testing.assert_array_equal(Engine(read).predict(row)["score"], Engine(content).predict(row)["score"])
    exact = Engine(quantize.export(network, "float32")).predict(row)["score"]
    assert np.corrcoef(exact, Engine(read).predict(row)["score"])[0, 1] > 0.98


def test_float32_is_the_plain_conversion(tiny_model: keras.Model, tiny_content: bytes) -> None:
    assert quantize.export(tiny_model) == tiny_content


def test_static_int8_learns_ranges_in_another_process() -> None:
    import keras

    keras.utils.set_random_seed(5)
    images = np.random.default_rng(5).integers(0, 256, (20, 16, 16, 3)).astype(np.uint8)
    image = keras.Input((16, 16, 3), name="image", dtype="uint8")
    body = keras.layers.Conv2D(16, 3, activation="relu")(keras.ops.cast(image, "float32") / 255.0)
    body = keras.layers.Conv2D(32, 3, activation="relu")(body)
    score = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(body))
    model = keras.Model({"image": image}, {"score": score})
    content = quantize.export(model, "static_int8", calibration={"image": images})
    assert "QUANTIZE" in {op.name for op in require_builtin(content)}
    assert len(content) < 0.6 * len(quantize.export(model))
    found = Engine(content).predict({"image": images})["score"]
    np.testing.assert_allclose(found, model({"image": images})["score"], atol=0.02)


@pytest.mark.parametrize("profile", ["device", "server"])
@pytest.mark.parametrize(
    ("name", "error"),
    [("float32", 1e-5), ("float16", 2e-2), ("dynamic_int8", 5e-2), ("dynamic_int4", 0.5), ("static_int8", 0.2)],
)
def test_every_recipe_keeps_views(
    tiny_model: keras.Model, tiny_content: bytes, tiny_inputs: Inputs, name: str, error: float, profile: str
) -> None:
    content = quantize.export(tiny_model, name, profile=profile, views={"explain": ("parts",)}, calibration=tiny_inputs)
    engine, complete = Engine(content), {key: values[1:5] for key, values in tiny_inputs.items()}
    expected = Engine(tiny_content).predict(complete)
    assert list(engine.predict(complete)) == ["score"]
    np.testing.assert_allclose(engine.run("explain", complete)["parts"], expected["parts"], atol=error)


def test_calibration_inputs_are_needed(tiny_model: keras.Model) -> None:
    with pytest.raises(ExportError, match="Pass calibration inputs"):
        quantize.export(tiny_model, "static_int8")


def test_ranges_cannot_be_learnt_from_missing_values(tiny_model: keras.Model, tiny_inputs: Inputs) -> None:
    missing = {**tiny_inputs, "numeric": np.full((40, 3), np.nan, np.float32)}
    with pytest.raises(ExportError, match="no complete row among 40"):
        quantize.export(tiny_model, "static_int8", calibration=missing)


@pytest.mark.parametrize(
    ("code", "match"),
    [
        (-11, r"exit code -11 \(killed by signal 11\): no message"),
        (1, "exit code 1: ValueError: no"),
    ],
)
def test_a_crash_is_an_error_with_its_exit_code(
    tiny_model: keras.Model,
    tiny_inputs: Inputs,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    match: str,
) -> None:
    stderr = b"I0000 00:00:17 chatter\n" if code < 0 else b"Traceback\nValueError: no\nW0000 chat\n"
    result = subprocess.CompletedProcess([], code, b"", stderr)
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: result)
    with pytest.raises(ExportError, match=match):
        quantize.export(tiny_model, "static_int8", calibration=tiny_inputs)


def test_an_unknown_recipe_is_refused(tiny_model: keras.Model) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'float16'"):
        quantize.export(tiny_model, "float_16")


def test_a_tied_table_is_stored_once() -> None:
    """A table that is looked up and multiplied by has two forms in dynamic_int8, one in tied_int8."""
    import keras

    keras.utils.set_random_seed(0)
    codes = keras.Input((4,), dtype="int32", name="codes")
    table = keras.layers.Embedding(2000, 16, name="table")
    states = keras.layers.GlobalAveragePooling1D()(table(codes))
    scores = keras.ops.matmul(states, keras.ops.transpose(table.embeddings))
    model = keras.Model({"codes": codes}, {"scores": scores})
    files = {name: quantize.export(model, name) for name in ("float32", "dynamic_int8", "tied_int8")}
    assert len(files["dynamic_int8"]) > 2 * 2000 * 16  # what the recipe is for
    assert len(files["tied_int8"]) < 1.3 * 2000 * 16
    require_builtin(files["tied_int8"])
    given = {"codes": np.random.default_rng(0).integers(0, 2000, (1, 4), dtype=np.int32)}
    expected, found = (Engine(files[name]).predict(given)["scores"] for name in ("float32", "tied_int8"))
    assert np.corrcoef(expected[0], found[0])[0, 1] > 0.99
