"""Ridge autoregression: the moments of plain least squares, a known process found again, and what is missing."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.transportation import ridge as module
from edgekit.domains.transportation.ridge import Moments, departures, forecast, moments, solve
from edgekit.shared.domain import Examples

WINDOW, HORIZON, SENSORS, PER_DAY = 3, 2, 4, 6
NAN = np.nan


def table(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(40, 60, (7 * PER_DAY, SENSORS)).astype(np.float32)


def case(num: int = 80, *, missing: float = 0.2, seed: int = 1) -> Examples:
    rng = np.random.default_rng(seed)
    readings = rng.uniform(20, 80, (num, WINDOW, SENSORS)).astype(np.float32)
    target = rng.uniform(20, 80, (num, HORIZON, SENSORS)).astype(np.float32)
    for values in (readings, target):
        values[rng.random(values.shape) < missing] = NAN
    moment = np.stack([rng.integers(0, PER_DAY, num), rng.integers(0, 7, num)], axis=1).astype(np.int32)
    return Examples({"readings": readings, "moment": moment}, target)


def rows(examples: Examples, sensor: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the departures of a sensor's windows and of the step ahead, walked through one by one."""
    usual, lags, goals = table(), list[list[float]](), list[float]()
    for example, (of_day, weekday) in enumerate(examples.inputs["moment"]):
        slot = weekday * PER_DAY + of_day
        goal = examples.target[example, step, sensor]
        if np.isnan(goal):
            continue
        goals.append(goal - usual[(slot + step + 1) % len(usual), sensor])
        window = examples.inputs["readings"][example, :, sensor]
        behind = range(1 - WINDOW, 1)
        lags.append(
            [
                0.0 if np.isnan(value) else value - usual[(slot + shift) % len(usual), sensor]
                for shift, value in zip(behind, window, strict=True)
            ]
        )
    return np.array(lags, np.float64), np.array(goals, np.float64)


def test_a_missing_reading_departs_from_nothing() -> None:
    given = case()
    made = departures(given.inputs, table())
    assert made.dtype == np.float32 and (made[np.isnan(given.inputs["readings"])] == 0).all()
    assert (made != 0).mean() == pytest.approx(1 - np.isnan(given.inputs["readings"]).mean())


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("cells", [1, 200, 1 << 21])
def test_moments_are_those_of_the_rows(monkeypatch: pytest.MonkeyPatch, cells: int, missing: float) -> None:
    monkeypatch.setattr(module, "_CELLS", cells)
    given = case(missing=missing)
    each, together = (moments(given, table(), by_sensor=by_sensor) for by_sensor in (True, False))
    for sensor in range(SENSORS):
        for step in range(HORIZON):
            lags, goals = rows(given, sensor, step)
            np.testing.assert_allclose(each.gram[sensor, step], lags.T @ lags, rtol=1e-4, atol=1)
            np.testing.assert_allclose(each.cross[sensor, step], lags.T @ goals, rtol=1e-4, atol=1)
    assert together.gram.shape == (1, HORIZON, WINDOW, WINDOW)
    np.testing.assert_allclose(together.gram, each.pooled().gram)
    np.testing.assert_allclose(together.cross, each.pooled().cross)


def test_a_weak_penalty_is_least_squares() -> None:
    given = case(num=300)
    made = solve(moments(given, table(), by_sensor=True), 1e-9)
    for sensor in range(SENSORS):
        lags, goals = rows(given, sensor, 1)
        np.testing.assert_allclose(made[sensor, 1], np.linalg.lstsq(lags, goals, rcond=None)[0], atol=1e-4)


def test_the_penalty_is_a_share_of_what_a_lag_moves() -> None:
    sums = Moments(np.array([[[[2.0]]], [[[6.0]]]]), np.array([[[3.0]], [[3.0]]]))
    assert solve(sums, 0.5)[:, 0, 0].tolist() == [3 / 4, 3 / 8]  # 0.5 of a mean diagonal of 4
    goal = np.array([[10.0]])
    assert solve(sums, 0.5, towards=goal)[:, 0, 0].tolist() == [(3 + 20) / 4, (3 + 20) / 8]


def test_a_strong_penalty_leaves_the_shared_coefficients_and_a_silent_sensor_takes_them() -> None:
    given = case()
    given.target[:, :, 2] = NAN
    sums = moments(given, table(), by_sensor=True)
    shared = solve(sums.pooled(), 1e-6)[0]
    np.testing.assert_allclose(solve(sums, 1e9, towards=shared), np.tile(shared, (SENSORS, 1, 1)), atol=1e-6)
    free = solve(sums, 1e-3, towards=shared)
    np.testing.assert_allclose(free[2], shared)
    assert np.abs(free[1] - shared).max() > 0.01


def test_nothing_departs_and_nothing_breaks() -> None:
    given = case(missing=1.0)
    assert not solve(moments(given, table(), by_sensor=True), 1e-6).any()


def test_a_process_is_found_again_and_forecast() -> None:
    """A departure keeps 0.8 of itself from step to step."""
    rng = np.random.default_rng(0)
    flat, steps = np.full((7 * PER_DAY, SENSORS), 50, np.float32), 4000
    gone = np.zeros((steps, SENSORS))
    for step in range(1, steps):
        gone[step] = 0.8 * gone[step - 1] + rng.normal(0, 3, SENSORS)
    last = np.arange(WINDOW - 1, steps - HORIZON)
    values = (50 + gone).astype(np.float32)
    readings = np.stack([values[step - WINDOW + 1 : step + 1] for step in last])
    target = np.stack([values[step + 1 : step + 1 + HORIZON] for step in last])
    given = Examples({"readings": readings, "moment": np.zeros((len(last), 2), np.int32)}, target)
    made = solve(moments(given, flat, by_sensor=False), 1e-6)
    np.testing.assert_allclose(made[0], [[0, 0, 0.8], [0, 0, 0.64]], atol=0.03)
    asked = {"readings": np.full((1, WINDOW, SENSORS), 60, np.float32), "moment": np.zeros((1, 2), np.int32)}
    np.testing.assert_allclose(forecast(asked, flat, made)[0, :, 0], [58, 56.4], atol=0.4)


@pytest.mark.parametrize("by_sensor", [True, False])
def test_forecasts_are_the_coefficients_times_the_departures(by_sensor: bool) -> None:
    given = case(missing=0.2)
    complete = Examples(given.inputs, np.zeros_like(given.target))
    weights = np.random.default_rng(2).normal(size=(SENSORS if by_sensor else 1, HORIZON, WINDOW))
    made = forecast(given.inputs, table(), weights)
    assert made.shape == (80, HORIZON, SENSORS) and made.dtype == np.float32
    for sensor in range(SENSORS):
        lags, goals = rows(complete, sensor, 1)  # of targets of 0: minus what is typical
        expected = lags @ weights[sensor if by_sensor else 0, 1] - goals
        np.testing.assert_allclose(made[:, 1, sensor], expected, rtol=1e-3, atol=1e-2)
