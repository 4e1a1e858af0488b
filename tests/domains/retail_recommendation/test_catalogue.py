"""Items tables: titles, attributes, and what does not fit the interactions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgekit.domains.retail_recommendation import catalogue as module
from edgekit.domains.retail_recommendation.catalogue import (
    Catalogue,
    Described,
    describe_items,
    new_items,
    read_catalogue,
)
from edgekit.shared.errors import ContractError, SourceError

FILMS = (
    "item,title,genres,maker,price,since",
    "007,Goldfinger,Action|Spy,EON,9.5,1964-09-17",
    "7,Se7en,Crime | Thriller,,8,1995-09-22",
    '"a, b","Long, ""quoted""",Action,EON,7,2001-01-01',
    "Łódź,,,,6,2002-02-02",
    "never,Unsold,Spy|Action,Toho,5,2003-03-03",
)


def read(
    folder: Path,
    *lines: str,
    own_item: str = "item",
    exclude: tuple[str, ...] = (),
    columns: dict[str, str] | None = None,
) -> Catalogue:
    (folder / "items.csv").write_text("\n".join(lines), encoding="utf-8")
    made, problems = read_catalogue(folder / "items.csv", columns=columns or {}, exclude=exclude, own_item=own_item)
    assert made is not None, problems
    return made


def problems_of(folder: Path, *lines: str, **given: Any) -> str:
    (folder / "items.csv").write_text("\n".join(lines), encoding="utf-8")
    made, problems = read_catalogue(folder / "items.csv", **{"columns": {}, "exclude": (), "own_item": "item", **given})
    assert made is None and all(problem.startswith("items.csv: ") for problem in problems)
    return "\n".join(problems)


def attributes(described: Described) -> list[list[str]]:
    return [[described.names[at] for at in row.nonzero()[0]] for row in described.attributes]


def test_titles_and_attributes_by_code(tmp_path: Path) -> None:
    described = describe_items(read(tmp_path, *FILMS), ("007", "7", "Łódź", "a, b"), had=4)
    assert described.titles == ("Goldfinger", "Se7en", "", 'Long, "quoted"')
    assert described.names == ("genres: Action", "maker: EON")
    assert attributes(described) == [[], ["genres: Action", "maker: EON"], [], [], ["genres: Action", "maker: EON"]]


def test_what_is_not_used_is_said(tmp_path: Path) -> None:
    notes = describe_items(read(tmp_path, *FILMS), ("007", "7", "a, b", "unknown", "stranger"), had=5).notes
    assert notes[0].startswith("items are described by items.csv (sha256 ")
    assert "items.csv: numbers and dates are no attributes and are left out: 'price', 'since'" in notes
    assert "2 items of items.csv are left out: none of the rows that count has them" in notes
    assert "2 of 5 items have no row in items.csv: no title, no attributes" in notes
    assert any(note.startswith("3 values of items.csv are no attributes") for note in notes)


# === New items ===

NEW = ("item,title,kind,price", "a,A,x,1", "b,B,y,2", "n1,N1,x,3", "n2,N2,,4", "n3,N3,  y ,5", "n4,N4, | ,6")


@pytest.mark.parametrize("choice", ["auto", "include"])
def test_what_nobody_had_is_new_if_something_is_said_of_it(tmp_path: Path, choice: str) -> None:
    new, notes = new_items(read(tmp_path, *NEW), {"a", "b"}, choice)
    assert new == ("n1", "n3"), "a title and a price describe nothing"
    assert notes == ["2 items of items.csv occur in no row and are recommended by their attributes"]


@pytest.mark.parametrize(
    ("choice", "had", "new"),
    [
        ("leave_out", {"a", "b", "c"}, ()),
        ("auto", {"a"}, ()),
        ("include", {"a"}, ("b", "n1", "n3")),
        ("auto", {"a", "b", "n1", "n3"}, ()),
        ("include", {"a", "b", "n1", "n3"}, ()),
        ("auto", {"n1", "n3"}, ("a", "b")),
    ],
)
def test_which_new_items_are_taken_in(tmp_path: Path, choice: str, had: set[str], new: tuple[str, ...]) -> None:
    assert new_items(read(tmp_path, *NEW), had, choice)[0] == new


def test_new_items_that_outnumber_the_others_are_left_out_and_it_is_said(tmp_path: Path) -> None:
    _, notes = new_items(read(tmp_path, *NEW), {"a"}, "auto")
    assert notes == [
        "3 items of items.csv occur in no row and are left out, for they outnumber those that do; data.new_items = "
        "include takes them in"
    ]


@pytest.mark.parametrize("choice", ["auto", "include", "leave_out"])
def test_without_a_table_nothing_is_new(choice: str) -> None:
    assert new_items(None, {"a"}, choice) == ((), [])


# === Titles and attributes ===


def test_an_item_without_a_row_has_no_title_and_no_attributes(tmp_path: Path) -> None:
    described = describe_items(read(tmp_path, *FILMS), ("007", "07", "a, b"), had=3)
    assert described.titles[1] == "" and not described.attributes[2].any() and described.attributes[3].any()


def test_no_table_no_description() -> None:
    described = describe_items(None, ("a", "b"), had=2)
    assert (described.titles, described.names, described.notes) == ((), (), ()) and described.attributes.shape == (3, 0)


def test_a_table_without_titles_gives_none(tmp_path: Path) -> None:
    described = describe_items(read(tmp_path, "item,kind", "a,x", "b,x", "c,y", "d,y"), ("a", "b", "c", "d"), had=4)
    assert described.titles == () and described.names == ("kind: x", "kind: y")


def test_what_all_items_or_one_have_is_no_attribute(tmp_path: Path) -> None:
    lines = ["item,kind", *(f"{item},all|{item}|{'even' if place % 2 else 'odd'}" for place, item in enumerate("abcd"))]
    assert describe_items(read(tmp_path, *lines), tuple("abcd"), had=4).names == ("kind: even", "kind: odd")


def test_the_most_frequent_attributes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ATTRIBUTES", 2)
    lines = ["item,kind", "a,z|y", "b,z|y|x", "c,z|x|w", "d,w|q"]
    assert describe_items(read(tmp_path, *lines), tuple("abcd"), had=4).names == ("kind: z", "kind: w")


@pytest.mark.parametrize(
    ("header", "own_item", "columns"),
    [
        ("movieId,title", "movieid", {}),
        ("Item,Title", "sku", {}),
        ("sku,TITLE", "sku", {}),
        ("code,name", "sku", {"item": "code", "title": "name"}),
        ("item,code,title", "code", {"item": "code"}),
    ],
)
def test_columns_are_found_under_the_names_they_have(
    tmp_path: Path, header: str, own_item: str, columns: dict[str, str]
) -> None:
    rows = ("z,a,T1", "w,b,T2") if header.count(",") == 2 else ("a,T1", "b,T2")
    made = describe_items(read(tmp_path, header, *rows, own_item=own_item, columns=columns), ("a", "b"), had=2)
    assert made.titles == ("T1", "T2")


def test_columns_can_be_left_out(tmp_path: Path) -> None:
    made = read(tmp_path, "item,kind,secret,title", "a,x,p,t", "b,x,p,t", "c,y,q,t", exclude=("secret", "title"))
    assert set(made.categories) == {"kind"} and made.titles is None


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("item,title", "a,A", "b,B", "a,C", "b,D", "c,E"), "2 items have more than one row: 'a', 'b'"),
        (("item,title", "a,A", ",B", ",C"), r"column 'item': row 2: found '' (and 1 more row), expected a value"),
        (("sku,title", "a,A"), "Name it with --columns items.item=YOUR_COLUMN. Columns: sku, title."),
        (("item,title", f"{'x' * 201},A", "b,B"), "1 item identifiers cannot be used"),
        (("item,title", '"a\nb",A', "b,B"), "1 item identifiers cannot be used: 'a\\nb'"),
    ],
)
def test_problems_are_told(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    assert said in problems_of(tmp_path, *lines)


def test_misspelt_options_are_told_as_they_were_typed(tmp_path: Path) -> None:
    told = problems_of(tmp_path, "item,title", "a,A", columns={"titel": "title"}, exclude=("prize",))
    assert "--columns items.titel=title: there is no role 'titel'" in told and "--exclude items.prize" in told


def test_a_table_of_another_shop_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ContractError, match=r"none of the 2 items of the interactions: it has '007', '7', they have 'x1', 'x2'"
    ):
        describe_items(read(tmp_path, *FILMS), ("x1", "x2"), had=2)


@pytest.mark.parametrize("new", [("007",), ("007", "7", "never")])
def test_new_items_of_another_shops_table_do_not_make_it_fit(tmp_path: Path, new: tuple[str, ...]) -> None:
    with pytest.raises(ContractError, match=r"none of the 2 items of the interactions: .*, they have 'x1', 'x2'"):
        describe_items(read(tmp_path, *FILMS), ("x1", "x2", *new), had=2)


def test_one_item_in_common_makes_a_table_fit(tmp_path: Path) -> None:
    described = describe_items(read(tmp_path, *FILMS), ("x1", "7", "never"), had=2)
    assert described.titles == ("", "Se7en", "Unsold")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No file at"):
        read_catalogue(tmp_path / "no.csv", columns={}, exclude=(), own_item="item")
