"""Metadata entries of a ``.tflite``: named byte strings inside the flatbuffer.

They survive copying, renaming and quantisation, which is why card, golden vectors and seal live
here and not beside the file. Reading touches single offsets and never unpacks the weights; writing
rebuilds the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..shared.errors import DeviceFileError, ExportError

IDENTIFIER = b"TFL3"
MAX_ENTRIES = 4096  # a crafted length must not become a long loop; real files have fewer than ten
_WORTH_SHARING = 1024  # bytes
_ALIGNMENT = 16  # `force_align: 16` of Buffer.data in the TFLite schema; kernels read weights in place


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn whatever a malformed flatbuffer makes the accessors raise into one clear refusal.

    Raises:
        DeviceFileError: anything inside failed; the message names ``what`` was being read.
    """
    try:
        yield
    except DeviceFileError:
        raise
    except (
        struct.error, ValueError, TypeError, LookupError, AttributeError, ArithmeticError,
        MemoryError, RecursionError,
    ) as error:  # fmt: skip
        raise DeviceFileError(
            f"Found a malformed {what} in the model file ({type(error).__name__}: {error}). "
            "Expected a whole .tflite flatbuffer. Copy the file again from where it was exported."
        ) from error


def share_buffers(content: bytes) -> bytes:
    """Return the model with weights that are equal byte for byte stored once."""
    model = unpack(content)
    first: dict[bytes, int] = {}
    for index, buffer in enumerate(model.buffers):
        if buffer.data is not None and len(buffer.data) >= _WORTH_SHARING:
            first.setdefault(bytes(buffer.data), index)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            data = model.buffers[tensor.buffer].data
            if data is not None and len(data) >= _WORTH_SHARING:
                tensor.buffer = first[bytes(data)]
    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    used |= {entry.buffer for entry in model.metadata or ()}
    for index, buffer in enumerate(model.buffers):
        if index not in used:
            buffer.data = None
    return pack(model, size_hint=len(content))


def root(content: bytes) -> Any:
    """Return the flatbuffer's root table; nothing is unpacked."""
    return schema.Model.GetRootAs(content, 0)


def read_entries(content: bytes) -> dict[str, bytes]:
    """Return every metadata entry by name.

    Raises:
        DeviceFileError: the flatbuffer is malformed, or its entries hold more bytes than the whole file.
    """
    entries, total = dict[str, bytes](), 0
    with reading("metadata table"):
        model = root(content)
        for index in range(bounded(model.MetadataLength(), "metadata entries")):
            name, data = _entry(model, index)
            # Entries that point to the same bytes would fill the memory: real ones never do.
            total = bounded(total + len(name) + len(data), "bytes of metadata", len(content))
            entries[name] = data
    return entries


def bounded(count: int, what: str, limit: int = MAX_ENTRIES) -> int:
    """Return ``count`` if it is plausible.

    Raises:
        DeviceFileError: there are more than ``limit`` of ``what``.
    """
    if count > limit:
        raise DeviceFileError(
            f"Found {count} {what} in the model file, expected at most {limit}. The file is "
            "damaged or hostile; export it again."
        )
    return count


def with_entries(content: bytes, entries: Mapping[str, bytes]) -> bytes:
    """Return the flatbuffer with ``entries`` added; an entry of the same name is replaced.

    What follows the flatbuffer (a zip tail) is not kept: append it last.

    Raises:
        ExportError: weights are stored outside the flatbuffer, where rebuilding would lose them.
    """
    model = unpack(content)
    model.metadata = model.metadata or []
    places = {_text(entry.name): entry.buffer for entry in model.metadata}
    for name in sorted(entries):
        buffer = schema.BufferT(data=np.frombuffer(entries[name], np.uint8))
        if name in places:  # in its old place, or the old content would stay in the file
            model.buffers[places[name]] = buffer
        else:
            model.buffers.append(buffer)
            model.metadata.append(schema.MetadataT(name, len(model.buffers) - 1))
    return pack(model, size_hint=len(content) + sum(map(len, entries.values())))


def with_weights_inside(content: bytes) -> bytes:
    """Return the flatbuffer with all weights inside: quantizers append those of larger models behind it.

    What follows the flatbuffer otherwise (a zip tail) is not kept.
    """
    with reading("model"):
        model = schema.ModelT.InitFromObj(root(content))
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(content, np.uint8, count=buffer.size, offset=buffer.offset)
            buffer.offset = buffer.size = 0
    return pack(model, size_hint=len(content))


def unpack(content: bytes) -> Any:
    """Return the flatbuffer as the schema's mutable ``ModelT``.

    Raises:
        ExportError: weights are stored outside the flatbuffer.
    """
    with reading("model"):
        model = schema.ModelT.InitFromObj(root(content))
    outside = [index for index, buffer in enumerate(model.buffers) if buffer.offset > 1]
    if outside:
        raise ExportError(
            f"Found {len(outside)} weight buffers stored outside the flatbuffer (models above 2 "
            "GB). Expected all weights inside. Export a smaller model."
        )
    return model


def pack(model: Any, *, size_hint: int = 0) -> bytes:
    """Return the bytes of a ``ModelT``: the same object always gives the same bytes."""
    model.buffers = [_AlignedBuffer(b.data, b.offset, b.size) for b in model.buffers]
    builder = flatbuffers.Builder(size_hint + 65536)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A weight buffer packed on the schema's 16-byte boundary, ignored by the generated code."""

    def Pack(self, builder: Any) -> int:  # noqa: N802  the generated packer calls it by this name
        data = None if self.data is None else self._vector(builder)
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        schema.BufferAddOffset(builder, self.offset)
        schema.BufferAddSize(builder, self.size)
        return int(schema.BufferEnd(builder))

    def _vector(self, builder: Any) -> int:
        raw = np.asarray(self.data, np.uint8).tobytes()
        builder.StartVector(1, len(raw), _ALIGNMENT)
        builder.head -= len(raw)
        builder.Bytes[builder.head : builder.head + len(raw)] = raw
        return int(builder.EndVector())


def _entry(model: Any, index: int) -> tuple[str, bytes]:
    entry = model.Metadata(index)
    data = model.Buffers(entry.Buffer()).DataAsNumpy()
    raw = data.tobytes() if isinstance(data, np.ndarray) else b""  # an empty vector reads as 0
    return _text(entry.Name()), raw


def _text(name: bytes | str | None) -> str:
    return name.decode() if isinstance(name, bytes) else name or ""
