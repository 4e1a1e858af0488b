"""What forecasts are worth to who runs a road: masked errors by horizon, and how far the bands can be trusted.

There is no threshold: a forecast is a median with a band.
"""

from __future__ import annotations

import math

import numpy as np

from ...shared.decisions import Threshold
from ...shared.domain import Arrays, Examples
from ...shared.errors import ContractError
from ...shared.estimates import Statistic
from . import masked_errors
from .config import TrafficConfig
from .masked_errors import Sums, add_up

MINUTES = (15, 30, 45, 60)
"""Horizons that are published; of others only the last step's is given, where the horizon does not end at one."""
MINUTES_AT = (15, 30, 60)
UNIT, TIME, INTERVAL = "unit", "time", "interval"


def evaluate(
    outputs: Arrays, examples: Examples, config: TrafficConfig, *, threshold: Threshold | None = None
) -> dict[str, Statistic]:
    """Return the metrics of a predictor's forecasts, ready for the bootstrap by day.

    All leave out readings that are missing. ``mae``, ``rmse`` and ``mape`` are over all steps of the horizon, which is
    the "average" of Liang et al. 2023 (BasicTS). ``mae@15`` and the like are over all steps *up to* so many minutes,
    one figure for all of them (Zhao et al. 2020, T-GCN); ``mae_at@15`` and the like are *of the step* so many minutes
    ahead (Li et al. 2018, DCRNN). ``coverage@90`` is the share of readings in a band meant to hold 90 %, ``width@90``
    its mean width, ``interval_score@90`` both in one (Gneiting & Raftery 2007). Where ``decision.congestion`` is set,
    ``mae_congested`` and ``coverage_congested`` are over the readings below it. Shares are 0…1, the rest is in the
    unit of the readings. A figure that the examples do not define is left out: a horizon between two steps, or a
    percentage where all readings are 0.

    Args:
        outputs: ``median``, ``low`` and ``high`` float32 (n, horizon, sensor).
        examples: their context holds ``unit`` (the day) and ``interval`` int (n,), the seconds from step to step.
        config: ``decision.coverage`` is what the bands are meant to hold, ``decision.congestion`` a speed.
        threshold: not needed.

    Raises:
        ContractError: nothing can be scored, or a forecast is not a finite number.
    """
    target, unit = examples.target, examples.context[UNIT]
    sums = add_up(outputs, target, unit)
    if not sums.count.any():
        raise ContractError(
            f"No reading to score: all {target.size} targets of {len(target)} windows are missing. "
            "Bring readings from a longer time, or leave out sensors that are dead."
        )
    made = {"mae": masked_errors.mae(sums), "rmse": masked_errors.rmse(sums), "mape": masked_errors.mape(sums)}
    made |= _by_horizon(sums, marks(step_seconds(examples), target.shape[1]))
    made |= _of_bands(sums, config.decision.coverage)
    if config.decision.congestion is not None:
        congested = add_up(outputs, target, unit, below=config.decision.congestion)
        made["mae_congested"] = masked_errors.mae(congested)
        made["coverage_congested"] = masked_errors.coverage(congested)
    return {name: figure for name, figure in made.items() if math.isfinite(figure.compute(None))}


def decide(outputs: Arrays, validation: Examples, config: TrafficConfig) -> Threshold:
    """Say how forecasts become a decision: by median and band; nothing is chosen, but it is told what that gave."""
    level = config.decision.coverage
    sums = add_up(outputs, validation.target, validation.context[UNIT])
    figures = {"mae": masked_errors.mae(sums), **_of_bands(sums, level)}
    expected = {name: figure.compute(None) for name, figure in figures.items()}
    return Threshold(None, f"the median and the band meant to hold {level:.0%} of the readings", expected)


def marks(interval: int, horizon: int) -> dict[int, int]:
    """Return minutes ahead to number of steps, for the published horizons that fall on a step, and for the last one.

    Args:
        interval: seconds from step to step.
        horizon: how many steps are forecast.
    """
    found = {minutes: minutes * 60 // interval for minutes in MINUTES if minutes * 60 % interval == 0}
    within = {minutes: steps for minutes, steps in found.items() if steps <= horizon}
    last = horizon * interval // 60
    return within if horizon * interval % 60 or last < 1 else within | {last: horizon}


def step_seconds(examples: Examples) -> int:
    """Return the seconds from step to step, the same for all examples.

    Raises:
        ContractError: there is no example.
    """
    intervals = np.unique(examples.context[INTERVAL])
    if len(intervals) != 1:
        raise ContractError(
            f"Examples need one interval between steps; {len(examples)} windows have {intervals.tolist()}. "
            "Put the readings on one grid of times, and bring enough of them for a window."
        )
    return int(intervals[0])


def _by_horizon(sums: Sums, horizons: dict[int, int]) -> dict[str, Statistic]:
    figures = {"mae": masked_errors.mae, "rmse": masked_errors.rmse, "mape": masked_errors.mape}
    up_to = {
        f"{name}@{minutes}": figure(sums, slice(steps))
        for name, figure in figures.items()
        for minutes, steps in horizons.items()
    }
    at = {
        f"{name}_at@{minutes}": figure(sums, slice(steps - 1, steps))
        for name, figure in figures.items()
        for minutes, steps in horizons.items()
        if minutes in MINUTES_AT or minutes not in MINUTES
    }
    return up_to | at


def _of_bands(sums: Sums, level: float) -> dict[str, Statistic]:
    name = f"{100 * level:g}"
    return {
        f"coverage@{name}": masked_errors.coverage(sums),
        f"width@{name}": masked_errors.width(sums),
        f"interval_score@{name}": masked_errors.interval_score(sums, level),
    }
