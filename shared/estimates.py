"""A figure with its interval: the bootstrap over whole units, alone and paired.

Rows of one patient, card or day are not independent, so rows are never resampled one by one.
Whole units are drawn with replacement, and a draw reaches the statistic as a weight per slot:
0, 1, 2 … times the unit was drawn. A statistic can so sort its scores once and be asked often.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .errors import ConfigError, ContractError

Compute = Callable[[np.ndarray | None], float]
"""Weights (float64, one per slot) or None for all ones → the figure, NaN where it is undefined."""

MAX_UNDEFINED_SHARE = 0.5


@dataclass(frozen=True)
class Estimate:
    """A value with its interval.

    Attributes:
        value: the figure on all units.
        low: lower end of the interval.
        high: upper end of the interval.
        n: number of independent units (patients, customers, days) behind the figure.

    Raises:
        ContractError: a number is NaN or infinite; such a figure must be refused, not reported.
    """

    value: float
    low: float
    high: float
    n: int

    def __post_init__(self) -> None:
        if not all(math.isfinite(number) for number in (self.value, self.low, self.high)):
            raise ContractError(
                f"An estimate needs finite numbers; got value={self.value}, low={self.low}, "
                f"high={self.high} (n={self.n}). Score data with both classes and enough units."
            )

    def __str__(self) -> str:
        digits = _decimals(self.high - self.low)
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"

    def as_json(self) -> dict[str, float | int]:
        """Return ``{"value", "low", "high", "n"}`` as plain Python numbers."""
        return {
            "value": float(self.value),
            "low": float(self.low),
            "high": float(self.high),
            "n": int(self.n),
        }


@dataclass(frozen=True, eq=False)
class Statistic:
    """A figure that can be recomputed under weights.

    Attributes:
        compute: called with float64 weights aligned with ``units``, or None for all ones. It
            returns NaN where the figure is undefined, for example when no positive was drawn.
        units: (slot,) any sortable dtype; slots with the same value are drawn together.

    Raises:
        ContractError: ``units`` is not one-dimensional or is empty.
    """

    compute: Compute
    units: np.ndarray

    def __post_init__(self) -> None:
        if self.units.ndim != 1 or len(self.units) == 0:
            raise ContractError(
                f"A statistic needs one unit for each slot; got units of shape {self.units.shape}. "
                "Give a one-dimensional array with at least one entry."
            )


def mean_statistic(values: np.ndarray, units: np.ndarray) -> Statistic:
    """Return the mean of ``values`` as a statistic, for example one precision per day.

    Args:
        values: (slot,) finite numbers. Leave masked entries out before.
        units: (slot,) the unit of each value; for values per day, the days themselves.

    Raises:
        ContractError: the shapes differ, or a value is not finite.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != np.shape(units):
        raise ContractError(f"Values of shape {numbers.shape} need units of the same shape; got {np.shape(units)}.")
    _refuse_non_finite(numbers)

    def compute(weight: np.ndarray | None) -> float:
        if weight is None:
            return float(numbers.mean())
        total = weight.sum()
        return float(weight @ numbers / total) if total > 0 else math.nan

    return Statistic(compute, np.asarray(units))


def bootstrap(statistic: Statistic, *, draws: int = 200, seed: int = 0, level: float = 0.95) -> Estimate:
    """Estimate a statistic with a percentile interval over resampled units.

    Draws in which the statistic is undefined are left out, so the interval then holds given that
    the figure can be computed at all. When more than half are undefined, or there is one unit
    only, no honest interval exists and the figure is refused: a width of zero would claim
    certainty.

    Args:
        statistic: what to estimate.
        draws: number of resamples, at least 1; 200 are enough for a 95 % interval in a report.
        seed: same seed, same interval.
        level: coverage of the interval, between 0 and 1.

    Raises:
        ConfigError: ``draws`` or ``level`` is out of range.
        ContractError: the figure is undefined, or its interval is.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13 (percentile
        interval); Field & Welsh 2007, JRSS B 69(3) (resampling whole clusters).
    """
    return _estimate(statistic.compute, statistic.units, draws=draws, seed=seed, level=level)


def paired_difference(
    first: Statistic, second: Statistic, *, draws: int = 200, seed: int = 0, level: float = 0.95
) -> Estimate:
    """Estimate ``first − second`` with both computed on the same resampled units.

    What makes a unit hard is hard for both, so it cancels: the interval is narrower than that of
    two separate estimates. Intervals and refusals are those of :func:`bootstrap`.

    Args:
        first: the statistic that counts positive.
        second: the statistic that counts negative, over the same slots and units.
        draws: number of resamples.
        seed: same seed, same interval.
        level: coverage of the interval, between 0 and 1.

    Raises:
        ValueError: the units differ, so the two cannot be paired.
        ConfigError: ``draws`` or ``level`` is out of range.
        ContractError: the difference is undefined, or its interval is.
    """
    if not np.array_equal(first.units, second.units):
        raise ValueError(
            f"A paired difference needs the same units slot by slot; got {len(first.units)} and "
            f"{len(second.units)} slots with different units. Score both on the same examples."
        )

    def compute(weight: np.ndarray | None) -> float:
        return first.compute(weight) - second.compute(weight)

    return _estimate(compute, first.units, draws=draws, seed=seed, level=level)


def _estimate(compute: Compute, units: np.ndarray, *, draws: int, seed: int, level: float) -> Estimate:
    _check_settings(draws, level)
    distinct, slot = np.unique(units, return_inverse=True)
    value = float(compute(None))
    if not math.isfinite(value):
        raise ContractError(
            f"The figure is undefined on the whole data ({len(units)} slots, {len(distinct)} "
            f"units; got {value}). Score data that hold both classes and at least one alert."
        )
    if len(distinct) < 2:
        raise ContractError(
            f"An interval needs at least 2 units; got 1 ({distinct[0]!r}) with {len(units)} slots. "
            "Add data from more units, or take a finer unit if its rows are independent."
        )
    resampled = _resample(compute, slot, len(distinct), draws=draws, seed=seed)
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high), len(distinct))


def _resample(compute: Compute, slot: np.ndarray, num_units: int, *, draws: int, seed: int) -> np.ndarray:
    """Return the defined values of ``compute`` over ``draws`` resamples of the units."""
    rng = np.random.default_rng(seed)
    values = np.empty(draws)
    for draw in range(draws):
        chosen = rng.integers(num_units, size=num_units)
        times = np.bincount(chosen, minlength=num_units).astype(np.float64)
        values[draw] = compute(times[slot])
    defined = values[np.isfinite(values)]
    if len(defined) < (1 - MAX_UNDEFINED_SHARE) * draws:
        raise ContractError(
            f"The figure could be computed in {len(defined)} of {draws} resamples of {num_units} "
            "units, so no honest interval exists. Too few units hold both classes: add data."
        )
    return defined


def _check_settings(draws: int, level: float) -> None:
    if draws < 1:
        raise ConfigError(f"The bootstrap needs at least 1 draw; got draws={draws}. Try 200.")
    if not 0 < level < 1:
        raise ConfigError(f"A level lies between 0 and 1; got level={level}. Try 0.95.")


def _refuse_non_finite(values: np.ndarray) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise ContractError(
            f"A mean needs finite values; found {values[bad[0]]} at position {bad[0]} "
            f"({len(bad)} such of {len(values)}). Leave masked entries out first."
        )


def _decimals(width: float) -> int:
    """Return how many decimals show two significant digits of an interval of this width."""
    if width <= 0:
        return 3
    return min(max(1 - math.floor(math.log10(width)), 0), 6)
