"""A report in a terminal: at any width from 80 columns, with colour or without.

Strings of the report are never read as rich markup, and figures are named, not drawn.
"""

from __future__ import annotations

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table as Grid
from rich.text import Text as Line

from .report import Block, Figure, Report, Section, Table, Text, headline, printable

COLOURS = {"plain": "", "good": "green", "warning": "yellow", "bad": "red"}
SIGNS = {"plain": "", "good": "✓ ", "warning": "! ", "bad": "✗ "}
MARK = "▸ "
MIN_PROSE = 18  # characters that a column of prose needs to be read in lines, not in syllables
GAP = 2  # one space of padding, one between columns
_PLAIN = {
    "✓": "+",
    "✗": "x",
    "▸": ">",
    "−": "-",
    "–": "-",
    "\u202f": " ",
    "…": "...",
    "\ufffd": "?",
}


def print_report(report: Report, console: Console) -> None:
    """Print the whole report to ``console``."""
    tone = report.lead.tone
    console.print(Rule(_line(report.title, console, "bold"), style="dim"))
    lead = _prose(report.lead, console)
    console.print(Panel(lead, box=box.SQUARE, border_style=COLOURS[tone] or "none"))
    figures = headline(report.facts)
    if figures:
        rows = tuple((item.label, item.value, item.detail) for item in figures)
        console.print(Padding(table(Table(("Summary", "", ""), rows), console), (0, 0, 1, 0)))
    for number, section in enumerate(report.sections, start=1):
        _print_section(section, number, console)


def table(content: Table, console: Console) -> RenderableType:
    """Return a table that fits ``console`` without cutting a number.

    Wide tables first put each interval under its value, then become one record per row.
    """
    shown = _signed(content)
    numeric = content.numeric()
    stacked = [
        [cell.replace(" [", "\n[") if number else cell for cell, number in zip(row, numeric, strict=True)]
        for row in shown
    ]
    for cells in (shown, stacked):
        if _needed(content, cells) <= console.width:
            return _grid(content, cells, console)
    return _records(content, shown, console)


def _print_section(section: Section, number: int, console: Console) -> None:
    console.print(_line(f"{number}  {section.title}", console, "bold"))
    console.print()
    for block in section.blocks:
        console.print(Padding(_block(block, console), (0, 0, 1, 0)))
    if section.note:
        console.print(Padding(_line(section.note, console, "dim"), (0, 0, 1, 0)))


def _block(block: Block, console: Console) -> RenderableType:
    if isinstance(block, Table):
        return table(block, console)
    if isinstance(block, Figure):
        return _line(f"Figure: {block.caption} {block.description}", console, "dim")
    return _prose(block, console)


def _prose(text: Text, console: Console) -> RenderableType:
    sign, colour = SIGNS[text.tone], COLOURS[text.tone]
    lines: list[RenderableType] = []
    for part in text.paragraphs():
        if isinstance(part, tuple):
            bullet = _line(sign.strip() or "-", console, colour)
            lines += [_item(bullet, item, console) for item in part]
        else:
            lead = "" if lines else sign
            lines.append(Line.assemble(_line(lead, console, colour), _line(part, console)))
    return Group(*lines)


def _item(bullet: Line, item: str, console: Console) -> RenderableType:
    row = Grid.grid(padding=(0, 1, 0, 0))
    row.add_row(bullet, _line(item, console))
    return row


def _signed(content: Table) -> list[list[str]]:
    """Return the cells as shown, verdicts with their sign, so that colour is never alone."""
    shown = [[printable(cell) for cell in row] for row in content.formatted()]
    for texts in shown:
        for column, text in enumerate(texts):
            if content.unit(column) == "verdict":
                texts[column] = {"accepted": SIGNS["good"], "refused": SIGNS["bad"]}.get(text, "") + text
    return shown


def _needed(content: Table, cells: list[list[str]]) -> int:
    """Return the columns of screen that the table needs before numbers would be cut."""
    width = cell_len(MARK) if content.highlight is not None else 0
    for column, number in enumerate(content.numeric()):
        lines = [line for row in cells for line in row[column].split("\n")]
        natural = max((cell_len(line) for line in lines), default=0)
        title = max((cell_len(word) for word in content.columns[column].split()), default=0)
        widest = max(natural, title)
        width += (widest if number else min(widest, MIN_PROSE)) + GAP
    return width


def _grid(content: Table, cells: list[list[str]], console: Console) -> RenderableType:
    grid = Grid(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
        border_style="dim",
        show_header=any(content.columns),
    )
    marked = content.highlight is not None
    for column, (title, number) in enumerate(zip(content.columns, content.numeric(), strict=True)):
        indent = " " * cell_len(MARK) if marked and column == 0 else ""
        grid.add_column(
            _line(indent + printable(title), console),
            justify="right" if number else "left",
            no_wrap=number,
            overflow="fold",
        )
    for index, row in enumerate(cells):
        chosen = index == content.highlight
        lead = (MARK if chosen else " " * cell_len(MARK)) if marked else ""
        texts = [lead + row[0], *row[1:]] if row else []
        style = "bold" if chosen else ""
        grid.add_row(*(_line(text, console, _colour(text)) for text in texts), style=style)
    return _captioned(content, grid, console)


def _records(content: Table, shown: list[list[str]], console: Console) -> RenderableType:
    """Return one block of ``title  value`` lines per row, for tables too wide for the screen."""
    parts: list[RenderableType] = []
    for index, row in enumerate(shown):
        mark = MARK if index == content.highlight else ""
        parts.append(_line(mark + row[0], console, "bold"))
        lines = Grid.grid(padding=(0, 2, 0, 0))
        lines.add_column(style="dim", overflow="fold")
        lines.add_column(overflow="fold")
        for title, text in zip(content.columns[1:], row[1:], strict=True):
            if text:
                lines.add_row(_line(title, console), _line(text, console, _colour(text)))
        parts.append(Padding(lines, (0, 0, 0, 2)))
    return _captioned(content, Group(*parts), console)


def _captioned(content: Table, body: RenderableType, console: Console) -> RenderableType:
    if not content.caption:
        return body
    return Group(_line(content.caption, console, "dim"), body)


def _colour(text: str) -> str:
    return next((COLOURS[tone] for tone in ("good", "bad") if text.startswith(SIGNS[tone])), "")


def _line(text: str, console: Console, style: str = "") -> Line:
    """Return ``text`` without markup, in characters that the terminal's encoding can write."""
    text = printable(text)
    try:
        text.encode(console.encoding)
    except UnicodeEncodeError:
        plain = text.translate({ord(sign): word for sign, word in _PLAIN.items()})
        text = plain.encode(console.encoding, "replace").decode(console.encoding)
    return Line(text, style=style)
