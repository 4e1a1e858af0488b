"""What reading a set of medical images gives: labelled square images with what is known beside them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class Scan:
    """One file, decoded.

    Attributes:
        frames: uint8 (frame, height, width) grey or (frame, height, width, 3) RGB; dark is 0.
        patient: a pseudonym for the patient if the file names one; never the name or number itself.
    """

    frames: np.ndarray
    patient: str | None = None


@dataclass(frozen=True, eq=False)
class Scans:
    """A set of labelled images, one row an image.

    Attributes:
        images: uint8 (image, size, size, channel), channel 1 (grey) or 3 (RGB); memory-mapped where it came from
            files, so that a set larger than memory works.
        labels: int64 (image,) class codes, or uint8 (image, class) of 0 and 1 where an image can have several labels.
        classes: class names in the order of the codes.
        source, fingerprint, notes: where the images come from, and what was assumed; no patient data.
        patient: int64 (image,) pseudonymous codes, or ``None`` where nothing says whose image it is.
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

    def __len__(self) -> int:
        return len(self.images)

    @property
    def multi_label(self) -> bool:
        """Whether an image can have several labels, or none."""
        return self.labels.ndim == 2
