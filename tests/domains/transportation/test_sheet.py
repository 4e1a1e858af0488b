"""Tables of any kind, opened: text and Parquet read the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.domains.transportation.sheet import UNNAMED_TIME, coded, open_sheet
from edgekit.shared.errors import ContractError, SourceError

pandas = pytest.importorskip("pandas")


def written(folder: Path, text: str, name: str = "t.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_columns_are_read_by_name(tmp_path: Path) -> None:
    sheet = open_sheet(written(tmp_path, "b,t,a\n1,x,2\n3,y,4\n"))
    cells = sheet.read(["t"], ["a", "b"])
    assert sheet.names == ("b", "t", "a") and sheet.first == {"b": "1", "t": "x", "a": "2"}
    assert cells.words[0].distinct == ("x", "y") and not cells.problems and len(sheet.fingerprint) == 64


def test_text_gives_numbers_in_the_order_of_the_file(tmp_path: Path) -> None:
    assert open_sheet(written(tmp_path, "b,a\n1,2\n")).read([], ["b", "a"]).values.tolist() == [[1, 2]]


def test_an_index_of_times_without_a_name_is_kept(tmp_path: Path) -> None:
    sheet = open_sheet(written(tmp_path, ",a\n2012-03-01,1\n"))
    assert sheet.names == (UNNAMED_TIME, "a")
    assert sheet.read([UNNAMED_TIME], ["a"]).words[0].distinct == ("2012-03-01",)


def test_row_numbers_without_a_name_are_left_out(tmp_path: Path) -> None:
    sheet = open_sheet(written(tmp_path, ",a\n0,1\n1,2\n"))
    assert sheet.names == ("a",) and "column 1 ('') is left out: it has no name of its own" in sheet.notes


@pytest.mark.parametrize("named", [None, "when"])
@pytest.mark.parametrize("zone", [None, "America/Los_Angeles"])
def test_parquet_keeps_its_index_and_its_zone(tmp_path: Path, named: str | None, zone: str | None) -> None:
    index = pandas.date_range("2012-03-11 01:00", periods=3, freq="1h", tz=zone, name=named)
    pandas.DataFrame({"a": [1.0, None, 3.0], "b": [1, 2, 3]}, index=index).to_parquet(tmp_path / "t.parquet")
    sheet = open_sheet(tmp_path / "t.parquet")
    time = named or UNNAMED_TIME
    cells = sheet.read([time], ["a", "b"])
    np.testing.assert_array_equal(cells.values, [[1, 1], [np.nan, 2], [3, 3]])
    assert set(sheet.names) == {time, "a", "b"} and not [note for note in sheet.notes if "index_level" in note]
    expected = ["01:00:00-08:00", "03:00:00-07:00", "04:00:00-07:00"] if zone else ["01:00:00", "02:00:00", "03:00:00"]
    assert [text[11:] for text in cells.words[0].distinct] == expected


def test_words_in_parquet_are_told(tmp_path: Path) -> None:
    pandas.DataFrame({"a": ["x", "2"], "b": [1, 2]}).to_parquet(tmp_path / "t.parquet")
    problems = open_sheet(tmp_path / "t.parquet").read([], ["a", "b"]).problems
    assert len(problems) == 1 and "column 'a': row 1: found 'x'" in problems[0]


def test_typed_columns_become_text() -> None:
    assert coded(np.array([7.0, 8.0, 7.0])).distinct == ("7", "8")
    assert coded(np.array(["2012-03-01T00:05", "NaT"], dtype="datetime64[ns]")).distinct == ("2012-03-01T00:05:00", "")
    assert coded(np.array(["b", None, "b"], dtype=object)).codes.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("name", "text", "error", "said"),
    [
        ("t.csv", "a,b,a\n1,2,3\n", ContractError, "column names repeat: 'a'"),
        ("t.csv", "12,30,12\n1,2,3\n", ContractError, "where the first line holds readings, put a line"),
        ("t.csv", "a,b\n", SourceError, "has a header (a, b) but no rows"),
        ("t.csv", "", SourceError, "is empty (0 bytes)"),
        ("t.xlsx", "a,b\n1,2\n", SourceError, "unknown kind of file"),
        ("t.parquet", "a,b\n1,2\n", SourceError, "cannot be read as Parquet"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, text: str, error: type, said: str) -> None:
    with pytest.raises(error) as caught:
        open_sheet(written(tmp_path, text, name))
    assert said in str(caught.value)


def test_a_missing_file_is_told_with_its_likeness(tmp_path: Path) -> None:
    written(tmp_path, "a\n1\n", "speeds.csv")
    with pytest.raises(SourceError, match=r"Did you mean 'speeds.csv'"):
        open_sheet(tmp_path / "speed.csv")
