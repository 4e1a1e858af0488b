"""Variations of training images: repeatable, in range, and labels only move where images are blended."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from edgekit.domains.healthcare_imaging.augment import VARIATIONS, Variation, augmenter

NONE = Variation(**{field.name: 0 for field in fields(Variation)})  # type: ignore[arg-type]
TRUTH = np.eye(4, dtype=np.float32)[np.arange(16) % 4]
WEIGHT = np.linspace(0.5, 2, 16, dtype=np.float32)


def images(size: int = 28, channels: int = 1, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(20, 236, (16, 7, 7, channels))
    return np.kron(coarse, np.ones((1, size // 7, size // 7, 1))).astype(np.uint8)


def varied(
    given: np.ndarray, variation: Variation, *, step: int = 1, mixup: float = 0.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    augment = augmenter(variation, mixup=mixup, seed=seed)
    batch: Any = ({"image": tf.constant(given)}, tf.constant(TRUTH), tf.constant(WEIGHT))
    inputs, target, weight = augment(tf.constant(step, tf.int64), batch)
    return inputs["image"].numpy(), target.numpy(), weight.numpy()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("modality", VARIATIONS)
def test_every_modality_keeps_form_labels_and_weights(modality: str, channels: int) -> None:
    given = images(channels=channels)
    made, target, weight = varied(given, VARIATIONS[modality])
    assert made.shape == given.shape and made.dtype == np.uint8
    assert (made != given).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(target, TRUTH)
    np.testing.assert_array_equal(weight, WEIGHT)


@pytest.mark.parametrize("modality", VARIATIONS)
def test_without_moves_an_image_stays_more_like_itself_than_like_others(modality: str) -> None:
    given, still = images(), {"mirror": False, "flip": False, "turn": 0.0, "zoom": 0.0, "shift": 0.0}
    made = varied(given, replace(VARIATIONS[modality], **still))[0]  # type: ignore[arg-type]
    alike = np.corrcoef(made.reshape(16, -1), given.reshape(16, -1))[:16, 16:]
    assert alike.argmax(axis=1).tolist() == list(range(16)) and alike.diagonal().min() > 0.6


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("modality", VARIATIONS)
def test_the_darkest_and_brightest_images_stay_in_range(modality: str, level: int) -> None:
    made = varied(np.full((16, 28, 28, 1), level, np.uint8), VARIATIONS[modality])[0].astype(int)
    assert (abs(made - level) < 200).all()  # nothing wraps round from 0 to 255


def test_no_variation_changes_nothing_but_the_deepest_black() -> None:
    given = images()
    made = varied(given, NONE)[0]
    assert np.abs(made.astype(int) - given).max() <= 1


def test_the_same_step_and_seed_give_the_same_images() -> None:
    given = images()
    first, again = (varied(given, VARIATIONS["mr"])[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    for other in (varied(given, VARIATIONS["mr"], step=2)[0], varied(given, VARIATIONS["mr"], seed=1)[0]):
        assert (other != first).any(axis=(1, 2, 3)).all()


def test_equal_images_of_a_batch_vary_differently() -> None:
    made = varied(np.repeat(images()[:1], 16, axis=0), VARIATIONS["xray"])[0]
    assert len({image.tobytes() for image in made}) == 16


def test_mirroring_turns_half_of_the_images_exactly() -> None:
    given = images()
    made = varied(given, replace(NONE, mirror=True))[0].astype(int)
    same = np.abs(made - given).max(axis=(1, 2, 3)) <= 1
    mirrored = np.abs(made - given[:, :, ::-1]).max(axis=(1, 2, 3)) <= 1
    assert (same ^ mirrored).all() and 2 < mirrored.sum() < 14


def test_flipping_turns_up_and_down() -> None:
    given = images()
    made = varied(given, replace(NONE, flip=True))[0].astype(int)
    flipped = np.abs(made - given[:, ::-1]).max(axis=(1, 2, 3)) <= 1
    assert 2 < flipped.sum() < 14


@pytest.mark.parametrize("shift", [0.1, 0.25])
def test_a_shift_stays_within_its_reach(shift: float) -> None:
    given = np.zeros((16, 28, 28, 1), np.uint8)
    given[:, 13:15, 13:15] = 255
    made = varied(given, replace(NONE, shift=shift))[0].astype(float)
    place = np.arange(28)
    centres = np.stack([(made.sum(axis=(2, 3)) @ place), (made.sum(axis=(1, 3)) @ place)]) / made.sum(axis=(1, 2, 3))
    away = np.abs(centres - 13.5)
    assert away.max() < shift * 28 + 0.6 and away.max() > shift * 14


def test_tones_move_levels_and_shapes_stay() -> None:
    given = images()
    made = varied(given, replace(NONE, tone=1.0))[0]
    for one, other in zip(made, given, strict=True):
        levels = np.unique(other)
        assert all(np.ptp(one[other == level]) == 0 for level in levels)  # each level goes to one level
        assert len(levels) > 10


@pytest.mark.parametrize(("erase", "low", "high"), [(1.0, 15, 16), (0.5, 2, 14)])
def test_erasing_paints_one_even_patch_over_a_share_of_the_images(erase: float, low: int, high: int) -> None:
    given = images()
    made = varied(given, replace(NONE, erase=erase))[0].astype(int)
    changed = np.abs(made - given) > 1
    assert low <= changed.any(axis=(1, 2, 3)).sum() <= high
    patches = [one[where] for one, where in zip(made, changed, strict=True) if where.any()]
    assert all(np.ptp(patch) == 0 for patch in patches) and max(map(len, patches)) <= (2 * 28 / 5 + 1) ** 2


def test_blending_blends_label_and_image_alike() -> None:
    given = np.broadcast_to(np.linspace(10, 240, 16).astype(np.uint8)[:, None, None, None], (16, 28, 28, 1))
    truth = np.linspace(10, 240, 16).astype(np.uint8).astype(np.float32)
    augment = augmenter(NONE, mixup=1.0, seed=3)
    batch: Any = ({"image": tf.constant(given)}, tf.constant(truth[:, None]), tf.constant(WEIGHT))
    inputs, target, _ = augment(tf.constant(1, tf.int64), batch)
    blended = inputs["image"].numpy()[:, 0, 0, 0]
    assert np.abs(blended - target.numpy()[:, 0]).max() <= 1  # the label is the level, and both are blended
    assert (np.abs(blended - truth) > 2).sum() > 10
    own = (target.numpy()[:, 0] - truth[::-1]) / (truth - truth[::-1])
    assert own.min() >= 0.5 - 1e-5 and own.max() <= 1  # its own image counts most


def test_mixup_blends_a_share_and_labels_stay_probabilities() -> None:
    _, target, _ = varied(images(), VARIATIONS["xray"], mixup=0.5, seed=1)
    np.testing.assert_allclose(target.sum(axis=1), 1, rtol=1e-6)
    assert 2 < (target.max(axis=1) < 1).sum() < 14


@pytest.mark.parametrize("size", [28, 49, 96 // 7 * 7])
def test_any_size_is_varied(size: int) -> None:
    made = varied(images(size), VARIATIONS["pathology"])[0]
    assert made.shape == (16, size, size, 1)
