"""Sets described by a table: one row an image file, with its label and what is known beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...shared.columns import absent_cells
from ...shared.contract import Contract
from ...shared.errors import ContractError, nearest
from ...shared.tables import RawTable, read_table
from .contract import CONTRACT
from .dicom import is_placeholder, pseudonym
from .features import LONGEST_NAME, MAX_CLASSES
from .listing import SPLIT_WORDS, SPLITS, Entry, Listing, named

SEPARATOR = "|"
BAND = 20  # years
GROUPS = ("sex", "age", "site")
MOST_ROWS = 10  # row numbers in a message
_NOBODY = "\0"  # stands for an empty patient cell while the contract, which knows no absent identifier, reads it


@dataclass(frozen=True)
class _Row:
    """One row, read.

    Attributes:
        number: as a user counts, from 1.
        written: the path as it stands in the table.
        file: where it leads, or ``None`` if it leaves the manifest's folder or cannot be a path.
        entry: the rest; ``path`` in it is only valid with ``file``.
    """

    number: int
    written: str
    file: Path | None
    entry: Entry


def list_manifest(path: Path, columns: Mapping[str, str]) -> Listing:
    """List the images a CSV or Parquet file names.

    Args:
        path: the table; paths in it count from its folder, which relative ones must not leave.
        columns: role to the table's own column name.

    Raises:
        SourceError: the table cannot be read.
        ContractError: it breaks the contract, files are missing, labels are empty or contradict each other, or a
            patient stands in two splits; all problems are listed.
    """
    raw = read_table(path)
    typed, problems = _typed(raw, columns)
    multi = any(SEPARATOR in label for label in typed.get("label", ()))
    if {"path", "label"} <= set(typed):
        rows = _rows(path.parent, typed, multi)
        problems += _wrong_paths(rows)
        problems += _wrong_labels(rows, multi)
        problems += _wrong_splits(typed, rows)
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise ContractError(f"{path} does not keep the contract of {CONTRACT.name}:\n{listed}")
    entries, notes = _once(rows)
    return Listing(entries, path.name, (*raw.notes, *notes, *_ignored(raw, columns)), multi)


def _typed(raw: RawTable, columns: Mapping[str, str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return what could be read, column by column, and the problems met: a bad age must not hide a missing file."""
    raw = _with_nobody(raw, columns)
    try:
        return CONTRACT.check(raw, mapping=columns, features=()).columns, []
    except ContractError as error:
        problems = [line.removeprefix("  - ") for line in str(error).splitlines()[1:]]
    typed: dict[str, np.ndarray] = {}
    for role in CONTRACT.roles:
        own = columns.get(role.name, role.name)
        if own in raw.columns:
            try:
                one = Contract(CONTRACT.name, (role,)).check(raw, mapping={role.name: own}, features=())
            except ContractError:
                continue
            typed |= one.columns
    return typed, problems


def _with_nobody(raw: RawTable, columns: Mapping[str, str]) -> RawTable:
    own = columns.get("patient", "patient")
    if own not in raw.columns:
        return raw
    cells = raw.columns[own].astype(object)
    cells[absent_cells(raw.columns[own])] = _NOBODY
    return replace(raw, columns={**raw.columns, own: cells})


def _rows(home: Path, typed: Mapping[str, np.ndarray], multi: bool) -> list[_Row]:
    count = len(typed["path"])
    blank = np.full(count, "", dtype=object)
    patient, split = typed.get("patient", blank), typed.get("split", blank)
    groups = {name: _bands(typed[name]) if name == "age" else typed[name] for name in GROUPS if name in typed}
    root = home.resolve()
    rows = []
    for index, (written, label) in enumerate(zip(typed["path"], typed["label"], strict=True)):
        file = _file(root, written)
        entry = Entry(
            file or root,
            _labels(label) if multi else (label,),
            pseudonym("id", "", patient[index]) if _names(patient[index]) else None,
            SPLIT_WORDS.get(split[index].casefold()),
            {name: values[index] for name, values in groups.items()},
        )
        rows.append(_Row(index + 1, written, file, entry))
    return rows


def _names(patient: str) -> bool:
    """Return whether a cell names a patient; unlike a file's, a manifest's patients may be counted from 0."""
    return patient != _NOBODY and (patient.isdecimal() or not is_placeholder(patient))


def _labels(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, (part.strip() for part in text.split(SEPARATOR)))))


def _bands(ages: np.ndarray) -> np.ndarray:
    """Return ``20-39`` for each age in years, and an empty string where it is missing."""
    lows = [None if np.isnan(age) else int(age) // BAND * BAND for age in ages]
    return np.array(["" if low is None else f"{low}-{low + BAND - 1}" for low in lows], dtype=object)


def _file(root: Path, written: str) -> Path | None:
    """Return where a path leads; ``None`` for a relative one that leaves ``root``, itself or by a link."""
    try:
        file = (root / written).resolve()
        return file if Path(written).is_absolute() or file.is_relative_to(root) else None
    except (OSError, ValueError, RuntimeError):  # no path at all, or a link to itself
        return root / "?"


def _exists(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:  # a name too long for any file
        return False


# === What can be wrong ===


def _wrong_paths(rows: Sequence[_Row]) -> Iterator[str]:
    away = [row.written for row in rows if row.file is None]
    if away:
        yield (
            f"{_counted(away, 'path leaves', 'paths leave')} the manifest's folder: {named(away)}. Expected paths "
            "below it, or absolute ones."
        )
    missing = [row.written for row in rows if row.file is not None and not _exists(row.file)]
    if missing:
        yield (
            f"{_counted(missing, 'file is', 'files are')} missing: {named(missing)}. Paths count from the manifest's "
            "folder."
        )
    labels: dict[Path, set[tuple[str, ...]]] = defaultdict(set)
    for row in rows:
        if row.file is not None:
            labels[row.file].add(tuple(sorted(row.entry.labels)))
    torn = list(dict.fromkeys(row.written for row in rows if row.file is not None and len(labels[row.file]) > 1))
    if torn:
        yield f"{_counted(torn, 'file has', 'files have')} different labels in different rows: {named(torn)}."


def _wrong_labels(rows: Sequence[_Row], multi: bool) -> Iterator[str]:
    empty = [row.number for row in rows if not multi and not row.entry.labels[0]]
    if empty:
        yield (
            f"{_counted(empty, 'row has', 'rows have')} no label ({_numbers(empty)}). Expected a class name; words "
            "such as NA and none count as empty."
        )
    classes = sorted({label for row in rows for label in row.entry.labels if label})
    if not classes:
        return
    odd = [name[:40] for name in classes if len(name) > LONGEST_NAME or not name.isprintable()]
    if odd:
        yield f"labels that are too long or cannot be printed: {named(odd)}."
    if len(classes) > MAX_CLASSES:
        yield f"found {len(classes):,} different labels, expected at most {MAX_CLASSES:,}. Is it the right column?"
    if len(classes) == 1 and not multi:
        yield f"found one label only, {classes[0]!r}. Expected at least two classes."


def _wrong_splits(typed: Mapping[str, np.ndarray], rows: Sequence[_Row]) -> Iterator[str]:
    if "split" not in typed:
        return
    words = sorted({word for word in typed["split"] if word.casefold() not in SPLIT_WORDS})
    if words:
        yield f"unknown splits: {named(words)}. Expected {', '.join(SPLITS)} (or {', '.join(SPLIT_WORDS)})."
    taught = {label for row in rows if row.entry.split == SPLITS[0] for label in row.entry.labels}
    unseen = sorted({label for row in rows if row.entry.split for label in row.entry.labels if label} - taught)
    if unseen:
        yield f"labels that stand in validation or test but never in train: {named(unseen)}. Every class needs some."
    files: dict[Path | None, set[str]] = defaultdict(set)
    patients: dict[str | None, set[str]] = defaultdict(set)
    for row in rows:
        files[row.file].add(row.entry.split or "")
        patients[row.entry.patient].add(row.entry.split or "")
    torn = [row.number for row in rows if row.file is not None and len(files[row.file] - {""}) > 1]
    if torn:
        yield f"the same file stands in two splits ({_numbers(torn)}). Keep it in one."
    shared = {who for who, places in patients.items() if who is not None and len(places - {""}) > 1}
    if shared:
        several = [row.number for row in rows if row.entry.patient in shared]
        what = "patient stands" if len(shared) == 1 else "patients stand"
        yield (
            f"{len(shared):,} {what} in more than one split ({_numbers(several)}). A model would know them already; "
            "give each patient one split."
        )


def _counted(items: Sequence[object], one: str, many: str) -> str:
    return f"{len(items):,} {one if len(items) == 1 else many}"


def _numbers(rows: Sequence[int]) -> str:
    more = f" and {len(rows) - MOST_ROWS:,} more" if len(rows) > MOST_ROWS else ""
    return f"{'rows' if len(rows) > 1 else 'row'} {', '.join(map(str, rows[:MOST_ROWS]))}{more}"


# === What is said ===


def _once(rows: Sequence[_Row]) -> tuple[tuple[Entry, ...], list[str]]:
    entries = {row.file: row.entry for row in reversed(rows)}
    kept = tuple(reversed(entries.values()))
    repeated = len(rows) - len(kept)
    return kept, [f"{repeated:,} rows repeat an image of an earlier row and are left out"] if repeated else []


def _ignored(raw: RawTable, columns: Mapping[str, str]) -> Iterator[str]:
    roles = {role.name for role in CONTRACT.roles}
    used = {columns.get(role, role) for role in roles}
    left = [name for name in raw.columns if name not in used]
    if left:
        yield f"{_counted(left, 'column plays', 'columns play')} no role and are not used: {named(left)}"
    for role in CONTRACT.roles:
        hint = nearest(role.name, left)
        if hint and columns.get(role.name, role.name) not in raw.columns:
            yield f"no column plays the role {role.name!r}.{hint} If so: --columns {role.name}=…"
