"""From a set of images to model inputs: normal class, leak-safe split, what stands beside each image."""

from __future__ import annotations

import re
import tempfile
from functools import lru_cache

import numpy as np

from ...shared import splits as rules
from ...shared.audit import Finding
from ...shared.domain import Examples, Prepared
from ...shared.errors import ConfigError, ContractError, choose
from ...shared.splits import Splits
from . import audit as checks
from .config import ImagingConfig
from .features import Plan
from .scans import Scans

NORMAL = re.compile(r"(no|non|none|not|normal|healthy|negative|without|clear)(?![a-z])", re.IGNORECASE)
MIN_UNITS = 3
"""Patients or groups that a class needs, so that each split can have one."""
_CHUNK = 4096


@lru_cache(maxsize=1)
def copies_of(scans: Scans) -> checks.Copies:
    """Return which images are copies of each other; searched for once per set."""
    return checks.find_copies(scans)


def split(scans: Scans, config: ImagingConfig, *, seed: int) -> Splits:
    """Divide by the set's own split; else by patient; else by near-duplicate group, exact copies left out.

    Raises:
        ConfigError: the split asked for needs what the set does not have.
        ContractError: a class has too few patients or groups for three splits, or an own split lacks a part.
    """
    kind = config.data.split
    if kind == "own" or (kind == "auto" and scans.split is not None):
        return _own(scans, config, seed=seed)
    if kind == "patient" or (kind == "auto" and scans.patient is not None):
        if scans.patient is None:
            raise ConfigError(
                f"data.split = patient, but nothing in {scans.source} names patients. Add a column patient to a "
                "manifest, or use data.split = group."
            )
        return _by(scans.patient, "patients", scans, np.arange(len(scans)), config, seed=seed)
    kept = np.unique(copies_of(scans).exact, return_index=True)[1]
    return _by(copies_of(scans).near, "near-duplicate groups", scans, np.sort(kept), config, seed=seed)


def _by(units: np.ndarray, what: str, scans: Scans, rows: np.ndarray, config: ImagingConfig, *, seed: int) -> Splits:
    """Give each unit among ``rows`` whole to one split."""
    _require_units(units[rows], what, scans, rows)
    made = rules.by_group(
        units[rows],
        validation_share=config.data.validation_share,
        test_share=config.data.test_share,
        seed=seed,
        labels=_strata(scans)[rows],
    )
    left = len(scans) - len(rows)
    copies = (f"{left:,} exact copies of another image are in no split",) if left else ()
    rule = made.rule.replace("groups", what)
    train, validation, test = (rows[part] for part in made.parts().values())
    return Splits(train, validation, test, rule, (*made.notes, *copies))


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
    units = copies_of(scans).near if scans.patient is None else scans.patient
    share = config.data.validation_share
    made = rules.by_group(
        units[train], validation_share=share, test_share=share, seed=seed, labels=_strata(scans)[train]
    )
    chosen = train[made.validation]
    rule = "as the set itself divides them; validation, which it lacks, is taken from its training images by group"
    return Splits(np.setdiff1d(train, chosen), chosen, test, rule)


def _strata(scans: Scans) -> np.ndarray:
    """Return (image,) classes to spread over the splits; of several labels, whether there is any."""
    return np.asarray(scans.labels.any(axis=1), dtype=np.int64) if scans.multi_label else scans.labels


def _require_units(units: np.ndarray, what: str, scans: Scans, rows: np.ndarray) -> None:
    strata = _strata(scans)[rows]
    counts = {code: len(np.unique(units[strata == code])) for code in np.unique(strata)}
    names = ("without a label", "with a label") if scans.multi_label else scans.classes
    poor = [f"{names[code]}: {count}" for code, count in counts.items() if count < MIN_UNITS]
    if poor:
        raise ContractError(
            f"{scans.source}: every class needs at least {MIN_UNITS} {what}, one for each split; found "
            f"{', '.join(poor)}. Bring more images of these classes, merge them with others, or leave them out."
        )


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
    """Fix what a device must know to bring an image into the network's form and to name the answer."""
    fit = config.data.fit
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
    return next((code for code, name in enumerate(classes) if NORMAL.match(name)), 0)


def _context(scans: Scans, splits: Splits, plan: Plan) -> dict[str, np.ndarray]:
    finding = scans.labels.any(axis=1) if scans.multi_label else scans.labels != plan.normal
    context: dict[str, np.ndarray] = {
        "unit": copies_of(scans).near if scans.patient is None else scans.patient,
        "finding": np.asarray(finding, dtype=np.int64),
        "normal": np.full(len(scans), plan.normal),
        "leaked": checks.leaked(scans, splits, copies=copies_of(scans)),
        **{f"by {name}": values for name, values in scans.groups.items()},
    }
    return context if scans.lesions is None else {**context, "lesions": scans.lesions}


def _gathered(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the images at ``rows``; those of a mapped file go into another: no split needs to fit in memory."""
    if not isinstance(images, np.memmap):
        return np.asarray(images[rows])
    with tempfile.TemporaryFile() as file:  # the mapping keeps the file's content after it is closed
        for start in range(0, len(rows), _CHUNK):
            file.write(images[rows[start : start + _CHUNK]].tobytes())
        file.flush()
        # a plain array over the mapping: the interpreter takes no subclasses
        return np.asarray(np.memmap(file, dtype=images.dtype, mode="r", shape=(len(rows), *images.shape[1:])))


def _limits(scans: Scans, plan: Plan, config: ImagingConfig) -> tuple[str, ...]:
    notes = []
    if scans.patient is None:
        notes.append(
            "no patient is named: images of one person may stand in two splits unless they nearly equal each other, "
            "and intervals take images for independent"
        )
    name = plan.classes[plan.normal]
    if not plan.multi_label and not config.data.normal and not NORMAL.match(name):
        notes.append(f"class {name!r} is taken for the normal one; name another with --set data.normal=NAME")
    return tuple(notes)


def audit(scans: Scans, splits: Splits, config: ImagingConfig) -> list[Finding]:
    """Look for copies and patients on two sides, rare classes and burnt-in text."""
    return checks.audit(scans, splits, config, copies=copies_of(scans))
