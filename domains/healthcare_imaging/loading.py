"""A path to a labelled set: an ``.npz``, a folder of classes, or a table that names the files.

Files are decoded one at a time into a temporary file, which is then mapped into memory: a set may be larger than it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from ...shared.domain import Progress, Request
from ...shared.errors import ConfigError, ContractError, SourceError, nearest
from ...shared.tables import CSV_ENDINGS, PARQUET_ENDINGS
from . import spill
from .archive import ReadingConfig, fingerprint, read_archive
from .config import DataSettings
from .features import MAX_AUTO_SIZE, to_canvas
from .folder import list_folder
from .listing import SPLITS, Entry, Listing
from .manifest import list_manifest
from .reading import read_scan
from .scans import Scan, Scans

SAMPLE = 200  # files that are looked at before size and colour are chosen
LEAST_AUTO_SIZE = 28
SIZE_STEP = 4  # pixels; the network halves its input more than once
SECONDS, FILES = 5.0, 1000  # between two lines of progress
MOST_NAMED = 10
EXPECTED = (
    "a folder with a sub-folder for each class, an .npz laid out as MedMNIST's, or a table "
    f"({', '.join((*CSV_ENDINGS, *PARQUET_ENDINGS))}) with the columns path and label"
)


def load(request: Request, config: ReadingConfig, /, *, report: Progress) -> Scans:
    """Read the user's set.

    Args:
        request: the path, and which column of a table plays which role.
        config: settings with the section ``data``.
        report: receives a line every few seconds.

    Raises:
        SourceError: the path is of another kind, or files cannot be read; names the first of them.
        ContractError: the set is not laid out or labelled as it must be; all problems are listed.
        ConfigError: columns are named where there are none, or a second table is.
        MissingExtraError: DICOM or NIfTI without the ``medical`` extra.
    """
    path = request.path
    if path is None:
        raise ContractError("No data were given. Name them with --data PATH.")
    if request.exclude:
        raise ConfigError("--exclude is not for images: columns of a manifest that are not named are left out anyway.")
    if request.items is not None:
        raise ConfigError("--items names a second table, but healthcare_imaging takes none. Leave it out.")
    table = path.name.lower().endswith((*CSV_ENDINGS, *PARQUET_ENDINGS)) and not path.is_dir()
    if request.columns and not table:
        raise ConfigError(f"--columns names columns of a table, but {path} is none. Leave it out.")
    if table:
        scans = _decoded(list_manifest(path, request.columns), config.data, report)
    elif path.is_dir():
        scans = _decoded(list_folder(path), config.data, report)
    else:
        _require_archive(path)
        scans = read_archive(path, config)
    return _with_two_classes(scans)


def _require_archive(path: Path) -> None:
    if not path.exists():
        beside = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        raise SourceError(f"Nothing at {path}.{nearest(path.name, beside)} Expected {EXPECTED}.")
    if path.suffix.lower() != ".npz":
        raise SourceError(f"{path} is not a set of images. Expected {EXPECTED}.")


def _with_two_classes(scans: Scans) -> Scans:
    """Refuse a set from which nothing can be told apart."""
    if scans.multi_label:
        if not np.any(scans.labels.min(axis=0) != scans.labels.max(axis=0)):
            raise ContractError(f"{scans.source}: every image has the same labels. Expected images that differ.")
    elif scans.labels.min() == scans.labels.max():
        name = scans.classes[int(scans.labels[0])]
        raise ContractError(f"{scans.source}: every image has the label {name!r}. Expected at least two classes.")
    return scans


# === Decoding ===


@dataclass(frozen=True)
class _Canvas:
    """What every image is brought to, see ``features.to_canvas``."""

    size: int
    channels: int
    fit: str

    def of(self, scan: Scan) -> np.ndarray:
        """Return uint8 (frame, size, size, channel)."""
        return np.stack(
            [to_canvas(frame, size=self.size, channels=self.channels, fit=self.fit) for frame in scan.frames]
        )


@dataclass
class _Kept:
    """What was read so far: entries, their place in the list, number of frames and what the file says of the patient.

    Of errors the text alone is kept: an exception holds on to all that was being decoded.
    """

    entries: list[Entry] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    patients: list[str | None] = field(default_factory=list)
    studies: int = 0
    bad: list[str] = field(default_factory=list)


def _decoded(listing: Listing, settings: DataSettings, report: Progress) -> Scans:
    canvas = _canvas(listing.entries, settings)
    with spill.opened() as file:
        kept = _read_all(listing.entries, canvas, settings.axis, report, file)
        _require_readable(kept, settings)
        images = spill.mapped(file, (sum(kept.frames), canvas.size, canvas.size, canvas.channels))
    return _assembled(images, kept, listing)


def _read_all(entries: Sequence[Entry], canvas: _Canvas, axis: int, report: Progress, file: IO[bytes]) -> _Kept:
    kept = _Kept()
    tell = _teller(len(entries), report)
    for number, entry in enumerate(entries, start=1):
        try:
            scan = read_scan(entry.path, axis=axis)
        except SourceError as error:
            kept.bad.append(str(error))
        else:
            spill.append(file, canvas.of(scan))
            kept.entries.append(entry)
            kept.places.append(number - 1)
            kept.frames.append(len(scan.frames))
            kept.patients.append(scan.patient)
            kept.studies += scan.study and not entry.patient
        tell(number)
    return kept


def _teller(total: int, report: Progress) -> Callable[[int], None]:
    """Return a function that reports how many files are read, neither too often nor too seldom."""
    last = [time.monotonic(), 0.0]

    def tell(number: int) -> None:
        now = time.monotonic()
        if now - last[0] >= SECONDS or number - last[1] >= FILES or (number == total and last[1]):
            report(f"read {number:,} of {total:,} files")
            last[:] = [now, number]

    return tell


def _require_readable(kept: _Kept, settings: DataSettings) -> None:
    if not kept.bad or (settings.skip_bad and kept.entries):
        return
    total = len(kept.bad) + len(kept.entries)
    listed = "\n".join(f"  - {error}" for error in kept.bad[:MOST_NAMED])
    more = f"\n  - and {len(kept.bad) - MOST_NAMED:,} more" if len(kept.bad) > MOST_NAMED else ""
    aside = " Mend them, or leave them out with --skip-bad." if kept.entries else ""
    raise SourceError(f"{len(kept.bad):,} of {total:,} files cannot be read.{aside}\n{listed}{more}")


# === Size and colour ===


def _canvas(entries: Sequence[Entry], settings: DataSettings) -> _Canvas:
    size, channels = settings.size, {"grey": 1, "rgb": 3}.get(settings.colour, 0)
    if not size or not channels:
        seen = list(_sampled(entries, settings.axis))
        size = size or _auto_size([edge for edge, _ in seen])
        channels = channels or (3 if any(coloured for _, coloured in seen) else 1)
    return _Canvas(size, channels, "pad" if settings.fit == "auto" else settings.fit)


def _sampled(entries: Sequence[Entry], axis: int) -> Iterator[tuple[int, bool]]:
    """Yield the short edge of some files, evenly spread, and whether they have colour; bad ones are met again later."""
    chosen = np.unique(np.linspace(0, len(entries) - 1, min(SAMPLE, len(entries))).round().astype(int))
    for index in chosen:
        try:
            frames = read_scan(entries[index].path, axis=axis).frames
        except SourceError:
            continue
        yield min(frames.shape[1:3]), frames.ndim == 4


def _auto_size(edges: Sequence[int]) -> int:
    median = min(MAX_AUTO_SIZE, statistics.median(edges)) if edges else LEAST_AUTO_SIZE
    return max(LEAST_AUTO_SIZE, int(median) // SIZE_STEP * SIZE_STEP)


# === The set ===


def _assembled(images: np.ndarray, kept: _Kept, listing: Listing) -> Scans:
    entries, frames = kept.entries, np.array(kept.frames)
    classes = tuple(sorted({label for entry in entries for label in entry.labels}))
    labels = np.repeat(_labels(entries, classes, listing.multi_label), frames, axis=0)
    patient, notes = _patients(kept)
    splits = [entry.split for entry in entries]
    codes = np.array([-1 if split is None else SPLITS.index(split) for split in splits], dtype=np.int8)
    names = sorted({name for entry in entries for name in entry.groups})
    groups = {name: np.array([entry.groups.get(name, "") for entry in entries], dtype=object) for name in names}
    return Scans(
        images=images,
        labels=labels,
        classes=classes,
        source=listing.source,
        fingerprint=fingerprint(images, labels, classes),
        notes=(*listing.notes, *_bad_notes(kept), *_study_notes(kept), *notes),
        patient=None if patient is None else np.repeat(patient, frames),
        split=None if any(split is None for split in splits) else np.repeat(codes, frames),
        groups={name: np.repeat(values, frames) for name, values in groups.items()},
        file=np.repeat(np.array(kept.places, dtype=np.int64), frames),
    )


def _labels(entries: Sequence[Entry], classes: tuple[str, ...], multi: bool) -> np.ndarray:
    """Return (file,) codes, or (file, class) of 0 and 1."""
    codes = {name: code for code, name in enumerate(classes)}
    if not multi:
        return np.array([codes[entry.labels[0]] for entry in entries], dtype=np.int64)
    made = np.zeros((len(entries), len(classes)), dtype=np.uint8)
    for row, entry in enumerate(entries):
        made[row, [codes[label] for label in entry.labels]] = 1
    return made


def _patients(kept: _Kept) -> tuple[np.ndarray | None, list[str]]:
    """Return int64 (file,) codes, or ``None`` where neither the set nor the files say whose images they are."""
    told = [entry.patient or own for entry, own in zip(kept.entries, kept.patients, strict=True)]
    unnamed = sum(who is None for who in told)
    if unnamed == len(told):
        return None, []
    codes: dict[str, int] = {}
    found = [codes.setdefault(who or f"file {row}", len(codes)) for row, who in enumerate(told)]
    note = f"{unnamed:,} of {len(told):,} files name no patient; each of them counts as a patient of its own"
    return np.array(found, dtype=np.int64), [note] if unnamed else []


def _bad_notes(kept: _Kept) -> list[str]:
    """Count the files that were left out; their names stay out of reports, since they may be patients'."""
    if not kept.bad:
        return []
    return [f"{len(kept.bad):,} files could not be read and are left out (data.skip_bad)"]


def _study_notes(kept: _Kept) -> list[str]:
    return [f"{kept.studies:,} files name no patient; their study stands for one"] if kept.studies else []
