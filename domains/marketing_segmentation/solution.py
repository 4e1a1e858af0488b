"""The segmentation domain's record: wiring, no logic."""

from __future__ import annotations

import numpy as np

from ...shared.chosen_rows import calibration_rows
from ...shared.decisions import Threshold
from ...shared.domain import Arrays, Description, Domain, Prepared
from ...tflite_export.card import Tensor
from .audit import audit
from .config import MarketingConfig
from .contract import CONTRACT, SOURCES
from .customers import CustomerTable
from .data import prepare, split
from .device import NAME, store_settings
from .evaluate import Naming, decide, evaluate
from .features import BEHAVIOUR, CODE, COMES_BACK, ORDERS, SEGMENTS, SPEND, Plan
from .illustrate import illustrate
from .made_up import made_up
from .model import fit_model
from .orders import Orders
from .reading import load
from .refits import beyond
from .rivals import rivals
from .synthesis import synthesize

INTENDED_USE = "Tell a shop's own customers apart by what they do and are likely to do next, one by one, on the device."
LICENCE = "that of the training data; edgekit adds none"
LIMITS = (
    "It has seen the customers of one shop; those of another behave otherwise.",
    "A segment says what its customers have in common, not why, and nothing about people who never ordered.",
    "Names were made by a rule from customers kept apart; they are true of a segment as a whole, not of each of it.",
    "Expectations repeat the level of the time learnt from; prices, promotions and seasons unseen are not in them.",
)


def describe(
    data: Orders | CustomerTable, prepared: Prepared, config: MarketingConfig, *, threshold: Threshold
) -> Description:
    """Return what the device file says of itself."""
    plan: Plan = prepared.plan
    names = threshold.names if isinstance(threshold, Naming) else ()
    ahead, money = f"within {plan.horizon_days} days", plan.currency or "the currency of the training data"
    return Description(
        inputs=(
            Tensor(BEHAVIOUR, "float32", (len(plan.names),), f"behaviour: {', '.join(plan.names)}", missing="NaN"),
        ),
        outputs=(
            Tensor(SEGMENTS, "float32", (len(names),), "probability of each segment"),
            Tensor(CODE, "float32", (config.model.code,), "numbers that stand for the behaviour"),
            Tensor(ORDERS, "float32", (1,), f"expected orders {ahead}"),
            Tensor(SPEND, "float32", (1,), f"expected spend {ahead}", money),
            Tensor(COMES_BACK, "float32", (1,), f"probability of an order {ahead}"),
        ),
        labels=names,
        intended_use=INTENDED_USE,
        licence=LICENCE,
        limits=LIMITS + prepared.notes,
        settings=store_settings(plan, config.data),
    )


def golden(prepared: Prepared, answers: Arrays) -> dict[str, np.ndarray]:
    """Return made-up customers as golden inputs: a device file carries nobody's orders."""
    return {BEHAVIOUR: made_up(prepared.plan)}


def calibration(prepared: Prepared, config: MarketingConfig) -> dict[str, np.ndarray]:
    """Return training customers to learn ranges from."""
    return calibration_rows(prepared.train)


DOMAIN = Domain(
    name=NAME,
    title="Segments of customers",
    config=MarketingConfig(),
    contract=CONTRACT,
    sources=SOURCES,
    primary_metric="spend_explained",
    higher_is_better=True,
    score_output=SEGMENTS,
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
    headline=("spend_explained", "stability_ari", "orders_deviance", "orders_aggregate_error", "return_auc"),
    guards={"orders_deviance": 0.01, "spend_aggregate_error": 0.01},
    beyond=beyond,
)
