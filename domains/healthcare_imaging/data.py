"""From a set of images to model inputs: normal class, leak-safe split, what stands beside each image."""

from __future__ import annotations

import re

import numpy as np

from ...shared import splits as rules
from ...shared.audit import Finding
from ...shared.domain import Examples, Prepared
from ...shared.errors import ConfigError, ContractError, choose
from ...shared.splits import Splits
from . import audit as checks
from . import spill
from .config import ImagingConfig
from .features import Plan
from .scans import Scans

NORMAL = re.compile(
    r"normal|healthy|negative|none|nothing|controls?|clear|(no|not|without)[ _-][^\W\d_].*"
    r"|no(tumou?r|dr|findings?|disease|lesion)",
    re.IGNORECASE,
)
"""Whole names that mean "nothing found"; "non-small cell" and "clear cell carcinoma" do not."""
MIN_UNITS = 3
"""Patients or groups that a class needs, so that each split can have one."""
MIN_SUBGROUP = 20
"""Images that a value of a subgroup needs to be shown by name: a rarer one could tell who is meant."""
OTHERS = "others"
_CHUNK = 4096


def split(scans: Scans, config: ImagingConfig, *, seed: int) -> Splits:
    """Divide by the set's own split; else by patient; else by near-duplicate group, exact copies left out.

    Images of one patient, of one file, and copies of each other always stand in one split, but for the set's own.

    Raises:
        ConfigError: the split asked for needs what the set does not have.
        ContractError: a class has too few patients or groups for three splits, an own split lacks a part, or all images
            of a part have the same labels.
    """
    kind = config.data.split
    if kind == "own" or (kind == "auto" and scans.split is not None):
        return _contrasting(_own(scans, config, seed=seed), scans)
    if kind == "patient" and scans.patient is None:
        raise ConfigError(
            f"data.split = patient, but nothing in {scans.source} names patients. Add a column patient to a "
            "manifest, or use data.split = group."
        )
    rows = np.arange(len(scans))
    if kind == "group" or scans.patient is None:
        rows = np.sort(np.unique(scans.copies.exact, return_index=True)[1])
    return _contrasting(_by_unit(scans, rows, config, seed=seed), scans)


def _by_unit(scans: Scans, rows: np.ndarray, config: ImagingConfig, *, seed: int) -> Splits:
    """Give each unit among ``rows`` whole to one split."""
    what = "near-duplicate groups" if scans.patient is None else "patients"
    _require_units(scans, rows, what)
    made = rules.by_group(
        scans.unit[rows],
        validation_share=config.data.validation_share,
        test_share=config.data.test_share,
        seed=seed,
        labels=_strata(scans, rows),
    )
    train, validation, test = (rows[part] for part in made.parts().values())
    notes = (*made.notes, *_unit_notes(scans, rows))
    return Splits(train, validation, test, made.rule.replace("groups", what), notes)


def _unit_notes(scans: Scans, rows: np.ndarray) -> list[str]:
    notes = []
    if len(rows) < len(scans):
        notes.append(f"{len(scans) - len(rows):,} exact copies of another image are in no split")
    if scans.patient is not None:
        tied = len(np.unique(scans.patient[rows])) - len(np.unique(scans.unit[rows]))
        if tied:
            notes.append(
                f"{tied:,} patients stand with another one, whose images theirs copy, and count as one with it"
            )
    return notes


def _own(scans: Scans, config: ImagingConfig, *, seed: int) -> Splits:
    """Use the set's own split; a validation split that it lacks is taken from its training images."""
    if scans.split is None:
        raise ConfigError(
            f"data.split = own, but {scans.source} is not divided. Add a column split to a manifest, or use patient or "
            "group."
        )
    train, validation, test = (np.flatnonzero(scans.split == code) for code in range(3))
    if not len(train) or not len(test):
        raise ContractError(
            f"The split of {scans.source} has {len(train):,} training and {len(test):,} test images. Give it both, or "
            "divide anew with --set data.split=group."
        )
    if len(validation):
        return Splits(train, validation, test, "as the set itself divides them")
    share = config.data.validation_share
    made = rules.by_group(
        scans.unit[train], validation_share=share, test_share=share, seed=seed, labels=_strata(scans, train)
    )
    chosen = train[made.validation]
    rule = "as the set itself divides them; validation, which it lacks, is taken from its training images by group"
    return Splits(np.setdiff1d(train, chosen), chosen, test, rule)


# === Classes in every split ===


def _strata(scans: Scans, rows: np.ndarray) -> np.ndarray | None:
    """Return (row,) codes to spread over the splits: the class, or of several labels the rarest that the image has.

    ``None`` where too few units hold a second one. A label that hardly any unit has as its rarest counts as none.
    """
    unit = np.unique(scans.unit[rows], return_inverse=True)[1]
    strata = _rarest(scans.labels[rows]) if scans.multi_label else scans.labels[rows]
    if scans.multi_label:
        strata = np.where(_units_of(strata, unit)[strata] >= MIN_UNITS, strata, 0)
    return strata if np.sum(_units_of(strata, unit) >= MIN_UNITS) > 1 else None


def _rarest(labels: np.ndarray) -> np.ndarray:
    """Return int64 (image,): 0 without a label, else higher the rarer the image's rarest label is."""
    by_rarity = labels[:, np.argsort(labels.sum(axis=0), kind="stable")] > 0
    return np.where(by_rarity.any(axis=1), labels.shape[1] - by_rarity.argmax(axis=1), 0)


def _units_of(strata: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Return int64 (stratum,): how many units have it as their highest, as ``by_group`` divides them."""
    highest = np.zeros(unit.max() + 1, dtype=np.int64)
    np.maximum.at(highest, unit, strata)
    return np.bincount(highest, minlength=strata.max() + 1)


def _require_units(scans: Scans, rows: np.ndarray, what: str) -> None:
    units, labels = scans.unit[rows], scans.labels[rows]
    held = labels > 0 if scans.multi_label else labels[:, None] == np.arange(len(scans.classes))
    counts = [len(np.unique(units[held[:, code]])) for code in range(len(scans.classes))]
    poor = [f"{name}: {count}" for name, count in zip(scans.classes, counts, strict=True) if 0 < count < MIN_UNITS]
    if poor:
        kind, several = ("label", "labels") if scans.multi_label else ("class", "classes")
        raise ContractError(
            f"{scans.source}: every {kind} needs at least {MIN_UNITS} {what}, one for each split; found "
            f"{', '.join(poor)}. Bring more images of these {several}, merge them with others, or leave them out."
        )


def _contrasting(made: Splits, scans: Scans) -> Splits:
    """Refuse a split with a part in which nothing can be told apart, before anything is trained."""
    poor = [name for name, rows in made.parts().items() if np.all(scans.labels[rows] == scans.labels[rows[:1]])]
    if poor:
        raise ContractError(
            f"{scans.source}: all labels are alike in {' and '.join(poor)}. Expected images with and without a "
            "finding, or of at least two classes, in every split. Bring such images, or divide in another way: --set "
            "data.split=group, or another seed."
        )
    return made


# === Model inputs ===


def prepare(scans: Scans, splits: Splits, config: ImagingConfig) -> Prepared:
    """Make the model inputs: the images as they are, with what metrics need beside them."""
    plan = make_plan(scans, config)
    context = _context(scans, splits, plan)
    train, validation, test = (
        Examples(
            {"image": _gathered(scans.images, rows)},
            scans.labels[rows],
            {name: values[rows] for name, values in context.items()},
        )
        for rows in splits.parts().values()
    )
    return Prepared(plan, train, validation, test, _limits(scans, plan, config))


def make_plan(scans: Scans, config: ImagingConfig) -> Plan:
    """Fix what a device must know to bring an image into the network's form and to name the answer.

    Raises:
        ConfigError: ``data.normal`` names no class, or one where an image can have several labels.
    """
    fit = config.data.fit
    if scans.multi_label and config.data.normal:
        raise ConfigError(
            f"data.normal = {config.data.normal} has no meaning for {scans.source}: its images can have several "
            "labels, and without one nothing is found. Leave the setting out."
        )
    return Plan(
        size=scans.images.shape[1],
        channels=scans.images.shape[3],
        fit=("crop" if scans.cropped else "pad") if fit == "auto" else fit,
        axis=config.data.axis,
        classes=scans.classes,
        normal=0 if scans.multi_label else normal_class(scans.classes, config),
        multi_label=scans.multi_label,
    )


def normal_class(classes: tuple[str, ...], config: ImagingConfig) -> int:
    """Return the code of the class that means "nothing found": the one named, the one whose name says so, or the first.

    Raises:
        ConfigError: ``data.normal`` names no class.
    """
    if config.data.normal:
        return classes.index(choose("class", config.data.normal, classes))
    return next((code for code, name in enumerate(classes) if NORMAL.fullmatch(name)), 0)


def _context(scans: Scans, splits: Splits, plan: Plan) -> dict[str, np.ndarray]:
    finding = scans.labels.any(axis=1) if scans.multi_label else scans.labels != plan.normal
    context: dict[str, np.ndarray] = {
        "unit": scans.unit,
        "finding": np.asarray(finding, dtype=np.int64),
        "normal": np.full(len(scans), plan.normal),
        "leaked": checks.leaked(scans, splits),
        **{f"by {name}": _rare_merged(values) for name, values in scans.groups.items()},
    }
    return context if scans.lesions is None else {**context, "lesions": scans.lesions}


def _rare_merged(values: np.ndarray) -> np.ndarray:
    """Return the values of a subgroup, those of few images under one name; an empty one, unknown, stays as it is."""
    kinds, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray(np.where((counts < MIN_SUBGROUP) & (kinds != ""), OTHERS, kinds)[which])


def _gathered(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the images at ``rows``; those of a mapped file go into another: no split needs to fit in memory."""
    if not isinstance(images, np.memmap):
        return np.asarray(images[rows])
    with spill.opened() as file:
        for start in range(0, len(rows), _CHUNK):
            spill.append(file, images[rows[start : start + _CHUNK]])
        # a plain array over the mapping: the interpreter takes no subclasses
        return np.asarray(spill.mapped(file, (len(rows), *images.shape[1:])))


def _limits(scans: Scans, plan: Plan, config: ImagingConfig) -> tuple[str, ...]:
    notes = []
    if scans.patient is None:
        notes.append(
            "no patient is named: images of one person may stand in two splits unless they come from one file or "
            "nearly equal each other, and intervals take other images for independent"
        )
    name = plan.classes[plan.normal]
    if not plan.multi_label and not config.data.normal:
        notes.append(f"class {name!r} is taken for the normal one; name another with --set data.normal=NAME")
    return tuple(notes)


def audit(scans: Scans, splits: Splits, config: ImagingConfig) -> list[Finding]:
    """Look for copies and patients on two sides, rare classes and burnt-in text."""
    return checks.audit(scans, splits, config)
