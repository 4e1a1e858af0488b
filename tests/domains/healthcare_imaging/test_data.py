"""Splits that keep patients and copies together, the normal class, and what stands beside each image."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.domains.healthcare_imaging import audit as checks
from edgekit.domains.healthcare_imaging import data, duplicates
from edgekit.domains.healthcare_imaging.config import DataSettings, ImagingConfig
from edgekit.domains.healthcare_imaging.data import make_plan, normal_class, prepare, split
from edgekit.domains.healthcare_imaging.scans import Scans
from edgekit.shared.errors import ConfigError, ContractError, SourceError
from edgekit.shared.splits import Splits

PARTS = ("train", "validation", "test")


def scans(count: int = 120, *, classes: int = 2, seed: int = 0, **changes: Any) -> Scans:
    """Return unlike noise images; every class has its share."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 7, 7, 1))
    images = np.kron(coarse, np.ones((1, 4, 4, 1))).astype(np.uint8)  # 28 pixels with structure
    labels = np.arange(count, dtype=np.int64) % classes
    names = ("normal", "b", "c", "d")[:classes]
    return replace(Scans(images, labels, names, "made up", f"print {seed}"), **changes)


def with_copies(given: Scans, pairs: dict[int, int]) -> Scans:
    """Return the set with images and labels of the keys replaced by those of the values, brighter by a hair."""
    images, labels = given.images.copy(), given.labels.copy()
    for row, original in pairs.items():
        images[row] = np.clip(images[original].astype(int) * 0.97 + 2, 0, 255).astype(np.uint8)
        labels[row] = labels[original]
    return replace(given, images=images, labels=labels)


def configured(**settings: Any) -> ImagingConfig:
    return ImagingConfig(data=DataSettings(**settings))


def sides(units: np.ndarray, splits: Splits) -> list[set[Any]]:
    return [set(units[rows].tolist()) for rows in splits.parts().values()]


def disjoint(sets: list[set[Any]]) -> bool:
    return len(set.union(*sets)) == sum(map(len, sets))


# === Which split ===


def test_no_patient_stands_in_two_splits() -> None:
    given = scans(patient=np.repeat(np.arange(40), 3), labels=np.repeat(np.arange(40) % 2, 3))
    made = split(given, configured(), seed=1)
    assert disjoint(sides(given.patient, made)) and "patients" in made.rule  # type: ignore[arg-type]
    assert sum(map(len, made.parts().values())) == 120
    shares = [len(units) for units in sides(given.patient, made)]  # type: ignore[arg-type]
    assert shares == [26, 6, 8]


@pytest.mark.parametrize("kind", ["auto", "group"])
def test_no_copies_stand_in_two_splits(kind: str) -> None:
    given = with_copies(scans(), {row: row - 60 for row in range(60, 100)})
    near = given.copies.near
    assert len(np.unique(near)) == 80
    made = split(given, configured(split=kind), seed=1)
    assert disjoint(sides(near, made)) and "near-duplicate groups" in made.rule
    assert not checks.leaked(given, made).any()


def test_of_exact_copies_one_is_kept() -> None:
    given = scans()
    given.images[100:110] = given.images[:10]
    given.labels[100:110] = given.labels[:10]
    made = split(given, configured(split="group"), seed=0)
    assert not set(range(100, 110)) & set(np.concatenate(list(made.parts().values())).tolist())
    assert any("10 exact copies" in note for note in made.notes)


def test_a_split_by_group_keeps_patients_whole_and_leaves_exact_copies_out() -> None:
    given = scans(patient=np.repeat(np.arange(40), 3))
    given.images[100] = given.images[3]
    made = split(given, configured(split="group"), seed=0)
    assert disjoint(sides(given.patient, made)) and "patients" in made.rule  # type: ignore[arg-type]
    assert sum(map(len, made.parts().values())) == 119
    assert sum(map(len, split(given, configured(split="patient"), seed=0).parts().values())) == 120


@pytest.mark.parametrize("kind", ["auto", "patient", "group"])
def test_copies_under_two_patients_stand_in_one_split(kind: str) -> None:
    patient = np.arange(120)
    given = with_copies(scans(patient=patient // 2, labels=patient // 2 % 2), {row: row - 60 for row in range(60, 100)})
    made = split(given, configured(split=kind), seed=1)
    assert disjoint(sides(given.copies.near, made)) and disjoint(sides(patient // 2, made))
    assert "each of 40 patients" in made.rule and any("20 patients stand with another" in note for note in made.notes)


@pytest.mark.parametrize("named", [True, False])
def test_blank_frames_tie_nobody_together(named: bool) -> None:
    owner = np.arange(120) // 3
    given = scans(**{"patient" if named else "file": owner}, labels=owner % 2)
    given.images[::3] = 0
    given.images[::6] = 1
    assert given.unit.tolist() == owner.tolist()
    made = split(given, configured(), seed=0)
    assert sum(map(len, made.parts().values())) == 120 and not checks.leaked(given, made).any()


@pytest.mark.parametrize("kind", ["auto", "group"])
def test_a_file_of_several_frames_does_not_hide_copies_of_others(kind: str) -> None:
    file = np.r_[0, 0, 0, np.arange(1, 118)]
    given = with_copies(scans(file=file), {row: row - 60 for row in range(63, 100)})
    given.images[110], given.labels[110] = given.images[20], given.labels[20]
    made = split(given, configured(split=kind), seed=1)
    assert disjoint(sides(given.copies.near, made)) and disjoint(sides(file, made))
    assert "near-duplicate groups" in made.rule and any("1 exact copies" in note for note in made.notes)


@pytest.mark.parametrize("kind", ["auto", "own"])
def test_the_sets_own_split_is_kept_exactly(kind: str) -> None:
    own = np.random.default_rng(0).integers(0, 3, 120).astype(np.int8)
    given = scans(split=own, patient=np.arange(120) // 2)  # patients on two sides: the audit says so
    made = split(given, configured(split=kind), seed=5)
    assert all(rows.tolist() == np.flatnonzero(own == code).tolist() for code, rows in enumerate(made.parts().values()))


@pytest.mark.parametrize("named", [True, False])
def test_a_missing_validation_split_is_taken_from_train_by_group(named: bool) -> None:
    own = np.repeat([2, 0], [30, 90]).astype(np.int8)
    given = scans(split=own, patient=np.arange(120) // 3 if named else None, labels=np.arange(120) // 3 % 2)
    given = given if named else with_copies(given, {row: row - 30 for row in range(60, 90)})
    made = split(given, configured(), seed=3)
    assert made.test.tolist() == list(range(30))
    assert sorted([*made.train, *made.validation]) == list(range(30, 120))
    units = given.patient if named else given.copies.near
    assert disjoint(sides(units, made)[:2]) and 5 <= len(made.validation) <= 25  # type: ignore[arg-type]
    assert "validation" in made.rule
    assert set(given.labels[made.validation]) == {0, 1}


def test_seeds_decide_and_decide_alone() -> None:
    one, same, other = (split(scans(), configured(), seed=seed) for seed in (0, 0, 1))
    assert all(np.array_equal(one.parts()[part], same.parts()[part]) for part in PARTS)
    assert not np.array_equal(one.test, other.test)


def test_a_rare_class_reaches_every_split() -> None:
    labels = np.zeros(120, np.int64)
    labels[:3] = 2
    labels[3:60] = 1
    given = scans(classes=3, labels=labels)
    assert all(2 in labels[rows] for rows in split(given, configured(), seed=0).parts().values())


def test_several_labels_are_spread_by_whether_there_is_any() -> None:
    labels = np.zeros((120, 2), np.uint8)
    labels[:40, 0] = labels[30:50, 1] = 1
    made = split(scans(labels=labels, classes=2), configured(), seed=0)
    shares = [labels[rows].any(axis=1).mean() for rows in made.parts().values()]
    assert shares == pytest.approx([50 / 120] * 3, abs=0.05)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_of_several_labels_the_rarest_reaches_every_split(seed: int) -> None:
    labels = np.zeros((120, 3), np.uint8)
    labels[:, 0] = 1  # every image has a label
    labels[::2, 2] = 1
    labels[[4, 50, 99], 1] = 1
    made = split(scans(labels=labels, classes=3), configured(), seed=seed)
    assert [int(labels[rows, 1].sum()) for rows in made.parts().values()] == [1, 1, 1]
    assert [labels[rows, 2].mean() for rows in made.parts().values()] == pytest.approx([0.5] * 3, abs=0.05)


def test_labels_that_always_come_together_are_split_without_strata() -> None:
    labels = np.ones((120, 2), np.uint8)
    labels[::2, 1] = 0  # every image has the first, patients have both
    made = split(scans(labels=labels, patient=np.arange(120) // 2), configured(), seed=0)
    assert all(0 < labels[rows, 1].mean() < 1 for rows in made.parts().values())


# === What is refused ===


@pytest.mark.parametrize(("kind", "said"), [("patient", "column patient"), ("own", "column split")])
def test_a_split_that_the_set_does_not_offer_is_refused(kind: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"data.split = {kind}.*{said}"):
        split(scans(), configured(split=kind), seed=0)


@pytest.mark.parametrize("patient", [None, np.arange(120)])
def test_a_class_with_one_image_is_refused_by_name(patient: np.ndarray | None) -> None:
    labels = np.arange(120) % 2
    labels[7] = 2
    with pytest.raises(ContractError, match=r"at least 3 .*; found c: 1\. Bring more"):
        split(scans(classes=3, labels=labels, patient=patient), configured(), seed=0)


def test_every_poor_class_is_named_at_once() -> None:
    labels = np.arange(120) % 2
    labels[[7, 8, 9]] = 2, 2, 3
    with pytest.raises(ContractError, match="found c: 2, d: 1"):
        split(scans(classes=4, labels=labels), configured(), seed=0)


def test_images_of_one_patient_are_not_enough_for_a_class() -> None:
    labels = np.zeros(120, np.int64)
    labels[:30] = 1
    with pytest.raises(ContractError, match="3 patients, one for each split; found b: 1"):
        split(scans(labels=labels, patient=np.arange(120) // 30), configured(), seed=0)


def test_of_several_labels_each_is_counted_alone_and_named() -> None:
    labels = np.zeros((120, 4), np.uint8)
    labels[:60, 0] = labels[5:7, 1] = labels[70, 3] = 1
    labels[8:20, 2] = 1
    with pytest.raises(ContractError, match=r"every label needs at least 3 .*; found b: 2, d: 1\. Bring more"):
        split(scans(labels=labels, classes=4), configured(), seed=0)


def test_a_split_that_leaves_one_kind_of_image_is_refused() -> None:
    labels = np.ones((120, 2), np.uint8)
    labels[:2] = 0  # too few to reach three splits
    with pytest.raises(ContractError, match="all labels are alike in .*(validation|test)"):
        split(scans(labels=labels), configured(), seed=0)


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize(("code", "part"), [(0, "train"), (1, "validation"), (2, "test")])
def test_an_own_split_with_one_class_in_a_part_is_refused(code: int, part: str, multi: bool) -> None:
    own = np.repeat([0, 1, 2], 40).astype(np.int8)
    labels = np.arange(120) % 2
    labels[own == code] = 1
    several = np.stack([labels, labels], axis=1).astype(np.uint8)
    with pytest.raises(ContractError, match=rf"made up: all labels are alike in {part}\. .*data.split=group"):
        split(scans(split=own, labels=several if multi else labels), configured(), seed=0)


def test_two_of_three_classes_are_enough_for_a_part() -> None:
    own = np.repeat([0, 1, 2], 40).astype(np.int8)
    labels = np.r_[np.arange(40) % 3, np.arange(40) % 2, np.arange(40) % 2 + 1]
    assert len(split(scans(split=own, labels=labels, classes=3), configured(), seed=0).test) == 40


@pytest.mark.parametrize("codes", [[0, 1], [1, 2], [0], [2]])
def test_an_own_split_without_train_or_test_is_refused(codes: list[int]) -> None:
    own = np.resize(codes, 120).astype(np.int8)
    with pytest.raises(ContractError, match=f"has {(own == 0).sum()} training and {(own == 2).sum()} test images"):
        split(scans(split=own), configured(), seed=0)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ContractError, match="20 rows"):
        split(scans(20), configured(), seed=0)


# === The normal class ===


@pytest.mark.parametrize(
    ("classes", "code"),
    [
        (("glioma", "no_tumor", "pituitary"), 1),
        (("Pneumonia", "NORMAL"), 1),
        (("glioma", "notumor"), 1),
        (("mild", "NoDR"), 1),
        (("mild", "No_DR"), 1),
        (("mass", "nofinding"), 1),
        (("mass", "No finding"), 1),
        (("mass", "without-mass"), 1),
        (("bleeding", "not bleeding"), 1),
        (("cases", "controls"), 1),
        (("a", "Healthy lung"), 0),  # names are matched whole
        (("ill", "non-ill"), 0),
        (("adenocarcinoma", "clear cell carcinoma"), 0),
        (("small cell", "non-small cell"), 0),
        (("Hodgkin lymphoma", "Non-Hodgkin lymphoma"), 0),
        (("a", "north"), 0),
        (("a", "no 2"), 0),
        (("other", "nodule"), 0),  # a word that only begins like one
        (("abnormal", "fine"), 0),
        (("positive", "negative"), 1),
        (("b", "a"), 0),
    ],
)
def test_the_normal_class_is_the_one_whose_name_says_so_else_the_first(classes: tuple[str, ...], code: int) -> None:
    assert normal_class(classes, configured()) == code


def test_the_normal_class_can_be_named() -> None:
    assert normal_class(("normal", "fine"), configured(normal="fine")) == 1
    with pytest.raises(ConfigError, match="Did you mean 'fine'"):
        normal_class(("normal", "fine"), configured(normal="fin"))


def test_a_guess_at_the_normal_class_is_told() -> None:
    given = scans(classes=2, patient=np.arange(120))
    other = replace(given, classes=("b", "c"))

    def notes(chosen: Scans, config: ImagingConfig) -> tuple[str, ...]:
        return prepare(chosen, split(chosen, config, seed=0), config).notes

    assert any("'normal' is taken for the normal one" in note for note in notes(given, configured()))
    assert any("'b' is taken for the normal one; name another" in note for note in notes(other, configured()))
    assert notes(given, configured(normal="normal")) == ()
    assert notes(other, configured(normal="c")) == ()
    assert any("no patient is named" in note for note in notes(replace(given, patient=None), configured()))


def test_of_several_labels_none_can_be_named_normal() -> None:
    given = scans(labels=np.eye(2, dtype=np.uint8)[np.arange(120) % 2])
    assert make_plan(given, configured()).multi_label
    with pytest.raises(ConfigError, match=r"data\.normal = normal has no meaning.*several labels"):
        make_plan(given, configured(normal="normal"))


# === Model inputs ===


@pytest.mark.parametrize(
    ("fit", "cropped", "expected"), [("auto", True, "crop"), ("auto", False, "pad"), ("pad", True, "pad")]
)
def test_the_plan_knows_how_images_were_made_square(fit: str, cropped: bool, expected: str) -> None:
    plan = make_plan(scans(cropped=cropped, classes=3), configured(fit=fit, axis=1))
    assert (plan.fit, plan.size, plan.channels, plan.axis, plan.classes) == (expected, 28, 1, 1, ("normal", "b", "c"))
    assert (plan.normal, plan.multi_label) == (0, False)


def test_images_and_what_stands_beside_them_stay_together() -> None:
    sex = np.array(["F", "M", ""], dtype=object)[np.arange(120) % 3]
    lesions = np.random.default_rng(0).random((120, 28, 28)) < 0.1
    given = scans(classes=3, patient=np.arange(120) // 2 + 500, groups={"sex": sex}, lesions=lesions)
    config = configured(normal="b")
    splits = split(given, config, seed=0)
    made = prepare(given, splits, config)
    for part, rows in splits.parts().items():
        found = getattr(made, part)
        np.testing.assert_array_equal(found.inputs["image"], given.images[rows])
        np.testing.assert_array_equal(found.target, given.labels[rows])
        np.testing.assert_array_equal(found.context["unit"], given.unit[rows])
        np.testing.assert_array_equal(found.context["finding"], given.labels[rows] != 1)
        np.testing.assert_array_equal(found.context["by sex"], sex[rows])
        np.testing.assert_array_equal(found.context["lesions"], lesions[rows])
        assert set(found.context["normal"]) == {1}


def test_a_rare_value_of_a_subgroup_names_nobody() -> None:
    site = np.array(["north"] * 60 + ["south"] * 20 + ["hut"] * 19 + ["home of X"] + [""] * 20, dtype=object)
    given = scans(groups={"site": site})
    made = prepare(given, split(given, configured(), seed=0), configured())
    found = np.concatenate([getattr(made, part).context["by site"] for part in PARTS])
    assert {value: int((found == value).sum()) for value in set(found)} == {
        "north": 60,
        "south": 20,
        "others": 20,
        "": 20,
    }


def test_patients_with_copies_of_each_other_are_one_unit() -> None:
    given = with_copies(scans(patient=np.arange(120) // 2 + 7), {110: 0})
    units = given.unit
    assert len(np.unique(units)) == 59 and units[110] == units[111] == units[0] == units[1] and units.dtype == np.int64


def test_without_patients_copies_are_one_unit() -> None:
    given = with_copies(scans(), {110: 0, 111: 0})
    made = prepare(given, split(given, configured(), seed=0), configured())
    units = np.concatenate([getattr(made, part).context["unit"] for part in PARTS])
    assert len(units) == 119 and len(np.unique(units)) == 118  # 110 and 111 are equal: one of them is kept
    assert "lesions" not in made.test.context


def test_leaked_images_of_an_own_split_are_marked() -> None:
    own = np.repeat([0, 1, 2], 40).astype(np.int8)
    given = with_copies(scans(split=own), {80: 3, 81: 41, 42: 5})
    made = prepare(given, split(given, configured(), seed=0), configured())
    assert np.flatnonzero(made.test.context["leaked"]).tolist() == [0, 1]
    assert np.flatnonzero(made.validation.context["leaked"]).tolist() == [2]
    assert not made.train.context["leaked"].any()


def test_a_mapped_set_stays_mapped(tmp_path: Path) -> None:
    given = scans()
    path = tmp_path / "images"
    path.write_bytes(given.images.tobytes())
    mapped = replace(given, images=np.memmap(path, dtype=np.uint8, mode="r", shape=given.images.shape))
    splits = split(mapped, configured(), seed=0)
    made = prepare(mapped, splits, configured())
    images = made.train.inputs["image"]
    assert type(images) is np.ndarray and isinstance(images.base, np.memmap)  # the interpreter takes no subclasses
    np.testing.assert_array_equal(images, given.images[splits.train])


def test_more_images_than_are_copied_at_once_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "_CHUNK", 7)
    images = np.memmap(tmp_path / "images", dtype=np.uint8, mode="w+", shape=(50, 4, 4, 1))
    images[:] = np.arange(50)[:, None, None, None]
    rows = np.random.default_rng(0).permutation(50)[:33]
    assert data._gathered(images, rows)[:, 0, 0, 0].tolist() == rows.tolist()


def test_copies_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given, found = scans(), []
    real = duplicates.find_copies
    monkeypatch.setattr(duplicates, "find_copies", lambda those: found.append(those) or real(those))
    splits = split(given, configured(), seed=0)
    prepare(given, splits, configured())
    data.audit(given, splits, configured())
    assert len(found) == 1 and found[0] is given.images


def test_a_set_is_not_kept_alive() -> None:
    given = scans()
    split(given, configured(), seed=0)
    gone = weakref.ref(given)
    del given
    gc.collect()
    assert gone() is None


def test_no_room_for_a_split_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.memmap(tmp_path / "images", dtype=np.uint8, mode="w+", shape=(50, 4, 4, 1))
    monkeypatch.setattr("tempfile.TemporaryFile", partial(open, "/dev/full", "wb"))
    with pytest.raises(SourceError, match="cannot be written to .*TMPDIR"):
        data._gathered(images, np.arange(30))


def test_the_audit_sees_what_the_split_leaves_on_two_sides() -> None:
    own = np.repeat([0, 1, 2], 40).astype(np.int8)
    given = with_copies(scans(split=own), {80: 3})
    titles = [finding.title for finding in data.audit(given, split(given, configured(), seed=0), configured())]
    assert "Test images stand in train" in titles
