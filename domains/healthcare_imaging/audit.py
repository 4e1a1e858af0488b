"""Checks for what makes a score on images too good to be true: copies, known patients, burnt-in text.

Findings name counts, splits, classes and places in the set; never a file's name, a patient or a pixel.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import grey_opening

from ...shared.audit import DRIFT_RATIO, DRIFT_Z, Finding, Severity, entity_overlap, label_drift
from ...shared.splits import Splits
from .scans import Scans

if TYPE_CHECKING:
    from .config import ImagingConfig
    from .duplicates import Copies

MIN_TEST_IMAGES = 10
"""With fewer test images of a class, its figures say little."""
MANY_COPIES = 0.05
"""A share of repeated images in one split from which the repeats weigh noticeably."""
PLACES_SHOWN = 5

TEXT_ZONE = 0.25
"""Text is looked for in the four corners, each of this share of the edges."""
TEXT_LEVEL, TEXT_CONTRAST = 180, 80
"""A stroke is at least this bright, and this much brighter than the opening of the image by ``TEXT_STROKE``."""
TEXT_STROKE = 0.04
"""Width, as a share of the edge, that strokes of letters stay below; at least 3 pixels."""
TEXT_PIXELS = 0.008
"""Share of a corner that strokes fill at least."""
TEXT_CROSSINGS = 4
"""Strokes that some row of the corner crosses: letters stand side by side, bones and skin edges do not."""
TEXT_IMAGES = 3
"""From so many marked images on, text is told: one name in a corner is one too many."""
TEXT_GAP = 0.1
"""Shares of marked images that differ by this much between classes are a giveaway."""
IMAGES_LOOKED_AT = 2_000
IMAGES_AT_ONCE = 256


def leaked(scans: Scans, splits: Splits) -> np.ndarray:
    """Find images of validation and test that a network has seen a copy of, or another image of the same patient.

    Args:
        scans: the set; patients count where it names them.
        splits: rows of ``scans``.

    Returns:
        bool (image,): validation images with a copy or their patient in train, test images with a copy or their
        patient in train or validation.
    """
    found = np.zeros(len(scans), dtype=bool)
    for rows, seen in (
        (splits.validation, splits.train),
        (splits.test, np.concatenate([splits.train, splits.validation])),
    ):
        for codes in (scans.copies.near, scans.patient):
            if codes is not None:
                found[rows] |= np.isin(codes[rows], codes[seen])
    return found


def audit(scans: Scans, splits: Splits, config: ImagingConfig, /) -> list[Finding]:
    """Look for leaks and oddities; nothing is changed.

    Args:
        scans: the set.
        splits: rows of ``scans``.
        config: the advice depends on how the split was chosen.
    """
    return [
        *_across_splits(scans, splits, config.data.split),
        *_contradictions(scans),
        *_within_splits(splits, scans.copies),
        *_known_patients(scans, splits),
        *_balance(scans, splits),
        *_burnt_in_text(scans, splits),
    ]


# === Copies ===


def _across_splits(scans: Scans, splits: Splits, chosen: str) -> list[Finding]:
    parts, copies, findings = splits.parts(), scans.copies, []
    kind = "group" if scans.patient is None else "patient"
    advice = f"re-split with --set data.split={kind}, which keeps copies together"
    if chosen in ("group", "patient"):
        advice = f"a split by {chosen} should not do this: report it as a bug"
    for later, earlier in (("test", ("train", "validation")), ("validation", ("train",))):
        rows, seen = parts[later], np.concatenate([parts[name] for name in earlier])
        exact = np.isin(copies.exact[rows], copies.exact[seen])
        near = np.isin(copies.near[rows], copies.near[seen]) & ~exact
        count = int(exact.sum() + near.sum())
        if not count:
            continue
        first = next(name for name in earlier if np.isin(copies.near[rows], copies.near[parts[name]]).any())
        severe: Severity = "error" if (later, first) == ("test", "train") else "warning"
        use = (
            "Figures with and without them are in the report"
            if later == "test"
            else "Thresholds and epochs are chosen on images that are known already"
        )
        detail = (
            f"{count} of {len(rows)} {later} images ({count / len(rows):.1%}) have a copy in {' or '.join(earlier)}: "
            f"{exact.sum()} exact copies, {near.sum()} near copies (saved again, resized, trimmed): "
            f"{_places(scans, rows[exact | near])}. {use}; {advice}."
        )
        findings.append(Finding(severe, f"{later.capitalize()} images stand in {first}", detail))
    return findings


def _contradictions(scans: Scans) -> list[Finding]:
    """Report copies whose labels disagree: at least one of the labels is wrong."""
    copies = scans.copies
    labels = np.unique(scans.labels, axis=0, return_inverse=True)[1].reshape(-1)
    exact, near = _torn(copies.exact, labels), _torn(copies.near, labels)
    if not near.any():
        return []
    groups = len(np.unique(copies.near[near]))
    detail = (
        f"{near.sum()} images in {groups} groups of copies carry labels that disagree ({exact.sum()} of "
        f"them with an exact copy of another label): {_places(scans, np.flatnonzero(near))}. At least one label of "
        "each group is wrong: look at them and correct the manifest."
    )
    return [Finding("warning", "Copies with different labels", detail)]


def _torn(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return bool (image,): whether a copy of the image has another label."""
    kinds = np.unique(np.stack([codes, labels]), axis=1)[0]
    return np.asarray(np.bincount(kinds, minlength=codes.max() + 1)[codes] > 1)


def _within_splits(splits: Splits, copies: Copies) -> list[Finding]:
    findings = []
    for name, rows in splits.parts().items():
        exact, repeats = (len(rows) - len(np.unique(codes[rows])) for codes in (copies.exact, copies.near))
        if not repeats:
            continue
        share = repeats / len(rows)
        severity: Severity = "warning" if share >= MANY_COPIES else "info"
        detail = (
            f"{repeats} of {len(rows)} {name} images ({share:.1%}) repeat another one of {name}: "
            f"{exact} exactly, {repeats - exact} nearly. They count more than once (intervals allow for it). Remove "
            "the repeats from the manifest."
        )
        findings.append(Finding(severity, f"Copies within {name}", detail))
    return findings


# === Patients and classes ===


def _known_patients(scans: Scans, splits: Splits) -> list[Finding]:
    if scans.patient is None:
        return []
    return [
        replace(finding, detail=f"{finding.detail} Here: --set data.split=patient.")
        for finding in entity_overlap(scans.patient, splits, "patients")
    ]


def _balance(scans: Scans, splits: Splits) -> list[Finding]:
    """Report images per class and split, classes too rare in test, and shares that moved since train."""
    given = scans.labels if scans.multi_label else scans.labels[:, None] == np.arange(len(scans.classes))
    counts = {name: given[rows].sum(axis=0) for name, rows in splits.parts().items()}
    table = "; ".join(
        f"{name}: " + ", ".join(f"{label} {n}" for label, n in zip(scans.classes, counts[name], strict=True))
        for name in counts
    )
    findings = [Finding("info", "Images per class", f"{table}.")]
    rare = [f"{label} ({n})" for label, n in zip(scans.classes, counts["test"], strict=True) if n < MIN_TEST_IMAGES]
    if rare:
        detail = (
            f"Test holds fewer than {MIN_TEST_IMAGES} images of {', '.join(rare)}. Figures for them say little: raise "
            "data.test_share, bring more images, or merge classes."
        )
        findings.append(Finding("warning", "Classes with few test images", detail))
    # With two classes, the shares of both move together.
    for code in range(len(scans.classes) == 2 and not scans.multi_label, len(scans.classes)):
        findings += _moved(given[:, code], scans.classes[code], splits)
    return findings


def _moved(target: np.ndarray, label: str, splits: Splits) -> list[Finding]:
    shares = ", ".join(
        f"{name} {target[rows].mean():.1%} of {len(rows)}" for name, rows in splits.parts().items() if len(rows)
    )
    detail = (
        f"{shares} (reported when |z| > {DRIFT_Z:g} and the shares differ by a factor of {DRIFT_RATIO:g}). "
        "Probabilities and thresholds fit the share they were made for: check that the splits come from the same place."
    )
    return [
        replace(finding, title=finding.title.replace("positives", f"class {label!r}"), detail=detail)
        for finding in label_drift(target, splits)
        if finding.severity == "warning"
    ]


# === Burnt-in text ===


def _burnt_in_text(scans: Scans, splits: Splits) -> list[Finding]:
    """Suspect text in the images, above all where it goes with a class."""
    rows = _thinned(splits.train)
    marked = text_like(scans.images, rows)
    given = scans.labels[rows] if scans.multi_label else scans.labels[rows][:, None] == np.arange(len(scans.classes))
    given = np.asarray(given, dtype=bool)
    with_text = {
        label: (marked[given[:, code]].mean(), int(given[:, code].sum()))
        for code, label in enumerate(scans.classes)
        if given[:, code].sum() >= MIN_TEST_IMAGES
    }
    listed = ", ".join(f"{label} {part:.1%} of {n}" for label, (part, n) in with_text.items())
    aside = f" ({listed})" if listed else ""
    seen = (
        f"Bright strokes like letters stand in a corner of {marked.sum()} of {len(rows)} train images looked at{aside}"
    )
    if _differs(with_text):
        detail = (
            f"{seen}. A network may read the marks instead of the anatomy: look at the heat maps, and mask or crop the "
            "corners of all images alike. This is a suspicion; nothing was read."
        )
        return [Finding("warning", "Marks like burnt-in text go with the class", detail)]
    if marked.sum() < TEXT_IMAGES:
        return []
    detail = f"{seen}. Text can name patients: look at some of the images before they leave the hospital."
    return [Finding("info", "Marks like burnt-in text", detail)]


def has_text(images: np.ndarray) -> bool:
    """Return whether text seems to stand in ``TEXT_IMAGES`` of the images or more; of many, 2,000 are looked at.

    Args:
        images: uint8 (image, size, size, channel).
    """
    return bool(text_like(images, _thinned(np.arange(len(images)))).sum() >= TEXT_IMAGES)


def _thinned(rows: np.ndarray) -> np.ndarray:
    return rows[:: max(1, -(-len(rows) // IMAGES_LOOKED_AT))]


def _differs(parts: dict[str, tuple[float, int]]) -> bool:
    """Return whether the largest and smallest share differ by ``TEXT_GAP`` and by ``DRIFT_Z`` standard errors."""
    if len(parts) < 2:
        return False
    (low, few), (high, many) = min(parts.values()), max(parts.values())
    pooled = (low * few + high * many) / (few + many)
    error = np.sqrt(pooled * (1 - pooled) * (1 / few + 1 / many))
    return bool(high - low >= TEXT_GAP and high - low > DRIFT_Z * error)


def text_like(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Find images with thin, bright strokes side by side in a corner, as lines of letters have.

    A stroke is what a morphological opening removes (white top-hat); a corner counts as marked when strokes fill
    ``TEXT_PIXELS`` of it and one of its rows crosses ``TEXT_CROSSINGS`` of them. Found: white text of 8 pixels and more
    in images of 96 to 192 pixels. Not found: single letters (side marks), dark text, and letters that were blurred into
    spots when a large film was made small.

    Args:
        images: uint8 (image, size, size, channel).
        rows: int64 (row,) which images to look at.

    Returns:
        bool (row,).
    """
    size = images.shape[1]
    zone = max(4, round(TEXT_ZONE * size))
    width = max(3, round(TEXT_STROKE * size))
    marked = np.zeros(len(rows), dtype=bool)
    for start in range(0, len(rows), IMAGES_AT_ONCE):
        grey = images[rows[start : start + IMAGES_AT_ONCE]].max(axis=3).astype(np.int16)
        raised = grey - grey_opening(grey, size=(1, width, width))
        strokes = (grey >= TEXT_LEVEL) & (raised >= TEXT_CONTRAST)
        for down in (slice(None, zone), slice(-zone, None)):
            for right in (slice(None, zone), slice(-zone, None)):
                corner = strokes[:, down, right]
                begins = (corner[:, :, 1:] & ~corner[:, :, :-1]).sum(axis=2) + corner[:, :, 0]
                letters = (corner.mean(axis=(1, 2)) >= TEXT_PIXELS) & (begins.max(axis=1) >= TEXT_CROSSINGS)
                marked[start : start + IMAGES_AT_ONCE] |= letters
    return marked


def _places(scans: Scans, rows: np.ndarray) -> str:
    """Say where images stand, so that they can be found: files are counted as in the manifest or folder."""
    if scans.file is None:
        return f"images {_listed(rows)} (counted from 1, in the order of the set)"
    files = scans.file[rows]
    if len(np.unique(scans.file)) < len(scans):
        return f"frames of the files {_listed(np.unique(files))} (counted from 1)"
    return f"images {_listed(files)} (counted from 1, in the order of the files)"


def _listed(places: np.ndarray) -> str:
    shown = ", ".join(f"{place + 1}" for place in places[:PLACES_SHOWN])
    return shown if len(places) <= PLACES_SHOWN else f"{shown}, …"
