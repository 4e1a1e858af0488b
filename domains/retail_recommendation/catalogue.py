"""The items table: what a shopper reads of an item, and what the items have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...shared.columns import infer_kind
from ...shared.contract import feature_column
from ...shared.errors import ContractError, nearest
from ...shared.tables import RawTable, read_table
from .contract import ITEMS_CONTRACT
from .features import LONGEST_ID, MOST_ATTRIBUTES, as_title, is_name

PREFIX = "items."
"""In front of a role or column on the command line: it is the items table that is meant."""
SEPARATOR = "|"
LEAST_ITEMS_AN_ATTRIBUTE = 2
"""What one item has alone, tells nothing about others."""
MOST_NAMED = 5


@dataclass(frozen=True, eq=False)
class Catalogue:
    """An items table, read.

    Attributes:
        row_of: own identifier to row.
        titles: object (row,) texts, or ``None``.
        categories: column name to object (row,) cells.
        source, fingerprint, notes: where it comes from, and what was left out.
    """

    row_of: Mapping[str, int]
    titles: np.ndarray | None
    categories: Mapping[str, np.ndarray]
    source: str
    fingerprint: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Described:
    """What a catalogue says about the items of a log, see ``log.Log``."""

    titles: tuple[str, ...]
    attributes: np.ndarray
    names: tuple[str, ...]
    notes: tuple[str, ...]


def read_catalogue(
    path: Path, *, columns: Mapping[str, str], exclude: Sequence[str], own_item: str
) -> tuple[Catalogue | None, list[str]]:
    """Read an items table.

    Args:
        path: CSV or Parquet.
        columns: role to column, as given with ``items.`` in front (which is gone here).
        exclude: columns to leave out, likewise.
        own_item: what the log calls its item column; the items table may call it the same.

    Returns:
        The catalogue, or ``None`` with the problems met.

    Raises:
        SourceError: the file cannot be read.
    """
    raw = read_table(path)
    mapping = _mapping(raw, columns, exclude, own_item)
    taken = {*mapping.values(), *mapping, *exclude}
    kinds = {name: infer_kind(cells) for name, cells in raw.columns.items() if name not in taken}
    features = [feature_column(name, kind) for name, kind in kinds.items() if kind == "category"]
    try:
        table = ITEMS_CONTRACT.check(raw, mapping=mapping, exclude=exclude, features=features)
    except ContractError as error:
        return None, [_of_items(path, line) for line in str(error).splitlines()[1:]]
    ids = table.columns["item"]
    problems = [f"{path.name}: {problem}" for problem in (*wrong_ids(ids), *_repeated(ids))]
    if problems:
        return None, problems
    categories = {feature.name: table.columns[feature.name] for feature in features}
    others = [name for name, kind in kinds.items() if kind != "category"]
    notes = [f"{path.name}: numbers and dates are no attributes and are left out: {_named(others)}"] if others else []
    row_of = {name: row for row, name in enumerate(ids)}
    titles = table.columns.get("title")
    return Catalogue(row_of, titles, categories, path.name, raw.fingerprint, (*table.notes, *notes)), []


def _mapping(raw: RawTable, columns: Mapping[str, str], exclude: Sequence[str], own_item: str) -> dict[str, str]:
    """Find the roles' columns, also under the log's own name and in other capitals."""
    by_lower = {name.lower(): name for name in reversed(raw.columns) if name not in exclude}
    mapping = dict(columns)
    for role, names in (("item", ("item", own_item)), ("title", ("title",))):
        found = [by_lower[name.lower()] for name in names if name.lower() in by_lower]
        if role not in mapping and found and found[0] not in mapping.values():
            mapping[role] = found[0]
    return mapping


def _of_items(path: Path, line: str) -> str:
    told = line.removeprefix("  - ")
    for option in ("--columns ", "--exclude "):
        told = told.replace(option, option + PREFIX)
    return f"{path.name}: {told}"


def wrong_ids(ids: np.ndarray) -> list[str]:
    """Return what is wrong with (row,) items' identifiers: those that no device file could hold."""
    unfit = [name for name in dict.fromkeys(ids) if not is_name(name)]
    if not unfit:
        return []
    return [
        f"{len(unfit):,} item identifiers cannot be used: {_named([name[:40] for name in unfit])}. Expected a text on "
        f"one line of 1 to {LONGEST_ID} letters."
    ]


def _repeated(ids: np.ndarray) -> list[str]:
    several = [name for name, count in Counter(ids).items() if count > 1]
    if not several:
        return []
    return [f"{len(several):,} items have more than one row: {_named(several)}. Give each item one row."]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return ", ".join(map(repr, names[:MOST_NAMED])) + more


def new_items(catalogue: Catalogue | None, had: Collection[str], choice: str) -> tuple[tuple[str, ...], list[str]]:
    """Return the items that nobody had and of which the table says something, and what to tell of them.

    Args:
        catalogue: the items table, if there is one.
        had: identifiers in the interactions, counting or not.
        choice: ``data.new_items``.
    """
    if catalogue is None or choice == "leave_out":
        return (), []
    new = tuple(name for name, row in catalogue.row_of.items() if name not in had and _values(catalogue, row))
    if choice == "auto" and len(new) > len(had):
        return (), [
            f"{len(new):,} items of {catalogue.source} occur in no row and are left out, for they outnumber those that "
            "do; data.new_items = include takes them in"
        ]
    told = f"{len(new):,} items of {catalogue.source} occur in no row and are recommended by their attributes"
    return new, [told] if new else []


# === Attributes ===


def describe_items(catalogue: Catalogue | None, items: tuple[str, ...], *, had: int) -> Described:
    """Return titles and attributes of the log's ``items``, in their order.

    Args:
        catalogue: the items table, if there is one.
        items: own identifiers; the first ``had`` of them occur in the interactions.
        had: how many.

    Raises:
        ContractError: the catalogue knows none of the items that occur.
    """
    if catalogue is None:
        return Described((), np.zeros((len(items) + 1, 0), dtype=np.uint8), (), ())
    rows = [catalogue.row_of.get(name, -1) for name in items]
    known = sum(row >= 0 for row in rows)
    if not any(row >= 0 for row in rows[:had]):
        hint = nearest(items[0], list(catalogue.row_of)[:1000])
        raise ContractError(
            f"{catalogue.source} has none of the {had:,} items of the interactions: it has "
            f"{_named(list(catalogue.row_of)[:2])}, they have {_named(items[:2])}.{hint} Expected the same identifiers "
            "in both; name the column with --columns items.item=NAME."
        )
    titles = () if catalogue.titles is None else tuple(as_title(catalogue.titles[r]) if r >= 0 else "" for r in rows)
    names, attributes, said = _attributes(catalogue, rows)
    notes = (f"items are described by {catalogue.source} (sha256 {catalogue.fingerprint[:12]})", *catalogue.notes)
    return Described(titles, attributes, names, (*notes, *_strangers(catalogue, rows, known), *said))


def _strangers(catalogue: Catalogue, rows: Sequence[int], known: int) -> list[str]:
    never, without = len(catalogue.row_of) - known, len(rows) - known
    notes = []
    if never:
        notes.append(f"{never:,} items of {catalogue.source} are left out: none of the rows that count has them")
    if without:
        notes.append(f"{without:,} of {len(rows):,} items have no row in {catalogue.source}: no title, no attributes")
    return notes


def _attributes(catalogue: Catalogue, rows: Sequence[int]) -> tuple[tuple[str, ...], np.ndarray, list[str]]:
    """Return names and uint8 (items + 1, attribute), most frequent first, ties in alphabetical order."""
    held = [sorted(_values(catalogue, row)) if row >= 0 else [] for row in rows]
    count = Counter(value for values in held for value in values)
    useful = [name for name, times in count.items() if LEAST_ITEMS_AN_ATTRIBUTE <= times < len(rows) and is_name(name)]
    names = tuple(sorted(useful, key=lambda name: (-count[name], name))[:MOST_ATTRIBUTES])
    number = {name: place for place, name in enumerate(names)}
    made = np.zeros((len(rows) + 1, len(names)), dtype=np.uint8)
    for code, values in enumerate(held, start=1):
        made[code, [number[value] for value in values if value in number]] = 1
    left = len(count) - len(names)
    notes = [
        f"{left:,} values of {catalogue.source} are no attributes: those of one item only or of all, and beyond the "
        f"{MOST_ATTRIBUTES} most frequent"
    ]
    return names, made, notes if left else []


def _values(catalogue: Catalogue, row: int) -> set[str]:
    return {
        f"{column}: {' '.join(value.split())}"
        for column, cells in catalogue.categories.items()
        for value in cells[row].split(SEPARATOR)
        if value.strip()
    }
