"""What is typical of a time: slots of the week, readings that count once, and means by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.transportation.profiles import CALENDARS, profile, record, slots, typical
from edgekit.shared.domain import Examples
from edgekit.shared.errors import ContractError

DAY, MONDAY = 86_400, 1_704_067_200
NAN = np.nan


def windows(values: np.ndarray, *, interval: int, window: int = 3, horizon: int = 2, start: int = MONDAY) -> Examples:
    """Cut readings (step, sensor) that begin on a Monday into windows."""
    last = np.arange(window - 1, len(values) - horizon)
    time = start + last * interval
    moment = np.stack([time % DAY // interval, (time // DAY + 3) % 7], axis=1).astype(np.int32)
    readings = np.stack([values[step - window + 1 : step + 1] for step in last])
    target = np.stack([values[step + 1 : step + 1 + horizon] for step in last])
    context = {"unit": time // DAY, "time": time, "interval": np.full(len(last), interval)}
    return Examples({"readings": readings, "moment": moment}, target, context)


# === Slots ===


def test_slots_run_through_the_week_and_begin_again() -> None:
    moment = np.array([[3, 0], [1, 6], [0, 0]], np.int32)  # four steps a day
    expected = [[2, 3, 4], [24, 25, 26], [27, 0, 1]]
    assert slots(moment, np.arange(-1, 2), 4).tolist() == expected


# === Readings from windows ===


def test_every_reading_counts_once() -> None:
    values = np.arange(40, dtype=np.float32).reshape(20, 2)
    values[5, 1] = values[6:9, 0] = NAN
    found, slot = record(windows(values, interval=DAY // 4))
    np.testing.assert_array_equal(found, values)
    assert slot.tolist() == list(range(20))


def test_the_order_of_windows_does_not_matter_and_gaps_stay_empty() -> None:
    values = np.arange(60, dtype=np.float32).reshape(60, 1)
    whole = windows(values, interval=DAY // 4)
    kept = np.random.default_rng(0).permutation(np.r_[0:10, 40:50])  # their last readings are 2…11 and 42…51
    found, slot = record(whole.take(kept))
    expected = values[:54].copy()
    expected[14:40] = NAN
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(slot, np.arange(54) % 28)


def test_slots_begin_at_the_first_reading_of_the_first_window() -> None:
    values = np.zeros((9, 1), np.float32)
    _, slot = record(windows(values, interval=DAY // 4, start=MONDAY + 6 * DAY + DAY // 2))
    assert slot.tolist() == [26, 27, 0, 1, 2, 3, 4, 5, 6]


def test_a_part_without_readings_is_refused() -> None:
    with pytest.raises(ContractError, match="all of its 12 are missing"):
        record(windows(np.full((6, 2), NAN, np.float32), interval=300))


# === Means ===


def test_means_by_hand() -> None:
    """Two steps a day for two weeks: readings are the number of the day, afternoons ten times that."""
    day = np.repeat(np.arange(14), 2)
    values = (day * np.tile([1, 10], 14))[:, None].astype(np.float32)
    slot = np.arange(28) % 14
    made = {name: profile(values, slot, per_day=2, calendar=name)[:, 0] for name in CALENDARS}
    assert made["week"].tolist() == [value for d in range(7) for value in (d + 3.5, 10 * (d + 3.5))]
    assert made["day"].tolist() == [6.5, 65] * 7
    working, weekend = np.mean([0, 1, 2, 3, 4, 7, 8, 9, 10, 11]), np.mean([5, 6, 12, 13])
    assert made["workday"].tolist() == [working, 10 * working] * 5 + [weekend, 10 * weekend] * 2
    assert all(table.dtype == np.float32 for table in made.values())


@pytest.mark.parametrize("calendar", CALENDARS)
def test_where_there_is_no_reading_the_next_wider_mean_stands_in(calendar: str) -> None:
    """Sensor 0 lacks Tuesdays, sensor 1 has mornings only, sensor 2 has nothing."""
    values = np.tile(np.array([2.0, 4.0], np.float32), 7)[:, None].repeat(3, axis=1)
    values[2:4, 0] = values[1::2, 1] = values[:, 2] = NAN
    values[0, 0] = 8
    made = profile(values, np.arange(14), per_day=2, calendar=calendar)
    assert np.isfinite(made).all()
    morning = {"week": 3.0, "workday": (8 + 3 * 2) / 4, "day": 3.0}[calendar]  # of Tuesday, from the other days
    assert made[2, 0] == pytest.approx(morning) and made[3, 0] == 4
    assert made[:, 1].tolist() == [2] * 14
    np.testing.assert_allclose(made[:, 2], np.nanmean(values), rtol=1e-6)


def test_another_calendar_is_refused() -> None:
    with pytest.raises(ValueError, match="no calendar 'month'"):
        profile(np.zeros((2, 1)), np.arange(2), per_day=2, calendar="month")


def test_what_is_typical_is_looked_up_ahead() -> None:
    table = np.arange(28, dtype=np.float32).reshape(14, 2)
    inputs = {"moment": np.array([[1, 6], [0, 2]], np.int32)}  # the last slot of the week, and slot 4
    found = typical(table, inputs, np.arange(0, 3))
    assert found.dtype == np.float32 and found[..., 0].tolist() == [[26, 0, 2], [8, 10, 12]]
