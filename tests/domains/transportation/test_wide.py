"""Wide tables: which column holds the times, what is a sensor, and what is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.domains.transportation.wide import Rows, read_wide
from edgekit.shared.errors import ContractError


def read(folder: Path, *lines: str, **given: Any) -> Rows:
    (folder / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    return read_wide(folder / "t.csv", **given)


def refused(folder: Path, *lines: str, **given: Any) -> str:
    with pytest.raises(ContractError) as caught:
        read(folder, *lines, **given)
    return str(caught.value)


def test_a_table_without_times(tmp_path: Path) -> None:
    rows = read(tmp_path, "773869,767541", "64.375,67.625", ",61")
    assert rows.sensors == ("773869", "767541") and rows.clock is None
    np.testing.assert_array_equal(rows.values, [[64.375, 67.625], [np.nan, 61]])


@pytest.mark.parametrize("name", ["time", "Timestamp", "datetime", "date", "", "Unnamed: 0", "MESSZEIT"])
def test_the_column_of_times_is_found(tmp_path: Path, name: str) -> None:
    rows = read(tmp_path, f"{name},a", "2012-03-01 00:00,1", "2012-03-01 00:05,2")
    assert rows.sensors == ("a",) and rows.clock is not None and np.diff(rows.clock.wall).tolist() == [300]
    assert name == "time" or any("taken for the times" in note for note in rows.notes)


def test_seconds_in_the_first_column_are_times_and_milliseconds_are_told(tmp_path: Path) -> None:
    rows = read(tmp_path, "ts,a", "1330560000,1", "1330560300,2")
    assert rows.sensors == ("a",) and rows.clock is not None and "column 'ts' is taken for the times" in rows.notes
    assert "divide milliseconds by 1000" in refused(tmp_path, "ts,a", "1330560000000,1", "1330560300000,2")


def test_the_column_of_times_is_named(tmp_path: Path) -> None:
    rows = read(tmp_path, "a,when", "1,2012-03-01", "2,2012-03-02", columns={"time": "when"})
    assert rows.sensors == ("a",) and rows.clock is not None and rows.values.tolist() == [[1], [2]]


def test_sensors_of_any_script(tmp_path: Path) -> None:
    names = ("Łódź 1", "東京", "Süd, links", "🚲", "007")
    rows = read(tmp_path, 'Łódź 1,東京,"Süd, links",🚲,007', "1,2,3,4,5")
    assert rows.sensors == names


def test_one_sensor_and_one_row(tmp_path: Path) -> None:
    rows = read(tmp_path, "S1", "42")
    assert rows.sensors == ("S1",) and rows.values.tolist() == [[42]]


def test_excluded_columns_are_no_sensors(tmp_path: Path) -> None:
    assert read(tmp_path, "a,weather,b", "1,rain,2", exclude=("weather",)).values.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("64.375,67.625", "65,66"), "the first line (64.375, 67.625) holds readings. Expected the sensors' names"),
        (("2012-03-01,64", "2012-03-02,65"), "the first line (2012-03-01, 64) holds readings"),
        (("a,weather", "1,rain", "2,sun"), "column 'weather': row 1: found 'rain' (and 1 more row)"),
        (("a,weather", "1,rain", "2,sun"), "column 'weather' may be no sensor. Leave it out with --exclude"),
        (("time,a", "2012-03-01,1", "soon,2"), "column 'time': row 2: found 'soon'"),
        (("time", "2012-03-01"), "there is no column of a sensor"),
        ((f"a,{'x' * 201}", "1,2"), "1 names of sensors cannot be used"),
        (("a;b", "1;58,2"), "Write a decimal point, not a comma."),
    ],
)
def test_what_is_no_reading_is_told(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    assert said in refused(tmp_path, *lines)


def test_a_miswritten_number_is_not_taken_for_a_word(tmp_path: Path) -> None:
    assert "may be no sensor" not in refused(tmp_path, "a,b", "20%,1")
    assert "column 'hour' may be no sensor" in refused(tmp_path, "date,hour,a", "2012-03-01,00:05,1")


def test_a_nameless_column_of_numbers_is_left_out_and_said(tmp_path: Path) -> None:
    rows = read(tmp_path, "a,", "1,2")
    assert rows.sensors == ("a",) and "it has no name of its own" in rows.notes[0]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    told = refused(tmp_path, "time,a,b", "2012-03-01,x,1", "soon,2,y")
    assert all(said in told for said in ("column 'time': row 2", "column 'a': row 1", "column 'b': row 2"))


def test_a_text_is_no_table(tmp_path: Path) -> None:
    assert "cells, the first line has" in refused(
        tmp_path, "Dear all, please find", "attached the file", "Best, Ann, Bob"
    )
    assert "found 'world'" in refused(tmp_path, "hello", "world")


def test_roles_that_do_not_exist_are_told(tmp_path: Path) -> None:
    told = refused(tmp_path, "a,b", "1,2", columns={"tmie": "a", "time": "c"})
    assert "there is no role 'tmie'. Did you mean 'time'?" in told


def test_reading_needs_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time,a\n2012-03-01 00:00,1\n2012-03-01 00:05,2\n")
    code = (
        "import sys; from pathlib import Path; from edgekit.domains.transportation import grid, missing, wide\n"
        f"rows = wide.read_wide(Path({str(tmp_path / 't.csv')!r}))\n"
        "made = grid.make_grid(rows.clock, interval=300)\n"
        "assert grid.lay(made, rows.values)[0].tolist() == [[1], [2]]\n"
        "heavy = {'tensorflow', 'keras', 'pandas', 'scipy', 'sklearn', 'pyarrow', 'h5py', 'pydantic', 'rich'}\n"
        "print(*({name.split('.')[0] for name in sys.modules} & heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.split()
