"""An interpreter prepared once, so that a call costs little more than the network itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import interpreter as litert

from ..shared.errors import ConfigError, ContractError, DeviceFileError
from .signature import PREDICT, Signature, Slot, read_signatures

if TYPE_CHECKING:  # at run time a device needs none of what stands behind these names
    from ..shared.domain import Arrays

CHUNK_ROWS = 1024
"""Most rows per call of a free-batch file: a call's cost is hidden, the cache still holds."""
CHUNK_BYTES = 4 << 20
"""Most input bytes per call, because images need hundreds of times their own size in between."""
_REFUSALS = (
    ValueError,
    RuntimeError,
)  # a UnicodeDecodeError, seen on damaged files, is a ValueError


class Engine:
    """Runs the signatures of a ``.tflite`` that is already trusted. One thread at a time.

    A fixed-batch file is called row by row; a dynamic-batch file in chunks, and
    resized only when the number of rows changes.
    """

    def __init__(self, content: bytes, signatures: Mapping[str, Signature] | None = None, *, threads: int = 1) -> None:
        """Build the interpreter.

        Raises:
            DeviceFileError: the interpreter refuses the file, or it has no ``predict`` signature.
        """
        if threads < 1:
            raise ConfigError(f"Found threads = {threads}, expected at least 1.")
        self._signatures = dict(read_signatures(content) if signatures is None else signatures)
        if PREDICT not in self._signatures:
            raise DeviceFileError(
                f"Found signatures {sorted(self._signatures)}, expected one called {PREDICT!r}. "
                "Export the file again with edgekit."
            )
        try:
            self._interpreter = litert.Interpreter(model_content=content, num_threads=threads)
            self._interpreter.allocate_tensors()
            # A runner kept alive counts as a reference to internal data and blocks `invoke`: use
            # and drop it.
            runner = self._interpreter.get_signature_runner(PREDICT)
            self._input_indices = _indices(runner.get_input_details())
            del runner
            self._set, self._get = self._interpreter.set_tensor, self._interpreter.get_tensor
            self._invoke = self._interpreter.invoke
            # Plain tensor access reaches the first subgraph alone. edgekit puts `predict` and its views there.
            self._direct = self._reached_directly()
            self._outputs = self._direct.get(PREDICT, ())
            self._inputs: tuple[tuple[str, int, Any, tuple[int, ...]], ...] = ()
            self._expect(max(_batch(self._signatures[PREDICT]), 1))
        except _REFUSALS as error:
            raise DeviceFileError(
                f"The interpreter refused the file ({_brief(error)}). Expected a network that the "
                "installed ai-edge-litert can run. Upgrade: pip install --upgrade ai-edge-litert"
            ) from error

    def predict(self, inputs: Arrays) -> dict[str, np.ndarray]:
        """Return the outputs of ``predict``; see :meth:`run`."""
        # Only comparisons here: a tiny network answers in 10 µs, which leaves no time for more.
        # What does not fit is sorted out, or explained, by `run`.
        if len(inputs) != len(self._inputs) or not self._outputs:
            return self.run(PREDICT, inputs)
        for name, index, dtype, shape in self._inputs:
            value = inputs.get(name)
            if type(value) is not np.ndarray or value.shape != shape or value.dtype != dtype:
                return self.run(PREDICT, inputs)
            self._set(index, value)
        try:
            self._invoke()
        except _REFUSALS as error:
            raise _failed(error) from error
        return {name: self._get(index) for name, index in self._outputs}

    def run(self, signature: str, inputs: Arrays) -> dict[str, np.ndarray]:
        """Return the outputs of any signature as new arrays.

        Args:
            signature: name of the signature.
            inputs: one array per input, first axis = example, any number of examples.

        Raises:
            ContractError: there is no such signature, an input has the wrong name, dtype or shape,
                or the network cannot compute the values (a code outside its table).
        """
        if signature not in self._signatures:
            raise ContractError(
                f"Found no signature {signature!r} in the model file. Expected one of {sorted(self._signatures)}."
            )
        entry = self._signatures[signature]
        rows = _rows(entry, inputs)
        fixed = _batch(entry)
        if fixed > 1 and rows % fixed:
            raise ContractError(f"Found {rows} examples, expected a multiple of {fixed} as the file was exported.")
        if rows == 0:
            return {name: _empty(slot) for name, slot in entry.outputs.items()}
        step = fixed if fixed > 0 else min(rows, _chunk_rows(entry))
        if rows == step:
            return self._call(signature, inputs)
        parts = [
            self._call(signature, {name: value[start : start + step] for name, value in inputs.items()})
            for start in range(0, rows, step)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _call(self, signature: str, inputs: Arrays) -> dict[str, np.ndarray]:
        try:
            if signature not in self._direct:
                if self._signatures[signature].subgraph == 0:
                    self._inputs = ()  # its own inputs may resize what `predict` shares with it
                return dict(self._interpreter.get_signature_runner(signature)(**inputs))
            self._expect(len(next(iter(inputs.values()))))
            for name, index, _, _ in self._inputs:
                self._set(index, inputs[name])
            self._invoke()
        except _REFUSALS as error:
            raise _failed(error) from error
        return {name: self._get(index) for name, index in self._direct[signature]}

    def _reached_directly(self) -> dict[str, tuple[tuple[str, int], ...]]:
        """Return the outputs of ``predict`` and of each signature that is the same graph with the same inputs."""
        found = {}
        for name, entry in self._signatures.items():
            if entry.subgraph == self._signatures[PREDICT].subgraph == 0:
                runner = self._interpreter.get_signature_runner(name)
                if sorted(_indices(runner.get_input_details())) == sorted(self._input_indices):
                    found[name] = _indices(runner.get_output_details())
        return found

    def _expect(self, rows: int) -> None:
        """Make the interpreter ready for ``rows`` examples per call."""
        if self._inputs and self._inputs[0][3][0] == rows:
            return
        entry = self._signatures[PREDICT]
        shapes = {name: (rows, *entry.inputs[name].shape[1:]) for name, _ in self._input_indices}
        if _batch(entry) < 0 and self._outputs:
            for name, index in self._input_indices:
                self._interpreter.resize_tensor_input(index, shapes[name])
            self._interpreter.allocate_tensors()
        self._inputs = tuple(
            (name, index, np.dtype(entry.inputs[name].dtype), shapes[name]) for name, index in self._input_indices
        )


def _indices(details: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    return tuple((name, detail["index"]) for name, detail in details.items())


def _batch(signature: Signature) -> int:
    """Return the fixed number of examples per call, or -1 when it is free."""
    return min(slot.shape[0] if slot.shape else 1 for slot in signature.inputs.values())


def _chunk_rows(signature: Signature) -> int:
    slots = signature.inputs.values()
    row_bytes = sum(math.prod(s.shape[1:]) * np.dtype(s.dtype).itemsize for s in slots)
    return min(CHUNK_ROWS, max(1, CHUNK_BYTES // max(row_bytes, 1)))


def _rows(signature: Signature, inputs: Arrays) -> int:
    problems = [f"missing input {name!r}" for name in signature.inputs if name not in inputs]
    problems += [f"unknown input {name!r}" for name in inputs if name not in signature.inputs]
    counts: dict[str, int] = {}
    for name, slot in signature.inputs.items():
        if name in inputs:
            value = inputs[name]
            if _fits(value, slot):
                counts[name] = len(value)
            else:
                problems.append(f"{name!r} is {_shown(value)}, expected {slot.dtype} {_axes(slot)}")
    if len(set(counts.values())) > 1:
        problems.append(f"inputs have different numbers of examples: {counts}")
    if problems:
        raise ContractError(
            f"Cannot run {signature.name!r}: {'; '.join(problems)}. Expected one array per input, "
            "first axis = example. Prepare them with the domain's features."
        )
    return next(iter(counts.values()))


def _fits(value: Any, slot: Slot) -> bool:
    if type(value) is not np.ndarray or str(value.dtype) != slot.dtype or value.ndim != len(slot.shape):
        return False
    return all(want in (-1, have) for have, want in zip(value.shape[1:], slot.shape[1:], strict=True))


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {list(value.shape)}"
    return f"a {type(value).__name__}"


def _axes(slot: Slot) -> str:
    return f"[n{''.join(f', {axis}' for axis in slot.shape[1:])}]"


def _empty(slot: Slot) -> np.ndarray:
    return np.empty((0, *(max(axis, 0) for axis in slot.shape[1:])), slot.dtype)


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _failed(error: Exception) -> ContractError:
    return ContractError(
        f"The network could not compute these values ({_brief(error)}). Expected codes inside "
        "their vocabularies. Prepare the inputs with the domain's features."
    )
