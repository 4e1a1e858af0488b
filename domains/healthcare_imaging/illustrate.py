"""The imaging sections of a report: what a clinic would look at before it trusts the triage."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import cast

import numpy as np

from ...shared import decisions, plots
from ...shared.decisions import Threshold
from ...shared.domain import Arrays, Examples, Predictor, Prepared
from ...shared.errors import ContractError
from ...shared.estimates import bootstrap, mean_statistic
from ...shared.report import Block, Cell, Figure, Section, Table
from . import foreign, verdicts
from .audit import has_text
from .config import ImagingConfig
from .device import heat_of, overlaid, spread_heat
from .evaluate import correct, evaluate, told
from .features import Plan
from .verdicts import DECISIONS, DISTANCE, HEAT, PROBABILITY, SUSPICION, OperatingPoint

FOREIGN_IMAGES = 100
SUBGROUP_IMAGES = 20
"""A subgroup with fewer test images gets no figures of its own."""
SHOWN = ("auc", "accuracy", "sensitivity", "specificity", "missed")


def illustrate(
    outputs: Mapping[str, Arrays],
    prepared: Prepared,
    threshold: Threshold,
    config: ImagingConfig,
    *,
    predict: Predictor,
) -> tuple[Section, ...]:
    """Return heat maps, leak, calibration, abstention, subgroups, foreign images; the first of ``outputs`` counts."""
    answers, point, test = next(iter(outputs.values())), cast("OperatingPoint", threshold), prepared.test
    sections = [
        *_leak(outputs, test, point, config),
        _operating_point(answers, test, point),
        _calibration(answers, test),
        _abstention(answers, prepared, point),
        *_subgroups(answers, test, point, config),
        _foreign(predict, prepared.plan, point),
    ]
    if config.data.show_images and not has_text(test.inputs["image"]):  # letters may be a name
        sections.insert(0, _heat_maps(answers, prepared, point))
    return tuple(sections)


def _heat_maps(answers: Arrays, prepared: Prepared, point: OperatingPoint) -> Section:
    """Show the surest hit, the most doubtful image, the worst miss and the worst false alarm."""
    test, plan = prepared.test, cast("Plan", prepared.plan)
    suspicion, finding = answers[SUSPICION][:, 0], test.context["finding"] > 0
    flagged = verdicts.flagged(answers[PROBABILITY], suspicion, point, multi_label=plan.multi_label)
    wanted = {
        "finding, flagged": np.where(finding & flagged, suspicion, -1),
        "finding, just flagged": np.where(finding & flagged, 1 - suspicion, -1),
        "finding, not flagged": np.where(finding & ~flagged, 1 - suspicion, -1),
        "none, false alarm": np.where(~finding & flagged, suspicion, -1),
    }
    rows = []
    for text, order in wanted.items():
        row = int(order.argmax())
        if order[row] >= 0:
            rows.append((f"{text}\nsuspicion {suspicion[row]:.2f}", _pair(answers, test, row, plan)))
    figure = Figure(
        plots.pictures(rows, columns=("image", "evidence for a finding")),
        "Test images and where the network sees the evidence (class activation map of the shipped file).",
        f"{len(rows)} test images, each beside its heat map.",
    )
    inside = _inside_lesions(answers, test, plan)
    blocks: tuple[Block, ...] = (figure,) if inside is None else (figure, inside)
    return Section("Where the network looked", blocks, note="--set data.show_images=false leaves images out.")


def _pair(answers: Arrays, test: Examples, row: int, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    image = test.inputs["image"][row]
    image = image[..., 0] if image.shape[-1] == 1 else image
    heat = spread_heat(heat_of(answers[HEAT][row], _suspect(answers, row, plan)), image.shape[:2], fit="pad")
    return image, overlaid(image, heat)


def _suspect(answers: Arrays, row: int, plan: Plan) -> int:
    """Return the most probable class other than the normal one."""
    probability = answers[PROBABILITY][row].copy()
    if not plan.multi_label:
        probability[plan.normal] = -1
    return int(probability.argmax())


def heat_in_lesions(answers: Arrays, test: Examples, plan: Plan) -> tuple[float, float]:
    """Return the share of heat inside the planted lesions, and the share of the image that they cover (by chance)."""
    lesions = test.context["lesions"]
    rows = np.flatnonzero(lesions.any(axis=(1, 2)))
    inside = []
    for row in rows:
        heat = spread_heat(heat_of(answers[HEAT][row], _suspect(answers, int(row), plan)), lesions.shape[1:], fit="pad")
        inside.append(float(heat[lesions[row]].sum() / max(float(heat.sum()), 1e-9)))
    return float(np.mean(inside)), float(lesions[rows].mean())


def _inside_lesions(answers: Arrays, test: Examples, plan: Plan) -> Table | None:
    if "lesions" not in test.context or not test.context["lesions"].any():
        return None
    found, chance = heat_in_lesions(answers, test, plan)
    rows = (("share of the heat inside lesions", found), ("by chance", chance), ("times chance", found / chance))
    return Table(("heat map on images with planted lesions", ""), rows)


def _leak(
    outputs: Mapping[str, Arrays], test: Examples, point: OperatingPoint, config: ImagingConfig
) -> tuple[Section, ...]:
    """Set the figures on all test images beside those on the images that training has not seen."""
    leaked = test.context["leaked"]
    if not leaked.any():
        return ()
    parts = {"all": np.ones_like(leaked), "leaked": leaked, "clean": ~leaked}
    rows = []
    for number, (name, answers) in enumerate(outputs.items()):
        found = [_figures(answers, test, part, point, config) for part in parts.values()]
        rows.append((f"auc, {name}", *(figures.get("auc") for figures in found)))
        if number == 0:  # the point is this predictor's own
            rows += [(f"{metric}, {name}", *(figures.get(metric) for figures in found)) for metric in SHOWN[1:]]
    caption = (
        f"{leaked.sum():,} of {len(leaked):,} test images are of a patient, or copies or near copies of an image, in "
        "training or validation. Only the clean ones say how the network does on new patients."
    )
    table = Table(
        ("figure", *(f"{part}, {where.sum():,} images" for part, where in parts.items())), tuple(rows), caption
    )
    return (Section("With and without the leaked images", (table,)),)


def _figures(
    answers: Arrays, test: Examples, part: np.ndarray, point: OperatingPoint, config: ImagingConfig
) -> dict[str, Cell]:
    """Return the metrics on a part of the test images; those that the part does not define are left out."""
    chosen = {name: values[part] for name, values in answers.items()}
    if not part.any():
        return {}
    made = evaluate(chosen, test.take(part), config, threshold=point)
    figures: dict[str, Cell] = {}
    for name, statistic in made.items():
        with suppress(ContractError):  # too few of what it is a share of
            figures[name] = bootstrap(statistic)
    return figures


def _operating_point(answers: Arrays, test: Examples, point: OperatingPoint) -> Section:
    suspicion, finding, said = answers[SUSPICION][:, 0], test.context["finding"] > 0, told(answers, test, point)
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (truth, *(int((of & (said == code)).sum()) for code in range(len(DECISIONS))))
        for truth, of in (("finding", finding), ("none", ~finding))
    )
    table = Table(
        ("truth on test", *DECISIONS),
        rows,
        f"What the file says of test images. Threshold {point.value:.4g}: {point.rule}.",
    )
    figure = Figure(
        plots.score_histogram(suspicion, finding, threshold=point.value),
        "Suspicion of test images with and without a finding, logarithmic counts.",
        "Histogram of suspicion by truth.",
    )
    return Section("Operating point", (table, figure))


def _calibration(answers: Arrays, test: Examples) -> Section:
    points = decisions.reliability(test.context["finding"], np.clip(answers[SUSPICION][:, 0], 0, 1))
    figure = Figure(
        plots.reliability((points.predicted, points.observed), points.count),
        "Reliability on test: of the images given a suspicion, how many had a finding.",
        "Observed share of findings against suspicion in bins of equal size.",
    )
    return Section("Calibration", (figure,))


def _abstention(answers: Arrays, prepared: Prepared, point: OperatingPoint) -> Section:
    test, probability = prepared.test, answers[PROBABILITY]
    undecided = told(answers, test, point) > DECISIONS.index("flagged")
    if test.target.ndim == 2:
        right, confidence = correct(answers, test, point), np.abs(probability - 0.5).min(axis=1)
    else:
        right, confidence = probability.argmax(axis=1) == test.target, probability.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    kept = np.arange(1, len(order) + 1)
    start = min(len(order), 20) - 1  # the accuracy of a handful of images is noise
    figure = Figure(
        plots.curve(
            kept[start:] / len(order),
            {"accuracy of those decided": (np.cumsum(right[order]) / kept)[start:]},
            xlabel="share decided, the surest first",
            ylabel="accuracy",
            mark=float(1 - undecided.mean()),
        ),
        "Selective accuracy of the most probable class: only the surest images are decided, people decide the rest.",
        f"Accuracy over all is {right.mean():.3f}.",
    )
    covered = verdicts.nonconformity(probability, test.target) <= point.nonconformity
    units = [len(np.unique(part.context["unit"])) for part in (test, prepared.validation)]
    error = float(np.sqrt(point.coverage * (1 - point.coverage) * sum(1 / count for count in units)))
    rows: tuple[tuple[Cell, ...], ...] = (
        ("coverage aimed at", point.coverage),
        ("coverage on test", bootstrap(mean_statistic(covered, test.context["unit"]))),
        ("standard errors from the aim", (float(covered.mean()) - point.coverage) / error),
        ("abstained or refused", float(undecided.mean())),
    )
    caption = (
        "Split conformal sets: the true label is among the plausible ones, of all images taken together. The limit is "
        "learnt on validation, as are temperature and offsets. Far from the aim, test differs in kind from validation."
    )
    return Section("Abstention", (figure, Table(("conformal sets", ""), rows, caption)))


def _subgroups(answers: Arrays, test: Examples, point: OperatingPoint, config: ImagingConfig) -> tuple[Section, ...]:
    rows = []
    for name, values in test.context.items():
        if name.startswith("by "):
            for value in sorted(set(values)):
                part = values == value
                found = _figures(answers, test, part, point, config) if part.sum() >= SUBGROUP_IMAGES else {}
                rows.append((name[3:], value or "unknown", int(part.sum()), *(found.get(metric) for metric in SHOWN)))
    if not rows:
        return ()
    caption = (
        f"On test; a group with fewer than {SUBGROUP_IMAGES} images has no figures, one of a single class only some."
    )
    return (Section("Subgroups", (Table(("subgroup", "value", "images", *SHOWN), tuple(rows), caption),)),)


def _foreign(predict: Predictor, plan: Plan, point: OperatingPoint) -> Section:
    shares = refusals(predict, plan, point)
    caption = f"{FOREIGN_IMAGES} images of each kind that are no scans; the file should refuse them."
    return Section("Foreign images", (Table(("kind", "refused"), tuple(shares.items()), caption),))


def refusals(predict: Predictor, plan: Plan, point: OperatingPoint, *, seed: int = 0) -> dict[str, float]:
    """Return the share of foreign images of each kind that a predictor with a distance refuses."""
    found = {}
    for kind in foreign.KINDS:
        images = foreign.foreign_images(kind, FOREIGN_IMAGES, size=plan.size, channels=plan.channels, seed=seed)
        found[kind] = float(verdicts.foreign(predict({"image": images})[DISTANCE], point).mean())
    return found
