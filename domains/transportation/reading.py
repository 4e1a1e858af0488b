"""A network's files in: readings of any layout, cleaned and on a regular grid, and which sensors are neighbours."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...shared.domain import Progress, Request
from ...shared.errors import ConfigError, ContractError, SourceError, nearest
from .adjacency import Wanted, read_adjacency
from .archives import read_archive
from .clock import interval_text, moment_text, parse_interval, parse_moment
from .config import DataSettings, TrafficConfig
from .contract import CONTRACT
from .grid import Grid, grid_without_times, lay, lay_long, make_grid
from .hdf5 import ENDINGS as HDF5_ENDINGS
from .hdf5 import read_hdf5
from .long import LongRows, is_long, long_rows
from .missing import without_impossible
from .readings import Readings
from .sheet import open_sheet
from .wide import Rows, wide_rows

MIN_STEPS = 50
"""Fewer cannot be trained on, judged and kept apart."""
PICKLES = (".pkl", ".pickle", ".joblib")


def load(request: Request, config: TrafficConfig, /, *, report: Progress) -> Readings:
    """Read a network's files.

    The layout is recognised by the file's ending, and in tables by their columns: one that names the sensor makes a
    long table. Which layout it was is in the notes.

    Args:
        request: ``path`` of a wide or long table (CSV or Parquet), of a ``.npz`` or of an HDF5 file; ``columns`` and
            ``exclude`` as in ``contract``.
        config: what times, codes and neighbours mean.
        report: receives what was read.

    Raises:
        SourceError: a file cannot be read.
        ContractError: the files break their contracts, contradict the settings, or hold too little.
        ConfigError: columns are named where there are none.
    """
    if request.path is None:
        raise ContractError("No data were given. Name them with --data PATH.")
    rows, layout = _rows(request.path, request, config.data)
    values, grid, said = _on_grid(rows, config.data)
    sensors, values = _without_excluded(rows, values, request)
    weights, neighbours = _weights(sensors, request, config.data)
    _require_enough(request.path, values, grid)
    notes = (
        f"{layout}: {len(sensors):,} sensors, {grid.num_steps:,} steps of {interval_text(grid.interval)} from "
        f"{moment_text(grid.start)} to {moment_text(grid.start + (grid.num_steps - 1) * grid.interval)}",
        *rows.notes,
        *said,
        *grid.notes,
        *_silence(values, sensors),
        *neighbours,
    )
    report(f"{grid.num_steps:,} steps of {interval_text(grid.interval)}, {len(sensors):,} sensors")
    return Readings(
        start=grid.start,
        interval=grid.interval,
        values=values,
        sensors=sensors,
        unit=config.data.unit,
        weights=weights,
        source=rows.source,
        fingerprint=rows.fingerprint,
        notes=notes,
    )


# === Layouts ===


def _rows(path: Path, request: Request, settings: DataSettings) -> tuple[Rows | LongRows, str]:
    """Return the readings as they stand in the file, and the name of its layout."""
    name = path.name.lower()
    if name.endswith(PICKLES):
        raise SourceError(
            f"{path} is a pickle, which can run foreign code and is not read. Export it as CSV or Parquet."
        )
    if name.endswith((".npz", *HDF5_ENDINGS)):
        if not path.is_file():
            raise SourceError(f"{path} is no file. Check the path.")
        if request.columns:
            raise ConfigError(f"--columns names columns of a table, but {path} holds an array. Leave it out.")
        rows = read_archive(path, feature=settings.feature) if name.endswith(".npz") else read_hdf5(path)
        for unknown in (sensor for sensor in request.exclude if sensor not in rows.sensors):
            raise ContractError(f"--exclude {unknown}: {path} has no such sensor.{nearest(unknown, rows.sensors)}")
        return rows, "array in .npz" if name.endswith(".npz") else "HDF5 table"
    sheet = open_sheet(path)
    if is_long(sheet, request.columns, request.exclude):
        return long_rows(sheet, columns=request.columns, exclude=request.exclude), "long table"
    return wide_rows(sheet, columns=request.columns, exclude=request.exclude), "wide table"


def _on_grid(rows: Rows | LongRows, settings: DataSettings) -> tuple[np.ndarray, Grid, list[str]]:
    """Return float32 (step, sensor), their grid, and what was changed."""
    interval = None if settings.interval is None else parse_interval(settings.interval)
    start = None if settings.start is None else parse_moment(settings.start)
    bounds = {"code": settings.missing_code, "low": settings.low, "high": settings.high}
    if isinstance(rows, LongRows):
        value, said = without_impossible(rows.value, **bounds)
        grid = make_grid(rows.clock, interval=interval, start=start, group=rows.sensor)
        laid, more = lay_long(grid, rows.sensor, value, len(rows.sensors), aggregate=settings.aggregate)
        return laid, grid, said + more
    values, said = without_impossible(rows.values, **bounds)
    if rows.clock is None:
        grid = grid_without_times(len(values), interval=interval, start=start)
    else:
        grid = make_grid(rows.clock, interval=interval, start=start)
    laid, more = lay(grid, values, aggregate=settings.aggregate)
    return laid, grid, said + more


def _without_excluded(
    rows: Rows | LongRows, values: np.ndarray, request: Request
) -> tuple[tuple[str, ...], np.ndarray]:
    """Leave out the sensors that ``exclude`` names; in a wide table they are columns, and gone already."""
    kept = [place for place, name in enumerate(rows.sensors) if name not in request.exclude]
    if not kept:
        raise ContractError("--exclude names every sensor. Leave some in.")
    if len(kept) == len(rows.sensors):
        return rows.sensors, values
    return tuple(rows.sensors[place] for place in kept), values[:, kept]


def _weights(sensors: tuple[str, ...], request: Request, settings: DataSettings) -> tuple[np.ndarray, list[str]]:
    if settings.adjacency is None:
        return np.zeros((0, 0), dtype=np.float32), ["no adjacency: no sensor is told what its neighbours read"]
    wanted = Wanted(sensors, request.exclude, settings.adjacency_kind, settings.kernel_cutoff)
    return read_adjacency(settings.adjacency, wanted)


# === Enough to learn from ===


def _require_enough(path: Path, values: np.ndarray, grid: Grid) -> None:
    """Refuse what nothing can be learned from.

    Raises:
        ContractError: too few steps, no reading, or one value only; all that holds is told.
    """
    problems = []
    if grid.num_steps < MIN_STEPS:
        problems.append(f"found {grid.num_steps:,} steps, expected at least {MIN_STEPS}, and for honest figures weeks")
    low, high = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
    if np.isnan(low):
        problems.append(
            "every sensor is silent: there is no reading. Are data.missing_code, data.low and data.high right?"
        )
    elif low == high:
        problems.append(f"every reading is {low:g}: there is nothing to forecast. Were the right columns read?")
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise ContractError(f"{path} does not keep the contract of {CONTRACT.name}:\n{listed}")


def _silence(values: np.ndarray, sensors: tuple[str, ...]) -> list[str]:
    missing = np.isnan(values)
    silent = [sensors[place] for place in np.flatnonzero(missing.all(axis=0))]
    notes = [f"{missing.mean():.2%} of the readings are missing"] if missing.any() else []
    if silent:
        more = f" and {len(silent) - 10:,} more" if len(silent) > 10 else ""
        notes.append(f"{len(silent):,} sensors have no reading at all: {', '.join(map(repr, silent[:10]))}{more}")
    return notes
