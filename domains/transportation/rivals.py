"""The simple forecasts that the network must beat: the last reading, means, and linear autoregression.

All are fitted on the training windows and tuned by their mean absolute error on validation. Each gives a band too, from
the quantiles of its own errors on validation at each step of the horizon, so that bands can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...shared.domain import Arrays, Examples, Predictor, Prepared, Progress
from ...shared.errors import ContractError
from . import ridge
from .config import TrafficConfig
from .evaluate import step_seconds
from .features import DAY, READINGS
from .masked_errors import HIGH, LOW, MEDIAN
from .profiles import CALENDARS, profile, record, typical

POOLED_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""A dozen coefficients shared by all sensors hardly need a penalty; a strong one only fits a validation of few days."""
SENSOR_STRENGTHS = (1e-2, 1e-1, 1.0, 10.0)
"""How strongly a sensor's own coefficients are drawn towards the pooled ones; the first are nearly free."""
MAX_FIT_PRODUCTS = 1 << 31
"""Sensors · windows · window · horizon up to which all windows are fitted on; beyond, so many drawn at random.

A few dozen coefficients need no more, and the time stays at a minute on one core.
"""
MAX_TUNING_READINGS = 1 << 24
MAX_SENSOR_MOMENTS = 1 << 25
"""Numbers that the moments of each sensor take, a quarter of a gigabyte for each calendar."""
_CELLS = 1 << 22  # forecasts held at once

Point = Callable[[Arrays], np.ndarray]
"""Named inputs to float32 (n, horizon, sensor)."""


def rivals(prepared: Prepared, config: TrafficConfig, /, *, seed: int, report: Progress) -> dict[str, Predictor]:
    """Fit and tune the rivals.

    Returns:
        ``last_value``, ``window_mean``, ``time_of_week`` (the mean by the calendar that does best), ``ridge_ar``
        (coefficients for each step, shared by all sensors) and, where memory allows, ``ridge_ar_sensor`` (each
        sensor's own, drawn towards the shared ones). Each answers with ``median``, ``low`` and ``high``.

    Raises:
        ContractError: the training part or the validation part holds no reading.
    """
    train, horizon = prepared.train, prepared.train.target.shape[1]
    _check_validation(prepared.validation)
    judge = _Judge(
        _thinned(prepared.validation, MAX_TUNING_READINGS // prepared.validation.target[0].size, seed), report
    )
    per_day = DAY // step_seconds(train)
    readings, slot = record(train)
    tables = {name: profile(readings, slot, per_day=per_day, calendar=name) for name in CALENDARS}
    means = {f"mean by {name}": time_of_week(table, horizon) for name, table in tables.items()}
    best = judge.best(means)
    table = tables[best.removeprefix("mean by ")]
    points = {"last_value": last_value(table, horizon), "window_mean": window_mean(table, horizon)}
    for name, point in points.items():
        judge.score(name.replace("_", " "), point)
    points["time_of_week"] = means[best]
    work = train.inputs[READINGS][0].size * horizon
    points |= _tuned_ridge(_thinned(train, MAX_FIT_PRODUCTS // work, seed), tables, judge)
    return {name: judge.with_band(point, config.decision.coverage) for name, point in points.items()}


def _check_validation(validation: Examples) -> None:
    if np.isnan(validation.target).all():
        raise ContractError(
            f"The validation part holds no reading: all {validation.target.size} targets of its {len(validation)} "
            "windows are missing. Bring readings from a longer time, or raise data.validation_share."
        )


def _thinned(examples: Examples, most: int, seed: int) -> Examples:
    """Take at most so many examples, drawn at random, in order, at least one."""
    if len(examples) <= most:
        return examples
    rng = np.random.default_rng(seed)
    return examples.take(np.sort(rng.permutation(len(examples))[: max(1, most)]))


@dataclass(frozen=True, eq=False)
class _Judge:
    """Scores candidates on validation and tells of it."""

    validation: Examples
    report: Progress

    def score(self, name: str, point: Point) -> float:
        error = np.abs(self._errors(point))
        figure = float(np.nanmean(error, dtype=np.float64))
        self.report(f"{name}  validation MAE {figure:.4f}")
        return figure

    def best(self, candidates: dict[str, Point]) -> str:
        figures = {name: self.score(name, point) for name, point in candidates.items()}
        return min(figures, key=lambda name: figures[name])

    def with_band(self, point: Point, level: float) -> Predictor:
        band = error_band(self._errors(point), level)
        return lambda inputs: forecast(point, band, inputs)

    def _errors(self, point: Point) -> np.ndarray:
        """Return (n, horizon, sensor) of reading − forecast."""
        target = self.validation.target
        return np.asarray(target - _in_blocks(point, self.validation.inputs, target.shape[1]))


def error_band(errors: np.ndarray, level: float) -> np.ndarray:
    """Return float32 (2, horizon): what to add to a forecast for its low and high end.

    They are the quantiles of the errors at each step, but never beyond the forecast itself on the wrong side. A step
    without any reading takes those of all steps.

    Args:
        errors: (n, horizon, sensor) of reading − forecast, NaN where missing, at least one there.
        level: what share of readings the band is meant to hold.
    """
    ends = [(1 - level) / 2, (1 + level) / 2]
    anything = errors[~np.isnan(errors)]
    made = np.empty((2, errors.shape[1]), np.float32)
    for step in range(errors.shape[1]):
        known = errors[:, step][~np.isnan(errors[:, step])]
        made[:, step] = np.quantile(known if len(known) else anything, ends)
    made[0], made[1] = np.minimum(made[0], 0), np.maximum(made[1], 0)
    return made


def forecast(point: Point, band: np.ndarray, inputs: Arrays) -> dict[str, np.ndarray]:
    """Return ``median``, ``low`` and ``high`` float32 (n, horizon, sensor), computed in blocks."""
    median = _in_blocks(point, inputs, band.shape[1])
    low, high = (median + end[:, None] for end in band)
    return {MEDIAN: median, LOW: low, HIGH: high}


def _in_blocks(point: Point, inputs: Arrays, horizon: int) -> np.ndarray:
    num, window, sensors = inputs[READINGS].shape
    made = np.empty((num, horizon, sensors), np.float32)
    size = max(1, _CELLS // (max(window, horizon) * sensors))
    for start in range(0, num, size):
        block = slice(start, start + size)
        made[block] = point({name: values[block] for name, values in inputs.items()})
    return made


# === Forecasts without coefficients ===


def time_of_week(table: np.ndarray, horizon: int) -> Point:
    """Return what is typical of the sensor at the time that is forecast, whatever was read last."""
    ahead = np.arange(1, horizon + 1)
    return lambda inputs: typical(table, inputs, ahead)


def last_value(table: np.ndarray, horizon: int) -> Point:
    """Return the last reading that is there, for all steps; for a silent sensor, what is typical of the time."""

    def point(inputs: Arrays) -> np.ndarray:
        readings = inputs[READINGS]
        found = readings[:, 0]
        for step in range(1, readings.shape[1]):
            found = np.where(np.isnan(readings[:, step]), found, readings[:, step])
        return _held(found, inputs, table, horizon)

    return point


def window_mean(table: np.ndarray, horizon: int) -> Point:
    """Return the mean of the window's readings, for all steps; for a silent sensor, what is typical of the time."""

    def point(inputs: Arrays) -> np.ndarray:
        known = ~np.isnan(inputs[READINGS])
        total, count = np.where(known, inputs[READINGS], 0).sum(axis=1), known.sum(axis=1)
        mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
        return _held(mean, inputs, table, horizon)

    return point


def _held(values: np.ndarray, inputs: Arrays, table: np.ndarray, horizon: int) -> np.ndarray:
    """Repeat (n, sensor) over the horizon; what is missing becomes what is typical of the time."""
    made = np.repeat(values[:, None], horizon, axis=1)
    (silent,) = np.nonzero(np.isnan(values).any(axis=1))
    if len(silent):
        some = {name: array[silent] for name, array in inputs.items()}
        usual = typical(table, some, np.arange(1, horizon + 1))
        made[silent] = np.where(np.isnan(made[silent]), usual, made[silent])
    return made


# === Autoregression ===


def _tuned_ridge(train: Examples, tables: dict[str, np.ndarray], judge: _Judge) -> dict[str, Point]:
    """Choose calendar and strength of the pooled autoregression, then how far sensors may leave it."""
    (window, sensors), horizon = train.inputs[READINGS].shape[1:], train.target.shape[1]
    by_sensor = sensors * horizon * window**2 <= MAX_SENSOR_MOMENTS
    pooled, shared, own = dict[str, Point](), dict[str, np.ndarray](), dict[str, tuple[str, ridge.Moments]]()
    for calendar, table in tables.items():
        sums = ridge.moments(train, table, by_sensor=by_sensor)
        together = sums.pooled()
        for strength in POOLED_STRENGTHS:
            name = f"ridge AR by {calendar}, strength {strength:g}"
            shared[name] = ridge.solve(together, strength)
            pooled[name], own[name] = ridge_ar(table, shared[name]), (calendar, sums)
    best = judge.best(pooled)
    points = {"ridge_ar": pooled[best]}
    if not by_sensor:
        judge.report("ridge AR by sensor is left out: the moments of so many sensors and steps take too much memory")
        return points
    calendar, sums = own[best]
    each = {
        f"ridge AR of each sensor by {calendar}, strength {strength:g}": ridge_ar(
            tables[calendar], ridge.solve(sums, strength, towards=shared[best][0])
        )
        for strength in SENSOR_STRENGTHS
    }
    return points | {"ridge_ar_sensor": each[judge.best(each)]}


def ridge_ar(table: np.ndarray, coefficients: np.ndarray) -> Point:
    """Return the forecast by these coefficients, (1 or sensor, horizon, window), around a profile."""
    return lambda inputs: ridge.forecast(inputs, table, coefficients)
