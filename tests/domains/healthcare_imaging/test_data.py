"""Splits that keep patients and copies together, the normal class, and what stands beside each image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.domains.healthcare_imaging import audit as checks
from edgekit.domains.healthcare_imaging import data
from edgekit.domains.healthcare_imaging.config import DataSettings, ImagingConfig
from edgekit.domains.healthcare_imaging.data import make_plan, normal_class, prepare, split
from edgekit.domains.healthcare_imaging.scans import Scans
from edgekit.shared.errors import ConfigError, ContractError
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
    near = data.copies_of(given).near
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


def test_a_split_by_group_ignores_patients_if_asked_to() -> None:
    given = scans(patient=np.repeat(np.arange(40), 3))
    assert not disjoint(sides(given.patient, split(given, configured(split="group"), seed=0)))  # type: ignore[arg-type]


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
    units = given.patient if named else data.copies_of(given).near
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


def test_of_several_labels_images_with_and_without_are_needed() -> None:
    labels = np.ones((120, 2), np.uint8)
    labels[:2] = 0
    with pytest.raises(ContractError, match="found without a label: 2"):
        split(scans(labels=labels), configured(), seed=0)


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
        (("a", "Healthy lung"), 1),
        (("ill", "non-ill"), 1),
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

    assert notes(given, configured()) == ()
    assert any("'b' is taken for the normal one" in note for note in notes(other, configured()))
    assert notes(other, configured(normal="c")) == ()
    assert any("no patient is named" in note for note in notes(replace(given, patient=None), configured()))


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
        np.testing.assert_array_equal(found.context["unit"], given.patient[rows])  # type: ignore[index]
        np.testing.assert_array_equal(found.context["finding"], given.labels[rows] != 1)
        np.testing.assert_array_equal(found.context["by sex"], sex[rows])
        np.testing.assert_array_equal(found.context["lesions"], lesions[rows])
        assert set(found.context["normal"]) == {1}


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
    real = checks.find_copies
    monkeypatch.setattr(checks, "find_copies", lambda those: found.append(those) or real(those))
    splits = split(given, configured(), seed=0)
    prepare(given, splits, configured())
    data.audit(given, splits, configured())
    assert found == [given]


def test_the_audit_sees_what_the_split_leaves_on_two_sides() -> None:
    own = np.repeat([0, 1, 2], 40).astype(np.int8)
    given = with_copies(scans(split=own), {80: 3})
    titles = [finding.title for finding in data.audit(given, split(given, configured(), seed=0), configured())]
    assert "Test images stand in train" in titles
