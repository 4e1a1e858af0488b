"""The Pareto/NBD model: like BG/NBD, but a customer may stop at any moment, not only after a purchase.

While active, a customer buys at a rate λ and stops for good at a rate μ, both gamma distributed over customers (shape
r, rate α; shape s, rate β). The customary likelihood has a hypergeometric function for α ≥ β and one for α < β; here
the integral that they stand for is taken by quadrature, which loses no digits where α and β differ much or purchases
are many.

Source: Schmittlein, Morrison & Colombo 1987, Management Science 33(1); Fader & Hardie 2005, "A Note on Deriving the
Pareto/NBD Model and Related Expressions" (brucehardie.com/notes/009).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from .likelihood import history, maximise, nodes

STARTS = ((1.0, 1.0, 1.0, 1.0), (0.5, 0.3, 0.5, 0.3), (3.0, 1.0, 0.5, 3.0))


@dataclass(frozen=True)
class ParetoNBD:
    """A fitted model; all its answers are float64 (customer,), and histories are as in ``likelihood.history``.

    Attributes:
        r, alpha: shape and rate of the purchase rates; ``alpha`` is in the unit of time.
        s, beta: shape and rate of the rates to stop.
        note: what the fit could not tell, empty if all is well.
    """

    r: float
    alpha: float
    s: float
    beta: float
    note: str = ""

    def alive(self, x: np.ndarray, t_x: np.ndarray, age: np.ndarray) -> np.ndarray:
        """Return the probability that a customer is still active."""
        active, stopped = _log_parts((self.r, self.alpha, self.s, self.beta), *history(x, t_x, age))
        return np.asarray(np.exp(active - np.logaddexp(active, stopped)))

    def expected(self, x: np.ndarray, t_x: np.ndarray, age: np.ndarray, horizon: float) -> np.ndarray:
        """Return the expected purchases within a horizon; holds at s = 1 too."""
        x, t_x, age = history(x, t_x, age)
        stretch = np.log1p(horizon / (self.beta + age))
        power = (self.s - 1) * stretch
        flat = np.abs(power) < 1e-8
        active = stretch * np.where(flat, 1 - power / 2, -np.expm1(-power) / np.where(flat, 1, power))
        rate = (self.r + x) / (self.alpha + age)
        return np.asarray(rate * (self.beta + age) * active * self.alive(x, t_x, age))

    def comes_back(self, x: np.ndarray, t_x: np.ndarray, age: np.ndarray, horizon: float) -> np.ndarray:
        """Return the probability of at least one purchase within a horizon.

        An active customer's next purchase comes after u with density of a Pareto distribution, and they have not
        stopped before with probability ((β + T) / (β + T + u))ˢ; the product is integrated over the horizon.
        """
        x, t_x, age = history(x, t_x, age)
        shape, (place, weight) = (self.r + x)[:, None], nodes()
        latest = -np.expm1(-shape[:, 0] * np.log1p(horizon / (self.alpha + age)))
        chance = place * latest[:, None]  # that the next purchase would have come by u
        wait = (self.alpha + age)[:, None] * np.expm1(-np.log1p(-chance) / shape)
        staying = (1 + wait / (self.beta + age)[:, None]) ** -self.s
        return np.asarray(latest * (staying @ weight) * self.alive(x, t_x, age))


def fit(x: np.ndarray, t_x: np.ndarray, age: np.ndarray) -> ParetoNBD:
    """Fit the model by maximum likelihood.

    Args:
        x: purchases after the first (customer,).
        t_x: time from the first to the last.
        age: time from the first until now, T in the literature; the unit of ``t_x``.

    Raises:
        ContractError: a history cannot be.
    """
    x, t_x, age = history(x, t_x, age)
    scale = max(float(age.mean()), np.finfo(float).tiny)
    t_x, age = t_x / scale, age / scale
    best, note = maximise(
        ("r", "alpha", "s", "beta"), lambda values: float(_log_likelihood(values, x, t_x, age).mean()), STARTS
    )
    r, alpha, s, beta = best.tolist()
    return ParetoNBD(r, alpha * scale, s, beta * scale, note)


def _log_likelihood(parameters: np.ndarray, x: np.ndarray, t_x: np.ndarray, age: np.ndarray) -> np.ndarray:
    r, alpha, s, beta = parameters
    active, stopped = _log_parts(tuple(parameters), x, t_x, age)
    constant = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
    return np.asarray(constant + np.logaddexp(active, stopped))


def _log_parts(
    parameters: tuple[float, ...], x: np.ndarray, t_x: np.ndarray, age: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the logarithms of the likelihoods of being active and of having stopped, without what both share.

    Having stopped at y after the last purchase: s ∫ (α + y)^−(r + x) (β + y)^−(s + 1) dy from t_x to T, taken over
    w = ((α + t_x) / (α + y))^(r + x), in which it bends little.
    """
    r, alpha, s, beta = parameters
    shape, (place, weight) = r + x, nodes()
    active = -shape * np.log(alpha + age) - s * np.log(beta + age)
    span = -np.expm1(-shape * np.log((alpha + age) / (alpha + t_x)))
    grown = np.exp(-np.log1p(-place * span[:, None]) / shape[:, None])  # (α + y) / (α + t_x)
    later = (alpha + t_x)[:, None] * (grown - 1)
    inside = grown * (1 + later / (beta + t_x)[:, None]) ** -(s + 1)
    with np.errstate(divide="ignore"):
        stopped = np.log(s / shape * span * (inside @ weight))
    return active, stopped - (shape - 1) * np.log(alpha + t_x) - (s + 1) * np.log(beta + t_x)
