"""A network's files: every layout gives the same readings, changes are said, bad files are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from edgekit.domains.transportation.config import DataSettings, TrafficConfig
from edgekit.domains.transportation.reading import load
from edgekit.domains.transportation.readings import Readings
from edgekit.shared.domain import Request
from edgekit.shared.errors import ConfigError, ContractError, SourceError

REAL = Path(__file__).parents[4] / "shared/data/transportation"
needs_los = pytest.mark.skipif(not REAL.exists(), reason="no ../shared/data/transportation here")

FIRST = datetime(2012, 3, 1, tzinfo=UTC)
COUNT = 60
VALUES = np.round(np.random.default_rng(0).uniform(20, 70, (COUNT, 3)), 2).astype(np.float32)
VALUES[7, 1] = np.nan
NAMES = ("b", "7", "Łódź")


def times(count: int = COUNT) -> list[str]:
    return [(FIRST + timedelta(minutes=5 * step)).strftime("%Y-%m-%dT%H:%M") for step in range(count)]


def cells(row: np.ndarray) -> list[str]:
    return ["" if np.isnan(value) else str(value) for value in row]


def wide(values: np.ndarray = VALUES) -> list[str]:
    rows = [",".join([time, *cells(row)]) for time, row in zip(times(len(values)), values, strict=True)]
    return [",".join(["time", *NAMES[: values.shape[1]]]), *rows]


def read(folder: Path, *lines: str, data: dict[str, Any] | None = None, **given: Any) -> Readings:
    (folder / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    return load(Request(folder / "t.csv", **given), settings(data), report=lambda _: None)


def settings(data: dict[str, Any] | None = None) -> TrafficConfig:
    return TrafficConfig(data=DataSettings(**(data or {})))


def refused(folder: Path, *lines: str, **given: Any) -> str:
    with pytest.raises(ContractError) as caught:
        read(folder, *lines, **given)
    return str(caught.value)


# === Layouts ===


def test_a_wide_table(tmp_path: Path) -> None:
    readings = read(tmp_path, *wide(), data={"unit": "mph"})
    np.testing.assert_array_equal(readings.values, VALUES)
    assert (readings.start, readings.interval, readings.sensors) == (int(FIRST.timestamp()), 300, NAMES)
    assert (readings.unit, readings.weights.shape, readings.values.dtype) == ("mph", (0, 0), np.float32)
    assert len(readings.fingerprint) == 64 and readings.source == str(tmp_path / "t.csv")
    assert readings.notes[0] == "wide table: 3 sensors, 60 steps of 5min from 2012-03-01 00:00 to 2012-03-01 04:55"


def test_without_times_interval_and_start_place_the_rows(tmp_path: Path) -> None:
    lines = [line.partition(",")[2] for line in wide()]
    placed = read(tmp_path, *lines, data={"interval": "5min", "start": "2012-03-01"})
    np.testing.assert_array_equal(placed.values, VALUES)
    assert placed.start == int(FIRST.timestamp())
    assert "--interval and --start are not given" in refused(tmp_path, *lines)


def test_a_long_table_in_any_order(tmp_path: Path) -> None:
    rows = [f"{times()[step]},{name},{cells(VALUES[step])[place]}" for step in range(COUNT) for place, name in
            enumerate(NAMES)]  # fmt: skip
    shuffled = np.random.default_rng(1).permutation(rows[3:]).tolist()
    readings = read(tmp_path, "time,sensor,value", *rows[:3], *shuffled)
    np.testing.assert_array_equal(readings.values, VALUES)
    assert readings.sensors == NAMES and readings.notes[0].startswith("long table: 3 sensors, 60 steps")


@pytest.mark.parametrize("layout", ["wide", "long"])
def test_parquet(tmp_path: Path, layout: str) -> None:
    pandas = pytest.importorskip("pandas")
    index = pandas.date_range("2012-03-01", periods=COUNT, freq="5min", name="time")
    frame = pandas.DataFrame(VALUES, index=index, columns=list(NAMES))
    if layout == "long":
        frame = frame.reset_index().melt("time", var_name="sensor", value_name="value")
    frame.to_parquet(tmp_path / "t.parquet")
    readings = load(Request(tmp_path / "t.parquet"), settings(), report=print)
    assert [set(readings.sensors), readings.start] == [set(NAMES), int(FIRST.timestamp())]
    order = [readings.sensors.index(name) for name in NAMES]
    np.testing.assert_array_equal(readings.values[:, order], VALUES)


def test_an_archive(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", data=np.stack([VALUES, VALUES * 2], axis=2))
    given = {"interval": "5min", "start": "2018-01-01", "feature": 1}
    readings = load(Request(tmp_path / "p.npz", exclude=("1",)), settings(given), report=print)
    np.testing.assert_array_equal(readings.values, VALUES[:, [0, 2]] * 2)
    assert readings.sensors == ("0", "2") and readings.notes[0].startswith("array in .npz: 2 sensors")


def test_an_hdf5_table(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    names = np.array([b"1", b"2", b"3"])
    with h5py.File(tmp_path / "m.h5", "w") as file:
        group = file.create_group("df")
        group["axis0"] = group["block0_items"] = names
        group["axis1"] = (int(FIRST.timestamp()) + 300 * np.arange(COUNT)) * 10**9
        group["axis1"].attrs["kind"] = b"datetime64"
        group["block0_values"] = np.nan_to_num(VALUES).astype(np.float64)
    readings = load(Request(tmp_path / "m.h5"), settings({"missing_code": 0.0}), report=print)
    np.testing.assert_array_equal(readings.values, VALUES)
    assert readings.interval == 300 and readings.notes[0].startswith("HDF5 table: 3 sensors")


@needs_los
def test_the_real_network_is_read() -> None:
    given = {"interval": "5min", "start": "2012-03-01", "unit": "mph", "adjacency": REAL / "los_adj.csv"}
    said: list[str] = []
    readings = load(Request(REAL / "los_speed.csv"), settings(given), report=said.append)
    assert readings.values.shape == (2016, 207) and readings.weights.shape == (207, 207)
    assert not np.isnan(readings.values).any() and readings.values[0, 0] == 64.375
    assert readings.sensors[:2] == ("773869", "767541") and said == ["2,016 steps of 5min, 207 sensors"]


# === What is changed is said ===


def test_the_code_of_a_missing_reading_counts_before_readings_are_averaged(tmp_path: Path) -> None:
    lines = [*wide(), f"{times()[0]},0,0,0"]
    readings = read(tmp_path, *lines, data={"missing_code": 0.0})
    np.testing.assert_array_equal(readings.values[0], VALUES[0])
    assert any("are 0, which means missing (data.missing_code)" in note for note in readings.notes)


@pytest.mark.parametrize(("aggregate", "expected"), [("mean", 40.0), ("first", 30.0)])
def test_repeated_times_become_one_step(tmp_path: Path, aggregate: str, expected: float) -> None:
    values = VALUES.copy()
    values[0] = 30
    readings = read(tmp_path, *wide(values), f"{times()[0]},50,50,50", data={"aggregate": aggregate})
    assert readings.values[0].tolist() == [expected] * 3 and len(readings) == COUNT
    assert any("2 rows share 1 steps (1 with different values)" in note for note in readings.notes)


def test_zoned_times_keep_their_wall_clock(tmp_path: Path) -> None:
    lines = wide()
    zoned = [lines[0], *(line.replace(",", "-08:00,", 1) for line in lines[1:])]
    assert read(tmp_path, *zoned).start == int(FIRST.timestamp())


@pytest.mark.parametrize(("zone", "months"), [("America/Los_Angeles", (3, 11)), ("Europe/Berlin", (3, 10))])
def test_a_year_with_daylight_saving_time(tmp_path: Path, zone: str, months: tuple[int, int]) -> None:
    place = ZoneInfo(zone)
    first, last = (datetime(2012, month, 1, tzinfo=place).timestamp() for month in (months[0], months[1] + 1))
    moments = np.arange(int(first), int(last), 1800)
    texts = [datetime.fromtimestamp(int(second), tz=place).isoformat() for second in moments]
    zoned = read(tmp_path, "time,a,b", *(f"{text},{row % 97},{row % 89}" for row, text in enumerate(texts)))
    naive = read(tmp_path, "time,a,b", *(f"{text[:19]},{row % 97},{row % 89}" for row, text in enumerate(texts)))
    np.testing.assert_array_equal(zoned.values, naive.values)
    for readings in (zoned, naive):
        assert len(readings) == len(moments) and np.isnan(readings.values).all(axis=1).sum() == 2
        told = " ".join(readings.notes)
        assert "turned back an hour" in told and "daylight saving time begins" in told and "sorted" not in told
    assert datetime.fromtimestamp(int(zoned.times()[-1]), tz=UTC).strftime("%H:%M") == "23:30"


def test_a_silent_sensor_is_kept_and_said(tmp_path: Path) -> None:
    values = VALUES.copy()
    values[:, 2] = np.nan
    readings = read(tmp_path, *wide(values))
    assert readings.sensors == NAMES and np.isnan(readings.values[:, 2]).all()
    assert "1 sensors have no reading at all: 'Łódź'" in readings.notes


def test_an_adjacency_is_brought_into_the_order_of_the_sensors(tmp_path: Path) -> None:
    (tmp_path / "adj.csv").write_text("from,to,weight\n7,b,0.5\n", encoding="utf-8")
    readings = read(tmp_path, *wide(), data={"adjacency": tmp_path / "adj.csv"})
    assert readings.weights.tolist() == [[0, 0, 0], [0.5, 0, 0], [0, 0, 0]]


# === What is refused ===


def test_fewer_steps_than_can_be_split(tmp_path: Path) -> None:
    assert "found 49 steps, expected at least 50" in refused(tmp_path, *wide(VALUES[:49]))
    assert len(read(tmp_path, *wide(VALUES[:50]))) == 50


@pytest.mark.parametrize(
    ("value", "data", "said"),
    [
        (np.nan, {}, "every sensor is silent: there is no reading"),
        (0.0, {"missing_code": 0.0}, "every sensor is silent"),
        (300.0, {"high": 130.0}, "every sensor is silent"),
        (5.0, {}, "every reading is 5: there is nothing to forecast"),
    ],
)
def test_nothing_to_forecast(tmp_path: Path, value: float, data: dict[str, Any], said: str) -> None:
    assert said in refused(tmp_path, *wide(np.full((COUNT, 3), value, np.float32)), data=data)


def test_a_constant_sensor_among_others_is_read(tmp_path: Path) -> None:
    values = VALUES.copy()
    values[:, 0] = 5
    assert set(read(tmp_path, *wide(values)).values[:, 0].tolist()) == {5}


def test_an_interval_that_contradicts_the_times(tmp_path: Path) -> None:
    assert "--interval says 15min, but the times are 5min apart" in refused(
        tmp_path, *wide(), data={"interval": "15min"}
    )


def test_a_sensor_that_is_not_there_cannot_be_excluded(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", data=VALUES)
    with pytest.raises(ContractError, match=r"--exclude 3: .* has no such sensor"):
        load(Request(tmp_path / "p.npz", exclude=("3",)), settings(), report=print)


def test_every_sensor_excluded(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", data=VALUES[:, :1])
    with pytest.raises(ContractError, match="--exclude names every sensor"):
        load(
            Request(tmp_path / "p.npz", exclude=("0",)),
            settings({"interval": "5min", "start": "2018-01-01"}),
            report=print,
        )


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("x.pkl", SourceError, "is a pickle, which can run foreign code"),
        ("x.npz", SourceError, "is no file"),
        ("x.h5", SourceError, "is no file"),
        ("x.csv", SourceError, "No file at"),
        ("x", SourceError, "No file at"),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        load(Request(tmp_path / name), settings(), report=print)
    assert said in str(caught.value)


def test_columns_of_an_array_cannot_be_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", data=VALUES)
    with pytest.raises(ConfigError, match="--columns names columns of a table"):
        load(Request(tmp_path / "p.npz", columns={"time": "t"}), settings(), report=print)


def test_no_data_are_told() -> None:
    with pytest.raises(ContractError, match="No data were given"):
        load(Request(), settings(), report=print)


def test_a_wide_table_of_a_million_readings_is_read_in_seconds(tmp_path: Path) -> None:
    import time

    values = np.random.default_rng(0).integers(0, 70, (2000, 500))
    lines = [",".join(f"s{place}" for place in range(500)), *(",".join(map(str, row)) for row in values)]
    begin = time.perf_counter()
    readings = read(tmp_path, *lines, data={"interval": "5min", "start": "2012-03-01"})
    assert readings.values.shape == (2000, 500) and time.perf_counter() - begin < 10
