"""DICOM files to grey or RGB frames of 8 bits.

Stored values become intensities (rescale or modality LUT), then the file's first window or its VOI LUT makes them
grey; without one the percentiles of ``scaling`` do. Only the elements listed here are read: names and private elements
of any size are skipped, and the patient leaves this module as a pseudonym alone.
"""

from __future__ import annotations

import hashlib
import math
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...shared.errors import MissingExtraError, SourceError, require
from .bounds import MAX_UNPACKED, check_size, opened
from .codestreams import check_codestreams
from .dicom_kinds import refuse_non_images
from .scaling import grey_if_equal, percentiles, to_bytes
from .scans import Scan

MAGIC = b"DICM"
MAGIC_AT = 128
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
PLACEHOLDERS = frozenset(
    ("", "0", "00000", "anon", "anonym", "anonymous", "anonymized", "anonymised", "deidentified", "na", "none",
     "removed", "unknown", "xxxx")
)  # fmt: skip
_NEEDED = (
    "SpecificCharacterSet", "SOPClassUID", "StudyInstanceUID", "Modality", "PatientID", "IssuerOfPatientID",
    "PatientName", "PatientBirthDate", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration",
    "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleIntercept", "RescaleSlope", "ModalityLUTSequence",
    "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths", *PIXELS,
)  # fmt: skip
_DEFLATED = "1.2.840.10008.1.2.1.99"


def read_dicom(path: Path) -> Scan:
    """Read a DICOM file, also one packed with gzip or without a preamble.

    Raises:
        SourceError: the file holds no image, is damaged, or is too large; says which.
        MissingExtraError: pydicom or the decoder of the file's compression is not installed.
    """
    require("pydicom", extra="medical")  # before the file is opened
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom quotes the values it doubts, names among them
        try:
            with opened(path) as file:
                header = _parsed(path, file, pixels=False)
                _check_header(path, header)
                whole = _parsed(path, file, pixels=True)
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}. Check the path.") from None
        patient, study = _patient(header)
        return Scan(_frames(path, whole), patient, study=study)


@contextmanager
def _silent_failure(path: Path, what: str) -> Iterator[None]:
    """Turn any failure of pydicom into a message without its text, which may quote values of the file."""
    try:
        yield
    except (SourceError, MissingExtraError):
        raise
    except Exception as error:  # damaged files fail in every way there is
        raise SourceError(f"{path}: {what} ({type(error).__name__}). Copy or export it again.") from None


def _parsed(path: Path, file: IO[bytes], *, pixels: bool) -> Any:
    pydicom = require("pydicom", extra="medical")
    with _silent_failure(path, "damaged DICOM file"):
        file.seek(MAGIC_AT)
        if file.read(4) == MAGIC:
            _check_inflated(path, file)
        file.seek(0)
        dataset = pydicom.dcmread(file, force=True, stop_before_pixels=not pixels, specific_tags=list(_NEEDED))
        if "SOPClassUID" not in dataset and "Rows" not in dataset:
            raise SourceError(f"{path}: not a DICOM file, or only a piece of one. Expected a whole DICOM image.")
        return dataset


def _check_inflated(path: Path, file: IO[bytes]) -> None:
    """Refuse a data set whose own compression hides more than may be unpacked; ``file`` stands behind DICM."""
    reader = require("pydicom.filereader", extra="medical")
    meta = reader.read_dataset(file, False, True, stop_when=lambda tag, *_: tag.group != 2)
    if str(meta.get("TransferSyntaxUID", "")) != _DEFLATED:
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    size, block = 0, file.read(2**16)
    while block:
        size += len(inflater.decompress(block, 2**20))
        if size > MAX_UNPACKED:
            raise SourceError(f"{path}: its data set unpacks to more than {MAX_UNPACKED:,} bytes. Export it again.")
        block = inflater.unconsumed_tail or file.read(2**16)


def _check_header(path: Path, header: Any) -> None:
    with _silent_failure(path, "damaged DICOM header"):
        refuse_non_images(path, header)
        rows, columns, frames = (_whole(header, name) for name in ("Rows", "Columns", "NumberOfFrames"))
        if not rows or not columns:
            raise SourceError(f"{path}: its header names no rows or columns of pixels. Expected a DICOM image.")
        check_size(path, width=columns, height=rows, frames=1 if frames is None else frames)


def _whole(dataset: Any, name: str) -> int | None:
    value = dataset.get(name)
    return None if value is None or value == "" else int(value)


# === Pixels ===


def _frames(path: Path, dataset: Any) -> np.ndarray:
    """Return uint8 (frame, height, width) or (frame, height, width, 3)."""
    if not any(name in dataset for name in PIXELS):
        raise SourceError(f"{path}: has no pixel data. Expected a DICOM image; it may be a copy of the header only.")
    stored, colour = _decoded(path, dataset)
    with _silent_failure(path, "its pixel values cannot be turned into grey or colour"):
        shape = (dataset.Rows, dataset.Columns)
        if colour == "PALETTE COLOR":
            return grey_if_equal(_eight_bits(_pixels().apply_color_lut(stored, dataset).reshape(-1, *shape, 3)))
        if stored.shape[-3:] == (*shape, 3):
            if colour.startswith("YBR") and colour not in ("YBR_RCT", "YBR_ICT"):  # JPEG 2000 undoes these itself
                raise SourceError(f"{path}: its colours are coded as {colour}, which cannot be converted to RGB.")
            bits = dataset.BitsStored
            colours = _eight_bits(stored >> bits - 8 if bits > 8 else stored)
            return grey_if_equal(colours.reshape(-1, *shape, 3))
        return _grey(dataset, stored.reshape(-1, *shape))


def _decoded(path: Path, dataset: Any) -> tuple[np.ndarray, str]:
    """Return stored values as pydicom's own decoders give them, and how their colours are coded."""
    syntax = _transfer_syntax(dataset)
    with _silent_failure(path, f"compressed as {syntax.name}, which cannot be decoded"):
        decoder = _pixels().get_decoder(syntax)
        if not decoder.is_available:
            raise MissingExtraError(
                f"{path}: compressed as {syntax.name}; the packages that decode it are not installed "
                f"({'; '.join(decoder.missing_dependencies)}). In the clone of edgekit, run: "
                'pip install -e ".[medical]"'
            )
    with _silent_failure(path, f"its pixel data are damaged, cut short, or of an unknown kind of {syntax.name}"):
        if syntax.is_encapsulated:
            check_codestreams(path, dataset)
        try:
            array, told = decoder.as_array(dataset, raw=False)
        except RuntimeError as error:
            if "does not support" in str(error):
                raise SourceError(
                    f"{path}: no decoder for {syntax.name} with {dataset.BitsStored} bits is at hand. Save the file "
                    "uncompressed or with another compression, for example JPEG 2000."
                ) from None
            raise
        return array, str(told["photometric_interpretation"])


def _pixels() -> Any:
    return require("pydicom.pixels", extra="medical")


def _transfer_syntax(dataset: Any) -> Any:
    uid = require("pydicom.uid", extra="medical")
    meta = getattr(dataset, "file_meta", None)
    named = meta.get("TransferSyntaxUID") if meta is not None else None
    if named:
        return uid.UID(str(named))
    implicit, little = dataset.original_encoding
    if implicit:
        return uid.ImplicitVRLittleEndian
    return uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian


def _eight_bits(colours: np.ndarray) -> np.ndarray:
    return (colours >> 8 if colours.dtype.itemsize > 1 and colours.max(initial=0) > 255 else colours).astype(np.uint8)


def _grey(dataset: Any, stored: np.ndarray) -> np.ndarray:
    padding = _padding(dataset, stored)
    values, window = _intensities(dataset, stored)
    low, high = percentiles(values, None if padding is None else ~padding)
    shown = None
    if window is not None:
        shown = to_bytes(values, *window)
        if low < high and shown.min() == shown.max():
            shown = None  # a window beside the values shows nothing
    made = to_bytes(values, low, high) if shown is None else shown
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        made = 255 - made
    if padding is not None:
        made[padding] = 0
    return made


def _padding(dataset: Any, stored: np.ndarray) -> np.ndarray | None:
    """Return which stored values only fill the rectangle, or ``None``."""
    value = dataset.get("PixelPaddingValue")
    if value is None or stored.dtype.kind not in "iu":
        return None
    limit = dataset.get("PixelPaddingRangeLimit", value)
    size = 1 << int(dataset.BitsAllocated)
    # some files write the value of an unsigned image as a negative number
    ends = sorted(int(end) % size if stored.dtype.kind == "u" else int(end) for end in (value, limit))
    made = (stored >= ends[0]) & (stored <= ends[1])
    return made if made.any() and not made.all() else None


def _intensities(dataset: Any, stored: np.ndarray) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Return values after the modality's conversion, and the range to show, if the file says so."""
    values = _rescaled(dataset, stored)
    if "VOILUTSequence" in dataset and values.dtype.kind in "iu":
        table = dataset.VOILUTSequence[0]
        return _pixels().apply_voi_lut(values, dataset, index=0), (0.0, float(2 ** int(table.LUTDescriptor[2]) - 1))
    place = _group(dataset, "FrameVOILUTSequence", 0) or dataset
    center, width = (_first(place, name) for name in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or width <= 0:
        return values, None
    function = str(place.get("VOILUTFunction") or "LINEAR")
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values.astype(np.float32) - center) / width, -80, 80))), (0.0, 1.0)
    if function == "LINEAR_EXACT":
        return values, (center - width / 2, center + width / 2)
    half = (max(width, 1 + 1e-6) - 1) / 2  # the standard's LINEAR counts whole steps, of which a width of 1 has none
    return values, (center - 0.5 - half, center - 0.5 + half)


def _rescaled(dataset: Any, stored: np.ndarray) -> np.ndarray:
    if "ModalityLUTSequence" in dataset:
        return np.asarray(_pixels().apply_modality_lut(stored, dataset))
    slopes = [_slope(_group(dataset, "PixelValueTransformationSequence", n) or dataset) for n in range(len(stored))]
    if all(pair == (1.0, 0.0) for pair in slopes):
        return stored
    scaled = np.empty(stored.shape, dtype=np.float32)
    for frame, (slope, intercept) in enumerate(slopes):
        scaled[frame] = stored[frame].astype(np.float64) * slope + intercept
    return scaled


def _slope(place: Any) -> tuple[float, float]:
    slope, intercept = _first(place, "RescaleSlope"), _first(place, "RescaleIntercept")
    return slope or 1.0, intercept or 0.0  # a slope of 0 is a mistake: it would erase the image


def _group(dataset: Any, name: str, frame: int) -> Any:
    """Return the first item of a functional group, the file's or the frame's, or ``None``."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for place in (*shared[:1], *frames[frame : frame + 1]):
        if place.get(name):
            return place[name][0]
    return None


def _first(place: Any, name: str) -> float | None:
    value = place.get(name)
    if value is None or value == "":
        return None
    if hasattr(value, "__len__") and not isinstance(value, str):
        value = value[0] if len(value) else "nan"
    number = float(value)
    return number if math.isfinite(number) else None


# === The patient ===


def pseudonym(*parts: str) -> str:
    """Return 16 hexadecimal digits that always stand for the same ``parts`` and do not show them.

    Whoever knows a number can make its pseudonym again: it hides who is meant from readers, not from the hospital.
    """
    return hashlib.sha256("\x1f".join(("edgekit patient", *parts)).encode()).hexdigest()[:16]


def is_placeholder(text: str) -> bool:
    """Return whether a patient's name or number is a word that stands for none."""
    return text.strip().casefold() in PLACEHOLDERS


def _patient(header: Any) -> tuple[str | None, bool]:
    """Return the pseudonym, and whether it is that of the study, which belongs to one patient at least."""
    try:
        number, issuer, name, birth, study = (
            _text(header, tag)
            for tag in ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID")
        )
    except Exception:  # a name that cannot be decoded names nobody
        return None, False
    if not is_placeholder(number):
        return pseudonym("id", issuer, number), False
    if not is_placeholder(name) and birth:
        return pseudonym("name", name.casefold(), birth), False
    return (pseudonym("study", study), True) if study else (None, False)


def _text(header: Any, tag: str) -> str:
    value = header.get(tag)
    return "" if value is None else str(value).strip(" \0^")
