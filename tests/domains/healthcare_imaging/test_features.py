"""Frames become square canvases in the same way everywhere, and a plan is read with suspicion."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit.domains.healthcare_imaging.features import Plan, to_canvas

PLAN = Plan(48, 1, "pad", 2, ("normal", "pneumonia"), 0, False)
RNG = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape).astype(np.uint8)


# === Canvases ===


@pytest.mark.parametrize("fit", ["pad", "crop"])
@pytest.mark.parametrize(("shape", "channels"), [((28, 28), 1), ((28, 28, 1), 1), ((28, 28, 3), 3)])
def test_a_frame_that_fits_keeps_every_bit(shape: tuple[int, ...], channels: int, fit: str) -> None:
    frame = noise(*shape)
    canvas = to_canvas(frame, size=28, channels=channels, fit=fit)
    assert canvas.dtype == np.uint8 and canvas.flags.c_contiguous
    np.testing.assert_array_equal(canvas, frame.reshape(28, 28, channels))


def test_pad_shows_all_of_the_frame_in_the_middle_of_black() -> None:
    canvas = to_canvas(np.full((10, 40), 200, np.uint8), size=20, channels=1, fit="pad")[..., 0]
    assert np.flatnonzero(canvas.any(axis=1)).tolist() == [7, 8, 9, 10, 11]  # (20 - 5) // 2 rows above
    assert (canvas[7:12] == 200).all()


def test_crop_takes_the_middle_square() -> None:
    frame = np.zeros((10, 30), np.uint8)
    frame[:, 10:20] = 150
    assert (to_canvas(frame, size=10, channels=1, fit="crop") == 150).all()


def test_an_odd_rest_of_a_crop_goes_to_the_end() -> None:
    frame = np.tile(np.arange(11, dtype=np.uint8), (8, 1))
    assert to_canvas(frame, size=8, channels=1, fit="crop")[0, :, 0].tolist() == list(range(1, 9))


def test_shrinking_antialiases() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    canvas = to_canvas(stripes, size=16, channels=1, fit="pad")
    assert np.abs(canvas[2:-2, 2:-2].astype(int) - 128).max() <= 8


def test_enlarging_keeps_flat_regions_and_never_wraps() -> None:
    edge = np.zeros((8, 8), np.uint8)
    edge[:, 4:] = 255
    canvas = to_canvas(edge, size=64, channels=1, fit="pad")[..., 0]
    assert (canvas[:, :20] <= 3).all() and (canvas[:, 44:] >= 252).all()


@pytest.mark.parametrize(("colour", "luma"), [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29), ((9, 9, 9), 9)])
def test_colour_becomes_grey_by_its_luma(colour: tuple[int, int, int], luma: int) -> None:
    frame = np.full((8, 8, 3), colour, np.uint8)
    assert (to_canvas(frame, size=8, channels=1, fit="pad") == luma).all()


def test_grey_becomes_three_equal_channels() -> None:
    frame = noise(8, 8)
    np.testing.assert_array_equal(to_canvas(frame, size=8, channels=3, fit="pad"), np.stack([frame] * 3, axis=-1))


def test_resizing_is_pillows_bicubic() -> None:
    frame = noise(40, 40)
    expected = np.asarray(Image.fromarray(frame).resize((16, 16), Image.Resampling.BICUBIC))
    assert np.abs(to_canvas(frame, size=16, channels=1, fit="pad")[..., 0].astype(int) - expected).max() <= 2


@pytest.mark.parametrize("shape", [(1, 500), (500, 1), (1, 1), (3, 7), (2000, 9)])
@pytest.mark.parametrize("fit", ["pad", "crop"])
def test_any_shape_becomes_a_square(shape: tuple[int, int], fit: str) -> None:
    canvas = to_canvas(np.full(shape, 255, np.uint8), size=28, channels=3, fit=fit)
    assert canvas.shape == (28, 28, 3) and canvas.max() == 255


def test_a_view_is_as_good_as_a_copy() -> None:
    frame = noise(30, 20)
    turned = to_canvas(frame.T[::-1], size=12, channels=1, fit="pad")
    np.testing.assert_array_equal(turned, to_canvas(frame.T[::-1].copy(), size=12, channels=1, fit="pad"))


@pytest.mark.parametrize(
    ("frame", "options"),
    [
        (np.zeros((8, 8)), {}),
        (np.zeros((8, 8), np.uint16), {}),
        (np.zeros((8, 8, 2), np.uint8), {}),
        (np.zeros((8,), np.uint8), {}),
        (np.zeros((0, 8), np.uint8), {}),
        (np.zeros((8, 8), np.uint8), {"channels": 2}),
        (np.zeros((8, 8), np.uint8), {"fit": "stretch"}),
        (np.zeros((8, 8), np.uint8), {"size": 0}),
    ],
)
def test_other_frames_and_wishes_are_refused(frame: np.ndarray, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected|must be"):
        to_canvas(frame, **{"size": 8, "channels": 1, "fit": "pad", **options})


# === The plan ===


def test_a_plan_survives_json() -> None:
    assert Plan.from_json(json.loads(json.dumps(PLAN.as_json()))) == PLAN


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", 0), ("size", 10**9), ("size", 48.0), ("size", True), ("size", "48"), ("size", None),
        ("channels", 2), ("channels", True), ("channels", 1.0), ("channels", [1]),
        ("fit", "auto"), ("fit", 1), ("axis", 3), ("axis", -1), ("axis", True), ("axis", 1.0),
        ("multi_label", 0), ("multi_label", "no"),
        ("classes", []), ("classes", ["one"]), ("classes", ["a", "a"]), ("classes", ["a", 3]), ("classes", "ab"),
        ("classes", ["a", ""]), ("classes", ["a", "b\n"]), ("classes", ["a", "b" * 201]), ("classes", None),
        ("classes", [str(number) for number in range(1001)]), ("classes", {"a": 1, "b": 2}),
        ("normal", 2), ("normal", -1), ("normal", 0.0), ("normal", False), ("normal", "normal"),
    ],
)  # fmt: skip
def test_a_hostile_plan_is_refused_with_its_key(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=key):
        Plan.from_json({**PLAN.as_json(), key: value})


@pytest.mark.parametrize("value", [None, [], "plan", 3, {}, {**PLAN.as_json(), "more": 1}, {"size": 48}])
def test_what_is_no_plan_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="exactly the keys"):
        Plan.from_json(value)


def test_every_problem_of_a_plan_is_listed() -> None:
    with pytest.raises(ValueError, match="channels.*axis.*size.*normal"):
        Plan.from_json({**PLAN.as_json(), "channels": 4, "axis": 9, "size": -1, "normal": 7})


def test_one_class_is_enough_for_a_multi_label_plan() -> None:
    assert Plan.from_json({**PLAN.as_json(), "classes": ["finding"], "multi_label": True}).classes == ("finding",)
