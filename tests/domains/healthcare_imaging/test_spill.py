"""Images go to disk whole, and a disk without room is told."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.domains.healthcare_imaging import spill
from edgekit.shared.errors import SourceError


class Slow:
    """A file that takes a few bytes at a time, as a pipe or a disk nearly full does."""

    def __init__(self) -> None:
        self.content = b""

    def write(self, rest: memoryview) -> int:
        self.content += bytes(rest[:5])
        return min(5, len(rest))


def test_what_was_written_is_mapped_in_order_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    images = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3)).astype(np.uint8)
    with spill.opened() as file:
        for block in (images[:3], images[:0], images[3::2], images[::-1]):
            spill.append(file, block)
        found = spill.mapped(file, (12, 4, 4, 3))
    np.testing.assert_array_equal(found, np.concatenate([images[:3], images[3::2], images[::-1]]))
    assert isinstance(found, np.memmap) and not found.flags.writeable and not list(tmp_path.iterdir())


def test_short_writes_go_on() -> None:
    file: Any = Slow()
    spill.append(file, np.arange(13, dtype=np.uint8))
    assert file.content == bytes(range(13))


def test_a_full_disk_is_told() -> None:
    with (
        Path("/dev/full").open("wb", buffering=0) as full,
        pytest.raises(SourceError, match=r"cannot be written to .*: No space left.*TMPDIR.*data\.size"),
    ):
        spill.append(full, np.zeros((2, 28, 28, 1), np.uint8))


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(SourceError, match=r"nowhere: No such file.*TMPDIR"):
        spill.opened()
