"""The engine: any number of rows, and one clear message for anything else."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from edgekit.shared.errors import ConfigError, ContractError, DeviceFileError
from edgekit.tflite_export import engine as engines
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.flatfile import pack, unpack

Inputs = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def device(tiny_content: bytes) -> Engine:
    """Return an engine over the batch-1 file."""
    return Engine(tiny_content)


@pytest.fixture(scope="module")
def server(tiny_server_content: bytes) -> Engine:
    """Return an engine over the free-batch file."""
    return Engine(tiny_server_content)


def rows(inputs: Inputs, count: int) -> Inputs:
    """Return the first rows of every input."""
    return {name: values[:count] for name, values in inputs.items()}


@pytest.mark.parametrize("count", [1, 3, 40])
def test_answers_are_those_of_keras(tiny_model: object, device: Engine, tiny_inputs: Inputs, count: int) -> None:
    found = device.predict(rows(tiny_inputs, count))
    expected = tiny_model(rows(tiny_inputs, count), training=False)  # type: ignore[operator]
    np.testing.assert_allclose(found["score"], expected["score"], atol=1e-6)
    np.testing.assert_allclose(found["parts"], expected["parts"], atol=1e-5)


@pytest.mark.parametrize("count", [1, 3, 40])
def test_both_profiles_agree(device: Engine, server: Engine, tiny_inputs: Inputs, count: int) -> None:
    one, other = (e.predict(rows(tiny_inputs, count)) for e in (device, server))
    np.testing.assert_allclose(one["score"], other["score"], atol=1e-6)


def test_chunks_and_their_rest_are_joined(server: Engine, tiny_inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = server.predict(tiny_inputs)
    monkeypatch.setattr(engines, "CHUNK_ROWS", 16)
    np.testing.assert_allclose(server.predict(tiny_inputs)["parts"], whole["parts"], atol=1e-6)


def test_no_rows_give_no_answers(device: Engine, tiny_inputs: Inputs) -> None:
    found = device.predict(rows(tiny_inputs, 0))
    assert {name: values.shape for name, values in found.items()} == {
        "score": (0, 1),
        "parts": (0, 2),
    }


def test_answers_are_copies(device: Engine, tiny_inputs: Inputs) -> None:
    first = device.predict(rows(tiny_inputs, 1))["score"]
    kept = first.copy()
    device.predict({name: values[1:2] for name, values in tiny_inputs.items()})
    np.testing.assert_array_equal(first, kept)


def test_missing_numbers_give_finite_answers(device: Engine, tiny_inputs: Inputs) -> None:
    assert np.isnan(tiny_inputs["numeric"][0, 0])
    assert np.isfinite(device.predict(rows(tiny_inputs, 1))["score"]).all()


def test_views_are_read_as_they_look(device: Engine, tiny_inputs: Inputs) -> None:
    turned = {name: np.asfortranarray(values)[::2] for name, values in tiny_inputs.items()}
    expected = device.predict(tiny_inputs)["score"][::2]
    np.testing.assert_array_equal(device.predict(turned)["score"], expected)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"numeric": None}, "missing input 'numeric'"),
        ({"more": np.zeros((1, 1), np.float32)}, "unknown input 'more'"),
        (
            {"numeric": np.zeros((1, 3))},
            r"'numeric' is float64 \[1, 3\], expected float32 \[n, 3\]",
        ),
        ({"numeric": np.zeros((1, 4), np.float32)}, r"'numeric' is float32 \[1, 4\]"),
        ({"numeric": np.zeros(3, np.float32)}, r"'numeric' is float32 \[3\]"),
        ({"numeric": [[1.0, 2.0, 3.0]]}, "'numeric' is a list"),
        ({"numeric": np.zeros((1, 3), ">f4")}, "'numeric' is >f4"),
        ({"numeric": np.zeros((2, 3), np.float32)}, "different numbers of examples"),
    ],
)
@pytest.mark.parametrize("kind", ["device", "server"])
def test_wrong_inputs_are_explained(
    kind: str, change: dict[str, object], match: str, request: pytest.FixtureRequest
) -> None:
    inputs = {
        "numeric": np.zeros((1, 3), np.float32),
        "codes": np.zeros((1, 2), np.int32),
        **change,
    }
    given = {name: value for name, value in inputs.items() if value is not None}
    with pytest.raises(ContractError, match=match):
        request.getfixturevalue(kind).predict(given)


@pytest.mark.parametrize("kind", ["device", "server"])
def test_a_code_outside_its_table_is_explained(kind: str, request: pytest.FixtureRequest) -> None:
    inputs = {"numeric": np.zeros((1, 3), np.float32), "codes": np.full((1, 2), 999, np.int32)}
    with pytest.raises(ContractError, match="codes inside their vocabularies"):
        request.getfixturevalue(kind).predict(inputs)


def test_a_refused_call_leaves_the_engine_usable(device: Engine, tiny_inputs: Inputs) -> None:
    before = device.predict(rows(tiny_inputs, 1))["score"]
    with pytest.raises(ContractError, match="vocabularies"):
        device.predict({**rows(tiny_inputs, 1), "codes": np.full((1, 2), -999, np.int32)})
    np.testing.assert_array_equal(device.predict(rows(tiny_inputs, 1))["score"], before)


def test_large_rows_come_in_small_chunks(server: Engine, tiny_inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = server.predict(tiny_inputs)["parts"]
    monkeypatch.setattr(engines, "CHUNK_BYTES", 100)  # five rows of 20 bytes
    np.testing.assert_allclose(server.predict(tiny_inputs)["parts"], whole, atol=1e-6)


def test_at_least_one_thread_is_needed(tiny_content: bytes) -> None:
    with pytest.raises(ConfigError, match="threads = 0"):
        Engine(tiny_content, threads=0)


def test_an_unknown_signature_is_explained(device: Engine, tiny_inputs: Inputs) -> None:
    with pytest.raises(ContractError, match=r"no signature 'explain'.*\['predict'\]"):
        device.run("explain", tiny_inputs)


@pytest.fixture(params=["viewed_content", "viewed_server_content"])
def viewed(request: pytest.FixtureRequest) -> Engine:
    """Return a fresh engine over a file of either profile whose parts are a view."""
    return Engine(request.getfixturevalue(request.param))


@pytest.mark.parametrize(("before", "count"), [(1, 40), (40, 1), (3, 7), (7, 3), (40, 0)])
def test_a_view_answers_after_a_predict_with_another_batch(
    viewed: Engine, device: Engine, tiny_inputs: Inputs, before: int, count: int
) -> None:
    expected = device.predict(tiny_inputs)
    viewed.predict(rows(tiny_inputs, before))
    np.testing.assert_allclose(
        viewed.run("explain", rows(tiny_inputs, count))["parts"], expected["parts"][:count], atol=1e-5
    )
    found = viewed.predict(rows(tiny_inputs, before))
    assert list(found) == ["score"]
    np.testing.assert_allclose(found["score"], expected["score"][:before], atol=1e-6)


def test_a_view_is_answered_without_a_runner(
    viewed: Engine, tiny_inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines.litert.Interpreter, "get_signature_runner", None)
    assert viewed.run("explain", rows(tiny_inputs, 5))["parts"].shape == (5, 2)


def test_a_view_comes_in_chunks(
    viewed_server_content: bytes, device: Engine, tiny_inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "CHUNK_ROWS", 16)
    found = Engine(viewed_server_content).run("explain", tiny_inputs)["parts"]
    np.testing.assert_allclose(found, device.predict(tiny_inputs)["parts"], atol=1e-5)


def with_inputs_called(content: bytes, names: dict[str, str]) -> bytes:
    """Return a file whose view ``explain`` calls the inputs of ``predict`` by other names."""
    model = unpack(content)
    view = model.signatureDefs[1]
    view.inputs = copy.deepcopy(view.inputs)
    for slot in view.inputs:
        slot.name = names[slot.name.decode()]
    return pack(model)


@pytest.mark.parametrize("kind", ["viewed_content", "viewed_server_content"])
@pytest.mark.parametrize("before", [1, 2, 40])
def test_a_signature_with_inputs_of_its_own_shares_no_shapes(
    kind: str, before: int, tiny_inputs: Inputs, device: Engine, request: pytest.FixtureRequest
) -> None:
    other = {"numeric": "amounts", "codes": "kinds"}
    engine, expected = Engine(with_inputs_called(request.getfixturevalue(kind), other)), device.predict(tiny_inputs)
    engine.predict(rows(tiny_inputs, before))
    found = engine.run("explain", {other[name]: values[:3] for name, values in tiny_inputs.items()})
    np.testing.assert_allclose(found["parts"], expected["parts"][:3], atol=1e-5)
    again = engine.predict(rows(tiny_inputs, before))["score"]
    np.testing.assert_allclose(again, expected["score"][:before], atol=1e-6)


def test_inputs_that_only_swap_names_are_not_confused() -> None:
    import keras

    from edgekit.tflite_export.convert import convert

    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    content = convert(keras.Model({"a": a, "b": b}, {"y": a - b, "z": a - 2.0 * b}), views={"explain": ("z",)})
    engine = Engine(with_inputs_called(content, {"a": "b", "b": "a"}))
    inputs = {"a": np.array([[1.0, 2.0]], np.float32), "b": np.array([[10.0, 20.0]], np.float32)}
    assert engine.predict(inputs)["y"].tolist() == [[-9.0, -18.0]]
    assert engine.run("explain", inputs)["z"].tolist() == [[8.0, 16.0]]  # called with the names changed over


@pytest.mark.parametrize("profile", ["device", "server"])
def test_a_predict_that_is_not_first_is_answered_too(profile: str) -> None:
    import keras

    from edgekit.tflite_export.convert import convert

    x = keras.Input((2,), name="x")
    doubled, tripled = keras.Model({"x": x}, {"y": x * 2.0}), keras.Model({"x": x}, {"y": x * 3.0})
    model = unpack(convert(doubled, profile=profile, endpoints={"explain": tripled}))
    first, second = model.signatureDefs
    first.signatureKey, second.signatureKey = second.signatureKey, first.signatureKey
    engine, inputs = Engine(pack(model)), {"x": np.arange(8, dtype=np.float32).reshape(4, 2)}
    np.testing.assert_array_equal(engine.predict(rows(inputs, 2))["y"], 3.0 * inputs["x"][:2])
    np.testing.assert_array_equal(engine.run("explain", inputs)["y"], 2.0 * inputs["x"])
    np.testing.assert_array_equal(engine.predict(inputs)["y"], 3.0 * inputs["x"])


def test_a_file_without_predict_is_refused(tiny_content: bytes) -> None:
    model = unpack(tiny_content)
    model.signatureDefs[0].signatureKey = "other"
    with pytest.raises(DeviceFileError, match="expected one called 'predict'"):
        Engine(pack(model))


def test_what_the_interpreter_refuses_is_explained(tiny_content: bytes) -> None:
    model = unpack(tiny_content)
    model.operatorCodes[0].version = 99
    with pytest.raises(DeviceFileError, match="The interpreter refused the file"):
        Engine(pack(model))


@pytest.mark.parametrize("step", ["resize_tensor_input", "allocate_tensors"])
def test_a_file_that_cannot_be_resized_is_refused_at_once(
    tiny_server_content: bytes, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ValueError("Cannot set tensor: dimension mismatch")

    monkeypatch.setattr(engines.litert.Interpreter, step, refuse)
    with pytest.raises(DeviceFileError, match="refused the file .*dimension mismatch"):
        Engine(tiny_server_content)
