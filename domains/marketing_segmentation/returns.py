"""Returns find the purchases that they take back: the customer's latest earlier ones, as a shop's till would."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

LEAST = 1e-9
"""Pieces or money below this are rounding."""


@dataclass(frozen=True, eq=False)
class Matched:
    """Lines sorted by customer, then time, then place in the input; of returns, what was matched.

    A return that takes back several purchases has a line for each, the latest purchase first.

    Attributes:
        row: int64 (line,) row of the input.
        quantity, amount: float64 (line,) of purchases as they are; of returns below 0 (amount: 0 or less), valued at
            what the pieces cost.
        takes_back: int64 (line,) line of the purchase, -1 of purchases.
        unmatched: int64 (return,) rows of the input that take back nothing, or less than they say.
        unmatched_money: what they say beyond that, 0 or more.
    """

    row: np.ndarray
    quantity: np.ndarray
    amount: np.ndarray
    takes_back: np.ndarray
    unmatched: np.ndarray
    unmatched_money: float


def match(
    customer: np.ndarray, item: np.ndarray, *, time: np.ndarray, quantity: np.ndarray, amount: np.ndarray
) -> Matched:
    """Match lines with a negative quantity or a negative amount to earlier purchases of the same customer.

    Of a known item, pieces are matched to the latest earlier purchases of that item that still have pieces left: last
    in, first out. Of an unknown item, money is matched to the latest earlier purchases that still have money left. So
    what a return takes back depends on earlier lines only. Lines of one second keep the order of the input.

    Args:
        customer: int64 (row,) code.
        item: int64 (row,) code, below 0 where unknown.
        time: int64 (row,) seconds.
        quantity: float64 (row,) pieces, not 0.
        amount: float64 (row,) money of the line.
    """
    back = (quantity < 0) | (amount < 0)
    order = np.lexsort((time, customer))
    told = (customer, np.maximum(item, -1), back, np.abs(quantity), np.abs(amount))
    taken, rest = _taken(order[_concerned(*told[:3])[order]], *told)
    bought = order[~back[order]]
    row = np.concatenate([bought, taken["row"]])
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    sort = np.argsort(place[row], kind="stable")
    row = row[sort]
    line = np.empty(len(order), np.int64)
    line[row] = np.arange(len(row))  # of a return the last of its lines, which nobody asks for
    purchase = np.concatenate([np.full(len(bought), -1), taken["purchase"]])[sort]
    share = np.concatenate([np.ones(len(bought)), -taken["share"]])[sort]
    of = np.where(purchase < 0, row, purchase)
    return Matched(
        row=row,
        quantity=share * told[3][of],
        amount=share * told[4][of],
        takes_back=np.where(purchase < 0, -1, line[purchase]),
        unmatched=np.array(sorted(rest), np.int64),
        unmatched_money=float(sum(rest.values())),
    )


def _concerned(customer: np.ndarray, item: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Return bool (row,): returns, and the purchases that one of them could take back."""
    pair = customer * (item.max(initial=0) + 2) + item + 1
    return np.isin(pair, pair[back]) | np.isin(customer, customer[back & (item < 0)])


def _taken(rows: np.ndarray, *told: np.ndarray) -> tuple[np.ndarray, dict[int, float]]:
    """Return which share of which purchase each return takes back, and the money of those that found too little.

    Args:
        rows: of the input, in the order in which they happened.
        told: customer, item, whether it is a return, pieces and money, (row,) each.
    """
    left, pieces, money = dict.fromkeys(rows.tolist(), 1.0), told[3], told[4]
    stacks: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    taken: list[tuple[int, int, float]] = []
    rest: dict[int, float] = {}
    for row, customer, item, back, *many in zip(rows.tolist(), *(part[rows].tolist() for part in told), strict=True):
        if not back:
            for kept in {item, -1}:
                stacks[customer, kept].append(row)
            continue
        wanted = many[0] if item >= 0 else many[1]
        found, missing = _latest(stacks[customer, item], left, pieces if item >= 0 else money, wanted)
        taken += [(row, purchase, share) for purchase, share in found]
        if missing > LEAST or not found:
            rest[row] = many[1] * (missing / wanted if wanted else 1.0)
    return np.array(taken, [("row", np.int64), ("purchase", np.int64), ("share", np.float64)]), rest


def _latest(
    stack: list[int], left: dict[int, float], worth: np.ndarray, wanted: float
) -> tuple[list[tuple[int, float]], float]:
    """Take from the top of a stack; return purchases with the share taken of each, and what is still wanted."""
    found: list[tuple[int, float]] = []
    while stack and wanted > LEAST:
        purchase = stack[-1]
        whole = float(worth[purchase])
        there = left[purchase] * whole
        if there <= LEAST:
            stack.pop()
            continue
        share = left[purchase] if wanted >= there - LEAST else wanted / whole
        left[purchase] -= share
        wanted = max(wanted - share * whole, 0.0)
        found.append((purchase, share))
    return found, wanted
