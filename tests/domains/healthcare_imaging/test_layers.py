"""The layers: what they compute, against numpy, and that a device computes the same."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from scipy.ndimage import uniform_filter

from edgekit.domains.healthcare_imaging.layers import (
    DIRECTIONS,
    Cast,
    FeatureDistance,
    LevelStatistics,
    LocalContrast,
    Temperature,
)
from edgekit.shared.training import predictor
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.quantize import export

RNG = np.random.default_rng(0)


def called(layer: Any, *values: np.ndarray) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(layer(*values)))


def levels(count: int = 3, size: int = 28, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, size, size, channels)).astype(np.float32)


def learnt(features: np.ndarray) -> FeatureDistance:
    layer = FeatureDistance()
    layer.build((None, features.shape[1]))
    layer.learn(features)
    return layer


def correlated(rows: int, size: int, seed: int = 0) -> np.ndarray:
    """Return features that share a few causes, in unlike units."""
    rng = np.random.default_rng(seed)
    causes = np.random.default_rng(99).normal(size=(6, size))
    units = np.random.default_rng(98).uniform(0.5, 5, size)
    return np.asarray((rng.normal(size=(rows, 6)) @ causes + 0.3 * rng.normal(size=(rows, size))) * units + 7)


# === Local contrast ===


def test_contrast_is_what_is_left_of_the_neighbourhood() -> None:
    given, layer = levels(), LocalContrast()
    made = called(layer, given)
    assert layer.window == 9 and made.shape == given.shape
    image = given[..., 0].astype(np.float64) / 255
    centred = image - image.mean(axis=(1, 2), keepdims=True)
    standard = centred / np.sqrt(np.square(centred).mean(axis=(1, 2), keepdims=True) + 1e-3)
    around = (0, 9, 9)
    detail = standard - uniform_filter(standard, around, mode="constant")  # right away from the border
    inner = (slice(None), slice(8, -8), slice(8, -8))
    expected = detail[inner] / np.sqrt(uniform_filter(np.square(detail), around)[inner] + 0.02)
    np.testing.assert_allclose(made[..., 0][inner], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0), (0.4, 100), (1, 0)])
def test_exposure_and_gain_no_longer_show(gain: float, offset: float) -> None:
    given = levels()
    np.testing.assert_allclose(
        called(LocalContrast(), gain * given + offset), called(LocalContrast(), given), atol=0.08
    )


def test_a_blank_image_has_no_contrast() -> None:
    assert np.abs(called(LocalContrast(), np.full((1, 28, 28, 1), 130, np.float32))).max() < 1e-3


@pytest.mark.parametrize(("size", "window"), [(8, 3), (28, 9), (48, 15), (64, 21), (96, 31), (224, 73)])
def test_the_window_is_odd_and_about_a_third(size: int, window: int) -> None:
    layer = LocalContrast()
    layer.build((None, size, size, 1))
    assert layer.window == window


# === Levels ===


def test_levels_are_cast_and_not_rounded() -> None:
    given = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    made = called(Cast(), given)
    assert made.dtype == np.float32 and made.ravel().tolist() == list(range(256))


@pytest.mark.parametrize("channels", [1, 3])
def test_level_statistics_agree_with_numpy(channels: int) -> None:
    given = levels(channels=channels)
    image = given.astype(np.float64) / 255
    across, down = np.abs(np.diff(image, axis=2)), np.abs(np.diff(image, axis=1))
    parts = [image.mean(axis=(1, 2)), image.std(axis=(1, 2)), across.mean(axis=(1, 2)), down.mean(axis=(1, 2))]
    made = called(LevelStatistics(), given)
    assert made.shape == (3, 4 * channels)
    np.testing.assert_allclose(made, np.concatenate(parts, axis=1), rtol=1e-4)


# === Temperature ===


def test_temperature_changes_nothing_until_it_is_set() -> None:
    logits, layer = RNG.normal(size=(4, 3)).astype(np.float32), Temperature()
    np.testing.assert_array_equal(called(layer, logits), logits)
    layer.set(0.5, np.array([1.0, -2.0, 0.0]))
    np.testing.assert_allclose(called(layer, logits), logits * 0.5 + np.array([1, -2, 0]), rtol=1e-6)
    assert not layer.trainable_weights


# === Distance ===


def expected_distance(train: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Compute the distance in float64, by the singular value decomposition instead of eigenvectors."""
    mean, spread = train.mean(axis=0), train.std(axis=0)
    scale = 1 / np.maximum(spread, 0.02 * spread.max())
    _, singular, basis = np.linalg.svd((train - mean) * scale, full_matrices=True)
    variance = np.zeros(train.shape[1])
    variance[: len(singular)] = np.square(singular) / len(train)
    kept = min(DIRECTIONS, train.shape[1])
    left = variance[kept:].sum() / max(train.shape[1] - kept, 1)
    precision = np.full(train.shape[1], 1 / max(left, 0.02))
    precision[:kept] = 1 / np.maximum(variance[:kept], 0.02)
    own = np.square((given - mean) * scale @ basis.T) @ precision
    return np.asarray(np.sqrt(own / train.shape[1]))


@pytest.mark.parametrize(("rows", "size"), [(500, 8), (500, 24), (500, 60), (300, 25)])
def test_the_distance_agrees_with_numpy(rows: int, size: int) -> None:
    train, fresh = correlated(rows, size), correlated(50, size, seed=1)
    layer = learnt(train)
    made = called(layer, fresh.astype(np.float32))
    assert made.shape == (50, 1)
    np.testing.assert_allclose(made[:, 0], expected_distance(train, fresh), rtol=2e-2)


@pytest.mark.parametrize("size", [8, 60])
def test_images_like_those_of_training_are_about_1_away_and_others_far(size: int) -> None:
    train, fresh = correlated(500, size), correlated(200, size, seed=1)
    layer = learnt(train)
    near = called(layer, fresh.astype(np.float32))[:, 0]
    assert 0.75 < np.median(near) < 1.25 and np.quantile(near, 0.99) < 2.5
    strange = fresh + 4 * train.std(axis=0) * np.sign(RNG.normal(size=fresh.shape))
    assert called(layer, strange.astype(np.float32)).min() > 3
    assert called(layer, train.mean(axis=0, keepdims=True).astype(np.float32)).max() < 0.05


def test_the_distance_grows_along_every_way_out() -> None:
    train = correlated(300, 60)
    layer, ways = learnt(train), RNG.normal(size=(20, 60)) * train.std(axis=0)
    steps = [called(layer, (train.mean(axis=0) + step * ways).astype(np.float32))[:, 0] for step in (1, 2, 4, 64, 1e4)]
    assert all((further > nearer).all() for nearer, further in pairwise(steps))
    np.testing.assert_allclose(steps[3], 64 * steps[0], rtol=1e-2)


@pytest.mark.parametrize(("rows", "size"), [(2, 60), (12, 60), (12, 10_0), (24, 40)])
def test_fewer_images_than_features_still_tell_near_from_far(rows: int, size: int) -> None:
    train = correlated(rows, size)
    layer = learnt(train)
    own = called(layer, train.astype(np.float32))
    far = called(layer, (train + 30 * train.std(axis=0)).astype(np.float32))
    assert np.isfinite(own).all() and own.max() < 1.5 and far.min() > 5 * own.max()


def test_a_constant_feature_alone_decides_nothing_small_and_everything_large() -> None:
    train = correlated(200, 30)
    train[:, 4] = 3.0
    layer = learnt(train)
    near, odd = train[:20].copy(), train[:20].copy()
    near[:, 4] += 0.01 * train.std(axis=0).max()
    odd[:, 4] += 2 * train.std(axis=0).max()
    base = called(layer, train[:20].astype(np.float32))
    assert np.abs(called(layer, near.astype(np.float32)) - base).max() < 0.7
    assert (called(layer, odd.astype(np.float32)) > 10 * base).all()


@pytest.mark.parametrize("rows", [1, 50])
def test_features_that_are_all_constant_give_a_distance_all_the_same(rows: int) -> None:
    train = np.full((rows, 30), 3.0)
    layer = learnt(train)
    assert all(np.isfinite(values).all() for values in layer.get_weights())
    assert called(layer, train[:1].astype(np.float32)).max() == 0
    far = called(layer, (train[:1] + 0.1).astype(np.float32))
    assert np.isfinite(far).all() and far.min() > 100


def test_learning_again_forgets_the_first_time() -> None:
    layer = learnt(correlated(200, 30) * 9)
    layer.learn(correlated(200, 30))
    fresh = correlated(20, 30, seed=1).astype(np.float32)
    np.testing.assert_allclose(called(layer, fresh), called(learnt(correlated(200, 30)), fresh), rtol=1e-5)


# === Saved and converted ===


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """Return a tiny network of all layers, with a learnt distance."""
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 1), dtype="uint8", name="image")
    level = Cast(name="level")(image)
    hidden = layers.Conv2D(24, 3, activation="relu")(LocalContrast()(level))
    pooled = layers.GlobalAveragePooling2D(name="pooled")(hidden)
    features = layers.Concatenate(name="features")([LevelStatistics()(level), pooled])
    outputs = {
        "distance": FeatureDistance(name="distance")(features),
        "logits": Temperature(name="temperature")(layers.Dense(2)(pooled)),
    }
    made = keras.Model({"image": image}, outputs)
    features_of = predictor(keras.Model(made.inputs, {"features": features}))
    made.get_layer("distance").learn(features_of({"image": smooth(200)})["features"])
    made.get_layer("temperature").set(0.7, np.array([0.3, -0.3]))
    return made


def smooth(count: int, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(60, 190, (count, 4, 4, 1))
    return np.kron(coarse, np.ones((1, 4, 4, 1))).astype(np.uint8)


def test_answers_survive_saving_and_loading_in_safe_mode(network: keras.Model, tmp_path: Path) -> None:
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    given = {"image": smooth(20, seed=1)}
    before, after = predictor(network)(given), predictor(again)(given)
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)


@pytest.mark.parametrize(("recipe", "tolerance"), [("float32", 1e-3), ("float16", 0.03), ("dynamic_int8", 0.1)])
def test_a_device_measures_the_same_distance(network: keras.Model, recipe: str, tolerance: float) -> None:
    given = {"image": np.concatenate([smooth(30, seed=1), np.zeros((1, 16, 16, 1), np.uint8), 255 - smooth(5)])}
    engine = Engine(export(network, recipe))
    expected = predictor(network)(given)["distance"]
    made = engine.predict(given)["distance"]
    np.testing.assert_allclose(made, expected, rtol=tolerance, atol=tolerance)
    assert np.ptp(expected) > 1
