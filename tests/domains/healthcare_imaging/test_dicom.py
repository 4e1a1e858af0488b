"""DICOM files of many kinds: grey and colour as a viewer shows them, patients as pseudonyms, and clear refusals."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.domains.healthcare_imaging import bounds
from edgekit.domains.healthcare_imaging import dicom as module
from edgekit.domains.healthcare_imaging.dicom import pseudonym, read_dicom
from edgekit.shared.errors import MissingExtraError, SourceError

pydicom = pytest.importorskip("pydicom", reason="pydicom (extra medical) is not installed")
uids = pytest.importorskip("pydicom.uid", reason="pydicom (extra medical) is not installed")

REAL = Path(__file__).parents[4] / "shared/data/healthcare/dicom"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="no ../shared/data/healthcare/dicom here")
RAMP = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)
NAME, NUMBER, BORN = "Doe^Jane", "MRN-4711", "19700203"
SECRETS = (NAME, "Doe", "Jane", NUMBER, BORN)
CT = "1.2.840.10008.5.1.4.1.1.2"


def dataset(pixels: np.ndarray = RAMP, *, syntax: str = uids.ExplicitVRLittleEndian, **changes: Any) -> Any:
    """Return a small image of one patient; ``None`` leaves an element out."""
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    colour = pixels.shape[-1] == 3
    rows, columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    values: dict[str, Any] = {
        "SOPClassUID": CT, "SOPInstanceUID": "1.2.3", "Modality": "CT", "StudyInstanceUID": "1.2.3.4",
        "PatientID": NUMBER, "PatientName": NAME, "PatientBirthDate": BORN, "Rows": rows, "Columns": columns,
        "SamplesPerPixel": 3 if colour else 1, "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "BitsAllocated": pixels.dtype.itemsize * 8, "BitsStored": pixels.dtype.itemsize * 8,
        "HighBit": pixels.dtype.itemsize * 8 - 1, "PixelRepresentation": int(pixels.dtype.kind == "i"),
    }  # fmt: skip
    if colour:
        values["PlanarConfiguration"] = 0
    if pixels.ndim == (4 if colour else 3):
        values["NumberOfFrames"] = len(pixels)
    for name, value in {**values, **changes}.items():
        if value is not None:
            setattr(made, name, value)
    if "PixelData" not in changes:
        order = pixels.astype(pixels.dtype.newbyteorder(">")) if syntax == uids.ExplicitVRBigEndian else pixels
        made.PixelData = order.tobytes() + b"\0" * (pixels.nbytes % 2)
        made["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 else "OB"
    return made


def content(made: Any) -> bytes:
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, made, enforce_file_format=True)
    return buffer.getvalue()


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Any]:
    def of(made: Any, name: str = "scan.dcm") -> Any:
        (tmp_path / name).write_bytes(made if isinstance(made, bytes) else content(made))
        return read_dicom(tmp_path / name)

    return of


Read = Callable[..., Any]


# === Grey ===


def test_without_a_window_percentiles_are_shown(read: Read) -> None:
    frames = read(dataset()).frames
    assert frames.shape == (1, 16, 16) and frames.dtype == np.uint8
    assert (frames.min(), frames.max()) == (0, 255) and frames.mean() == pytest.approx(127.5, abs=1)


@pytest.mark.parametrize("syntax", ["ExplicitVRLittleEndian", "ImplicitVRLittleEndian", "ExplicitVRBigEndian",
                                    "DeflatedExplicitVRLittleEndian", "RLELossless"])  # fmt: skip
def test_every_plain_encoding_gives_the_same(read: Read, syntax: str) -> None:
    made = dataset(syntax=getattr(uids, syntax) if syntax != "RLELossless" else uids.ExplicitVRLittleEndian)
    if syntax == "RLELossless":
        made.compress(uids.RLELossless, generate_instance_uid=False)
    np.testing.assert_array_equal(read(made).frames, read(dataset()).frames)


def test_the_first_window_counts_after_rescaling(read: Read) -> None:
    made = dataset(RescaleSlope="2", RescaleIntercept="-1000", WindowCenter=["1000.5", "5"], WindowWidth=["2001", "9"])
    shown = RAMP.astype(float) * 2 - 1000
    expected = np.clip((shown - 0) / 2000, 0, 1) * 255  # the standard's LINEAR: center - 0.5, width - 1
    np.testing.assert_allclose(read(made).frames[0], expected, atol=0.51)


def test_window_functions_differ(read: Read) -> None:
    window = {"WindowCenter": "2000", "WindowWidth": "1000"}
    exact = read(dataset(**window, VOILUTFunction="LINEAR_EXACT")).frames[0]
    np.testing.assert_allclose(exact, np.clip((RAMP - 1500.0) / 1000, 0, 1) * 255, atol=0.51)
    sigmoid = read(dataset(**window, VOILUTFunction="SIGMOID")).frames[0]
    np.testing.assert_allclose(sigmoid, 255 / (1 + np.exp(-4 * (RAMP - 2000.0) / 1000)), atol=0.51)


@pytest.mark.parametrize(("center", "width"), [("100000", "10"), ("2000", "0"), ("2000", "-5"), ("-9999", "1")])
def test_a_useless_window_is_passed_over(read: Read, center: str, width: str) -> None:
    made = dataset(WindowCenter=center, WindowWidth=width)
    np.testing.assert_array_equal(read(made).frames, read(dataset()).frames)


def test_monochrome1_is_inverted(read: Read) -> None:
    inverted = read(dataset(PhotometricInterpretation="MONOCHROME1")).frames
    np.testing.assert_array_equal(inverted, 255 - read(dataset()).frames)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("value", [-2000, 63_536])
def test_padding_does_not_count_and_is_black(read: Read, photometric: str, value: int) -> None:
    signed = value < 0
    pixels = RAMP.astype(np.int16 if signed else np.uint16)
    pixels[:4] = value
    frames = read(dataset(pixels, PixelPaddingValue=value, PhotometricInterpretation=photometric)).frames[0]
    assert not frames[:4].any() and np.ptp(frames[4:]) == 255
    assert frames[4:].mean() == pytest.approx(127.5, abs=1)


def test_padding_of_an_unsigned_image_may_be_written_with_a_sign(read: Read) -> None:
    pixels = RAMP.copy()
    pixels[0] = 63_536
    made = dataset(pixels)
    made.add_new("PixelPaddingValue", "SS", -2000)
    frames = read(made).frames[0]
    assert not frames[0].any() and frames[1:].mean() == pytest.approx(127.5, abs=1)


def test_a_range_of_padding_is_black(read: Read) -> None:
    pixels = RAMP.astype(np.int16)
    pixels[0], pixels[1] = -2000, -1990
    frames = read(dataset(pixels, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1990)).frames[0]
    assert not frames[:2].any() and frames[2:].mean() == pytest.approx(127.5, abs=1)


def test_lookup_tables_are_applied(read: Read) -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    table = pydicom.Dataset()
    table.LUTDescriptor = [256, 0, 8]
    table.LUTData = list(range(255, -1, -1))
    table["LUTData"].VR = "US"
    table["LUTDescriptor"].VR = "US"
    table.ModalityLUTType = "US"
    for name in ("ModalityLUTSequence", "VOILUTSequence"):
        frames = read(dataset(pixels, **{name: pydicom.Sequence([table])})).frames[0]
        assert frames[0, 0] > 250 and frames[-1, -1] < 5 and (np.diff(frames.ravel().astype(int)) <= 0).all()


def test_frames_are_read_with_their_own_rescaling(read: Read) -> None:
    frames = []
    for slope in ("1", "2"):
        item, transform = pydicom.Dataset(), pydicom.Dataset()
        transform.RescaleSlope, transform.RescaleIntercept = slope, "0"
        item.PixelValueTransformationSequence = pydicom.Sequence([transform])
        frames.append(item)
    pixels = np.stack([RAMP, RAMP // 2])
    shown = read(dataset(pixels, PerFrameFunctionalGroupsSequence=pydicom.Sequence(frames))).frames
    assert shown.shape == (2, 16, 16) and np.abs(shown[0].astype(int) - shown[1]).max() <= 1


def test_floats_are_read(read: Read) -> None:
    values = np.linspace(-1, 1, 256, dtype=np.float32).reshape(16, 16)
    made = dataset(BitsStored=None, HighBit=None, PixelRepresentation=None, BitsAllocated=32, PixelData=None)
    made.FloatPixelData = values.tobytes()
    frames = read(made).frames
    assert (frames[0, 0, 0], frames[0, -1, -1]) == (0, 255)


# === Colour ===


@pytest.mark.parametrize("planar", [0, 1])
def test_rgb_in_both_layouts(read: Read, planar: int) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (12, 10, 3)).astype(np.uint8)
    made = dataset(rgb, PlanarConfiguration=planar)
    if planar:
        made.PixelData = np.ascontiguousarray(rgb.transpose(2, 0, 1)).tobytes()
    np.testing.assert_array_equal(read(made).frames, rgb[None])


def test_ybr_becomes_rgb(read: Read) -> None:
    ybr = np.tile(np.array([76, 85, 255], np.uint8), (12, 10, 1))
    frames = read(dataset(ybr, PhotometricInterpretation="YBR_FULL")).frames
    assert np.abs(frames[0, 0, 0].astype(int) - [254, 0, 0]).max() <= 2


def test_palettes_of_sixteen_bits_become_rgb(read: Read) -> None:
    pixels = np.arange(144, dtype=np.uint8).reshape(12, 12)
    ramp = (np.arange(256) * 257).astype(np.uint16)
    palette: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, values in (("Red", ramp), ("Green", ramp[::-1]), ("Blue", ramp * 0)):
        palette[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        palette[f"{name}PaletteColorLookupTableData"] = values.tobytes()
    frames = read(dataset(pixels, **palette)).frames
    expected = np.stack([pixels, 255 - pixels, pixels * 0], axis=-1)
    np.testing.assert_array_equal(frames[0], expected)


def test_colour_with_equal_channels_becomes_grey(read: Read) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (12, 10)).astype(np.uint8)
    frames = read(dataset(np.stack([grey] * 3, axis=-1))).frames
    np.testing.assert_array_equal(frames, grey[None])


def test_colour_of_many_frames(read: Read) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (3, 12, 10, 3)).astype(np.uint8)
    np.testing.assert_array_equal(read(dataset(rgb)).frames, rgb)


# === Wrapping ===


def test_gzip_is_unpacked(read: Read) -> None:
    packed = read(gzip.compress(content(dataset())), "scan.dcm.gz")
    np.testing.assert_array_equal(packed.frames, read(dataset()).frames)


@pytest.mark.parametrize("syntax", ["ExplicitVRLittleEndian", "ImplicitVRLittleEndian", "ExplicitVRBigEndian"])
def test_a_file_without_preamble_and_meta_is_read(read: Read, syntax: str) -> None:
    made = dataset(syntax=getattr(uids, syntax))
    whole = content(made)
    length = int.from_bytes(whole[140:144], "little")
    np.testing.assert_array_equal(read(whole[144 + length :]).frames, read(dataset()).frames)


def test_huge_private_elements_are_skipped(tmp_path: Path, read: Read) -> None:
    made = dataset()
    block = made.private_block(0x0009, "SOMEONE", create=True)
    block.add_new(1, "OB", bytes(2**24))
    (tmp_path / "huge.dcm").write_bytes(content(made))
    tracemalloc.start()
    frames = read_dicom(tmp_path / "huge.dcm").frames
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(frames, read(dataset()).frames)
    assert peak < 2**23


# === Refusals ===


@pytest.mark.parametrize(
    ("sop", "modality", "said"),
    [
        ("1.2.840.10008.5.1.4.1.1.481.2", "RTDOSE", "a radiation dose grid"),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", "ECG", "a waveform"),
        ("1.2.840.10008.5.1.4.1.1.66.4", "SEG", "a segmentation"),
        ("1.2.840.10008.5.1.4.1.1.88.11", "SR", "a structured report"),
        ("1.2.840.10008.5.1.4.1.1.88.67", "SR", "a structured report"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "DOC", "an encapsulated document"),
        ("1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT", "outlines for radiotherapy"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "PR", "a presentation state"),
        (None, "RTDOSE", "a radiation dose grid"),
        ("1.2.3.4.5", "SEG", "a segmentation"),
    ],
)
def test_what_is_no_image_is_named(read: Read, sop: str | None, modality: str, said: str) -> None:
    made = dataset(Modality=modality, SOPClassUID=sop)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, made, enforce_file_format=False)
    with pytest.raises(SourceError, match=f"not an image but {said}") as caught:
        read(buffer.getvalue())
    assert "scan.dcm" in str(caught.value)


def test_a_portal_image_is_an_image(read: Read) -> None:
    assert read(dataset(SOPClassUID="1.2.840.10008.5.1.4.1.1.481.1", Modality="RTIMAGE")).frames.shape == (1, 16, 16)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"PixelData": None}, "no pixel data"),
        ({"Rows": None}, "names no rows or columns"),
        ({"Rows": 60_000, "Columns": 60_000}, "at most 100,000,000 pixels"),
        ({"NumberOfFrames": 4097}, "4,097 frames"),
        ({"NumberOfFrames": 0}, "0 frames"),
        ({"NumberOfFrames": 4000, "Rows": 1000, "Columns": 1000}, "400,000,000 pixels in all"),
        ({"Rows": 4, "PixelData": bytes(128)}, "at least 8 pixels"),
        ({"PixelData": bytes(40)}, "damaged, cut short"),
        ({"NumberOfFrames": 2}, "damaged, cut short"),
        ({"BitsAllocated": 12}, "damaged, cut short"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "cannot be turned into"),
    ],
)
def test_images_that_cannot_be_read_are_refused(read: Read, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        read(dataset(**changes))
    assert "scan.dcm" in str(caught.value) and not any(secret in str(caught.value) for secret in SECRETS)


def test_a_gzip_bomb_is_stopped(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_UNPACKED", 2**21)
    with pytest.raises(SourceError, match="unpacks to more than"):
        read(gzip.compress(content(dataset()) + bytes(2**22)), "bomb.dcm.gz")


def test_a_deflated_bomb_is_stopped(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNPACKED", 2**21)
    whole = content(dataset(syntax=uids.DeflatedExplicitVRLittleEndian))
    start = 144 + int.from_bytes(whole[140:144], "little")
    packer = zlib.compressobj(wbits=-15)
    inside = zlib.decompress(whole[start:], -15) + bytes(2**23)
    with pytest.raises(SourceError, match="data set unpacks to more than"):
        read(whole[:start] + packer.compress(inside) + packer.flush())


def test_a_missing_decoder_names_the_compression_and_the_remedy(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    made = dataset()
    made.compress(uids.RLELossless)
    decoder = pydicom.pixels.get_decoder(uids.RLELossless)
    monkeypatch.setattr(decoder, "_available", {})
    with pytest.raises(MissingExtraError, match=r"RLE Lossless.*\[medical\]"):
        read(made)


def test_without_pydicom_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingExtraError, match=r"pydicom.*\[medical\]"):
        read_dicom(tmp_path / "any.dcm")


@pytest.mark.parametrize("bytes_of", [b"", b"no dicom at all, but text", bytes(400), bytes(128) + b"DICM"])
def test_what_is_no_dicom_is_refused(read: Read, bytes_of: bytes) -> None:
    with pytest.raises(SourceError, match="scan.dcm"):
        read(bytes_of)


def test_a_video_is_refused(read: Read) -> None:
    made = dataset(PixelData=pydicom.encaps.encapsulate([b"\0" * 64]))
    made["PixelData"].is_undefined_length = True
    made.file_meta.TransferSyntaxUID = uids.MPEG2MPML
    with pytest.raises(SourceError, match="MPEG2.*cannot be decoded"):
        read(made)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_cut_short_is_refused(read: Read, share: float) -> None:
    whole = content(dataset())
    with pytest.raises(SourceError, match="scan.dcm"):
        read(whole[: int(len(whole) * share)])


def test_flipped_bytes_give_frames_or_a_refusal_without_names(read: Read) -> None:
    whole = content(dataset(WindowCenter="2000", WindowWidth="900"))
    rng = np.random.default_rng(5)
    for _ in range(150):
        broken = bytearray(whole)
        for place in rng.integers(132, len(whole) - 520, 4):
            broken[place] = rng.integers(0, 256)
        try:
            assert read(bytes(broken)).frames.dtype == np.uint8
        except SourceError as error:
            assert error.__cause__ is None and not any(secret in str(error) for secret in SECRETS)


# === The patient ===


def test_one_patient_always_has_the_same_pseudonym_that_shows_nothing(read: Read) -> None:
    first, again = read(dataset()), read(dataset(RAMP[::-1], StudyInstanceUID="9.9.9"))
    assert first.patient == again.patient == pseudonym("id", "", NUMBER)
    assert len(first.patient) == 16 and int(first.patient, 16) >= 0
    assert not any(secret in repr(first) for secret in SECRETS)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"IssuerOfPatientID": "north"}, ("id", "north", NUMBER)),
        ({"PatientID": None}, ("name", "doe^jane", BORN)),
        ({"PatientID": "ANONYMOUS"}, ("name", "doe^jane", BORN)),
        ({"PatientID": " ", "PatientName": "DOE^JANE^^"}, ("name", "doe^jane", BORN)),
        ({"PatientID": "", "PatientBirthDate": ""}, ("study", "1.2.3.4")),
        ({"PatientID": "", "PatientName": "Anonymous"}, ("study", "1.2.3.4")),
    ],
)
def test_what_a_pseudonym_is_made_of(read: Read, changes: dict[str, Any], parts: tuple[str, ...]) -> None:
    scan = read(dataset(**changes))
    assert scan.patient == pseudonym(*parts) and scan.study is (parts[0] == "study")


def test_a_file_that_names_nobody_has_no_pseudonym(read: Read) -> None:
    made = dataset(PatientID=None, PatientName=None, PatientBirthDate=None, StudyInstanceUID=None)
    assert (read(made).patient, read(made).study) == (None, False)


def test_two_hospitals_may_use_one_number(read: Read) -> None:
    north, south = (read(dataset(IssuerOfPatientID=name)).patient for name in ("north", "south"))
    assert north != south


# === Real files ===


@needs_real
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("CT_small.dcm", (1, 128, 128)),
        ("MR_small.dcm", (1, 64, 64)),
        ("JPEG2000.dcm", (1, 1024, 256)),
        ("examples_jpeg2k.dcm", (1, 480, 640, 3)),
        ("examples_overlay.dcm", (1, 300, 484)),
        ("examples_palette.dcm", (1, 350, 800, 3)),
        ("examples_rgb_color.dcm", (1, 240, 320, 3)),
        ("examples_ybr_color.dcm", (30, 240, 320, 3)),
        ("nibabel_0.dcm", (1, 256, 256)),
        ("nibabel_siemens_dwi_0.dcm.gz", (1, 896, 896)),
    ],
)
def test_real_files_are_read(name: str, shape: tuple[int, ...]) -> None:
    scan = read_dicom(REAL / name)
    assert scan.frames.shape == shape and scan.frames.dtype == np.uint8 and scan.patient


@needs_real
@pytest.mark.parametrize("name", ["MR_small_RLE", "MR_small_bigendian", "MR_small_jpeg_ls_lossless"])
def test_one_image_under_several_compressions_is_one_image(name: str) -> None:
    scan, plain = read_dicom(REAL / f"{name}.dcm"), read_dicom(REAL / "MR_small.dcm")
    np.testing.assert_array_equal(scan.frames, plain.frames)
    assert scan.patient == plain.patient


@needs_real
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rtdose.dcm", "radiation dose"),
        ("waveform_ecg.dcm", "waveform"),
        ("liver_1frame.dcm", "segmentation"),
        ("JPEG-lossy.dcm", "no decoder for JPEG Extended .* with 12 bits"),
    ],
)
def test_real_files_that_are_refused(name: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        read_dicom(REAL / name)
