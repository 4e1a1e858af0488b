"""Gamma-gamma against the published example and simulated orders."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation import gamma_gamma
from edgekit.domains.marketing_segmentation.gamma_gamma import GammaGamma
from edgekit.shared.errors import ContractError

PUBLISHED = GammaGamma(p=6.25, q=3.74, v=15.44)  # Fader & Hardie 2013, dollars
Sample = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def shop() -> Sample:
    """Return numbers of orders, their means, and the true expected value of an order."""
    rng = np.random.default_rng(0)
    orders = rng.integers(1, 12, 20_000)
    rate = rng.gamma(PUBLISHED.q, 1 / PUBLISHED.v, len(orders))
    return orders, rng.gamma(PUBLISHED.p * orders, 1 / rate) / orders, PUBLISHED.p / rate


@pytest.mark.parametrize(("orders", "mean", "expected"), [(2, 22.35, 24.65), (1, 11.77, 18.91), (0, 0, 35.17)])
def test_the_published_example_comes_out(orders: int, mean: float, expected: float) -> None:
    """The note takes parameters of more digits than it prints, hence the tolerance."""
    assert PUBLISHED.expected_value(np.array([orders]), np.array([mean]))[0] == pytest.approx(expected, abs=0.1)


def test_parameters_of_simulated_orders_come_back(shop: Sample) -> None:
    model = gamma_gamma.fit(shop[0], shop[1])
    assert (model.p, model.q, model.v) == pytest.approx((PUBLISHED.p, PUBLISHED.q, PUBLISHED.v), rel=0.12)
    assert model.note == ""


@pytest.mark.parametrize("number", [1, 3, 11])
def test_expectations_are_the_means_of_true_values(shop: Sample, number: int) -> None:
    orders, mean, truth = (values[shop[0] == number] for values in shop)
    error = truth - PUBLISHED.expected_value(orders, mean)
    assert abs(error.mean()) < 3 * error.std() / np.sqrt(len(error))


def test_few_orders_are_drawn_towards_the_usual_and_many_are_believed() -> None:
    few, many = PUBLISHED.expected_value(np.array([1, 1000]), np.array([100.0, 100.0]))
    assert 35 < few < 90 and many == pytest.approx(100, rel=0.01)


def test_the_currency_does_not_matter(shop: Sample) -> None:
    orders, mean = shop[0][:1500], shop[1][:1500]
    pounds, pence = gamma_gamma.fit(orders, mean), gamma_gamma.fit(orders, 100 * mean)
    assert (pence.p, pence.q, pence.v / 100) == pytest.approx((pounds.p, pounds.q, pounds.v), rel=1e-3)


def test_a_shop_of_one_price_is_fitted() -> None:
    model = gamma_gamma.fit(np.full(60, 3), np.full(60, 20.0))
    assert model.expected_value(np.array([2]), np.array([20.0]))[0] == pytest.approx(20, rel=0.05)
    assert "do not tell" in model.note


@pytest.mark.parametrize(
    ("orders", "mean", "said"),
    [([1, 0], [5, 5], "x is 0 at position 1"), ([1, 2], [5, 0], "mean_value is 0"), ([1, 2], [np.nan, 1], "nan")],
)
def test_impossible_orders_are_refused(orders: list[int], mean: list[float], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        gamma_gamma.fit(np.array(orders), np.array(mean))
