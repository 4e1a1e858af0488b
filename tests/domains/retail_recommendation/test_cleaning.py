"""From typed columns to a log: order, codes, and every kind of row that is left out and said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.domains.retail_recommendation.catalogue import Catalogue
from edgekit.domains.retail_recommendation.cleaning import make_log
from edgekit.domains.retail_recommendation.config import DataSettings
from edgekit.domains.retail_recommendation.log import Log
from edgekit.shared.contract import Table
from edgekit.shared.errors import ConfigError, ContractError

ALL: dict[str, Any] = {"min_user_events": 1, "repeats": "keep"}


def table(rows: str, **columns: Any) -> Table:
    """Return a table of rows such as ``"ann:x@3 bob:y@1"``; the time may be missing."""
    cells = [cell.replace("@", ":").split(":") for cell in rows.split()]
    made: dict[str, Any] = {
        "user": np.array([cell[0] for cell in cells], dtype=object),
        "item": np.array([cell[1] for cell in cells], dtype=object),
    }
    if len(cells[0]) > 2:
        made["timestamp"] = np.array([int(cell[2]) for cell in cells], dtype=np.int64)
    return Table({**made, **columns}, (), {}, "shop.csv", "digits", ("read",))


def made(rows: str, *, columns: dict[str, Any] | None = None, **settings: Any) -> Log:
    return make_log(table(rows, **(columns or {})), DataSettings(**{**ALL, **settings}))


def shown(log: Log) -> list[str]:
    """Return rows as ``user item``, users by code."""
    return [f"{user}{log.items[item - 1]}" for user, item in zip(log.user, log.item, strict=True)]


TIMED = "c:x@5 a:y@1 b:x@5 a:z@5 b:y@9 a:x@2"


def test_rows_are_in_order_of_time_then_user() -> None:
    log = made(TIMED)
    assert shown(log) == ["0y", "0x", "0z", "1x", "2x", "1y"]
    assert log.time.tolist() == [1, 2, 5, 5, 5, 9] and log.timed
    assert "the rows were not in time order and have been sorted" in log.notes


def test_without_times_the_order_of_the_file_counts() -> None:
    log = made("b:x a:y b:y a:x b:z c:y")
    assert shown(log) == ["0y", "0x", "1x", "1y", "1z", "2y"]
    assert log.time.tolist() == [0, 1, 0, 1, 2, 0] and not log.timed


def test_the_record_is_typed_and_says_where_it_comes_from() -> None:
    log = made(TIMED)
    assert [str(array.dtype) for array in (log.user, log.item, log.time)] == ["int64", "int32", "int64"]
    assert log.items == ("x", "y", "z") and (log.num_users, log.num_items, len(log)) == (3, 3, 6)
    assert log.titles == log.attribute_names == () and log.attributes.shape == (4, 0)
    assert (log.source, log.fingerprint, log.notes[0]) == ("shop.csv", "digits", "read")


def test_users_are_codes_and_never_named() -> None:
    log = made("secret1:x secret1:y secret2:y secret2:x secret3:x")
    assert "secret" not in repr(log)


def test_rows_of_one_user_and_moment_stay_in_the_order_of_the_file() -> None:
    assert shown(made("a:z@5 b:x@5 a:x@5 c:x@1 a:y@5")) == ["2x", "0z", "0x", "0y", "1x"]


def test_the_log_does_not_depend_on_the_order_of_distinct_moments() -> None:
    first, other = made(TIMED), made(" ".join(reversed(TIMED.split())))
    assert shown(first) == shown(other) and first.items == other.items


# === What is left out ===


def test_the_same_event_twice_counts_once() -> None:
    log = made("a:x@1 a:x@1 a:x@2 b:x@1 b:y@3 a:x@1 c:y@4")
    assert shown(log) == ["0x", "1x", "0x", "1y", "2y"]
    assert any(note.startswith("2 rows repeat an earlier row of the same user, item and time") for note in log.notes)


def test_without_times_equal_rows_may_be_different_events() -> None:
    assert len(made("a:x a:y a:x b:x c:x")) == 5


@pytest.mark.parametrize("time", ["", "@1"])
@pytest.mark.parametrize(
    ("repeats", "kept", "said"),
    [
        ("keep", ["0x", "0x", "0x", "0y", "0x", "1x", "2x"], ""),
        ("drop_consecutive", ["0x", "0y", "0x", "1x", "2x"], "2 rows directly repeat"),
        ("drop", ["0x", "0y", "1x", "2x"], "3 rows repeat an item that the user had before"),
    ],
)
def test_repeats(repeats: str, kept: list[str], said: str, time: str) -> None:
    rows = ["a:x", "a:x", "a:x", "a:y", "a:x", "b:x", "c:x"]
    log = made(" ".join(f"{row}{time and f'@{place}'}" for place, row in enumerate(rows)), repeats=repeats)
    assert shown(log) == kept and (not time or log.timed)
    assert any(note.startswith(said) for note in log.notes)


def test_the_newest_rows_of_a_user_are_kept() -> None:
    log = made("a:x@1 a:y@2 b:x@3 a:z@4 b:y@5 c:x@6 a:w@7", max_events_per_user=2)
    assert shown(log) == ["1x", "0z", "1y", "2x", "0w"]
    assert any(note.startswith("2 rows are older than the newest 2 of their user") for note in log.notes)


def test_rare_users_and_items_are_left_out_until_none_is_rare() -> None:
    core = " ".join(f"{user}:{item}" for user in "abc" for item in "xyz")
    log = made(f"{core} d:x d:y d:q e:q e:r f:r", min_user_events=3, min_item_events=2)
    assert set(log.items) == {"x", "y", "z"} and log.num_users == 3 and len(log) == 9
    counts = np.bincount(log.user), np.bincount(log.item)[1:]
    assert counts[0].min() >= 3 and counts[1].min() >= 2
    said = next(note for note in log.notes if note.startswith("k-core"))
    assert "6 rows, 3 users and 2 items are left out, in 3 rounds" in said and "min_item_events = 2" in said


def test_positions_and_codes_have_no_gaps_after_leaving_out() -> None:
    log = made("a:q a:x a:y b:x b:y c:x c:y", min_item_events=2)
    assert log.time.tolist() == [0, 1, 0, 1, 0, 1] and log.items == ("x", "y")
    assert sorted(set(log.item.tolist())) == [1, 2] and log.num_users == 3


def test_nothing_is_said_where_nothing_is_left_out() -> None:
    assert made("a:x a:y b:x c:y", max_events_per_user=2, min_user_events=1, repeats="drop").notes == ("read",)


def test_low_ratings_do_not_count_and_missing_ones_do() -> None:
    rating = np.array([5, 2, np.nan, 4, 3.9, 4])
    log = made("a:x a:y a:z b:x b:y c:z", columns={"rating": rating}, min_rating=4)
    assert shown(log) == ["0x", "0z", "1x", "2z"]
    assert "2 of 6 rows do not count: a rating below 4 (data.min_rating)" in log.notes
    assert "1 rows have no rating and count all the same" in log.notes


def test_ratings_mean_nothing_without_the_setting() -> None:
    assert len(made("a:x a:y b:x c:y", columns={"rating": np.array([1, np.nan, 0, -5])})) == 4


def test_returns_do_not_count() -> None:
    log = made("a:x a:y a:z b:x b:y c:y", columns={"quantity": np.array([1, -1, 0, np.nan, 2.5, 1])})
    assert shown(log) == ["0x", "1x", "1y", "2y"]
    assert any(note.startswith("2 of 6 rows do not count: a quantity of 0 or fewer") for note in log.notes)


def test_only_the_events_asked_for_count() -> None:
    event = np.array(["view", "buy", "view", "buy", "cart", "buy"], dtype=object)
    log = made("a:x a:y b:x b:y c:x c:z", columns={"event": event}, events=("buy", "cart"))
    assert shown(log) == ["0y", "1y", "2x", "2z"]
    assert "2 of 6 rows do not count: events other than buy, cart" in log.notes


# === What cannot work ===


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"min_rating": 4.0}, r"has no ratings\. Name their column with --columns rating=NAME"),
        ({"events": ("buy",)}, r"has no events\. Name their column with --columns event=NAME"),
    ],
)
def test_a_setting_without_its_column_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        made("a:x a:y b:x c:y", **settings)


def test_an_event_that_never_occurs_is_refused() -> None:
    event = np.array(["view", "purchase", "view", "view"], dtype=object)
    with pytest.raises(ConfigError, match=r"'purchse'.*never occurs.*Did you mean 'purchase'"):
        made("a:x a:y b:x c:y", columns={"event": event}, events=("view", "purchse"))


@pytest.mark.parametrize(
    ("rows", "settings", "said"),
    [
        ("a:x a:x b:x c:x", {}, "found one item only, in 4 rows"),
        ("a:x a:x b:x c:x", {"repeats": "drop"}, "found one item only, in 3 rows"),
        ("a:x a:y b:x", {}, "found 2 users, in 3 rows"),
        ("a:x a:y a:z", {}, "found 1 user, in 3 rows"),
        ("a:x b:y c:z", {}, "each of 3 users has one row"),
        ("a:x b:y c:z", {"min_user_events": 2}, r"none of 3 rows is left.*\n  - k-core: 3 rows, 3 users and 3 items"),
        ("a:x a:y b:z b:w c:u c:v", {"min_item_events": 2}, r"none of 6 rows is left.*\n  - k-core"),
    ],
)
def test_too_little_is_refused_with_what_was_done(rows: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractError, match=said) as caught:
        made(rows, **settings)
    assert str(caught.value).startswith("shop.csv")


def test_every_row_below_the_rating_is_refused() -> None:
    with pytest.raises(ContractError, match=r"none of 4 rows is left(.|\n)*rating below 9"):
        made("a:x a:y b:x c:y", columns={"rating": np.ones(4)}, min_rating=9)


# === The items table ===


def catalogue(*names: str) -> Catalogue:
    """Return a table of items that each have a kind."""
    cells = {"kind": np.array(["plain"] * len(names), dtype=object)}
    return Catalogue({name: row for row, name in enumerate(names)}, None, cells, "items.csv", "digits")


@pytest.mark.parametrize("new_items", ["auto", "include", "leave_out"])
def test_the_items_table_of_another_shop_is_refused(new_items: Any) -> None:
    settings = DataSettings(**ALL, new_items=new_items)
    with pytest.raises(ContractError, match=r"items\.csv has none of the 3 items of the interactions: it has 'n1'"):
        make_log(table(TIMED), settings, catalogue=catalogue("n1", "n2"))


@pytest.mark.parametrize(
    ("new_items", "expected"), [("auto", ("n1", "n2")), ("include", ("n1", "n2")), ("leave_out", ())]
)
def test_new_items_come_after_those_that_were_had(new_items: Any, expected: tuple[str, ...]) -> None:
    settings = DataSettings(**ALL, new_items=new_items)
    log = make_log(table(TIMED), settings, catalogue=catalogue("n1", "n2", "z"))
    assert log.items == ("x", "y", "z", *expected) and log.item.max() == 3


def test_a_table_of_items_that_are_all_left_out_does_not_fit() -> None:
    settings = DataSettings(**{**ALL, "min_item_events": 2})
    with pytest.raises(ContractError, match="none of the 2 items of the interactions"):
        make_log(table(f"{TIMED} d:rare@7"), settings, catalogue=catalogue("rare", "n1"))


# === Sessions ===


def test_a_long_pause_begins_another_history() -> None:
    rows = "a:x@0 b:x@10 b:y@11 c:y@20 c:z@30 a:y@3600 a:z@7201 a:x@7300"
    log = made(rows, session_hours=1)
    by_user = [[log.items[item - 1] for item in log.item[log.user == user]] for user in range(log.num_users)]
    assert sorted(by_user) == [["x", "y"], ["x", "y"], ["y", "z"], ["z", "x"]]
    assert "3 users have 4 sessions, each a history of its own (data.session_hours)" in log.notes
    assert made(rows).num_users == 3


def test_sessions_need_times() -> None:
    with pytest.raises(ConfigError, match="session_hours needs times"):
        made("a:x a:y b:x b:y", session_hours=1)
