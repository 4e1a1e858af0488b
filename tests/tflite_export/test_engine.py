"""The engine: any number of rows, and one clear message for anything else."""

from __future__ import annotations

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
