"""The size of a compressed frame as its own first bytes tell it.

A decoder makes room for what the compressed frame announces, not for what the DICOM header says; so both must agree
before anything is decoded.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from ...shared.errors import SourceError, require

JPEG = b"\xff\xd8"
JPEG_2000 = b"\xff\x4f\xff\x51"
_FRAME_MARKERS = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}  # 0xF7 is JPEG-LS
_LOOK = 2**16  # bytes; the size stands near the beginning


def check_codestreams(path: Path, dataset: Any) -> None:
    """Refuse a DICOM image whose compressed frames have another size than its header says.

    Raises:
        SourceError: a frame announces other rows or columns, or there are fewer frames than announced.
    """
    encapsulated = require("pydicom.encaps", extra="medical")
    announced = int(dataset.get("NumberOfFrames") or 1)
    expected = (int(dataset.Columns), int(dataset.Rows))
    count = 0
    for stream in encapsulated.generate_frames(dataset.PixelData, number_of_frames=announced):
        found = size_in(stream[:_LOOK])
        if found not in (None, expected):
            raise SourceError(
                f"{path}: frame {count + 1} is compressed from {found} pixels (columns, rows), the header says "
                f"{expected}. Copy or export it again."
            )
        count += 1
    if count < announced:
        raise SourceError(f"{path}: found {count:,} compressed frames of {announced:,}. Copy or export it again.")


def size_in(stream: bytes) -> tuple[int, int] | None:
    """Return (width, height) as a JPEG, JPEG-LS or JPEG 2000 stream announces them, or ``None`` if it does not."""
    start = stream.find(JPEG_2000)
    if start >= 0 and not stream.startswith(JPEG) and len(stream) >= start + 24:
        right, bottom, left, top = struct.unpack(">4I", stream[start + 8 : start + 24])
        return right - left, bottom - top
    return _size_of_jpeg(stream) if stream.startswith(JPEG) else None


def _size_of_jpeg(stream: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(stream) and stream[place] == 0xFF:
        marker = stream[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        if marker in _FRAME_MARKERS:
            height, width = struct.unpack(">HH", stream[place + 5 : place + 9])
            return (width, height) if height else None  # 0: told at the end of the scan
        (length,) = struct.unpack(">H", stream[place + 2 : place + 4])
        place += 2 + length
    return None
