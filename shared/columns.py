"""What one column must look like, and how its raw cells become typed numbers.

Every kind is read by one function, used for a million rows in training and for one row on a device alike.
A reader never stops at the first problem: it returns what it could read and says what it could not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np

Kind = Literal["timestamp", "identifier", "money", "number", "category", "label"]
Missing = Literal["forbid", "impute", "own value"]
Parsed = tuple[np.ndarray, list[str]]

MAX_CENTS = 10**9
MISSING_TEXT = ("", "na", "n/a", "nan", "null", "none")
TRUE_TEXT = ("1", "true", "1.0")
FALSE_TEXT = ("0", "false", "0.0")
LATEST_SECOND = 253_402_300_799  # the end of the year 9999; a larger number is in milliseconds


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a contract.

    Attributes:
        name: the role the column plays; a file's own name is mapped to it.
        kind: how cells are read, see the readers below.
        meaning: what it holds, in the domain's words.
        unit: unit of the values, if any.
        low, high: smallest and largest value allowed (numbers and money), inclusive.
        required: whether a file must have it.
        missing: what an absent cell means: an error, a value to impute, or a value of its own.
        example: a cell as a user would write it.
    """

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    required: bool = False
    missing: Missing = "forbid"
    example: str = ""

    def read(self, cells: np.ndarray) -> Parsed:
        """Return typed values of (row,) raw ``cells`` and the problems met, each with row and value."""
        values, problems = READERS[self.kind](cells)
        if not problems and (self.low is not None or self.high is not None):
            problems = self._out_of_range(values)
        return values, problems

    def _out_of_range(self, values: np.ndarray) -> list[str]:
        scale = 100 if self.kind == "money" else 1
        low = -np.inf if self.low is None else self.low * scale
        high = np.inf if self.high is None else self.high * scale
        with np.errstate(invalid="ignore"):
            wrong = (values < low) | (values > high)
        return _first(wrong, values / scale, f"a value from {self.low:g} to {self.high:g}")


def read_timestamp(cells: np.ndarray) -> Parsed:
    """Read dates as int64 seconds since 1970-01-01 UTC; a time without zone is taken as UTC.

    Accepts datetimes, ISO 8601 text (with or without zone) and numbers (seconds).
    """
    expected = "an ISO date such as 2018-04-01T00:00:31, or a number of seconds"
    if cells.dtype.kind == "M":
        seconds = cells.astype("datetime64[s]").astype(np.int64)
        return seconds, _first(np.isnat(cells), cells, expected)
    if cells.dtype.kind in "iuf":
        numbers = cells.astype(np.float64)
        wrong = ~(np.abs(numbers) <= LATEST_SECOND)
        return np.where(wrong, 0, numbers).astype(np.int64), _first(wrong, cells, expected)
    text = np.array(["" if _is_missing(cell) else str(cell) for cell in cells], dtype=object)
    try:
        return np.array([_whole_seconds(cell) for cell in text], dtype=np.int64), []
    except (ValueError, OverflowError):
        return _timestamps_one_by_one(text, expected)


def _whole_seconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int((aware.replace(microsecond=0) - _EPOCH).total_seconds())


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _timestamps_one_by_one(text: np.ndarray, expected: str) -> Parsed:
    numbers = _to_float(text)
    if not np.isnan(numbers).any():
        return read_timestamp(numbers)
    seconds, wrong = np.zeros(len(text), np.int64), np.zeros(len(text), bool)
    for row, cell in enumerate(text):
        try:
            seconds[row] = _whole_seconds(cell)
        except (ValueError, OverflowError):
            wrong[row] = True
    return seconds, _first(wrong, text, expected)


def read_identifier(cells: np.ndarray) -> Parsed:
    """Read identifiers as text, exactly as written (``007`` stays ``007``); whole floats lose their ``.0``."""
    if cells.dtype.kind in "iu":
        return cells.astype(str).astype(object), []
    if cells.dtype.kind == "f":
        wrong = ~np.isfinite(cells)
        whole = np.where(wrong, 0, cells)
        text = [str(int(value)) if value == int(value) else repr(float(value)) for value in whole]
        return np.array(text, dtype=object), _first(wrong, cells, "an identifier")
    wrong = np.array([_is_missing(cell) for cell in cells], dtype=bool)
    values = np.array([str(cell).strip() for cell in cells], dtype=object)
    return values, _first(wrong, cells, "an identifier")


def read_money(cells: np.ndarray) -> Parsed:
    """Read amounts of money as int64 cents (rounded half to even), so that sums are exact."""
    numbers, problems = read_number(cells)
    cents = np.round(numbers * 100)
    wrong = ~(np.abs(cents) <= MAX_CENTS)
    if not problems:
        problems = _first(wrong, cells, f"an amount of at most {MAX_CENTS // 100:,}, without NaN or infinity")
    return np.where(wrong, 0, cents).astype(np.int64), problems


def read_number(cells: np.ndarray) -> Parsed:
    """Read float64 numbers; an absent cell becomes NaN, infinity and text are problems."""
    if cells.dtype.kind in "iufb":
        values = cells.astype(np.float64)
        return values, _first(np.isinf(values), cells, "a finite number")
    values = _to_float(cells)
    absent = np.array([_is_missing(cell) for cell in cells], dtype=bool)
    return values, _first(np.isnan(values) & ~absent | np.isinf(values), cells, "a number")


def read_category(cells: np.ndarray) -> Parsed:
    """Read categories as text; an absent cell becomes an empty string, a value of its own."""
    if cells.dtype.kind in "iufb":
        return np.where(_missing_number(cells), "", cells.astype(str)).astype(object), []
    return np.array(["" if _is_missing(cell) else str(cell).strip() for cell in cells], dtype=object), []


def read_label(cells: np.ndarray) -> Parsed:
    """Read labels as int8: 1 for ``1``/``true``, 0 for ``0``/``false``."""
    text = np.array([str(cell).strip().lower() for cell in cells], dtype=object)
    positive, negative = np.isin(text, TRUE_TEXT), np.isin(text, FALSE_TEXT)
    found = sorted(set(text[~(positive | negative)]))
    problems = []
    if found:
        listed = ", ".join(map(repr, found[:5]))
        first = int(np.flatnonzero(~(positive | negative))[0]) + 1
        problems = [f"row {first}: found the label value {listed}, expected two values, 1 (true) and 0 (false)"]
    return positive.astype(np.int8), problems


READERS: dict[Kind, Callable[[np.ndarray], Parsed]] = {
    "timestamp": read_timestamp,
    "identifier": read_identifier,
    "money": read_money,
    "number": read_number,
    "category": read_category,
    "label": read_label,
}


def infer_kind(cells: np.ndarray) -> Kind:
    """Tell whether a column without a role holds numbers or categories.

    Text of which at least nine cells in ten are numbers is a number column with faults in it, so that a
    stray word is reported and does not silently turn a feature into a category.
    """
    if cells.dtype.kind in "iufb":
        return "number"
    if cells.dtype.kind == "M":
        return "timestamp"
    present = np.array([cell for cell in cells if not _is_missing(cell)], dtype=object)
    if not len(present):
        return "number"
    return "number" if np.mean(~np.isnan(_to_float(present))) >= 0.9 else "category"


def _to_float(cells: np.ndarray) -> np.ndarray:
    try:
        return np.array([np.nan if _is_missing(cell) else cell for cell in cells], dtype=np.float64)
    except (TypeError, ValueError):
        return np.array([_float_or_nan(cell) for cell in cells], dtype=np.float64)


def _float_or_nan(cell: object) -> float:
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")


def _is_missing(cell: object) -> bool:
    if isinstance(cell, str):
        return cell.strip().lower() in MISSING_TEXT
    return cell is None or cell != cell


def _missing_number(cells: np.ndarray) -> np.ndarray:
    return np.isnan(cells) if cells.dtype.kind == "f" else np.zeros(len(cells), bool)


def _first(wrong: np.ndarray, cells: np.ndarray, expected: str) -> list[str]:
    rows = np.flatnonzero(wrong)
    if not len(rows):
        return []
    more = f" (and {len(rows) - 1:,} more rows)" if len(rows) > 1 else ""
    return [f"row {rows[0] + 1}: found {_shown(cells[rows[0]])}, expected {expected}{more}"]


def _shown(cell: object) -> str:
    text = cell if isinstance(cell, str) else str(cell)
    return repr(text if len(text) <= 40 else text[:37] + "...") if isinstance(cell, str) else text
