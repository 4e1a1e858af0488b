"""The simple models: features worked by hand, tuning on validation, and answers of the network's form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from edgekit.domains.healthcare_imaging import rivals as module
from edgekit.domains.healthcare_imaging.config import ImagingConfig
from edgekit.domains.healthcare_imaging.evaluate import decide, evaluate
from edgekit.domains.healthcare_imaging.features import Plan
from edgekit.domains.healthcare_imaging.rivals import oriented_gradients, pixels, rivals
from edgekit.domains.healthcare_imaging.verdicts import PROBABILITY, SUSPICION, suspicion
from edgekit.shared.domain import Examples, Predictor, Prepared

CONFIG = ImagingConfig()
NAMES = ["pca_logistic_regression", "hog_hist_gradient_boosting"]


def examples(rows: int, classes: int, *, seed: int, several: bool = False, channels: int = 1) -> Examples:
    """Return noise with a bright square in the quadrant of each class but the first."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 120, (rows, 28, 28, channels)).astype(np.uint8)
    truth = (rng.random((rows, classes)) < 0.4).astype(np.uint8) if several else rng.integers(0, classes, rows)
    given = truth if several else np.eye(classes, dtype=int)[truth]
    for code in range(0 if several else 1, classes):
        down, right = divmod(code, 2)
        images[given[:, code] > 0, 14 * down + 4 : 14 * down + 10, 14 * right + 4 : 14 * right + 10] += 100
    finding = given.any(axis=1) if several else truth != 0
    context = {"unit": np.arange(rows), "finding": finding.astype(np.int64), "normal": np.zeros(rows, np.int64)}
    return Examples({"image": images}, truth, context)


def prepared(classes: int, *, several: bool = False, channels: int = 1) -> Prepared:
    plan = Plan(28, channels, "pad", 2, ("normal", "b", "c", "d")[:classes], 0, several)
    parts = (
        examples(rows, classes, seed=seed, several=several, channels=channels)
        for seed, rows in enumerate((150, 60, 60))
    )
    return Prepared(plan, *parts)


CASES = {"two": (2, False, 1), "four": (4, False, 3), "several": (3, True, 1)}
Made = tuple[Prepared, dict[str, Predictor], list[str]]


def tuned(given: Prepared, *, seed: int = 0) -> Made:
    """Tune on a grid that takes a second."""
    small = {"COMPONENTS": (1, 16, 2), "STRENGTHS": (0.1,), "LEAVES": (4,), "TREES": 8}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in small.items():
            patch.setattr(module, name, value)
        lines = list[str]()
        return given, rivals(given, CONFIG, seed=seed, report=lines.append), lines


@pytest.fixture(scope="module", params=CASES)
def made(request: pytest.FixtureRequest) -> Made:
    classes, several, channels = CASES[request.param]
    return tuned(prepared(classes, several=several, channels=channels))


# === Features ===


def test_pixels_are_levels_of_every_channel() -> None:
    images = np.zeros((2, 28, 28, 3), np.uint8)
    images[1] = (0, 51, 102)
    made = pixels(images)
    assert made.shape == (2, 784 * 3) and made.dtype == np.float32
    np.testing.assert_allclose(made[1].reshape(28, 28, 3), np.broadcast_to([0, 0.2, 0.4], (28, 28, 3)), rtol=1e-6)
    assert pixels(images[..., :1]).shape == (2, 784)


def test_gradients_of_colour_come_with_its_mean_and_spread() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 3)).astype(np.uint8)
    made, level = oriented_gradients(images), images / 255
    assert made.shape == (3, 7 * 7 * 9 + 6) and made.dtype == np.float32
    np.testing.assert_allclose(made[:, 441:444], level.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(made[:, 444:], level.std(axis=(1, 2)), rtol=1e-4)
    grey = np.repeat(images[..., :1], 3, axis=3)
    np.testing.assert_allclose(oriented_gradients(grey)[:, :441], oriented_gradients(grey[..., :1]), atol=1e-6)


def test_a_disease_that_shows_in_colour_alone_is_found_by_both() -> None:
    given = prepared(2, channels=3)
    for part in (given.train, given.validation, given.test):
        level = np.random.default_rng(0).integers(60, 180, (len(part), 28, 28, 1))
        hue = np.where(part.target[:, None, None, None] > 0, (20, 0, -20), (-20, 0, 20))  # of equal brightness
        part.inputs["image"] = (level + hue).astype(np.uint8)
    for predict in tuned(given)[1].values():
        assert evaluate(predict(given.test.inputs), given.test, CONFIG)["auc"].compute(None) > 0.95


@pytest.mark.parametrize(("size", "edge"), [(28, 28), (64, 64), (65, 32), (96, 48), (128, 64), (224, 56), (512, 64)])
def test_large_images_are_averaged_down(size: int, edge: int) -> None:
    ramp = np.broadcast_to(np.arange(size)[None, None, :, None] % 256, (1, size, size, 1)).astype(np.uint8)
    made = pixels(ramp).reshape(edge, edge)
    step = size // edge
    expected = ramp[0, 0, : edge * step, 0].reshape(edge, step).mean(axis=1) / 255
    np.testing.assert_allclose(made[3], expected, rtol=1e-5)


@pytest.mark.parametrize(("axis", "orientation"), [(2, 0), (1, 4)])
def test_a_slope_fills_the_bin_of_its_direction(axis: int, orientation: int) -> None:
    ramp = np.moveaxis(np.broadcast_to(np.arange(28) * 9, (1, 28, 28)), 2, axis)[..., None].astype(np.uint8)
    made = oriented_gradients(ramp).reshape(7, 7, 9)
    assert np.flatnonzero(made.sum(axis=(0, 1))).tolist() == [orientation]
    np.testing.assert_allclose(made[..., orientation], (1 / 7) ** 0.5, rtol=1e-4)  # of 49 equal cells


def test_gradients_know_no_sign_and_no_contrast() -> None:
    image = np.random.default_rng(0).integers(0, 120, (1, 28, 28, 1)).astype(np.uint8)
    np.testing.assert_allclose(oriented_gradients(image), oriented_gradients(2 * image), atol=1e-5)
    np.testing.assert_allclose(oriented_gradients(image), oriented_gradients(255 - image), atol=1e-5)


def test_a_blank_image_has_no_gradient() -> None:
    assert (oriented_gradients(np.full((1, 28, 28, 1), 9, np.uint8)) == 0).all()


@pytest.mark.parametrize(("size", "channels", "count"), [(28, 1, 4), (28, 3, 1), (56, 1, 1), (14, 1, 16)])
def test_images_are_read_in_parts_of_so_many_bytes_and_in_their_order(
    monkeypatch: pytest.MonkeyPatch, size: int, channels: int, count: int
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (35, size, size, channels)).astype(np.uint8)
    whole = [feature(images) for feature in (pixels, oriented_gradients)]
    monkeypatch.setattr(module, "_PART_BYTES", 4 * 4 * 28 * 28 + 100)  # four images of 28 pixels as float32
    assert [len(part) for part in module._parts(images)] == [count] * (35 // count) + [35 % count] * (35 % count > 0)
    for feature, expected in zip((pixels, oriented_gradients), whole, strict=True):
        np.testing.assert_array_equal(feature(images), expected)


# === Models ===


def test_rivals_learn_and_answer_as_the_network_does(made: Made) -> None:
    given, predictors, lines = made
    assert list(predictors) == NAMES and len(lines) == 4
    classes, several = len(given.plan.classes), given.plan.multi_label
    for predict in predictors.values():
        answers = predict(given.test.inputs)
        probability = answers[PROBABILITY]
        assert probability.shape == (60, classes) and probability.dtype == np.float32
        assert answers[SUSPICION].shape == (60, 1)
        np.testing.assert_array_equal(answers[SUSPICION], suspicion(probability, normal=0, multi_label=several))
        assert several or np.abs(probability.sum(axis=1) - 1).max() < 1e-5
        point = decide(predict(given.validation.inputs), given.validation, CONFIG)
        assert evaluate(answers, given.test, CONFIG, threshold=point)["auc"].compute(None) > 0.85


@pytest.mark.parametrize("made", ["several"], indirect=True)
def test_the_one_with_the_highest_validation_area_is_kept(made: Made) -> None:
    given, predictors, lines = made
    told = [float(line.split()[-1]) for line in lines if line.startswith("pixels")]
    answers = predictors["pca_logistic_regression"](given.validation.inputs)
    assert len(told) == 3 and told[1] > max(told[0], told[2])  # neither the first nor the last
    assert evaluate(answers, given.validation, CONFIG)["auc"].compute(None) == pytest.approx(max(told), abs=6e-5)


def test_the_test_split_is_never_looked_at() -> None:
    given = prepared(2)
    blind = Prepared(given.plan, given.train, given.validation, None)  # type: ignore[arg-type]
    one, other = (tuned(those)[1] for those in (given, blind))
    for name in NAMES:
        found = (predict(given.test.inputs)[PROBABILITY] for predict in (one[name], other[name]))
        np.testing.assert_array_equal(*found)


def test_a_class_that_training_lacks_has_probability_0() -> None:
    plan = Plan(28, 1, "pad", 2, ("normal", "b", "c"), 0, False)
    matrix = np.random.default_rng(0).normal(size=(20, 3))
    model: Any = LogisticRegression().fit(matrix, np.resize([0, 2], 20))
    answers = module._answers(model, matrix, plan)
    assert (answers[PROBABILITY][:, 1] == 0).all()
    np.testing.assert_allclose(answers[PROBABILITY].sum(axis=1), 1, rtol=1e-6)


def test_few_training_images_leave_fewer_components() -> None:
    given = prepared(2)
    few = Prepared(given.plan, given.train.take(slice(12)), given.validation, given.test)
    predict = tuned(few)[1]["pca_logistic_regression"]
    assert np.isfinite(predict(given.test.inputs)[PROBABILITY]).all()


def test_a_large_set_is_thinned_evenly_and_repeatably(monkeypatch: pytest.MonkeyPatch) -> None:
    train, lines = examples(100, 2, seed=0), list[str]()
    assert module._thinned(train, 0, lines.append) is train and not lines
    monkeypatch.setattr(module, "MAX_TUNING_IMAGES", 40)
    units = [module._thinned(train, seed, lines.append).context["unit"] for seed in (0, 0, 1)]
    assert lines == ["the rivals learn from 40 of 100 training images"] * 3
    assert len(set(units[0])) == 40 and (np.diff(units[0]) > 0).all()
    assert np.array_equal(units[0], units[1]) and not np.array_equal(units[0], units[2])
