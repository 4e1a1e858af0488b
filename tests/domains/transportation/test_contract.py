"""The contract in words, and the passports of the data."""

from __future__ import annotations

import numpy as np

from edgekit.domains.transportation.contract import CONTRACT, SOURCES
from edgekit.shared.tables import from_columns


def test_the_examples_keep_the_contract() -> None:
    columns = {role.name: np.array([role.example] * 3, dtype=object) for role in CONTRACT.roles}
    assert set(CONTRACT.check(from_columns(columns)).columns) == {"time", "sensor", "value"}


def test_no_role_is_required_for_a_wide_table_without_times_has_none() -> None:
    assert not [role.name for role in CONTRACT.roles if role.required]


def test_the_synthetic_network_comes_first_and_licences_are_stated() -> None:
    assert [source.synthetic for source in SOURCES] == [True, False, False, False]
    assert all("none stated" in source.licence for source in SOURCES[1:])
    assert "0 means missing" in SOURCES[2].caveats
