"""Findings of the audit: counted by hand, and silent about patients and pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from edgekit.domains.healthcare_imaging.audit import audit, has_text, leaked, text_like
from edgekit.domains.healthcare_imaging.config import DataSettings, ImagingConfig
from edgekit.domains.healthcare_imaging.duplicates import Copies
from edgekit.domains.healthcare_imaging.scans import Scans
from edgekit.domains.healthcare_imaging.synthesis import golden_scans
from edgekit.shared.audit import Finding
from edgekit.shared.splits import Splits

CONFIG = ImagingConfig()


def config(split: Literal["own", "group"]) -> ImagingConfig:
    return ImagingConfig(data=DataSettings(split=split))


def scans(count: int = 80) -> Scans:
    """Return different images, half of each class, in turn."""
    images = golden_scans(count + 2, size=64, channels=1, seed=0)[:count]
    return Scans(images, np.arange(count, dtype=np.int64) % 2, ("no", "yes"), "drawn", "0")


def splits(count: int = 80) -> Splits:
    """Train on the first half, validate on the next quarter, test on the last."""
    train, validation, test = np.split(np.arange(count), [count // 2, 3 * count // 4])
    return Splits(train, validation, test, rule="by hand")


def copied(*pairs: tuple[int, int], near: bool = False) -> Scans:
    """Return scans in which row ``later`` repeats row ``earlier``, paler if ``near``."""
    made = scans()
    images = made.images.copy()
    for later, earlier in pairs:
        images[later] = (images[earlier] * (0.8 if near else 1)).round()
    return replace(made, images=images)


def titles(findings: list[Finding]) -> dict[str, str]:
    return {finding.title: finding.severity for finding in findings}


def detail(findings: list[Finding], title: str) -> str:
    return next(finding.detail for finding in findings if finding.title == title)


def test_clean_scans_give_the_table_of_classes_alone() -> None:
    findings = audit(scans(), splits(), CONFIG)
    assert titles(findings) == {"Images per class": "info"}
    assert findings[0].detail == "train: no 20, yes 20; validation: no 10, yes 10; test: no 10, yes 10."


def test_copies_of_train_in_test_are_an_error_with_counts() -> None:
    made = copied((60, 0), (62, 0), (64, 4))
    images = made.images.copy()
    images[66] = (images[6] * 0.8).round()
    findings = audit(replace(made, images=images), splits(), config("own"))
    assert titles(findings)["Test images stand in train"] == "error"
    text = detail(findings, "Test images stand in train")
    assert text.startswith("4 of 20 test images (20.0%) have a copy in train or validation: 3 exact copies, 1 near")
    assert (
        "images 61, 63, 65, 67 (counted from 1, in the order of the set)." in text and "--set data.split=group" in text
    )


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize(
    ("later", "earlier", "title"),
    [(42, 2, "Validation images stand in train"), (62, 42, "Test images stand in validation")],
)
def test_copies_elsewhere_are_a_warning(later: int, earlier: int, title: str, near: bool) -> None:
    findings = audit(copied((later, earlier), near=near), splits(), CONFIG)
    assert titles(findings)[title] == "warning"
    assert f"{int(not near)} exact copies, {int(near)} near copies" in detail(findings, title)


def test_the_advice_names_the_patient_where_one_is_known() -> None:
    made = replace(copied((60, 0)), patient=np.arange(80))
    assert "data.split=patient" in detail(audit(made, splits(), CONFIG), "Test images stand in train")


def test_copies_whose_labels_disagree_are_named() -> None:
    findings = audit(copied((1, 0), (3, 2), (4, 2)), splits(), CONFIG)
    text = detail(findings, "Copies with different labels")
    assert text.startswith("5 images in 2 groups of copies carry labels that disagree (5 of them with an exact copy")
    assert "Copies with different labels" not in titles(audit(copied((2, 0)), splits(), CONFIG))


def test_labels_of_several_classes_are_compared_whole() -> None:
    both = np.zeros((80, 2), dtype=np.uint8)
    both[::2, 0] = both[:40, 1] = 1
    made = replace(copied((2, 0), (3, 0)), labels=both)
    text = detail(audit(made, splits(), CONFIG), "Copies with different labels")
    assert text.startswith("3 images in 1 groups")


@pytest.mark.parametrize(("pairs", "severity"), [([(2, 0)], "info"), ([(2, 0), (4, 0)], "warning")])
def test_many_copies_within_a_split_are_a_warning(pairs: list[tuple[int, int]], severity: str) -> None:
    findings = audit(copied(*pairs), splits(), CONFIG)
    assert titles(findings)["Copies within train"] == severity
    assert detail(findings, "Copies within train").startswith(f"{len(pairs)} of 40 train images")


def test_a_patient_on_two_sides_is_named_by_count_only() -> None:
    patient = np.arange(80) + 9000
    patient[[60, 61]] = 9000
    findings = audit(replace(scans(), patient=patient), splits(), CONFIG)
    text = detail(findings, "The same patients in train and test")
    assert text.startswith("1 of 19 patients in test") and "data.split=patient" in text
    assert not any("9000" in finding.detail for finding in findings)


def test_rare_classes_and_moved_shares_are_reported() -> None:
    labels = np.zeros(80, dtype=np.int64)
    labels[:20] = 1
    findings = audit(replace(scans(), labels=labels), splits(), CONFIG)
    assert titles(findings)["Classes with few test images"] == "warning"
    assert "yes (0)" in detail(findings, "Classes with few test images")
    assert titles(findings)["Share of class 'yes' moved in test"] == "warning"
    assert "train 50.0% of 40" in detail(findings, "Share of class 'yes' moved in test")
    assert "Share of class 'no' moved in test" not in titles(findings)  # the same news


def test_leaked_rows_are_those_with_a_copy_in_an_earlier_split() -> None:
    made = copied((2, 0), (42, 0), (62, 42), (64, 44), (66, 68))
    images = made.images.copy()
    images[70] = (images[10] * 0.8).round()
    made = replace(made, images=images)
    found = leaked(made, splits())
    assert found.dtype == bool and np.flatnonzero(found).tolist() == [42, 62, 64, 70]


def test_images_of_known_patients_are_leaked_too() -> None:
    patient = np.arange(80)
    patient[[42, 61, 62, 79]] = 3, 4, 43, 78  # the last stands beside another test image only
    assert np.flatnonzero(leaked(replace(scans(), patient=patient), splits())).tolist() == [42, 61, 62]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (np.r_[0:30, 31:81], "images 62, 64 (counted from 1, in the order of the files)."),  # file 31 could not be read
        (np.arange(80) // 2 + 2, "frames of the files 33, 34 (counted from 1)."),
    ],
)
def test_copies_are_named_by_the_place_of_their_file(file: np.ndarray, said: str) -> None:
    assert said in detail(
        audit(replace(copied((60, 0), (62, 0)), file=file), splits(), CONFIG), "Test images stand in train"
    )


def knowing(made: Scans, copies: Copies) -> Scans:
    made.__dict__["copies"] = copies
    return made


def test_known_copies_are_not_looked_for_again() -> None:
    nothing = Copies(np.arange(80), np.arange(80), np.zeros(80, bool))
    assert not leaked(knowing(copied((60, 0)), nothing), splits()).any()
    assert titles(audit(knowing(copied((60, 0)), nothing), splits(), CONFIG)) == {"Images per class": "info"}


# === Burnt-in text ===


def written(images: np.ndarray, rows: np.ndarray, *, height: int = 10) -> np.ndarray:
    images = images.copy()
    for row in rows:
        picture = Image.fromarray(images[row, :, :, 0])
        font = ImageFont.load_default(size=height)
        ImageDraw.Draw(picture).text((2, 2), "R 12:45", fill=255, font=font)
        images[row, :, :, 0] = np.asarray(picture)
    return images


@pytest.mark.parametrize("size", [96, 192])
@pytest.mark.parametrize("corner", ["as written", "upside down"])
def test_text_in_a_corner_is_found_and_anatomy_is_not(size: int, corner: str) -> None:
    images = written(golden_scans(12, size=size, channels=1, seed=0), np.arange(0, 10, 2))
    if corner == "upside down":
        images = images[:, ::-1, ::-1]
    assert text_like(images, np.arange(12)).tolist() == [True, False] * 5 + [False] * 2


def test_a_bright_line_is_not_text() -> None:
    images = golden_scans(12, size=96, channels=1, seed=0)[:10]
    images[:, :, 5:7] = 255  # as an edge of the film
    assert not text_like(images, np.arange(10)).any()


def test_text_that_goes_with_a_class_is_a_warning_and_other_text_is_none() -> None:
    made = scans()
    images = golden_scans(82, size=96, channels=1, seed=0)[:80]
    known = Copies(np.arange(80), np.arange(80), np.zeros(80, bool))
    biased = replace(made, images=written(images, np.arange(1, 40, 2)))
    findings = audit(knowing(biased, known), splits(), CONFIG)
    assert titles(findings)["Marks like burnt-in text go with the class"] == "warning"
    text = detail(findings, "Marks like burnt-in text go with the class")
    assert "20 of 40 train images" in text and "no 0.0% of 20, yes 100.0% of 20" in text
    even = replace(made, images=written(images, np.arange(0, 20)))
    assert titles(audit(knowing(even, known), splits(), CONFIG))["Marks like burnt-in text"] == "info"


@pytest.mark.parametrize(("marked", "found"), [(2, False), (3, True)])
def test_text_in_a_small_share_of_the_images_is_told(marked: int, found: bool) -> None:
    plain = golden_scans(122, size=96, channels=1, seed=0)[:120]
    images, rows = written(plain, np.arange(marked)), np.arange(120)
    few = Scans(images, rows % 2, ("no", "yes"), "drawn", "0")
    findings = audit(
        knowing(few, Copies(rows, rows, rows < 0)), Splits(rows[:80], rows[80:100], rows[100:], "by hand"), CONFIG
    )
    assert ("Marks like burnt-in text" in titles(findings)) is found and has_text(images) is found
    assert not has_text(images[3:]) and not has_text(images[:0])
    if found:
        assert detail(findings, "Marks like burnt-in text").startswith(
            "Bright strokes like letters stand in a corner of 3 of 80"
        )
