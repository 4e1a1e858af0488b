"""The official metadata entry, read by an independent few lines and by zipfile."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import pytest
from flatbuffers.table import Table
from flatbuffers.util import GetBufferIdentifier

from edgekit import __version__
from edgekit.tflite_export.card import Card, Field, Tensor
from edgekit.tflite_export.flatfile import read_entries
from edgekit.tflite_export.standard_metadata import attached_files


class Node:
    """A flatbuffer table read slot by slot, as the published schema numbers them."""

    def __init__(self, content: bytes, position: int) -> None:
        self.table = Table(content, position)

    def _at(self, slot: int) -> int:
        return int(self.table.Offset(4 + 2 * slot) + self.table.Pos)

    def text(self, slot: int) -> str:
        return bytes(self.table.String(self._at(slot))).decode()

    def byte(self, slot: int) -> int:
        return int(self.table.Bytes[self._at(slot)])

    def nodes(self, slot: int) -> list[Node]:
        offset = int(self.table.Offset(4 + 2 * slot))
        if offset == 0:
            return []
        start, count = self.table.Vector(offset), self.table.VectorLen(offset)
        places = [start + 4 * index for index in range(count)]
        return [Node(self.table.Bytes, self.table.Indirect(place)) for place in places]


@pytest.fixture(scope="module")
def metadata(tiny_file: bytes) -> Node:
    """Return the root of the entry inside the device file."""
    content = read_entries(tiny_file)["TFLITE_METADATA"]
    assert GetBufferIdentifier(content, 0) == b"M001"
    return Node(content, int.from_bytes(content[:4], "little"))


def test_model_fields(metadata: Node) -> None:
    found = [metadata.text(slot) for slot in (0, 1, 2, 4, 5, 7)]
    assert found == ["edgekit tiny", "A network for tests.", __version__, "edgekit", "MIT", "1.0.1"]


def test_tensors_stand_in_the_order_of_the_signature(metadata: Node) -> None:
    (graph,) = metadata.nodes(3)
    assert sorted(node.text(0) for node in graph.nodes(2)) == ["codes", "numeric"]
    assert {node.text(0): node.text(1) for node in graph.nodes(3)} == {
        "score": "probability",
        "parts": "two numbers",
    }


def test_files_hang_on_their_tensors(metadata: Node) -> None:
    (graph,) = metadata.nodes(3)
    files = {
        node.text(0): [(file.text(0), file.byte(2)) for file in node.nodes(6)]
        for node in graph.nodes(2) + graph.nodes(3)
    }
    assert files == {
        "numeric": [],
        "codes": [("vocabulary_codes_0_country.txt", 5)],
        "score": [("labels.txt", 2)],
        "parts": [],
    }


def test_files_are_in_the_zip_tail(tiny_file: bytes) -> None:
    archive = zipfile.ZipFile(io.BytesIO(tiny_file))
    assert archive.read("labels.txt") == b"fraud\n"
    assert archive.read("vocabulary_codes_0_country.txt") == b"unknown\nDE\nFR\n"


@pytest.mark.parametrize("other", ["a-b", "a b", "A B", "a/b"])
def test_columns_of_like_names_keep_their_own_vocabulary(tiny_card: Card, other: str) -> None:
    fields = (Field("a b", vocabulary=("x",)), Field("plain"), Field(other, vocabulary=("y", "z")))
    inputs = (Tensor("codes", "int32", (3,), "codes", fields=fields),)
    first, second = attached_files(replace(tiny_card, labels=(), inputs=inputs))
    assert first.name.startswith("vocabulary_codes_0_") and second.name.startswith("vocabulary_codes_2_")
    assert (first.content, second.content) == (b"x\n", b"y\nz\n")


def test_a_card_without_names_attaches_nothing(tiny_card: Card) -> None:
    assert attached_files(replace(tiny_card, labels=(), inputs=tiny_card.inputs[:1])) == ()
