"""Transactions to model inputs: one definition, used in training, in batches and on the device.

Features come in two steps. First, whole numbers are counted (cents, rows, seconds): for a table by ``aggregate``
here, for one transaction at a time by ``stream.Stream``. Then ``derive`` turns them into the model's columns.
The first step is exact and the second is shared, so that a stream and a table give the same bits.

What a transaction may see: earlier rows of its customer and terminal, and which of the terminal's transactions
were frauds, but only those at least the label delay old. A row never sees a later one, not even of the same second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import windows

DAY = 86_400
CUSTOMER_DAYS = (1, 7, 30)
UNUSUAL_DAYS = (1, 7, 14, 30)
TERMINAL_DAYS = (1, 7, 30)
RISK_DAYS = (7, 30)
LONGEST = 30 * DAY
LONGEST_DELAY_DAYS = 36_500  # a hundred years; what is longer does not fit the windows' arithmetic
CALM_DAYS = 14
LOUD = (5, 2)  # more than 5/2 of the mean of all earlier amounts does not shape the habit
UNUSUAL = (3, 1)  # more than three times the habit is unusual
NOTABLE = (2, 1)  # more than twice the habit is at least notable
TENTH = 10  # cents
MOST_TENTHS = 10**7  # in a deviation no amount counts as more: 90,000 squares of it fit int64
MONDAY = 3 * DAY  # 1970-01-01 was a Thursday
ROLES = ("timestamp", "customer", "terminal", "amount")
LARGEST = 1e30  # of an own number; float32 ends at 3e38, and infinity makes a network answer NaN
LONGEST_WORD = 200  # letters of a category's value; what is longer is a text
NONE = -1  # "there is none", among counted whole numbers

Aggregates = dict[str, np.ndarray]


@dataclass(frozen=True)
class Plan:
    """Everything needed to make the same inputs again; travels in the device file.

    Attributes:
        roles: which of timestamp, customer, terminal and amount the data have.
        numeric: the data's own number columns.
        vocabularies: the data's own category columns with the values known from training, most frequent first;
            any other value, a missing one among them unless it was common, is index 0.
        delay_seconds: how long after a transaction its label is known.
        history: how many transactions the sequence input holds, 0 for none.
    """

    roles: tuple[str, ...]
    numeric: tuple[str, ...]
    vocabularies: Mapping[str, tuple[str, ...]]
    delay_seconds: int
    history: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the input ``numeric``, in order."""
        return tuple(name for names in self.groups().values() for name in names if name not in self.vocabularies)

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Return the columns by the question they answer; a score is explained group by group."""
        groups: dict[str, tuple[str, ...]] = {"amount": ("amount",)} if self.has("amount") else {}
        if self.has("timestamp"):
            groups["time of day"] = ("hour", "weekday")
        if self.has("timestamp", "customer"):
            groups["customer activity"] = tuple(f"customer_count_{days}d" for days in CUSTOMER_DAYS)
        if self.has("timestamp", "customer", "amount"):
            groups["amount"] += ("amount_to_habit", "amount_deviation", "habit_amount")
            for name in ("mean", "to_habit"):
                groups["customer activity"] += tuple(f"customer_{name}_{days}d" for days in CUSTOMER_DAYS)
            groups["recent unusual amounts"] = tuple(f"customer_unusual_{days}d" for days in UNUSUAL_DAYS)
        if self.has("timestamp", "terminal"):
            groups["terminal activity"] = tuple(f"terminal_count_{days}d" for days in TERMINAL_DAYS)
            groups["known frauds at the terminal"] = _RISK_COLUMNS
        return groups | {name: (name,) for name in (*self.numeric, *self.vocabularies)}

    def has(self, *roles: str) -> bool:
        """Tell whether the data have every one of ``roles``."""
        return all(role in self.roles for role in roles)


_RISK_COLUMNS = (
    *(f"terminal_known_{days}d" for days in RISK_DAYS),
    *(f"terminal_risk_{days}d" for days in RISK_DAYS),
    "terminal_run",
    "terminal_quiet_run",
    "terminal_run_days",
    "terminal_genuine_days",
)


def reserved(roles: tuple[str, ...]) -> frozenset[str]:
    """Return the names that an own column cannot have beside ``roles``: those of columns and of groups of columns."""
    groups = Plan(ROLES, (), {}, 0).groups()
    return frozenset((*groups, *Plan(roles, (), {}, 0).columns))


def inputs(table: Mapping[str, np.ndarray], plan: Plan) -> dict[str, np.ndarray]:
    """Return the model inputs of a table.

    Args:
        table: typed columns (see ``shared.columns``): timestamp int64 seconds, not decreasing; customer and
            terminal (row,) objects; amount int64 cents; label int8, where it is known; features.
        plan: what to make.

    Returns:
        ``numeric`` float32 (row, column), NaN where unknown; ``categorical`` int32 (row, category), 0 for an
        unknown value; ``history`` float32 (row, step, 3), NaN before the first. Only those the plan has.
    """
    return assemble(aggregate(table, plan), table, plan)


def aggregate(table: Mapping[str, np.ndarray], plan: Plan) -> Aggregates:
    """Count the whole numbers behind the features for all rows of a time-ordered table."""
    counted: Aggregates = {}
    if plan.has("amount"):
        counted["cents"] = table["amount"]
    if not plan.has("timestamp"):
        return counted
    seconds = table["timestamp"]
    counted["seconds"] = seconds
    cents = table["amount"] if plan.has("amount") else np.zeros(len(seconds), np.int64)
    calm = np.ones(len(seconds), np.int64)
    if plan.has("customer"):
        grouped = windows.group(codes(table["customer"]), seconds, longest=LONGEST)
        counted |= _customer(grouped, cents)
        calm = counted["calm"]
        if plan.history:
            counted |= _history(grouped, cents, counted["unusual"], plan.history)
    if plan.has("terminal"):
        longest = LONGEST + plan.delay_seconds
        grouped = windows.group(codes(table["terminal"]), seconds, longest=longest)
        fraud = table["label"].astype(np.int64) if "label" in table else np.zeros(len(seconds), np.int64)
        counted |= _terminal(grouped, fraud, fraud * calm, plan.delay_seconds)
    return counted


def _customer(grouped: windows.Grouped, cents: np.ndarray) -> Aggregates:
    here, first, put = grouped.before(), grouped.first, grouped.in_row_order
    money = windows.running(grouped, cents)
    own = cents[grouped.order]
    usual = put(1 - exceeds(LOUD, own, here - first, money[here] - money[first]).astype(np.int64))
    usual_rows, usual_money = windows.running(grouped, usual), windows.running(grouped, usual * cents)
    usual_count, usual_cents = usual_rows[here] - usual_rows[first], usual_money[here] - usual_money[first]
    unusual = put(exceeds(UNUSUAL, own, usual_count, usual_cents).astype(np.int64))
    notable = exceeds(NOTABLE, own, usual_count, usual_cents)
    counted = {"usual_count": put(usual_count), "usual_cents": put(usual_cents), "unusual": unusual}
    since = {days: grouped.since(days * DAY) for days in {*CUSTOMER_DAYS, *UNUSUAL_DAYS, CALM_DAYS}}
    for days in CUSTOMER_DAYS:
        counted[f"customer_count_{days}d"] = put(here + 1 - since[days])
        counted[f"customer_cents_{days}d"] = put(money[here + 1] - money[since[days]])
    flags = windows.running(grouped, unusual)
    for days in UNUSUAL_DAYS:
        counted[f"customer_unusual_{days}d"] = put(flags[here] - flags[since[days]])
    lately = flags[here + 1] - flags[since[CALM_DAYS]]
    counted["calm"] = put(((lately == 0) & ~notable).astype(np.int64))
    tenths = in_tenths(cents)
    total, squares = windows.running(grouped, tenths), windows.running(grouped, tenths * tenths)
    start = grouped.since(LONGEST)
    counted["past_count"] = put(here - start)
    counted["past_tenths"] = put(total[here] - total[start])
    counted["past_squares"] = put(squares[here] - squares[start])
    return counted


def _terminal(grouped: windows.Grouped, fraud: np.ndarray, quiet: np.ndarray, delay: int) -> Aggregates:
    """Count a terminal's rows and, behind the delay, its frauds.

    ``quiet`` frauds are those of calm customers, whose amounts were as usual: they point to the terminal.
    """
    here, put, seconds = grouped.before(), grouped.in_row_order, grouped.seconds
    spans = {delay, *(days * DAY for days in TERMINAL_DAYS), *(delay + days * DAY for days in RISK_DAYS)}
    since = {span: grouped.since(span) for span in {*spans, delay + LONGEST}}
    known = since[delay]
    frauds, quiets = windows.running(grouped, fraud), windows.running(grouped, quiet)
    counted = {f"terminal_count_{days}d": put(here + 1 - since[days * DAY]) for days in TERMINAL_DAYS}
    for days in RISK_DAYS:
        start = since[delay + days * DAY]
        counted[f"terminal_known_{days}d"] = put(known - start)
        counted[f"terminal_fraud_{days}d"] = put(frauds[known] - frauds[start])
    horizon = since[delay + LONGEST]
    genuine = _last(1 - fraud[grouped.order], known, horizon)
    run = np.maximum(genuine + 1, horizon)  # where the unbroken run of known frauds begins
    first_quiet = _next(quiet[grouped.order], run, known)
    counted["terminal_run"] = put(known - run)
    counted["terminal_quiet_run"] = put(quiets[known] - quiets[run])
    for name, position in (("run", first_quiet), ("genuine", genuine)):
        ago = np.where(position == NONE, NONE, seconds - seconds[position])
        counted[f"terminal_{name}_seconds"] = put(ago)
    return counted


def _last(flag: np.ndarray, stop: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return the last flagged position in [start, stop), or ``NONE``."""
    positions = np.maximum.accumulate(np.where(flag > 0, np.arange(len(flag)), NONE))
    found = np.concatenate([[NONE], positions])[stop]
    return np.where(found >= start, found, NONE)


def _next(flag: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Return the first flagged position in [start, stop), or ``NONE``."""
    beyond = len(flag)
    positions = np.minimum.accumulate(np.where(flag > 0, np.arange(beyond), beyond)[::-1])[::-1]
    found = np.concatenate([positions, [beyond]])[start]
    return np.where(found < stop, found, NONE)


def _history(grouped: windows.Grouped, cents: np.ndarray, unusual: np.ndarray, steps: int) -> Aggregates:
    """Return (row, step) cents, seconds ago and unusual marks of the customer's last transactions, newest last."""
    position = grouped.before()[:, None] - np.arange(steps - 1, -1, -1)
    absent = position < grouped.first[:, None]
    rows = grouped.order[np.maximum(position, 0)]
    ago = grouped.seconds[:, None] - grouped.seconds[np.maximum(position, 0)]
    put = grouped.in_row_order
    return {
        "history_cents": put(np.where(absent, NONE, cents[rows])),
        "history_seconds": put(np.where(absent, NONE, ago)),
        "history_unusual": put(np.where(absent, NONE, unusual[rows])),
    }


def exceeds(factor: tuple[int, int], cents: Any, count: Any, total: Any) -> Any:
    """Tell whether an amount exceeds ``factor`` times the mean of ``count`` earlier ones with sum ``total``."""
    above, below = factor
    return (below * cents * count > above * total) & (count > 0)


def in_tenths(cents: Any) -> Any:
    """Round whole cents to tenths of a unit of money, halves up, at most a million units either way."""
    return np.clip((cents + TENTH // 2) // TENTH, -MOST_TENTHS, MOST_TENTHS)


def assemble(counted: Aggregates, table: Mapping[str, np.ndarray], plan: Plan) -> dict[str, np.ndarray]:
    """Turn counted whole numbers and a table's own features into model inputs, see :func:`inputs`."""
    made: dict[str, np.ndarray] = {}
    derived = derive(counted, plan)
    if plan.columns:
        derived |= {name: np.clip(table[name], -LARGEST, LARGEST) for name in plan.numeric}
        made["numeric"] = _side_by_side([derived[name] for name in plan.columns])
    if plan.vocabularies:
        coded = [_indices(table[name], words) for name, words in plan.vocabularies.items()]
        made["categorical"] = np.stack(coded, axis=1)
    if plan.history:
        made["history"] = _sequence(counted)
    return made


def _side_by_side(columns: list[np.ndarray]) -> np.ndarray:
    """Return float32 (row, column); stored column by column, which is how it is filled fast."""
    made = np.empty((len(columns[0]), len(columns)), dtype=np.float32, order="F")
    for number, column in enumerate(columns):
        made[:, number] = column
    return made


def derive(counted: Aggregates, plan: Plan) -> dict[str, np.ndarray]:
    """Return (row,) columns, whole or float64, from counted whole numbers; NaN where there is nothing to go by."""
    made: dict[str, np.ndarray] = {}
    if plan.has("amount"):
        made["amount"] = counted["cents"] / 100
    if plan.has("timestamp"):
        seconds = counted["seconds"]
        made["hour"] = seconds % DAY / 3600
        made["weekday"] = (seconds + MONDAY) // DAY % 7
    if plan.has("timestamp", "customer"):
        made |= _customer_columns(counted)
    if plan.has("timestamp", "terminal"):
        made |= _terminal_columns(counted)
    return made


def _customer_columns(counted: Aggregates) -> dict[str, np.ndarray]:
    made = {name: counted[name] for name in counted if name.startswith("customer_")}
    for days in CUSTOMER_DAYS:
        made[f"customer_mean_{days}d"] = counted[f"customer_cents_{days}d"] / counted[f"customer_count_{days}d"] / 100
    if "cents" not in counted:
        return made
    count, total = counted["usual_count"], counted["usual_cents"]
    made["habit_amount"] = habit = _ratio(total, count) / 100
    for days in CUSTOMER_DAYS:
        made[f"customer_to_habit_{days}d"] = _ratio(made[f"customer_mean_{days}d"], habit)
    made["amount_to_habit"] = _ratio(counted["cents"] * count, total)
    past, tenths = counted["past_count"], counted["past_tenths"]
    mean = _ratio(tenths, past)
    variance = _ratio(counted["past_squares"] - tenths * mean, past - 1)
    deviation = np.sqrt(np.where(variance > 0, variance, np.nan))
    made["amount_deviation"] = (counted["cents"] / TENTH - mean) / deviation
    return made


def _terminal_columns(counted: Aggregates) -> dict[str, np.ndarray]:
    made = {name: counted[name] for name in counted if name.startswith("terminal_")}
    for days in RISK_DAYS:
        risk = _ratio(counted[f"terminal_fraud_{days}d"], counted[f"terminal_known_{days}d"])
        made[f"terminal_risk_{days}d"] = np.where(np.isnan(risk), 0.0, risk)
    for name in ("run", "genuine"):
        seconds = counted[f"terminal_{name}_seconds"]
        made[f"terminal_{name}_days"] = np.where(seconds == NONE, np.nan, seconds / DAY)
    return made


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Divide; NaN where ``below`` is not positive."""
    return np.asarray(np.divide(above, below, where=below > 0, out=np.full(np.shape(below), np.nan)))


def _sequence(counted: Aggregates) -> np.ndarray:
    parts = [(counted["history_cents"], 100), (counted["history_seconds"], DAY), (counted["history_unusual"], 1)]
    absent = counted["history_seconds"] == NONE
    return np.stack([np.where(absent, np.nan, part / unit) for part, unit in parts], axis=-1).astype(np.float32)


def _indices(values: np.ndarray, words: tuple[str, ...]) -> np.ndarray:
    """Return int32 indices into ``words``, counted from 1; 0 for a value that is not among them."""
    index = {word: number for number, word in enumerate(words, start=1)}
    return np.array([index.get(value, 0) for value in values], dtype=np.int32)


def codes(names: np.ndarray) -> np.ndarray:
    """Return int64 (row,) codes, equal for equal names, in order of first appearance."""
    number = {name: code for code, name in enumerate(dict.fromkeys(names))}
    return np.fromiter(map(number.__getitem__, names), dtype=np.int64, count=len(names))


def learn_vocabulary(values: np.ndarray, limit: int) -> tuple[str, ...]:
    """Return the ``limit`` most frequent values that are not whole texts, ties in alphabetical order."""
    words, counts = np.unique(values.astype(str), return_counts=True)
    order = np.lexsort((words, -counts))
    return tuple(str(word) for word in words[order] if len(word) <= LONGEST_WORD)[:limit]
