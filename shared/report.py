"""A report is a tree of typed sections; the renderers turn it into a page, a terminal view or JSON.

The tree holds values, not text: how a number looks is decided once, by :func:`format_value`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from .errors import ContractError, choose
from .estimates import Estimate

Tone = Literal["plain", "good", "warning", "bad"]
Unit = Literal["", "bytes", "percent", "ms", "s", "change", "verdict"]
Cell: TypeAlias = str | int | float | bool | Estimate | None

MISSING = "–"
THIN_SPACE = "\u202f"  # narrow and unbreakable: a number never parts from its unit
# Characters that act on the reader's screen instead of being shown: controls and text direction.
_ACTING = [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_ACTING += [0xFFFE, 0xFFFF, *range(0xD800, 0xE000)]  # not allowed in XML, or not in UTF-8
_SHOWN = dict.fromkeys(_ACTING, "\ufffd") | {ord("\n"): "\n", ord("\t"): " "}


@dataclass(frozen=True)
class Text:
    """Plain paragraphs.

    Attributes:
        body: paragraphs parted by blank lines; lines that all start with ``- `` are a list.
        tone: what the text means for the reader: plain, good, warning or bad.
    """

    body: str
    tone: Tone = "plain"

    def __post_init__(self) -> None:
        choose("tone", self.tone, get_args(Tone))

    def paragraphs(self) -> tuple[str | tuple[str, ...], ...]:
        """Return the paragraphs: prose as one string, a list as a tuple of its items."""
        return tuple(_paragraph(part) for part in re.split(r"\n\s*\n", self.body) if part.strip())


@dataclass(frozen=True)
class Table:
    """Rows of values under named columns.

    Attributes:
        columns: the column titles.
        rows: one tuple per row, as long as ``columns``.
        caption: what the table shows; empty for none.
        highlight: index of the row that matters most, or None.
        units: how each column is formatted (see :func:`format_value`); empty for plain values.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    highlight: int | None = None
    units: tuple[Unit, ...] = ()

    def __post_init__(self) -> None:
        width = len(self.columns)
        for number, row in enumerate(self.rows):
            if len(row) != width:
                raise ContractError(
                    f"Table {self.caption!r}: row {number} has {len(row)} cells, expected {width}. "
                    "Give one cell per column, None where there is no value."
                )
        if self.units and len(self.units) != width:
            raise ContractError(
                f"Table {self.caption!r}: {len(self.units)} units for {width} columns. "
                "Give one unit per column ('' for none) or leave units out."
            )
        if self.highlight is not None and not 0 <= self.highlight < len(self.rows):
            raise ContractError(
                f"Table {self.caption!r}: highlight is row {self.highlight}, "
                f"expected 0 to {len(self.rows) - 1} or None."
            )

    def unit(self, column: int) -> Unit:
        """Return the unit of a column, ``""`` when none was given."""
        return self.units[column] if self.units else ""

    def formatted(self) -> tuple[tuple[str, ...], ...]:
        """Return every cell as the text that a reader sees."""
        return tuple(
            tuple(format_value(cell, self.unit(column)) for column, cell in enumerate(row)) for row in self.rows
        )

    def numeric(self) -> tuple[bool, ...]:
        """Tell for each column whether it holds numbers, which renderers align to the right."""
        return tuple(
            any(_is_number(cell) for cell in cells) and all(cell is None or _is_number(cell) for cell in cells)
            for cells in ([row[column] for row in self.rows] for column in range(len(self.columns)))
        )


@dataclass(frozen=True)
class Figure:
    """A drawing.

    Attributes:
        svg: markup from :mod:`edgekit.shared.plots`.
        caption: what the reader should see in it.
        description: the same in words, for readers who cannot see it.
    """

    svg: str
    caption: str
    description: str


Block: TypeAlias = Text | Table | Figure


@dataclass(frozen=True)
class Section:
    """A titled part of the report; ``note`` is small print under its blocks, ``brief`` what ends a run also shows."""

    title: str
    blocks: tuple[Block, ...]
    note: str = ""
    brief: bool = False


@dataclass(frozen=True)
class Report:
    """Everything one run has to say.

    Attributes:
        title: the name of the page.
        lead: the verdict in one or two sentences; its tone colours the banner.
        sections: in reading order.
        facts: the machine-readable content of ``report.json``, without its sections.
    """

    title: str
    lead: Text
    sections: tuple[Section, ...]
    facts: dict[str, Any] = field(default_factory=dict)


def as_json(report: Report) -> dict[str, Any]:
    """Return ``report.facts`` with the sections added, in types that JSON knows.

    Estimates become objects, figures keep caption and description only, numbers that are not
    finite become None.

    Raises:
        ContractError: the facts have a key ``sections`` of their own or hold an unknown type.
    """
    if "sections" in report.facts:
        raise ContractError(
            "The facts already hold a key 'sections', which is where the report's own sections go. Name it otherwise."
        )
    sections = [_section_json(section) for section in report.sections]
    head = {"title": report.title, "lead": to_json(report.lead)}
    return {**to_json(report.facts), **head, "sections": sections}


def to_json(value: Any, where: str = "facts") -> Any:
    """Return ``value`` in plain JSON types; NaN and infinity become None.

    Raises:
        ContractError: a type that has no JSON form; the message says where.
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Estimate):
        value = value.as_json()
    elif is_dataclass(value) and not isinstance(value, type):
        value = {item.name: getattr(value, item.name) for item in fields(value)}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): to_json(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item, f"{where}[{number}]") for number, item in enumerate(value)]
    raise ContractError(
        f"{where} is {value!r}, of type {type(value).__name__}, which JSON does not know. "
        "Expected numbers, text, lists, mappings, arrays, estimates or records of these."
    )


def read_estimate(value: Any) -> Estimate | float | None:
    """Return the figure behind a fact.

    Args:
        value: an Estimate, its JSON form ``{"value", "low", "high", "n"}``, a number or None.

    Returns:
        An Estimate; the bare number when it has no interval; None when there is no number.
    """
    if value is None or isinstance(value, Estimate):
        return value
    record = value if isinstance(value, Mapping) else {"value": value}
    number, low, high = (record.get(key) for key in ("value", "low", "high"))
    if number is None or low is None or high is None:
        return None if number is None else float(number)
    return Estimate(float(number), float(low), float(high), int(record.get("n") or 0))


@dataclass(frozen=True)
class Headline:
    """One figure of the summary: what it is, the number, and what belongs to it."""

    label: str
    value: str
    detail: str = ""


def headline(facts: Mapping[str, Any]) -> tuple[Headline, ...]:
    """Return the figures that sum up a run; what the facts do not hold is left out."""
    metric = str(facts.get("primary_metric", ""))
    metrics, verdict = facts.get("metrics") or {}, facts.get("verdict") or {}
    export, parity = facts.get("export") or {}, facts.get("parity") or {}
    rival = str(verdict.get("best_rival") or "")
    rivals = metrics.get("rivals") or {}
    chosen = str(export.get("chosen") or "")
    items = (
        _figure_headline(f"{metric}, device file", (metrics.get("tflite") or {}).get(metric)),
        _figure_headline(f"{metric}, best rival", (rivals.get(rival) or {}).get(metric), rival),
        _figure_headline("Network less rival", verdict.get("difference"), unit="change"),
        Headline("Device file", format_value(export["bytes"], "bytes"), chosen)
        if chosen and export.get("bytes")
        else None,
        Headline(
            "Decision flips",
            format_value(parity["decision_flips"]),
            f"of {format_value(parity.get('n'))} examples, Keras to device",
        )
        if parity.get("decision_flips") is not None
        else None,
    )
    return tuple(item for item in items if item is not None)


def format_value(value: Cell, unit: Unit = "") -> str:
    """Return a table cell as text.

    Args:
        value: text stays as it is; None and NaN become a dash; an estimate shows its interval,
            ``0.731 [0.712, 0.748]``.
        unit: ``bytes`` (shown as B, kB or MB, 1 kB = 1000 bytes), ``percent`` (value is a
            fraction), ``ms``, ``s``, ``change`` (always signed) or ``verdict`` (accepted, refused).

    Raises:
        ConfigError: the unit is unknown.
    """
    choose("unit", unit, get_args(Unit))
    if value is None or (isinstance(value, float | np.floating) and not math.isfinite(value)):
        return MISSING
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        words = ("accepted", "refused") if unit == "verdict" else ("yes", "no")
        return words[0] if value else words[1]
    if isinstance(value, Estimate):
        return _format_estimate(value, unit)
    return _format_number(value, unit)


def printable(text: str) -> str:
    """Return ``text`` without characters that act on a screen (controls, text direction).

    Each is replaced by U+FFFD, so that a hostile column name shows instead of doing something.
    Line ends stay.
    """
    return text.replace("\r\n", "\n").translate(_SHOWN)


def _paragraph(part: str) -> str | tuple[str, ...]:
    lines = [line.strip() for line in part.strip().split("\n")]
    if all(line.startswith("- ") for line in lines):
        return tuple(line[2:].strip() for line in lines)
    return " ".join(lines)


def _figure_headline(label: str, fact: Any, detail: str = "", *, unit: Unit = "") -> Headline | None:
    figure = read_estimate(fact)
    if figure is None:
        return None
    value, _, interval = format_value(figure, unit).partition(" ")
    return Headline(label, value, " ".join(part for part in (detail, interval) if part))


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float | Estimate | np.number) and not isinstance(cell, bool)


def _section_json(section: Section) -> dict[str, Any]:
    blocks = [_block_json(block, section.title) for block in section.blocks]
    return {"title": section.title, "note": section.note, "blocks": blocks}


def _block_json(block: Block, where: str) -> dict[str, Any]:
    record: dict[str, Any] = to_json(block, where)
    record.pop("svg", None)
    return {"kind": type(block).__name__.lower(), **record}


def _format_estimate(estimate: Estimate, unit: Unit) -> str:
    bounds = (estimate.low, estimate.high)
    scale, suffix = _scale(max(abs(number) for number in (estimate.value, *bounds)), unit)
    numbers = [number / scale for number in (estimate.value, *bounds)]
    decimals = _decimals(max(map(abs, numbers)), unit, width=abs(numbers[2] - numbers[1]))
    signed = unit == "change"
    value, low, high = (_digits(number, decimals, signed=signed) for number in numbers)
    return f"{value} [{low}, {high}]{suffix}"


def _format_number(value: float, unit: Unit) -> str:
    scale, suffix = _scale(abs(value), unit)
    if isinstance(value, int | np.integer) and scale == 1:
        return _digits(value, 0, signed=unit == "change") + suffix
    number = float(value) / scale
    if 0 < abs(number) < 5e-4:
        return f"{number:{'+' if unit == 'change' else ''}.1e}".replace("-", "−") + suffix
    return _digits(number, _decimals(abs(number), unit), signed=unit == "change") + suffix


def _scale(size: float, unit: Unit) -> tuple[float, str]:
    """Return what to divide by and the symbol to append."""
    if unit == "bytes":
        steps = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
        step, name = next((step for step in steps if size >= step[0]), (1.0, "B"))
        return step, THIN_SPACE + name
    if unit == "percent":
        return 0.01, THIN_SPACE + "%"
    return 1.0, THIN_SPACE + unit if unit in ("ms", "s") else ""


def _decimals(size: float, unit: Unit, *, width: float = math.inf) -> int:
    """Return the decimals to show for numbers up to ``size`` whose interval is ``width`` wide."""
    steps = (1, 10, 100) if unit in ("bytes", "percent", "ms", "s") else (10, 100, 1000)
    plain = 3 - sum(size >= step for step in steps)
    if not 0 < width < math.inf:
        return plain
    # The interval should span at least five units of the last digit shown.
    return min(6, max(plain, math.ceil(-math.log10(width / 5))))


def _digits(number: float, decimals: int, *, signed: bool = False) -> str:
    text = f"{number:{'+' if signed else ''},.{decimals}f}"
    if not any(digit in text for digit in "123456789"):
        text = text.lstrip("+-")  # a rounded zero has no direction
    return text.replace("-", "−")
