"""A shop's files: lines are read as written, and everything wrong is told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation.config import DataSettings, MarketingConfig
from edgekit.domains.marketing_segmentation.orders import Orders
from edgekit.domains.marketing_segmentation.reading import load
from edgekit.shared.domain import Request
from edgekit.shared.errors import ConfigError, ContractError, SourceError

RETAIL = Path(__file__).parents[4] / "shared/data/marketing/online_retail.parquet"
RETAIL_COLUMNS = {
    "customer": "CustomerID",
    "order": "InvoiceNo",
    "timestamp": "InvoiceDate",
    "quantity": "Quantity",
    "price": "UnitPrice",
    "item": "StockCode",
}
HEADER = "customer;timestamp;order;item;quantity;price"
ROWS = tuple(f"c{row % 60:02};2024-01-{row % 28 + 1:02};o{row};i{row % 7};2;2.50" for row in range(120))


def read(folder: Path, *lines: str, data: Any = None, **given: Any) -> Orders:
    (folder / "orders.csv").write_text("\n".join(lines), encoding="utf-8")
    config = MarketingConfig(data=DataSettings(**(data or {})))
    orders = load(Request(folder / "orders.csv", **given), config, report=lambda _: None)
    assert isinstance(orders, Orders)
    return orders


def refused(folder: Path, *lines: str, **given: Any) -> str:
    with pytest.raises(ContractError) as caught:
        read(folder, *lines, **given)
    return str(caught.value)


def replaced(place: int, cell: Any) -> list[str]:
    """Return the rows with another cell; ``cell`` may be made from the row's number."""
    rows = [row.split(";") for row in ROWS]
    made = [cell(number) if callable(cell) else cell for number in range(len(rows))]
    return [";".join([*row[:place], new, *row[place + 1 :]]) for row, new in zip(rows, made, strict=True)]


# === Lines ===


def test_lines_are_read_and_told(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("\n".join([HEADER, *ROWS]))
    said: list[str] = []
    orders = load(Request(tmp_path / "orders.csv"), MarketingConfig(), report=said.append)
    assert said == ["120 lines, 120 orders of 60 customers"]
    assert isinstance(orders, Orders) and orders.amount.sum() == 600 and len(orders.fingerprint) == 64


def test_numeric_customers_without_a_number_are_left_out(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    ids = [float(row % 60) if row % 10 else float("nan") for row in range(600)]
    columns = {"customer": ids, "timestamp": list(range(600)), "amount": [1.0] * 600}
    parquet.write_table(arrow.table(columns), tmp_path / "orders.parquet")
    orders = load(Request(tmp_path / "orders.parquet"), MarketingConfig(), report=lambda _: None)
    assert "60 of 600 lines name no customer and are left out" in orders.notes
    assert isinstance(orders, Orders) and orders.customers[:3] == ("1", "11", "12") and len(orders) == 540


def test_amounts_need_no_price_and_no_quantity(tmp_path: Path) -> None:
    rows = [f"c{row % 60};{86_400 * row};{row}.5" for row in range(120)]
    orders = read(tmp_path, "customer;timestamp;amount", *rows)
    assert orders.amount.sum() == sum(range(120)) + 60 and set(orders.quantity) == {1.0}
    assert "there are no quantities: every line is one piece" in orders.notes
    assert any("all that a customer buys on one day is one order" in note for note in orders.notes)


def test_prices_of_text_are_read_with_their_currency(tmp_path: Path) -> None:
    orders = read(tmp_path, HEADER, *replaced(5, lambda row: f"£1,{row:03}.50"))
    assert orders.amount.sum() == sum(2 * (1000.5 + row) for row in range(120)) and orders.currency == "£"
    assert read(tmp_path, HEADER, *replaced(5, "2,50 €"), data={"currency": "EUR"}).currency == "EUR"


def test_dates_with_the_day_first_are_read(tmp_path: Path) -> None:
    rows = replaced(1, lambda row: f"{row % 28 + 1}/01/2024 10:00")
    whole = read(tmp_path, HEADER, *ROWS)
    assert (read(tmp_path, HEADER, *rows).time == whole.time + 36_000).all()


def test_other_columns_and_likely_roles_are_told(tmp_path: Path) -> None:
    lines = [HEADER.replace("quantity", "quantty") + ";country;shop", *(f"{row};France;N" for row in ROWS)]
    notes = read(tmp_path, *lines).notes
    assert "3 columns play no role and are not used: 'quantty', 'country', 'shop'" in notes
    assert "no column plays the role 'quantity'. Did you mean 'quantty'? If so: --columns quantity=…" in notes


@pytest.mark.skipif(not RETAIL.exists(), reason=f"no ../shared/data/marketing/{RETAIL.name} here")
def test_online_retail() -> None:
    orders = load(Request(RETAIL, RETAIL_COLUMNS), MarketingConfig(), report=lambda _: None)
    assert isinstance(orders, Orders) and (len(orders.customers), len(orders)) == (4339, 400_403)
    assert "135,080 of 541,909 lines name no customer and are left out" in orders.notes
    assert np.all(np.diff(orders.customer) >= 0) and orders.until == 1_323_475_200


# === Refused ===


def test_orders_without_customers_only(tmp_path: Path) -> None:
    assert "none of 120 lines names a customer" in refused(tmp_path, HEADER, *replaced(0, ""))


def test_one_customer(tmp_path: Path) -> None:
    assert "found 1 customer with purchases, in 120 lines" in refused(tmp_path, HEADER, *replaced(0, "ann"))


def test_negative_totals_only(tmp_path: Path) -> None:
    assert "found 0 customers with purchases" in refused(tmp_path, HEADER, *replaced(4, "-2"))


def test_dates_in_two_formats(tmp_path: Path) -> None:
    told = refused(tmp_path, HEADER, *ROWS, "ann;01/12/2024;o;i;1;1")
    assert (
        "column 'timestamp': dates in 2 formats: '2024-01-01' (row 1; 28 different) and '01/12/2024' (row 121" in told
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ann;;o;i;1;1", "column 'timestamp': row 121: found '', expected a value"),
        ("ann;soon;o;i;1;1", "column 'timestamp': row 121: found 'soon'"),
        ("ann;2024-02-30;o;i;1;1", "column 'timestamp': row 121: found '2024-02-30'"),
        ("ann;2100-01-01;o;i;1;1", "timestamp: row 121: found 2100-01-01, expected times before the year 2100"),
        ("ann;2024-01-01;o;i;many;1", "column 'quantity': row 121: found 'many'"),
        ("ann;2024-01-01;o;i;6 pcs;1", "column 'quantity': row 121: found '6 pcs', expected a number such as 12 or"),
        ("ann;2024-01-01;o;i;1;$1", "expected a number"),
        ("ann;2024-01-01;o;i;1;1,5", "numbers are written in two ways"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, line: str, said: str) -> None:
    lines = [HEADER, *ROWS, line]
    if "$" in line:
        lines[1:-1] = replaced(5, "£2.50")
        said = "2 currencies in one file"
    assert said in refused(tmp_path, *lines)


def test_a_price_that_is_infinite(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"customer": ["a", "b"], "timestamp": [1, 2], "price": [1.0, float("inf")]}
    parquet.write_table(arrow.table(columns), tmp_path / "orders.parquet")
    with pytest.raises(ContractError, match="column 'price': row 2: found inf"):
        load(Request(tmp_path / "orders.parquet"), MarketingConfig(), report=print)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    lines = ["who;timestamp;quantity;cost", "ann;01/13/2024;x;1", "bob;13/01/2024;1;2"]
    told = refused(tmp_path, *lines, columns={"quantty": "quantity"}, exclude=("shop",))
    for said in ("no role 'quantty'", "role 'customer'", "dates in 2 formats", "column 'quantity': row 1: found 'x'",
                 "the role 'price' or 'amount'", "--exclude shop: there is no such column"):  # fmt: skip
        assert said in told
    assert told.count("\n  - ") == 6


def test_what_was_not_given(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="No data were given"):
        load(Request(), MarketingConfig(), report=print)
    with pytest.raises(SourceError, match="No file at"):
        load(Request(tmp_path / "orders.csv"), MarketingConfig(), report=print)
    with pytest.raises(ConfigError, match="reads one table"):
        load(Request(tmp_path / "a.csv", items=tmp_path / "b.csv"), MarketingConfig(), report=print)
