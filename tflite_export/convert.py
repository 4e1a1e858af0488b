"""Keras 3 → SavedModel → float ``.tflite`` with builtin operators only.

The way leads over ``ExportArchive`` and ``from_saved_model``: converting concrete functions of a
Keras 3 model silently leaves weights uninitialised, and ``model.export`` always admits Flex
operators.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..shared.errors import ExportError, choose, require
from .card_reader import PORTABLE_DTYPES
from .flatfile import pack, unpack
from .signature import PREDICT, Views, with_views

if TYPE_CHECKING:
    import keras

PROFILES = ("device", "server")
_FIXES = (
    (
        "TensorList",
        "Recurrent layers convert with a fixed batch only: use the device profile or a loop.",
    ),
    ("LowerBound|UpperBound", "Replace searchsorted by comparing with every edge and summing."),
    ("String|Hash|Lookup|Bincount", "Look text up before the model and pass int32 codes."),
    ("ScaleAndTranslate", "Resize without antialias, or average-pool first."),
    ("", "Build the layer from plain arithmetic, gather and comparison."),
)


@dataclass(frozen=True)
class SavedNetwork:
    """A SavedModel on disk, ready for the converter.

    Attributes:
        folder: where it is.
        signatures: entry points, ``predict`` first.
        layers: names of the model's layers, to explain errors.
        views: outputs of ``predict`` that get a signature of their own.
    """

    folder: Path
    signatures: tuple[str, ...]
    layers: tuple[str, ...]
    views: Views = field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        """Entry points under the names they have on disk, where sorting keeps ``predict`` first.

        The converter sorts signatures, and callers that know nothing of signatures get the first.
        """
        if len(self.signatures) == 1:
            return self.signatures
        return tuple(f"s{rank:02d}_{name}" for rank, name in enumerate(self.signatures))


def convert(
    model: keras.Model,
    *,
    profile: str = "device",
    endpoints: Mapping[str, keras.Model] | None = None,
    views: Views | None = None,
) -> bytes:
    """Return a float32 ``.tflite`` of a functional model; see :func:`save`."""
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        return to_tflite(save(model, Path(folder), profile=profile, endpoints=endpoints, views=views))


def save(
    model: keras.Model,
    folder: Path,
    *,
    profile: str = "device",
    endpoints: Mapping[str, keras.Model] | None = None,
    views: Views | None = None,
) -> SavedNetwork:
    """Write a SavedModel of a functional model with named inputs and outputs.

    Args:
        model: becomes the ``predict`` signature; dict inputs and outputs, dtypes float32, int32 or
            uint8.
        folder: an existing folder.
        profile: ``device`` fixes the batch at 1, ``server`` leaves it free.
        endpoints: further signatures by name; they share the weights they have in common with
            ``model``.
        views: signatures that answer with outputs of ``model`` itself, which then leave ``predict``.

    Raises:
        ExportError: the model cannot become a portable file, or lacks an output of a view; the message says what to
            change.
        ConfigError: unknown profile.
    """
    models = {PREDICT: model, **(endpoints or {})}
    batch = 1 if choose("profile", profile, PROFILES) == "device" else None
    for name, part in models.items():
        require_exportable(part, name=name)
    _require_views(model, views or {}, taken=models)
    layers = {layer.name for part in models.values() for layer in part._flatten_layers(include_self=False)}
    saved = SavedNetwork(folder, tuple(models), tuple(sorted(layers)), views or {})
    archive = require("keras", extra="train").export.ExportArchive()
    with quiet():
        try:
            for key, part in zip(saved.keys, models.values(), strict=True):
                archive.track(part)
                archive.add_endpoint(key, _endpoint(part), input_signature=[_specs(part, batch)])
            archive.write_out(str(folder), verbose=False)
        except Exception as error:  # a layer's own code runs here and may raise anything
            raise ExportError(
                f"Keras could not trace the model ({type(error).__name__}: {_brief(error)}). "
                "Expected layers that run as a graph. Change the layer it names."
            ) from error
    return saved


def to_tflite(saved: SavedNetwork, *, adjust: Callable[[Any], None] | None = None) -> bytes:
    """Return the ``.tflite`` of a SavedModel.

    Args:
        saved: what to convert.
        adjust: called with the ``TFLiteConverter`` before it runs, to set optimisations.

    Raises:
        ExportError: an operator is not builtin, or the converter failed; the message names operator
            and layer.
    """
    tf = require("tensorflow", extra="train")
    with quiet():
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved.folder), signature_keys=list(saved.keys))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if adjust is not None:
            adjust(converter)
        try:
            content = bytes(converter.convert())
        except Exception as error:  # the converter raises its own type, which is not public, and several others
            raise ExportError(explain(str(error), saved.layers)) from error
    return _renamed(content, dict(zip(saved.keys, saved.signatures, strict=True)), saved.views)


def require_exportable(model: keras.Model, *, name: str) -> None:
    """Accept a functional model whose edges every device can take.

    Raises:
        ExportError: inputs or outputs have no names, a dtype is not portable, an axis is free, or
            the model was quantised by Keras.
    """
    for side, tensors in (
        ("inputs", getattr(model, "input", None)),
        ("outputs", getattr(model, "output", None)),
    ):
        if not isinstance(tensors, dict):
            raise ExportError(
                f"Found {side} of the {name!r} model as {type(tensors).__name__}, expected a dict. "
                "Build it as keras.Model({'name': input, …}, {'name': output, …}), so that names "
                "survive the export."
            )
        for tensor_name, tensor in tensors.items():
            _require_portable(f"{side[:-1]} {tensor_name!r} of the {name!r} model", tensor)
    quantised = [
        layer.name for layer in model._flatten_layers() if getattr(layer, "quantization_mode", None) is not None
    ]
    if quantised:
        raise ExportError(
            f"Found layers quantised by Keras: {', '.join(quantised[:5])}. Expected a float "
            "model: the converter rejects or inflates these. Leave model.quantize out and choose "
            "an export recipe."
        )


def _require_views(model: keras.Model, views: Views, *, taken: Collection[str]) -> None:
    twice = sorted(set(views) & set(taken))
    if twice:
        raise ExportError(
            f"Found views called {', '.join(twice)}, which are signatures already. Expected names of their own. "
            "Rename the views."
        )
    moved = [output for outputs in views.values() for output in outputs]
    if not set(moved) < set(model.output) or len(set(moved)) < len(moved) or not all(views.values()):
        raise ExportError(
            f"Found views on the outputs {sorted(moved)}, expected each once, one or more a view, and fewer than all "
            f"of the model's outputs {sorted(model.output)}: predict must keep one. Name other outputs."
        )


def explain(message: str, layers: tuple[str, ...]) -> str:
    """Return one clear sentence for a converter error: operator, layer, fix."""
    operators = sorted({op.strip() for found in _OPERATORS.findall(message) for op in found.split(",")})
    operators = operators or sorted(set(_FAILED.findall(message)))
    if not operators:
        return f"The converter failed: {' '.join(message.split())[:400]}. Change the layer it names."
    origins = sorted({_layer(path, layers) for path in _PATHS.findall(message)} - {""})
    where = f" in layer {', '.join(map(repr, origins))}" if origins else ""
    fix = next(text for pattern, text in _FIXES if re.search(pattern, " ".join(operators)))
    return (
        f"Found operators that no device has built in: {', '.join(operators)}{where}. Expected "
        f"builtin TFLite operators only. {fix}"
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the converter's running commentary off the terminal; exceptions pass unchanged.

    C++ writes to the file descriptor, not to ``sys.stderr``, so the descriptor itself is turned
    away.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as sink, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)


_OPERATORS = re.compile(r"^(?:TF Select|Custom) ops: (.+)$", re.MULTILINE)
_FAILED = re.compile(r"'tf\.(\w+)' op ")
_COUNTERS = re.compile(r"(?:_\d+)+(?=[/;:]|$)")
_PATHS = re.compile(r'"([^"@:]+/[^"@:]+)@')


def _endpoint(model: keras.Model) -> Callable[[Any], Any]:
    def endpoint(inputs: Any) -> Any:
        return model(inputs, training=False)

    return endpoint


def _specs(model: keras.Model, batch: int | None) -> dict[str, Any]:
    tf = require("tensorflow", extra="train")
    return {
        name: tf.TensorSpec((batch, *tensor.shape[1:]), tensor.dtype, name=name) for name, tensor in model.input.items()
    }


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:400]


def _require_portable(what: str, tensor: Any) -> None:
    if tensor.dtype not in PORTABLE_DTYPES:
        raise ExportError(
            f"Found {what} with dtype {tensor.dtype}, expected one of "
            f"{', '.join(PORTABLE_DTYPES)}. Cast it inside the model."
        )
    if any(axis is None for axis in tensor.shape[1:]):
        raise ExportError(
            f"Found {what} with shape {tuple(tensor.shape)}, expected every axis but the first to "
            "be fixed. Give keras.Input a full shape."
        )


def _layer(path: str, layers: tuple[str, ...]) -> str:
    """Return the layer a graph path leads through; the graph adds ``_1`` to layer names."""
    parts = path.split("/")[:-1]
    for part in reversed(parts):  # the innermost layer is the one to change
        named = [name for name in layers if re.fullmatch(re.escape(name) + r"(_\d+)*", part)]
        if named:
            return max(named, key=len)
    return "/".join(parts[1:])


def _renamed(content: bytes, names: Mapping[str, str], views: Views) -> bytes:
    """Give signatures their real names, and tensors names that do not depend on what was built
    before.

    Keras numbers layers by a counter of the process: the same model built twice would give two
    files.
    """
    model = unpack(content)
    for definition in model.signatureDefs:
        definition.signatureKey = names[definition.signatureKey.decode()]
    taken: Counter[str] = Counter()  # one for all subgraphs: quantizers look tensors up by name
    for graph in model.subgraphs:
        graph.name = _plain(graph.name, taken)
        for tensor in graph.tensors:
            tensor.name = _plain(tensor.name, taken)
    return pack(with_views(model, views), size_hint=len(content))


def _plain(name: bytes | None, taken: Counter[str]) -> str:
    plain = _COUNTERS.sub("", (name or b"").decode(errors="replace"))
    taken[plain] += 1
    return plain if taken[plain] == 1 else f"{plain}_{taken[plain] - 1}"
