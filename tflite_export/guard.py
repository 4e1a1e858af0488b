"""The door of a device: everything that is checked before a file may run.

An interpreter loads a file with changed weights without complaint and returns wrong numbers. So
integrity comes first (manifest, seal), then meaning (card), then what the file would do (operators,
signature).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..shared.errors import DeviceFileError
from . import card as cards
from . import golden as goldens
from . import seal
from .card import Card, Tensor
from .card_reader import PORTABLE_DTYPES
from .flatfile import IDENTIFIER, read_entries
from .golden import Golden
from .ops import Op, require_builtin
from .signature import PREDICT, Signature, Slot, read_signatures

MANIFEST = "manifest.json"
_LEAST_BYTES = 64
_MAX_MANIFEST = 16 << 20
_EXPORT_AGAIN = "Export it again with edgekit, or copy it again from where it was exported."


@dataclass(frozen=True)
class Checked:
    """A file that passed: its bytes and what they say."""

    content: bytes = field(repr=False)
    card: Card
    golden: Golden
    ops: tuple[Op, ...]
    signatures: Mapping[str, Signature]


def check_file(path: Path) -> Checked:
    """Read and check a file; a ``manifest.json`` in its folder is consulted when it lists the file.

    Raises:
        DeviceFileError: the file is refused; the message starts with its path.
    """
    try:
        return check(read(path), expected_sha256=manifest_sha256(path))
    except DeviceFileError as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise DeviceFileError(f"{path}: {error}") from error


def read(path: Path) -> bytes:
    """Return the bytes of a model file.

    Raises:
        DeviceFileError: there is no file, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except IsADirectoryError as error:
        raise DeviceFileError(f"{path}: Found a folder, expected a .tflite file. Name the file inside it.") from error
    except FileNotFoundError as error:
        raise DeviceFileError(f"{path}: Found no such file, expected a .tflite. Check the path.") from error
    except (OSError, ValueError) as error:
        raise DeviceFileError(f"{path}: Cannot be read ({error}). Check the path and its permissions.") from error


def check(content: bytes, *, expected_sha256: str | None = None) -> Checked:
    """Accept a file that is whole, made by edgekit, readable by this version and portable.

    Args:
        content: the whole file.
        expected_sha256: digest from a manifest, 64 hexadecimal digits, or ``None``.

    Raises:
        DeviceFileError: the first thing that is wrong: what was found, what was expected, how to
            fix it.
    """
    _check_kind(content)
    if expected_sha256 is not None:
        _check_manifest(content, expected_sha256)
    if not seal.is_sealed(content):
        raise DeviceFileError(
            "Found a .tflite without an edgekit card: written by another tool, or cut off. "
            f"Expected a file that `edgekit run` wrote. {_EXPORT_AGAIN}"
        )
    seal.check(content)
    entries = read_entries(content)
    card = cards.from_json(_entry(entries, cards.ENTRY))
    golden = goldens.decode(_entry(entries, goldens.ENTRY))
    ops = require_builtin(content)
    signatures = read_signatures(content)
    _check_signatures(signatures, card)
    _check_golden(golden, card)
    return Checked(content, card, golden, ops, signatures)


def manifest_sha256(path: Path) -> str | None:
    """Return the digest that the manifest beside ``path`` records for it, or ``None``.

    Raises:
        DeviceFileError: the manifest is there and cannot be understood.
    """
    manifest = path.parent / MANIFEST
    try:
        with manifest.open("rb") as handle:
            raw = handle.read(_MAX_MANIFEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DeviceFileError(f"{manifest}: Cannot be read ({error}). Restore it or delete it.") from error
    try:
        manifest_facts = json.loads(raw)
        if isinstance(manifest_facts, dict) and "files" not in manifest_facts:
            return None  # another program's: web apps have a manifest.json too
        files = manifest_facts["files"]
        digest = files.get(path.name)
        valid = digest is None or (len(digest) == 64 and int(digest, 16) >= 0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        valid, digest = False, None
    if not valid:
        raise DeviceFileError(
            f"{manifest}: Found a damaged manifest, expected JSON with the SHA-256 of each file "
            "under 'files'. Restore it from the run, or delete it to rely on the seal inside the "
            "file."
        )
    return digest if digest is None else str(digest).lower()


def _check_kind(content: bytes) -> None:
    if not content:
        raise DeviceFileError(f"Found an empty file, expected a .tflite. {_EXPORT_AGAIN}")
    if content[4:8] == IDENTIFIER and len(content) >= _LEAST_BYTES:
        return
    if content[4:8] == IDENTIFIER:
        raise DeviceFileError(
            f"Found a .tflite cut off after {len(content)} bytes, expected a whole file. {_EXPORT_AGAIN}"
        )
    kind = "text" if _is_text(content[:256]) else "bytes"
    raise DeviceFileError(
        f"Found {kind} starting with {content[:12]!r}, expected a .tflite, which has "
        f"{IDENTIFIER!r} at byte 4. Name the model file itself, not a download page, an archive "
        "or a .keras file."
    )


def _is_text(start: bytes) -> bool:
    return all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in start)


def _check_manifest(content: bytes, expected: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise DeviceFileError(
            f"Found SHA-256 {found[:16]}…, expected {expected[:16]}… as in {MANIFEST}. The file "
            "is not the one that the run wrote. Copy both again, or run again."
        )


def _entry(entries: Mapping[str, bytes], name: str) -> bytes:
    if name not in entries:
        raise DeviceFileError(
            f"Found no metadata entry {name!r} among {sorted(entries)}, expected a file that "
            f"edgekit assembled. {_EXPORT_AGAIN}"
        )
    return entries[name]


def _check_signatures(signatures: Mapping[str, Signature], card: Card) -> None:
    if PREDICT not in signatures:
        raise DeviceFileError(
            f"Found signatures {sorted(signatures)}, expected one called {PREDICT!r}. {_EXPORT_AGAIN}"
        )
    for signature in signatures.values():
        _check_portable(signature)
    _check_side("input", signatures[PREDICT].inputs, card.inputs)
    _check_side("output", signatures[PREDICT].outputs, card.outputs)


def _check_portable(signature: Signature) -> None:
    slots = {**signature.inputs, **signature.outputs}
    strange = {name: slot.dtype for name, slot in slots.items() if slot.dtype not in PORTABLE_DTYPES}
    if strange:
        raise DeviceFileError(
            f"Found {signature.name!r} with tensors of dtype {strange}, expected "
            f"{', '.join(PORTABLE_DTYPES)} only. Cast inside the model and export again."
        )


def _check_side(side: str, slots: Mapping[str, Slot], tensors: tuple[Tensor, ...]) -> None:
    found = {name: (slot.dtype, slot.shape[1:]) for name, slot in slots.items()}
    expected = {tensor.name: (tensor.dtype, tensor.shape) for tensor in tensors}
    if found != expected:
        differing = sorted(n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n))
        listed = "; ".join(f"{n}: {_slot(found.get(n))}, not {_slot(expected.get(n))}" for n in differing)
        raise DeviceFileError(
            f"Found {side}s that differ from what the card promises: {listed}. Expected card and "
            "network of the same export. Export the file again."
        )


def _check_golden(golden: Golden, card: Card) -> None:
    for arrays, tensors in ((golden.inputs, card.inputs), (golden.outputs, card.outputs)):
        found = {name: (str(array.dtype), array.shape[1:]) for name, array in arrays.items()}
        if found != {tensor.name: (tensor.dtype, tensor.shape) for tensor in tensors}:
            raise DeviceFileError(
                f"Found golden vectors {found} that differ from the card's tensors. Expected both "
                "of the same export. Export the file again."
            )


def _slot(slot: tuple[str, tuple[int, ...]] | None) -> str:
    return "absent" if slot is None else f"{slot[0]} {list(slot[1])}"
