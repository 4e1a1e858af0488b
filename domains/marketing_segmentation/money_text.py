"""Money and numbers written for people: currency signs, thousands separators, decimal commas, credit in brackets.

The sign before the decimals is decided for a file as a whole: one price 2,55 tells what 1,234 means.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ...shared.columns import absent_cells

_AMOUNT = re.compile(
    r"(?P<credit>\(?)(?P<minus>[-+−–]?) *(?P<before>[^\d\s.,()'’+−–-]*) *(?P<minus2>[-−–]?) *"
    r"(?P<number>\d[\d.,'’ ]*|[.,]\d+) *(?P<after>[^\d\s.,()'’+−–-]*) *(?P<minus3>[-−–]?)\)?"
)
_POWER = re.compile(r"[-+]?\d+(\.\d+)?[eE][-+]?\d+")
_WORDS = frozenset(("kr", "zł", "kč", "ft", "fr", "lei", "rs", "din", "лв", "руб"))
"""Currencies of letters that are no code of three."""
_SAME = {"€": "EUR", "£": "GBP", "zł": "PLN", "kč": "CZK", "ft": "HUF"}
EXPECTED = "a number such as 1234.56, £1,234.56 or 1.234,56 €"
EXPECTED_BARE = "a number such as 12 or -3, without a unit"


@dataclass(frozen=True, eq=False)
class Numbers:
    """What the texts of a file's columns say.

    Attributes:
        columns: name to float64 (row,), NaN where a cell is absent; 0 throughout where the column cannot be read.
        currency: the one sign that was found, empty if none.
        problems: what cannot be read, with row and value.
    """

    columns: dict[str, np.ndarray]
    currency: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Amount:
    """A text taken apart: its row, its sign, its digits with separators, its currency."""

    text: str
    row: int
    sign: float
    digits: str
    currency: str


def read_numbers(
    columns: Mapping[str, np.ndarray], *, decimal: str = "auto", currency: str = "", bare: Collection[str] = ()
) -> Numbers:
    """Read columns of text as numbers; all of a file's at once, as they share one way of writing.

    Args:
        columns: name to (row,) cells of text, ``None`` where there is none.
        decimal: ``.`` or ``,``; ``auto`` to read it from the cells.
        currency: as declared; another sign in the cells is a problem.
        bare: columns that hold no money; any sign is a problem.
    """
    parts, problems = dict[str, dict[str, _Amount | float]](), list[str]()
    for name, cells in columns.items():
        parts[name], wrong = _apart(cells, bare=name in bare)
        problems += [f"column {name!r}: {found}" for found in wrong]
    amounts = [(name, part) for name, told in parts.items() for part in told.values() if isinstance(part, _Amount)]
    point, unclear = _decimal(amounts) if decimal == "auto" else (decimal, "")
    found, mixed = _currency(amounts, currency)
    problems += [problem for problem in (unclear, mixed) if problem]
    if not problems:
        problems += _badly_grouped(amounts, point)
    if problems:
        return Numbers({name: np.zeros(len(cells)) for name, cells in columns.items()}, found, tuple(problems))
    values = {
        name: {text: _value(part, point) for text, part in told.items()} | {"": np.nan} for name, told in parts.items()
    }
    return Numbers(
        {
            name: np.array([values[name].get(str(cell), np.nan) for cell in cells], np.float64)
            for name, cells in columns.items()
        },
        found,
        (),
    )


# === Cells ===


def _apart(cells: np.ndarray, *, bare: bool) -> tuple[dict[str, _Amount | float], list[str]]:
    """Take the different texts of a column apart; texts of absent cells are left out."""
    first: dict[str, int] = {}
    for row, cell in enumerate(cells):
        first.setdefault(str(cell), row)
    texts = np.array(list(first), dtype=object)
    texts = texts[~absent_cells(texts)]
    parts: dict[str, _Amount | float] = {}
    wrong: list[str] = []
    for text in texts:
        part = _part(text, first[text])
        if part is None or (bare and isinstance(part, _Amount) and part.currency):
            wrong.append(text)
        else:
            parts[text] = part
    if not wrong:
        return parts, []
    more = f" (and {len(wrong) - 1:,} more texts)" if len(wrong) > 1 else ""
    return parts, [
        f"row {first[wrong[0]] + 1}: found {wrong[0][:40]!r}{more}, expected {EXPECTED_BARE if bare else EXPECTED}"
    ]


def _part(text: str, row: int) -> _Amount | float | None:
    plain = " ".join(text.split())  # a space that does not break is a space too
    if _POWER.fullmatch(plain):
        return float(plain)
    found = _AMOUNT.fullmatch(plain)
    if not found or bool(found["credit"]) != plain.endswith(")"):
        return None
    currency = found["before"] or found["after"]
    minus = [found[name] for name in ("minus", "minus2", "minus3") if found[name] not in ("", "+")]
    if (found["before"] and found["after"]) or not _is_currency(currency) or len(minus) + bool(found["credit"]) > 1:
        return None
    digits = re.sub(r"(?<=\d)['’ ](?=\d{3}(?!\d))", "", found["number"].strip())
    if not re.fullmatch(r"[\d.,]+", digits):
        return None
    return _Amount(text, row, -1.0 if minus or found["credit"] else 1.0, digits, currency)


def _is_currency(text: str) -> bool:
    """Tell whether text is none, a sign (perhaps with letters, US$), a code of three letters or a known word."""
    if not text or text.lower() in _WORDS or re.fullmatch(r"[A-Za-z]{3}", text):
        return True
    signs = [letter for letter in text if unicodedata.category(letter) == "Sc"]
    return len(signs) == 1 and len(text) <= 4 and all(letter.isalpha() for letter in text if letter not in signs)


# === What holds for all ===


def _decimal(amounts: list[tuple[str, _Amount]]) -> tuple[str, str]:
    """Return the sign before the decimals, and the problem if it is not clear."""
    example: dict[str, tuple[str, _Amount]] = {}
    for name, part in amounts:
        example.setdefault(_says(part.digits), (name, part))
    told = {sign: f"{part.text!r} (column {name!r}, row {part.row + 1})" for sign, (name, part) in example.items()}
    if "." in told and "," in told:
        return ".", (
            f"numbers are written in two ways: {told['.']} has a decimal point, {told[',']} a decimal comma. Write all "
            "of them in one way"
        )
    if "?" in told and len({".", ","} & set(told)) == 0:
        digits = example["?"][1].digits
        sign = "," if "," in digits else "."
        other = digits.replace(sign, "")
        return ".", (
            f"{told['?']} may be {other} or {digits.replace(sign, '.')}, and no other number tells. Say which sign "
            f'stands before decimals: --set data.decimal="{"." if sign == "," else ","}" for {other}, '
            f'--set data.decimal="{sign}" for {digits.replace(sign, ".")}'
        )
    return ("," if "," in told else "."), ""


def _says(digits: str) -> str:
    """Return the decimal sign that a number shows, ``?`` if it may be thousands, empty if it has no separator."""
    signs = re.sub(r"\d", "", digits)
    if not signs:
        return ""
    if len(set(signs)) == 2:
        return signs[-1]
    if len(signs) > 1:
        return "," if signs[0] == "." else "."
    whole, _, rest = digits.partition(signs)
    return "?" if len(rest) == 3 and 1 <= len(whole) <= 3 and whole != "0" else signs


def _currency(amounts: list[tuple[str, _Amount]], declared: str) -> tuple[str, str]:
    """Return the currency that the texts bear, and the problem if it is not one."""
    example: dict[str, tuple[str, _Amount]] = {}
    for name, part in amounts:
        if part.currency:
            example.setdefault(_code(part.currency), (name, part))
    told = [f"{part.text!r} (column {name!r}, row {part.row + 1})" for name, part in example.values()]
    if len(example) > 1:
        return "", (
            f"{len(example)} currencies in one file: {', '.join(told[:5])}. Expected one: convert the amounts, or "
            "bring the orders of one currency"
        )
    found = next((part.currency for _, part in example.values()), "")
    if found and declared and _differ(_code(found), _code(declared)):
        return found, f"data.currency is {declared}, but found {told[0]}. Set data.currency to that of the file"
    return found, ""


def _code(sign: str) -> str:
    return _SAME.get(sign.lower(), sign.upper())


def _differ(found: str, declared: str) -> bool:
    """Tell whether two names cannot mean one currency; a $ may be of many countries."""
    codes = all(re.fullmatch(r"[A-Z]{3}", name) for name in (found, declared))
    return found != declared and (codes or {found, declared} <= {*_SAME, "$", "¥"})


def _badly_grouped(amounts: list[tuple[str, _Amount]], decimal: str) -> Iterator[str]:
    """Yield the first number of each column that makes no sense with this decimal sign."""
    group = re.escape("," if decimal == "." else ".")
    sense = re.compile(rf"(\d+|\d{{1,3}}({group}\d{{2,3}})*{group}\d{{3}})?({re.escape(decimal)}\d*)?")
    told: set[str] = set()
    for name, part in amounts:
        if name not in told and not sense.fullmatch(part.digits):
            told.add(name)
            yield (
                f"column {name!r}: row {part.row + 1}: found {part.text!r}, expected a number with {decimal!r} before "
                "its decimals, as data.decimal or the other numbers have it"
            )


def _value(part: _Amount | float, decimal: str) -> float:
    if isinstance(part, float):
        return part
    plain = part.digits.replace("," if decimal == "." else ".", "").replace(decimal, ".")
    return part.sign * float(plain) + 0.0
