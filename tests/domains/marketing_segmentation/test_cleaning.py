"""From typed columns to orders: codes, order, and every kind of line that is left out and said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation import cleaning
from edgekit.domains.marketing_segmentation.cleaning import LEAST_CUSTOMERS, make_orders
from edgekit.domains.marketing_segmentation.features import SECONDS_A_DAY, baskets
from edgekit.domains.marketing_segmentation.orders import Orders
from edgekit.shared.contract import Table
from edgekit.shared.errors import ContractError

OTHERS = [f"x{number:02}" for number in range(LEAST_CUSTOMERS)]
ROLES = ("customer", "timestamp", "order", "item", "quantity", "price")


def table(rows: str, *, without: tuple[str, ...] = (), others: bool = True) -> Table:
    """Return rows such as ``"ann 100 o1 pen 2 1.50"``, ``.`` for an absent cell; and a line of each of fifty others."""
    cells = [["" if cell == "." else cell for cell in row.split()] for row in rows.split(";") if row.strip()]
    cells += [[name, "50", name, "pen", "1", "1"] for name in OTHERS if others]
    columns: dict[str, Any] = {role: [row[place] for row in cells] for place, role in enumerate(ROLES)}
    typed = {role: np.array(columns[role], dtype=object) for role in ("customer", "order", "item")}
    typed["timestamp"] = np.array(columns["timestamp"], dtype=np.int64)
    typed |= {role: np.array([float(cell or "nan") for cell in columns[role]]) for role in ("quantity", "price")}
    kept = {role: values for role, values in typed.items() if role not in without}
    return Table(kept, (), {}, "shop.csv", "digits", ("read",))


def lines(orders: Orders) -> list[tuple[str, int, float, float, int]]:
    """Return customer, time, quantity, amount and what is taken back, of all but the fifty others."""
    columns = (orders.customer, orders.time, orders.quantity, orders.amount, orders.takes_back)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [(orders.customers[code], *rest) for code, *rest in rows if orders.customers[code] not in OTHERS]


def note(orders: Orders, said: str) -> str:
    return next((note for note in orders.notes if said in note), "")


def test_lines_are_sorted_by_customer_then_time_then_place() -> None:
    orders = make_orders(table("bob 9 o3 b 1 1; ann 5 o2 a 1 2; ann 1 o1 a 1 3; ann 5 o2 c 1 4"))
    assert lines(orders) == [("ann", 1, 1, 3, -1), ("ann", 5, 1, 2, -1), ("ann", 5, 1, 4, -1), ("bob", 9, 1, 1, -1)]
    assert orders.customers == ("ann", "bob", *OTHERS)


def test_the_record_is_typed_and_says_where_it_comes_from() -> None:
    orders = make_orders(table("ann 5 o1 a 2 3"), currency="EUR")
    whole = (orders.customer, orders.time, orders.order, orders.item, orders.takes_back)
    assert {str(values.dtype) for values in whole} == {"int64"}
    assert {str(values.dtype) for values in (orders.quantity, orders.amount)} == {"float64"}
    assert (orders.source, orders.fingerprint, orders.currency, orders.notes) == (
        "shop.csv",
        "digits",
        "EUR",
        ("read",),
    )
    assert len(orders) == 51


@pytest.mark.parametrize("time", [5, SECONDS_A_DAY - 1])
def test_the_log_ends_at_the_midnight_after_its_last_line(time: int) -> None:
    assert make_orders(table(f"ann {time} o1 a 2 3")).until == SECONDS_A_DAY


def test_lines_without_a_customer_are_left_out_and_tell_how_long_the_log_is() -> None:
    orders = make_orders(table("ann 5 o1 a 1 1; . 200000 o2 a 1 1"))
    assert len(lines(orders)) == 1 and note(orders, "1 of 52 lines name no customer and are left out")
    assert orders.until == 3 * SECONDS_A_DAY


def test_copies_of_a_whole_line_are_kept_once() -> None:
    orders = make_orders(table("ann 5 o1 a 1 1; ann 5 o1 a 1 1; ann 5 o1 a 2 1; ann 5 o2 a 1 1; ann 5 o1 b 1 1"))
    assert len(lines(orders)) == 4
    assert note(orders, "1 of 55 lines repeat an earlier line in everything, and are kept once")


@pytest.mark.parametrize("cells", ["o1 .", ". a", ". ."])
@pytest.mark.parametrize("without", [(), ("item",), ("order",)])
def test_equal_lines_without_order_or_item_are_both_kept(cells: str, without: tuple[str, ...]) -> None:
    orders = make_orders(table(f"ann 5 {cells} 1 1; ann 5 {cells} 1 1", without=without))
    assert len(lines(orders)) == 2 and not note(orders, "repeat an earlier line")


def test_lines_without_price_or_pieces_are_left_out() -> None:
    orders = make_orders(table("ann 5 o1 a 1 1; ann 6 o2 a . 1; ann 7 o3 a 1 .; ann 8 o4 a 0 1"))
    assert len(lines(orders)) == 1
    assert note(orders, "2 of 54 lines have no price or no quantity") and note(orders, "1 of 54 lines are of 0 pieces")


def test_a_return_is_valued_at_what_was_paid() -> None:
    orders = make_orders(table("ann 5 o1 a 4 2.5; ann 9 c1 a -1 9"))
    ann = orders.customers.index("ann")
    assert lines(orders) == [
        ("ann", 5, 4, 10, -1),
        ("ann", 9, -1, -2.5, int(np.flatnonzero(orders.customer == ann)[0])),
    ]


def test_unmatched_returns_are_left_out_and_told() -> None:
    orders = make_orders(table("ann 5 o1 a 4 2.5; ann 9 c1 D -1 20; ann 4 c2 a -1 5"))
    assert len(lines(orders)) == 1
    assert note(orders, "2 of 2 returns find no earlier purchase for all they take back; that part, worth 25.00")


def test_an_order_whose_purchases_come_to_nothing_is_no_order() -> None:
    orders = make_orders(table("ann 5 o1 a 4 2.5; ann 6 o1 a -4 2.5; bob 5 o2 a 1 0"))
    made = baskets(orders, orders.until)
    assert {orders.customers[code] for code in made.customers} == set(OTHERS)


def test_an_order_number_of_two_customers_is_two_orders() -> None:
    orders = make_orders(table("ann 5 o1 a 1 1; bob 5 o1 a 1 1; ann 6 o1 b 1 1"))
    codes = orders.order[:3].tolist()
    assert codes[0] == codes[1] != codes[2]


@pytest.mark.parametrize("without", [(), ("order",)])
def test_without_order_numbers_a_day_is_an_order(without: tuple[str, ...]) -> None:
    rows = "ann 5 . a 1 1; ann 9 . b 1 1; ann 90000 . a 1 1; bob 5 . a 1 1"
    codes = make_orders(table(rows, without=without)).order[:4].tolist()
    assert codes[0] == codes[1] and len(set(codes)) == 3


def test_unknown_items_have_no_code() -> None:
    assert make_orders(table("ann 5 o1 . 1 1; ann 6 o2 a 1 1")).item[:2].tolist() == [-1, 0]
    orders = make_orders(table("ann 5 o1 a 2 3; ann 6 o2 b -1 6", without=("item",)))
    assert lines(orders)[1][:4] == ("ann", 6, -2, -6) and set(orders.item) == {-1}
    assert note(orders, "there are no items")


def test_codes_that_are_no_goods_are_told() -> None:
    orders = make_orders(table(";".join(f"ann {day} o{day} a{day} 1 1" for day in range(9)) + "; bob 5 p POST 1 60"))
    assert note(orders, "item codes without a digit hold much of the money").endswith("pen 42.0%; they count as goods")


# === Too little ===


def refused(rows: str, *, others: bool = False) -> str:
    with pytest.raises(ContractError) as caught:
        make_orders(table(rows, others=others))
    return str(caught.value)


def test_lines_without_customers_only_are_refused() -> None:
    assert "none of 2 lines names a customer" in refused(". 5 o1 a 1 1; . 6 o2 a 1 1")


def test_one_customer_is_refused() -> None:
    told = refused("ann 5 o1 a 1 1; ann 6 o2 a 1 1; . 7 o3 a 1 1")
    assert "found 1 customer with purchases, in 3 lines. Expected at least 50" in told
    assert "\n  - 1 of 3 lines name no customer" in told


def test_customers_who_only_send_back_are_none() -> None:
    assert "found 0 customers with purchases" in refused("ann 5 o1 a -1 1; bob 6 o2 a 1 -1")


def test_a_million_identical_rows_are_one_line() -> None:
    small = table("ann 5 o1 a 1 1")
    rows = np.concatenate([np.zeros(1_000_000, np.int64), np.arange(1, len(small))])
    orders = make_orders(small.take(rows))
    assert len(orders) == 51 and note(orders, "999,999 of 1,000,050 lines repeat an earlier line")


def test_returns_in_a_log_without_any_money_are_told_without_a_share() -> None:
    rows = cleaning._Rows(*(np.zeros(2, np.int64),) * 4, np.array([1.0, -1.0]), np.zeros(2), ("c",), ("i",))
    (told,) = cleaning._told(rows, np.array([1]), 0.0)
    assert "worth 0.00, is left out" in told
