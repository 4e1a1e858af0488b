"""The ladder: every recipe is tried, measured with the user's own metric and judged."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..shared.domain import Arrays
from ..shared.errors import EdgekitError, ExportError
from ..shared.estimates import Estimate, Statistic, paired_difference
from .benchmark import latency
from .card import Decision
from .convert import SavedNetwork, quiet, save
from .engine import Engine
from .gate import Budget, Measured, Rung, failed, judge
from .ops import require_builtin
from .parity import absolute_error, compare_outputs
from .quantize import quantize
from .recipes import DEFAULT_LADDER, Recipe, recipe
from .signature import Views

if TYPE_CHECKING:
    import keras

_CHECK_ROWS = 64
_LATENCY_CALLS = 300
_SAME_ANSWER = 1e-4


@dataclass(frozen=True)
class Guard:
    """A figure of a set of outputs, and by how much a device file may change it against Keras, either way."""

    figure: Callable[[dict[str, np.ndarray]], float]
    allowed: float


@dataclass(frozen=True, eq=False)
class Validation:
    """What every rung is measured by. Never the test split: the gate is a choice.

    Attributes:
        inputs: validation inputs, first axis = example; rows with NaN belong here if they occur in
            life.
        reference_outputs: what the Keras model answers to them.
        primary: the primary metric of a set of outputs, with the units it is resampled by.
        higher_is_better: direction of the metric.
        decision: how an output becomes a decision, or ``None``.
        guards: figures that a device file may not change by more than the given amount, beside the primary metric.
        calibration: training inputs for recipes that learn ranges, or ``None``.
        seed: of the bootstrap.
    """

    inputs: Arrays
    reference_outputs: Arrays
    primary: Callable[[dict[str, np.ndarray]], Statistic]
    higher_is_better: bool = True
    decision: Decision | None = None
    guards: Mapping[str, Guard] = field(default_factory=dict)
    calibration: Arrays | None = None
    seed: int = 0


def climb(
    model: keras.Model,
    validation: Validation,
    *,
    recipes: Sequence[str] = DEFAULT_LADDER,
    budget: Budget | None = None,
    views: Views | None = None,
    progress: Callable[[str], None] | None = None,
) -> tuple[Rung, ...]:
    """Try every recipe; one that fails says why and does not stop the others.

    The metric is computed on the answers of a free-batch file of the same recipe, which is much
    faster than one call per example. On up to 64 rows, those with NaN first, the batch-1 device
    file must give the same answers; where it does not, or where no free-batch form exists, the
    device file answers every row itself.

    Args:
        model: functional Keras model with dict inputs and outputs.
        validation: what a rung is measured by.
        recipes: names of recipes, in the order of the report.
        budget: what is accepted; the default budget if ``None``.
        views: outputs of the model that get a signature of their own; the gate does not compare them.
        progress: receives one line per step.

    Returns:
        One rung per recipe, in order.

    Raises:
        ConfigError: unknown recipe.
        ExportError: the model cannot be exported under any recipe.
    """
    chosen = [recipe(name) for name in recipes]
    say = progress or (lambda line: None)
    with _saved(model, views) as device, _server(model, views) as server:
        saved, limits = (device, server), budget or Budget()
        return tuple(_rung(one, saved, validation, limits, say) for one in chosen)


def _rung(
    chosen: Recipe,
    saved: tuple[SavedNetwork, SavedNetwork | None],
    validation: Validation,
    budget: Budget,
    say: Callable[[str], None],
) -> Rung:
    say(f"{chosen.name}: converting")
    try:
        content = quantize(saved[0], chosen, calibration=validation.calibration)
        require_builtin(content)
        server_content = _server_content(saved[1], chosen, validation)
        say(f"{chosen.name}: measuring")
        rung = judge(chosen.name, _measure(content, server_content, validation), budget)
    except EdgekitError as error:
        rung = failed(chosen.name, str(error))
    except Exception as error:  # a rung must never take the run with it, whatever a library throws
        rung = failed(chosen.name, f"{type(error).__name__}: {error}")
    say(f"{chosen.name}: {'accepted' if rung.accepted else 'refused'}, {rung.reason}")
    return rung


def _measure(content: bytes, server_content: bytes | None, validation: Validation) -> Measured:
    with quiet():  # the interpreter announces its delegate once per process
        engine = Engine(content)
    outputs, alike = _outputs(engine, server_content, validation.inputs)
    reference = _reference(outputs, validation)
    parity = compare_outputs(reference, outputs, decision=validation.decision)
    one = {name: values[:_CHECK_ROWS] for name, values in validation.inputs.items()}
    speed = latency(engine, one, calls=_LATENCY_CALLS)
    changes = {
        name: (guard.figure(outputs) - guard.figure(reference), guard.allowed)
        for name, guard in validation.guards.items()
    }
    drop = metric_drop(outputs, validation)
    return Measured(content, drop, speed, parity, server_content if alike else None, changes)


def metric_drop(outputs: dict[str, np.ndarray], validation: Validation) -> Estimate:
    """Return by how much the primary metric is worse than Keras, resampled over the same units."""
    reference = _reference(outputs, validation)
    before, after = validation.primary(reference), validation.primary(outputs)
    if all(np.array_equal(values, outputs[name], equal_nan=True) for name, values in reference.items()):
        return Estimate(0.0, 0.0, 0.0, len(np.unique(before.units)))
    if not validation.higher_is_better:
        before, after = after, before
    return paired_difference(before, after, draws=200, seed=validation.seed, level=0.95)


def _reference(outputs: dict[str, np.ndarray], validation: Validation) -> dict[str, np.ndarray]:
    """Return what Keras gives for the outputs that a device file answers ``predict`` with."""
    return {name: values for name, values in validation.reference_outputs.items() if name in outputs}


def _outputs(device: Engine, server_content: bytes | None, inputs: Arrays) -> tuple[dict[str, np.ndarray], bool]:
    """Return the answers to all rows, and whether the free-batch file gives the same as the device file."""
    if server_content is None:
        return device.predict(inputs), False
    answers = Engine(server_content).predict(inputs)
    rows = _telling_rows(inputs)
    few = device.predict({name: values[rows] for name, values in inputs.items()})
    same = all(_same(values, answers[name][rows], name=name) for name, values in few.items())
    return (answers if same else device.predict(inputs)), same


def _same(device: np.ndarray, server: np.ndarray, *, name: str) -> bool:
    # On one machine both files do the same arithmetic, quantised or not; only the order of sums may differ.
    scale = max(1.0, float(np.abs(device).max(initial=0.0)))
    return bool(absolute_error(device, server, name=name).max(initial=0.0) <= _SAME_ANSWER * scale)


def _telling_rows(inputs: Arrays) -> np.ndarray:
    """Return up to 64 row numbers, rows with NaN first and never only those."""
    count = len(next(iter(inputs.values())))
    missing = np.zeros(count, bool)
    for values in inputs.values():
        if np.issubdtype(values.dtype, np.floating):
            missing |= np.isnan(values).reshape(count, -1).any(axis=1)
    half = _CHECK_ROWS // 2
    with_nan, without = np.flatnonzero(missing)[:half], np.flatnonzero(~missing)
    return np.sort(np.concatenate([with_nan, without[: _CHECK_ROWS - len(with_nan)]]))


def _server_content(saved: SavedNetwork | None, chosen: Recipe, validation: Validation) -> bytes | None:
    if saved is None:
        return None
    try:
        content = quantize(saved, chosen, calibration=validation.calibration)
        require_builtin(content)
    except EdgekitError:
        return None  # recurrent layers: only the fixed batch is builtin
    return content


@contextmanager
def _saved(model: keras.Model, views: Views | None) -> Iterator[SavedNetwork]:
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        yield save(model, Path(folder), views=views)


@contextmanager
def _server(model: keras.Model, views: Views | None) -> Iterator[SavedNetwork | None]:
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        try:
            saved: SavedNetwork | None = save(model, Path(folder), profile="server", views=views)
        except ExportError:
            saved = None
        yield saved
