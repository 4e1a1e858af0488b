"""Settings of the recommendation solution, with the reason for each default that is not obvious."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from ...shared.config import Settings, TrainingSettings
from ...tflite_export.settings import ExportSettings
from .features import LONGEST_WINDOW, MOST_EXCLUDED, TOP

RECIPES: dict[str, dict[str, Any]] = {
    "dense": {"model": {"dropout": 0.2}, "training": {"next_weights": (1.0,)}},
    "sparse": {"model": {"dropout": 0.5}, "training": {"next_weights": (1.0, 0.5, 0.25)}},
}
"""Both are fitted, and the better on validation is kept. Sparse: most items were had a few times only."""


class SyntheticSettings(Settings):
    """Size of the synthetic shop; see ``synthesis`` for how it sells."""

    shoppers: int = Field(default=600, ge=30)
    items: int = Field(default=300, ge=20)
    days: int = Field(default=365, ge=30)


class DataSettings(Settings):
    """Which rows count, and how they are split.

    Attributes:
        split: ``time`` (train on the past of the whole shop, test on what follows), ``leave_one_out`` (test on each
            user's last row, as published figures do; other users' later rows are in train) or ``auto``: by time where
            there are times.
        validation_share, test_share: parts of the rows at the end, for the split by time.
        min_user_events: users with fewer rows are left out; one row alone shows no order.
        min_item_events: items with fewer rows are left out. 1 keeps them all: which items will turn out rare is not
            known on the day a shop trains, and leaving them out flatters the figures.
        repeats: what becomes of an item that a user had already: ``keep``, ``drop_consecutive`` (only where it directly
            follows itself, as double clicks and several pieces of one purchase do) or ``drop``. Items a user had are
            never recommended, so a repeat cannot be answered.
        session_hours: a pause after which a user counts as another one, for shops where a visit tells more than a past;
            no pause ends a history if left out. Figures and intervals are by session then.
        max_events_per_user: how many of a user's newest rows are kept; all if left out.
        min_rating: rows with a lower rating do not count; those without a rating do.
        events: kinds of event that count (values of the role ``event``); all if empty.
        new_items: what becomes of items that are in the items table only: ``include`` recommends them by their
            attributes, ``auto`` does so unless they outnumber the items that were had.
    """

    split: Literal["auto", "time", "leave_one_out"] = "auto"
    validation_share: float = Field(default=0.1, gt=0, lt=0.5)
    test_share: float = Field(default=0.1, gt=0, lt=0.5)
    min_user_events: int = Field(default=2, ge=1)
    min_item_events: int = Field(default=1, ge=1)
    repeats: Literal["keep", "drop_consecutive", "drop"] = "drop_consecutive"
    session_hours: float | None = Field(default=None, gt=0)
    max_events_per_user: int | None = Field(default=None, ge=2)
    min_rating: float | None = None
    events: tuple[str, ...] = ()
    new_items: Literal["auto", "include", "leave_out"] = "auto"


class ModelSettings(Settings):
    """Which network, and its size; see ``model`` for what was compared.

    Attributes:
        kind: ``transformer`` (causal self-attention) or ``gru``.
        window: newest items of a user that the network sees.
        width: numbers an item is described by.
        members: networks fitted one after the other, whose scores are added up: each errs elsewhere.
        blocks: layers of attention or of recurrence.
        heads: of attention; ``width`` must be a multiple.
        dropout: share of the numbers left out in training; if left out, validation chooses, see ``RECIPES``.
        attributes: whether what the items table says goes into the description of an item.
        excluded: places for items that must not be recommended, beside those in the window; if left out, as many as the
            longest history needs, as far as memory allows.
    """

    kind: Literal["transformer", "gru"] = "transformer"
    window: int = Field(default=50, ge=2, le=LONGEST_WINDOW)
    width: int = Field(default=96, ge=4, le=1024)
    members: int = Field(default=2, ge=1, le=8)
    blocks: int = Field(default=2, ge=1, le=16)
    heads: int = Field(default=2, ge=1, le=16)
    dropout: float | None = Field(default=None, ge=0, lt=1)
    attributes: bool = True
    excluded: int | None = Field(default=None, ge=1, le=MOST_EXCLUDED)

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> ModelSettings:
        if self.kind == "transformer" and self.width % self.heads:
            raise ValueError(f"model.width ({self.width}) must be a multiple of model.heads ({self.heads})")
        return self


class RetailTrainingSettings(TrainingSettings):
    """How the network is fitted.

    Attributes:
        patience: epochs without a better figure on validation after which it stops.
        batch_size: targets that a batch holds, about; 0 divides an epoch into a hundred batches of 64 to 1,280.
        average: momentum of the running average of the weights, by step.
        loss: ``full`` (cross-entropy over all items), ``sampled`` (over the target and some negatives) or ``auto``:
            full for small catalogues, for others in the last epochs only, if it fits into the memory.
        negatives: items drawn for ``sampled``, shared by a batch.
        next_weights: how much the next item, the one after it and so on count as what was asked for; if left out,
            validation chooses, see ``RECIPES``.
        hidden_items: how often an item that has attributes is described by these alone.
    """

    epochs: int = Field(default=20, ge=1)
    patience: int = Field(default=8, ge=1)
    batch_size: int = Field(default=0, ge=0)
    average: float = Field(default=0.99, ge=0, lt=1)
    learning_rate: float = Field(default=6e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    loss: Literal["auto", "full", "sampled"] = "auto"
    negatives: int = Field(default=1024, ge=1)
    next_weights: tuple[float, ...] | None = Field(default=None, min_length=1, max_length=20)
    hidden_items: float = Field(default=0.1, ge=0, lt=1)

    @property
    def weights(self) -> tuple[float, ...]:
        """``next_weights``, or the next item alone where they are left out."""
        return self.next_weights or (1.0,)

    @field_validator("next_weights")
    @classmethod
    def _the_next_counts(cls, weights: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if weights is None:
            return None
        if weights[0] <= 0 or min(weights) < 0 or not all(map(math.isfinite, weights)):
            raise ValueError("the first weight must be above 0, the others 0 or more")
        return weights


class DecisionSettings(Settings):
    """What a shopper is shown.

    Attributes:
        k: how many items; published figures mostly use 10.
    """

    k: int = Field(default=10, ge=1, le=TOP)


class RetailExportSettings(ExportSettings):
    """As everywhere, but with one item table for lookups and scores in 8 bits, and a smaller budget.

    Attributes:
        max_drop: figures of a full ranking are small; on Beauty the usual budget would be a tenth of NDCG@10.
    """

    max_drop: float = Field(default=0.002, ge=0)
    recipes: tuple[str, ...] = Field(default=("float32", "float16", "dynamic_int8", "tied_int8"), min_length=1)


class RetailConfig(Settings):
    """All settings of a run of ``retail_recommendation``."""

    synthetic: SyntheticSettings = SyntheticSettings()
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    training: RetailTrainingSettings = RetailTrainingSettings()
    decision: DecisionSettings = DecisionSettings()
    export: RetailExportSettings = RetailExportSettings()

    @model_validator(mode="after")
    def _shares_leave_room(self) -> RetailConfig:
        if self.data.validation_share + self.data.test_share >= 0.8:
            raise ValueError("data.validation_share and data.test_share together leave too little to train on")
        return self
