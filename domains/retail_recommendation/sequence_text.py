"""Text files with a user and the user's items in order of time on each line, as research data often come."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import numpy as np

from ...shared.contract import Table
from ...shared.errors import ContractError
from ...shared.files import sha256
from ...shared.tables import DELIMITERS, read_text
from .contract import CONTRACT

TEXTS = (".txt", ".txt.gz")
"""What may hold sequences; other endings say that it is a table."""
_SAMPLE = 100  # lines that are looked at to tell a text file of sequences from a table
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?")


def read_sequences(path: Path, columns: Mapping[str, str]) -> Table | None:
    """Read lines ``user item item …`` as rows with a user and an item, in order of time but without times.

    Args:
        path: the file.
        columns: role to column name, which tells a header.

    Returns:
        The rows; ``None`` where the file is a table.

    Raises:
        SourceError: the file cannot be read.
        ContractError: it is a table whose columns are separated by spaces.
    """
    text = read_text(path) if path.name.lower().endswith(TEXTS) else ""
    return _sequences(path, text) if text and _are_sequences(path, text, columns) else None


def _are_sequences(path: Path, text: str, columns: Mapping[str, str]) -> bool:
    """Tell lines ``user item item …`` from a table with a header.

    Raises:
        ContractError: a table whose columns are separated by spaces.
    """
    lines = [line for line in text[:65536].split("\n") if line.strip()][: _SAMPLE + 1]
    first, *others = [_fields(line) for line in lines[:_SAMPLE]] or [[]]
    if len(first) < 2 or any(delimiter in lines[0] for delimiter in DELIMITERS if delimiter != "\t"):
        return False
    names = {name.lower() for name in (*columns.values(), *(role.name for role in CONTRACT.roles))}
    named = any(field.lower() in names for field in first)
    worded = not any(map(_NUMBER.fullmatch, first)) and all(map(_NUMBER.fullmatch, chain(*others)))
    if not named and not (others and worded):
        return True
    if "\t" in lines[0]:
        return False
    raise ContractError(
        f"{path}: its first line, {' '.join(first)[:80]!r}, looks like the header of a table whose columns are "
        "separated by spaces. Expected commas, semicolons or tabs between them; or, without a header, lines `user item "
        "item …`."
    )


def _fields(line: str) -> list[str]:
    return [field for field in line.replace("\t", " ").strip("\r").split(" ") if field]  # other spaces may be in ids


def _sequences(path: Path, text: str) -> Table:
    lines = [fields for fields in map(_fields, text.split("\n")) if fields]
    lengths = np.array([len(fields) - 1 for fields in lines], dtype=np.int64)
    user, item = np.empty(len(lines), dtype=object), np.empty(lengths.sum(), dtype=object)
    user[:] = [fields[0] for fields in lines]
    item[:] = [field for fields in lines for field in fields[1:]]
    joined, lonely = len(lines) - len(set(user)), int((lengths == 0).sum())
    notes = [f"read as lines `user item item …`: {len(lines):,} lines, in order of time but without times"]
    if joined:
        notes.append(f"{joined:,} lines continue a user of an earlier line")
    if lonely:
        notes.append(f"{lonely:,} lines name a user without items and are left out")
    columns = {"user": np.repeat(user, lengths), "item": item}
    return Table(columns, (), {}, str(path), sha256(path), tuple(notes))
