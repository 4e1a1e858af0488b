"""A table of customers that someone else summed up: behaviour up to a day, and what followed it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...shared.contract import Table
from ...shared.domain import Request
from ...shared.errors import ContractError, nearest
from ...shared.tables import RawTable
from .cleaning import LEAST_CUSTOMERS
from .contract import CUSTOMER_CONTRACT, FUTURE
from .features import NAMES
from .text_columns import TextSettings, checked, with_numbers


@dataclass(frozen=True, eq=False)
class CustomerTable:
    """One row a customer, already summed up.

    Attributes:
        behaviour: float32 (customer, name) as in ``features.NAMES``, NaN where the table does not tell.
        target: float32 (customer, 2) orders and spend of the period that followed.
        customers: their identifiers.
        given: the columns of behaviour that the table has.
        currency: as declared or as found, empty if neither.
        source, fingerprint: where the rows come from.
        notes: what was assumed.
    """

    behaviour: np.ndarray
    target: np.ndarray
    customers: tuple[str, ...]
    given: tuple[str, ...]
    currency: str
    source: str
    fingerprint: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.target)


def read_customers(raw: RawTable, request: Request, settings: TextSettings) -> CustomerTable:
    """Hold a table of customers to its contract.

    Args:
        raw: as it stands in the file.
        request: ``columns`` and ``exclude`` as the user gave them.
        settings: how texts are read.

    Raises:
        ContractError: an unknown column, one that is missing or broken, a customer with two rows, numbers that
            contradict each other; all are listed. Or there are too few customers.
    """
    numeric = [*FUTURE, *NAMES]
    own = {role: request.columns.get(role, role) for role in numeric}
    raw, currency, problems = with_numbers(raw, own, request.exclude, settings)
    table, wrong = checked(CUSTOMER_CONTRACT, raw, request)
    problems += [*_unknown(raw, request), *wrong, *(_contradictions(table) if table else ())]
    if problems or table is None:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise ContractError(f"{raw.source} does not keep the contract of {CUSTOMER_CONTRACT.name}:\n{listed}")
    if len(table) < LEAST_CUSTOMERS:
        raise ContractError(
            f"{raw.source}: found {len(table):,} {'customer' if len(table) == 1 else 'customers'}. Expected at least "
            f"{LEAST_CUSTOMERS}, to find groups among them and check these on others."
        )
    unknown = np.full(len(table), np.nan)
    given = tuple(name for name in NAMES if table.has(name))
    return CustomerTable(
        behaviour=np.stack([table.columns.get(name, unknown) for name in NAMES], axis=1).astype(np.float32),
        target=np.stack([table.columns[name] for name in FUTURE], axis=1).astype(np.float32),
        customers=tuple(table.columns["customer"]),
        given=given,
        currency=currency,
        source=table.source,
        fingerprint=table.fingerprint,
        notes=(*table.notes, *_not_given(given)),
    )


def _unknown(raw: RawTable, request: Request) -> Iterator[str]:
    """Yield columns that nobody knows: a misspelt one must not be left out in silence."""
    known = [column.name for column in CUSTOMER_CONTRACT.roles]
    used = {request.columns.get(role, role) for role in known}
    for name in raw.columns:
        if name not in used and name not in request.exclude:
            yield (
                f"column {name!r} is unknown.{nearest(name, known)} Known: {', '.join(known)}. Leave it out with "
                f"--exclude {name}, or say what it is with --columns NAME={name}."
            )


def _contradictions(table: Table) -> Iterator[str]:
    columns, customers = table.columns, table.columns["customer"]
    _, place, times = np.unique(customers.astype(str), return_inverse=True, return_counts=True)
    bad = {
        "found customer {customer!r}, who has {times} rows, expected one row a customer": times[place] > 1,
        "found recency_days {recency_days:g} above age_days {age_days:g}, expected the last order not before the "
        "first": columns["recency_days"] > columns["age_days"],
        "found future_spend {future_spend:g} without future_orders, expected orders where money was spent": (
            columns["future_spend"] > 0
        )
        & (columns["future_orders"] == 0),
    }
    for said, rows in bad.items():
        if rows.any():
            row = int(np.flatnonzero(rows)[0])
            values = {name: values[row] for name, values in columns.items()} | {"times": times[place[row]]}
            more = f" (and {rows.sum() - 1:,} more rows)" if rows.sum() > 1 else ""
            yield f"row {row + 1}: {said.format(**values)}{more}"


def _not_given(given: tuple[str, ...]) -> Iterator[str]:
    missing = [name for name in NAMES if name not in given]
    if missing:
        yield f"{len(missing)} columns of behaviour are not in the table and count as unknown: {', '.join(missing)}"
