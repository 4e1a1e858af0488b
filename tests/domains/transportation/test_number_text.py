"""Tables of numbers: the quick way and the careful way read the same, and every fault is named."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.transportation import number_text
from edgekit.domains.transportation.number_text import Body, open_text, read_body
from edgekit.shared.errors import ContractError, SourceError


def body(text: str, words: tuple[int, ...] = (), skip: tuple[int, ...] = ()) -> Body:
    return read_body(open_text(text, "t.csv"), words=words, skip=skip)


def test_numbers_and_words_are_read() -> None:
    read = body("time,a,b\nt0,1.5,-2\nt1,3e1,4\nt0,5,6\n", words=(0,))
    assert read.values.tolist() == [[1.5, -2], [30, 4], [5, 6]] and read.values.dtype == np.float32
    assert read.words[0].distinct == ("t0", "t1") and read.words[0].codes.tolist() == [0, 1, 0]


@pytest.mark.parametrize("cell", ["", " ", "NA", "nan", "NaN", "null", "None", "n/a", "<NA>"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_absent_cells_are_missing(cell: str, place: int) -> None:
    row = ["1", "2", "3"]
    row[place] = cell
    values = body(f"a,b,c\n{','.join(row)}\n4,5,6\n").values
    assert np.isnan(values[0]).tolist() == [column == place for column in range(3)] and values[1].tolist() == [4, 5, 6]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_any_separator_and_line_ending(delimiter: str, ending: str) -> None:
    text = ending.join(["a,b,c", "1,,3", ",,", "", "4,5,6"]).replace(",", delimiter)
    np.testing.assert_array_equal(body(text).values, [[1, np.nan, 3], [np.nan] * 3, [4, 5, 6]])


def test_quotes_are_read() -> None:
    read = body('"time","a b"\n"t, 0","1.5"\n"t1",""\n', words=(0,))
    assert read.words[0].distinct == ("t, 0", "t1") and read.values[0, 0] == 1.5 and np.isnan(read.values[1, 0])


def test_blank_lines_are_absent_cells_in_a_single_column_only() -> None:
    assert np.isnan(body("a\n1\n\n3\n\n").values[:, 0]).tolist() == [False, True, False]
    assert body("a,b\n1,2\n\n3,4\n\n").values.tolist() == [[1, 2], [3, 4]]


def test_left_out_columns_may_hold_anything() -> None:
    assert body("a,x,b\n1,word,2\n3,,4\n", skip=(1,)).values.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("rows", [3, 70])
def test_faults_are_named_with_row_and_count(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_text, "_BLOCK_LETTERS", 16)  # about four rows
    lines = [f"{row},1" for row in range(rows)]
    lines[-1], lines[-2] = "7,bad", "7,worse"
    told = body("\n".join(["a,b", *lines])).faults.told(["a", "b"])
    assert told == [f"column 'b': row {rows - 1}: found 'worse' (and 1 more row), expected a number such as 58.25."]


def test_a_decimal_comma_is_told() -> None:
    told = body("a;b\n1;58,2\n2;3\n").faults.told(["a", "b"])
    assert told[0].endswith("found '58,2', expected a number such as 58.25. Write a decimal point, not a comma.")
    with pytest.raises(ContractError, match=r"row 1 has 3 cells, the first line has 2.*decimal point"):
        body("a,b\n58,2,3\n")


def test_infinite_and_too_large_numbers_are_infinite_either_way() -> None:
    assert np.isinf(body("a,b\ninf,1e300\n").values).all()
    assert np.isinf(body('a,b\n"inf","1e300"\n').values).all()


@pytest.mark.parametrize("text", ["a,b\n1,2\n3\n", "a,b\n1,2\n3,4,5\n", "a,b\n1,2\n3\n4,5,6\n"])
def test_rows_of_another_length_are_refused(text: str) -> None:
    with pytest.raises(ContractError, match="row 2 has [13] cells, the first line has 2"):
        body(text)


@pytest.mark.parametrize("text", ['a,b\n1,"2\n', '"a,b\n1,2\n'])
def test_quotes_that_never_close_are_refused(text: str) -> None:
    with pytest.raises(SourceError, match="Check its quotes"):
        body(text)


@pytest.mark.parametrize("text", ["\n\n", "  \n", ",,\n"])
def test_nothing_is_refused(text: str) -> None:
    with pytest.raises(SourceError, match="no line with text"):
        open_text(text, "t.csv")


def test_no_more_cells_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_text, "MAX_CELLS", 5)
    with pytest.raises(ContractError, match="more than 5 cells"):
        body("a,b\n1,2\n3,4\n5,6\n")


@pytest.mark.parametrize("letters", [1, 100, 10_000])
def test_both_ways_read_the_same(letters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_text, "_BLOCK_LETTERS", letters)
    rng = np.random.default_rng(0)
    cells = [[f"{value:.4g}" if value > -1 else "" for value in row] for row in rng.normal(size=(50, 7))]
    lines = ["a,b,c,d,e,f,g", *(",".join(row) for row in cells)]
    quoted = [lines[0], *(",".join(f'"{cell}"' for cell in row) for row in cells)]
    np.testing.assert_array_equal(body("\n".join(lines)).values, body("\n".join(quoted)).values)
    assert len(body("\n".join(lines)).values) == 50


def test_a_quoted_cell_over_several_lines_is_one_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_text, "_BLOCK_LETTERS", 1)
    read = body('t,a\n"x\ny",1\nz,2\n', words=(0,))
    assert read.words[0].distinct == ("x\ny", "z") and read.values.tolist() == [[1], [2]]
