"""The forecasting networks: what they answer, that they learn, and that a device file answers the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edgekit.domains.transportation import data
from edgekit.domains.transportation.config import ModelSettings, TrafficConfig
from edgekit.domains.transportation.evaluate import evaluate
from edgekit.domains.transportation.features import Plan, inputs
from edgekit.domains.transportation.layers import Filled, OtherSensors
from edgekit.domains.transportation.model import (
    HEADS,
    MOST_WEIGHTS,
    Statistics,
    _beginnings,
    _upper_quantile,
    begin,
    build_model,
    build_trunk,
    calibrate,
    fit_model,
    heads,
    learn_statistics,
)
from edgekit.domains.transportation.readings import Readings
from edgekit.shared.config import override
from edgekit.shared.domain import Prepared
from edgekit.shared.training import Fitted, predictor
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.quantize import export

MONDAY, INTERVAL, PER_DAY = 1_704_067_200, 1800, 48
WINDOW, HORIZON, SENSORS = 6, 4, 5
NAMES = ("median", "low", "high")
PLAN = Plan(tuple("abcde"), WINDOW, HORIZON, INTERVAL, "km/h", 0.9)
SMALL = ModelSettings(window=WINDOW, horizon=HORIZON, width=8, identity=4, clock=4, blocks=1, members=2, dropout=0.2)
CONFIG = override(
    TrafficConfig(),
    {"model": SMALL.model_dump(), "training": {"epochs": 6, "batch_size": 16, "learning_rate": 1e-2, "average": 0.9}},
)
KINDS = ("identity", "recurrent")
NAN = np.nan


def readings(steps: int = 14 * PER_DAY, *, missing: float = 0.05, seed: int = 0) -> Readings:
    """Return speeds with a rush hour, and departures that move from each sensor to the next one within a step."""
    rng = np.random.default_rng(seed)
    usual = 80 - 30 * np.exp(-(((np.arange(steps) % PER_DAY - 17) / 4) ** 2))
    gone = np.zeros((steps, SENSORS))
    for step in range(1, steps):
        gone[step, 0] = 0.9 * gone[step - 1, 0] + rng.normal(0, 4)
        gone[step, 1:] = gone[step - 1, :-1]
    values = (usual[:, None] + 3 * np.arange(SENSORS) + gone + rng.normal(0, 0.5, gone.shape)).astype(np.float32)
    values[rng.random(values.shape) < missing] = NAN
    return Readings(MONDAY, INTERVAL, values, PLAN.sensors, "km/h", np.zeros((0, 0), np.float32), "made", "print")


def prepared(given: Readings | None = None, config: TrafficConfig = CONFIG) -> Prepared:
    made = given or readings()
    return data.prepare(made, data.split(made, config, seed=0), config)


def windows(count: int = 6) -> dict[str, np.ndarray]:
    """Return windows: the first silent throughout, the second with one sensor silent, the third with gaps."""
    rng = np.random.default_rng(5)
    given = rng.normal(70, 15, (count, WINDOW, SENSORS)).astype(np.float32)
    given[0], given[1, :, 2] = NAN, NAN
    given[2][rng.random((WINDOW, SENSORS)) < 0.4] = NAN
    return inputs(given, MONDAY + 4321 * INTERVAL * np.arange(count), PLAN)


def untrained(settings: ModelSettings = SMALL, plan: Plan = PLAN) -> keras.Model:
    """Return a network with learnt scales, and weights that are random everywhere."""
    keras.utils.set_random_seed(0)
    made = build_model(plan, settings)
    begin(made, learn_statistics(prepared()), plan.weights)
    for place, variable in enumerate(made.trainable_variables):
        rng = np.random.default_rng(place)
        variable.assign(np.asarray(variable.value) + 0.1 * rng.normal(size=variable.shape))
    return made


def of(model: keras.Model, kind: type[keras.layers.Layer]) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, kind)]


@pytest.fixture(scope="module", params=KINDS)
def network(request: pytest.FixtureRequest) -> keras.Model:
    return untrained(SMALL.model_copy(update={"kind": request.param}))


# === What a network answers ===


def test_a_forecast_is_a_median_within_a_band_for_each_step_and_sensor(network: keras.Model) -> None:
    found = predictor(network)(windows())
    assert {name: (array.shape, str(array.dtype)) for name, array in found.items()} == dict.fromkeys(
        NAMES, ((6, HORIZON, SENSORS), "float32")
    )
    assert all(np.isfinite(array).all() for array in found.values())
    assert (found["low"] <= found["median"]).all() and (found["median"] <= found["high"]).all()
    assert (found["low"] < found["high"]).any() and abs(found["median"].mean() - 80) < 40, "in the readings' unit"


def test_where_all_are_silent_the_time_still_counts(network: keras.Model) -> None:
    silent = np.full((2, WINDOW, SENSORS), NAN, np.float32)
    found = predictor(network)(inputs(silent, MONDAY + np.array([3, 20]) * INTERVAL, PLAN))
    assert np.isfinite(found["median"]).all() and np.abs(found["median"][0] - found["median"][1]).max() > 1e-3


def test_each_window_is_answered_by_itself(network: keras.Model) -> None:
    given = windows()
    together, alone = predictor(network)(given), predictor(network)({name: row[3:4] for name, row in given.items()})
    np.testing.assert_allclose(together["median"][3], alone["median"][0], atol=1e-4)


def test_silent_sensors_are_known_by_the_others(network: keras.Model) -> None:
    given = windows()
    changed = {**given, "readings": given["readings"] + np.float32(20) * (np.arange(SENSORS) == 3)}
    before, after = (predictor(network)(each)["median"] for each in (given, changed))
    assert np.abs(after - before)[1, :, 2].max() > 0.1, "sensor c is silent in the second window"
    np.testing.assert_array_equal(after[0], before[0])


def test_without_neighbours_a_sensor_is_known_by_itself() -> None:
    network = untrained(SMALL.model_copy(update={"neighbours": False}))
    assert not of(network, OtherSensors) and not of(network, Filled)
    given = windows()
    changed = {**given, "readings": given["readings"] + np.float32(20) * (np.arange(SENSORS) == 3)}
    before, after = (predictor(network)(each)["median"] for each in (given, changed))
    rest = [0, 1, 2, 4]
    np.testing.assert_allclose(after[..., rest], before[..., rest], atol=1e-4)
    assert np.abs(after - before)[1, :, 3].max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("sensors", "window", "horizon", "blocks"), [(1, 1, 1, 0), (1, 6, 4, 1), (2, 1, 5, 1), (4, 4, 4, 0)]
)
def test_networks_of_any_size(kind: str, sensors: int, window: int, horizon: int, blocks: int) -> None:
    plan = Plan(tuple("abcd"[:sensors]), window, horizon, 300, "", 0.9)
    settings = SMALL.model_copy(update={"kind": kind, "window": window, "horizon": horizon, "blocks": blocks})
    given = inputs(np.full((2, window, sensors), NAN), np.array([0, 300]), plan)
    found = predictor(build_model(plan, settings))(given)
    assert found["high"].shape == (2, horizon, sensors) and np.isfinite(found["high"]).all()


@pytest.mark.parametrize(
    ("sensors", "count"),
    [(1, 0), (2, 2), (207, 2), (325, 2), (1000, 2), (1154, 2), (1155, 1), (1414, 1), (1415, 0), (10_000, 0)],
)
def test_large_networks_get_fewer_tables(sensors: int, count: int) -> None:
    assert heads(sensors) == count
    assert count <= HEADS and (count + 1) * sensors**2 * (count > 0) <= MOST_WEIGHTS, "one more holds the gaps' table"


def test_members_are_averaged() -> None:
    keras.utils.set_random_seed(0)
    trunks = [build_trunk(PLAN, SMALL, number) for number in range(3)]
    alone = [predictor(build_model(PLAN, SMALL, [trunk]))(windows()) for trunk in trunks]
    joined = predictor(build_model(PLAN, SMALL, trunks))(windows())
    for name in NAMES:
        expected = np.mean([each[name] for each in alone], axis=0)
        np.testing.assert_allclose(joined[name], expected, atol=1e-5)
    assert not np.allclose(alone[0]["median"], alone[1]["median"])


# === What is set, not learnt ===


def of_training(given: Readings) -> tuple[Statistics, np.ndarray]:
    splits = data.split(given, CONFIG, seed=0)
    return learn_statistics(data.prepare(given, splits, CONFIG)), given.values[splits.train].astype(np.float64)


def begun(given: Readings) -> keras.Model:
    """Return a new network that knows what training readings say."""
    model = build_model(PLAN, SMALL)
    begin(model, of_training(given)[0], given.weights)
    return model


def test_statistics_are_those_of_training_readings_each_counted_once() -> None:
    found, values = of_training(readings())
    np.testing.assert_allclose(found.mean, np.nanmean(values, axis=0), rtol=1e-9)
    np.testing.assert_allclose(found.deviation, np.nanstd(values, axis=0), rtol=1e-9)
    standard = (values - found.mean) / found.deviation
    pairs = [[np.nanmean(one * other) for other in standard.T] for one in standard.T]
    np.testing.assert_allclose(found.correlation, pairs, rtol=1e-9)


def test_a_network_begins_with_them() -> None:
    model, (found, _) = begun(readings()), of_training(readings())
    scale = model.get_layer("scale")
    np.testing.assert_allclose(scale.mean.numpy(), found.mean, rtol=1e-6)
    np.testing.assert_allclose(scale.deviation.numpy(), found.deviation, rtol=1e-6)
    assert len(of(model, OtherSensors)) == len(of(model, Filled)) == SMALL.members == 2
    for layer in of(model, OtherSensors):
        np.testing.assert_allclose(layer.logits.numpy(), _beginnings(found.correlation, NONE, HEADS), rtol=1e-6)


def test_statistics_know_nothing_of_what_follows_training() -> None:
    given = readings()
    splits = data.split(given, CONFIG, seed=0)
    later = given.values.copy()
    later[splits.validation[0] :] = 5 * later[splits.validation[0] :] + 100
    first, second = (of_training(each)[0] for each in (given, replace(given, values=later)))
    np.testing.assert_array_equal(first.mean, second.mean)
    np.testing.assert_array_equal(first.deviation, second.deviation)
    np.testing.assert_array_equal(first.correlation, second.correlation)


def test_dead_and_constant_sensors_have_usable_scales() -> None:
    given = readings()
    values = given.values.copy()
    values[:, 0], values[:, 3] = NAN, 64.3
    found, train = of_training(replace(given, values=values))
    assert found.mean[0] == pytest.approx(np.nanmean(train), rel=1e-6), "the mean of all readings"
    assert found.mean[3] == pytest.approx(64.3, rel=1e-6)
    assert 1 < found.deviation[0] == found.deviation[3] < 30
    model = begun(replace(given, values=values))
    assert all(np.isfinite(weight.numpy()).all() for weight in model.weights)
    answers = predictor(model)(windows())
    assert all(np.isfinite(array).all() and np.abs(array).max() < 1000 for array in answers.values())


def test_a_network_of_constant_sensors_has_usable_scales() -> None:
    given = readings()
    constant = replace(given, values=np.full_like(given.values, 30))
    assert of_training(constant)[0].deviation.tolist() == [1] * SENSORS
    assert np.isfinite(predictor(begun(constant))(windows())["median"]).all()


def test_gaps_are_filled_by_regression_on_the_others() -> None:
    for layer in of(begun(readings(missing=0.0)), Filled):
        coefficients = layer.coefficients.numpy()
        assert (np.diag(coefficients) == 0).all()
        np.testing.assert_allclose(coefficients.sum(axis=1), 0.95, atol=0.1)  # all follow the same rush hour


CORRELATION = np.array([[1, 0.9, 0.1], [0.9, 1, 0.3], [0.1, 0.3, 1]])
LINKS = np.array([[0, 0, 1], [0, 0, 0], [0.5, 0, 0]], np.float32)
NONE = np.zeros((0, 0), np.float32)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("weights", [NONE, LINKS], ids=["alone", "linked"])
def test_every_table_begins_otherwise(count: int, weights: np.ndarray) -> None:
    made = _beginnings(CORRELATION, weights, count)
    assert made.shape == (count, 3, 3) and np.isfinite(made).all()
    assert len(np.unique(made.round(6), axis=0)) == count


@pytest.mark.parametrize("count", [1, 4])
def test_the_table_that_fills_gaps_follows_the_adjacency_where_there_is_one(count: int) -> None:
    """The first sensor's only neighbour is the last one, though the second tells most of it."""
    linked, alone = (_beginnings(CORRELATION, weights, count)[-1][0] for weights in (LINKS, NONE))
    assert alone[1] > alone[2]
    np.testing.assert_allclose(linked[2] - linked[1], np.log(1.02 / 0.02) + 8 * (0.1 - 0.9), rtol=1e-6)


def test_the_adjacency_reaches_the_network() -> None:
    weights = np.eye(SENSORS, k=1, dtype=np.float32)
    linked = replace(readings(), weights=weights)
    expected = _beginnings(of_training(linked)[0].correlation, weights, HEADS)
    for with_links, without in zip(*(of(begun(each), OtherSensors) for each in (linked, readings())), strict=True):
        np.testing.assert_allclose(with_links.logits.numpy(), expected, rtol=1e-6)
        assert (with_links.logits.numpy() != without.logits.numpy()).any()


# === Calibration ===


def coverage(model: keras.Model, given: Any) -> np.ndarray:
    """Return the share of readings in the band by step."""
    found = predictor(model)(given.inputs)
    inside = (found["low"] <= given.target) & (given.target <= found["high"])
    return np.asarray(inside.sum(axis=(0, 2)) / np.isfinite(given.target).sum(axis=(0, 2)))


@pytest.mark.parametrize("share", [0.6, 0.9, 0.97])
@pytest.mark.parametrize("room", [0.01, 3.0])
def test_bands_hold_the_share_of_validation_at_every_step(share: float, room: float) -> None:
    model, given = untrained(), prepared()
    for raw in (layer for layer in model.layers if layer.name.endswith("_raw")):
        kernel, bias = raw.get_weights()
        bias[HORIZON:] = np.log(np.expm1(room)) + 0.5
        raw.set_weights([0.01 * kernel, bias])
    before = coverage(model, given.validation)
    calibrate(model, given.validation, share)
    margin = model.get_layer("band").margin.numpy()
    assert (before < share).all() if room < 1 else (before > share).all()
    assert (margin > 0).all() if room < 1 else (margin < 0).all()
    np.testing.assert_allclose(coverage(model, given.validation), share, atol=0.012)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 5), (0.55, 6), (0.8, 8), (0.9, 9), (0.95, 9), (0.99, 9)]
)  # fmt: skip
def test_the_quantile_has_the_rank_of_conformal_prediction(share: float, expected: int) -> None:
    """Of n scores the one of rank ⌈(n + 1) · share⌉, the largest where there are too few."""
    scores = np.random.default_rng(0).permutation(np.r_[np.arange(1.0, 10), [NAN] * 5])
    assert _upper_quantile(scores, share) == expected


def test_missing_readings_do_not_calibrate() -> None:
    model, given = untrained(), prepared().validation
    target = given.target.copy()
    target[:, 1], target[::2, 2] = NAN, NAN
    calibrate(model, replace(given, target=target), 0.9)
    margin = model.get_layer("band").margin.numpy()
    assert np.isfinite(margin).all() and margin[1] == 0 and (margin[[0, 2, 3]] != 0).all()


# === Learning ===


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, Fitted, list[str]]:
    given, said = prepared(), list[str]()
    log = tmp_path_factory.mktemp("fit") / "t.csv"
    fitted = fit_model(given, CONFIG, seed=0, report=said.append, log=log)
    assert len(log.read_text().splitlines()) == 1 + len(fitted.history["score"]), "a line an epoch of one member"
    return given, fitted, said


def held(readings: np.ndarray) -> np.ndarray:
    """Return the last reading that is there for all steps ahead, (n, horizon, sensor); 70 where none is."""
    last = np.full(readings[:, 0].shape, 70, np.float32)
    for step in range(WINDOW):
        last = np.where(np.isnan(readings[:, step]), last, readings[:, step])
    return np.repeat(last[:, None], HORIZON, axis=1)


def test_it_learns_what_the_last_value_cannot_tell(learnt: tuple[Prepared, Fitted, list[str]]) -> None:
    given, fitted, said = learnt
    found = evaluate(predictor(fitted.model)(given.validation.inputs), given.validation, CONFIG)
    median = held(given.validation.inputs["readings"])
    rival = evaluate(dict.fromkeys(NAMES, median), given.validation, CONFIG)
    assert found["mae"].compute(None) < 0.7 * rival["mae"].compute(None)
    assert found["coverage@90"].compute(None) == pytest.approx(0.9, abs=0.01)
    assert [line for line in said if "member" in line] == ["member 1 of 2", "member 2 of 2"]
    assert len(fitted.history["score"]) <= 6 and any(line.startswith("epoch 1/6") for line in said)
    assert fitted.history["loss"][-1] < fitted.history["loss"][0]
    assert fitted.history["score"][fitted.best_epoch - 1] == max(fitted.history["score"])
    assert found["mae"].compute(None) < 1.05 * -max(fitted.history["score"]), "members together are no worse than one"


def test_it_forecasts_a_silent_sensor_from_the_others(learnt: tuple[Prepared, Fitted, list[str]]) -> None:
    given, fitted, _ = learnt
    silent = given.test.inputs["readings"].copy()
    silent[:, :, 3] = NAN
    found = predictor(fitted.model)({**given.test.inputs, "readings": silent})["median"]
    error = np.nanmean(np.abs(found - given.test.target)[:, 0, 3])
    usual = np.nanmean(np.abs(np.nanmean(given.train.target[..., 3]) - given.test.target[:, 0, 3]))
    assert error < 0.5 * usual


def test_the_same_seed_gives_the_same_network() -> None:
    config, given = override(CONFIG, {"training": {"epochs": 1}, "model": {"members": 1}}), prepared()
    few = given.validation.take(slice(8)).inputs
    first, again, other = (
        predictor(fit_model(given, config, seed=seed, report=lambda line: None).model)(few) for seed in (3, 3, 4)
    )
    assert all(np.array_equal(first[name], again[name]) for name in NAMES)
    assert not np.array_equal(first["median"], other["median"])


# === Saving and export ===


def test_a_saved_network_answers_as_before(network: keras.Model, tmp_path: Path) -> None:
    network.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    expected, found = predictor(network)(windows()), predictor(loaded)(windows())
    assert all(np.array_equal(found[name], expected[name]) for name in NAMES)


@pytest.mark.parametrize("profile", ["device", "server"])
def test_a_device_file_answers_as_the_network(network: keras.Model, profile: str) -> None:
    content = export(network, "float32", profile=profile)
    assert b"Flex" not in content
    expected, found = predictor(network)(windows()), Engine(content).predict(windows())
    for name in NAMES:
        np.testing.assert_allclose(found[name], expected[name], atol=2e-3)  # km/h


@pytest.mark.parametrize("kind", KINDS)
def test_a_quantized_file_answers_nearly_so(kind: str) -> None:
    network = untrained(SMALL.model_copy(update={"kind": kind, "width": 48, "members": 1}))
    content = export(network, "dynamic_int8")
    assert b"Flex" not in content and len(content) < 0.8 * len(export(network, "float32"))
    expected, found = predictor(network)(windows()), Engine(content).predict(windows())
    spread = float(network.get_layer("scale").deviation.numpy().mean())
    for name in NAMES:
        np.testing.assert_allclose(found[name], expected[name], atol=0.2 * spread)
    assert (found["low"] <= found["median"]).all() and (found["median"] <= found["high"]).all()


@pytest.mark.parametrize("neighbours", [True, False])
@pytest.mark.parametrize("sensors", [1, 2, 4])
def test_networks_of_any_size_can_be_exported(sensors: int, neighbours: bool) -> None:
    """As many sensors as numbers of the clock, fewer, and one."""
    plan = Plan(tuple("abcd"[:sensors]), WINDOW, HORIZON, INTERVAL, "", 0.9)
    model = build_model(plan, SMALL.model_copy(update={"neighbours": neighbours}))
    given = {**windows(), "readings": windows()["readings"][..., :sensors]}
    expected, found = predictor(model)(given), Engine(export(model, "float32")).predict(given)
    for name in NAMES:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4)
