"""Readings in an HDF5 file that pandas wrote in its fixed format, laid out as METR-LA and PEMS-BAY.

A group (``df``, ``speed``) holds ``axis0`` (columns), ``axis1`` (index) and, for each kind of number, ``block0_items``
and ``block0_values``. The arrays are read directly, without pandas; nothing is unpickled and no other
file is followed to.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from ...shared.errors import ContractError, SourceError, require
from ...shared.files import sha256
from .clock import Clock, Words, read_clock
from .number_text import MAX_CELLS
from .sheet import coded, require_distinct
from .wide import MAX_SENSORS, Rows, raise_problems, wrong_sensors

USUAL_GROUPS = ("df", "speed", "data")
ENDINGS = (".h5", ".hdf5", ".hdf")


def read_hdf5(path: Path) -> Rows:
    """Read the table of readings in an HDF5 file.

    Raises:
        SourceError: the file is no HDF5 file, or damaged.
        ContractError: it holds no such table, several, or one that holds no numbers.
        MissingExtraError: without the ``train`` extra.
    """
    hdf5 = require("h5py", extra="train")
    if not path.is_file() or not path.stat().st_size:
        raise SourceError(f"No readable file at {path}. Expected an HDF5 file.")
    try:
        with hdf5.File(path, "r") as file:
            group, notes = _group(path, file)
            return _rows(path, group, notes)
    except (ContractError, SourceError):
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise SourceError(f"{path} cannot be read as HDF5: {str(error)[:200]}. Copy or export it again.") from error


def _group(path: Path, file: Any) -> tuple[Any, list[str]]:
    """Return the group of the table: the usual name first, else the only one."""
    found = [name for name in file if _is_plain(file, name) and "block0_values" in getattr(file[name], "keys", tuple)()]
    usual = [name for name in USUAL_GROUPS if name in found]
    if len(found) > 1 and not usual:
        raise ContractError(
            f"{path} holds several tables: {', '.join(found[:10])}. Expected one; write it to its own file."
        )
    if not found:
        inside = ", ".join(list(file)[:10]) or "nothing"
        raise ContractError(
            f"{path} holds no table in the fixed format of pandas (found: {inside}). Expected a file as METR-LA's; "
            'write it with frame.to_hdf(path, key="df", format="fixed"), or as CSV.'
        )
    chosen = (usual or found)[0]
    return file[chosen], [f"read from the group {chosen!r}; others are left out"] if len(found) > 1 else []


def _is_plain(group: Any, name: str) -> bool:
    """Tell whether a name stands for something in this very file."""
    return type(group.get(name, getlink=True)).__name__ == "HardLink"


def _rows(path: Path, group: Any, notes: list[str]) -> Rows:
    sensors = coded(_texts(_array(path, group, "axis0")))
    names = tuple(sensors.distinct[code] for code in sensors.codes)
    require_distinct(str(path), names)
    problems = wrong_sensors(names)
    clock, found = _clock(path, group)
    if problems or found:
        raise_problems(str(path), [*problems, *(f"axis1 (the times): {problem}." for problem in found)])
    values = _values(path, group, names)
    if clock is not None:
        notes = [*notes, *clock.notes]
    return Rows(values, names, clock, str(path), sha256(path), tuple(notes))


def _array(path: Path, group: Any, name: str, *, most: int = MAX_CELLS) -> np.ndarray:
    """Read one array of numbers or fixed texts that is not too large and stands in this file."""
    if name not in group or not _is_plain(group, name) or not hasattr(group[name], "dtype"):
        raise ContractError(f"{path}: the array {group.name}/{name} is missing. Expected the fixed format of pandas.")
    data = group[name]
    if data.dtype.kind == "O" or data.is_virtual or data.external:
        raise ContractError(
            f"{path}: {group.name}/{name} holds Python objects or points to other files, which is not read. Write the "
            "table as CSV, with sensors' names as text or whole numbers."
        )
    if data.size > most:
        raise ContractError(f"{path}: {group.name}/{name} holds {data.size:,} values, expected at most {most:,}.")
    return np.asarray(data[()])


def _texts(array: np.ndarray) -> np.ndarray:
    return np.char.decode(array, "utf-8", "replace").astype(object) if array.dtype.kind == "S" else array


def _clock(path: Path, group: Any) -> tuple[Clock | None, list[str]]:
    """Return the times of the rows; ``None`` where the index holds row numbers."""
    index = _array(path, group, "axis1")
    kind = _text(group["axis1"].attrs.get("kind", ""))
    if kind.startswith("datetime64"):
        unit = kind if "[" in kind else "datetime64[ns]"  # before pandas kept the unit
        moments = index.astype(np.int64).view(unit)
        return read_clock(coded(moments, _text(group["axis1"].attrs.get("tz", ""))))
    if kind == "string" or index.dtype.kind == "S":
        return read_clock(coded(_texts(index)))
    words: Words = coded(index)
    clock, found = read_clock(words)
    return (None, []) if found else (clock, [])


def _text(value: Any) -> str:
    """Return an attribute as text; a pickled one (which is not read) as none."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text if text.isprintable() and len(text) < 100 and not text.startswith("h5py.") else ""


def _values(path: Path, group: Any, names: tuple[str, ...]) -> np.ndarray:
    """Return float32 (row, sensor) from the blocks, each of which holds some of the sensors."""
    rows = group["axis1"].shape[0]
    if rows * len(names) > MAX_CELLS or not rows:
        raise ContractError(f"{path} holds {rows:,} rows of {len(names):,}; expected 1 to {MAX_CELLS:,} readings.")
    values = np.full((rows, len(names)), np.nan, dtype=np.float32)
    place = {name: column for column, name in enumerate(names)}
    filled: set[str] = set()
    for number in count():
        if f"block{number}_values" not in group:
            break
        items = coded(_texts(_array(path, group, f"block{number}_items", most=MAX_SENSORS)))
        own = [items.distinct[code] for code in items.codes]
        block = _array(path, group, f"block{number}_values")
        if block.shape != (rows, len(own)) and block.shape == (len(own), rows):
            block = block.T
        if block.shape != (rows, len(own)) or block.dtype.kind not in "iuf" or not set(own) <= set(place):
            raise ContractError(
                f"{path}: {group.name}/block{number}_values holds {block.dtype} {block.shape}, expected numbers of the "
                f"shape ({rows}, {len(own)}) for sensors of axis0."
            )
        with np.errstate(over="ignore"):
            values[:, [place[name] for name in own]] = block
        filled |= set(own)
    if len(filled) < len(names):
        raise ContractError(f"{path}: {len(names) - len(filled):,} sensors of axis0 have no numbers in any block.")
    return values
