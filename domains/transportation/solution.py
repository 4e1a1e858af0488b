"""The forecasting domain's record: wiring, no logic."""

from __future__ import annotations

import numpy as np

from ...shared.chosen_rows import calibration_rows, spread
from ...shared.decisions import Threshold
from ...shared.domain import Arrays, Description, Domain, Prepared
from ...tflite_export.card import Tensor
from .config import TrafficConfig
from .contract import CONTRACT, SOURCES
from .data import audit, prepare, split
from .device import NAME, store_settings
from .evaluate import decide, evaluate
from .features import MOMENT, READINGS, Plan
from .illustrate import illustrate
from .masked_errors import HIGH, LOW, MEDIAN
from .model import fit_model
from .reading import load
from .readings import Readings
from .rivals import rivals
from .synthesis import synthesize

INTENDED_USE = "Forecast what a road network's own sensors will read within the hour, in the box at the roadside."
LICENCE = "that of the training data; edgekit adds none"
LIMITS = (
    "It has seen what the training time showed: a closure, a new road or a holiday that was not in it surprises it.",
    "Times follow the clock on the wall where the readings come from.",
    "A sensor that is silent is forecast from the others and the time; the more are silent, the worse.",
    "The band holds the stated share on average over all sensors and times, not for each of them.",
)
GOLDEN_ROWS = 8


def describe(readings: Readings, prepared: Prepared, config: TrafficConfig, *, threshold: Threshold) -> Description:
    """Return what the device file says of itself."""
    plan: Plan = prepared.plan
    shown, unit = (plan.horizon, len(plan.sensors)), plan.unit or "that of the training data"
    return Description(
        inputs=(
            Tensor(READINGS, "float32", (plan.window, len(plan.sensors)), "readings, newest last", unit, missing="NaN"),
            Tensor(MOMENT, "int32", (2,), "step of the day and day of the week (0 Monday) of the newest readings"),
        ),
        outputs=(
            Tensor(MEDIAN, "float32", shown, "what is expected", unit),
            Tensor(
                LOW, "float32", shown, f"lower end of the band that holds {plan.coverage:.0%} of the readings", unit
            ),
            Tensor(HIGH, "float32", shown, "its upper end", unit),
        ),
        labels=(),
        intended_use=INTENDED_USE,
        licence=LICENCE,
        limits=LIMITS + prepared.notes,
        settings=store_settings(plan),
    )


def golden(prepared: Prepared, answers: Arrays) -> dict[str, np.ndarray]:
    """Return validation windows as golden inputs: one as it was, others with more and more sensors silent."""
    rows = spread(len(prepared.validation), GOLDEN_ROWS)
    inputs = prepared.validation.take(rows).inputs
    readings = np.array(inputs[READINGS])
    silent = np.random.default_rng(0).random((len(rows), 1, readings.shape[2]))
    readings[np.broadcast_to(silent < np.linspace(0, 1.01, len(rows))[:, None, None], readings.shape)] = np.nan
    return {READINGS: readings, MOMENT: inputs[MOMENT]}


def calibration(prepared: Prepared, config: TrafficConfig) -> dict[str, np.ndarray]:
    """Return training windows to learn ranges from."""
    return calibration_rows(prepared.train)


DOMAIN = Domain(
    name=NAME,
    title="Forecast of a road network",
    config=TrafficConfig(),
    contract=CONTRACT,
    sources=SOURCES,
    primary_metric="mae",
    higher_is_better=False,
    score_output="",
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
    headline=("mae", "rmse@15", "rmse@30", "rmse@60", "coverage@90", "width@90"),
)
