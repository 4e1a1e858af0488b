"""The card: the JSON inside a device file that says everything a device needs to know about it.

``FORMAT`` is bumped when a reader of the old number would misunderstand a new card: a key is
removed or renamed, changes its type, its unit or its meaning, or a new key must not be ignored. A
reader refuses any number above its own. Since a reader also refuses keys it does not know, a new
key bumps the number too. What only adds values inside ``metrics``, ``data``, ``versions`` or
``settings`` does not. When the number is bumped, the reader keeps reading every older number, and a
stored file of each is tested.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .. import __version__
from ..shared.errors import DeviceFileError, ExportError
from .card_reader import CardProblemsError, parse_card

FORMAT = 1
ENTRY = "edgekit.card"
MAX_BYTES = 64 << 20  # vocabularies of a million names fit; a crafted length does not exhaust a phone


@dataclass(frozen=True)
class Field:
    """One column of a tensor's last axis.

    Attributes:
        name: column name.
        unit: physical unit, empty when there is none.
        meaning: what the column says, in one sentence.
        vocabulary: for integer codes, the names in the order of their codes.
    """

    name: str
    unit: str = ""
    meaning: str = ""
    vocabulary: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tensor:
    """A named input or output.

    Attributes:
        name: name in the ``predict`` signature.
        dtype: ``float32``, ``int32`` or ``uint8``.
        shape: shape of one example, without the batch axis: ``(12,)``, ``(224, 224, 3)``, ``()``.
        meaning: what it holds.
        unit: physical unit, empty when there is none or the columns differ.
        missing: how a missing value is written, e.g. ``"NaN, imputed inside"``; empty when none is
            allowed.
        fields: the columns of the last axis, or none.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    meaning: str
    unit: str = ""
    missing: str = ""
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True)
class Decision:
    """How an output becomes a decision.

    Attributes:
        output: name of the output that is decided on.
        threshold: a value at or above it is a yes; ``None`` when the largest of the last axis is
            chosen.
        rule: how the threshold was chosen and on which data.
    """

    output: str
    threshold: float | None
    rule: str


@dataclass(frozen=True)
class Card:
    """Everything a device file says about itself; see the fields of the design's card contract.

    Attributes:
        domain: name of the domain.
        summary: one sentence.
        inputs: tensors of the ``predict`` signature.
        outputs: tensors of the ``predict`` signature.
        labels: class names in the order of the output's last axis, or none.
        decision: how an output becomes a decision, or ``None``.
        metrics: JSON, estimates with intervals.
        recipe: the export recipe's name.
        data: JSON, source and fingerprint of the training data.
        versions: JSON, ``edgekit`` and what else made the file.
        licence: licence of the model file.
        intended_use: who should decide what with it.
        limits: where it must not be used, one sentence each.
        settings: JSON, what the domain's device API needs.
        format: card format number.
    """

    domain: str
    summary: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    labels: tuple[str, ...] = ()
    decision: Decision | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = "float32"
    data: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=lambda: {"edgekit": __version__})
    licence: str = ""
    intended_use: str = ""
    limits: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT


def to_json(card: Card) -> str:
    """Return the card as canonical JSON: sorted keys, no NaN, the same card always the same text.

    Raises:
        ExportError: the card would not be readable again; the message lists every problem.
    """
    try:
        text = json.dumps(asdict(card), sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise ExportError(
            f"Found a card that JSON cannot hold ({error}). Expected text, whole and finite "
            "numbers, lists and dictionaries only. Convert arrays with .tolist() and replace NaN "
            "by null."
        ) from error
    try:
        from_json(text)
    except DeviceFileError as error:
        raise ExportError(f"Cannot write the card. {error}") from error
    return text


def from_json(text: str | bytes) -> Card:
    """Return the card in ``text``.

    Raises:
        DeviceFileError: it is not a card, of a newer format, or breaks the contract; the message
            lists every problem found.
    """
    raw = _decode(text)
    _refuse_newer(raw)
    try:
        values = parse_card(raw)
    except CardProblemsError as problems:
        listed = "\n  ".join(problems.problems)
        raise DeviceFileError(
            f"Found a card with {len(problems.problems)} problem(s), expected card format "
            f"{FORMAT}. Export the file again with edgekit {__version__}:\n  {listed}"
        ) from problems
    values["inputs"] = tuple(_tensor(entry) for entry in values["inputs"])
    values["outputs"] = tuple(_tensor(entry) for entry in values["outputs"])
    values["decision"] = Decision(**values["decision"]) if values["decision"] else None
    return Card(**values)


def _tensor(entry: dict[str, Any]) -> Tensor:
    return Tensor(**{**entry, "fields": tuple(Field(**column) for column in entry["fields"])})


def _decode(text: str | bytes) -> dict[str, Any]:
    if len(text) > MAX_BYTES:
        raise DeviceFileError(
            f"Found a card of {len(text)} bytes, expected at most {MAX_BYTES}. Export the file again."
        )
    try:
        raw = json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise DeviceFileError(
            f"Found a card that is not JSON ({error}), expected card format {FORMAT}. Export the file again."
        ) from error
    if not isinstance(raw, dict):
        raise DeviceFileError(
            f"Found a card that is a JSON {type(raw).__name__}, expected an object. Export the file again."
        )
    return raw


def _refuse_newer(raw: dict[str, Any]) -> None:
    number = raw.get("format")
    if type(number) is int and number > FORMAT:
        versions = raw.get("versions")
        writer = versions.get("edgekit", "of unknown version") if isinstance(versions, dict) else "of unknown version"
        raise DeviceFileError(
            f"Found card format {number}, written by edgekit {str(writer)[:40]}; this is edgekit "
            f"{__version__}, which reads formats up to {FORMAT}. Upgrade: pip install --upgrade "
            "edgekit"
        )


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is out of range")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found
