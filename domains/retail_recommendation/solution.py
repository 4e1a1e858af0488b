"""The recommendation domain's record: wiring, no logic."""

from __future__ import annotations

import numpy as np

from ...shared.chosen_rows import calibration_rows
from ...shared.decisions import Threshold
from ...shared.domain import Arrays, Description, Domain, Prepared
from ...tflite_export.card import Tensor
from .config import RetailConfig
from .contract import CONTRACT, SOURCES
from .data import audit, prepare, split
from .device import ALL_SCORES, ITEMS, NAME, SCORE, SCORES, store_settings
from .evaluate import decide, evaluate
from .features import TOP, Plan
from .illustrate import illustrate
from .log import Log
from .model import fit_model
from .reading import load
from .rivals import rivals
from .synthesis import synthesize

INTENDED_USE = "Show a shopper what to look at next, at the shop whose log it was trained on."
LICENCE = "that of the training data; edgekit adds none"
LIMITS = (
    "It repeats what shoppers did; what was never shown cannot have been chosen.",
    "Items that were in neither log nor items table are unknown to it; retrain, or show them elsewhere.",
    "Scores are no probabilities, and cannot be compared between histories.",
)
GOLDEN_ROWS = 8


def describe(log: Log, prepared: Prepared, config: RetailConfig, *, threshold: Threshold) -> Description:
    """Return what the device file says of itself."""
    plan: Plan = prepared.plan
    shown = (min(TOP, len(plan.items)),)
    return Description(
        inputs=(
            Tensor("history", "int32", (plan.window,), "item codes, newest last", missing="0 in front"),
            Tensor("exclude", "int32", (plan.excluded,), "item codes not to be recommended", missing="0"),
        ),
        outputs=(
            Tensor(ITEMS, "int32", shown, "item codes, the highest score first"),
            Tensor(SCORES, "float32", shown, "their scores; -1e9 where no item is left"),
        ),
        labels=(),
        intended_use=INTENDED_USE,
        licence=LICENCE,
        limits=LIMITS + prepared.notes,
        settings=store_settings(plan),
    )


def golden(prepared: Prepared, answers: Arrays) -> dict[str, np.ndarray]:
    """Return made-up histories of all lengths as golden inputs: a device file carries no shopper's history."""
    plan: Plan = prepared.plan
    rng = np.random.default_rng(0)
    history = rng.integers(1, len(plan.items) + 1, (GOLDEN_ROWS, plan.window), dtype=np.int32)
    lengths = np.linspace(0, plan.window, GOLDEN_ROWS).astype(int)
    history[np.arange(plan.window)[None, :] < plan.window - lengths[:, None]] = 0
    exclude = np.zeros((GOLDEN_ROWS, plan.excluded), dtype=np.int32)
    exclude[:, 0] = rng.integers(1, len(plan.items) + 1, GOLDEN_ROWS, dtype=np.int32)
    return {"history": history, "exclude": exclude}


def calibration(prepared: Prepared, config: RetailConfig) -> dict[str, np.ndarray]:
    """Return training histories to learn ranges from."""
    return calibration_rows(prepared.train)


DOMAIN = Domain(
    name=NAME,
    title="Recommendation of the next item",
    config=RetailConfig(),
    contract=CONTRACT,
    sources=SOURCES,
    primary_metric="ndcg@10",
    higher_is_better=True,
    score_output=SCORES,
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
    views={SCORE: (ALL_SCORES,)},
    unmeasured=(ALL_SCORES,),
)
