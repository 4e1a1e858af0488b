"""What orders say of a customer: worked out by hand, at a moment, and of one customer as among all."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.domains.marketing_segmentation.config import MarketingConfig, SyntheticSettings
from edgekit.domains.marketing_segmentation.features import NAMES, SECONDS_A_DAY, Plan, baskets, behaviour
from edgekit.domains.marketing_segmentation.orders import Lines
from edgekit.domains.marketing_segmentation.synthesis import synthesize

AT, HORIZON = 600 * SECONDS_A_DAY, 91
COLUMNS = [field.name for field in fields(Lines)]
MONEY = ("quantity", "amount")
nan = np.nan


def shop(*rows: tuple[float, ...]) -> Lines:
    """Return lines of (customer, days before AT, order, item, quantity, amount, line taken back)."""
    table = np.array(rows, np.float64).reshape(-1, len(COLUMNS))
    columns = dict(zip(COLUMNS, table.T, strict=True))
    columns["time"] = AT - columns["time"] * SECONDS_A_DAY
    return Lines(**{name: column if name in MONEY else column.astype(np.int64) for name, column in columns.items()})


def some(lines: Lines, chosen: np.ndarray) -> Lines:
    """Return the chosen lines, with returns pointing at the new places of their purchases."""
    place = np.cumsum(chosen) - 1
    part = Lines(**{name: getattr(lines, name)[chosen] for name in COLUMNS})
    return replace(part, takes_back=np.where(part.takes_back < 0, -1, place[part.takes_back]))


def told(lines: Lines, at: int = AT) -> dict[int, dict[str, float]]:
    codes, table = behaviour(lines, at, horizon_days=HORIZON)
    assert table.dtype == np.float32 and table.shape == (len(codes), len(NAMES)) and (np.diff(codes) > 0).all()
    return {int(code): dict(zip(NAMES, row.tolist(), strict=True)) for code, row in zip(codes, table, strict=True)}


def alike(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> None:
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


# === By hand ===

BY_HAND = shop(
    # orders 380, 300, 80 and 10 days ago, of 15, 30, 20 and 25; of the third, 2 of 4 pieces came back
    (2, 380, 10, 1, 2, 10, -1),
    (2, 380, 10, 2, 1, 5, -1),
    (2, 300, 11, 2, 3, 30, -1),
    (2, 80, 12, 1, 4, 20, -1),
    (2, 70, 90, 1, -2, -10, 3),
    (2, 10, 13, 7, 1, 25, -1),
    # one order, of an unknown item
    (5, 40, 20, -1, 2, 8, -1),
    # two orders in the same second
    (7, 100, 30, 3, 1, 10, -1),
    (7, 100, 31, 3, 2, 20, -1),
)
EXPECTED: dict[str, tuple[float, float, float]] = {
    "orders": (4, 1, 2),
    "spend": (80, 8, 30),
    "recency_days": (10, 40, 100),
    "age_days": (380, 40, 100),
    "mean_order": (20, 8, 15),
    "largest_order": (30, 8, 20),
    "spread_of_orders": (62.5**0.5, nan, 5),  # of 15, 30, 10, 25
    "mean_gap_days": (370 / 3, nan, 0),
    "spread_of_gaps": (np.std([80, 220, 70]), nan, nan),
    "overdue": (10 / (370 / 3 + 1), 40 / 21, 100),
    "orders_a_year": (4 * 365 / 410, 365 / 70, 2 * 365 / 130),
    "spend_a_year": (80 * 365 / 410, 8 * 365 / 70, 30 * 365 / 130),
    "orders_30d": (1, 0, 0),
    "orders_90d": (2, 1, 0),
    "orders_180d": (2, 1, 2),
    "spend_30d": (25, 0, 0),
    "spend_90d": (35, 8, 0),
    "spend_180d": (35, 8, 30),
    "recent_orders_15": (
        2 ** (-10 / 15) + 2 ** (-80 / 15) + 2**-20 + 2 ** (-380 / 15),
        2 ** (-40 / 15),
        2 * 2 ** (-100 / 15),
    ),
    "recent_orders_45": (
        2 ** (-10 / 45) + 2 ** (-80 / 45) + 2 ** (-300 / 45) + 2 ** (-380 / 45),
        2 ** (-40 / 45),
        2 * 2 ** (-100 / 45),
    ),
    "recent_orders_120": (
        2 ** (-10 / 120) + 2 ** (-80 / 120) + 2 ** (-2.5) + 2 ** (-380 / 120),
        2 ** (-40 / 120),
        2 * 2 ** (-100 / 120),
    ),
    "recent_spend_45": (
        25 * 2 ** (-10 / 45) + 10 * 2 ** (-80 / 45) + 30 * 2 ** (-300 / 45) + 15 * 2 ** (-380 / 45),
        8 * 2 ** (-40 / 45),
        30 * 2 ** (-100 / 45),
    ),
    "orders_a_year_ago": (1, nan, nan),  # from 365 to 274 days ago
    "spend_a_year_ago": (30, nan, nan),
    "items": (3, nan, 1),
    "items_an_order": (3 / 4, nan, 1 / 2),
    "lines": (5, 1, 2),
    "pieces": (11, 2, 3),
    "returns": (2, 0, 0),
    "returned_share": (10 / 90, 0, 0),
    "gap_1": (70, nan, 0),
    "gap_2": (220, nan, nan),
    "gap_3": (80, nan, nan),
    "gap_4": (nan, nan, nan),
    "gap_5": (nan, nan, nan),
    "amount_1": (25, 8, 20),
    "amount_2": (10, nan, 10),
    "amount_3": (30, nan, nan),
    "amount_4": (15, nan, nan),
    "amount_5": (nan, nan, nan),
}


def test_every_name_is_worked_out_by_hand() -> None:
    assert set(EXPECTED) == set(NAMES) and len(set(NAMES)) == len(NAMES)
    assert Plan(horizon_days=HORIZON).names == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_three_customers_by_hand(name: str) -> None:
    known = told(BY_HAND)
    assert list(known) == [2, 5, 7]
    got = [known[customer][name] for customer in (2, 5, 7)]
    np.testing.assert_allclose(got, EXPECTED[name], rtol=1e-6)


@pytest.mark.parametrize(("orders", "gaps", "amounts"), [(5, 4, 5), (6, 5, 5), (9, 5, 5)])
def test_only_the_last_five_orders_are_told_one_by_one(orders: int, gaps: int, amounts: int) -> None:
    known = told(shop(*((0, 10 * back**2, 50 - back, 1, 1, 1 + back, -1) for back in reversed(range(orders)))))[0]
    assert [known[f"gap_{place}"] for place in range(1, 6)][:gaps] == [10.0 * (2 * place - 1) for place in range(1, 6)][
        :gaps
    ]
    assert [known[f"amount_{place}"] for place in range(1, 6)] == [1, 2, 3, 4, 5]
    assert sum(np.isfinite(known[f"gap_{place}"]) for place in range(1, 6)) == gaps


@pytest.mark.parametrize(
    ("days", "inside"), [(365, 1.0), (364.99, 1.0), (300, 1.0), (274.01, 1.0), (274, 0.0), (366, 0.0), (100, 0.0)]
)
def test_a_year_ago_is_the_horizon_that_began_then(days: float, inside: float) -> None:
    known = told(shop((0, 400, 1, 1, 1, 7, -1), (0, days, 2, 1, 1, 5, -1)))[0]
    assert known["orders_a_year_ago"] == inside and known["spend_a_year_ago"] == 5 * inside


@pytest.mark.parametrize(("days", "known"), [(364, False), (365, False), (366, True)])
def test_a_year_ago_is_unknown_of_younger_customers(days: float, known: bool) -> None:
    assert np.isfinite(told(shop((0, days, 1, 1, 1, 7, -1)))[0]["orders_a_year_ago"]) == known


@pytest.mark.parametrize(("days", "inside"), [(0, 1), (29.99, 1), (30, 0)])
def test_a_window_ends_before_its_days_are_full(days: float, inside: int) -> None:
    assert told(shop((0, days, 1, 1, 1, 7, -1)))[0]["orders_30d"] == inside


# === At a moment ===


def test_no_orders_no_customers() -> None:
    assert told(shop()) == {}
    assert told(BY_HAND, AT - 381 * SECONDS_A_DAY) == {}
    assert behaviour(shop(), AT, horizon_days=HORIZON)[1].shape == (0, len(NAMES))
    assert len(baskets(shop(), AT, since=0).customers) == 0


def test_an_order_is_known_from_its_very_second() -> None:
    lines = shop((0, 10, 1, 1, 1, 7, -1))
    assert told(lines, AT - 10 * SECONDS_A_DAY)[0]["recency_days"] == 0
    assert told(lines, AT - 10 * SECONDS_A_DAY - 1) == {}


def test_an_order_wholly_taken_back_is_none_from_then_on() -> None:
    lines = shop((0, 50, 1, 1, 2, 8, -1), (0, 50, 1, 2, 1, 4, -1), (0, 20, 9, 1, -2, -8, 0), (0, 15, 9, 2, -1, -4, 1))
    assert [told(lines, AT - days * SECONDS_A_DAY)[0]["spend"] for days in (21, 20, 16)] == [12, 4, 4]
    assert told(lines, AT - 15 * SECONDS_A_DAY) == told(lines) == {}


def test_an_order_wholly_taken_back_is_not_counted_beside_others() -> None:
    back = [(0, 50, 2, 1, 2, 8, -1), (0, 20, 9, 1, -2, -8, 1)]
    lines = shop((0, 90, 1, 3, 1, 5, -1), *back, (0, 10, 3, 3, 1, 6, -1))
    known = told(lines)[0]
    assert (known["orders"], known["spend"], known["gap_1"], known["lines"]) == (2, 11, 80, 2)
    assert known["returns"] == 2 and known["returned_share"] == np.float32(8 / 19)
    assert told(lines, AT - 30 * SECONDS_A_DAY)[0]["orders"] == 2 and np.isnan(known["spread_of_gaps"])


def test_an_order_without_money_is_none() -> None:
    assert told(shop((0, 50, 1, 1, 2, 0, -1))) == {}


def test_what_follows_a_moment_is_summed_apart() -> None:
    future = baskets(BY_HAND, AT, since=AT - 100 * SECONDS_A_DAY)
    assert future.customer.tolist() == [2, 2, 5] and future.amount.tolist() == [10, 25, 8]
    assert (
        future.number.tolist() == [0, 1, 0] and future.customers.tolist() == [2, 5] and future.of.tolist() == [0, 0, 1]
    )
    earlier = baskets(BY_HAND, AT - 71 * SECONDS_A_DAY, since=AT - 100 * SECONDS_A_DAY)
    assert earlier.amount.tolist() == [20] and earlier.pieces.tolist() == [4] and earlier.lines.tolist() == [1]


# === Of any shop ===


@st.composite
def shops(draw: st.DrawFn) -> Lines:
    """Draw up to five customers' orders over two years, some in the same second, with returns of some lines."""
    orders = draw(
        st.lists(st.tuples(st.integers(0, 4), st.integers(0, 729), st.sampled_from([0, 0, 7])), min_size=1, max_size=25)
    )
    rows: list[list[float]] = []
    for order, (customer, day, second) in enumerate(orders):
        time = day * SECONDS_A_DAY + second
        for item, pieces, price in draw(
            st.lists(st.tuples(st.integers(-1, 6), st.integers(1, 9), st.sampled_from([0.0, 0.1, 1.99, 7.5])),
                     min_size=1, max_size=3)
        ):  # fmt: skip
            rows.append([customer, time, order, item, pieces, pieces * price, -1])
    back = draw(st.lists(st.tuples(st.integers(0, len(rows) - 1), st.integers(0, 60), st.integers(1, 9)), max_size=8,
                         unique_by=lambda each: each[0]))  # fmt: skip
    for line, later, pieces in back:
        customer, time, order, item, bought, amount, _ = rows[line]
        gone = min(pieces, bought)
        when = time + later * SECONDS_A_DAY + 1
        rows.append([customer, when, order + len(orders), item, -gone, -amount * gone / bought, line])
    table = np.array(rows).T
    placed = np.lexsort((table[1], table[0]))
    place = np.append(np.argsort(placed), -1)
    columns = dict(zip(COLUMNS, table[:, placed], strict=True))
    lines = {name: column if name in MONEY else column.astype(np.int64) for name, column in columns.items()}
    return Lines(**{**lines, "takes_back": place[lines["takes_back"]]})


@settings(max_examples=120, deadline=None)
@given(lines=shops(), day=st.integers(0, 800))
def test_later_lines_and_returns_change_nothing(lines: Lines, day: int) -> None:
    at = day * SECONDS_A_DAY
    alike(
        behaviour(lines, at, horizon_days=HORIZON),
        behaviour(some(lines, lines.time <= at), at, horizon_days=HORIZON),
    )


@settings(max_examples=80, deadline=None)
@given(lines=shops(), day=st.integers(0, 800))
def test_a_customer_alone_is_as_among_all(lines: Lines, day: int) -> None:
    at = day * SECONDS_A_DAY
    codes, table = behaviour(lines, at, horizon_days=HORIZON)
    alone = [behaviour(some(lines, lines.customer == code), at, horizon_days=HORIZON) for code in range(5)]
    alike((codes, table), (np.concatenate([one[0] for one in alone]), np.concatenate([one[1] for one in alone])))


@settings(max_examples=80, deadline=None)
@given(lines=shops(), days=st.integers(1, 20_000))
def test_only_the_time_that_went_by_counts(lines: Lines, days: int) -> None:
    shift = days * SECONDS_A_DAY
    later = replace(lines, time=lines.time + shift)
    at = int(lines.time.max())
    alike(behaviour(lines, at, horizon_days=HORIZON), behaviour(later, at + shift, horizon_days=HORIZON))


@settings(max_examples=80, deadline=None)
@given(lines=shops(), day=st.integers(0, 800))
def test_columns_keep_their_bounds(lines: Lines, day: int) -> None:
    table = behaviour(lines, day * SECONDS_A_DAY, horizon_days=HORIZON)[1]
    column = dict(zip(NAMES, table.T, strict=True))
    assert not (table < 0).any() and not np.isinf(table).any()
    assert (column["orders"] >= 1).all() and (column["returned_share"] <= 1).all()
    assert (column["recency_days"] <= column["age_days"]).all()
    assert (column["largest_order"] >= column["mean_order"] * (1 - 1e-6)).all()
    assert (column["amount_1"] > 0).all() and (np.isnan(column["gap_1"]) == (column["orders"] == 1)).all()


@lru_cache
def synthetic() -> tuple[Lines, int]:
    orders = synthesize(MarketingConfig(synthetic=SyntheticSettings(customers=200)), seed=3)
    return Lines(**{name: getattr(orders, name) for name in COLUMNS}), orders.until - HORIZON * SECONDS_A_DAY - 1


def test_a_whole_shop_at_a_moment_does_not_know_the_rest() -> None:
    lines, at = synthetic()
    known = behaviour(lines, at, horizon_days=HORIZON)
    alike(known, behaviour(some(lines, lines.time <= at), at, horizon_days=HORIZON))
    assert (
        known[1] != behaviour(lines, at + 1 + HORIZON * SECONDS_A_DAY, horizon_days=HORIZON)[1][: len(known[1])]
    ).any()


@pytest.mark.parametrize("place", range(0, 180, 15))
def test_a_customer_alone_is_as_in_a_whole_shop(place: int) -> None:
    lines, at = synthetic()
    codes, table = behaviour(lines, at, horizon_days=HORIZON)
    own = some(lines, lines.customer == codes[place])
    alike((codes[place : place + 1], table[place : place + 1]), behaviour(own, at, horizon_days=HORIZON))
