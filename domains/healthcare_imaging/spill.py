"""Images on disk, not in memory: written to a temporary file, then mapped; a set may be larger than memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

import numpy as np

from ...shared.errors import SourceError


def opened() -> IO[bytes]:
    """Open a file that is gone once nothing maps it any more.

    Raises:
        SourceError: no folder for temporary files can be written.
    """
    with _told():  # without a buffer, which would hold what a full disk refused until the file is closed
        return cast(IO[bytes], tempfile.TemporaryFile(buffering=0))


def append(file: IO[bytes], images: np.ndarray) -> None:
    """Write images of 8 bits behind those that are there.

    Raises:
        SourceError: the disk is full; names the folder and how to choose another.
    """
    rest = np.ascontiguousarray(images).reshape(-1).data
    with _told():
        while len(rest):
            rest = rest[file.write(rest) :]


def mapped(file: IO[bytes], shape: tuple[int, ...]) -> np.memmap:
    """Return what was written as uint8 of ``shape``, read-only; the map keeps it after the file is closed."""
    return np.memmap(file, dtype=np.uint8, mode="r", shape=shape)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"The decoded images cannot be written to {tempfile.tempdir or 'a temporary folder'}: {error.strerror}. "
            "Free space there, name another folder with the environment variable TMPDIR, or choose a smaller data.size."
        ) from error
