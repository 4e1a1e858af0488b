"""The domain's record, and one whole run on a hospital's files that must not leave a trace of its patients."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit.domains.healthcare_imaging import Triage, rivals
from edgekit.domains.healthcare_imaging.config import SyntheticSettings
from edgekit.domains.healthcare_imaging.features import Plan
from edgekit.domains.healthcare_imaging.solution import DOMAIN, LIMITS, describe, golden
from edgekit.domains.healthcare_imaging.synthesis import synthesize
from edgekit.domains.healthcare_imaging.verdicts import DISTANCE, HEAT, PROBABILITY, SUSPICION, OperatingPoint
from edgekit.shared.config import override
from edgekit.shared.domain import Prepared, Request

POINT = OperatingPoint(0.5, "by hand", {}, 0.6, 0.9, 2.0, ())


def prepared(size: int = 28, channels: int = 1, *, several: bool = False, notes: tuple[str, ...] = ()) -> Any:
    plan = Plan(size, channels, "pad", 2, ("normal", "b", "c"), 0, several)
    return Prepared(plan, *[None] * 3, notes=notes)  # type: ignore[arg-type, misc]


# === The record ===


def test_the_record_names_outputs_that_there_are() -> None:
    told = describe(None, prepared(), DOMAIN.config, threshold=POINT)  # type: ignore[arg-type]
    assert [tensor.name for tensor in told.outputs] == [PROBABILITY, SUSPICION, DISTANCE]
    assert DOMAIN.score_output == SUSPICION and dict(DOMAIN.views) == {"explain": (HEAT,)}
    assert set(DOMAIN.guards) == {"refused", "coverage", "sensitivity", "abstained"}
    assert DOMAIN.primary_metric == "auc"


@pytest.mark.parametrize("several", [False, True])
def test_a_description_tells_form_classes_and_limits(several: bool) -> None:
    point = replace(POINT, labels=(0.1, 0.2, 0.3) if several else ())
    given = prepared(48, 3, several=several, notes=("a note of these data",))
    told = describe(None, given, DOMAIN.config, threshold=point)  # type: ignore[arg-type]
    (image,) = told.inputs
    assert (image.shape, image.dtype) == ((48, 48, 3), "uint8") and "padded" in image.meaning
    assert told.outputs[0].shape == (3,) and ("sigmoid" if several else "softmax") in told.outputs[0].meaning
    assert told.labels == ("normal", "b", "c") and told.limits == (*LIMITS, "a note of these data")
    assert json.loads(json.dumps(told.settings)) == {
        "plan": {**given.plan.as_json()},
        "operating_point": point.as_json(),
    }


@pytest.mark.parametrize(("size", "channels", "count"), [(28, 1, 12), (64, 1, 9), (96, 3, 3), (512, 3, 3)])
def test_golden_images_are_drawn_and_stay_small(size: int, channels: int, count: int) -> None:
    made = golden(prepared(size, channels), {})["image"]
    assert made.shape == (count, size, size, channels) and made.dtype == np.uint8
    assert made.nbytes <= 40_000 or count == 3
    np.testing.assert_array_equal(made, golden(prepared(size, channels), {})["image"])


# === A run ===

SECRETS = (
    "Beeblebrox", "Zaphod", "HOSP-998877", "19521103", "Magrathea Clinic", "ACC-5551212",
    "zz-patient-", "mueller_anna", "Dr.Vroomfondel",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A run's folder, what was said on the way, and the set it was made from."""

    folder: Path
    said: str
    home: Path
    chosen: str | None


def hospital(home: Path) -> Path:
    """Write 50 patients' scans, every third a DICOM full of personal data, and a manifest that names them."""
    config = override(DOMAIN.config, {"synthetic": {"patients": 50, "size": 28}})
    assert isinstance(config.synthetic, SyntheticSettings)  # type: ignore[attr-defined]
    scans = synthesize(config, seed=0)
    assert scans.patient is not None
    rows = []
    for number, (image, patient) in enumerate(zip(scans.images[..., 0], scans.patient, strict=True)):
        name = f"mueller_anna_{number:03d}" + ("" if number % 3 else ".dcm")
        if number % 3:
            Image.fromarray(image).save(home / f"{name}.png")
            name += ".png"
        else:
            write_dicom(home / name, image)
        label = ("no finding", "lesion")[scans.labels[number]]
        sex = scans.groups["sex"][number]
        rows.append((name, label, f"zz-patient-{patient}", sex, 20 + number % 60))
    path = home / "scans.csv"
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([("path", "label", "patient", "sex", "age"), *rows])
    return path


def write_dicom(path: Path, image: np.ndarray) -> None:
    pydicom = pytest.importorskip("pydicom")
    template = pydicom.data.get_testdata_file("CT_small.dcm", read=True)
    template.PatientName, template.PatientID, template.PatientBirthDate = "Beeblebrox^Zaphod", "HOSP-998877", "19521103"
    template.InstitutionName, template.AccessionNumber = "Magrathea Clinic", "ACC-5551212"
    template.ReferringPhysicianName = "Dr.Vroomfondel"
    for tag in ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "SmallestImagePixelValue"):
        if tag in template:
            delattr(template, tag)
    template.Modality, template.Rows, template.Columns = "DX", *image.shape
    template.BitsAllocated = template.BitsStored = 16
    template.BitsStored, template.HighBit, template.PixelRepresentation = 12, 11, 0
    template.PixelData = (image.astype(np.uint16) * 16).tobytes()
    template.save_as(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    from edgekit import pipeline
    from edgekit.shared import run_folder

    home, out = tmp_path_factory.mktemp("set"), tmp_path_factory.mktemp("out") / "run"
    changes = {
        "model": {"width": 16},
        "training": {"epochs": 2, "batch_size": 16},
        "data": {"size": 28},
        "export": {"recipes": ["float32"]},
    }
    lines = list[str]()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"COMPONENTS": (8,), "STRENGTHS": (0.1,), "LEAVES": (4,), "TREES": 5}.items():
            patch.setattr(rivals, name, value)
        outcome = pipeline.run(
            DOMAIN, override(DOMAIN.config, changes), Request(hospital(home), command="edgekit run"),
            folder=run_folder.start(out), seed=0, report=lines.append,
        )  # fmt: skip
    return Run(out, "\n".join(lines), home, outcome.chosen)


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what every file of a run says, that inside archives too."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.name, path.read_bytes()
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                yield from ((f"{path.name}/{name}", archive.read(name)) for name in archive.namelist())


def test_a_run_writes_its_evidence(run: Run) -> None:
    names = {path.name for path in run.folder.iterdir()}
    assert run.chosen == "float32"
    assert {"healthcare_imaging.tflite", "report.html", "report.json", "training.csv", "manifest.json"} <= names
    page = (run.folder / "report.html").read_text()
    sections = ("Where the network looked", "Operating point", "Calibration", "Abstention", "Subgroups",
                "Foreign images")  # fmt: skip
    assert all(title in page for title in sections)


@pytest.mark.parametrize("secret", SECRETS)
def test_no_file_of_a_run_and_no_line_of_it_names_a_patient(run: Run, secret: str) -> None:
    assert any(secret.casefold() in (name + text.decode("latin-1")).casefold() for name, text in contents(run.home))
    forms = (secret.casefold().encode(), secret.casefold().encode("utf-16-le"))
    found = [name for name, text in contents(run.folder) if any(form in text.lower() for form in forms)]
    assert not found and secret.casefold() not in run.said.casefold()


def test_the_card_tells_the_set_without_its_place(run: Run) -> None:
    card = Triage(run.folder / "healthcare_imaging.tflite").model.card
    assert card.data["source"] == "scans.csv" and card.labels == ("lesion", "no finding")
    assert not [name for name, text in contents(run.folder) if str(run.home).encode() in text]


def test_the_file_carries_no_image_of_the_set(run: Run) -> None:
    model = Triage(run.folder / "healthcare_imaging.tflite").model
    own = {np.asarray(Image.open(path)).tobytes() for path in run.home.glob("*.png")}
    assert not own & {image.tobytes() for image in model.golden.inputs["image"]}


def test_the_file_reads_the_files_it_was_trained_on(run: Run) -> None:
    triage = Triage(run.folder / "healthcare_imaging.tflite")
    assert triage.plan.normal == 1  # "no finding" says so
    for name in ("mueller_anna_000.dcm", "mueller_anna_001.png"):
        finding = triage.read(run.home / name)
        assert set(finding.probabilities) == {"lesion", "no finding"} and 0.2 < finding.distance < 3
