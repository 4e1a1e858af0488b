"""Operators: counted, and refused by name when a device does not have them."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from ai_edge_litert import schema_py_generated as schema

from edgekit.shared.errors import DeviceFileError
from edgekit.tflite_export import ops
from edgekit.tflite_export.flatfile import pack, unpack
from edgekit.tflite_export.ops import require_builtin, scan

GATHER = schema.BuiltinOperator.GATHER


@pytest.fixture(scope="module")
def flex_content() -> bytes:
    """Return a file with Flex operators, as Keras' own export would make it."""
    import tensorflow as tf

    def compute(x: tf.Tensor) -> tf.Tensor:
        return tf.strings.to_number(tf.strings.as_string(x))

    concrete = tf.function(compute).get_concrete_function(tf.TensorSpec((1, 4), "float32"))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    kinds = tf.lite.OpsSet
    converter.target_spec.supported_ops = [kinds.TFLITE_BUILTINS, kinds.SELECT_TF_OPS]
    return bytes(converter.convert())


def test_operators_are_counted(tiny_content: bytes) -> None:
    counts = {op.name: op.count for op in scan(tiny_content)}
    assert (counts["FULLY_CONNECTED"], counts["GATHER"], counts["NOT_EQUAL"]) == (3, 1, 1)


def test_a_builtin_file_passes(tiny_content: bytes) -> None:
    assert all(op.builtin for op in require_builtin(tiny_content))


def test_flex_operators_are_named_with_their_origin(flex_content: bytes) -> None:
    with pytest.raises(DeviceFileError, match=r"FlexAsString ×1 \(makes .*AsString.*\)"):
        require_builtin(flex_content)


def test_hash_tables_are_not_portable(tiny_content: bytes) -> None:
    model = unpack(tiny_content)
    gather = next(code for code in model.operatorCodes if code.builtinCode == GATHER)
    gather.builtinCode = schema.BuiltinOperator.HASHTABLE_FIND
    with pytest.raises(DeviceFileError, match="HASHTABLE_FIND ×1"):
        require_builtin(pack(model))


@pytest.mark.parametrize(("limit", "fits"), [(3, True), (2, False)])
def test_operators_of_all_subgraphs_are_bounded_together(
    tiny_content: bytes, monkeypatch: pytest.MonkeyPatch, limit: int, fits: bool
) -> None:
    model = unpack(tiny_content)
    graph = model.subgraphs[0]
    graph.operators = graph.operators[:1]
    model.subgraphs = [graph] * 3
    content = pack(model)
    monkeypatch.setattr(ops, "_MAX_OPERATORS", limit)
    with nullcontext() if fits else pytest.raises(DeviceFileError, match="3 operators .* expected at most 2"):
        assert [op.count for op in scan(content)] == [3]


def test_names_and_origins_are_cut(tiny_content: bytes) -> None:
    model = unpack(tiny_content)
    code = next(code for code in model.operatorCodes if code.builtinCode == GATHER)
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "F" * 1_000
    graph = model.subgraphs[0]
    gather = next(one for one in graph.operators if model.operatorCodes[one.opcodeIndex] is code)
    graph.tensors[gather.outputs[0]].name = "t" * 1_000
    graph.operators = [gather] * 50
    (op,) = scan(pack(model))
    assert (op.name, op.count, op.builtin, op.origins) == ("F" * 200, 50, False, ("t" * 200,) * 20)


def test_garbage_is_refused() -> None:
    with pytest.raises(DeviceFileError, match="malformed"):
        scan(b"\x20\x00\x00\x00TFL3" + b"\x7f" * 64)
