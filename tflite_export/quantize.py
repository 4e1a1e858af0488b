"""One recipe applied to one network."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..shared.errors import ExportError, require
from .calibrate import write_request
from .convert import SavedNetwork, quiet, save, to_tflite
from .flatfile import share_buffers, with_weights_inside
from .recipes import DYNAMIC_INT4, DYNAMIC_INT8, FLOAT16, FLOAT32, STATIC_INT8, TIED_INT8, Recipe, recipe
from .signature import Views

if TYPE_CHECKING:
    import keras

    from ..shared.domain import Arrays

CALIBRATION_ROWS = 256
"""Examples the ranges are learnt from; more change little and cost time."""
_TIMEOUT_SECONDS = 900


def export(
    model: keras.Model,
    recipe_name: str = "float32",
    *,
    profile: str = "device",
    endpoints: Mapping[str, keras.Model] | None = None,
    views: Views | None = None,
    calibration: Arrays | None = None,
) -> bytes:
    """Return the ``.tflite`` of a functional Keras model under a recipe.

    Args:
        model: becomes the ``predict`` signature; see :func:`.convert.save`.
        recipe_name: one of :data:`.recipes.RECIPES`.
        profile: ``device`` (batch 1) or ``server`` (any batch).
        endpoints: further signatures by name.
        views: outputs of ``model`` that get a signature of their own.
        calibration: training inputs, first axis = example, for recipes that need them.

    Raises:
        ExportError: the model cannot be exported, or not under this recipe.
        ConfigError: unknown recipe or profile.
    """
    chosen = recipe(recipe_name)
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        saved = save(model, Path(folder), profile=profile, endpoints=endpoints, views=views)
        return quantize(saved, chosen, calibration=calibration)


def quantize(saved: SavedNetwork, chosen: Recipe, *, calibration: Arrays | None = None) -> bytes:
    """Return the ``.tflite`` of a SavedModel under a recipe.

    Raises:
        ExportError: the converter or quantizer failed, crashed, or needs calibration inputs it was
            not given.
    """
    if chosen.needs_calibration and not calibration:
        raise ExportError(
            f"Recipe {chosen.name!r} learns ranges from examples and got none. Pass calibration "
            "inputs from the training split."
        )
    if chosen == STATIC_INT8:
        return _static_int8(saved, calibration or {})
    if chosen == DYNAMIC_INT4:
        return _dynamic_int4(to_tflite(saved))
    if chosen == TIED_INT8:
        return share_buffers(to_tflite(saved, adjust=_tied_int8))
    return to_tflite(saved, adjust=_ADJUSTMENTS[chosen.name])


def _float16(converter: Any) -> None:
    tf = require("tensorflow", extra="train")
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def _dynamic_int8(converter: Any) -> None:
    # The converter, not ai-edge-quantizer: only it reaches Keras embeddings, which become GATHER.
    # On a 40k-weight tabular net with embedding tables it gives 50 kB against 126 kB, and 2.1e-3
    # against 2.6e-3 largest error.
    tf = require("tensorflow", extra="train")
    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def _tied_int8(converter: Any) -> None:
    # Lookups have one scale a table. With one a row for products, the same table would be stored twice.
    _dynamic_int8(converter)
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True


def _dynamic_int4(content: bytes) -> bytes:
    quantizer = require("ai_edge_quantizer.quantizer", extra="train")
    recipes = require("ai_edge_quantizer.recipe", extra="train")
    with quiet(), contextlib.redirect_stderr(io.StringIO()):  # its progress bars go to Python's own stream
        try:
            job = quantizer.Quantizer(bytearray(content), recipes.dynamic_wi4_afp32())
            made = bytes(job.quantize(enable_progress_report=False).quantized_model)
        except Exception as error:  # the quantizer documents no error types
            raise ExportError(
                f"The quantizer failed: {' '.join(str(error).split())[:400]}. Use dynamic_int8."
            ) from error
    return with_weights_inside(made)


def _static_int8(saved: SavedNetwork, calibration: Arrays) -> bytes:
    with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
        folder = Path(name)
        write_request(folder, saved, _calibration_rows(calibration))
        result = _run([sys.executable, "-P", "-m", "edgekit.tflite_export.calibrate", name])
        made = folder / "model.tflite"
        if result.returncode == 0 and made.exists():
            return made.read_bytes()
        raise ExportError(
            f"Calibration ended with exit code {result.returncode}{_signal(result.returncode)}: "
            f"{_last_line(result.stderr)}. Recurrent loops crash the converter; use dynamic_int8 "
            "for them."
        )


def _run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, capture_output=True, timeout=_TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"Calibration took longer than {_TIMEOUT_SECONDS} s. Use dynamic_int8.") from error


def _calibration_rows(calibration: Arrays) -> dict[str, np.ndarray]:
    """Return evenly spaced rows without NaN: one NaN would make a whole range NaN."""
    complete = np.ones(len(next(iter(calibration.values()))), bool)
    for values in calibration.values():
        if np.issubdtype(values.dtype, np.floating):
            complete &= np.isfinite(values).reshape(len(values), -1).all(axis=1)
    rows = np.flatnonzero(complete)
    if not len(rows):
        raise ExportError(
            f"Found no complete row among {len(complete)} calibration rows, expected some without "
            "NaN. Static ranges cannot be learnt from missing values; use dynamic_int8."
        )
    chosen = rows[np.linspace(0, len(rows) - 1, min(len(rows), CALIBRATION_ROWS)).astype(int)]
    return {name: values[chosen] for name, values in calibration.items()}


def _signal(code: int) -> str:
    return f" (killed by signal {-code})" if code < 0 else ""


def _last_line(output: bytes) -> str:
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip() and not _CHATTER.match(line)]
    return lines[-1][:300] if lines else "no message"


_CHATTER = re.compile(r"[IWE]\d{4} |[IWE]0000|WARNING|INFO")
_ADJUSTMENTS = {FLOAT32.name: None, FLOAT16.name: _float16, DYNAMIC_INT8.name: _dynamic_int8}
