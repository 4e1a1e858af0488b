"""Golden vectors: stored exactly, parsed defensively, replayed honestly."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, replace

import numpy as np
import pytest

from edgekit.shared.domain import Arrays
from edgekit.shared.errors import DeviceFileError, ExportError
from edgekit.tflite_export.card import Card
from edgekit.tflite_export.golden import Golden, decode, encode, replay

INPUTS = {"x": np.array([[1.5], [np.nan]], np.float32), "c": np.array([[1], [2]], np.int32)}
OUTPUTS = {"score": np.array([[0.4], [0.6]], np.float32)}
GOLDEN = Golden(INPUTS, OUTPUTS, 1e-3)


@dataclass(frozen=True)
class FakeModel:
    """A model whose answers are set by the test."""

    card: Card
    golden: Golden
    answers: dict[str, np.ndarray]

    def predict(self, inputs: Arrays) -> dict[str, np.ndarray]:
        return self.answers


def test_values_come_back_exactly() -> None:
    found = decode(encode(GOLDEN))
    np.testing.assert_array_equal(found.inputs["x"], INPUTS["x"])
    np.testing.assert_array_equal(found.inputs["c"], INPUTS["c"])
    np.testing.assert_array_equal(found.outputs["score"], OUTPUTS["score"])
    assert (len(found), found.tolerance) == (2, 1e-3)


def test_bytes_do_not_depend_on_order_or_layout() -> None:
    turned = {"c": INPUTS["c"], "x": np.asfortranarray(INPUTS["x"])}
    assert encode(GOLDEN) == encode(replace(GOLDEN, inputs=turned))


@pytest.mark.parametrize(
    "golden",
    [
        Golden({"x": np.zeros((2, 1))}, OUTPUTS, 1e-3),
        Golden({"x": np.zeros((3, 1), np.float32)}, OUTPUTS, 1e-3),
        Golden({}, OUTPUTS, 1e-3),
        Golden({"x": np.zeros((0, 1), np.float32)}, {"y": np.zeros((0, 1), np.float32)}, 1e-3),
        Golden({"x": np.zeros((2, 3_000_000), np.float32)}, OUTPUTS, 1e-3),
    ],
    ids=["float64", "different counts", "no inputs", "no examples", "too large"],
)
def test_what_could_not_be_read_is_not_written(golden: Golden) -> None:
    with pytest.raises(ExportError, match="Cannot record"):
        encode(golden)


@pytest.mark.parametrize("length", [0, 3, 4, 7, 8, 30, len(encode(GOLDEN)) - 1])
def test_cut_bytes_are_refused(length: int) -> None:
    with pytest.raises(DeviceFileError, match="unreadable golden vectors"):
        decode(encode(GOLDEN)[:length])


def _with_header(header: object, values: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return b"EKG1" + struct.pack("<I", len(text)) + text + values


HUGE = [["x", "float32", [1 << 40, 1 << 40]]]


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04\x95" + b"." * 40,
        encode(GOLDEN) + b"\0",
        b"EKG1\xff\xff\xff\xff",
        b"EKG1" + struct.pack("<I", 90_000) + b"[" * 90_000,
        _with_header([]),
        _with_header({"tolerance": 0.1, "inputs": HUGE, "outputs": HUGE}),
        _with_header({"tolerance": 0.1, "inputs": [["x", "float32", [-1]]], "outputs": []}),
        _with_header({"tolerance": 0.1, "inputs": [["x", "object", [1]]], "outputs": []}),
        _with_header({"tolerance": 0.1, "inputs": [["x", ["float32"], [1]]], "outputs": []}),
        _with_header({"tolerance": 0.1, "inputs": [[1, "float32", [1]]], "outputs": []}),
        _with_header({"tolerance": 0.1, "inputs": [["x", "uint8", []]], "outputs": []}, b"a"),
        _with_header({"tolerance": 0.1, "inputs": 5, "outputs": []}),
        _with_header({"tolerance": 1e9, "inputs": [], "outputs": []}),
        _with_header({"tolerance": "0.1", "inputs": [], "outputs": []}),
    ],
)
def test_hostile_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(DeviceFileError, match="unreadable golden vectors"):
        decode(content)


def test_replay_of_the_same_answers_passes(tiny_card: Card) -> None:
    verification = replay(FakeModel(tiny_card, GOLDEN, OUTPUTS))
    assert verification.passed
    assert (verification.n, verification.max_abs_error, verification.decision_flips) == (2, 0.0, 0)


@pytest.mark.parametrize(("error", "passed"), [(9e-4, True), (2e-3, False), (np.nan, False)])
def test_replay_holds_the_tolerance(tiny_card: Card, error: float, passed: bool) -> None:
    answers = {"score": OUTPUTS["score"] + np.float32(error)}
    assert replay(FakeModel(tiny_card, GOLDEN, answers)).passed is passed


def test_tolerance_grows_with_large_outputs(tiny_card: Card) -> None:
    golden = replace(GOLDEN, outputs={"score": OUTPUTS["score"] * 1000})
    answers = {"score": golden.outputs["score"] + np.float32(0.5)}
    assert replay(FakeModel(tiny_card, golden, answers)).passed


def test_a_flip_is_counted(tiny_card: Card) -> None:
    verification = replay(FakeModel(tiny_card, GOLDEN, {"score": OUTPUTS["score"][::-1]}))
    assert (verification.decision_flips, verification.passed) == (2, False)


def test_integer_outputs_must_be_equal(tiny_card: Card) -> None:
    golden = Golden(INPUTS, {"rank": np.array([[3], [4]], np.int32)}, 0.5)
    card = replace(tiny_card, decision=None)
    verification = replay(FakeModel(card, golden, {"rank": np.array([[3], [5]], np.int32)}))
    assert (verification.decision_flips, verification.passed) == (1, False)
