"""The time of a reading, the form of the inputs, and a plan that trusts nothing it reads."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from edgekit.domains.transportation.features import LONGEST_NAME, MOST_SENSORS, MOST_STEPS, Plan, inputs, moments

PLAN = Plan(("773869", "a b", "=Ω"), window=3, horizon=2, interval=300, unit="km/h", coverage=0.9)


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


# === Moments ===


@pytest.mark.parametrize(
    ("text", "interval", "step", "day"),
    [
        ("1970-01-01T00:00", 300, 0, 3),
        ("2012-03-01T00:00", 300, 0, 3),
        ("2012-03-07T17:30", 300, 210, 2),
        ("2012-03-04T23:59:59", 300, 287, 6),
        ("2012-03-05T00:00", 300, 0, 0),
        ("2024-02-29T12:07", 900, 48, 3),
        ("2024-01-06T05:00", 3600, 5, 5),
        ("2024-01-06T05:00", 86_400, 0, 5),
        ("1969-12-31T23:55", 300, 287, 2),
    ],
)
def test_the_moment_of_known_dates(text: str, interval: int, step: int, day: int) -> None:
    assert moments(np.array([seconds(text)]), interval).tolist() == [[step, day]]


def test_moments_agree_with_the_calendar() -> None:
    times = np.random.default_rng(0).integers(seconds("1990-01-01"), seconds("2100-01-01"), 300)
    dates = [datetime.fromtimestamp(int(time), tz=UTC) for time in times]
    expected = [[(date.hour * 60 + date.minute) // 5, date.weekday()] for date in dates]
    found = moments(times, 300)
    assert found.tolist() == expected and found.dtype == np.int32


# === Inputs ===


def test_inputs_have_the_form_of_the_network() -> None:
    windows = np.arange(12, dtype=np.float64).reshape(2, 2 * 3)[:, :, None].repeat(3, axis=2)[:, :3]
    windows[0, 0, 0] = np.nan
    made = inputs(windows, np.array([0, 300]), PLAN)
    assert {name: (array.shape, str(array.dtype)) for name, array in made.items()} == {
        "readings": ((2, 3, 3), "float32"),
        "moment": ((2, 2), "int32"),
    }
    np.testing.assert_array_equal(made["readings"], windows)
    assert made["moment"].tolist() == [[0, 3], [1, 3]]


@pytest.mark.parametrize("shape", [(1, 2, 3), (1, 3, 2), (1, 4, 3), (3, 3), (1, 3, 3, 1)])
def test_windows_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(3, 3\)"):
        inputs(np.zeros(shape), np.zeros(shape[0]), PLAN)


# === The plan ===


def test_a_plan_survives_json() -> None:
    assert Plan.from_json(json.loads(json.dumps(PLAN.as_json()))) == PLAN
    bare = replace(PLAN, sensors=("one",), unit="")
    assert Plan.from_json(json.loads(json.dumps(bare.as_json()))) == bare


def test_weights_do_not_travel() -> None:
    weighted = replace(PLAN, weights=np.ones((3, 3), np.float32))
    assert weighted.as_json() == PLAN.as_json() and "weights" not in weighted.as_json()
    assert Plan.from_json(weighted.as_json()).weights.size == 0 and weighted == PLAN


def test_places_and_steps() -> None:
    assert PLAN.place_of == {"773869": 0, "a b": 1, "=Ω": 2} and PLAN.steps_a_day == 288


HOSTILE: dict[str, list[Any]] = {
    "sensors": [
        None, {}, "abc", [], ["a", "a"], [1, 2], [["a"]], ["a", ""], ["a\n"], ["a\u2028"], ["\ud800"], ["\x9f"],
        ["a" * (LONGEST_NAME + 1)], [None], [f"s{number}" for number in range(MOST_SENSORS + 1)],
    ],
    "window": [0, -1, True, 3.0, "3", None, [], MOST_STEPS + 1, 10**30],
    "horizon": [0, -1, True, 2.0, "2", None, {}, MOST_STEPS + 1],
    "interval": [0, -300, True, 300.0, "300", None, 7, 86_401, 172_800, float("nan")],
    "unit": [None, 3, [], "km\nh", "\x00", "u" * (LONGEST_NAME + 1)],
    "coverage": [None, 0.0, 1.0, -0.5, 1.5, 1, True, "0.9", float("nan"), float("inf"), [0.9]],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in HOSTILE.items() for value in values],
    ids=lambda given: repr(given)[:30],
)
def test_every_hostile_value_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be") as caught:
        Plan.from_json({**PLAN.as_json(), name: value})
    assert len(str(caught.value)) < 500


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"window.*horizon.*interval.*coverage"):
        Plan.from_json({**PLAN.as_json(), "window": 0, "horizon": 0, "interval": 7, "coverage": 2.0})


@pytest.mark.parametrize("value", [None, [], "plan", 3, {}, {"window": 3}, {**PLAN.as_json(), "weights": []}, {1: 2}])
def test_a_plan_has_exactly_its_keys(value: Any) -> None:
    with pytest.raises(ValueError, match="exactly the keys"):
        Plan.from_json(value)


@pytest.mark.parametrize("name", list(PLAN.as_json()))
def test_no_key_may_be_missing(name: str) -> None:
    with pytest.raises(ValueError, match="exactly the keys"):
        Plan.from_json({key: value for key, value in PLAN.as_json().items() if key != name})
