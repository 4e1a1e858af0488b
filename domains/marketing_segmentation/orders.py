"""The record of a shop's orders, line by line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Lines:
    """Order lines of one or many customers, sorted by customer, then time, then place in the file.

    Attributes:
        customer: int64 (line,) code.
        time: int64 (line,) seconds since 1970.
        order: int64 (line,) code; the lines of one order share it, and an order belongs to one customer.
        item: int64 (line,) code from 0, -1 where unknown.
        quantity: float64 (line,) pieces: above 0 of purchases, below 0 of returns.
        amount: float64 (line,) money: 0 or more of purchases; 0 or less of returns, valued at what the pieces cost.
        takes_back: int64 (line,) line of the purchase that a return takes back; -1 for purchases.
    """

    customer: np.ndarray
    time: np.ndarray
    order: np.ndarray
    item: np.ndarray
    quantity: np.ndarray
    amount: np.ndarray
    takes_back: np.ndarray

    def __len__(self) -> int:
        return len(self.customer)


@dataclass(frozen=True, eq=False)
class Orders(Lines):
    """A shop's order lines of its known customers; a line's customer is the place in ``customers``.

    Attributes:
        customers: their identifiers in the file.
        until: the end of the log, midnight after its last line, in seconds since 1970.
        currency: as declared, empty if not.
        source, fingerprint: where the lines come from.
        notes: what was left out or assumed.
        kind, kinds: int64 (customer,) true kind of synthetic customers, and the names of the kinds; None and empty of
            real ones.
    """

    customers: tuple[str, ...]
    until: int
    currency: str
    source: str
    fingerprint: str
    notes: tuple[str, ...] = ()
    kind: np.ndarray | None = None
    kinds: tuple[str, ...] = ()
