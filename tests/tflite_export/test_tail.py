"""The zip tail: readable by zipfile, without dates, invisible to the interpreter."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from edgekit.shared.errors import DeviceFileError
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.tail import append_files, read_files

FILES = {"labels.txt": b"no\nyes\n", "vocabulary.txt": b"a\n" * 500}


def test_files_come_back() -> None:
    assert read_files(append_files(b"model", FILES)) == FILES


def test_nothing_to_append_changes_nothing() -> None:
    assert append_files(b"model", {}) == b"model"
    assert read_files(b"model") == {}


def test_members_are_stored_under_a_fixed_date() -> None:
    archive = zipfile.ZipFile(io.BytesIO(append_files(b"model", FILES)))
    member = archive.getinfo("labels.txt")
    assert (member.compress_type, member.date_time) == (zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0))


def test_answers_do_not_change(tiny_content: bytes, tiny_inputs: dict[str, np.ndarray]) -> None:
    before = Engine(tiny_content).predict(tiny_inputs)
    after = Engine(append_files(tiny_content, FILES)).predict(tiny_inputs)
    np.testing.assert_array_equal(before["score"], after["score"])


def test_a_damaged_member_is_refused() -> None:
    content = append_files(b"model", FILES).replace(b"no\nyes", b"no\nyeS")
    with pytest.raises(DeviceFileError, match="damaged zip"):
        read_files(content)
