"""Assembly: a file that says what it is, proves itself, and comes out the same every time."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from edgekit.shared.errors import ContractError, ExportError
from edgekit.shared.files import sha256
from edgekit.tflite_export.assemble import assemble
from edgekit.tflite_export.card import Card, Tensor
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.guard import check
from edgekit.tflite_export.quantize import export

Inputs = dict[str, np.ndarray]


def exported() -> bytes:
    """Return a device file made from nothing: build, convert, quantise, assemble."""
    import keras

    keras.utils.set_random_seed(1)
    x = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(300, activation="relu")(x)
    model = keras.Model({"x": x}, {"y": keras.layers.Dense(1)(hidden), "z": hidden[:, :2]})
    outputs = (Tensor("y", "float32", (1,), "a"), Tensor("z", "float32", (2,), "b"))
    inputs = (Tensor("x", "float32", (4,), "m"),)
    card = Card("tiny", "s", inputs, outputs, labels=("no", "yes"), recipe="dynamic_int8")
    return assemble(export(model, "dynamic_int8"), card, {"x": np.ones((2, 4), np.float32)})


def test_golden_outputs_are_those_of_the_file(tiny_file: bytes, tiny_content: bytes, tiny_inputs: Inputs) -> None:
    golden = check(tiny_file).golden
    few = {name: values[:8] for name, values in tiny_inputs.items()}
    expected = Engine(tiny_content).predict(few)
    np.testing.assert_array_equal(golden.outputs["score"], expected["score"])
    assert np.isnan(golden.inputs["numeric"]).any()


def test_the_same_arguments_give_the_same_bytes(tiny_content: bytes, tiny_card: Card, tiny_inputs: Inputs) -> None:
    few = {name: values[:3] for name, values in tiny_inputs.items()}
    turned = dict(reversed(list(few.items())))
    assert assemble(tiny_content, tiny_card, few) == assemble(tiny_content, tiny_card, turned)


def test_another_process_gives_the_same_bytes() -> None:
    code = f"import runpy; print(sha256(runpy.run_path({__file__!r})['exported']()))"
    command = [sys.executable, "-c", f"from edgekit.shared.files import sha256; {code}"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == sha256(exported())


def test_a_server_file_is_assembled_too(tiny_server_content: bytes, tiny_card: Card, tiny_inputs: Inputs) -> None:
    checked = check(assemble(tiny_server_content, tiny_card, tiny_inputs))
    assert checked.signatures["predict"].inputs["numeric"].shape == (-1, 3)


def test_the_card_must_name_the_tensors_of_the_network(
    tiny_content: bytes, tiny_card: Card, tiny_inputs: Inputs
) -> None:
    outputs = (replace(tiny_card.outputs[0], name="risk"), tiny_card.outputs[1])
    card = replace(tiny_card, outputs=outputs, decision=None)
    with pytest.raises(ExportError, match=r"\['parts', 'risk'\] on the card"):
        assemble(tiny_content, card, tiny_inputs)


def test_the_card_must_have_the_shapes_of_the_network(
    tiny_content: bytes, tiny_card: Card, tiny_inputs: Inputs
) -> None:
    outputs = (replace(tiny_card.outputs[0], shape=(7,)), tiny_card.outputs[1])
    with pytest.raises(ExportError, match=r"score: float32 \[1\], not float32 \[7\]"):
        assemble(tiny_content, replace(tiny_card, outputs=outputs), tiny_inputs)


def test_an_assembled_file_is_not_assembled_again(tiny_file: bytes, tiny_card: Card, tiny_inputs: Inputs) -> None:
    assert assemble(tiny_file, tiny_card, {k: v[:8] for k, v in tiny_inputs.items()}) == tiny_file


def test_golden_inputs_must_fit(tiny_content: bytes, tiny_card: Card) -> None:
    with pytest.raises(ContractError, match="missing input 'codes'"):
        assemble(tiny_content, tiny_card, {"numeric": np.zeros((1, 3), np.float32)})


def test_what_is_no_model_is_refused(tiny_card: Card, tiny_inputs: Inputs) -> None:
    with pytest.raises(ExportError, match="Cannot assemble"):
        assemble(b"\xff" * 99, tiny_card, tiny_inputs)
