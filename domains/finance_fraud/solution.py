"""The fraud domain's record: wiring, no logic."""

from __future__ import annotations

import numpy as np

from ...shared.chosen_rows import calibration_rows, shuffled_rows
from ...shared.contract import Table
from ...shared.decisions import Threshold
from ...shared.domain import Arrays, Description, Domain, Prepared
from ...tflite_export.card import Field, Tensor
from .config import FraudConfig
from .contract import CONTRACT, SOURCES
from .data import audit, load, prepare, split, synthesize
from .device import NAME, store_settings
from .evaluate import decide, evaluate
from .explain import ordinary
from .features import Plan
from .illustrate import illustrate
from .model import SCORE, fit_model
from .rivals import rivals

INTENDED_USE = (
    "Rank and flag transactions for people to look at, at the bank or shop whose transactions it was trained on."
)
LICENCE = "that of the training data; edgekit adds none"
LIMITS = (
    "It does not prove a fraud, and must not be the only ground for refusing a customer.",
    "It says nothing about customers of another bank, nor about kinds of fraud that were not in the training data.",
    "Scores of new customers and terminals rest on few transactions.",
)


def describe(
    table: Table, prepared: Prepared, config: FraudConfig, *, threshold: Threshold | None = None
) -> Description:
    """Return what the device file says of itself."""
    plan: Plan = prepared.plan
    return Description(
        inputs=_tensors(plan),
        outputs=(Tensor(SCORE, "float32", (1,), "probability of fraud, calibrated on validation"),),
        labels=("fraud",),
        intended_use=INTENDED_USE,
        licence=LICENCE,
        limits=LIMITS + prepared.notes,
        settings=store_settings(
            plan, table.mapping, table.features, ordinary(prepared.train.inputs, prepared.train.target)
        ),
    )


def golden(prepared: Prepared, answers: Arrays) -> dict[str, np.ndarray]:
    """Return validation values, shuffled column by column, as golden inputs."""
    return shuffled_rows(prepared.validation, answers[SCORE])


def calibration(prepared: Prepared, config: FraudConfig) -> dict[str, np.ndarray]:
    """Return training rows to learn ranges from."""
    return calibration_rows(prepared.train)


def _tensors(plan: Plan) -> tuple[Tensor, ...]:
    tensors = []
    if plan.columns:
        meaning = {name: group for group, names in plan.groups().items() for name in names}
        columns = tuple(Field(name, meaning=meaning[name]) for name in plan.columns)
        tensors.append(
            Tensor(
                "numeric",
                "float32",
                (len(columns),),
                "windowed and own numbers",
                missing="NaN, imputed inside",
                fields=columns,
            )
        )
    if plan.vocabularies:
        columns = tuple(
            Field(name, meaning="category; 0 is any value not listed", vocabulary=("(other)", *words))
            for name, words in plan.vocabularies.items()
        )
        tensors.append(
            Tensor(
                "categorical",
                "int32",
                (len(columns),),
                "category codes",
                missing="0, as any value not listed",
                fields=columns,
            )
        )
    if plan.history:
        columns = (Field("amount", "money"), Field("age", "days"), Field("unusual", meaning="0 or 1"))
        tensors.append(
            Tensor(
                "history",
                "float32",
                (plan.history, 3),
                "the customer's last transactions, newest last",
                missing="NaN before the first",
                fields=columns,
            )
        )
    return tuple(tensors)


DOMAIN = Domain(
    name=NAME,
    title="Fraud in payments",
    config=FraudConfig(),
    contract=CONTRACT,
    sources=SOURCES,
    primary_metric="average_precision",
    higher_is_better=True,
    score_output=SCORE,
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
)
