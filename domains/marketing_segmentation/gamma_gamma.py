"""The gamma-gamma model: what a customer's orders are worth, drawn towards what is usual where there are few.

An order's value is gamma distributed (shape p, rate ν), and so is ν over customers (shape q, rate v). How much and how
often a customer buys are taken to be unrelated.

Source: Fader & Hardie 2013, "The Gamma-Gamma Model of Monetary Value" (brucehardie.com/notes/025).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from .likelihood import LOWEST, columns, maximise, refuse

STARTS = ((1.0, 2.0, 1.0), (6.0, 4.0, 0.5), (0.5, 1.5, 3.0))
LOWEST_Q = 1.01
"""Below 1 the usual value of an order would be infinite."""


@dataclass(frozen=True)
class GammaGamma:
    """A fitted model.

    Attributes:
        p: shape of a customer's order values.
        q, v: shape and rate over customers; ``v`` is in the unit of money.
        note: what the fit could not tell, empty if all is well.
    """

    p: float
    q: float
    v: float
    note: str = ""

    def expected_value(self, x: np.ndarray, mean_value: np.ndarray) -> np.ndarray:
        """Return the expected value of an order, float64 (customer,).

        Args:
            x: orders that were seen, 0 or more.
            mean_value: their mean; does not matter where there are none.
        """
        x, mean_value = columns(x=x, mean_value=np.where(np.asarray(x) == 0, 0.0, mean_value))
        return np.asarray(self.p * (self.v + mean_value * x) / (self.p * x + self.q - 1))


def fit(x: np.ndarray, mean_value: np.ndarray) -> GammaGamma:
    """Fit the model by maximum likelihood.

    Args:
        x: orders of each customer, at least 1.
        mean_value: their mean, above 0.

    Raises:
        ContractError: a customer has no order, or a mean is not above 0.
    """
    x, mean_value = columns(x=x, mean_value=mean_value)
    refuse(x <= 0, "x", x, "each customer needs at least one order")
    refuse(mean_value <= 0, "mean_value", mean_value, "the mean of a customer's orders is above 0")
    scale = float(np.exp(np.log(mean_value).mean()))
    value = mean_value / scale
    best, note = maximise(
        ("p", "q", "v"),
        lambda values: float(_log_likelihood(values, x, value).mean()),
        STARTS,
        lowest=(LOWEST, LOWEST_Q, LOWEST),
    )
    p, q, v = best.tolist()
    return GammaGamma(p, q, v * scale, note)


def _log_likelihood(parameters: np.ndarray, x: np.ndarray, value: np.ndarray) -> np.ndarray:
    p, q, v = parameters
    shape = p * x
    constant = gammaln(shape + q) - gammaln(shape) - gammaln(q) + q * np.log(v)
    return np.asarray(constant + (shape - 1) * np.log(value) + shape * np.log(x) - (shape + q) * np.log(v + x * value))
