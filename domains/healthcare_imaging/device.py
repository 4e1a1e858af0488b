"""Triage of images on the device: a label, how sure it is, whether to abstain, and where the network looked.

Numpy and pillow only; pydicom when a DICOM file is read, nibabel when a volume is.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...shared.errors import ContractError, DeviceFileError, EdgekitError, RunError
from ...shared.files import write_bytes
from ...shared.spreadsheet import write_csv
from ...tflite_export.runtime import DeviceModel, load_model, require_domain
from . import verdicts
from .features import Plan, to_canvas
from .reading import IMAGE_SUFFIXES, is_image, read_scan
from .verdicts import DISTANCE, HEAT, PROBABILITY, SUSPICION, Decision, OperatingPoint

NAME = "healthcare_imaging"
EXPLAIN = "explain"
COLUMNS = ("file", "frame", "label", "probability", "suspicion", "decision", "plausible", "distance")
HOT = np.array([255, 60, 0], dtype=np.float32)  # colour of the heat map over the image
MAX_COVER = 0.6  # the image stays visible under the hottest spot


@dataclass(frozen=True, eq=False)
class Finding:
    """What is told about one image.

    Attributes:
        label: the decided class; where there can be several, those present joined by ``|``.
        probability: of that label (of the most probable one where there can be several), 0…1.
        decision: ``flagged`` (look at it first), ``clear`` (nothing found), ``abstained`` (what would be told is not
            the only plausible answer: a person decides) or ``refused`` (not an image of the kind the network knows).
        suspicion: how likely anything is found, 0…1; compared with the threshold.
        probabilities: class name to probability.
        plausible: the conformal set: labels that cannot be ruled out at the stated coverage.
        distance: distance to the training images, as a multiple of the largest that is accepted.
        heat: float32 (height, width) in the image's own pixels, 0…1: where the evidence for the label lies.
        image: uint8 (height, width) or (height, width, 3), the image as it was read.
    """

    label: str
    probability: float
    decision: Decision
    suspicion: float
    probabilities: Mapping[str, float]
    plausible: tuple[str, ...]
    distance: float
    heat: np.ndarray = field(repr=False)
    image: np.ndarray = field(repr=False)

    @property
    def abstained(self) -> bool:
        """Whether the decision is left to a person."""
        return self.decision in ("abstained", "refused")

    def overlay(self) -> np.ndarray:
        """Return uint8 (height, width, 3): the image with the heat map over it."""
        return overlaid(self.image, self.heat)


class Triage:
    """Reads images with a device file. Not safe to share between threads: make one per thread."""

    def __init__(self, path: str | Path, *, threads: int = 1) -> None:
        """Load and check the file.

        Raises:
            DeviceFileError: the file is damaged, or not one of this domain.
        """
        self.model: DeviceModel = load_model(Path(path), threads=threads)
        require_domain(self.model, NAME)
        self.plan, self.point = _settings(self.model)

    def read(self, image: str | Path | np.ndarray, *, frame: int | None = None) -> Finding:
        """Return what is told about one image.

        Args:
            image: a PNG, JPEG, TIFF, DICOM or NIfTI file; or uint8 (height, width) or (height, width, 3).
            frame: which image of a file that holds several, from 0 (of a volume, the slice); ``None`` takes the most
                suspicious one.

        Raises:
            SourceError: the file cannot be read, or holds no image.
            MissingExtraError: it is a DICOM or NIfTI file and the ``medical`` extra is not installed.
            ContractError: the array is not an image, or there is no such frame.
        """
        if isinstance(image, np.ndarray):
            return self.assess(image)
        if frame is None:
            found = (finding for _, finding in self.read_all(image))
            return max(found, key=lambda finding: (finding.decision != "refused", finding.suspicion))
        scan = read_scan(Path(image), axis=self.plan.axis)
        numbers = scan.numbers or tuple(range(len(scan.frames)))
        if frame not in numbers:
            raise ContractError(
                f"{image} holds {len(numbers)} images, numbered {numbers[0]} to {numbers[-1]}; there is no frame "
                f"{frame}, or it is blank."
            )
        return self.assess(scan.frames[numbers.index(frame)])

    def read_all(self, path: str | Path) -> Iterator[tuple[int, Finding]]:
        """Yield the number of every image of a file, from 0 (of a volume, the slice), and what is told about it."""
        scan = read_scan(Path(path), axis=self.plan.axis)
        for number, image in zip(scan.numbers or range(len(scan.frames)), scan.frames, strict=True):
            yield number, self.assess(image)

    def assess(self, image: np.ndarray) -> Finding:
        """Return what is told about uint8 (height, width) or (height, width, 3) pixels."""
        _require_image(image)
        canvas = to_canvas(image, size=self.plan.size, channels=self.plan.channels, fit=self.plan.fit)
        inputs = {"image": canvas[None]}
        answers = self.model.predict(inputs)
        heat = self.model.run(EXPLAIN, inputs)[HEAT][0]
        return self._told(image, answers, heat)

    def _told(self, image: np.ndarray, answers: Mapping[str, np.ndarray], heat: np.ndarray) -> Finding:
        plan, point = self.plan, self.point
        probability, suspicion = answers[PROBABILITY], answers[SUSPICION]
        likely = verdicts.plausible(probability, point)[0]
        codes = self._codes(probability, suspicion)
        shown = codes[0] if codes else int(probability[0].argmax())
        distance = float(answers[DISTANCE][0, 0])
        return Finding(
            label="|".join(plan.classes[code] for code in codes),
            probability=float(probability[0, shown]),
            decision=verdicts.DECISIONS[
                int(verdicts.told(answers, point, normal=plan.normal, multi_label=plan.multi_label)[0])
            ],
            suspicion=float(suspicion[0, 0]),
            probabilities={name: float(value) for name, value in zip(plan.classes, probability[0], strict=True)},
            plausible=tuple(name for name, yes in zip(plan.classes, likely, strict=True) if yes),
            distance=distance / point.farthest,
            heat=spread_heat(heat_of(heat, shown), image.shape[:2], fit=plan.fit),
            image=image,
        )

    def _codes(self, probability: np.ndarray, suspicion: np.ndarray) -> list[int]:
        """Return the decided classes, the most probable first."""
        if not self.plan.multi_label:
            return [int(verdicts.decided(probability, suspicion[:, 0], self.point, normal=self.plan.normal)[0])]
        found = np.flatnonzero(verdicts.present(probability, self.point)[0])
        return [int(code) for code in found[np.argsort(-probability[0, found], kind="stable")]]


def heat_of(evidence: np.ndarray, code: int) -> np.ndarray:
    """Return float32 (row, column) 0…1: where the class maps speak for class ``code`` more than elsewhere in the image.

    The mean of the maps is the logits, which the probability tells already; what is above it tells the place.

    Args:
        evidence: (row, column, class) class activation maps; Zhou et al. 2016, CVPR.
        code: the class.
    """
    others = np.delete(evidence, code, axis=2).mean(axis=2) if evidence.shape[2] > 1 else 0.0
    spoken = evidence[..., code] - others
    positive = np.maximum(spoken - spoken.mean(), 0.0)
    return np.asarray(positive / max(float(positive.max()), 1e-6), dtype=np.float32)


def overlaid(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return uint8 (height, width, 3): an image, grey or RGB, with a heat map (height, width) of 0…1 over it."""
    colour = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    cover = MAX_COVER * heat[..., None]
    return np.asarray(np.round(colour * (1 - cover) + HOT * cover), dtype=np.uint8)


def spread_heat(heat: np.ndarray, shape: tuple[int, ...], *, fit: str) -> np.ndarray:
    """Return float32 ``shape``: a heat map of the network's square, laid over the image that was fitted into it."""
    from PIL import Image

    height, width = shape
    image, (rows, columns) = Image.fromarray(heat), heat.shape
    if fit == "pad":
        edge = max(shape)  # never made in full: an image may be a thousand times as wide as high
        left, top = (edge - width) // 2 / edge * columns, (edge - height) // 2 / edge * rows
        box = (left, top, left + width / edge * columns, top + height / edge * rows)
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))
    edge = min(shape)
    top, left = (height - edge) // 2, (width - edge) // 2
    spread = np.zeros(shape, dtype=np.float32)
    spread[top : top + edge, left : left + edge] = np.asarray(image.resize((edge, edge), Image.Resampling.BILINEAR))
    return spread


def predict_file(model: Path, data: Sequence[Path], *, out: Path, heatmap: Path | None = None) -> dict[str, int]:
    """Read image files into a CSV with one line an image, and heat maps over the images if a folder is given.

    Args:
        model: the device file.
        data: image files, or folders of them.
        out: CSV to write, atomically, once every file could be read.
        heatmap: folder for one PNG an image.

    Returns:
        Number of images, and of those flagged, clear, abstained from and refused.

    Raises:
        EdgekitError: any of the files is refused; all of them are named.
    """
    triage = Triage(model)
    pictures = dict[str, bytes]()
    lines, problems = list[tuple[str | float, ...]](), list[str]()
    counts = {"images": 0, **dict.fromkeys(("flagged", "clear", "abstained", "refused"), 0)}
    for number, path in enumerate(_files(data), start=1):
        try:
            findings = list(triage.read_all(path))
        except EdgekitError as error:
            problems.append(str(error))
            continue
        for frame, finding in findings:
            lines.append((str(path), frame, *_cells(finding)))
            counts["images"] += 1
            counts[finding.decision] += 1
            if heatmap:
                pictures[f"{number:04d}_{path.stem}_{frame}.png"] = _png(finding.overlay())
    if problems:
        raise ContractError("Nothing was written, because not every file could be read:\n" + "\n".join(problems))
    if heatmap:
        _write_pictures(heatmap, pictures)
    write_csv(out, COLUMNS, lines)
    return counts


def store_settings(plan: Plan, point: OperatingPoint) -> dict[str, Any]:
    """Return what :class:`Triage` needs, in JSON types, for the card of a device file."""
    return {"plan": plan.as_json(), "operating_point": point.as_json()}


def _settings(model: DeviceModel) -> tuple[Plan, OperatingPoint]:
    """Read the settings of a card, which may come from anyone, and hold them against the network."""
    try:
        plan = Plan.from_json(model.card.settings["plan"])
        point = verdicts.from_json(model.card.settings["operating_point"])
        shapes = {slot.name: slot.shape for slot in (*model.card.inputs, *model.card.outputs)}
        if shapes["image"] != (plan.size, plan.size, plan.channels) or shapes[PROBABILITY] != (len(plan.classes),):
            raise ValueError("the plan is not that of the network")
        if plan.multi_label != bool(point.labels) or (point.labels and len(point.labels) != len(plan.classes)):
            raise ValueError("the label thresholds do not fit the classes")
        if shapes[SUSPICION] != (1,) or shapes[DISTANCE] != (1,) or not point.farthest > 0:
            raise ValueError("the suspicion or the largest distance is missing")
        heat = model.signatures[EXPLAIN].outputs[HEAT].shape
        if len(heat) != 4 or heat[3] != len(plan.classes):
            raise ValueError("the heat map is not that of the classes")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeviceFileError(
            f"Found settings on the card that {NAME} cannot use ({error}). Export the file again with edgekit."
        ) from error
    return plan, point


def _require_image(image: np.ndarray) -> None:
    if (
        image.dtype != np.uint8
        or image.ndim not in (2, 3)
        or (image.ndim == 3 and image.shape[2] != 3)
        or not image.size
    ):
        raise ContractError(
            f"Found an array of shape {image.shape} and dtype {image.dtype}, expected uint8 (height, width) or "
            "(height, width, 3). Scale the values to 0…255 first."
        )


def _files(data: Sequence[Path]) -> Iterator[Path]:
    """Yield the files, those of a folder in the order of their names, hidden ones left out."""
    for path in data:
        if path.is_dir():
            inside = sorted(item for item in path.rglob("[!.]*") if item.is_file() and is_image(item))
            if not inside:
                raise ContractError(f"{path} holds no image file. Expected one of {', '.join(IMAGE_SUFFIXES)}.")
            yield from inside
        else:
            yield path


def _cells(finding: Finding) -> tuple[str | float, ...]:
    plausible = "|".join(finding.plausible)
    return finding.label, finding.probability, finding.suspicion, finding.decision, plausible, finding.distance


def _write_pictures(folder: Path, pictures: Mapping[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"Cannot make the folder {folder}: {error.strerror}. Choose another --heatmap.") from error
    for name, content in pictures.items():
        write_bytes(folder / name, content)


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
