"""Robots, impossible times, rows nobody could foresee: each is found where it is, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.domains.retail_recommendation.audit import audit
from edgekit.domains.retail_recommendation.config import DataSettings, RetailConfig
from edgekit.domains.retail_recommendation.data import audit as audit_of_domain
from edgekit.domains.retail_recommendation.data import split
from edgekit.domains.retail_recommendation.log import Log
from edgekit.shared.audit import Finding

START, DAY = 1_700_000_000, 86_400
NOW = START + 365.0 * DAY
USERS, EACH = 40, 12


def log(*, timed: bool = True, extra: tuple[tuple[int, int, int], ...] = ()) -> Log:
    """Return a quiet shop: every user has 12 different items of 60, days apart; ``extra`` rows are user, item, time."""
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(USERS), EACH)
    item = np.concatenate([rng.permutation(60)[:EACH] + 1 for _ in range(USERS)])
    time = START + rng.permutation(USERS * EACH) * 50_000
    added = np.array(extra, dtype=np.int64).reshape(-1, 3)
    user, item, time = (np.append(old, new) for old, new in zip((user, item, time), added.T, strict=True))
    count = int(item.max())
    made = Log(
        user=user,
        item=item.astype(np.int32),
        time=time,
        timed=timed,
        items=tuple(f"i{code}" for code in range(1, count + 1)),
        titles=(),
        attributes=np.zeros((count + 1, 0), np.uint8),
        attribute_names=(),
        source="quiet.csv",
        fingerprint="",
    )
    return in_order(made)


def in_order(made: Log) -> Log:
    order = np.lexsort((made.user, made.time)) if made.timed else np.argsort(made.user, kind="stable")
    return replace(made, user=made.user[order], item=made.item[order], time=made.time[order])


def found(made: Log, **data: Any) -> dict[str, Finding]:
    splits = split(made, RetailConfig(data=DataSettings(**data)), seed=0)
    return {finding.title: finding for finding in audit(made, splits, now=NOW)}


def warnings(made: Log, **data: Any) -> list[str]:
    return [title for title, finding in found(made, **data).items() if finding.severity == "warning"]


@pytest.mark.parametrize("timed", [True, False])
def test_a_quiet_shop_gives_no_warning(timed: bool) -> None:
    made = found(log(timed=timed))
    assert {finding.severity for finding in made.values()} == {"info"}
    assert "How much the most popular items hold" in made


@pytest.mark.parametrize(("count", "flagged"), [(1000, False), (1001, True)])
def test_a_thousand_events_a_day_are_no_persons(count: int, flagged: bool) -> None:
    noon = (START // DAY + 3) * DAY
    made = log(extra=tuple((USERS, 1 + place % 60, noon + place) for place in range(count)))
    assert ("Users with impossible rates" in warnings(made)) == flagged


def test_events_of_two_days_are_not_counted_together() -> None:
    midnight = (START // DAY + 3) * DAY
    made = log(extra=tuple((USERS, 1 + place % 60, midnight - 600 + place) for place in range(1199)))
    assert "Users with impossible rates" not in found(made)


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize(("count", "flagged"), [(1200, False), (1201, True)])
def test_a_hundred_times_the_median_is_no_persons(timed: bool, count: int, flagged: bool) -> None:
    extra = tuple((USERS, 1 + place % 60, START + place * 3600) for place in range(count))
    assert ("Users with impossible rates" in warnings(log(timed=timed, extra=extra))) == flagged


def test_robots_are_counted_with_their_rows_and_not_named() -> None:
    made = log(extra=tuple((USERS, 1 + place % 60, START + place) for place in range(5000)))
    detail = found(made)["Users with impossible rates"].detail
    assert "1 with more than 100 times the 12 events of the median user and 1 with more than 1,000 events on" in detail
    assert "together 5,000 of 5,480 rows (91.2%)" in detail and "data.max_events_per_user" in detail


def test_times_to_come_are_found() -> None:
    assert "Events in the future" not in found(log(extra=((0, 1, int(NOW) + DAY),)))
    late = found(log(extra=((0, 1, int(NOW) + DAY + 1), (1, 2, int(NOW) + 9 * DAY))))["Events in the future"]
    assert late.severity == "warning" and late.detail.startswith("2 of 482 rows are later than now")


def test_times_before_the_web_are_found() -> None:
    assert found(log(extra=((0, 1, 0), (1, 2, 5))))["Events before 1990"].detail.startswith("2 of 482 rows")


def test_the_clock_is_used_where_no_time_is_given() -> None:
    titles = []
    for made in (log(), log(extra=((0, 1, 4_000_000_000),))):
        findings = audit_of_domain(made, split(made, RetailConfig(), seed=0), RetailConfig())
        titles.append({finding.title for finding in findings})
    assert "Events in the future" in titles[1] - titles[0]


def test_times_that_order_nothing_are_found() -> None:
    made = log()
    days = in_order(replace(made, time=made.time // (200 * DAY) * (200 * DAY)))
    assert "Order within one moment" in warnings(days, split="leave_one_out")


def test_leaving_one_out_looks_ahead_and_it_is_said() -> None:
    title = "Train holds rows later than test rows"
    assert title not in found(log()) and title not in found(log(timed=False))
    detail = found(log(), split="leave_one_out")[title].detail
    assert float(detail.split("%")[0]) > 50


def test_duplicated_events_are_found() -> None:
    made = log(extra=((0, 1, START + 5), (0, 1, START + 5), (0, 1, START + 5), (1, 1, START + 5)))
    assert found(made)["Duplicated events"].detail.startswith("2 of 484 rows")
    assert "Duplicated events" not in found(log(timed=False, extra=((0, 1, 1), (0, 1, 1))))


def test_users_with_the_same_history_are_found() -> None:
    twin = tuple((USERS + copy, 60 - place, START + place * DAY) for copy in range(3) for place in range(5))
    short = tuple((USERS + copy, 60 - place, START + place * DAY) for copy in range(3) for place in range(4))
    assert found(log(extra=twin))["Users with the same history"].detail.startswith("2 users have exactly")
    assert "Users with the same history" not in found(log(extra=short))


@pytest.mark.parametrize(("others", "severity"), [(50, "warning"), (70, "info")])
def test_few_users_with_the_same_history_are_chance(others: int, severity: str) -> None:
    rng = np.random.default_rng(1)
    histories = [rng.permutation(60)[:5] + 1 for _ in range(others)]
    extra = tuple(
        (USERS + user, int(item), START + place * DAY)
        for user, history in enumerate([*histories, histories[0]])
        for place, item in enumerate(history)
    )
    assert found(log(extra=extra))["Users with the same history"].severity == severity


def test_users_with_one_event_are_counted() -> None:
    made = found(log(extra=tuple((USERS + number, 1, START + number) for number in range(10))))
    assert made["Users with one event"].detail.startswith("10 of 50 users (20.0%)")


@pytest.mark.parametrize(("new", "severity"), [(5, "info"), (30, "warning")])
def test_items_never_in_train_are_counted(new: int, severity: str) -> None:
    last = START + USERS * EACH * 50_000
    finding = found(log(extra=tuple((number, 61 + number // 2, last + number) for number in range(new))))[
        "Test rows with items never in train"
    ]
    tested = round((USERS * EACH + new) * 0.1 + 0.4)
    assert finding.severity == severity and finding.detail.startswith(f"{new} of {tested} ")
    assert f"{(new + 1) // 2} different items" in finding.detail


def test_users_unknown_to_train_are_counted() -> None:
    last = START + USERS * EACH * 50_000
    finding = found(log(extra=tuple((USERS + number // 2, 1 + number, last + number) for number in range(8))))[
        "Test rows of users unknown to train"
    ]
    assert finding.severity == "info" and finding.detail.startswith("8 of 49 (16.3%). 4 of ")


def test_repeats_in_test_are_counted() -> None:
    made = log(timed=False, extra=tuple((user, 1, 0) for user in range(20) for _ in range(2)))
    finding = found(made)["Test rows with an item the user had before"]
    assert finding.severity == "warning" and finding.detail.startswith("20 of 40 (50.0%)")


def test_popularity_is_told() -> None:
    detail = found(log(timed=False))["How much the most popular items hold"].detail
    made = log(timed=False)
    count = np.sort(np.bincount(made.item[split(made, RetailConfig(), seed=0).train], minlength=61)[1:])[::-1]
    assert f"the 10 most popular items hold {count[:10].sum() / count.sum():.1%}" in detail
    assert f"hundredth (1) {count[0] / count.sum():.1%}" in detail
