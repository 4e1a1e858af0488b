"""Golden vectors: recorded inputs and outputs, with which any device can test its file.

Stored as ``EKG1``, the length of a JSON header, the header, then the raw little-endian values in
the header's order. Nothing is ever unpickled, and every length is checked against what is really
there.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..shared.errors import DeviceFileError, ExportError
from .card import Card
from .card_reader import PORTABLE_DTYPES
from .parity import compare_outputs, same_ranking

if TYPE_CHECKING:  # at run time a device needs none of what stands behind these names
    from ..shared.domain import Arrays

ENTRY = "edgekit.golden"
MAX_BYTES = 16 << 20
_MAGIC = b"EKG1"
_MAX_HEADER = 1 << 20
_MAX_AXES = 9
PLACEHOLDER = 1e8
"""Values beyond stand for nothing, such as a place of a list that stays empty, and say nothing of the scale."""


@dataclass(frozen=True)
class Golden:
    """Recorded examples.

    Attributes:
        inputs: named arrays, first axis = example.
        outputs: what ``predict`` answered on the machine that exported the file.
        tolerance: allowed difference, relative to the largest recorded value of an output, at least
            1.
    """

    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    tolerance: float

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True)
class Verification:
    """What replaying the golden vectors showed on this machine.

    Attributes:
        n: number of examples replayed.
        max_abs_error: largest absolute difference over all outputs of real numbers.
        decision_flips: examples that are decided differently here.
        tolerance: largest difference that passes, for the output with the largest values.
        passed: whether every output is within its tolerance and every integer output is equal, or is a ranking whose
            places changed only where the scores are within it.
    """

    n: int
    max_abs_error: float
    decision_flips: int
    tolerance: float
    passed: bool


class Replayable(Protocol):
    """What :func:`replay` needs of a loaded model."""

    @property
    def card(self) -> Card:
        """What the file says about itself."""

    @property
    def golden(self) -> Golden:
        """The recorded examples."""

    def predict(self, inputs: Arrays) -> dict[str, np.ndarray]:
        """Return the outputs for named inputs."""


def replay(model: Replayable) -> Verification:
    """Run the golden inputs through ``model`` and compare with the golden outputs.

    A decision can flip without failing: a score within the tolerance of the threshold may fall on
    either side on two CPUs. The flips are reported so that it is seen.
    """
    golden = model.golden
    outputs = model.predict(golden.inputs)
    parity = compare_outputs(golden.outputs, outputs, decision=model.card.decision)
    real = {name: values for name, values in golden.outputs.items() if not np.issubdtype(values.dtype, np.integer)}
    allowed = {name: _allowed(values, golden.tolerance) for name, values in real.items()}
    passed = all(parity.by_output[name] <= allowed[name] for name in allowed) and all(
        _same_codes(values, outputs[name], real, allowed) for name, values in golden.outputs.items() if name not in real
    )
    flips = parity.decision_flips
    return Verification(len(golden), parity.max_abs_error, flips, max(allowed.values(), default=0.0), passed)


def _same_codes(
    recorded: np.ndarray, found: np.ndarray, real: Mapping[str, np.ndarray], allowed: Mapping[str, float]
) -> bool:
    """Tell whether codes are the recorded ones, or change places in a ranking with scores that say so."""
    if np.array_equal(recorded, found):
        return True
    scores = [name for name, values in real.items() if values.shape == recorded.shape and _fall(values)]
    return any(same_ranking(recorded, found, real[name], allowed=allowed[name]) for name in scores)


def _fall(values: np.ndarray) -> bool:
    return values.ndim > 1 and bool((np.diff(values, axis=-1) <= 0).all())


def encode(golden: Golden) -> bytes:
    """Return the golden vectors as bytes, the same vectors always as the same bytes.

    Raises:
        ExportError: a dtype is not portable, the arrays are too large or there is no example.
    """
    tables = {"inputs": golden.inputs, "outputs": golden.outputs}
    header: dict[str, Any] = {"tolerance": golden.tolerance}
    parts: list[bytes] = []
    for side, arrays in tables.items():
        header[side] = [[name, str(arrays[name].dtype), list(arrays[name].shape)] for name in sorted(arrays)]
        parts += [np.ascontiguousarray(arrays[n], arrays[n].dtype.newbyteorder("<")).tobytes() for n in sorted(arrays)]
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    content = b"".join([_MAGIC, struct.pack("<I", len(text)), text, *parts])
    try:
        decode(content)
    except DeviceFileError as error:
        raise ExportError(f"Cannot record the golden vectors. {error}") from error
    return content


def decode(content: bytes) -> Golden:
    """Return the golden vectors in ``content``; the arrays are read-only views.

    Raises:
        DeviceFileError: the bytes are anything else than what :func:`encode` writes.
    """
    try:
        return _decode(content)
    except (ValueError, TypeError, KeyError, struct.error, RecursionError, OverflowError) as error:
        raise DeviceFileError(
            f"Found unreadable golden vectors ({error}). Expected at most {MAX_BYTES >> 20} MB of "
            f"{', '.join(PORTABLE_DTYPES)} arrays with the same number of examples. Export the "
            "file again."
        ) from error


def _decode(content: bytes) -> Golden:
    if len(content) > MAX_BYTES:
        raise ValueError(f"{len(content)} bytes")
    if content[:4] != _MAGIC:
        raise ValueError(f"they start with {content[:4]!r}, not {_MAGIC!r}")
    (length,) = struct.unpack_from("<I", content, 4)
    if length > min(_MAX_HEADER, len(content) - 8):
        raise ValueError(f"the header claims {length} bytes")
    header = json.loads(content[8 : 8 + length])
    tolerance = header["tolerance"]
    if type(tolerance) is not float or not 0 < tolerance < 1:
        raise ValueError(f"the tolerance is {tolerance!r}")
    inputs, offset = _arrays(header["inputs"], content, 8 + length)
    outputs, offset = _arrays(header["outputs"], content, offset)
    if offset != len(content):
        raise ValueError(f"{len(content) - offset} bytes are left over")
    counts = {len(array) for array in (*inputs.values(), *outputs.values())}
    if not inputs or not outputs or len(counts) != 1 or counts == {0}:
        raise ValueError(f"{len(inputs)} inputs and {len(outputs)} outputs have {sorted(counts)} examples")
    return Golden(inputs, outputs, tolerance)


def _arrays(entries: list[Any], content: bytes, offset: int) -> tuple[dict[str, np.ndarray], int]:
    found: dict[str, np.ndarray] = {}
    for name, dtype, shape in entries:
        if type(name) is not str or name in found or dtype not in PORTABLE_DTYPES:
            raise ValueError(f"an entry is called {name!r} of dtype {dtype!r}")
        if not 1 <= len(shape) <= _MAX_AXES or any(type(n) is not int or n < 0 for n in shape):
            raise ValueError(f"{name!r} has shape {shape!r}")
        count = math.prod(shape)
        size = count * np.dtype(dtype).itemsize
        if size > len(content) - offset:
            raise ValueError(f"{name!r} needs {size} bytes and {len(content) - offset} are left")
        stored = np.dtype(dtype).newbyteorder("<")
        values = np.frombuffer(content, stored, count, offset).reshape(shape)
        found[name] = values.astype(dtype, copy=False)
        offset += size
    return found, offset


def _allowed(values: np.ndarray, tolerance: float) -> float:
    finite = np.abs(values[np.abs(values) < PLACEHOLDER])
    return tolerance * max(1.0, float(finite.max(initial=0.0)))
