"""Which operators a file uses, and whether every interpreter has them built in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from ..shared.errors import DeviceFileError
from .flatfile import bounded, reading, root

_MAX_OPERATORS = 1_000_000  # of all subgraphs together, which may point to the same operators
_MAX_NAME, _MAX_ORIGINS = 200, 20  # letters and tensors told; crafted names must not fill the memory
# Built in by name, yet empty or missing in the Java and browser interpreters.
_UNPORTABLE = frozenset({"HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT", "HASHTABLE_SIZE"})


@dataclass(frozen=True)
class Op:
    """One kind of operator in a file.

    Attributes:
        name: builtin name (``FULLY_CONNECTED``) or the custom code (``FlexAsString``).
        count: how often it occurs, all subgraphs together.
        builtin: whether every interpreter has it.
        origins: names of the tensors it produces, the first of them, for operators that are not builtin.
    """

    name: str
    count: int
    builtin: bool
    origins: tuple[str, ...] = ()


def scan(content: bytes) -> tuple[Op, ...]:
    """Return the operators of a file, sorted by name.

    Raises:
        DeviceFileError: the flatbuffer is malformed.
    """
    with reading("operator table"):
        model = root(content)
        codes = [_code(model.OperatorCodes(i)) for i in range(bounded(model.OperatorCodesLength(), "op codes"))]
        counts: Counter[int] = Counter()
        origins: dict[int, list[str]] = {}
        total = 0
        for index in range(bounded(model.SubgraphsLength(), "subgraphs")):
            graph = model.Subgraphs(index)
            total = bounded(total + graph.OperatorsLength(), "operators", _MAX_OPERATORS)
            _scan_subgraph(graph, codes, counts, origins)
        found = (Op(*codes[i][:1], n, codes[i][1], tuple(origins.get(i, ()))) for i, n in counts.items())
        return tuple(sorted(found, key=lambda op: op.name))


def require_builtin(content: bytes) -> tuple[Op, ...]:
    """Return the operators of a file in which all are builtin.

    Raises:
        DeviceFileError: one is not; the message names it, where it comes from and the fix.
    """
    ops = scan(content)
    foreign = [op for op in ops if not op.builtin]
    if foreign:
        listed = "; ".join(_describe(op) for op in foreign)
        raise DeviceFileError(
            f"Found operators that are not built into every TFLite interpreter: {listed}. "
            "Expected builtin operators only. Replace what makes them (string lookups, "
            "searchsorted, dynamic-batch recurrent layers) by integer arithmetic, gather or the "
            "loop form, and export again."
        )
    return ops


def _describe(op: Op) -> str:
    return f"{op.name} ×{op.count}" + (f" (makes {', '.join(op.origins)})" if op.origins else "")


def _code(code: Any) -> tuple[str, bool]:
    # Old files store the code in one signed byte; the schema keeps both and the larger one counts.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = _builtin_names().get(number)
    if name == "CUSTOM" or name is None:
        custom = code.CustomCode()
        return (custom[:_MAX_NAME].decode(errors="replace") if custom else f"unknown operator {number}"), False
    return name, name not in _UNPORTABLE


def _scan_subgraph(
    graph: Any, codes: list[tuple[str, bool]], counts: Counter[int], origins: dict[int, list[str]]
) -> None:
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        code = operator.OpcodeIndex()
        counts[code] += 1
        made = origins.setdefault(code, [])
        if not codes[code][1] and operator.OutputsLength() and len(made) < _MAX_ORIGINS:
            name = graph.Tensors(operator.Outputs(0)).Name() or b""
            made.append(name[:_MAX_NAME].decode(errors="replace"))


@cache
def _builtin_names() -> dict[int, str]:
    return {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
