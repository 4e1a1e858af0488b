"""Sizes are held to limits before anything is decoded, and gzip is unpacked up to a limit."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from edgekit.domains.healthcare_imaging import bounds
from edgekit.domains.healthcare_imaging.bounds import check_size, opened
from edgekit.shared.errors import SourceError

HERE = Path("scan.png")


@pytest.mark.parametrize(
    ("width", "height", "frames", "said"),
    [
        (1, 1, 1, "1 × 1 pixels. Expected edges of at least 8"),
        (7, 5000, 1, "at least 8"),
        (10_001, 10_000, 1, "10,001 × 10,000 pixels. Expected at most 100,000,000"),
        (2**31, 2**31, 1, "at most 100,000,000"),
        (8, 8, 4097, "4,097 frames. Expected from 1 to 4,096"),
        (8, 8, 0, "0 frames"),
        (8, 8, -1, "-1 frames"),
        (1000, 1000, 401, "400,000,000 pixels in all"),
    ],
)
def test_sizes_out_of_range_are_refused(width: int, height: int, frames: int, said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        check_size(HERE, width=width, height=height, frames=frames)
    assert str(HERE) in str(caught.value)


@pytest.mark.parametrize(
    ("width", "height", "frames"), [(8, 8, 1), (8000, 8000, 1), (8, 8, 4096), (1000, 1000, 400), (512, 512, 1500)]
)
def test_sizes_in_range_pass(width: int, height: int, frames: int) -> None:
    check_size(HERE, width=width, height=height, frames=frames)


def test_gzip_is_unpacked_and_plain_files_are_opened(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"scan")
    (tmp_path / "packed").write_bytes(gzip.compress(b"scan"))
    with opened(tmp_path / "plain") as plain, opened(tmp_path / "packed") as packed:
        assert plain.read() == packed.read() == b"scan"


def test_a_gzip_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_UNPACKED", 2**21)
    (tmp_path / "bomb").write_bytes(gzip.compress(bytes(2**23)))
    with pytest.raises(SourceError, match="unpacks to more than 2,097,152 bytes"):
        opened(tmp_path / "bomb")


@pytest.mark.parametrize("cut", [12, 40])
def test_a_damaged_gzip_is_refused(tmp_path: Path, cut: int) -> None:
    (tmp_path / "cut").write_bytes(gzip.compress(bytes(range(256)))[:cut])
    with pytest.raises(SourceError, match="cut: damaged gzip"):
        opened(tmp_path / "cut")
