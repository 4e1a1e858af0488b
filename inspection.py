"""What a device file is, for people: its card, signature, operators and size."""

from __future__ import annotations

from pathlib import Path

from .shared.report import Cell, Report, Section, Table, Text
from .tflite_export.card import Card, Tensor
from .tflite_export.runtime import DeviceModel, load_model


def inspection(path: Path) -> Report:
    """Return a report on a device file.

    Raises:
        DeviceFileError: the file is refused.
    """
    model = load_model(path)
    card = model.card
    lead = Text(f"{card.summary}. Intended use: {card.intended_use}")
    sections = (
        _overview(model, path),
        _signature(card),
        _columns(card),
        _operators(model),
        _figures(card),
        _limits(card),
    )
    return Report(f"{path.name}", lead, sections)


def _overview(model: DeviceModel, path: Path) -> Section:
    card = model.card
    rows: list[tuple[Cell, ...]] = [
        ("domain", card.domain),
        ("recipe", card.recipe),
        ("size", f"{model.content_bytes:,} bytes"),
        ("card format", card.format),
        ("golden vectors", len(model.golden)),
        ("licence", card.licence),
    ]
    if card.decision:
        threshold = card.decision.threshold
        rows += [("threshold", "none" if threshold is None else threshold), ("chosen by", card.decision.rule)]
    rows += [(f"data, {name}", str(value)) for name, value in card.data.items()]
    rows += [(f"version, {name}", str(value)) for name, value in card.versions.items()]
    return Section("Card", (Table(("", ""), tuple(rows)),))


def _signature(card: Card) -> Section:
    rows = tuple(
        (side, tensor.name, tensor.dtype, str(list(tensor.shape)), tensor.meaning, tensor.missing)
        for side, tensors in (("in", card.inputs), ("out", card.outputs))
        for tensor in tensors
    )
    return Section("Signature predict", (Table(("", "name", "dtype", "shape", "meaning", "missing"), rows),))


def _columns(card: Card) -> Section:
    rows = tuple((tensor.name, *row) for tensor in card.inputs for row in _fields(tensor))
    return Section("Columns of the inputs", (Table(("input", "column", "unit", "meaning", "values"), rows),))


def _fields(tensor: Tensor) -> list[tuple[str, str, str, str]]:
    return [
        (
            column.name,
            column.unit,
            column.meaning,
            ", ".join(column.vocabulary[:8]) + (" …" if len(column.vocabulary) > 8 else ""),
        )
        for column in tensor.fields
    ]


def _operators(model: DeviceModel) -> Section:
    rows = tuple((op.name, op.count) for op in model.ops)
    return Section("Operators", (Table(("operator", "count"), rows, "Built-in operators only."),))


def _figures(card: Card) -> Section:
    rows = tuple(
        (name, figure.get("value"), figure.get("low"), figure.get("high"), figure.get("n"))
        for name, figure in card.metrics.items()
        if isinstance(figure, dict)
    )
    return Section("Measured on test", (Table(("metric", "value", "low", "high", "n"), rows),))


def _limits(card: Card) -> Section:
    return Section("Limits", (Text("\n".join(f"- {limit}" for limit in card.limits)),))
