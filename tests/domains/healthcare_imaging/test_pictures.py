"""Pictures of every kind become upright grey or RGB frames; hostile ones are refused before they are decoded."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from edgekit.domains.healthcare_imaging import pictures
from edgekit.domains.healthcare_imaging.pictures import read_picture
from edgekit.shared.errors import SourceError

GREY = np.random.default_rng(0).integers(0, 256, (12, 16)).astype(np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (12, 16, 3)).astype(np.uint8)


def saved(folder: Path, image: Image.Image, name: str = "scan.png", **options: object) -> Path:
    image.save(folder / name, **options)  # type: ignore[arg-type]
    return folder / name


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *more: bytes, rows: bytes = b"\0" * 100) -> bytes:
    header = chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# === What is read ===


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.gif", "a.tiff"])
def test_grey_pictures_without_loss(tmp_path: Path, name: str) -> None:
    frames = read_picture(saved(tmp_path, Image.fromarray(GREY), name)).frames
    assert frames.dtype == np.uint8 and frames.tolist() == [GREY.tolist()]


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.webp"])
def test_colour_pictures_without_loss(tmp_path: Path, name: str) -> None:
    options = {"lossless": True} if name.endswith("webp") else {}
    frames = read_picture(saved(tmp_path, Image.fromarray(COLOUR), name, **options)).frames
    assert frames.shape == (1, 12, 16, 3) and np.array_equal(frames[0], COLOUR)


def test_a_jpeg_is_nearly_what_was_saved(tmp_path: Path) -> None:
    smooth = np.tile(np.arange(0, 160, 10, dtype=np.uint8), (12, 1))
    frames = read_picture(saved(tmp_path, Image.fromarray(smooth), "a.jpg", quality=98)).frames
    assert frames.shape == (1, 12, 16) and np.abs(frames[0].astype(int) - smooth).max() <= 3


def test_a_colour_picture_with_equal_channels_becomes_grey(tmp_path: Path) -> None:
    frames = read_picture(saved(tmp_path, Image.fromarray(np.stack([GREY] * 3, axis=-1)))).frames
    assert frames.tolist() == [GREY.tolist()]


def test_transparency_becomes_black(tmp_path: Path) -> None:
    rgba = np.dstack([COLOUR, np.full((12, 16), 255, np.uint8)])
    rgba[:6, :, 3] = 0
    frames = read_picture(saved(tmp_path, Image.fromarray(rgba))).frames
    assert not frames[0, :6].any() and np.array_equal(frames[0, 6:], COLOUR[6:])


def test_grey_with_transparency_becomes_grey_on_black(tmp_path: Path) -> None:
    alpha = np.where(np.arange(16) < 8, 0, 255).astype(np.uint8)
    image = Image.merge("LA", (Image.fromarray(GREY), Image.fromarray(np.tile(alpha, (12, 1)))))
    frames = read_picture(saved(tmp_path, image)).frames
    assert frames.shape == (1, 12, 16) and not frames[0, :, :8].any()
    assert np.array_equal(frames[0, :, 8:], GREY[:, 8:])


def test_palette_one_bit_and_cmyk_are_converted(tmp_path: Path) -> None:
    flat = np.zeros((12, 16, 3), np.uint8)
    flat[:, 8:] = (200, 10, 30)
    palette = read_picture(saved(tmp_path, Image.fromarray(flat).quantize(2), "p.png")).frames
    assert np.array_equal(palette[0], flat)
    bits = read_picture(saved(tmp_path, Image.fromarray(GREY > 127), "b.png")).frames
    assert np.array_equal(bits[0], np.where(GREY > 127, 255, 0))
    cmyk = read_picture(saved(tmp_path, Image.fromarray(flat).convert("CMYK"), "c.tif")).frames
    assert np.abs(cmyk[0].astype(int) - flat).max() <= 2


@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "a.png"])
def test_a_rotation_in_the_exif_data_is_applied_once(tmp_path: Path, name: str) -> None:
    half = np.zeros((16, 32), np.uint8)
    half[:, :16] = 255  # bright on the left
    image = Image.fromarray(half)
    exif = image.getexif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    frames = read_picture(saved(tmp_path, image, name, exif=exif)).frames
    assert frames.shape == (1, 32, 16) and frames[0, :14].min() > 200 and frames[0, 18:].max() < 50


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_in_any_orientation_is_upright(tmp_path: Path, orientation: int, compression: str | None) -> None:
    stored = {
        1: GREY, 2: GREY[:, ::-1], 3: GREY[::-1, ::-1], 4: GREY[::-1],
        5: GREY.T, 6: np.rot90(GREY), 7: GREY[::-1, ::-1].T, 8: np.rot90(GREY, -1),
    }[orientation]  # fmt: skip
    image = Image.fromarray(np.ascontiguousarray(stored))
    exif = image.getexif()
    exif[0x0112] = orientation
    path = saved(tmp_path, image, "a.tif", exif=exif, compression=compression)
    assert read_picture(path).frames[0].tolist() == GREY.tolist()


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_twelve_bits_in_sixteen_are_not_nearly_black(tmp_path: Path, name: str) -> None:
    deep = np.linspace(0, 4095, 40 * 50).reshape(40, 50).astype(np.uint16)
    frames = read_picture(saved(tmp_path, Image.fromarray(deep), name)).frames
    assert frames.dtype == np.uint8 and (frames.min(), frames.max()) == (0, 255)
    assert frames.mean() == pytest.approx(127.5, abs=1) and (np.diff(frames[0].ravel().astype(int)) >= 0).all()


def test_floats_are_scaled_and_nan_is_black(tmp_path: Path) -> None:
    values = np.linspace(-3, 3, 192, dtype=np.float32).reshape(12, 16)
    values[11, 15] = np.nan
    frames = read_picture(saved(tmp_path, Image.fromarray(values), "f.tif")).frames
    assert frames[0, 11, 15] == 0 and frames[0, 11, 14] == 255 and frames[0, 0, 0] == 0


def test_deep_pictures_whose_white_is_zero_are_inverted(tmp_path: Path) -> None:
    deep = np.linspace(0, 4095, 192).reshape(12, 16).astype(np.uint16)
    path = saved(tmp_path, Image.fromarray(deep), "w.tif", tiffinfo={262: 0})
    frames = read_picture(path).frames
    assert frames[0, 0, 0] == 255 and frames[0, -1, -1] == 0


@pytest.mark.parametrize("name", ["pages.tif", "pages.gif"])
def test_every_page_is_a_frame(tmp_path: Path, name: str) -> None:
    pages = [np.full((9, 10), value, np.uint8) for value in (10, 90, 200)]
    images = [Image.fromarray(page) for page in pages]
    frames = read_picture(saved(tmp_path, images[0], name, save_all=True, append_images=images[1:])).frames
    assert frames.shape == (3, 9, 10) and frames[:, 0, 0].tolist() == [10, 90, 200]


def test_grey_and_colour_pages_become_colour(tmp_path: Path) -> None:
    pages = [Image.fromarray(GREY), Image.fromarray(COLOUR)]
    frames = read_picture(saved(tmp_path, pages[0], "m.tif", save_all=True, append_images=pages[1:])).frames
    assert frames.shape == (2, 12, 16, 3) and np.array_equal(frames[1], COLOUR)
    assert np.array_equal(frames[0, ..., 2], GREY)


@pytest.mark.parametrize("edge", [8000, 9500])  # pillow warns of the second
def test_large_pictures_work_and_nothing_warns(tmp_path: Path, edge: int) -> None:
    path = saved(tmp_path, Image.new("1", (edge, edge), 1), "large.png")
    frames = read_picture(path).frames
    assert frames.shape == (1, edge, edge) and frames.min() == 255


def test_pillow_is_left_as_it_was(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
    read_picture(saved(tmp_path, Image.fromarray(GREY)))
    assert before == (Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK)


# === What is refused ===


@pytest.mark.parametrize("edge", [(1, 1), (7, 100), (100, 7)])
def test_icons_are_refused(tmp_path: Path, edge: tuple[int, int]) -> None:
    with pytest.raises(SourceError, match="at least 8 pixels"):
        read_picture(saved(tmp_path, Image.new("L", edge)))


@pytest.mark.parametrize("edge", [10_001, 12_000, 50_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_at_once_without_memory(tmp_path: Path, edge: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(edge, edge, rows=bytes(2**20)))
    tracemalloc.start()
    begin = time.perf_counter()
    with pytest.raises(SourceError, match="bomb.png"):
        read_picture(path)
    seconds, (_, peak) = time.perf_counter() - begin, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 0.5 and peak < 5_000_000


@pytest.mark.parametrize(
    "more",
    [
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80_000_000))),
        chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(80_000_000))),
        chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(80_000_000))),
    ],
    ids=["text", "international text", "profile"],
)
def test_bombs_in_side_chunks_do_no_harm(tmp_path: Path, more: bytes) -> None:
    path = tmp_path / "side.png"
    path.write_bytes(png(9, 9, more, rows=b"\0" * 90))
    tracemalloc.start()
    try:
        frames = read_picture(path).frames
    except SourceError as error:
        assert "side.png" in str(error)
    else:
        assert frames.shape == (1, 9, 9)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_too_many_pages_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_FRAMES", 3)
    monkeypatch.setattr("edgekit.domains.healthcare_imaging.bounds.MAX_FRAMES", 3)
    pages = [Image.new("L", (9, 9), value) for value in range(6)]
    with pytest.raises(SourceError, match="from 1 to 3 frames"):
        read_picture(saved(tmp_path, pages[0], "many.tif", save_all=True, append_images=pages[1:]))


def test_too_many_pixels_in_all_pages_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_TOTAL_PIXELS", 300)
    monkeypatch.setattr("edgekit.domains.healthcare_imaging.bounds.MAX_TOTAL_PIXELS", 300)
    pages = [Image.new("L", (10, 10), value) for value in range(4)]
    with pytest.raises(SourceError, match="in 4 frames. Expected at most 300 pixels in all"):
        read_picture(saved(tmp_path, pages[0], "many.tif", save_all=True, append_images=pages[1:]))


def test_pages_of_different_sizes_are_refused(tmp_path: Path) -> None:
    pages = [Image.new("L", (20, 20)), Image.new("L", (30, 20))]
    with pytest.raises(SourceError, match="page 2 has 30 × 20 pixels, the first 20 × 20"):
        read_picture(saved(tmp_path, pages[0], "odd.tif", save_all=True, append_images=pages[1:]))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp", "a.gif", "a.webp"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_a_file_cut_short_is_refused(tmp_path: Path, name: str, share: float) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (64, 64)).astype(np.uint8)
    whole = saved(tmp_path, Image.fromarray(noise), name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SourceError, match=name):
        read_picture(tmp_path / name)


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"II*\0" + b"\xff" * 40]
)
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(SourceError, match="x.png"):
        read_picture(tmp_path / "x.png")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.gif", "a.webp", "a.bmp"])
def test_flipped_bytes_give_a_picture_or_a_clear_refusal(tmp_path: Path, name: str) -> None:
    whole = bytearray(saved(tmp_path, Image.fromarray(GREY), name).read_bytes())
    rng = np.random.default_rng(3)
    kinds = set()
    for _ in range(40):
        broken = whole.copy()
        for place in rng.integers(0, len(whole), 3):
            broken[place] = rng.integers(0, 256)
        (tmp_path / name).write_bytes(broken)
        try:
            kinds.add(read_picture(tmp_path / name).frames.dtype.name)
        except SourceError as error:
            assert name in str(error)
            kinds.add("refused")
    assert kinds <= {"uint8", "refused"}
