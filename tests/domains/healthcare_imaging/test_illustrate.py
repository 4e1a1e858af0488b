"""The imaging sections of a report: all of them render, none shows what it cannot know, and no patient is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.domains.healthcare_imaging import foreign, verdicts
from edgekit.domains.healthcare_imaging import illustrate as module
from edgekit.domains.healthcare_imaging.config import DataSettings, ImagingConfig
from edgekit.domains.healthcare_imaging.features import Plan
from edgekit.domains.healthcare_imaging.illustrate import heat_in_lesions, illustrate, refusals
from edgekit.domains.healthcare_imaging.verdicts import DISTANCE, HEAT, PROBABILITY, SUSPICION, OperatingPoint
from edgekit.shared.domain import Arrays, Examples, Prepared
from edgekit.shared.estimates import Estimate
from edgekit.shared.report import Figure, Report, Section, Table, Text
from edgekit.shared.report_html import render_html

ROWS, VALIDATION_ROWS = 120, 80
POINT = OperatingPoint(0.5, "sensitivity of at least 0.95", {}, 0.6, 0.9, 2.0, ())
ALWAYS = ["Operating point", "Calibration", "Abstention", "Foreign images"]


class Case:
    """Made-up answers for made-up test images; ``predict`` refuses every image whose mean is far from grey."""

    def __init__(self, classes: int = 2, *, several: bool = False, channels: int = 1, **context: Any) -> None:
        rng = np.random.default_rng(classes)
        self.plan = Plan(16, channels, "pad", 2, ("normal", "b", "c", "d")[:classes], 0, several)
        self.images = rng.integers(0, 256, (ROWS, 16, 16, channels)).astype(np.uint8)
        truth = (rng.random((ROWS, classes)) < 0.4).astype(np.uint8) if several else np.arange(ROWS) % classes
        given = truth if several else np.eye(classes)[truth]
        logits = rng.normal(size=(ROWS, classes)) + 1.5 * given
        likely = 1 / (1 + np.exp(1 - logits)) if several else np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        self.point = replace(POINT, labels=(0.5,) * classes if several else ())
        self.answers = {
            PROBABILITY: likely.astype(np.float32),
            SUSPICION: verdicts.suspicion(likely.astype(np.float32), normal=0, multi_label=several),
            DISTANCE: rng.random((ROWS, 1)).astype(np.float32),
            HEAT: rng.random((ROWS, 4, 4, classes)).astype(np.float32),
        }
        known = {
            "unit": np.arange(ROWS) // 2,
            "finding": (truth.any(axis=1) if several else truth > 0).astype(np.int64),
            "normal": np.zeros(ROWS, np.int64),
            "leaked": np.zeros(ROWS, bool),
        }
        test = Examples({"image": self.images}, truth, {**known, **context})
        self.prepared = Prepared(self.plan, test, test.take(slice(VALIDATION_ROWS)), test)

    def predict(self, inputs: Arrays) -> dict[str, np.ndarray]:
        mean = inputs["image"].mean(axis=(1, 2, 3))
        return {DISTANCE: np.abs(mean - 128)[:, None] / 20}

    def sections(self, config: ImagingConfig | None = None, **others: Arrays) -> dict[str, Section]:
        made = illustrate(
            {"tflite": self.answers, **others}, self.prepared, self.point, config or ImagingConfig(),
            predict=self.predict,
        )  # fmt: skip
        return {section.title: section for section in made}


def table(section: Section) -> Table:
    return next(block for block in section.blocks if isinstance(block, Table))


def cells(section: Section) -> dict[Any, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in table(section).rows}


def groups(**named: Any) -> dict[str, np.ndarray]:
    return {f"by {name}": np.array(values, dtype=object) for name, values in named.items()}


# === Rendering ===


@pytest.mark.parametrize(
    ("classes", "several", "channels"), [(2, False, 1), (4, False, 3), (3, True, 1)], ids=["two", "four", "several"]
)
def test_every_section_renders(classes: int, several: bool, channels: int) -> None:
    lesions = np.zeros((ROWS, 16, 16), bool)
    lesions[::3, 4:8, 4:8] = True
    made = Case(
        classes, several=several, channels=channels, lesions=lesions, leaked=np.arange(ROWS) % 3 == 0,
        **groups(sex=["F", "M", ""] * 40),
    ).sections()  # fmt: skip
    assert list(made) == ["Where the network looked", "With and without the leaked images", *ALWAYS[:3], "Subgroups",
                          ALWAYS[3]]  # fmt: skip
    page = render_html(Report("t", Text("lead"), tuple(made.values())))
    assert all(title in page for title in made)
    assert page.count("<svg") >= 4 and "data:image/png;base64," in page


def test_images_can_be_left_out() -> None:
    made = Case().sections(ImagingConfig(data=DataSettings(show_images=False)))
    assert list(made) == ALWAYS
    assert "data:image/png" not in render_html(Report("t", Text("lead"), tuple(made.values())))


# === Heat maps ===


def shown(case: Case, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, np.ndarray]]:
    found = []
    monkeypatch.setattr(module.plots, "pictures", lambda rows, columns: found.extend(rows) or "<svg/>")
    case.sections()
    return [(text, pair[0]) for text, pair in found]


def test_the_images_shown_are_the_telling_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case()
    found = shown(case, monkeypatch)
    suspicion, finding = case.answers[SUSPICION][:, 0], case.prepared.test.context["finding"] > 0
    flagged = suspicion >= 0.5
    rows = [
        max(np.flatnonzero(finding & flagged), key=lambda row: suspicion[row]),
        min(np.flatnonzero(finding & flagged), key=lambda row: suspicion[row]),
        min(np.flatnonzero(finding & ~flagged), key=lambda row: suspicion[row]),
        max(np.flatnonzero(~finding & flagged), key=lambda row: suspicion[row]),
    ]
    for (text, image), row in zip(found, rows, strict=True):
        assert f"suspicion {suspicion[row]:.2f}" in text
        np.testing.assert_array_equal(image, case.images[row, ..., 0])


def test_of_several_labels_an_image_without_one_is_not_flagged_whatever_its_suspicion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = Case(3, several=True)
    case.point = replace(case.point, value=0.0, labels=(0.999,) * 3)  # every suspicion is above the threshold
    assert {text.split("\n")[0] for text, _ in shown(case, monkeypatch)} == {"finding, not flagged"}


def test_a_network_without_errors_has_none_to_show(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case()
    chance = np.where(case.prepared.test.context["finding"] > 0, 0.9, 0.1).astype(np.float32)[:, None]
    case.answers |= {SUSPICION: chance, PROBABILITY: np.hstack([1 - chance, chance])}
    assert [text.split("\n")[0] for text, _ in shown(case, monkeypatch)] == [
        "finding, flagged",
        "finding, just flagged",
    ]


def test_heat_in_lesions_worked_by_hand() -> None:
    lesions = np.zeros((ROWS, 16, 16), bool)
    lesions[:2, :8, :8] = True  # a quarter of two images
    case = Case(lesions=lesions)
    heat = np.zeros((ROWS, 16, 16, 2), np.float32)
    heat[0, :8, :8, 1] = 1  # all of it inside
    heat[1, :8, :, 1] = 1  # half of it
    heat[2:, ..., 1] = 1
    found, chance = heat_in_lesions({**case.answers, HEAT: heat}, case.prepared.test, case.plan)
    assert (found, chance) == (pytest.approx(0.75), pytest.approx(0.25))
    case.answers[HEAT] = heat
    rows = cells(case.sections()["Where the network looked"])
    assert rows["times chance"] == (pytest.approx(3.0),)


@pytest.mark.parametrize("lesions", [None, np.zeros((ROWS, 16, 16), bool)])
def test_without_planted_lesions_there_is_no_table_of_them(lesions: np.ndarray | None) -> None:
    case = Case(**({} if lesions is None else {"lesions": lesions}))
    assert [type(block) for block in case.sections()["Where the network looked"].blocks] == [Figure]


# === Leaks ===


LEAK = "With and without the leaked images"


def test_without_leaks_there_is_no_section_of_them() -> None:
    assert LEAK not in Case().sections()


def test_a_test_split_that_is_all_leaked_says_so() -> None:
    section = Case(leaked=np.ones(ROWS, bool)).sections()[LEAK]
    made = table(section)
    assert made.columns == ("figure", "all, 120 images", "leaked, 120 images", "clean, 0 images")
    for whole, leaked, clean in cells(section).values():
        assert isinstance(whole, Estimate) and whole == leaked and clean is None
    assert made.caption.startswith("120 of 120 test images")
    render_html(Report("t", Text("lead"), (section,)))


def test_the_leak_is_shown_for_every_predictor() -> None:
    leaked = np.arange(ROWS) < 40
    case = Case(leaked=leaked)
    rival = {name: case.answers[name] for name in (PROBABILITY, SUSPICION)}  # no distance, no heat
    section = case.sections(rival=rival)[LEAK]
    rows = cells(section)
    shown = ("auc", "accuracy", "sensitivity", "specificity", "missed")
    assert list(rows) == [*(f"{name}, tflite" for name in shown), "auc, rival"]  # the point is not the rival's
    assert table(section).columns[1:] == ("all, 120 images", "leaked, 40 images", "clean, 80 images")
    assert rows["auc, tflite"] == rows["auc, rival"]
    right = (case.answers[SUSPICION][:, 0] >= 0.5) == (case.prepared.test.target == 1)
    accuracy, areas = ([cell.value for cell in rows[f"{name}, tflite"]] for name in ("accuracy", "auc"))
    assert accuracy == [pytest.approx(part.mean()) for part in (right, right[leaked], right[~leaked])]
    assert areas[0] != areas[1] != areas[2]


def test_clean_images_without_a_normal_one_have_the_figures_that_they_define() -> None:
    normal = np.arange(ROWS) % 4 == 0
    rows = cells(Case(4, leaked=normal | (np.arange(ROWS) < 40)).sections()[LEAK])
    defined = {name: row[-1] is not None for name, row in rows.items()}
    assert [name for name, known in defined.items() if not known] == ["specificity, tflite"]


@pytest.mark.parametrize("few", [1, 2, 3])
def test_too_few_leaked_images_have_no_figures_and_end_no_run(few: int) -> None:
    case = Case(leaked=np.arange(ROWS) < few)
    rows = cells(case.sections()[LEAK])
    for whole, leaked, clean in rows.values():
        assert isinstance(whole, Estimate) and isinstance(clean, Estimate)
        assert leaked is None or isinstance(leaked, Estimate)
    assert few > 1 or {row[1] for row in rows.values()} == {None}


# === Operating point and abstention ===


def test_the_table_of_verdicts_worked_by_hand() -> None:
    case = Case()
    case.answers[DISTANCE][::3] = 2.5
    suspicion, finding = case.answers[SUSPICION][:, 0], case.prepared.test.context["finding"] > 0
    case.point = replace(case.point, nonconformity=0.4)  # plausible from 0.6 on
    known = np.arange(ROWS) % 3 > 0
    ways = (suspicion <= 0.4, suspicion >= 0.6, (suspicion > 0.4) & (suspicion < 0.6))
    made = case.sections()["Operating point"]
    assert table(made).columns[1:] == ("clear", "flagged", "abstained", "refused")
    assert cells(made) == {
        "finding": (*((finding & known & way).sum() for way in ways), (finding & ~known).sum()),
        "none": (*((~finding & known & way).sum() for way in ways), (~finding & ~known).sum()),
    }
    assert all(count > 0 for row in cells(made).values() for count in row)
    assert cells(case.sections()["Abstention"])["abstained or refused"] == (
        pytest.approx((ways[2] | ~known).mean()),
    )  # fmt: skip


def test_coverage_is_told_in_standard_errors() -> None:
    case = Case()
    rows = cells(case.sections()["Abstention"])
    chance = case.answers[PROBABILITY][np.arange(ROWS), case.prepared.test.target]
    covered = (1 - chance <= 0.6).mean()
    (estimate,) = rows["coverage on test"]
    assert estimate.value == pytest.approx(covered) and estimate.low < covered < estimate.high
    assert estimate.n == 60  # patients of two images each
    error = np.sqrt(0.09 * (1 / 60 + 1 / 40))  # of the test and validation patients
    assert rows["standard errors from the aim"] == (pytest.approx((covered - 0.9) / error),)
    assert rows["coverage aimed at"] == (0.9,)


def test_where_all_abstain_the_report_is_written_all_the_same() -> None:
    case = Case(leaked=np.arange(ROWS) < 40, **groups(sex=["F", "F", "M", "M"] * 30))
    case.point = replace(case.point, nonconformity=1.0)
    made = case.sections()
    assert cells(made["Abstention"])["abstained or refused"] == (1.0,)
    missed = table(made["Subgroups"]).rows[0][-1]
    assert isinstance(missed, Estimate) and missed.value == 0  # where nothing is told, nothing is told wrong
    render_html(Report("t", Text("lead"), tuple(made.values())))


# === Subgroups ===


def test_subgroups_have_the_figures_that_they_define() -> None:
    site = np.array(["north"] * 80 + ["south"] * 21 + ["east"] * 19, dtype=object)
    finding = np.arange(ROWS) % 2
    case = Case(**groups(site=site))
    rows = {row[1]: row[2:] for row in table(case.sections()["Subgroups"]).rows}
    assert {name: row[0] for name, row in rows.items()} == {"north": 80, "south": 21, "east": 19}
    assert set(rows["east"][1:]) == {None} and all(isinstance(cell, Estimate) for cell in rows["south"][1:])
    one_class = Case(**groups(site=np.where(finding > 0, "ill", "well")))
    rows = {row[1]: row[2:] for row in table(one_class.sections()["Subgroups"]).rows}
    defined = {name: [cell is not None for cell in row[1:]] for name, row in rows.items()}
    # of auc, accuracy, sensitivity, specificity and missed
    assert defined == {"ill": [False, True, True, False, True], "well": [False, True, False, True, False]}


def test_a_subgroup_of_one_patient_ends_no_run() -> None:
    unit = np.where(np.arange(ROWS) < 30, 1000, np.arange(ROWS))
    case = Case(unit=unit, **groups(site=["north"] * 30 + ["south"] * 90))
    rows = {row[1]: row[2:] for row in table(case.sections()["Subgroups"]).rows}
    assert rows["north"] == (30, *[None] * 5) and isinstance(rows["south"][1], Estimate)


def test_an_unknown_group_is_called_so() -> None:
    rows = table(Case(**groups(sex=["", "F"] * 60, age=["20-39"] * 120)).sections()["Subgroups"]).rows
    assert [row[:3] for row in rows] == [("sex", "unknown", 60), ("sex", "F", 60), ("age", "20-39", 120)]


def test_without_groups_there_is_no_section_of_them() -> None:
    assert "Subgroups" not in Case().sections()


# === Foreign images ===


def test_foreign_images_of_every_kind_are_tried() -> None:
    case, asked = Case(channels=3), list[tuple[int, ...]]()

    def predict(inputs: Arrays) -> dict[str, np.ndarray]:
        asked.append(inputs["image"].shape)
        count = len(inputs["image"])
        return {
            DISTANCE: np.where(np.arange(count) < 25 * len(asked), 9.0, np.nan if len(asked) == 1 else 1.0)[:, None]
        }

    found = refusals(predict, case.plan, case.point)
    assert tuple(found) == foreign.KINDS and set(asked) == {(100, 16, 16, 3)}
    assert list(found.values())[:4] == [1.0, 0.5, 0.75, 1.0]  # NaN is refused too
    assert cells(case.sections()["Foreign images"]).keys() == set(foreign.KINDS)
