"""From readings to model inputs: blocks of time that share no reading, and windows inside each."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...shared.audit import Finding
from ...shared.domain import Examples, Prepared
from ...shared.errors import ContractError
from ...shared.splits import BY_TIME, Splits
from . import audit as checks
from .clock import moment_text
from .config import TrafficConfig
from .features import DAY, Plan, inputs
from .readings import Readings

LEAST_DAYS = 10
"""With fewer days in a part, its intervals are resampled by blocks of hours."""
BLOCK = 7200


def split(readings: Readings, config: TrafficConfig, *, seed: int) -> Splits:
    """Cut the time into three blocks; nothing is drawn at random.

    Returns:
        Step numbers of each block. Windows lie inside a block, inputs and targets both.

    Raises:
        ContractError: a block is shorter than one window and its horizon.
    """
    steps, data, model = len(readings), config.data, config.model
    test = int(steps * (1 - data.test_share))
    validation = int(steps * (1 - data.test_share - data.validation_share))
    edges = (0, validation, test, steps)
    need, shortest = model.window + model.horizon, int(np.diff(edges).min())
    if shortest < need:
        raise ContractError(
            f"{readings.source}: found {steps:,} steps, so that the shortest part of train, validation and test has "
            f"{shortest}. Expected at least {need}: model.window ({model.window}) + model.horizon ({model.horizon}). "
            "Bring a longer time, or change these or the shares in data."
        )
    times = readings.times()
    rule = f"{BY_TIME}: validation from {moment_text(times[validation])}, test from {moment_text(times[test])}"
    train, middle, last = (np.arange(first, last) for first, last in pairwise(edges))
    return Splits(train, middle, last, rule, ("no window crosses a border between the parts",))


def prepare(readings: Readings, splits: Splits, config: TrafficConfig) -> Prepared:
    """Make windows with what follows them.

    Returns:
        One example a window: inputs as in ``features.inputs``; target float32 (n, horizon, sensor), NaN where the
        reading is missing; context ``unit`` (the day, or a block of two hours where a part has few days), ``time``
        (seconds of the last reading) and ``interval``. Windows that nothing follows are left out. Readings are views
        into one array: a long log takes its own size once.

    Raises:
        ContractError: a part has no reading to forecast.
    """
    plan = make_plan(readings, config)
    parts = {name: _examples(readings, steps, plan) for name, steps in splits.parts().items()}
    silent = [name for name, part in parts.items() if not len(part)]
    if silent:
        raise ContractError(
            f"{readings.source}: found no reading that follows a window in {' and '.join(silent)}. Expected some in "
            "train, validation and test. Bring readings from a longer time, or check data.missing_code, data.low and "
            "data.high."
        )
    train, validation, test = parts.values()
    return Prepared(plan, train, validation, test, _limits(readings, validation, test))


def _examples(readings: Readings, steps: np.ndarray, plan: Plan) -> Examples:
    part = readings.values[steps[0] : steps[-1] + 1]
    whole = sliding_window_view(part, plan.window + plan.horizon, axis=0).transpose(0, 2, 1)
    scored = np.flatnonzero(_follows(part, plan))
    last = readings.times()[steps[0] + plan.window - 1 :][: len(whole)]
    if len(scored) < len(whole):
        whole, last = whole[scored], last[scored]
    context = {"unit": _units(last), "time": last, "interval": np.full(len(last), plan.interval)}
    return Examples(inputs(whole[:, : plan.window], last, plan), whole[:, plan.window :], context)


def _follows(part: np.ndarray, plan: Plan) -> np.ndarray:
    """Return bool (window,): whether any reading follows each window."""
    there = np.isfinite(part).any(axis=1)
    return np.asarray(sliding_window_view(there, plan.horizon)[plan.window :].any(axis=1))


def _units(last: np.ndarray) -> np.ndarray:
    days = last // DAY
    return days if len(np.unique(days)) >= LEAST_DAYS else last // BLOCK


def make_plan(readings: Readings, config: TrafficConfig) -> Plan:
    """Fix what a device must know to turn readings into inputs, and the answer into a forecast."""
    return Plan(
        sensors=readings.sensors,
        window=config.model.window,
        horizon=config.model.horizon,
        interval=readings.interval,
        unit=readings.unit,
        coverage=config.decision.coverage,
        weights=readings.weights,
    )


def _limits(readings: Readings, *parts: Examples) -> tuple[str, ...]:
    days = [len(np.unique(part.context["time"] // DAY)) for part in parts]
    notes = []
    if min(days) < LEAST_DAYS:
        notes.append(
            f"validation and test have {days[0]} and {days[1]} days: intervals are resampled by blocks of two hours, "
            "which are less independent than days"
        )
    if len(readings) * readings.interval < 14 * DAY:
        notes.append("less than two weeks: what is particular to a day of the week cannot be learnt")
    if not readings.weights.size:
        notes.append("no adjacency: which sensors tell of each other is learnt from their readings")
    return tuple(notes)


def audit(readings: Readings, splits: Splits, config: TrafficConfig) -> list[Finding]:
    """Look for sensors that are dead, stuck or doubled, for shifted clocks, and for units that change."""
    return checks.audit(readings, splits)
