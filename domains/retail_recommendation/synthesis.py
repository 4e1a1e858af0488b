"""A synthetic shop: shoppers with several interests, items that follow on others, seasons, and new items all year.

What comes next depends on what came last, and on what still has to follow, far more than on what sells well:

- A visit is to one category, with one to five purchases, of which one leads to another: every item has a few that are
  bought right after it. The next visit often is to another category.
- Some items are followed by a certain other one: a series by its next part, a device by its supply, within days.
  Between the two the shopper may buy other things.
- Shoppers have their own categories, brands and price bands; their taste for categories drifts over the year.
- Nobody buys an item twice, popularity falls as a power of the rank, some categories have a season, and items are
  launched all year, some so late that hardly anybody has bought them, while their attributes are known.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from .log import Log

if TYPE_CHECKING:
    from .config import RetailConfig

SOURCE = "edgekit synthetic shop"
START = 1_704_067_200  # 2024-01-01T00:00:00Z
DAY = 86_400.0
YEAR = 365.0

CATEGORIES: dict[str, tuple[str, ...]] = {
    "books": ("tale", "chronicle", "saga", "mystery"),
    "games": ("quest", "puzzle", "adventure", "duel"),
    "films": ("comedy", "thriller", "drama", "journey"),
    "printing": ("printer", "ink set", "scanner", "toner"),
    "photo": ("camera", "lens kit", "tripod", "memory card"),
    "coffee": ("espresso maker", "capsules", "grinder", "beans"),
    "shoes": ("runner", "boot", "sandal", "slipper"),
    "garden": ("spade", "seed mix", "hose", "planter"),
    "winter": ("sledge", "wool cap", "ski wax", "mittens"),
    "camping": ("tent", "stove", "sleeping bag", "lamp"),
    "toys": ("train", "blocks", "kite", "doll house"),
    "kitchen": ("pan", "knife", "mixer", "kettle"),
}
"""What is sold, and the nouns of its titles."""
PEAKS = {"garden": 120.0, "camping": 190.0, "winter": 350.0, "toys": 340.0}
"""Day of the year around which a category sells most."""
SEASON_DEPTH = 0.8
SYLLABLES = ("ba", "ve", "lo", "mi", "ta", "ru", "ne", "so", "ki", "da")
ADJECTIVES = ("amber", "brisk", "calm", "deep", "early", "fine", "gentle", "hidden", "ivory", "jolly", "keen", "lunar")
PRICES = ("low", "middle", "high")
PRICE_SHARES = (0.4, 0.4, 0.2)
BRANDS_PER_CATEGORY = 4
CHAINS = {"books": 3, "games": 3, "films": 3, "printing": 2, "photo": 2, "coffee": 2}
"""How many items follow each other: the parts of a series, or a device and its supply."""
CHAINED_SHARE = 0.4
FOLLOW_CHANCE = 0.8
FOLLOW_DAYS = (0.5, 6.0)
FOLLOWER_WEIGHT = 0.1
"""Later parts and supplies are seldom bought by themselves."""
POWER = 1.3
BRAND_LIKING, PRICE_LIKING = 0.8, 0.6  # deviations of log weights
TASTE, DRIFT = 1.0, 0.8
VISITS = (1.75, 0.5)  # mean and deviation of the log of how many a shopper makes
STAY_CHANCE = 0.7  # a further purchase in the same visit
MOST_A_VISIT = 5
COMPANIONS, COMPANION_PULL = 4, 200.0
"""How many items of the category are bought right after each one, and how much more readily than otherwise."""
LAUNCHED_AT_START, LAUNCHED_LATE = 0.75, 0.04
LATE_DAYS = 0.06  # of the whole time


@dataclass(frozen=True, eq=False)
class Assortment:
    """What the shop sells; arrays are (item,) by code − 1.

    Attributes:
        category, brand, price: codes.
        follower: code − 1 of the item that follows, −1 where none does.
        companions: (item, COMPANIONS) what is readily bought right after each item in the same visit.
        appeal: weight of an item bought by itself.
        launch: day from which it is sold.
        titles, brands: names.
    """

    category: np.ndarray
    brand: np.ndarray
    price: np.ndarray
    follower: np.ndarray
    companions: np.ndarray
    appeal: np.ndarray
    launch: np.ndarray
    titles: tuple[str, ...]
    brands: tuple[str, ...]


def synthesize(config: RetailConfig, /, *, seed: int) -> Log:
    """Draw a shop of ``config.synthetic.items`` items and the purchases of ``config.synthetic.shoppers`` people.

    Returns:
        About 20 purchases a shopper over ``config.synthetic.days`` days, each of an item new to the shopper, with the
        items' titles and with category, brand and price as attributes.
    """
    rng = np.random.default_rng(seed)
    settings = config.synthetic
    assortment = draw_assortment(rng, settings.items, settings.days)
    visitors = (_purchases(rng, assortment, settings.days) for _ in range(settings.shoppers))
    bought = [rows for rows in visitors if rows]  # in a tiny shop there may be nothing yet for someone
    user = np.repeat(np.arange(len(bought), dtype=np.int64), [len(rows) for rows in bought])
    rows = np.array([row for rows in bought for row in rows])
    time, item = START + (rows[:, 0] * DAY).astype(np.int64), rows[:, 1].astype(np.int32) + 1
    order = np.lexsort((np.arange(len(user)), user, time))
    user, item, time = user[order], item[order], time[order]
    attributes, names = _attributes(assortment)
    note = f"drawn with seed {seed}: {len(bought):,} shoppers, {settings.items:,} items, {len(user):,} purchases"
    return Log(
        user=user,
        item=item,
        time=time,
        timed=True,
        items=tuple(f"item-{code:04d}" for code in range(1, settings.items + 1)),
        titles=assortment.titles,
        attributes=attributes,
        attribute_names=names,
        source=SOURCE,
        fingerprint=hashlib.sha256(b"".join(array.tobytes() for array in (user, item, time, attributes))).hexdigest(),
        notes=(note,),
    )


# === What is sold ===


def draw_assortment(rng: np.random.Generator, count: int, days: int) -> Assortment:
    """Draw ``count`` items, spread evenly over the categories, sold within ``days`` days."""
    category = np.sort(np.arange(count) % len(CATEGORIES))
    names = _brand_names(rng, len(CATEGORIES) * BRANDS_PER_CATEGORY // 2)
    offered = np.stack([rng.permutation(len(names))[:BRANDS_PER_CATEGORY] for _ in CATEGORIES])
    brand = offered[category, rng.integers(0, BRANDS_PER_CATEGORY, count)]
    price = rng.choice(len(PRICES), count, p=PRICE_SHARES)
    appeal = (rng.permutation(count) + 1.0) ** -POWER
    launch = np.where(rng.random(count) < LAUNCHED_AT_START, 0.0, rng.uniform(0, days, count))
    launch[rng.random(count) < LAUNCHED_LATE] = days * (1 - LATE_DAYS)
    follower, part = _chains(rng, category)
    for item in np.flatnonzero(follower >= 0):  # a chain's items stand in order, so brands pass on to its end
        after = follower[item]
        brand[after], launch[after], appeal[after] = brand[item], launch[item], appeal[item]
    appeal[part > 0] *= FOLLOWER_WEIGHT
    titles = _titles(rng, category, brand, follower, part, names)
    companions = _companions(rng, category)
    return Assortment(category, brand, price, follower, companions, appeal, launch, titles, names)


def _chains(rng: np.random.Generator, category: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the follower of each item (−1: none) and how many items come before it in its chain."""
    follower, part = np.full(len(category), -1), np.zeros(len(category), dtype=np.int64)
    for code, name in enumerate(CATEGORIES):
        members, length = np.flatnonzero(category == code), CHAINS.get(name, 1)
        chained = round(CHAINED_SHARE * len(members)) // length if length > 1 else 0
        for chain in members[: chained * length].reshape(chained, length):
            follower[chain[:-1]] = chain[1:]
            part[chain] = np.arange(length)
    return follower, part


def _companions(rng: np.random.Generator, category: np.ndarray) -> np.ndarray:
    """Return (item, COMPANIONS): items of its category; in a small one some may be equal, or the item itself."""
    sizes = np.bincount(category, minlength=len(CATEGORIES))
    first = (np.cumsum(sizes) - sizes)[category]
    return np.asarray(first[:, None] + rng.integers(0, sizes[category, None], (len(category), COMPANIONS)))


def _brand_names(rng: np.random.Generator, count: int) -> tuple[str, ...]:
    """Return distinct made-up names of three syllables."""
    codes = rng.permutation(len(SYLLABLES) ** 3)[:count]
    digits = np.stack(np.unravel_index(codes, (len(SYLLABLES),) * 3), axis=1)
    return tuple("".join(SYLLABLES[digit] for digit in row).capitalize() for row in digits)


def _titles(
    rng: np.random.Generator,
    category: np.ndarray,
    brand: np.ndarray,
    follower: np.ndarray,
    part: np.ndarray,
    brands: tuple[str, ...],
) -> tuple[str, ...]:
    """Return "Brand adjective noun" of each item; a series keeps its title and counts, a supply keeps the adjective."""
    names = tuple(CATEGORIES)
    adjective, noun = rng.integers(0, len(ADJECTIVES), len(category)), rng.integers(0, 4, len(category))
    titles = []
    for item in range(len(category)):
        kind = names[category[item]]
        if part[item]:
            adjective[item] = adjective[item - 1]
        if CHAINS.get(kind) == 2:  # a device is named by an even noun, what it uses up by the next one
            noun[item] = noun[item - 1] + 1 if part[item] else noun[item] // 2 * 2
        elif part[item]:
            noun[item] = noun[item - 1]
        series = CHAINS.get(kind) == 3 and (part[item] or follower[item] >= 0)
        ending = f" {part[item] + 1}" if series else ""
        titles.append(f"{brands[brand[item]]} {ADJECTIVES[adjective[item]]} {CATEGORIES[kind][noun[item]]}{ending}")
    return tuple(titles)


def _attributes(assortment: Assortment) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return uint8 (item + 1, attribute) with a row of zeros for padding, and the attributes' names."""
    kinds = {
        "category": (assortment.category, tuple(CATEGORIES)),
        "brand": (assortment.brand, assortment.brands),
        "price": (assortment.price, PRICES),
    }
    columns, names = [], list[str]()
    for kind, (codes, values) in kinds.items():
        held = np.unique(codes)
        columns.append(codes[:, None] == held)
        names += [f"{kind}: {values[code]}" for code in held]
    table = np.concatenate(columns, axis=1)
    return np.concatenate([np.zeros_like(table[:1]), table]).astype(np.uint8), tuple(names)


# === Who buys it ===


def _purchases(rng: np.random.Generator, assortment: Assortment, days: int) -> list[tuple[float, int]]:
    """Return a shopper's (day, item) in order of time."""
    liking = _liking(rng, assortment)
    before, after = rng.normal(0, TASTE, (2, len(CATEGORIES)))
    visits = max(2, round(rng.lognormal(*VISITS)))
    agenda: list[tuple[float, int]] = []  # day, and the item that is due (−1: a visit)
    first = rng.uniform(0, 0.6) * days
    for day in rng.uniform(first, days, visits):
        heappush(agenda, (float(day), -1))
    bought: list[tuple[float, int]] = []
    while agenda:
        day, due = heappop(agenda)
        if due < 0:
            drift = DRIFT * day / days
            category = _draw(rng, np.exp(before + drift * (after - before) / TASTE) * _season(day))
            chosen = _visit(rng, assortment, liking * (assortment.category == category), day)
        else:
            chosen = [due] if liking[due] and assortment.launch[due] <= day else []
        for item in chosen:
            liking[item] = 0.0  # nobody buys an item twice
            bought.append((day, item))
            day += rng.uniform(1, 10) / (24 * 60)
            follower = assortment.follower[item]
            if follower >= 0 and rng.random() < FOLLOW_CHANCE:
                heappush(agenda, (day + rng.uniform(*FOLLOW_DAYS), int(follower)))
    return sorted(row for row in bought if row[0] < days)


def _liking(rng: np.random.Generator, assortment: Assortment) -> np.ndarray:
    """Return (item,) how much the shopper likes each item of a category."""
    brands = rng.normal(0, BRAND_LIKING, len(assortment.brands))
    prices = rng.normal(0, PRICE_LIKING, len(PRICES))
    return np.asarray(assortment.appeal * np.exp(brands[assortment.brand] + prices[assortment.price]))


def _visit(rng: np.random.Generator, assortment: Assortment, weight: np.ndarray, day: float) -> list[int]:
    """Return the items bought in a visit to a category, none twice; none where nothing is left to buy."""
    weight = weight * (assortment.launch <= day)
    chosen: list[int] = []
    while len(chosen) < MOST_A_VISIT and weight.any() and (not chosen or rng.random() < STAY_CHANCE):
        pull = np.ones(len(weight))
        if chosen:
            pull[assortment.companions[chosen[-1]]] = COMPANION_PULL
        chosen.append(_draw(rng, weight * pull))
        weight[chosen[-1]] = 0.0
    return chosen


def _season(day: float) -> np.ndarray:
    """Return (category,) how much the time of the year lifts or lowers each category."""
    factor = np.ones(len(CATEGORIES))
    for code, name in enumerate(CATEGORIES):
        if name in PEAKS:
            factor[code] += SEASON_DEPTH * np.cos(2 * np.pi * (day - PEAKS[name]) / YEAR)
    return factor


def _draw(rng: np.random.Generator, weight: np.ndarray) -> int:
    """Return a position at random by weight."""
    edges = np.cumsum(weight)
    return int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))
