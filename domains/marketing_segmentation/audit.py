"""Checks before training: who is no ordinary customer, when it cannot have been, what was left out while reading."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np

from ...shared.audit import Finding, duplicate_rows
from ...shared.splits import Splits
from .cleaning import COPIES, NO_CUSTOMER, NO_GOODS
from .config import MarketingConfig
from .customers import CustomerTable
from .features import NAMES, SECONDS_A_DAY
from .orders import Orders

TIMES_MEDIAN = 20
"""More than this many times the median customer's spend is a wholesaler's."""
MUCH = 0.1
"""A share of all spend that changes what averages mean."""
NO_MONEY = 0.01
MANY_FREE = 5
"""So many orders, all for nothing, are a test account's."""
TEST = re.compile(r"(?<![a-z])(test|demo|dummy|guest|unknown|anonymous|sample)(?![a-z])", re.IGNORECASE)
TIMES_GAP = 7
"""A gap longer than this many times the median between days with lines is no weekend."""
MANY = 0.5
FROM_READING = {
    NO_CUSTOMER: "Lines without a customer",
    COPIES: "Copied lines",
    NO_GOODS: "Codes that may be no goods",
}


def audit(
    data: Orders | CustomerTable, splits: Splits, config: MarketingConfig, /, *, now: float | None = None
) -> list[Finding]:
    """Return what a reader must know about the data; nothing is changed.

    Args:
        data: order lines, or a table of customers.
        splits: every part is looked at alike.
        config: the settings of the run.
        now: seconds since 1970 that count as today; the clock's if left out.
    """
    if isinstance(data, CustomerTable):
        return [*_wholesalers(data.behaviour[:, NAMES.index("spend")]), *_test_names(data.customers), *_same(data)]
    size = len(data.customers)
    return [
        *_wholesalers(np.bincount(data.customer, data.amount, size)),
        *_test_names(data.customers),
        *_for_nothing(data),
        *_one_day(data),
        *_gaps(data, config.data.horizon_days),
        *_future(data, time.time() if now is None else now),
        *(
            Finding("info", title, f"{note}.")
            for said, title in FROM_READING.items()
            for note in data.notes
            if said in note
        ),
    ]


# === Customers ===


def _wholesalers(spend: np.ndarray) -> Iterator[Finding]:
    median = float(np.median(spend))
    large = spend > TIMES_MEDIAN * max(median, NO_MONEY)
    share = float(spend[large].sum() / max(spend.sum(), NO_MONEY))
    if large.any():
        yield Finding(
            "warning" if share > MUCH else "info",
            "Customers like wholesalers",
            f"{large.sum():,} of {len(spend):,} customers spent more than {TIMES_MEDIAN} times the {median:,.2f} of "
            f"the median customer; they hold {share:.1%} of all money, the largest alone "
            f"{spend.max() / spend.sum():.1%}. "
            "Errors and sums of spend are mostly theirs: look at figures on the log scale, or leave them out.",
        )


def _test_names(customers: Sequence[str]) -> Iterator[Finding]:
    found = [name for name in customers if TEST.search(name)]
    if found:
        listed = ", ".join(map(repr, found[:5])) + (" …" if len(found) > 5 else "")
        yield Finding(
            "warning",
            "Customers named like tests or guests",
            f"{len(found):,}: {listed}. If they are no persons, leave their lines out.",
        )


def _for_nothing(orders: Orders) -> Iterator[Finding]:
    bought = orders.takes_back < 0
    code, place = np.unique(orders.order[bought], return_inverse=True)
    paid = np.bincount(place, orders.amount[bought], len(code))
    owner = np.zeros(len(code), np.int64)
    owner[place] = orders.customer[bought]
    size = len(orders.customers)
    count, free = np.bincount(owner, minlength=size), np.bincount(owner[paid <= NO_MONEY], minlength=size)
    found = np.flatnonzero((free == count) & (count >= MANY_FREE))
    if len(found):
        listed = ", ".join(repr(orders.customers[code]) for code in found[:5]) + (" …" if len(found) > 5 else "")
        yield Finding(
            "warning",
            "Customers who never pay",
            f"{len(found):,} with {MANY_FREE} orders or more, all for nothing: {listed}. Test accounts, staff or "
            "samples; without money they have no order that counts.",
        )
    if free.sum() and not len(found):
        yield Finding(
            "info", "Orders for nothing", f"{free.sum():,} of {len(code):,} orders cost nothing and do not count."
        )


def _one_day(orders: Orders) -> Iterator[Finding]:
    bought = orders.takes_back < 0
    customer, day = orders.customer[bought], orders.time[bought] // SECONDS_A_DAY
    first, last = np.full(len(orders.customers), np.iinfo(np.int64).max), np.zeros(len(orders.customers), np.int64)
    np.minimum.at(first, customer, day)
    np.maximum.at(last, customer, day)
    share = float(np.mean(first == last))
    if share:
        yield Finding(
            "warning" if share > MANY else "info",
            "Customers of one day",
            f"{(first == last).sum():,} of {len(first):,} customers ({share:.1%}) bought on one day only. Nothing is "
            "known of their rhythm; what is expected of them is what others like them did.",
        )


# === Times ===


def _gaps(orders: Orders, horizon_days: int) -> Iterator[Finding]:
    days = np.unique(orders.time // SECONDS_A_DAY)
    steps = np.diff(np.append(days, orders.until // SECONDS_A_DAY))
    usual = float(np.median(steps[:-1])) if len(days) > 1 else 1.0
    places = np.flatnonzero(steps > TIMES_GAP * usual)
    if not len(places):
        return
    places = places[np.argsort(-steps[places], kind="stable")]
    told = [f"{_date(days[place] * SECONDS_A_DAY)} ({steps[place] - 1:,} days)" for place in places[:5]]
    more = f" and {len(places) - 5:,} more" if len(places) > 5 else ""
    late = days[places] + steps[places] > days[-1] - horizon_days
    yield Finding(
        "warning",
        "Gaps in the log",
        f"No line of a known customer after {', '.join(told)}{more}, where {usual:g} "
        f"{'day is' if usual == 1 else 'days are'} usual from one day with lines to the next. "
        + ("One reaches into the last days, which tell what was to be foreseen. " if late.any() else "")
        + "Was the shop closed, or are lines missing? Missing lines look like customers who left.",
    )


def _future(orders: Orders, now: float) -> Iterator[Finding]:
    late = int((orders.time > now + SECONDS_A_DAY).sum())  # a clock may be in another zone
    if late or orders.until > now + 2 * SECONDS_A_DAY:
        yield Finding(
            "error",
            "Lines in the future",
            f"{late:,} of {len(orders):,} lines are later than now; the log ends on {_date(orders.until - 1)}. Check "
            "clocks and day-month order: the end of the log sets which days are to be foreseen.",
        )


def _date(seconds: int) -> str:
    return f"{datetime.fromtimestamp(int(seconds), tz=UTC):%Y-%m-%d}"


# === Tables of customers ===


def _same(table: CustomerTable) -> Iterator[Finding]:
    """Report customers who equal another in everything."""
    columns = {name: table.behaviour[:, NAMES.index(name)] for name in table.given}
    yield from duplicate_rows(columns | {"future_orders": table.target[:, 0], "future_spend": table.target[:, 1]})
