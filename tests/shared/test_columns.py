from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from edgekit.shared.columns import MAX_CENTS, READERS, Column, Kind, absent_cells, infer_kind

ABSENT = np.iinfo(np.int64).min
ISO = "an ISO date such as 2018-04-01T00:00:31 (or numbers of seconds throughout)"
SECONDS = "a number of seconds since 1970 (divide milliseconds by 1000)"
AMOUNT = (
    "an amount such as 1234.56, at most 10,000,000, with a decimal point and without currency sign or thousands "
    "separator"
)
NUMBER = "a finite number such as 1234.56"


def text(*cells: Any) -> np.ndarray:
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


def read(kind: Kind, cells: Any, **limits: Any) -> tuple[list[Any], list[str]]:
    values, problems = Column(name="x", kind=kind, meaning="", **limits).read(np.asarray(cells))
    return values.tolist(), problems


# --- timestamps ---


@pytest.mark.parametrize(
    ("cell", "second"),
    [
        ("1970-01-01", 0),
        ("2018-04-01T00:00:31", 1_522_540_831),
        (" 2018-04-01 00:00:31 ", 1_522_540_831),
        ("2018-04-01T00:00:31Z", 1_522_540_831),
        ("2018-04-01T02:00:31+02:00", 1_522_540_831),
        ("2018-03-31T18:30:31-05:30", 1_522_540_831),
        ("2018-04-01T00:00:31.999", 1_522_540_831),
        ("20180401T000031", 1_522_540_831),
        ("1969-12-31T23:59:59", -1),
        ("1969-12-31T23:59:59.5", -1),
        ("1960-01-01", -315_619_200),
        ("0001-01-01", -62_135_596_800),
        ("1522540831", 1_522_540_831),
        ("1522540831.9", 1_522_540_831),
        ("-1", -1),
        ("20180401", 20_180_401),
        (datetime(2018, 4, 1, 0, 0, 31), 1_522_540_831),
        (datetime(2018, 4, 1, 2, 0, 31, tzinfo=timezone(timedelta(hours=2))), 1_522_540_831),
        (date(2018, 4, 1), 1_522_540_800),
        (pd.Timestamp("2018-04-01T02:00:31.123456789", tz="Europe/Berlin"), 1_522_540_831),
    ],
)
def test_a_time_becomes_utc_seconds(cell: object, second: int) -> None:
    assert read("timestamp", text(cell)) == ([second], [])


def test_naive_and_aware_times_may_stand_together() -> None:
    cells = text("2018-04-01T00:00:31", "2018-04-01T02:00:31+02:00", "2018-04-01")
    assert read("timestamp", cells) == ([1_522_540_831, 1_522_540_831, 1_522_540_800], [])


@pytest.mark.parametrize("unit", ["D", "s", "ms", "us", "ns"])
def test_datetimes_before_1970_round_down(unit: str) -> None:
    moments = np.array(["1969-12-31T23:59:59.9", "1970-01-02"], dtype="datetime64[ms]").astype(f"datetime64[{unit}]")
    assert read("timestamp", moments) == ([-1 if unit != "D" else -86_400, 86_400], [])


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.float64])
def test_numbers_are_seconds(dtype: type) -> None:
    assert read("timestamp", np.array([0, -31, 1024], dtype=dtype)) == ([0, -31, 1024], [])


def test_broken_seconds_round_down() -> None:
    assert read("timestamp", [1.9, -0.5]) == ([1, -1], [])


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (text("2018-04-01", "soon", "later", ""), "row 4: found '', expected a value"),
        (text("2018-04-01", "soon", "later"), f"row 2: found 'soon' (and 1 more row), expected {ISO}"),
        (text("2018-02-30"), f"row 1: found '2018-02-30', expected {ISO}"),
        (text("01/04/2018"), f"row 1: found '01/04/2018', expected {ISO}"),
        (text("0001-01-01T00:00+02:00"), f"row 1: found '0001-01-01T00:00+02:00', expected {ISO}"),
        (text("2018-04-01", "1522540831"), f"row 2: found '1522540831', expected {ISO}"),
        (text(*["5"] * 20, "2018-04-01"), f"row 21: found '2018-04-01', expected {SECONDS}"),
        (text("1522540831000"), f"row 1: found '1522540831000', expected {SECONDS}"),
        (np.array([1_522_540_831_000, 5]), f"row 1: found 1522540831000, expected {SECONDS}"),
        (np.array([5, np.inf]), f"row 2: found inf, expected {SECONDS}"),
        (np.array([5, np.nan, np.nan]), "row 2: found nan (and 1 more row), expected a value"),
        (np.array(["2018-04-01", "NaT"], "datetime64[s]"), "row 2: found NaT, expected a value"),
        (text(None), "row 1: found None, expected a value"),
        (text([1]), f"row 1: found [1], expected {ISO}"),
    ],
)
def test_what_is_no_time_is_named(cells: np.ndarray, problem: str) -> None:
    _, problems = read("timestamp", cells)
    assert problems[0] == problem


@pytest.mark.parametrize("dtype", [np.int64, object])
def test_days_written_as_numbers_are_not_taken_for_seconds(dtype: type) -> None:
    days = np.arange(20_180_401, 20_180_421).astype(dtype)
    problem = "row 1: found 20180401 (and 19 more rows), expected a date written as 2018-04-01 "
    assert read("timestamp", days)[1] == [problem + "(20180401 would be taken for seconds)"]


@pytest.mark.parametrize(
    "seconds",
    [
        np.arange(20_180_401, 20_180_420),  # fewer than twenty: may be so by chance
        np.arange(20_180_415, 20_180_435),  # no month has 32 days
        np.arange(20_181_301, 20_181_321),  # no year has 13 months
        np.arange(20_180_400, 20_180_420),
        np.arange(20_180_001, 20_180_021),
        np.arange(18_180_401, 18_180_421),
        np.arange(21_010_101, 21_010_121),
        np.full(40, 20_180_401),
    ],
)
def test_seconds_that_look_like_a_few_days_are_seconds(seconds: np.ndarray) -> None:
    assert read("timestamp", seconds) == (seconds.tolist(), [])


@pytest.mark.parametrize(
    "cells", [text("1970-01-01", None), np.array([0.0, np.nan]), np.array([0, "NaT"], "datetime64[s]")]
)
def test_an_absent_time_that_is_allowed_is_numpys_nat(cells: np.ndarray) -> None:
    assert read("timestamp", cells, missing="own value") == ([0, ABSENT], [])


# --- identifiers and categories ---


@pytest.mark.parametrize("kind", ["identifier", "category"])
@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (text("007", " C 5 ", "größe", "1.0"), ["007", "C 5", "größe", "1.0"]),
        (np.array(["007", "a"]), ["007", "a"]),
        (np.array([7, -1], np.int8), ["7", "-1"]),
        (np.array([2**64 - 1], np.uint64), ["18446744073709551615"]),
        (np.array([7.0, 0.5, 2.0**60]), ["7", "0.5", "1152921504606846976"]),
        (np.array([7.0, 0.5], np.float32), ["7", "0.5"]),
        (text(7.0, np.float32(7), 7, 2**60 + 1, Decimal(7)), ["7", "7", "7", "1152921504606846977", "7"]),
        (np.array([True, False]), ["True", "False"]),
        (np.array(["2018-04-01"], "datetime64[D]"), ["2018-04-01"]),
    ],
)
def test_names_are_text_as_written(kind: Kind, cells: np.ndarray, expected: list[str]) -> None:
    values, problems = Column(name="x", kind=kind, meaning="", missing="own value").read(cells)
    assert (values.tolist(), problems) == (expected, [])
    assert values.dtype == object
    assert {type(value) for value in values} == {str}


MISSING_CELLS = [None, "", "  ", "NA", "N/A", "nan", "NaN", "NaT", "NULL", "None", "<NA>", np.nan, pd.NA, pd.NaT]


def test_absent_cells_are_those_that_hold_nothing() -> None:
    assert not absent_cells(text("a", 0, "0", False)).any()
    assert absent_cells(text("", " NaN ", None, pd.NA, np.nan)).all()
    assert absent_cells(np.array([1.0, np.nan, np.inf])).tolist() == [False, True, False]
    assert absent_cells(np.array(["2018-04-01", "NaT"], "datetime64[D]")).tolist() == [False, True]
    assert absent_cells(np.array([0, 1], np.int8)).tolist() == [False, False]


@pytest.mark.parametrize("cell", MISSING_CELLS)
def test_an_absent_category_is_a_value_of_its_own(cell: object) -> None:
    assert read("category", text("a", cell), missing="own value") == (["a", ""], [])


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("a\nb", "a b"),
        ("a\r\n\t b", "a b"),
        ("a\x1fb", "a b"),
        ("a\u2028b", "a b"),
        ("größe  €", "größe  €"),  # nothing that cannot be printed, so nothing is changed
    ],
)
def test_a_category_is_one_line(cell: str, expected: str) -> None:
    assert read("category", text(cell)) == ([expected], [])
    assert read("identifier", text(cell)) == ([cell], [])


@pytest.mark.parametrize("cell", MISSING_CELLS)
def test_an_absent_number_is_nan(cell: object) -> None:
    values, problems = read("number", text("1", cell), missing="impute")
    assert (values[0], np.isnan(values[1]), problems) == (1.0, True, [])


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("cells", [text("1", None, ""), text(1, pd.NA, pd.NA), np.array([1, np.nan, np.nan])])
def test_an_absent_cell_is_refused_where_none_may_be(kind: Kind, cells: np.ndarray) -> None:
    (problem,) = read(kind, cells)[1]
    assert problem.startswith("row 2: found ")
    assert problem.endswith(" (and 1 more row), expected a value")


@pytest.mark.parametrize("kind", ["identifier", "money", "label"])
def test_kinds_without_a_value_for_absence_are_never_absent(kind: Kind) -> None:
    assert read(kind, text("1", None), missing="impute")[1] == ["row 2: found None, expected a value"]


def test_an_infinite_identifier_is_refused() -> None:
    assert read("identifier", [1.0, np.inf])[1] == ["row 2: found inf, expected an identifier"]


# --- money and numbers ---


@pytest.mark.parametrize(
    ("cell", "cents"),
    [
        ("0.01", 1),
        ("0.29", 29),
        ("57.16", 5716),
        ("-1.15", -115),
        ("2.675", 268),  # half to even
        ("0.125", 12),
        ("0.375", 38),
        ("1e3", 100_000),
        ("10000000", MAX_CENTS),
        ("-10000000.00", -MAX_CENTS),
        ("9999999.99", MAX_CENTS - 1),
        (Decimal("0.07"), 7),
        (5, 500),
    ],
)
def test_money_becomes_cents(cell: object, cents: int) -> None:
    assert read("money", text(cell)) == ([cents], [])


@pytest.mark.parametrize("start", [0, 12_345_678, MAX_CENTS - 100_000])
def test_every_amount_in_cents_is_exact(start: int) -> None:
    cents = np.arange(start, start + 100_000)
    assert read("money", cents / 100)[0] == cents.tolist()
    written = text(*(f"{cent // 100}.{cent % 100:02}" for cent in cents[::100].tolist()))
    assert read("money", written)[0] == cents[::100].tolist()


@pytest.mark.parametrize("cell", ["1,50", "1.234,56", "1,234.56", "€5", "5 €", "$5", "(5)", "1_000", "five"])
@pytest.mark.parametrize(("kind", "expected"), [("money", AMOUNT), ("number", NUMBER)])
def test_text_that_is_no_number_is_named(kind: Kind, expected: str, cell: str) -> None:
    assert read(kind, text("1", cell, "2"))[1] == [f"row 2: found {cell!r}, expected {expected}"]


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        (text("1", "inf", "x", "1e999"), "'inf' (and 2 more rows)"),
        (np.array([1, -np.inf]), "-inf"),
        (np.array([1, 10_000_000.01]), "10000000.01"),
        (np.array([1, 1e308]), "1e+308"),
        (text(1, 10**400), "1000000000000000000000000000000000000..."),
        (np.array([1, 2**62]), "4611686018427387904"),
        (np.array([5, 6], "datetime64[s]"), "1970-01-01T00:00:05 (and 1 more row)"),
    ],
)
def test_an_amount_out_of_reach_is_refused(cells: np.ndarray, shown: str) -> None:
    (problem,) = read("money", cells)[1]
    assert problem.partition(": ")[2] == f"found {shown}, expected {AMOUNT}"


def test_absent_and_broken_cells_are_both_told() -> None:
    assert read("money", np.array([1, np.nan, np.inf, np.nan]))[1] == [
        "row 2: found nan (and 1 more row), expected a value",
        f"row 3: found inf, expected {AMOUNT}",
    ]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (text("1", " 2.5 ", "-1e-3"), [1.0, 2.5, -0.001]),
        (text("007", 3, True), [7.0, 3.0, 1.0]),
        (np.array([1, 2], np.uint8), [1.0, 2.0]),
        (np.array([0.5], np.float16), [0.5]),
        (np.array([True, False]), [1.0, 0.0]),
    ],
)
def test_numbers_are_float64(cells: np.ndarray, values: list[float]) -> None:
    found, problems = Column(name="x", kind="number", meaning="").read(cells)
    assert (found.tolist(), found.dtype, problems) == (values, np.float64, [])


@pytest.mark.parametrize("dtype", ["datetime64[ns]", object])
def test_a_date_is_no_number(dtype: str) -> None:
    cells = np.array([np.datetime64("2018-04-01", "ns")]).astype(dtype)
    cells = text(np.datetime64("2018-04-01", "ns")) if dtype is object else cells
    assert read("number", cells)[1] == [f"row 1: found 2018-04-01T00:00:00.000000000, expected {NUMBER}"]


@pytest.mark.parametrize(
    ("kind", "low", "high", "problem"),
    [
        ("number", 0, 100, "row 2: found -1 (and 1 more row), expected a value from 0 up to 100"),
        ("number", 0.5, None, "row 2: found -1, expected a value from 0.5"),
        ("number", None, 99.5, "row 3: found 101, expected a value up to 99.5"),
        ("money", -0.5, 10_000_000, "row 2: found -1, expected a value from -0.5 up to 10,000,000"),
        ("money", None, 100.99, "row 3: found 101, expected a value up to 100.99"),
    ],
)
def test_a_value_out_of_range_is_named_as_written(kind: Kind, low: float, high: float, problem: str) -> None:
    assert read(kind, [1, -1, 101], low=low, high=high)[1] == [problem]


@pytest.mark.parametrize("kind", ["number", "money"])
def test_limits_are_allowed(kind: Kind) -> None:
    assert read(kind, [0, 100], low=0, high=100)[1] == []


def test_an_absent_number_is_inside_every_range() -> None:
    assert read("number", [np.nan], low=0, high=1, missing="impute")[1] == []


def test_the_range_is_not_told_before_the_cells_can_be_read() -> None:
    assert read("number", text("x", "5"), low=0, high=1)[1] == [f"row 1: found 'x', expected {NUMBER}"]


# --- labels ---


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (text("1", "0", "true", "False", "1.0", " 0.0 ", "TRUE"), [1, 0, 1, 0, 1, 0, 1]),
        (text(1, 0, True, False, 1.0, 0.0), [1, 0, 1, 0, 1, 0]),
        (np.array([True, False]), [1, 0]),
        (np.array([1, 0], np.uint8), [1, 0]),
        (np.array([1.0, 0.0]), [1, 0]),
    ],
)
def test_labels_are_int8(cells: np.ndarray, values: list[int]) -> None:
    found, problems = Column(name="x", kind="label", meaning="").read(cells)
    assert (found.tolist(), found.dtype, problems) == (values, np.int8, [])


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (text("0", "yes", "no"), "row 2: found 'yes' (and 1 more row), {}; the column holds '0', 'no', 'yes'"),
        (np.array([1, 2, 1]), "row 2: found 2, {}; the column holds '1', '2'"),
        (np.arange(7), "row 3: found 2 (and 4 more rows), {}; the column holds '0', '1', '2', '3', '4' …"),
        (np.array([0.5]), "row 1: found 0.5, {}; the column holds '0.5'"),
        (text("x" * 50), "row 1: found '" + "x" * 37 + "...', {}; the column holds '" + "x" * 37 + "...'"),
    ],
)
def test_other_labels_are_refused_with_the_values_found(cells: np.ndarray, problem: str) -> None:
    assert read("label", cells)[1] == [problem.format("expected two values, 1 (true) and 0 (false)")]


# --- kinds ---


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (np.array([1, 2]), "number"),
        (np.array([True]), "number"),
        (np.array([0.5, np.nan]), "number"),
        (np.array(["2018-04-01"], "datetime64[s]"), "timestamp"),
        (text("1", "2.5", ""), "number"),
        (text(1, None, Decimal("2.5")), "number"),
        (text(True, None), "number"),
        (text(*["1"] * 9, "x"), "number"),
        (text(*["1"] * 9, "x", "", None, "NA"), "number"),
        (text(*["1"] * 8, "x", "y"), "category"),
        (text(*["1"] * 89, *["x"] * 11), "category"),
        (text("1,50", "2,75"), "number"),
        (text("1,2,3", "4,5,6"), "category"),
        (text("12_34", "56_78"), "category"),
        (text("", None, "NA"), "number"),
        (text("a", "b"), "category"),
        (text("2018-04-01", None, "2018-04-01T10:00Z"), "timestamp"),
        (text("2018-04-01", "soon"), "category"),
        (text("20180401", "20180402"), "number"),
        (text(date(2018, 4, 1), None), "timestamp"),
        (text([1], [2, 3]), "category"),
    ],
)
def test_the_kind_of_a_column_without_a_role(cells: np.ndarray, kind: Kind) -> None:
    assert infer_kind(cells) == kind


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("cell", [{"a": 1}, (1, 2), np.array([1, 2]), b"\xff", object, 1j], ids=str)
def test_a_strange_cell_is_text_or_a_problem(kind: Kind, cell: object) -> None:
    values, problems = read(kind, text(cell, cell))
    assert len(values) == 2
    assert bool(problems) is (kind not in ("identifier", "category"))
