"""A shop's files in: a table of interactions or a text file of sequences, and what describes the items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ...shared.contract import Contract, Table
from ...shared.domain import Progress, Request
from ...shared.errors import ConfigError, ContractError, nearest
from ...shared.tables import RawTable, read_table
from .catalogue import PREFIX, read_catalogue, wrong_ids
from .cleaning import make_log
from .config import RetailConfig
from .contract import CONTRACT
from .log import Log
from .sequence_text import read_sequences

LATEST = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())


def load(request: Request, config: RetailConfig, /, *, report: Progress) -> Log:
    """Read the user's files.

    Args:
        request: ``path`` of a table or of a text file with lines ``user item item …``; ``items`` of a table that
            describes the items; in ``columns`` and ``exclude`` a name with ``items.`` in front is one of the latter.
        config: which rows count.
        report: receives what was read.

    Raises:
        SourceError: a file cannot be read.
        ContractError: the files break their contracts; all problems are listed. Or too little is left.
        ConfigError: columns are named where there are none, or a setting speaks of a column that is missing.
    """
    path = request.path
    if path is None:
        raise ContractError("No data were given. Name them with --data PATH.")
    columns, of_items = _divided(request.columns)
    left, left_of_items = _left_out(request.exclude)
    if request.items is None and (of_items or left_of_items):
        raise ConfigError(f"{PREFIX}… speaks of an items table, and none was given. Name it with --items PATH.")
    table, problems = _interactions(path, columns, left)
    catalogue = None
    if request.items is not None:
        own_item = columns.get("item", "item")
        catalogue, wrong = read_catalogue(request.items, columns=of_items, exclude=left_of_items, own_item=own_item)
        problems += wrong
    if problems or table is None:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise ContractError(f"{path} does not keep the contract of {CONTRACT.name}:\n{listed}")
    log = make_log(table, config.data, catalogue=catalogue)
    report(f"{len(log):,} interactions of {log.num_users:,} users with {log.num_items:,} items")
    return log


def _divided(columns: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    own = {role: name for role, name in columns.items() if not role.startswith(PREFIX)}
    return own, {role.removeprefix(PREFIX): name for role, name in columns.items() if role.startswith(PREFIX)}


def _left_out(exclude: Sequence[str]) -> tuple[list[str], list[str]]:
    own = [name for name in exclude if not name.startswith(PREFIX)]
    return own, [name.removeprefix(PREFIX) for name in exclude if name.startswith(PREFIX)]


def _interactions(path: Path, columns: Mapping[str, str], exclude: Sequence[str]) -> tuple[Table | None, list[str]]:
    """Return the typed rows, or ``None`` with the problems met."""
    table = read_sequences(path, columns)
    if table is None:
        return _rows(read_table(path), columns, exclude)
    if columns or exclude:
        raise ConfigError(
            f"--columns and --exclude name columns of a table, but {path} holds lines `user item item …`. Leave them "
            "out."
        )
    problems = wrong_ids(table.columns["item"])
    return (None, problems) if problems else (table, [])


# === Tables ===


def _rows(raw: RawTable, columns: Mapping[str, str], exclude: Sequence[str]) -> tuple[Table | None, list[str]]:
    typed, problems = _typed(raw, columns, exclude)
    problems += [*_wrong_times(typed), *(wrong_ids(typed["item"]) if "item" in typed else ())]
    if problems:
        return None, problems
    notes = (*raw.notes, *_notes(raw, typed, columns, exclude))
    return Table(typed, (), dict(columns), raw.source, raw.fingerprint, notes), []


def _typed(
    raw: RawTable, columns: Mapping[str, str], exclude: Sequence[str]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return what could be read, column by column, and the problems met: a bad rating must not hide a bad time."""
    try:
        return CONTRACT.check(raw, mapping=columns, exclude=exclude, features=()).columns, []
    except ContractError as error:
        problems = [line.removeprefix("  - ") for line in str(error).splitlines()[1:]]
    typed: dict[str, np.ndarray] = {}
    for role in CONTRACT.roles:
        own = columns.get(role.name, role.name)
        if own in raw.columns and own not in exclude:
            try:
                typed |= Contract("", (role,)).check(raw, mapping={role.name: own}, features=()).columns
            except ContractError:
                continue
    return typed, problems


def _wrong_times(typed: Mapping[str, np.ndarray]) -> Iterator[str]:
    if "timestamp" not in typed:
        return
    rows = np.flatnonzero(typed["timestamp"] >= LATEST)
    if len(rows):
        more = f" (and {len(rows) - 1:,} more rows)" if len(rows) > 1 else ""
        moment = datetime.fromtimestamp(int(typed["timestamp"][rows[0]]), tz=UTC)
        yield (
            f"timestamp: row {rows[0] + 1}: found {moment:%Y-%m-%d}{more}, expected times before the year 2100. Are "
            "they in seconds since 1970, all of them?"
        )


def _notes(
    raw: RawTable, typed: Mapping[str, np.ndarray], columns: Mapping[str, str], exclude: Sequence[str]
) -> Iterator[str]:
    """Tell what is not used, and which column may be a role misspelt."""
    used = {columns.get(role, role) for role in typed}
    left = [name for name in raw.columns if name not in used and name not in exclude]
    if left:
        shown = ", ".join(map(repr, left[:10])) + (" …" if len(left) > 10 else "")
        yield f"{len(left):,} {'column plays' if len(left) == 1 else 'columns play'} no role and are not used: {shown}"
    for role in CONTRACT.roles:
        hint = "" if role.name in typed else nearest(role.name, left)
        if hint:
            yield f"no column plays the role {role.name!r}.{hint} If so: --columns {role.name}=…"
    if "timestamp" not in typed:
        yield "there are no times: the order of the file counts as the order of events"
