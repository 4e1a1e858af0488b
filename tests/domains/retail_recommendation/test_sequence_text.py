"""Text files of sequences: what is taken for one, what for a table, and what is read from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.domains.retail_recommendation.sequence_text import read_sequences
from edgekit.shared.contract import Table
from edgekit.shared.errors import ContractError, SourceError
from edgekit.shared.files import sha256

NUMBERS = "1 10 11\n2 12\n"


def read(folder: Path, text: str, *, name: str = "log.txt", columns: dict[str, str] | None = None) -> Table | None:
    (folder / name).write_bytes(text.encode())
    return read_sequences(folder / name, columns or {})


def pairs(table: Table | None) -> list[str]:
    assert table is not None
    return [" ".join(row) for row in zip(table.columns["user"], table.columns["item"], strict=True)]


def test_rows_stand_in_the_order_of_the_lines(tmp_path: Path) -> None:
    table = read(tmp_path, "b 2 1\na 3\nb 1\n")
    assert pairs(table) == ["b 2", "b 1", "a 3", "b 1"]
    assert table is not None and table.source == str(tmp_path / "log.txt")
    assert table.fingerprint == sha256(tmp_path / "log.txt")
    assert table.notes[0] == "read as lines `user item item …`: 3 lines, in order of time but without times"


def test_identifiers_may_hold_any_other_space(tmp_path: Path) -> None:
    found = pairs(read(tmp_path, "a\u00a0b x\u2003y 007\r\nc\t7 07\r\n"))
    assert found == ["a\u00a0b x\u2003y", "a\u00a0b 007", "c 7", "c 07"]


@pytest.mark.parametrize("name", ["log.txt", "LOG.TXT"])
def test_the_ending_says_that_it_may_be_sequences(tmp_path: Path, name: str) -> None:
    assert pairs(read(tmp_path, NUMBERS, name=name)) == ["1 10", "1 11", "2 12"]


@pytest.mark.parametrize("name", ["log.csv", "log.tsv", "log.parquet", "log"])
def test_other_endings_are_tables_and_are_not_even_opened(tmp_path: Path, name: str) -> None:
    assert read_sequences(tmp_path / name, {}) is None


@pytest.mark.parametrize(
    "text",
    [
        "user,item\n1,2\n",
        "1;2\n1;3\n",
        "a b,c\n1 2,3\n",
        "user\titem\n1\t2\n",
        "ITEM\tUSER\n1\t2\n",
        "uid\tiid\n1\t2\n",
        "lonely\n1\n",
    ],
)
def test_tables_are_left_to_others(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) is None


@pytest.mark.parametrize("header", ["who what", "WHO x", "x What", "user x", "x Timestamp"])
def test_a_header_is_known_by_the_names_of_its_columns(tmp_path: Path, header: str) -> None:
    with pytest.raises(ContractError, match=f"its first line, '{header}', looks like the header of a table"):
        read(tmp_path, f"{header}\nann a\n", columns={"user": "who", "item": "what"})


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("ann hat\nbob tie\n", "ann hat"),  # words throughout
        ("ann hat\nbob 5\n", "ann hat"),
        ("1 hat\n2 tie\n", "1 hat"),
        ("ann hat tie\n", "ann hat"),  # one line alone
    ],
)
def test_words_are_no_header_unless_numbers_follow(tmp_path: Path, text: str, first: str) -> None:
    assert pairs(read(tmp_path, text))[0] == first


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No file at"):
        read_sequences(tmp_path / "no.txt", {})
