"""Dates are read where they are clear, and refused with examples where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation.dates import read_dates


def read(*texts: str | None, date_format: str | None = None) -> list[str]:
    cells, problems = read_dates(np.array(texts, dtype=object), date_format=date_format)
    assert not problems
    return [str(cell) for cell in cells]


def refused(*texts: str | None, date_format: str | None = None) -> str:
    problems = read_dates(np.array(texts, dtype=object), date_format=date_format)[1]
    assert len(problems) == 1
    return problems[0]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("13/12/2010 8:26", "2010-12-13T08:26:00"),
        ("12/13/2010 08:26:59", "2010-12-13T08:26:59"),
        ("12/13/2010 8:26 PM", "2010-12-13T20:26:00"),
        ("12/13/2010 12:05 am", "2010-12-13T00:05:00"),
        ("13-12-2010", "2010-12-13T00:00:00"),
        ("01.12.2010", "2010-12-01T00:00:00"),
        ("2010/12/1 8:26", "2010-12-01T08:26:00"),
    ],
)
def test_one_date(text: str, moment: str) -> None:
    assert read(text) == [moment]


def test_one_day_tells_which_number_is_the_month() -> None:
    assert read("01/12/2010", "31/12/2010") == ["2010-12-01T00:00:00", "2010-12-31T00:00:00"]
    assert read("01/12/2010", "12/31/2010") == ["2010-01-12T00:00:00", "2010-12-31T00:00:00"]


@pytest.mark.parametrize("texts", [("2010-12-01", "2010-12-02T08:26:00Z"), ("1291191960", "1291191961.5")])
def test_iso_dates_and_seconds_are_left_to_the_contract(texts: tuple[str, ...]) -> None:
    assert read(*texts) == list(texts)


def test_an_absent_date_stays_absent() -> None:
    assert read("13/12/2010", "", None)[1:] == ["NaT", "NaT"]


def test_two_formats_are_refused_with_examples_and_rows() -> None:
    told = refused("2010-12-01", "2010-12-02", "01/12/2010", "2010-12-01")
    assert told == (
        "dates in 2 formats: '2010-12-01' (row 1; 2 different) and '01/12/2010' (row 3; 1 different). Expected one: "
        "write all dates alike"
    )


def test_day_first_among_month_first_is_refused() -> None:
    told = refused("01/12/2010", "31/12/2010", "12/31/2010")
    assert "'31/12/2010' (row 2) and '12/31/2010' (row 3); one has the day first" in told


def test_what_may_be_day_or_month_is_refused_until_it_is_said() -> None:
    told = refused("01/12/2010 8:26", "02/12/2010 9:00")
    assert '--set data.date_format="%d/%m/%Y %H:%M" or "%m/%d/%Y %H:%M"' in told
    assert read("01/12/2010 8:26", date_format="%d/%m/%Y %H:%M") == ["2010-12-01T08:26:00"]
    assert read("01/12/2010 8:26", date_format="%m/%d/%Y %H:%M") == ["2010-01-12T08:26:00"]


@pytest.mark.parametrize("text", ["soon", "13/12/10", "1 Dec 2010", "13/12/2010 8h"])
def test_an_unknown_format_is_named_and_can_be_declared(text: str) -> None:
    told = refused("13/12/2010", text)
    assert f"row 2: found {text!r}" in told and "data.date_format" in told


def test_a_declared_format_is_kept_and_zones_are_converted() -> None:
    assert read("1 Dec 2010 08:26 +0200", date_format="%d %b %Y %H:%M %z") == ["2010-12-01T06:26:00"]
    told = refused("1 Dec 2010", "2010-12-01", date_format="%d %b %Y")
    assert told == "row 2: found '2010-12-01', expected a date as %d %b %Y (data.date_format)"


@pytest.mark.parametrize("text", ["31/02/2010", "13/13/2010", "13/12/2010 25:00", "13/12/2010 13:00 PM"])
def test_a_date_that_does_not_exist_is_named(text: str) -> None:
    told = refused("13/12/2010 8:00", text)
    assert text in told and "row 2" in told
