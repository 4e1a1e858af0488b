"""Settings of the segmentation solution, with the reason for each default that is not obvious."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from ...shared.config import Settings, TrainingSettings
from ...tflite_export.settings import ExportSettings


class SyntheticSettings(Settings):
    """Size of the synthetic shop; see ``synthesis`` for the kinds of customers it has."""

    customers: int = Field(default=1500, ge=60)
    days: int = Field(default=540, ge=200)
    items: int = Field(default=200, ge=10)


class DataSettings(Settings):
    """How orders are read, and at which days the future begins.

    Attributes:
        calibration: the last day whose orders may be known (ISO date); ``horizon_days`` before the end of the log if
            left out.
        horizon_days: days after it that are to be foreseen.
        cuts_every_days, most_cuts: training repeats the question at earlier days, so far apart and at most so often.
        shortest_history_days: how much of the log must lie before the earliest of these days.
        validation_share: customers kept apart for choices; of a ready customer table, as many again for test.
        currency: of all money, for people to read.
        decimal: sign before the decimals of prices that are text; ``auto`` reads it from the column.
        date_format: of times that are text, as ``strptime`` has it; ISO and what is clear without it if left out.
    """

    calibration: str | None = None
    horizon_days: int = Field(default=91, ge=7, le=366)
    cuts_every_days: int = Field(default=30, ge=7)
    most_cuts: int = Field(default=6, ge=1)
    shortest_history_days: int = Field(default=60, ge=7)
    validation_share: float = Field(default=0.25, gt=0, lt=0.6)
    currency: str = Field(default="", max_length=12)
    decimal: Literal["auto", ".", ","] = "auto"
    date_format: str | None = None

    @field_validator("currency")
    @classmethod
    def _printable(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("a currency is printable text, such as EUR")
        return value


class ModelSettings(Settings):
    """The network; see ``model`` for what was compared.

    Attributes:
        segments: how many; if left out, validation chooses among ``candidates`` by usefulness and stability.
        candidates: numbers of segments to choose from.
        assignment: soft membership by Student's t (Xie et al. 2016) or by a Gaussian around each centre.
        code: numbers that a customer's behaviour is encoded by, those for the outlook included.
        width, dropout: of the layers that expect orders, spend and coming back.
        members: networks whose expectations are averaged.
    """

    segments: int | None = Field(default=None, ge=2, le=20)
    candidates: tuple[int, ...] = Field(default=(4, 5, 6, 7, 8), min_length=1)
    assignment: Literal["student_t", "gaussian"] = "gaussian"
    code: int = Field(default=9, ge=3, le=32)
    width: int = Field(default=64, ge=4, le=1024)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    members: int = Field(default=4, ge=1, le=16)

    @field_validator("candidates")
    @classmethod
    def _possible(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if min(values) < 2 or max(values) > 20:
            raise ValueError("numbers of segments are 2 to 20")
        return tuple(sorted(set(values)))


class MarketingTrainingSettings(TrainingSettings):
    """How the network is fitted; ``refits`` is how many bootstrap refits the stability is told by."""

    epochs: int = Field(default=20, ge=1)
    patience: int = Field(default=20, ge=1)
    batch_size: int = Field(default=256, ge=8)
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=1e-3, ge=0)
    refits: int = Field(default=20, ge=2)


class DecisionSettings(Settings):
    """Nothing is decided by a threshold: a customer belongs to the most probable segment."""


class MarketingConfig(Settings):
    """All settings of a run of ``marketing_segmentation``."""

    synthetic: SyntheticSettings = SyntheticSettings()
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    training: MarketingTrainingSettings = MarketingTrainingSettings()
    decision: DecisionSettings = DecisionSettings()
    export: ExportSettings = ExportSettings()
