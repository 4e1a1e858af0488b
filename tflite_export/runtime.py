"""Running a device file: numpy and ai-edge-litert, nothing else.

model = load_model("finance_fraud.tflite")
outputs = model.predict({"numeric": numeric, "codes": codes})     # first axis = example
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..shared.errors import DeviceFileError
from .card import Card
from .engine import Engine
from .golden import Golden, Verification, replay
from .guard import Checked, check, check_file
from .ops import Op
from .signature import Signature

if TYPE_CHECKING:  # at run time a device needs none of what stands behind these names
    from ..shared.domain import Arrays


def load_model(source: str | Path | bytes, *, threads: int = 1) -> DeviceModel:
    """Check a device file and make it ready to run.

    Args:
        source: path of a ``.tflite``, or its bytes. With a path, the ``manifest.json`` beside it is
            consulted.
        threads: CPU threads of the interpreter, at least 1. Small networks are fastest with one.

    Raises:
        DeviceFileError: the file is refused; the message says what was found, expected and how to
            fix it.
    """
    if isinstance(source, bytes):
        return DeviceModel(check(source), threads=threads)
    path = Path(source)
    checked = check_file(path)
    try:
        return DeviceModel(checked, threads=threads)
    except DeviceFileError as error:
        raise DeviceFileError(f"{path}: {error}") from error


def verify(source: str | Path | bytes) -> Verification:
    """Load a file and replay its golden vectors on this machine.

    Raises:
        DeviceFileError: the file is refused.
    """
    return replay(load_model(source))


def require_domain(model: DeviceModel, domain: str) -> None:
    """Accept a file of one domain.

    Raises:
        DeviceFileError: the file is of another.
    """
    if model.card.domain != domain:
        raise DeviceFileError(
            f"Found a model of {model.card.domain!r}, expected {domain!r}. Use the API of its own domain."
        )


class DeviceModel:
    """A checked device file, ready to run. Not safe to share between threads: load one per thread.

    Attributes:
        card: what the file says about itself.
        golden: the recorded examples inside the file.
        ops: the operators it uses.
        signatures: its entry points by name.
        content_bytes: size of the file in bytes.
    """

    def __init__(self, checked: Checked, *, threads: int = 1) -> None:
        self.card: Card = checked.card
        self.golden: Golden = checked.golden
        self.ops: tuple[Op, ...] = checked.ops
        self.signatures: dict[str, Signature] = dict(checked.signatures)
        self.content_bytes = len(checked.content)
        self._engine = Engine(checked.content, checked.signatures, threads=threads)

    def predict(self, inputs: Arrays) -> dict[str, np.ndarray]:
        """Return the outputs of ``predict`` for named inputs, first axis = example; the arrays are
        new.

        Raises:
            ContractError: an input has the wrong name, dtype or shape.
        """
        return self._engine.predict(inputs)

    def run(self, signature: str, inputs: Arrays) -> dict[str, np.ndarray]:
        """Return the outputs of any signature for named inputs, first axis = example.

        Raises:
            ContractError: the file has no such signature, or an input has the wrong name, dtype or
                shape.
        """
        return self._engine.run(signature, inputs)

    def __repr__(self) -> str:
        return f"<DeviceModel {self.card.domain} {self.card.recipe} {self.content_bytes} bytes>"
