"""Returns take back the latest earlier purchases, and what they take back depends on nothing that comes later."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.domains.marketing_segmentation.returns import Matched, match

Line = tuple[int, int, int, float, float]


def matched(*lines: Line) -> Matched:
    """Match lines of customer, item, time, quantity and amount."""
    customer, item, time = (np.array([line[part] for line in lines], np.int64) for part in range(3))
    quantity, amount = (np.array([line[part] for line in lines], np.float64) for part in (3, 4))
    return match(customer, item, time=time, quantity=quantity, amount=amount)


def shown(found: Matched) -> list[tuple[int, float, float, int]]:
    columns = (found.row, found.quantity, found.amount, found.takes_back)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_a_return_takes_back_the_latest_earlier_purchase_at_its_price() -> None:
    found = matched((0, 7, 1, 10, 20.0), (0, 7, 2, 10, 30.0), (0, 7, 3, -4, -99.0), (0, 7, 4, 10, 10.0))
    assert shown(found) == [(0, 10, 20, -1), (1, 10, 30, -1), (2, -4, -12, 1), (3, 10, 10, -1)]
    assert found.unmatched.tolist() == [] and found.unmatched_money == 0


def test_a_return_may_take_back_several_purchases_and_leaves_less_for_the_next() -> None:
    found = matched((0, 7, 1, 10, 20.0), (0, 7, 2, 10, 30.0), (0, 7, 3, -14, -42.0), (0, 7, 4, -6, -12.0))
    assert shown(found)[2:] == [(2, -10, -30, 1), (2, -4, -8, 0), (3, -6, -12, 0)]


def test_the_rest_of_a_return_that_asks_for_too_much_is_told() -> None:
    found = matched((0, 7, 1, 2, 20.0), (0, 7, 2, -6, -60.0), (1, 7, 3, -1, -5.0), (0, 8, 3, -1, -7.0))
    assert shown(found) == [(0, 2, 20, -1), (1, -2, -20, 0)]
    assert found.unmatched.tolist() == [1, 2, 3] and found.unmatched_money == pytest.approx(40 + 5 + 7)


def test_neither_another_customer_nor_another_item_nor_the_future_is_taken_back() -> None:
    found = matched((0, 7, 5, 1, 1.0), (0, 8, 1, 1, 1.0), (1, 7, 1, 1, 1.0), (0, 7, 4, -1, -1.0))
    assert found.unmatched.tolist() == [3] and len(found.row) == 3


def test_without_items_money_is_taken_back() -> None:
    found = matched((0, -1, 1, 1, 20.0), (0, -1, 2, 1, 30.0), (0, -1, 3, -1, -40.0))
    assert shown(found)[2:] == [(2, -1, -30, 1), (2, -0.5, -10, 0)]


def test_pieces_and_money_draw_on_the_same_purchase() -> None:
    found = matched((0, 7, 1, 10, 100.0), (0, 7, 2, -4, -40.0), (0, -1, 3, -1, -80.0))
    assert shown(found)[1:] == [(1, -4, -40, 0), (2, -6, -60, 0)]
    assert found.unmatched_money == pytest.approx(20)


def test_a_negative_amount_is_a_return_whatever_the_quantity_says() -> None:
    assert shown(matched((0, 7, 1, 3, 9.0), (0, 7, 2, 2, -6.0)))[1] == (1, -2, -6, 0)


def test_what_was_free_is_taken_back_for_nothing() -> None:
    assert shown(matched((0, 7, 1, 3, 0.0), (0, 7, 2, -3, 0.0))) == [(0, 3, 0, -1), (1, -3, 0, 0)]


def test_lines_are_sorted_and_equal_times_keep_their_order() -> None:
    found = matched((1, 7, 5, 1, 1.0), (0, 7, 5, -1, -1.0), (0, 7, 5, 2, 2.0), (0, 7, 5, -1, -1.0), (0, 7, 1, 3, 6.0))
    assert shown(found) == [(4, 3, 6, -1), (1, -1, -2, 0), (2, 2, 2, -1), (3, -1, -1, 2), (0, 1, 1, -1)]


def test_nothing_gives_nothing() -> None:
    empty = np.zeros(0, np.int64)
    assert len(match(empty, empty, time=empty, quantity=np.zeros(0), amount=np.zeros(0)).row) == 0


LINES = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(-1, 2),
        st.integers(0, 20),
        st.integers(-5, 5).filter(bool).map(float),
        st.integers(0, 9).map(float),
    ).map(lambda line: (*line[:4], line[4] * np.sign(line[3]))),
    min_size=1,
    max_size=25,
)


@given(LINES)
def test_no_purchase_is_taken_back_twice_and_nothing_is_lost(lines: list[Line]) -> None:
    found = matched(*lines)
    back = found.takes_back >= 0
    for values in (found.quantity, found.amount):
        left = values.copy()
        np.add.at(left, found.takes_back[back], values[back])
        assert (left[~back] >= -1e-9).all() and (values[back] <= 0).all()
    assert (found.takes_back[back] < np.flatnonzero(back)).all()
    assert sorted(found.row[~back]) == [row for row, line in enumerate(lines) if line[3] > 0]


@given(LINES, st.integers(0, 20))
def test_what_is_known_at_a_moment_depends_on_nothing_later(lines: list[Line], at: int) -> None:
    alone, whole = matched(*(line for line in lines if line[2] <= at)), matched(*lines)
    known = np.array([lines[row][2] <= at for row in whole.row], dtype=bool)
    assert alone.quantity.tolist() == whole.quantity[known].tolist()
    assert alone.amount.tolist() == whole.amount[known].tolist()


def test_half_a_million_returns_of_one_item_take_seconds() -> None:
    size = 250_000
    quantity = np.repeat([1.0, -1.0], size)
    zeros = np.zeros(2 * size, np.int64)
    found = match(zeros, zeros, time=np.arange(2 * size), quantity=quantity, amount=2 * quantity)
    assert (found.takes_back[size:] == np.arange(size)[::-1]).all()
