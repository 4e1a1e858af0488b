"""What a reader must know of orders: each finding on data that have the fault, and none on data that have not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation.audit import audit
from edgekit.domains.marketing_segmentation.config import MarketingConfig
from edgekit.domains.marketing_segmentation.customers import CustomerTable
from edgekit.domains.marketing_segmentation.features import NAMES, SECONDS_A_DAY
from edgekit.domains.marketing_segmentation.orders import Orders
from edgekit.shared.audit import Finding
from edgekit.shared.splits import Splits

CUSTOMERS, DAYS = 20, 100
NONE = np.zeros(0, np.int64)
NOBODY = Splits(NONE, NONE, NONE, rule="by time")


def shop(**changes: Any) -> Orders:
    """Return a shop in which every customer buys on every tenth day, so that every day has lines."""
    customer, visit = np.divmod(np.arange(CUSTOMERS * DAYS // 10), DAYS // 10)
    time = (10 * visit + customer % 10) * SECONDS_A_DAY + 36_000
    rows = len(customer)
    whole = Orders(
        customer=customer,
        time=time,
        order=np.arange(rows),
        item=np.zeros(rows, np.int64),
        quantity=np.ones(rows),
        amount=np.full(rows, 10.0),
        takes_back=np.full(rows, -1),
        customers=tuple(f"c{code}" for code in range(CUSTOMERS)),
        until=DAYS * SECONDS_A_DAY,
        currency="",
        source="shop.csv",
        fingerprint="digits",
    )
    return replace(whole, **changes)


def found(data: Orders | CustomerTable, *, now: float = DAYS * SECONDS_A_DAY) -> dict[str, Finding]:
    return {finding.title: finding for finding in audit(data, NOBODY, MarketingConfig(), now=now)}


def test_an_ordinary_shop_has_no_findings() -> None:
    assert found(shop()) == {}


def test_wholesalers() -> None:
    whole = shop()
    finding = found(replace(whole, amount=np.where(whole.customer == 3, 1000.0, 10.0)))["Customers like wholesalers"]
    assert finding.severity == "warning" and "1 of 20 customers spent more than 20 times the 100.00" in finding.detail
    assert "hold 84.0% of all money, the largest alone 84.0%" in finding.detail


@pytest.mark.parametrize("name", ["test", "Test-2", "demo account", "UNKNOWN", "guest_7"])
def test_customers_named_like_tests(name: str) -> None:
    whole = shop()
    assert repr(name) in found(replace(whole, customers=(name, *whole.customers[1:])))[
        "Customers named like tests or guests"
    ].detail  # fmt: skip


@pytest.mark.parametrize("name", ["Testa", "Contest", "Demoulin", "Sampler"])
def test_persons_are_no_tests(name: str) -> None:
    whole = shop()
    assert found(replace(whole, customers=(name, *whole.customers[1:]))) == {}


def test_customers_who_never_pay() -> None:
    whole = shop()
    finding = found(replace(whole, amount=np.where(whole.customer == 3, 0.0, 10.0)))["Customers who never pay"]
    assert "1 with 5 orders or more, all for nothing: 'c3'" in finding.detail


def test_a_free_order_is_told() -> None:
    whole = shop()
    finding = found(replace(whole, amount=np.where(whole.order == 3, 0.0, 10.0)))["Orders for nothing"]
    assert finding.detail.startswith("1 of 200 orders") and finding.severity == "info"


@pytest.mark.parametrize(("customers", "severity"), [(10, "info"), (11, "warning")])
def test_customers_of_one_day(customers: int, severity: str) -> None:
    whole = shop()
    lines = (whole.customer >= customers) | (whole.time < 10 * SECONDS_A_DAY)
    kept = {name: getattr(whole, name)[lines] for name in ("customer", "time", "order", "item", "quantity", "amount")}
    finding = found(replace(whole, **kept, takes_back=np.full(lines.sum(), -1)))["Customers of one day"]
    assert finding.severity == severity and f"{customers} of 20 customers" in finding.detail


@pytest.mark.parametrize(("days", "told"), [(7, False), (8, True)])
def test_gaps(days: int, told: bool) -> None:
    whole = shop()
    time = np.where((whole.time // SECONDS_A_DAY >= 30) & (whole.time // SECONDS_A_DAY < 30 + days - 1), 0, whole.time)
    findings = found(replace(whole, time=time))
    assert ("Gaps in the log" in findings) is told
    assert not told or "after 1970-01-30 (7 days), where 1 day is usual" in findings["Gaps in the log"].detail


def test_a_gap_at_the_end_of_the_log() -> None:
    detail = found(shop(until=(DAYS + 20) * SECONDS_A_DAY), now=1e9)["Gaps in the log"].detail
    assert "after 1970-04-10 (20 days)" in detail and "One reaches into the last days" in detail


def test_lines_in_the_future() -> None:
    finding = found(shop(), now=90 * SECONDS_A_DAY)["Lines in the future"]
    assert finding.severity == "error" and "18 of 200 lines are later than now" in finding.detail
    assert "the log ends on 1970-04-10" in finding.detail


def test_what_reading_left_out_is_told_again() -> None:
    notes = ("5 of 9 lines name no customer and are left out", "2 of 9 lines repeat an earlier line in everything")
    findings = found(shop(notes=(*notes, "something else")))
    assert set(findings) == {"Lines without a customer", "Copied lines"}


def test_a_table_of_customers() -> None:
    behaviour = np.full((30, len(NAMES)), np.nan, np.float32)
    behaviour[:, :4] = np.arange(1, 31)[:, None]
    behaviour[29, 1] = 1000
    behaviour[5] = behaviour[4]
    names = tuple(f"c{code}" for code in range(29))
    table = CustomerTable(behaviour, np.ones((30, 2), np.float32), (*names, "test"), NAMES[:4], "", "c.csv", "")
    findings = found(table)
    assert set(findings) == {"Customers like wholesalers", "Customers named like tests or guests", "Duplicate rows"}
