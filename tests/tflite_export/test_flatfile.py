"""Metadata entries: written, replaced, aligned, and defended against malformed files."""

from __future__ import annotations

import tracemalloc
from contextlib import nullcontext

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgekit.shared.errors import DeviceFileError, ExportError
from edgekit.tflite_export import flatfile
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.flatfile import (
    bounded,
    pack,
    read_entries,
    reading,
    root,
    share_buffers,
    unpack,
    with_entries,
)


def test_entries_come_back(tiny_content: bytes) -> None:
    entries = {"a": b"\x00\x01", "b": b"text" * 999}
    found = read_entries(with_entries(tiny_content, entries))
    assert {name: found[name] for name in entries} == entries


def test_what_the_converter_wrote_is_kept(tiny_content: bytes) -> None:
    assert "min_runtime_version" in read_entries(with_entries(tiny_content, {"a": b"x"}))


def test_an_entry_is_replaced(tiny_content: bytes) -> None:
    twice = with_entries(with_entries(tiny_content, {"a": b"old content"}), {"a": b"new"})
    assert read_entries(twice)["a"] == b"new"
    assert b"old content" not in twice


def test_an_empty_entry_is_empty(tiny_content: bytes) -> None:
    assert read_entries(with_entries(tiny_content, {"a": b""}))["a"] == b""


def test_bytes_do_not_depend_on_the_order_of_entries(tiny_content: bytes) -> None:
    one = with_entries(tiny_content, {"a": b"1", "b": b"2"})
    assert one == with_entries(tiny_content, {"b": b"2", "a": b"1"})


def test_answers_do_not_change(tiny_content: bytes, tiny_inputs: dict[str, np.ndarray]) -> None:
    before = Engine(tiny_content).predict(tiny_inputs)
    after = Engine(with_entries(tiny_content, {"a": b"odd"})).predict(tiny_inputs)
    np.testing.assert_array_equal(before["score"], after["score"])


def test_weights_stay_on_16_byte_boundaries(tiny_content: bytes) -> None:
    content = with_entries(tiny_content, {"a": b"odd"})
    model = root(content)
    buffers = [model.Buffers(index) for index in range(model.BuffersLength())]
    base = np.frombuffer(content, np.uint8).ctypes.data
    offsets = {buffer.DataAsNumpy().ctypes.data - base for buffer in buffers if buffer.DataLength()}
    assert {offset % 16 for offset in offsets} == {0}


def test_weights_outside_the_file_are_refused(tiny_content: bytes) -> None:
    model = unpack(tiny_content)
    model.buffers[1] = schema.BufferT(data=None, offset=4096, size=64)
    with pytest.raises(ExportError, match="outside the flatbuffer"):
        with_entries(pack(model), {"a": b"x"})


def aliased(content: bytes, entries: int, *, size: int) -> bytes:
    """Return a file whose many metadata entries all point to one buffer of ``size`` bytes."""
    model = unpack(with_entries(content, {"a": bytes(size)}))
    place = next(entry.buffer for entry in model.metadata if entry.name == b"a")
    model.metadata += [schema.MetadataT(f"b{number}", place) for number in range(entries)]
    return pack(model, size_hint=size)


def test_entries_that_share_one_buffer_do_not_fill_the_memory(tiny_content: bytes) -> None:
    content = aliased(tiny_content, 300, size=1_000_000)
    tracemalloc.start()
    with pytest.raises(DeviceFileError, match=r"\d+ bytes of metadata in the model file, expected at most 1\d{6}\."):
        read_entries(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(content) < 1_200_000 and peak < 5_000_000


@pytest.mark.parametrize(("share", "fits"), [(0.3, True), (0.4, False)])
def test_long_names_count_as_well(
    tiny_content: bytes, monkeypatch: pytest.MonkeyPatch, share: float, fits: bool
) -> None:
    content = with_entries(tiny_content, {"a": b""})  # three entries with those of the converter
    name = "n" * int(len(content) * share)
    monkeypatch.setattr(flatfile, "_entry", lambda *_: (name, b""))
    with nullcontext() if fits else pytest.raises(DeviceFileError, match="bytes of metadata"):
        assert list(read_entries(content)) == [name]


@pytest.mark.parametrize("content", [b"\xff" * 200, b"\x10\x00\x00\x00TFL3" + b"\xfe" * 99, b"12"])
def test_malformed_flatbuffers_are_refused(content: bytes) -> None:
    with pytest.raises(DeviceFileError, match=r"malformed|metadata entries"):
        read_entries(content)


def test_reading_keeps_a_clear_refusal() -> None:
    with pytest.raises(DeviceFileError, match=r"^as it was$"), reading("model"):
        raise DeviceFileError("as it was")


def test_a_crafted_count_is_refused() -> None:
    with pytest.raises(DeviceFileError, match="4097 signatures"):
        bounded(4097, "signatures")


# === Equal weights ===


def size(buffer: schema.BufferT) -> int:
    """Return the bytes of a buffer."""
    return 0 if buffer.data is None else len(buffer.data)


def doubled(content: bytes) -> bytes:
    """Return the model with a second copy of its largest weights, which one tensor then uses."""
    model = unpack(content)
    largest = max(range(len(model.buffers)), key=lambda place: size(model.buffers[place]))
    copy = schema.BufferT()
    copy.data = model.buffers[largest].data
    model.buffers.append(copy)
    (user,) = [tensor for tensor in model.subgraphs[0].tensors if tensor.buffer == largest]
    twin = schema.TensorT()
    vars(twin).update(vars(user), buffer=len(model.buffers) - 1, name=b"twin")
    model.subgraphs[0].tensors.append(twin)
    return pack(model, size_hint=2 * len(content))


def test_equal_weights_are_stored_once(tiny_content: bytes, tiny_inputs: dict[str, np.ndarray]) -> None:
    twice = doubled(tiny_content)
    once = share_buffers(twice)
    largest = max(map(size, unpack(tiny_content).buffers))
    assert len(twice) - len(once) >= largest
    buffers = [tensor.buffer for tensor in unpack(once).subgraphs[0].tensors if tensor.name == b"twin"]
    assert len(unpack(once).buffers[buffers[0]].data) == largest
    for name, values in Engine(tiny_content).predict(tiny_inputs).items():
        np.testing.assert_array_equal(Engine(once).predict(tiny_inputs)[name], values)


def test_sharing_keeps_entries(tiny_content: bytes) -> None:
    entries = {"a": b"x" * 5000, "b": b"x" * 5000}
    found = read_entries(share_buffers(with_entries(tiny_content, entries)))
    assert {name: found[name] for name in entries} == entries
