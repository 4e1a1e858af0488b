"""Which image files a set consists of, before any of them is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
SPLITS = ("train", "validation", "test")  # in the order of the codes in ``Scans.split``


@dataclass(frozen=True)
class Entry:
    """One image file.

    Attributes:
        path: where it is; kept out of the representation, as is ``patient``, since names of files may be patients'.
        labels: its classes: exactly one, or any number in a multi-label set.
        patient: pseudonym of the patient, where the set names one; else the file itself may.
        split: ``train``, ``validation`` or ``test``, where the set is divided already.
        groups: name of a subgroup (sex, age, site) to the file's own.
    """

    path: Path = field(repr=False)
    labels: tuple[str, ...]
    patient: str | None = field(default=None, repr=False)
    split: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """The files of a set.

    Attributes:
        entries: the files, in a fixed order.
        source: name of the folder or manifest.
        notes: what was left out or assumed; names no file and no patient.
        multi_label: whether an image can have several labels, or none.
    """

    entries: tuple[Entry, ...]
    source: str
    notes: tuple[str, ...] = ()
    multi_label: bool = False


def named(items: list[str], most: int = 10) -> str:
    """Return the first items in quotes, and how many more there are."""
    more = f" and {len(items) - most:,} more" if len(items) > most else ""
    return ", ".join(map(repr, items[:most])) + more
