"""Arrays laid out as PEMS04 and PEMS08; nothing in the file is trusted."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.domains.transportation.archives import read_archive
from edgekit.shared.errors import ContractError, SourceError

DATA = np.arange(24, dtype=np.float64).reshape(4, 3, 2)


def saved(folder: Path, **arrays: Any) -> Path:
    np.savez_compressed(folder / "p.npz", **arrays)
    return folder / "p.npz"


def refused(path: Path, error: type[Exception], feature: int = 0) -> str:
    with pytest.raises(error) as caught:
        read_archive(path, feature=feature)
    return str(caught.value)


@pytest.mark.parametrize("feature", [0, 1])
def test_a_feature_is_read(tmp_path: Path, feature: int) -> None:
    rows = read_archive(saved(tmp_path, data=DATA), feature=feature)
    np.testing.assert_array_equal(rows.values, DATA[:, :, feature])
    assert rows.sensors == ("0", "1", "2") and rows.clock is None and rows.values.dtype == np.float32
    assert f"feature {feature} of 0 to 1 is read (data.feature)" in rows.notes


@pytest.mark.parametrize("data", [DATA[:, :, 0], DATA[:, :, 0].astype(np.int16), np.asfortranarray(DATA[:, :, 0])])
def test_other_kinds_of_numbers_and_orders(tmp_path: Path, data: np.ndarray) -> None:
    np.testing.assert_array_equal(read_archive(saved(tmp_path, data=data)).values, DATA[:, :, 0])


def test_further_arrays_are_left_out(tmp_path: Path) -> None:
    assert "further arrays are left out: 'x'" in read_archive(saved(tmp_path, data=DATA, x=np.zeros(3))).notes


def test_objects_are_refused_unread(tmp_path: Path) -> None:
    path = saved(tmp_path, data=np.array([[{}, 1]], dtype=object))
    assert "Python objects, which could run foreign code" in refused(path, ContractError)


@pytest.mark.parametrize(
    ("arrays", "feature", "said"),
    [
        ({"dat": DATA}, 0, "holds no array 'data'"),
        ({"data": DATA}, 2, "data.feature is 2, but 'data' has the 2 features 0 to 1"),
        ({"data": DATA[0, 0]}, 0, "has the shape (2,). Expected (step, sensor, feature)"),
        ({"data": np.zeros((0, 3, 1))}, 0, "has the shape (0, 3, 1)"),
        ({"data": np.array([["a"]])}, 0, "Expected numbers"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, arrays: dict[str, Any], feature: int, said: str) -> None:
    assert said in refused(saved(tmp_path, **arrays), ContractError, feature)


@pytest.mark.parametrize("shape", ["(1000000, 300, 1)", "(4, 3, 4)"])
def test_a_header_that_announces_too_much_is_refused(tmp_path: Path, shape: str) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, DATA)
    content = buffer.getvalue()
    spaced = content.replace(b"(4, 3, 2), }" + b" " * (len(shape) - 9), shape.encode() + b", }")
    assert len(spaced) == len(content)
    with zipfile.ZipFile(tmp_path / "p.npz", "w") as archive:
        archive.writestr("data.npy", spaced)
    assert "its header announces" in refused(tmp_path / "p.npz", SourceError)


def test_too_large_a_shape_is_refused(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000000, 307, 3), }\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(tmp_path / "p.npz", "w") as archive:
        archive.writestr("data.npy", content)
    assert "more than 500,000,000 numbers" in refused(tmp_path / "p.npz", ContractError)


def test_a_damaged_or_foreign_file_is_refused(tmp_path: Path) -> None:
    content = saved(tmp_path, data=DATA).read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.npz").write_text("not an archive")
    assert "cannot be read as .npz" in refused(tmp_path / "cut.npz", SourceError)
    assert "cannot be read as .npz" in refused(tmp_path / "text.npz", SourceError)
