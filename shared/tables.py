"""Reading tables: a CSV or Parquet file becomes named numpy columns, without pandas.

CSV cells stay text here (``007`` stays ``007``); what they mean is the contract's business.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ContractError, SourceError, nearest, require
from .files import sha256

DELIMITERS = (",", ";", "\t", "|")
CSV_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
PARQUET_ENDINGS = (".parquet", ".pq")


@dataclass(frozen=True)
class RawTable:
    """Columns as they stand in a file, before any contract.

    Attributes:
        columns: name to (row,) array; text cells are ``object`` arrays of ``str`` or ``None``.
        source: where they come from, for messages.
        fingerprint: ``sha256…`` of the file, or an empty string for data in memory.
        notes: what had to be assumed while reading.
    """

    columns: dict[str, np.ndarray]
    source: str
    fingerprint: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))


def from_columns(columns: Mapping[str, Any], *, source: str = "memory") -> RawTable:
    """Make a table from a mapping of equally long columns (a pandas DataFrame will do).

    Raises:
        ContractError: there is no column or no row, or the columns differ in length.
    """
    arrays = {str(name): np.asarray(columns[name]) for name in columns}
    lengths = {name: len(array) for name, array in arrays.items()}
    if not arrays or not min(lengths.values()):
        raise ContractError(f"{source}: found no rows. Expected at least one row of data.")
    if len(set(lengths.values())) > 1:
        raise ContractError(f"{source}: the columns differ in length: {lengths}. Expected equal lengths.")
    return RawTable(arrays, source)


def fingerprint(columns: Mapping[str, np.ndarray]) -> str:
    """Return the sha256 of columns in memory: the same values always give the same digits."""
    parts = [
        f"{name}\x1f".encode()
        + ("\x1e".join(map(str, values)).encode() if values.dtype.kind == "O" else values.tobytes())
        for name, values in sorted(columns.items())
    ]
    return sha256(b"\x1d".join(parts))


def read_table(path: Path) -> RawTable:
    """Read a CSV (any of ``, ; tab |``, optionally gzipped) or a Parquet file.

    Raises:
        SourceError: the file is missing, a folder, empty, damaged or of an unknown kind.
        ContractError: column names repeat, or a row has too few or too many cells.
        MissingExtraError: Parquet without the ``train`` extra.
    """
    _require_file(path)
    name = path.name.lower()
    if name.endswith(PARQUET_ENDINGS):
        columns, notes = _read_parquet(path), ()
    elif name.endswith(CSV_ENDINGS):
        columns, notes = _read_csv(path)
    else:
        known = ", ".join(CSV_ENDINGS + PARQUET_ENDINGS)
        raise SourceError(f"{path}: unknown kind of file. Expected a name that ends in one of {known}.")
    table = from_columns(columns, source=str(path))
    return RawTable(table.columns, table.source, sha256(path), tuple(notes))


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise SourceError(f"{path} is a folder. Expected a CSV or Parquet file; name the file inside it.")
    if not path.exists():
        beside = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        raise SourceError(f"No file at {path}.{nearest(path.name, beside)} Check the path.")
    if path.stat().st_size == 0:
        raise SourceError(f"{path} is empty (0 bytes). Expected a header line and rows.")


def _read_parquet(path: Path) -> dict[str, np.ndarray]:
    parquet = require("pyarrow.parquet", extra="train")
    arrow = require("pyarrow", extra="train")
    try:
        table = parquet.read_table(path)
    except (arrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SourceError(
            f"{path} cannot be read as Parquet: {reason} Expected a whole Parquet file; copy or export it again."
        ) from error
    _require_distinct(path, table.column_names)
    return {name: _arrow_column(table.column(name), arrow) for name in table.column_names}


def _arrow_column(column: Any, arrow: Any) -> np.ndarray:
    kind = column.type
    if arrow.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    if arrow.types.is_decimal(column.type):
        column = column.cast(arrow.float64())
    if arrow.types.is_timestamp(kind) and kind.tz is not None:
        column = column.cast(arrow.timestamp("s", "UTC"), safe=False).cast(arrow.timestamp("s"))
    return np.asarray(column.to_numpy())


def _read_csv(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    text = _text_of(path)
    delimiter = _delimiter(text)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = [cell.strip() for cell in next(rows)]
        _require_distinct(path, header)
        body = list(_checked_rows(path, rows, len(header)))
    except csv.Error as error:
        raise SourceError(f"{path} is not a readable CSV: {error} (line {rows.line_num}).") from error
    if not body:
        raise SourceError(f"{path} has a header ({', '.join(header[:5])} …) but no rows.")
    columns = {name: np.array(cells, dtype=object) for name, cells in zip(header, zip(*body, strict=True), strict=True)}
    notes = [] if delimiter == "," else [f"read as separated by {delimiter!r}, which its header uses"]
    return columns, notes


def _text_of(path: Path) -> str:
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{path} is not UTF-8 text (byte {error.start} is 0x{error.object[error.start]:02x}). Save it as UTF-8."
        ) from error
    except (OSError, EOFError) as error:
        raise SourceError(f"{path} cannot be read: {error}.") from error


def _delimiter(text: str) -> str:
    header = text[:65536].lstrip("\r\n").splitlines()[:1]
    return max(DELIMITERS, key=(header or [""])[0].count)


def _checked_rows(path: Path, rows: Iterator[list[str]], width: int) -> Iterator[list[str]]:
    for number, row in enumerate(filter(None, rows), start=1):
        if len(row) != width:
            raise ContractError(
                f"{path}: row {number} has {len(row)} cells, the header has {width}. "
                "Check the quoting and the separator of that row."
            )
        yield row


def _require_distinct(path: Path, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ContractError(
            f"{path}: column names repeat: {', '.join(map(repr, repeated))}. Give each column one name."
        )
