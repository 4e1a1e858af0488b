"""Any times onto a grid: sorted, snapped, averaged, filled with gaps, and all of it said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.domains.transportation.clock import Clock
from edgekit.domains.transportation.grid import Grid, grid_without_times, lay, lay_long, make_grid
from edgekit.shared.errors import ContractError

START = int(datetime(2012, 3, 1, tzinfo=UTC).timestamp())
COUNT = 60
REGULAR = START + 300 * np.arange(COUNT, dtype=np.int64)


def grid(wall: Any, **given: Any) -> Grid:
    return make_grid(Clock(np.asarray(wall, dtype=np.int64)), **given)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


# === Times ===


def test_regular_times_need_no_word() -> None:
    made = grid(REGULAR)
    assert (made.start, made.interval, made.num_steps, made.notes) == (START, 300, COUNT, ())
    assert made.step.tolist() == list(range(COUNT))


def test_times_out_of_order_are_sorted_and_counted() -> None:
    made = grid(REGULAR[::-1])
    assert made.start == START and made.step.tolist() == list(range(COUNT))[::-1]
    assert made.notes == (f"{COUNT - 1} of {COUNT} rows stood after a later one: sorted by time",)


def test_unsteady_times_are_snapped_and_the_largest_move_is_said() -> None:
    shake = np.random.default_rng(0).integers(-20, 21, COUNT)
    shake[[0, -1]] = 0
    made = grid(REGULAR + shake)
    assert (made.start, made.interval) == (START, 300) and made.step.tolist() == list(range(COUNT))
    assert f"by up to {np.abs(shake).max()}s" in made.notes[-1] and f"{(shake != 0).sum()} of {COUNT}" in made.notes[-1]


def test_a_steady_offset_from_the_full_interval_is_kept() -> None:
    assert grid(REGULAR + 150).start == START + 150


def test_clocks_around_the_half_interval_keep_their_steps_apart() -> None:
    made = grid(REGULAR + 150 + np.random.default_rng(1).integers(-9, 10, COUNT))
    assert made.step.tolist() == list(range(COUNT)) and made.start % 300 in (120, 180)


def test_few_unsteady_readings_find_their_steps() -> None:
    assert grid([START + 20, START + 320, START + 580], interval=300).step.tolist() == [0, 1, 2]
    assert grid([START - 100, START + 400], interval=300).step.tolist() == [0, 1]


def test_gaps_are_missing_steps() -> None:
    made = grid(np.delete(REGULAR, [5, 6, 7, 30]))
    assert made.num_steps == COUNT and made.step[5] == 8
    assert made.notes == (
        "4 of 60 steps have no row and are missing, in 2 gaps; the longest, 15min, begins 2012-03-01 00:25",
    )


def test_an_interval_that_contradicts_the_times_is_an_error() -> None:
    with pytest.raises(
        ContractError, match=r"--interval says 15min, but the times are 5min apart mostly \(5min: 100%\)"
    ):
        grid(REGULAR, interval=900)
    with pytest.raises(ContractError, match="--interval says 1min, but the times are 5min apart"):
        grid(REGULAR, interval=60)


def test_three_readings_contradict_nothing() -> None:
    assert grid([START, START + 600, START + 1200], interval=300).step.tolist() == [0, 2, 4]
    assert grid([START + 7], interval=300).num_steps == 1


def test_irregular_times_need_an_interval_and_follow_it() -> None:
    wall = START + np.cumsum(np.random.default_rng(0).integers(1, 2000, COUNT))
    with pytest.raises(ContractError, match=r"follow no interval: the most frequent gaps are .* --interval 5min"):
        grid(wall)
    assert grid(wall, interval=300).interval == 300


def test_an_interval_that_does_not_divide_a_day_is_refused() -> None:
    with pytest.raises(ContractError, match="7min apart mostly .* does not divide a day"):
        grid(START + 420 * np.arange(COUNT))


def test_one_wrong_time_does_not_make_a_grid_of_years() -> None:
    with pytest.raises(ContractError, match="longest gap is from 1999-01-01 00:00 to 2012-03-01 00:00"):
        grid(np.append(REGULAR, at("1999-01-01")))


def test_a_start_must_agree_with_the_times() -> None:
    assert grid(REGULAR, start=START).start == START
    with pytest.raises(
        ContractError, match="--start says 2012-03-02 00:00, but the first time in the file is 2012-03-01"
    ):
        grid(REGULAR, start=START + 86_400)


def test_rows_without_times_need_both() -> None:
    made = grid_without_times(5, interval=300, start=START)
    assert (made.start, made.interval, made.num_steps, made.step.tolist()) == (START, 300, 5, [0, 1, 2, 3, 4])
    with pytest.raises(ContractError, match="--interval and --start are not given"):
        grid_without_times(5, interval=None, start=None)
    with pytest.raises(ContractError, match="no times, and --start is not given"):
        grid_without_times(5, interval=300, start=None)


# === Daylight saving time ===


def test_an_hour_shown_twice_is_said_and_counts_once() -> None:
    before = np.arange(at("2012-11-03T22:00"), at("2012-11-04T02:00"), 300)
    wall = np.concatenate([before, np.arange(at("2012-11-04T01:00"), at("2012-11-04T06:00"), 300)])
    made = grid(wall)
    assert made.num_steps == 96 and len(wall) == 108
    assert made.notes == (
        "the clock was turned back an hour (end of daylight saving time): the hour from 2012-11-04 01:00 occurs twice "
        "and counts once",
    )


def test_an_hour_that_the_offsets_show_twice_is_said() -> None:
    wall = np.arange(at("2012-11-03T22:00"), at("2012-11-04T06:00"), 300)
    twice = np.arange(at("2012-11-04T01:00"), at("2012-11-04T02:00"), 300)
    made = make_grid(Clock(np.concatenate([wall, twice]), twice))
    assert len(made.notes) == 1 and "hour from 2012-11-04 01:00 occurs twice" in made.notes[0]


def test_an_hour_left_out_stays_missing_and_is_said() -> None:
    wall = np.arange(at("2012-03-10T22:00"), at("2012-03-11T06:00"), 300)
    made = grid(wall[(wall < at("2012-03-11T02:00")) | (wall >= at("2012-03-11T03:00"))])
    assert made.num_steps == 96
    assert (
        made.notes[-1]
        == "the hour from 2012-03-11 02:00 is left out, as when daylight saving time begins; it stays missing"
    )


def test_an_hour_missing_at_noon_is_a_gap() -> None:
    wall = np.arange(at("2012-03-11T08:00"), at("2012-03-11T16:00"), 300)
    made = grid(wall[(wall < at("2012-03-11T12:00")) | (wall >= at("2012-03-11T13:00"))])
    assert len(made.notes) == 1 and "12 of 96 steps" in made.notes[0]


def test_rows_repeated_in_the_day_are_no_daylight_saving_time() -> None:
    wall = np.concatenate([REGULAR, REGULAR[:12] + 12 * 3600, REGULAR[:12] + 12 * 3600])
    assert not [note for note in grid(np.sort(wall), interval=300).notes if "daylight" in note]


# === Sensors with their own times ===


def test_sensors_that_report_one_after_the_other_show_their_own_interval() -> None:
    wall, group = np.concatenate([REGULAR + 2, REGULAR + 9]), np.repeat([0, 1], COUNT)
    made = grid(wall, group=group)
    assert made.interval == 300 and made.num_steps == COUNT
    assert not [note for note in made.notes if "sorted" in note]


def test_readings_one_by_one_in_order_of_time_are_in_order() -> None:
    made = grid(np.repeat(REGULAR, 2), group=np.tile([1, 0], COUNT))
    assert made.notes == () and made.step.tolist() == np.repeat(np.arange(COUNT), 2).tolist()


# === Readings ===


def test_gaps_become_missing_readings() -> None:
    laid, notes = lay(Grid(START, 300, 4, np.array([3, 0])), np.array([[1, 2], [3, np.nan]], np.float32))
    np.testing.assert_array_equal(laid, [[3, np.nan], [np.nan] * 2, [np.nan] * 2, [1, 2]])
    assert not notes and laid.dtype == np.float32


@pytest.mark.parametrize(("aggregate", "expected"), [("mean", [2.0, 7.0, np.nan]), ("first", [1.0, 7.0, np.nan])])
def test_several_readings_of_a_step_become_one(aggregate: str, expected: list[float]) -> None:
    values = np.array([[1, np.nan, np.nan], [9, 9, 9], [3, 7, np.nan]], np.float32)
    laid, notes = lay(Grid(START, 300, 2, np.array([0, 1, 0])), values, aggregate=aggregate)
    np.testing.assert_array_equal(laid, [expected, [9, 9, 9]])
    assert len(notes) == 1 and notes[0].startswith("2 rows share 1 steps (1 with different values)")


def test_equal_repeats_are_told_from_contradictions() -> None:
    notes = lay(Grid(START, 300, 1, np.array([0, 0])), column(5, 5))[1]
    assert "2 rows share 1 steps (0 with different values): their mean counts (data.aggregate = mean)" in notes


@pytest.mark.parametrize(("aggregate", "expected"), [("mean", 2.0), ("first", 1.0)])
def test_single_readings_are_laid_by_sensor(aggregate: str, expected: float) -> None:
    made, sensor = Grid(START, 300, 2, np.array([0, 0, 0, 1, 1])), np.array([0, 0, 1, 0, 1])
    value = np.array([1, 3, np.nan, 8, 9], np.float32)
    laid, notes = lay_long(made, sensor, value, 2, aggregate=aggregate)
    np.testing.assert_array_equal(laid, [[expected, np.nan], [8, 9]])
    assert notes[0].startswith("2 readings share 1 steps of their sensors (1 with different values)")


def test_too_many_steps_are_refused() -> None:
    with pytest.raises(ContractError, match="more than 500,000,000 readings"):
        lay(Grid(START, 1, 10**8, np.array([0, 10**8 - 1])), np.zeros((2, 10), np.float32))


@settings(max_examples=60, deadline=None)
@given(
    st.permutations(range(20)), st.lists(st.integers(-70, 70), min_size=20, max_size=20), st.sets(st.integers(0, 19))
)
def test_whatever_the_order_and_the_shake_every_reading_finds_its_step(
    order: list[int], shake: list[int], gone: set[int]
) -> None:
    kept = [place for place in order if place not in gone - {0, 19}]
    made = grid([START + 300 * place + shake[place] for place in kept], interval=300)
    laid = lay(made, column(*kept))[0][:, 0]
    first = round((made.start - START) / 300)
    assert {step + first: value for step, value in enumerate(laid) if not np.isnan(value)} == {p: p for p in kept}
