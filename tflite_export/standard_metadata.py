"""The ``TFLITE_METADATA`` entry that Android Studio, MediaPipe and other readers look for.

Written by hand as a ``ModelMetadata`` table (file identifier ``M001``), because the official writer
needs packages that a device or a current Python does not have. Slot numbers are those of the
published schema.

Source: TensorFlow Lite, ``metadata_schema.fbs``, version 1.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import flatbuffers

from .card import Card, Tensor
from .signature import Signature

ENTRY = "TFLITE_METADATA"
_IDENTIFIER = b"M001"
_MIN_PARSER = "1.0.1"  # the first parser that knows vocabulary files
LABELS_FILE = "labels.txt"


class FileKind(IntEnum):
    """``AssociatedFileType`` of the schema."""

    AXIS_LABELS = 2
    VOCABULARY = 5


@dataclass(frozen=True)
class AttachedFile:
    """A file in the zip tail and the tensor it explains."""

    name: str
    content: bytes
    kind: FileKind
    tensor: str


def attached_files(card: Card) -> tuple[AttachedFile, ...]:
    """Return labels and vocabularies of a card as files of one name per line."""
    files = []
    if card.labels:
        output = card.decision.output if card.decision else card.outputs[0].name
        files.append(AttachedFile(LABELS_FILE, _lines(card.labels), FileKind.AXIS_LABELS, output))
    for tensor in card.inputs:
        for number, column in enumerate(tensor.fields):
            if column.vocabulary:
                name = f"vocabulary_{_file_part(tensor.name)}_{number}_{_file_part(column.name)}.txt"
                files.append(AttachedFile(name, _lines(column.vocabulary), FileKind.VOCABULARY, tensor.name))
    return tuple({file.name: file for file in files}.values())


def model_metadata(card: Card, signature: Signature, files: Sequence[AttachedFile]) -> bytes:
    """Return the entry for ``card``; tensors are in the order of the ``predict`` signature."""
    builder = flatbuffers.Builder(4096)
    inputs = {tensor.name: tensor for tensor in card.inputs}
    outputs = {tensor.name: tensor for tensor in card.outputs}
    graph = _table(
        builder,
        {
            2: _vector(builder, [_tensor(builder, inputs[name], files) for name in signature.inputs]),
            3: _vector(builder, [_tensor(builder, outputs[name], files) for name in signature.outputs]),
        },
        slots=10,
    )
    fields = {
        0: builder.CreateString(f"edgekit {card.domain}"),
        1: builder.CreateString(card.summary),
        2: builder.CreateString(str(card.versions["edgekit"])),
        3: _vector(builder, [graph]),
        4: builder.CreateString("edgekit"),
        5: builder.CreateString(card.licence),
        7: builder.CreateString(_MIN_PARSER),
    }
    builder.Finish(_table(builder, fields, slots=8), _IDENTIFIER)
    return bytes(builder.Output())


def _tensor(builder: flatbuffers.Builder, tensor: Tensor, files: Sequence[AttachedFile]) -> int:
    mine = [_file(builder, file) for file in files if file.tensor == tensor.name]
    fields = {0: builder.CreateString(tensor.name), 1: builder.CreateString(tensor.meaning)}
    if mine:
        fields[6] = _vector(builder, mine)
    return _table(builder, fields, slots=7)


def _file(builder: flatbuffers.Builder, file: AttachedFile) -> int:
    name = builder.CreateString(file.name)
    builder.StartObject(5)
    builder.PrependUOffsetTRelativeSlot(0, name, 0)
    builder.PrependInt8Slot(2, int(file.kind), 0)
    return int(builder.EndObject())


def _table(builder: flatbuffers.Builder, offsets: dict[int, int], *, slots: int) -> int:
    builder.StartObject(slots)
    for slot in sorted(offsets):
        builder.PrependUOffsetTRelativeSlot(slot, offsets[slot], 0)
    return int(builder.EndObject())


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _lines(names: Sequence[str]) -> bytes:
    return ("\n".join(names) + "\n").encode()


def _file_part(name: str) -> str:
    return "".join(character if character.isalnum() else "_" for character in name)
