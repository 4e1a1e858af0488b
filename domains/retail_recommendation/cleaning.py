"""From typed columns to a log: which rows count, in which order, under which codes. Whatever is left out is said."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ...shared.contract import Table
from ...shared.errors import ConfigError, ContractError, nearest
from .catalogue import Catalogue, describe_items, new_items
from .config import DataSettings
from .log import Log

LEAST_USERS = 3
"""Fewer cannot stand on three sides of a split."""


@dataclass(frozen=True, eq=False)
class _Rows:
    """Coded rows in order of time, the order of the file within one moment.

    Attributes:
        user, item: int64 (row,) codes from 0.
        time: int64 (row,) seconds, or ``None``.
    """

    user: np.ndarray
    item: np.ndarray
    time: np.ndarray | None

    def __len__(self) -> int:
        return len(self.user)

    def take(self, index: np.ndarray) -> _Rows:
        return _Rows(self.user[index], self.item[index], None if self.time is None else self.time[index])


def make_log(table: Table, settings: DataSettings, *, catalogue: Catalogue | None = None) -> Log:
    """Keep the rows that count, sort them and give users and items codes.

    Args:
        table: columns user and item (text); timestamp, event, rating and quantity where there are any.
        settings: which rows count.
        catalogue: what is known about the items.

    Raises:
        ConfigError: a setting speaks of a column or an event that the data do not have.
        ContractError: what is left cannot teach anything: no rows, one item, too few users.
    """
    counting, notes = _counting(table, settings)
    user = _coded(table.columns["user"][counting])[1]
    items, item = _coded(table.columns["item"][counting])
    time = table.columns["timestamp"][counting] if table.has("timestamp") else None
    rows, moved = _in_order(_Rows(user, item, time))
    notes += moved
    for step in (_once, _by_session, _without_repeats, _newest, _core):
        rows, said = step(rows, settings)
        notes += said
    _require_enough(rows, table, notes)
    new, said = new_items(catalogue, set(table.columns["item"]), settings.new_items)
    return _log(rows, items, new, table, catalogue, notes + said)


# === Rows that count ===


def _counting(table: Table, settings: DataSettings) -> tuple[np.ndarray, list[str]]:
    """Return bool (row,), and what it leaves out."""
    _require_columns(table, settings)
    counts = np.ones(len(table), dtype=bool)
    notes: list[str] = []

    def leave_out(rows: np.ndarray, why: str) -> None:
        gone = int((counts & rows).sum())
        if gone:
            notes.append(f"{gone:,} of {len(table):,} rows do not count: {why}")
        np.logical_and(counts, ~rows, out=counts)

    if settings.events:
        leave_out(~np.isin(table.columns["event"], settings.events), f"events other than {', '.join(settings.events)}")
    if table.has("quantity"):
        leave_out(table.columns["quantity"] <= 0, "a quantity of 0 or fewer is a return")
    if settings.min_rating is not None:
        rating = table.columns["rating"]
        leave_out(rating < settings.min_rating, f"a rating below {settings.min_rating:g} (data.min_rating)")
        unrated = int((np.isnan(rating) & counts).sum())
        if unrated:
            notes.append(f"{unrated:,} rows have no rating and count all the same")
    return counts, notes


def _require_columns(table: Table, settings: DataSettings) -> None:
    if settings.min_rating is not None and not table.has("rating"):
        raise ConfigError(
            f"data.min_rating is {settings.min_rating:g}, but {table.source} has no ratings. Name their column with "
            "--columns rating=NAME, or leave the setting out."
        )
    if settings.events and not table.has("event"):
        raise ConfigError(
            f"data.events is {', '.join(settings.events)}, but {table.source} has no events. Name their column with "
            "--columns event=NAME, or leave the setting out."
        )
    known = sorted(set(table.columns["event"])) if settings.events else []
    unknown = [name for name in settings.events if name not in known]
    if unknown:
        raise ConfigError(
            f"data.events names {unknown[0]!r}, which never occurs in {table.source}.{nearest(unknown[0], known)} "
            f"Found: {', '.join(map(repr, known[:10]))}."
        )


def _coded(names: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the different names in alphabetical order, and int64 (row,) places among them."""
    different = tuple(sorted(set(names)))
    number = {name: code for code, name in enumerate(different)}
    return different, np.fromiter(map(number.__getitem__, names), dtype=np.int64, count=len(names))


# === Order, repeats, cores ===


def _in_order(rows: _Rows) -> tuple[_Rows, list[str]]:
    if rows.time is None:
        return rows.take(np.argsort(rows.user, kind="stable")), []
    notes = [] if np.all(rows.time[1:] >= rows.time[:-1]) else ["the rows were not in time order and have been sorted"]
    return rows.take(np.lexsort((rows.user, rows.time))), notes


def _once(rows: _Rows, settings: DataSettings) -> tuple[_Rows, list[str]]:
    """Drop rows that say the same of the same moment. Without times, equal rows may be different events."""
    if rows.time is None or not len(rows):
        return rows, []
    order = np.lexsort((rows.time, rows.item, rows.user))
    parts = (rows.user[order], rows.item[order], rows.time[order])
    copy = np.zeros(len(rows), dtype=bool)
    copy[order[1:]] = np.logical_and.reduce([part[1:] == part[:-1] for part in parts])
    return _without(rows, copy, "repeat an earlier row of the same user, item and time and have been dropped")


def _by_session(rows: _Rows, settings: DataSettings) -> tuple[_Rows, list[str]]:
    """Let a user be another one after a long pause."""
    if settings.session_hours is None or not len(rows):
        return rows, []
    if rows.time is None:
        raise ConfigError("data.session_hours needs times. Name their column with --columns timestamp=NAME.")
    order = np.lexsort((rows.time, rows.user))
    user, time = rows.user[order], rows.time[order]
    begins = np.append(True, (user[1:] != user[:-1]) | (np.diff(time) > settings.session_hours * 3600))
    session = np.empty_like(rows.user)
    session[order] = np.cumsum(begins) - 1
    told = f"{len(np.unique(user)):,} users have {int(begins.sum()):,} sessions, each a history of its own"
    return replace(rows, user=session), [f"{told} (data.session_hours)"]


def _without_repeats(rows: _Rows, settings: DataSettings) -> tuple[_Rows, list[str]]:
    repeat = np.zeros(len(rows), dtype=bool)
    if settings.repeats == "drop_consecutive" and len(rows):
        order = np.argsort(rows.user, kind="stable")
        user, item = rows.user[order], rows.item[order]
        repeat[order[1:]] = (user[1:] == user[:-1]) & (item[1:] == item[:-1])
        return _without(rows, repeat, "directly repeat the user's item before and are left out (data.repeats)")
    if settings.repeats == "drop" and len(rows):
        pair = rows.user * (rows.item.max() + 1) + rows.item
        repeat[:] = True
        repeat[np.unique(pair, return_index=True)[1]] = False
    return _without(rows, repeat, "repeat an item that the user had before and are left out (data.repeats)")


def _newest(rows: _Rows, settings: DataSettings) -> tuple[_Rows, list[str]]:
    if settings.max_events_per_user is None:
        return rows, []
    later = _rank(rows.user[::-1])[::-1]
    return _without(
        rows,
        later >= settings.max_events_per_user,
        f"are older than the newest {settings.max_events_per_user:,} of their user and are left out "
        "(data.max_events_per_user)",
    )


def _core(rows: _Rows, settings: DataSettings) -> tuple[_Rows, list[str]]:
    """Leave out rare users and items again and again, until none is rare: a k-core.

    Source: Batagelj and Zaversnik 2003 (cores of networks).
    """
    before, rounds = rows, 0
    while len(rows):
        often = np.bincount(rows.user)[rows.user] >= settings.min_user_events
        often &= np.bincount(rows.item)[rows.item] >= settings.min_item_events
        if often.all():
            break
        rows, rounds = rows.take(often), rounds + 1
    if not rounds:
        return rows, []
    gone: list[Callable[[_Rows], int]] = [len, lambda some: len(set(some.user)), lambda some: len(set(some.item))]
    lost = [count(before) - count(rows) for count in gone]
    return rows, [
        f"k-core: {lost[0]:,} rows, {lost[1]:,} users and {lost[2]:,} items are left out, in {rounds} "
        f"{'round' if rounds == 1 else 'rounds'}, because of data.min_user_events = {settings.min_user_events} and "
        f"data.min_item_events = {settings.min_item_events}"
    ]


def _without(rows: _Rows, left_out: np.ndarray, why: str) -> tuple[_Rows, list[str]]:
    gone = int(left_out.sum())
    return (rows.take(~left_out), [f"{gone:,} rows {why}"]) if gone else (rows, [])


def _rank(user: np.ndarray) -> np.ndarray:
    """Return int64 (row,): how many earlier rows there are of the same user."""
    order = np.argsort(user, kind="stable")
    place = np.arange(len(user)) - np.searchsorted(user[order], user[order])
    rank = np.empty_like(place)
    rank[order] = place
    return rank


# === The log ===


def _require_enough(rows: _Rows, table: Table, notes: list[str]) -> None:
    steps = "".join(f"\n  - {note}" for note in notes)
    steps = f" What was done:{steps}" if steps else ""
    if not len(rows):
        raise ContractError(f"{table.source}: none of {len(table):,} rows is left. Loosen the settings in data.{steps}")
    users, items = len(np.unique(rows.user)), len(np.unique(rows.item))
    if items < 2:
        raise ContractError(
            f"{table.source}: found one item only, in {len(rows):,} rows. Expected at least 2 different ones to choose "
            f"from. Is the role item played by the right column?{steps}"
        )
    if users < LEAST_USERS:
        raise ContractError(
            f"{table.source}: found {users} {'user' if users == 1 else 'users'}, in {len(rows):,} rows. Expected at "
            f"least {LEAST_USERS}. Is the role user played by the right column?{steps}"
        )
    if np.bincount(rows.user).max() < 2:
        raise ContractError(
            f"{table.source}: each of {users:,} users has one row, so nothing follows anything. Expected users with "
            f"histories. Is the role user played by the right column?{steps}"
        )


def _log(
    rows: _Rows,
    items: tuple[str, ...],
    new: tuple[str, ...],
    table: Table,
    catalogue: Catalogue | None,
    notes: list[str],
) -> Log:
    user = np.unique(rows.user, return_inverse=True)[1].astype(np.int64)
    present, item = np.unique(rows.item, return_inverse=True)
    own = tuple(items[code] for code in present) + new
    described = describe_items(catalogue, own, had=len(present))
    timed = rows.time is not None
    return Log(
        user=user,
        item=(item + 1).astype(np.int32),
        time=_rank(user) if rows.time is None else rows.time,
        timed=timed,
        items=own,
        titles=described.titles,
        attributes=described.attributes,
        attribute_names=described.names,
        source=table.source,
        fingerprint=table.fingerprint if catalogue is None else _of_both(table, catalogue),
        notes=(*table.notes, *notes, *described.notes),
    )


def _of_both(table: Table, catalogue: Catalogue) -> str:
    return hashlib.sha256(f"{table.fingerprint} {catalogue.fingerprint}".encode()).hexdigest()
