"""Which sensors are neighbours: a matrix, a list of roads with weights, or distances, as one matrix of weights.

A row of the matrix is told about, a column tells: a road leads from the row's sensor to the column's, and what happens
ahead tells most about what comes, for queues grow against the traffic. Published matrices are filled in this way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...shared.errors import ContractError, SourceError, nearest
from ...shared.files import sha256
from ...shared.tables import CSV_ENDINGS, read_text
from .clock import Words
from .number_text import TextTable, open_text, read_body

FROM_NAMES = ("from", "source", "src", "origin", "start")
TO_NAMES = ("to", "target", "dst", "destination", "end")
WEIGHT_NAMES = ("weight", "w", "value", "connection", "adjacency")
DISTANCE_NAMES = ("distance", "dist", "cost", "length", "metres", "meters", "km", "miles")
SHOWN = 5


class Ends(NamedTuple):
    """The columns of a list: from, to, the number (none: every connection weighs 1), and whether it is a distance."""

    begin: int
    end: int
    number: int | None
    distances: bool


@dataclass(frozen=True)
class Wanted:
    """What an adjacency must fit.

    Attributes:
        sensors: of the readings, in their order.
        left_out: sensors that were left out on purpose; what is said about them is left out too.
        kind: ``auto``, ``matrix``, ``edges`` or ``distances``.
        cutoff: of the kernel, see :func:`kernel`.
    """

    sensors: tuple[str, ...]
    left_out: Collection[str] = ()
    kind: str = "auto"
    cutoff: float = 0.1


def read_adjacency(path: Path, wanted: Wanted) -> tuple[np.ndarray, list[str]]:
    """Read weights between sensors.

    Args:
        path: a CSV file: a square matrix, without a header in the order of the sensors, or with their names in any
            order; or a list with the columns from, to and weight or distance.
        wanted: the sensors, and how the file is to be understood.

    Returns:
        float32 (sensor, sensor) ≥ 0 with a diagonal of 0, and what to tell.

    Raises:
        SourceError: the file cannot be read.
        ContractError: it does not fit the sensors, or holds what is no weight; all problems are listed.
    """
    if not path.name.lower().endswith(CSV_ENDINGS):
        advice = " A pickle can run foreign code and is not read." if path.suffix.lower() in (".pkl", ".pickle") else ""
        raise SourceError(
            f"{path}: unknown kind of adjacency.{advice} Expected a text table (.csv): a matrix or a list."
        )
    table = open_text(read_text(path), str(path))
    ends = _ends(table.first)
    listed = ends is not None and (len(wanted.sensors) != len(table.first) or set(wanted.sensors) != set(table.first))
    if listed != (wanted.kind == "edges") and wanted.kind in ("edges", "matrix"):
        expected = "a list with the columns from, to and weight" if wanted.kind == "edges" else "a square matrix"
        raise ContractError(
            f"{path} is not of the kind data.adjacency_kind = {wanted.kind}: its first line is "
            f"{', '.join(table.first[:4])[:80]}. Expected {expected}."
        )
    if listed and ends is not None:
        weights, notes = _from_list(table, ends, wanted)
    else:
        weights, notes = _from_matrix(table, wanted)
    return _finished(weights), [f"neighbours from {path.name} (sha256 {sha256(path)[:12]})", *notes, *_notes(weights)]


def kernel(distances: np.ndarray, *, cutoff: float) -> np.ndarray:
    """Return weights exp(-d²/σ²) of distances, 0 where that is below ``cutoff`` or ``d`` is infinite.

    σ is the standard deviation of all finite distances, those of a sensor to itself among them.

    Args:
        distances: float (sensor, sensor), 0 or more; infinite where no road leads.
        cutoff: smallest weight that is kept.

    Source: Li et al. 2018, ICLR (DCRNN), §4.
    """
    known = np.isfinite(distances)
    spread = float(distances[known].std()) if known.any() else 0.0
    near = np.zeros(distances.shape)
    near[known] = np.exp(-np.square(distances[known] / (spread or 1.0)))
    return np.where(near >= cutoff, near, 0.0)


def _finished(weights: np.ndarray) -> np.ndarray:
    finished = weights.astype(np.float32)
    np.fill_diagonal(finished, 0.0)
    return finished


def _notes(weights: np.ndarray) -> list[str]:
    away = _finished(weights)
    count, lonely = int((away > 0).sum()), int(((away > 0).sum(axis=1) + (away > 0).sum(axis=0) == 0).sum())
    notes = [f"{count:,} connections between {len(away):,} sensors"]
    if lonely:
        notes[0] += f"; {lonely:,} of them {'has' if lonely == 1 else 'have'} none"
    if np.diagonal(weights).any():
        notes.append("weights of a sensor to itself are dropped")
    if not np.allclose(away, away.T, rtol=1e-4, atol=1e-6):
        notes.append("weights differ by direction: the row is told about, the column tells")
    return notes


def _refuse(source: str, problems: Sequence[str]) -> None:
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise ContractError(f"{source} is no adjacency of these sensors:\n{listed}")


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more


# === Matrices ===


def _from_matrix(table: TextTable, wanted: Wanted) -> tuple[np.ndarray, list[str]]:
    distances, header = wanted.kind == "distances", _has_header(table, wanted)
    labelled = header and len(table.first) > 1 and _is_label(table, wanted)
    body = read_body(table, words=[0] if labelled else [], header=header)
    values = body.values.astype(np.float64)
    names = list(table.first[labelled:] if header else wanted.sensors)
    rows = [body.words[0].distinct[code] for code in body.words[0].codes] if labelled else names
    titles = table.first if header else [str(column + 1) for column in range(len(table.first))]
    problems = _wrong_size(values.shape, len(names), header)
    problems += body.faults.told(titles, expected="a distance" if distances else "a weight")
    problems += _wrong_names("columns", names, wanted) + (_wrong_names("rows", rows, wanted) if labelled else [])
    problems += _wrong_weights(values, {column - labelled: None for column in body.faults.seen}, distances)
    _refuse(table.source, problems)
    notes = []
    if not header:
        notes.append("the matrix names no sensors: its rows and columns are taken in the order of the readings")
    elif names != list(wanted.sensors) or rows != names:
        notes.append("the matrix has its sensors in another order and is sorted by their names")
    row, column = ({name: place for place, name in enumerate(found)} for found in (rows, names))
    sorted_values = values[np.ix_([row[name] for name in wanted.sensors], [column[name] for name in wanted.sensors])]
    if distances:
        return kernel(sorted_values, cutoff=wanted.cutoff), [*notes, _kernel_note(wanted)]
    return sorted_values, notes


def _wrong_size(shape: tuple[int, ...], size: int, header: bool) -> list[str]:
    if shape == (size, size):
        return []
    hint = " Its first line was not taken for sensors' names" if not header and shape == (size + 1, size) else ""
    return [f"found {shape[0]:,} rows of {shape[1]:,} weights, expected {size:,} rows of {size:,}.{hint}"]


def _has_header(table: TextTable, wanted: Wanted) -> bool:
    """Tell names from weights in the first line; sensors may be called by numbers."""
    own = {*wanted.sensors, *wanted.left_out}
    if not all(map(_is_weight, table.first)):
        return True
    return len(own & set(table.first)) * 2 > len(table.first) and len(set(table.first)) == len(table.first)


def _is_label(table: TextTable, wanted: Wanted) -> bool:
    """Tell whether the first column holds names: its own name is empty or none of a sensor, and its cells are some."""
    second = table.second()
    return table.first[0] not in wanted.sensors and (
        not table.first[0] or (bool(second) and (second[0] in wanted.sensors or not _is_weight(second[0])))
    )


def _is_weight(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return cell.lower() in ("na", "null", "none")
    return True


def _wrong_names(where: str, names: list[str], wanted: Wanted) -> list[str]:
    known, found = {*wanted.sensors, *wanted.left_out}, set(names)
    unknown = [name for name in dict.fromkeys(names) if name not in known]
    missing = [name for name in wanted.sensors if name not in found]
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1] if len(found) < len(names) else []
    told = []
    if unknown:
        told.append(f"{where} name {len(unknown):,} unknown sensors: {_named(unknown)}.{nearest(unknown[0], known)}")
    if missing:
        told.append(f"{where} lack {len(missing):,} sensors of the readings: {_named(missing)}")
    if repeated:
        told.append(f"{where} repeat {len(repeated):,} names: {_named(repeated)}")
    return told


def _wrong_weights(values: np.ndarray, faults: Mapping[int, object], distances: bool) -> list[str]:
    """Tell negative, missing and infinite entries, the first place of each; those that are no numbers are told."""
    tests = [("missing", np.isnan(values)), ("negative", values < 0)]
    tests += [] if distances else [("infinite", np.isposinf(values))]
    told = []
    for why, found in tests:
        numbers = ~np.isin(np.arange(values.shape[1]), list(faults)) if why == "missing" else True
        wrong = found & numbers
        if wrong.any():
            row, column = (int(place[0]) for place in np.nonzero(wrong))
            told.append(
                f"{int(wrong.sum()):,} {'entry is' if wrong.sum() == 1 else 'entries are'} {why}, the first in row "
                f"{row + 1}, column {column + 1} ({values[row, column]:g}). Expected 0 or more"
            )
    return told


# === Lists ===


def _ends(first: Sequence[str]) -> Ends | None:
    """Return the columns of a list of connections; ``None`` where the first line names none."""
    lower = [name.lower() for name in first]
    begin = [place for place, name in enumerate(lower) if name.removesuffix("_id") in FROM_NAMES]
    end = [place for place, name in enumerate(lower) if name.removesuffix("_id") in TO_NAMES]
    if not begin or not end:
        return None
    others = [place for place in range(len(first)) if place not in (begin[0], end[0])]
    for names, distances in ((WEIGHT_NAMES, False), (DISTANCE_NAMES, True)):
        for place in others:
            if lower[place] in names:
                return Ends(begin[0], end[0], place, distances)
    return Ends(begin[0], end[0], others[0] if others else None, False)


def _from_list(table: TextTable, ends: Ends, wanted: Wanted) -> tuple[np.ndarray, list[str]]:
    distances = wanted.kind == "distances" or (wanted.kind == "auto" and ends.distances)
    if ends.number is None and distances:
        _refuse(table.source, ["there is no column of distances. Expected the columns from, to, distance"])
    others = [place for place in range(len(table.first)) if place not in ends[:3]]
    body = read_body(table, words=ends[:2], skip=others)
    value = body.values[:, 0].astype(np.float64) if ends.number is not None else np.ones(len(body.words[0].codes))
    code = {name: place for place, name in enumerate(wanted.sensors)}
    row, column = (
        np.array([code.get(name, -1) for name in words.distinct], np.int64)[words.codes] for words in body.words
    )
    known = (row >= 0) & (column >= 0)
    problems = body.faults.told(table.first, expected="a distance" if distances else "a weight")
    problems += _wrong_weights(value[:, None], {0: None} if body.faults.seen else {}, distances)
    wrong, notes = _strangers(body.words, wanted, distances)
    problems += wrong + _contradictions(row[known], column[known], value[known], wanted.sensors)
    _refuse(table.source, problems)
    filled = np.full((len(code), len(code)), np.inf if distances else 0.0)
    filled[row[known], column[known]] = value[known]
    if distances:
        return kernel(filled, cutoff=wanted.cutoff), [*notes, _kernel_note(wanted)]
    notes += (
        [] if ends.number is not None else [f"no column holds weights: each of {len(value):,} connections weighs 1"]
    )
    return filled, notes


def _strangers(columns: Sequence[Words], wanted: Wanted, distances: bool) -> tuple[list[str], list[str]]:
    """Return problems and notes about sensors that have no readings.

    They are an error, unless the list holds distances and knows every sensor of the readings: then it is one of a
    larger network, as published ones are.
    """
    known, found = {*wanted.sensors, *wanted.left_out}, {name for words in columns for name in words.distinct}
    unknown = [name for words in columns for name in words.distinct if name not in known]
    unknown = list(dict.fromkeys(unknown))
    untold = [name for name in wanted.sensors if name not in found]
    if not unknown:
        return [], []
    if distances and not untold:
        return [], [f"distances of {len(unknown):,} sensors without readings are left out"]
    problems = [f"it names {len(unknown):,} unknown sensors: {_named(unknown)}.{nearest(unknown[0], known)}"]
    if untold:
        problems.append(f"it does not name {len(untold):,} sensors of the readings: {_named(untold)}")
    return problems, []


def _contradictions(row: np.ndarray, column: np.ndarray, value: np.ndarray, sensors: Sequence[str]) -> list[str]:
    """Tell pairs that are named more than once with different numbers."""
    order = np.lexsort((value, column, row))
    row, column, value = row[order], column[order], value[order]
    same = (np.diff(row) == 0) & (np.diff(column) == 0) & (np.diff(value) != 0)
    if not same.any():
        return []
    place = int(np.flatnonzero(same)[0])
    return [
        f"{int(same.sum()):,} connections are named again with another number, the first from {sensors[row[place]]!r} "
        f"to {sensors[column[place]]!r} ({value[place]:g} and {value[place + 1]:g})"
    ]


def _kernel_note(wanted: Wanted) -> str:
    return (
        f"distances d become weights exp(-d²/σ²), σ their standard deviation, 0 below {wanted.cutoff:g} "
        "(data.kernel_cutoff)"
    )
