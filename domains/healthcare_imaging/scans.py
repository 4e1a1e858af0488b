"""What reading a set of medical images gives: labelled square images with what is known beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .duplicates import Copies


@dataclass(frozen=True, eq=False)
class Scan:
    """One file, decoded.

    Attributes:
        frames: uint8 (frame, height, width) grey or (frame, height, width, 3) RGB; dark is 0.
        patient: a pseudonym for the patient if the file names one; never the name or number itself.
        numbers: of the frames, counted from 0 in the file, where some were left out; else empty.
        study: whether ``patient`` stands for the study, since the file names no patient.
    """

    frames: np.ndarray
    patient: str | None = None
    numbers: tuple[int, ...] = ()
    study: bool = False


@dataclass(frozen=True, eq=False)
class Scans:
    """A set of labelled images, one row an image.

    Attributes:
        images: uint8 (image, size, size, channel), channel 1 (grey) or 3 (RGB); memory-mapped where it came from
            files, so that a set larger than memory works.
        labels: int64 (image,) class codes, or uint8 (image, class) of 0 and 1 where an image can have several labels.
        classes: class names in the order of the codes.
        source, fingerprint, notes: where the images come from, and what was assumed; no patient data.
        patient: int64 (image,) pseudonymous codes, or ``None`` where nothing says whose image any of them is; a file
            that names nobody among others that do has a code of its own.
        file: int64 (image,) place of the image's file in the manifest or folder, from 0, or ``None`` without files.
        split: int8 (image,) 0 train, 1 validation, 2 test, as the set itself divides them, or ``None``.
        groups: sex, age band, site, …: name to (image,) text, for figures per subgroup.
        cropped: whether the set's maker cut the middle square out of oblong images.
        lesions: bool (image, size, size) where lesions were planted (synthetic sets only).
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    source: str
    fingerprint: str
    notes: tuple[str, ...] = ()
    patient: np.ndarray | None = None
    split: np.ndarray | None = None
    groups: dict[str, np.ndarray] = field(default_factory=dict)
    cropped: bool = False
    lesions: np.ndarray | None = None
    file: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def multi_label(self) -> bool:
        """Whether an image can have several labels, or none."""
        return self.labels.ndim == 2

    @cached_property
    def copies(self) -> Copies:
        """Which images are copies of each other; looked for once. Of patients or volumes, blank ones are nobody's."""
        from . import duplicates  # needs scipy, which no device has

        found = duplicates.find_copies(self.images)
        volumes = self.file is not None and len(np.unique(self.file)) < len(self.file)
        return found.blanks_apart() if volumes or self.patient is not None else found

    @cached_property
    def unit(self) -> np.ndarray:
        """int64 (image,) equal for images that depend on each other: of one patient, of one file, copies and so on."""
        from . import duplicates

        return duplicates.joined(*(codes for codes in (self.copies.near, self.patient, self.file) if codes is not None))
