"""Settings of the fraud solution, with the reason for each default that is not obvious."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ...shared.config import Settings, TrainingSettings
from ...tflite_export.settings import ExportSettings
from .features import LONGEST_DELAY_DAYS


class SyntheticSettings(Settings):
    """Size of the synthetic bank; frauds follow from the rates in ``synthesis``."""

    customers: int = Field(default=400, ge=10)
    terminals: int = Field(default=800, ge=10)
    days: int = Field(default=120, ge=30)


class DataSettings(Settings):
    """How rows are split.

    Attributes:
        label_delay_days: how long it takes until a fraud is known (a week in the Fraud Detection Handbook).
        validation_share, test_share: parts of the period, or of the rows where there is no time.
        max_categories: most frequent values of a category that get a meaning of their own.
    """

    label_delay_days: float = Field(default=7, gt=0, le=LONGEST_DELAY_DAYS)
    validation_share: float = Field(default=0.2, gt=0, lt=0.5)
    test_share: float = Field(default=0.2, gt=0, lt=0.5)
    max_categories: int = Field(default=200, ge=1)


class ModelSettings(Settings):
    """Which network, and its size; see ``model`` for what was compared.

    Attributes:
        kind: ``tabular``, ``sequence`` (adds the customer's last transactions) or ``autoencoder`` (no labels).
        bins: pieces of the piecewise-linear numeric embedding.
        members: networks of the implicit ensemble.
        width, depth: units per layer, and layers.
        history: transactions the sequence encoder looks back on.
    """

    kind: Literal["tabular", "sequence", "autoencoder"] = "tabular"
    bins: int = Field(default=12, ge=2, le=64)
    members: int = Field(default=8, ge=1, le=64)
    width: int = Field(default=96, ge=4, le=1024)
    depth: int = Field(default=2, ge=1, le=8)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    history: int = Field(default=8, ge=2, le=64)


class DecisionSettings(Settings):
    """What an alert costs and how many can be looked at.

    Attributes:
        rule: ``budget`` (alerts a day), ``costs`` (least money lost) or ``precision`` (share of true alerts).
        alerts_per_day: what the investigators can work through.
        alert_share: the same as a share of transactions, where there is no time.
        target_precision: for the rule ``precision``.
        review_cost: money one alert costs.
        missed_cost: money one missed fraud costs where transactions have no amount.
        top_customers: the k of card precision at k.
    """

    rule: Literal["budget", "costs", "precision"] = "budget"
    alerts_per_day: int = Field(default=10, ge=1)
    alert_share: float = Field(default=0.05, gt=0, lt=1)
    target_precision: float = Field(default=0.5, gt=0, lt=1)
    review_cost: float = Field(default=5.0, ge=0)
    missed_cost: float = Field(default=100.0, gt=0)
    top_customers: int = Field(default=100, ge=1)


class FraudConfig(Settings):
    """All settings of a run of ``finance_fraud``."""

    synthetic: SyntheticSettings = SyntheticSettings()
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    decision: DecisionSettings = DecisionSettings()
    export: ExportSettings = ExportSettings()

    @model_validator(mode="after")
    def _shares_leave_room(self) -> FraudConfig:
        if self.data.validation_share + self.data.test_share >= 0.8:
            raise ValueError("data.validation_share and data.test_share together leave too little to train on")
        return self
