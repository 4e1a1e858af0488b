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
from edgekit.tflite_export.golden import Golden, Verification, decode, encode, replay

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


def ranking(items: list[list[int]], scores: list[list[float]]) -> dict[str, np.ndarray]:
    return {"items": np.array(items, np.int32), "scores": np.array(scores, np.float32)}


LEFT_OUT = -1e9
RANKED = ranking([[5, 3, 8, 2], [1, 4, 6, 7]], [[4.0, 3.0, 2.9995, 1.0], [2.0, 1.0, 0.5, 0.25]])
SHORT = ranking([[5, 3, 8, 2], [1, 4, 6, 7]], [[4.0, 3.0, 2.9995, LEFT_OUT], [2.0, 1.0, LEFT_OUT, LEFT_OUT]])


def replayed(card: Card, recorded: dict[str, np.ndarray], answers: dict[str, np.ndarray]) -> Verification:
    return replay(FakeModel(replace(card, decision=None), Golden(INPUTS, recorded, 1e-3), answers))


@pytest.mark.parametrize("recorded", [RANKED, SHORT], ids=["full", "short"])
@pytest.mark.parametrize(
    ("row", "passed", "flips"),
    [
        ([5, 3, 8, 2], True, 0),
        ([5, 8, 3, 2], True, 0),  # 3 and 8 are too close to tell apart
        ([3, 5, 8, 2], False, 1),
        ([5, 9, 8, 2], False, 0),
        ([5, 3, 3, 2], False, 0),
    ],
)
def test_only_near_ties_of_a_ranking_may_change_places(
    tiny_card: Card, recorded: dict[str, np.ndarray], row: list[int], passed: bool, flips: int
) -> None:
    answers = {**recorded, "items": np.array([row, [1, 4, 6, 7]], np.int32)}
    verification = replayed(tiny_card, recorded, answers)
    assert (verification.passed, verification.decision_flips, verification.max_abs_error) == (passed, flips, 0.0)


@pytest.mark.parametrize("recorded", [RANKED, SHORT], ids=["full", "short"])
@pytest.mark.parametrize(("error", "passed"), [(2e-3, True), (0.5, False), (100.0, False)])
def test_the_scores_of_a_ranking_hold_the_tolerance_though_nothing_is_left_for_some_places(
    tiny_card: Card, recorded: dict[str, np.ndarray], error: float, passed: bool
) -> None:
    scores = recorded["scores"].copy()
    scores[0, 0] += np.float32(error)
    assert replayed(tiny_card, recorded, {**recorded, "scores": scores}).passed is passed


def test_the_places_of_codes_whose_scores_do_not_fall_are_fixed(tiny_card: Card) -> None:
    recorded = ranking([[5, 3], [1, 4]], [[1.0, 1.0005], [1.0, 1.0005]])
    assert replayed(tiny_card, recorded, recorded).passed
    assert not replayed(tiny_card, recorded, {**recorded, "items": np.array([[3, 5], [1, 4]], np.int32)}).passed


def test_codes_are_a_ranking_by_scores_of_their_own_form_only(tiny_card: Card) -> None:
    recorded = {"items": np.array([[5, 3], [1, 4]], np.int32), "other": np.array([[1.0, 1, 1]] * 2, np.float32)}
    assert not replayed(tiny_card, recorded, {**recorded, "items": np.array([[3, 5], [1, 4]], np.int32)}).passed


def test_integer_outputs_must_be_equal(tiny_card: Card) -> None:
    golden = Golden(INPUTS, {"rank": np.array([[3], [4]], np.int32)}, 0.5)
    card = replace(tiny_card, decision=None)
    verification = replay(FakeModel(card, golden, {"rank": np.array([[3], [5]], np.int32)}))
    assert (verification.decision_flips, verification.passed) == (1, False)
