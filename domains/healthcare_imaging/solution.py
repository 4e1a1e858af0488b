"""The imaging domain's record: wiring, no logic."""

from __future__ import annotations

from typing import cast

import numpy as np

from ...shared.decisions import Threshold
from ...shared.domain import Arrays, Description, Domain, Prepared
from ...tflite_export.card import Tensor
from .batches import calibration_images
from .config import ImagingConfig
from .contract import CONTRACT, SOURCES
from .data import audit, prepare, split
from .device import EXPLAIN, NAME, store_settings
from .evaluate import decide, evaluate
from .features import Plan
from .illustrate import illustrate
from .loading import load
from .model import fit_model
from .rivals import rivals
from .scans import Scans
from .synthesis import golden_scans, synthesize
from .verdicts import DISTANCE, HEAT, PROBABILITY, SUSPICION, OperatingPoint

INTENDED_USE = (
    "Put medical images into the order in which clinicians look at them, at the hospital whose images it was "
    "trained on."
)
LICENCE = "that of the training data; edgekit adds none"
LIMITS = (
    "It is not a medical device and does not diagnose; a clinician decides.",
    "It knows the classes of its training set only; what it does not know it can miss or misname.",
    "Images from other machines, protocols, ages or diseases may be misjudged without being refused.",
    "The heat map shows where the evidence for a label lies in the network, not where a disease is.",
)
GOLDEN_BYTES = 40_000  # of golden images; a device file stays small


def describe(scans: Scans, prepared: Prepared, config: ImagingConfig, *, threshold: Threshold) -> Description:
    """Return what the device file says of itself."""
    plan: Plan = prepared.plan
    edge = (plan.size, plan.size, plan.channels)
    rule = "sigmoid" if plan.multi_label else "softmax"
    return Description(
        inputs=(
            Tensor(
                "image",
                "uint8",
                edge,
                "the whole image padded to a square" if plan.fit == "pad" else "the middle square of the image",
                unit="grey or RGB level 0…255",
            ),
        ),
        outputs=(
            Tensor(
                PROBABILITY, "float32", (len(plan.classes),), f"of each class ({rule}), temperature from validation"
            ),
            Tensor(SUSPICION, "float32", (1,), "how likely anything is found, 0…1"),
            Tensor(DISTANCE, "float32", (1,), "distance of the features to those of the training images"),
        ),
        labels=plan.classes,
        intended_use=INTENDED_USE,
        licence=LICENCE,
        limits=LIMITS + prepared.notes,
        settings=store_settings(plan, cast("OperatingPoint", threshold)),
    )


def golden(prepared: Prepared, answers: Arrays) -> dict[str, np.ndarray]:
    """Return synthetic scans as golden inputs: a device file carries no patient's image."""
    plan: Plan = prepared.plan
    count = min(12, max(3, GOLDEN_BYTES // (plan.size**2 * plan.channels)))
    return {"image": golden_scans(count, size=plan.size, channels=plan.channels, seed=0)}


def calibration(prepared: Prepared, config: ImagingConfig) -> dict[str, np.ndarray]:
    """Return training images, plain and varied, to learn ranges from."""
    return calibration_images(prepared.train, config.training)


DOMAIN = Domain(
    name=NAME,
    title="Triage of medical images",
    config=ImagingConfig(),
    contract=CONTRACT,
    sources=SOURCES,
    primary_metric="auc",
    higher_is_better=True,
    score_output=SUSPICION,
    load=load,
    synthesize=synthesize,
    split=split,
    audit=audit,
    prepare=prepare,
    fit=fit_model,
    evaluate=evaluate,
    decide=decide,
    rivals=rivals,
    describe=describe,
    golden=golden,
    calibration=calibration,
    illustrate=illustrate,
    views={EXPLAIN: (HEAT,)},
    guards={"refused": 0.02, "coverage": 0.03, "sensitivity": 0.03, "abstained": 0.05},
)
