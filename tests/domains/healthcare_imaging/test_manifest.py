"""Manifests: rows become entries, and everything wrong is told at once without a patient's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.domains.healthcare_imaging.listing import Listing
from edgekit.domains.healthcare_imaging.manifest import list_manifest
from edgekit.shared.errors import ContractError, SourceError

HEADER = "path,label,patient,split,sex,age,site"
ROWS = (
    "i/1.png,normal,MRN-1,train,F,19,north",
    "i/2.png,pneumonia,MRN-2,Training,M,20,south",
    "i/3.png,normal,MRN-3,VALID,,,north",
    "i/4.png,pneumonia,MRN-4,testing,F,104.5,north",
)


def listed(folder: Path, *rows: str, header: str = HEADER, files: int = 9, **columns: str) -> Listing:
    (folder / "i").mkdir(exist_ok=True)
    for number in range(1, files):
        (folder / f"i/{number}.png").write_bytes(b"")
    (folder / "set.csv").write_text("\n".join((header, *rows)))
    return list_manifest(folder / "set.csv", columns)


def refused(folder: Path, *rows: str, header: str = HEADER, **columns: str) -> str:
    with pytest.raises(ContractError) as caught:
        listed(folder, *rows, header=header, **columns)
    assert "set.csv" in str(caught.value)
    return str(caught.value)


# === What is read ===


def test_rows_become_entries(tmp_path: Path) -> None:
    listing = listed(tmp_path, *ROWS)
    assert [entry.path for entry in listing.entries] == [(tmp_path / f"i/{n}.png").resolve() for n in (1, 2, 3, 4)]
    assert [entry.labels for entry in listing.entries] == [("normal",), ("pneumonia",)] * 2
    assert [entry.split for entry in listing.entries] == ["train", "train", "validation", "test"]
    assert [entry.groups["age"] for entry in listing.entries] == ["0-19", "20-39", "", "100-119"]
    assert listing.entries[2].groups == {"sex": "", "age": "", "site": "north"}
    assert listing.source == "set.csv" and listing.notes == () and not listing.multi_label


def test_patients_are_pseudonyms_and_never_shown(tmp_path: Path) -> None:
    listing = listed(tmp_path, *ROWS, "i/5.png,normal,MRN-1,train,F,20,north", "i/6.png,normal,,train,F,20,north")
    patients = [entry.patient for entry in listing.entries]
    assert patients[0] == patients[4] != patients[1] and patients[5] is None
    assert "MRN" not in repr(listing) and "MRN" not in str(patients)


@pytest.mark.parametrize("word", ["unknown", "Anonymous", " ANON ", "removed", "xxxx", "NA", "none"])
def test_a_placeholder_names_nobody(tmp_path: Path, word: str) -> None:
    listing = listed(
        tmp_path, *ROWS, f"i/5.png,normal,{word},train,F,20,north", f"i/6.png,normal,{word},test,F,20,north"
    )
    assert [entry.patient for entry in listing.entries[4:]] == [None, None]


def test_zero_is_a_number_like_any_other_in_a_manifest(tmp_path: Path) -> None:
    listing = listed(tmp_path, "i/1.png,a,0", "i/2.png,b,1", "i/3.png,b,0", header="path,label,patient")
    patients = [entry.patient for entry in listing.entries]
    assert patients[0] == patients[2] is not None and patients[0] != patients[1]


def test_only_path_and_label_are_needed(tmp_path: Path) -> None:
    listing = listed(tmp_path, "i/1.png,a", "i/2.png,b", header="path,label")
    assert all((entry.patient, entry.split, dict(entry.groups)) == (None, None, {}) for entry in listing.entries)


def test_columns_may_bear_other_names(tmp_path: Path) -> None:
    listing = listed(tmp_path, "i/1.png,a,x", "i/2.png,b,y", header="file,finding,who", path="file", label="finding",
                     patient="who")  # fmt: skip
    assert [entry.labels for entry in listing.entries] == [("a",), ("b",)] and listing.entries[0].patient


def test_several_labels_an_image(tmp_path: Path) -> None:
    listing = listed(tmp_path, "i/1.png,a|b", "i/2.png,", "i/3.png, b | a |b", "i/4.png,c", header="path,label")
    assert listing.multi_label
    assert [entry.labels for entry in listing.entries] == [("a", "b"), (), ("b", "a"), ("c",)]


def test_absolute_paths_may_lie_anywhere(tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "away/1.png").write_bytes(b"")
    (tmp_path / "set").mkdir()
    listing = listed(tmp_path / "set", f"{tmp_path}/away/1.png,a", "i/2.png,b", header="path,label")
    assert listing.entries[0].path == (tmp_path / "away/1.png").resolve()


def test_columns_without_a_role_are_told_and_misspelt_roles_guessed(tmp_path: Path) -> None:
    notes = listed(tmp_path, "i/1.png,a,x,3", "i/2.png,b,y,4", header="path,label,patint,dose").notes
    assert "2 columns play no role and are not used: 'patint', 'dose'" in notes
    assert any("role 'patient'. Did you mean 'patint'?" in note for note in notes)


def test_a_row_twice_counts_once(tmp_path: Path) -> None:
    listing = listed(tmp_path, *ROWS, ROWS[1])
    assert len(listing.entries) == 4 and any("1 rows repeat" in note for note in listing.notes)


# === What is refused ===


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("../out.png,normal,MRN-5,train,F,30,n", "1 path leaves the manifest's folder: '../out.png'"),
        ("i/link.png,normal,MRN-5,train,F,30,n", "1 path leaves the manifest's folder: 'i/link.png'"),
        ("i/none.png,normal,MRN-5,train,F,30,n", "1 file is missing: 'i/none.png'"),
        ("i,normal,MRN-5,train,F,30,n", "1 file is missing: 'i'"),
        ("/nowhere/1.png,normal,MRN-5,train,F,30,n", "1 file is missing"),
        (f"{'x' * 400}.png,normal,MRN-5,train,F,30,n", "1 file is missing"),
        ("i/loop.png,normal,MRN-5,train,F,30,n", "1 file is missing|leaves"),
        ("i/5.png,normal,MRN-5,tset,F,30,n", "unknown splits: 'tset'"),
        ("i/5.png,normal,MRN-5,,F,30,n", "split"),
        ("i/5.png,,MRN-5,train,F,30,n", r"1 row has no label \(row 5\)"),
        ("i/5.png,None,MRN-5,train,F,30,n", "such as NA and none count as empty"),
        ("i/1.png,pneumonia,MRN-1,train,F,30,n", "1 file has different labels in different rows: 'i/1.png'"),
        ("i/1.png,normal,MRN-1,test,F,30,n", r"the same file stands in two splits \(rows 1, 5\)"),
        ("./i/../i/1.png,pneumonia,MRN-1,train,F,30,n", "different labels"),
        ("i/5.png,normal,MRN-1,test,F,30,n", r"1 patient stands in more than one split \(rows 1, 5\)"),
        ("i/5.png,oedema,MRN-5,test,F,30,n", "never in train: 'oedema'"),
        ("i/5.png,normal,MRN-5,train,F,old,n", "column 'age': row 5"),
        ("i/5.png,normal,MRN-5,train,F,131,n", "column 'age': row 5"),
        (",normal,MRN-5,train,F,30,n", "column 'path': row 5"),
    ],
)
def test_a_wrong_row_is_refused_without_naming_the_patient(tmp_path: Path, row: str, said: str) -> None:
    import re

    folder = tmp_path / "set"
    (folder / "i").mkdir(parents=True)
    (tmp_path / "out.png").write_bytes(b"")
    (folder / "i/link.png").symlink_to(tmp_path / "out.png")
    (folder / "i/loop.png").symlink_to(folder / "i/loop.png")
    text = refused(folder, *ROWS, row)
    assert re.search(said, text) and "MRN" not in text


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = refused(
        tmp_path, *ROWS, "i/none.png,normal,MRN-5,tset,F,30,n", "i/5.png,normal,MRN-1,test,F,999,n",
        "../x.png,,MRN-6,train,F,30,n", "i/6.png,oedema,MRN-7,val,F,30,n", colour="hue",
    )  # fmt: skip
    for said in ("'i/none.png'", "'tset'", "column 'age'", "'../x.png'", "no label (row 7)", "'oedema'",
                 "1 patient stands", "no role 'colour'"):  # fmt: skip
        assert said in text, said


def test_ten_missing_files_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    rows = [f"gone/{number}.png,{'ab'[number % 2]}" for number in range(25)]
    text = refused(tmp_path, *rows, header="path,label")
    assert "25 files are missing" in text and "'gone/9.png' and 15 more" in text and "gone/10" not in text


def test_missing_columns_are_told_with_a_hint(tmp_path: Path) -> None:
    text = refused(tmp_path, "i/1.png,a", header="path,lable")
    assert "no column for the role 'label'" in text and "Did you mean 'lable'" in text


def test_one_label_is_refused(tmp_path: Path) -> None:
    assert "found one label only, 'a'" in refused(tmp_path, "i/1.png,a", "i/2.png,a", header="path,label")


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No file"):
        list_manifest(tmp_path / "set.csv", {})
