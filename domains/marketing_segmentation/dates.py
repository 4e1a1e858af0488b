"""Dates as people write them: read where they are clear, refused where they are not."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from ...shared.columns import absent_cells

_TIME = r"(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?(?: ?([AaPp][Mm]))?)?"
_SHAPES = {
    "year first": re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ].*)?"),
    "year first, slashes": re.compile(rf"(\d{{4}})/(\d{{1,2}})/(\d{{1,2}}){_TIME}"),
    "slashes": re.compile(rf"(\d{{1,2}})/(\d{{1,2}})/(\d{{4}}){_TIME}"),
    "dashes": re.compile(rf"(\d{{1,2}})-(\d{{1,2}})-(\d{{4}}){_TIME}"),
    "points": re.compile(rf"(\d{{1,2}})\.(\d{{1,2}})\.(\d{{4}}){_TIME}"),
    "seconds": re.compile(r"-?\d+(?:\.\d+)?"),
}
_SIGNS = {"slashes": "/", "dashes": "-"}


def read_dates(cells: np.ndarray, *, date_format: str | None = None) -> tuple[np.ndarray, list[str]]:
    """Turn dates of text into what a contract reads; seconds and ISO dates stay as they are.

    Day and month are told apart by the whole column: a 13 can be no month. Points mean that the day is first.

    Args:
        cells: (row,) text, ``None`` where there is none.
        date_format: as ``strptime`` has it; all cells must keep it.

    Returns:
        (row,) datetime64 or the cells as they are, and problems with rows and values.
    """
    first: dict[str, int] = {}
    for row, cell in enumerate(cells):
        first.setdefault(str(cell), row)
    texts = np.array(list(first), dtype=object)
    rows = {text: first[text] for text in texts[~absent_cells(texts)]}
    if date_format is not None:
        return _read(
            cells, rows, lambda text: _parsed(text, date_format), f"a date as {date_format} (data.date_format)"
        )
    shapes: dict[str, list[str]] = {}
    for text in rows:
        shapes.setdefault(_shape(text), []).append(text)
    unknown = shapes.pop("", [])
    if unknown:
        more = f" (and {len(unknown) - 1:,} more texts)" if len(unknown) > 1 else ""
        return cells, [
            f"row {rows[unknown[0]] + 1}: found {unknown[0][:40]!r}{more}, expected a date such as "
            "2010-12-01T08:26:00. Say how they are written with --set data.date_format=… (such as %d %b %Y)"
        ]
    if len(shapes) > 1:
        told = [f"{some[0]!r} (row {rows[some[0]] + 1}; {len(some):,} different)" for some in shapes.values()]
        return cells, [f"dates in {len(told)} formats: {' and '.join(told)}. Expected one: write all dates alike"]
    shape = next(iter(shapes), "seconds")
    if shape in ("year first", "seconds"):
        return cells, []
    places, problem = _places(shape, list(rows), rows)
    if problem:
        return cells, [problem]
    return _read(cells, rows, lambda text: _moment(text, shape, places), "a date that exists")


def _shape(text: str) -> str:
    plain = text.strip()
    return next((name for name, shape in _SHAPES.items() if shape.fullmatch(plain)), "")


def _places(shape: str, texts: list[str], rows: dict[str, int]) -> tuple[tuple[int, int, int], str]:
    """Return the places of year, month and day, and the problem if day and month cannot be told apart."""
    if shape == "year first, slashes":
        return (0, 1, 2), ""
    if shape == "points":
        return (2, 1, 0), ""
    beyond: list[str | None] = [None, None]
    for text in texts:
        numbers = re.findall(r"\d+", text)
        for place in (0, 1):
            if int(numbers[place]) > 12 and beyond[place] is None:
                beyond[place] = text
    day, month = beyond
    if day is not None and month is not None:
        told = " and ".join(f"{text!r} (row {rows[text] + 1})" for text in (day, month))
        return (2, 1, 0), f"dates in 2 formats: {told}; one has the day first, one the month. Write all dates alike"
    if day is None and month is None:
        sign, time = _SIGNS[shape], " %H:%M:%S" if texts[0].count(":") > 1 else " %H:%M" if ":" in texts[0] else ""
        return (2, 1, 0), (
            f"row {rows[texts[0]] + 1}: found {texts[0]!r}, where day and month cannot be told apart: no number is "
            f'above 12 in the whole column. Say which comes first: --set data.date_format="%d{sign}%m{sign}%Y{time}" '
            f'or "%m{sign}%d{sign}%Y{time}"'
        )
    return ((2, 1, 0) if day is not None else (2, 0, 1)), ""


def _read(
    cells: np.ndarray, rows: dict[str, int], parse: Callable[[str], datetime | None], expected: str
) -> tuple[np.ndarray, list[str]]:
    """Read each different text once."""
    moments = {text: parse(text.strip()) for text in rows}
    wrong = [text for text, moment in moments.items() if moment is None]
    if wrong:
        more = f" (and {len(wrong) - 1:,} more texts)" if len(wrong) > 1 else ""
        return cells, [f"row {rows[wrong[0]] + 1}: found {wrong[0][:40]!r}{more}, expected {expected}"]
    return np.array([moments.get(str(cell)) for cell in cells], dtype="datetime64[s]"), []


def _parsed(text: str, date_format: str) -> datetime | None:
    try:
        moment = datetime.strptime(text, date_format)
    except (ValueError, re.error):  # a directive that is there twice makes a broken pattern
        return None
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _moment(text: str, shape: str, places: tuple[int, int, int]) -> datetime | None:
    found = _SHAPES[shape].fullmatch(text)
    if found is None:
        return None
    *parts, half = found.groups()
    numbers = [int(part or 0) for part in parts]
    hour = numbers[3]
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (half.lower() == "pm")
    try:
        year, month, day = (numbers[place] for place in places)
        return datetime(year, month, day, hour, numbers[4], numbers[5])
    except ValueError:
        return None
