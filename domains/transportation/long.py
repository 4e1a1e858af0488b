"""Long tables: a row for each reading, with its time, its sensor and its value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...shared.columns import MISSING_TEXT
from ...shared.errors import ContractError
from .clock import Clock, Words, read_clock
from .sheet import Sheet
from .wide import TIME_NAMES, find_roles, raise_problems, wrong_sensors

SENSOR_NAMES = ("sensor", "sensor_id", "detector", "detector_id", "station", "station_id")
VALUE_NAME = "value"


@dataclass(frozen=True, eq=False)
class LongRows:
    """Single readings as they stand in a file.

    Attributes:
        value: float32 (row,); NaN is missing.
        sensor: int64 (row,) positions in ``sensors``.
        sensors: their names in order of first appearance.
        clock: the times of the rows.
        source, fingerprint, notes: where they come from, and what was assumed.
    """

    value: np.ndarray
    sensor: np.ndarray
    sensors: tuple[str, ...]
    clock: Clock
    source: str
    fingerprint: str
    notes: tuple[str, ...] = ()


def is_long(sheet: Sheet, columns: Mapping[str, str], exclude: Sequence[str]) -> bool:
    """Tell whether a row of a table is one reading: a column names the sensor."""
    names = {name.lower() for name in sheet.names if name not in exclude}
    return "sensor" in columns or "value" in columns or any(name in names for name in SENSOR_NAMES)


def long_rows(sheet: Sheet, *, columns: Mapping[str, str], exclude: Sequence[str]) -> LongRows:
    """Read an open long table.

    Args:
        sheet: the table.
        columns: role to the file's own column name.
        exclude: columns to leave out.

    Raises:
        ContractError: a column is missing, or a cell is no time, no sensor or no number; all problems are listed.
    """
    guessed = _guessed(sheet, columns, exclude)
    own = find_roles(sheet, {**guessed, **columns}, exclude, required=("time", "sensor", "value"))
    cells = sheet.read([own["time"], own["sensor"]], [own["value"]])
    times, names = cells.words
    clock, found = read_clock(times)
    problems = [f"column {own['time']!r}: {problem}." for problem in found]
    problems += [f"column {own['sensor']!r}: {problem}" for problem in _nameless(names)]
    problems += [*wrong_sensors([name for name in names.distinct if name]), *cells.problems]
    if problems:
        raise_problems(sheet.source, problems)
    left = [name for name in sheet.names if name not in own.values() and name not in exclude]
    told = [f"column {name!r} is taken for the role {role!r}" for role, name in guessed.items() if role not in columns]
    if left:
        told.append(f"columns that play no role are left out: {', '.join(map(repr, left[:10]))}")
    sensor, sensors = _ordered(names)
    notes = (*sheet.notes, *told, *clock.notes)
    return LongRows(cells.values[:, 0], sensor, sensors, clock, sheet.source, sheet.fingerprint, notes)


def _guessed(sheet: Sheet, columns: Mapping[str, str], exclude: Sequence[str]) -> dict[str, str]:
    """Return role to column for columns with a usual name, and for the only one that is left."""
    free = {name.lower(): name for name in reversed(sheet.names) if name not in (*exclude, *columns.values())}
    guessed: dict[str, str] = {}
    for role, wanted in (("time", TIME_NAMES), ("sensor", SENSOR_NAMES)):
        found = [free[name] for name in wanted if name in free]
        if found and role not in columns and found[0] != role:
            guessed[role] = found[0]
    others = [name for name in free.values() if name not in (*guessed.values(), "time", "sensor")]
    if VALUE_NAME not in columns and VALUE_NAME not in free.values() and len(others) == 1:
        guessed[VALUE_NAME] = others[0]
    return guessed


def _nameless(names: Words) -> list[str]:
    absent = np.array([name.lower() in MISSING_TEXT for name in names.distinct], dtype=bool)
    return [f"{names.place(absent)}, expected the name of a sensor."] if absent.any() else []


def _ordered(names: Words) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return codes and names by first appearance; two spellings of one name are one sensor."""
    code = {name: place for place, name in enumerate(dict.fromkeys(names.distinct))}
    codes = np.array([code[name] for name in names.distinct], dtype=np.int64)[names.codes]
    first = np.full(len(code), len(codes), dtype=np.int64)
    np.minimum.at(first, codes, np.arange(len(codes)))
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    every = list(code)
    if not every:
        raise ContractError("There is no sensor. Expected at least one row with a reading.")
    return rank[codes], tuple(every[place] for place in order)
