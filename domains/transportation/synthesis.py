"""A synthetic road network: rush hours, weekends, rain, incidents, and queues that grow against the traffic.

What a sensor will read is decided further down its road more than by its own past:

- Every road carries more in the rush hour towards its side of the town, less at night and at the weekend, and each day
  a little more or less than usual. Some places are narrow: where the load exceeds what they take, a queue begins.
- An incident blocks a place for a while, at a time that nobody knows before.
- A queue travels upstream, from sensor to sensor at the pace of a runner, and over a crossing onto the road
  that feeds it. Its end travels the same way, so that the place where it began is free again first. While there is
  little traffic, no queue grows.
- Rain slows the whole network and makes narrow places narrower.
- Readings carry noise; sensors fall silent for hours, lose single readings, and a few get stuck at one value.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter
from scipy.sparse.csgraph import shortest_path

from .adjacency import kernel
from .config import TrafficConfig
from .features import DAY
from .readings import Readings

SOURCE = "edgekit synthetic roads"
START = 1_704_067_200  # 2024-01-01T00:00:00, a Monday
UNIT = "km/h"
HOUR, MINUTE = 3600, 60

SENSORS_A_ROAD = 10
SPACING = (0.8, 2.2)  # km between sensors
RAMP = 1.0  # km over a crossing
LIMITS = (80.0, 100.0, 120.0)
NARROW_SHARE = 0.25
NARROW_LOAD = (0.75, 1.0)
"""The load that a narrow place takes; at QUEUE_LOAD above it, its queue is as dense as any."""
QUEUE_LOAD = 0.2
WAVE = 12.0  # km/h at which a queue travels upstream
KEPT_ON_ROAD, KEPT_OVER_CROSSING = 0.97, 0.75
"""How dense a queue still is at the next sensor upstream."""
RECOVERY = 8 * MINUTE
"""Time in which the density falls to 1/e where no queue arrives any more."""
GROWING_LOAD = 0.6  # below it a queue arrives thinner than it left

NIGHT_LOAD, DAYTIME_LOAD, WEEKEND_LOAD = 0.2, 0.4, 0.45
RUSH = ((8.0, 1.1), (17.25, 1.5))  # hour of the peak and its deviation
RUSH_LOAD = (0.6, 0.35)  # towards and against the side of the town
DAY_TO_DAY, WITHIN_DAY = 0.08, 0.06  # deviations of the load, as shares and as loads
RAIN_A_WEEK, RAIN_HOURS = 2.5, (1.5, 8.0)
RAIN_SPEED, RAIN_LOAD = 0.15, 0.12
INCIDENTS_A_DAY = 0.12  # for each sensor
INCIDENT_MINUTES, INCIDENT_DENSITY = (20.0, 75.0), (0.6, 1.0)
DEPTH = 0.85
"""By what share the densest queue lowers the speed."""
LOAD_SPEED = 0.08  # by what share a load of 1 lowers it without any queue
DRIVERS, NOISE = 1.2, 1.2  # km/h: how the traffic itself varies for some minutes, and the error of a reading
SLOWEST = 2.0
SILENCES_A_DAY, SILENT_HOURS = 0.1, 3.0  # for each sensor; the median
STUCK_A_DAY, STUCK_HOURS = 0.02, 3.0
LOST_SHARE = 0.005


@dataclass(frozen=True, eq=False)
class Network:
    """Roads with sensors in the order in which a car passes them.

    Attributes:
        names: (sensor,) such as ``B07``.
        road: int (sensor,).
        free: (sensor,) speed in km/h on an empty road.
        narrow: (sensor,) load from which a queue begins; infinite where there is room.
        ahead, behind: int (link,) a sensor and one that cars pass just before it; queues travel from the first.
        length: (link,) km.
        kept: (link,) how dense a queue still is when it has travelled the link.
    """

    names: tuple[str, ...]
    road: np.ndarray
    free: np.ndarray
    narrow: np.ndarray
    ahead: np.ndarray
    behind: np.ndarray
    length: np.ndarray
    kept: np.ndarray


@dataclass(frozen=True, eq=False)
class Incidents:
    """What blocked the roads; arrays are (incident,): place, first step, number of steps, density of the queue 0…1."""

    sensor: np.ndarray
    start: np.ndarray
    steps: np.ndarray
    density: np.ndarray

    def __len__(self) -> int:
        return len(self.sensor)


def synthesize(config: TrafficConfig, /, *, seed: int) -> Readings:
    """Draw a network of ``config.synthetic.sensors`` sensors and their speeds over ``config.synthetic.days`` days.

    Returns:
        Speeds in km/h every ``config.synthetic.interval_minutes`` minutes, with weights from the driving distances.
    """
    rng, settings = np.random.default_rng(seed), config.synthetic
    interval = settings.interval_minutes * MINUTE
    network = draw_network(rng, settings.sensors)
    steps = settings.days * DAY // interval
    rain = draw_rain(rng, steps, interval)
    load = draw_load(rng, network, steps, interval)
    incidents = draw_incidents(rng, load, interval)
    began = np.maximum(overload(network, load, rain), blocked(incidents, load.shape))
    true = speeds(rng, network, load, rain, queues(network, began, load, interval), interval)
    values = observe(rng, true, interval)
    weights = proximity(distances(network), config.data.kernel_cutoff)
    note = (
        f"drawn with seed {seed}: {settings.sensors:,} sensors on {network.road.max() + 1} roads, {settings.days} days,"
        f" {len(incidents)} incidents, {np.isnan(values).mean():.1%} of the readings missing"
    )
    return Readings(
        start=START,
        interval=interval,
        values=values,
        sensors=network.names,
        unit=UNIT,
        weights=weights,
        source=SOURCE,
        fingerprint=hashlib.sha256(values.tobytes() + weights.tobytes()).hexdigest(),
        notes=(note,),
    )


# === The roads ===


def draw_network(rng: np.random.Generator, count: int) -> Network:
    """Draw roads of about ``SENSORS_A_ROAD`` sensors; a crossing leads from the middle of each onto another one."""
    roads = max(1, round(count / SENSORS_A_ROAD))
    members = np.array_split(np.arange(count), roads)
    road = np.repeat(np.arange(roads), [len(sensors) for sensors in members])
    names = tuple(f"{_letters(r)}{place + 1:02d}" for r, sensors in enumerate(members) for place in range(len(sensors)))
    behind = np.flatnonzero(road[1:] == road[:-1])
    leaves = np.array([sensors[len(sensors) // 2] for sensors in members])
    joins = np.array([rng.choice(sensors) for sensors in members[1:] + members[:1]])
    crossings = roads if roads > 2 else roads - 1  # two roads meet once
    return Network(
        names=names,
        road=road,
        free=np.array(LIMITS)[rng.permutation(roads) % len(LIMITS)][road] * rng.uniform(0.95, 1.05, count),
        narrow=np.where(rng.random(count) < NARROW_SHARE, rng.uniform(*NARROW_LOAD, count), np.inf),
        ahead=np.append(behind + 1, joins[:crossings]),
        behind=np.append(behind, leaves[:crossings]),
        length=np.append(rng.uniform(*SPACING, len(behind)), np.full(crossings, RAMP)),
        kept=np.repeat([KEPT_ON_ROAD, KEPT_OVER_CROSSING], [len(behind), crossings]),
    )


def _letters(number: int) -> str:
    """Return A … Z, then AA, AB and so on."""
    first, last = divmod(number, 26)
    return (_letters(first - 1) if first else "") + chr(ord("A") + last)


def distances(network: Network) -> np.ndarray:
    """Return (sensor, sensor) km to drive from the first to the second; infinite where no road leads there."""
    count = len(network.names)
    direct = np.full((count, count), np.inf)
    np.minimum.at(direct, (network.behind, network.ahead), network.length)
    return np.asarray(shortest_path(direct, method="D"))


def proximity(away: np.ndarray, cutoff: float) -> np.ndarray:
    """Return float32 (sensor, sensor) weights of distances, 0 on the diagonal; those ahead tell about a sensor."""
    weights = kernel(away, cutoff=cutoff).astype(np.float32)
    np.fill_diagonal(weights, 0.0)
    return weights


# === What happens on them ===


def draw_load(rng: np.random.Generator, network: Network, steps: int, interval: int) -> np.ndarray:
    """Return (step, sensor): the traffic of each road as a share of what an ordinary place can take, ≥ 0."""
    roads = int(network.road.max()) + 1
    time = np.arange(steps) * interval
    hour, day = time % DAY / HOUR, time // DAY
    working = (day % 7 < 5)[:, None]
    peaks = np.stack([np.exp(-(((hour - middle) / width) ** 2) / 2) for middle, width in RUSH], axis=1)
    towards = np.array([RUSH_LOAD, RUSH_LOAD[::-1]])[np.arange(roads) % 2].T  # every other road leaves the town
    light = np.clip(np.sin((hour - 6.5) / 15 * np.pi), 0, 1)[:, None]
    usual = NIGHT_LOAD + np.where(working, DAYTIME_LOAD * light + peaks @ towards, WEEKEND_LOAD * light)
    varied = usual * rng.lognormal(0, DAY_TO_DAY, (int(day[-1]) + 1, roads))[day]
    wandering = _wander(rng, (steps, roads), interval / HOUR) * WITHIN_DAY
    return np.maximum(varied + wandering, 0)[:, network.road]


def _wander(rng: np.random.Generator, shape: tuple[int, int], pace: float) -> np.ndarray:
    """Return a random walk drawn back to 0, of deviation 1, whose memory falls to 1/e in 1 / ``pace`` steps."""
    memory = np.exp(-pace)
    drawn = rng.normal(size=shape)
    drawn[1:] *= np.sqrt(1 - memory**2)
    return np.asarray(lfilter([1.0], [1.0, -memory], drawn, axis=0))


def draw_rain(rng: np.random.Generator, steps: int, interval: int) -> np.ndarray:
    """Return (step,) 0 dry to 1 pouring, the same for the whole network; showers swell and ebb."""
    hours = np.arange(steps) * interval / HOUR
    rain = np.zeros(steps)
    for _ in range(rng.poisson(RAIN_A_WEEK * steps * interval / (7 * DAY))):
        start, duration, strength = rng.uniform(0, hours[-1]), rng.uniform(*RAIN_HOURS), rng.uniform(0.4, 1)
        passed = np.clip((hours - start) / duration, 0, 1)
        rain = np.maximum(rain, strength * np.sin(np.pi * passed))
    return rain


def draw_incidents(rng: np.random.Generator, load: np.ndarray, interval: int) -> Incidents:
    """Draw where and when roads are blocked: the more traffic, the more often."""
    steps, sensors = load.shape
    count = rng.poisson(INCIDENTS_A_DAY * sensors * steps * interval / DAY)
    edges = np.cumsum(load)
    start, sensor = np.divmod(np.searchsorted(edges, rng.random(count) * edges[-1], side="right"), sensors)
    duration = rng.uniform(*INCIDENT_MINUTES, count) * MINUTE / interval
    return Incidents(
        sensor, start, np.maximum(1, duration.round()).astype(np.int64), rng.uniform(*INCIDENT_DENSITY, count)
    )


def blocked(incidents: Incidents, shape: tuple[int, ...]) -> np.ndarray:
    """Return (step, sensor): the density of the queue that each incident begins, 0…1, where and while it lasts."""
    made = np.zeros(shape)
    columns = (incidents.sensor, incidents.start, incidents.steps, incidents.density)
    for sensor, start, steps, density in zip(*columns, strict=True):
        while_it_lasts = made[start : start + steps, sensor]
        np.maximum(while_it_lasts, density, out=while_it_lasts)
    return made


def overload(network: Network, load: np.ndarray, rain: np.ndarray) -> np.ndarray:
    """Return (step, sensor): the density of the queue that begins at narrow places, 0…1."""
    return np.asarray(np.clip((load * (1 + RAIN_LOAD * rain[:, None]) - network.narrow) / QUEUE_LOAD, 0, 1))


def queues(network: Network, began: np.ndarray, load: np.ndarray, interval: int) -> np.ndarray:
    """Let queues travel upstream.

    Args:
        network: the links that they travel.
        began: (step, sensor) 0…1, what begins at each place.
        load: (step, sensor) traffic that feeds a queue.
        interval: seconds from step to step; a queue takes at least one for a link.

    Returns:
        (step, sensor) density 0…1: that which begins there, that which arrives, or what is left, whichever is most.
    """
    steps, sensors = began.shape
    delay = np.maximum(1, np.round(network.length / WAVE * HOUR / interval)).astype(np.int64)
    before = int(delay.max(initial=1))
    density = np.zeros((before + steps, sensors))
    feeding = np.clip(load / GROWING_LOAD, 0, 1)
    left = np.exp(-interval / RECOVERY)
    for step in range(steps):
        now = np.maximum(began[step], left * density[before + step - 1])
        arriving = network.kept * density[before + step - delay, network.ahead] * feeding[step, network.behind]
        np.maximum.at(now, network.behind, arriving)
        density[before + step] = now
    return np.asarray(density[before:])


def speeds(
    rng: np.random.Generator,
    network: Network,
    load: np.ndarray,
    rain: np.ndarray,
    density: np.ndarray,
    interval: int,
) -> np.ndarray:
    """Return (step, sensor): the true speed in km/h, at least ``SLOWEST``."""
    slowed = (1 - RAIN_SPEED * rain[:, None]) * (1 - LOAD_SPEED * load) * (1 - DEPTH * density)
    drivers = DRIVERS * _wander(rng, load.shape, interval / (10 * MINUTE))
    return np.maximum(network.free * slowed + drivers, SLOWEST)


# === What the sensors make of it ===


def observe(rng: np.random.Generator, true: np.ndarray, interval: int) -> np.ndarray:
    """Return float32 (step, sensor): readings with noise, some stuck, some missing (NaN)."""
    values = np.maximum(true + rng.normal(0, NOISE, true.shape), 0.0).round(1)
    for sensor, start, stop in draw_spells(rng, true.shape, interval, a_day=STUCK_A_DAY, hours=STUCK_HOURS):
        values[start:stop, sensor] = values[start, sensor]
    for sensor, start, stop in draw_spells(rng, true.shape, interval, a_day=SILENCES_A_DAY, hours=SILENT_HOURS):
        values[start:stop, sensor] = np.nan
    values[rng.random(true.shape) < LOST_SHARE] = np.nan
    return values.astype(np.float32)


def draw_spells(
    rng: np.random.Generator, shape: tuple[int, ...], interval: int, *, a_day: float, hours: float
) -> list[tuple[int, int, int]]:
    """Draw (sensor, first step, step after the last) of spells in which a sensor does not work.

    Args:
        rng: source of randomness.
        shape: (step, sensor).
        interval: seconds from step to step.
        a_day: how many begin, on average, for each sensor in a day.
        hours: median of how long they last.
    """
    steps, sensors = shape
    count = rng.poisson(a_day * sensors * steps * interval / DAY)
    start, duration = rng.integers(0, steps, count), hours * HOUR / interval * rng.lognormal(0, 0.7, count)
    stop = np.minimum(steps, start + np.maximum(1, duration.round())).astype(np.int64)
    return list(zip(rng.integers(0, sensors, count).tolist(), start.tolist(), stop.tolist(), strict=True))
