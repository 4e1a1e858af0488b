"""A shop's files: tables and sequences are read as written, and everything wrong is told at once."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.domains.retail_recommendation.config import DataSettings, RetailConfig
from edgekit.domains.retail_recommendation.log import Log
from edgekit.domains.retail_recommendation.reading import load
from edgekit.shared.domain import Request
from edgekit.shared.errors import ConfigError, ContractError, SourceError

REAL = Path(__file__).parents[4] / "shared/data/retail"
BEAUTY, MOVIES = REAL / "amazon_beauty_5core/Beauty.txt", REAL / "ml-latest-small"
needs_beauty = pytest.mark.skipif(not BEAUTY.exists(), reason=f"no ../shared/data/retail/{BEAUTY.name} here")
needs_movies = pytest.mark.skipif(not MOVIES.exists(), reason=f"no ../shared/data/retail/{MOVIES.name} here")

ROWS = ("user,item,timestamp", "ann,007,100", "ann,7,200", "bob,007,150", "bob,7,160", "cy,7,170", "cy,x y,180")


def read(
    folder: Path, *lines: str, name: str = "log.csv", items: tuple[str, ...] = (), data: Any = None, **given: Any
) -> Log:
    (folder / name).write_text("\n".join(lines), encoding="utf-8")
    if items:
        (folder / "items.csv").write_text("\n".join(items), encoding="utf-8")
        given["items"] = folder / "items.csv"
    return load(Request(folder / name, **given), RetailConfig(data=DataSettings(**(data or {}))), report=lambda _: None)


def refused(folder: Path, *lines: str, **given: Any) -> str:
    with pytest.raises(ContractError) as caught:
        read(folder, *lines, **given)
    return str(caught.value)


def bought(log: Log) -> list[list[str]]:
    """Return each user's items, users by code."""
    return [[log.items[code - 1] for code in log.item[log.user == user]] for user in range(log.num_users)]


# === Tables ===


def test_identifiers_are_read_as_written(tmp_path: Path) -> None:
    log = read(tmp_path, "user,item", 'u1,"a, b"', "u1,007", "u2,7", "u2,x y", "u3,Łódź", "u3,7.0", "01,東京", "01,ß")
    assert bought(log) == [["東京", "ß"], ["a, b", "007"], ["7", "x y"], ["Łódź", "7.0"]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["log.csv", "log.tsv", "log.txt"])
def test_tables_of_any_separator(tmp_path: Path, name: str, delimiter: str) -> None:
    log = read(tmp_path, *(row.replace(",", delimiter) for row in ROWS), name=name)
    assert bought(log) == [["007", "7"], ["007", "7"], ["7", "x y"]] and log.timed


def test_parquet(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"user": [1, 1, 2, 2, 3, 3], "item": [10, 7, 7, 10, 7, 10], "timestamp": [5, 6, 7, 8, 9, 10]}
    parquet.write_table(arrow.table(columns), tmp_path / "log.parquet")
    log = load(Request(tmp_path / "log.parquet"), RetailConfig(), report=print)
    assert bought(log) == [["10", "7"], ["7", "10"], ["7", "10"]] and log.timed


def test_dates_and_seconds_give_the_same_times(tmp_path: Path) -> None:
    seconds = read(tmp_path, *ROWS)
    dates = [
        f"{row.rsplit(',', 1)[0]},1970-01-01T00:0{int(row[-3:]) // 60}:{int(row[-3:]) % 60:02}Z" for row in ROWS[1:]
    ]
    assert read(tmp_path, ROWS[0], *dates).time.tolist() == seconds.time.tolist()


def test_columns_play_roles_and_others_are_left_out(tmp_path: Path) -> None:
    lines = ("who,what,stars,shop", "ann,a,5,N", "ann,b,1,N", "bob,a,4,S", "bob,b,5,S", "cy,a,4,N", "cy,c,5,N")
    roles = {"user": "who", "item": "what", "rating": "stars"}
    log = read(tmp_path, *lines, columns=roles, data={"min_rating": 2.0, "min_user_events": 1})
    assert bought(log) == [["a"], ["a", "b"], ["a", "c"]]
    assert "1 column plays no role and are not used: 'shop'" in log.notes


def test_an_excluded_column_plays_no_role(tmp_path: Path) -> None:
    log = read(tmp_path, *ROWS, exclude=("timestamp",))
    assert not log.timed and "there are no times: the order of the file counts as the order of events" in log.notes


def test_a_misspelt_optional_role_is_hinted_at(tmp_path: Path) -> None:
    log = read(tmp_path, "user,item,timestmp", *ROWS[1:])
    assert any("role 'timestamp'. Did you mean 'timestmp'?" in note for note in log.notes)


def test_what_was_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("\n".join(ROWS))
    said: list[str] = []
    log = load(Request(tmp_path / "log.csv"), RetailConfig(), report=said.append)
    assert said == ["6 interactions of 3 users with 3 items"] and len(log.fingerprint) == 64
    assert log.source == str(tmp_path / "log.csv")


# === Bad tables ===


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (",9,190", "column 'user': row 7: found '', expected a value"),
        ("dee,,190", "column 'item': row 7: found '', expected a value"),
        ("dee,9,", "column 'timestamp': row 7: found '', expected a value"),
        ("dee,9,1700000000000", "row 7: found '1700000000000', expected a number of seconds since 1970 (divide milli"),
        ("dee,9,4102444800", "timestamp: row 7: found 2100-01-01, expected times before the year 2100"),
        (f"dee,{'9' * 201},190", "1 item identifiers cannot be used"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, line: str, said: str) -> None:
    assert said in refused(tmp_path, *ROWS, line)


def test_a_word_among_times_is_named(tmp_path: Path) -> None:
    rows = [f"u{number % 3},i{number % 4},{number}" for number in range(20)]
    assert "column 'timestamp': row 21: found 'soon'" in refused(tmp_path, ROWS[0], *rows, "u1,i1,soon")


def test_the_last_second_of_the_century_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, *ROWS, "dee,9,4102444799", data={"min_user_events": 1}).time.max() == 4_102_444_799


@pytest.mark.parametrize("wrong", ["inf", "good"])
def test_a_rating_that_is_none_is_refused_and_a_missing_one_is_not(tmp_path: Path, wrong: str) -> None:
    rows = [f"{row},{'rating' if not place else 4}" for place, row in enumerate(ROWS)]
    assert f"column 'rating': row 7: found '{wrong}'" in refused(tmp_path, *rows, f"cy,9,190,{wrong}")
    assert len(read(tmp_path, *rows, "cy,9,190,nan", data={"min_rating": 1.0})) == 7


def test_missing_columns_are_told_with_their_likeness(tmp_path: Path) -> None:
    told = refused(tmp_path, "userid,movieid", "1,2", "1,3")
    assert "role 'user'" in told and "Did you mean 'userid'" in told and "role 'item'" in told


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    lines = ("user,item,timestamp,rating", "ann,a,4102444800,x", ",b,3,1", "bob,a\x00b,4,1")
    told = refused(tmp_path, *lines, items=("item,title", "a,A", "a,B"), columns={"raiting": "rating"})
    for said in ("no role 'raiting'", "column 'user': row 2", "column 'rating': row 1", "2100", "identifiers cannot",
                 "items.csv: 1 items have more than one row"):  # fmt: skip
        assert said in told
    assert told.count("\n  - ") == 6


def test_a_column_that_is_left_out_is_no_problem(tmp_path: Path) -> None:
    lines = ("user,item,timestamp", "ann,a,4102444800", ",b,3", "bob,a,4")
    told = refused(tmp_path, *lines, exclude=("timestamp",))
    assert "column 'user': row 2" in told and "2100" not in told


def test_no_file_is_said() -> None:
    with pytest.raises(ContractError, match="--data PATH"):
        load(Request(), RetailConfig(), report=print)


@pytest.mark.parametrize("name", ["log.npz", "log", "log.json", "log.txt.zip"])
def test_other_kinds_of_file_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x93NUMPY\xff\xfe")
    with pytest.raises(SourceError, match="unknown kind of file"):
        load(Request(tmp_path / name), RetailConfig(), report=print)


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "is empty"), (b"\xff\xfe1 2", "not UTF-8"), (None, "No file at"), (b"user", "no rows")]
)
def test_unreadable_texts_are_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "log.txt").write_bytes(content)
    with pytest.raises(SourceError, match=said):
        load(Request(tmp_path / "log.txt"), RetailConfig(), report=print)


# === Sequences ===


@pytest.mark.parametrize(
    "lines",
    [
        ("u1 a b c", "u2 b 007", "u3 c"),
        ("u1\ta\tb c", "u2   b\t007 ", " u3 c\r", "", ""),
        ("u1 a", "u1 b", "u2 b", "u2 007", "u3 c", "u1 c"),
        ("u1 a b c", "lonely", "u2 b 007", "u3 c"),
    ],
)
def test_lines_of_a_user_and_items(tmp_path: Path, lines: tuple[str, ...]) -> None:
    log = read(tmp_path, *lines, name="log.txt", data={"min_user_events": 1})
    assert bought(log) == [["a", "b", "c"], ["b", "007"], ["c"]] and not log.timed
    assert any("in order of time but without times" in note for note in log.notes)


def test_what_is_joined_or_left_out_is_said(tmp_path: Path) -> None:
    log = read(tmp_path, "u1 a b", "u2 b c", "u3 c a", "u1 c", "u9", name="log.txt")
    assert "1 lines continue a user of an earlier line" in log.notes
    assert "1 lines name a user without items and are left out" in log.notes


def test_packed_sequences(tmp_path: Path) -> None:
    (tmp_path / "log.txt.gz").write_bytes(gzip.compress(b"1 4 5\n2 5 6\n3 6 4\n"))
    assert bought(load(Request(tmp_path / "log.txt.gz"), RetailConfig(), report=print)) == [
        ["4", "5"],
        ["5", "6"],
        ["6", "4"],
    ]


def test_a_table_separated_by_spaces_is_not_taken_for_sequences(tmp_path: Path) -> None:
    assert "separated by spaces" in refused(tmp_path, "uid iid", "1 2", "1 3", name="log.txt")
    assert "separated by spaces" in refused(tmp_path, "user thing stars", "a b c", name="log.txt")


def test_a_table_separated_by_tabs_is_not_taken_for_sequences(tmp_path: Path) -> None:
    lines = ("uid\tiid", "1\t2", "1\t3", "2\t3", "2\t2", "3\t2", "3\t4")
    assert "Name it with --columns user=" in refused(tmp_path, *lines, name="log.txt")
    assert bought(read(tmp_path, *lines, name="log.txt", columns={"user": "uid", "item": "iid"}))[0] == ["2", "3"]


@pytest.mark.parametrize("given", [{"columns": {"user": "u1"}}, {"exclude": ("a",)}])
def test_sequences_have_no_columns(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="holds lines `user item item …`"):
        read(tmp_path, "9 a b c", "8 b c", "7 c", name="log.txt", **given)


# === With an items table ===

ITEMS = ("item,name,kind", "007,Bond,spy|film", "7,Seven,film", "x y,Other,spy")


def test_items_are_described(tmp_path: Path) -> None:
    log = read(tmp_path, *ROWS, items=ITEMS, columns={"items.title": "name"})
    assert log.items == ("007", "7", "x y") and log.titles == ("Bond", "Seven", "Other")
    assert log.attribute_names == ("kind: film", "kind: spy")
    assert log.attributes.tolist() == [[0, 0], [1, 1], [1, 0], [0, 1]] and log.attributes.dtype == np.uint8


def test_items_of_sequences_are_described(tmp_path: Path) -> None:
    log = read(tmp_path, "1 007 7", "2 7 007", "3 7 007", name="log.txt", items=("item,title", "7,Seven", "007,Bond"))
    assert log.titles == ("Bond", "Seven") and log.items == ("007", "7")


NEW_ITEMS = (*ITEMS, "new,Newest,spy", "bare,No kind,", "low,Rated low,film")
RATED = (f"{ROWS[0]},rating", *(f"{row},5" for row in ROWS[1:]), "cy,low,190,1")


@pytest.mark.parametrize(("choice", "new"), [("auto", ("new",)), ("include", ("new",)), ("leave_out", ())])
def test_new_items_follow_in_the_catalogue_and_are_described(tmp_path: Path, choice: str, new: tuple[str, ...]) -> None:
    given: dict[str, Any] = {"items": NEW_ITEMS, "columns": {"items.title": "name"}}
    log = read(tmp_path, *RATED, data={"new_items": choice, "min_rating": 2.0}, **given)
    assert log.items == ("007", "7", "x y", *new), "what was had is not new, even if its rows do not count"
    assert log.titles == ("Bond", "Seven", "Other", *("Newest" for _ in new))
    assert log.num_items == 3 + len(new) and log.attributes.shape[0] == log.num_items + 1
    assert log.item.max() == 3 and [log.attribute_names[at] for at in log.attributes[-1].nonzero()[0]] == ["kind: spy"]
    told = "1 items of items.csv occur in no row and are recommended by their attributes"
    assert (told in log.notes) is bool(new)


@pytest.mark.parametrize("choice", ["auto", "include", "leave_out"])
def test_an_items_table_of_another_shop_is_refused(tmp_path: Path, choice: str) -> None:
    with pytest.raises(ContractError, match="none of the 3 items of the interactions"):
        read(tmp_path, *ROWS, items=("item,kind", "y1,a", "y2,a", "y3,b"), data={"new_items": choice})


def test_items_columns_can_be_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, *ROWS, items=ITEMS, exclude=("items.kind", "items.name")).attribute_names == ()


@pytest.mark.parametrize("given", [{"columns": {"items.title": "name"}}, {"exclude": ("items.kind",)}])
def test_options_for_a_table_that_is_not_there_are_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="--items PATH"):
        read(tmp_path, *ROWS, **given)


# === The published sets ===


@needs_beauty
def test_amazon_beauty() -> None:
    log = load(Request(BEAUTY), RetailConfig(), report=print)
    assert (log.num_users, log.num_items, len(log)) == (22_363, 12_101, 198_502) and not log.timed
    assert min(np.bincount(log.user)) == min(np.bincount(log.item)[1:]) == 5
    assert [log.items[code - 1] for code in log.item[:5]] == ["1", "2", "3", "4", "5"]


@needs_movies
def test_movielens() -> None:
    request = Request(MOVIES / "ratings.csv", {"user": "userid", "item": "movieid"}, items=MOVIES / "movies.csv")
    log = load(request, RetailConfig(), report=print)
    assert (log.num_users, log.num_items, len(log)) == (610, 9_724 + 18, 100_836) and log.timed
    assert log.item.max() == 9_724 and log.attributes[9_725:].any(axis=1).all(), "the 18 new films follow, described"
    assert log.titles[log.items.index("1")] == "Toy Story (1995)"
    told = {log.attribute_names[at] for at in log.attributes[log.items.index("1") + 1].nonzero()[0]}
    assert told == {f"genres: {name}" for name in ("Adventure", "Animation", "Children", "Comedy", "Fantasy")}
    assert "18 items of movies.csv occur in no row and are recommended by their attributes" in log.notes


@needs_movies
def test_movielens_without_its_new_films() -> None:
    request = Request(MOVIES / "ratings.csv", {"user": "userid", "item": "movieid"}, items=MOVIES / "movies.csv")
    log = load(request, RetailConfig(data=DataSettings(new_items="leave_out")), report=print)
    assert log.num_items == len(log.titles) == 9_724
    assert "18 items of movies.csv are left out: none of the rows that count has them" in log.notes
