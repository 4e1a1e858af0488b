"""One way to open a table of any kind: its columns by name, some read as text and the others as numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...shared.columns import Column, absent_cells, read_identifier
from ...shared.errors import ContractError, SourceError, require
from ...shared.files import sha256
from ...shared.tables import CSV_ENDINGS, PARQUET_ENDINGS, ROW_INDEX, RawTable, read_table, read_text
from .clock import Words, in_zone, zone
from .number_text import MAX_CELLS, TextTable, open_text, read_body

UNNAMED_TIME = "(first column)"
"""What a column of times without a name is called here."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Columns of a table, read.

    Attributes:
        values: float32 (row, column of numbers); NaN where a cell is absent.
        words: the columns of text, in the order asked for.
        problems: what cannot be read, one line a column.
    """

    values: np.ndarray
    words: tuple[Words, ...]
    problems: list[str]


@dataclass(frozen=True, eq=False)
class Sheet:
    """A table that is open.

    Attributes:
        names: of its columns.
        first: the first row's cells as text, by name; empty where there is no row.
        read: names of columns of text, names of columns of numbers → what they hold.
        source, fingerprint, notes: as in ``shared.tables.RawTable``.
    """

    names: tuple[str, ...]
    first: dict[str, str]
    read: Callable[[Sequence[str], Sequence[str]], Cells]
    source: str
    fingerprint: str
    notes: tuple[str, ...] = ()


def open_sheet(path: Path) -> Sheet:
    """Open a CSV (any of ``, ; tab |``, optionally gzipped) or a Parquet file.

    A first column without a name that holds no numbers, as pandas writes an index of times, is called
    ``UNNAMED_TIME``; any other column without a name is left out.

    Raises:
        SourceError: the file is missing, a folder, empty, damaged or of an unknown kind.
        ContractError: column names repeat.
        MissingExtraError: Parquet without the ``train`` extra.
    """
    name = path.name.lower()
    if name.endswith(PARQUET_ENDINGS):
        return _parquet(path)
    if not name.endswith(CSV_ENDINGS):
        read_text(path)  # a missing file or a folder is the better message
        known = ", ".join((*CSV_ENDINGS, *PARQUET_ENDINGS, ".npz", ".h5"))
        raise SourceError(f"{path}: unknown kind of file. Expected a name that ends in one of {known}.")
    table = open_text(read_text(path), str(path))
    return _text(table, sha256(path))


# === Text ===


def _text(table: TextTable, fingerprint: str) -> Sheet:
    second = table.second()
    if not second:
        raise SourceError(f"{table.source} has a header ({', '.join(table.first[:5])}) but no rows.")
    first = dict(enumerate(second))
    columns = {column: name for column, name in enumerate(table.first) if not ROW_INDEX.fullmatch(name)}
    left = {column: name for column, name in enumerate(table.first) if column not in columns}
    if 0 in left and not _is_number(first.get(0, "")):
        columns = {0: UNNAMED_TIME, **columns}
        del left[0]
    notes = [f"read as separated by {table.delimiter!r}, which its first line uses"] * (table.delimiter != ",")
    notes += [f"column {column + 1} ({name!r}) is left out: it has no name of its own" for column, name in left.items()]
    names = tuple(columns.values())
    require_distinct(table.source, names)
    where = {name: column for column, name in columns.items()}
    cells = {name: first.get(column, "") for name, column in where.items()}
    return Sheet(names, cells, partial(_text_cells, table, where), table.source, fingerprint, tuple(notes))


def _text_cells(table: TextTable, where: dict[str, int], words: Sequence[str], numbers: Sequence[str]) -> Cells:
    wanted = [where[name] for name in words]
    chosen = {where[name] for name in numbers}
    skip = {column for column in range(len(table.first)) if column not in chosen and column not in wanted}
    body = read_body(table, words=wanted, skip=skip)
    return Cells(body.values, body.words, body.faults.told(table.first))


def require_distinct(source: str, names: Sequence[str]) -> None:
    """Refuse names that repeat.

    Raises:
        ContractError: lists them.
    """
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        more = f" and {len(repeated) - 10:,} more" if len(repeated) > 10 else ""
        raise ContractError(
            f"{source}: column names repeat: {', '.join(map(repr, repeated[:10]))}{more}. Give each sensor one name; "
            "where the first line holds readings, put a line with the sensors' names before it."
        )


def _is_number(cell: str) -> bool:
    try:
        return bool(float(cell) or True)
    except ValueError:
        return False


# === Parquet ===


def _parquet(path: Path) -> Sheet:
    zones, index = _schema(path)
    raw = read_table(path)
    columns = {" ".join(index.split()) or UNNAMED_TIME: _column(path, index)} if index else {}
    columns = {UNNAMED_TIME if ROW_INDEX.fullmatch(name) else name: cells for name, cells in columns.items()}
    zones = {UNNAMED_TIME if name == index else name: where for name, where in zones.items()}
    columns |= raw.columns
    notes = tuple(note for note in raw.notes if not index or repr(index) not in note)
    first = {name: str(cells[0]) for name, cells in columns.items()}
    read = partial(_parquet_cells, RawTable(columns, raw.source), zones)
    return Sheet(tuple(columns), first, read, raw.source, raw.fingerprint, notes)


def _schema(path: Path) -> tuple[dict[str, str], str]:
    """Return the zones of columns of times, and the name of one that pandas kept as a nameless index.

    Whatever is wrong with the file is told when its columns are read.

    Raises:
        ContractError: the table is too large to hold.
    """
    parquet = require("pyarrow.parquet", extra="train")
    arrow = require("pyarrow", extra="train")
    try:
        with parquet.ParquetFile(path) as file:
            fields, rows = list(file.schema_arrow), file.metadata.num_rows
    except (arrow.ArrowException, OSError, ValueError):
        return {}, ""
    if rows * len(fields) > MAX_CELLS:
        raise ContractError(f"{path} holds {rows:,} rows of {len(fields):,}; more than {MAX_CELLS:,} cells. Split it.")
    times = [field for field in fields if arrow.types.is_timestamp(field.type)]
    index = [field.name for field in times if ROW_INDEX.fullmatch(field.name)]
    return {field.name: field.type.tz for field in times if field.type.tz}, index[0] if index else ""


def _column(path: Path, name: str) -> np.ndarray:
    parquet: Any = require("pyarrow.parquet", extra="train")
    with parquet.ParquetFile(path) as file:
        return np.asarray(file.read(columns=[name]).column(0).to_numpy())


def _parquet_cells(raw: RawTable, zones: dict[str, str], words: Sequence[str], numbers: Sequence[str]) -> Cells:
    values = np.empty((len(raw), len(numbers)), dtype=np.float32)
    problems: list[str] = []
    for place, name in enumerate(numbers):
        if raw.columns[name].dtype.kind not in "iufbO":
            problems.append(f"column {name!r}: row 1: found {str(raw.columns[name][0])[:40]!r}, expected a number")
            continue
        column, found = _numbers(raw.columns[name])
        problems += [f"column {name!r}: {problem}" for problem in found]
        with np.errstate(over="ignore"):
            values[:, place] = column
    return Cells(values, tuple(coded(raw.columns[name], zones.get(name, "")) for name in words), problems)


def _numbers(cells: np.ndarray) -> tuple[np.ndarray, list[str]]:
    if cells.dtype.kind in "iufb":  # infinite values are told where impossible ones are
        return cells, []
    return Column(name="", kind="number", meaning="", missing="impute").read(cells)


def coded(cells: np.ndarray, zone_name: str = "") -> Words:
    """Return a typed column as text: dates as ISO dates, with their offset where they have a zone."""
    if cells.dtype.kind == "M":
        moments, codes = np.unique(cells.astype("datetime64[s]"), return_inverse=True)
        missing = np.isnat(moments)
        seconds = np.where(missing, 0, moments.astype(np.int64))
        texts = in_zone(seconds, zone(zone_name)) if zone_name else np.datetime_as_string(moments).tolist()
        return Words(tuple("" if gone else text for gone, text in zip(missing, texts, strict=True)), codes.reshape(-1))
    if cells.dtype.kind in "iufb":
        distinct, codes = np.unique(cells, return_inverse=True)
    else:
        seen: dict[object, int] = {}
        codes = np.fromiter((seen.setdefault(cell, len(seen)) for cell in cells), np.int64, len(cells))
        distinct = np.empty(len(seen), dtype=object)
        distinct[:] = list(seen)
    return Words(tuple(read_identifier(distinct, absent_cells(distinct)).values), codes.reshape(-1))
