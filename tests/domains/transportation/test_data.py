"""Blocks of time that share no reading, and windows that hold what came before and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.domains.transportation.config import DataSettings, DecisionSettings, ModelSettings, TrafficConfig
from edgekit.domains.transportation.data import audit, make_plan, prepare, split
from edgekit.domains.transportation.reading import load
from edgekit.domains.transportation.readings import Readings
from edgekit.shared.domain import Examples, Prepared, Request
from edgekit.shared.errors import ContractError
from edgekit.shared.splits import Splits

DAY, THURSDAY = 86_400, 1_330_560_000  # 2012-03-01T00:00:00
SENSORS = 3
REAL = Path(__file__).parents[4] / "shared/data/transportation/los_speed.csv"
needs_real = pytest.mark.skipif(not REAL.exists(), reason=f"no ../shared/data/transportation/{REAL.name} here")


def config(window: int = 4, horizon: int = 3, coverage: float = 0.9, **data: Any) -> TrafficConfig:
    return TrafficConfig(
        data=DataSettings(**data),
        model=ModelSettings(window=window, horizon=horizon),
        decision=DecisionSettings(coverage=coverage),
    )


def readings(steps: int = 100, interval: int = 300, start: int = THURSDAY) -> Readings:
    """Return readings that tell their step and sensor: 10 · step + sensor."""
    values = (10 * np.arange(steps)[:, None] + np.arange(SENSORS)).astype(np.float32)
    names = tuple(f"s{number}" for number in range(SENSORS))
    return Readings(start, interval, values, names, "mph", np.zeros((0, 0), np.float32), "made.csv", "print")


def made(given: Readings, settings: TrafficConfig) -> tuple[Splits, Prepared]:
    splits = split(given, settings, seed=0)
    return splits, prepare(given, splits, settings)


def with_gap(given: Readings, steps: Any, sensors: Any = slice(None)) -> Readings:
    values = given.values.copy()
    values[steps, sensors] = np.nan
    return replace(given, values=values)


# === Splits ===


@pytest.mark.parametrize(
    ("steps", "validation", "test", "borders"),
    [
        (100, 0.1, 0.2, (70, 80)),
        (2016, 0.1, 0.2, (1411, 1612)),
        (2016, 0.2, 0.2, (1209, 1612)),
        (203, 0.25, 0.25, (101, 152)),
        (99, 0.1, 0.1, (79, 89)),
    ],
)
def test_the_borders_are_those_of_the_literature(
    steps: int, validation: float, test: float, borders: tuple[int, int]
) -> None:
    """The first int(80 %) of the steps is what T-GCN trains on; what is left over goes to the later part."""
    splits = split(readings(steps), config(validation_share=validation, test_share=test), seed=0)
    assert splits.train.tolist() == list(range(borders[0]))
    assert splits.validation.tolist() == list(range(*borders))
    assert splits.test.tolist() == list(range(borders[1], steps))


def test_nothing_is_drawn() -> None:
    first, other = (split(readings(), config(), seed=seed) for seed in (0, 1))
    assert all(np.array_equal(*rows) for rows in zip(first.parts().values(), other.parts().values(), strict=True))


def test_the_rule_names_the_moments() -> None:
    assert split(readings(), config(), seed=0).rule == (
        "by time: validation from 2012-03-01 05:50, test from 2012-03-01 06:40"
    )


def test_a_part_as_long_as_one_window_is_enough_and_a_step_less_is_not() -> None:
    _, prepared = made(readings(70), config())
    assert (len(prepared.train), len(prepared.validation), len(prepared.test)) == (43, 1, 8)
    with pytest.raises(ContractError) as caught:
        split(readings(60), config(), seed=0)
    assert str(caught.value) == (
        "made.csv: found 60 steps, so that the shortest part of train, validation and test has 6. Expected at least 7: "
        "model.window (4) + model.horizon (3). Bring a longer time, or change these or the shares in data."
    )


@pytest.mark.parametrize(("validation", "test"), [(0.01, 0.3), (0.3, 0.01), (0.39, 0.4)])
def test_whichever_part_is_too_short_is_refused(validation: float, test: float) -> None:
    with pytest.raises(ContractError, match="found 100 steps"):
        split(readings(100), config(window=15, horizon=15, validation_share=validation, test_share=test), seed=0)


@pytest.mark.parametrize("steps", [0, 1, 2, 6])
def test_what_is_shorter_than_a_window_is_refused(steps: int) -> None:
    with pytest.raises(ContractError, match=f"found {steps} steps"):
        split(readings(steps), config(), seed=0)


# === Windows ===


@pytest.mark.parametrize(("window", "horizon"), [(4, 3), (1, 1), (1, 8), (7, 1)])
def test_a_window_holds_what_came_before_and_its_target_what_follows(window: int, horizon: int) -> None:
    splits, prepared = made(readings(), config(window, horizon))
    parts = (prepared.train, prepared.validation, prepared.test)
    for steps, part in zip(splits.parts().values(), parts, strict=True):
        last = np.arange(steps[0] + window - 1, steps[-1] - horizon + 1)
        assert part.context["time"].tolist() == (THURSDAY + 300 * last).tolist()
        before, after = (10.0 * (last[:, None] + shift) for shift in (np.arange(1 - window, 1), np.arange(horizon) + 1))
        np.testing.assert_array_equal(part.inputs["readings"], before[..., None] + np.arange(SENSORS))
        np.testing.assert_array_equal(part.target, after[..., None] + np.arange(SENSORS))
        assert part.inputs["moment"].tolist() == [[step, 3] for step in last]


def test_no_window_crosses_a_border() -> None:
    splits, prepared = made(readings(), config())
    parts = (prepared.train, prepared.validation, prepared.test)
    for steps, part in zip(splits.parts().values(), parts, strict=True):
        seen = np.concatenate([part.inputs["readings"], part.target], axis=1)[..., 0] // 10
        assert set(seen.ravel().astype(int)) == set(steps.tolist())


def test_nothing_of_the_future_changes_an_example() -> None:
    given, settings = readings(), config()
    splits = split(given, settings, seed=0)
    values = given.values.copy()
    values[splits.test] += 1000
    values[splits.validation[0] :] += 500
    first, other = (prepare(each, splits, settings) for each in (given, replace(given, values=values)))
    np.testing.assert_array_equal(first.train.inputs["readings"], other.train.inputs["readings"])
    np.testing.assert_array_equal(first.train.target, other.train.target)
    assert first.plan == other.plan
    assert (first.validation.target != other.validation.target).all()


def test_windows_that_nothing_follows_are_left_out() -> None:
    gap = slice(20, 26)  # of six steps: from the window that ends before it to the one three before its end
    _, prepared = made(with_gap(readings(), gap), config())
    left_out = {19, 20, 21, 22}
    assert ((prepared.train.context["time"] - THURSDAY) // 300).tolist() == [
        step for step in range(3, 67) if step not in left_out
    ]
    last = (prepared.train.context["time"] - THURSDAY) // 300
    np.testing.assert_array_equal(prepared.train.inputs["moment"][:, 0], last)
    row = np.flatnonzero(last == 23)[0]
    assert np.isnan(prepared.train.target[row][:2]).all() and (prepared.train.target[row][2] == [260, 261, 262]).all()
    assert len(prepared.train.inputs["readings"]) == len(prepared.train.target) == len(last)


def test_one_sensor_that_speaks_is_enough() -> None:
    _, prepared = made(with_gap(readings(), slice(None), [0, 2]), config())
    assert len(prepared.train) == 64 and np.isfinite(prepared.train.target).sum() == 64 * 3


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_a_part_in_which_all_sensors_are_silent_is_refused(part: str) -> None:
    given = readings()
    splits = split(given, config(), seed=0)
    with pytest.raises(ContractError, match=f"made.csv: found no reading that follows a window in {part}"):
        prepare(with_gap(given, splits.parts()[part]), splits, config())


def test_a_long_log_takes_its_own_size_once() -> None:
    given = readings(500)
    _, prepared = made(given, config(window=30, horizon=10))
    for part in (prepared.train, prepared.validation, prepared.test):
        assert np.shares_memory(part.inputs["readings"], given.values) and np.shares_memory(part.target, given.values)
    assert prepared.train.inputs["readings"].dtype == np.float32


def test_readings_are_not_written_to() -> None:
    given = readings()
    before = given.values.copy()
    made(given, config())
    np.testing.assert_array_equal(given.values, before)


def test_examples_can_be_taken_apart() -> None:
    _, prepared = made(readings(), config())
    some: Examples = prepared.train.take(np.array([5, 0]))
    assert len(some) == 2 and some.inputs["readings"][:, -1, 0].tolist() == [80, 30]


# === What intervals resample ===


def test_days_are_resampled_where_there_are_ten() -> None:
    given = readings(100 * 24, interval=3600)
    _, prepared = made(given, config())
    for part, days in ((prepared.train, 70), (prepared.validation, 10), (prepared.test, 20)):
        assert part.context["unit"].tolist() == (part.context["time"] // DAY).tolist()
        assert len(np.unique(part.context["unit"])) == days


def test_blocks_of_two_hours_are_resampled_where_a_part_has_few_days() -> None:
    _, prepared = made(readings(90 * 24, interval=3600), config())
    assert len(np.unique(prepared.train.context["unit"])) == 63  # days
    unit, time = prepared.validation.context["unit"], prepared.validation.context["time"]
    assert unit.tolist() == (time // 7200).tolist()
    assert np.unique(unit, return_counts=True)[1].max() == 2  # of hours


def test_the_interval_stands_beside() -> None:
    _, prepared = made(readings(interval=900), config())
    assert prepared.test.context["interval"].tolist() == [900] * len(prepared.test)


# === The plan, and what is said ===


def test_the_plan_holds_what_a_device_must_know() -> None:
    weights = np.eye(SENSORS, k=1, dtype=np.float32)
    plan = make_plan(replace(readings(interval=600), weights=weights), config(5, 2, coverage=0.8))
    assert (plan.sensors, plan.window, plan.horizon) == (("s0", "s1", "s2"), 5, 2)
    assert (plan.interval, plan.unit, plan.coverage) == (600, "mph", 0.8)
    np.testing.assert_array_equal(plan.weights, weights)


def test_what_cannot_be_done_is_said() -> None:
    notes = made(readings(), config())[1].notes
    assert notes[0].startswith("validation and test have 1 and 1 days: intervals are resampled by blocks of two hours")
    assert notes[1].startswith("less than two weeks") and notes[2].startswith("no adjacency")
    long = replace(readings(100 * 24, interval=3600), weights=np.ones((3, 3), np.float32))
    assert made(long, config())[1].notes == ()


def test_the_audit_looks_at_the_readings() -> None:
    given = with_gap(readings(), slice(None), 1)
    found = audit(given, split(given, config(), seed=0), config())
    assert any("s1" in str(finding) for finding in found)


# === The published set ===


@needs_real
def test_los_loop_is_split_as_published() -> None:
    settings = config(12, 12, interval="5min", start="2012-03-01")
    given = load(Request(REAL), settings, report=lambda line: None)
    splits, prepared = made(given, settings)
    assert [len(part) for part in splits.parts().values()] == [1411, 201, 404]
    assert [len(part) for part in (prepared.train, prepared.validation, prepared.test)] == [1388, 178, 381]
    assert prepared.test.context["time"][0] == THURSDAY + 300 * (1612 + 11)
