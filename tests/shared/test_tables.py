from __future__ import annotations

import errno
import gzip
import os
import re
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgekit.shared.columns import READERS, Column, infer_kind
from edgekit.shared.errors import ContractError, MissingExtraError, SourceError
from edgekit.shared.files import sha256
from edgekit.shared.tables import RawTable, fingerprint, from_columns, read_table, read_text

CREDIT_CARDS = Path(__file__).parents[3] / "shared/data/finance/UCI_Credit_Card.csv"
MOMENT = datetime(2018, 4, 1, 10, 0, 31, tzinfo=UTC)


def _csv(folder: Path, content: str | bytes, name: str = "own.csv") -> RawTable:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path)


def _lists(table: RawTable) -> dict[str, list[Any]]:
    return {name: cells.tolist() for name, cells in table.columns.items()}


def _parquet(folder: Path, **columns: Any) -> RawTable:
    pq.write_table(pa.table(columns), folder / "own.parquet")
    return read_table(folder / "own.parquet")


# --- files that are none ---


def test_a_missing_file_is_named_with_a_near_miss(tmp_path: Path) -> None:
    (tmp_path / "transactions.csv").touch()
    with pytest.raises(SourceError, match=r"No file at .*transaction\.csv\. Did you mean 'transactions\.csv'\?"):
        read_table(tmp_path / "transaction.csv")


@pytest.mark.parametrize("path", ["none/own.csv", "file/own.csv"])
def test_a_file_in_a_missing_folder_is_missing(path: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match=r"No file at .*own\.csv\. Check the path"):
        read_table(tmp_path / path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is a folder. Expected a CSV or Parquet file"):
        read_table(tmp_path)


def test_a_name_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read: File name too long"):
        read_table(tmp_path / ("x" * 300))


@pytest.mark.parametrize("name", ["own.csv", "own.parquet"])
def test_a_file_that_may_not_be_read_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    (tmp_path / name).write_text("a\n1\n")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(pq, "ParquetFile", refuse)
    with pytest.raises(SourceError, match=r"cannot be read.*Permission denied"):
        read_table(tmp_path / name)


@pytest.mark.parametrize("name", ["own.csv", "own.parquet", "own.csv.gz"])
def test_no_bytes_are_no_table(name: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is empty \(0 bytes\)"):
        _csv(tmp_path, b"", name)


@pytest.mark.parametrize("name", ["own.xlsx", "own", "own.csv.zip", "csv"])
def test_an_unknown_ending_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"unknown kind of file.*\.csv, .*\.parquet"):
        _csv(tmp_path, "a\n1\n", name)


# --- CSV ---


@pytest.mark.parametrize("name", ["own.csv", "OWN.CSV", "own.txt"])
def test_cells_stay_text(name: str, tmp_path: Path) -> None:
    table = _csv(tmp_path, "id, größe \n007,1.50\n NA ,\n", name)
    assert _lists(table) == {"id": ["007", " NA "], "größe": ["1.50", ""]}
    assert (len(table), table.notes) == (2, ())
    assert table.source.endswith(name)
    assert table.fingerprint == sha256("id, größe \n007,1.50\n NA ,\n".encode())
    assert table.columns["id"].dtype == object


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_another_separator_is_read_and_told(mark: str, tmp_path: Path) -> None:
    table = _csv(tmp_path, f'a{mark}"b,c,d"{mark}e\n1,5{mark}2{mark}3\n')
    assert _lists(table) == {"a": ["1,5"], "b,c,d": ["2"], "e": ["3"]}
    assert table.notes == (f"read as separated by {mark!r}, which its header uses",)


def test_a_single_column_needs_no_separator(tmp_path: Path) -> None:
    assert _lists(_csv(tmp_path, "a\n1;2\n")) == {"a": ["1;2"]}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("first", ["", "{end}{end}"])
@pytest.mark.parametrize("last", ["", "{end}", "{end}{end}"])
def test_line_ends_blank_lines_and_byte_order_marks(end: str, mark: str, first: str, last: str, tmp_path: Path) -> None:
    text = f"{mark}{first}a;b{{end}}1;2{{end}}3;4{last}".replace("{end}", end)
    assert _lists(_csv(tmp_path, text)) == {"a": ["1", "3"], "b": ["2", "4"]}


def test_quotes_protect_separators_line_ends_and_quotes(tmp_path: Path) -> None:
    text = '"a;\nb",c\n"1,2","say ""no"""\n"two\r\nlines",\u2028\n'
    assert _lists(_csv(tmp_path, text)) == {"a; b": ["1,2", "two\r\nlines"], "c": ['say "no"', "\u2028"]}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('a,b\n1,"2\n3,4\n5,6\n', id="a quote never closed"),
        pytest.param('a,b\n1,"2"x\n', id="text after a quote"),
        pytest.param('a,b\n1,"' + "x" * 200_000 + '"\n', id="a huge cell"),
    ],
)
def test_broken_quotes_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is not a readable CSV: .*\(line [24]\)\. Check its quotes"):
        _csv(tmp_path, text)


@pytest.mark.parametrize(("row", "count"), [("5", 1), ("5,6,7", 3), ('"5\n6"', 1)])
def test_a_ragged_row_is_named_with_its_cells(row: str, count: int, tmp_path: Path) -> None:
    line = 5 + row.count("\n")
    with pytest.raises(ContractError, match=rf"row 3 \(line {line}\) has {count} cells, the header has 2"):
        _csv(tmp_path, f"a,b\n1,2\n\n3,4\n{row}\n7,8\n")


@pytest.mark.parametrize("text", ["a,b\n", "a,b", "a,b\n\n\n"])
def test_a_header_alone_is_no_table(text: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has a header \(a, b\) but no rows"):
        _csv(tmp_path, text)


@pytest.mark.parametrize("text", ["\n", "\ufeff", "\r\n\r\n"])
def test_blank_lines_are_no_table(text: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="but no rows"):
        _csv(tmp_path, text)


def test_repeated_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"column names repeat: 'a', 'ü'. Give each column one name"):
        _csv(tmp_path, "ü,a,b, a,ü\n1,2,3,4,5\n")


def test_the_row_labels_of_pandas_are_left_out_and_that_is_told(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": ["x", "y"]})
    frame.to_csv(tmp_path / "once.csv")
    pd.read_csv(tmp_path / "once.csv").to_csv(tmp_path / "twice.csv")
    table = read_table(tmp_path / "twice.csv")
    assert _lists(table) == {"a": ["x", "y"]}
    assert table.notes == tuple(
        f"column {name!r} is left out: it has no name of its own" for name in ("", "Unnamed: 0")
    )


def test_several_columns_without_a_name_are_left_out(tmp_path: Path) -> None:
    assert _lists(_csv(tmp_path, ",a,,\n1,2,3,\n")) == {"a": ["2"]}


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"a\nM\xfcller\n", r"byte 3 is 0xfc"),
        ("a\n1\n".encode("utf-16"), r"byte 0 is 0xff"),
    ],
)
def test_other_encodings_are_refused(content: bytes, where: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=rf"is not UTF-8 text \({where}\)\. Save it as UTF-8"):
        _csv(tmp_path, content)


@pytest.mark.parametrize("name", ["own.csv.gz", "own.tsv.gz", "OWN.CSV.GZ"])
def test_gzip_is_read(name: str, tmp_path: Path) -> None:
    content = gzip.compress("ü\n007\n".encode())
    table = _csv(tmp_path, content, name)
    assert _lists(table) == {"ü": ["007"]}
    assert table.fingerprint == sha256(content)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda whole: whole[:-9], id="truncated"),
        pytest.param(lambda whole: whole[:5], id="header cut"),
        pytest.param(lambda whole: b"a,b\n1,2\n", id="no gzip"),
        pytest.param(lambda whole: whole[:12] + b"\xff\xff\xff" + whole[15:], id="stream damaged"),
        pytest.param(lambda whole: whole[:-8] + b"\0\0\0\0" + whole[-4:], id="checksum wrong"),
    ],
)
def test_damaged_gzip_is_refused(damage: Any, tmp_path: Path) -> None:
    rows = "".join(f"{number},{number * number}\n" for number in range(500))
    whole = gzip.compress(b"a,b\n" + rows.encode())
    with pytest.raises(SourceError, match=r"cannot be read: .*Copy or export it again"):
        _csv(tmp_path, damage(whole), "own.csv.gz")


@pytest.mark.skipif(not CREDIT_CARDS.exists(), reason="no ../shared/data/finance/UCI_Credit_Card.csv here")
def test_a_published_file_with_the_line_ends_of_an_old_mac_is_read() -> None:
    assert b"\n" not in CREDIT_CARDS.read_bytes()
    table = read_table(CREDIT_CARDS)
    assert (len(table), len(table.columns)) == (30_000, 25)
    assert table.columns["LIMIT_BAL"][0] == "20000"
    assert table.columns["default.payment.next.month"][-1] == "1"


# --- Parquet ---


def test_plain_types_come_as_numpy(tmp_path: Path) -> None:
    table = _parquet(
        tmp_path,
        id=pa.array([7, 2**60 + 1]),
        small=pa.array([1, 2], pa.uint8()),
        amount=pa.array([1.5, None]),
        half=pa.array(np.array([1, 2], np.float16)),
        flag=pa.array([True, False]),
        größe=pa.array(["007", None]),
    )
    assert {name: cells.dtype.kind for name, cells in table.columns.items()} == {
        "id": "i", "small": "u", "amount": "f", "half": "f", "flag": "b", "größe": "O",
    }  # fmt: skip
    assert _lists(table)["id"] == [7, 2**60 + 1]
    assert np.isnan(table.columns["amount"][1])
    assert _lists(table)["größe"] == ["007", None]
    assert table.fingerprint == sha256(tmp_path / "own.parquet")
    assert (len(table), table.notes) == (2, ())


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        pytest.param(pa.array([2**60 + 1, None]), [2**60 + 1, None], id="large integers beside nulls"),
        pytest.param(pa.array([True, None]), [True, None], id="bool"),
        pytest.param(pa.array([Decimal(2**60 + 1)], pa.decimal128(38, 0)), [Decimal(2**60 + 1)], id="whole decimal"),
        pytest.param(pa.array([Decimal("57.16"), None]), [Decimal("57.16"), None], id="decimal"),
        pytest.param(pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"], id="dictionary"),
        pytest.param(pa.array([5, 6]).dictionary_encode(), [5, 6], id="dictionary of integers"),
        pytest.param(pa.array(["a", None], pa.large_string()), ["a", None], id="large string"),
        pytest.param(pa.array([b"a\xc3\xbc", None]), ["aü", None], id="bytes that are text"),
        pytest.param(pa.array([timedelta(seconds=90), timedelta(0)]), [90.0, 0.0], id="duration in seconds"),
        pytest.param(pa.array([time(10, 0)]), [time(10, 0)], id="time of day"),
        pytest.param(pa.array([[1], [2, 3], None]), [[1], [2, 3], None], id="lists"),
        pytest.param(pa.array([{"a": 1}]), [{"a": 1}], id="structs"),
        pytest.param(pa.array([None, None]), [None, None], id="nothing but nulls"),
    ],
)
def test_other_types_lose_nothing(cells: pa.Array, expected: list[Any], tmp_path: Path) -> None:
    assert _lists(_parquet(tmp_path, x=cells))["x"] == expected


NAIVE = MOMENT.replace(tzinfo=None)


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param(pa.array([NAIVE, None]), id="naive"),
        pytest.param(pa.array([NAIVE, None], pa.timestamp("s")), id="seconds"),
        pytest.param(pa.array([MOMENT, None], pa.timestamp("us", "Europe/Berlin")), id="zone"),
        pytest.param(pa.array([MOMENT, None], pa.timestamp("ns", "+05:30")), id="offset"),
        pytest.param(pa.array([MOMENT, None], pa.timestamp("ms", "UTC")).dictionary_encode(), id="dictionary"),
    ],
)
def test_times_come_as_utc(cells: pa.Array, tmp_path: Path) -> None:
    column = _parquet(tmp_path, x=cells).columns["x"]
    assert column.dtype.kind == "M"
    assert column[0] == np.datetime64("2018-04-01T10:00:31")
    assert np.isnat(column[1])


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()])
def test_dates_come_as_dates(kind: pa.DataType, tmp_path: Path) -> None:
    column = _parquet(tmp_path, x=pa.array([date(1960, 2, 29)], kind)).columns["x"]
    assert column[0] == np.datetime64("1960-02-29")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.99])
def test_a_truncated_parquet_is_refused(share: float, tmp_path: Path) -> None:
    _parquet(tmp_path, x=np.arange(500), y=[str(number) for number in range(500)])
    whole = (tmp_path / "own.parquet").read_bytes()
    with pytest.raises(SourceError, match=r"cannot be read as Parquet: .*Expected a whole Parquet file"):
        _csv(tmp_path, whole[: int(len(whole) * share)], "cut.parquet")


def test_a_parquet_with_damaged_pages_is_refused(tmp_path: Path) -> None:
    _parquet(tmp_path, y=[str(number) for number in range(500)])
    whole = (tmp_path / "own.parquet").read_bytes()
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        _csv(tmp_path, whole[:4] + b"\xff" * 200 + whole[204:], "damaged.parquet")


@pytest.mark.parametrize("cells", [pa.array([b"\xff"]), pa.array([b"\xff"]).view(pa.string())])
def test_text_in_parquet_must_be_utf8(cells: pa.Array, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot be read as Parquet: .*Expected a whole"):
        _parquet(tmp_path, x=cells)


@pytest.mark.parametrize("name", ["own.parquet", "own.pq", "OWN.PARQUET"])
def test_text_called_parquet_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        _csv(tmp_path, "a,b\n1,2\n", name)


def test_parquet_called_csv_is_refused(tmp_path: Path) -> None:
    _parquet(tmp_path, x=np.arange(500))
    with pytest.raises(SourceError, match="is not UTF-8 text"):
        _csv(tmp_path, (tmp_path / "own.parquet").read_bytes())


def test_repeated_names_in_parquet_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "own.parquet")
    with pytest.raises(ContractError, match="column names repeat: 'a'"):
        read_table(tmp_path / "own.parquet")


@pytest.mark.parametrize("table", [pa.table({"a": pa.array([], pa.int64())}), pa.table({})])
def test_parquet_without_rows_is_no_table(table: pa.Table, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "own.parquet")
    with pytest.raises(ContractError, match=r"own\.parquet: found no rows"):
        read_table(tmp_path / "own.parquet")


def test_folder_names_do_not_become_columns(tmp_path: Path) -> None:
    folder = tmp_path / "year=2018"
    folder.mkdir()
    assert _lists(_parquet(folder, a=[1])) == {"a": [1]}


def test_the_index_of_a_data_frame_is_left_out_unless_it_has_a_name(tmp_path: Path) -> None:
    frame = pd.DataFrame({"customer": ["a", "b"], "x": [1, 2]}, index=[5, 3])
    frame.to_parquet(tmp_path / "own.parquet")
    table = read_table(tmp_path / "own.parquet")
    assert _lists(table) == {"customer": ["a", "b"], "x": [1, 2]}
    assert table.notes == ("column '__index_level_0__' is left out: it has no name of its own",)
    frame.set_index("customer").to_parquet(tmp_path / "named.parquet")
    assert _lists(read_table(tmp_path / "named.parquet")) == {"x": [1, 2], "customer": ["a", "b"]}


def test_parquet_needs_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _parquet(tmp_path, a=[1])
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=re.escape('pip install -e ".[train]"')):
        read_table(tmp_path / "own.parquet")


def test_csv_does_not_need_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert _lists(_csv(tmp_path, "a\n1\n")) == {"a": ["1"]}


# --- columns in memory ---


def test_a_mapping_of_lists_is_a_table() -> None:
    table = from_columns({"a": [1, 2], 5: ("x", None)}, source="call")
    assert _lists(table) == {"a": [1, 2], "5": ["x", None]}
    assert (len(table), table.source, table.fingerprint, table.notes) == (2, "call", "", ())


FRAME = pd.DataFrame(
    {
        "naive": pd.to_datetime(["2018-04-01T10:00:31", None]),
        "aware": pd.to_datetime(["2018-04-01T12:00:31+02:00", None]).tz_convert("Europe/Berlin"),
        "category": pd.Categorical(["a", None]),
        "Int64": pd.array([2**60 + 1, None], dtype="Int64"),
        "Float64": pd.array([1.5, None], dtype="Float64"),
        "boolean": pd.array([True, None], dtype="boolean"),
        "string": pd.array(["a", None], dtype="string"),
        "arrow": pd.array(["a", None], dtype=pd.ArrowDtype(pa.string())),
        "duration": pd.to_timedelta([90, None], unit="s"),
    }
)


@pytest.mark.parametrize(
    ("name", "inferred", "kind", "value"),
    [
        ("naive", "timestamp", "timestamp", 1_522_576_831),
        ("aware", "timestamp", "timestamp", 1_522_576_831),
        ("category", "category", "category", "a"),
        ("Int64", "number", "identifier", str(2**60 + 1)),
        ("Int64", "number", "number", 2.0**60),
        ("Float64", "number", "money", 150),
        ("boolean", "number", "label", 1),
        ("string", "category", "identifier", "a"),
        ("arrow", "category", "category", "a"),
        ("duration", "number", "number", 90.0),
    ],
)
def test_a_data_frame_is_a_table(name: str, inferred: str, kind: Any, value: object) -> None:
    cells = from_columns(FRAME).columns[name]
    values, problems = Column(name=name, kind=kind, meaning="").read(cells)
    assert infer_kind(cells) == inferred
    assert values[0] == value
    assert [problem.partition(":")[0] for problem in problems] == ["row 2"]


@pytest.mark.parametrize("name", ["a b", " a b ", "a\nb", "a\r\n\tb", "a\u2028\u00a0b", "a \x85 b"])
def test_white_space_in_a_column_name_is_one_space(name: str) -> None:
    assert list(from_columns({name: [1]}).columns) == ["a b"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "call: found no rows"),
        ({"a": [], "b": []}, "call: found no rows"),
        ({"a": [1], "b": []}, r"columns differ in length: \{'a': 1, 'b': 0\}"),
        ({"a": [1, 2], "b": [1]}, r"columns differ in length: \{'a': 2, 'b': 1\}"),
        ({"a": 5}, r"column 'a' has the shape \(\)\. Expected one value a row"),
        ({"a": [[1, 2]]}, r"column 'a' has the shape \(1, 2\)"),
        ({"a": [[1], [2, 3]]}, "column 'a' is not a list of single values"),
        ({1: [1], "1": [2]}, "column names repeat: '1'"),
        ({"a b": [1], "a\n b ": [2]}, "column names repeat: 'a b'"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "column names repeat: 'a'"),
        (FRAME.iloc[:0], "found no rows"),
    ],
)
def test_columns_that_are_no_table_are_refused(columns: Any, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        from_columns(columns, source="call")


@pytest.mark.parametrize("kind", READERS)
def test_no_kind_chokes_on_a_data_frame(kind: Any) -> None:
    columns = from_columns(FRAME).columns
    read = {name: Column(name=name, kind=kind, meaning="").read(cells) for name, cells in columns.items()}
    assert {len(values) for values, _ in read.values()} == {2}
    assert all(problems for _, problems in read.values())


# --- fingerprints ---


def test_a_fingerprint_tells_values_names_and_places_apart() -> None:
    tables: list[dict[str, Any]] = [
        {"a": [1, 2]}, {"a": [2, 1]}, {"b": [1, 2]}, {"a": ["1", "2"]}, {"a": ["12", ""]}, {"a": [1, 2], "b": [1, 2]},
    ]  # fmt: skip
    prints = [fingerprint(from_columns(columns).columns) for columns in tables]
    assert len(set(prints)) == len(tables)
    assert all(len(digits) == 64 for digits in prints)


def test_a_fingerprint_does_not_depend_on_the_order_of_columns() -> None:
    first, second, equal = np.array([1, 2]), np.array(["".join("xy")], object), np.array(["".join("xy")], object)
    assert fingerprint({"a": first, "b": second}) == fingerprint({"b": equal, "a": first.copy()})


@pytest.mark.parametrize("name", ["own.txt", "own.txt.gz"])
def test_a_text_is_read_whole_and_unpacked(tmp_path: Path, name: str) -> None:
    content = "1 2 3\r\nŁódź\n".encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else b"\xef\xbb\xbf" + content)
    assert read_text(tmp_path / name) == content.decode()


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is empty"), (b"\xff\xfe", "not UTF-8"), (None, "No file at"), (b"\x1f\x8b", "cannot be")],
)
def test_a_text_that_is_none_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / ("own.gz" if content == b"\x1f\x8b" else "own.txt")
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=said):
        read_text(path)
