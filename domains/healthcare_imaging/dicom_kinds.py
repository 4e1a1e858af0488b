"""Which DICOM objects are no images, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...shared.errors import SourceError, require

# part of the SOP class's name to what it holds; the first that fits counts
CLASSES = (
    (" SR", "a structured report"),
    ("RT Dose", "a radiation dose grid"),
    ("RT Structure Set", "outlines for radiotherapy"),
    ("RT ", "a radiotherapy plan or record"),
    ("Segmentation", "a segmentation, which marks regions of another image"),
    ("Waveform", "a waveform"),
    ("ECG", "a waveform"),
    ("Encapsulated", "an encapsulated document"),
    ("Key Object Selection", "a list of key images"),
    ("Presentation State", "a presentation state, which says how another image is shown"),
    ("Media Storage Directory", "a directory of other files (DICOMDIR)"),
    ("Registration", "a registration of other images"),
    ("Raw Data", "raw data of a scanner"),
)
MODALITIES = {
    "SR": "a structured report",
    "RTDOSE": "a radiation dose grid",
    "RTSTRUCT": "outlines for radiotherapy",
    "RTPLAN": "a radiotherapy plan or record",
    "SEG": "a segmentation, which marks regions of another image",
    "ECG": "a waveform",
    "HD": "a waveform",
    "DOC": "an encapsulated document",
    "KO": "a list of key images",
    "PR": "a presentation state, which says how another image is shown",
    "REG": "a registration of other images",
}
_IMAGES = ("RT Image",)  # a portal image is an image, whatever the rest of its name says


def refuse_non_images(path: Path, header: Any) -> None:
    """Refuse what is no image, also where it comes as a grid of pixels: a dose is not what a scanner saw.

    Raises:
        SourceError: the SOP class, or else the modality, is not one of images.
    """
    name = _class_name(header)
    modality = str(header.get("Modality", ""))
    held = MODALITIES.get(modality, "")
    if name:
        held = "" if any(part in name for part in _IMAGES) else _held(name)
    if held:
        shown = name or f"modality {modality}"  # a known one, so it is no text of the file's own
        raise SourceError(f"{path}: not an image but {held} ({shown}). Expected a DICOM image; leave this file out.")


def _class_name(header: Any) -> str:
    known = require("pydicom.uid", extra="medical").UID
    uid = known(str(header.get("SOPClassUID") or ""))
    if not uid and header.file_meta.get("MediaStorageSOPClassUID"):
        uid = known(str(header.file_meta.MediaStorageSOPClassUID))
    return "" if uid.name == uid else str(uid.name)


def _held(name: str) -> str:
    return next((held for part, held in CLASSES if part in name), "")
