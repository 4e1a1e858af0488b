"""Features against a slow, plain reading of their definitions; no look-ahead; unknown and new values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.domains.finance_fraud import features
from edgekit.domains.finance_fraud.features import DAY, Plan

DELAY = 2 * DAY
PLAN = Plan(features.ROLES, (), {}, DELAY, 3)
Table = dict[str, np.ndarray]
QUICK = settings(max_examples=60, deadline=None, derandomize=True)

ROWS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 3_600, DAY, DAY, 3 * DAY, 10 * DAY]),  # seconds after the row before
        st.sampled_from("ab"),
        st.sampled_from("xy"),
        st.sampled_from([0, 1, 999, 1_000, 2_100, 5_000, 5_000, -700, 10**9, -(10**9)]),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


def table_of(rows: list[tuple[int, str, str, int, bool]]) -> Table:
    gap, customer, terminal, cents, fraud = zip(*rows, strict=True)
    return {
        "timestamp": 1_522_540_800 + np.cumsum(gap, dtype=np.int64),
        "customer": np.array(customer, dtype=object),
        "terminal": np.array(terminal, dtype=object),
        "amount": np.array(cents, dtype=np.int64),
        "label": np.array(fraud, dtype=np.int8),
    }


def random_table(seed: int, rows: int) -> Table:
    rng = np.random.default_rng(seed)
    gaps = rng.choice([0, 0, 1, 3_600, DAY // 2, DAY], rows)
    who, where = rng.choice(list("abc"), rows), rng.choice(list("xyz"), rows)
    cents = rng.integers(0, 9_000, rows) * rng.choice([1, 1, 1, 4], rows)
    return table_of(list(zip(gaps, who, where, cents, rng.random(rows) < 0.4, strict=True)))


# === The oracle: one row at a time, in the words of the definitions ===


def mean(values: list[int]) -> float:
    return sum(values) / len(values) if values else float("nan")


class Oracle:
    """Reads every feature of every row off the list of all rows before it."""

    def __init__(self, table: Table) -> None:
        names = ("timestamp", "customer", "terminal", "amount", "label")
        self.rows = [
            dict(zip(names, row, strict=True)) for row in zip(*(table[name].tolist() for name in names), strict=True)
        ]
        for number, row in enumerate(self.rows):
            earlier = self.of("customer", number)
            amounts = [other["amount"] for other in earlier]
            habits = [other["amount"] for other in earlier if other["usual"]]
            row["usual"] = not (amounts and 2 * row["amount"] * len(amounts) > 5 * sum(amounts))
            row["unusual"] = bool(habits) and row["amount"] * len(habits) > 3 * sum(habits)
            row["habit"] = habits
            lately = [other["unusual"] for other in [*earlier, row] if other["timestamp"] > row["timestamp"] - 14 * DAY]
            notable = bool(habits) and row["amount"] * len(habits) > 2 * sum(habits)
            row["calm"] = not any(lately) and not notable

    def of(self, role: str, number: int) -> list[dict[str, Any]]:
        return [other for other in self.rows[:number] if other[role] == self.rows[number][role]]

    def columns(self) -> Iterator[dict[str, float]]:
        for number, row in enumerate(self.rows):
            yield self.customer(number, row) | self.terminal(number, row)

    def customer(self, number: int, row: dict[str, Any]) -> dict[str, float]:
        now, earlier, habit = row["timestamp"], self.of("customer", number), row["habit"]
        usual = sum(habit) / len(habit) / 100 if habit and sum(habit) > 0 else float("nan")
        made = {"amount": row["amount"] / 100, "hour": now % DAY / 3600, "weekday": (now // DAY + 3) % 7}
        made["habit_amount"] = sum(habit) / len(habit) / 100 if habit else float("nan")
        made["amount_to_habit"] = row["amount"] / 100 / usual
        for days in (1, 7, 30):
            inside = [other["amount"] for other in [*earlier, row] if other["timestamp"] > now - days * DAY]
            made[f"customer_count_{days}d"] = len(inside)
            made[f"customer_mean_{days}d"] = mean(inside) / 100
            made[f"customer_to_habit_{days}d"] = mean(inside) / 100 / usual
        for days in (1, 7, 14, 30):
            made[f"customer_unusual_{days}d"] = sum(
                other["unusual"] for other in earlier if other["timestamp"] > now - days * DAY
            )
        tenths = [(other["amount"] + 5) // 10 for other in earlier if other["timestamp"] > now - 30 * DAY]
        spread = np.std(tenths, ddof=1) if len(tenths) > 1 else 0.0
        made["amount_deviation"] = (row["amount"] / 10 - mean(tenths)) / spread if spread else float("nan")
        return made

    def terminal(self, number: int, row: dict[str, Any]) -> dict[str, float]:
        now, earlier, made = row["timestamp"], self.of("terminal", number), dict[str, float]()
        for days in (1, 7, 30):
            made[f"terminal_count_{days}d"] = 1 + sum(other["timestamp"] > now - days * DAY for other in earlier)
        for days in (7, 30):
            known = [other for other in earlier if now - DELAY - days * DAY < other["timestamp"] <= now - DELAY]
            made[f"terminal_known_{days}d"] = len(known)
            made[f"terminal_risk_{days}d"] = mean([other["label"] for other in known]) if known else 0.0
        run: list[dict[str, Any]] = []
        made["terminal_genuine_days"] = float("nan")
        for other in reversed(known):  # those of 30 days, the newest first
            if not other["label"]:
                made["terminal_genuine_days"] = (now - other["timestamp"]) / DAY
                break
            run.append(other)
        quiet = [other for other in run if other["calm"]]
        made["terminal_run"], made["terminal_quiet_run"] = len(run), len(quiet)
        made["terminal_run_days"] = (now - quiet[-1]["timestamp"]) / DAY if quiet else float("nan")
        return made


@pytest.mark.parametrize("seed", range(4))
def test_every_column_is_what_its_definition_says(seed: int) -> None:
    table = random_table(seed, 150)
    made = features.inputs(table, PLAN)["numeric"]
    expected = np.array([[row[name] for name in PLAN.columns] for row in Oracle(table).columns()])
    assert np.nanmax(expected[:, PLAN.columns.index("terminal_quiet_run")]) > 0  # the rare ones are there
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-6)


def test_the_history_is_the_customers_last_rows_the_row_itself_last() -> None:
    table = table_of([(0, "a", "x", 1_000, False), (DAY, "b", "x", 1, False), (DAY, "a", "x", 9_000, False)])
    history = features.inputs(table, PLAN)["history"]
    nothing = [np.nan] * 3
    np.testing.assert_array_equal(history[0], [nothing, nothing, [10, 0, 0]])
    np.testing.assert_array_equal(history[2], [nothing, [10, 2, 0], [90, 0, 1]])


@pytest.mark.parametrize(
    ("cents", "count", "total", "expected"),
    [(300, 2, 200, False), (301, 2, 200, True), (5, 0, 0, False), (0, 2, 0, False), (1, 2, 0, True)],
)
def test_exactly_three_times_the_mean_does_not_exceed_it(cents: int, count: int, total: int, expected: bool) -> None:
    assert bool(features.exceeds((3, 1), cents, count, total)) == expected


# === No look-ahead ===


@QUICK
@given(ROWS, st.data())
def test_later_rows_and_their_labels_change_nothing(
    rows: list[tuple[int, str, str, int, bool]], data: st.DataObject
) -> None:
    keep = data.draw(st.integers(1, len(rows)))
    later = data.draw(st.permutations(rows[keep:]))  # may begin in the second of the last row kept
    other = [(gap, customer, terminal, cents + 5, not fraud) for gap, customer, terminal, cents, fraud in later]
    whole = features.inputs(table_of(rows), PLAN)
    changed = features.inputs(table_of(rows[:keep] + other), PLAN)
    assert all(values[:keep].tobytes() == changed[name][:keep].tobytes() for name, values in whole.items())


@QUICK
@given(ROWS)
def test_labels_younger_than_the_delay_change_nothing(rows: list[tuple[int, str, str, int, bool]]) -> None:
    table = table_of(rows)
    young = table["timestamp"] > table["timestamp"][-1] - DELAY
    flipped = {**table, "label": np.where(young, 1 - table["label"], table["label"])}
    before, after = features.inputs(table, PLAN), features.inputs(flipped, PLAN)
    assert before["numeric"].tobytes() == after["numeric"].tobytes()


def test_a_label_counts_from_the_very_second_it_is_known() -> None:
    def risk(gap: int) -> np.ndarray:
        table = table_of([(0, "a", "x", 100, True), (gap, "b", "x", 100, False)])
        return features.inputs(table, PLAN)["numeric"][1, PLAN.columns.index("terminal_risk_7d")]

    assert (risk(DELAY - 1), risk(DELAY)) == (0.0, 1.0)


def test_a_row_does_not_see_later_rows_of_its_second() -> None:
    table = table_of([(0, "a", "x", 100, False), (0, "a", "x", 900, False)])
    made = dict(zip(PLAN.columns, features.inputs(table, PLAN)["numeric"].T, strict=True))
    assert made["customer_count_1d"].tolist() == [1, 2] == made["terminal_count_1d"].tolist()
    assert made["customer_mean_1d"].tolist() == [1, 5]


# === Values at the edges ===


def test_a_new_customer_at_a_new_terminal_has_defined_values() -> None:
    made = dict(
        zip(PLAN.columns, features.inputs(table_of([(0, "a", "x", 1_250, True)]), PLAN)["numeric"][0], strict=True)
    )
    unknown = {name for name, value in made.items() if np.isnan(value)}
    habit = {
        "amount_to_habit",
        "habit_amount",
        "amount_deviation",
        *(f"customer_to_habit_{days}d" for days in (1, 7, 30)),
    }
    assert unknown == habit | {"terminal_run_days", "terminal_genuine_days"}
    assert (made["amount"], made["customer_mean_30d"], made["terminal_known_30d"], made["terminal_risk_30d"]) == (
        12.5,
        12.5,
        0,
        0,
    )


def test_hour_and_weekday_are_those_of_the_calendar() -> None:
    plan = Plan(("timestamp",), (), {}, DELAY)
    sunday_evening = np.array(["2018-04-01T18:30:00", "1969-12-31T06:00:00"], dtype="datetime64[s]").astype(np.int64)
    np.testing.assert_array_equal(features.inputs({"timestamp": sunday_evening}, plan)["numeric"], [[18.5, 6], [6, 2]])


@QUICK
@given(st.lists(st.sampled_from([0, 10**9, -(10**9)]), min_size=1, max_size=60))
def test_extreme_amounts_give_finite_numbers_or_nan(cents: list[int]) -> None:
    numeric = features.inputs(table_of([(60, "a", "x", value, False) for value in cents]), PLAN)["numeric"]
    assert not np.isinf(numeric).any()


def test_an_own_number_beyond_float32_stays_finite() -> None:
    plan = Plan((), ("own",), {}, DELAY)
    numeric = features.inputs({"own": np.array([1e300, -1e300, np.nan, 2.5])}, plan)["numeric"]
    np.testing.assert_array_equal(numeric[:, 0], np.array([1e30, -1e30, np.nan, 2.5], np.float32))


def test_only_what_the_plan_has_is_made() -> None:
    plan = Plan((), (), {"kind": ("b", "a")}, DELAY)
    made = features.inputs({"kind": np.array(["a", "b", "c", ""], dtype=object)}, plan)
    assert list(made) == ["categorical"] and made["categorical"].dtype == np.int32
    assert made["categorical"].tolist() == [[2], [1], [0], [0]]  # unknown and missing are 0


def test_a_missing_category_common_in_training_has_a_code_of_its_own() -> None:
    words = features.learn_vocabulary(np.array(["", "", "b", "a", "a", "c", "b"], dtype=object), 3)
    assert words == ("", "a", "b")
    plan = Plan((), (), {"kind": words}, DELAY)
    assert features.inputs({"kind": np.array([""], dtype=object)}, plan)["categorical"].tolist() == [[1]]


def test_the_vocabulary_is_by_frequency_then_alphabet() -> None:
    values = np.array(["ü", "z", "a", "z", "b", "a", "z"], dtype=object)
    assert features.learn_vocabulary(values, 10) == ("z", "a", "b", "ü")
    assert features.learn_vocabulary(values, 2) == ("z", "a")


def test_whole_texts_are_not_learnt_as_words() -> None:
    longest, text = "a" * features.LONGEST_WORD, "b" * (features.LONGEST_WORD + 1)
    values = np.array([text, text, text, longest, longest, "c"], dtype=object)
    assert features.learn_vocabulary(values, 10) == (longest, "c")
    assert features.learn_vocabulary(values, 1) == (longest,)  # the text does not take a place


@pytest.mark.parametrize(
    ("cents", "tenths"),
    [
        (0, 0), (4, 0), (5, 1), (-5, 0), (-6, -1), (10**8 - 6, 10**7 - 1), (10**8 - 5, 10**7), (10**9, 10**7),
        (-(10**8) - 5, -(10**7)), (-(10**9), -(10**7)),
    ],
)  # fmt: skip
def test_tenths_are_rounded_and_at_most_a_million_units(cents: int, tenths: int) -> None:
    assert features.in_tenths(np.array([cents])).tolist() == [tenths]


def test_the_squares_of_a_month_fit_int64() -> None:
    amounts = np.full(50_000, 10**9)
    table = {"timestamp": np.arange(50_000), "customer": np.full(50_000, "a", object), "amount": amounts}
    counted = features.aggregate(table, Plan(("timestamp", "customer", "amount"), (), {}, DELAY))
    assert counted["past_squares"].tolist() == [count * 10**14 for count in range(50_000)]


def test_columns_and_groups_name_the_same_things_once() -> None:
    plan = Plan(features.ROLES, ("own",), {"kind": ("a",)}, DELAY)
    grouped = [name for names in plan.groups().values() for name in names]
    assert len(set(grouped)) == len(grouped) == len(plan.columns) + 1
    assert {"own", "kind"} <= set(grouped) and "kind" not in plan.columns


def test_names_taken_by_made_features_are_reserved() -> None:
    assert {"hour", "time of day", "amount"} <= features.reserved(("timestamp",))
    assert "hour" not in features.reserved(("customer",))
