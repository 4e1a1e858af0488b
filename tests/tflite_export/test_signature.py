"""Signatures are read without an interpreter."""

from __future__ import annotations

import pytest

from edgekit.shared.errors import DeviceFileError
from edgekit.tflite_export.signature import Slot, read_signatures


def test_names_dtypes_and_shapes_of_a_device_file(tiny_content: bytes) -> None:
    predict = read_signatures(tiny_content)["predict"]
    assert predict.inputs == {"numeric": Slot("float32", (1, 3)), "codes": Slot("int32", (1, 2))}
    assert predict.outputs == {"score": Slot("float32", (1, 1)), "parts": Slot("float32", (1, 2))}


def test_a_free_batch_is_minus_one(tiny_server_content: bytes) -> None:
    predict = read_signatures(tiny_server_content)["predict"]
    assert predict.inputs["numeric"] == Slot("float32", (-1, 3))


def test_predict_is_what_callers_without_signatures_reach(tiny_content: bytes) -> None:
    assert read_signatures(tiny_content)["predict"].subgraph == 0


def test_garbage_is_refused() -> None:
    with pytest.raises(DeviceFileError, match="malformed"):
        read_signatures(b"\x20\x00\x00\x00TFL3" + b"\x7f" * 64)
