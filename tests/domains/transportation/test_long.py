"""Long tables: a row for each reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.domains.transportation.long import LongRows, is_long, long_rows
from edgekit.domains.transportation.sheet import Sheet, open_sheet
from edgekit.shared.errors import ContractError

ROWS = ("time,sensor,value", "2012-03-01 00:00,B,1", "2012-03-01 00:00,7,2", "2012-03-01 00:05,B,")


def sheet(folder: Path, *lines: str) -> Sheet:
    (folder / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    return open_sheet(folder / "t.csv")


def read(folder: Path, *lines: str, columns: Any = None, exclude: tuple[str, ...] = ()) -> LongRows:
    return long_rows(sheet(folder, *lines), columns=columns or {}, exclude=exclude)


def test_readings_are_read_with_sensor_and_time(tmp_path: Path) -> None:
    rows = read(tmp_path, *ROWS)
    assert rows.sensors == ("B", "7") and rows.sensor.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(rows.value, [1, 2, np.nan])
    assert np.diff(rows.clock.wall).tolist() == [0, 300]


@pytest.mark.parametrize("header", ["value,sensor,time", "sensor,time,value", "time,value,sensor"])
def test_columns_stand_in_any_order(tmp_path: Path, header: str) -> None:
    cells = {"time": "2012-03-01", "sensor": "B", "value": "4.5"}
    rows = read(tmp_path, header, ",".join(cells[name] for name in header.split(",")))
    assert rows.sensors == ("B",) and rows.value.tolist() == [4.5]


def test_usual_names_are_taken_and_said(tmp_path: Path) -> None:
    rows = read(tmp_path, "Timestamp,station_id,speed", "2012-03-01,7,1")
    assert {"column 'Timestamp' is taken for the role 'time'", "column 'station_id' is taken for the role 'sensor'",
            "column 'speed' is taken for the role 'value'"} <= set(rows.notes)  # fmt: skip


def test_other_columns_are_left_out_and_said(tmp_path: Path) -> None:
    rows = read(tmp_path, "time,sensor,value,lane", "2012-03-01,7,1,left")
    assert "columns that play no role are left out: 'lane'" in rows.notes and rows.value.tolist() == [1]


def test_roles_can_be_named(tmp_path: Path) -> None:
    columns = {"time": "t", "sensor": "id", "value": "v"}
    assert read(tmp_path, "t,id,v,w", "2012-03-01,7,1,2", columns=columns).value.tolist() == [1]


@pytest.mark.parametrize(
    ("header", "columns", "long"),
    [("time,sensor,value", {}, True), ("time,Detector,flow", {}, True), ("time,a,b", {}, False),
     ("time,a,b", {"sensor": "a"}, True), ("speed", {}, False)],
)  # fmt: skip
def test_a_column_that_names_the_sensor_makes_it_long(
    tmp_path: Path, header: str, columns: dict[str, str], long: bool
) -> None:
    opened = sheet(tmp_path, header, ",".join("1" * len(header.split(","))))
    assert is_long(opened, columns, ()) is long


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("time,sensor,speed,flow", "2012-03-01,7,1,2"), "no column for the role 'value'"),
        (("sensor,value", "7,1"), "no column for the role 'time'"),
        ((*ROWS, "2012-03-01,,5"), "column 'sensor': row 4: found '', expected the name of a sensor"),
        ((*ROWS, ",B,5"), "column 'time': row 4: found ''"),
        ((*ROWS, "2012-03-01 00:10,B,fast"), "column 'value': row 4: found 'fast', expected a number"),
    ],
)
def test_what_is_no_reading_is_told(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    with pytest.raises(ContractError) as caught:
        read(tmp_path, *lines)
    assert said in str(caught.value)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ContractError) as caught:
        read(tmp_path, *ROWS, "soon,,fast")
    assert str(caught.value).count("\n  - ") == 3
