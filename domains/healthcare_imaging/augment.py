"""Variations of training images that a patient, a machine or a technician could have caused, by modality."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

Batch = tuple[dict[str, Any], Any, Any]


@dataclass(frozen=True)
class Variation:
    """How far images are varied; 0 leaves a property as it is.

    Attributes:
        mirror, flip: whether left and right, or up and down, may change places.
        turn: largest rotation in degrees.
        shear: largest shear.
        zoom: largest change of scale, as a share; half of it stretches one axis alone.
        shift: largest shift, as a share of the edge.
        sharpness: 0 … 1, from blurred to sharpened; a fifth of this share is blurred once more.
        tone: 0 … 1, of gamma, contrast and brightness.
        shading: 0 … 1, of smooth uneven exposure.
        noise: standard deviation of added noise, as a share of white.
        erase: share of images with a patch painted over.
    """

    mirror: bool = True
    flip: bool = False
    turn: float = 6.0
    shear: float = 0.05
    zoom: float = 0.11
    shift: float = 0.055
    sharpness: float = 1.0
    tone: float = 1.0
    shading: float = 0.0
    noise: float = 0.02
    erase: float = 0.0


VARIATIONS = {
    "xray": Variation(),
    "ct": Variation(tone=0.3, sharpness=0.6),
    "mr": Variation(turn=10, tone=0.5, sharpness=0.6, shading=0.5),
    "ultrasound": Variation(turn=8, zoom=0.15, tone=0.6, shading=0.5, noise=0.04),
    "pathology": Variation(flip=True, turn=180, tone=0.4, sharpness=0.6, noise=0.01),
}
"""X-ray: exposure and sharpness vary most, people stand upright. CT: levels are calibrated, so tones hardly vary. MR:
levels have no unit and coils shade. Ultrasound: gain, depth and speckle vary. Pathology: no up or down."""


def augmenter(variation: Variation, *, mixup: float, seed: int) -> Callable[[Any, Batch], Batch]:
    """Return a function of (step number, batch) that varies the images of the batch, the same at the same step.

    Args:
        variation: how far.
        mixup: share of images that are blended with another (Zhang et al. 2018, ICLR).
        seed: of all draws.
    """

    def augment(step: Any, batch: Batch) -> Batch:
        inputs, target, weight = batch
        seeds = _seeds(tf.stack([tf.cast(step, tf.int64), tf.constant(seed, tf.int64)]))
        image = tf.cast(inputs["image"], tf.float32) / 255
        image = _moved(image, variation, seeds)
        image = _exposed(image, variation, seeds)
        image = _erased(image, variation, seeds)
        if mixup:
            image, target = _mixed(image, target, mixup, seeds)
        return {"image": tf.cast(tf.round(tf.clip_by_value(image, 0, 1) * 255), tf.uint8)}, target, weight

    return augment


def _seeds(seed: Any) -> Iterator[Any]:
    return iter(tf.unstack(tf.random.experimental.stateless_split(seed, 40)))


def _each(image: Any, low: float, high: float, seeds: Iterator[Any]) -> Any:
    """Draw one number an image, float32 (image, 1, 1, 1)."""
    return tf.random.stateless_uniform((tf.shape(image)[0], 1, 1, 1), next(seeds), low, high)


def _moved(image: Any, variation: Variation, seeds: Iterator[Any]) -> Any:
    """Mirror, turn, scale and shift about the middle; what comes in from outside mirrors the border."""

    def draw(reach: float) -> Any:
        return tf.random.stateless_uniform((tf.shape(image)[0],), next(seeds), -reach, reach)

    edge = image.shape[1]
    middle = (edge - 1) / 2
    scale, stretch, angle = draw(variation.zoom), draw(variation.zoom / 2), draw(math.radians(variation.turn))
    mirrored = tf.where(draw(1.0) > 0, 1.0, -1.0) if variation.mirror else 1.0
    flipped = tf.where(draw(1.0) > 0, 1.0, -1.0) if variation.flip else 1.0
    across, down = tf.exp(scale + stretch) * mirrored, tf.exp(scale - stretch) * flipped
    a, b = across * tf.cos(angle), draw(variation.shear) - down * tf.sin(angle)
    c, d = across * tf.sin(angle), down * tf.cos(angle)
    right, below = draw(variation.shift * edge), draw(variation.shift * edge)
    none = tf.zeros_like(a)
    rows = (a, b, middle - (a + b) * middle + right, c, d, middle - (c + d) * middle + below, none, none)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image,
        transforms=tf.stack(rows, axis=1),
        output_shape=[edge, edge],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )


def _exposed(image: Any, variation: Variation, seeds: Iterator[Any]) -> Any:
    """Vary sharpness, gamma, mid-tone contrast, brightness, shading and noise."""
    image += _each(image, -1, 1, seeds) * variation.sharpness * (image - _blurred(image))
    once_more = _each(image, 0, 1, seeds) < 0.2 * variation.sharpness
    image = tf.clip_by_value(tf.where(once_more, _blurred(image), image), 1e-3, 1)
    tone = variation.tone
    image = tf.pow(image, tf.exp(_each(image, -0.6 * tone, 0.6 * tone, seeds)))
    image += _each(image, -0.12 * tone, 0.12 * tone, seeds) * tf.sin(2 * math.pi * image)
    mean = tf.reduce_mean(image, axis=(1, 2, 3), keepdims=True)
    contrast = tf.exp(_each(image, -0.5 * tone, 0.4 * tone, seeds))
    image = (image - mean) * contrast + mean + _each(image, -0.15 * tone, 0.15 * tone, seeds)
    if variation.shading:
        coarse = tf.random.stateless_uniform((tf.shape(image)[0], 3, 3, 1), next(seeds), -0.15, 0.15)
        image += variation.shading * tf.image.resize(coarse, image.shape[1:3], "bicubic")
    level = _each(image, 0, variation.noise, seeds)
    return image + level * tf.random.stateless_normal(tf.shape(image), next(seeds))


def _blurred(image: Any) -> Any:
    """Average over a window of a tenth of the edge, an odd number of pixels."""
    window = round(3 / 28 * image.shape[1]) // 2 * 2 + 1
    return tf.nn.avg_pool2d(image, max(3, window), 1, "SAME")


def _erased(image: Any, variation: Variation, seeds: Iterator[Any]) -> Any:
    """Paint a random patch of up to two fifths of the edge over some images (Zhong et al. 2020, AAAI)."""
    if not variation.erase:
        return image
    edge = float(image.shape[1])
    place = tf.range(edge)
    rows, columns = tf.reshape(place, (1, -1, 1, 1)), tf.reshape(place, (1, 1, -1, 1))
    high = tf.abs(rows - _each(image, 0, edge, seeds)) < _each(image, edge / 14, edge / 5, seeds)
    wide = tf.abs(columns - _each(image, 0, edge, seeds)) < _each(image, edge / 14, edge / 5, seeds)
    chosen = _each(image, 0, 1, seeds) < variation.erase
    return tf.where(high & wide & chosen, _each(image, 0, 1, seeds), image)


def _mixed(image: Any, target: Any, share: float, seeds: Iterator[Any]) -> tuple[Any, Any]:
    """Blend a share of the images, and their targets, with the image at the mirrored place of the shuffled batch."""
    chosen = tf.cast(_each(image, 0, 1, seeds) < share, tf.float32)
    own = 1 - chosen * _each(image, 0, 0.5, seeds)
    blend = own[:, :, 0, 0]
    return own * image + (1 - own) * image[::-1], blend * target + (1 - blend) * target[::-1]
