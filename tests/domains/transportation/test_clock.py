"""Times become the time on the wall; a zone, two zones, none, and what is no time."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from edgekit.domains.transportation.clock import (
    Words,
    in_zone,
    interval_text,
    moment_text,
    parse_interval,
    parse_moment,
    read_clock,
    zone,
)
from edgekit.shared.errors import ConfigError, ContractError


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def words(*cells: str) -> Words:
    distinct = tuple(dict.fromkeys(cells))
    return Words(distinct, np.array([distinct.index(cell) for cell in cells], dtype=np.int64))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5min", 300), ("300s", 300), ("1h", 3600), ("15 minutes", 900), ("2 Hours", 7200), ("30sec", 30), ("1d", 86_400)],
)
def test_intervals_are_read(text: str, expected: int) -> None:
    assert parse_interval(text) == expected == parse_interval(interval_text(expected))


@pytest.mark.parametrize("text", ["", "5", "min", "5 parsecs", "-5min", "0min", "7min", "25h", "2.5min", "5minn"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"Not an interval|must divide a day"):
        parse_interval(text)


def test_moments_keep_the_wall_clock_of_their_zone() -> None:
    assert parse_moment("2012-03-01") == seconds("2012-03-01T00:00")
    assert parse_moment("2012-03-01T17:30-08:00") == seconds("2012-03-01T17:30")
    assert (moment_text(seconds("2012-03-01T17:30")), moment_text(seconds("2012-03-01T17:30:05"))) == (
        "2012-03-01 17:30",
        "2012-03-01 17:30:05",
    )


def test_plain_times_are_the_wall_clock() -> None:
    clock, problems = read_clock(words("2012-03-01 00:05", "2012-03-01T00:00", "2012-03-01 00:05"))
    assert clock.wall.tolist() == [seconds("2012-03-01T00:05"), seconds("2012-03-01"), seconds("2012-03-01T00:05")]
    assert not problems and not clock.notes


def test_numbers_are_seconds() -> None:
    clock, problems = read_clock(words("1330560000", "1330560300"))
    assert clock.wall.tolist() == [1_330_560_000, 1_330_560_300] and not problems
    assert "taken for the clock on the wall" in clock.notes[0]


def test_one_zone_keeps_its_wall_clock_and_says_so() -> None:
    clock, problems = read_clock(words("2012-03-01T00:00+01:00", "2012-03-01T00:05+01:00"))
    assert clock.wall[0] == seconds("2012-03-01T00:00") and not problems
    assert clock.notes == ("times carry the offset +01:00: the clock on the wall there counts",)


def test_utc_is_told() -> None:
    clock, _ = read_clock(words("2012-03-01T00:00Z"))
    assert clock.wall[0] == seconds("2012-03-01T00:00") and "the times are UTC" in clock.notes[0]


def test_the_end_of_daylight_saving_time_shows_an_hour_twice() -> None:
    summer = [f"2012-11-04T{hour:02}:30-07:00" for hour in (0, 1)]
    winter = [f"2012-11-04T{hour:02}:30-08:00" for hour in (1, 2)]
    clock, problems = read_clock(words(*summer, *winter))
    assert not problems and clock.wall.tolist() == [seconds(f"2012-11-04T0{hour}:30") for hour in (0, 1, 1, 2)]
    assert clock.twice.tolist() == [seconds("2012-11-04T01:30")] and "daylight saving" in clock.notes[0]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (("2012-03-01T00:00+01:00", "2012-03-01T00:05+05:30"), "daylight saving time does not explain"),
        (("2012-03-01T00:00+01:00", "2012-03-01T00:05"), "row 2: found '2012-03-01T00:05', a time without a zone"),
        (("2012-03-01", "tomorrow", "later"), "row 2: found 'tomorrow' (and 1 more row), expected an ISO date"),
        (("2012-03-01", ""), "row 2: found '', expected an ISO date"),
        (("0", "1", "2"), "row 1: found '0' (and 2 more rows), expected a time from 1990"),
        (("1330560000000",), "divide milliseconds by 1000"),
        (("2150-01-01",), "expected a time from 1990 until 2100"),
        (("03/01/2012 00:05",), "expected an ISO date"),
    ],
)
def test_what_is_no_time_of_one_place_is_told(cells: tuple[str, ...], said: str) -> None:
    problems = read_clock(words(*cells))[1]
    assert len(problems) == 1 and said in problems[0]


def test_two_zones_an_hour_apart_are_not_daylight_saving_time() -> None:
    cells = [f"2012-03-0{day}T00:00{offset}" for day in range(1, 9) for offset in ("+01:00", "+02:00")]
    assert "does not explain" in read_clock(words(*cells))[1][0]


def test_named_zones_give_the_offset_of_the_day() -> None:
    moments = np.array([seconds("2012-01-01T08:00"), seconds("2012-07-01T07:00")])
    assert in_zone(moments, zone("America/Los_Angeles")) == ["2012-01-01T00:00:00-08:00", "2012-07-01T00:00:00-07:00"]
    assert in_zone(moments[:1], zone("+05:30")) == ["2012-01-01T13:30:00+05:30"]


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ContractError, match="'Mars/Olympus', which is not known"):
        zone("Mars/Olympus")
