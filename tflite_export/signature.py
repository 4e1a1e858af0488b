"""The named entry points of a file and their tensors, read and renamed without an interpreter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from .flatfile import bounded, reading, root

PREDICT = "predict"
Views = Mapping[str, tuple[str, ...]]
"""Signature name to outputs of the network that it answers with, instead of ``predict``; same inputs, same graph."""


@dataclass(frozen=True)
class Slot:
    """A tensor at the edge of a file: dtype name, shape with the batch first, -1 where free."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Signature:
    """A named entry point; subgraph 0 is the one that callers without signatures reach."""

    name: str
    subgraph: int
    inputs: Mapping[str, Slot]
    outputs: Mapping[str, Slot]


def read_signatures(content: bytes) -> dict[str, Signature]:
    """Return every signature of a file by name.

    Raises:
        DeviceFileError: the flatbuffer is malformed.
    """
    with reading("signature table"):
        model = root(content)
        count = bounded(model.SignatureDefsLength(), "signatures")
        found = [_signature(model, model.SignatureDefs(index)) for index in range(count)]
        return {signature.name: signature for signature in found}


def with_views(model: Any, views: Views) -> Any:
    """Move outputs of ``predict`` to signatures of their own; both enter the one graph, so it costs a few bytes.

    Args:
        model: an unpacked ``ModelT``, changed in place.
        views: outputs by the name of their signature, all of them outputs of ``predict``.
    """
    predict = next(entry for entry in model.signatureDefs if entry.signatureKey in (PREDICT, PREDICT.encode()))
    outputs = {slot.name.decode(): slot for slot in predict.outputs}
    for name, moved in views.items():
        view = schema.SignatureDefT()
        view.signatureKey, view.subgraphIndex, view.inputs = name, predict.subgraphIndex, predict.inputs
        view.outputs = [outputs.pop(output) for output in moved]
        model.signatureDefs.append(view)
    predict.outputs = list(outputs.values())
    return model


def _signature(model: Any, definition: Any) -> Signature:
    graph = model.Subgraphs(definition.SubgraphIndex())
    inputs = [definition.Inputs(i) for i in range(bounded(definition.InputsLength(), "inputs"))]
    outputs = [definition.Outputs(i) for i in range(bounded(definition.OutputsLength(), "outputs"))]
    return Signature(
        definition.SignatureKey().decode(),
        definition.SubgraphIndex(),
        {slot.Name().decode(): _slot(graph, slot) for slot in inputs},
        {slot.Name().decode(): _slot(graph, slot) for slot in outputs},
    )


def _slot(graph: Any, entry: Any) -> Slot:
    tensor = graph.Tensors(entry.TensorIndex())
    free = bounded(tensor.ShapeSignatureLength(), "axes")
    shape = tensor.ShapeSignature if free else tensor.Shape
    length = free or bounded(tensor.ShapeLength(), "axes")
    return Slot(_type_names()[tensor.Type()], tuple(int(shape(axis)) for axis in range(length)))


@cache
def _type_names() -> dict[int, str]:
    types = {k: v for k, v in vars(schema.TensorType).items() if isinstance(v, int)}
    return {value: name.lower() for name, value in types.items()}
