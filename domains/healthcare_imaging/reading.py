"""Any image file to a scan; its first bytes say what it is, never its name."""

from __future__ import annotations

import gzip
import stat
import zlib
from pathlib import Path

from ...shared.errors import SourceError, nearest
from .bounds import GZIP
from .dicom import MAGIC, MAGIC_AT, read_dicom
from .nifti import nifti_version, read_nifti
from .pictures import read_picture
from .scans import Scan

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")
IMAGE_SUFFIXES = (*PICTURE_SUFFIXES, ".dcm", ".dicom", ".dcm.gz", ".nii", ".nii.gz")
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_GROUPS = (b"\x02\0", b"\x08\0", b"\0\x02", b"\0\x08")  # of the first element in a DICOM file without preamble
_OTHERS = (
    (b"PK\x03\x04", "a zip archive"),
    (b"%PDF", "a PDF document"),
    (b"\x93NUMPY", "a numpy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"<", "a web page or XML"),
)
_ANALYZE = (348).to_bytes(4, "little"), (348).to_bytes(4, "big")
_START = 560  # bytes; the longest header that tells a kind ends before


def read_scan(path: Path, *, axis: int = 2) -> Scan:
    """Read a picture, a DICOM or a NIfTI file.

    Args:
        path: the file; DICOM and NIfTI may be packed with gzip.
        axis: along which axis a volume is cut: 0 sagittal, 1 coronal, 2 axial.

    Raises:
        SourceError: there is no such file, it is of another kind, damaged, too small or too large.
        MissingExtraError: DICOM or NIfTI without the ``medical`` extra.
    """
    start, packed = _start(path)
    if start[MAGIC_AT : MAGIC_AT + 4] == MAGIC:
        return read_dicom(path)
    if nifti_version(start) or start[:4] in _ANALYZE:
        return read_nifti(path, axis=axis)
    if _is_picture(start):
        if packed:
            raise SourceError(f"{path}: a picture packed with gzip. Unpack it.")
        return read_picture(path)
    if start[:2] in _GROUPS:
        return read_dicom(path)
    held = next((kind for magic, kind in _OTHERS if start.startswith(magic)), "a file of an unknown kind")
    raise SourceError(f"{path}: found {held}. Expected an image: {', '.join(IMAGE_SUFFIXES)}.")


def is_image(path: Path) -> bool:
    """Tell by its name whether a file is an image; one without an ending is if it says so itself, as DICOM does."""
    name = path.name.lower()
    if name.endswith(IMAGE_SUFFIXES):
        return True
    if path.suffix and not path.suffix[1:].isdigit():  # exports number their files 1.2.840.10008
        return False
    try:
        with path.open("rb") as file:
            return file.read(MAGIC_AT + 4)[MAGIC_AT:] == MAGIC
    except OSError:
        return False


def _is_picture(start: bytes) -> bool:
    return start.startswith(_PICTURES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


def _start(path: Path) -> tuple[bytes, bool]:
    """Return the first bytes, unpacked, and whether they were packed."""
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise SourceError(f"{path} is a folder. Expected an image file; name one inside it.")
        if not stat.S_ISREG(found.st_mode):
            raise SourceError(f"{path} is not a regular file. Expected an image file.")
        with path.open("rb") as file:
            start = file.read(_START)
        packed = start.startswith(GZIP)
        if packed:
            with gzip.open(path) as unpacked:
                start = unpacked.read(_START)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceError(f"No file at {path}.{_beside(path)} Check the path.") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(f"{path}: damaged gzip file ({error}). Copy it again.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"{path} cannot be read: {reason}. Check the path and its permissions.") from error
    if not start:
        raise SourceError(f"{path} is empty (0 bytes). Expected an image.")
    return start, packed


def _beside(path: Path) -> str:
    try:
        return nearest(path.name, (item.name for item in path.parent.iterdir()))
    except OSError:
        return ""
