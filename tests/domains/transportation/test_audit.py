"""Silent, stuck, impossible and doubled sensors: each is found where it is, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.domains.transportation.audit import audit, longest_runs
from edgekit.domains.transportation.config import DataSettings, TrafficConfig
from edgekit.domains.transportation.reading import load
from edgekit.domains.transportation.readings import Readings
from edgekit.shared.audit import Finding
from edgekit.shared.domain import Request
from edgekit.shared.splits import Splits

LOS = Path(__file__).parents[4] / "shared/data/transportation/los_speed.csv"
MONDAY = 1_704_067_200  # 2024-01-01
DAYS, SENSORS = 28, 6


def splits(count: int) -> Splits:
    marks = np.split(np.arange(count), [count * 7 // 10, count * 8 // 10])
    return Splits(*marks, "by time")


def network(values: np.ndarray | None = None, *, unit: str = "km/h") -> Readings:
    """Return four quiet weeks of six sensors with rush hours, in steps of a quarter of an hour."""
    rng = np.random.default_rng(0)
    hour = np.arange(DAYS * 96) % 96 / 4
    rush = np.exp(-(((hour - 8) / 1.5) ** 2)) + np.exp(-(((hour - 17) / 2) ** 2))
    quiet = 90 + 2 * np.arange(SENSORS) - 40 * rush[:, None] + rng.normal(0, 3, (len(hour), SENSORS))
    made = quiet.astype(np.float32) if values is None else values
    names = tuple(f"s{place}" for place in range(made.shape[1]))
    return Readings(MONDAY, 900, made, names, unit, np.zeros((0, 0), np.float32), "quiet", "")


def findings(readings: Readings) -> dict[str, Finding]:
    return {finding.title: finding for finding in audit(readings, splits(len(readings)))}


def changed(place: int, value: float, steps: slice = slice(None)) -> Readings:
    values = network().values.copy()
    values[steps, place] = value
    return network(values)


def test_a_quiet_network_has_no_finding() -> None:
    assert findings(network()) == {}


# === Silence ===


def test_a_sensor_without_a_reading_is_found() -> None:
    found = findings(changed(2, np.nan))
    assert "1 of 6 sensors: 's2'" in found["Sensors without a reading"].detail
    assert set(found) == {"Sensors without a reading", "Missing readings"}


def test_a_sensor_silent_in_train_is_found() -> None:
    found = findings(changed(2, np.nan, slice(0, 2000)))
    assert "'s2'" in found["Sensors silent in all of train"].detail and "Sensors without a reading" not in found


def test_missing_readings_are_counted_by_part() -> None:
    values = network().values.copy()
    values[:100] = np.nan
    detail = findings(network(values))["Missing readings"].detail
    assert "3.72% (5.32% of train, 0.00% of validation" in detail and "At 100 steps the whole network" in detail


def test_a_sensor_that_misses_most_is_found() -> None:
    found = findings(changed(1, np.nan, slice(300, 2000)))
    assert "'s1'" in found["Sensors with more missing readings than others"].detail


# === Stuck ===


def test_a_stuck_sensor_is_found_with_where_and_how_long() -> None:
    detail = findings(changed(3, 77.5, slice(96, 96 + 16)))["Stuck sensors"].detail
    assert "'s3' reads 77.5 for 4 hours from 2024-01-02 00:00 on" in detail and "1 of 6" in detail


def test_two_hours_are_not_stuck() -> None:
    assert "Stuck sensors" not in findings(changed(3, 77.5, slice(96, 96 + 8)))


def test_an_empty_road_may_stay_empty_for_a_night_and_not_for_two_days() -> None:
    assert "Stuck sensors" not in findings(changed(3, 0.0, slice(96, 96 + 48)))
    assert "'s3' reads 0 for 48 hours" in findings(changed(3, 0.0, slice(96, 3 * 96)))["Stuck sensors"].detail


def test_missing_readings_end_a_run() -> None:
    values = np.array([[1, 2], [1, np.nan], [np.nan, np.nan], [1, np.nan], [0, 0], [0, 2]], np.float32)
    assert [part.tolist() for part in longest_runs(values, at_zero=False)] == [[2, 1], [0, 0]]
    assert [part.tolist() for part in longest_runs(values, at_zero=True)] == [[2, 1], [4, 4]]


# === Impossible values and codes ===


def test_negative_readings_are_found() -> None:
    detail = findings(changed(4, -1.0, slice(5, 8)))["Negative readings"].detail
    assert "3 of 16,128 readings are below 0, the lowest -1" in detail and "'s4'" in detail


def test_readings_that_are_often_negative_are_no_fault() -> None:
    assert "Negative readings" not in findings(network(network().values - 90, unit="°C"))


@pytest.mark.parametrize(("unit", "found"), [("km/h", True), ("mph", True), ("vehicles/h", False)])
def test_impossible_speeds_are_found_where_the_unit_is_a_speed(unit: str, found: bool) -> None:
    readings = replace(changed(4, 240.0, slice(5, 7)), unit=unit)
    assert ("Impossible speeds" in findings(readings)) is found


def test_a_code_far_above_all_readings_is_found() -> None:
    values = network(unit="veh/h").values.copy()
    values[::50, 1] = 999
    found = findings(network(values, unit="veh/h"))
    assert "999 occurs 54 times" in found["A reading may be a code"].detail
    assert "--set data.missing_code=999" in found["A reading may be a code"].detail


def test_sudden_zeros_may_mean_missing_and_those_of_a_slow_night_do_not() -> None:
    assert "--set data.missing_code=0" in findings(changed(1, 0.0, slice(None, None, 50)))["0 may mean missing"].detail
    night = np.maximum(network().values - network().values.max(axis=0) * 0.6, 0)
    assert (night == 0).mean() > 0.01 and "0 may mean missing" not in findings(network(night))


# === Doubled sensors ===


def test_two_names_of_one_sensor_are_found_although_one_has_gaps() -> None:
    values = network().values.copy()
    values[:, 5] = values[:, 0]
    values[::9, 5] = np.nan
    values[1::40, 0] = np.nan
    found = findings(network(values))
    assert "'s0' and 's5' read the same" in found["Duplicated sensors"].detail
    assert found["Duplicated sensors"].severity == "warning"


def test_quiet_roads_that_are_both_empty_are_not_doubled() -> None:
    values = np.random.default_rng(0).poisson(0.02, (2688, 6)).astype(np.float32)
    assert "Duplicated sensors" not in findings(network(values))


def test_many_sensors_are_compared_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.domains.transportation.audit.MOST_COMPARED", 3)
    values = network().values.copy()
    values[:, 5] = values[:, 0]
    assert "'s0' and 's5'" in findings(network(values))["Duplicated sensors"].detail


# === Days ===


def test_weekdays_that_train_has_not_seen_are_told() -> None:
    detail = findings(network(network().values[: 7 * 96]))["Test holds weekdays that train does not"].detail
    assert detail.startswith("Saturday, Sunday. The readings span 7 days")


@pytest.mark.skipif(not LOS.exists(), reason="no ../shared/data/transportation here")
def test_the_real_week_has_the_findings_that_it_deserves() -> None:
    config = TrafficConfig(data=DataSettings(interval="5min", start="2012-03-01", unit="mph"))
    readings = load(Request(LOS), config, report=lambda _: None)
    assert set(findings(readings)) == {"Stuck sensors", "Test holds weekdays that train does not"}
