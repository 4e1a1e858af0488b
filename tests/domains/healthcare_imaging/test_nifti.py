"""NIfTI volumes become upright slices whatever way their voxels were stored."""

from __future__ import annotations

import gzip
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.domains.healthcare_imaging import nifti as module
from edgekit.domains.healthcare_imaging.nifti import nifti_version, read_nifti
from edgekit.shared.errors import MissingExtraError, SourceError

nibabel = pytest.importorskip("nibabel", reason="nibabel (extra medical) is not installed")

REAL = Path(__file__).parents[4] / "shared/data/healthcare/nifti"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="no ../shared/data/healthcare/nifti here")
VOLUME = np.random.default_rng(0).integers(0, 1000, (10, 12, 14)).astype(np.int16)  # right, front, up


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    def save(values: np.ndarray, affine: Any = None, *, name: str = "v.nii", version: int = 1, **header: Any) -> Path:
        kind = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
        image = kind(values, np.eye(4) if affine is None else affine)
        for key, value in header.items():
            image.header[key] = value
        image.to_filename(tmp_path / name)
        return tmp_path / name

    return save


Saved = Callable[..., Path]


def bright(corner: tuple[int, int, int]) -> np.ndarray:
    """Return a noisy volume in right-front-up order with one bright corner."""
    values = VOLUME.copy()
    where = tuple(slice(-4, None) if end else slice(0, 4) for end in corner)
    values[where] += 20_000
    return values


# === What is read ===


@pytest.mark.parametrize(("axis", "shape"), [(0, (10, 14, 12)), (1, (12, 14, 10)), (2, (14, 12, 10))])
def test_slices_run_along_the_axis(saved: Saved, axis: int, shape: tuple[int, ...]) -> None:
    frames = read_nifti(saved(VOLUME), axis=axis).frames
    assert frames.shape == shape and frames.dtype == np.uint8 and (frames.min(), frames.max()) == (0, 255)


@pytest.mark.parametrize(
    ("axis", "corner", "where"),
    [
        (2, (1, 1, 0), "top left"),  # right and front
        (2, (0, 0, 0), "bottom right"),
        (1, (1, 0, 1), "top left"),  # right and up
        (1, (0, 0, 0), "bottom right"),
        (0, (0, 1, 1), "top left"),  # front and up
        (0, (0, 0, 0), "bottom right"),
    ],
)
def test_slices_stand_upright_with_the_right_side_on_the_left(
    saved: Saved, axis: int, corner: tuple[int, int, int], where: str
) -> None:
    frames = read_nifti(saved(bright(corner)), axis=axis).frames
    slice_ = frames[-2 if corner[axis] else 1].astype(float)
    corners = {"top left": slice_[:3, :3], "top right": slice_[:3, -3:],
               "bottom left": slice_[-3:, :3], "bottom right": slice_[-3:, -3:]}  # fmt: skip
    assert max(corners, key=lambda name: corners[name].mean()) == where


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "PIR", "SRA", "AIL", "RSP"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_order_in_the_file_does_not_matter(saved: Saved, codes: str, axis: int) -> None:
    from nibabel import orientations

    image = nibabel.Nifti1Image(VOLUME, np.diag([2.0, 3.0, 4.0, 1.0]))
    there = orientations.ornt_transform(
        orientations.io_orientation(image.affine), orientations.axcodes2ornt(tuple(codes))
    )
    turned = image.as_reoriented(there)
    found = read_nifti(saved(np.asarray(turned.dataobj), turned.affine, name="turned.nii"), axis=axis).frames
    np.testing.assert_array_equal(found, read_nifti(saved(VOLUME), axis=axis).frames)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
def test_versions_and_packing_give_the_same(saved: Saved, version: int, name: str) -> None:
    found = read_nifti(saved(VOLUME, name=name, version=version), axis=2).frames
    np.testing.assert_array_equal(found, read_nifti(saved(VOLUME, name="plain.nii"), axis=2).frames)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8", ">i2", ">f4", "i8"])
def test_number_types_give_the_same(saved: Saved, dtype: str) -> None:
    values = (VOLUME // 4).astype(dtype)
    image = nibabel.Nifti1Image(values, np.eye(4), dtype=values.dtype)
    path = saved(VOLUME, name="t.nii")
    if dtype.startswith(">"):
        image = nibabel.Nifti1Image(values, np.eye(4), image.header.as_byteswapped(">"))
    image.to_filename(path)
    expected = read_nifti(saved(VOLUME // 4, name="expected.nii"), axis=2).frames
    np.testing.assert_array_equal(read_nifti(path, axis=2).frames, expected)


def test_of_a_series_the_first_volume_is_read(saved: Saved) -> None:
    series = np.stack([VOLUME, VOLUME[::-1], VOLUME * 0], axis=-1)
    np.testing.assert_array_equal(
        read_nifti(saved(series), axis=2).frames, read_nifti(saved(VOLUME, name="one.nii"), axis=2).frames
    )


def test_a_single_slice_is_read(saved: Saved) -> None:
    assert read_nifti(saved(VOLUME[:, :, 0]), axis=2).frames.shape == (1, 12, 10)


def test_a_scale_factor_changes_nothing_but_its_sign(saved: Saved) -> None:
    def scaled(slope: float) -> np.ndarray:
        path = saved(VOLUME, name="s.nii")
        content = bytearray(path.read_bytes())
        content[112:120] = struct.pack("<2f", slope, 7.0)
        path.write_bytes(content)
        return read_nifti(path, axis=2).frames.astype(int)

    plain = read_nifti(saved(VOLUME), axis=2).frames.astype(int)
    np.testing.assert_array_equal(scaled(3.5), plain)
    assert np.abs(scaled(-3.5) - (255 - plain)).max() <= 1


def test_nan_is_black_and_infinity_bright(saved: Saved) -> None:
    values = VOLUME.astype(np.float32)
    values[9, 11, 0], values[8, 11, 0], values[7, 11, 0] = np.nan, np.inf, -np.inf
    frames = read_nifti(saved(values), axis=2).frames
    assert frames[0, 0, :3].tolist() == [0, 255, 0]
    assert frames.mean() == pytest.approx(127, abs=4)


def test_empty_slices_are_left_out(saved: Saved) -> None:
    values = VOLUME.copy()
    values[:, :, :3], values[:, :, 13] = 0, 0
    scan = read_nifti(saved(values), axis=2)
    assert len(scan.frames) == 10 and scan.numbers == tuple(range(3, 13))
    assert read_nifti(saved(VOLUME), axis=2).numbers == ()


def test_slices_are_counted_from_the_feet_however_they_are_stored(saved: Saved) -> None:
    values = VOLUME.copy()
    values[:, :, :3] = 0
    upside_down = saved(values[:, :, ::-1], np.diag([1.0, 1.0, -1.0, 1.0]))
    assert read_nifti(upside_down, axis=2).numbers == tuple(range(3, 14))


def test_rgb_volumes_keep_their_colours(saved: Saved) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (10, 12, 9, 3)).astype(np.uint8)
    stored = np.ascontiguousarray(rgb).view(np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))[..., 0]
    frames = read_nifti(saved(stored), axis=2).frames
    assert frames.shape == (9, 12, 10, 3)
    np.testing.assert_array_equal(frames[4, 0, 0], rgb[9, 11, 4])


# === What is refused ===


def test_volumes_that_show_nothing_are_refused(saved: Saved) -> None:
    with pytest.raises(SourceError, match="every axial slice is empty"):
        read_nifti(saved(np.full((10, 10, 10), 7, np.int16)), axis=2)


@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_complex_numbers_are_refused(saved: Saved, dtype: str) -> None:
    with pytest.raises(SourceError, match=r"v.nii: holds complex numbers.*magnitude"):
        read_nifti(saved(VOLUME.astype(dtype)), axis=2)


def test_rgba_is_refused(saved: Saved) -> None:
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")])
    with pytest.raises(SourceError, match="Expected a volume of real numbers or RGB"):
        read_nifti(saved(np.zeros((10, 10, 10), kind)), axis=2)


def test_slices_too_thin_are_refused(saved: Saved) -> None:
    path = saved(VOLUME[:, :, :3])
    assert len(read_nifti(path, axis=2).frames) == 3
    with pytest.raises(SourceError, match=r"12 × 3 pixels.*at least 8"):
        read_nifti(path, axis=0)


def patched(path: Path, place: int, code: str, *values: Any) -> Path:
    content = bytearray(path.read_bytes())
    content[place : place + struct.calcsize(code)] = struct.pack(code, *values)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("place", "code", "values", "said"),
    [
        (40, "<4h", (3, 32_000, 32_000, 32_000), "32,000 × 32,000 pixels"),
        (40, "<4h", (3, 9_000, 9_000, 4_000), "in all frames"),
        (40, "<4h", (3, 12, 12, 14), "cut short: found"),
        (40, "<4h", (3, -5, 12, 14), "found the shape|damaged"),
        (40, "<4h", (1, 500, 1, 1), "3 dimensions"),
        (40, "<h", (77,), "v.nii"),
        (70, "<h", (9999,), "damaged NIfTI header|type"),
        (108, "<f", (1e30,), "start at byte"),
        (108, "<f", (float("nan"),), "start at byte"),
        (344, "4s", (b"ni1\0",), "pair of .hdr and .img"),
        (344, "4s", (b"\0\0\0\0",), "ANALYZE"),
        (280, "<12f", (float("nan"),) * 12, "orientation cannot be told"),
        (280, "<12f", (0.0,) * 12, "orientation cannot be told"),
    ],
)
def test_hostile_headers_are_refused(saved: Saved, place: int, code: str, values: tuple[Any, ...], said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        read_nifti(patched(saved(VOLUME), place, code, *values), axis=2)
    assert "v.nii" in str(caught.value)


@pytest.mark.parametrize("share", [0.01, 0.08, 0.5, 0.99])
@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
def test_a_file_cut_short_is_refused(saved: Saved, share: float, name: str) -> None:
    path = saved(VOLUME, name=name)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(SourceError, match=name):
        read_nifti(path, axis=2)


def test_a_volume_larger_than_memory_is_refused(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNPACKED", 3000)
    with pytest.raises(SourceError, match="3,360 bytes. Expected at most 3,000"):
        read_nifti(saved(VOLUME), axis=2)


def test_a_gzip_that_goes_on_for_ever_is_read_no_further_than_the_volume(saved: Saved) -> None:
    path = saved(VOLUME)
    path.write_bytes(gzip.compress(path.read_bytes() + bytes(2**26)))
    assert read_nifti(path, axis=2).frames.shape == (14, 12, 10)


def test_flipped_bytes_give_slices_or_a_clear_refusal(saved: Saved) -> None:
    path = saved(VOLUME)
    whole, rng = path.read_bytes(), np.random.default_rng(4)
    for _ in range(200):
        broken = bytearray(whole)
        for place in rng.integers(0, 352, 3):
            broken[place] = rng.integers(0, 256)
        path.write_bytes(broken)
        try:
            assert read_nifti(path, axis=1).frames.dtype == np.uint8
        except SourceError as error:
            assert "v.nii" in str(error)


def test_without_nibabel_the_extra_is_named(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(VOLUME)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(MissingExtraError, match=r"nibabel.*\[medical\]"):
        read_nifti(path, axis=2)


def test_versions_are_told_by_the_first_bytes() -> None:
    first, second = nibabel.Nifti1Header(), nibabel.Nifti2Header()
    assert [nifti_version(header.binaryblock) for header in (first, second)] == [1, 2]
    assert nifti_version(first.as_byteswapped().binaryblock) == 1
    assert [nifti_version(start) for start in (b"", b"\x5c\1\0\0", bytes(600))] == [0, 0, 0]


# === Real files ===


@needs_real
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("anatomical.nii", (25, 41, 33)),
        ("example4d.nii.gz", (24, 96, 128)),
        ("example_nifti2.nii.gz", (12, 20, 32)),
        ("functional.nii", (3, 21, 17)),
        ("someones_anatomy.nii.gz", (56, 67, 57)),
        ("someones_epi.nii.gz", (33, 61, 53)),
    ],
)
def test_real_files_are_read(name: str, shape: tuple[int, ...]) -> None:
    frames = read_nifti(REAL / name, axis=2).frames
    assert frames.shape == shape and (frames.min(), frames.max()) == (0, 255)


@needs_real
def test_a_head_is_upright_in_a_real_file() -> None:
    sagittal = read_nifti(REAL / "someones_anatomy.nii.gz", axis=0).frames.astype(float)
    middle = sagittal[len(sagittal) // 2]
    assert middle[:4, :6].mean() < 60 and middle[:4, -6:].mean() < 60  # air beside the crown, at the top
