"""What a file is, its content says; whatever cannot be an image is refused by name."""

from __future__ import annotations

import gzip
import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.domains.healthcare_imaging.reading import IMAGE_SUFFIXES, is_image, read_scan
from edgekit.shared.errors import SourceError

GREY = np.random.default_rng(0).integers(0, 256, (12, 16)).astype(np.uint8)


def picture(path: Path, kind: str = "PNG") -> Path:
    Image.fromarray(GREY).save(path, kind)
    return path


def dicom(path: Path) -> Path:
    pydicom = pytest.importorskip("pydicom", reason="pydicom (extra medical) is not installed")
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    made.Rows, made.Columns, made.SamplesPerPixel, made.PixelRepresentation = 12, 16, 1, 0
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PhotometricInterpretation = 8, 8, 7, "MONOCHROME2"
    made.PixelData = GREY.tobytes()
    made["PixelData"].VR = "OB"
    made.save_as(path, enforce_file_format=True)
    return path


def nifti(path: Path) -> Path:
    nibabel = pytest.importorskip("nibabel", reason="nibabel (extra medical) is not installed")
    nibabel.Nifti1Image(np.stack([GREY] * 9, axis=-1).astype(np.int16), np.eye(4)).to_filename(path)
    return path


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP"])
@pytest.mark.parametrize("name", ["scan", "scan.dcm", "scan.nii.gz"])
def test_a_picture_is_known_under_any_name(tmp_path: Path, kind: str, name: str) -> None:
    assert read_scan(picture(tmp_path / name, kind)).frames.shape[:3] == (1, 12, 16)


@pytest.mark.parametrize("name", ["scan.png", "scan", "IM0001"])
def test_dicom_is_known_under_any_name(tmp_path: Path, name: str) -> None:
    path = dicom(tmp_path / name)
    assert read_scan(path).frames.shape == (1, 12, 16)
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert read_scan(path).frames.shape == (1, 12, 16)


def test_a_dicom_file_whose_preamble_is_a_tiff_is_dicom(tmp_path: Path) -> None:
    path = dicom(tmp_path / "two.tif")
    path.write_bytes(b"II*\0" + path.read_bytes()[4:])
    assert read_scan(path).frames.shape == (1, 12, 16)


def test_a_dicom_file_without_preamble_is_dicom(tmp_path: Path) -> None:
    path = dicom(tmp_path / "old")
    whole = path.read_bytes()
    path.write_bytes(whole[144 + int.from_bytes(whole[140:144], "little") :])
    assert read_scan(path).frames.shape == (1, 12, 16)


@pytest.mark.parametrize(("axis", "shape"), [(0, (12, 9, 16)), (2, (9, 16, 12))])
def test_nifti_is_known_under_any_name_and_cut_along_the_axis(
    tmp_path: Path, axis: int, shape: tuple[int, ...]
) -> None:
    for made, name in ((nifti(tmp_path / "v.nii"), "scan.png"), (nifti(tmp_path / "w.nii.gz"), "scan")):
        shutil.move(made, tmp_path / name)
        assert read_scan(tmp_path / name, axis=axis).frames.shape == shape


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (gzip.compress(b""), "is empty"),
        (b"PK\x03\x04" + bytes(99), "a zip archive"),
        (b"%PDF-1.7", "a PDF"),
        (b"\x93NUMPY", "a numpy array"),
        (b"<html>", "a web page"),
        (b"path,label\n", "unknown kind"),
        (gzip.compress(b"path,label\n"), "unknown kind"),
        (b"\x1f\x8b", "damaged gzip"),
        (gzip.compress(b"x" * 999)[:14], "damaged gzip"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\3" + b"\xff" * 50, "damaged gzip"),
        (b"RIFF\0\0\0\0WAVE", "unknown kind"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "scan.png").write_bytes(content)
    with pytest.raises(SourceError, match=said) as caught:
        read_scan(tmp_path / "scan.png")
    assert "scan.png" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "package", "said"),
    [
        ((348).to_bytes(4, "little") + bytes(400), "nibabel", "ANALYZE"),
        (b"\x08\0" + bytes(300), "pydicom", "not a DICOM file"),
    ],
)
def test_what_only_resembles_a_volume_or_dicom_is_refused(
    tmp_path: Path, content: bytes, package: str, said: str
) -> None:
    pytest.importorskip(package, reason=f"{package} (extra medical) is not installed")
    (tmp_path / "scan.png").write_bytes(content)
    with pytest.raises(SourceError, match=f"scan.png.*{said}"):
        read_scan(tmp_path / "scan.png")


def test_a_packed_picture_is_to_be_unpacked(tmp_path: Path) -> None:
    packed = tmp_path / "scan.png.gz"
    packed.write_bytes(gzip.compress(picture(tmp_path / "scan.png").read_bytes()))
    with pytest.raises(SourceError, match="Unpack it"):
        read_scan(packed)


def test_unknown_text_is_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("Jane Doe, born 1970")
    with pytest.raises(SourceError, match="unknown kind") as caught:
        read_scan(tmp_path / "letter")
    assert "Jane" not in str(caught.value)


def test_missing_files_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "scan.png")
    with pytest.raises(SourceError, match="Did you mean 'scan.png'"):
        read_scan(tmp_path / "scn.png")
    with pytest.raises(SourceError, match="No file at"):
        read_scan(tmp_path / "scan.png" / "inside.png")
    with pytest.raises(SourceError, match="is a folder"):
        read_scan(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="not a regular file"):
        read_scan(tmp_path / "pipe")
    with pytest.raises(SourceError, match="cannot be read"):
        read_scan(tmp_path / ("x" * 300))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = picture(tmp_path / "scan.png")
    path.chmod(stat.S_IWUSR)
    with pytest.raises(SourceError, match="Permission denied"):
        read_scan(path)


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_endings_of_images(tmp_path: Path, suffix: str) -> None:
    assert is_image(tmp_path / f"a{suffix}") and is_image(tmp_path / f"A{suffix.upper()}")


def test_files_without_an_ending_are_images_if_they_say_so(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("hello")
    (tmp_path / "labels.csv").write_bytes(bytes(128) + b"DICM")
    for name in ("IM0001", "1.2.840.10008"):
        (tmp_path / name).write_bytes(bytes(128) + b"DICM")
        assert is_image(tmp_path / name)
    assert not any(is_image(tmp_path / name) for name in ("README", "labels.csv", "missing"))
