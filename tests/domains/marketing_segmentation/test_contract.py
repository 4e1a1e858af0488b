"""The contracts: what is required, and that every column of behaviour may be in a table of customers."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation.contract import CONTRACT, CUSTOMER_CONTRACT, MUST, NOT_USED, SOURCES
from edgekit.domains.marketing_segmentation.features import NAMES
from edgekit.shared.contract import Contract
from edgekit.shared.tables import from_columns


def test_who_and_when_are_required() -> None:
    assert {role.name for role in CONTRACT.roles if role.required} == {"customer", "timestamp"}


def test_roles_that_are_not_used_say_so() -> None:
    told = {role.name: role.meaning for role in CONTRACT.roles}
    assert all("not used" in told[name] for name in NOT_USED)


@pytest.mark.parametrize("contract", [CONTRACT, CUSTOMER_CONTRACT])
def test_every_example_keeps_the_contract(contract: Contract) -> None:
    columns = {role.name: np.array([role.example] * 3, dtype=object) for role in contract.roles}
    assert set(contract.check(from_columns(columns)).columns) == set(columns)


def test_a_table_of_customers_may_hold_all_behaviour() -> None:
    roles = {role.name: role for role in CUSTOMER_CONTRACT.roles}
    assert set(NAMES) < set(roles)
    assert {name for name in NAMES if roles[name].required} == set(MUST)


def test_passports_say_where_data_come_from_and_what_is_wrong_with_them() -> None:
    assert [source.title for source in SOURCES] == ["edgekit synthetic customers", "Online Retail"]
    assert SOURCES[1].licence == "CC BY 4.0" and all(source.caveats for source in SOURCES)
