"""Signatures are read without an interpreter."""

from __future__ import annotations

import pytest

from edgekit.shared.errors import DeviceFileError
from edgekit.tflite_export.flatfile import pack, unpack
from edgekit.tflite_export.signature import Slot, read_signatures, with_views


def test_names_dtypes_and_shapes_of_a_device_file(tiny_content: bytes) -> None:
    predict = read_signatures(tiny_content)["predict"]
    assert predict.inputs == {"numeric": Slot("float32", (1, 3)), "codes": Slot("int32", (1, 2))}
    assert predict.outputs == {"score": Slot("float32", (1, 1)), "parts": Slot("float32", (1, 2))}


def test_a_free_batch_is_minus_one(tiny_server_content: bytes) -> None:
    predict = read_signatures(tiny_server_content)["predict"]
    assert predict.inputs["numeric"] == Slot("float32", (-1, 3))


def test_predict_is_what_callers_without_signatures_reach(tiny_content: bytes) -> None:
    assert read_signatures(tiny_content)["predict"].subgraph == 0


def test_a_view_is_another_way_into_the_graph_of_predict(viewed_content: bytes) -> None:
    found = read_signatures(viewed_content)
    assert list(found) == ["predict", "explain"]
    assert (found["explain"].subgraph, found["explain"].inputs) == (0, found["predict"].inputs)
    assert found["predict"].outputs == {"score": Slot("float32", (1, 1))}
    assert found["explain"].outputs == {"parts": Slot("float32", (1, 2))}


def test_a_view_costs_a_few_bytes(tiny_content: bytes, viewed_content: bytes) -> None:
    assert 0 < len(viewed_content) - len(tiny_content) < 400


def test_callers_without_signatures_still_reach_predict(viewed_content: bytes) -> None:
    assert unpack(viewed_content).signatureDefs[0].signatureKey == b"predict"


@pytest.mark.parametrize("key", ["predict", b"predict"])
def test_views_share_one_graph_under_either_form_of_a_name(tiny_content: bytes, key: str | bytes) -> None:
    model = unpack(tiny_content)
    model.signatureDefs[0].signatureKey = key
    found = read_signatures(pack(with_views(model, {"a": ("score",), "b": ("parts",)})))
    assert {name: list(entry.outputs) for name, entry in found.items()} == {
        "predict": [],
        "a": ["score"],
        "b": ["parts"],
    }


def test_garbage_is_refused() -> None:
    with pytest.raises(DeviceFileError, match="malformed"):
        read_signatures(b"\x20\x00\x00\x00TFL3" + b"\x7f" * 64)
