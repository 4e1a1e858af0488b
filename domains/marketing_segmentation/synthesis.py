"""A synthetic shop: customers of six latent kinds whose recency, orders and spend overlap, with seasons and promotions.

What tells the kinds apart, and what they do next, shows in how they buy more than in how much:

- Every customer arrives at some day, orders at gaps of their own, and leaves one day without telling.
- Kinds differ in how regular the gaps are, in the part of the assortment they buy from, in lines and pieces of an
  order, in how much orders differ, in what they send back, and in how they follow the year and promotions.
- The shop has a peak at the end of the year and a smaller one in spring, and every six weeks a week of lower prices.
- Within a kind, customers differ as well, so that kinds overlap: who has ordered once might be of almost any kind.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from .config import MarketingConfig
from .features import SECONDS_A_DAY, YEAR
from .orders import Orders

SOURCE = "edgekit synthetic shop"
START = 1_704_067_200  # 2024-01-01T00:00:00Z
OPENS, OPEN_HOURS = 8, 12

PEAKS = ((345, 14), (125, 12))
"""Day of the year and width in days of the peaks: the year's end, and spring."""
PROMOTION_EVERY, PROMOTION_DAYS, PROMOTION_FIRST = 42, 7, 21
PROMOTION_PRICE = 0.75
PRICE = (1.6, 0.6)  # mean and deviation of the log of an item's price
ARRIVAL = (0.8, 2.0)  # Beta distribution over the time of the log: more at its beginning
GAPS_DIFFER, BASKETS_DIFFER, HABITS_DIFFER = 0.3, 0.27, 0.3
"""Deviations of the logs between customers of a kind: of gaps, of lines and pieces, of breadth and returns."""
PIECES_DIFFER = 0.4  # between the lines of an order
RETURN_DAYS = (2.0, 8.0)  # soonest, and mean of what is added


@dataclass(frozen=True)
class Kind:
    """How customers of a kind buy, on average.

    Attributes:
        share: of all customers.
        gap: days between orders, averaged over the year.
        regularity: shape of the gaps' gamma distribution; 1 is no memory, below 1 comes in bursts.
        stays: days until they leave, as the mean of an exponential distribution.
        slows: by how much each gap is longer than the one before.
        lines, pieces: lines of an order, and pieces of a line.
        spread: deviation of the log of pieces between orders.
        breadth: share of the assortment they choose from.
        returns: share of the lines sent back.
        peaks: how many times the usual more they order at the height of each of ``PEAKS``.
        promotions: how many times the usual more in a week of lower prices.
    """

    share: float
    gap: float
    regularity: float
    stays: float
    slows: float
    lines: float
    pieces: float
    spread: float
    breadth: float
    returns: float
    peaks: tuple[float, float]
    promotions: float


KINDS: dict[str, Kind] = {
    "regulars": Kind(0.24, 24, 9.0, 1500, 0.0, 2.1, 4.0, 0.08, 0.02, 0.01, (0.2, 0.0), 0.0),
    "explorers": Kind(0.20, 25, 0.4, 1200, 0.0, 9.5, 1.2, 0.40, 0.90, 0.03, (0.3, 0.2), 0.3),
    "bargain hunters": Kind(0.18, 34, 1.0, 1000, 0.0, 4.0, 2.8, 0.35, 0.30, 0.38, (0.3, 0.0), 13.0),
    "gift givers": Kind(0.14, 55, 1.5, 1500, 0.0, 6.0, 3.7, 0.80, 0.40, 0.03, (13.0, 7.0), 0.0),
    "passers-by": Kind(0.20, 35, 1.0, 120, 0.4, 2.0, 2.7, 0.30, 0.20, 0.06, (0.8, 0.2), 0.5),
    "wholesalers": Kind(0.04, 25, 3.0, 1500, 0.0, 10.0, 20.0, 0.40, 0.15, 0.01, (0.8, 0.0), 0.0),
}


@dataclass(frozen=True, eq=False)
class Bought:
    """Purchase lines; arrays are (line,), those of an order side by side, orders by customer and time.

    Attributes:
        customer, order: int64 places.
        time: int64 seconds since 1970.
        item: int64 codes.
        quantity: float64 pieces, whole numbers.
        amount: float64 money.
    """

    customer: np.ndarray
    order: np.ndarray
    time: np.ndarray
    item: np.ndarray
    quantity: np.ndarray
    amount: np.ndarray


def synthesize(config: MarketingConfig, /, *, seed: int) -> Orders:
    """Draw the orders of ``config.synthetic.customers`` people over ``config.synthetic.days`` days.

    Returns:
        About eleven orders a customer, everyone with one at least, with the kind of each customer.
    """
    rng = np.random.default_rng(seed)
    settings = config.synthetic
    kind = draw_kinds(rng, settings.customers)
    customer, day = draw_visits(rng, kind, settings.days)
    bought = draw_baskets(rng, kind, customer, day, settings.items)
    until = START + settings.days * SECONDS_A_DAY
    arrays = with_returns(bought, *draw_returns(rng, kind, bought, until))
    back = int((arrays["takes_back"] >= 0).sum())
    note = (
        f"drawn with seed {seed}: {settings.customers:,} customers of {len(KINDS)} kinds, "
        f"{bought.order.max() + 1:,} orders, {len(bought.order) + back:,} lines, {back:,} of them returns"
    )
    return Orders(
        **arrays,
        customers=tuple(f"customer-{code:05d}" for code in range(1, settings.customers + 1)),
        until=int(arrays["time"].max()) // SECONDS_A_DAY * SECONDS_A_DAY + SECONDS_A_DAY,
        currency=config.data.currency,
        source=SOURCE,
        fingerprint=hashlib.sha256(b"".join(array.tobytes() for array in arrays.values())).hexdigest(),
        notes=(note,),
        kind=kind,
        kinds=tuple(KINDS),
    )


def _of(kind: np.ndarray, name: str) -> np.ndarray:
    """Return float64 (customer,) what is usual for the kind of each."""
    return np.asarray(np.array([getattr(each, name) for each in KINDS.values()], dtype=np.float64)[kind])


def _differing(rng: np.random.Generator, kind: np.ndarray, name: str, deviation: float) -> np.ndarray:
    """Return float64 (customer,) each customer's own value, around that of the kind."""
    return np.asarray(_of(kind, name) * rng.lognormal(0.0, deviation, len(kind)))


# === Who comes when ===


def draw_kinds(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return int64 (customer,) kinds, each with its share of the customers, in random order."""
    edges = np.cumsum([kind.share for kind in KINDS.values()])
    kinds = np.searchsorted(edges, (np.arange(count) + 0.5) / count).astype(np.int64)
    return np.asarray(rng.permutation(kinds))


def busyness(kind: Kind, days: int) -> np.ndarray:
    """Return float64 (day,) how readily a kind orders on each day; 1 is the mean of a year."""
    year = np.arange(YEAR)
    curve = np.ones(YEAR)
    for (peak, width), height in zip(PEAKS, kind.peaks, strict=True):
        away = np.abs(year - peak)
        curve += height * np.exp(-0.5 * np.square(np.minimum(away, YEAR - away) / width))
    day = np.arange(max(days, YEAR))
    readiness = curve[day % YEAR] * (1 + kind.promotions * promoted(day))
    return np.asarray((readiness / readiness[:YEAR].mean())[:days])


def promoted(day: np.ndarray) -> np.ndarray:
    """Return whether prices are lower on each day."""
    return np.asarray((np.floor(day) - PROMOTION_FIRST) % PROMOTION_EVERY < PROMOTION_DAYS)


def draw_visits(rng: np.random.Generator, kind: np.ndarray, days: int) -> tuple[np.ndarray, np.ndarray]:
    """Return int64 (order,) customers, ascending, and float64 (order,) days of their orders, ascending for each.

    Gaps are drawn on a clock of the kind that runs fast on days when it orders readily, and then read as days.
    """
    gap, shape = _differing(rng, kind, "gap", GAPS_DIFFER), _of(kind, "regularity")
    stays = rng.exponential(_of(kind, "stays"))
    most = 10 + 6 * days // int(min(each.gap for each in KINDS.values()))
    longer = (1 + _of(kind, "slows"))[:, None] ** np.arange(most)
    ticks = np.cumsum(rng.gamma(shape[:, None], (gap / shape)[:, None], (len(kind), most)) * longer, axis=1)
    arrives = rng.beta(*ARRIVAL, len(kind))
    day = np.full((len(kind), most + 1), np.inf)
    for code, each in enumerate(KINDS.values()):
        rows = kind == code
        clock = np.append(0.0, np.cumsum(busyness(each, days)))
        first = arrives[rows] * clock[-1]
        day[rows] = np.interp(
            np.column_stack([first, first[:, None] + ticks[rows]]), clock, np.arange(days + 1.0), right=np.inf
        )
    stayed = (day < days) & (day <= day[:, :1] + stays[:, None])
    return np.nonzero(stayed)[0], day[stayed]


# === What they buy, and send back ===


def draw_baskets(
    rng: np.random.Generator, kind: np.ndarray, customer: np.ndarray, day: np.ndarray, items: int
) -> Bought:
    """Fill every order with lines; no item stands twice in an order.

    Args:
        rng: source of chance.
        kind: int64 (customer,).
        customer: int64 (order,).
        day: float64 (order,).
        items: size of the assortment; each customer chooses from a stretch of it.
    """
    lines, pieces = (_differing(rng, kind, name, BASKETS_DIFFER)[customer] for name in ("lines", "pieces"))
    breadth = np.clip(np.ceil(_differing(rng, kind, "breadth", HABITS_DIFFER) * items), 1, items)
    stretch = np.floor(items * np.square(rng.random(len(kind))))  # the beginning of the assortment sells best
    price = np.round(rng.lognormal(*PRICE, items), 2)
    size = pieces * rng.lognormal(0.0, _of(kind, "spread")[customer])
    order = np.repeat(np.arange(len(customer)), 1 + rng.poisson(np.maximum(lines - 1, 0.2)))
    of = customer[order]
    item = ((stretch[of] + np.floor(rng.random(len(of)) * breadth[of])) % items).astype(np.int64)
    once = np.unique(order * items + item, return_index=True)[1]
    order, of, item = order[once], of[once], item[once]
    quantity = np.maximum(1.0, np.round(size[order] * rng.lognormal(0.0, PIECES_DIFFER, len(order))))
    paid = price[item] * np.where(promoted(day), PROMOTION_PRICE, 1.0)[order]
    hours = 24 * np.floor(day) + OPENS + OPEN_HOURS * (day % 1)
    time = START + (3600 * hours).astype(np.int64)
    return Bought(of, order, time[order], item, quantity, np.round(paid * quantity, 2))


def draw_returns(
    rng: np.random.Generator, kind: np.ndarray, bought: Bought, until: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Choose what comes back: what goes back from an order, goes back together.

    Returns:
        int64 (return,) purchase lines, int64 (return,) times before ``until``, and float64 (return,) pieces, often all.
    """
    chance = _differing(rng, kind, "returns", HABITS_DIFFER)[bought.customer]
    soonest, more = RETURN_DAYS
    delay = (SECONDS_A_DAY * (soonest + rng.exponential(more, bought.order.max() + 1))).astype(np.int64)
    time = bought.time + delay[bought.order]
    source = np.flatnonzero((rng.random(len(chance)) < chance) & (time < until))
    part = np.where(rng.random(len(source)) < 0.7, 1.0, rng.random(len(source)))
    return source, time[source], np.ceil(part * bought.quantity[source])


def with_returns(bought: Bought, source: np.ndarray, time: np.ndarray, pieces: np.ndarray) -> dict[str, np.ndarray]:
    """Return the arrays of ``Orders``: purchases and what ``draw_returns`` chose, sorted by customer and time."""
    arrays = {
        "customer": np.append(bought.customer, bought.customer[source]),
        "time": np.append(bought.time, time),
        "order": np.append(bought.order, bought.order[source] + bought.order.max() + 1),
        "item": np.append(bought.item, bought.item[source]),
        "quantity": np.append(bought.quantity, -pieces),
        "amount": np.append(bought.amount, -bought.amount[source] * pieces / bought.quantity[source]),
    }
    placed = np.lexsort((arrays["time"], arrays["customer"]))
    place = np.argsort(placed)
    arrays["takes_back"] = np.append(np.full(len(bought.order), -1), place[source])
    return {name: array[placed] for name, array in arrays.items()}
