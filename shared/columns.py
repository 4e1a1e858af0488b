"""What one column must look like, and how its raw cells become typed numbers.

Every kind is read by one function, used for a million rows in training and for one row on a device alike.
A reader never stops at the first problem: it returns what it could read and says what it could not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import numpy as np

Kind = Literal["timestamp", "identifier", "money", "number", "category", "label"]
Missing = Literal["forbid", "impute", "own value"]

NEVER_MISSING = ("identifier", "money", "label")  # kinds without a value that could stand for an absent cell
MAX_CENTS = 10**9
MISSING_TEXT = frozenset(("", "na", "n/a", "nan", "nat", "null", "none", "<na>"))
TRUE_TEXT = frozenset(("1", "true", "1.0"))
FALSE_TEXT = frozenset(("0", "false", "0.0"))
LATEST_SECOND = 253_402_300_799  # the end of the year 9999; a larger number is in milliseconds


class Reading(NamedTuple):
    """What a reader made of (row,) cells.

    Attributes:
        values: (row,) typed values; those of absent or wrong cells mean nothing unless the reader says so.
        wrong: (row,) bool, the cells that are there and cannot be read.
        expected: what such a cell should have been.
    """

    values: np.ndarray
    wrong: np.ndarray
    expected: str


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
        missing: what an absent cell means: an error, a value to impute, or a value of its own. Identifiers,
            money and labels can never be absent.
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

    def read(self, cells: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Return typed values of (row,) raw ``cells`` and the problems met, each with row and value."""
        absent = absent_cells(cells)
        values, wrong, expected = READERS[self.kind](cells, absent)
        must = self.missing == "forbid" or self.kind in NEVER_MISSING
        problems = _first(absent & must, cells, "a value") + _first(wrong & ~absent, cells, expected)
        return values, problems or _first(self._out_of_range(values), cells, f"a value {self.limits()}")

    def limits(self) -> str:
        """Return the range in words, or an empty string when there is none."""
        low = "" if self.low is None else f"from {self.low:,.15g}"
        high = "" if self.high is None else f"up to {self.high:,.15g}"
        return f"{low} {high}".strip()

    def _out_of_range(self, values: np.ndarray) -> np.ndarray:
        wrong = np.zeros(len(values), dtype=bool)
        scale = 100 if self.kind == "money" else 1
        if self.low is not None:
            wrong |= values < self.low * scale
        if self.high is not None:
            wrong |= values > self.high * scale
        return wrong


def read_timestamp(cells: np.ndarray, absent: np.ndarray) -> Reading:
    """Read dates as int64 whole seconds since 1970-01-01 UTC; a time without zone is taken as UTC.

    Accepts datetimes, ISO 8601 text (with or without zone) and numbers (seconds). An absent cell becomes the
    smallest int64, as numpy's NaT does.
    """
    if cells.dtype.kind == "M":
        return Reading(_seconds(cells), absent, "a date")
    if cells.dtype.kind in "iuf":
        return _numeric_seconds(cells.astype(np.float64), absent)
    if _share_of_numbers(cells[~absent][:100]) >= 0.9:
        return _numeric_seconds(_floats(cells, absent), absent)
    moments = np.array([_moment(cell) for cell in cells], dtype="datetime64[us]")
    expected = "an ISO date such as 2018-04-01T00:00:31 (or numbers of seconds throughout)"
    return Reading(_seconds(moments), np.isnat(moments), expected)


def read_identifier(cells: np.ndarray, absent: np.ndarray) -> Reading:
    """Read identifiers as text, exactly as written (``007`` stays ``007``); whole floats lose their ``.0``."""
    infinite = np.isinf(cells) if cells.dtype.kind == "f" else np.zeros(len(cells), dtype=bool)
    return Reading(_texts(cells, absent), infinite, "an identifier")


def read_money(cells: np.ndarray, absent: np.ndarray) -> Reading:
    """Read amounts of money as int64 cents (rounded half to even), so that sums are exact."""
    with np.errstate(over="ignore"):
        cents = np.round(_floats(cells, absent) * 100)
    wrong = ~(np.abs(cents) <= MAX_CENTS)
    expected = (
        f"an amount such as 1234.56, at most {MAX_CENTS // 100:,}, with a decimal point and without currency sign "
        "or thousands separator"
    )
    return Reading(np.where(wrong, 0, cents).astype(np.int64), wrong, expected)


def read_number(cells: np.ndarray, absent: np.ndarray) -> Reading:
    """Read float64 numbers; an absent cell becomes NaN."""
    values = _floats(cells, absent)
    return Reading(values, ~np.isfinite(values), "a finite number such as 1234.56")


def read_category(cells: np.ndarray, absent: np.ndarray) -> Reading:
    """Read categories as text; whole floats lose their ``.0``; an absent cell becomes an empty string."""
    words = [text if text.isprintable() else " ".join(text.split()) for text in _texts(cells, absent)]
    return Reading(np.array(words, dtype=object), np.zeros(len(cells), dtype=bool), "text")


def read_label(cells: np.ndarray, absent: np.ndarray) -> Reading:
    """Read labels as int8: 1 for ``1``/``true``, 0 for ``0``/``false``."""
    text = [str(cell).strip().lower() for cell in cells.tolist()]
    positive = np.array([cell in TRUE_TEXT for cell in text], dtype=bool)
    negative = np.array([cell in FALSE_TEXT for cell in text], dtype=bool)
    wrong = ~(positive | negative)
    found = sorted(set(_texts(cells, absent)[~absent])) if wrong.any() else []
    listed = ", ".join(map(_shown, found[:5])) + (" …" if len(found) > 5 else "")
    return Reading(positive.astype(np.int8), wrong, f"two values, 1 (true) and 0 (false); the column holds {listed}")


READERS: dict[Kind, Callable[[np.ndarray, np.ndarray], Reading]] = {
    "timestamp": read_timestamp,
    "identifier": read_identifier,
    "money": read_money,
    "number": read_number,
    "category": read_category,
    "label": read_label,
}


def infer_kind(cells: np.ndarray) -> Kind:
    """Tell whether a column without a role holds numbers, dates or categories.

    Text of which at least nine cells in ten are numbers is a number column with faults in it, so that a
    stray word is reported and does not silently turn a feature into a category. A decimal comma is such a fault.
    Text is a date only when every cell is.
    """
    if cells.dtype.kind in "iufb":
        return "number"
    present = cells[~absent_cells(cells)]
    if cells.dtype.kind == "M" or (len(present) and all(_moment(cell) is not None for cell in present)):
        return "timestamp"
    if not len(present) or _share_of_numbers(present) >= 0.9:
        return "number"
    points = np.array([str(cell).replace(",", ".") for cell in present], dtype=object)
    return "number" if _share_of_numbers(points) >= 0.9 else "category"


def absent_cells(cells: np.ndarray) -> np.ndarray:
    """Return (row,) bool: which raw cells hold nothing (NaN, NaT, None, empty text and its usual spellings)."""
    if cells.dtype.kind in "fcM":
        return np.asarray(cells != cells)  # NaN and NaT alone differ from themselves
    if cells.dtype.kind in "iub":
        return np.zeros(len(cells), dtype=bool)
    return np.array([_is_missing(cell) for cell in cells], dtype=bool)


def _is_missing(cell: object) -> bool:
    if isinstance(cell, str):
        return cell.strip().lower() in MISSING_TEXT
    try:
        return cell is None or bool(cell != cell)
    except TypeError:  # pandas' NA does not say whether it equals itself
        return True
    except ValueError:  # a list in a cell: a fault, not an absence
        return False


def _floats(cells: np.ndarray, absent: np.ndarray) -> np.ndarray:
    """Return float64 values, NaN where a cell is absent or not a number."""
    if cells.dtype.kind in "iufb":
        return cells.astype(np.float64)
    return np.array([np.nan if gone else _float(cell) for cell, gone in zip(cells, absent, strict=True)], np.float64)


def _float(cell: object) -> float:
    # Python reads 12_34 as a number, and a date as its nanoseconds: no user means that
    if isinstance(cell, np.datetime64) or (isinstance(cell, str) and "_" in cell):
        return np.nan
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _share_of_numbers(present: np.ndarray) -> float:
    return float(np.mean([not np.isnan(_float(cell)) for cell in present])) if len(present) else 0.0


def _numeric_seconds(numbers: np.ndarray, absent: np.ndarray) -> Reading:
    wrong = ~(np.abs(numbers) <= LATEST_SECOND)
    seconds = np.where(wrong, 0, np.floor(np.where(wrong, 0, numbers))).astype(np.int64)
    if _look_like_days(seconds[~wrong]):
        return Reading(seconds, ~absent, "a date written as 2018-04-01 (20180401 would be taken for seconds)")
    seconds[absent] = np.iinfo(np.int64).min
    return Reading(seconds, wrong, "a number of seconds since 1970 (divide milliseconds by 1000)")


def _look_like_days(seconds: np.ndarray) -> bool:
    """Tell whether numbers are days written as 20180401; twenty different seconds are not so by chance."""
    if not len(seconds) or seconds.min() < 19_000_101 or seconds.max() > 21_001_231:
        return False
    days = np.unique(seconds)
    month, day = days // 100 % 100, days % 100
    return len(days) >= 20 and bool(np.all((month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)))


def _seconds(moments: np.ndarray) -> np.ndarray:
    return moments.astype("datetime64[s]").astype(np.int64)


def _moment(cell: object) -> datetime | None:
    """Return an ISO date as UTC without zone; None when it is none (bare digits are seconds, not a date)."""
    text = str(cell).strip()
    try:
        moment = None if text.isdigit() else datetime.fromisoformat(text)
        return moment if moment is None or moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def _texts(cells: np.ndarray, absent: np.ndarray) -> np.ndarray:
    plain = cells.tolist() if cells.dtype.kind in "iufb" else cells
    return np.array(["" if gone else _text(cell) for cell, gone in zip(plain, absent, strict=True)], dtype=object)


def _text(cell: object) -> str:
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    return str(cell).strip()


def _first(wrong: np.ndarray, cells: np.ndarray, expected: str) -> list[str]:
    rows = np.flatnonzero(wrong)
    if not len(rows):
        return []
    more = f" (and {len(rows) - 1:,} more {'row' if len(rows) == 2 else 'rows'})" if len(rows) > 1 else ""
    return [f"row {rows[0] + 1}: found {_shown(cells[rows[0]])}{more}, expected {expected}"]


def _shown(cell: object) -> str:
    text = str(cell)
    short = text if len(text) <= 40 else text[:37] + "..."
    return repr(short) if isinstance(cell, str) else short
