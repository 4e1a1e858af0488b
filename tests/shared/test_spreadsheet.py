"""Tables for spreadsheets: written whole, and no cell is a formula."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from edgekit.shared.errors import RunError
from edgekit.shared.spreadsheet import harmless, write_csv


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a scan.png", "a scan.png"),
        ("two  spaces", "two  spaces"),
        ("=1+1", "'=1+1"),
        ("+49", "'+49"),
        ("-x", "'-x"),
        ("@sum", "'@sum"),
        ("\t=1", "' =1"),
        ("a\r\n=1", "a  =1"),
        ("", ""),
    ],
)
def test_no_text_is_a_formula_or_breaks_the_line(text: str, expected: str) -> None:
    assert harmless(text) == expected


def test_numbers_stand_as_they_are_and_texts_are_made_harmless(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ("name", "count", "score"), [("=x", 3, -0.5), ("a, b", 0, 1e-7)])
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["name", "count", "score"], ["'=x", "3", "-0.500000"], ["a, b", "0", "0.000000"]]


def test_a_folder_that_is_missing_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="Cannot write"):
        write_csv(tmp_path / "none" / "t.csv", ("a",), [])
