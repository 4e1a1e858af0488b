"""The gate: which of the tried files is small enough, fast enough and still good enough to ship."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..shared.errors import ConfigError
from ..shared.estimates import Estimate
from .benchmark import Latency
from .parity import Parity


@dataclass(frozen=True)
class Budget:
    """What the user is ready to pay for a device file.

    Attributes:
        max_drop: largest loss of the primary metric against Keras on validation, in the metric's
            unit, ≥ 0.
        max_bytes: largest model size in bytes before the card is added, or ``None``.
        max_latency_ms: largest median time of one call on this machine, or ``None``.
    """

    max_drop: float = 0.005
    max_bytes: int | None = None
    max_latency_ms: float | None = None

    def __post_init__(self) -> None:
        for name, value in (
            ("max_drop", self.max_drop),
            ("max_bytes", self.max_bytes),
            ("max_latency_ms", self.max_latency_ms),
        ):
            if value is not None and not value >= 0:
                raise ConfigError(f"Found {name} = {value}, expected a number of at least 0.")

    def as_json(self) -> dict[str, Any]:
        """Return the limits as JSON values."""
        return {
            "max_drop": self.max_drop,
            "max_bytes": self.max_bytes,
            "max_latency_ms": self.max_latency_ms,
        }


@dataclass(frozen=True)
class Rung:
    """One recipe tried, with the verdict.

    Attributes:
        recipe: its name.
        bytes: size of the converted model before the card is added; 0 when there is none.
        drop: loss of the primary metric against Keras, with its interval; ``None`` when it was not
            measured.
        accepted: whether it is inside the budget.
        reason: why, in one sentence.
        latency: time of one call, or ``None``.
        parity: difference to Keras on validation, or ``None``.
        content: the device file (batch 1) before the card is added, or ``None``.
        server_content: the same recipe with a free batch, or ``None`` when the network has no such
            form.
    """

    recipe: str
    bytes: int
    drop: Estimate | None
    accepted: bool
    reason: str
    latency: Latency | None = None
    parity: Parity | None = None
    content: builtins.bytes | None = field(default=None, repr=False)  # the field above hides the type
    server_content: builtins.bytes | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, Any]:
        """Return the rung as it stands in ``report.json``."""
        drop = self.drop and {
            "value": self.drop.value,
            "low": self.drop.low,
            "high": self.drop.high,
        }
        return {
            "recipe": self.recipe,
            "bytes": self.bytes,
            "drop": drop,
            "accepted": self.accepted,
            "reason": self.reason,
            "latency_ms": self.latency and self.latency.as_json(),
            "parity": self.parity and self.parity.as_json(),
        }


@dataclass(frozen=True)
class Measured:
    """What was found out about one converted file; the input of :func:`judge`.

    ``changes`` has the change of each guarded figure against Keras, and the change that is allowed.
    """

    content: bytes = field(repr=False)
    drop: Estimate
    latency: Latency
    parity: Parity
    server_content: bytes | None = field(default=None, repr=False)
    changes: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def judge(recipe: str, measured: Measured, budget: Budget) -> Rung:
    """Return the verdict on a file.

    It is accepted when the upper bound of the drop is inside the budget: a small measured drop with
    a wide interval is not evidence that the drop is small. No guarded figure may change by more than is allowed.
    """
    broken = _broken_limits(measured, budget)
    drop = measured.drop
    reason = "; ".join(broken) or f"drop at most {drop.high:.4g}, {budget.max_drop:g} allowed"
    return Rung(
        recipe,
        len(measured.content),
        drop,
        not broken,
        reason,
        measured.latency,
        measured.parity,
        measured.content,
        measured.server_content,
    )


def failed(recipe: str, reason: str) -> Rung:
    """Return the rung of a recipe that gave no file."""
    return Rung(recipe, 0, None, False, reason)


def smallest_accepted(rungs: Iterable[Rung]) -> Rung | None:
    """Return the accepted rung with the fewest bytes, the earlier one of equals, or ``None``."""
    accepted = [rung for rung in rungs if rung.accepted]
    return min(accepted, key=lambda rung: rung.bytes) if accepted else None


def _broken_limits(measured: Measured, budget: Budget) -> list[str]:
    broken = []
    drop, size, median = measured.drop, len(measured.content), measured.latency.median_ms
    if not drop.high <= budget.max_drop:  # so that NaN is refused too
        broken.append(f"drop may be {drop.high:.4g} (measured {drop.value:.4g}), {budget.max_drop:g} allowed")
    for name, (change, allowed) in measured.changes.items():
        if not abs(change) <= allowed:
            broken.append(f"{name} changes by {change:+.3g}, {allowed:g} allowed")
    if budget.max_bytes is not None and size > budget.max_bytes:
        broken.append(f"{size} bytes, {budget.max_bytes} allowed")
    if budget.max_latency_ms is not None and median > budget.max_latency_ms:
        broken.append(f"{median:.3g} ms per call, {budget.max_latency_ms:g} allowed")
    return broken
