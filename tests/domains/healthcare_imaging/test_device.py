"""Triage on a device: the answers that were measured, heat maps in place, files into a CSV, and nothing heavy."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit.domains.healthcare_imaging import Finding, Triage, device, verdicts
from edgekit.domains.healthcare_imaging.config import ImagingConfig, ModelSettings
from edgekit.domains.healthcare_imaging.device import heat_of, overlaid, predict_file, spread_heat
from edgekit.domains.healthcare_imaging.evaluate import evaluate
from edgekit.domains.healthcare_imaging.features import Plan, to_canvas
from edgekit.domains.healthcare_imaging.verdicts import DISTANCE, HEAT, PROBABILITY, SUSPICION, OperatingPoint
from edgekit.shared.domain import Examples, Predictor, Prepared
from edgekit.shared.errors import ContractError, DeviceFileError, RunError, SourceError
from edgekit.tflite_export.runtime import load_model

FOUR = ("no finding", "b", "c", "=d")
PLANS = {
    "two, grey": Plan(28, 1, "pad", 2, ("normal", "lesion"), 0, False),
    "two, grey, normal last": Plan(28, 1, "crop", 2, ("lesion", "normal"), 1, False),
    "four, colour": Plan(28, 3, "crop", 2, FOUR, 0, False),
    "several": Plan(28, 1, "pad", 2, ("b", "c", "=d"), 0, True),
}


@dataclass(frozen=True)
class Made:
    """A device file, and the network it was made from."""

    path: Path
    plan: Plan
    point: OperatingPoint
    network: Predictor


def scans(count: int, *shape: int, seed: int) -> np.ndarray:
    """Return smooth images of many kinds: blobs of unlike size and level."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 4, 4, *shape[2:])) * rng.uniform(0.2, 1, (count, 1, 1, *[1] * len(shape[2:])))
    fine = np.kron(coarse, np.ones((1, -(-shape[0] // 4), -(-shape[1] // 4), *[1] * len(shape[2:]))))
    return np.asarray(fine[:, : shape[0], : shape[1]], dtype=np.uint8)


def made(folder: Path, plan: Plan) -> Made:
    """Return a file of an untrained network whose class maps are stretched, so that all verdicts occur."""
    import keras

    from edgekit.domains.healthcare_imaging.model import build_model, learn_distance
    from edgekit.domains.healthcare_imaging.solution import DOMAIN, describe, golden
    from edgekit.shared.training import predictor
    from edgekit.tflite_export.assemble import assemble
    from edgekit.tflite_export.card import Card, Decision
    from edgekit.tflite_export.convert import convert

    keras.utils.set_random_seed(3)
    model = build_model(plan, ModelSettings(width=16))
    shown = [image for seed in (0, 7) for image in scans(60, 30, 44, *([3] if seed else []), seed=seed)]
    canvases = [to_canvas(image, size=plan.size, channels=plan.channels, fit=plan.fit) for image in shown]
    given = {"image": np.stack(canvases)}
    logits = predictor(keras.Model(model.inputs, {"logits": model.get_layer("logits").output}))(given)["logits"]
    scale = 1.5 / logits.std(axis=0)
    kernel, bias = model.get_layer("class_maps").get_weights()
    model.get_layer("class_maps").set_weights([kernel * scale, (bias - logits.mean(axis=0)) * scale])
    learn_distance(model, Examples(given, np.zeros(120)))
    network = predictor(model)
    answers = network(given)
    point = OperatingPoint(
        float(np.median(answers[SUSPICION])), "sensitivity of at least 0.95", {},
        nonconformity=0.3 if len(plan.classes) == 2 else 0.6 if not plan.multi_label else 0.4,
        coverage=0.9, farthest=float(np.quantile(answers[DISTANCE], 0.97)),
        labels=tuple(np.quantile(answers[PROBABILITY], 0.6, axis=0).tolist()) if plan.multi_label else (),
    )  # fmt: skip
    prepared: Any = Prepared(plan, *[None] * 3)  # type: ignore[list-item]
    told = describe(None, prepared, ImagingConfig(), threshold=point)  # type: ignore[arg-type]
    card = Card(
        device.NAME, "s", told.inputs, told.outputs, told.labels,
        Decision(SUSPICION, point.value, point.rule), settings=told.settings, limits=told.limits,
    )  # fmt: skip
    path = folder / "healthcare_imaging.tflite"
    path.write_bytes(assemble(convert(model, views=DOMAIN.views), card, golden(prepared, {})))
    return Made(path, plan, point, network)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    files: dict[str, Made] = {}

    def get(form: str) -> Made:
        if form not in files:
            files[form] = made(tmp_path_factory.mktemp("file"), PLANS[form])
        return files[form]

    return get


@pytest.fixture
def two(made_once: Callable[[str], Made]) -> Made:
    return made_once("two, grey")


@pytest.fixture
def triage(two: Made) -> Triage:
    return Triage(two.path)


def saved(path: Path, *frames: np.ndarray) -> Path:
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(path, **({"save_all": True, "append_images": others} if others else {}))
    return path


# === The answers that were measured ===


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("form", PLANS)
def test_a_device_tells_what_evaluate_measures(made_once: Callable[[str], Made], form: str, colour: bool) -> None:
    made, triage = made_once(form), Triage(made_once(form).path)
    plan, point = made.plan, made.point
    shown = scans(60, 30, 44, *([3] if colour else []), seed=1)
    findings = [triage.read(image) for image in shown]
    canvases = [to_canvas(image, size=28, channels=plan.channels, fit=plan.fit) for image in shown]
    outputs = made.network({"image": np.stack(canvases)})
    np.testing.assert_allclose([list(f.probabilities.values()) for f in findings], outputs[PROBABILITY], atol=1e-4)
    truth = np.array([[name in f.label.split("|") for name in plan.classes] for f in findings])
    target = truth.astype(np.uint8) if plan.multi_label else truth.argmax(axis=1)
    context = {"unit": np.arange(60), "finding": np.arange(60) % 2, "normal": np.full(60, plan.normal)}
    figures = evaluate(outputs, Examples({}, target, context), ImagingConfig(), threshold=point)
    measured = {name: statistic.compute(None) for name, statistic in figures.items()}
    assert measured["accuracy"] == 1.0  # every label is the one that evaluate decides
    doubtful = verdicts.doubtful(
        outputs[PROBABILITY], outputs[SUSPICION][:, 0], point, normal=plan.normal, multi_label=plan.multi_label
    )
    refused = verdicts.foreign(outputs[DISTANCE][:, 0], point)
    flagged = truth.any(axis=1) if plan.multi_label else ~truth[:, plan.normal]
    expected = np.select([refused, doubtful, flagged], ["refused", "abstained", "flagged"], "clear")
    assert [finding.decision for finding in findings] == expected.tolist()
    assert [finding.abstained for finding in findings] == (refused | doubtful).tolist()
    shares = {name: np.mean(expected == name) for name in verdicts.DECISIONS}
    assert (measured["refused"], measured["abstained"]) == (shares["refused"], shares["abstained"])
    ill = context["finding"] == 1
    assert measured["missed"] == pytest.approx(np.mean(expected[ill] == "clear"))
    assert measured["sensitivity"] == pytest.approx(flagged[ill].mean())
    likely = verdicts.plausible(outputs[PROBABILITY], point)
    assert [f.plausible for f in findings] == [tuple(np.array(plan.classes)[row].tolist()) for row in likely]
    np.testing.assert_allclose(
        [finding.distance for finding in findings], outputs[DISTANCE][:, 0] / point.farthest, rtol=1e-3
    )


@pytest.mark.parametrize(("form", "never"), [("two, grey", set()), ("several", {"clear"})])
def test_every_verdict_occurs_in_these_tests(made_once: Callable[[str], Made], form: str, never: set[str]) -> None:
    triage = Triage(made_once(form).path)
    told = {triage.read(image).decision for image in scans(60, 30, 44, seed=1)}
    assert told == set(verdicts.DECISIONS) - never


def test_the_threshold_decides_and_not_the_most_probable_class(triage: Triage) -> None:
    image = scans(1, 28, 28, seed=1)[0]
    found = triage.read(image)
    below = replace(triage.point, value=float(np.nextafter(np.float32(found.suspicion), np.float32(2))), farthest=1e9)
    triage.point = replace(below, nonconformity=0.999999)
    assert triage.read(image).label == "normal"
    triage.point = replace(below, value=found.suspicion)
    assert triage.read(image).label == "lesion"


def test_a_score_at_the_threshold_is_flagged(triage: Triage) -> None:
    findings = [(image, triage.read(image)) for image in scans(8, 28, 28, seed=1)]
    image, found = next((image, found) for image, found in findings if found.suspicion > 0.6)
    sure = replace(triage.point, farthest=1e9, nonconformity=0.5, value=found.suspicion)
    triage.point = sure
    assert triage.read(image).decision == "flagged"
    above = float(np.nextafter(np.float32(found.suspicion), np.float32(2)))
    triage.point = replace(sure, value=above)
    assert triage.read(image).decision == "abstained"  # clear against the only plausible label
    image, found = next((image, found) for image, found in findings if found.suspicion < 0.4)
    triage.point = replace(sure, value=float(np.nextafter(np.float32(found.suspicion), np.float32(2))))
    assert triage.read(image).decision == "clear"


def test_several_labels_are_told_with_the_most_probable_first(made_once: Callable[[str], Made]) -> None:
    triage = Triage(made_once("several").path)
    findings = [triage.read(image) for image in scans(60, 30, 44, seed=1)]
    told = [finding.label.split("|") if finding.label else [] for finding in findings]
    assert {len(labels) for labels in told} >= {0, 1, 2}
    for labels, finding in zip(told, findings, strict=True):
        chances = [finding.probabilities[label] for label in labels]
        assert chances == sorted(chances, reverse=True)
        assert finding.probability == (chances[0] if chances else max(finding.probabilities.values()))


def test_a_finding_keeps_pixels_out_of_what_is_printed(triage: Triage) -> None:
    finding = triage.read(scans(1, 28, 28, seed=1)[0])
    assert isinstance(finding, Finding) and "array" not in repr(finding) and "label=" in repr(finding)


def test_a_distance_of_nan_is_refused(triage: Triage) -> None:
    answers = {
        PROBABILITY: np.array([[0.9, 0.1]], np.float32),
        SUSPICION: np.array([[0.1]], np.float32),
        DISTANCE: np.array([[np.nan]], np.float32),
    }
    told = triage._told(np.zeros((28, 28), np.uint8), answers, np.zeros((7, 7, 2), np.float32))
    assert told.decision == "refused"


# === Files with one image or several ===


def test_a_file_tells_what_its_pixels_tell(triage: Triage, tmp_path: Path) -> None:
    image = scans(1, 40, 30, seed=2)[0]
    from_file = triage.read(saved(tmp_path / "a.png", image))
    from_array = triage.read(image)
    assert from_file.probabilities == from_array.probabilities
    np.testing.assert_array_equal(from_file.heat, from_array.heat)
    assert triage.read(str(tmp_path / "a.png")).label == from_array.label


def test_of_several_images_the_most_suspicious_counts(triage: Triage, tmp_path: Path) -> None:
    frames = scans(12, 30, 44, seed=1)
    path = saved(tmp_path / "stack.tiff", *frames)
    each = [triage.read(frame) for frame in frames]
    accepted = [finding for finding in each if finding.decision != "refused"]
    assert 0 < len(accepted) < len(each)
    assert triage.read(path).suspicion == max(finding.suspicion for finding in accepted)
    numbered = [(number, finding.suspicion) for number, finding in triage.read_all(path)]
    assert numbered == [(number, finding.suspicion) for number, finding in enumerate(each)]
    assert [triage.read(path, frame=n).suspicion for n in range(12)] == [finding.suspicion for finding in each]


def test_slices_keep_their_number_where_blank_ones_are_left_out(
    two: Made, triage: Triage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = tuple(scans(2, 28, 28, seed=1))
    monkeypatch.setattr(device, "read_scan", lambda *_, **__: SimpleNamespace(frames=frames, numbers=(2, 5)))
    each = [triage.read(frame).suspicion for frame in frames]
    assert [(number, finding.suspicion) for number, finding in triage.read_all("a.nii")] == [(2, each[0]), (5, each[1])]
    assert [triage.read("a.nii", frame=number).suspicion for number in (2, 5)] == each
    with pytest.raises(ContractError, match="2 images, numbered 2 to 5; there is no frame 3, or it is blank"):
        triage.read("a.nii", frame=3)
    predict_file(two.path, [Path("a.nii")], out=tmp_path / "out.csv")
    assert [line["frame"] for line in lines_of(tmp_path / "out.csv")] == ["2", "5"]


@pytest.mark.parametrize("frame", [-1, 2, 10**9])
def test_a_frame_that_is_not_there_is_one_clear_error(triage: Triage, tmp_path: Path, frame: int) -> None:
    path = saved(tmp_path / "stack.tiff", *scans(2, 28, 28, seed=1))
    with pytest.raises(ContractError, match="2 images, numbered 0 to 1; there is no frame .*, or it is blank"):
        triage.read(path, frame=frame)


@pytest.mark.parametrize("name", ["none.png", "folder", "text.png"])
def test_what_cannot_be_read_is_one_clear_error(triage: Triage, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(SourceError, match=name):
        triage.read(tmp_path / name)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((28, 28), np.float32),
        np.zeros((28, 28), bool),
        np.zeros((28, 28), np.uint16),
        np.zeros((28, 28), object),
        np.zeros(28, np.uint8),
        np.zeros((28, 28, 1), np.uint8),
        np.zeros((28, 28, 4), np.uint8),
        np.zeros((1, 28, 28, 3), np.uint8),
        np.zeros((0, 28), np.uint8),
        np.zeros((), np.uint8),
    ],
    ids=lambda image: f"{image.dtype} {image.shape}",
)
def test_an_array_that_is_no_image_is_one_clear_error(triage: Triage, image: np.ndarray) -> None:
    with pytest.raises(ContractError, match=r"expected uint8 \(height, width\)"):
        triage.read(image)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1, 3), (29, 27)])
def test_an_image_of_any_shape_is_read(made_once: Callable[[str], Made], shape: tuple[int, ...]) -> None:
    for form in ("two, grey", "four, colour"):
        finding = Triage(made_once(form).path).read(np.full(shape, 90, np.uint8))
        assert finding.heat.shape == shape[:2] and finding.overlay().shape == (*shape[:2], 3)
        assert np.isfinite(finding.heat).all() and 0 <= finding.heat.min() <= finding.heat.max() <= 1 + 1e-6


def test_views_that_are_not_contiguous_are_read(triage: Triage) -> None:
    image = scans(1, 56, 56, seed=4)[0]
    assert triage.read(image[::2, ::-2]).probabilities == triage.read(image[::2, ::-2].copy()).probabilities


# === Heat maps ===


def test_heat_is_the_evidence_against_the_others_above_its_mean() -> None:
    evidence = np.zeros((2, 2, 3), np.float32)
    evidence[..., 0] = [[4, 2], [0, -1]]
    evidence[..., 1] = [[0, 2], [2, 0]]
    np.testing.assert_allclose(heat_of(evidence, 0), [[1, 0.25 / 3.25], [0, 0]])  # 4, 1, -1, -1, mean 0.75
    np.testing.assert_allclose(heat_of(evidence[..., :1], 0), [[1, 0.75 / 2.75], [0, 0]], rtol=1e-6)  # mean 1.25
    np.testing.assert_allclose(heat_of(evidence - 9, 0), heat_of(evidence, 0))
    assert (heat_of(np.zeros((2, 2, 2), np.float32), 1) == 0).all()


def test_the_heat_is_that_of_the_label(two: Made, triage: Triage) -> None:
    told = set()
    for image in scans(8, 28, 28, seed=1):
        maps = two.network({"image": image[None, ..., None]})[HEAT][0]
        finding = triage.read(image)
        expected = spread_heat(heat_of(maps, two.plan.classes.index(finding.label)), (28, 28), fit="pad")
        np.testing.assert_allclose(finding.heat, expected, atol=1e-3)
        told.add(finding.label)
    assert told == {"normal", "lesion"}


def test_an_overlay_keeps_the_image_where_it_is_cold() -> None:
    image, heat = scans(1, 8, 6, seed=0)[0], np.zeros((8, 6), np.float32)
    heat[3, 4] = 1
    made = overlaid(image, heat)
    assert made.dtype == np.uint8 and made.shape == (8, 6, 3)
    cold = heat == 0
    np.testing.assert_array_equal(made[cold], np.repeat(image[..., None], 3, axis=2)[cold])
    np.testing.assert_array_equal(made[3, 4], np.round(0.4 * image[3, 4] + 0.6 * np.array([255, 60, 0])))
    np.testing.assert_array_equal(overlaid(np.repeat(image[..., None], 3, axis=2), heat), made)


@pytest.mark.parametrize("shape", [(28, 17), (17, 28), (28, 16), (28, 28), (1, 28)])
def test_padded_heat_lies_where_the_image_lay(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    canvas = to_canvas(image, size=28, channels=1, fit="pad")[..., 0]  # not resized: the same pixels
    np.testing.assert_array_equal(spread_heat(canvas.astype(np.float32), shape, fit="pad"), image)


@pytest.mark.parametrize("shape", [(100, 37), (37, 100), (301, 100), (90, 90), (2, 200), (1, 9), (13, 12)])
@pytest.mark.parametrize("rows", [3, 7, 28])
def test_padded_heat_is_that_part_of_the_whole_square(rows: int, shape: tuple[int, int]) -> None:
    down, right = np.mgrid[:rows, :rows] / rows
    heat = (0.5 + 0.25 * np.sin(3 * down) + 0.25 * np.cos(5 * right)).astype(np.float32)
    edge = max(shape)
    square = np.asarray(Image.fromarray(heat).resize((edge, edge), Image.Resampling.BILINEAR))
    top, left = (edge - shape[0]) // 2, (edge - shape[1]) // 2
    found = spread_heat(heat, shape, fit="pad")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, square[top : top + shape[0], left : left + shape[1]], atol=1e-5)


@pytest.mark.parametrize("fit", ["pad", "crop"])
@pytest.mark.parametrize("shape", [(8, 12_000), (12_000, 8)])
def test_the_heat_of_a_thin_image_takes_no_more_memory_than_the_image(shape: tuple[int, int], fit: str) -> None:
    code = f"""
import resource
import numpy as np
from edgekit.domains.healthcare_imaging.device import spread_heat
heat = np.random.default_rng(0).random((7, 7)).astype(np.float32)
spread_heat(heat, (28, 28), fit={fit!r})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = spread_heat(heat, {shape!r}, fit={fit!r})
print(found.shape == {shape!r}, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    result = alone(code)
    right, grown = result.stdout.split()
    assert right == "True" and int(grown) < 20_000, result.stderr  # kB; the square would take 576,000


@pytest.mark.parametrize("shape", [(28, 41), (41, 28), (28, 40), (28, 28), (29, 28), (28, 29)])
def test_cropped_heat_lies_where_the_image_lay_and_the_rest_is_cold(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(1, 256, shape).astype(np.uint8)
    canvas = to_canvas(image, size=28, channels=1, fit="crop")[..., 0]
    heat = spread_heat(canvas.astype(np.float32), shape, fit="crop")
    inside = heat > 0
    assert inside.sum() == 28 * 28
    np.testing.assert_array_equal(heat[inside], image[inside])


@pytest.mark.parametrize("fit", ["pad", "crop"])
@pytest.mark.parametrize("shape", [(90, 150), (150, 90), (91, 150), (300, 101)])
def test_heat_finds_a_spot_again_in_large_images(shape: tuple[int, int], fit: str) -> None:
    spot = (shape[0] // 2 - 20, shape[1] // 2 + 15)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    image = (255 * np.exp(-((rows - spot[0]) ** 2 + (columns - spot[1]) ** 2) / 150)).astype(np.uint8)
    canvas = to_canvas(image, size=28, channels=1, fit=fit)[..., 0].astype(np.float32)
    heat = spread_heat(canvas, shape, fit=fit)
    assert heat.shape == shape and heat.dtype == np.float32
    centre = (float((heat * rows).sum() / heat.sum()), float((heat * columns).sum() / heat.sum()))
    assert np.abs(np.subtract(centre, spot)).max() < 0.5 * max(shape) / 28 + 1


# === Files that are refused ===


def changed(made: Made, path: Path, **changes: Any) -> Path:
    from edgekit.tflite_export.assemble import assemble

    model = load_model(made.path)
    path.write_bytes(assemble(made.path.read_bytes(), replace(model.card, **changes), model.golden.inputs))
    return path


def test_a_file_of_another_domain_is_refused(two: Made, tmp_path: Path) -> None:
    with pytest.raises(DeviceFileError, match="'finance_fraud', expected 'healthcare_imaging'"):
        Triage(changed(two, tmp_path / "other.tflite", domain="finance_fraud"))


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.tflite").write_text("not a model")
    for name in ("none.tflite", "text.tflite"):
        with pytest.raises(DeviceFileError, match=name):
            Triage(tmp_path / name)


def test_tampered_settings_are_refused_when_the_file_is_loaded(two: Made, tmp_path: Path) -> None:
    settings = load_model(two.path).card.settings
    point = {**settings["operating_point"], "farthest": 0}
    with pytest.raises(DeviceFileError, match="largest distance is missing.*Export the file again"):
        Triage(changed(two, tmp_path / "bad.tflite", settings={**settings, "operating_point": point}))


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


HOSTILE: dict[str, list[Any]] = {
    "size": [29, 28.0, "28", True, None, -1, 0, 10**9, 10**400, nested(300)],
    "channels": [3, 2, 1.0, "1", None, [1]],
    "fit": ["stretch", "", None, ["pad"], 1],
    "axis": [3, -1, 2.0, "2", True, None],
    "classes": [
        [], ["normal"], ["a", "a"], ["a", "b", "c"], "ab", [1, 2], ["a", "\x00"], ["a", "\u202e"], ["a" * 201, "b"],
        ["", "b"], None, {"normal": 1, "lesion": 2}, [["a"], ["b"]], nested(300),
    ],
    "normal": [2, -1, 0.0, "0", False, None],
    "multi_label": [True, 0, "no", None],
    "value": ["0.5", None, True, float("nan"), float("inf"), [], 10**400],
    "nonconformity": ["0.5", None, False, float("nan"), -float("inf"), {}],
    "coverage": ["0.9", None, float("nan")],
    "farthest": [0, -1.0, "2", None, float("nan"), float("inf")],
    "labels": [[0.5], [0.5, 0.5], ["a"], None, 3, nested(300)],
}  # fmt: skip
PLAN_FIELDS = tuple(Plan.__dataclass_fields__)


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in HOSTILE.items() for value in values],
    ids=lambda given: repr(given)[:24],
)
def test_every_hostile_setting_is_refused(two: Made, name: str, value: Any) -> None:
    model = load_model(two.path)
    section = "plan" if name in PLAN_FIELDS else "operating_point"
    settings = {**model.card.settings, section: {**model.card.settings[section], name: value}}
    tampered: Any = SimpleNamespace(card=replace(model.card, settings=settings), signatures=model.signatures)
    with pytest.raises(DeviceFileError, match="settings on the card that healthcare_imaging cannot use"):
        device._settings(tampered)


@pytest.mark.parametrize(
    "settings",
    [{}, {"plan": {}}, {"operating_point": {}}, {"plan": None, "operating_point": None}, {"plan": [], "x": 1}],
)
def test_settings_that_lack_a_part_are_refused(two: Made, settings: dict[str, Any]) -> None:
    model = load_model(two.path)
    tampered: Any = SimpleNamespace(card=replace(model.card, settings=settings), signatures=model.signatures)
    with pytest.raises(DeviceFileError, match="cannot use"):
        device._settings(tampered)


@pytest.mark.parametrize("field", [*PLAN_FIELDS, "value", "rule", "nonconformity", "coverage", "farthest", "labels"])
def test_settings_that_lack_a_field_are_refused(two: Made, field: str) -> None:
    model = load_model(two.path)
    settings = {part: {k: v for k, v in values.items() if k != field} for part, values in model.card.settings.items()}
    tampered: Any = SimpleNamespace(card=replace(model.card, settings=settings), signatures=model.signatures)
    with pytest.raises(DeviceFileError, match=field):
        device._settings(tampered)


@pytest.mark.parametrize("missing", [SUSPICION, DISTANCE, PROBABILITY])
def test_a_network_that_lacks_an_output_is_refused(two: Made, missing: str) -> None:
    model = load_model(two.path)
    outputs = tuple(tensor for tensor in model.card.outputs if tensor.name != missing)
    tampered: Any = SimpleNamespace(card=replace(model.card, outputs=outputs), signatures=model.signatures)
    with pytest.raises(DeviceFileError, match=missing):
        device._settings(tampered)


def test_a_network_without_a_heat_map_of_its_classes_is_refused(two: Made) -> None:
    model = load_model(two.path)
    explain = model.signatures["explain"]
    slot = explain.outputs[HEAT]
    for wrong in (
        {},
        {"explain": replace(explain, outputs={})},
        {"explain": replace(explain, outputs={HEAT: replace(slot, shape=(1, 7, 7, 5))})},
        {"explain": replace(explain, outputs={HEAT: replace(slot, shape=(1, 2))})},
    ):
        tampered: Any = SimpleNamespace(card=model.card, signatures={"predict": model.signatures["predict"], **wrong})
        with pytest.raises(DeviceFileError, match="explain|heat"):
            device._settings(tampered)


# === Files into a CSV ===


def lines_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_files_become_one_line_an_image(two: Made, triage: Triage, tmp_path: Path) -> None:
    frames = scans(5, 28, 40, seed=1)
    paths = [saved(tmp_path / "b.png", frames[0]), saved(tmp_path / "a.tif", *frames[1:4])]
    paths.append(saved(tmp_path / "c.bmp", frames[4]))
    counts = predict_file(two.path, paths, out=tmp_path / "out.csv")
    lines, findings = lines_of(tmp_path / "out.csv"), [triage.read(frame) for frame in frames]
    told = [finding.decision for finding in findings]
    assert counts == {"images": 5, **{name: told.count(name) for name in verdicts.DECISIONS}} and len(lines) == 5
    assert list(counts) == ["images", "flagged", "clear", "abstained", "refused"]  # as a person reads them
    assert [(line["file"], line["frame"]) for line in lines] == [
        (str(paths[0]), "0"), *((str(paths[1]), str(n)) for n in range(3)), (str(paths[2]), "0"),
    ]  # fmt: skip
    for line, finding in zip(lines, findings, strict=True):
        assert (line["label"], line["decision"]) == (finding.label, finding.decision)
        assert line["plausible"] == "|".join(finding.plausible)
        numbers = [float(line[name]) for name in ("probability", "suspicion", "distance")]
        np.testing.assert_allclose(numbers, [finding.probability, finding.suspicion, finding.distance], atol=6e-4)


def test_counts_are_those_of_the_table(made_once: Callable[[str], Made], tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tif", *scans(60, 30, 44, seed=1))
    counts = predict_file(made_once("two, grey").path, [path], out=tmp_path / "out.csv")
    told = [line["decision"] for line in lines_of(tmp_path / "out.csv")]
    assert counts == {"images": 60, **{name: told.count(name) for name in verdicts.DECISIONS}}
    assert min(counts.values()) > 0


def test_a_folder_is_read_in_the_order_of_names_without_what_is_no_image(two: Made, tmp_path: Path) -> None:
    nibabel, pydicom = pytest.importorskip("nibabel"), pytest.importorskip("pydicom")
    folder = tmp_path / "scans"
    (folder / "deep").mkdir(parents=True)
    saved(folder / "b.PNG", scans(1, 28, 28, seed=1)[0])
    saved(folder / "deep" / "a.jpg", scans(1, 28, 28, seed=2)[0])
    volume = np.random.default_rng(0).random((12, 12, 2)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), folder / "c.nii.gz")
    pydicom.data.get_testdata_file("CT_small.dcm", read=True).save_as(folder / "IM0001")
    (folder / "notes.txt").write_text("not an image")
    (folder / "._b.png").write_text("what a system keeps beside a file")
    (folder / "folder.png").mkdir()
    counts = predict_file(two.path, [folder], out=tmp_path / "out.csv")
    assert [Path(line["file"]).name for line in lines_of(tmp_path / "out.csv")] == [
        "IM0001", "b.PNG", "c.nii.gz", "c.nii.gz", "a.jpg",
    ]  # fmt: skip
    assert counts["images"] == 5 == sum(counts.values()) - 5


def test_a_folder_without_images_is_one_clear_error(two: Made, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ContractError, match=r"empty holds no image file\. Expected one of \.png"):
        predict_file(two.path, [tmp_path / "empty"], out=tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_heat_maps_are_the_images_under_their_heat(two: Made, triage: Triage, tmp_path: Path) -> None:
    frames = scans(3, 20, 30, seed=1)
    (tmp_path / "deep").mkdir()
    paths = [saved(tmp_path / "same.tif", *frames[:2]), saved(tmp_path / "deep" / "same.png", frames[2])]
    predict_file(two.path, paths, out=tmp_path / "out.csv", heatmap=tmp_path / "new" / "heat")
    pictures = sorted((tmp_path / "new" / "heat").iterdir())
    assert [path.name for path in pictures] == ["0001_same_0.png", "0001_same_1.png", "0002_same_0.png"]
    for path, frame in zip(pictures, frames, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), triage.read(frame).overlay())


def test_one_bad_file_and_nothing_is_written_and_all_bad_ones_are_named(two: Made, tmp_path: Path) -> None:
    good = saved(tmp_path / "good.png", scans(1, 28, 28, seed=1)[0])
    (tmp_path / "broken.png").write_bytes(good.read_bytes()[:60])
    (tmp_path / "text.png").write_text("not an image")
    before = sorted(tmp_path.iterdir())
    given = [tmp_path / "broken.png", good, tmp_path / "text.png", tmp_path / "none.png"]
    with pytest.raises(ContractError, match="Nothing was written") as caught:
        predict_file(two.path, given, out=tmp_path / "out.csv", heatmap=tmp_path / "heat")
    assert all(name in str(caught.value) for name in ("broken.png", "text.png", "none.png"))
    assert "good.png" not in str(caught.value) and sorted(tmp_path.iterdir()) == before


def test_heat_maps_that_cannot_be_written_are_one_clear_error_and_no_csv(two: Made, tmp_path: Path) -> None:
    good = saved(tmp_path / "good.png", scans(1, 28, 28, seed=1)[0])
    with pytest.raises(RunError, match="good.png"):
        predict_file(two.path, [good], out=tmp_path / "out.csv", heatmap=good)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@sum(a)", "\t=1", "\r=1", "\n=1"])
def test_no_file_name_is_a_formula(two: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = saved(Path(f"{name}.png"), scans(1, 28, 28, seed=1)[0])
    predict_file(two.path, [path], out=tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as handle:
        rows = list(csv.reader(handle))
    assert len(rows) == 2 and rows[1][0] == re.sub(r"[\t\r\n]", " ", f"'{name}.png")


@pytest.mark.parametrize("form", ["four, colour", "several"])
def test_no_class_name_is_a_formula(made_once: Callable[[str], Made], tmp_path: Path, form: str) -> None:
    frames = scans(40, 28, 28, seed=1)
    predict_file(made_once(form).path, [saved(tmp_path / "a.tif", *frames)], out=tmp_path / "out.csv")
    cells = [line[column] for line in lines_of(tmp_path / "out.csv") for column in ("label", "plausible")]
    assert any(cell.startswith("'=d") for cell in cells) and not any(cell.startswith("=") for cell in cells)


# === Light ===

HEAVY = (
    "tensorflow", "keras", "pandas", "scipy", "sklearn", "matplotlib", "jinja2", "pydicom", "nibabel", "pyarrow",
    "pydantic", "typer", "rich", "ai_edge_quantizer",
)  # fmt: skip


def alone(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_importing_the_device_loads_nothing_heavy() -> None:
    code = f"""
import sys
from edgekit.domains.healthcare_imaging import Triage, device
print(sorted({{*{HEAVY!r}, "PIL"}} & {{name.split(".")[0] for name in sys.modules}}))
"""
    result = alone(code)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr


def test_numpy_pillow_and_the_runtime_are_enough_for_a_picture(two: Made, tmp_path: Path) -> None:
    saved(tmp_path / "a.png", scans(1, 30, 40, 3, seed=1)[0])
    (tmp_path / "a.dcm").write_bytes(bytes(128) + b"DICM" + bytes(400))
    code = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
from pathlib import Path
from edgekit.domains.healthcare_imaging import Triage
from edgekit.domains.healthcare_imaging.device import predict_file
from edgekit.shared.errors import MissingExtraError
folder, model = Path({str(tmp_path)!r}), Path({str(two.path)!r})
finding = Triage(model).read(folder / "a.png")
finding.overlay()
predict_file(model, [folder / "a.png"], out=folder / "out.csv", heatmap=folder / "heat")
try:
    Triage(model).read(folder / "a.dcm")
except MissingExtraError as error:
    print(finding.decision, "[medical]" in str(error))
"""
    result = alone(code)
    assert result.stdout.split()[-1:] == ["True"], result.stdout + result.stderr
    assert len(lines_of(tmp_path / "out.csv")) == len(list((tmp_path / "heat").iterdir())) == 1
