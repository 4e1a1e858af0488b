"""The synthetic shop: repeatable, in order, true to its kinds, and told only in part by recency, orders and spend."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from functools import lru_cache

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from edgekit.domains.marketing_segmentation import synthesis
from edgekit.domains.marketing_segmentation.config import DataSettings, MarketingConfig, SyntheticSettings
from edgekit.domains.marketing_segmentation.features import NAMES, SECONDS_A_DAY, baskets, behaviour
from edgekit.domains.marketing_segmentation.orders import Lines, Orders
from edgekit.domains.marketing_segmentation.synthesis import KINDS, Bought, Kind

HORIZON = 91
SEEDS = (0, 1, 2)
REGULARS, EXPLORERS, BARGAINS, GIFTS, PASSING, WHOLESALE = range(6)


@lru_cache
def shop(seed: int = 0, customers: int = 1500, days: int = 540, items: int = 200) -> Orders:
    settings = SyntheticSettings(customers=customers, days=days, items=items)
    return synthesis.synthesize(MarketingConfig(synthetic=settings), seed=seed)


@lru_cache
def known(seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return kinds and behaviour of the customers known 91 days before the end."""
    orders = shop(seed)
    customer, table = behaviour(orders, orders.until - HORIZON * SECONDS_A_DAY - 1, horizon_days=HORIZON)
    assert orders.kind is not None
    return orders.kind[customer], dict(zip(NAMES, table.T, strict=True))


def of_kind(seed: int, name: str) -> np.ndarray:
    """Return the median of a column for each kind."""
    kind, column = known(seed)
    return np.array([np.nanmedian(column[name][kind == code]) for code in range(len(KINDS))])


def recovery(seed: int, names: tuple[str, ...]) -> float:
    kind, column = known(seed)
    table = np.log1p(np.stack([column[name] for name in names], axis=1))
    table = np.where(np.isnan(table), np.nanmedian(table, axis=0), table)
    table = (table - table.mean(axis=0)) / np.maximum(table.std(axis=0), 1e-9)
    found = KMeans(6, n_init=4, random_state=0).fit_predict(table)
    return float(adjusted_rand_score(kind, found))


# === The log ===


def test_the_same_seed_gives_the_same_shop() -> None:
    first, again, other = shop(), synthesis.synthesize(MarketingConfig(), seed=0), shop(1)
    names = [field.name for field in fields(Lines)]
    content = b"".join(getattr(again, name).tobytes() for name in names)
    assert first.fingerprint == again.fingerprint == hashlib.sha256(content).hexdigest() != other.fingerprint
    np.testing.assert_array_equal(first.kind, again.kind)


SIZES = [(1500, 540, 200), (60, 200, 10), (300, 1100, 40)]


@pytest.mark.parametrize(("customers", "days", "items"), SIZES)
def test_the_shop_is_described_in_full(customers: int, days: int, items: int) -> None:
    orders = shop(0, customers, days, items)
    whole = [getattr(orders, name) for name in ("customer", "time", "order", "item", "takes_back")]
    assert {array.dtype for array in whole} == {np.dtype(np.int64)}
    assert orders.quantity.dtype == orders.amount.dtype == np.float64
    assert {array.shape for array in [*whole, orders.quantity, orders.amount]} == {(len(orders),)}
    assert len(set(orders.customers)) == customers and set(orders.customer) == set(range(customers))
    assert orders.item.min() >= 0 and orders.item.max() < items
    assert orders.kind is not None and orders.kind.shape == (customers,) and orders.kind.dtype == np.int64
    assert orders.kinds == tuple(KINDS) and set(orders.kind) == set(range(6))
    assert orders.source == "edgekit synthetic shop" and orders.currency == ""
    assert "seed 0" in orders.notes[0] and f"{len(orders):,} lines" in orders.notes[0]


@pytest.mark.parametrize(("customers", "days", "items"), SIZES)
def test_lines_stand_by_customer_and_time_and_orders_belong_to_one(customers: int, days: int, items: int) -> None:
    orders = shop(0, customers, days, items)
    assert (np.lexsort((np.arange(len(orders)), orders.time, orders.customer)) == np.arange(len(orders))).all()
    pairs = np.unique(np.stack([orders.order, orders.customer, orders.time]), axis=1)
    assert len(pairs.T) == len(np.unique(orders.order))  # of one customer, in one second
    bought = orders.takes_back < 0
    twice = np.stack([orders.order, orders.item])[:, bought]
    assert len(np.unique(twice, axis=1).T) == bought.sum()
    assert orders.time.min() >= synthesis.START and orders.until % SECONDS_A_DAY == 0
    assert 0 < orders.until - orders.time.max() <= SECONDS_A_DAY
    assert 0 <= synthesis.START + days * SECONDS_A_DAY - orders.until < 30 * SECONDS_A_DAY
    assert set((orders.time[bought] - synthesis.START) % SECONDS_A_DAY // 3600) <= set(range(8, 20))


@pytest.mark.parametrize(("customers", "days", "items"), SIZES)
def test_returns_take_back_what_was_bought_and_paid(customers: int, days: int, items: int) -> None:
    orders = shop(0, customers, days, items)
    back = np.flatnonzero(orders.takes_back >= 0)
    line = orders.takes_back[back]
    assert len(back) > 0 and len(np.unique(line)) == len(line) and (orders.takes_back[line] == -1).all()
    assert (orders.customer[back] == orders.customer[line]).all() and (orders.item[back] == orders.item[line]).all()
    assert (orders.time[back] >= orders.time[line] + 2 * SECONDS_A_DAY).all()
    assert (orders.quantity[back] < 0).all() and (-orders.quantity[back] <= orders.quantity[line]).all()
    share = -orders.quantity[back] / orders.quantity[line]
    np.testing.assert_allclose(-orders.amount[back], share * orders.amount[line])
    assert (share == 1).mean() > 0.6 and (share < 1).any()
    bought = orders.takes_back < 0
    assert (
        (orders.quantity[bought] >= 1).all() and (orders.quantity % 1 == 0).all() and (orders.amount[bought] > 0).all()
    )
    assert not set(orders.order[back]) & set(orders.order[bought])


def test_the_currency_is_the_declared_one() -> None:
    config = MarketingConfig(synthetic=SyntheticSettings(customers=60), data=DataSettings(currency="EUR"))
    assert synthesis.synthesize(config, seed=0).currency == "EUR"


@pytest.mark.parametrize("seed", SEEDS)
def test_customers_arrive_over_time_and_leave(seed: int) -> None:
    orders = shop(seed)
    day = (orders.time - synthesis.START) / SECONDS_A_DAY
    first, last = np.full(1500, np.inf), np.zeros(1500)
    np.minimum.at(first, orders.customer, day)
    np.maximum.at(last, orders.customer, day)
    thirds = np.histogram(first, [0, 180, 360, 540])[0] / 1500
    assert (thirds > 0.03).all() and (np.diff(thirds) < 0).all()
    assert 0.3 < (last < 540 - HORIZON).mean() < 0.6


# === Seasons and promotions ===


def test_busyness_by_hand() -> None:
    plain = Kind(1, 30, 1, 900, 0, 2, 2, 0, 1, 0, (0.0, 0.0), 0.0)
    assert synthesis.busyness(plain, 3).tolist() == [1, 1, 1]
    curve = synthesis.busyness(Kind(1, 30, 1, 900, 0, 2, 2, 0, 1, 0, (9.0, 0.0), 0.0), 800)
    assert curve[:365].mean() == pytest.approx(1) and np.argmax(curve[:365]) == 345
    np.testing.assert_allclose(curve[345] / curve[200], 10, rtol=1e-6)
    assert curve[365] > 1.5 * curve[200] and curve[345 + 365] == curve[345]  # the new year begins in the peak
    lower = synthesis.busyness(Kind(1, 30, 1, 900, 0, 2, 2, 0, 1, 0, (0.0, 0.0), 4.0), 365)
    assert np.flatnonzero(lower > 2).tolist() == np.flatnonzero(synthesis.promoted(np.arange(365))).tolist()
    assert lower[21] / lower[20] == pytest.approx(5)


def test_promotions_are_a_week_long_and_six_weeks_apart() -> None:
    assert np.flatnonzero(synthesis.promoted(np.arange(100.0))).tolist() == [*range(21, 28), *range(63, 70)]
    assert synthesis.promoted(np.array([20.99, 21.0, 27.99, 28.0])).tolist() == [False, True, True, False]


def _share(orders: Orders, code: int, days: np.ndarray) -> float:
    """Return which share of a kind's orders is made on certain days of the log."""
    bought = baskets(orders, orders.until)
    assert orders.kind is not None
    day = (bought.time[orders.kind[bought.customer] == code] - synthesis.START) // SECONDS_A_DAY
    return float(np.isin(day, days).mean())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_year_ends_with_a_peak_for_all_and_most_for_gift_givers(seed: int) -> None:
    orders = shop(seed)
    bought = baskets(orders, orders.until)
    month = np.histogram((bought.time - synthesis.START) / SECONDS_A_DAY, np.arange(0, 541, 30))[0]
    assert np.argmax(month) == 11 and month[11] > 1.4 * month[9] and month[11] > 1.4 * month[13]
    peak = np.arange(330, 361)
    assert _share(orders, GIFTS, peak) > 2 * max(_share(orders, code, peak) for code in (REGULARS, EXPLORERS, BARGAINS))


@pytest.mark.parametrize("seed", SEEDS)
def test_bargain_hunters_come_when_prices_are_lower(seed: int) -> None:
    orders = shop(seed)
    lower = np.flatnonzero(synthesis.promoted(np.arange(540)))
    assert _share(orders, BARGAINS, lower) > 0.6
    assert max(_share(orders, code, lower) for code in (REGULARS, EXPLORERS, GIFTS, PASSING, WHOLESALE)) < 0.3


def test_prices_are_lower_in_promotions() -> None:
    kind, customer = np.zeros(1, np.int64), np.zeros(400, np.int64)
    made = synthesis.draw_baskets(np.random.default_rng(0), kind, customer, np.repeat([10.0, 25.0], 200), 10)
    each = made.amount / made.quantity
    usual, lower = (each[made.time // SECONDS_A_DAY == synthesis.START // SECONDS_A_DAY + day] for day in (10, 25))
    assert lower.mean() == pytest.approx(synthesis.PROMOTION_PRICE * usual.mean(), rel=0.1)


# === Kinds ===


@pytest.mark.parametrize("count", [60, 100, 1500])
def test_kinds_have_their_shares(count: int) -> None:
    kind = synthesis.draw_kinds(np.random.default_rng(0), count)
    shares = np.array([each.share for each in KINDS.values()])
    assert shares.sum() == pytest.approx(1)
    assert np.abs(np.bincount(kind, minlength=6) - shares * count).max() <= 1
    assert (np.diff(kind) < 0).any()


def test_gaps_follow_their_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "GAPS_DIFFER", 0.0)
    monkeypatch.setattr(synthesis, "ARRIVAL", (1.0, 1e6))
    steady = Kind(1, 20, 25.0, 1e9, 0.0, 2, 2, 0, 1, 0, (0.0, 0.0), 0.0)
    slowing = Kind(1, 20, 1e6, 1e9, 0.5, 2, 2, 0, 1, 0, (0.0, 0.0), 0.0)
    leaving = Kind(1, 20, 1.0, 50.0, 0.0, 2, 2, 0, 1, 0, (0.0, 0.0), 0.0)
    monkeypatch.setattr(synthesis, "KINDS", {"steady": steady, "slowing": slowing, "leaving": leaving})
    customer, day = synthesis.draw_visits(np.random.default_rng(0), np.repeat([0, 1, 2], 500), 1000)
    gap = np.diff(day)[np.diff(customer) == 0]
    of = customer[1:][np.diff(customer) == 0] // 500
    assert (gap >= 0).all() and len(np.unique(customer)) == 1500
    assert gap[of == 0].mean() == pytest.approx(20, rel=0.02) and gap[of == 0].std() == pytest.approx(4, rel=0.05)
    np.testing.assert_allclose(gap[of == 1][:5], 20 * 1.5 ** np.arange(5), rtol=0.02)
    last = np.array([day[customer == one].max() for one in range(1000, 1500)])
    assert 30 < last.mean() < 50  # 50 days, less what the last visit falls short of


@pytest.mark.parametrize("seed", SEEDS)
def test_kinds_differ_in_how_they_buy(seed: int) -> None:
    breadth, spread, back = (of_kind(seed, name) for name in ("items", "spread_of_orders", "returned_share"))
    irregular = of_kind(seed, "spread_of_gaps") / of_kind(seed, "mean_gap_days")
    assert breadth[EXPLORERS] > 2 * breadth[[REGULARS, BARGAINS, GIFTS, PASSING]].max() and breadth[REGULARS] < 10
    assert back[BARGAINS] > 0.2 > 2 * np.delete(back, BARGAINS).max()
    assert irregular[REGULARS] < 0.5 and irregular[EXPLORERS] > 1
    assert spread[GIFTS] > 2 * np.delete(spread, [GIFTS, WHOLESALE]).max()
    assert of_kind(seed, "recency_days")[PASSING] > 120 and of_kind(seed, "orders")[PASSING] <= 4


@pytest.mark.parametrize("seed", SEEDS)
def test_wholesalers_are_few_and_hold_most_of_the_money(seed: int) -> None:
    kind, column = known(seed)
    share = column["spend"][kind == WHOLESALE].sum() / column["spend"].sum()
    assert (kind == WHOLESALE).mean() < 0.06 and 0.4 < share < 0.8


@pytest.mark.parametrize("seed", SEEDS)
def test_kinds_overlap_in_recency_orders_and_spend(seed: int) -> None:
    kind, column = known(seed)
    for name in ("recency_days", "orders", "spend"):
        low, high = (
            np.array([np.quantile(column[name][kind == code], q) for code in (REGULARS, EXPLORERS, BARGAINS, GIFTS)])
            for q in (0.1, 0.9)
        )
        assert low.max() < high.min()


@pytest.mark.parametrize("seed", SEEDS)
def test_all_behaviour_tells_the_kinds_in_part_and_better_than_money_and_time(seed: int) -> None:
    every, few = recovery(seed, NAMES), recovery(seed, ("recency_days", "orders", "spend"))
    assert 0.3 < every < 0.75 and few > 0.05 and every > 1.25 * few


@pytest.mark.parametrize("seed", SEEDS)
def test_kinds_differ_in_what_they_do_next(seed: int) -> None:
    orders = shop(seed)
    at = orders.until - HORIZON * SECONDS_A_DAY - 1
    customer, _ = behaviour(orders, at, horizon_days=HORIZON)
    after = baskets(orders, orders.until, since=at)
    spend = np.log1p(np.bincount(after.customer, after.amount, 1500)[customer])
    kind, column = known(seed)
    back = np.array([(spend[kind == code] > 0).mean() for code in range(6)])
    assert back[REGULARS] > 0.75 and back[PASSING] < 0.2 and 0.4 < back[GIFTS] < 0.8
    mean = np.array([spend[kind == code].mean() for code in range(6)])
    assert 0.2 < mean[kind].var() / spend.var() < 0.5
    assert 0.3 < np.corrcoef(spend, np.log1p(column["recent_spend_45"]))[0, 1] < 0.9


# === Returns ===


def test_returns_are_put_in_place_by_hand() -> None:
    bought = Bought(
        customer=np.array([0, 0, 1]), order=np.array([0, 1, 2]), time=np.array([10, 30, 5]), item=np.array([4, 4, 6]),
        quantity=np.array([2.0, 3, 1]), amount=np.array([8.0, 9, 5]),
    )  # fmt: skip
    made = synthesis.with_returns(bought, np.array([0, 1]), np.array([20, 40]), np.array([1.0, 3.0]))
    assert made["customer"].tolist() == [0, 0, 0, 0, 1] and made["time"].tolist() == [10, 20, 30, 40, 5]
    assert made["takes_back"].tolist() == [-1, 0, -1, 2, -1] and made["quantity"].tolist() == [2, -1, 3, -3, 1]
    assert made["amount"].tolist() == [8, -4, 9, -9, 5] and made["order"].tolist() == [0, 3, 1, 4, 2]


def test_what_goes_back_from_an_order_goes_back_together(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = shop()
    back = orders.takes_back >= 0
    parcels = np.unique(np.stack([orders.order[back], orders.time[back]]), axis=1)
    assert len(parcels.T) == len(np.unique(orders.order[back])) < back.sum()
    monkeypatch.setattr(synthesis, "HABITS_DIFFER", 0.0)
    bought = Bought(*(np.zeros(4000, np.int64),) * 4, np.full(4000, 3.0), np.full(4000, 6.0))
    line, _, pieces = synthesis.draw_returns(np.random.default_rng(0), np.array([BARGAINS]), bought, 10**9)
    assert len(line) / 4000 == pytest.approx(KINDS["bargain hunters"].returns, abs=0.03)
    assert set(pieces) == {1, 2, 3} and (pieces == 3).mean() == pytest.approx(0.8, abs=0.03)
    assert len(synthesis.draw_returns(np.random.default_rng(0), np.array([BARGAINS]), bought, 1)[0]) == 0
