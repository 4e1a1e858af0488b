"""How many segments: as many as are useful and stay when the customers are drawn anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...shared.domain import Examples, Prepared, Progress
from ...shared.errors import ConfigError
from .config import MarketingConfig
from .evaluate import explained
from .features import BEHAVIOUR
from .segmentation import fit_segmentation, parts
from .stability import adjusted_rand, resampled

REFITS = 6
FIRST_DRAW = 10**15
"""Draws that no report on stability uses again."""
STEADY = 0.85
"""Mean adjusted Rand index of refits from which segments count as stable: few refits flatter the number chosen."""
AS_USEFUL = 0.01
"""A further segment is one more to look after: it must explain this much more of the spend."""


@dataclass(frozen=True)
class Choice:
    """The number of segments, and what was compared."""

    segments: int
    notes: tuple[str, ...]


def choose_segments(prepared: Prepared, config: MarketingConfig, *, report: Progress) -> Choice:
    """Compare the candidates: usefulness on the validation customers, stability over refits on the training customers.

    Segments are compared before ``refine``, which hardly moves them.

    Among the stable ones (of all, where none is), the fewest segments that explain as much future spend as the most
    useful number do, within ``AS_USEFUL``.

    Raises:
        ConfigError: the customers show fewer different behaviours than the smallest candidate asks for.
    """
    if config.model.segments is not None:
        return Choice(config.model.segments, (f"{config.model.segments} segments, as model.segments asks for",))
    found = list(_compared(prepared, config, report))
    if not found:
        raise ConfigError(
            f"The training customers show fewer different behaviours than {min(config.model.candidates)} segments "
            "need. Set model.segments to 2, or bring more different customers."
        )
    steady = [one for one in found if one[2] >= STEADY] or [max(found, key=lambda one: one[2])]
    best = max(useful for _, useful, _ in steady)
    chosen = min(number for number, useful, _ in steady if useful >= best - AS_USEFUL)
    told = "; ".join(f"{number}: explains {useful:.3f}, stability {kept:.2f}" for number, useful, kept in found)
    return Choice(chosen, (f"{chosen} segments, chosen by usefulness on validation among stable numbers ({told})",))


def _compared(prepared: Prepared, config: MarketingConfig, report: Progress) -> Iterator[tuple[int, float, float]]:
    """Yield number of segments, share of log spend explained on validation, and stability."""
    draws = [resampled(prepared.train, FIRST_DRAW + number) for number in range(REFITS)]
    known = np.isfinite(prepared.validation.target[:, 0])
    validation = prepared.validation.take(known)
    for number in config.model.candidates:
        try:
            fitted = fit_segmentation(prepared.train, segments=number, code=config.model.code)
            kept = _stability(fitted.labels(parts(prepared.train)[1]), draws, prepared, number, config)
        except ConfigError as error:
            report(f"{number} segments: {error}")
            continue
        value = np.log1p(validation.target[:, 1].astype(np.float64))
        useful = explained(fitted.labels(validation.inputs[BEHAVIOUR]), value, validation.context["unit"])(None)
        useful = 0.0 if np.isnan(useful) else useful  # all spend alike: there is nothing to explain
        report(f"{number} segments: explain {useful:.3f} of log spend on validation, stability {kept:.2f}")
        yield number, useful, kept


def _stability(
    base: np.ndarray, draws: list[Examples], prepared: Prepared, number: int, config: MarketingConfig
) -> float:
    current = parts(prepared.train)[1]
    refits = [fit_segmentation(draw, segments=number, code=config.model.code).labels(current) for draw in draws]
    return float(np.mean([adjusted_rand(base, labels) for labels in refits]))
