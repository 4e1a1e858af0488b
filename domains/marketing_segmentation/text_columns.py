"""A raw table's texts become numbers and dates before a contract reads it, and its problems are gathered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ...shared.contract import Contract, Table
from ...shared.domain import Request
from ...shared.errors import ContractError
from ...shared.tables import RawTable
from .dates import read_dates
from .money_text import read_numbers


class TextSettings(Protocol):
    """How texts are read; the settings in ``config.DataSettings``, or ``Texts`` where there are no settings."""

    @property
    def decimal(self) -> str:
        """Sign before decimals: ``auto``, a point or a comma."""

    @property
    def date_format(self) -> str | None:
        """Of dates, as ``strptime`` has it."""

    @property
    def currency(self) -> str:
        """Of all money, empty if not declared."""


@dataclass(frozen=True)
class Texts:
    """As :class:`TextSettings` says."""

    decimal: str = "auto"
    date_format: str | None = None
    currency: str = ""


def with_numbers(
    raw: RawTable, own: Mapping[str, str], exclude: Sequence[str], settings: TextSettings
) -> tuple[RawTable, str, list[str]]:
    """Return the table with numbers for texts, the currency (declared, or found), and the problems met.

    Args:
        raw: as it stands in the file.
        own: role to the file's own column name, of roles that hold numbers.
        exclude: columns that are left out.
        settings: the decimal sign and the currency.
    """
    texts = {name: raw.columns[name] for name in own.values() if name not in exclude and _is_text(raw, name)}
    bare = [own[role] for role in ("quantity",) if role in own]
    found = read_numbers(texts, decimal=settings.decimal, currency=settings.currency, bare=bare)
    table = replace(raw, columns=raw.columns | found.columns)
    return table, settings.currency or found.currency, list(found.problems)


def with_dates(raw: RawTable, name: str, exclude: Sequence[str], settings: TextSettings) -> tuple[RawTable, list[str]]:
    """Return the table with times for texts in column ``name``, and the problems met."""
    if name in exclude or not _is_text(raw, name):
        return raw, []
    cells, problems = read_dates(raw.columns[name], date_format=settings.date_format)
    if problems:
        cells = np.zeros(len(raw), np.int64)  # the contract need not say it again
    return replace(raw, columns=raw.columns | {name: cells}), [f"column {name!r}: {problem}" for problem in problems]


def checked(contract: Contract, raw: RawTable, request: Request) -> tuple[Table | None, list[str]]:
    """Return the typed columns that play a role, or ``None`` with the problems met."""
    try:
        return contract.check(raw, mapping=request.columns, exclude=request.exclude, features=()), []
    except ContractError as error:
        return None, [line.removeprefix("  - ") for line in str(error).splitlines()[1:]]


def _is_text(raw: RawTable, name: str) -> bool:
    cells = raw.columns.get(name)
    return cells is not None and cells.dtype.kind in "OU" and any(isinstance(cell, str) for cell in cells)
