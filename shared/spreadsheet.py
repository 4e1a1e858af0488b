"""Tables that people open in a spreadsheet: written whole, and without a cell that would be run as a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from .files import write_text

FORMULA_STARTS = ("=", "+", "-", "@")
_BREAKS = re.compile(r"[\t\r\n\v\f]")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str | float]]) -> None:
    """Write a table as CSV, atomically.

    Args:
        path: file to write.
        columns: titles.
        rows: cells; numbers stand as they are, floats with six decimals, texts are made harmless.

    Raises:
        RunError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    write_text(path, text.getvalue())


def _cell(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    return harmless(value) if isinstance(value, str) else str(value)


def harmless(text: str) -> str:
    """Return ``text`` on one line, with a quote in front where a spreadsheet would take it for a formula."""
    line = _BREAKS.sub(" ", text)
    return f"'{line}" if line.lstrip().startswith(FORMULA_STARTS) else line
