"""Settings of the forecasting solution, with the reason for each default that is not obvious."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from ...shared.config import Settings, TrainingSettings
from ...tflite_export.settings import ExportSettings
from .clock import interval_text, parse_interval, parse_moment


class SyntheticSettings(Settings):
    """Size of the synthetic network; see ``synthesis`` for how its traffic flows.

    Attributes:
        interval_minutes: divides an hour, as the steps of real networks do.
    """

    sensors: int = Field(default=40, ge=4, le=2000)
    days: int = Field(default=28, ge=7, le=730)
    interval_minutes: Literal[1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60] = 5


class DataSettings(Settings):
    """How readings are understood, and how they are split.

    Attributes:
        interval: between two steps, such as ``5min``; guessed from the times where left out. Without times it must be
            named. One that contradicts the times is an error and never a wish to average.
        start: time of the first step where the file has no times, such as ``2012-03-01``.
        unit: of the readings, such as ``mph``; only told, never converted.
        missing_code: a reading that means missing. None, because 0 is a missing reading in METR-LA and an empty road
            elsewhere; figures with and without the mask do not compare.
        low, high: possible readings, inclusive; beyond them a reading is missing.
        feature: which number of a ``.npz`` file's array (step, sensor, feature); in PEMS04 and PEMS08 0 is flow, 1
            occupancy, 2 speed.
        aggregate: what becomes of several readings of a sensor in one step: their ``mean``, or the ``first``.
        adjacency: a file that says which sensors are neighbours.
        adjacency_kind: ``matrix``, ``edges`` (from, to, weight), ``distances`` (from, to, distance; or a matrix of
            distances) or ``auto``: by the shape and the names of the columns.
        kernel_cutoff: distances d become exp(-d²/σ²), σ being their standard deviation, and 0 where that is below this
            (Li et al. 2018, DCRNN, whose value this is).
        validation_share, test_share: parts of the steps at the end.
    """

    interval: str | None = None
    start: str | None = None
    unit: str = Field(default="", max_length=40)
    missing_code: float | None = None
    low: float | None = None
    high: float | None = None
    feature: int = Field(default=0, ge=0)
    aggregate: Literal["mean", "first"] = "mean"
    adjacency: Path | None = None
    adjacency_kind: Literal["auto", "matrix", "edges", "distances"] = "auto"
    kernel_cutoff: float = Field(default=0.1, ge=0, lt=1)
    validation_share: float = Field(default=0.1, gt=0, lt=0.5)
    test_share: float = Field(default=0.2, gt=0, lt=0.5)

    @field_validator("unit")
    @classmethod
    def _is_printable(cls, text: str) -> str:
        if not text.isprintable():
            raise ValueError("a unit is printable text, such as km/h")
        return text

    @field_validator("interval")
    @classmethod
    def _divides_a_day(cls, text: str | None) -> str | None:
        return None if text is None else interval_text(parse_interval(text))

    @field_validator("start")
    @classmethod
    def _is_a_moment(cls, text: str | None) -> str | None:
        if text is not None:
            parse_moment(text)
        return text

    @model_validator(mode="after")
    def _something_is_possible(self) -> DataSettings:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"data.low ({self.low:g}) must be below data.high ({self.high:g})")
        return self


class ModelSettings(Settings):
    """Which network, and its size; see ``model`` for what was compared.

    Attributes:
        kind: ``identity`` (descriptions of sensor and time with residual perceptrons) or ``recurrent`` (an encoder of
            the window and a decoder of the horizon for each sensor).
        window: steps that the network sees.
        horizon: steps that it forecasts. 12 and 12, an hour each at 5 minutes, is what published figures use.
        members: networks fitted one after the other, whose forecasts are averaged: each errs elsewhere.
        width: numbers that a sensor's window is described by.
        identity: numbers that a sensor itself is described by.
        clock: numbers that the time of the day is described by.
        blocks: residual perceptrons.
        neighbours: whether a sensor sees what the others read; without, silent sensors are known by the time alone.
        dropout: of hidden numbers in training.
    """

    kind: Literal["identity", "recurrent"] = "identity"
    window: int = Field(default=12, ge=1, le=288)
    horizon: int = Field(default=12, ge=1, le=288)
    members: int = Field(default=3, ge=1, le=8)
    width: int = Field(default=64, ge=4, le=512)
    identity: int = Field(default=24, ge=1, le=256)
    clock: int = Field(default=16, ge=1, le=256)
    blocks: int = Field(default=3, ge=0, le=16)
    neighbours: bool = True
    dropout: float = Field(default=0.1, ge=0, lt=1)


class TrafficTrainingSettings(TrainingSettings):
    """How the network is fitted.

    Attributes:
        batch_size: windows; few, because a network's history is short.
        weight_decay: strong, for the same reason.
        average: momentum of the running average of the weights.
        silent: the largest share of sensors that are silenced in a training window, in every other one.
    """

    epochs: int = Field(default=12, ge=1)
    patience: int = Field(default=6, ge=1)
    batch_size: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=0.1, ge=0)
    average: float = Field(default=0.99, ge=0, lt=1)
    silent: float = Field(default=0.5, ge=0, lt=1)


class DecisionSettings(Settings):
    """What a forecast is used for.

    Attributes:
        coverage: share of readings that should lie inside the band, calibrated on validation.
        congestion: a reading below counts as congestion, told apart in the evaluation; the domain's own rule if left
            out.
    """

    coverage: float = Field(default=0.9, ge=0.5, le=0.99)
    congestion: float | None = None


class TrafficExportSettings(ExportSettings):
    """As everywhere."""


class TrafficConfig(Settings):
    """All settings of a run of ``transportation``."""

    synthetic: SyntheticSettings = SyntheticSettings()
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    training: TrafficTrainingSettings = TrafficTrainingSettings()
    decision: DecisionSettings = DecisionSettings()
    export: TrafficExportSettings = TrafficExportSettings()

    @model_validator(mode="after")
    def _shares_leave_room(self) -> TrafficConfig:
        if self.data.validation_share + self.data.test_share >= 0.8:
            raise ValueError("data.validation_share and data.test_share together leave too little to train on")
        return self
