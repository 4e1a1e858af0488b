"""Wide tables: a row for each time, a column for each sensor. The same reader serves training and device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...shared.columns import MISSING_TEXT
from ...shared.contract import Contract
from ...shared.errors import ContractError, nearest
from ...shared.tables import RawTable
from .clock import EARLIEST, Clock, parse_moment, read_clock
from .contract import CONTRACT
from .sheet import UNNAMED_TIME, Sheet, open_sheet

TIME_NAMES = ("time", "timestamp", "datetime", "date_time", "date", UNNAMED_TIME)
MAX_SENSORS = 10_000
LONGEST_NAME = 200
"""Letters of a sensor's name, which a device file must hold."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Readings as they stand in a file, before they are put on a grid.

    Attributes:
        values: float32 (row, sensor); NaN is missing.
        sensors: their names.
        clock: the times of the rows; ``None`` where the file has none.
        source, fingerprint, notes: where they come from, and what was assumed.
    """

    values: np.ndarray
    sensors: tuple[str, ...]
    clock: Clock | None
    source: str
    fingerprint: str
    notes: tuple[str, ...] = ()


def read_wide(path: Path, *, columns: Mapping[str, str] | None = None, exclude: Sequence[str] = ()) -> Rows:
    """Read a wide CSV or Parquet file.

    Args:
        path: the file.
        columns: role (``time``) to the file's own column name.
        exclude: columns to leave out.

    Raises:
        SourceError: the file cannot be read.
        ContractError: something in it is no reading or no time; all problems are listed.
    """
    return wide_rows(open_sheet(path), columns=columns or {}, exclude=exclude)


def wide_rows(sheet: Sheet, *, columns: Mapping[str, str], exclude: Sequence[str]) -> Rows:
    """Read an open table as :func:`read_wide` does."""
    own = find_roles(sheet, columns, exclude, required=())
    time, notes = _time_column(sheet, own, exclude)
    sensors = tuple(name for name in sheet.names if name != time and name not in exclude)
    problems = list(wrong_sensors(sensors)) + _without_header(sheet, sensors)
    if problems:
        raise_problems(sheet.source, problems)
    cells = sheet.read([time] if time else [], sensors)
    problems, clock = _hinted(sheet, sensors, cells.problems), None
    if time:
        clock, found = read_clock(cells.words[0])
        problems = [*(f"column {time!r}: {problem}." for problem in found), *problems]
    if problems:
        raise_problems(sheet.source, problems)
    notes = [*sheet.notes, *notes, *(clock.notes if clock else ())]
    return Rows(cells.values, sensors, clock, sheet.source, sheet.fingerprint, tuple(notes))


def raise_problems(source: str, problems: Sequence[str]) -> None:
    """Refuse data.

    Raises:
        ContractError: lists the first 50 ``problems``.
    """
    shown = [f"  - {problem}" for problem in problems[:50]]
    if len(problems) > 50:
        shown.append(f"  - … and {len(problems) - 50:,} more")
    raise ContractError(f"{source} does not keep the contract of {CONTRACT.name}:\n" + "\n".join(shown))


def find_roles(
    sheet: Sheet, columns: Mapping[str, str], exclude: Sequence[str], *, required: Sequence[str]
) -> dict[str, str]:
    """Return role to column, as the user named them or as they are called.

    Raises:
        ContractError: a role or a column that was named does not exist, or a required role has no column.
    """
    empty = RawTable({name: np.zeros(0, dtype=object) for name in sheet.names}, sheet.source)
    contract = Contract(CONTRACT.name, CONTRACT.roles, CONTRACT.beside)
    return contract.check(empty, mapping=columns, exclude=exclude, required=required, features=()).mapping


def wrong_sensors(sensors: Sequence[str]) -> list[str]:
    """Return what is wrong with the names of sensors."""
    unfit = [name for name in sensors if not name or len(name) > LONGEST_NAME or not name.isprintable()]
    problems = [] if sensors else ["there is no column of a sensor. Expected one for each sensor beside the times"]
    if len(sensors) > MAX_SENSORS:
        problems.append(f"found {len(sensors):,} sensors, expected at most {MAX_SENSORS:,}")
    if unfit:
        problems.append(
            f"{len(unfit):,} names of sensors cannot be used, such as {unfit[0][:40]!r}. Expected 1 to {LONGEST_NAME} "
            "letters on one line"
        )
    return problems


# === The column of times ===


def _time_column(sheet: Sheet, own: Mapping[str, str], exclude: Sequence[str]) -> tuple[str, list[str]]:
    """Return the column of times, empty where there is none, and what was assumed."""
    if "time" in own:
        return own["time"], []
    left = [name for name in sheet.names if name not in exclude]
    named = [name for wanted in TIME_NAMES for name in left if name.lower() == wanted]
    dated = [name for name in left[:1] if _is_date(sheet.first.get(name, "")) or _is_second(sheet.first.get(name, ""))]
    if named or dated:
        name = (*named, *dated)[0]
        return name, [f"{'the first column' if name == UNNAMED_TIME else f'column {name!r}'} is taken for the times"]
    hint = nearest("timestamp", left[:1])
    return "", [f"no column holds times.{hint} If so: --columns time=…"] if hint else []


def _is_date(cell: str) -> bool:
    try:
        return len(cell) >= 8 and bool(parse_moment(cell))
    except ValueError:  # a ConfigError is one
        return False


def _is_second(cell: str) -> bool:
    """Tell seconds (or milliseconds, which are told as a fault) since 1970 from readings, which are never so large."""
    number = _number(cell)
    return number is not None and number >= EARLIEST


# === What looks like something else ===


def _without_header(sheet: Sheet, sensors: Sequence[str]) -> list[str]:
    """Recognise readings in the place of names: the first line of a file without a header."""
    numbers = [_number(name) for name in sensors]
    broken = [name for name, number in zip(sensors, numbers, strict=True) if number is not None and number % 1]
    if any(map(_is_date, sheet.names)) or (broken and None not in numbers):
        shown = ", ".join(sheet.names[:3])
        return [
            f"the first line ({shown}{' …' if len(sheet.names) > 3 else ''}) holds readings. Expected the sensors' "
            "names; put a line with them before it"
        ]
    return []


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _hinted(sheet: Sheet, sensors: Sequence[str], problems: list[str]) -> list[str]:
    """Add how to go on where a column holds words throughout."""
    worded = [name for name in sensors if _is_word(sheet.first[name])]
    if not problems or not worded:
        return problems
    return [
        *problems,
        f"column {worded[0]!r} may be no sensor. Leave it out with --exclude; or, if each row is one reading of one "
        "sensor: --columns time=… sensor=… value=…",
    ]


def _is_word(cell: str) -> bool:
    """Tell a word, or a time of the day, from a number that is miswritten."""
    told = cell.strip().lower() not in MISSING_TEXT and _number(cell) is None
    return told and (":" in cell or not any(map(str.isdigit, cell)))
