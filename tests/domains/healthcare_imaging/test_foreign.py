"""Foreign images: of the kind they claim, repeatable, in grey and colour."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.healthcare_imaging.foreign import KINDS, foreign_images
from edgekit.shared.errors import ConfigError


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_in_the_form_asked_for_and_by_the_seed(kind: str, channels: int) -> None:
    images = foreign_images(kind, 7, size=40, channels=channels, seed=0)
    assert images.shape == (7, 40, 40, channels) and images.dtype == np.uint8
    np.testing.assert_array_equal(images, foreign_images(kind, 7, size=40, channels=channels, seed=0))
    assert not np.array_equal(images, foreign_images(kind, 7, size=40, channels=channels, seed=1))
    assert len({image.tobytes() for image in images}) == 7


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [28, 45])
def test_any_size_works(kind: str, size: int) -> None:
    assert foreign_images(kind, 12, size=size, channels=1, seed=0).shape == (12, size, size, 1)


def test_photographs_have_colours_and_the_others_none() -> None:
    spread = {kind: np.ptp(foreign_images(kind, 6, size=40, channels=3, seed=0), axis=3).mean() for kind in KINDS}
    assert spread.pop("photograph") > 20
    assert set(spread.values()) == {0}


def test_handwriting_is_black_on_white_and_white_on_black_from_one_digit_to_nine() -> None:
    images = foreign_images("handwriting", 60, size=48, channels=1, seed=0)
    corners = images[:, -1, -1, 0]
    assert {0, 255} <= set(corners)
    ink = np.where(
        np.median(images, axis=(1, 2, 3)) > 127, 255 - images.mean(axis=(1, 2, 3)), images.mean(axis=(1, 2, 3))
    )
    assert ink.min() < 15 and ink.max() > 50


def test_text_is_dark_on_light_with_sharp_strokes() -> None:
    images = foreign_images("text page", 10, size=96, channels=1, seed=0).astype(int)
    assert np.median(images, axis=(1, 2, 3)).min() >= 200
    assert images.min(axis=(1, 2, 3)).max() < 110
    assert (np.abs(np.diff(images, axis=2)) > 60).mean() > 0.03


def test_noise_is_white_pink_and_salt_and_pepper_in_turn() -> None:
    images = foreign_images("noise", 6, size=64, channels=1, seed=0)[..., 0].astype(float)
    neighbours = [np.corrcoef(image[:, 1:].ravel(), image[:, :-1].ravel())[0, 1] for image in images]
    assert np.abs(neighbours[0::3]).max() < 0.1 and np.abs(neighbours[2::3]).max() < 0.1
    assert min(neighbours[1::3]) > 0.5
    assert all(set(np.unique(image)) == {0, 128, 255} for image in images[2::3])


def test_blank_images_hold_next_to_nothing() -> None:
    images = foreign_images("blank", 30, size=40, channels=1, seed=0).astype(int)
    assert not np.ptp(images[0::3], axis=(1, 2, 3)).any()
    assert np.ptp(images[1::3], axis=(1, 2, 3)).max() <= 12
    assert images[2::3].std(axis=(1, 2, 3)).max() < 2.1
    assert np.ptp(images[:, 0, 0, 0]) > 100


def test_an_unknown_kind_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="photograph"):
        foreign_images("photografh", 1, size=32, channels=1, seed=0)


def test_two_channels_are_refused() -> None:
    with pytest.raises(ConfigError, match="channels=2"):
        foreign_images("noise", 1, size=32, channels=2, seed=0)
