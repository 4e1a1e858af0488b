"""Forecasts in the roadside box: numpy and ai-edge-litert, no TensorFlow.

forecaster = TrafficForecaster("transportation.tflite")
forecast = forecaster.forecast(readings, at="2012-03-07T17:30")   # sensor to its last readings, any of them missing
for row in forecast.of("773869"):
    print(row.time, row.median, row.low, row.high)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ...shared.errors import ConfigError, ContractError, DeviceFileError, choose
from ...shared.spreadsheet import write_csv
from ...tflite_export.runtime import DeviceModel, load_model, require_domain
from . import features
from .clock import EARLIEST, LATEST, interval_text, moment_text, parse_moment
from .features import Plan
from .grid import lay, make_grid
from .masked_errors import HIGH, LOW, MEDIAN
from .wide import read_wide

NAME = "transportation"
COLUMNS = ("sensor", "time", "minutes", "median", "low", "high")

Moment = str | int | datetime
"""A time on the wall: an ISO date, seconds since 1970 as if the wall's clock were UTC, or a ``datetime``."""
Values = Sequence[float | None] | np.ndarray


@dataclass(frozen=True)
class Row:
    """What is expected of one sensor at one time; ``low`` to ``high`` holds the stated share of readings."""

    sensor: str
    time: str
    minutes: float
    median: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Forecast:
    """What is expected of every sensor.

    Attributes:
        at: seconds on the wall of the newest step that it was made from.
        sensors: own names.
        interval: seconds from step to step.
        median, low, high: float32 (horizon, sensor) in the unit of the readings.
    """

    at: int
    sensors: tuple[str, ...]
    interval: int
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def of(self, sensor: str) -> list[Row]:
        """Return one sensor's rows in order of time.

        Raises:
            ConfigError: there is no such sensor.
        """
        return list(self._rows(self.sensors.index(choose("sensor", str(sensor), self.sensors))))

    def rows(self) -> list[Row]:
        """Return all sensors' rows, sensor by sensor."""
        return [row for place in range(len(self.sensors)) for row in self._rows(place)]

    def _rows(self, place: int) -> Iterator[Row]:
        for step in range(len(self.median)):
            ahead = (step + 1) * self.interval
            values = (float(values[step, place]) for values in (self.median, self.low, self.high))
            yield Row(self.sensors[place], moment_text(self.at + ahead), ahead / 60, *values)


@dataclass(frozen=True)
class Suspicion:
    """A reading outside the band that was forecast for it: the road surprised, or the sensor errs."""

    sensor: str
    time: str
    reading: float
    low: float
    high: float


class TrafficForecaster:
    """Forecasts with a device file. Not safe to share between threads: make one per thread."""

    def __init__(self, source: str | Path, *, threads: int = 1) -> None:
        """Load and check the file.

        Raises:
            DeviceFileError: the file is damaged, or not one of this domain.
        """
        self.model: DeviceModel = load_model(Path(source), threads=threads)
        require_domain(self.model, NAME)
        self.plan = _plan(self.model)
        self.forget()

    def forecast(self, readings: Mapping[str, Values] | None = None, *, at: Moment | None = None) -> Forecast:
        """Return what is expected of every sensor.

        Args:
            readings: sensor to its last readings, newest last, in the file's unit; ``None`` or NaN is a missing one.
                Sensors may be left out and stand in any order; of longer lists the newest ``plan.window`` count, of
                shorter ones the beginning is missing. All lists end at ``at``. Left out: what was observed counts.
            at: time of the newest readings, needed with ``readings``; with observed ones the time to forecast from,
                the newest observed one if left out.

        Raises:
            ConfigError: a sensor is unknown.
            ContractError: a reading is no finite number, there is no time, or it lies before what was observed.
        """
        if readings is None:
            return self._run(*self._observed(at))
        if at is None:
            raise ContractError(
                "Found readings without a time. Name that of the newest ones: forecast(readings, at=…)."
            )
        window = np.full((self.plan.window, len(self.plan.sensors)), np.nan, dtype=np.float32)
        for sensor, values in readings.items():
            newest = _numbers(sensor, values)[-self.plan.window :]
            if len(newest):
                window[-len(newest) :, self._place(sensor)] = newest
        return self._run(window, self._step(at))

    def observe(self, readings: Mapping[str, float | None], at: Moment) -> tuple[Suspicion, ...]:
        """Take the readings of one step into the buffer; steps that were left out count as missing.

        Args:
            readings: sensor to reading; those left out are missing.
            at: their time, not before the step observed last.

        Returns:
            The readings outside the band that the steps before forecast for them.

        Raises:
            ConfigError: a sensor is unknown.
            ContractError: a reading is no finite number, or the time lies before the last one.
        """
        time = self._step(at)
        places = [self._place(sensor) for sensor in readings]
        found = np.array([_numbers(sensor, [value])[0] for sensor, value in readings.items()], dtype=np.float32)
        suspicions = self._suspicions(places, found, time)
        self._move_on(time)
        self._window[-1, places] = found
        return suspicions

    def forget(self) -> None:
        """Empty the buffer."""
        self._window = np.full((self.plan.window, len(self.plan.sensors)), np.nan, dtype=np.float32)
        self._newest: int | None = None

    def _run(self, window: np.ndarray, time: int) -> Forecast:
        found = self.model.predict(features.inputs(window[None], np.array([time]), self.plan))
        parts = (found[name][0] for name in (MEDIAN, LOW, HIGH))
        return Forecast(time, self.plan.sensors, self.plan.interval, *parts)

    def _observed(self, at: Moment | None) -> tuple[np.ndarray, int]:
        """Return the buffer as it is at a time, without moving it on."""
        if self._newest is None:
            raise ContractError("Nothing was observed yet. Call observe(readings, at) first, or give the readings.")
        time = self._newest if at is None else self._step(at)
        return self._shifted(time), time

    def _shifted(self, time: int) -> np.ndarray:
        """Return the buffer moved on to a time, with missing readings where nothing was observed.

        Raises:
            ContractError: the time lies before the newest readings.
        """
        if self._newest is None:
            return self._window
        steps = (time - self._newest) // self.plan.interval
        if steps < 0:
            raise ContractError(
                f"Found the time {moment_text(time)}, before the newest readings at {moment_text(self._newest)}. "
                "Expected times in their order; forget() begins anew."
            )
        moved = np.full_like(self._window, np.nan)
        kept = len(moved) - steps
        if kept > 0:
            moved[:kept] = self._window[steps:]
        return moved

    def _move_on(self, time: int) -> None:
        self._window, self._newest = self._shifted(time), time

    def _suspicions(self, places: list[int], found: np.ndarray, time: int) -> tuple[Suspicion, ...]:
        """Compare readings with what the buffer forecasts for their time, where it reaches so far."""
        if self._newest is None or not places:
            return ()
        ahead = (time - self._newest) // self.plan.interval
        if not 1 <= ahead <= self.plan.horizon:
            return ()
        forecast = self._run(self._window, self._newest)
        low, high = forecast.low[ahead - 1, places], forecast.high[ahead - 1, places]
        return tuple(
            Suspicion(
                self.plan.sensors[places[row]], moment_text(time), float(found[row]), float(low[row]), float(high[row])
            )
            for row in np.flatnonzero((found < low) | (found > high)).tolist()
        )

    def _place(self, sensor: str) -> int:
        place = self.plan.place_of.get(str(sensor))
        return self.plan.place_of[choose("sensor", str(sensor), self.plan.sensors)] if place is None else place

    def _step(self, at: Moment) -> int:
        """Return the beginning of the step that a time lies in."""
        return _seconds(at) // self.plan.interval * self.plan.interval


def _seconds(at: Moment) -> int:
    """Return the seconds on the wall.

    Raises:
        ConfigError: it is no time, or one that no clock shows: milliseconds, or a clock that was never set.
    """
    if isinstance(at, str):
        return parse_moment(at)
    try:
        seconds = int(at.replace(tzinfo=UTC).timestamp() if isinstance(at, datetime) else at)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(
            f"Not a time: {at!r:.80}. Expected an ISO date, seconds since 1970, or a datetime."
        ) from error
    if not EARLIEST <= seconds < LATEST:
        raise ConfigError(f"Expected a time from 1990 until 2100, as a number in seconds since 1970; got {at!r:.80}.")
    return seconds


def _numbers(sensor: str, values: Any) -> np.ndarray:
    """Return float32 (n,) readings.

    Raises:
        ContractError: one is neither missing nor a finite number.
    """
    try:
        with np.errstate(over="ignore"):
            found = np.array([np.nan if value is None else value for value in values], dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise ContractError(
            f"Sensor {sensor!r}: found {values!r:.80}, expected numbers, None where missing."
        ) from error
    if found.ndim != 1 or isinstance(values, str):
        raise ContractError(f"Sensor {sensor!r}: found {values!r:.80}, expected one list of numbers.")
    if np.isinf(found).any():
        raise ContractError(f"Sensor {sensor!r}: found an infinite reading. Expected numbers, None where missing.")
    return found


def predict_file(
    model: Path,
    data: Sequence[Path],
    *,
    out: Path,
    columns: Mapping[str, str] | None = None,
    at: str | None = None,
) -> dict[str, int]:
    """Forecast from a wide table of the last readings: sensor, time, minutes, median, low, high, a line a forecast.

    Args:
        model: the device file.
        data: one CSV or Parquet file with a column for each sensor, with times or without.
        out: CSV to write, atomically.
        columns: role (``time``) to own column name.
        at: time of the newest row; needed where the file has no times.

    Returns:
        Number of forecasts, and of sensors that are silent.

    Raises:
        EdgekitError: the file is refused.
    """
    if len(data) != 1:
        raise ConfigError(f"Found {len(data)} files; a forecaster takes one. Run it once for each file.")
    forecaster = TrafficForecaster(model)
    sensors, values, time = _last_readings(data[0], forecaster.plan, columns or {}, at)
    rows = forecaster.forecast(dict(zip(sensors, values.T, strict=True)), at=time).rows()
    lines = [(row.sensor, row.time, f"{row.minutes:g}", row.median, row.low, row.high) for row in rows]
    heard = {sensor for sensor, column in zip(sensors, values.T, strict=True) if np.isfinite(column).any()}
    write_csv(out, COLUMNS, lines)
    return {"forecasts": len(lines), "silent sensors": len(forecaster.plan.sensors) - len(heard)}


def _last_readings(
    path: Path, plan: Plan, columns: Mapping[str, str], at: str | None
) -> tuple[tuple[str, ...], np.ndarray, int]:
    """Return sensors, float32 (step, sensor) on the plan's grid, and the seconds of the newest step.

    Raises:
        ContractError: there is no time, or ``at`` lies before the readings.
    """
    rows = read_wide(path, columns=columns)
    asked = None if at is None else parse_moment(at) // plan.interval * plan.interval
    if rows.clock is None:
        if asked is None:
            raise ContractError(
                f"{path} has no column of times. Name the time of its last row with --at, such as "
                f"--at 2012-03-07T17:30; its rows are taken to be {interval_text(plan.interval)} apart."
            )
        return rows.sensors, rows.values[-plan.window :], asked
    grid = make_grid(rows.clock, interval=plan.interval, start=None)
    values, _ = lay(grid, rows.values)
    newest = (grid.start + (len(values) - 1) * plan.interval) // plan.interval * plan.interval
    if asked is not None and asked < newest:
        raise ContractError(
            f"Found --at {moment_text(asked)}, before the newest readings of {path} at {moment_text(newest)}. Leave "
            "them out, or leave --at out."
        )
    late = 0 if asked is None else min((asked - newest) // plan.interval, plan.window)
    silent = np.full((late, values.shape[1]), np.nan, dtype=np.float32)
    return rows.sensors, np.concatenate([values, silent])[-plan.window :], newest if asked is None else asked


def store_settings(plan: Plan) -> dict[str, Any]:
    """Return what :class:`TrafficForecaster` needs, in JSON types, for the card of a device file."""
    return {"plan": plan.as_json()}


def _plan(model: DeviceModel) -> Plan:
    """Read the plan of a card, which may come from anyone, and hold it against the network."""
    try:
        plan = Plan.from_json(model.card.settings["plan"])
        shapes = {slot.name: slot.shape for slot in (*model.card.inputs, *model.card.outputs)}
        if shapes[features.READINGS] != (plan.window, len(plan.sensors)):
            raise ValueError("the plan is not that of the network")
        if any(shapes[name] != (plan.horizon, len(plan.sensors)) for name in (MEDIAN, LOW, HIGH)):
            raise ValueError("the network forecasts another horizon")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeviceFileError(
            f"Found settings on the card that {NAME} cannot use ({error}). Export the file again with edgekit."
        ) from error
    return plan
