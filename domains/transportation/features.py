"""Readings to model inputs: the same arrays in training and on the device, and what a device must know of a network."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

DAY = 86_400
THURSDAY = 3  # the day of the week of 1970-01-01, Monday being 0
LONGEST_NAME = 200
MOST_SENSORS = 20_000
MOST_STEPS = 1000  # of a window or a horizon
READINGS, MOMENT = "readings", "moment"
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # control characters, line ends, half characters


@dataclass(frozen=True)
class Plan:
    """Everything needed to make the same inputs again; travels in the device file.

    Attributes:
        sensors: own names, in the order of the inputs.
        window: readings of each sensor that the network sees.
        horizon: steps that it forecasts.
        interval: seconds from step to step; divides a day.
        unit: of the readings, or empty.
        coverage: share of readings that the band is meant to hold.
        weights: float32 (sensor, sensor) as in ``Readings``, known while training only; it does not travel.
    """

    sensors: tuple[str, ...]
    window: int
    horizon: int
    interval: int
    unit: str
    coverage: float
    weights: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32), repr=False, compare=False)

    @cached_property
    def place_of(self) -> dict[str, int]:
        """Own name to place."""
        return {name: place for place, name in enumerate(self.sensors)}

    @property
    def steps_a_day(self) -> int:
        """How many steps a day has."""
        return DAY // self.interval

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {name: getattr(self, name) for name in _travelling()} | {"sensors": list(self.sensors)}

    @staticmethod
    def from_json(value: Any) -> Plan:
        """Read what ``as_json`` wrote, trusting nothing.

        Raises:
            ValueError: lists every value that is missing, unknown, of the wrong type or out of range.
        """
        names = _travelling()
        if not isinstance(value, dict) or set(value) != set(names):
            found = f"{sorted(map(str, value))[:20]!s:.400}" if isinstance(value, dict) else type(value).__name__
            raise ValueError(f"the plan must have exactly the keys {', '.join(names)}; found {found}")
        problems = [f"{name} must be {wanted}, found {value[name]!r:.80}" for name, wanted in _wrong(value)]
        if problems:
            raise ValueError("; ".join(problems))
        return Plan(**{**value, "sensors": tuple(value["sensors"])})


def _travelling() -> tuple[str, ...]:
    return tuple(entry.name for entry in fields(Plan) if entry.compare)


def _wrong(value: dict[str, Any]) -> list[tuple[str, str]]:
    sensors, coverage = value["sensors"], value["coverage"]
    fine = {
        "sensors": (_are_names(sensors), f"1 to {MOST_SENSORS:,} different names of 1 to {LONGEST_NAME} letters"),
        "window": (_is_count(value["window"], MOST_STEPS), f"a whole number from 1 to {MOST_STEPS}"),
        "horizon": (_is_count(value["horizon"], MOST_STEPS), f"a whole number from 1 to {MOST_STEPS}"),
        "interval": (_is_count(value["interval"], DAY) and DAY % value["interval"] == 0, "seconds that divide a day"),
        "unit": (value["unit"] == "" or _is_name(value["unit"]), f"a text of up to {LONGEST_NAME} letters"),
        "coverage": (isinstance(coverage, float) and 0 < coverage < 1, "a number between 0 and 1"),
    }
    return [(name, wanted) for name, (right, wanted) in fine.items() if not right]


def _is_count(value: Any, most: int) -> bool:
    return type(value) is int and 1 <= value <= most


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and not _UNFIT.search(value)


def _are_names(value: Any) -> bool:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MOST_SENSORS:
        return False
    return all(map(_is_name, value)) and len(set(value)) == len(value)


def moments(times: np.ndarray, interval: int) -> np.ndarray:
    """Return int32 (n, 2): step of the day, and day of the week (0 is Monday), of int64 (n,) seconds on the wall."""
    day, second = np.divmod(times, DAY)
    return np.stack([second // interval, (day + THURSDAY) % 7], axis=1).astype(np.int32)


def inputs(windows: np.ndarray, last: np.ndarray, plan: Plan) -> dict[str, np.ndarray]:
    """Return the model inputs of some windows.

    Args:
        windows: float (n, window, sensor) readings in the plan's unit and order, newest last, NaN for missing.
        last: int64 (n,) seconds on the wall of each window's last step.
        plan: sizes.

    Returns:
        ``readings`` float32 (n, window, sensor), ``moment`` int32 (n, 2).

    Raises:
        ValueError: the windows have another size.
    """
    if windows.shape[1:] != (plan.window, len(plan.sensors)):
        raise ValueError(f"found windows of {windows.shape[1:]}, expected {(plan.window, len(plan.sensors))}")
    return {READINGS: np.asarray(windows, dtype=np.float32), MOMENT: moments(last, plan.interval)}
