"""Pareto/NBD against published figures, its closed form, and simulated customers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import hyp2f1

from edgekit.domains.marketing_segmentation import pareto_nbd
from edgekit.domains.marketing_segmentation.pareto_nbd import ParetoNBD
from edgekit.shared.errors import ContractError

PUBLISHED = ParetoNBD(r=0.553, alpha=10.578, s=0.606, beta=11.669)  # Fader & Hardie 2005, weeks
WEEKS = 39.0
Sample = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def shop() -> Sample:
    """Return x, t_x, T and purchases of the following weeks."""
    rng = np.random.default_rng(0)
    age = rng.uniform(27, 39, 8000)
    rate = rng.gamma(PUBLISHED.r, 1 / PUBLISHED.alpha, len(age))
    lifetime = rng.exponential(1 / np.maximum(rng.gamma(PUBLISHED.s, 1 / PUBLISHED.beta, len(age)), 1e-12))
    seen = np.minimum(lifetime, age)
    x = rng.poisson(rate * seen)
    t_x = np.where(x > 0, seen * rng.random(len(age)) ** (1 / np.maximum(x, 1)), 0)
    return x, t_x, age, rng.poisson(rate * (np.minimum(lifetime, age + WEEKS) - seen))


def one(x: float, t_x: float, age: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.array([x]), np.array([t_x]), np.array([age])


def test_figures_of_the_reference_implementation_come_out() -> None:
    """The R package BTYD tells of its customer 1516: 25.46 purchases within a year, active with 0.9979."""
    model, history = ParetoNBD(0.5533971, 10.5801985, 0.6060625, 11.6562237), one(26, 30.86, 31)
    assert model.expected(*history, 52)[0] == pytest.approx(25.46, abs=5e-3)
    assert model.alive(*history)[0] == pytest.approx(0.9979, abs=5e-5)


@pytest.mark.parametrize("parameters", [(0.553, 10.578, 0.606, 11.669), (2, 15, 3, 4), (0.3, 2, 1.0, 30)])
def test_being_active_is_as_in_the_closed_form(parameters: tuple[float, float, float, float]) -> None:
    rng = np.random.default_rng(0)
    r, alpha, s, beta = parameters
    x, age = rng.integers(0, 15, 40), rng.uniform(5, 60, 40)
    t_x = np.where(x > 0, age * rng.random(40), 0)
    total, most = r + s + x, max(alpha, beta)

    def part(time: np.ndarray) -> np.ndarray:
        second = s + 1 if alpha >= beta else r + x
        return np.asarray(hyp2f1(total, second, total + 1, abs(alpha - beta) / (most + time)) / (most + time) ** total)

    odds = s / total * (part(t_x) - part(age)) * (alpha + age) ** (r + x) * (beta + age) ** s
    np.testing.assert_allclose(ParetoNBD(*parameters).alive(x, t_x, age), 1 / (1 + odds), rtol=1e-4)


@pytest.mark.parametrize("group", [(0, 0), (1, 2), (3, 1000)])
def test_expectations_are_the_means_of_simulated_futures(shop: Sample, group: tuple[int, int]) -> None:
    x, t_x, age, later = shop
    rows = (x >= group[0]) & (x <= group[1])
    errors = {
        "expected": (later - PUBLISHED.expected(x, t_x, age, WEEKS))[rows],
        "comes_back": ((later > 0) - PUBLISHED.comes_back(x, t_x, age, WEEKS))[rows],
    }
    off = {name: abs(error.mean()) / (error.std() / np.sqrt(rows.sum())) for name, error in errors.items()}
    assert max(off.values()) < 3, off


def test_the_fit_foresees_like_the_truth_and_is_likelier(shop: Sample) -> None:
    x, t_x, age, _ = shop
    model = pareto_nbd.fit(x, t_x, age)
    assert (model.r, model.alpha) == pytest.approx((PUBLISHED.r, PUBLISHED.alpha), rel=0.15)
    assert model.expected(x, t_x, age, WEEKS).mean() == pytest.approx(
        PUBLISHED.expected(x, t_x, age, WEEKS).mean(), rel=0.1
    )
    likelihood = [
        pareto_nbd._log_likelihood(np.array([made.r, made.alpha, made.s, made.beta]), x, t_x, age).sum()
        for made in (model, PUBLISHED)
    ]
    assert 0 <= likelihood[0] - likelihood[1] < 10, "four parameters gain about 2 by chance"


def test_s_equal_to_1_is_no_gap() -> None:
    below, at, above = (ParetoNBD(0.5, 4, s, 9).expected(*one(3, 20, 30), 13)[0] for s in (0.9999, 1.0, 1.0001))
    assert below > at > above and below / above == pytest.approx(1, abs=1e-3)


def test_very_many_purchases_stay_finite() -> None:
    history = one(5000, 51.999, 52)
    assert PUBLISHED.expected(*history, 13)[0] == pytest.approx(5000 / 62.6 * 13, rel=0.2)
    assert 0.9 < PUBLISHED.comes_back(*history, 13)[0] <= 1
    assert PUBLISHED.alive(*one(5000, 10, 52))[0] < 1e-6


def test_a_longer_horizon_brings_more_back() -> None:
    chances = [PUBLISHED.comes_back(*one(2, 20, 30), weeks)[0] for weeks in (0.01, 1, 13, 1e6)]
    assert chances == sorted(chances) and chances[0] < 0.01
    assert chances[-1] < PUBLISHED.alive(*one(2, 20, 30))[0]


def test_impossible_histories_are_refused() -> None:
    with pytest.raises(ContractError, match="t_x is 40"):
        pareto_nbd.fit(*one(1, 40, 30))
