"""Clocks and units that change in the middle are found, with when and by how much; seasons and weekends are not."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.domains.transportation.config import DataSettings, TrafficConfig
from edgekit.domains.transportation.drifts import clock_shifts, unit_changes
from edgekit.domains.transportation.reading import load
from edgekit.domains.transportation.readings import Readings
from edgekit.shared.domain import Request

LOS = Path(__file__).parents[4] / "shared/data/transportation/los_speed.csv"
MONDAY = 1_704_067_200  # 2024-01-01
STEPS = 96


def network(days: int = 28, *, shift: int = 0, first: int = 14, sensors: tuple[int, ...] = (0, 1, 2, 3)) -> Readings:
    """Return weeks with rush hours and quiet weekends; from day ``first`` on ``sensors`` are ``shift`` steps late."""
    rng = np.random.default_rng(0)
    step = np.repeat(np.arange(days * STEPS)[:, None], 4, axis=1)
    late = np.isin(np.arange(4), sensors) & (step >= first * STEPS)
    step = step - shift * late
    hour, weekend = step % STEPS / 4, (step // STEPS % 7 >= 5)
    rush = 1.2 * np.exp(-(((hour - 8) / 1.5) ** 2)) + np.exp(-(((hour - 17) / 2) ** 2))
    values = 30 + 100 * rush * np.where(weekend, 0.4, 1) + rng.gamma(4, 1.5, step.shape)
    names = tuple(f"s{place}" for place in range(4))
    return Readings(MONDAY, 900, values.astype(np.float32), names, "", np.zeros((0, 0), np.float32), "", "")


def scaled(readings: Readings, factor: float, step: int, sensors: list[int]) -> Readings:
    values = readings.values.copy()
    values[step:, sensors] *= np.float32(factor)
    return replace(readings, values=values)


# === Clocks ===


def test_a_steady_clock_has_no_finding() -> None:
    assert not list(clock_shifts(network()))


@pytest.mark.parametrize(("shift", "how"), [(4, "1h later"), (-8, "2h earlier")])
def test_a_shift_of_the_whole_network_is_found(shift: int, how: str) -> None:
    found = list(clock_shifts(network(shift=shift)))
    assert [finding.title for finding in found] == ["The clock of the network may have been shifted"]
    assert f"rhythm about {how} in the week from 2024-01-15 on" in found[0].detail


def test_a_shift_of_one_sensor_is_found() -> None:
    found = list(clock_shifts(network(shift=6, sensors=(2,))))
    assert [finding.title for finding in found] == ["Clocks of sensors may have been shifted"]
    assert "1 of 4 sensors" in found[0].detail and "'s2'" in found[0].detail and "90min later" in found[0].detail


def test_a_quarter_of_an_hour_and_a_single_week_tell_nothing() -> None:
    assert not list(clock_shifts(network(shift=1)))
    assert not list(clock_shifts(network(13, shift=6, first=7)))


def test_noise_has_no_clock() -> None:
    noise = np.random.default_rng(0).normal(50, 9, (28 * STEPS, 4)).astype(np.float32)
    assert not list(clock_shifts(replace(network(), values=noise)))


# === Units ===


def test_one_unit_has_no_finding() -> None:
    assert not list(unit_changes(network()))


@pytest.mark.parametrize(
    ("factor", "how", "between"),
    [
        (1.609344, "higher", ", as between km/h and mph: "),
        (1 / 1.609344, "lower", ", as between km/h and mph: "),
        (12.0, "higher", ", as between counts an hour and in five minutes: "),
        (1.9, "higher", " alike: "),
    ],
)
def test_a_lasting_factor_is_found_with_its_day(factor: float, how: str, between: str) -> None:
    found = list(unit_changes(scaled(network(), factor, 11 * STEPS + 40, [1, 3])))
    assert [finding.title for finding in found] == ["The unit may have changed in the middle"]
    told = re.search(rf"2 of 4 sensors read (\S+) times {how} from about 2024-01-(\d\d) on", found[0].detail)
    assert told and float(told[1]) == pytest.approx(max(factor, 1 / factor), rel=0.02)
    assert 12 <= int(told[2]) <= 15 and between in found[0].detail and "'s1', 's3'" in found[0].detail


def test_gaps_do_not_hide_it() -> None:
    readings = scaled(network(), 1.609344, 11 * STEPS, [0])
    readings.values[np.random.default_rng(0).random(readings.values.shape) < 0.4] = np.nan
    assert "1 of 4 sensors" in next(unit_changes(readings)).detail


@pytest.mark.parametrize("factor", [0.9, 1.2])
def test_a_season_is_no_unit(factor: float) -> None:
    assert not list(unit_changes(scaled(network(), factor, 14 * STEPS, [0, 1, 2, 3])))


def test_busier_rush_hours_alone_are_no_unit() -> None:
    readings = network()
    readings.values[14 * STEPS :] = 30 + (readings.values[14 * STEPS :] - 30) * 2.5
    assert not list(unit_changes(readings))


def test_a_few_days_tell_nothing() -> None:
    assert not list(unit_changes(scaled(network(4), 3.6, 2 * STEPS, [0])))


@pytest.mark.skipif(not LOS.exists(), reason="no ../shared/data/transportation here")
def test_in_the_real_week_a_change_is_found_and_none_without() -> None:
    config = TrafficConfig(data=DataSettings(interval="5min", start="2012-03-01"))
    readings = load(Request(LOS), config, report=lambda _: None)
    assert not list(unit_changes(readings)) and not list(clock_shifts(readings))
    found = list(unit_changes(scaled(readings, 1.609344, 1100, list(range(207)))))
    assert len(found) == 1 and "as between km/h and mph" in found[0].detail and "2012-03-05" in found[0].detail
