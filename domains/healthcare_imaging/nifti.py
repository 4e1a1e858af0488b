"""NIfTI volumes to grey (or RGB) slices of 8 bits, upright as radiologists see them.

The volume is turned to right-anterior-superior order by its own affine. A slice then shows the patient's right, or for
sagittal slices the front, on the left, with the front (axial) or the head (coronal, sagittal) at the top, as DICOM
images do. Of a series of volumes the first is read: the one without diffusion weighting, or the first moment. Pixels
keep the volume's grid: where voxels are not cubes, slices look squeezed.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from ...shared.errors import SourceError, require
from .bounds import GZIP, MAX_UNPACKED, check_size
from .scaling import percentiles, to_bytes
from .scans import Scan

HEADER_BYTES = {348: 1, 540: 2}  # size of the header to the version of the format
MAX_OFFSET = 2**24  # bytes of header and extensions before the voxels
PLANES = ("sagittal", "coronal", "axial")
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
_MAGIC = {1: (344, b"n+1\0", b"ni1\0"), 2: (4, b"n+2\0", b"ni2\0")}


def nifti_version(start: bytes) -> int:
    """Return 1 or 2 for the first bytes of a NIfTI file, 0 for anything else."""
    for order in ("little", "big"):
        version = HEADER_BYTES.get(int.from_bytes(start[:4], cast(Any, order)), 0)
        if version:
            place, *magics = _MAGIC[version]
            return version if start[place : place + 4] in magics else 0
    return 0


def read_nifti(path: Path, *, axis: int) -> Scan:
    """Read the slices of a ``.nii`` or ``.nii.gz`` file along ``axis``: 0 sagittal, 1 coronal, 2 axial.

    Intensities are scaled by the percentiles of the whole volume. Slices that show nothing are left out; the scan's
    ``numbers`` then tell which are there, counted from the patient's left, back or feet.

    Raises:
        SourceError: the file is no volume of numbers, damaged, cut short or too large; says which.
        MissingExtraError: nibabel is not installed.
    """
    try:
        with _stream(path) as file:
            header = _header(path, file)
            values = _first_volume(path, file, header)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path}: cannot be read or is damaged ({error}). Copy it again.") from error
    upright = _slices(_oriented(path, values, header), axis)
    check_size(path, width=upright.shape[2], height=upright.shape[1], frames=len(upright))
    frames = _eight_bits(upright)
    shown = frames.reshape(len(frames), -1)
    kept = np.flatnonzero(shown.min(axis=1) != shown.max(axis=1))
    if not len(kept):
        raise SourceError(f"{path}: every {PLANES[axis]} slice is empty. Expected a volume that shows something.")
    if len(kept) == len(frames):
        return Scan(frames)
    return Scan(frames[kept], numbers=tuple(kept.tolist()))


def _stream(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return cast(IO[bytes], gzip.open(path, "rb")) if packed else path.open("rb")


def _header(path: Path, file: IO[bytes]) -> Any:
    """Return the header, once it announces a volume of allowed size and kind."""
    nibabel = require("nibabel", extra="medical")
    start = file.read(max(HEADER_BYTES))
    version = nifti_version(start)
    if not version:
        raise SourceError(
            f"{path}: not a NIfTI file (ANALYZE 7.5 is not read). Expected NIfTI-1 or NIfTI-2; convert it."
        )
    place, single, _ = _MAGIC[version]
    if start[place : place + 4] != single:
        raise SourceError(
            f"{path}: only one of a pair of .hdr and .img. Expected a single .nii file; convert the pair."
        )
    size = next(size for size, known in HEADER_BYTES.items() if known == version)
    kind = nibabel.Nifti1Header if version == 1 else nibabel.Nifti2Header
    try:
        header = kind(start[:size], check=False)
        shape, dtype = tuple(map(int, header.get_data_shape())), header.get_data_dtype()
    except Exception as error:  # a damaged header fails in every way there is
        raise SourceError(f"{path}: damaged NIfTI header ({type(error).__name__}). Copy it again.") from error
    _check_kind(path, shape, dtype)
    return header


def _check_kind(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype.newbyteorder("=") != RGB and (dtype.kind not in "iufb" or dtype.itemsize > 8):
        name = "complex numbers" if dtype.kind == "c" else f"values of the type {dtype.name}"
        raise SourceError(f"{path}: holds {name}. Expected a volume of real numbers or RGB; save its magnitude.")
    if len(shape) < 2 or min(shape) < 1:
        raise SourceError(f"{path}: found the shape {shape}. Expected a volume of 3 dimensions.")
    width, height, depth = (*shape[:3], 1)[:3]
    longest = sorted((width, height, depth))
    # the axis is not known here, so the two longest edges stand for the slice
    check_size(path, width=longest[2], height=longest[1], frames=longest[0])


def _first_volume(path: Path, file: IO[bytes], header: Any) -> np.ndarray:
    """Return (x, y, z) values as stored, rescaled if the header says so."""
    shape = (*map(int, header.get_data_shape()[:3]), 1)[:3]
    dtype = header.get_data_dtype()
    offset = float(header["vox_offset"])
    least = int(header["sizeof_hdr"]) + 4
    if not 0 <= offset <= MAX_OFFSET:
        raise SourceError(f"{path}: its voxels are said to start at byte {offset:g}. Expected a place near the header.")
    file.seek(max(int(offset), least))
    size = int(np.prod(shape)) * dtype.itemsize
    if size > MAX_UNPACKED:
        raise SourceError(f"{path}: its first volume has {size:,} bytes. Expected at most {MAX_UNPACKED:,}.")
    content = bytearray()  # grows with what is there, not with what the header announces
    while len(content) < size and (block := file.read(min(2**20, size - len(content)))):
        content += block
    if len(content) < size:
        raise SourceError(f"{path}: cut short: found {len(content):,} bytes of {size:,}. Copy it again.")
    values = np.frombuffer(content, dtype=dtype).reshape(shape, order="F")
    if dtype.names:
        return np.stack([values[name] for name in dtype.names], axis=-1)
    return _rescaled(path, values, header)


def _rescaled(path: Path, values: np.ndarray, header: Any) -> np.ndarray:
    try:
        slope, _ = header.get_slope_inter()
    except Exception as error:
        raise SourceError(f"{path}: its scale factors are no numbers. Export it again.") from error
    # the percentiles undo every other factor and offset, so that only the sign matters
    return -values.astype(np.float32) if slope is not None and slope < 0 else values


def _oriented(path: Path, values: np.ndarray, header: Any) -> np.ndarray:
    orientations = require("nibabel.orientations", extra="medical")
    try:
        order = orientations.io_orientation(header.get_best_affine())
        if np.isnan(order).any():
            raise ValueError("an axis has no direction")
        return np.asarray(orientations.apply_orientation(values, order))
    except Exception as error:  # LinAlgError, ValueError, HeaderDataError
        raise SourceError(
            f"{path}: its orientation cannot be told ({type(error).__name__}). Export it again."
        ) from error


def _slices(volume: np.ndarray, axis: int) -> np.ndarray:
    """Return (slice, height, width[, 3]) of a right-anterior-superior volume."""
    slices = np.moveaxis(volume, axis, 0)
    # now (slice, first, second): both run from left to right or from back to front, and upwards
    return np.swapaxes(slices, 1, 2)[:, ::-1, ::-1]


def _eight_bits(slices: np.ndarray) -> np.ndarray:
    if slices.ndim == 4:
        return np.ascontiguousarray(slices)
    return to_bytes(np.ascontiguousarray(slices), *percentiles(slices))
