"""The layers against plain numpy, and through a file."""

from __future__ import annotations

import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

from edgekit.domains.finance_fraud.layers import CLIP, Calibration, MemberHead, MemberScale, NumericEmbedding
from edgekit.tflite_export.convert import convert
from edgekit.tflite_export.engine import Engine

BINS = 5
ROWS = 200
Learnt = tuple[NumericEmbedding, np.ndarray, np.ndarray]


def training() -> tuple[np.ndarray, np.ndarray]:
    """Return columns: skewed, with gaps, always 7.3, all missing, and two values only."""
    rng = np.random.default_rng(0)
    values = np.stack([rng.lognormal(3, 2, ROWS), rng.normal(-50, 9, ROWS), *np.full((3, ROWS), 7.3)], axis=1)
    values[rng.random(ROWS) < 0.3, 1] = np.nan
    values[:, 3] = np.nan
    values[:, 4] = rng.random(ROWS) < 0.1
    return values.astype(np.float32), (rng.random(ROWS) < 0.2).astype(np.float32)


@pytest.fixture(scope="module")
def learnt() -> Learnt:
    values, target = training()
    layer = NumericEmbedding(BINS)
    layer.build((None, values.shape[1]))
    layer.learn(values, target)
    return layer, values, target


def split_up(output: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pieces (row, feature, bin), scaled and missing (row, feature)."""
    return output[:, :, :BINS], output[:, :, BINS], output[:, :, BINS + 1]


def edges_of(layer: NumericEmbedding) -> tuple[np.ndarray, np.ndarray]:
    """Return start and width of every piece, (feature, bin); width 0 where a piece is not used."""
    slope = np.asarray(layer.slope, np.float64)
    return np.asarray(layer.start, np.float64), np.where(slope > 0, 1 / np.where(slope > 0, slope, 1), 0)


# === Preprocessing ===


def test_pieces_are_below_0_above_1_and_the_fraction_between(learnt: Learnt) -> None:
    layer, values, _ = learnt
    median = [np.median(column[~np.isnan(column)]) if (~np.isnan(column)).any() else 0.0 for column in values.T]
    filled = np.where(np.isnan(values), np.array(median, np.float32), values).astype(np.float64)
    start, width = edges_of(layer)
    inside = (filled[:, :, None] - start) / np.where(width > 0, width, 1)
    expected = np.where(width > 0, np.clip(inside, 0, 1), 0)
    np.testing.assert_allclose(split_up(np.asarray(layer(values)))[0], expected, atol=2e-4)


def test_edges_span_the_training_values_and_split_the_frauds(learnt: Learnt) -> None:
    layer, values, target = learnt
    start, width = edges_of(layer)
    for_amounts = np.append(start[0], start[0, -1] + width[0, -1])
    column = values[:, 0]
    assert (width[0] > 0).all() and for_amounts[0] == column.min()
    np.testing.assert_allclose(for_amounts[-1], column.max(), rtol=1e-5)
    wanted = [*np.quantile(column, [1 / 3, 2 / 3]), *np.quantile(column[target == 1], [1 / 3, 2 / 3])]
    np.testing.assert_allclose(for_amounts[1:-1], sorted(wanted), rtol=1e-5)


def test_a_scaled_copy_has_mean_0_and_deviation_1(learnt: Learnt) -> None:
    layer, values, _ = learnt
    _, scaled, _ = split_up(np.asarray(layer(values)))
    np.testing.assert_allclose(scaled[:, :2].mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(scaled[:, :2].std(axis=0), 1, atol=2e-2)
    logs = np.log1p(values[:, 0].astype(np.float64))
    np.testing.assert_allclose(scaled[:, 0], (logs - logs.mean()) / logs.std(), atol=1e-3)


def test_missing_numbers_are_marked_and_taken_as_the_median(learnt: Learnt) -> None:
    layer, values, _ = learnt
    pieces, scaled, missing = split_up(np.asarray(layer(values)))
    np.testing.assert_array_equal(missing, np.isnan(values))
    typical = values[:1].copy()
    typical[0, 1] = np.median(values[:, 1][~np.isnan(values[:, 1])])
    at_median = split_up(np.asarray(layer(typical)))
    gap = int(np.flatnonzero(np.isnan(values[:, 1]))[0])
    np.testing.assert_array_equal(pieces[gap, 1], at_median[0][0, 1])
    assert scaled[gap, 1] == at_median[1][0, 1]


def test_constant_and_missing_columns_stay_finite(learnt: Learnt) -> None:
    layer, values, _ = learnt
    extreme = np.array([[3e38, -3e38, 0.0, 5.0, np.nan], [-1e30, 1e30, 1e30, -1e30, 1e30]], np.float32)
    output = np.asarray(layer(np.concatenate([values, extreme])))
    assert np.isfinite(output).all() and np.abs(output).max() <= CLIP
    assert not split_up(output)[0][:, 2:4].any()  # a column that never changes has no pieces


# === Members ===


def test_member_scale_is_every_member_for_itself() -> None:
    keras.utils.set_random_seed(0)
    layer = MemberScale(3)
    inputs = np.random.default_rng(0).normal(size=(6, 4, 2)).astype(np.float32)
    output = np.asarray(layer(inputs))
    scale = np.asarray(layer.scale)
    assert set(np.unique(scale)) == {-1.0, 1.0} and output.shape == (6, 3, 8)
    expected = np.stack([(inputs * scale[member]).reshape(6, 8) for member in range(3)], axis=1)
    np.testing.assert_array_equal(output, expected)


def test_member_head_is_every_member_for_itself() -> None:
    keras.utils.set_random_seed(0)
    layer = MemberHead(prior=-2.5)
    inputs = np.random.default_rng(0).normal(size=(6, 3, 4)).astype(np.float32)
    output = np.asarray(layer(inputs))
    kernel = np.asarray(layer.kernel)
    expected = np.stack([inputs[:, member] @ kernel[member] - 2.5 for member in range(3)], axis=1)
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)


def test_calibration_starts_as_a_sigmoid_and_takes_slope_and_shift() -> None:
    layer, logit = Calibration(), np.array([[-3.0], [0.0], [2.0]], np.float32)
    np.testing.assert_allclose(layer(logit), 1 / (1 + np.exp(-logit)), rtol=1e-6)
    layer.set(2.0, -1.0)
    np.testing.assert_allclose(layer(logit), 1 / (1 + np.exp(1 - 2 * logit)), rtol=1e-6)
    assert layer.trainable_weights == []


# === Through a file ===


@pytest.mark.parametrize(
    ("layer", "setting", "value"),
    [(NumericEmbedding(7), "bins", 7), (MemberScale(5), "members", 5), (MemberHead(prior=-1.25), "prior", -1.25)],
)
def test_settings_survive_a_config(layer: keras.layers.Layer, setting: str, value: float) -> None:
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer) and getattr(again, setting) == value


@pytest.mark.parametrize("layer", [NumericEmbedding(7), MemberScale(5), MemberHead()])
def test_shapes_are_told_without_running(layer: keras.layers.Layer) -> None:
    shape = (2, 3) if isinstance(layer, NumericEmbedding) else (2, 3, 4)
    assert layer.compute_output_shape(shape) == tuple(layer(np.zeros(shape, np.float32)).shape)


def through_a_file(layer: NumericEmbedding, values: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what Keras and the device file of ``layer`` alone, taught by the two, say of ``values``."""
    numbers = keras.Input((values.shape[1],), name="numeric")
    model = keras.Model({"numeric": numbers}, {"pieces": layer(numbers)})
    layer.learn(values, target)
    return np.asarray(layer(values)), Engine(convert(model)).predict({"numeric": values})["pieces"]


@pytest.mark.parametrize("constant", [7.3, -0.1, 1e6, 12_345.678, 1e-3])
def test_a_constant_column_says_nothing_and_so_alike_on_a_device(constant: float) -> None:
    target = (np.arange(ROWS) % 5 == 0).astype(np.float32)
    values = np.full((ROWS, 2), constant, np.float32)
    values[:, 1] = np.nextafter(values[:, 1], np.where(target, np.inf, -np.inf).astype(np.float32))
    layer = NumericEmbedding(BINS)
    in_keras, on_device = through_a_file(layer, values, target)
    assert np.asarray(layer.scale).tolist() == [0, 0]
    assert not split_up(in_keras)[1].any() and not in_keras[:, 0].any()
    np.testing.assert_allclose(on_device, in_keras, atol=1e-5)


def test_a_column_that_varies_is_scaled_and_alike_on_a_device() -> None:
    values, target = training()
    layer = NumericEmbedding(BINS)
    in_keras, on_device = through_a_file(layer, values, target)
    assert (np.asarray(layer.scale) > 0).tolist() == [True, True, False, False, True]
    np.testing.assert_allclose(on_device, in_keras, atol=1e-5)


def test_a_piece_too_narrow_to_divide_by_is_left_out() -> None:
    layer = NumericEmbedding(4)
    layer.build((None, 1))
    column = np.repeat(np.array([0.0, 1e-38, 2e-38, 1.0, 2.0], np.float32), 40)
    layer.learn(column[:, None], np.zeros(200, np.float32))
    slope = np.asarray(layer.slope)
    assert np.isfinite(slope).all() and (slope > 0).any() and slope.max() < 10
    assert np.isfinite(np.asarray(layer(np.array([[0.0], [1e-38], [1e30], [-1e30]], np.float32)))).all()


def test_a_saved_model_answers_the_same(tmp_path: Path, learnt: Learnt) -> None:
    _, values, target = learnt
    numbers = keras.Input((values.shape[1],), name="numeric")
    embedding = NumericEmbedding(BINS)
    members = MemberScale(2)(embedding(numbers))
    output = Calibration()(MemberHead(prior=-1.0)(members))
    model = keras.Model({"numeric": numbers}, {"probability": output})
    embedding.learn(values, target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of h5py and numpy, while a file is written
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    before, after = (part({"numeric": values})["probability"].numpy() for part in (model, again))
    np.testing.assert_array_equal(before, after)
    assert np.ptp(before) > 0.01


def test_sure_frauds_keep_their_order_in_float32() -> None:
    logits = np.linspace(-40, 60, 101, dtype=np.float32)[:, None]
    layer = Calibration()
    probability = layer(logits).numpy().reshape(-1)
    assert (np.diff(probability) > 0).all()
    assert probability.max() < 1


def test_below_certainty_calibration_is_a_plain_sigmoid() -> None:
    logits = np.linspace(-10, 6, 33, dtype=np.float32)[:, None]
    np.testing.assert_allclose(Calibration()(logits).numpy(), 1 / (1 + np.exp(-logits)), rtol=1e-5)
