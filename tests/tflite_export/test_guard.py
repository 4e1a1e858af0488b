"""The door: whatever is not the exported file is refused in clear words; nothing crashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgekit.shared.errors import DeviceFileError
from edgekit.tflite_export import card as cards
from edgekit.tflite_export import golden as goldens
from edgekit.tflite_export import seal
from edgekit.tflite_export.card import Card
from edgekit.tflite_export.flatfile import pack, read_entries, unpack, with_entries
from edgekit.tflite_export.guard import check, check_file, manifest_sha256
from edgekit.tflite_export.tail import append_files, read_files


def resealed(content: bytes, change: Callable[[Any], None]) -> bytes:
    """Return a file that was changed and sealed again, as someone with bad intent would."""
    model = unpack(content)
    change(model)
    blank = with_entries(pack(model), {seal.ENTRY: seal.BLANK})
    return seal.seal(append_files(blank, read_files(content)))


def with_entry(content: bytes, name: str, value: bytes) -> bytes:
    """Return a file with one metadata entry exchanged, sealed again."""
    return seal.seal(with_entries(content, {name: value, seal.ENTRY: seal.BLANK}))


@pytest.fixture
def tiny_path(tmp_path: Path, tiny_file: bytes) -> Path:
    """Return the device file on disk, without a manifest."""
    path = tmp_path / "tiny.tflite"
    path.write_bytes(tiny_file)
    return path


def test_the_exported_file_passes(tiny_path: Path, tiny_card: Card) -> None:
    checked = check_file(tiny_path)
    assert checked.card == tiny_card
    assert sorted(checked.signatures) == ["predict"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceFileError, match=r"^\S*none\.tflite: Found no such file"):
        check_file(tmp_path / "none.tflite")


def test_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceFileError, match="Found a folder"):
        check_file(tmp_path)


@pytest.mark.parametrize("name", ["a" * 5000, "nul\0nul"])
def test_an_impossible_path_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DeviceFileError, match="Cannot be read"):
        check_file(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "an empty file"),
        (b"<html>404 Not Found</html>", "Found text starting with b'<html>"),
        (b"PK\x03\x04\x14\x00\x00\x00\x08\x00" * 20, "Found bytes starting with b'PK"),
        (b"\x1c\x00\x00\x00TFL3", "cut off after 8 bytes"),
        (b"\0" * 4096, "Found bytes"),
    ],
    ids=["empty", "text", "zip", "truncated", "zeros"],
)
def test_what_is_no_model_has_its_own_words(tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(content)
    with pytest.raises(DeviceFileError, match=match) as caught:
        check_file(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_every_truncation_is_refused(tiny_file: bytes) -> None:
    refused = [_refused(tiny_file[:length]) for length in range(0, len(tiny_file), 1024)]
    assert all(refused)
    assert len(refused) > 10


@pytest.mark.parametrize("kind", ["bit", "block", "header", "tail", "swap"])
def test_every_random_corruption_is_refused(tiny_file: bytes, kind: str) -> None:
    rng = np.random.default_rng(11)
    assert all(_refused(_corrupted(tiny_file, kind, rng)) for _ in range(100))


def _refused(content: bytes) -> bool:
    with pytest.raises(DeviceFileError):
        check(content)
    return True


def _corrupted(content: bytes, kind: str, rng: np.random.Generator) -> bytes:
    values = np.frombuffer(content, np.uint8).copy()
    if kind == "swap":
        return content[: len(content) // 2] + content[len(content) // 2 :][::-1]
    low, high = {"header": (0, 64), "tail": (len(values) - 200, len(values))}.get(kind, (0, len(values) - 16))
    start = int(rng.integers(low, high - 1))
    width = 16 if kind == "block" else 1
    values[start : start + width] ^= rng.integers(1, 256, values[start : start + width].size).astype(np.uint8)
    return values.tobytes()


def test_a_file_of_another_tool_is_refused(tiny_content: bytes) -> None:
    with pytest.raises(DeviceFileError, match="without an edgekit card"):
        check(tiny_content)


@pytest.mark.parametrize("name", [cards.ENTRY, goldens.ENTRY])
def test_a_sealed_file_without_an_entry_is_refused(tiny_file: bytes, name: str) -> None:
    def drop(model: Any) -> None:
        model.metadata = [entry for entry in model.metadata if entry.name != name.encode()]

    with pytest.raises(DeviceFileError, match=f"no metadata entry '{name}'"):
        check(resealed(tiny_file, drop))


def test_a_newer_card_is_refused(tiny_file: bytes) -> None:
    raw = json.loads(read_entries(tiny_file)[cards.ENTRY])
    newer = json.dumps({**raw, "format": 2, "versions": {"edgekit": "9.0"}}).encode()
    with pytest.raises(DeviceFileError, match=r"written by edgekit 9.0"):
        check(with_entry(tiny_file, cards.ENTRY, newer))


def test_a_flex_operator_is_refused(tiny_file: bytes) -> None:
    def flex(model: Any) -> None:
        code = model.operatorCodes[0]
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = "FlexLowerBound"

    with pytest.raises(DeviceFileError, match="FlexLowerBound ×1"):
        check(resealed(tiny_file, flex))


def test_a_missing_predict_signature_is_refused(tiny_file: bytes) -> None:
    def rename(model: Any) -> None:
        model.signatureDefs[0].signatureKey = "serving_default"

    with pytest.raises(DeviceFileError, match=r"signatures \['serving_default'\]"):
        check(resealed(tiny_file, rename))


def test_an_unportable_dtype_is_refused(tiny_file: bytes) -> None:
    def widen(model: Any) -> None:
        index = next(s.tensorIndex for s in model.signatureDefs[0].inputs if s.name == b"codes")
        model.subgraphs[0].tensors[index].type = schema.TensorType.INT64

    with pytest.raises(DeviceFileError, match="'codes': 'int64'"):
        check(resealed(tiny_file, widen))


def test_a_card_of_another_network_is_refused(tiny_file: bytes, tiny_card: Card) -> None:
    inputs = (replace(tiny_card.inputs[0], shape=(4,)), tiny_card.inputs[1])
    other = cards.to_json(replace(tiny_card, inputs=inputs)).encode()
    with pytest.raises(DeviceFileError, match=r"numeric: float32 \[3\], not float32 \[4\]"):
        check(with_entry(tiny_file, cards.ENTRY, other))


def test_golden_vectors_of_another_network_are_refused(tiny_file: bytes) -> None:
    array = np.zeros((1, 9), np.float32)
    other = goldens.encode(goldens.Golden({"x": array}, {"y": array}, 0.1))
    with pytest.raises(DeviceFileError, match="golden vectors"):
        check(with_entry(tiny_file, goldens.ENTRY, other))


def _write_manifest(path: Path, text: str) -> None:
    (path.parent / "manifest.json").write_text(text)


def test_the_manifest_is_consulted(tiny_path: Path, tiny_file: bytes) -> None:
    digest = hashlib.sha256(tiny_file).hexdigest()
    _write_manifest(tiny_path, json.dumps({"files": {"tiny.tflite": digest.upper()}}))
    assert check_file(tiny_path).content == tiny_file


def test_a_file_the_manifest_does_not_list_passes(tiny_path: Path) -> None:
    _write_manifest(tiny_path, json.dumps({"files": {"other.tflite": "0" * 64}}))
    check_file(tiny_path)


def test_a_mismatch_with_the_manifest_is_refused(tiny_path: Path) -> None:
    _write_manifest(tiny_path, json.dumps({"files": {"tiny.tflite": "0" * 64}}))
    with pytest.raises(DeviceFileError, match=r"expected 0000000000000000… as in manifest\.json"):
        check_file(tiny_path)


@pytest.mark.parametrize("text", ["{}", '{"name": "My app", "icons": []}', '{"format": 1}'])
def test_the_manifest_of_another_program_is_none(tiny_path: Path, tiny_file: bytes, text: str) -> None:
    _write_manifest(tiny_path, text)
    assert manifest_sha256(tiny_path) is None
    assert check_file(tiny_path).content == tiny_file


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"files": []}', '{"files": {"tiny.tflite": 5}}', "[" * 99_999]
    + ['{"files": {"tiny.tflite": "zz"}}', '{"files": {"tiny.tflite": "' + "g" * 64 + '"}}'],
)
def test_a_damaged_manifest_is_refused(tiny_path: Path, text: str) -> None:
    _write_manifest(tiny_path, text)
    with pytest.raises(DeviceFileError, match="damaged manifest"):
        check_file(tiny_path)
