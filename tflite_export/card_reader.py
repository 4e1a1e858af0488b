"""Strict reading of a card's JSON: every type, size, missing and unknown key, all problems at once.

The text comes from a file that anyone may have made. Nothing here trusts a length, a type or a
name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

LARGEST_THRESHOLD = 3e38  # outputs are float32
PORTABLE_DTYPES = ("float32", "int32", "uint8")
"""What browsers and phones take and give; everything else stops at some door."""

_MAX_NAME = 1000
_MAX_TEXT = 20_000
_MAX_TENSORS = 256
_MAX_COLUMNS = 65_536
_MAX_WORDS = 4_000_000
_MAX_AXIS = 1 << 31

_BREAKS = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")

_Reader = Callable[[Any, str, list[str]], Any]


class CardProblemsError(ValueError):
    """Everything that is wrong with a card; ``problems`` holds one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def parse_card(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the card's values with lists as tuples.

    Raises:
        CardProblemsError: at least one value breaks the contract.
    """
    problems: list[str] = []
    values = _record(raw, "card", problems, _CARD)
    if not problems:
        _check_names(values, problems)
    if problems:
        raise CardProblemsError(problems)
    return values


def _record(raw: Any, where: str, problems: list[str], readers: dict[str, _Reader]) -> dict[str, Any]:
    if not isinstance(raw, dict):
        problems.append(f"{where}: found {_shown(raw)}, expected an object")
        return {}
    problems.extend(f"{where}: unknown key {str(key)[:60]!r}" for key in sorted(set(raw) - set(readers)))
    problems.extend(f"{where}: missing key {key!r}" for key in readers if key not in raw)
    present = {key: reader for key, reader in readers.items() if key in raw}
    return {key: reader(raw[key], f"{where}.{key}", problems) for key, reader in present.items()}


def _check_names(card: dict[str, Any], problems: list[str]) -> None:
    for side in ("inputs", "outputs"):
        names = [tensor["name"] for tensor in card[side]]
        if len(set(names)) != len(names):
            problems.append(f"card.{side}: found a name twice in {names}, expected each once")
        for tensor in card[side]:
            _check_columns(tensor, f"card.{side}.{tensor['name']}", problems)
    if card["decision"]:
        _check_decision(card, problems)


def _check_decision(card: dict[str, Any], problems: list[str]) -> None:
    shapes = {tensor["name"]: tensor["shape"] for tensor in card["outputs"]}
    outputs, decision = sorted(shapes), card["decision"]
    if decision["output"] not in shapes:
        problems.append(f"card.decision.output: found {decision['output']!r}, expected one of {outputs}")
    elif decision["threshold"] is None and not shapes[decision["output"]]:
        problems.append("card.decision.threshold: found null, expected a number for a scalar output")


def _check_columns(tensor: dict[str, Any], where: str, problems: list[str]) -> None:
    width = tensor["shape"][-1] if tensor["shape"] else 1
    if tensor["fields"] and len(tensor["fields"]) != width:
        problems.append(f"{where}.fields: found {len(tensor['fields'])}, expected {width} as the last axis")


def _text(limit: int, *, empty: bool = True, lines: bool = True) -> _Reader:
    def read(raw: Any, where: str, problems: list[str]) -> str:
        if not isinstance(raw, str):
            problems.append(f"{where}: found {_shown(raw)}, expected text")
        elif len(raw) > limit:
            problems.append(f"{where}: found {len(raw)} characters, expected at most {limit}")
        elif not empty and not raw:
            problems.append(f"{where}: found empty text, expected a value")
        elif not lines and _BREAKS.search(raw):
            problems.append(f"{where}: found {_shown(raw)}, expected one line")
        return raw if isinstance(raw, str) else ""

    return read


def _many(reader: _Reader, limit: int, *, least: int = 0) -> _Reader:
    def read(raw: Any, where: str, problems: list[str]) -> tuple[Any, ...]:
        if not isinstance(raw, list):
            problems.append(f"{where}: found {_shown(raw)}, expected a list")
        elif not least <= len(raw) <= limit:
            problems.append(f"{where}: found {len(raw)} entries, expected {least} to {limit}")
        else:
            return tuple(reader(entry, f"{where}[{index}]", problems) for index, entry in enumerate(raw))
        return ()

    return read


def _object(raw: Any, where: str, problems: list[str]) -> dict[str, Any]:
    if isinstance(raw, dict):
        return raw
    problems.append(f"{where}: found {_shown(raw)}, expected an object")
    return {}


def _axis(raw: Any, where: str, problems: list[str]) -> int:
    if type(raw) is not int or not 1 <= raw < _MAX_AXIS:
        problems.append(f"{where}: found {_shown(raw)}, expected a whole number of at least 1")
        return 1
    return raw


def _dtype(raw: Any, where: str, problems: list[str]) -> str:
    if raw not in PORTABLE_DTYPES:
        problems.append(f"{where}: found {_shown(raw)}, expected one of {', '.join(PORTABLE_DTYPES)}")
    return str(raw)


def _threshold(raw: Any, where: str, problems: list[str]) -> float | None:
    if raw is None:
        return None
    if type(raw) not in (int, float) or abs(raw) > LARGEST_THRESHOLD:
        problems.append(f"{where}: found {_shown(raw)}, expected a number or null")
        return None
    return float(raw)


def _format(raw: Any, where: str, problems: list[str]) -> int:
    if type(raw) is not int or raw < 1:
        problems.append(f"{where}: found {_shown(raw)}, expected a whole number of at least 1")
    return raw if type(raw) is int else 0


def _decision(raw: Any, where: str, problems: list[str]) -> dict[str, Any] | None:
    return None if raw is None else _record(raw, where, problems, _DECISION)


def _versions(raw: Any, where: str, problems: list[str]) -> dict[str, Any]:
    versions = _object(raw, where, problems)
    if not isinstance(versions.get("edgekit"), str):
        problems.append(f"{where}: found no text under 'edgekit', expected the version that wrote the file")
    return versions


def _column(raw: Any, where: str, problems: list[str]) -> dict[str, Any]:
    return _record(raw, where, problems, _FIELD)


def _tensor(raw: Any, where: str, problems: list[str]) -> dict[str, Any]:
    values = _record(raw, where, problems, _TENSOR)
    return {"name": "", "shape": (), "fields": (), **values}


def _shown(raw: Any) -> str:
    text = f"{raw!r}" if isinstance(raw, (str, int, float, bool, type(None))) else f"a {type(raw).__name__}"
    return text if len(text) <= 60 else text[:60] + "…"


_name = _text(_MAX_NAME, empty=False, lines=False)
_prose = _text(_MAX_TEXT)
_words = _many(_text(_MAX_NAME, lines=False), _MAX_WORDS)
_FIELD: dict[str, _Reader] = {
    "name": _name,
    "unit": _prose,
    "meaning": _prose,
    "vocabulary": _words,
}
_DECISION: dict[str, _Reader] = {"output": _name, "threshold": _threshold, "rule": _prose}
_TENSOR: dict[str, _Reader] = {
    "name": _name,
    "dtype": _dtype,
    "shape": _many(_axis, 8),
    "meaning": _prose,
    "unit": _prose,
    "missing": _prose,
    "fields": _many(_column, _MAX_COLUMNS),
}
_CARD: dict[str, _Reader] = {
    "domain": _name,
    "summary": _prose,
    "inputs": _many(_tensor, _MAX_TENSORS, least=1),
    "outputs": _many(_tensor, _MAX_TENSORS, least=1),
    "labels": _words,
    "decision": _decision,
    "metrics": _object,
    "recipe": _name,
    "data": _object,
    "versions": _versions,
    "licence": _prose,
    "intended_use": _prose,
    "limits": _many(_prose, 1000),
    "settings": _object,
    "format": _format,
}
