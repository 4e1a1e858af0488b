"""Reading tables: a CSV or Parquet file becomes named numpy columns, without pandas.

CSV cells stay text here (``007`` stays ``007``); what they mean is the contract's business.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ContractError, SourceError, nearest, require
from .files import sha256

DELIMITERS = (",", ";", "\t", "|")
CSV_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
PARQUET_ENDINGS = (".parquet", ".pq")
ROW_INDEX = re.compile(r"|__index_level_\d+__|Unnamed: \d+")  # what pandas calls row labels without a name


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
        ContractError: there is no column or no row, column names repeat, or the columns differ in length.
    """
    plain = [(name, " ".join(str(name).split())) for name in columns]  # a spreadsheet breaks long titles into lines
    _require_distinct(source, [name for _, name in plain])
    names = dict(plain)
    arrays = {names[name]: _column(names[name], columns[name], source) for name in columns}
    lengths = {name: len(array) for name, array in arrays.items()}
    if not arrays or not max(lengths.values()):
        raise ContractError(f"{source}: found no rows. Expected at least one row of data.")
    if len(set(lengths.values())) > 1:
        raise ContractError(f"{source}: the columns differ in length: {lengths}. Expected equal lengths.")
    return RawTable(arrays, source)


def _column(name: str, values: Any, source: str) -> np.ndarray:
    try:
        array = np.asarray(values)
        if array.dtype.kind == "f" and not isinstance(getattr(values, "dtype", array.dtype), np.dtype):
            array = np.asarray(values, dtype=object)  # pandas makes floats of its nullable integers
    except ValueError as error:
        raise ContractError(f"{source}: column {name!r} is not a list of single values: {error}.") from error
    if array.ndim != 1:
        raise ContractError(
            f"{source}: column {name!r} has the shape {array.shape}. Expected one value a row, shape (rows,)."
        )
    return array / np.timedelta64(1, "s") if array.dtype.kind == "m" else array


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
        columns, notes = _read_parquet(path), list[str]()
    elif name.endswith(CSV_ENDINGS):
        columns, notes = _read_csv(path)
    else:
        known = ", ".join(CSV_ENDINGS + PARQUET_ENDINGS)
        raise SourceError(f"{path}: unknown kind of file. Expected a name that ends in one of {known}.")
    kept = {name: cells for name, cells in columns.items() if not ROW_INDEX.fullmatch(name)}
    notes += [f"column {name!r} is left out: it has no name of its own" for name in columns if name not in kept]
    table = from_columns(kept, source=str(path))
    return RawTable(table.columns, table.source, sha256(path), tuple(notes))


def read_text(path: Path) -> str:
    """Return the text of a file, unpacked where it is gzipped.

    Raises:
        SourceError: the file is missing, a folder, empty, damaged or not UTF-8.
    """
    _require_file(path)
    return _text_of(path)


def _require_file(path: Path) -> None:
    try:
        size, folder = path.stat().st_size, path.is_dir()
    except (FileNotFoundError, NotADirectoryError) as error:
        beside = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        raise SourceError(f"No file at {path}.{nearest(path.name, beside)} Check the path.") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}. Check the path and its permissions.") from error
    if folder:
        raise SourceError(f"{path} is a folder. Expected a CSV or Parquet file; name the file inside it.")
    if size == 0:
        raise SourceError(f"{path} is empty (0 bytes). Expected a header line and rows.")


def _read_parquet(path: Path) -> dict[str, np.ndarray]:
    parquet = require("pyarrow.parquet", extra="train")
    arrow = require("pyarrow", extra="train")
    try:
        with parquet.ParquetFile(path) as file:  # unlike read_table, adds no columns from the names of folders
            table = file.read()
        _require_distinct(str(path), table.column_names)
        return {name: _arrow_column(table.column(name), arrow) for name in table.column_names}
    except ContractError:
        raise
    except (arrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SourceError(
            f"{path} cannot be read as Parquet: {reason} Expected a whole Parquet file; copy or export it again."
        ) from error


def _arrow_column(column: Any, arrow: Any) -> np.ndarray:
    types = arrow.types
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if types.is_binary(kind) or types.is_large_binary(kind):
        column = column.cast(arrow.string())
    elif types.is_nested(kind) or types.is_decimal(kind) or (types.is_integer(kind) and column.null_count):
        # as Python values: arrow's floats are not the nearest ones, and lose the last digits of large identifiers
        return _objects(column.to_pylist())
    return np.asarray(column.to_numpy())  # times with a zone are stored in UTC and come as that


def _objects(cells: Sequence[Any]) -> np.ndarray:
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


def _read_csv(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    text = _text_of(path)
    delimiter = _delimiter(text)
    # strict: a quote that is never closed would otherwise swallow the rest of the file as one cell
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [cell.strip() for cell in next(filter(None, rows), [])]
        _require_distinct(str(path), header)
        body = list(_checked_rows(path, rows, len(header)))
    except csv.Error as error:
        raise SourceError(f"{path} is not a readable CSV: {error} (line {rows.line_num}). Check its quotes.") from error
    if not body:
        raise SourceError(f"{path} has a header ({', '.join(header[:5])}) but no rows.")
    columns = {name: _objects(cells) for name, cells in zip(header, zip(*body, strict=True), strict=True)}
    notes = [] if delimiter == "," else [f"read as separated by {delimiter!r}, which its header uses"]
    return columns, notes


def _text_of(path: Path) -> str:
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if path.suffix.lower() == ".gz" else content).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{path} is not UTF-8 text (byte {error.start} is 0x{error.object[error.start]:02x}). Save it as UTF-8."
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path} cannot be read: {error}. Copy or export it again.") from error


def _delimiter(text: str) -> str:
    unquoted = re.sub(r'"[^"]*"', "", text[:65536]).lstrip("\r\n")
    header = re.split(r"[\r\n]", unquoted, maxsplit=1)[0]
    return max(DELIMITERS, key=header.count)


def _checked_rows(path: Path, rows: Any, width: int) -> Iterator[list[str]]:
    for number, row in enumerate(filter(None, rows), start=1):
        if len(row) != width:
            raise ContractError(
                f"{path}: row {number} (line {rows.line_num}) has {len(row)} cells, the header has {width}. "
                "Check the quoting and the separator of that row."
            )
        yield row


def _require_distinct(source: str, names: Sequence[str]) -> None:
    repeated = sorted(name for name, count in Counter(names).items() if name and count > 1)
    if repeated:
        raise ContractError(
            f"{source}: column names repeat: {', '.join(map(repr, repeated))}. Give each column one name."
        )
