"""From a path to a labelled set: files decoded one by one, patients counted, bad files told."""

from __future__ import annotations

import io
import tracemalloc
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit.domains.healthcare_imaging import loading
from edgekit.domains.healthcare_imaging.config import DataSettings
from edgekit.domains.healthcare_imaging.folder import list_folder
from edgekit.domains.healthcare_imaging.loading import load
from edgekit.domains.healthcare_imaging.scans import Scans
from edgekit.shared.domain import Request
from edgekit.shared.errors import ConfigError, ContractError, MissingExtraError, SourceError

RNG = np.random.default_rng(0)


class Config:
    def __init__(self, **data: Any) -> None:
        self.data = DataSettings(**data)


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape).astype(np.uint8)


def picture(path: Path, pixels: np.ndarray | None = None) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = noise(28, 28) if pixels is None else pixels
    Image.fromarray(made).save(path)
    return made


def dicom(path: Path, patient: str | None, frames: int = 1, *, study: str = "") -> None:
    pydicom = pytest.importorskip("pydicom", reason="pydicom (extra medical) is not installed")
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    made.Rows, made.Columns, made.SamplesPerPixel, made.PixelRepresentation = 28, 28, 1, 0
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PhotometricInterpretation = 8, 8, 7, "MONOCHROME2"
    made.NumberOfFrames = frames
    if patient:
        made.PatientID = patient
    if study:
        made.StudyInstanceUID = study
    made.PixelData = noise(frames, 28, 28).tobytes()
    made["PixelData"].VR = "OB"
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)


def read(path: Path, *, said: list[str] | None = None, columns: dict[str, str] | None = None, **data: Any) -> Scans:
    lines = [] if said is None else said
    return load(Request(path, columns=columns or {}), Config(**data), report=lines.append)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return three images of one class and two of another."""
    for name in ("a/1.png", "a/2.png", "a/3.png", "b/1.png", "b/2.png"):
        picture(tmp_path / "set" / name)
    return tmp_path / "set"


# === The three kinds of sets ===


def test_a_folder_becomes_a_set(folder: Path) -> None:
    scans = read(folder)
    expected = [np.asarray(Image.open(path)) for path in sorted(folder.rglob("*.png"))]
    np.testing.assert_array_equal(scans.images[..., 0], np.stack(expected))
    assert scans.classes == ("a", "b") and scans.labels.tolist() == [0, 0, 0, 1, 1]
    assert (scans.source, scans.patient, scans.split, scans.groups, scans.cropped) == ("set", None, None, {}, False)
    assert len(scans.fingerprint) == 64 and scans.fingerprint == read(folder).fingerprint


def test_images_are_mapped_read_only_and_nothing_is_left_on_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = folder.parent / "room"
    room.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(room))
    scans = read(folder)
    assert isinstance(scans.images, np.memmap) and not scans.images.flags.writeable
    assert not list(room.iterdir()) and scans.images.sum() > 0


def test_decoding_holds_one_file_in_memory(tmp_path: Path) -> None:
    for number in range(40):
        picture(tmp_path / "ab"[number % 2] / f"{number}.png", np.full((256, 256, 3), number, np.uint8))
    tracemalloc.start()
    scans = read(tmp_path, size=256, colour="rgb")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert scans.images.nbytes > 7_000_000 and peak < 6_000_000


def test_a_manifest_becomes_a_set(folder: Path) -> None:
    rows = ("file,label,patient,split,site", "a/1.png,x,P1,train,n", "a/2.png,y,P2,train,s",
            "b/1.png,x,P1,train,n", "b/2.png,y,P3,test,s")  # fmt: skip
    (folder / "set.csv").write_text("\n".join(rows))
    scans = read(folder / "set.csv", columns={"path": "file"})
    assert scans.labels.tolist() == [0, 1, 0, 1] and scans.patient is not None and scans.split is not None
    assert scans.patient.tolist() == [0, 1, 0, 2] and scans.patient.dtype == np.int64
    assert scans.split.tolist() == [0, 0, 0, 2] and scans.split.dtype == np.int8
    assert scans.groups["site"].tolist() == ["n", "s", "n", "s"] and scans.source == "set.csv"


def test_several_labels_an_image(folder: Path) -> None:
    (folder / "set.csv").write_text("path,label\na/1.png,x|y\na/2.png,\nb/1.png,y\n")
    scans = read(folder / "set.csv")
    assert scans.multi_label and scans.labels.dtype == np.uint8 and scans.labels.tolist() == [[1, 1], [0, 0], [0, 1]]


def test_an_archive_becomes_a_set(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", train_images=noise(4, 28, 28), train_labels=[0, 1, 0, 1], test_images=noise(2, 28, 28),
             test_labels=[0, 1])  # fmt: skip
    scans = read(tmp_path / "s.npz")
    assert len(scans) == 6 and scans.cropped


# === Size and colour ===


@pytest.mark.parametrize(
    ("edges", "size"),
    [([28, 28, 28], 28), ([50, 61, 400], 60), ([300, 301, 302], 128), ([9, 10, 11], 28), ([63, 63, 63], 60)],
)
def test_the_size_is_the_median_short_edge_within_limits(tmp_path: Path, edges: list[int], size: int) -> None:
    for number, edge in enumerate(edges):
        picture(tmp_path / "ab"[number % 2] / f"{number}.png", noise(edge, edge + 7))
    assert read(tmp_path).images.shape == (3, size, size, 1)


def test_colour_of_one_file_makes_the_set_colour(folder: Path) -> None:
    picture(folder / "b/3.png", noise(28, 28, 3))
    assert read(folder).images.shape == (6, 28, 28, 3)
    assert read(folder, colour="grey").images.shape == (6, 28, 28, 1)


def test_few_files_are_looked_at_evenly(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "SAMPLE", 2)
    picture(folder / "a/2.png", noise(28, 28, 3))  # neither the first nor the last
    assert read(folder).images.shape[3] == 1
    picture(folder / "b/2.png", noise(28, 28, 3))
    assert read(folder).images.shape[3] == 3


def test_oblong_images_are_padded_unless_asked_otherwise(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png"):
        picture(tmp_path / name, np.full((28, 56), 200, np.uint8))
    padded, cropped = read(tmp_path, size=28), read(tmp_path, size=28, fit="crop")
    assert not padded.images[:, :7].any() and cropped.images.min() == 200


# === Patients and frames ===


def test_files_tell_the_patient_and_the_others_count_as_their_own(tmp_path: Path) -> None:
    dicom(tmp_path / "a/1.dcm", "MRN-1")
    dicom(tmp_path / "a/2.dcm", "MRN-1")
    dicom(tmp_path / "b/3.dcm", "MRN-2")
    picture(tmp_path / "b/4.png")
    scans = read(tmp_path)
    assert scans.patient is not None and scans.patient.tolist() == [0, 0, 1, 2]
    assert any(note.startswith("1 of 4 files name no patient") for note in scans.notes)
    assert "MRN" not in repr(scans)


def test_a_study_that_stands_for_a_patient_is_told(tmp_path: Path) -> None:
    for number, study in enumerate(("1.2.1", "1.2.1", "1.2.2")):
        dicom(tmp_path / f"{'ab'[number % 2]}/{number}.dcm", "unknown", study=study)
    dicom(tmp_path / "b/3.dcm", "MRN-2")
    scans = read(tmp_path)
    assert scans.patient is not None and scans.patient.tolist() == [0, 1, 0, 2]
    assert "3 files name no patient; their study stands for one" in scans.notes
    (tmp_path / "s.csv").write_text("path,label,patient\na/0.dcm,a,P1\nb/1.dcm,b,P2\na/2.dcm,a,P3\n")
    assert not any("study" in note for note in read(tmp_path / "s.csv").notes)


def test_placeholders_in_a_manifest_leave_the_word_to_the_file(tmp_path: Path) -> None:
    dicom(tmp_path / "1.dcm", "MRN-1")
    dicom(tmp_path / "2.dcm", "MRN-2")
    (tmp_path / "s.csv").write_text("path,label,patient\n1.dcm,a,anonymous\n2.dcm,b,anonymous\n")
    scans = read(tmp_path / "s.csv")
    assert scans.patient is not None and scans.patient.tolist() == [0, 1]


def test_the_manifest_knows_the_patient_better_than_the_file(tmp_path: Path) -> None:
    dicom(tmp_path / "1.dcm", "MRN-1")
    dicom(tmp_path / "2.dcm", "MRN-1")
    (tmp_path / "s.csv").write_text("path,label,patient\n1.dcm,a,P1\n2.dcm,b,P2\n")
    scans = read(tmp_path / "s.csv")
    assert scans.patient is not None and scans.patient.tolist() == [0, 1]


def test_every_frame_is_an_image_of_the_files_label_and_patient(tmp_path: Path) -> None:
    dicom(tmp_path / "1.dcm", None, frames=3)
    picture(tmp_path / "2.png")
    (tmp_path / "s.csv").write_text("path,label,split,sex\n1.dcm,b,train,F\n2.png,a,train,M\n")
    scans = read(tmp_path / "s.csv")
    assert scans.labels.tolist() == [1, 1, 1, 0] and scans.groups["sex"].tolist() == ["F", "F", "F", "M"]
    assert scans.patient is None and scans.file is not None
    assert scans.file.tolist() == [0, 0, 0, 1] and scans.file.dtype == np.int64
    assert not any("patient" in note for note in scans.notes)
    assert scans.split is not None and scans.split.tolist() == [0] * 4


def test_volumes_are_cut_along_the_axis(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel", reason="nibabel (extra medical) is not installed")
    for label in "ab":
        (tmp_path / label).mkdir()
        nibabel.Nifti1Image(noise(10, 12, 14), np.eye(4)).to_filename(tmp_path / label / "v.nii")
    assert [len(read(tmp_path, axis=axis)) for axis in (0, 1, 2)] == [20, 24, 28]


# === What goes wrong ===


def test_bad_files_are_all_read_and_then_told_in_one_error(folder: Path) -> None:
    for number in range(12):
        (folder / f"a/bad{number:02}.png").write_bytes(b"broken")
    with pytest.raises(SourceError) as caught:
        read(folder)
    text = str(caught.value)
    assert text.startswith("12 of 17 files cannot be read") and "--skip-bad" in text
    assert "bad00.png" in text and "bad09.png" in text and "bad10.png" not in text and "and 2 more" in text


def test_bad_files_may_be_left_out_and_are_counted_without_names(folder: Path) -> None:
    (folder / "a/Doe_Jane.png").write_bytes(b"broken")
    scans = read(folder, skip_bad=True)
    assert scans.labels.tolist() == [0, 0, 0, 1, 1]
    assert any(note.startswith("1 files could not be read") for note in scans.notes) and "Doe" not in str(scans.notes)


def test_files_are_numbered_with_the_bad_ones(folder: Path) -> None:
    (folder / "a/2.png").write_bytes(b"broken")
    scans = read(folder, skip_bad=True)
    assert scans.file is not None and scans.file.tolist() == [0, 2, 3, 4]


def test_bad_files_leave_text_alone(folder: Path) -> None:
    (folder / "a/2.png").write_bytes(b"broken")
    kept = loading._read_all(list_folder(folder).entries, loading._Canvas(28, 1, "pad"), 2, print, io.BytesIO())
    assert [type(error) for error in kept.bad] == [str] and "2.png" in kept.bad[0]


def test_nothing_but_bad_files_is_an_error_in_any_case(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"broken")
    with pytest.raises(SourceError, match="2 of 2 files cannot be read"):
        read(tmp_path, skip_bad=True)


def test_a_class_of_bad_files_only_leaves_one_class(folder: Path) -> None:
    for name in ("b/1.png", "b/2.png"):
        (folder / name).write_bytes(b"broken")
    with pytest.raises(ContractError, match="every image has the label 'a'"):
        read(folder, skip_bad=True)


def test_a_missing_package_is_no_bad_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in "ab":
        dicom(tmp_path / name / "1.dcm", None)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingExtraError, match="pydicom"):
        read(tmp_path, skip_bad=True)


def test_a_full_disk_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", partial(open, "/dev/full", "wb"))
    with pytest.raises(SourceError, match="cannot be written to .*TMPDIR"):
        read(folder)


@pytest.mark.parametrize("name", ["nothing", "set.npz", "notes.doc"])
def test_other_paths_are_refused_with_what_is_expected(tmp_path: Path, name: str) -> None:
    if name == "notes.doc":
        (tmp_path / name).write_text("hello")
    with pytest.raises(SourceError, match=f"{name}.*Expected a folder with a sub-folder for each class"):
        read(tmp_path / name)


def test_wishes_that_mean_nothing_here_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="--exclude"):
        load(Request(folder, exclude=("site",)), Config(), report=print)
    with pytest.raises(ConfigError, match="--columns"):
        read(folder, columns={"path": "file"})
    with pytest.raises(ContractError, match="--data PATH"):
        load(Request(), Config(), report=print)


def test_a_second_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--items names a second table"):
        load(Request(tmp_path, items=tmp_path / "items.csv"), Config(), report=print)


@pytest.mark.parametrize("labels", [np.zeros(4, int), np.tile([0, 1], (4, 1))])
def test_a_set_without_a_difference_is_refused(tmp_path: Path, labels: np.ndarray) -> None:
    np.savez(tmp_path / "s.npz", train_images=noise(4, 28, 28), train_labels=labels, test_images=noise(4, 28, 28),
             test_labels=labels)  # fmt: skip
    with pytest.raises(ContractError, match="every image has the"):
        read(tmp_path / "s.npz")


def test_progress_is_told_neither_too_often_nor_too_seldom(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet: list[str] = []
    read(folder, said=quiet)
    monkeypatch.setattr(loading, "FILES", 2)
    often: list[str] = []
    read(folder, said=often)
    monkeypatch.setattr(loading, "SECONDS", 0.0)
    always: list[str] = []
    read(folder, said=always)
    assert (quiet, often) == ([], ["read 2 of 5 files", "read 4 of 5 files", "read 5 of 5 files"]) and len(always) == 5


def test_a_relative_path_names_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert read(Path()).source == "set"
