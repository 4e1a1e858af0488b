"""Sets in one .npz: read as MedMNIST lays them out, and held to their own headers before room is made."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.domains.healthcare_imaging import archive as module
from edgekit.domains.healthcare_imaging.archive import fingerprint, read_archive
from edgekit.domains.healthcare_imaging.config import DataSettings
from edgekit.domains.healthcare_imaging.scans import Scans
from edgekit.shared.errors import ContractError, SourceError

REAL = Path(__file__).parents[4] / "shared/data/healthcare"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="no ../shared/data/healthcare here")
RNG = np.random.default_rng(0)


class Config:
    def __init__(self, **data: Any) -> None:
        self.data = DataSettings(**data)


def images(count: int, *shape: int) -> np.ndarray:
    return RNG.integers(0, 256, (count, *(shape or (28, 28)))).astype(np.uint8)


def arrays(**changes: Any) -> dict[str, np.ndarray]:
    """Return a good set of two classes; ``None`` leaves an array out."""
    good = {
        "train_images": images(6), "train_labels": np.array([[0], [1], [0], [1], [0], [1]], np.uint8),
        "val_images": images(2), "val_labels": np.array([[0], [1]], np.uint8),
        "test_images": images(3), "test_labels": np.array([[1], [0], [1]], np.uint8),
    }  # fmt: skip
    return {name: values for name, values in {**good, **changes}.items() if values is not None}


def read(folder: Path, made: dict[str, np.ndarray], **data: Any) -> Scans:
    np.savez_compressed(folder / "set.npz", **made)
    return read_archive(folder / "set.npz", Config(**data))


# === What is read ===


def test_a_set_as_medmnist_lays_it_out(tmp_path: Path) -> None:
    made = arrays()
    scans = read(tmp_path, made)
    np.testing.assert_array_equal(
        scans.images[..., 0], np.concatenate([made[f"{part}_images"] for part in ("train", "val", "test")])
    )
    assert scans.images.shape == (11, 28, 28, 1) and scans.images.dtype == np.uint8
    assert scans.labels.tolist() == [0, 1, 0, 1, 0, 1, 0, 1, 1, 0, 1] and scans.labels.dtype == np.int64
    assert scans.split is not None and scans.split.tolist() == [0] * 6 + [1] * 2 + [2] * 3
    assert scans.split.dtype == np.int8
    assert scans.classes == ("0", "1") and scans.source == "set.npz" and scans.cropped and scans.patient is None


def test_validation_may_be_missing(tmp_path: Path) -> None:
    scans = read(tmp_path, arrays(val_images=None, val_labels=None))
    assert scans.split is not None and set(scans.split.tolist()) == {0, 2}
    assert any("no validation" in note for note in scans.notes)


def test_flat_labels_and_names(tmp_path: Path) -> None:
    made = arrays(class_names=np.array(["normal", "pneumonia"]), train_labels=np.array([0, 1, 0, 1, 0, 1]),
                  val_labels=np.array([0, 1]), test_labels=np.array([1, 0, 1], bool))  # fmt: skip
    scans = read(tmp_path, made)
    assert scans.classes == ("normal", "pneumonia") and scans.labels[-3:].tolist() == [1, 0, 1]


def test_codes_with_gaps_are_their_own_names(tmp_path: Path) -> None:
    made = arrays()
    gaps = {name: values.astype(np.int64) * 40_000 + 7 for name, values in made.items() if name.endswith("labels")}
    scans = read(tmp_path, {**made, **gaps})
    assert scans.classes == ("7", "40007") and scans.labels.tolist()[:2] == [0, 1]


def test_several_labels_an_image(tmp_path: Path) -> None:
    several = {
        f"{part}_labels": RNG.integers(0, 2, (count, 4))
        for part, count in zip(("train", "val", "test"), (6, 2, 3), strict=True)
    }
    scans = read(tmp_path, arrays(**several))
    assert scans.multi_label and scans.labels.dtype == np.uint8 and scans.classes == ("0", "1", "2", "3")
    np.testing.assert_array_equal(scans.labels, np.concatenate(list(several.values())))


def rgb(count: int) -> np.ndarray:
    return images(count, 30, 30, 3)


@pytest.mark.parametrize(("colour", "channels"), [("auto", 3), ("rgb", 3), ("grey", 1)])
def test_colour(tmp_path: Path, colour: str, channels: int) -> None:
    made = arrays(train_images=rgb(6), val_images=rgb(2), test_images=rgb(3))
    assert read(tmp_path, made, colour=colour).images.shape == (11, 30, 30, channels)


def test_three_equal_channels_are_grey(tmp_path: Path) -> None:
    made = arrays()
    equal = {name: np.stack([values] * 3, axis=-1) for name, values in made.items() if name.endswith("images")}
    np.testing.assert_array_equal(read(tmp_path, {**made, **equal}).images, read(tmp_path, made).images)


@pytest.mark.parametrize(
    ("own", "asked", "size"), [(28, 0, 28), (129, 0, 128), (200, 0, 128), (28, 56, 56), (64, 32, 32)]
)
def test_sizes(tmp_path: Path, own: int, asked: int, size: int) -> None:
    made = arrays(train_images=images(6, own, own), val_images=images(2, own, own), test_images=images(3, own, own))
    assert read(tmp_path, made, size=asked).images.shape[1:] == (size, size, 1)


def test_oblong_images_are_padded_and_were_not_cropped(tmp_path: Path) -> None:
    made = {
        name: images(len(values), 20, 40) if name.endswith("images") else values for name, values in arrays().items()
    }
    scans = read(tmp_path, made, size=40)
    assert not scans.cropped and not scans.images[:, :10].any() and not scans.images[:, 30:].any()


def test_further_arrays_are_counted_and_marks_told(tmp_path: Path) -> None:
    more = {"train_paths": np.array(["a.png"] * 6), "test_duplicate_of_train": np.array([True, False, True])}
    notes = read(tmp_path, arrays(**more)).notes
    assert any(note.startswith("2 further arrays left out") for note in notes)
    assert any("marks 2 of 3 images in 'test_duplicate_of_train'" in note for note in notes)


def test_the_fingerprint_follows_content(tmp_path: Path) -> None:
    made = arrays()
    first, again = read(tmp_path, made), read(tmp_path, made)
    other = {**made, "test_labels": 1 - made["test_labels"]}
    assert first.fingerprint == again.fingerprint != read(tmp_path, other).fingerprint
    assert fingerprint(first.images, first.labels, ("a", "b")) != first.fingerprint


def test_either_order_in_memory_gives_the_same(tmp_path: Path) -> None:
    made = arrays()
    turned = {**made, "train_images": np.asfortranarray(made["train_images"])}
    assert read(tmp_path, made).fingerprint == read(tmp_path, turned).fingerprint


# === What is refused ===


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train_images": None}, "train_images is missing"),
        ({"test_images": None, "test_labels": None}, "test_labels is missing"),
        ({"val_labels": None}, "val_labels is missing"),
        ({"train_images": np.zeros((6, 28, 28))}, "train_images: found float64"),
        ({"train_images": np.zeros((6, 28, 28, 2), np.uint8)}, r"\(6, 28, 28, 2\), expected uint8"),
        ({"train_images": np.zeros((6, 784), np.uint8)}, "expected uint8"),
        ({"train_images": images(5)}, r"differ in length: \(5,\) and \(6,\)"),
        ({"train_images": images(6, 32, 32)}, "differ in shape between the splits"),
        ({"val_images": images(0), "val_labels": np.zeros((0, 1), int)}, "at least one image"),
        ({"train_labels": np.zeros((6, 1, 1), int)}, "train_labels: found int64"),
        ({"train_labels": np.zeros(6)}, "train_labels: found float64"),
        ({"train_labels": np.array(["a"] * 6)}, "train_labels: found <U1"),
        ({"train_labels": np.array([0, 1, 0, 1, 0, -1])}, "found -1"),
        ({"train_labels": np.full((6, 3), 2)}, "found 2, expected 0 and 1"),
        ({"train_labels": np.ones((6, 3), int)}, "differ in width"),
        ({"test_labels": np.array([0, 1, 2])}, "labels '2' stand in val or test but not in train"),
        ({"class_names": np.array(["a", "b", "c"]), "test_labels": np.array([0, 1, 3])}, "found 3, but class_names"),
        ({"class_names": np.array(["a"])}, "found 1, but class_names"),
        ({"class_names": np.array(["a", "a"])}, "different, printable"),
        ({"class_names": np.array(["a", ""])}, "different, printable"),
        ({"class_names": np.array(["a", "b\n\x00c"])}, "different, printable"),
        ({"class_names": np.array([1, 2])}, "class_names: found int64"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        read(tmp_path, arrays(**changes))


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    made = arrays(train_images=np.zeros((6, 28, 28)), val_labels=None, test_labels=np.array([-1, 0, 1]))
    with pytest.raises(ContractError) as caught:
        read(tmp_path, made)
    text = str(caught.value)
    assert "float64" in text and "val_labels is missing" in text and "found -1" in text and "set.npz" in text


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    made = arrays(train_labels=np.array([0, 1, 0, 1, 0, None], dtype=object))
    np.savez(tmp_path / "set.npz", **made)
    with pytest.raises(SourceError, match="'train_labels': found Python objects"):
        read_archive(tmp_path / "set.npz", Config())


def header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_2_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def forged(folder: Path, member: bytes) -> Path:
    """Write a good set with other bytes for its training images."""
    with zipfile.ZipFile(folder / "forged.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in arrays().items():
            buffer = io.BytesIO()
            np.save(buffer, values)
            archive.writestr(f"{name}.npy", member if name == "train_images" else buffer.getvalue())
    return folder / "forged.npz"


@pytest.mark.parametrize(
    "member",
    [
        header((10**12,)),
        header((10**6, 10**6, 10**6)),
        header((2**32, 2**32)),  # overflows to zero in 64 bits
        header((6, 28, 28)) + bytes(5),
        header((-6, 28, 28)) + bytes(6 * 784),
        header((-6, -28, 28)) + bytes(6 * 784),
        b"",
        b"no array",
        b"\x93NUMPY\x09\x00" + bytes(200),
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
        header((6, 28, 28), descr="|O"),
    ],
)
def test_headers_that_lie_are_refused_without_room_being_made(tmp_path: Path, member: bytes) -> None:
    path = forged(tmp_path, member)
    tracemalloc.start()
    with pytest.raises(SourceError, match=r"forged.npz[\s\S]*'train_images'"):
        read_archive(path, Config())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30_000_000


def test_a_set_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ARCHIVE_BYTES", 5000)
    with pytest.raises(SourceError, match="at most 100 arrays of 5,000 bytes"):
        read(tmp_path, arrays())


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + bytes(50), b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "set.npz").write_bytes(content)
    with pytest.raises((SourceError, ContractError), match="set.npz"):
        read_archive(tmp_path / "set.npz", Config())


def test_a_missing_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="set.npz cannot be read"):
        read_archive(tmp_path / "set.npz", Config())


def test_flipped_bytes_give_a_set_or_a_clear_refusal(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "whole.npz", **arrays())
    whole, path = (tmp_path / "whole.npz").read_bytes(), tmp_path / "set.npz"
    for _ in range(100):
        broken = bytearray(whole)
        for place in RNG.integers(0, len(whole), 3):
            broken[place] = RNG.integers(0, 256)
        path.write_bytes(broken)
        try:
            assert isinstance(read_archive(path, Config()), Scans)
        except (SourceError, ContractError) as error:
            assert "set.npz" in str(error) or "labels" in str(error)


# === Real sets ===


@needs_real
def test_pneumoniamnist() -> None:
    scans = read_archive(REAL / "pneumoniamnist.npz", Config())
    assert scans.images.shape == (5856, 28, 28, 1) and scans.classes == ("0", "1")
    assert scans.split is not None and np.bincount(scans.split).tolist() == [4708, 524, 624]


@needs_real
def test_brain_tumours() -> None:
    scans = read_archive(REAL / "brain_tumor_mri_96.npz", Config())
    assert scans.images.shape == (3264, 96, 96, 1) and "no_tumor" in scans.classes
    assert any("251 of 394 images" in note for note in scans.notes)
