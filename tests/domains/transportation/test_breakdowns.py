"""Errors taken apart: every part by hand, the parts add up to the whole, and what is missing is in none."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.transportation import breakdowns as module
from edgekit.domains.transportation.breakdowns import (
    FORECAST,
    Congestion,
    ahead,
    by_hour,
    by_sensor,
    by_unit,
    by_window,
    congestion,
    course,
    is_speed,
    less,
    rates,
    spread,
    under_silence,
)
from edgekit.domains.transportation.masked_errors import add_up
from edgekit.shared.domain import Arrays, Examples

DAY, FRIDAY = 86_400, 1_704_412_800  # 2024-01-05
NAN = np.float32(np.nan)


def examples(values: np.ndarray, *, window: int = 2, horizon: int = 3, interval: int = 3600) -> Examples:
    """Cut (step, sensor) readings, of which the first is at midnight of a Friday, into windows."""
    last = np.arange(window - 1, len(values) - horizon)
    time = FRIDAY + last * interval
    readings = np.stack([values[step - window + 1 : step + 1] for step in last]).astype(np.float32)
    target = np.stack([values[step + 1 : step + 1 + horizon] for step in last]).astype(np.float32)
    context = {"unit": time // DAY, "time": time, "interval": np.full(len(last), interval)}
    return Examples({"readings": readings, "moment": np.zeros((len(last), 2), np.int32)}, target, context)


def network(steps: int = 72, sensors: int = 4, missing: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(0)
    values = rng.uniform(20, 80, (steps, sensors)).astype(np.float32)
    values[rng.random(values.shape) < missing] = NAN
    return values


def noisy(test: Examples) -> dict[str, np.ndarray]:
    median = np.random.default_rng(1).uniform(20, 80, test.target.shape).astype(np.float32)
    return {"median": median, "low": median - 10, "high": median + 10}


def constant(test: Examples, value: float) -> dict[str, np.ndarray]:
    median = np.full(test.target.shape, value, np.float32)
    return {"median": median, "low": median - 5, "high": median + 5}


# === Sums over other groups ===


def test_units_are_added_up_as_if_at_once() -> None:
    test = examples(network())
    outputs = noisy(test)
    made = by_unit(by_window(outputs, test))
    expected = add_up(outputs, test.target, test.context["unit"])
    for name in vars(expected):
        np.testing.assert_allclose(getattr(made, name), getattr(expected, name), err_msg=name)


def test_sensors_are_added_up_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 7)
    test = examples(network())
    outputs = noisy(test)
    made = by_sensor(outputs, test.target)
    for sensor in range(4):
        own = {name: outputs[name][..., [sensor]] for name in FORECAST}
        alone = add_up(own, test.target[..., [sensor]], np.zeros(len(test)))
        np.testing.assert_allclose(made.absolute[sensor], alone.absolute[0])
        np.testing.assert_array_equal(made.covered[sensor], alone.covered[0])
    assert made.count.sum() == np.isfinite(test.target).sum()


def test_an_error_counts_for_the_hour_that_was_forecast() -> None:
    values = np.full((24, 1), 50.0)
    values[9] = 60  # missed by 10 at nine o'clock, however far ahead
    test = examples(values)
    made = rates(by_hour(by_window(constant(test, 50), test), test))["mae"]
    assert np.isnan(made[:2]).all()  # no forecast was made for these
    assert made[9] == 10 and np.delete(made, 9)[2:].tolist() == [0] * 21


def test_the_weekend_is_told_apart() -> None:
    values = np.full((3 * 24, 1), 50.0)
    values[24:] = 54  # from Saturday on
    test = examples(values)
    windows = by_window(constant(test, 50), test)
    apart, together = by_hour(windows, test, apart=True), by_hour(windows, test)
    assert apart.units.tolist() == list(range(48)) and together.units.tolist() == list(range(24))
    assert rates(apart)["mae"][2:].tolist() == [0] * 22 + [4] * 24
    np.testing.assert_array_equal(apart.count[:24] + apart.count[24:], together.count)


def test_a_half_hour_ahead_of_midnight_is_the_next_day() -> None:
    test = examples(np.full((60, 1), 50.0), horizon=1, interval=1800)
    made = by_hour(by_window(constant(test, 50), test), test, apart=True)
    assert made.count[:24].sum() == 46  # from one o'clock on Friday
    assert made.count[24:30].ravel().tolist() == [2] * 6


def test_a_part_and_the_rest_are_the_whole() -> None:
    test = examples(network())
    outputs, unit = noisy(test), test.context["unit"]
    whole, part = add_up(outputs, test.target, unit), add_up(outputs, test.target, unit, below=50)
    rest = less(whole, part)
    above = add_up(outputs, np.where(test.target >= 50, test.target, NAN), unit)
    np.testing.assert_allclose(rest.squared, above.squared)
    assert (rest.count == above.count).all()
    assert not less(whole, whole).count.any() and (less(part, whole).squared >= 0).all()


def test_rates_by_hand() -> None:
    target = np.array([[[50, 50]], [[50, NAN]]], np.float32)
    median = np.array([[[53, 46]], [[50, 0]]], np.float32)
    made = rates(add_up({"median": median, "low": median - 3, "high": median + 1}, target, np.arange(2)))
    assert {name: values.tolist() for name, values in made.items()} == {
        "mae": [3.5, 0], "rmse": [pytest.approx(12.5**0.5), 0], "coverage": [0.5, 1], "width": [4, 4],
    }  # fmt: skip


def test_what_is_never_scored_has_no_rate() -> None:
    test = examples(np.where(np.arange(3) == 1, NAN, network(sensors=3, missing=0)))
    made = rates(by_sensor(noisy(test), test.target))
    assert all(np.isnan(values).tolist() == [False, True, False] for values in made.values())


# === The course of time ===


def test_windows_become_the_course_that_they_were_cut_from() -> None:
    values = network()
    time, readings = course(examples(values))
    np.testing.assert_array_equal(readings, values[2:])
    np.testing.assert_array_equal(time, FRIDAY + 3600 * np.arange(2, 72))


def test_windows_that_were_left_out_leave_a_gap() -> None:
    values = network(missing=0)
    values[20:30] = NAN
    test = examples(values)
    time, readings = course(test.take(np.isfinite(test.target).any(axis=(1, 2))))
    np.testing.assert_array_equal(readings, values[2:])
    assert len(time) == 70


@pytest.mark.parametrize("step", [1, 3])
def test_a_forecast_stands_where_its_reading_stands(step: int) -> None:
    values = network(missing=0)
    test = examples(values)
    made = ahead(test.target, test, step)
    assert np.isnan(made[: step - 1]).all() and np.isnan(made[len(test) + step - 1 :]).all()
    np.testing.assert_array_equal(made[step - 1 : len(test) + step - 1], values[1 + step : 1 + step + len(test)])


def test_one_window_is_a_course() -> None:
    test = examples(network(steps=3), horizon=1)
    time, readings = course(test)
    assert len(time) == len(readings) == len(ahead(test.target, test, 1)) == 1


# === Congestion ===


@pytest.mark.parametrize(
    "unit", ["mph", "km/h", "kph", "km per hour", "kilometres per hour", "m/s", "miles an hour", "Speed (kt)", "KMH"]
)
def test_speeds_are_known_by_their_unit(unit: str) -> None:
    assert is_speed(unit)


@pytest.mark.parametrize("unit", ["vehicles/5min", "vehicles per hour", "veh/h", "passengers", "bikes", "%", "min"])
def test_other_readings_are_no_speeds(unit: str) -> None:
    assert not is_speed(unit)
    assert congestion(network(), unit, None) is None


@pytest.mark.parametrize("unit", ["", "mph"])
def test_the_limit_is_of_each_sensor(unit: str) -> None:
    readings = np.stack([np.arange(101), 2 * np.arange(101), np.full(101, np.nan)], axis=1)
    made = congestion(readings, unit, None)
    assert made is not None and "60 % of their sensor's 85th percentile" in made.rule
    np.testing.assert_allclose(made.limit, [51, 102, np.nan])


@pytest.mark.parametrize(
    ("unit", "rule"), [("mph", "below 40 mph"), ("vehicles", "below 40 vehicles"), ("", "below 40")]
)
def test_a_given_limit_holds_for_all_whatever_the_unit(unit: str, rule: str) -> None:
    made = congestion(network(sensors=2), unit, 40.0)
    assert made is not None and made.limit.tolist() == [40, 40] and made.rule == rule


def test_only_congested_readings_are_kept() -> None:
    given = np.array([[[39, 39], [40, 41], [NAN, 5]]], np.float32)
    kept = Congestion(np.array([40.0, np.nan]), "").only(given)
    np.testing.assert_array_equal(kept, [[[39, NAN], [NAN, NAN], [NAN, NAN]]])
    assert kept.dtype == np.float32


# === Silent sensors ===


def last_or_zero(inputs: Arrays) -> dict[str, np.ndarray]:
    """Forecast the last reading, of silent sensors nothing."""
    last = np.nan_to_num(inputs["readings"][:, -1:])
    median = np.repeat(last, 3, axis=1)
    return {"median": median, "low": median - 1, "high": median + 1}


def test_silent_sensors_cost_what_is_not_known_of_them() -> None:
    test = examples(np.full((72, 10), 50.0))
    made = under_silence(last_or_zero, test)
    assert [(one.share, one.count) for one in made] == [(0.0, 0), (0.1, 1), (0.3, 3), (0.5, 5)]
    for one in made:
        assert one.everywhere.absolute.sum() / one.everywhere.count.sum() == pytest.approx(50 * one.share)
        assert one.silent.absolute.sum() == 50 * one.silent.count.sum() and not one.others.absolute.any()
        assert one.silent.count.sum() == one.share * one.everywhere.count.sum()


def test_a_sensor_that_was_silent_already_is_among_the_silent_ones() -> None:
    values = np.full((72, 10), 50.0)
    values[1:3, 4] = np.nan  # the window whose last reading is at two o'clock
    (none,) = under_silence(last_or_zero, examples(values), (0.0,))
    assert none.silent.count.sum() == 3 and none.silent.absolute.sum() == 150


@pytest.mark.parametrize(("sensors", "counts"), [(1, [0, 1]), (2, [0, 1]), (3, [0, 1, 2])])
def test_of_few_sensors_the_same_number_is_silenced_once(sensors: int, counts: list[int]) -> None:
    asked = []

    def predict(inputs: Arrays) -> dict[str, np.ndarray]:
        asked.append(int(np.isnan(inputs["readings"]).all(axis=1).sum(axis=1)[0]))
        return last_or_zero(inputs)

    made = under_silence(predict, examples(np.full((72, sensors), 50.0)))
    assert [one.count for one in made] == asked == counts


def test_the_same_seed_gives_the_same_figures() -> None:
    test = examples(network(sensors=10))
    first, again, other = (under_silence(last_or_zero, test, (0.3,), seed=seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.silent.absolute, again.silent.absolute)
    assert (first.silent.absolute != other.silent.absolute).any()


def test_many_windows_are_thinned_evenly() -> None:
    test = examples(network(steps=1005), horizon=3)
    place = (spread(test, 11).context["time"] - test.context["time"][0]) // 3600
    assert place.tolist() == list(range(0, 1001, 100)) and len(test) == 1001
    assert spread(test, 1001) is test
