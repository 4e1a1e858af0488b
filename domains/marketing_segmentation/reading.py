"""A shop's files in: order lines, or a table of customers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from ...shared.contract import Table
from ...shared.domain import Progress, Request
from ...shared.errors import ConfigError, ContractError, nearest
from ...shared.tables import RawTable, read_table
from .cleaning import LEAST_CUSTOMERS, make_orders
from .contract import CONTRACT, FUTURE, NOT_USED
from .customers import CustomerTable, read_customers
from .orders import Orders
from .text_columns import TextSettings, checked, with_dates, with_numbers

if TYPE_CHECKING:
    from .config import MarketingConfig

MONEY = ("price", "amount")
LATEST = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())


def load(request: Request, config: MarketingConfig, /, *, report: Progress) -> Orders | CustomerTable:
    """Read the user's file.

    Args:
        request: ``path`` of a table of order lines, or of customers: a table with future orders and spend and without
            a time.
        config: how texts are read.
        report: receives what was read.

    Raises:
        SourceError: the file cannot be read.
        ContractError: the file breaks its contract; all problems are listed. Or too little is left.
        ConfigError: a second table is named.
    """
    if request.path is None:
        raise ContractError("No data were given. Name them with --data PATH.")
    if request.items is not None:
        raise ConfigError("--items names a second table, but marketing_segmentation reads one table. Leave it out.")
    raw = read_table(request.path)
    own = {role: request.columns.get(role, role) for role in (*FUTURE, "timestamp")}
    there = {role for role, name in own.items() if name in raw.columns and name not in request.exclude}
    if there == set(FUTURE):
        table = read_customers(raw, request, config.data)
        report(f"{len(table):,} customers, {len(table.given)} columns of behaviour")
        return table
    orders = read_orders(raw, request, config.data)
    bought = len(np.unique(orders.order[orders.takes_back < 0]))
    report(f"{len(orders):,} lines, {bought:,} orders of {len(orders.customers):,} customers")
    return orders


def read_orders(raw: RawTable, request: Request, settings: TextSettings, *, least: int = LEAST_CUSTOMERS) -> Orders:
    """Hold a table of order lines to its contract.

    Args:
        raw: as it stands in the file.
        request: ``columns`` and ``exclude`` as the user gave them.
        settings: how texts are read.
        least: customers who must have bought something.

    Raises:
        ContractError: the table breaks its contract; all problems are listed. Or too little is left.
    """
    own = {role.name: request.columns.get(role.name, role.name) for role in CONTRACT.roles}
    raw, currency, problems = with_numbers(
        raw, {role: own[role] for role in ("quantity", *MONEY)}, request.exclude, settings
    )
    raw, wrong = with_dates(raw, own["timestamp"], request.exclude, settings)
    table, broken = checked(CONTRACT, raw, request)
    problems += [*wrong, *broken, *_without_money(raw, request), *(_too_late(table) if table else ())]
    if problems or table is None:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise ContractError(f"{raw.source} does not keep the contract of {CONTRACT.name}:\n{listed}")
    notes = (*raw.notes, *_notes(raw, table, request))
    return make_orders(replace(table, notes=notes), currency=currency, least=least)


def _without_money(raw: RawTable, request: Request) -> Iterator[str]:
    there = [name for name in raw.columns if name not in request.exclude]
    if not any(role in there or role in request.columns for role in MONEY):
        likely = nearest("price", there) or nearest("amount", there)
        yield (
            f"no column for the role 'price' or 'amount' (money for a piece, or for the line).{likely} Name it with "
            f"--columns price=YOUR_COLUMN or --columns amount=YOUR_COLUMN. Columns: {', '.join(there)}."
        )


def _too_late(table: Table) -> Iterator[str]:
    rows = np.flatnonzero(table.columns["timestamp"] >= LATEST)
    if len(rows):
        more = f" (and {len(rows) - 1:,} more rows)" if len(rows) > 1 else ""
        moment = datetime.fromtimestamp(int(table.columns["timestamp"][rows[0]]), tz=UTC)
        yield (
            f"timestamp: row {rows[0] + 1}: found {moment:%Y-%m-%d}{more}, expected times before the year 2100. Are "
            "they in seconds since 1970, all of them?"
        )


def _notes(raw: RawTable, table: Table, request: Request) -> Iterator[str]:
    """Tell what is not used, and what is assumed."""
    used = {request.columns.get(role, role) for role in table.columns if role not in NOT_USED}
    left = [name for name in raw.columns if name not in used and name not in request.exclude]
    if left:
        shown = ", ".join(map(repr, left[:10])) + (" …" if len(left) > 10 else "")
        yield f"{len(left):,} {'column plays' if len(left) == 1 else 'columns play'} no role and are not used: {shown}"
    for role in ("order", "item", "quantity"):
        hint = "" if table.has(role) else nearest(role, left)
        if hint:
            yield f"no column plays the role {role!r}.{hint} If so: --columns {role}=…"
    if table.has(*MONEY):
        yield "amount is the money of a line; price is not used"
    if not table.has("order"):
        yield "there are no order numbers: all that a customer buys on one day is one order"
    if not table.has("quantity"):
        yield "there are no quantities: every line is one piece"
