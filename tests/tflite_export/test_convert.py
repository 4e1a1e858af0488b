"""Conversion: right numbers, builtin operators, and errors that name layer and fix."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.shared.errors import ConfigError, ExportError
from edgekit.tflite_export.convert import convert, explain
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.ops import require_builtin
from edgekit.tflite_export.signature import read_signatures

if TYPE_CHECKING:
    import keras

IMAGES = np.random.default_rng(3).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def image_models() -> tuple[keras.Model, keras.Model]:
    """Return a network over uint8 images and its explanation, with shared weights."""
    import keras

    keras.utils.set_random_seed(3)
    image = keras.Input((8, 8, 3), name="image", dtype="uint8")
    seen = keras.ops.cast(image, "float32") / 255.0
    features = keras.layers.Conv2D(4, 3, activation="relu", name="features")(seen)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    probability = keras.layers.Dense(3, activation="softmax", name="head")(pooled)
    heat = keras.ops.max(features, axis=-1)
    return (
        keras.Model({"image": image}, {"probability": probability}),
        keras.Model({"image": image}, {"heat": heat}),
    )


def recurrent(kind: str) -> keras.Model:
    """Return a small recurrent network of a Keras layer kind."""
    import keras

    keras.utils.set_random_seed(3)
    steps = keras.Input((6, 2), name="steps")
    state = getattr(keras.layers, kind)(4, name="memory")(steps)
    return keras.Model({"steps": steps}, {"next": keras.layers.Dense(1)(state)})


def around(compute: Callable[[Any], Any], *, dtype: str = "float32") -> keras.Model:
    """Return a network whose only layer ``odd`` computes something."""
    import keras

    class Odd(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return compute(x)

    x = keras.Input((4,), name="x", dtype=dtype)
    return keras.Model({"x": x}, {"y": Odd(name="odd")(x)})


def test_numbers_are_those_of_keras(image_models: tuple[keras.Model, keras.Model]) -> None:
    found = Engine(convert(image_models[0])).predict({"image": IMAGES})["probability"]
    expected = image_models[0]({"image": IMAGES})["probability"]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_further_signatures_stand_beside_predict(
    image_models: tuple[keras.Model, keras.Model],
) -> None:
    model, explanation = image_models
    content = convert(model, endpoints={"explain": explanation})
    signatures = read_signatures(content)
    assert {name: s.subgraph for name, s in signatures.items()} == {"predict": 0, "explain": 1}
    engine = Engine(content)
    found = engine.run("explain", {"image": IMAGES})["heat"]
    np.testing.assert_allclose(found, explanation({"image": IMAGES})["heat"], atol=1e-6)
    probability = engine.predict({"image": IMAGES})["probability"]
    np.testing.assert_allclose(probability, model({"image": IMAGES})["probability"], atol=1e-6)


def test_a_view_answers_with_what_it_took_from_predict(
    tiny_model: keras.Model, viewed_content: bytes, tiny_inputs: dict[str, np.ndarray]
) -> None:
    engine, expected = Engine(viewed_content), tiny_model(tiny_inputs, training=False)
    found = {"predict": engine.predict(tiny_inputs), "explain": engine.run("explain", tiny_inputs)}
    assert {name: list(outputs) for name, outputs in found.items()} == {"predict": ["score"], "explain": ["parts"]}
    np.testing.assert_allclose(found["predict"]["score"], expected["score"], atol=1e-6)
    np.testing.assert_allclose(found["explain"]["parts"], expected["parts"], atol=1e-5)


def test_views_stand_beside_further_signatures(image_models: tuple[keras.Model, keras.Model]) -> None:
    import keras

    model, explanation = image_models
    both = keras.Model(model.input, {**model.output, "twice": 2.0 * model.output["probability"]})
    content = convert(both, endpoints={"explain": explanation}, views={"double": ("twice",)})
    signatures = read_signatures(content)
    assert {name: s.subgraph for name, s in signatures.items()} == {"predict": 0, "explain": 1, "double": 0}
    engine, expected = Engine(content), model({"image": IMAGES})["probability"]
    np.testing.assert_allclose(engine.run("double", {"image": IMAGES})["twice"], 2.0 * expected, atol=1e-6)
    heat = engine.run("explain", {"image": IMAGES})["heat"]
    np.testing.assert_allclose(heat, explanation({"image": IMAGES})["heat"], atol=1e-6)
    np.testing.assert_allclose(engine.predict({"image": IMAGES})["probability"], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("views", "match"),
    [
        ({"explain": ("heat",)}, r"views on the outputs \['heat'\].*outputs \['parts', 'score'\]"),
        ({"explain": ("parts", "score")}, "predict must keep one"),
        ({"a": ("parts",), "b": ("score",)}, "predict must keep one"),
        ({"a": ("parts",), "b": ("parts",)}, "expected each once"),
        ({"explain": ()}, "one or more a view"),
        ({"predict": ("parts",)}, "views called predict, which are signatures already"),
        ({"further": ("parts",)}, "views called further"),
    ],
)
def test_views_that_cannot_be_had_are_refused(
    tiny_model: keras.Model, views: dict[str, tuple[str, ...]], match: str
) -> None:
    with pytest.raises(ExportError, match=match):
        convert(tiny_model, endpoints={"further": tiny_model}, views=views)


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_recurrent_layers_use_the_builtin_loop(kind: str) -> None:
    model = recurrent(kind)
    content = convert(model)
    assert "WHILE" in {op.name for op in require_builtin(content)}
    steps = np.random.default_rng(0).normal(size=(3, 6, 2)).astype(np.float32)
    found = Engine(content).predict({"steps": steps})["next"]
    np.testing.assert_allclose(found, model({"steps": steps})["next"], atol=1e-6)


def test_a_recurrent_server_file_is_refused_with_the_fix() -> None:
    with pytest.raises(ExportError, match=r"TensorListReserve in layer 'memory'.*fixed batch"):
        convert(recurrent("GRU"), profile="server")


def test_the_same_network_built_twice_gives_the_same_bytes() -> None:
    assert convert(recurrent("SimpleRNN")) == convert(recurrent("SimpleRNN"))


def test_an_operator_that_is_not_builtin_is_named_with_its_layer() -> None:
    import tensorflow as tf

    def bucket(x: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.searchsorted(tf.constant([[0.0, 1.0]]), x), tf.float32)

    with pytest.raises(ExportError, match=r"LowerBound in layer 'odd'.*comparing with every edge"):
        convert(around(bucket))


def test_several_flex_operators_are_all_named() -> None:
    import tensorflow as tf

    with pytest.raises(ExportError, match=r"AsString, StringToNumber in layer 'odd'.*int32 codes"):
        convert(around(lambda x: tf.strings.to_number(tf.strings.as_string(x))))


def test_a_layer_that_cannot_be_traced_is_an_error() -> None:
    def eager_only(x: Any) -> Any:
        if getattr(x, "shape", (None,))[0] == 1:
            raise ZeroDivisionError("only when traced")
        return x

    with pytest.raises(ExportError, match=r"ZeroDivisionError: .*only when traced"):
        convert(around(eager_only))


def test_an_error_without_operators_is_passed_on() -> None:
    assert "something odd" in explain("something odd", ())


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda k, x: k.Model(x, {"y": x * 2.0}), "Found inputs of the 'predict' model as"),
        (lambda k, x: k.Model({"x": x}, x * 2.0), "Found outputs of the 'predict' model as"),
        (lambda k, x: k.Model({"x": x}, {"y": k.ops.cast(x, "int64")}), "output 'y'.* dtype int64"),
        (lambda k, x: k.Model({"x": x}, {"y": k.ops.cast(x, "float16")}), "dtype float16"),
    ],
)
def test_unportable_edges_are_refused(spoil: Callable[..., keras.Model], match: str) -> None:
    import keras

    with pytest.raises(ExportError, match=match):
        convert(spoil(keras, keras.Input((4,), name="x")))


def test_a_free_axis_is_refused() -> None:
    import keras

    x = keras.Input((None, 2), name="x")
    with pytest.raises(ExportError, match=r"shape \(None, None, 2\)"):
        convert(keras.Model({"x": x}, {"y": keras.layers.GlobalAveragePooling1D()(x)}))


# Keras says that inputs have nothing to quantise, and asks numpy for a copy the old way.
@pytest.mark.filterwarnings("ignore:Layer InputLayer:UserWarning")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_network_quantised_by_keras_is_refused() -> None:
    import keras

    x = keras.Input((4,), name="x")
    model = keras.Model({"x": x}, {"y": keras.layers.Dense(2, name="small")(x)})
    model.quantize("int8")
    with pytest.raises(ExportError, match="quantised by Keras: small"):
        convert(model)


def test_a_network_without_functional_form_is_refused() -> None:
    import keras

    class Free(keras.Model):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(ExportError, match="expected a dict"):
        convert(Free())


def test_an_unknown_profile_is_refused(tiny_model: keras.Model) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'server'"):
        convert(tiny_model, profile="sever")


def test_the_terminal_stays_quiet(tiny_model: keras.Model, capfd: pytest.CaptureFixture[str]) -> None:
    convert(tiny_model)
    assert tuple(capfd.readouterr()) == ("", "")
