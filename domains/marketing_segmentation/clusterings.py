"""The clusterings that are in common use: recency, frequency and money by quintiles, k-means, Gaussian mixtures."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ...shared.errors import ContractError
from .features import NAMES

RFM = tuple(NAMES.index(name) for name in ("recency_days", "orders", "spend"))
QUINTILES = (0.2, 0.4, 0.6, 0.8)
STARTS, MIXTURE_STARTS, MIXTURE_STEPS = 10, 3, 200
THREADS = 1  # a shop's arithmetic is so small that sharing it out takes longer, on a busy machine fifty times so
LEAST_VARIANCE = 1e-3
"""Added to the variances of a mixture: many customers have one order, and a component of them alone has none."""

Assign = Callable[[np.ndarray], np.ndarray]
"""Behaviour float32 (customer, name) to segments int64 (customer,)."""
Cluster = Callable[[np.ndarray, int, int], Assign]
"""Behaviour to learn from, how many segments, and a seed."""


def rfm_quintiles(behaviour: np.ndarray, segments: int, seed: int) -> Assign:
    """Add up the quintiles (1 to 5) of recency, orders and spend, and cut the sums into groups of equal size.

    Among equal sums the higher spend counts more; otherwise groups of equal size could not be had. Segment 0 is the
    lowest. ``seed`` is not needed.

    Source: Hughes 1994, Strategic Database Marketing.
    """
    table = behaviour[:, RFM].astype(np.float64)
    edges = np.nanquantile(table, QUINTILES, axis=0)
    spends = np.sort(table[:, 2])

    def score(rows: np.ndarray) -> np.ndarray:
        values = rows[:, RFM].astype(np.float64)
        recency, orders, spend = (np.searchsorted(edges[:, role], values[:, role]) + 1 for role in range(3))
        return 6 - recency + orders + spend + np.searchsorted(spends, values[:, 2]) / (len(spends) + 1)

    cuts = np.quantile(score(behaviour), np.arange(1, segments) / segments)
    return lambda rows: np.searchsorted(cuts, score(rows))


def k_means(behaviour: np.ndarray, segments: int, seed: int) -> Assign:
    """Cluster standardised logarithms by k-means, the best of ``STARTS`` runs."""
    scale = standardised(behaviour)
    model = KMeans(segments, n_init=STARTS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different customers than segments: some stay empty
        model.fit(scale(behaviour))
    return lambda rows: np.asarray(model.predict(scale(rows)), dtype=np.int64)


def mixture(behaviour: np.ndarray, segments: int, seed: int, *, covariance: str) -> Assign:
    """Cluster standardised logarithms by a Gaussian mixture, the best of ``MIXTURE_STARTS`` runs."""
    scale = standardised(behaviour)
    model = GaussianMixture(
        segments,
        covariance_type=covariance,
        reg_covar=LEAST_VARIANCE,
        n_init=MIXTURE_STARTS,
        max_iter=MIXTURE_STEPS,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what it then holds is a mixture all the same
        model.fit(scale(behaviour))
    return lambda rows: np.asarray(model.predict(scale(rows)), dtype=np.int64)


def _on_rfm(cluster: Cluster) -> Cluster:
    def fit(behaviour: np.ndarray, segments: int, seed: int) -> Assign:
        assign = cluster(behaviour[:, RFM], segments, seed)
        return lambda rows: assign(rows[:, RFM])

    return fit


CLUSTERINGS: dict[str, Cluster] = {
    "rfm_quintiles": rfm_quintiles,
    "kmeans_rfm": _on_rfm(k_means),
    "mixture_rfm": _on_rfm(lambda rows, segments, seed: mixture(rows, segments, seed, covariance="full")),
    "kmeans_all": k_means,
    "mixture_all": lambda rows, segments, seed: mixture(rows, segments, seed, covariance="diag"),
}
"""All of them by name; those on ``all`` see the whole behaviour, the others recency, orders and spend."""


def cluster(name: str, behaviour: np.ndarray, segments: int, *, seed: int) -> Assign:
    """Fit one of ``CLUSTERINGS``.

    Args:
        name: a key of ``CLUSTERINGS``.
        behaviour: float32 (customer, name) to learn from, NaN where unknown.
        segments: how many.
        seed: of the random starts.

    Raises:
        ContractError: there are fewer customers than segments.
    """
    if len(behaviour) < segments:
        raise ContractError(
            f"{segments} segments need at least as many customers to learn from; got {len(behaviour)}. "
            "Lower model.segments or give more customers."
        )
    with threadpool_limits(THREADS):
        return CLUSTERINGS[name](behaviour, segments, seed)


@dataclass(frozen=True, eq=False)
class _Scale:
    """Logarithms with the median where unknown, standardised; all float64 (name,)."""

    median: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray

    def __call__(self, behaviour: np.ndarray) -> np.ndarray:
        values = _log(behaviour)
        return np.asarray((np.where(np.isnan(values), self.median, values) - self.mean) / self.deviation)


def standardised(behaviour: np.ndarray) -> _Scale:
    """Return the scaling to standardised logarithms that is learnt from float32 (customer, name) behaviour."""
    values = _log(behaviour)
    values[:, np.isnan(values).all(axis=0)] = 0
    median = np.nanmedian(values, axis=0)
    filled = np.where(np.isnan(values), median, values)
    deviation = filled.std(axis=0)
    return _Scale(median, filled.mean(axis=0), np.where(deviation > 1e-9, deviation, 1.0))


def _log(behaviour: np.ndarray) -> np.ndarray:
    values = behaviour.astype(np.float64)
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))
