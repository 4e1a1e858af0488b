from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from edgekit.shared.errors import RunError
from edgekit.shared.files import sha256, write_bytes, write_json, write_text

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1


def _full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_write_replaces_the_file_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "größe.bin"
    write_bytes(path, b"old")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_can_be_read_by_everyone(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_beside(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    write_bytes(path, b"old")
    monkeypatch.setattr(os, step, _full)
    with pytest.raises(RunError, match=r"No space left on device. Free space"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_nothing_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "a", b"new")
    assert list(tmp_path.iterdir()) == []


def test_the_file_under_its_name_is_the_last_thing_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append((tmp_path / "a").exists()))
    write_bytes(tmp_path / "a", b"new")
    assert seen == [False]


@pytest.mark.parametrize("path", ["none/a", "file/a", "folder"])
def test_a_place_that_cannot_be_written_is_named(path: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match=f"Cannot write .*{path}"):
        write_bytes(tmp_path / path, b"")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "folder"]


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "ü\n")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xbc\n"


def test_json_is_readable_and_comes_back(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"ü": [1, 0.5, None]})
    assert (tmp_path / "a.json").read_text().startswith('{\n  "ü"')
    assert json.loads((tmp_path / "a.json").read_text()) == {"ü": [1, 0.5, None]}


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_json_refuses_what_is_no_json_number(number: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": [number]})
    assert list(tmp_path.iterdir()) == []


def test_sha256_of_bytes_and_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(b"abc") == sha256(tmp_path / "a") == ABC
