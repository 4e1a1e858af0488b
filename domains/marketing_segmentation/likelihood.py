"""What the purchase models share: histories held to their meaning, maximum likelihood, and quadrature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from ...shared.errors import ContractError

LOWEST, HIGHEST = 1e-4, 1e4
"""Range of a parameter, with times or values on a scale on which their mean is 1."""
NODES = 32
_HOPELESS = 1e10  # takes the place of a likelihood that overflows, so that the search turns back


@cache
def nodes() -> tuple[np.ndarray, np.ndarray]:
    """Return places in (0, 1) and weights of Gauss–Legendre quadrature over it, float64 (node,)."""
    places, weights = np.polynomial.legendre.leggauss(NODES)
    return (places + 1) / 2, weights / 2


def history(x: np.ndarray, t_x: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return purchase histories as float64 (customer,).

    Args:
        x: purchases after the first, 0 or more.
        t_x: time from the first purchase to the last; 0 where there is one only.
        age: time from the first purchase until now, T in the literature; the unit of ``t_x``.

    Raises:
        ContractError: a history cannot be; says of which customer.
    """
    x, t_x, age = columns(x=x, t_x=t_x, T=age)
    refuse(x < 0, "x", x, "repeat purchases are 0 or more")
    refuse(t_x < 0, "t_x", t_x, "the last purchase is not before the first")
    refuse((x == 0) & (t_x > 0), "t_x", t_x, "without a repeat purchase the first is the last, so t_x is 0")
    refuse(t_x > age, "t_x", t_x, "the last purchase is not after T, the end of what is known")
    return x, t_x, age


def columns(**given: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return arrays as float64, all (customer,), finite and not empty; raises ContractError otherwise."""
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in given.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    first = next(iter(shapes.values()))
    if len(first) != 1 or first == (0,) or len(set(shapes.values())) > 1:
        raise ContractError(f"A purchase model needs one number a customer in each of {list(shapes)}; got {shapes}.")
    for name, array in arrays.items():
        refuse(~np.isfinite(array), name, array, "it must be a finite number")
    return tuple(arrays.values())


def refuse(wrong: np.ndarray, name: str, values: np.ndarray, expected: str) -> None:
    """Raise ContractError that names the first wrong value, if there is one."""
    places = np.flatnonzero(wrong)
    if len(places):
        raise ContractError(
            f"{name} is {values[places[0]]:g} at position {places[0]} ({len(places)} such of {len(values)}); "
            f"{expected}. Correct or leave out these customers."
        )


def maximise(
    names: Sequence[str],
    log_likelihood: Callable[[np.ndarray], float],
    starts: Iterable[Sequence[float]],
    *,
    lowest: Sequence[float] | None = None,
) -> tuple[np.ndarray, str]:
    """Return the positive parameters of the highest mean log-likelihood from all starts, and a note.

    The search is in their logarithms, between ``LOWEST`` (or ``lowest``) and ``HIGHEST``. The note is empty, or
    says which parameters stopped at an end of that range: the data do not tell them.
    """
    low = np.log([LOWEST] * len(names) if lowest is None else lowest)
    high = np.full(len(names), np.log(HIGHEST))

    def loss(theta: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            value = log_likelihood(np.exp(theta))
        return -value if np.isfinite(value) else _HOPELESS

    found: list[OptimizeResult] = [
        minimize(loss, np.log(start), method="L-BFGS-B", bounds=list(zip(low, high, strict=True))) for start in starts
    ]
    best = np.asarray(min(found, key=lambda result: float(result.fun)).x, dtype=np.float64)
    stuck = [name for name, at, start, stop in zip(names, best, low, high, strict=True) if at in (start, stop)]
    note = f"these customers do not tell {', '.join(stuck)}, which stopped at an end of the range" if stuck else ""
    return np.exp(best), note
