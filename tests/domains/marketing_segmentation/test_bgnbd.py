"""BG/NBD against the published example, its closed form, and simulated customers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import hyp2f1

from edgekit.domains.marketing_segmentation import bgnbd
from edgekit.domains.marketing_segmentation.bgnbd import BetaGeometric
from edgekit.shared.errors import ContractError

PUBLISHED = BetaGeometric(r=0.243, alpha=4.414, a=0.793, b=2.426)  # Fader, Hardie & Lee 2005, weeks
WEEKS = 39.0
Sample = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def simulate(model: BetaGeometric, age: np.ndarray, horizon: float, seed: int) -> Sample:
    """Let customers buy and stop purchase by purchase; returns x, t_x, T and purchases within the horizon."""
    rng = np.random.default_rng(seed)
    rate = np.maximum(rng.gamma(model.r, 1 / model.alpha, len(age)), 1e-12)
    stop = rng.beta(model.a, model.b, len(age))
    now, t_x, x, later = np.zeros((4, len(age)))
    active = np.ones(len(age), dtype=bool)
    while active.any():
        now += rng.exponential(1 / rate)
        active &= now < age + horizon
        before = active & (now <= age)
        x, later, t_x = x + before, later + (active & ~before), np.where(before, now, t_x)
        active &= rng.random(len(age)) >= stop
    return x, t_x, age, later


@pytest.fixture(scope="module")
def shop() -> Sample:
    return simulate(PUBLISHED, np.random.default_rng(1).uniform(27, 39, 25_000), WEEKS, seed=2)


@pytest.fixture(scope="module")
def fitted(shop: Sample) -> BetaGeometric:
    return bgnbd.fit(*shop[:3])


def one(x: float, t_x: float, age: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.array([x]), np.array([t_x]), np.array([age])


def test_the_published_example_comes_out() -> None:
    """A customer of 2 repeat purchases, the last in week 30.43 of 38.86: 1.226 in the next 39 weeks."""
    assert PUBLISHED.expected(*one(2, 30.43, 38.86), WEEKS)[0] == pytest.approx(1.226, abs=5e-4)


def test_parameters_of_simulated_customers_come_back(fitted: BetaGeometric) -> None:
    assert (fitted.r, fitted.alpha) == pytest.approx((PUBLISHED.r, PUBLISHED.alpha), rel=0.1)
    share, found = (model.a / (model.a + model.b) for model in (PUBLISHED, fitted))
    assert found == pytest.approx(share, rel=0.1)
    assert fitted.note == ""


@pytest.mark.parametrize("group", [(0, 0), (1, 1), (2, 4), (5, 1000), (0, 1000)])
def test_expectations_are_the_means_of_simulated_futures(shop: Sample, group: tuple[int, int]) -> None:
    x, t_x, age, later = shop
    rows = (x >= group[0]) & (x <= group[1])
    errors = {
        "expected": (later - PUBLISHED.expected(x, t_x, age, WEEKS))[rows],
        "comes_back": ((later > 0) - PUBLISHED.comes_back(x, t_x, age, WEEKS))[rows],
    }
    off = {name: abs(error.mean()) / (error.std() / np.sqrt(rows.sum())) for name, error in errors.items()}
    assert max(off.values()) < 3, off


@pytest.mark.parametrize(
    "parameters", [(0.243, 4.414, 0.793, 2.426), (3, 10, 0.1, 5), (2, 0.5, 20, 50), (1, 5, 1.2, 3)]
)
@pytest.mark.parametrize("horizon", [1.0, 52.0])
def test_expectations_are_those_of_equation_10(parameters: tuple[float, float, float, float], horizon: float) -> None:
    rng = np.random.default_rng(0)
    r, alpha, a, b = parameters
    model, x, age = BetaGeometric(*parameters), rng.integers(0, 30, 50).astype(float), rng.uniform(5, 60, 50)
    t_x = np.where(x > 0, age * rng.random(50), 0)
    series = hyp2f1(r + x, b + x, a + b + x - 1, horizon / (alpha + age + horizon))
    shrunk = ((alpha + age) / (alpha + age + horizon)) ** (r + x)
    closed = (a + b + x - 1) / (a - 1) * (1 - shrunk * series) * model.alive(x, t_x, age)
    np.testing.assert_allclose(model.expected(x, t_x, age, horizon), closed, rtol=2e-4)


def test_a_equal_to_1_is_no_gap() -> None:
    below, at, above = (BetaGeometric(0.5, 4, a, 2).expected(*one(3, 20, 30), 13)[0] for a in (0.999, 1.0, 1.001))
    assert below > at > above and below / above == pytest.approx(1, abs=0.01)


def test_very_many_purchases_stay_finite() -> None:
    history = one(5000, 51.999, 52)
    assert PUBLISHED.expected(*history, 13)[0] == pytest.approx(5000 / 56 * 13, rel=0.2)
    assert 0.99 < PUBLISHED.comes_back(*history, 13)[0] <= 1


def test_alive_by_hand() -> None:
    assert PUBLISHED.alive(*one(0, 0, 30))[0] == 1
    odds = 0.793 / (2.426 + 1) * ((4.414 + 38.86) / (4.414 + 30.43)) ** (0.243 + 2)
    assert PUBLISHED.alive(*one(2, 30.43, 38.86))[0] == pytest.approx(1 / (1 + odds))


def test_the_unit_of_time_does_not_matter(shop: Sample) -> None:
    x, t_x, age, _ = (values[:1500] for values in shop)
    weeks, days = bgnbd.fit(x, t_x, age), bgnbd.fit(x, 7 * t_x, 7 * age)
    assert days.alpha == pytest.approx(7 * weeks.alpha, rel=1e-3)
    np.testing.assert_allclose(days.expected(x, 7 * t_x, 7 * age, 91), weeks.expected(x, t_x, age, 13), rtol=1e-3)


def test_a_shop_of_single_purchases_expects_none() -> None:
    model = bgnbd.fit(np.zeros(80), np.zeros(80), np.linspace(1, 50, 80))
    assert model.expected(*one(0, 0, 30), 13)[0] < 0.01


def test_impossible_histories_are_refused() -> None:
    with pytest.raises(ContractError, match="t_x is 40"):
        bgnbd.fit(*one(1, 40, 30))
