"""How far a device file's outputs are from the reference, in numbers and in changed decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..shared.errors import ExportError
from .card import Decision

if TYPE_CHECKING:  # at run time a device needs none of what stands behind these names
    from ..shared.domain import Arrays, Predictor


@dataclass(frozen=True)
class Parity:
    """Difference of two predictors on the same examples.

    Attributes:
        max_abs_error: largest absolute difference over all outputs of real numbers; infinite where one is NaN
            alone. Codes have no distance: where they differ, the decision does.
        mean_abs_error: mean absolute difference over all values of these.
        decision_flips: examples that are decided differently.
        n: number of examples.
        by_output: the largest absolute difference of each output of real numbers.
    """

    max_abs_error: float
    mean_abs_error: float
    decision_flips: int
    n: int
    by_output: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return the record as JSON values; an infinite error becomes ``None``."""
        return {
            "max_abs_error": _json_number(self.max_abs_error),
            "mean_abs_error": _json_number(self.mean_abs_error),
            "decision_flips": self.decision_flips,
            "n": self.n,
            "by_output": {name: _json_number(value) for name, value in self.by_output.items()},
        }


def compare(reference: Predictor, device: Predictor, inputs: Arrays, *, decision: Decision | None = None) -> Parity:
    """Return how ``device`` differs from ``reference`` on ``inputs`` (first axis = example)."""
    return compare_outputs(reference(inputs), device(inputs), decision=decision)


def compare_outputs(reference: Arrays, device: Arrays, *, decision: Decision | None = None) -> Parity:
    """Return how two sets of named outputs differ.

    Raises:
        ExportError: names or shapes differ, so that nothing can be compared.
    """
    if sorted(reference) != sorted(device):
        raise ExportError(f"Found outputs {sorted(device)}, expected {sorted(reference)}. Name the model's outputs.")
    errors = {name: absolute_error(reference[name], device[name], name=name) for name in sorted(reference)}
    real = [error.ravel() for name, error in errors.items() if not _holds_codes(reference[name])]
    values = np.concatenate([np.empty(0), *real])
    flips = decided_differently(reference, device, decision=decision)
    return Parity(
        float(values.max(initial=0.0)),
        float(values.mean()) if values.size else 0.0,
        int(flips.sum()),
        len(next(iter(reference.values()))),
        {name: float(error.max(initial=0.0)) for name, error in errors.items() if not _holds_codes(reference[name])},
    )


def absolute_error(reference: np.ndarray, device: np.ndarray, *, name: str) -> np.ndarray:
    """Return |reference − device| as float64; 0 where both are NaN or equal, infinite where one is
    NaN alone.

    Raises:
        ExportError: the shapes differ.
    """
    if reference.shape != device.shape:
        raise ExportError(
            f"Found output {name!r} of shape {device.shape}, expected {reference.shape}. Give the "
            "model fixed output shapes."
        )
    a, b = reference.astype(np.float64), device.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0.0, np.abs(a - b))
    return np.where(np.isnan(error), np.inf, error)


def decided_differently(reference: Arrays, device: Arrays, *, decision: Decision | None) -> np.ndarray:
    """Return bool (example,): whether the two sets of outputs lead to different decisions.

    Integer outputs hold codes, of which the first is what is chosen (of a ranking: the best).
    """
    differ = np.zeros(len(next(iter(reference.values()))), bool)
    for name, values in reference.items():
        if _holds_codes(values):
            differ |= (values != device[name]).reshape(len(differ), -1)[:, 0]
    if decision is not None:
        decided = [_decided(outputs[decision.output], decision) for outputs in (reference, device)]
        differ |= _any_by_example(decided[0] != decided[1])
    return differ


def same_ranking(recorded: np.ndarray, found: np.ndarray, scores: np.ndarray, *, allowed: float) -> bool:
    """Tell whether two rankings differ only in places whose scores are too close to tell apart.

    Args:
        recorded: int (example, place) codes, the highest score first.
        found: the same from elsewhere.
        scores: float (example, place) of the recorded codes.
        allowed: how far scores may be apart that change places; what falls off the end counts as its last place.
    """
    for row, place in np.argwhere(recorded != found).tolist():
        before = np.flatnonzero(recorded[row] == found[row, place])
        was = scores[row, before[0] if len(before) else -1]
        if not abs(was - scores[row, place]) <= allowed or np.count_nonzero(found[row] == found[row, place]) > 1:
            return False
    return True


def _holds_codes(values: np.ndarray) -> bool:
    return bool(np.issubdtype(values.dtype, np.integer))


def _decided(values: np.ndarray, decision: Decision) -> np.ndarray:
    threshold = decision.threshold
    return values.argmax(-1) if threshold is None else np.asarray(values >= threshold)


def _any_by_example(differ: np.ndarray) -> np.ndarray:
    return np.asarray(differ.reshape(len(differ), -1).any(axis=1))


def _json_number(value: float) -> float | None:
    return value if np.isfinite(value) else None
