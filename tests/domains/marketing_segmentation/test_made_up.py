"""Customers that never were: enough of them to show every number, and none that anybody is."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation.features import NAMES, Plan
from edgekit.domains.marketing_segmentation.made_up import CUSTOMERS, made_up

MUST = ("orders", "spend", "recency_days", "age_days")
HORIZONS = (7, 91, 366)


def column(table: np.ndarray, name: str) -> np.ndarray:
    return table[:, NAMES.index(name)]


@pytest.mark.parametrize("horizon", HORIZONS)
def test_they_are_a_network_s_input(horizon: int) -> None:
    made = made_up(Plan(horizon))
    assert made.shape == (CUSTOMERS, len(NAMES)) and made.dtype == np.float32
    assert not np.isinf(made).any() and not (made < 0).any()


def test_the_same_ones_every_time() -> None:
    np.testing.assert_array_equal(made_up(Plan(91)), made_up(Plan(91)))
    np.testing.assert_array_equal(made_up(Plan(91)), made_up(Plan(91, "GBP")))


def test_only_what_was_a_year_ago_depends_on_the_horizon() -> None:
    short, long = made_up(Plan(7)), made_up(Plan(366))
    differ = {name for name in NAMES if not np.array_equal(column(short, name), column(long, name), equal_nan=True)}
    assert differ == {"orders_a_year_ago", "spend_a_year_ago"}


def test_they_have_ever_more_orders() -> None:
    made = made_up(Plan(91))
    assert column(made, "orders").tolist() == [*(2.0**number for number in range(CUSTOMERS - 1)), 4.0]
    assert (column(made, "recency_days") <= column(made, "age_days")).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_number_is_known_of_some_and_unknown_of_one(name: str) -> None:
    known = np.isfinite(column(made_up(Plan(91)), name))
    assert known.any() and known[-1] == (name in MUST)


@pytest.mark.parametrize("name", NAMES)
def test_no_number_is_the_same_of_all(name: str) -> None:
    values = column(made_up(Plan(91)), name)
    assert len(set(values[np.isfinite(values)].tolist())) > 1
