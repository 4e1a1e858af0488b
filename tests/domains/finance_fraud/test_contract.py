"""The fraud contract: what is asked, what is refused, and how it is said."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.finance_fraud.contract import CONTRACT, SOURCES, SYNTHETIC
from edgekit.shared.errors import ContractError
from edgekit.shared.tables import RawTable, from_columns

GOOD = {
    "timestamp": ["2018-04-01T00:00:31", "2018-04-01T02:00:00+02:00"],
    "customer": ["007", "C596"],
    "terminal": [3156, 12],
    "amount": ["57.16", "-0.5"],
    "label": ["0", "true"],
}


def table(**changes: list[object]) -> RawTable:
    return from_columns({name: np.array(cells, dtype=object) for name, cells in {**GOOD, **changes}.items()})


def test_roles_become_typed_columns() -> None:
    columns = CONTRACT.check(table()).columns
    assert columns["timestamp"].tolist() == [1_522_540_831, 1_522_540_800]  # the second stands in another zone
    assert columns["customer"].tolist() == ["007", "C596"]
    assert columns["terminal"].tolist() == ["3156", "12"]
    assert columns["amount"].tolist() == [5716, -50] and columns["amount"].dtype == np.int64
    assert columns["label"].tolist() == [0, 1]


def test_every_other_column_becomes_a_feature_with_its_kind() -> None:
    checked = CONTRACT.check(table(channel=["chip", "online"], age=["31", ""]))
    assert {column.name: column.kind for column in checked.features} == {"channel": "category", "age": "number"}
    assert np.isnan(checked.columns["age"][1])


@pytest.mark.parametrize(
    ("column", "cells", "said"),
    [
        ("amount", ["10000000.01", "1"], "10000000.01"),
        ("amount", ["nan", "1"], "row 1"),
        ("amount", ["1", "inf"], "row 2"),
        ("amount", ["1", "seven"], "'seven'"),
        ("label", ["0", "2"], "'2'"),
        ("label", ["yes", "0"], "'yes'"),
        ("customer", ["C1", ""], "row 2"),
        ("terminal", [None, "T1"], "row 1"),
        ("timestamp", ["2018-04-01", "soon"], "'soon'"),
        ("timestamp", [1_522_540_831_000, 1_522_540_832_000], "seconds"),
    ],
)
def test_a_broken_cell_is_named(column: str, cells: list[object], said: str) -> None:
    with pytest.raises(ContractError, match=f"column '{column}'") as caught:
        CONTRACT.check(table(**{column: cells}))
    assert said in str(caught.value)


def test_the_largest_amounts_are_accepted() -> None:
    columns = CONTRACT.check(table(amount=["10000000", "-10000000"])).columns
    assert columns["amount"].tolist() == [10**9, -(10**9)]


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(ContractError) as caught:
        CONTRACT.check(table(amount=["x", "1"], label=["0", "9"]), mapping={"customr": "customer"})
    message = str(caught.value)
    assert "'amount'" in message and "'9'" in message and "Did you mean 'customer'?" in message


def test_the_label_is_asked_for_where_it_is_needed() -> None:
    unlabelled = from_columns({name: np.array(cells, dtype=object) for name, cells in GOOD.items() if name != "label"})
    assert not CONTRACT.check(unlabelled).has("label")
    with pytest.raises(ContractError, match="--columns label=YOUR_COLUMN"):
        CONTRACT.check(unlabelled, required=("label",))


def test_the_sources_say_where_figures_come_from() -> None:
    assert SOURCES[0] is SYNTHETIC and SYNTHETIC.url is None
    assert "TX_FRAUD_SCENARIO" in SOURCES[1].caveats
    assert all(source.licence and source.cite and source.caveats for source in SOURCES)
