"""The simple forecasts: by hand, blind to what follows, tuned on validation, whole where sensors are silent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.domains.transportation import rivals as module
from edgekit.domains.transportation.config import DecisionSettings, TrafficConfig
from edgekit.domains.transportation.evaluate import evaluate
from edgekit.domains.transportation.rivals import error_band, last_value, rivals, time_of_week, window_mean
from edgekit.domains.transportation.silence import silenced
from edgekit.shared.domain import Examples, Predictor, Prepared
from edgekit.shared.errors import ContractError

CONFIG = TrafficConfig()
DAY, MONDAY, INTERVAL = 86_400, 1_704_067_200, 1800
PER_DAY, WINDOW, HORIZON, SENSORS = 48, 6, 4, 5
NAMES = ["last_value", "window_mean", "time_of_week", "ridge_ar", "ridge_ar_sensor"]
NAN = np.nan


def windows(values: np.ndarray, first: int, stop: int, interval: int = INTERVAL) -> Examples:
    """Cut the steps from ``first`` up to ``stop`` into windows."""
    last = np.arange(first + WINDOW - 1, stop - HORIZON)
    time = MONDAY + last * interval
    moment = np.stack([time % DAY // interval, (time // DAY + 3) % 7], axis=1).astype(np.int32)
    readings = np.stack([values[step - WINDOW + 1 : step + 1] for step in last])
    target = np.stack([values[step + 1 : step + 1 + HORIZON] for step in last])
    context = {"unit": time // DAY, "time": time, "interval": np.full(len(last), interval)}
    return Examples({"readings": readings, "moment": moment}, target, context)


def network(*, days: int = 28, missing: float = 0.05, weekend: float = 15.0, seed: int = 0) -> np.ndarray:
    """Return readings with a rush hour on working days, and departures that keep 0.9 from step to step."""
    rng = np.random.default_rng(seed)
    steps = days * PER_DAY
    of_day, day = np.arange(steps) % PER_DAY, np.arange(steps) // PER_DAY
    usual = 60 - 20 * np.exp(-(((of_day - 16) / 4) ** 2)) + weekend * (day % 7 >= 5)
    gone = np.zeros((steps, SENSORS))
    for step in range(1, steps):
        gone[step] = 0.9 * gone[step - 1] + rng.normal(0, 2, SENSORS)
    values = (usual[:, None] + np.arange(SENSORS) + gone).astype(np.float32)
    values[rng.random(values.shape) < missing] = NAN
    return values


def prepared(values: np.ndarray, interval: int = INTERVAL) -> Prepared:
    edges = [0, int(0.7 * len(values)), int(0.8 * len(values)), len(values)]
    return Prepared(None, *(windows(values, *edges[part : part + 2], interval) for part in range(3)))


Made = tuple[Prepared, dict[str, Predictor], list[str]]


@pytest.fixture(scope="module")
def made() -> Made:
    given, lines = prepared(network()), list[str]()
    return given, rivals(given, CONFIG, seed=0, report=lines.append), lines


def score(predictor: Predictor, examples: Examples, metric: str = "mae") -> float:
    return evaluate(predictor(examples.inputs), examples, CONFIG)[metric].compute(None)


# === By hand ===


def asked(readings: list[float]) -> dict[str, np.ndarray]:
    """Return a window of one sensor whose last reading is of Sunday 23:30."""
    moment = np.array([[PER_DAY - 1, 6]], np.int32)
    return {"readings": np.array(readings, np.float32).reshape(1, -1, 1), "moment": moment}


TABLE = np.arange(7 * PER_DAY, dtype=np.float32)[:, None] + 100  # Monday 00:00 is 100, 00:30 is 101


@pytest.mark.parametrize(
    ("readings", "last", "mean"),
    [
        ([1, 2, 6], [6, 6], [3, 3]),
        ([1, 2, NAN], [2, 2], [1.5, 1.5]),
        ([NAN, 5, NAN], [5, 5], [5, 5]),
        ([NAN, NAN, NAN], [100, 101], [100, 101]),
    ],
)
def test_the_last_reading_and_the_mean_of_those_that_are_there(
    readings: list[float], last: list[float], mean: list[float]
) -> None:
    inputs = asked(readings)
    assert last_value(TABLE, 2)(inputs)[0, :, 0].tolist() == last
    assert window_mean(TABLE, 2)(inputs)[0, :, 0].tolist() == mean
    assert time_of_week(TABLE, 2)(inputs)[0, :, 0].tolist() == [100, 101]


def test_a_silent_sensor_leaves_the_others_as_they_are() -> None:
    readings = np.array([[[1.0, NAN], [2.0, NAN]], [[3.0, 4.0], [NAN, 6.0]]], np.float32)
    inputs = {"readings": readings, "moment": np.array([[0, 0], [1, 0]], np.int32)}
    table = np.repeat(TABLE, 2, axis=1)
    assert last_value(table, 1)(inputs)[:, 0].tolist() == [[2, 101], [3, 6]]
    assert window_mean(table, 1)(inputs)[:, 0].tolist() == [[1.5, 101], [3, 5]]


def test_bands_are_quantiles_of_the_errors_at_each_step() -> None:
    errors = np.stack([np.arange(-10, 11), 10 * np.arange(-10, 11)], axis=1)[:, :, None].astype(np.float32)
    errors[0, 1] = NAN
    made = error_band(errors, 0.8)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, [[-8, -71], [8, 81]], rtol=1e-6)


def test_a_band_holds_its_own_forecast() -> None:
    errors = np.linspace(2, 3, 50, dtype=np.float32).reshape(-1, 1, 1)
    low, high = error_band(errors, 0.9)
    assert low[0] == 0 and high[0] > 2.9
    assert error_band(-errors, 0.9)[1, 0] == 0


def test_a_step_without_readings_takes_the_errors_of_all() -> None:
    errors = np.full((11, 2, 1), NAN, np.float32)
    errors[:, 0, 0] = np.arange(-5, 6)
    np.testing.assert_allclose(error_band(errors, 0.8), [[-4, -4], [4, 4]])


# === A network ===


@pytest.mark.parametrize("name", NAMES)
def test_forecasts_have_the_form_of_the_network(made: Made, name: str) -> None:
    given, predictors, _ = made
    outputs = predictors[name](given.test.inputs)
    assert set(outputs) == {"median", "low", "high"}
    assert all(values.shape == given.test.target.shape and values.dtype == np.float32 for values in outputs.values())
    assert all(np.isfinite(values).all() for values in outputs.values())
    assert (outputs["low"] <= outputs["median"]).all() and (outputs["median"] <= outputs["high"]).all()


def test_all_rivals_are_there_and_what_was_tried_is_told(made: Made) -> None:
    _, predictors, lines = made
    assert list(predictors) == NAMES
    tried = [line.split("  validation MAE ")[0] for line in lines]
    assert tried[:5] == ["mean by week", "mean by workday", "mean by day", "last value", "window mean"]
    assert len(tried) == 5 + 3 * 5 + 4 and all(float(line.split()[-1]) > 0 for line in lines)


def test_departures_that_last_are_best_forecast_by_regression(made: Made) -> None:
    given, predictors, _ = made
    errors = {name: score(predictor, given.test) for name, predictor in predictors.items()}
    assert errors["ridge_ar"] < 0.9 * min(errors[name] for name in ("last_value", "window_mean", "time_of_week"))
    assert errors["ridge_ar_sensor"] < 1.02 * errors["ridge_ar"]


@pytest.mark.parametrize("name", NAMES)
def test_bands_hold_what_they_are_meant_to(made: Made, name: str) -> None:
    given, predictors, _ = made
    assert score(predictors[name], given.validation, "coverage@90") == pytest.approx(0.9, abs=0.01)
    assert 0.8 < score(predictors[name], given.test, "coverage@90") < 0.97


def test_bands_are_as_wide_as_asked_for(made: Made) -> None:
    given, wide, _ = made
    config = TrafficConfig(decision=DecisionSettings(coverage=0.5))
    narrow = rivals(given, config, seed=0, report=lambda line: None)
    outputs = narrow["ridge_ar"](given.validation.inputs)
    inside = (outputs["low"] <= given.validation.target) & (given.validation.target <= outputs["high"])
    assert inside.sum() / np.isfinite(given.validation.target).sum() == pytest.approx(0.5, abs=0.01)
    np.testing.assert_array_equal(outputs["median"], wide["ridge_ar"](given.validation.inputs)["median"])


def test_sensors_are_drawn_towards_the_shared_coefficients(monkeypatch: pytest.MonkeyPatch, made: Made) -> None:
    given, predictors, _ = made
    shared, own = (predictors[name](given.test.inputs)["median"] for name in ("ridge_ar", "ridge_ar_sensor"))
    assert np.abs(shared - own).max() > 0.05
    monkeypatch.setattr(module, "SENSOR_STRENGTHS", (1e9,))
    bound = rivals(given, CONFIG, seed=0, report=lambda line: None)["ridge_ar_sensor"]
    np.testing.assert_allclose(bound(given.test.inputs)["median"], shared, atol=1e-3)


@pytest.mark.parametrize(("weekend", "best"), [(15.0, "workday"), (0.0, "day")])
def test_the_calendar_that_does_best_on_validation_is_taken(weekend: float, best: str) -> None:
    """Validation is of Saturday to Monday; what counts is whether the weekend differs."""
    given, lines = prepared(network(weekend=weekend)), list[str]()
    chosen = rivals(given, CONFIG, seed=0, report=lines.append)["time_of_week"]
    figures = {line.split()[2]: float(line.split()[-1]) for line in lines[:3]}
    assert min(figures, key=lambda name: figures[name]) == best
    assert score(chosen, given.validation) == pytest.approx(figures[best], abs=1e-3)


@pytest.mark.parametrize("interval", [600, 3600, 6 * 3600])
def test_the_week_is_divided_by_the_interval(interval: int) -> None:
    """Every reading is that of its slot of the week, to which a day adds a little that nobody can know."""
    rng = np.random.default_rng(0)
    week = 7 * DAY // interval
    values = np.tile(rng.uniform(20, 80, (week, SENSORS)), (6, 1)) + rng.normal(0, 0.1, (6 * week, SENSORS))
    given = prepared(values.astype(np.float32), interval)
    made = rivals(given, CONFIG, seed=0, report=lambda line: None)["time_of_week"]
    np.testing.assert_allclose(made(given.test.inputs)["median"], given.test.target, atol=0.8)


# === What they may know ===


def test_test_windows_are_never_looked_at() -> None:
    given = prepared(network())
    nothing: Any = None
    known, blind = (
        rivals(example, CONFIG, seed=0, report=lambda line: None)["ridge_ar_sensor"](given.test.inputs)["low"]
        for example in (given, replace(given, test=nothing))
    )
    np.testing.assert_array_equal(known, blind)


@pytest.mark.parametrize("name", NAMES)
def test_medians_but_not_their_tuning_come_from_training_alone(
    monkeypatch: pytest.MonkeyPatch, made: Made, name: str
) -> None:
    """With nothing left to choose, validation changes the band only."""
    for setting, value in (("CALENDARS", ("day",)), ("POOLED_STRENGTHS", (0.01,)), ("SENSOR_STRENGTHS", (0.1,))):
        monkeypatch.setattr(module, setting, value)
    given = made[0]
    wild = replace(given.validation, target=given.validation.target + 100)
    first, second = (
        rivals(replace(given, validation=part), CONFIG, seed=0, report=lambda line: None)[name](given.test.inputs)
        for part in (given.validation, wild)
    )
    np.testing.assert_array_equal(first["median"], second["median"])
    assert (second["high"] - first["high"] > 90).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cells", [1, 1 << 22])
def test_a_window_is_forecast_from_itself_alone(
    monkeypatch: pytest.MonkeyPatch, made: Made, name: str, cells: int
) -> None:
    given, predictors, _ = made
    whole = predictors[name](given.test.inputs)
    monkeypatch.setattr(module, "_CELLS", cells)
    some = np.array([40, 3, 17])
    alone = predictors[name](given.test.take(some).inputs)
    for output, values in alone.items():
        np.testing.assert_allclose(values, whole[output][some], rtol=1e-5)


# === Trouble ===


@pytest.mark.parametrize("name", NAMES)
def test_silent_sensors_are_forecast_from_the_time(made: Made, name: str) -> None:
    given, predictors, _ = made
    silent = silenced(given.test.inputs, 1.0, 0)
    outputs = predictors[name](silent)
    assert all(np.isfinite(values).all() for values in outputs.values())
    assert evaluate(outputs, given.test, CONFIG)["mae"].compute(None) < 1.1 * score(
        predictors["time_of_week"], given.test
    )


def test_a_sensor_that_was_never_heard_of_is_forecast_like_the_others() -> None:
    values = network()
    values[: int(0.8 * len(values)), 2] = NAN
    given = prepared(values)
    for predictor in rivals(given, CONFIG, seed=0, report=lambda line: None).values():
        assert score(predictor, given.test) < 20


@pytest.mark.parametrize(("part", "name"), [("train", "training"), ("validation", "validation")])
def test_parts_without_readings_are_refused(part: str, name: str) -> None:
    given = prepared(network())
    empty = getattr(given, part)
    inputs = {**empty.inputs, "readings": np.full_like(empty.inputs["readings"], NAN)}
    gone = replace(empty, inputs=inputs, target=np.full_like(empty.target, NAN))
    with pytest.raises(ContractError, match=f"The {name} part holds no reading"):
        rivals(replace(given, **{part: gone}), CONFIG, seed=0, report=lambda line: None)


# === Size ===


def test_large_networks_are_tuned_on_fewer_windows_and_sensors_share_coefficients(
    monkeypatch: pytest.MonkeyPatch, made: Made
) -> None:
    monkeypatch.setattr(module, "MAX_FIT_PRODUCTS", 300 * WINDOW * SENSORS * HORIZON)
    monkeypatch.setattr(module, "MAX_TUNING_READINGS", 60 * SENSORS * HORIZON)
    monkeypatch.setattr(module, "MAX_SENSOR_MOMENTS", 10)
    sizes = list[int]()
    thinned = module._thinned

    def watched(examples: Examples, most: int, seed: int) -> Examples:
        taken = thinned(examples, most, seed)
        sizes.append(len(taken))
        return taken

    monkeypatch.setattr(module, "_thinned", watched)
    lines = list[str]()
    few = rivals(made[0], CONFIG, seed=0, report=lines.append)
    assert sizes == [60, 300] and list(few) == NAMES[:-1] and "left out" in lines[-1]
    assert score(few["ridge_ar"], made[0].test) < 1.1 * score(made[1]["ridge_ar"], made[0].test)


def test_the_same_seed_takes_the_same_windows_in_order() -> None:
    given = prepared(network()).train
    first, again, other = (module._thinned(given, 50, seed).context["time"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and (np.diff(first) > 0).all() and len(first) == 50
    assert module._thinned(given, len(given), 0) is given and len(module._thinned(given, 0, 0)) == 1
