"""Text tables that hold mostly numbers, read in seconds even where they hold millions of cells.

A block of lines is read at once by numpy; a block in which something is not a number is read cell by cell, so that
absent cells are understood as in every other table and every fault is named with its row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

import numpy as np

from ...shared.columns import MISSING_TEXT, absent_cells, read_number
from ...shared.errors import ContractError, SourceError
from ...shared.tables import DELIMITERS
from .clock import Words, found_at

MAX_CELLS = 500_000_000
"""In one table: 2 GB as float32."""
_BLOCK_LETTERS = 4_000_000
_PLAIN = b"0123456789.+-eE ,;|\t\n"
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")


@dataclass(frozen=True, eq=False)
class TextTable:
    """A text table whose first line is read.

    Attributes:
        source: for messages.
        text: the whole of it, lines ended by a line feed.
        delimiter: between cells.
        first: cells of the first line that is not blank.
        body: where in ``text`` the second line begins.
    """

    source: str
    text: str
    delimiter: str
    first: tuple[str, ...]
    body: int

    def second(self) -> tuple[str, ...]:
        """Return the cells of the first line after the first; none where there is none."""
        lines = filter(str.strip, _lines(self.text, self.body))
        return tuple(cell.strip() for cell in next(csv.reader(islice(lines, 1), delimiter=self.delimiter), ()))


@dataclass(eq=False)
class Faults:
    """Cells that are not numbers, by column.

    Attributes:
        seen: column to the first row (from 0), its cell, and how many rows there are.
    """

    seen: dict[int, tuple[int, str, int]] = field(default_factory=dict)

    def add(self, column: int, row: int, cell: str) -> None:
        """Note one more."""
        first = self.seen.get(column, (row, cell, 0))
        self.seen[column] = (*first[:2], first[2] + 1)

    def told(self, names: Sequence[str], *, expected: str = "a number such as 58.25") -> list[str]:
        """Return one line for each column; ``names`` by column."""
        lines = []
        for column, (row, cell, count) in sorted(self.seen.items()):
            comma = " Write a decimal point, not a comma." if _DECIMAL_COMMA.fullmatch(cell.strip()) else ""
            lines.append(f"column {names[column]!r}: {found_at(row, cell, count)}, expected {expected}.{comma}")
        return lines


@dataclass(frozen=True, eq=False)
class Body:
    """What the rows of a table hold.

    Attributes:
        values: float32 (row, column of numbers); NaN where a cell is absent or not a number.
        words: the columns of text that were asked for, in that order.
        faults: cells that are not numbers; columns count as in the table.
    """

    values: np.ndarray
    words: tuple[Words, ...]
    faults: Faults


def open_text(text: str, source: str) -> TextTable:
    """Read the first line of a table.

    Raises:
        SourceError: there is no line, or its quotes do not close.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    start = len(text) - len(text.lstrip("\n"))
    unquoted = re.sub(r'"[^"]*"', "", text[start : start + 65_536]).partition("\n")[0]
    delimiter = max(DELIMITERS, key=unquoted.count)
    lines = list[str]()
    rows = csv.reader(_noted(_lines(text, start), lines), delimiter=delimiter, strict=True)
    try:
        first = next(rows, [])
    except csv.Error as error:
        raise SourceError(f"{source} is not a readable table: {error} in its first line. Check its quotes.") from error
    if not "".join(first).strip():
        raise SourceError(f"{source} holds no line with text. Expected a table.")
    return TextTable(
        source, text, delimiter, tuple(" ".join(cell.split()) for cell in first), start + sum(map(len, lines))
    )


def read_body(table: TextTable, *, words: Sequence[int] = (), skip: Collection[int] = (), header: bool = True) -> Body:
    """Read the rows of a table.

    Args:
        table: its first line is read.
        words: columns to be read as text.
        skip: columns to be left out; all others are numbers.
        header: whether the first line holds names and not cells.

    Raises:
        SourceError: a quote is never closed.
        ContractError: a row has too few or too many cells, or there are more than ``MAX_CELLS``.
    """
    width, start = len(table.first), table.body if header else 0
    numbers = [column for column in range(width) if column not in words and column not in skip]
    quoted = table.text.find('"', start) >= 0
    texts: list[dict[str, int]] = [{} for _ in words]
    codes: list[list[np.ndarray]] = [[] for _ in words]
    values, faults, row = [np.zeros((0, len(numbers)), np.float32)], Faults(), 0
    for lines in _blocks(table, start, width):
        quick = None if quoted else _quick(lines, table.delimiter, width, words, numbers)
        cells, block = quick or _slow(table, lines, row, (words, numbers), faults)
        for place, column in enumerate(cells):
            seen = texts[place]
            codes[place].append(
                np.fromiter((seen.setdefault(cell, len(seen)) for cell in column), np.int64, len(column))
            )
        values.append(block)
        row += len(block)
        if row * width > MAX_CELLS:
            raise ContractError(f"{table.source} holds more than {MAX_CELLS:,} cells. Split the file in time.")
    read = [
        Words(tuple(seen), np.concatenate([np.zeros(0, np.int64), *parts]))
        for seen, parts in zip(texts, codes, strict=True)
    ]
    return Body(np.concatenate(values), tuple(read), faults)


# === Lines ===


def _lines(text: str, start: int) -> Iterator[str]:
    """Yield lines with their line feed."""
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _noted(lines: Iterator[str], into: list[str]) -> Iterator[str]:
    for line in lines:
        into.append(line)
        yield line


def _blocks(table: TextTable, start: int, width: int) -> Iterator[list[str]]:
    """Yield blocks of lines without their line feeds; a quoted cell that spans lines is never cut.

    In a table of one column a blank line is an absent cell, unless nothing follows; in a wider one it is no row, but a
    row of tabs is a row of absent cells.
    """
    text = table.text
    stop = len(text.rstrip("\n\t ")) if width == 1 else len(text)
    while start < stop:
        end = min(text.find("\n", start + _BLOCK_LETTERS) + 1 or stop, stop)
        open_quote = text.count('"', start, end) % 2
        while open_quote and end < stop:
            more = text.find("\n", end) + 1 or stop
            open_quote ^= text.count('"', end, more) % 2
            end = more
        lines = text[start:end].removesuffix("\n").split("\n")
        rows = [line for line in lines if line.strip(" ")] if width > 1 else lines
        if rows:
            yield rows
        start = end


# === A block of rows ===


def _quick(
    lines: list[str], delimiter: str, width: int, words: Sequence[int], numbers: Sequence[int]
) -> tuple[list[list[str]], np.ndarray] | None:
    """Read a block at once; ``None`` where it takes a closer look."""
    ahead = len(words)
    if list(words) != list(range(ahead)) or not numbers or any(line.count(delimiter) != width - 1 for line in lines):
        return None
    parts = [line.split(delimiter, ahead) for line in lines]
    rest = _plain([part[ahead] for part in parts], delimiter)
    columns = [column - ahead for column in numbers]
    usecols = None if len(columns) == width - ahead else columns
    try:
        with np.errstate(over="ignore"):
            block = np.loadtxt(rest, np.float32, comments=None, delimiter=delimiter, usecols=usecols, ndmin=2)
    except ValueError:
        return None
    if block.shape != (len(lines), len(numbers)):
        return None
    return [[part[place].strip() for part in parts] for place in range(ahead)], block


def _plain(rest: list[str], delimiter: str) -> list[str]:
    """Write absent cells of lines as ``nan``."""
    text = "\n".join(rest)
    odd = text.encode().translate(None, _PLAIN).lower()
    if odd and odd.replace(b"nan", b""):
        return [delimiter.join(map(_nan_if_absent, line.split(delimiter))) for line in rest]
    text = f"\n{text}\n"
    for before in (delimiter, "\n"):
        for after in (delimiter, "\n"):
            for _ in range(2):  # of several in a row every other is found at once
                text = text.replace(before + after, f"{before}nan{after}")
    return text[1:-1].split("\n")


def _nan_if_absent(cell: str) -> str:
    return "nan" if cell.strip().lower() in MISSING_TEXT else cell


def _slow(
    table: TextTable, lines: list[str], start: int, columns: tuple[Sequence[int], Sequence[int]], faults: Faults
) -> tuple[list[list[str]], np.ndarray]:
    """Read a block cell by cell."""
    words, numbers = columns
    rows = _rows(table, lines, start)
    cells = np.empty(len(rows) * len(numbers), dtype=object)
    cells[:] = list(chain.from_iterable([row[column] for column in numbers] for row in rows))
    absent = absent_cells(cells)
    values, wrong, _ = read_number(cells, absent)
    for place in np.flatnonzero(wrong & ~absent & ~np.isinf(values)):
        row, column = divmod(int(place), len(numbers))
        faults.add(numbers[column], start + row, cells[place])
    with np.errstate(over="ignore"):
        block = values.astype(np.float32).reshape(len(rows), len(numbers))
    return [[row[column].strip() for row in rows] for column in words], block


def _rows(table: TextTable, lines: list[str], start: int) -> list[list[str]]:
    width = len(table.first)
    try:
        rows = [
            row or [""] for row in csv.reader((f"{line}\n" for line in lines), delimiter=table.delimiter, strict=True)
        ]
    except csv.Error as error:
        raise SourceError(f"{table.source} is not a readable table: {error}. Check its quotes.") from error
    for number, row in enumerate(rows, start=start + 1):
        if len(row) != width:
            raise ContractError(
                f"{table.source}: row {number:,} has {len(row):,} cells, the first line has {width:,}. Check the "
                "separator of that row, and that numbers have a decimal point and not a comma."
            )
    return rows
