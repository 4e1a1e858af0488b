"""The networks: every form is built, learns, is calibrated, and gives the same answers on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edgekit.domains.healthcare_imaging import batches, data, synthesis, verdicts
from edgekit.domains.healthcare_imaging.config import (
    ImagingConfig,
    ImagingTrainingSettings,
    ModelSettings,
    SyntheticSettings,
)
from edgekit.domains.healthcare_imaging.evaluate import one_hot
from edgekit.domains.healthcare_imaging.features import Plan
from edgekit.domains.healthcare_imaging.model import build_model, calibrate, fit_model, learn_distance, log_loss
from edgekit.domains.healthcare_imaging.solution import DOMAIN
from edgekit.domains.healthcare_imaging.verdicts import DISTANCE, HEAT, PROBABILITY, SUSPICION
from edgekit.shared.domain import Examples, Prepared
from edgekit.shared.errors import ConfigError
from edgekit.shared.metrics import roc_auc
from edgekit.shared.training import Fitted, predictor
from edgekit.tflite_export.convert import convert
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.ops import require_builtin
from edgekit.tflite_export.signature import PREDICT, read_signatures

SMALL: dict[str, Any] = {"width": 16}
CONFIG = ImagingConfig(
    synthetic=SyntheticSettings(patients=60, size=28),
    model=ModelSettings(**SMALL),
    training=ImagingTrainingSettings(epochs=2, batch_size=16),
)


def plan(size: int = 28, channels: int = 1, classes: int = 2, *, several: bool = False, normal: int = 0) -> Plan:
    return Plan(size, channels, "pad", 2, ("normal", "b", "c", "d")[:classes], normal, several)


def images(count: int, of: Plan, seed: int = 0) -> dict[str, np.ndarray]:
    shape = (count, of.size, of.size, of.channels)
    return {"image": np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)}


def softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def middle(model: keras.Model, layer: str) -> Any:
    return predictor(keras.Model(model.inputs, {layer: model.get_layer(layer).output}))


# === Building ===

FORMS = {
    "28 grey": (plan(), {}),
    "28 rgb, four": (plan(28, 3, 4, normal=2), {}),
    "48 several": (plan(48, 1, 3, several=True), {}),
    "64": (plan(64), {}),
    "96 rgb": (plan(96, 3), {}),
    "224": (plan(224), {}),
    "one label": (plan(28, 1, 1, several=True), {}),
    "resized": (plan(50), {"size": 28}),
    "halved and resized": (plan(100, 3, 4), {"size": 28}),
    "enlarged": (plan(28), {"size": 32}),
    "V3 small": (plan(32), {"kind": "backbone"}),
}


@pytest.mark.parametrize("form", FORMS)
def test_edges_have_the_names_shapes_and_meanings_that_are_promised(form: str) -> None:
    given, settings = FORMS[form]
    model = build_model(given, ModelSettings(**{**SMALL, **settings}))
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in model.input.items()} == {
        "image": ((None, given.size, given.size, given.channels), "uint8")
    }
    inputs, classes = images(2, given), len(given.classes)
    answers = predictor(model)(inputs)
    rows = answers[HEAT].shape[1]
    assert {name: (values.shape, values.dtype) for name, values in answers.items()} == {
        PROBABILITY: ((2, classes), np.float32),
        SUSPICION: ((2, 1), np.float32),
        DISTANCE: ((2, 1), np.float32),
        HEAT: ((2, rows, rows, classes), np.float32),
    }
    logits = middle(model, "logits")(inputs)["logits"]
    np.testing.assert_allclose(answers[HEAT].mean(axis=(1, 2)), logits, rtol=1e-3, atol=1e-5)
    told = 1 / (1 + np.exp(-logits)) if given.multi_label else softmax(logits)
    np.testing.assert_allclose(answers[PROBABILITY], told, rtol=1e-3, atol=1e-6)
    expected = verdicts.suspicion(answers[PROBABILITY], normal=given.normal, multi_label=given.multi_label)
    np.testing.assert_allclose(answers[SUSPICION], expected, atol=1e-6)


@pytest.mark.parametrize("size", [28, 48, 64, 96])
def test_the_last_map_shows_where_and_still_sees_much(size: int) -> None:
    assert 3 <= build_model(plan(size), ModelSettings(**SMALL)).output[HEAT].shape[1] <= 8


def test_width_and_its_limit_count() -> None:
    def channels(**settings: int) -> list[int]:
        model = build_model(plan(), ModelSettings(**settings))
        return [model.get_layer(name).output.shape[-1] for name in ("stem_norm", "stage_1_in_norm", "stage_2_in_norm")]

    assert channels(width=16) == [16, 16, 16]
    assert channels(width=64) == [16, 32, 64]


# === The backbone's weights ===


def test_a_backbone_takes_its_weights_from_a_file(tmp_path: Path) -> None:
    own = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
    path = tmp_path / "own.weights.h5"
    own.save_weights(path)
    settings = ModelSettings(kind="backbone", backbone="MobileNetV2", weights=str(path), frozen=True)
    model = build_model(plan(32, 3), settings)
    network = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    assert all(np.array_equal(*pair) for pair in zip(network.get_weights(), own.get_weights(), strict=True))
    head = {weight.path.split("/")[0] for weight in model.trainable_weights}
    assert head == {"class_maps"}
    pixels = images(2, plan(32, 3))
    expected = own(pixels["image"].astype(np.float32) / 127.5 - 1, training=False)  # as it was trained
    made = middle(model, "backbone_mean")(pixels)["backbone_mean"]
    np.testing.assert_allclose(made, np.asarray(expected).mean(axis=(1, 2)), rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize("content", [None, b"", b"not weights", "other"])
def test_weights_that_are_not_those_of_the_backbone_are_one_clear_error(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "wrong.weights.h5"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "other":
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(path)
    settings = ModelSettings(kind="backbone", weights=str(path))
    with pytest.raises(ConfigError, match=r"Cannot make MobileNetV3Small .*wrong\.weights\.h5.*\.weights\.h5 file"):
        build_model(plan(32), settings)


def test_a_name_that_is_no_file_is_one_clear_error() -> None:
    with pytest.raises(ConfigError, match="'imagnet'"):
        build_model(plan(32), ModelSettings(kind="backbone", weights="imagnet"))


@pytest.mark.parametrize("failure", [Exception, ValueError, OSError, RuntimeError])
def test_a_download_that_fails_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, failure: type[Exception]) -> None:
    def offline(**_: Any) -> None:
        raise failure("URL fetch failure on a\nserver: None -- unreachable")

    monkeypatch.setattr(keras.applications, "MobileNetV3Small", offline)
    message = r"model\.weights = 'imagenet': URL fetch failure on a server: None -- unreachable Use images of"
    with pytest.raises(ConfigError, match=message):
        build_model(plan(32), ModelSettings(kind="backbone", weights="imagenet"))


@pytest.mark.parametrize("backbone", ["MobileNetV2", "MobileNetV3Small"])
def test_images_too_small_for_a_backbone_are_one_clear_error(backbone: Any) -> None:
    with pytest.raises(ConfigError, match="images of 28 pixels.*at least 32"):
        build_model(plan(28), ModelSettings(kind="backbone", backbone=backbone))


# === Learning ===


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    scans = synthesis.synthesize(CONFIG, seed=0)
    return data.prepare(scans, data.split(scans, CONFIG, seed=0), CONFIG)


def fitted_on(prepared: Prepared, folder: Path | None = None, *, seed: int = 0) -> tuple[Fitted, list[str]]:
    lines = list[str]()
    log = None if folder is None else folder / "log.csv"
    return fit_model(prepared, CONFIG, seed=seed, report=lines.append, log=log), lines


@pytest.fixture(scope="module")
def fitted(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> tuple[Fitted, list[str], Path]:
    folder = tmp_path_factory.mktemp("fit")
    return *fitted_on(prepared, folder), folder


@pytest.fixture(scope="module")
def model(fitted: tuple[Fitted, list[str], Path]) -> keras.Model:
    return fitted[0].model


def test_a_fit_tells_its_epochs_and_keeps_the_last(fitted: tuple[Fitted, list[str], Path]) -> None:
    result, lines, folder = fitted
    assert len(lines) == 2 and len((folder / "log.csv").read_text().splitlines()) == 3
    scores = result.history["score"]
    assert result.best_epoch == len(scores) == 2 and max(scores) < 0
    assert result.history["loss"][1] < result.history["loss"][0]


def test_the_same_seed_gives_the_same_network(prepared: Prepared, model: keras.Model) -> None:
    again = fitted_on(prepared)[0].model
    for name, values in predictor(model)(prepared.test.inputs).items():
        np.testing.assert_allclose(predictor(again)(prepared.test.inputs)[name], values, rtol=1e-4, atol=1e-5)


def test_the_fitted_network_measures_distances_of_its_training_images(prepared: Prepared, model: keras.Model) -> None:
    network = predictor(model)
    near = network(prepared.train.inputs)[DISTANCE]
    blank = network({"image": np.zeros((1, 28, 28, 1), np.uint8)})[DISTANCE]
    assert 0.6 < np.median(near) < 1.4 and blank.min() > 2 * near.max()


def test_answers_survive_saving_and_loading_in_safe_mode(
    prepared: Prepared, model: keras.Model, tmp_path: Path
) -> None:
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    before, after = predictor(model)(prepared.test.inputs), predictor(again)(prepared.test.inputs)
    assert set(before) == set(after)
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)


# === Calibration ===


def shaken(size: int, *, several: bool, inverse: float, classes: int) -> tuple[keras.Model, Examples, Plan]:
    """Return a small network, and labels drawn from its logits times ``inverse`` with other shares of the classes."""
    keras.utils.set_random_seed(1)
    of = plan(28, 1, classes, several=several)
    network = build_model(of, ModelSettings(**SMALL))
    inputs = images(size, of)
    inputs["image"] = (inputs["image"] * np.random.default_rng(0).random((size, 1, 1, 1))).astype(np.uint8)
    kernel, bias = network.get_layer("class_maps").get_weights()
    logits = middle(network, "logits")(inputs)["logits"]
    network.get_layer("class_maps").set_weights(
        [kernel / logits.std(axis=0), bias - logits.mean(axis=0) / logits.std(axis=0)]
    )
    logits = middle(network, "logits")(inputs)["logits"].astype(np.float64)
    rng, shift = np.random.default_rng(2), np.linspace(-1.5, 1.5, classes)
    true = inverse * logits + shift
    if several:
        target = (rng.random(true.shape) < 1 / (1 + np.exp(-true))).astype(np.uint8)
    else:
        target = (rng.random((size, 1)) > softmax(true).cumsum(axis=1)).sum(axis=1).clip(0, classes - 1)
    finding = target.any(axis=1) if several else target != 0
    return network, Examples(inputs, target, {"finding": finding.astype(np.int64)}), of


@pytest.mark.parametrize(("classes", "several"), [(2, False), (3, False), (3, True)])
def test_calibration_lowers_the_validation_loss_and_restores_the_prior(classes: int, several: bool) -> None:
    network, validation, of = shaken(400, several=several, inverse=2.0, classes=classes)
    truth, predict = one_hot(validation, classes), predictor(network)
    before = predict(validation.inputs)
    calibrate(network, validation, of)
    after = predictor(network)(validation.inputs)
    losses = [loss_of(answers[PROBABILITY], truth, several=several) for answers in (before, after)]
    assert losses[1] < losses[0] - 0.05
    np.testing.assert_allclose(after[PROBABILITY].mean(axis=0), truth.mean(axis=0), atol=0.01)
    assert np.abs(before[PROBABILITY].mean(axis=0) - truth.mean(axis=0)).max() > 0.05
    inverse = float(network.get_layer("temperature").get_weights()[0][0])
    assert 1.4 < inverse < 2.8  # the labels were drawn with 2
    np.testing.assert_array_equal(before[HEAT], after[HEAT])  # the network itself stays


def loss_of(probability: np.ndarray, truth: np.ndarray, *, several: bool) -> float:
    chance = np.clip(probability.astype(np.float64), 1e-12, 1 - 1e-12)
    own = truth * np.log(chance) + ((1 - truth) * np.log1p(-chance) if several else 0)
    return float(-own.mean() if several else -own.sum(axis=1).mean())


def test_calibration_keeps_the_ranking_of_two_classes() -> None:
    network, validation, of = shaken(300, several=False, inverse=0.5, classes=2)
    before = predictor(network)(validation.inputs)[SUSPICION][:, 0]
    calibrate(network, validation, of)
    after = predictor(network)(validation.inputs)[SUSPICION][:, 0]
    finding = validation.context["finding"]
    assert not np.allclose(before, after)
    assert roc_auc(finding, after) == pytest.approx(roc_auc(finding, before), abs=2e-4)  # but for rounding


@pytest.mark.parametrize("several", [False, True])
def test_a_class_that_validation_lacks_keeps_its_offset(several: bool) -> None:
    network, validation, of = shaken(300, several=several, inverse=1.0, classes=3)
    if several:
        target = validation.target.copy()
        target[:, 2] = 0
        known = Examples(validation.inputs, target, validation.context)
    else:
        known = validation.take(validation.target != 2)
    before = predictor(network)(known.inputs)[PROBABILITY]
    calibrate(network, known, of)
    _, offset = network.get_layer("temperature").get_weights()
    assert offset[2] == 0 and (np.abs(offset[:2]) > 0.05).all()
    after, truth = predictor(network)(known.inputs)[PROBABILITY], one_hot(known, 3)[:, :2]
    losses = [loss_of(first_two(made, several=several), truth, several=several) for made in (before, after)]
    assert losses[1] < losses[0] - 0.05
    assert np.median(after[:, 2]) > 0.1 * np.median(before[:, 2])  # nothing says that it is impossible


def first_two(probability: np.ndarray, *, several: bool) -> np.ndarray:
    """Return the probabilities of two classes of three; of one label, given that it is one of them."""
    first = probability[:, :2].astype(np.float64)
    return first if several else np.asarray(first / first.sum(axis=1, keepdims=True))


def test_calibration_of_a_perfect_validation_set_stays_finite() -> None:
    network, validation, of = shaken(60, several=False, inverse=1.0, classes=2)
    logits = middle(network, "logits")(validation.inputs)["logits"]
    perfect = Examples(validation.inputs, (logits[:, 1] > logits[:, 0]).astype(np.int64))
    calibrate(network, perfect, of)
    assert all(np.isfinite(values).all() for values in network.get_layer("temperature").get_weights())


@pytest.mark.parametrize("several", [True, False])
def test_the_log_loss_agrees_with_its_definition(several: bool) -> None:
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(size=(50, 3)) * 3, np.eye(3)[rng.integers(0, 3, 50)]
    truth = (rng.random((50, 3)) < 0.4).astype(np.float64) if several else truth
    probability = 1 / (1 + np.exp(-logits)) if several else softmax(logits)
    assert log_loss(logits, truth, multi_label=several) == pytest.approx(loss_of(probability, truth, several=several))
    assert np.isfinite(log_loss(logits * 1e4, truth, multi_label=several))


# === Distance ===


def test_the_distance_is_learnt_from_as_many_images_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    of = plan()
    train = Examples(images(41, of), np.zeros(41))
    few, some = (build_model(of, ModelSettings(**SMALL)) for _ in range(2))
    some.set_weights(few.get_weights())
    learn_distance(few, train.take(np.arange(0, 41, 4)))
    monkeypatch.setattr(batches, "MAX_BYTES", 11 * 28 * 28)
    learn_distance(some, train)
    for name in ("mean", "scale"):
        made, expected = (np.asarray(getattr(m.get_layer("feature_distance"), name)) for m in (some, few))
        np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-6)


# === On a device ===


@pytest.fixture(scope="module")
def content(model: keras.Model) -> bytes:
    return convert(model, views=DOMAIN.views)


@pytest.fixture(scope="module")
def server(model: keras.Model) -> Engine:
    return Engine(convert(model, profile="server", views=DOMAIN.views))


def test_the_file_has_builtin_operators_and_the_heat_map_apart(content: bytes) -> None:
    require_builtin(content)
    outputs = {name: set(signature.outputs) for name, signature in read_signatures(content).items()}
    assert outputs == {PREDICT: {PROBABILITY, SUSPICION, DISTANCE}, "explain": {HEAT}}


def test_the_heat_map_costs_next_to_nothing(model: keras.Model, content: bytes) -> None:
    outputs = {name: tensor for name, tensor in model.output.items() if name != HEAT}
    without = convert(keras.Model(model.input, outputs))
    assert len(content) < 1.05 * len(without)


def test_a_device_answers_as_the_network_does(prepared: Prepared, model: keras.Model, content: bytes) -> None:
    inputs, engine = prepared.test.take(slice(10)).inputs, Engine(content)
    expected = predictor(model)(inputs)
    made = {**engine.predict(inputs), **engine.run("explain", inputs)}
    assert set(made) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(made[name], values, rtol=1e-3, atol=1e-4)


def test_answers_do_not_depend_on_what_was_asked_before(prepared: Prepared, server: Engine) -> None:
    def ask(rows: int) -> list[np.ndarray]:
        inputs = prepared.train.take(slice(rows)).inputs
        before = server.predict(inputs)
        heat = server.run("explain", inputs)[HEAT]
        after = server.predict(inputs)
        for name, values in before.items():
            np.testing.assert_array_equal(after[name], values)
        return [before[PROBABILITY], before[DISTANCE], heat]

    whole = ask(17)
    for rows in (1, 5, 17, 2):
        for found, expected in zip(ask(rows), whole, strict=True):
            assert len(found) == rows
            np.testing.assert_allclose(found, expected[:rows], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["48 several", "halved and resized"])
def test_other_forms_convert_too(form: str) -> None:
    given, settings = FORMS[form]
    model = build_model(given, ModelSettings(**{**SMALL, **settings}))
    learn_distance(model, Examples(images(20, given), np.zeros(20)))
    content, inputs = convert(model, views=DOMAIN.views), images(2, given, seed=1)
    require_builtin(content)
    engine, expected = Engine(content), predictor(model)(inputs)
    for name, values in {**engine.predict(inputs), **engine.run("explain", inputs)}.items():
        np.testing.assert_allclose(values, expected[name], rtol=5e-3, atol=1e-3)
