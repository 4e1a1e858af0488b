"""A compressed frame tells its size before it is decoded."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit.domains.healthcare_imaging.codestreams import check_codestreams, size_in
from edgekit.shared.errors import SourceError

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 50)).astype(np.uint8))


def jpeg(**options: Any) -> bytes:
    buffer = io.BytesIO()
    NOISE.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def jpeg_2000(width: int, height: int) -> bytes:
    return b"\xff\x4f\xff\x51" + struct.pack(">2H4I", 41, 0, width, height, 0, 0) + bytes(40)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": b"x" * 300}])
def test_jpeg_tells_its_size(options: dict[str, Any]) -> None:
    assert size_in(jpeg(**options)) == (50, 30)


def test_jpeg_2000_and_jpeg_ls_tell_their_size() -> None:
    assert size_in(jpeg_2000(60_000, 7)) == (60_000, 7)
    assert size_in(b"\xff\xd8\xff\xf7" + struct.pack(">HBHH", 11, 8, 30, 50) + bytes(9)) == (50, 30)


@pytest.mark.parametrize("stream", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"RLE" * 30, jpeg()[:20]])
def test_what_tells_nothing_gives_nothing(stream: bytes) -> None:
    assert size_in(stream) is None


def announced(frames: list[bytes], **changes: Any) -> Any:
    encaps = pytest.importorskip("pydicom.encaps", reason="pydicom (extra medical) is not installed")
    values = {"Rows": 30, "Columns": 50, "NumberOfFrames": len(frames), **changes}
    return type("Header", (SimpleNamespace,), {"get": lambda self, name: getattr(self, name, None)})(
        PixelData=encaps.encapsulate(frames), **values
    )


def test_frames_of_the_announced_size_pass() -> None:
    check_codestreams(Path("scan.dcm"), announced([jpeg(), jpeg()]))


@pytest.mark.parametrize("frame", [jpeg_2000(60_000, 60_000), jpeg_2000(30, 50)])
def test_a_frame_of_another_size_is_refused_before_it_is_decoded(frame: bytes) -> None:
    with pytest.raises(SourceError, match="scan.dcm: frame 2 is compressed from"):
        check_codestreams(Path("scan.dcm"), announced([jpeg(), frame]))
