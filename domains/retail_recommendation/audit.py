"""Checks of a log before training: who cannot be a shopper, when it cannot have been, what cannot be foreseen."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from ...shared.audit import Finding
from ...shared.splits import BY_TIME, Splits
from .log import Log
from .sequences import Sequences, group

DAY = 86_400
MOST_A_DAY = 1000
"""Events of one user on one day; no person does more."""
MOST_TIMES_MEDIAN = 100
"""More than this many times the events of the median user are a robot's, a till's or a company's."""
LONG_AGO = 631_152_000
"""1990-01-01: earlier times are numbers that are not in seconds."""
MANY = 0.2
"""A share of the test rows that changes what the figures mean."""
MANY_TIED = 0.5
MANY_TWINS = 0.01
"""A share of the users; in a large shop a few short histories equal each other by chance."""
TOP_ITEMS = 10


def audit(log: Log, splits: Splits, *, now: float | None = None) -> list[Finding]:
    """Return what a reader must know about a log and its split; nothing is changed.

    Args:
        log: the interactions.
        splits: rows of the log.
        now: seconds since 1970 that count as today; the clock's if left out.
    """
    sequences = group(log)
    return [
        *_robots(log),
        *(_times(log, splits, sequences, time.time() if now is None else now) if log.timed else ()),
        *_duplicates(log, sequences),
        *_single_events(log),
        *_unforeseeable(log, splits, sequences),
        *_popularity(log, splits),
    ]


# === Users ===


def _robots(log: Log) -> Iterator[Finding]:
    total = np.bincount(log.user)
    median = float(np.median(total))
    many = total > MOST_TIMES_MEDIAN * median
    detail = [f"{many.sum():,} with more than {MOST_TIMES_MEDIAN} times the {median:g} events of the median user"]
    if log.timed:
        start = int(log.time.min()) // DAY
        span = int(log.time.max()) // DAY - start + 1
        days, count = np.unique(log.user * span + log.time // DAY - start, return_counts=True)
        busy = np.unique(days[count > MOST_A_DAY] // span)
        many[busy] = True
        detail.append(f"{len(busy):,} with more than {MOST_A_DAY:,} events on one day")
    if many.any():
        rows = int(total[many].sum())
        yield Finding(
            "warning",
            "Users with impossible rates",
            f"{' and '.join(detail)}; together {rows:,} of {len(log):,} rows ({rows / len(log):.1%}), at most "
            f"{total.max():,} of one user. Robots, tills and companies teach habits that no shopper has: leave them "
            "out, or keep their newest rows only with --set data.max_events_per_user=N.",
        )


def _single_events(log: Log) -> Iterator[Finding]:
    total = np.bincount(log.user)
    single = int((total == 1).sum())
    if single:
        yield Finding(
            "info",
            "Users with one event",
            f"{single:,} of {log.num_users:,} users ({single / log.num_users:.1%}). Their events have no history; in "
            "train nothing follows them.",
        )


# === Times ===


def _times(log: Log, splits: Splits, sequences: Sequences, now: float) -> Iterator[Finding]:
    future = int((log.time > now + DAY).sum())  # a clock may be in another zone
    if future:
        yield Finding(
            "warning",
            "Events in the future",
            f"{future:,} of {len(log):,} rows are later than now. Check clocks, zones and day-month order: a split by "
            "time puts these rows into test.",
        )
    early = int((log.time < LONG_AGO).sum())
    if early:
        yield Finding(
            "warning",
            "Events before 1990",
            f"{early:,} of {len(log):,} rows. Are their times in seconds since 1970? Days, minutes and running numbers "
            "give the right order, but not the right moments; a time of 0 is a missing one.",
        )
    if not splits.rule.startswith(BY_TIME):
        ahead = float(np.mean(log.time[splits.test] < log.time[splits.train].max()))
        yield Finding(
            "info",
            "Train holds rows later than test rows",
            f"{ahead:.1%} of the test rows are earlier than the latest training row of other users. A split by time "
            "(data.split = time) is closer to what a shop meets.",
        )
    seconds = log.time[sequences.row]
    tied = (seconds[1:] == seconds[:-1]) & (sequences.user[1:] == sequences.user[:-1])
    if tied.mean() > MANY_TIED:
        yield Finding(
            "warning",
            "Order within one moment",
            f"{tied.mean():.1%} of the rows have the same time as the user's row before. The order of the file decides "
            "which comes first; if it means nothing, bring finer times.",
        )


# === Rows ===


def _duplicates(log: Log, sequences: Sequences) -> Iterator[Finding]:
    """Report equal events, which ``load`` drops, and users whose long sequences equal each other."""
    if log.timed:
        order = np.lexsort((log.time, log.item, log.user))
        parts = (log.user[order], log.item[order], log.time[order])
        copies = int(np.logical_and.reduce([part[1:] == part[:-1] for part in parts]).sum())
        if copies:
            yield Finding(
                "warning",
                "Duplicated events",
                f"{copies:,} of {len(log):,} rows repeat the user, item and time of another. Remove them.",
            )
    begin = np.unique(sequences.first)
    bounds = zip(begin, np.append(begin[1:], len(log)), strict=True)
    histories = [sequences.item[low:high].tobytes() for low, high in bounds if high - low >= 5]
    twins = len(histories) - len(set(histories))
    if twins:
        yield Finding(
            "warning" if twins > MANY_TWINS * log.num_users else "info",
            "Users with the same history",
            f"{twins:,} users have exactly the items of another, in the same order, five or more. If it is one person "
            "under two names, or a scripted account, leave the copies out: a test row of one may be a training row of "
            "the other.",
        )


def _unforeseeable(log: Log, splits: Splits, sequences: Sequences) -> Iterator[Finding]:
    test = splits.test
    cold = ~np.isin(log.item[test], log.item[splits.train])
    items = len(np.unique(log.item[test][cold]))
    yield from _share(
        cold,
        "Test rows with items never in train",
        f"{items:,} different items. Only their attributes can tell of them; without, nobody can recommend them.",
    )
    new = ~np.isin(log.user[test], log.user[splits.train])
    users = len(np.unique(log.user[test][new]))
    yield from _share(
        new,
        "Test rows of users unknown to train",
        f"{users:,} of {len(np.unique(log.user[test])):,} users in test. What they had before in validation and test "
        "is their history; without any, they are shown what most users want.",
        most=1.0,
    )
    yield from _share(
        sequences.repeats(test),
        "Test rows with an item the user had before",
        "Items a user had are never recommended, so these rows count as missed. data.repeats = drop leaves them out.",
    )


def _share(rows: np.ndarray, title: str, detail: str, *, most: float = MANY) -> Iterator[Finding]:
    share = float(rows.mean())
    if share:
        told = f"{rows.sum():,} of {len(rows):,} ({share:.1%}). {detail}"
        yield Finding("warning" if share > most else "info", title, told)


def _popularity(log: Log, splits: Splits) -> Iterator[Finding]:
    count = np.sort(np.bincount(log.item[splits.train], minlength=log.num_items + 1)[1:])[::-1]
    hundredth = max(1, round(len(count) / 100))
    top = count[:TOP_ITEMS].sum() / count.sum()
    yield Finding(
        "info",
        "How much the most popular items hold",
        f"Of the training rows, the {min(TOP_ITEMS, len(count))} most popular items hold {top:.1%}, the most popular "
        f"hundredth ({hundredth:,}) {count[:hundredth].sum() / count.sum():.1%}; {int((count == 1).sum()):,} of "
        f"{log.num_items:,} items have one row, {int((count == 0).sum()):,} none. The more they hold, the better "
        "popularity alone looks.",
    )
