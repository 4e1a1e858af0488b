"""The BG/NBD model: how often customers without a contract will buy, from the number and times of their purchases.

While active, a customer buys at a rate λ, gamma distributed over customers (shape r, rate α). After each repeat
purchase they stop for good with a probability p, beta distributed (a, b).

Source: Fader, Hardie & Lee 2005, Marketing Science 24(2) ("Counting Your Customers" the Easy Way).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, gammaln

from .likelihood import history, maximise, nodes

STARTS = ((1.0, 1.0, 1.0, 1.0), (0.3, 0.2, 0.5, 2.0), (3.0, 1.0, 0.5, 10.0))


@dataclass(frozen=True)
class BetaGeometric:
    """A fitted model; all its answers are float64 (customer,), and histories are as in ``likelihood.history``.

    Attributes:
        r, alpha: shape and rate of the purchase rates; ``alpha`` is in the unit of time.
        a, b: of the probabilities to stop.
        note: what the fit could not tell, empty if all is well.
    """

    r: float
    alpha: float
    a: float
    b: float
    note: str = ""

    def alive(self, x: np.ndarray, t_x: np.ndarray, age: np.ndarray) -> np.ndarray:
        """Return the probability that a customer is still active; 1 without a repeat purchase."""
        x, t_x, age = history(x, t_x, age)
        with np.errstate(divide="ignore"):
            odds = np.log(np.where(x > 0, self.a / (self.b + np.maximum(x, 1) - 1), 0))
        odds += (self.r + x) * np.log((self.alpha + age) / (self.alpha + t_x))
        return np.asarray(np.exp(-np.logaddexp(0, odds)))

    def expected(self, x: np.ndarray, t_x: np.ndarray, age: np.ndarray, horizon: float) -> np.ndarray:
        """Return the expected purchases within a horizon.

        Equation 10 of the paper is this mean over p, written as ₂F₁/(a − 1). Taken over quantiles of p it also
        holds at a = 1 and for many purchases, where the closed form loses its digits.
        """
        x, t_x, age = history(x, t_x, age)
        place, weight = nodes()
        repeats, of = np.unique(x, return_inverse=True)
        quantile = place**2  # the integrand bends most at small p
        stop = betaincinv(self.a, self.b + repeats[:, None], quantile)[of]
        stop = np.maximum(stop, np.finfo(float).tiny)
        none = -(self.r + x)[:, None] * np.log1p(stop * (horizon / (self.alpha + age))[:, None])
        return np.asarray((-np.expm1(none) / stop) @ (weight * 2 * place) * self.alive(x, t_x, age))

    def comes_back(self, x: np.ndarray, t_x: np.ndarray, age: np.ndarray, horizon: float) -> np.ndarray:
        """Return the probability of at least one purchase within a horizon.

        An active customer's next purchase waits for λ alone, which is gamma (r + x, α + T) given the history.
        """
        x, t_x, age = history(x, t_x, age)
        none = -(self.r + x) * np.log1p(horizon / (self.alpha + age))
        return np.asarray(-np.expm1(none) * self.alive(x, t_x, age))


def fit(x: np.ndarray, t_x: np.ndarray, age: np.ndarray) -> BetaGeometric:
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
        ("r", "alpha", "a", "b"), lambda values: float(_log_likelihood(values, x, t_x, age).mean()), STARTS
    )
    r, alpha, a, b = best.tolist()
    return BetaGeometric(r, alpha * scale, a, b, note)


def _log_likelihood(parameters: np.ndarray, x: np.ndarray, t_x: np.ndarray, age: np.ndarray) -> np.ndarray:
    r, alpha, a, b = parameters
    active = -(r + x) * np.log(alpha + age)
    stopped = np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + t_x)
    either = np.where(x > 0, np.logaddexp(active, stopped), active)
    buying = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    staying = gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    return np.asarray(buying + staying + either)
