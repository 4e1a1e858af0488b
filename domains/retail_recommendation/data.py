"""From a log to model inputs: splits that keep the future out, histories with what follows them."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from ...shared.audit import Finding
from ...shared.domain import Examples, Prepared
from ...shared.errors import ConfigError, ContractError
from ...shared.splits import BY_TIME, MIN_ROWS, Splits
from . import audit as checks
from .config import RetailConfig
from .features import MOST_EXCLUDED, PADDING, Plan
from .log import Log
from .sequences import NO_ROW, Sequences, group, newest, older, training_windows

LEAVE_ONE_OUT = "leave one out"
"""How the rule of such a split begins."""
SECONDS_A_DAY = 86_400
LEAST_ROOM, MOST_CELLS = 256, 400_000_000  # places for excluded items: what any log gets, and times its rows
LEAST_ROWS = 3
"""A user's rows, one for each part of a leave-one-out split."""


def split(log: Log, config: RetailConfig, *, seed: int) -> Splits:
    """Divide by time where there are times, else leave the last rows of each user out; nothing is drawn at random.

    Raises:
        ConfigError: a split by time is asked for, and there are no times.
        ContractError: there are too few rows, a part would be empty, or no row of train follows another of its user.
    """
    if len(log) < MIN_ROWS:
        raise ContractError(f"{log.source}: found {len(log)} rows. A split needs at least {MIN_ROWS}; bring more data.")
    kind = config.data.split
    if kind == "time" and not log.timed:
        raise ConfigError(
            f"data.split = time, but {log.source} has no times. Name their column with --columns timestamp=NAME, or "
            "use data.split = leave_one_out."
        )
    made = _by_time(log, config) if log.timed and kind != "leave_one_out" else _leave_one_out(log)
    empty = [name for name, rows in made.parts().items() if not len(rows)]
    if not empty and np.bincount(log.user[made.train]).max() > 1:
        return made
    trouble = f"leaves no rows for {' and '.join(empty)}" if empty else "leaves every user one row to learn from"
    raise ContractError(
        f"{log.source}: the split ({made.rule}) {trouble}. Bring a longer period or more interactions a user, or "
        "change the shares in data."
    )


def _by_time(log: Log, config: RetailConfig) -> Splits:
    """Cut at two moments; rows of one second stay together, on the later side."""
    early, late = (
        log.time[min(int(len(log) * (1 - share)), len(log) - 1)]
        for share in (config.data.test_share + config.data.validation_share, config.data.test_share)
    )
    validation, test = np.searchsorted(log.time, (early, late))
    rule = f"{BY_TIME}: validation from {_moment(early)}, test from {_moment(late)}"
    everything = np.arange(len(log))
    return Splits(everything[:validation], everything[validation:test], everything[test:], rule)


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(int(seconds), tz=UTC):%Y-%m-%d %H:%M:%S}"


def _leave_one_out(log: Log) -> Splits:
    sequences = group(log)
    last = np.append(sequences.user[1:] != sequences.user[:-1], True)
    rows = np.diff(np.flatnonzero(np.append(True, last)))  # of each user
    enough = np.flatnonzero(last)[rows >= LEAST_ROWS]
    test, validation = sequences.row[enough], sequences.row[enough - 1]
    train = np.setdiff1d(np.arange(len(log)), np.concatenate([test, validation]))
    rule = f"{LEAVE_ONE_OUT}: test on each user's last row, validation on the last but one"
    short = int((rows < LEAST_ROWS).sum())
    notes = ["other users' later rows are in train: figures are higher than they would be on the next day"]
    if short:
        notes.append(f"{short:,} users with fewer than {LEAST_ROWS} rows are in train only")
    return Splits(train, np.sort(validation), np.sort(test), rule, tuple(notes))


def prepare(log: Log, splits: Splits, config: RetailConfig) -> Prepared:
    """Make histories with the items that follow them.

    Returns:
        Validation and test have one example a row: inputs as in ``features.inputs``, made of the user's rows before
        it, whichever part they are in; target int32 (example,); context ``unit`` (user), ``length`` (rows before),
        ``cold_item`` (never in train), ``cold_user`` (no row in train) and ``repeat`` (the user had the item before).
        Train has one example a window of a user's rows, target int32 (example, window) the item that follows each,
        0 where there is none; context ``unit`` and ``age_days`` float32 (example, window), how long before the newest
        row of train that was, NaN where there are no times.
    """
    sequences, plan = group(log), make_plan(log, config)
    train = _train(log, sequences, splits.train, plan)
    known_items = np.zeros(log.num_items + 1, dtype=bool)
    known_items[log.item[splits.train]] = True
    known_users = np.zeros(log.num_users, dtype=bool)
    known_users[log.user[splits.train]] = True
    validation, test = (
        _examples(log, sequences, rows, plan, known_items=known_items, known_users=known_users)
        for rows in (splits.validation, splits.test)
    )
    return Prepared(plan, train, validation, test, _limits(log, plan))


def _train(log: Log, sequences: Sequences, rows: np.ndarray, plan: Plan) -> Examples:
    history, follows, unit = training_windows(sequences, rows, window=plan.window)
    target = np.where(follows == NO_ROW, PADDING, log.item[follows]).astype(np.int32)
    age = (log.time[rows].max() - log.time[follows]) / SECONDS_A_DAY if log.timed else np.full(target.shape, np.nan)
    nothing = np.broadcast_to(np.zeros(1, dtype=np.int32), (len(history), plan.excluded))
    context = {"unit": unit, "age_days": np.where(target == PADDING, np.nan, age).astype(np.float32)}
    return Examples({"history": history, "exclude": nothing}, target, context)


def _examples(
    log: Log, sequences: Sequences, rows: np.ndarray, plan: Plan, *, known_items: np.ndarray, known_users: np.ndarray
) -> Examples:
    inputs = {
        "history": newest(sequences, rows, window=plan.window),
        "exclude": older(sequences, rows, window=plan.window, limit=plan.excluded),
    }
    context = {
        "unit": log.user[rows],
        "length": sequences.earlier(rows),
        "cold_item": ~known_items[log.item[rows]],
        "cold_user": ~known_users[log.user[rows]],
        "repeat": sequences.repeats(rows),
    }
    return Examples(inputs, log.item[rows], context)


def make_plan(log: Log, config: RetailConfig) -> Plan:
    """Fix what a device must know to turn a shopper's items into inputs, and the answer into items."""
    names = log.attribute_names if config.model.attributes else ()
    row, number = np.nonzero(log.attributes[1:])
    held = np.split(number, np.searchsorted(row, np.arange(1, log.num_items)))
    return Plan(
        window=config.model.window,
        excluded=config.model.excluded or _room(log, config.model.window),
        items=log.items,
        titles=log.titles,
        attribute_names=names,
        attributes=tuple(tuple(map(int, numbers)) for numbers in held) if names else (),
    )


def _room(log: Log, window: int) -> int:
    """Return how many items the longest history has beside the window, as far as the examples' memory allows."""
    affordable = max(LEAST_ROOM, MOST_CELLS // max(len(log), 1))
    return max(1, min(_longest(log) - window, MOST_EXCLUDED, affordable))


def _longest(log: Log) -> int:
    """Return how many different items the user with the most of them had."""
    pairs = np.unique(log.user * (log.num_items + 1) + log.item)
    return int(np.bincount(pairs // (log.num_items + 1)).max(initial=0))


def _limits(log: Log, plan: Plan) -> tuple[str, ...]:
    notes, longest = [], _longest(log)
    if longest > plan.window + plan.excluded:
        notes.append(
            f"the longest history has {longest:,} items, of which model.window and model.excluded hold "
            f"{plan.window + plan.excluded:,}: what lies further back may be recommended again"
        )
    if not log.timed:
        notes.append(
            "no times: the split leaves the last rows of each user out, which is weaker than one by time: it cannot "
            "show how the model ages, and other users' later rows are in train"
        )
    if not log.titles:
        notes.append("no titles: items are shown by their identifiers (bring an items table with --items)")
    return tuple(notes)


def audit(log: Log, splits: Splits, config: RetailConfig) -> list[Finding]:
    """Look for robots, times that cannot be, rows nobody could foresee, and how much a few items sell."""
    return checks.audit(log, splits)
