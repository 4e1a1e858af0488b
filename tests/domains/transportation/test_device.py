"""Forecasts on the device: any order and any gaps, the buffer, what is suspicious, and files that are not right."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edgekit.domains.transportation import TrafficForecaster
from edgekit.domains.transportation.config import ModelSettings
from edgekit.domains.transportation.device import COLUMNS, NAME, Forecast, predict_file, store_settings
from edgekit.domains.transportation.features import Plan, inputs
from edgekit.domains.transportation.model import build_model
from edgekit.shared.errors import ConfigError, ContractError, DeviceFileError
from edgekit.tflite_export.assemble import assemble
from edgekit.tflite_export.card import Card, Tensor
from edgekit.tflite_export.quantize import export

SENSORS = ("773869", "b c", "=d", "47")
WINDOW, HORIZON, STEP = 3, 4, 300
PLAN = Plan(SENSORS, WINDOW, HORIZON, STEP, "mph", 0.9)
AT, SECONDS = "2012-03-07T17:30", 1_331_141_400
NAN = np.nan
LAST = np.array([[60, 50, 40, 30], [61, 49, 41, 29], [62, 48, 42, 28]], np.float32)
GIVEN = dict(zip(SENSORS, LAST.T.tolist(), strict=True))


@pytest.fixture(scope="module")
def content() -> bytes:
    keras.utils.set_random_seed(1)
    model = build_model(PLAN, ModelSettings(window=WINDOW, horizon=HORIZON, width=8, identity=4, clock=4, blocks=1))
    model.get_layer("scale").set_weights([np.array([60, 50, 40, 30]), np.full(4, 10)])
    for place, variable in enumerate(model.trainable_variables):
        rng = np.random.default_rng(place)
        variable.assign(np.asarray(variable.value) + 0.1 * rng.normal(size=variable.shape))
    return export(model, "float32")


def written(content: bytes, path: Path, **changes: Any) -> Path:
    shown = (HORIZON, len(SENSORS))
    card = Card(
        domain=NAME,
        summary="tiny",
        inputs=(
            Tensor("readings", "float32", (WINDOW, len(SENSORS)), "readings", missing="NaN"),
            Tensor("moment", "int32", (2,), "time"),
        ),
        outputs=tuple(Tensor(name, "float32", shown, "forecast") for name in ("median", "low", "high")),
        settings=store_settings(PLAN),
    )
    path.write_bytes(assemble(content, replace(card, **changes), inputs(LAST[None], np.array([SECONDS]), PLAN)))
    return path


@pytest.fixture(scope="module")
def file(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(content, tmp_path_factory.mktemp("device") / "m.tflite")


@pytest.fixture
def forecaster(file: Path) -> TrafficForecaster:
    return TrafficForecaster(file)


def same(one: Forecast, other: Forecast) -> bool:
    arrays = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("median", "low", "high"))
    return arrays and (one.at, one.sensors, one.interval) == (other.at, other.sensors, other.interval)


# === Forecasts ===


def test_a_forecast_is_that_of_the_network(forecaster: TrafficForecaster) -> None:
    found = forecaster.forecast(GIVEN, at=AT)
    expected = forecaster.model.predict(inputs(LAST[None], np.array([SECONDS]), PLAN))
    for name in ("median", "low", "high"):
        array = getattr(found, name)
        np.testing.assert_array_equal(array, expected[name][0])
        assert array.shape == (HORIZON, len(SENSORS)) and array.dtype == np.float32
    assert (found.low <= found.median).all() and (found.median <= found.high).all()
    assert (found.at, found.sensors, found.interval) == (SECONDS, SENSORS, STEP)


def test_rows_name_sensor_time_and_minutes(forecaster: TrafficForecaster) -> None:
    found = forecaster.forecast(GIVEN, at=AT)
    rows = found.of("=d")
    assert [(row.sensor, row.time, row.minutes) for row in rows] == [
        ("=d", "2012-03-07 17:35", 5), ("=d", "2012-03-07 17:40", 10),
        ("=d", "2012-03-07 17:45", 15), ("=d", "2012-03-07 17:50", 20),
    ]  # fmt: skip
    assert [(row.median, row.low, row.high) for row in rows] == [
        (found.median[step, 2], found.low[step, 2], found.high[step, 2]) for step in range(HORIZON)
    ]
    assert found.rows() == [row for sensor in SENSORS for row in found.of(sensor)]
    with pytest.raises(ConfigError, match="Did you mean '773869'"):
        found.of("773896")


def test_sensors_come_in_any_order(forecaster: TrafficForecaster) -> None:
    turned = {sensor: GIVEN[sensor] for sensor in reversed(SENSORS)}
    assert same(forecaster.forecast(turned, at=AT), forecaster.forecast(GIVEN, at=AT))


def test_a_sensor_may_be_named_by_its_number(forecaster: TrafficForecaster) -> None:
    numbered: Any = {int(name) if name.isdigit() else name: values for name, values in GIVEN.items()}
    assert same(forecaster.forecast(numbered, at=AT), forecaster.forecast(GIVEN, at=AT))


@pytest.mark.parametrize(
    ("values", "window"),
    [
        ([60, 61, 62], [60, 61, 62]),
        ([1, 2, 60, 61, 62], [60, 61, 62]),
        ([61, 62], [NAN, 61, 62]),
        ([62], [NAN, NAN, 62]),
        ([], [NAN, NAN, NAN]),
        ([60, None, 62], [60, NAN, 62]),
        ([60, NAN, None], [60, NAN, NAN]),
        ((60, 61, 62), [60, 61, 62]),
        (np.array([9, 60, 61, 62]), [60, 61, 62]),
        (np.array([60, NAN, 62]), [60, NAN, 62]),
    ],
)
def test_longer_and_shorter_lists_and_gaps(
    forecaster: TrafficForecaster, values: Sequence[float | None], window: list[float]
) -> None:
    expected = LAST.copy()
    expected[:, 0] = window
    found = forecaster.forecast({**GIVEN, "773869": values}, at=AT)
    arrays = forecaster.model.predict(inputs(expected[None], np.array([SECONDS]), PLAN))
    np.testing.assert_array_equal(found.median, arrays["median"][0])


def test_sensors_that_are_left_out_are_missing(forecaster: TrafficForecaster) -> None:
    few = {"47": GIVEN["47"]}
    silent = few | dict.fromkeys(SENSORS[:3], [None] * 3)
    assert same(forecaster.forecast(few, at=AT), forecaster.forecast(silent, at=AT))
    nothing = forecaster.forecast({}, at=AT)
    assert all(np.isfinite(array).all() for array in (nothing.median, nothing.low, nothing.high))
    assert not same(nothing, forecaster.forecast(few, at=AT))


def test_an_unknown_sensor_is_told_with_a_hint(forecaster: TrafficForecaster) -> None:
    with pytest.raises(ConfigError, match=r"Unknown sensor: '773896'.*Did you mean '773869'\?"):
        forecaster.forecast({**GIVEN, "773896": [1]}, at=AT)
    with pytest.raises(ConfigError, match="Unknown sensor: '048'"):
        forecaster.observe({"048": 1}, AT)


@pytest.mark.parametrize(
    "values", [["fast"], [[60], [61]], [float("inf")], [-float("inf")], [1e300], [10**400], 60, None, "61", [{}]]
)
def test_what_is_no_reading_is_refused(forecaster: TrafficForecaster, values: Any) -> None:
    with pytest.raises(ContractError, match="Sensor '773869': found"):
        forecaster.forecast({"773869": values}, at=AT)


# === Times ===


@pytest.mark.parametrize(
    "at",
    [
        AT, "2012-03-07 17:30:00", "2012-03-07T17:34:59", SECONDS, SECONDS + 299, np.int64(SECONDS),
        datetime(2012, 3, 7, 17, 30), datetime(2012, 3, 7, 17, 32, 11, 999_999),
        datetime(2012, 3, 7, 17, 30, tzinfo=UTC), datetime(2012, 3, 7, 17, 30, tzinfo=timezone(timedelta(hours=-8))),
        "2012-03-07T17:30-08:00",
    ],
    ids=str,
)  # fmt: skip
def test_a_time_on_the_wall_is_taken_down_to_its_step(forecaster: TrafficForecaster, at: Any) -> None:
    assert same(forecaster.forecast(GIVEN, at=at), forecaster.forecast(GIVEN, at=AT))


@pytest.mark.parametrize(
    "at",
    [
        "soon",
        "",
        "1331141400",
        SECONDS * 1000,
        0,
        -1,
        10**30,
        float("nan"),
        float("inf"),
        [],
        b"x",
        datetime(1970, 1, 1),
    ],
    ids=repr,
)
def test_what_is_no_time_is_refused(forecaster: TrafficForecaster, at: Any) -> None:
    with pytest.raises(ConfigError, match="time"):
        forecaster.forecast(GIVEN, at=at)


def test_readings_need_a_time(forecaster: TrafficForecaster) -> None:
    with pytest.raises(ContractError, match="Found readings without a time"):
        forecaster.forecast(GIVEN)


# === The buffer ===


def observe(forecaster: TrafficForecaster, rows: np.ndarray, newest: int = SECONDS) -> None:
    for row, values in enumerate(rows):
        given = {name: value for name, value in zip(SENSORS, values.tolist(), strict=True) if value == value}
        forecaster.observe(given, newest - STEP * (len(rows) - 1 - row))


def test_what_was_observed_is_forecast_as_if_it_were_given(forecaster: TrafficForecaster) -> None:
    observe(forecaster, LAST)
    expected = forecaster.forecast(GIVEN, at=AT)
    assert same(forecaster.forecast(), expected) and same(forecaster.forecast(at=AT), expected)


def test_the_buffer_rolls(forecaster: TrafficForecaster) -> None:
    observe(forecaster, np.vstack([np.full((7, 4), 99), LAST]))
    assert same(forecaster.forecast(), forecaster.forecast(GIVEN, at=AT))


def test_missing_sensors_and_skipped_steps_are_gaps(forecaster: TrafficForecaster) -> None:
    forecaster.observe({"773869": 60, "47": None}, SECONDS - 2 * STEP)
    forecaster.observe({"=d": 42}, SECONDS)
    found, given = forecaster.forecast(), {"773869": [60, None, None], "=d": [42]}
    assert same(found, forecaster.forecast(given, at=AT))


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 300])
def test_a_later_time_moves_the_readings_back_and_keeps_them(forecaster: TrafficForecaster, steps: int) -> None:
    observe(forecaster, LAST)
    later = {name: [*values, *[None] * min(steps, WINDOW)] for name, values in GIVEN.items()}
    at = SECONDS + steps * STEP
    assert same(forecaster.forecast(at=at), forecaster.forecast(later, at=at))
    assert same(forecaster.forecast(), forecaster.forecast(GIVEN, at=AT)), "asking changes nothing"


@pytest.mark.parametrize("steps", [2, 3, 1000])
def test_a_gap_in_observation_is_missing(forecaster: TrafficForecaster, steps: int) -> None:
    observe(forecaster, LAST)
    forecaster.observe({"47": 20}, SECONDS + steps * STEP)
    held = np.vstack([LAST, np.full((min(steps, WINDOW), 4), NAN)])[-WINDOW:]
    held[-1, 3] = 20
    expected = forecaster.forecast(dict(zip(SENSORS, held.T, strict=True)), at=SECONDS + steps * STEP)
    assert same(forecaster.forecast(), expected)


def test_a_step_may_come_sensor_by_sensor(forecaster: TrafficForecaster) -> None:
    observe(forecaster, LAST[:2], SECONDS - STEP)
    for place, sensor in enumerate(SENSORS):
        assert forecaster.observe({sensor: float(LAST[2, place])}, SECONDS + 10 * place) is not None
    assert same(forecaster.forecast(), forecaster.forecast(GIVEN, at=AT))


def test_times_before_the_newest_readings_are_refused(forecaster: TrafficForecaster) -> None:
    observe(forecaster, LAST)
    for ask in (lambda at: forecaster.forecast(at=at), lambda at: forecaster.observe({"47": 1}, at)):
        with pytest.raises(ContractError, match="Found the time 2012-03-07 17:25, before the newest readings at 2012"):
            ask(SECONDS - 1)
    assert same(forecaster.forecast(), forecaster.forecast(GIVEN, at=AT)), "and nothing was changed"


def test_a_reading_that_is_refused_changes_nothing(forecaster: TrafficForecaster) -> None:
    observe(forecaster, LAST)
    for readings in ({"47": 1, "nowhere": 2}, {"47": 1, "=d": float("inf")}):
        with pytest.raises((ConfigError, ContractError)):
            forecaster.observe(readings, SECONDS + STEP)
    assert same(forecaster.forecast(), forecaster.forecast(GIVEN, at=AT))


def test_nothing_observed_is_no_forecast(forecaster: TrafficForecaster) -> None:
    with pytest.raises(ContractError, match="Nothing was observed yet"):
        forecaster.forecast()
    observe(forecaster, LAST)
    forecaster.forget()
    with pytest.raises(ContractError, match="Nothing was observed yet"):
        forecaster.forecast(at=AT)
    observe(forecaster, LAST[:1], SECONDS - 100 * STEP)
    expected = {name: values[:1] for name, values in GIVEN.items()}
    assert same(forecaster.forecast(), forecaster.forecast(expected, at=SECONDS - 100 * STEP))


def test_given_readings_leave_the_buffer_alone(forecaster: TrafficForecaster) -> None:
    observe(forecaster, LAST)
    forecaster.forecast({"47": [1, 2, 3]}, at="2020-01-01")
    assert same(forecaster.forecast(), forecaster.forecast(GIVEN, at=AT))


# === Suspicious readings ===


@pytest.mark.parametrize("ahead", [1, HORIZON])
def test_a_reading_outside_its_own_band_is_suspicious(forecaster: TrafficForecaster, ahead: int) -> None:
    observe(forecaster, LAST)
    expected = forecaster.forecast()
    low, high = expected.low[ahead - 1], expected.high[ahead - 1]
    given = {"=d": float(high[2]) + 1, "773869": float(expected.median[ahead - 1, 0]), "47": float(low[3]) - 5}
    found = forecaster.observe(given, SECONDS + ahead * STEP)
    assert [(one.sensor, one.time) for one in found] == [
        (sensor, f"2012-03-07 17:{30 + 5 * ahead}") for sensor in ("=d", "47")
    ]
    assert [one.reading for one in found] == pytest.approx([given["=d"], given["47"]])
    assert [(one.low, one.high) for one in found] == [(low[2], high[2]), (low[3], high[3])]


def test_what_was_not_forecast_is_not_suspicious(forecaster: TrafficForecaster) -> None:
    assert forecaster.observe({"47": 1e6}, SECONDS - 20 * STEP) == ()
    assert forecaster.observe({"=d": 1e6}, SECONDS - 20 * STEP) == (), "the same step"
    assert forecaster.observe({"47": -1e6}, SECONDS - (20 - HORIZON - 1) * STEP) == (), "beyond the horizon"
    assert forecaster.observe({"47": None, "=d": NAN}, SECONDS) == ()
    assert forecaster.observe({}, SECONDS + STEP) == ()


# === Files of readings ===


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as opened:
        return list(csv.DictReader(opened))


def table(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


TIMED = "time,47,=d,773869\n2012-03-07T17:20,30,40,60\n2012-03-07T17:25,29,,61\n2012-03-07T17:30,28,42,62\n"
PLAIN = "\n".join(line.split(",", 1)[1] for line in TIMED.splitlines()) + "\n"
EXPECTED = {"47": [30, 29, 28], "=d": [40, None, 42], "773869": [60, 61, 62]}


def predicted(file: Path, tmp_path: Path, text: str, **options: Any) -> list[dict[str, str]]:
    data = table(tmp_path / "hour.csv", text)
    counts = predict_file(file, [data], out=tmp_path / "f.csv", **options)
    rows = rows_of(tmp_path / "f.csv")
    assert counts["forecasts"] == len(rows) == HORIZON * len(SENSORS)
    return rows


def is_forecast(rows: list[dict[str, str]], expected: Forecast) -> bool:
    found = [(row["sensor"].removeprefix("'"), row["time"], float(row["minutes"])) for row in rows]
    numbers = [[float(row[name]) for name in ("median", "low", "high")] for row in rows]
    wanted = [[row.median, row.low, row.high] for row in expected.rows()]
    np.testing.assert_allclose(numbers, wanted, atol=1e-6)
    return found == [(row.sensor, row.time, row.minutes) for row in expected.rows()]


@pytest.mark.parametrize(("text", "at"), [(TIMED, None), (TIMED, AT), (TIMED, "2012-03-07T17:33"), (PLAIN, AT)])
def test_a_file_of_readings_becomes_a_table(
    file: Path, tmp_path: Path, forecaster: TrafficForecaster, text: str, at: str | None
) -> None:
    rows = predicted(file, tmp_path, text, at=at)
    assert is_forecast(rows, forecaster.forecast(EXPECTED, at=AT)) and tuple(rows[0]) == COLUMNS
    assert rows[0]["minutes"] == "5"


def test_silent_sensors_are_counted(file: Path, tmp_path: Path) -> None:
    data = table(tmp_path / "hour.csv", "time,47,=d\n2012-03-07T17:25,29,\n2012-03-07T17:30,28,\n")
    counts = predict_file(file, [data], out=tmp_path / "f.csv")
    assert counts == {"forecasts": 16, "silent sensors": 3}


def test_only_the_newest_rows_count_in_whatever_order(
    file: Path, tmp_path: Path, forecaster: TrafficForecaster
) -> None:
    head, *lines = TIMED.splitlines()
    older = [f"2012-03-07T{hour:02}:{minute:02},1,2,3" for hour in range(10, 17) for minute in range(0, 60, 5)]
    rows = predicted(file, tmp_path, "\n".join([head, *reversed(lines), *older]))
    assert is_forecast(rows, forecaster.forecast(EXPECTED, at=AT))


def test_a_gap_in_the_file_is_missing(file: Path, tmp_path: Path, forecaster: TrafficForecaster) -> None:
    rows = predicted(file, tmp_path, "time,47\n2012-03-07T17:15,5\n2012-03-07T17:20,30\n2012-03-07T17:30,28\n")
    assert is_forecast(rows, forecaster.forecast({"47": [30, None, 28]}, at=AT))


@pytest.mark.parametrize(
    ("at", "values"), [("2012-03-07T17:35", [29, 28, None]), ("2012-03-07T17:40", [28, None, None]), ("2012-04-01", [])]
)
def test_a_time_after_the_readings_finds_them_older(
    file: Path, tmp_path: Path, forecaster: TrafficForecaster, at: str, values: list[float | None]
) -> None:
    text = "time,47\n2012-03-07T17:25,29\n2012-03-07T17:30,28\n"
    assert is_forecast(predicted(file, tmp_path, text, at=at), forecaster.forecast({"47": values}, at=at))


@pytest.mark.parametrize("at", [None, "2012-03-07T17:32", "2012-03-07T17:30", "2012-03-07T17:34:59"])
def test_rows_between_two_steps_belong_to_the_earlier(
    file: Path, tmp_path: Path, forecaster: TrafficForecaster, at: str | None
) -> None:
    text = TIMED.replace("17:20", "17:22").replace("17:25", "17:27").replace("17:30", "17:32")
    assert is_forecast(predicted(file, tmp_path, text, at=at), forecaster.forecast(EXPECTED, at=AT))


def test_the_column_of_times_can_be_named(file: Path, tmp_path: Path, forecaster: TrafficForecaster) -> None:
    rows = predicted(file, tmp_path, TIMED.replace("time,", "when,"), columns={"time": "when"})
    assert is_forecast(rows, forecaster.forecast(EXPECTED, at=AT))


@pytest.mark.parametrize(
    ("text", "at", "error", "said"),
    [
        (PLAIN, None, ContractError, "has no column of times. Name the time of its last row with --at"),
        (TIMED, "2012-03-07T17:29", ContractError, "Found --at 2012-03-07 17:25, before the newest readings of"),
        (TIMED, "soon", ConfigError, "Not a time: 'soon'"),
        (TIMED.replace("47", "48"), None, ConfigError, "Unknown sensor: '48'"),
        (TIMED.replace("29,,61", "29,fast,61"), None, ContractError, "fast"),
        (TIMED.replace("17:25", "25 past"), None, ContractError, "25 past"),
        (TIMED.replace("=d", "47"), None, ContractError, "column names repeat"),
        ("time,47\n", None, Exception, "no rows"),
        ("", None, Exception, "empty"),
    ],
)
def test_files_that_cannot_be_read_are_one_error_and_nothing_is_written(
    file: Path, tmp_path: Path, text: str, at: str | None, error: type[Exception], said: str
) -> None:
    data = table(tmp_path / "hour.csv", text)
    with pytest.raises(error, match=said):
        predict_file(file, [data], out=tmp_path / "f.csv", at=at)
    assert [path.name for path in tmp_path.iterdir()] == ["hour.csv"]


def test_rows_of_another_interval_are_refused(file: Path, tmp_path: Path) -> None:
    lines = "".join(f"2012-03-07T17:{minute:02},30\n" for minute in range(30))
    with pytest.raises(ContractError, match="1min"):
        predict_file(file, [table(tmp_path / "hour.csv", f"time,47\n{lines}")], out=tmp_path / "f.csv")


def test_readings_come_in_one_file(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Found 2 files"):
        predict_file(file, [tmp_path / "a.csv", tmp_path / "b.csv"], out=tmp_path / "f.csv")


def test_no_cell_is_run_as_a_formula(file: Path, tmp_path: Path) -> None:
    rows = predicted(file, tmp_path, TIMED)
    assert {row["sensor"] for row in rows} == {"773869", "b c", "'=d", "47"}
    numbers = ("minutes", "median", "low", "high")
    texts = [cell for row in rows for name, cell in row.items() if name not in numbers]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in texts)
    assert all(np.isfinite(float(row[name])) for row in rows for name in numbers)


# === Device files ===


@pytest.mark.parametrize(
    "plan",
    [
        replace(PLAN, window=WINDOW + 1), replace(PLAN, horizon=HORIZON - 1), replace(PLAN, sensors=SENSORS[:3]),
        replace(PLAN, sensors=(*SENSORS, "more")), replace(PLAN, interval=7), replace(PLAN, coverage=2.0),
    ],
)  # fmt: skip
def test_settings_of_another_network_are_refused(content: bytes, tmp_path: Path, plan: Plan) -> None:
    with pytest.raises(DeviceFileError, match="cannot use"):
        TrafficForecaster(written(content, tmp_path / "m.tflite", settings=store_settings(plan)))


@pytest.mark.parametrize("settings", [{}, {"plan": None}, {"plan": []}, {"plan": {"sensors": list(SENSORS)}}])
def test_settings_that_are_none_are_refused(content: bytes, tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(DeviceFileError, match="cannot use"):
        TrafficForecaster(written(content, tmp_path / "m.tflite", settings=settings))


def test_a_file_of_another_domain_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(DeviceFileError, match="finance_fraud"):
        TrafficForecaster(written(content, tmp_path / "m.tflite", domain="finance_fraud"))


def test_it_runs_without_tensorflow(file: Path, tmp_path: Path) -> None:
    data = table(tmp_path / "hour.csv", TIMED)
    code = (
        "import sys; from pathlib import Path\n"
        "from edgekit.domains.transportation import TrafficForecaster\n"
        "from edgekit.domains.transportation.device import predict_file\n"
        f"made = TrafficForecaster({str(file)!r}); made.observe({{'47': 30}}, {SECONDS}); made.forecast()\n"
        f"predict_file(Path({str(file)!r}), [Path({str(data)!r})], out=Path({str(tmp_path / 'f.csv')!r}))\n"
        "heavy = ('tensorflow', 'keras', 'pandas', 'scipy', 'sklearn', 'matplotlib', 'pyarrow')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
