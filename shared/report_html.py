"""A report as one offline page: no script, nothing loaded from elsewhere, fit for print.

Every value is escaped by jinja2. The only markup let through is a drawing, and that is rebuilt from
a short list of drawing elements first.
"""

from __future__ import annotations

import re
from itertools import count
from typing import Any
from xml.etree import ElementTree

from .. import __version__
from .errors import ContractError, require
from .estimates import Estimate
from .report import (
    Block,
    Cell,
    Headline,
    Report,
    Section,
    Table,
    Text,
    headline,
    printable,
)
from .report_template import STYLE, TEMPLATE

VERDICTS = {
    "plain": "Result",
    "good": "Verdict: passed",
    "warning": "Verdict: with reservations",
    "bad": "Verdict: not passed",
}
VERDICT_SIGNS = {"accepted": ("good", "✓"), "refused": ("bad", "✗")}
WHOLE_CHARACTERS = 24  # up to here a cell is a name and stays on one line
PROSE_CHARACTERS, LINE_CHARACTERS = 30, 80  # beyond a line of these, intervals go under values
_DRAWING = frozenset({"svg", "g", "defs", "clipPath", "path", "rect", "text", "use", "image"})
_PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=\s]+")
_PLACES = frozenset({"x", "y", "width", "height", "viewBox", "transform", "d"})
_LOOKS = frozenset({"style", "clip-path", "stroke-linejoin", "stroke-linecap"})
_ATTRIBUTES = _PLACES | _LOOKS | {"id", "href", "version"}


def render_html(report: Report) -> str:
    """Return the report as one HTML page.

    Raises:
        MissingExtraError: jinja2 is not installed.
        ContractError: a figure's SVG is not well formed or holds more than a drawing.
    """
    jinja2: Any = require("jinja2", extra="train")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, finalize=_shown, auto_reload=False
    )
    numbered = count(1)
    page: str = environment.from_string(TEMPLATE).render(
        version=__version__,
        style=jinja2.utils.markupsafe.Markup(STYLE),
        title=report.title,
        lead=report.lead,
        verdict=VERDICTS[report.lead.tone],
        headline=[_headline_view(item) for item in headline(report.facts)],
        sections=[_section_view(section, numbered) for section in report.sections],
        footer=f"Written by edgekit {__version__}. The same numbers, for machines: report.json.",
    )
    return page


def drawing(svg: str, prefix: str) -> str:
    """Return ``svg`` rebuilt from drawing elements only, its ids made unique by ``prefix``.

    Raises:
        ContractError: the markup is not well formed, or holds an element, attribute or reference
            that a drawing does not need (script, style sheet, event, outside address).
    """
    if "<!" in svg or "<?" in svg:
        raise _refused("a document type, comment or instruction")
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        raise ContractError(
            f"A figure's SVG is not well formed: {error}. Use the functions of shared/plots.py."
        ) from error
    for element in root.iter():
        _clean(element, prefix)
    if root.tag != "svg":
        raise _refused(f"<{root.tag}> as its root")
    root.set("aria-hidden", "true")  # the card around it carries the description
    return ElementTree.tostring(root, encoding="unicode")


def _clean(element: ElementTree.Element, prefix: str) -> None:
    """Check one element, drop its namespace and prefix its ids and references."""
    element.tag = element.tag.rpartition("}")[2]
    if element.tag not in _DRAWING:
        raise _refused(f"<{element.tag}>")
    attributes = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    element.attrib.clear()
    for name, value in attributes.items():
        if name not in _ATTRIBUTES:
            raise _refused(f"the attribute {name}={value!r}")
        if name == "href" and not _is_inside(element, value):
            raise _refused(f"a reference to {value!r}")
        if re.search(r"url\((?!#)|@import|expression|\\", value, flags=re.IGNORECASE):
            raise _refused(f"{name}={value!r}")
        element.set(name, _prefixed(name, value, prefix))


def _is_inside(element: ElementTree.Element, reference: str) -> bool:
    """Tell whether an image holds its own pixels, in which a browser runs nothing, or another element points inside."""
    return _PICTURE.fullmatch(reference) is not None if element.tag == "image" else reference.startswith("#")


def _prefixed(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    if name == "href":
        return f"#{prefix}{value[1:]}" if value.startswith("#") else value
    return value.replace("url(#", f"url(#{prefix}")


def _refused(what: str) -> ContractError:
    return ContractError(
        f"A figure's SVG holds {what}, expected a drawing alone. Use the functions of shared/plots.py."
    )


def _shown(value: Any) -> Any:
    """Make every string that reaches the page printable; leave markup as it is."""
    return printable(value) if type(value) is str else value


def _section_view(section: Section, numbered: count[int]) -> dict[str, Any]:
    views = [_block_view(block, section.title, numbered) for block in section.blocks]
    return {"title": section.title, "note": section.note, "views": views}


def _headline_view(item: Headline) -> dict[str, str]:
    return {"label": item.label, "value": item.value, "detail": item.detail}


def _block_view(block: Block, title: str, numbered: count[int]) -> dict[str, Any]:
    if isinstance(block, Text):
        return {"kind": "text", "text": block}
    if isinstance(block, Table):
        return _table_view(block, title)
    markup: Any = require("markupsafe", extra="train").Markup
    svg = markup(drawing(block.svg, f"f{next(numbered)}-"))
    return {
        "kind": "figure",
        "svg": svg,
        "caption": block.caption,
        "description": block.description,
    }


def _table_view(table: Table, title: str) -> dict[str, Any]:
    shown = table.formatted()
    kinds = _column_kinds(table, shown)
    rows = [
        {
            "highlight": number == table.highlight,
            "cells": [
                _cell_view(cell, text, kind, table.unit(column) == "verdict")
                for column, (cell, text, kind) in enumerate(zip(row, texts, kinds, strict=True))
            ],
        }
        for number, (row, texts) in enumerate(zip(table.rows, shown, strict=True))
    ]
    titles = zip(table.columns, kinds, strict=True)
    return {
        "kind": "table",
        "caption": table.caption,
        "label": table.caption or f"Table in {title}",
        "columns": [{"title": name, "kind": kind} for name, kind in titles],
        "headed": any(table.columns),
        "stacked": sum(min(length, PROSE_CHARACTERS) for length in _longest(shown)) > LINE_CHARACTERS,
        "rows": rows,
    }


def _longest(shown: tuple[tuple[str, ...], ...]) -> list[int]:
    """Return the characters of the longest cell of each column."""
    return [max(map(len, cells)) for cells in zip(*shown, strict=True)]


def _column_kinds(table: Table, shown: tuple[tuple[str, ...], ...]) -> list[str]:
    """Return the style of each column: numbers and short words stay whole, prose may wrap."""
    longest = _longest(shown) or [0] * len(table.columns)
    return [
        "number-cell" if numeric else "whole" if length <= WHOLE_CHARACTERS else "text"
        for numeric, length in zip(table.numeric(), longest, strict=True)
    ]


def _cell_view(cell: Cell, text: str, kind: str, verdict: bool) -> dict[str, str]:
    view = {"kind": kind, "shown": text, "interval": "", "mark": "", "sign": ""}
    if isinstance(cell, Estimate):
        value, _, interval = text.partition(" ")
        return {**view, "shown": value, "interval": interval}
    if verdict and text in VERDICT_SIGNS:
        tone, sign = VERDICT_SIGNS[text]
        return {**view, "mark": tone, "sign": sign}
    return view
