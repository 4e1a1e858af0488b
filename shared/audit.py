"""Checks for data that would make a figure too good to be true, run before training.

Columns are plain arrays of one length: numbers (NaN is a value like any other here), text, bool,
or objects. Each check returns findings; none changes the data or stops the run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .errors import ContractError
from .metrics import average_precision, roc_auc
from .splits import BY_GROUP, BY_TIME, Splits

Columns = Mapping[str, np.ndarray]
Severity = Literal["info", "warning", "error"]

GIVEAWAY_AUC = 0.98
"""One feature that ranks the label this well is more often an answer than a feature."""
CERTAIN_AUC = 0.9999
"""From here on a single feature leaves nothing to predict."""
GIVEAWAY_AP = 0.8
GIVEAWAY_AP_RATIO = 3.0
"""Also suspect: at least this average precision, and this many times that of the next feature."""
MIN_CLASS_ROWS = 10
"""With fewer rows of a class, some column ranks it perfectly by luck."""
DRIFT_Z = 3.0
DRIFT_RATIO = 1.25
"""A rate has moved when |z| exceeds the first and the rates differ by this factor either way."""

_ROWS_PER_CLASS = 50_000


@dataclass(frozen=True)
class Finding:
    """One thing a reader must know about the data.

    Attributes:
        severity: ``error``: figures of this run cannot be trusted; ``warning``: look at it;
            ``info``: good to know.
        title: a short line that names the column or the split.
        detail: numbers, and what to do.
    """

    severity: Severity
    title: str
    detail: str


# === Rows and entities ===


def duplicate_rows(columns: Columns) -> list[Finding]:
    """Report rows that equal an earlier row in every column."""
    group = identical_rows(columns)
    repeated = group[group >= 0]
    extra = len(repeated) - len(np.unique(repeated))
    if extra == 0:
        return []
    row = int(np.flatnonzero(group >= 0)[0])
    detail = (
        f"{extra} of {len(group)} rows ({extra / len(group):.2%}) repeat an earlier row in all "
        f"{len(columns)} columns; the first row with a copy is {row}. Remove the copies unless "
        "equal events can really happen twice."
    )
    return [Finding("warning", "Duplicate rows", detail)]


def duplicates_across_splits(columns: Columns, splits: Splits) -> list[Finding]:
    """Report rows of validation or test that equal a row of an earlier split in every column.

    Args:
        columns: the features, with the label when a copy should count only with the same label.
        splits: positions in ``columns``.
    """
    group = identical_rows(columns)
    findings = []
    for later, earlier in (("validation", "train"), ("test", "train"), ("test", "validation")):
        rows, seen = splits.parts()[later], group[splits.parts()[earlier]]
        copies = rows[(group[rows] >= 0) & np.isin(group[rows], seen)]
        if len(copies):
            detail = (
                f"{len(copies)} of {len(rows)} rows of {later} ({len(copies) / len(rows):.2%}) "
                f"equal a row of {earlier} in all {len(columns)} columns, the first being row "
                f"{copies[0]}. Remove the copies, or split by what they have in common."
            )
            findings.append(Finding("warning", f"Copies in {earlier} and {later}", detail))
    return findings


def entity_overlap(ids: np.ndarray, splits: Splits, what: str) -> list[Finding]:
    """Report how many entities of test also stand in train.

    Args:
        ids: (row,) the entity of each row, aligned with the data.
        splits: an overlap breaks a split by group (error), is natural in one by time (info), and
            is suspect in any other (warning).
        what: the entity in the plural, for example ``"cards"``.
    """
    train, test = np.unique(ids[splits.train]), np.unique(ids[splits.test])
    shared = int(np.isin(test, train).sum())
    if shared == 0:
        return []
    numbers = f"{shared} of {len(test)} {what} in test ({shared / len(test):.1%}) also stand in train"
    title = f"The same {what} in train and test"
    if splits.rule.startswith(BY_TIME):
        detail = f"{numbers}. The figures hold for known {what} mostly; new ones may do worse."
        return [Finding("info", title, detail)]
    if splits.rule.startswith(BY_GROUP):
        detail = f"{numbers}, although the split is by group. Split by the column that holds {what}."
        return [Finding("error", title, detail)]
    detail = f"{numbers}. If rows of one of the {what} resemble each other, split by group."
    return [Finding("warning", title, detail)]


# === Columns ===


def giveaway(columns: Columns, target: np.ndarray, train: np.ndarray) -> list[Finding]:
    """Report single features that tell the label, which they could not do when it matters.

    Each column is tried as a number in both directions, by where it is missing, and by the share
    of positives of each value, learned on one half of the rows and tried on the other, so that a
    column of distinct values gains nothing. At most 50,000 rows of each class are read, weighted
    back to their true share.

    Args:
        columns: the features, without the label.
        target: (row,) 0 or 1.
        train: int64 positions of the training rows; no other row is looked at.

    Raises:
        ContractError: ``target`` holds something else than 0 and 1.

    Source: Kaufman et al. 2012, ACM TKDD 6(4) (leakage in data mining).
    """
    if not np.isin(target, (0, 1)).all():
        raise ContractError(
            f"Giveaways are sought for labels 0 and 1; got values such as "
            f"{np.unique(target)[:4].tolist()}. Map the label first, or leave this check out."
        )
    rows, weight = _thinned(np.asarray(target), train)
    truth = np.asarray(target)[rows].astype(np.int64)
    rarest = int(np.bincount(truth, minlength=2).min())
    if rarest < MIN_CLASS_ROWS:
        detail = f"Train holds {rarest} rows of the rarer class; {MIN_CLASS_ROWS} are needed."
        return [Finding("info", "Giveaway columns not looked for", detail)]
    power = {name: _power(values[rows], truth, weight) for name, values in columns.items()}
    by_precision = sorted((ap for _, ap in power.values()), reverse=True) + [0.0, 0.0]
    return [
        _giveaway_finding(name, auc, ap)
        for name, (auc, ap) in power.items()
        if auc >= GIVEAWAY_AUC
        or (ap == by_precision[0] and ap >= max(GIVEAWAY_AP, GIVEAWAY_AP_RATIO * by_precision[1]))
    ]


def constant_columns(columns: Columns) -> list[Finding]:
    """Report columns that hold one value only, or nothing."""
    findings = []
    for name, values in columns.items():
        codes = _codes(values)
        if len(codes) and not codes.any():
            detail = (
                f"All {len(values)} rows hold {values[0]!s}. It teaches nothing: leave it out with "
                f"--exclude {name}, or check that it was read correctly."
            )
            findings.append(Finding("warning", f"Column {name!r} is constant", detail))
    return findings


def id_like_columns(columns: Columns) -> list[Finding]:
    """Report integer and text columns in which every value is distinct."""
    findings = []
    for name, values in columns.items():
        if values.dtype.kind not in "iuUSO" or len(values) < 2:
            continue
        if int(_codes(values).max()) + 1 == len(values):
            detail = (
                f"All {len(values)} values are distinct, as in a row number or a key. A network "
                f"can only learn it by heart: leave it out with --exclude {name}."
            )
            findings.append(Finding("warning", f"Column {name!r} looks like an identifier", detail))
    return findings


def label_drift(target: np.ndarray, splits: Splits) -> list[Finding]:
    """Report the share of positives in each split, and whether it moved since train.

    The two-proportion z compares each later split with train. It moved when |z| > ``DRIFT_Z``
    and the shares differ by a factor of ``DRIFT_RATIO`` or more; z alone would flag any large
    data set.

    Args:
        target: (row,) 0 or 1, aligned with the data.
        splits: positions in ``target``.

    Source: Agresti 2013, Categorical Data Analysis, §3.1 (pooled two-proportion test).
    """
    counts = {name: (int(np.sum(target[index])), len(index)) for name, index in splits.parts().items()}
    rates = ", ".join(f"{name} {hits / max(n, 1):.3%} of {n}" for name, (hits, n) in counts.items())
    findings = [Finding("info", "Share of positives", f"{rates}.")]
    for name in ("validation", "test"):
        z = _two_proportions(counts[name], counts["train"])
        if abs(z) > DRIFT_Z and _differ(counts[name], counts["train"]):
            detail = (
                f"{rates} (z = {z:.1f} against train; reported when |z| > {DRIFT_Z:g} and the "
                f"shares differ by a factor of {DRIFT_RATIO:g}). Thresholds chosen on one period "
                "may raise more or fewer alerts in another: check for a change in labelling, and "
                "choose them anew on recent data."
            )
            findings.append(Finding("warning", f"Share of positives moved in {name}", detail))
    return findings


# === Power of one column ===


def _thinned(target: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return evenly spaced training rows of each class, and the weight each stands for."""
    rows, weights = [], []
    for label in (0, 1):
        members = train[target[train] == label]
        step = max(1, math.ceil(len(members) / _ROWS_PER_CLASS))
        rows.append(members[::step])
        weights.append(np.full(len(rows[-1]), len(members) / max(len(rows[-1]), 1)))
    order = np.argsort(np.concatenate(rows), kind="stable")
    return np.concatenate(rows)[order], np.concatenate(weights)[order]


def _power(values: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Return the best ROC AUC and average precision of one column by any of its readings."""
    aucs, precisions = [0.5], [0.0]
    for score in _readings(values, truth, weight):
        aucs.append(roc_auc(truth, score, weight=weight))
        precisions.append(average_precision(truth, score, weight=weight))
    return max(aucs), max(precisions)


def _readings(values: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> list[np.ndarray]:
    readings = [_rate_by_value(_codes(values), truth, weight)]
    if values.dtype.kind in "biuf":
        numbers = np.nan_to_num(values.astype(np.float64), nan=np.nan)  # infinite → very large
        missing = np.isnan(numbers)
        if not missing.all():
            numbers = np.where(missing, np.nanmin(numbers), numbers)
            readings += [numbers, -numbers]
        if missing.any():
            readings += [missing.astype(np.float64), -missing.astype(np.float64)]
    return readings


def _rate_by_value(codes: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return for each row the share of positives among rows of its value in the other half.

    The halves alternate within each class, so both see the rare one. A value is shrunk towards
    the overall share by one row's worth; an unseen value gets just that share.
    """
    num_values = int(codes.max()) + 1
    half = np.zeros(len(codes), dtype=np.int64)
    for label in (0, 1):
        members = np.flatnonzero(truth == label)
        half[members] = np.arange(len(members)) % 2
    overall = float(weight @ truth / weight.sum())
    rate = np.empty(len(codes))
    for side in (0, 1):
        other = half != side
        hits = np.bincount(codes[other], (weight * truth)[other], minlength=num_values)
        rows = np.bincount(codes[other], weight[other], minlength=num_values)
        rate[~other] = ((hits + overall) / (rows + 1))[codes[~other]]
    return rate


def _giveaway_finding(name: str, auc: float, ap: float) -> Finding:
    certain = auc >= CERTAIN_AUC
    verb = "determines" if certain else "nearly tells"
    detail = (
        f"Alone it ranks the label with AUC {auc:.4f} and average precision {ap:.3f} on the "
        "training rows. An answer, not a feature? If it is not known at the moment of decision, "
        f"leave it out with --exclude {name}."
    )
    severity: Severity = "error" if certain else "warning"
    return Finding(severity, f"Column {name!r} {verb} the label", detail)


# === Proportions ===


def _two_proportions(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Return the pooled z of two (positives, rows)."""
    (hits, n), (other_hits, m) = first, second
    if n == 0 or m == 0:
        return 0.0
    pooled = (hits + other_hits) / (n + m)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return (hits / n - other_hits / m) / spread if spread > 0 else 0.0


def _differ(first: tuple[int, int], second: tuple[int, int]) -> bool:
    low, high = sorted((first[0] / first[1], second[0] / second[1]))
    return high >= DRIFT_RATIO * low


# === Equal rows ===


def identical_rows(columns: Columns) -> np.ndarray:
    """Return int64 (row,): a number shared by rows that are equal in all columns, −1 if alone.

    Hashes find the candidates in linear time; the candidates are then compared value by value,
    so two rows whose hashes happen to agree are never called equal.
    """
    num_rows = _one_length(columns)
    mixed = np.zeros(num_rows, dtype=np.uint64)
    for values in columns.values():
        mixed = _scramble(mixed ^ _bits(values))
    _, first, times = np.unique(mixed, return_inverse=True, return_counts=True)
    rows = np.flatnonzero(times[first] > 1)
    group = np.zeros(len(rows), dtype=np.int64)
    for values in columns.values():
        codes = _codes(values[rows])
        # Both factors are below the number of rows, so the product fits 64 bits.
        group = np.unique(group * (codes.max(initial=0) + 1) + codes, return_inverse=True)[1]
    found = np.full(num_rows, -1, dtype=np.int64)
    if len(rows):
        found[rows] = np.where(np.bincount(group)[group] > 1, group, -1)
    return found


def _one_length(columns: Columns) -> int:
    shapes = {name: np.shape(values) for name, values in columns.items()}
    if not shapes or len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 1:
        raise ContractError(f"An audit needs one-dimensional columns of one length; got {shapes}. Check the loader.")
    return int(next(iter(shapes.values()))[0])


def _bits(values: np.ndarray) -> np.ndarray:
    """Return uint64 (row,), equal for equal values."""
    if values.dtype.kind == "f":
        numbers = values.astype(np.float64) + 0.0  # −0.0 becomes 0.0
        numbers[np.isnan(numbers)] = np.nan  # one bit pattern for all NaN
        return numbers.view(np.uint64)
    if values.dtype.kind in "biu":
        return values.astype(np.uint64)
    return _codes(values).astype(np.uint64)


def _scramble(bits: np.ndarray) -> np.ndarray:
    """Return well-mixed bits, one-to-one. Source: Steele et al. 2014, OOPSLA (SplitMix64)."""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)))


def _codes(values: np.ndarray) -> np.ndarray:
    """Return int64 (row,) from 0, equal for equal values; NaN equals NaN."""
    if values.dtype.kind != "O":
        return np.asarray(np.unique(values, return_inverse=True)[1], dtype=np.int64)
    # Objects may not be sortable (text beside None), so they are numbered as they come.
    seen: dict[object, int] = {}
    keys = (math.nan if _is_nan(value) else value for value in values)
    return np.fromiter((seen.setdefault(key, len(seen)) for key in keys), np.int64, len(values))


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
