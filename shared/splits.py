"""Train, validation and test without leaks: by time, by group, or stratified.

Each function returns index arrays and a sentence for the report, or refuses data on which an
honest evaluation is impossible. What stands in no split (a gap) is counted in the notes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from .errors import ConfigError, ContractError

MIN_ROWS = 50
"""Below this no split leaves enough rows to judge anything."""

BY_TIME = "by time"
BY_GROUP = "by group"
STRATIFIED = "stratified"
"""How a rule begins; the audit reads it to know whether entities may stand on two sides."""


@dataclass(frozen=True, eq=False)
class Splits:
    """Row numbers of the three splits.

    Attributes:
        train: int64 (row,) positions in the data.
        validation: int64 (row,).
        test: int64 (row,).
        rule: one sentence for the report, beginning with ``BY_TIME``, ``BY_GROUP`` or
            ``STRATIFIED`` where it was made here.
        notes: what a reader should know beside: gaps, dates.

    Raises:
        ContractError: a row stands in two splits.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    rule: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        everything = np.concatenate([self.train, self.validation, self.test])
        times = np.bincount(everything) if len(everything) else np.zeros(1, dtype=np.int64)
        if times.max() > 1:
            raise ContractError(
                f"Row {int(times.argmax())} stands in more than one split or twice in one "
                f"({int((times > 1).sum())} such rows). Give each row to one split."
            )

    def parts(self) -> dict[str, np.ndarray]:
        """Return ``{"train", "validation", "test"}`` in this order."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def by_time(
    timestamps: np.ndarray,
    *,
    delay_seconds: int,
    validation_share: float,
    test_share: float,
    labels: np.ndarray | None = None,
) -> Splits:
    """Train on the past, choose on what follows, test on the end.

    The shares are shares of the rows, not of the time span, so that a quiet season does not
    empty a split; rows of one second always stay on one side (the later). A label becomes known
    ``delay_seconds`` after its row. On the day a model is trained, the labels of the last delay
    are unknown, so the rows of that long before each boundary belong to no split.

    Args:
        timestamps: int64 (row,) seconds since 1970, in any order.
        delay_seconds: time until a label is known, ≥ 0.
        validation_share: share of the rows, counted before the gap is taken from them.
        test_share: share of the rows at the end.
        labels: (row,) classes; when given, each split must hold more than one.

    Returns:
        Splits in order of time.

    Raises:
        ConfigError: a share or the delay is out of range.
        ContractError: too few rows, an empty split, or a split with one class.

    Source: Dal Pozzolo et al. 2018, IEEE TNNLS 29(8) (delayed labels in card fraud).
    """
    _check_shares(validation_share, test_share)
    _check_rows(len(timestamps), labels)
    _check_times(timestamps, delay_seconds)
    order = np.argsort(timestamps, kind="stable")
    ordered = timestamps[order].astype(np.int64)
    num_rows = len(ordered)
    test_from = ordered[min(int(num_rows * (1 - test_share)), num_rows - 1)]
    validation_from = ordered[int(num_rows * (1 - test_share - validation_share))]
    # The first row at or after a time; a delay of 0 leaves no gap.
    cuts = [validation_from - delay_seconds, validation_from, test_from - delay_seconds, test_from]
    train_stop, validation_start, validation_stop, test_start = np.searchsorted(ordered, cuts)
    parts = {
        "train": order[:train_stop],
        "validation": order[validation_start:validation_stop],
        "test": order[test_start:],
    }
    gaps = (int(validation_start - train_stop), int(test_start - validation_stop))
    _refuse_empty(parts, _time_advice(ordered, delay_seconds))
    _refuse_one_class(parts, labels, "Move the boundaries (shares), or bring a longer period.")
    rule = (
        f"{BY_TIME}: validation from {_date(validation_from)}, test from {_date(test_from)}; "
        f"labels known after {_duration(delay_seconds)}"
    )
    return _splits(parts, rule, _gap_notes(gaps, delay_seconds))


def by_group(
    groups: np.ndarray,
    *,
    validation_share: float,
    test_share: float,
    seed: int,
    labels: np.ndarray | None = None,
) -> Splits:
    """Give each group (patient, user, site) whole to one split, at random.

    The shares are shares of the groups. With ``labels``, groups are first divided by the highest
    class they hold, so that a rare class reaches every split when at least three groups hold it.

    Args:
        groups: (row,) any sortable dtype.
        validation_share: share of the groups.
        test_share: share of the groups.
        seed: same seed, same split.
        labels: (row,) classes; when given, each split must hold more than one.

    Returns:
        Splits with rising row numbers.

    Raises:
        ConfigError: a share is out of range.
        ContractError: too few rows or groups, or a split with one class.
    """
    _check_shares(validation_share, test_share)
    _check_rows(len(groups), labels)
    distinct, group = np.unique(groups, return_inverse=True)
    if len(distinct) < 3:
        raise ContractError(
            f"A split by group needs at least 3 groups; found {len(distinct)} in {len(groups)} "
            "rows. Bring more groups, or check that the group column is the right one."
        )
    stratum = np.zeros(len(distinct), dtype=np.int64)
    if labels is not None:
        np.maximum.at(stratum, group, np.unique(labels, return_inverse=True)[1])
    side = _sides(stratum, validation_share, test_share, seed)[group]
    parts = _parts(side)
    _refuse_one_class(parts, labels, "Bring more groups that hold the rare class.")
    rule = f"{BY_GROUP}: each of {len(distinct)} groups stands whole in one split, seed {seed}"
    counts = [len(np.unique(group[index])) for index in parts.values()]
    note = "groups: {} train, {} validation, {} test".format(*counts)
    return _splits(parts, rule, (note,))


def stratified(labels: np.ndarray, *, validation_share: float, test_share: float, seed: int) -> Splits:
    """Divide rows at random, each class in the same shares.

    Only for rows that are independent of each other: nothing keeps one person's rows together.

    Args:
        labels: (row,) classes, at least two.
        validation_share: share of the rows of each class.
        test_share: share of the rows of each class.
        seed: same seed, same split.

    Returns:
        Splits with rising row numbers.

    Raises:
        ConfigError: a share is out of range.
        ContractError: too few rows, one class only, or a class with fewer than 3 rows.
    """
    _check_shares(validation_share, test_share)
    _check_rows(len(labels), None)
    classes, stratum, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) < 2 or counts.min() < 3:
        found = ", ".join(f"{label}: {count} rows" for label, count in zip(classes, counts, strict=True))
        raise ContractError(
            "A stratified split needs at least 2 classes with at least 3 rows each; found "
            f"{found}. Bring more rows of the rare class, or merge it with another."
        )
    parts = _parts(_sides(stratum, validation_share, test_share, seed))
    return _splits(parts, f"{STRATIFIED}: each class in the same shares, seed {seed}")


# === Steps ===


def _sides(stratum: np.ndarray, validation_share: float, test_share: float, seed: int) -> np.ndarray:
    """Return int64 0 train, 1 validation, 2 test for each item, drawn within each stratum."""
    rng = np.random.default_rng(seed)
    side = np.zeros(len(stratum), dtype=np.int64)
    for value in np.unique(stratum):
        members = rng.permutation(np.flatnonzero(stratum == value))
        num_test = max(1, round(len(members) * test_share))
        num_validation = max(1, round(len(members) * validation_share))
        if num_test + num_validation >= len(members):
            num_test = num_validation = int(len(members) >= 3)
        side[members[:num_test]] = 2
        side[members[num_test : num_test + num_validation]] = 1
    return side


def _parts(side: np.ndarray) -> dict[str, np.ndarray]:
    return {name: np.flatnonzero(side == code) for code, name in enumerate(("train", "validation", "test"))}


def _splits(parts: dict[str, np.ndarray], rule: str, notes: tuple[str, ...] = ()) -> Splits:
    return Splits(parts["train"], parts["validation"], parts["test"], rule, notes)


def _gap_notes(gaps: tuple[int, int], delay_seconds: int) -> tuple[str, ...]:
    if delay_seconds == 0:
        return ()
    return tuple(
        f"{count} rows in the {_duration(delay_seconds)} before {name} are in no split: their labels were not yet known"
        for name, count in zip(("validation", "test"), gaps, strict=True)
    )


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(int(seconds), tz=UTC).strftime("%Y-%m-%d %H:%M:%S")


def _duration(seconds: int) -> str:
    for size, unit in ((86_400, "days"), (3_600, "hours")):
        if seconds >= size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds} seconds"


# === Checks ===


def _check_shares(validation_share: float, test_share: float) -> None:
    if not (validation_share > 0 and test_share > 0 and validation_share + test_share < 1):
        raise ConfigError(
            "The shares of validation and test must be above 0 and leave rows to train on; got "
            f"validation_share={validation_share}, test_share={test_share}. Try 0.15 and 0.2."
        )


def _check_rows(num_rows: int, labels: np.ndarray | None) -> None:
    if num_rows < MIN_ROWS:
        raise ContractError(
            f"Found {num_rows} rows; a split needs at least {MIN_ROWS}, and an honest figure many "
            "more. Bring more data."
        )
    if labels is not None and len(labels) != num_rows:
        raise ContractError(f"Found {len(labels)} labels for {num_rows} rows; expected one each.")


def _check_times(timestamps: np.ndarray, delay_seconds: int) -> None:
    if timestamps.dtype.kind not in "iu":
        raise ContractError(
            f"Timestamps must be whole seconds (int64); got dtype {timestamps.dtype}. Convert "
            "them first: values.astype('datetime64[s]').astype('int64')."
        )
    if delay_seconds < 0:
        raise ConfigError(f"A label delay is at least 0; got delay_seconds={delay_seconds}.")


def _time_advice(ordered: np.ndarray, delay_seconds: int) -> str:
    span = _duration(int(ordered[-1] - ordered[0]))
    return (
        f"The data span {span} ({_date(ordered[0])} to {_date(ordered[-1])}, UTC) and labels are "
        f"known after {_duration(delay_seconds)}. Bring a longer period, raise the shares, or "
        "lower the delay if labels really come sooner."
    )


def _refuse_empty(parts: dict[str, np.ndarray], advice: str) -> None:
    empty = [name for name, index in parts.items() if len(index) == 0]
    if empty:
        raise ContractError(f"The split leaves no rows for {' and '.join(empty)}. {advice}")


def _refuse_one_class(parts: dict[str, np.ndarray], labels: np.ndarray | None, advice: str) -> None:
    """Refuse a split in which nothing can be learned or measured, listing what stands where."""
    if labels is None:
        return
    classes, code = np.unique(labels, return_inverse=True)
    counts = {name: np.bincount(code[index], minlength=len(classes)) for name, index in parts.items()}
    poor = [name for name, count in counts.items() if np.count_nonzero(count) < 2]
    if not poor:
        return
    rare = int(np.argmin(sum(counts.values())))
    found = ", ".join(f"{count[rare]} of {count.sum()} in {name}" for name, count in counts.items())
    raise ContractError(
        f"Only one class in {' and '.join(poor)}. Rows of class {classes[rare]}: {found}. Each "
        f"split needs both classes. {advice}"
    )
