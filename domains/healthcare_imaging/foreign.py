"""Images that are not medical: what a device file must refuse, to be tried on it before anyone relies on that."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter, zoom

from ...shared.errors import ConfigError, choose

KINDS = ("photograph", "handwriting", "text page", "noise", "blank")
WORDS = (
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "while",
    "5",
    "wizards",
    "box",
    "24",
    "Q4",
)


def foreign_images(kind: str, count: int, *, size: int, channels: int, seed: int) -> np.ndarray:
    """Draw images of one kind.

    Args:
        kind: one of ``KINDS``: parts of two photographs (a temple, a flower), one to nine handwritten digits, dark text
            on light, white, pink or salt-and-pepper noise, or next to nothing.
        count: images.
        size: edge in pixels.
        channels: 1 grey or 3 RGB.
        seed: same seed, same images.

    Returns:
        uint8 (count, size, size, channels).

    Raises:
        ConfigError: no such kind, or channels other than 1 and 3.
    """
    choose("kind of foreign image", kind, KINDS)
    if channels not in {1, 3}:
        raise ConfigError(f"Foreign images have 1 channel (grey) or 3 (RGB); got channels={channels}.")
    rng = np.random.default_rng(seed)
    if kind == "photograph":
        return _photographs(rng, count, size, channels)
    draw = {"handwriting": _digits, "text page": _text_pages, "noise": _noise, "blank": _blank}[kind]
    return np.repeat(draw(rng, count, size)[..., None], channels, axis=3)


def _photographs(rng: np.random.Generator, count: int, size: int, channels: int) -> np.ndarray:
    """Cut squares of a fifth to all of the height out of scikit-learn's two photographs, half of them mirrored."""
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    images = np.empty((count, size, size, channels), dtype=np.uint8)
    for row in range(count):
        photograph = photographs[rng.integers(len(photographs))]
        edge = int(rng.integers(photograph.height // 5, photograph.height + 1))
        left, top = (int(rng.integers(room - edge + 1)) for room in photograph.size)
        part = photograph.resize((size, size), Image.Resampling.BOX, box=(left, top, left + edge, top + edge))
        pixels = np.asarray(part.convert("RGB" if channels == 3 else "L")).reshape(size, size, channels)
        images[row] = pixels[:, ::-1] if rng.random() < 0.5 else pixels
    return images


def _digits(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Write one to nine digits on a grid of one to three columns, white on black or black on white."""
    from sklearn.datasets import load_digits

    written = load_digits().images * (255 / 16)
    images = np.zeros((count, size, size))
    for row in range(count):
        columns = int(rng.integers(1, 4))
        edge = size // columns
        cells = rng.permutation(columns**2)[: rng.integers(1, columns**2 + 1)]
        for cell in cells:
            digit = zoom(written[rng.integers(len(written))], edge / 8, order=1)[:edge, :edge]
            top, left = (cell // columns) * edge, (cell % columns) * edge
            images[row, top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    inverted = rng.random((count, 1, 1)) < 0.5
    return np.where(inverted, 255 - images, images).round().astype(np.uint8)


def _text_pages(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Set lines of words in the font that comes with pillow, in sizes of a tenth to a quarter of the page."""
    images = np.empty((count, size, size), dtype=np.uint8)
    for row in range(count):
        height = float(rng.uniform(0.1, 0.25) * size)
        font = ImageFont.load_default(size=height)
        page = Image.new("L", (size, size), int(rng.integers(200, 256)))
        pen, ink = ImageDraw.Draw(page), int(rng.integers(0, 90))
        for line in range(int(size / height) + 1):
            words = " ".join(rng.choice(WORDS, 12))
            pen.text((rng.uniform(0, 0.1) * size, line * height * 1.15), words, fill=ink, font=font)
        images[row] = np.asarray(page)
    return images


def _noise(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Return white, pink (spectrum falling with frequency) and salt-and-pepper noise in turn."""
    kinds = np.arange(count) % 3
    images = rng.integers(0, 256, (count, size, size)).astype(float)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = 1 / size
    spectrum = np.fft.rfft2(rng.normal(size=((kinds == 1).sum(), size, size))) / frequency
    pink = np.fft.irfft2(spectrum, s=(size, size))
    images[kinds == 1] = 128 + 45 * pink / pink.std(axis=(1, 2), keepdims=True)
    pepper = rng.random(((kinds == 2).sum(), size, size))
    images[kinds == 2] = np.where(pepper < 0.15, 0, np.where(pepper > 0.85, 255, 128))
    return images.clip(0, 255).round().astype(np.uint8)


def _blank(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Return one level, a slope of at most 12 levels, and noise of a deviation of at most 2 levels, in turn."""
    images = np.broadcast_to(rng.integers(0, 256, (count, 1, 1)), (count, size, size)).astype(float)
    kinds = np.arange(count) % 3
    down, right = rng.uniform(-6, 6, (2, count, 1, 1))
    ramp = np.linspace(-1, 1, size)
    slope = (down * ramp[:, None] + right * ramp) / 2
    images += np.where((kinds == 1)[:, None, None], slope, 0)
    grain = gaussian_filter(rng.normal(size=images.shape), (0, 0.5, 0.5)) * rng.uniform(0.5, 2, (count, 1, 1))
    images += np.where((kinds == 2)[:, None, None], grain, 0)
    return images.clip(0, 255).round().astype(np.uint8)
