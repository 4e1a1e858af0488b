"""PNG, JPEG, TIFF, BMP, GIF and WebP files to grey or RGB frames of 8 bits.

A page of a multi-page file is a frame. The size of every page is checked before it is decoded.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...shared.errors import SourceError
from .bounds import MAX_FRAMES, MAX_TOTAL_PIXELS, check_size
from .scaling import grey_if_equal, percentiles, to_bytes
from .scans import Scan

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
PAGED = ("TIFF", "GIF", "WEBP", "PNG")  # further pictures in a JPEG are previews or the second eye
DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_SUBFILE, _PHOTOMETRIC = 254, 262  # TIFF tags
_REDUCED, _WHITE_IS_ZERO = 1, 0


def read_picture(path: Path) -> Scan:
    """Read a picture file.

    A rotation in its EXIF data is applied, transparency becomes black, and a colour picture whose channels are equal
    becomes grey. Intensities of more than 8 bits are scaled as ``scaling`` says.

    Raises:
        SourceError: the file is not a picture, damaged, cut short, too small or too large.
    """
    from PIL import Image, UnidentifiedImageError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on large pictures and odd tags; what matters is checked here
        try:
            # a file, not its name: pillow would map a plain TIFF into memory and then garble one lying on its side
            with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
                return Scan(_combined(path, [_pixels(image, number) for number in _pages(path, image)]))
        except SourceError:
            raise
        except Image.DecompressionBombError as error:
            raise SourceError(f"{path}: far more pixels than a scan has. {error}") from error
        except UnidentifiedImageError as error:
            raise SourceError(
                f"{path}: not a picture that can be read. Expected a whole {', '.join(FORMATS)} file; export it again."
            ) from error
        except Exception as error:  # decoders fail on damaged bytes in every way there is
            raise SourceError(f"{path}: damaged or cut short ({_reason(error)}). Copy or export it again.") from error


def _reason(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text[:120]}" if text else type(error).__name__


def _pages(path: Path, image: Image.Image) -> list[int]:
    """Return the numbers of the pages to read, all of one allowed size; nothing is decoded here."""
    size = image.size
    check_size(path, width=size[0], height=size[1])
    kept: list[int] = []
    for number in range(MAX_FRAMES + 1):  # n_frames of an absurd file would take minutes to count
        try:
            image.seek(number)
        except EOFError:
            break
        if number and _is_preview(image):
            continue
        if image.size != size:
            raise SourceError(
                f"{path}: page {number + 1} has {image.size[0]} × {image.size[1]} pixels, the first {size[0]} × "
                f"{size[1]}. Expected pages of one size; save them as files of their own."
            )
        kept.append(number)
        if len(kept) > MAX_FRAMES or size[0] * size[1] * len(kept) > MAX_TOTAL_PIXELS:
            check_size(path, width=size[0], height=size[1], frames=len(kept))
        if image.format not in PAGED:
            break
    return kept


def _is_preview(image: Image.Image) -> bool:
    return bool(_tag(image, _SUBFILE) & _REDUCED)


def _tag(image: Image.Image, number: int) -> int:
    value = getattr(image, "tag_v2", {}).get(number)
    return value if isinstance(value, int) else 0


def _pixels(image: Image.Image, number: int) -> np.ndarray:
    """Return one page upright: (height, width) of any depth, or uint8 (height, width, 3)."""
    from PIL import ImageOps

    image.seek(number)
    inverted = image.format == "TIFF" and image.mode in DEEP and _white_is_zero(image)
    page = ImageOps.exif_transpose(image)
    if page.mode in DEEP:
        values = np.asarray(page)
        return values.max() - values if inverted else values
    if page.mode in ("1", "L") and not page.has_transparency_data:
        return np.asarray(page.convert("L"))
    if page.has_transparency_data:
        return grey_if_equal(np.asarray(_on_black(page)))
    return grey_if_equal(np.asarray(page.convert("RGB")))


def _white_is_zero(image: Image.Image) -> bool:
    tags = getattr(image, "tag_v2", {})
    return _PHOTOMETRIC in tags and _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO


def _on_black(page: Image.Image) -> Image.Image:
    from PIL import Image

    clear = page.convert("RGBA")
    black = Image.new("RGBA", clear.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, clear).convert("RGB")


def _combined(path: Path, pages: list[np.ndarray]) -> np.ndarray:
    """Stack pages; one in colour makes all RGB, and deep pages are scaled together."""
    if not pages:
        raise SourceError(f"{path}: no page that could be read. Export it again.")
    if any(page.dtype != np.uint8 for page in pages):
        if any(page.ndim == 3 or page.dtype != pages[0].dtype for page in pages):
            raise SourceError(f"{path}: its pages differ in depth or colour. Save them as files of their own.")
        values = np.stack(pages)
        return to_bytes(values, *percentiles(values))
    if all(page.ndim == 2 for page in pages):
        return np.stack(pages)
    return np.stack([page if page.ndim == 3 else np.repeat(page[..., None], 3, axis=2) for page in pages])
