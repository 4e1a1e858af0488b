"""The contracts in words, and the passports of the data."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.retail_recommendation.contract import CONTRACT, ITEMS_CONTRACT, SOURCES
from edgekit.shared.contract import Contract
from edgekit.shared.tables import from_columns


@pytest.mark.parametrize(("contract", "required"), [(CONTRACT, ["user", "item"]), (ITEMS_CONTRACT, ["item"])])
def test_only_who_and_what_are_required(contract: Contract, required: list[str]) -> None:
    assert [role.name for role in contract.roles if role.required] == required


@pytest.mark.parametrize("contract", [CONTRACT, ITEMS_CONTRACT])
def test_every_example_keeps_the_contract(contract: Contract) -> None:
    columns = {role.name: np.array([role.example] * 3, dtype=object) for role in contract.roles}
    table = contract.check(from_columns(columns))
    assert set(table.columns) == set(columns) and not table.features


def test_the_synthetic_shop_comes_first_and_the_others_are_real() -> None:
    assert [source.synthetic for source in SOURCES] == [True, False, False]
    assert "McAuley" in SOURCES[1].cite and "Harper" in SOURCES[2].cite
