"""Folders as classes: what is listed, what is passed over, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.domains.healthcare_imaging.folder import list_folder
from edgekit.domains.healthcare_imaging.listing import Listing
from edgekit.shared.errors import ContractError


def tree(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def told(listing: Listing, root: Path) -> list[tuple[str, str, str | None]]:
    return [(entry.path.relative_to(root).as_posix(), entry.labels[0], entry.split) for entry in listing.entries]


def test_the_folders_name_is_the_class(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "b/2.png", "a/1.PNG", "a/deep/er/3.nii.gz", "b/4.dcm")
    listing = list_folder(root)
    assert told(listing, root) == [
        ("a/1.PNG", "a", None), ("a/deep/er/3.nii.gz", "a", None), ("b/2.png", "b", None), ("b/4.dcm", "b", None),
    ]  # fmt: skip
    assert listing.source == "set" and not listing.multi_label and listing.notes == ()


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"), ("Training", "Validation", "Testing"), ("TRAIN", "valid", "Test"),
    ],
)  # fmt: skip
def test_folders_may_be_the_sets_own_split(tmp_path: Path, names: tuple[str, str, str]) -> None:
    root = tree(tmp_path, *(f"{split}/{label}/x/1.png" for split in names for label in "ab"))
    found = {(place.split("/")[0], label, split) for place, label, split in told(list_folder(root), root)}
    assert found == {
        (name, label, split)
        for name, split in zip(names, ("train", "validation", "test"), strict=True)
        for label in "ab"
    }


def test_hidden_files_are_passed_over_and_others_counted(tmp_path: Path) -> None:
    root = tree(
        tmp_path, "a/1.png", "b/1.png", "a/.2.png", ".git/3.png", "__MACOSX/a/1.png", "a/notes.txt", "README.md"
    )
    listing = list_folder(root)
    assert [place for place, *_ in told(listing, root)] == ["a/1.png", "b/1.png"]
    assert len(listing.notes) == 1 and listing.notes[0].startswith("2 files are left out")


def test_notes_name_no_file(tmp_path: Path) -> None:
    listing = list_folder(tree(tmp_path, "a/1.png", "b/1.png", "a/Doe_Jane.txt"))
    assert "Jane" not in " ".join(listing.notes) and "1.png" not in repr(listing)


def test_links_within_the_folder_are_fine(tmp_path: Path) -> None:
    root = tree(tmp_path, "a/1.png", "b/1.png")
    (root / "b/2.png").symlink_to(root / "a/1.png")
    (root / "b/loop").symlink_to(root)
    listing = list_folder(root)
    assert len(listing.entries) == 3 and any("1 linked folders" in note for note in listing.notes)


@pytest.mark.parametrize("target", ["outside.png", "elsewhere", "nowhere.png", "../set/b/own.png"])
def test_links_that_leave_the_folder_are_listed(tmp_path: Path, target: str) -> None:
    tree(tmp_path, "outside.png", "elsewhere/1.png")
    root = tree(tmp_path / "set", "a/1.png", "b/1.png")
    (root / "b/own.png").symlink_to(tmp_path / target)
    with pytest.raises(ContractError, match=r"1 links lead out of the folder or nowhere: 'b/own.png'"):
        list_folder(root)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ((), "found no images among 0 files"),
        (("a/1.txt", "b/2.csv"), "found no images among 2 files"),
        (("a/1.png",), "found one class, 'a'"),
        (("1.png", "2.png"), "2 images lie outside of the class folders: '1.png', '2.png'"),
        (("a/1.png", "b/1.png", "3.png"), "1 images lie outside of the class folders: '3.png'"),
        (("train/a/1.png", "train/b/1.png", "test/1.png"), "1 images lie outside"),
        (("train/a/1.png", "test/a/1.png"), "found one class, 'a'"),
        (("train/a/1.png", "train/b/1.png", "test/c/1.png"), "classes 'c' have no images in the training folder"),
        (("train/a/1.png", "test/b/1.png", "extra/a/1.png"), "found the folders 'extra' beside 'test', 'train'"),
        (("a/1.png", "b\n/1.png"), "cannot be printed"),
    ],
)
def test_other_layouts_are_refused_with_the_right_one(tmp_path: Path, files: tuple[str, ...], said: str) -> None:
    with pytest.raises(ContractError, match=said) as caught:
        list_folder(tree(tmp_path, *files))
    assert str(tmp_path) in str(caught.value)


def test_the_single_class_message_says_how_it_should_look(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="a folder for each class with its images in it"):
        list_folder(tree(tmp_path, "only/1.png"))


def test_many_stray_images_are_counted(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="12 images lie outside.* and 2 more"):
        list_folder(tree(tmp_path, "a/1.png", *(f"{number}.png" for number in range(12))))
