"""What a customer's orders say about them at a moment: the same numbers in training and on the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .orders import Lines

BEHAVIOUR = "behaviour"
"""Name of the network's input."""
SEGMENTS, CODE, ORDERS, SPEND, COMES_BACK = "segments", "code", "orders", "spend", "comes_back"
"""Names of its outputs."""
SECONDS_A_DAY = 86_400
WINDOWS = (30, 90, 180)
HALF_LIVES = (15, 45, 120)
LAST = 5
"""How many of the last orders are told one by one."""
DAYS_A_WEEK = 7
SMALLEST_ORDER = 0.005
"""An order of which less money is left after returns is no order."""
YEAR = 365

NAMES = (
    "orders",
    "spend",
    "recency_days",
    "age_days",
    "mean_order",
    "largest_order",
    "spread_of_orders",
    "mean_gap_days",
    "spread_of_gaps",
    "overdue",
    "orders_a_year",
    "spend_a_year",
    *(f"orders_{days}d" for days in WINDOWS),
    *(f"spend_{days}d" for days in WINDOWS),
    *(f"recent_orders_{days}" for days in HALF_LIVES),
    "recent_spend_45",
    "orders_a_year_ago",
    "spend_a_year_ago",
    "items",
    "items_an_order",
    "lines",
    "pieces",
    "returns",
    "returned_share",
    *(f"gap_{place}" for place in range(1, LAST + 1)),
    *(f"amount_{place}" for place in range(1, LAST + 1)),
)
"""Columns of the behaviour, none of them negative; NaN where the orders cannot tell.

``recency_days``: since the last order; ``age_days``: since the first; ``overdue``: recency against the mean gap;
``recent_orders_15``: orders, each worth half as much for every 15 days that went by; ``orders_a_year_ago``: in the
horizon that began a year ago; ``items``: different ones, those taken back too; ``lines``, ``pieces``: of all orders;
``returns``: pieces of purchases taken back; ``returned_share``: of all money spent; ``gap_1``: days between the last
order and the one before; ``amount_1``: of the last order.
"""


@dataclass(frozen=True)
class Plan:
    """What training fixed, and a device must know.

    Attributes:
        horizon_days: days that the expectations look ahead.
        currency: of all money, empty if not declared.
        names: columns of the behaviour.
    """

    horizon_days: int
    currency: str = ""
    names: tuple[str, ...] = NAMES


@dataclass(frozen=True, eq=False)
class Baskets:
    """Orders with what is left of them after returns, sorted by customer and time.

    Attributes:
        customer, time: int64 (order,).
        amount, lines, pieces: float64 (order,) money left, number of lines, and pieces bought.
        number: int64 (order,) which of the customer's it is, from 0.
        of: int64 (order,) place of the customer in ``customers``.
        customers: int64 (customer,) codes of those who have an order.
    """

    customer: np.ndarray
    time: np.ndarray
    amount: np.ndarray
    lines: np.ndarray
    pieces: np.ndarray
    number: np.ndarray
    of: np.ndarray
    customers: np.ndarray


def baskets(lines: Lines, at: int, *, since: int | None = None) -> Baskets:
    """Sum lines up to orders, as they stood at a moment: later lines and later returns are not known yet.

    Args:
        lines: of one or many customers.
        at: seconds since 1970, the last second that is known.
        since: orders up to this second are left out.
    """
    known = lines.time <= at
    left = lines.amount.astype(np.float64)
    back = known & (lines.takes_back >= 0)
    np.add.at(left, lines.takes_back[back], lines.amount[back])
    bought = known & (lines.takes_back < 0)
    if since is not None:
        bought &= lines.time > since
    order, place = np.unique(lines.order[bought], return_inverse=True)
    amount = np.bincount(place, left[bought], len(order))
    first = np.full(len(order), np.iinfo(np.int64).max)
    np.minimum.at(first, place, lines.time[bought])
    customer = np.zeros(len(order), np.int64)
    customer[place] = lines.customer[bought]
    number_of_lines = np.bincount(place, minlength=len(order)).astype(np.float64)
    pieces = np.bincount(place, lines.quantity[bought], len(order))
    kept = np.flatnonzero(amount > SMALLEST_ORDER)
    kept = kept[np.lexsort((first[kept], customer[kept]))]
    customers, start, of = np.unique(customer[kept], return_index=True, return_inverse=True)
    number = np.arange(len(kept)) - start[of] if len(kept) else np.zeros(0, np.int64)
    return Baskets(
        customer[kept], first[kept], amount[kept], number_of_lines[kept], pieces[kept], number, of, customers
    )


def behaviour(lines: Lines, at: int, *, horizon_days: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what is known of every customer at a moment.

    Args:
        lines: order lines of one or many customers.
        at: seconds since 1970, the last second that is known.
        horizon_days: how far ahead expectations look; what was a year ago is told for as many days.

    Returns:
        int64 (customer,) codes of those with an order, ascending, and float32 (customer, name) as in ``NAMES``.
    """
    made = baskets(lines, at)
    columns = _totals(made, at) | _recent(made, at, horizon_days) | _last(made) | _breadth(lines, made, at)
    columns |= _rates(columns)
    table = np.stack([columns[name] for name in NAMES], axis=1) if len(made.customers) else np.zeros((0, len(NAMES)))
    return made.customers, table.astype(np.float32)


def _sums(made: Baskets) -> Callable[[np.ndarray], np.ndarray]:
    return lambda values: np.bincount(made.of, values, len(made.customers))


def _totals(made: Baskets, at: int) -> dict[str, np.ndarray]:
    total = _sums(made)
    orders, spend = total(np.ones(len(made.of))), total(made.amount)
    last, first, largest = np.zeros_like(orders), np.full_like(orders, np.inf), np.zeros_like(orders)
    np.maximum.at(last, made.of, made.time)
    np.minimum.at(first, made.of, made.time)
    np.maximum.at(largest, made.of, made.amount)
    mean = spend / orders
    spread = np.sqrt(total(np.square(made.amount - mean[made.of])) / orders)
    gap = _gaps(made)
    between = orders - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_gap = (last - first) / SECONDS_A_DAY / between
        deviation = np.where(np.isnan(gap), 0.0, np.square(gap - mean_gap[made.of]))
        spread_of_gaps = np.where(between > 1, np.sqrt(total(deviation) / between), np.nan)
    return {
        "orders": orders,
        "spend": spend,
        "recency_days": (at - last) / SECONDS_A_DAY,
        "age_days": (at - first) / SECONDS_A_DAY,
        "mean_order": mean,
        "largest_order": largest,
        "spread_of_orders": np.where(orders > 1, spread, np.nan),
        "mean_gap_days": np.where(between > 0, mean_gap, np.nan),
        "spread_of_gaps": spread_of_gaps,
        "lines": total(made.lines),
        "pieces": total(made.pieces),
    }


def _gaps(made: Baskets) -> np.ndarray:
    """Return float64 (order,) days since the customer's order before, NaN for the first."""
    gap = np.full(len(made.time), np.nan)
    gap[1:] = np.diff(made.time) / SECONDS_A_DAY
    gap[made.number == 0] = np.nan
    return gap


def _recent(made: Baskets, at: int, horizon_days: int) -> dict[str, np.ndarray]:
    total, days = _sums(made), (at - made.time) / SECONDS_A_DAY
    columns = {f"orders_{window}d": total((days < window) * 1.0) for window in WINDOWS}
    columns |= {f"spend_{window}d": total((days < window) * made.amount) for window in WINDOWS}
    columns |= {f"recent_orders_{half}": total(np.exp2(-days / half)) for half in HALF_LIVES}
    columns["recent_spend_45"] = total(np.exp2(-days / 45) * made.amount)
    season = (days <= YEAR) & (days > YEAR - horizon_days)
    oldest = np.zeros(len(made.customers))
    np.maximum.at(oldest, made.of, days)
    known = np.where(oldest > YEAR, 0.0, np.nan)
    columns["orders_a_year_ago"] = known + total(season * 1.0)
    columns["spend_a_year_ago"] = known + total(season * made.amount)
    return columns


def _last(made: Baskets) -> dict[str, np.ndarray]:
    """Return gap and amount of each of the last orders, the newest first."""
    count, gap = np.bincount(made.of, minlength=len(made.customers)), _gaps(made)
    from_end = count[made.of] - 1 - made.number if len(made.of) else made.number
    columns = {}
    for place in range(1, LAST + 1):
        rows = np.flatnonzero(from_end == place - 1)
        for name, values in (("gap", gap), ("amount", made.amount)):
            column = np.full(len(made.customers), np.nan)
            column[made.of[rows]] = values[rows]
            columns[f"{name}_{place}"] = column
    return columns


def _breadth(lines: Lines, made: Baskets, at: int) -> dict[str, np.ndarray]:
    """Return how many different items were bought, and what came back."""
    known = (lines.time <= at) & np.isin(lines.customer, made.customers)
    place = np.searchsorted(made.customers, lines.customer[known])
    bought, item = lines.takes_back[known] < 0, lines.item[known]
    named = bought & (item >= 0)
    pairs = np.unique(np.stack([place[named], item[named]]), axis=1)[0]
    size = len(made.customers)
    items = np.bincount(pairs, minlength=size).astype(np.float64)
    paid = np.bincount(place[bought], lines.amount[known][bought], size)
    returned = np.bincount(place[~bought], np.abs(lines.amount[known][~bought]), size)
    return {
        "items": np.where(np.bincount(place[named], minlength=size) > 0, items, np.nan),
        "returns": np.bincount(place[~bought], np.abs(lines.quantity[known][~bought]), size),
        "returned_share": returned / np.maximum(paid, SMALLEST_ORDER),
    }


def _rates(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what follows from the other columns."""
    gap = np.where(np.isnan(columns["mean_gap_days"]), columns["age_days"] / 2, columns["mean_gap_days"])
    years = (columns["age_days"] + WINDOWS[0]) / YEAR  # a customer of yesterday has no yearly rate yet
    return {
        "overdue": columns["recency_days"] / (gap + 1),
        "orders_a_year": columns["orders"] / years,
        "spend_a_year": columns["spend"] / years,
        "items_an_order": columns["items"] / columns["orders"],
    }


def histories(known: np.ndarray, names: Sequence[str] = NAMES) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what purchase models look at, float64 (customer,): repeat orders, and weeks from the first order to the
    last and until now.

    Args:
        known: float (customer, name) behaviour.
        names: its columns.
    """
    orders, recency, age = (
        known[:, names.index(name)].astype(np.float64) for name in ("orders", "recency_days", "age_days")
    )
    repeats = np.maximum(orders - 1, 0)
    between = np.where(repeats > 0, np.clip(age - recency, 0, age), 0)
    return repeats, between / DAYS_A_WEEK, age / DAYS_A_WEEK
