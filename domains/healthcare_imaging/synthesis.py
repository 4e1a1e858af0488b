"""Synthetic scans: the look of a chest film, with lesions in some of them.

Every patient has a body, two lungs, a heart, a spine, ribs and a texture of their own; each image shows them slightly
moved. The scanner of a site changes brightness, contrast, blur, noise and position, whatever the class. Lesions are
soft round shadows in the lungs, from plain to barely visible; dots and rings (vessels and bronchi seen end on) are
found in both classes alike.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from ...shared.errors import ConfigError
from .scans import Scans

if TYPE_CHECKING:
    from .config import ImagingConfig

SOURCE = "edgekit synthetic scans"
CLASSES = ("normal", "lesion")
LESION_SHARE = 0.35
MAX_IMAGES = 3
SECOND_LESION_SHARE = 0.3
LESION_RADIUS = (0.06, 0.12)  # half widths of the image
LESION_CONTRAST = (0.15, 0.6)  # of the range from black to white
LESION_EDGE = 0.5
"""A lesion's mask ends where its shadow falls to this share of the peak."""
TEXTURE_EDGE = 64
TEXTURE_DEPTH = 0.022
IMAGES_AT_ONCE = 256
LOOK_ALIKES = 3
TINT = np.array([1.0, 0.85, 0.7])
"""Channels of a golden colour scan differ, so that a device that swaps them is found out."""


@dataclass(frozen=True)
class Scanner:
    """What a site's machine does to every image.

    Attributes:
        gain, offset: contrast, and grey level added, on a scale from 0 to 1.
        blur: standard deviation in pixels of 48.
        noise: standard deviation of grey levels from 0 to 1.
        shift: by how much of half a width patients lie off the middle, (down, right).
    """

    gain: float
    offset: float
    blur: float
    noise: float
    shift: tuple[float, float]


SCANNERS = {
    "north": Scanner(1.0, 0.0, 0.35, 0.020, (0.0, 0.0)),
    "south": Scanner(0.85, 0.10, 0.60, 0.012, (0.04, -0.03)),
    "east": Scanner(1.1, -0.04, 0.25, 0.032, (-0.03, 0.04)),
}
SITES = tuple(SCANNERS)
SITE_SHARES = (0.5, 0.3, 0.2)
AGES = ("20-39", "40-59", "60-79")


@dataclass(frozen=True)
class Anatomy:
    """Patients' bodies in units of half the image's width, y downwards; each array (patient,) or as noted.

    Attributes:
        body: (patient, 2) half axes of the chest, width and height.
        lung: (patient, 2, 4) of each lung the centre x, y and half axes.
        heart: (patient, 3) centre x, y and radius.
        ribs: (patient, 3) distance between ribs, phase, and how much they curve.
        texture: (patient, TEXTURE_EDGE, TEXTURE_EDGE) noise of mean 0 and deviation 1.
        marks: (patient, LOOK_ALIKES, 4) of dots and rings the x, y, radius and contrast (0: none).
        lesions: (patient, 2, 4) of lesions the x, y, radius and contrast (0: none).
    """

    body: np.ndarray
    lung: np.ndarray
    heart: np.ndarray
    ribs: np.ndarray
    texture: np.ndarray
    marks: np.ndarray
    lesions: np.ndarray

    def take(self, index: np.ndarray) -> Anatomy:
        """Return the anatomy of the patients at ``index``, one row each."""
        return Anatomy(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


def synthesize(config: ImagingConfig, /, *, seed: int) -> Scans:
    """Draw the scans of ``config.synthetic.patients`` people, one to three each.

    Returns:
        Grey scans of classes ``normal`` and ``lesion``, one class a patient, with patient codes, sex, age band, site
        and the places of the lesions.
    """
    rng = np.random.default_rng(seed)
    patients, size = config.synthetic.patients, config.synthetic.size
    ill = np.zeros(patients, dtype=np.int64)
    ill[rng.permutation(patients)[: round(LESION_SHARE * patients)]] = 1
    site = rng.choice(len(SITES), patients, p=SITE_SHARES)
    sex, age = rng.choice(["F", "M"], patients), rng.choice(AGES, patients)
    patient = np.repeat(np.arange(patients), rng.integers(1, MAX_IMAGES + 1, patients))
    images, lesions = _images(rng, draw_anatomy(rng, ill), patient, site[patient], size)
    labels = ill[patient]
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    groups = {"sex": sex[patient], "age": age[patient], "site": np.array(SITES)[site[patient]]}
    note = f"drawn with seed {seed}: {patients} patients, {len(patient)} images of {size} pixels"
    return Scans(images, labels, CLASSES, SOURCE, digest, (note,), patient, groups=groups, lesions=lesions)


def golden_scans(count: int, *, size: int, channels: int, seed: int) -> np.ndarray:
    """Draw scans to record in device files instead of patients' images.

    Args:
        count: images, at least 3; the last two are black and a grey ramp from left to right.
        size: edge in pixels.
        channels: 1, or 3 for scans in a tint.
        seed: same seed, same images.

    Returns:
        uint8 (count, size, size, channels).

    Raises:
        ConfigError: fewer than 3 images, or channels other than 1 and 3.
    """
    if count < 3 or channels not in {1, 3}:
        raise ConfigError(
            f"Golden scans are at least 3 images of 1 or 3 channels; got count={count}, channels={channels}."
        )
    rng = np.random.default_rng(seed)
    patient = np.arange(count - 2)
    drawn, _ = _images(rng, draw_anatomy(rng, patient % 2), patient, patient % len(SITES), size)
    ramp = np.broadcast_to(np.linspace(0, 255, size).round(), (size, size))
    extremes = np.stack([np.zeros((size, size)), ramp])[..., None].repeat(channels, axis=3)
    tinted = drawn * TINT if channels == 3 else drawn
    return np.concatenate([tinted, extremes]).round().astype(np.uint8)


# === Patients ===


def draw_anatomy(rng: np.random.Generator, ill: np.ndarray) -> Anatomy:
    """Draw the bodies of patients; ``ill`` (patient,) is 1 for those with lesions."""
    count = len(ill)
    body = rng.normal((0.90, 1.12), (0.03, 0.04), (count, 2))
    lung = rng.normal([[-0.43, -0.04, 0.32, 0.66], [0.45, -0.04, 0.30, 0.64]], 0.022, (count, 2, 4))
    heart = rng.normal((0.12, 0.30, 0.32), (0.025, 0.03, 0.025), (count, 3))
    ribs = np.stack([rng.normal(0.235, 0.012, count), rng.random(count), rng.normal(0.55, 0.06, count)], axis=1)
    texture = gaussian_filter(rng.normal(size=(count, TEXTURE_EDGE, TEXTURE_EDGE)), (0, 1.6, 1.6), mode="wrap")
    texture /= texture.std(axis=(1, 2), keepdims=True)
    shown = (rng.random((count, LOOK_ALIKES)) < 0.5) * rng.uniform(0.08, 0.22, (count, LOOK_ALIKES))
    marks = _in_lungs(rng, lung, rng.uniform(0.02, 0.035, (count, LOOK_ALIKES)), shown)
    second = rng.random(count) < SECOND_LESION_SHARE
    faint, plain = LESION_CONTRAST
    contrast = faint * (plain / faint) ** rng.random((count, 2)) * ill[:, None]
    contrast[:, 1] *= second
    lesions = _in_lungs(rng, lung, rng.uniform(*LESION_RADIUS, (count, 2)), contrast)
    return Anatomy(body, lung, heart, ribs, texture, marks, lesions)


def _in_lungs(rng: np.random.Generator, lung: np.ndarray, radius: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """Return (patient, spot, 4): x, y at random in a lung of the patient, radius and contrast as given."""
    count, spots = radius.shape
    chosen = lung[np.arange(count)[:, None], rng.integers(0, 2, radius.shape)]
    angle, reach = rng.uniform(0, 2 * np.pi, (count, spots)), np.sqrt(rng.random((count, spots))) * 0.75
    x = chosen[..., 0] + np.cos(angle) * reach * chosen[..., 2]
    y = chosen[..., 1] + np.sin(angle) * reach * chosen[..., 3]
    return np.stack([x, y, radius, contrast], axis=2)


# === Images ===


def _images(
    rng: np.random.Generator, anatomy: Anatomy, patient: np.ndarray, site: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 (image, size, size, 1) and the lesions' bool masks (image, size, size), drawn in blocks."""
    images = np.empty((len(patient), size, size, 1), dtype=np.uint8)
    lesions = np.empty((len(patient), size, size), dtype=bool)
    for start in range(0, len(patient), IMAGES_AT_ONCE):
        block = slice(start, start + IMAGES_AT_ONCE)
        place = _places(rng, site[block], size)
        bodies = anatomy.take(patient[block])
        film = draw_bodies(bodies, place)
        shadow, lesions[block] = draw_lesions(bodies.lesions, place)
        images[block, :, :, 0] = scan(rng, film + shadow, site[block])
    return images, lesions


def _places(rng: np.random.Generator, site: np.ndarray, size: int) -> np.ndarray:
    """Return float32 (2, image, size, size): x and y in the patient's frame of each pixel of each image."""
    count = len(site)
    shift = np.array([SCANNERS[name].shift for name in SITES])[site] + rng.normal(0, 0.02, (count, 2))
    turn, zoom = rng.normal(0, np.deg2rad(4), count), rng.normal(1, 0.03, count)
    axis = (np.arange(size) + 0.5) * 2 / size - 1
    y, x = axis[:, None] - shift[:, 0, None, None], axis[None, :] - shift[:, 1, None, None]
    cos, sin = np.cos(turn)[:, None, None] * zoom[:, None, None], np.sin(turn)[:, None, None] * zoom[:, None, None]
    return np.stack([cos * x + sin * y, cos * y - sin * x]).astype(np.float32)


def draw_bodies(anatomy: Anatomy, place: np.ndarray) -> np.ndarray:
    """Return float32 (image, size, size), 0 black to 1 white: chests without lesions, one image a row of anatomy."""
    x, y = place
    below = np.array([0.0, 0.30])
    body = _ellipse(place, np.broadcast_to(below, anatomy.body.shape), anatomy.body, 0.05, power=3.5)
    neck = _ellipse(place, anatomy.body * (0, -0.85), anatomy.body * (0.3, 0.35), 0.15)
    lungs = np.maximum(*(_ellipse(place, lung[:, :2], lung[:, 2:], 0.10) for lung in anatomy.lung.swapaxes(0, 1)))
    floor = anatomy.lung[:, :, 1:2] + 0.62 * anatomy.lung[:, :, 3:4]  # the diaphragm cuts the lungs off
    lungs *= _soft((floor.mean(axis=1)[:, :, None] - y + 1.5 * (np.abs(x) - 0.40) ** 2) / 0.04)
    heart = _ellipse(place, anatomy.heart[:, :2], anatomy.heart[:, [2, 2]] * (1, 1.15), 0.12)
    middle = np.exp(-((x / 0.13) ** 2)) + 0.25 * np.exp(-((x / 0.05) ** 2)) * (1 + 0.5 * np.sin(22 * y))
    distance, phase, curve = (anatomy.ribs[:, i, None, None] for i in range(3))
    arcs = (y + curve * (np.abs(x) - 0.3) ** 2 * 1.6 - 0.25 * np.abs(x)) / distance + phase
    ribs = np.exp(3.0 * (np.cos(2 * np.pi * arcs) - 1)) * _soft((np.abs(x) - 0.14) / 0.04)
    hila = sum(np.exp(-(((x - side) / 0.11) ** 2) - ((y - 0.02) / 0.22) ** 2) for side in (-0.2, 0.24))
    film = 0.56 - 0.40 * lungs + 0.20 * heart * (0.6 + 0.8 * lungs) + 0.14 * middle + 0.09 * ribs + 0.10 * hila
    film += TEXTURE_DEPTH * _texture(anatomy.texture, place) * (0.5 + lungs)
    return np.asarray((film + _look_alikes(anatomy.marks, place)) * np.maximum(body, neck), dtype=np.float32)


def draw_lesions(lesions: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what lesions add to the images, float32 (image, size, size), and bool masks of where they are."""
    shadow, mask = np.zeros(place.shape[1:], dtype=np.float32), np.zeros(place.shape[1:], dtype=bool)
    for spot in lesions.swapaxes(0, 1):
        profile = np.exp(-(_distance(spot, place) ** 2) * np.log(2))  # half the peak at the radius
        shadow += profile * spot[:, 3, None, None]
        mask |= (profile > LESION_EDGE) & (spot[:, 3, None, None] > 0)
    return shadow, mask


def scan(rng: np.random.Generator, film: np.ndarray, site: np.ndarray) -> np.ndarray:
    """Return uint8 images as the scanners of ``site`` (image,) give them of ``film`` (image, size, size)."""
    images = np.empty(film.shape, dtype=np.uint8)
    for code, name in enumerate(SITES):
        rows, scanner = np.flatnonzero(site == code), SCANNERS[name]
        sigma = scanner.blur * film.shape[1] / 48
        exposure = rng.normal(1, 0.05, (len(rows), 1, 1)) * scanner.gain
        grey = gaussian_filter(film[rows], (0, sigma, sigma)) * exposure + scanner.offset
        grey += rng.normal(0, scanner.noise, grey.shape)
        images[rows] = (grey * 255).clip(0, 255).round()
    return images


def _look_alikes(marks: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return float32 (image, size, size): dots, and every second one a ring of three times the size."""
    drawn = np.zeros(place.shape[1:], dtype=np.float32)
    for number, spot in enumerate(marks.swapaxes(0, 1)):
        distance = _distance(spot, place)
        shape = np.exp(-((distance - 3) ** 2)) * 0.8 if number % 2 else np.exp(-(distance**2))
        drawn += shape * spot[:, 3, None, None]
    return drawn


def _texture(texture: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return each patient's texture, repeated beyond its edge, at the places of the pixels."""
    image = np.broadcast_to(np.arange(len(texture))[:, None, None], place.shape[1:])
    x, y = (place + 1) * (TEXTURE_EDGE / 2)
    return np.asarray(map_coordinates(texture, [image, y, x], order=1, mode="grid-wrap", output=np.float32))


def _distance(spot: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return (image, size, size): distance from the spot's centre in radii; ``spot`` holds x, y, radius, contrast."""
    x, y, radius = (spot[:, i, None, None].astype(np.float32) for i in range(3))
    return np.asarray(np.hypot(place[0] - x, place[1] - y) / radius)


def _ellipse(place: np.ndarray, centre: np.ndarray, axes: np.ndarray, edge: float, *, power: float = 2.0) -> np.ndarray:
    """Return 1 inside and 0 outside of an ellipse per image, with a border ``edge`` wide relative to its axes.

    A power above 2 gives it shoulders (a superellipse).
    """
    x, y = (np.abs(place[i] - centre[:, i, None, None]) / axes[:, i, None, None] for i in range(2))
    radius = np.hypot(x, y) if power == 2 else (x**power + y**power) ** (1 / power)
    return _soft((1 - radius.astype(np.float32)) / edge)


def _soft(value: np.ndarray) -> np.ndarray:
    """Return 0 to 1, a half at 0."""
    return np.asarray(0.5 + 0.5 * np.tanh(value))
