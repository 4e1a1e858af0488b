"""Copies and near copies in a set of images: the leak that no file name shows.

A copy that was saved again, resized, brightened or trimmed differs in every byte. Candidates are found by a
perceptual hash of 64 bits, then each pair is aligned and compared: a copy is what the other image becomes by a
small shift and stretch, a change of contrast and a little blur. Neighbouring slices of a volume differ by more,
with few exceptions. Mirrored and turned copies are not looked for.

Source: Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash Functions (pHash); Simard, LeCun,
Denker 1993, NIPS 5 (tangent distance); Lucas, Kanade 1981, IJCAI (alignment by repeated warping).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

EDGE = 32
"""Images are compared as thumbnails of this many pixels squared, as in pHash."""
HASH_EDGE = 8
HASH_DISTANCE = 10
"""Differing bits up to which a pair is looked at. Trimming two pixels of 96 changes 6 bits in the median and 10 in
one case of ten, saving as JPEG of quality 30 at most 8; of unrelated chest films 0.3 % are this near."""
COARSE_SHARE = 0.985
"""As ``SAME_SHARE``, from half as many pixels each way and without warping, which sorts out nearly all candidates:
copies trimmed by two pixels of 96 keep 0.992 and more."""
SAME_SHARE = 0.997
"""Share of the variance of either image that the other, aligned, explains. At 96 pixels, nine of ten copies reach
0.9975 after trimming two pixels, and 99 of 100 reach 0.998 after trimming one, 0.9975 as JPEG of quality 30, 0.999
after halving and enlarging; nearly all neighbouring slices stay below, and different chest films below 0.99."""
FLAT_RANGE = 1.0
"""A thumbnail that spans fewer grey levels has no structure to compare; its level counts alone."""

SMOOTHING = 1.0  # thumbnail pixels; a gradient tells how an image moves only where it is smooth
MARGIN = 2  # thumbnail pixels at the border, which trimming may have replaced
WARPS = 2
LONGEST_SHIFT = 1.5  # thumbnail pixels; 4.5 of 96
COARSE_EDGE = (EDGE - 2 * MARGIN) // 2
IMAGES_AT_ONCE, PAIRS_AT_ONCE = 1024, 1024


@dataclass(frozen=True, eq=False)
class Copies:
    """Which images are copies of each other.

    Attributes:
        exact: int64 (image,) equal for equal images.
        near: int64 (image,) equal for copies and near copies.
        blank: bool (image,) where an image shows nothing.
    """

    exact: np.ndarray
    near: np.ndarray
    blank: np.ndarray

    def blanks_apart(self) -> Copies:
        """Return the same with each blank image on its own, so that what shows nothing ties no patients together."""
        alone = len(self.blank) + np.arange(len(self.blank))
        exact, near = (np.where(self.blank, alone, codes) for codes in (self.exact, self.near))
        return Copies(exact, near, self.blank)


def joined(*codes: np.ndarray) -> np.ndarray:
    """Number the images so that those tied by any of the codes, also through others, share a number.

    Args:
        codes: int64 (image,) each, equal where images belong together.

    Returns:
        int64 (image,) from 0, in the order in which groups first appear.
    """
    count, row = len(codes[0]), np.arange(len(codes[0]))
    firsts = []
    for kind in codes:
        _, first, which = np.unique(kind, return_index=True, return_inverse=True)
        firsts.append(first[which])
    return _connected(np.stack([np.tile(row, len(codes)), np.concatenate(firsts)], axis=1), count)


def exact_copies(images: np.ndarray) -> np.ndarray:
    """Number the images so that equal ones share a number.

    Args:
        images: uint8 (image, size, size, channel), memory-mapped or not.

    Returns:
        int64 (image,) from 0, in the order in which contents first appear.
    """
    seen: dict[bytes, int] = {}
    digests = (hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images)
    return np.fromiter((seen.setdefault(digest, len(seen)) for digest in digests), np.int64, len(images))


def near_duplicates(images: np.ndarray) -> np.ndarray:
    """Number the images so that copies and near copies share a number, see ``find_copies``."""
    return find_copies(images).near


def find_copies(images: np.ndarray) -> Copies:
    """Look for copies and near copies.

    Near copies of near copies share a number too. Colour images are compared by the mean of their channels. Blank
    images are copies where their grey levels are equal. Every pair of hashes is compared, so that none is missed by
    luck: 5,000 images take a second, 25,000 that all look alike half a minute, and time grows with the square.

    Of brain slices of 96 pixels, all copies are found after trimming one pixel, halving or saving as JPEG of quality
    75, and 93 % after trimming two; a strong change of gamma hides three in ten. At 28 pixels there is less to go by:
    all are found after JPEG of quality 75, 83 % after trimming one pixel, few after stronger changes.

    Args:
        images: uint8 (image, size, size, channel), memory-mapped or not; read in blocks.

    Returns:
        Codes from 0, in the order in which contents and groups first appear.
    """
    exact = exact_copies(images)
    rows = np.unique(exact, return_index=True)[1]
    known = _describe(images, rows)
    pairs = [_equal_levels(known.level)]
    for found in _candidates(known):
        for some in np.array_split(found, len(found) // PAIRS_AT_ONCE + 1):
            pairs.append(some[_same(images, rows[some])])
    near = _connected(np.concatenate(pairs), len(rows))
    return Copies(exact, near[exact], ~np.isnan(known.level)[exact])


def _connected(pairs: np.ndarray, count: int) -> np.ndarray:
    """Return int64 (item,): a number for each group of items that ``pairs`` tie, in the order of first appearance."""
    one, other = pairs.T
    links = coo_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(count, count))
    return _by_first_appearance(connected_components(links, directed=False)[1])


# === Candidates ===


@dataclass(frozen=True, eq=False)
class _Known:
    """What is kept of every image, some 3.5 kB each.

    Attributes:
        hashes: uint64 (image,).
        level: float64 (image,) grey level of blank images, NaN where there is more to see.
        profile: float32 (image, pixel) coarse thumbnail of mean 0 and length 1.
        basis: float16 (image, 7, pixel) orthonormal; spans what the coarse thumbnail becomes by small changes.
    """

    hashes: np.ndarray
    level: np.ndarray
    profile: np.ndarray
    basis: np.ndarray


def _describe(images: np.ndarray, rows: np.ndarray) -> _Known:
    count, pixels = len(rows), COARSE_EDGE**2
    known = _Known(
        np.empty(count, dtype=np.uint64),
        np.full(count, np.nan),
        np.empty((count, pixels), dtype=np.float32),
        np.empty((count, 7, pixels), dtype=np.float16),
    )
    for start in range(0, count, IMAGES_AT_ONCE):
        block = slice(start, start + IMAGES_AT_ONCE)
        small = _thumbnails(images[rows[block]])
        known.hashes[block] = _hashes(small)
        flat = np.ptp(small, axis=(1, 2)) < FLAT_RANGE
        known.level[block] = np.where(flat, np.rint(small.mean(axis=(1, 2))), np.nan)
        changes = _changes(gaussian_filter(small, (0, SMOOTHING, SMOOTHING)))
        coarse = changes.reshape(len(small), 7, COARSE_EDGE, 2, COARSE_EDGE, 2).mean(axis=(3, 5)).reshape(-1, 7, pixels)
        known.basis[block] = np.linalg.qr(coarse.swapaxes(1, 2))[0].swapaxes(1, 2)
        centred = coarse[:, 0] - coarse[:, 0].mean(axis=1, keepdims=True)
        known.profile[block] = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
    return known


def _thumbnails(images: np.ndarray) -> np.ndarray:
    """Return float32 (image, EDGE, EDGE) grey levels, each the mean of the area it covers."""
    size = images.shape[1]
    edges = np.arange(EDGE + 1) * (size / EDGE)
    pixel = np.arange(size)
    cover = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    weight = (cover.clip(0) * (EDGE / size)).astype(np.float32)
    return np.asarray(weight @ images.mean(axis=3, dtype=np.float32) @ weight.T)


def _hashes(thumbnails: np.ndarray) -> np.ndarray:
    """Return uint64 (image,): a bit for each low frequency, set where it lies above the median of its image."""
    spectra = fft.dctn(thumbnails, axes=(1, 2), norm="ortho")[:, :HASH_EDGE, :HASH_EDGE].reshape(len(thumbnails), -1)
    bits = spectra > np.median(spectra, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def _candidates(known: _Known) -> Iterator[np.ndarray]:
    """Yield int64 (pair, 2) of images that are close by hash and coarse comparison, each pair once."""
    structured = np.isnan(known.level)
    found, count = [], 0
    for one in np.flatnonzero(structured):
        near = np.bitwise_count(known.hashes[one] ^ known.hashes[one + 1 :]) <= HASH_DISTANCE
        others = np.flatnonzero(near & structured[one + 1 :]) + one + 1
        explained = np.square(known.profile[others] @ known.basis[one].T.astype(np.float32)).sum(axis=1)
        others = others[explained > COARSE_SHARE]
        if not len(others):
            continue
        found.append(np.stack([np.full_like(others, one), others], axis=1))
        count += len(others)
        if count >= PAIRS_AT_ONCE:
            yield np.concatenate(found)
            found, count = [], 0
    if found:
        yield np.concatenate(found)


def _equal_levels(level: np.ndarray) -> np.ndarray:
    """Return int64 (pair, 2) that tie each blank image to the first of its level."""
    blank = np.flatnonzero(~np.isnan(level))
    _, first, which = np.unique(level[blank], return_index=True, return_inverse=True)
    return np.stack([blank[first[which]], blank], axis=1)


def _by_first_appearance(codes: np.ndarray) -> np.ndarray:
    _, first, which = np.unique(codes, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[which], dtype=np.int64)


# === Comparison ===


def _same(images: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return bool (pair,): whether each image of a pair explains the other; ``pairs`` are rows of ``images``."""
    rows, which = np.unique(pairs, return_inverse=True)
    small = gaussian_filter(_thumbnails(images[rows]), (0, SMOOTHING, SMOOTHING))
    one, other = small[which.reshape(pairs.shape)].swapaxes(0, 1)
    same = _explained(one, other) > SAME_SHARE
    same[same] = _explained(other[same], one[same]) > SAME_SHARE
    return np.asarray(same)


def _explained(target: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return float (pair,): the share of the variance of ``target`` that ``source`` explains once it is aligned.

    Shift and stretch along both axes are estimated from the gradients, and the source is warped, ``WARPS`` times.
    Gain, offset and blur or sharpening (the Laplacian) are fitted beside them.
    """
    moved, moves = source, np.zeros((len(source), 4))
    for _ in range(WARPS):
        weight, _ = _fit(target, moved)
        gain = np.maximum(weight[:, :1], 0.3)  # a small gain would make any move look large
        moves = np.clip(moves + weight[:, 3:] / gain, -LONGEST_SHIFT, LONGEST_SHIFT)
        moved = _sampling(moves[:, 0], moves[:, 2]) @ source @ _sampling(moves[:, 1], moves[:, 3]).swapaxes(1, 2)
    _, rest = _fit(target, moved)
    return np.asarray(1 - np.square(rest).mean(axis=1) / np.maximum(_inside(target).var(axis=1), 1e-6))


def _fit(target: np.ndarray, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (pair, 7) of gain, offset, blur and four moves by least squares, and what they leave."""
    basis = _changes(source)
    aim = _inside(target)
    scale = np.linalg.norm(basis, axis=2, keepdims=True) + 1e-9
    basis = basis / scale
    # The ridge keeps images without structure along one axis solvable.
    products = basis @ basis.swapaxes(1, 2) + 1e-4 * np.eye(7)
    weight = np.linalg.solve(products, basis @ aim[:, :, None])
    return (weight / scale)[:, :, 0], aim - (weight.swapaxes(1, 2) @ basis)[:, 0]


def _changes(images: np.ndarray) -> np.ndarray:
    """Return (image, 7, pixel) without the margin: the image, a constant, its Laplacian, and what small moves add.

    The moves are shift down, shift right, stretch down and stretch right.
    """
    down, right = np.gradient(images, axis=(1, 2))
    ramp = np.linspace(-1, 1, EDGE, dtype=np.float32)
    turned = [np.roll(images, step, axis) for axis in (1, 2) for step in (1, -1)]
    blur = sum(turned[1:], turned[0]) - 4 * images
    parts = [images, np.ones_like(images), blur, down, right, down * ramp[:, None], right * ramp]
    return np.stack([_inside(part) for part in parts], axis=1)


def _inside(thumbnails: np.ndarray) -> np.ndarray:
    """Return (image, pixel) without the margin."""
    return thumbnails[:, MARGIN:-MARGIN, MARGIN:-MARGIN].reshape(len(thumbnails), (EDGE - 2 * MARGIN) ** 2)


def _sampling(shift: np.ndarray, stretch: np.ndarray) -> np.ndarray:
    """Return float32 (pair, EDGE, EDGE) that samples along one axis at a shift and stretch, linearly between pixels."""
    place = np.arange(EDGE) + shift[:, None] + stretch[:, None] * np.linspace(-1, 1, EDGE)
    near = 1 - np.abs(np.clip(place, 0, EDGE - 1)[:, :, None] - np.arange(EDGE))
    return np.asarray(near.clip(0), dtype=np.float32)
