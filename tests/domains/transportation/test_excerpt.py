"""What of a test is drawn: telling sensors, a horizon that is there, and a whole day where there is one."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.transportation.breakdowns import Congestion
from edgekit.domains.transportation.excerpt import step_shown, stretch, telling
from edgekit.domains.transportation.features import Plan
from edgekit.domains.transportation.masked_errors import Sums

DAY, MONDAY = 86_400, 1_704_067_200
LIMIT = Congestion(np.full(5, 30.0), "below 30")


def sums(error: list[float], count: list[int] | None = None) -> Sums:
    """Return what sensors with these mean absolute errors add up to."""
    counts = np.array(count or [100] * len(error), dtype=float)[:, None]
    absolute = np.array(error)[:, None] * counts
    return Sums(np.arange(len(error)), counts, absolute, absolute, counts, absolute, counts, counts, counts)


def readings(slow: list[int]) -> np.ndarray:
    """Return 50 readings of each sensor, so many of them in congestion."""
    return np.where(np.arange(50)[:, None] < np.array(slow), 20.0, 60.0)


@pytest.mark.parametrize(
    ("slow", "expected"),
    [
        ([1, 9, 2, 0, 0], {2: "error in the middle", 4: "largest error", 1: "most congestion"}),
        ([1, 2, 9, 0, 9], {2: "error in the middle", 4: "largest error", 1: "most congestion"}),
        ([0, 0, 9, 0, 9], {2: "error in the middle", 4: "largest error"}),
    ],
)
def test_three_sensors_tell_of_the_network(slow: list[int], expected: dict[int, str]) -> None:
    assert telling(sums([1, 2, 3, 4, 5]), readings(slow), LIMIT) == expected


def test_without_congestion_two_sensors_are_left() -> None:
    assert list(telling(sums([5, 4, 3]), readings([9, 9, 9]), None)) == [1, 0]


@pytest.mark.parametrize(("errors", "expected"), [([2.0], [0]), ([2.0, 1.0], [1, 0])])
def test_of_few_sensors_each_is_shown_once(errors: list[float], expected: list[int]) -> None:
    limit = Congestion(np.full(len(errors), 30.0), "")
    assert list(telling(sums(errors), readings([9] * len(errors)), limit)) == expected


def test_a_sensor_of_a_handful_of_readings_is_not_shown() -> None:
    found = telling(sums([1, 2, 3, 99, 0], [100, 100, 100, 10, 0]), readings([0, 0, 0, 50, 50]), LIMIT)
    assert found == {1: "error in the middle", 2: "largest error"}


@pytest.mark.parametrize(
    ("interval", "horizon", "step"), [(300, 12, 6), (900, 12, 2), (1800, 1, 1), (300, 3, 2), (3600, 12, 6), (420, 4, 2)]
)
def test_the_forecast_shown_is_half_an_hour_old_or_of_the_middle(interval: int, horizon: int, step: int) -> None:
    assert step_shown(Plan(("a",), 12, horizon, interval, "", 0.9)) == step


def course(hours: float, *, start: float = 0, interval: int = 300) -> np.ndarray:
    return np.arange(MONDAY + int(start * 3600), MONDAY + int((start + hours) * 3600), interval)


def calm(time: np.ndarray) -> np.ndarray:
    return np.full((len(time), 2), 60.0)


def test_the_day_with_the_most_congestion_is_shown() -> None:
    time = course(100, start=20)
    values = calm(time)
    values[(time >= MONDAY + 2 * DAY) & (time < MONDAY + 2 * DAY + 7200)] = 10
    values[time < MONDAY + DAY] = 10  # no whole day
    found, why = stretch(time, values, Congestion(np.full(2, 30.0), ""))
    assert (time[found][0], time[found][-1]) == (MONDAY + 2 * DAY, MONDAY + 3 * DAY - 300)
    assert why == "the day of test with the most congestion"


@pytest.mark.parametrize("limit", [None, Congestion(np.full(2, 30.0), "")])
def test_without_congestion_the_first_whole_day_is_shown(limit: Congestion | None) -> None:
    time = course(60, start=20)
    found, why = stretch(time, calm(time), limit)
    assert time[found][0] == MONDAY + DAY and len(time[found]) == 288 and why == "the first whole day of test"


@pytest.mark.parametrize(
    ("time", "steps", "why"),
    [
        (course(5), 60, "all of test"),
        (course(24), 288, "all of test"),
        (course(30, start=10), 288, "the first part of test"),
        (course(100, interval=6 * 3600), 17, "all of test"),
        (course(1000, interval=6 * 3600), 24, "the first part of test"),
        (course(24, interval=DAY), 1, "all of test"),
    ],
)
def test_without_a_whole_day_what_there_is_is_shown(time: np.ndarray, steps: int, why: str) -> None:
    found, told = stretch(time, calm(time), None)
    assert (len(time[found]), told) == (steps, why)
