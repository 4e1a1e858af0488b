"""Static int8 conversion in a process of its own, because calibration can crash the interpreter.

``python -m edgekit.tflite_export.calibrate FOLDER`` reads ``request.json`` and ``calibration.npz``
in FOLDER and writes ``model.tflite`` beside them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..shared import files
from ..shared.errors import require
from .convert import SavedNetwork, to_tflite

if TYPE_CHECKING:
    from ..shared.domain import Arrays


def write_request(folder: Path, saved: SavedNetwork, calibration: Arrays) -> None:
    """Write what :func:`main` reads in the other process."""
    request = {
        "folder": str(saved.folder), "signatures": saved.signatures, "layers": saved.layers, "views": saved.views,
    }  # fmt: skip
    files.write_json(folder / "request.json", request)
    np.savez(folder / "calibration.npz", allow_pickle=False, **calibration)


def main(name: str) -> None:
    """Answer the request in a folder.

    Raises:
        ExportError: the converter failed.
    """
    folder = Path(name)
    request = json.loads((folder / "request.json").read_text())
    saved = SavedNetwork(
        Path(request["folder"]), tuple(request["signatures"]), tuple(request["layers"]), request["views"]
    )
    with np.load(folder / "calibration.npz", allow_pickle=False) as stored:
        calibration = dict(stored)
    content = to_tflite(saved, adjust=lambda converter: _calibrated(converter, saved, calibration))
    files.write_bytes(folder / "model.tflite", content)


def _calibrated(converter: Any, saved: SavedNetwork, calibration: Arrays) -> None:
    tf = require("tensorflow", extra="train")

    def examples() -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        for row in range(len(next(iter(calibration.values())))):
            inputs = {name: values[row : row + 1] for name, values in calibration.items()}
            for key in saved.keys:
                yield key, inputs

    # Without TFLITE_BUILTINS_INT8 the converter may leave in float what has no int8 form, and
    # inputs and outputs keep their float32, int32 or uint8.
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = examples


if __name__ == "__main__":
    main(sys.argv[1])
