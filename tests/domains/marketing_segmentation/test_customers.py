"""Tables of customers: known columns only, one row each, and numbers that do not contradict each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation.config import DataSettings, MarketingConfig
from edgekit.domains.marketing_segmentation.customers import CustomerTable
from edgekit.domains.marketing_segmentation.features import NAMES
from edgekit.domains.marketing_segmentation.reading import load
from edgekit.shared.domain import Request
from edgekit.shared.errors import ContractError

HEADER = "customer;future_orders;future_spend;orders;spend;recency_days;age_days;items"
ROWS = tuple(f"c{row:02};{row % 3};{row % 3 * 10};{row + 1};{row}.5;{row};{2 * row};" for row in range(60))


def read(folder: Path, *lines: str, **given: Any) -> CustomerTable:
    (folder / "customers.csv").write_text("\n".join(lines), encoding="utf-8")
    config = MarketingConfig(data=DataSettings(currency="EUR"))
    table = load(Request(folder / "customers.csv", **given), config, report=lambda _: None)
    assert isinstance(table, CustomerTable)
    return table


def refused(folder: Path, *lines: str, **given: Any) -> str:
    with pytest.raises(ContractError) as caught:
        read(folder, *lines, **given)
    return str(caught.value)


def test_a_table_of_customers_is_read(tmp_path: Path) -> None:
    table = read(tmp_path, HEADER, *ROWS)
    assert table.behaviour.shape == (60, len(NAMES)) and table.behaviour.dtype == table.target.dtype == np.float32
    assert table.behaviour[3, [NAMES.index(name) for name in ("orders", "spend", "age_days")]].tolist() == [4, 3.5, 6]
    assert table.target[4].tolist() == [1, 10] and table.customers[4] == "c04" and table.currency == "EUR"
    assert table.given == ("orders", "spend", "recency_days", "age_days", "items") and len(table) == 60
    assert np.isnan(table.behaviour[:, NAMES.index("items")]).all()
    assert np.isnan(table.behaviour[:, NAMES.index("lines")]).all()
    assert any(note.startswith(f"{len(NAMES) - 5} columns of behaviour are not in the table") for note in table.notes)


def test_columns_may_be_named_otherwise_and_money_may_be_text(tmp_path: Path) -> None:
    rows = [row.replace(".5;", ",50 €;") for row in ROWS]
    table = read(tmp_path, HEADER.replace(";spend", ";umsatz"), *rows, columns={"spend": "umsatz"})
    assert table.behaviour[3, NAMES.index("spend")] == 3.5


def test_an_unknown_column_is_named_with_its_likeness(tmp_path: Path) -> None:
    told = refused(tmp_path, HEADER.replace("items", "itemz"), *ROWS)
    assert "column 'itemz' is unknown. Did you mean 'items'? Known: customer, future_orders" in told
    assert "--exclude itemz" in told
    assert "items" not in read(tmp_path, HEADER.replace("items", "itemz"), *ROWS, exclude=("itemz",)).given


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("c00;1;1;1;1;1;1;", "row 1: found customer 'c00', who has 2 rows, expected one row a customer (and 1 more"),
        ("x;1;1;1;1;3;2;", "row 61: found recency_days 3 above age_days 2"),
        ("x;0;5;1;1;1;1;", "row 61: found future_spend 5 without future_orders"),
        ("x;;1;1;1;1;1;", "column 'future_orders': row 61: found nan, expected a value"),
        ("x;1;-1;1;1;1;1;", "column 'future_spend': row 61: found -1.0, expected a value from 0"),
        ("x;1;1;0;1;1;1;", "column 'orders': row 61: found 0.0, expected a value from 1"),
        ("x;1;1;1;1;1;1;few", "column 'items': row 61: found 'few'"),
        (";1;1;1;1;1;1;", "column 'customer': row 61: found '', expected a value"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, said: str) -> None:
    assert said in refused(tmp_path, HEADER, *ROWS, row)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    told = refused(tmp_path, "customer;future_orders;future_spend;orders", "a;1;1;1")
    assert all(f"no column for the role {name!r}" in told for name in ("spend", "recency_days", "age_days"))


def test_few_customers_are_refused(tmp_path: Path) -> None:
    assert "found 1 customer. Expected at least 50" in refused(tmp_path, HEADER, ROWS[0])
