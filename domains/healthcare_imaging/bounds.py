"""How large an image may be: a file is held to these before a pixel of it is decoded."""

from __future__ import annotations

import gzip
import tempfile
import zlib
from pathlib import Path
from typing import IO

from ...shared.errors import SourceError

MIN_EDGE = 8  # pixels; a smaller picture is an icon, not a scan
MAX_PIXELS = 100_000_000  # in one frame; the largest mammograms and slides cut to one picture stay below
MAX_FRAMES = 4096  # pages, slices or moments in one file
MAX_TOTAL_PIXELS = 400_000_000  # in all frames of a file: a volume of 1500 slices of 512 by 512
MAX_UNPACKED = 2**30  # bytes that a gzip file may unpack to
GZIP = b"\x1f\x8b"
_BLOCK = 2**20


def check_size(path: Path, *, width: int, height: int, frames: int = 1) -> None:
    """Refuse images too small to show anything or too large to hold in memory.

    Raises:
        SourceError: an edge, the area, the number of frames or the sum of all frames is out of range.
    """
    found = f"{path}: found {width:,} × {height:,} pixels" + (f" in {frames:,} frames" if frames != 1 else "")
    if min(width, height) < MIN_EDGE:
        raise SourceError(f"{found}. Expected edges of at least {MIN_EDGE} pixels.")
    if width * height > MAX_PIXELS:
        raise SourceError(f"{found}. Expected at most {MAX_PIXELS:,} pixels; cut or shrink the image.")
    if not 1 <= frames <= MAX_FRAMES:
        raise SourceError(f"{found}. Expected from 1 to {MAX_FRAMES:,} frames; split the file.")
    if width * height * frames > MAX_TOTAL_PIXELS:
        raise SourceError(f"{found}. Expected at most {MAX_TOTAL_PIXELS:,} pixels in all frames; split the file.")


def opened(path: Path) -> IO[bytes]:
    """Open a file for reading; one packed with gzip is unpacked into a temporary file first.

    Raises:
        SourceError: the gzip stream is damaged or unpacks to more than ``MAX_UNPACKED`` bytes.
    """
    file = path.open("rb")
    if file.read(2) != GZIP:
        file.seek(0)
        return file
    file.close()
    plain = tempfile.TemporaryFile()  # noqa: SIM115 - handed to the caller open
    try:
        _unpack(path, plain)
    except BaseException:
        plain.close()
        raise
    plain.seek(0)
    return plain


def _unpack(path: Path, plain: IO[bytes]) -> None:
    size = 0
    try:
        with gzip.open(path) as packed:
            while block := packed.read(_BLOCK):
                size += len(block)
                if size > MAX_UNPACKED:
                    raise SourceError(
                        f"{path}: unpacks to more than {MAX_UNPACKED:,} bytes. Expected a smaller file; unpack it and "
                        "look at what it holds."
                    )
                plain.write(block)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path}: damaged gzip file ({error}). Copy it again.") from error
