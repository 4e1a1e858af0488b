"""Tables that pandas wrote to HDF5, laid out as METR-LA and PEMS-BAY; made here without pandas."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.domains.transportation.hdf5 import read_hdf5
from edgekit.shared.errors import ContractError, SourceError

h5py = pytest.importorskip("h5py")

START = datetime(2012, 3, 1, tzinfo=UTC)
NAMES = np.array([b"773869", b"767541", b"717447"])
VALUES = np.arange(12, dtype=np.float64).reshape(4, 3)
TIMES = (int(START.timestamp()) + 300 * np.arange(4)) * 10**9


def written(folder: Path, key: str = "df", *, kind: Any = b"datetime64", tz: str = "", **arrays: Any) -> Path:
    """Write a table as pandas does in its fixed format."""
    content = {"axis0": NAMES, "axis1": TIMES, "block0_items": arrays.get("axis0", NAMES), "block0_values": VALUES}
    with h5py.File(folder / "m.h5", "a") as file:
        group = file.create_group(key)
        for name, array in (content | arrays).items():
            if array is not None:
                group.create_dataset(name, data=array)
        if "axis1" in group:
            group["axis1"].attrs["kind"] = kind
            if tz:
                group["axis1"].attrs["tz"] = tz
    return folder / "m.h5"


def refused(path: Path, error: type[Exception] = ContractError) -> str:
    with pytest.raises(error) as caught:
        read_hdf5(path)
    return str(caught.value)


@pytest.mark.parametrize("key", ["df", "speed", "anything"])
def test_the_layout_of_metr_la_is_read(tmp_path: Path, key: str) -> None:
    rows = read_hdf5(written(tmp_path, key))
    assert rows.sensors == ("773869", "767541", "717447") and rows.clock is not None
    np.testing.assert_array_equal(rows.values, VALUES)
    assert (rows.clock.wall - int(START.timestamp())).tolist() == [0, 300, 600, 900] and rows.values.dtype == np.float32


def test_whole_numbers_name_sensors_as_in_pems_bay(tmp_path: Path) -> None:
    assert read_hdf5(written(tmp_path, "speed", axis0=np.array([400001, 400017, 5]))).sensors == (
        "400001",
        "400017",
        "5",
    )


@pytest.mark.parametrize(("kind", "factor"), [(b"datetime64[s]", 10**9), ("datetime64[us]", 10**3)])
def test_newer_units_of_time(tmp_path: Path, kind: Any, factor: int) -> None:
    rows = read_hdf5(written(tmp_path, kind=kind, axis1=TIMES // factor))
    assert rows.clock is not None and rows.clock.wall[0] == int(START.timestamp())


def test_times_of_a_zone_keep_its_wall_clock(tmp_path: Path) -> None:
    rows = read_hdf5(written(tmp_path, tz="America/Los_Angeles"))
    assert rows.clock is not None and rows.clock.wall[0] == int(START.timestamp()) - 8 * 3600


def test_row_numbers_are_no_times(tmp_path: Path) -> None:
    assert read_hdf5(written(tmp_path, kind=b"integer", axis1=np.arange(4))).clock is None


def test_blocks_of_several_kinds_are_put_together(tmp_path: Path) -> None:
    path = written(
        tmp_path, block0_items=NAMES[[2, 0]], block0_values=VALUES[:, [2, 0]],
        block1_items=NAMES[[1]], block1_values=VALUES[:, [1]].astype(np.int32),
    )  # fmt: skip
    np.testing.assert_array_equal(read_hdf5(path).values, VALUES)


def test_the_usual_group_is_taken_of_several(tmp_path: Path) -> None:
    written(tmp_path, "other")
    rows = read_hdf5(written(tmp_path, "df"))
    assert "read from the group 'df'; others are left out" in rows.notes


def test_several_unknown_groups_are_refused(tmp_path: Path) -> None:
    written(tmp_path, "one")
    assert "several tables: one, two" in refused(written(tmp_path, "two"))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"axis1": None}, "/df/axis1 is missing"),
        ({"axis0": np.array([b"a", b"b", b"a"])}, "column names repeat: 'a'"),
        ({"block0_values": VALUES[:3]}, "expected numbers of the shape (4, 3)"),
        ({"block0_values": np.array([[b"x"] * 3] * 4)}, "expected numbers"),
        ({"block0_items": NAMES[:2], "block0_values": VALUES[:, :2]}, "1 sensors of axis0 have no numbers"),
        ({"block0_items": np.array([b"1", b"2", b"3"])}, "for sensors of axis0"),
    ],
)
def test_other_layouts_are_refused(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    assert said in refused(written(tmp_path, **arrays))


def test_no_table_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["x"] = np.zeros(3)
    assert "no table in the fixed format of pandas (found: x)" in refused(tmp_path / "m.h5")


def test_objects_are_refused_unread(tmp_path: Path) -> None:
    with h5py.File(written(tmp_path, axis0=None), "a") as file:
        file["df"].create_dataset("axis0", (1,), dtype=h5py.vlen_dtype(np.uint8))[0] = np.frombuffer(
            b"\x80\x04.", np.uint8
        )
    assert "axis0 holds Python objects" in refused(tmp_path / "m.h5")


def test_other_files_are_not_followed_to(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = written(tmp_path / "other")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["df"] = h5py.ExternalLink(str(other), "/df")
    assert "no table" in refused(tmp_path / "m.h5")
    with h5py.File(written(tmp_path, "speed", block0_values=None), "a") as file:
        file["speed/block0_values"] = h5py.ExternalLink(str(other), "/df/block0_values")
    assert "block0_values" in refused(tmp_path / "m.h5")


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_text("time,a\n")
    assert "cannot be read as HDF5" in refused(tmp_path / "m.h5", SourceError)
    assert "No readable file" in refused(tmp_path / "none.h5", SourceError)
