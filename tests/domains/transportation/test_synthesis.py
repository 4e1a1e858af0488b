"""The synthetic roads: repeatable, with the rhythm of a week, and queues that travel against the traffic."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import pytest

from edgekit.domains.transportation import synthesis
from edgekit.domains.transportation.config import SyntheticSettings, TrafficConfig
from edgekit.domains.transportation.readings import Readings
from edgekit.domains.transportation.synthesis import (
    Incidents,
    Network,
    blocked,
    distances,
    draw_incidents,
    draw_load,
    draw_network,
    draw_rain,
    draw_spells,
    observe,
    overload,
    proximity,
    queues,
    speeds,
)

FIVE = 300
A_DAY = 288


@lru_cache
def drawn(sensors: int = 40, days: int = 28, minutes: int = 5, seed: int = 0) -> Readings:
    settings = SyntheticSettings.model_validate({"sensors": sensors, "days": days, "interval_minutes": minutes})
    return synthesis.synthesize(TrafficConfig(synthetic=settings), seed=seed)


def line(count: int = 4, *, km: float = 2.0, kept: float = 0.9, narrow: float = np.inf) -> Network:
    """Return one road; a queue takes two steps of five minutes for 2 km."""
    behind = np.arange(count - 1)
    return Network(
        names=tuple("ABCDEFGH"[:count]),
        road=np.zeros(count, np.int64),
        free=np.full(count, 100.0),
        narrow=np.full(count, narrow),
        ahead=behind + 1,
        behind=behind,
        length=np.full(count - 1, km),
        kept=np.full(count - 1, kept),
    )


def busy(steps: int, sensors: int = 4, load: float = 1.0) -> np.ndarray:
    return np.full((steps, sensors), load)


# === The readings ===


def test_the_same_seed_gives_the_same_roads() -> None:
    first, other = drawn(days=7), drawn(days=7, seed=1)
    again = synthesis.synthesize(TrafficConfig(synthetic=SyntheticSettings(days=7)), seed=0)
    np.testing.assert_array_equal(first.values, again.values)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.fingerprint == hashlib.sha256(first.values.tobytes() + first.weights.tobytes()).hexdigest()


@pytest.mark.parametrize(("sensors", "days", "minutes"), [(40, 28, 5), (4, 7, 60), (7, 8, 1), (120, 7, 15)])
def test_the_readings_are_described_in_full(sensors: int, days: int, minutes: int) -> None:
    readings = drawn(sensors, days, minutes)
    assert readings.values.shape == (days * 1440 // minutes, sensors) and readings.values.dtype == np.float32
    assert (readings.start, readings.interval, readings.unit) == (1_704_067_200, 60 * minutes, "km/h")
    assert readings.start // 86_400 % 7 == 4  # 1970 began on a Thursday, so this is a Monday
    assert len(set(readings.sensors)) == sensors
    assert readings.weights.shape == (sensors, sensors) and readings.weights.dtype == np.float32
    assert "seed 0" in readings.notes[0] and f"{sensors} sensors" in readings.notes[0]
    assert readings.source == "edgekit synthetic roads" and not np.isinf(readings.values).any()


def test_speeds_are_those_of_roads() -> None:
    values = drawn().values
    assert np.nanmin(values) >= 0 and np.nanmax(values) < 140
    assert 0.02 < np.nanmean(values < 40) < 0.15
    assert 0.005 < np.isnan(values).mean() < 0.06


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_rush_hours_on_working_days_and_none_at_the_weekend(seed: int) -> None:
    values = drawn(seed=seed).values
    hour, day = np.arange(len(values)) % A_DAY // 12, np.arange(len(values)) // A_DAY % 7

    def mean(hours: list[int], working: bool) -> float:
        return float(np.nanmean(values[np.isin(hour, hours) & ((day < 5) == working)]))

    night, morning, noon, evening = ([2, 3], [8], [12, 13], [17])
    assert mean(morning, True) < mean(noon, True) - 5 and mean(evening, True) < mean(noon, True) - 5
    assert mean(noon, True) < mean(night, True)
    assert mean(morning, False) > mean(morning, True) + 5 and mean(evening, False) > mean(evening, True) + 5


def _errors(readings: Readings, others: np.ndarray, lead: int) -> float:
    """Return the mean error of every third sensor's speed after ``lead`` steps, from its own hour and that of others.

    Plain ridge regression on departures from the mean of the time, on the last fifth of the days.
    """
    values, steps = readings.values.astype(np.float64), len(readings)
    cut = int(0.8 * steps) // A_DAY * A_DAY
    kind = np.arange(steps) % A_DAY + A_DAY * (np.arange(steps) // A_DAY % 7 >= 5)
    usual = np.stack([np.nanmean(values[:cut][kind[:cut] == group], axis=0) for group in range(2 * A_DAY)])[kind]
    gone = values - usual
    known = np.nan_to_num(gone)
    total, count = 0.0, 0
    for sensor in range(0, values.shape[1], 3):
        columns = [sensor, *others[sensor]]
        lags = np.concatenate([known[11 - lag : steps - lead - lag][:, columns] for lag in range(0, 12, 2)], axis=1)
        goal = gone[11 + lead :, sensor]
        train, test = np.isfinite(goal), np.isfinite(goal)
        train[cut - 11 - lead :], test[: cut - 11] = False, False
        gram = np.einsum("ra,rb->ab", lags[train], lags[train])  # on one core, however many there are
        penalty = 1e-2 * np.trace(gram) / len(gram) * np.eye(len(gram))
        weights = np.linalg.solve(gram + penalty, lags[train].T @ goal[train])
        error = np.abs(goal[test] - lags[test] @ weights)
        total, count = total + error.sum(), count + len(error)
    return total / count


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_those_ahead_tell_what_comes_and_those_behind_do_not(seed: int) -> None:
    readings = drawn(seed=seed)
    ahead, behind = (np.argsort(-weights, axis=1)[:, :5] for weights in (readings.weights, readings.weights.T))
    alone = _errors(readings, np.zeros((40, 0), np.int64), 6)
    assert _errors(readings, ahead, 6) < 0.92 * alone
    assert _errors(readings, behind, 6) > 0.93 * alone


# === The roads ===


@pytest.mark.parametrize(("count", "roads"), [(4, 1), (14, 1), (20, 2), (40, 4), (307, 31)])
def test_roads_are_lines_with_crossings(count: int, roads: int) -> None:
    network = draw_network(np.random.default_rng(0), count)
    assert len(network.names) == len(set(network.names)) == len(network.free) == len(network.narrow) == count
    assert network.road.max() + 1 == roads and (np.diff(network.road) >= 0).all()
    assert np.bincount(network.road).min() >= 4
    along = network.road[network.ahead] == network.road[network.behind]
    assert along.sum() == count - roads and (network.ahead - network.behind)[along].tolist() == [1] * (count - roads)
    assert (~along).sum() == {1: 0, 2: 1}.get(roads, roads)
    assert (network.length > 0).all() and (network.kept[along] > network.kept[~along].max(initial=0)).all()
    assert len(np.unique(np.round(network.free, -1))) >= min(roads, 3)
    assert ((network.free > 70) & (network.free < 130)).all()
    assert {"A01", "A02"} < set(network.names) and (roads < 31 or "AE01" in network.names)


def test_distances_are_driven_one_way() -> None:
    network = line(3)
    away = distances(network)
    assert away.tolist() == [[0, 2, 4], [np.inf, 0, 2], [np.inf, np.inf, 0]]


def test_a_crossing_shortens_the_way() -> None:
    network = line(4)
    crossed = Network(**{**vars(network), "ahead": np.append(network.ahead, 3), "behind": np.append(network.behind, 0),
                         "length": np.append(network.length, 1.0), "kept": np.append(network.kept, 0.5)})  # fmt: skip
    assert distances(crossed)[0].tolist() == [0, 2, 4, 1]


def test_weights_fall_with_the_distance_and_point_ahead() -> None:
    away = np.array([[0, 2, 4], [np.inf, 0, 2], [np.inf, np.inf, 0]])
    made = proximity(away, 0.1)
    deviation = np.std([0, 2, 4, 0, 2, 0])
    assert made.dtype == np.float32
    near = np.exp(-((2 / deviation) ** 2))
    np.testing.assert_allclose(made, [[0, near, 0], [0, 0, near], [0, 0, 0]], rtol=1e-5)
    assert proximity(away, 0.0)[0, 2] > 0 and not proximity(away, 0.999).any()


# === Load and rain ===


def test_load_has_rush_hours_towards_the_town_and_out_of_it() -> None:
    network = draw_network(np.random.default_rng(0), 20)
    load = draw_load(np.random.default_rng(1), network, 70 * A_DAY, FIVE).reshape(10, 7, A_DAY, 20)
    morning, noon, evening, night = (load[:, :5, step].mean(axis=(0, 1)) for step in (96, 156, 207, 36))
    towards = network.road == 0
    assert (morning[towards] > evening[towards] + 0.05).all() and (evening[~towards] > morning[~towards] + 0.05).all()
    assert (np.minimum(morning, evening) > noon).all() and (noon > night + 0.2).all()
    assert (load[:, 5:, 96].mean(axis=(0, 1)) < morning - 0.3).all() and load.min() >= 0
    np.testing.assert_array_equal(load[..., 0], load[..., 1])  # a road has one load


def test_days_differ_and_so_do_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    network = draw_network(np.random.default_rng(0), 20)
    monkeypatch.setattr(synthesis, "WITHIN_DAY", 0.0)
    load = draw_load(np.random.default_rng(1), network, 70 * A_DAY, FIVE).reshape(10, 7, A_DAY, 20)[:, :5]
    noon, night = load[:, :, 156, 0].ravel(), load[:, :, 36, 0].ravel()
    np.testing.assert_allclose(noon / noon.mean(), night / night.mean())  # a day is busier as a whole
    assert 0.05 < (noon / noon.mean()).std() < 0.12
    monkeypatch.undo()
    monkeypatch.setattr(synthesis, "DAY_TO_DAY", 0.0)
    wandering = draw_load(np.random.default_rng(1), network, 70 * A_DAY, FIVE).reshape(10, 7, A_DAY, 20)[:, :5, 150:, 0]
    gone = (wandering - wandering.mean(axis=(0, 1))).reshape(50, -1)
    assert gone.std() == pytest.approx(synthesis.WITHIN_DAY, rel=0.1)
    hour_later = np.corrcoef(gone[:, :-12].ravel(), gone[:, 12:].ravel())[0, 1]
    assert hour_later == pytest.approx(np.exp(-1), abs=0.1)


def test_it_rains_now_and_then() -> None:
    rain = draw_rain(np.random.default_rng(0), 700 * A_DAY, FIVE)
    assert rain.shape == (700 * A_DAY,) and rain.min() == 0 and 0.7 < rain.max() <= 1
    assert 0.03 < (rain > 0.05).mean() < 0.15 and np.abs(np.diff(rain)).max() < 0.2
    assert not draw_rain(np.random.default_rng(0), 1, FIVE).any()


# === Incidents and queues ===


def test_incidents_happen_where_there_is_traffic() -> None:
    load = busy(800 * A_DAY, 5)
    load[:, 1], load[: 400 * A_DAY, 2] = 0, 0
    made = draw_incidents(np.random.default_rng(0), load, FIVE)
    expected = synthesis.INCIDENTS_A_DAY * 5 * 800
    assert abs(len(made) - expected) < 4 * expected**0.5
    assert not (made.sensor == 1).any() and made.start[made.sensor == 2].min() >= 400 * A_DAY
    shares = np.bincount(made.sensor, minlength=5) / len(made)
    assert shares[2] < 0.7 * shares[0] and set(made.sensor) == {0, 2, 3, 4}
    assert made.steps.min() >= 4 and made.steps.max() <= 15
    assert made.density.min() >= 0.6 and made.density.max() <= 1


def test_an_incident_lasts_a_minute_at_least() -> None:
    made = draw_incidents(np.random.default_rng(0), busy(24 * 100, 5), 3600)
    assert set(made.steps) == {1}


def test_blocked_places_by_hand() -> None:
    two = Incidents(np.array([1, 1]), np.array([2, 3]), np.array([3, 10]), np.array([0.9, 0.6]))
    made = blocked(two, (6, 2))
    assert made.tolist() == [[0, 0], [0, 0], [0, 0.9], [0, 0.9], [0, 0.9], [0, 0.6]]


def test_narrow_places_by_hand_and_in_rain() -> None:
    network, load = line(2, narrow=0.8), np.array([[0.7, 0.8], [0.9, 2.0]])
    np.testing.assert_allclose(overload(network, load, np.zeros(2)), [[0, 0], [0.5, 1]])
    assert overload(network, load, np.ones(2))[0, 1] > 0.3
    assert not overload(line(2), load, np.ones(2)).any()


def test_a_queue_travels_upstream_and_its_end_as_well() -> None:
    began = np.zeros((30, 4))
    began[3:9, 2] = 1.0
    density = queues(line(), began, busy(30), FIVE)
    assert not density[:, 3].any()  # what is ahead stays free
    first = [int(np.argmax(density[:, sensor] > 0)) for sensor in (2, 1, 0)]
    assert first == [3, 5, 7]
    assert [density[place, sensor] for place, sensor in ((3, 2), (5, 1), (7, 0))] == pytest.approx([1, 0.9, 0.81])
    last = [int(np.flatnonzero(density[:, sensor] > 0.8 * 0.9 ** (2 - sensor)).max()) for sensor in (2, 1, 0)]
    assert last == [8, 10, 12]
    left = np.exp(-FIVE / synthesis.RECOVERY)
    np.testing.assert_allclose(density[9:12, 2], left ** np.arange(1, 4))


def test_a_queue_needs_traffic_to_grow() -> None:
    began = np.zeros((12, 4))
    began[1:, 3] = 1.0
    quiet, half = (queues(line(), began, busy(12, load=load), FIVE) for load in (0.0, synthesis.GROWING_LOAD / 2))
    assert not quiet[:, :3].any() and quiet[1:, 3].tolist() == [1] * 11
    np.testing.assert_allclose(half[3, 2], 0.45)


@pytest.mark.parametrize(("interval", "arrives"), [(60, 10), (300, 2), (3600, 1)])
def test_a_queue_keeps_its_pace_whatever_the_interval(interval: int, arrives: int) -> None:
    began = np.zeros((15, 2))
    began[0, 1] = 1.0
    density = queues(line(2), began, busy(15, 2), interval)
    assert int(np.argmax(density[:, 0] > 0)) == arrives


def test_a_queue_passes_a_crossing() -> None:
    network = Network(**{**vars(line(2)), "ahead": np.array([1]), "behind": np.array([0]), "kept": np.array([0.5]),
                         "length": np.array([1.0]), "road": np.array([0, 1])})  # fmt: skip
    began = np.zeros((3, 2))
    began[0, 1] = 1.0
    assert queues(network, began, busy(3, 2), FIVE)[1, 0] == 0.5


def test_what_slows_cars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "DRIVERS", 0.0)
    rng, dry, none = np.random.default_rng(0), np.zeros(2), np.zeros((2, 4))
    full = np.ones((2, 4))
    assert (speeds(rng, line(), none, dry, none, FIVE) == 100).all()
    assert (speeds(rng, line(), none, dry + 1, none, FIVE) == 85).all()
    np.testing.assert_allclose(speeds(rng, line(), full, dry, none, FIVE), 92)
    np.testing.assert_allclose(speeds(rng, line(), none, dry, full, FIVE), 15)
    monkeypatch.setattr(synthesis, "DEPTH", 1.0)
    assert (speeds(rng, line(), none, dry, full, FIVE) == synthesis.SLOWEST).all()


# === Sensors ===


def test_spells_by_number_and_length() -> None:
    spells = np.array(draw_spells(np.random.default_rng(0), (400 * A_DAY, 10), FIVE, a_day=0.1, hours=3.0))
    sensor, start, stop = spells.T
    assert abs(len(spells) - 400) < 80 and set(sensor) == set(range(10))
    assert start.min() >= 0 and stop.max() <= 400 * A_DAY and (stop > start).all()
    assert 28 < np.median(stop - start) < 45  # 36 steps are three hours


def test_sensors_fall_silent_and_get_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    true = np.random.default_rng(1).uniform(60, 100, (50 * A_DAY, 10))
    made = observe(np.random.default_rng(0), true, FIVE)
    missing = np.isnan(made)
    assert made.dtype == np.float32 and 0.01 < missing.mean() < 0.04
    runs = [np.diff(np.flatnonzero(np.diff(np.r_[0, column, 0])))[::2] for column in missing.T.astype(int)]
    lengths = np.concatenate(runs)
    assert (lengths == 1).sum() > 300 and (lengths > 12).sum() > 25
    stuck = (np.lib.stride_tricks.sliding_window_view(made, 4, axis=0) == made[3:, :, None]).all(axis=2)
    assert 0.0005 < stuck.mean() < 0.01
    noise = (made - true)[3:][~missing[3:] & ~stuck]
    assert np.median(np.abs(noise)) / 0.6745 == pytest.approx(synthesis.NOISE, rel=0.05)
    monkeypatch.setattr(synthesis, "STUCK_A_DAY", 0.0)
    well = observe(np.random.default_rng(0), true, FIVE)
    assert not (np.lib.stride_tricks.sliding_window_view(well, 4, axis=0) == well[3:, :, None]).all(axis=2).any()
