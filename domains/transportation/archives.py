"""Readings in one ``.npz`` file, laid out as PEMS04 and PEMS08: an array ``data`` (step, sensor, feature).

Nothing in the file is trusted: the array's header is held against the bytes it stands for before room is made for it,
and pickled objects are refused.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...shared.errors import ContractError, SourceError, nearest
from ...shared.files import sha256
from .number_text import MAX_CELLS
from .wide import MAX_SENSORS, Rows

ARRAY = "data"
MAX_FEATURES = 100
_DAMAGED = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError, ValueError)
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_archive(path: Path, *, feature: int = 0) -> Rows:
    """Read the array ``data`` (step, sensor, feature), or (step, sensor), of a ``.npz`` file.

    Sensors are called by their place: ``0``, ``1``, …, as the lists of distances beside these files call them.

    Args:
        path: the file.
        feature: which number of each reading.

    Raises:
        SourceError: the file is no such archive, or damaged.
        ContractError: the array is missing, has another shape or kind, or is too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [member.filename.removesuffix(".npy") for member in archive.infolist()]
            if ARRAY not in names:
                held = ", ".join(names[:10]) or "nothing"
                raise ContractError(
                    f"{path} holds no array {ARRAY!r}.{nearest(ARRAY, names)} It holds: {held}. Expected {ARRAY!r} of "
                    "(step, sensor, feature), as in PEMS04.npz."
                )
            member = archive.infolist()[names.index(ARRAY)]
            with archive.open(member) as file:
                values, features = _read(path, file, member.file_size, feature)
    except ContractError:
        raise
    except _DAMAGED as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"{path} cannot be read as .npz: {reason}. Copy or export it again.") from error
    notes = [f"read as an array of {len(values):,} steps, {values.shape[1]:,} sensors and {features} features"]
    if features > 1:
        notes.append(f"feature {feature} of 0 to {features - 1} is read (data.feature)")
    left = [name for name in names if name != ARRAY]
    if left:
        notes.append(f"further arrays are left out: {', '.join(map(repr, left[:10]))}")
    return Rows(values, tuple(map(str, range(values.shape[1]))), None, str(path), sha256(path), tuple(notes))


def _read(path: Path, file: IO[bytes], size: int, feature: int) -> tuple[np.ndarray, int]:
    """Return float32 (step, sensor) of one feature, and the number of features."""
    reader = _HEADERS.get(np.lib.format.read_magic(file))
    if reader is None:
        raise ValueError("its array is in another version of .npy, expected 1.0 or 2.0")
    shape, fortran, dtype = reader(file)
    _require_fitting(path, shape, dtype, feature)
    expected = dtype.itemsize * int(np.prod(shape, dtype=np.float64))
    if expected > size:
        raise ValueError(f"its header announces {expected:,} bytes, found {size:,}")
    content = file.read(expected)
    if len(content) < expected:
        raise ValueError(f"cut short: found {len(content):,} bytes of {expected:,}")
    array = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
    chosen = array if array.ndim == 2 else array[:, :, feature]
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(chosen, dtype=np.float32), (1 if array.ndim == 2 else shape[2])


def _require_fitting(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], feature: int) -> None:
    if dtype.kind not in "iuf":
        kind = "Python objects, which could run foreign code" if dtype.hasobject else f"the type {dtype}"
        raise ContractError(f"{path}: {ARRAY!r} holds {kind}. Expected numbers.")
    if (
        len(shape) not in (2, 3)
        or min(shape, default=0) < 1
        or shape[1] > MAX_SENSORS
        or max(shape[2:], default=1) > 100
    ):
        raise ContractError(
            f"{path}: {ARRAY!r} has the shape {shape}. Expected (step, sensor, feature) with at most {MAX_SENSORS:,} "
            f"sensors and {MAX_FEATURES} features, or (step, sensor)."
        )
    if int(np.prod(shape, dtype=np.float64)) > MAX_CELLS:
        raise ContractError(
            f"{path}: {ARRAY!r} has the shape {shape}, more than {MAX_CELLS:,} numbers. Split it in time."
        )
    features = shape[2] if len(shape) == 3 else 1
    if feature >= features:
        raise ContractError(
            f"{path}: data.feature is {feature}, but {ARRAY!r} has the {features} features 0 to {features - 1}."
        )
