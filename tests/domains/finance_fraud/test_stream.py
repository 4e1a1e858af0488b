"""One transaction at a time gives the very bits that a whole table gives."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.domains.finance_fraud import features
from edgekit.domains.finance_fraud.features import DAY, Plan
from edgekit.domains.finance_fraud.stream import Stream
from edgekit.shared.errors import ContractError

ROLES = st.sampled_from(
    [
        features.ROLES,
        ("timestamp", "terminal", "amount"),
        ("timestamp", "customer", "amount"),
        ("timestamp", "customer", "terminal"),
        ("timestamp", "customer"),
        ("timestamp",),
        ("customer", "terminal", "amount"),
        (),
    ]
)
DELAYS = st.sampled_from([DAY, 3 * DAY, 7 * DAY, 40 * DAY])
AMOUNTS = st.one_of(st.sampled_from([0, 0, 100, 500, 1_600, 10**9, -(10**9)]), st.integers(-(10**5), 10**6))
GAPS = st.one_of(st.sampled_from([0, 0, 0, DAY, 7 * DAY, 31 * DAY]), st.integers(0, 4 * DAY))
ROWS = st.lists(
    st.tuples(GAPS, st.sampled_from("abc"), st.sampled_from("xyz"), AMOUNTS, st.booleans(), st.booleans()),
    min_size=1,
    max_size=60,
)
Row = tuple[int, str, str, int, bool, bool]


def table_of(rows: list[Row]) -> dict[str, np.ndarray]:
    gap, customer, terminal, cents, fraud, _ = zip(*rows, strict=True)
    return {
        "timestamp": 1_522_540_800 + np.cumsum(gap, dtype=np.int64),
        "customer": np.array(customer, dtype=object),
        "terminal": np.array(terminal, dtype=object),
        "amount": np.array(cents, dtype=np.int64),
        "label": np.array(fraud, dtype=np.int8),
        "own": np.arange(len(rows)) / 3,
        "kind": np.array(customer, dtype=object),
    }


def plan_of(roles: tuple[str, ...], delay: int, steps: int) -> Plan:
    history = steps if {"timestamp", "customer", "amount"} <= set(roles) else 0
    return Plan(roles, ("own",), {"kind": ("c", "a")}, delay, history)


def row_of(table: dict[str, np.ndarray], number: int) -> dict[str, Any]:
    return {name: values[number] for name, values in table.items()}


def restarted(stream: Stream, plan: Plan) -> Stream:
    return Stream.from_state(plan, json.loads(json.dumps(stream.state())))


def one_by_one(table: dict[str, np.ndarray], plan: Plan, late: list[bool], stop: int) -> list[dict[str, np.ndarray]]:
    """Push all rows, confirm at once or as late as it still counts, and restart from JSON before row ``stop``."""
    stream, made = Stream(plan), []
    waiting: list[tuple[int, str, int, bool]] = []
    for number, seconds in enumerate(table["timestamp"]):
        if number == stop:
            stream = restarted(stream, plan)
        due = [item for item in waiting if item[0] + plan.delay_seconds <= seconds]
        waiting = [item for item in waiting if item not in due]
        for _, terminal, row, fraud in due:
            stream.confirm(terminal, row, fraud=fraud)
        counted, row = stream.push(row_of(table, number))
        one = {name: values[number : number + 1] for name, values in table.items()}
        made.append(features.assemble(counted, one, plan))
        note = (int(seconds), str(one["terminal"][0]), row, bool(one["label"][0]))
        if late[number]:
            waiting.append(note)
        else:
            stream.confirm(*note[1:3], fraud=note[3])
    return made


@settings(max_examples=120, deadline=None, derandomize=True)
@given(ROWS, ROLES, DELAYS, st.integers(2, 5), st.data())
def test_a_stream_gives_the_bits_of_a_table(
    rows: list[Row], roles: tuple[str, ...], delay: int, steps: int, data: st.DataObject
) -> None:
    table, plan = table_of(rows), plan_of(roles, delay, steps)
    stop = data.draw(st.integers(0, len(rows)))
    whole = features.inputs(table, plan)
    single = one_by_one(table, plan, [row[5] for row in rows], stop)
    assert list(whole) == list(single[0])
    assert all(np.concatenate([row[name] for row in single]).tobytes() == whole[name].tobytes() for name in whole)


@pytest.mark.parametrize("seed", range(3))
def test_a_long_stream_gives_the_bits_of_a_table(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gaps = rng.choice([0, 60, 3_600, DAY], 500, p=(0.3, 0.3, 0.3, 0.1))
    who, where = rng.choice(list("abcd"), 500), rng.choice(list("xyz"), 500)
    cents = rng.integers(1, 9_000, 500) * rng.choice([1, 1, 1, 5], 500)
    rows = list(zip(gaps, who, where, cents, rng.random(500) < 0.4, rng.random(500) < 0.5, strict=True))
    table, plan = table_of(rows), plan_of(features.ROLES, 2 * DAY, 8)
    whole = features.inputs(table, plan)
    single = one_by_one(table, plan, [row[5] for row in rows], 250)
    assert all(np.concatenate([row[name] for row in single]).tobytes() == whole[name].tobytes() for name in whole)
    quiet = whole["numeric"][:, plan.columns.index("terminal_quiet_run")]
    assert quiet.max() > 0  # the rarest of the columns was met


EDGE = 10 * features.MOST_TENTHS  # cents
LARGE = st.sampled_from(
    [EDGE + step for step in (-6, -5, -4, 0, 5)] + [10**9, -(10**9), -EDGE - 6, -EDGE - 5, -EDGE, 100]
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(LARGE, min_size=2, max_size=40))
def test_a_stream_of_the_largest_amounts_gives_the_bits_of_a_table(amounts: list[int]) -> None:
    table = table_of([(60, "a", "x", cents, False, False) for cents in amounts])
    plan = plan_of(features.ROLES, DAY, 2)
    whole = features.inputs(table, plan)
    single = one_by_one(table, plan, [False] * len(amounts), 1)
    assert all(np.concatenate([row[name] for row in single]).tobytes() == whole[name].tobytes() for name in whole)
    clipped = [min(max((cents + 5) // 10, -(10**7)), 10**7) for cents in amounts[:-1]]
    counted = features.aggregate(table, plan)
    assert counted["past_tenths"][-1] == sum(clipped)
    assert counted["past_squares"][-1] == sum(value * value for value in clipped)


PLAN = Plan(features.ROLES, (), {}, DAY, 0)


def transaction(seconds: int, **changes: Any) -> dict[str, Any]:
    return {"timestamp": seconds, "customer": "a", "terminal": "x", "amount": 100, **changes}


def test_an_older_transaction_is_refused_and_changes_nothing() -> None:
    stream = Stream(PLAN)
    stream.push(transaction(1_000))
    before = json.dumps(stream.state())
    with pytest.raises(ContractError, match="second 999 came after one of second 1000"):
        stream.push(transaction(999))
    assert json.dumps(stream.state()) == before
    assert stream.push(transaction(1_000))[1] == 1  # the same second is in order


def test_what_is_older_than_every_window_is_forgotten() -> None:
    stream = Stream(PLAN)
    for day in range(100):
        stream.push(transaction(day * DAY))
    kept = stream.state()
    assert len(kept["customers"]["a"]["seconds"]) == 30 and kept["customers"]["a"]["count"] == 100
    assert len(kept["terminals"]["x"]["seconds"]) == 31  # 30 days behind a delay of one


def test_the_history_is_kept_however_old_it_is() -> None:
    stream = Stream(Plan(("timestamp", "customer", "amount"), (), {}, DAY, 2))
    ages = [stream.push(transaction(month * 40 * DAY))[0]["history_seconds"][0].tolist() for month in range(3)]
    assert ages == [[features.NONE, 0], [40 * DAY, 0], [40 * DAY, 0]]


def test_a_confirmation_for_a_row_out_of_the_windows_says_so() -> None:
    stream = Stream(PLAN)
    _, first = stream.push(transaction(0))
    assert stream.confirm("x", first, fraud=True)
    stream.push(transaction(90 * DAY))
    assert not stream.confirm("x", first, fraud=True)
    assert not stream.confirm("elsewhere", 1, fraud=True)


def test_a_confirmation_can_be_taken_back() -> None:
    def risk(*verdicts: bool) -> int:
        stream = Stream(PLAN)
        _, number = stream.push(transaction(0))
        assert all([stream.confirm("x", number, fraud=verdict) for verdict in verdicts])
        return int(stream.push(transaction(2 * DAY))[0]["terminal_fraud_7d"][0])

    assert (risk(), risk(True), risk(True, False)) == (0, 1, 0)


def saved() -> dict[str, Any]:
    stream = Stream(PLAN)
    stream.push(transaction(0))
    stream.push(transaction(DAY))
    state: dict[str, Any] = json.loads(json.dumps(stream.state()))
    return state


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("now",), "yesterday"),
        (("pushed",), None),
        (("customers",), []),
        (("customers", "a"), {}),
        (("customers", "a", "cents"), [1]),
        (("customers", "a", "cents"), [1, "x"]),
        (("customers", "a", "total"), float("inf")),
        (("terminals", "x", "seconds"), [float("nan"), 0]),
        (("terminals", "x", "seconds"), [DAY, 0]),
        (("terminals", "x", "fraud"), 7),
    ],
)
def test_a_damaged_state_is_refused(place: tuple[str, ...], value: Any) -> None:
    state = saved()
    inner = state
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(ContractError, match="damaged"):
        Stream.from_state(PLAN, state)


@pytest.mark.parametrize("state", [None, [], "text", {}, {"format": 2}])
def test_a_state_of_another_format_is_refused(state: Any) -> None:
    with pytest.raises(ContractError, match="format"):
        Stream.from_state(PLAN, state)


@pytest.mark.parametrize(
    "other",
    [Plan(features.ROLES, (), {}, 7 * DAY), Plan(features.ROLES, (), {}, DAY, 4), Plan(("timestamp",), (), {}, DAY)],
)
def test_windows_of_a_model_with_other_windows_are_refused(other: Plan) -> None:
    with pytest.raises(ContractError, match="another model"):
        Stream.from_state(other, saved())
