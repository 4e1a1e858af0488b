"""From typed columns to orders: which lines count, which returns take back what. Whatever is left out is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ...shared.contract import Table
from ...shared.errors import ContractError
from .features import SECONDS_A_DAY
from .orders import Orders
from .returns import match

LEAST_CUSTOMERS = 50
"""Fewer cannot be told apart in groups, and be checked on others."""
MUCH = 0.005
"""A share of all money spent that is worth a word."""
NO_CUSTOMER = "lines name no customer"
COPIES = "lines repeat an earlier line in everything"
NO_GOODS = "item codes without a digit"
"""Parts of notes by which the audit knows them."""


@dataclass(frozen=True, eq=False)
class _Rows:
    """Coded lines that count, in the order of the file.

    Attributes:
        customer, item, order: int64 (row,) codes; -1 where item or order is unknown.
        time: int64 (row,) seconds.
        quantity, amount: float64 (row,).
        customers, items: what the codes stand for.
    """

    customer: np.ndarray
    item: np.ndarray
    order: np.ndarray
    time: np.ndarray
    quantity: np.ndarray
    amount: np.ndarray
    customers: tuple[str, ...]
    items: tuple[str, ...]
    notes: list[str] = field(default_factory=list)


def make_orders(table: Table, *, currency: str = "", least: int = LEAST_CUSTOMERS) -> Orders:
    """Keep the lines that count, match returns with purchases and give customers, orders and items codes.

    Lines without a customer, without pieces or without a price are left out, copies of a whole line, order and item
    included, are kept once, and returns that find no earlier purchase (bought before the log began, discounts,
    corrections) are left out.

    Args:
        table: columns customer and timestamp; order, item, quantity where there are any; price or amount.
        currency: of all money.
        least: customers who must have bought something.

    Raises:
        ContractError: no line names a customer, or fewer than ``LEAST_CUSTOMERS`` bought anything.
    """
    rows = _rows(table)
    found = match(rows.customer, rows.item, time=rows.time, quantity=rows.quantity, amount=rows.amount)
    present, customer = np.unique(rows.customer[found.row], return_inverse=True)
    notes = [*rows.notes, *_told(rows, found.unmatched, found.unmatched_money), *_no_goods(rows)]
    _require_customers(len(present), least, table, notes)
    return Orders(
        customer=customer.astype(np.int64),
        time=rows.time[found.row],
        order=_orders(rows)[found.row],
        item=rows.item[found.row],
        quantity=found.quantity,
        amount=found.amount,
        takes_back=found.takes_back,
        customers=tuple(rows.customers[code] for code in present),
        until=(int(table.columns["timestamp"].max()) // SECONDS_A_DAY + 1) * SECONDS_A_DAY,
        currency=currency,
        source=table.source,
        fingerprint=table.fingerprint,
        notes=(*table.notes, *notes),
    )


# === Lines that count ===


def _rows(table: Table) -> _Rows:
    """Return the lines that count, with notes on the others."""
    named = table.columns["customer"] != ""
    if not named.any():
        raise ContractError(
            f"{table.source}: none of {len(table):,} lines names a customer. Expected orders of known customers. Does "
            "the right column play the role customer (--columns customer=NAME)?"
        )
    quantity = table.columns["quantity"] if table.has("quantity") else np.ones(len(table))
    amount = table.columns["amount"] if table.has("amount") else quantity * table.columns["price"]
    left, notes = np.ones(len(table), dtype=bool), list[str]()
    _leave_out(left, ~named, NO_CUSTOMER, notes)
    _leave_out(left, np.isnan(amount) | np.isnan(quantity), "lines have no price or no quantity", notes)
    _leave_out(left, quantity == 0, "lines are of 0 pieces", notes)
    customers, customer = _coded(table.columns["customer"][left])
    items, item = _known(table, "item", left)
    order = _known(table, "order", left)[1]
    time, quantity, amount = table.columns["timestamp"][left], quantity[left], amount[left]
    once = _first_of_each(customer, order, item, time, quantity, amount)
    once |= (order < 0) | (item < 0)  # without order and item, equal lines may be two purchases
    if not once.all():
        notes.append(f"{(~once).sum():,} of {len(once):,} {COPIES}, and are kept once")
    customer, item, order = customer[once], item[once], order[once]
    return _Rows(customer, item, order, time[once], quantity[once], amount[once], customers, items, notes)


def _leave_out(left: np.ndarray, gone: np.ndarray, why: str, notes: list[str]) -> None:
    newly = left & gone
    if newly.any():
        notes.append(f"{newly.sum():,} of {len(left):,} {why} and are left out")
    left &= ~gone


def _known(table: Table, role: str, rows: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the different texts of a column, and int64 (row,) codes, -1 where there is none."""
    if not table.has(role):
        return (), np.full(int(rows.sum()), -1, np.int64)
    names, code = _coded(table.columns[role][rows])
    empty = int(names[:1] == ("",))  # the empty text is the first of all
    return names[empty:], code - empty


def _coded(names: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the different names in alphabetical order, and int64 (row,) places among them."""
    different = tuple(sorted(set(names)))
    number = {name: code for code, name in enumerate(different)}
    return different, np.fromiter(map(number.__getitem__, names), dtype=np.int64, count=len(names))


def _first_of_each(*columns: np.ndarray) -> np.ndarray:
    """Return bool (row,): not the copy of an earlier row."""
    order = np.lexsort(columns[::-1])
    copy = np.logical_and.reduce([values[order[1:]] == values[order[:-1]] for values in columns])
    first = np.ones(len(order), dtype=bool)
    first[order[1:][copy]] = False
    return first


def _orders(rows: _Rows) -> np.ndarray:
    """Return int64 (row,): one code a customer and order, or a customer and day where the order is unknown."""
    day = rows.time // SECONDS_A_DAY
    code = np.where(rows.order >= 0, rows.order, rows.order.max(initial=-1) + 1 + day - day.min(initial=0))
    pair = rows.customer * (code.max(initial=0) + 1) + code
    return np.unique(pair, return_inverse=True)[1].astype(np.int64)


# === What is said ===


def _told(rows: _Rows, unmatched: np.ndarray, money: float) -> Iterator[str]:
    back = (rows.quantity < 0) | (rows.amount < 0)
    if back.any():
        spent = rows.amount[~back].sum()
        share = f" ({money / spent:.1%} of all spent)" if spent > 0 else ""
        yield (
            f"{len(unmatched):,} of {back.sum():,} returns find no earlier purchase for all they take back; that part, "
            f"worth {money:,.2f}{share}, is left out"
        )
    if len(rows.item) and rows.item.max() < 0:
        yield "there are no items: returns are matched by money, and breadth is unknown"


def _no_goods(rows: _Rows) -> Iterator[str]:
    """Tell of postage, fees and hand-written lines: their codes hold words only."""
    spent = np.bincount(rows.item[rows.item >= 0], np.maximum(rows.amount, 0)[rows.item >= 0], len(rows.items))
    words = [code for code, name in enumerate(rows.items) if not any(letter.isdigit() for letter in name)]
    if len(words) > len(rows.items) / 2:
        return  # items that bear names
    some = sorted((code for code in words if spent[code] > MUCH * spent.sum()), key=lambda code: -spent[code])
    if some:
        listed = ", ".join(f"{rows.items[code]} {spent[code] / spent.sum():.1%}" for code in some[:10])
        yield f"{NO_GOODS} hold much of the money, as postage and fees do: {listed}; they count as goods"


def _require_customers(found: int, least: int, table: Table, notes: list[str]) -> None:
    if found >= least:
        return
    steps = "".join(f"\n  - {note}" for note in notes)
    raise ContractError(
        f"{table.source}: found {found:,} {'customer' if found == 1 else 'customers'} with purchases, in "
        f"{len(table):,} lines. Expected at least {least}, to find groups among them and check these on others. "
        "Does the right column play the role customer?" + (f" What was done:{steps}" if steps else "")
    )
