"""Sets in one ``.npz`` file, laid out as MedMNIST does.

Nothing in the file is trusted: each array's own header is held against the bytes it stands for before room is made for
it, and pickled objects are refused.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from ...shared.errors import ContractError, SourceError
from .bounds import MAX_PIXELS, MIN_EDGE
from .config import DataSettings
from .features import LONGEST_NAME, MAX_AUTO_SIZE, MAX_CLASSES, to_canvas
from .listing import named
from .scans import Scans

MAX_ARCHIVE_BYTES = 2**32  # unpacked; the set is held in memory
MAX_MEMBERS = 100
_HEADER_BYTES = 2**16  # numpy's own are far shorter
PARTS = ("train", "val", "test")  # in the order of the codes in ``Scans.split``
OPTIONAL_PART = "val"
_DAMAGED = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError)
Arrays = Mapping[str, np.ndarray]


class ReadingConfig(Protocol):
    """Settings with the section ``data``."""

    @property
    def data(self) -> DataSettings:
        """How images are read and split."""


def read_archive(path: Path, config: ReadingConfig) -> Scans:
    """Read ``train_images``, ``train_labels``, ``test_images``, … of a ``.npz`` file.

    Labels are (image,) or (image, 1) class codes, or (image, label) of 0 and 1 where an image can have several.
    ``val_*`` may be missing; ``class_names`` may name the classes, else their codes do.

    Raises:
        SourceError: the file is not such an archive, damaged, or larger than ``MAX_ARCHIVE_BYTES``.
        ContractError: arrays are missing, or do not fit their purpose or each other; all problems are listed.
    """
    arrays, ignored = _read(path)
    problems = list(_problems(arrays))
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise ContractError(
            f"{path} is not a labelled image set. Expected train_images, train_labels, test_images, test_labels (and "
            f"val_*), as MedMNIST has them:\n{listed}"
        )
    parts = [part for part in PARTS if f"{part}_images" in arrays]
    labels, classes = _labels(arrays, parts)
    images, oblong = _images(arrays, parts, config.data)
    codes = [np.full(len(arrays[f"{part}_images"]), PARTS.index(part), dtype=np.int8) for part in parts]
    return Scans(
        images=images,
        labels=labels,
        classes=classes,
        source=path.name,
        fingerprint=fingerprint(images, labels, classes),
        notes=tuple(_notes(ignored, arrays, parts)),
        split=np.concatenate(codes),
        cropped=not oblong,
    )


def fingerprint(images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> str:
    """Return the sha256 of a set: the same images, labels and classes always give the same digits."""
    digest = hashlib.sha256(repr((images.shape, labels.shape, classes)).encode())
    step = max(1, 2**20 // max(1, images[:1].nbytes))  # of a mapped file only a little is held in memory at a time
    for start in range(0, len(images), step):
        digest.update(images[start : start + step].tobytes())
    digest.update(labels.tobytes())
    return digest.hexdigest()


# === The file ===


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray | None]]:
    """Return the arrays of the set, and the others: marks (bool) themselves, of the rest the name alone."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > MAX_ARCHIVE_BYTES or len(members) > MAX_MEMBERS:
                raise SourceError(
                    f"{path}: {len(members):,} arrays of {size:,} bytes. Expected at most {MAX_MEMBERS} arrays of "
                    f"{MAX_ARCHIVE_BYTES:,} bytes; take an edition with smaller images, or a folder of files."
                )
            return _members(path, archive)
    except _DAMAGED as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"{path} cannot be read as .npz: {reason}. Copy or export it again.") from error


def _members(path: Path, archive: zipfile.ZipFile) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray | None]]:
    wanted = {f"{part}_{kind}" for part in PARTS for kind in ("images", "labels")} | {"class_names"}
    arrays: dict[str, np.ndarray] = {}
    ignored: dict[str, np.ndarray | None] = {}
    problems: list[str] = []
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        marks = name not in wanted and "duplicate" in name
        if name not in wanted and not marks:
            ignored[name] = None
            continue
        try:
            with archive.open(member) as file:
                (ignored if marks else arrays)[name] = _array(file, member.file_size)
        except ValueError as error:
            problems.append(f"{name!r:.60}: {error}")
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise SourceError(f"{path} holds arrays that cannot be read:\n{listed}")
    return arrays, ignored


def _array(file: IO[bytes], size: int) -> np.ndarray:
    """Read one ``.npy`` member of ``size`` bytes; its header must announce exactly the bytes that follow."""
    start = file.read(_HEADER_BYTES)
    shape, fortran, dtype, offset = _array_header(start)
    if dtype.hasobject:
        raise ValueError("found Python objects, expected numbers or text; reading them could run foreign code")
    announced = dtype.itemsize
    for edge in shape:  # as Python's own integers, which do not overflow
        announced *= edge
    if announced != size - offset or min(shape, default=0) < 0:
        raise ValueError(f"its header announces {announced:,} bytes, found {size - offset:,}")
    content = np.empty(size - offset, dtype=np.uint8)
    filled = min(len(start) - offset, len(content))
    content[:filled] = np.frombuffer(start, np.uint8)[offset : offset + filled]
    while filled < len(content) and (got := file.readinto(content.data[filled:])):  # type: ignore[attr-defined]
        filled += got
    if filled < len(content):
        raise ValueError(f"cut short: found {filled:,} bytes of {len(content):,}")
    if not content.size:
        return np.zeros(shape, dtype)
    return content.view(dtype).reshape(shape, order="F" if fortran else "C")


def _array_header(start: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return shape, order, type and the place of the first value."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    buffer = io.BytesIO(start)
    try:
        version = np.lib.format.read_magic(buffer)
        shape, fortran, dtype = readers[version](buffer)
    except Exception as error:  # numpy parses the header as Python, which fails in many ways
        raise ValueError("its header is damaged or of another version, expected .npy 1.0 or 2.0") from error
    return shape, fortran, dtype, buffer.tell()


# === The contract ===


def _problems(arrays: Arrays) -> Iterator[str]:
    given = {part for part in PARTS if f"{part}_images" in arrays or f"{part}_labels" in arrays}
    expected = [part for part in PARTS if part != OPTIONAL_PART or part in given]
    for part in expected:
        images, labels = arrays.get(f"{part}_images"), arrays.get(f"{part}_labels")
        yield from (f"{part}_{kind} is missing" for kind in ("images", "labels") if f"{part}_{kind}" not in arrays)
        yield from [] if images is None else _wrong_images(part, images)
        yield from [] if labels is None else _wrong_labels(part, labels)
        if images is not None and labels is not None and images.shape[:1] != labels.shape[:1]:
            yield f"{part}_images and {part}_labels differ in length: {images.shape[:1]} and {labels.shape[:1]}"
    shapes = {arrays[f"{part}_images"].shape[1:] for part in expected if f"{part}_images" in arrays}
    if len(shapes) > 1:
        yield f"images differ in shape between the splits: {sorted(shapes)}"
    widths = {_width(arrays[f"{part}_labels"]) for part in expected if f"{part}_labels" in arrays}
    if len(widths) > 1:
        yield f"labels differ in width between the splits: {sorted(widths)}"
    yield from _wrong_names(arrays, max(widths, default=1))


def _width(labels: np.ndarray) -> int:
    return labels.shape[1] if labels.ndim == 2 else 1


def _wrong_images(part: str, images: np.ndarray) -> Iterator[str]:
    fits = images.dtype == np.uint8 and (images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3)))
    if not fits:
        yield (
            f"{part}_images: found {images.dtype} {images.shape}, expected uint8 (image, height, width) or (image, "
            "height, width, 1 or 3)"
        )
    elif not len(images) or min(images.shape[1:3]) < MIN_EDGE or images.shape[1] * images.shape[2] > MAX_PIXELS:
        yield f"{part}_images: found {images.shape}, expected at least one image, with edges from {MIN_EDGE} pixels"


def _wrong_labels(part: str, labels: np.ndarray) -> Iterator[str]:
    if labels.dtype.kind not in "iub" or labels.ndim not in (1, 2) or 0 in labels.shape[1:]:
        yield (
            f"{part}_labels: found {labels.dtype} {labels.shape}, expected whole numbers (image,), (image, 1) or, of 0 "
            "and 1, (image, label)"
        )
    elif labels.size and labels.min() < 0:
        yield f"{part}_labels: found {labels.min()}, expected no number below 0"
    elif labels.size and _width(labels) > 1 and labels.max() > 1:
        yield f"{part}_labels: found {labels.max()}, expected 0 and 1 where there are {_width(labels)} labels an image"


def _wrong_names(arrays: Arrays, width: int) -> Iterator[str]:
    if width > MAX_CLASSES:
        yield f"found {width:,} labels an image, expected at most {MAX_CLASSES:,}"
    names = arrays.get("class_names")
    if names is None:
        return
    if names.dtype.kind not in "US" or names.ndim != 1 or not 1 <= len(names) <= MAX_CLASSES:
        yield f"class_names: found {names.dtype} {names.shape}, expected a list of 1 to {MAX_CLASSES} names"
        return
    read = _names(names)
    wrong = [name for name in read if not name or len(name) > LONGEST_NAME or not name.isprintable()]
    if wrong or len(set(read)) != len(read):
        yield f"class_names: found {named(list(read))}, expected different, printable names"
    if width > 1 and len(read) != width:
        yield f"class_names: found {len(read)} names, but {width} labels an image"
    for part in PARTS if width == 1 else ():
        labels = arrays.get(f"{part}_labels")
        if labels is not None and labels.dtype.kind in "iub" and labels.size and labels.max() >= len(read):
            yield f"{part}_labels: found {labels.max()}, but class_names has the {len(read)} names 0 to {len(read) - 1}"


def _names(names: np.ndarray) -> tuple[str, ...]:
    decoded = (
        names.astype(f"U{LONGEST_NAME + 1}") if names.dtype.kind == "U" else np.char.decode(names, "utf-8", "replace")
    )
    return tuple(str(name).strip() for name in decoded)


# === The set ===


def _labels(arrays: Arrays, parts: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return labels as in ``Scans``, and the class names.

    Raises:
        ContractError: there are too many classes, or one stands in validation or test only.
    """
    joined = np.concatenate([arrays[f"{part}_labels"].reshape(len(arrays[f"{part}_labels"]), -1) for part in parts])
    names = _names(arrays["class_names"]) if "class_names" in arrays else ()
    if joined.shape[1] > 1:
        return joined.astype(np.uint8), names or tuple(map(str, range(joined.shape[1])))
    known, codes = np.unique(joined[:, 0].astype(np.int64), return_inverse=True)
    unseen = np.setdiff1d(known, arrays[f"{parts[0]}_labels"].astype(np.int64)).tolist()
    if unseen or len(known) > MAX_CLASSES:
        shown = named([names[code] if names else str(code) for code in unseen])
        raise ContractError(
            f"The labels {shown} stand in val or test but not in train. Expected every class in train."
            if unseen
            else f"Found {len(known):,} different labels. Expected at most {MAX_CLASSES:,} classes."
        )
    if names:
        return joined[:, 0].astype(np.int64), names
    return codes.reshape(-1).astype(np.int64), tuple(map(str, known.tolist()))


def _images(arrays: Arrays, parts: list[str], settings: DataSettings) -> tuple[np.ndarray, bool]:
    """Return uint8 (image, size, size, channel), and whether the archive's own images are oblong."""
    pieces = [arrays[f"{part}_images"] for part in parts]
    height, width = pieces[0].shape[1:3]
    size = settings.size or min(height, width, MAX_AUTO_SIZE)
    channels = _channels(pieces, settings)
    fit = settings.fit if settings.fit != "auto" else "pad"
    images = np.empty((sum(map(len, pieces)), size, size, channels), dtype=np.uint8)
    place = 0
    for piece in pieces:
        for frame in piece:
            images[place] = to_canvas(frame, size=size, channels=channels, fit=fit)
            place += 1
    return images, height != width


def _channels(pieces: list[np.ndarray], settings: DataSettings) -> int:
    if settings.colour != "auto":
        return 3 if settings.colour == "rgb" else 1
    coloured = any(piece.shape[3:] == (3,) and bool(np.any(piece != piece[..., :1])) for piece in pieces)
    return 3 if coloured else 1


def _notes(ignored: Mapping[str, Any], arrays: Arrays, parts: list[str]) -> Iterator[str]:
    if ignored:
        plural = "s" if len(ignored) > 1 else ""
        yield f"{len(ignored)} further array{plural} left out: {named([name[:60] for name in sorted(ignored)])}"
    for name, marks in sorted(ignored.items()):
        if marks is not None and marks.dtype == bool and marks.any():
            yield f"the set itself marks {int(marks.sum()):,} of {marks.size:,} images in {name[:60]!r}; they are kept"
    if OPTIONAL_PART not in parts:
        yield "the set has no validation images of its own"
    if "class_names" not in arrays:
        yield "the set does not name its classes; their codes stand for names"
