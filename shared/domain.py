"""What every domain is made of: the records and function types that generic code sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .audit import Finding
from .contract import Contract
from .decisions import Threshold
from .estimates import Statistic
from .report import Section
from .sources import Source
from .splits import Splits

if TYPE_CHECKING:
    from .training import Fitted

Arrays = Mapping[str, np.ndarray]
Predictor = Callable[[Arrays], dict[str, np.ndarray]]
"""Named input arrays to named output arrays: a Keras model, a ``.tflite`` or a rival alike."""
Progress = Callable[[str], None]
"""Receives one line for people to read."""


@dataclass(frozen=True)
class Examples:
    """Model inputs with their targets.

    Attributes:
        inputs: named arrays; the first axis of each counts examples.
        target: (example,) or (example, …), what the model should answer.
        context: what metrics need beside target (day, customer, …), first axis as in ``inputs``.
    """

    inputs: dict[str, np.ndarray]
    target: np.ndarray
    context: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.target)

    def take(self, index: np.ndarray | slice) -> Examples:
        """Return the examples at ``index`` (an integer array, a boolean mask or a slice)."""
        return Examples(
            {name: array[index] for name, array in self.inputs.items()},
            self.target[index],
            {name: array[index] for name, array in self.context.items()},
        )


@dataclass(frozen=True)
class Request:
    """What a user asked for beside the settings.

    Attributes:
        path: the user's data, or ``None`` for the domain's synthetic data.
        columns: role to the file's own column name.
        exclude: columns to leave out.
        command: what was typed, for the manifest.
        items: a second table beside the data, where a domain takes one.
    """

    path: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    command: str = ""
    items: Path | None = None


@dataclass(frozen=True)
class Prepared:
    """Model-ready examples of the three splits.

    Attributes:
        plan: what the domain must remember to make the same arrays on a device.
        train, validation, test: the examples.
        notes: what the run can not do with these data, and why.
    """

    plan: Any
    train: Examples
    validation: Examples
    test: Examples
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Description:
    """What the card of a device file says for a domain; tensors as in ``tflite_export.card``."""

    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    labels: tuple[str, ...]
    intended_use: str
    licence: str
    limits: tuple[str, ...]
    settings: dict[str, Any]


class Data(Protocol):
    """What generic code needs of a domain's data; the rest is the domain's own business."""

    source: str
    fingerprint: str
    notes: tuple[str, ...]

    def __len__(self) -> int: ...


class Load(Protocol):
    def __call__(self, request: Request, config: Any, /, *, report: Progress) -> Any:
        """Read the user's file and hold it to the contract; raises every problem in one error."""


class Synthesize(Protocol):
    def __call__(self, config: Any, /, *, seed: int) -> Any:
        """Return data of the same form as ``load``; the same seed gives the same data."""


class Split(Protocol):
    def __call__(self, data: Any, config: Any, /, *, seed: int) -> Splits:
        """Return disjoint train, validation and test rows by the domain's leak-safe rule."""


class Audit(Protocol):
    def __call__(self, data: Any, splits: Splits, config: Any, /) -> list[Finding]:
        """Look for leaks and oddities; nothing is changed."""


class Prepare(Protocol):
    def __call__(self, data: Any, splits: Splits, config: Any, /) -> Prepared:
        """Turn rows into model inputs; whatever is learnt, is learnt on the training rows."""


class Fit(Protocol):
    def __call__(self, prepared: Prepared, config: Any, /, *, seed: int, report: Progress, log: Path | None) -> Fitted:
        """Build and fit the network; epochs and calibration are chosen on validation."""


class Evaluate(Protocol):
    def __call__(
        self, outputs: Arrays, examples: Examples, config: Any, /, *, threshold: Threshold | None = None
    ) -> dict[str, Statistic]:
        """Return the domain's metrics of a predictor's ``outputs``, ready for the bootstrap.

        ``threshold`` is what ``decide`` chose for this predictor; without it, figures that need one are left out.
        """


class Decide(Protocol):
    def __call__(self, outputs: Arrays, validation: Examples, config: Any, /) -> Threshold:
        """Choose on validation how outputs become decisions: a threshold, and what the domain needs beside it."""


class Rivals(Protocol):
    def __call__(self, prepared: Prepared, config: Any, /, *, seed: int, report: Progress) -> dict[str, Predictor]:
        """Fit the simple models that the network must beat, tuned on validation with a fair budget."""


class Beyond(Protocol):
    def __call__(
        self, outputs: Mapping[str, Arrays], prepared: Prepared, config: Any, /, *, seed: int
    ) -> Mapping[str, Mapping[str, Statistic]]:
        """Return further metrics by predictor that outputs alone do not show, such as stability over refits.

        ``outputs`` are the predictors' answers on test.
        """


class Describe(Protocol):
    def __call__(self, data: Any, prepared: Prepared, config: Any, /, *, threshold: Threshold) -> Description:
        """Return what the device file must say of itself."""


class Calibration(Protocol):
    def __call__(self, prepared: Prepared, config: Any, /) -> dict[str, np.ndarray]:
        """Return the inputs that recipes with fixed ranges learn them from: training data, as varied as life."""


class Golden(Protocol):
    def __call__(self, prepared: Prepared, answers: Arrays, /) -> dict[str, np.ndarray]:
        """Return the inputs to record inside the device file, which travels: nothing of a real person.

        ``answers`` are the network's outputs on validation.
        """


class Illustrate(Protocol):
    def __call__(
        self,
        outputs: Mapping[str, Arrays],
        prepared: Prepared,
        threshold: Threshold,
        config: Any,
        /,
        *,
        predict: Predictor,
    ) -> tuple[Section, ...]:
        """Return the domain's own report sections for the predictors' test outputs, the one that counts first.

        ``predict`` is the one that counts, for what else a domain wants to ask it.
        """


@dataclass(frozen=True, kw_only=True)
class Domain:
    """One applied solution: a record of plain functions, each testable alone.

    Attributes:
        name, title: as in ``edgekit run NAME`` and as a heading.
        config: the default settings; its type checks changes to them. Has a section ``export``.
        contract: what the raw data must look like.
        sources: passports of the synthetic data and of the published data a benchmark uses.
        primary_metric: the figure that the gate and the verdict go by.
        higher_is_better: direction of ``primary_metric``.
        score_output: the model output that ``decide`` compares with the threshold; empty where nothing is decided.
        views: signature name to model outputs that are had under that name, instead of under ``predict``.
        unmeasured: model outputs that are too large to be kept for every example, and that no metric needs.
        headline: metrics that stand at the head of the report, where there are many; the others stand at its end.
        guards: further metrics, and by how much a device file may change each against Keras on validation.
        beyond: measures what outputs alone do not show, where there is such a thing.
    """

    name: str
    title: str
    config: Any
    contract: Contract
    sources: tuple[Source, ...]
    primary_metric: str
    higher_is_better: bool
    score_output: str
    load: Load
    synthesize: Synthesize
    split: Split
    audit: Audit
    prepare: Prepare
    fit: Fit
    evaluate: Evaluate
    decide: Decide
    rivals: Rivals
    describe: Describe
    golden: Golden
    calibration: Calibration
    illustrate: Illustrate
    views: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unmeasured: tuple[str, ...] = ()
    headline: tuple[str, ...] = ()
    guards: Mapping[str, float] = field(default_factory=dict)
    beyond: Beyond | None = None
