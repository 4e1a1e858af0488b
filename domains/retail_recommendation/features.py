"""Histories to model inputs: the same arrays in training and on the device, and what a device must know of the shop."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

PADDING = 0  # the code of no item
TOP = 100  # items a predictor returns
LONGEST_ID = 200  # letters of an item's identifier, or of an attribute's name
LONGEST_TITLE = 200
LONGEST_WINDOW = 1000
MOST_EXCLUDED = 10_000
LEAST_ITEMS, MOST_ITEMS = 2, 2_000_000
MOST_ATTRIBUTES = 512
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # control characters, line ends, half characters


@dataclass(frozen=True)
class Plan:
    """Everything needed to make the same inputs again; travels in the device file.

    Attributes:
        window: newest items of a history that the network sees.
        excluded: places for items that must not be recommended.
        items: the items' own identifiers by code - 1.
        titles: by code - 1, or empty.
        attribute_names: such as ``genres: Comedy``.
        attributes: by code - 1, the rising numbers of the item's attributes; empty where there are no names.
    """

    window: int
    excluded: int
    items: tuple[str, ...]
    titles: tuple[str, ...] = ()
    attribute_names: tuple[str, ...] = ()
    attributes: tuple[tuple[int, ...], ...] = ()

    @cached_property
    def code_of(self) -> dict[str, int]:
        """Own identifier to code."""
        return {name: code for code, name in enumerate(self.items, start=1)}

    def attribute_matrix(self) -> np.ndarray:
        """Return uint8 (items + 1, attribute) of 0 and 1; row 0, the padding, has none."""
        made = np.zeros((len(self.items) + 1, len(self.attribute_names)), dtype=np.uint8)
        for code, numbers in enumerate(self.attributes, start=1):
            made[code, list(numbers)] = 1
        return made

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "window": self.window,
            "excluded": self.excluded,
            "items": list(self.items),
            "titles": list(self.titles),
            "attribute_names": list(self.attribute_names),
            "attributes": [list(numbers) for numbers in self.attributes],
        }

    @staticmethod
    def from_json(value: Any) -> Plan:
        """Read what ``as_json`` wrote, trusting nothing.

        Raises:
            ValueError: lists every value that is missing, unknown, of the wrong type or out of range.
        """
        names = tuple(Plan.__dataclass_fields__)
        if not isinstance(value, dict) or set(value) != set(names):
            found = f"{sorted(map(str, value))[:20]!s:.400}" if isinstance(value, dict) else type(value).__name__
            raise ValueError(f"the plan must have exactly the keys {', '.join(names)}; found {found}")
        problems = [*_wrong_sizes(value), *_wrong_texts(value), *_wrong_attributes(value)]
        if problems:
            raise ValueError("; ".join(problems))
        lists = {name: tuple(value[name]) for name in ("items", "titles", "attribute_names")}
        return Plan(**{**value, **lists, "attributes": tuple(map(tuple, value["attributes"]))})


def _wrong_sizes(value: dict[str, Any]) -> list[str]:
    limits = {"window": (1, LONGEST_WINDOW), "excluded": (1, MOST_EXCLUDED)}
    return [
        f"{name} must be a whole number from {low} to {high}, found {value[name]!r:.40}"
        for name, (low, high) in limits.items()
        if type(value[name]) is not int or not low <= value[name] <= high
    ]


def _wrong_texts(value: dict[str, Any]) -> list[str]:
    items, titles, names = value["items"], value["titles"], value["attribute_names"]
    problems = []
    if not _are_different_names(items) or not LEAST_ITEMS <= len(items) <= MOST_ITEMS:
        problems.append(
            f"items must be {LEAST_ITEMS} to {MOST_ITEMS:,} different identifiers of 1 to {LONGEST_ID} letters, found "
            f"{_shown(items)}"
        )
    if not _is_list(titles) or not all(map(is_title, titles)) or len(titles) not in (0, _length(items)):
        problems.append(
            f"titles must be a list of texts of up to {LONGEST_TITLE} letters, one an item or none at all, found "
            f"{_shown(titles)}"
        )
    if not _are_different_names(names) or len(names) > MOST_ATTRIBUTES:
        problems.append(
            f"attribute_names must be up to {MOST_ATTRIBUTES} different names of 1 to {LONGEST_ID} letters, found "
            f"{_shown(names)}"
        )
    return problems


def _wrong_attributes(value: dict[str, Any]) -> list[str]:
    rows, count = value["attributes"], _length(value["attribute_names"])
    wanted = _length(value["items"]) if count else 0
    if not _is_list(rows) or len(rows) != wanted or not all(_are_rising(row, count) for row in rows):
        return [
            f"attributes must be a list of rising numbers below {count} for each of {wanted} items, found "
            f"{_shown(rows)}"
        ]
    return []


def _are_rising(row: Any, count: int) -> bool:
    if not _is_list(row) or not all(type(number) is int for number in row):
        return False
    edges = [-1, *row, count]
    return all(low < high for low, high in pairwise(edges))


def _are_different_names(names: Any) -> bool:
    return _is_list(names) and all(map(is_name, names)) and len(set(names)) == len(names)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _length(value: Any) -> int:
    return len(value) if _is_list(value) else 0


def _shown(value: Any) -> str:
    return f"{len(value)}: {value[:3]!r:.80}" if _is_list(value) else f"{value!r:.80}"


def is_name(value: Any) -> bool:
    """Tell whether ``value`` can be an identifier: a text on one line, not empty, not endless."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_ID and not _UNFIT.search(value)


def is_title(value: Any) -> bool:
    """Tell whether ``value`` can be a title: a text on one line, perhaps empty, not endless."""
    return isinstance(value, str) and len(value) <= LONGEST_TITLE and not _UNFIT.search(value)


def as_title(text: str) -> str:
    """Return ``text`` as a title: on one line, and cut where it is endless."""
    line = " ".join(_UNFIT.sub(" ", text).split())
    return line if len(line) <= LONGEST_TITLE else line[: LONGEST_TITLE - 1] + "…"


def codes_of(ids: Iterable[str], plan: Plan) -> tuple[list[int], list[str]]:
    """Return the codes of the known items of ``ids``, and the unknown identifiers, both in the order given."""
    names = [str(name) for name in ids]
    known = plan.code_of
    return [known[name] for name in names if name in known], [name for name in names if name not in known]


def inputs(
    histories: Sequence[Sequence[int]], plan: Plan, *, exclude: Sequence[Sequence[int]] | None = None
) -> dict[str, np.ndarray]:
    """Return the model inputs of some histories.

    Args:
        histories: for each example item codes, newest last, of any length.
        plan: sizes and known items.
        exclude: for each example further codes that must not be recommended.

    Returns:
        ``history`` int32 (example, window): the newest codes, newest last, 0 in front where there are fewer;
        ``exclude`` int32 (example, excluded): first what ``exclude`` says, then the items of the history before the
        window, newest first, each once and none that is in the window; 0 behind. What does not fit is cut, but
        never anything of ``exclude``.

    Raises:
        ValueError: a code is none of the plan's, or ``exclude`` is too long or of another length than ``histories``.
    """
    wanted = [()] * len(histories) if exclude is None else exclude
    if len(wanted) != len(histories):
        raise ValueError(f"found {len(wanted)} lists to exclude for {len(histories)} histories, expected one each")
    made = {
        "history": np.full((len(histories), plan.window), PADDING, dtype=np.int32),
        "exclude": np.full((len(histories), plan.excluded), PADDING, dtype=np.int32),
    }
    for row, (history, unwanted) in enumerate(zip(histories, wanted, strict=True)):
        codes, extra = _checked(history, plan), _checked(unwanted, plan)
        newest, left_out = codes[-plan.window :], _left_out(codes, extra, plan)
        made["history"][row, plan.window - len(newest) :] = newest
        made["exclude"][row, : len(left_out)] = left_out
    return made


def _left_out(codes: list[int], extra: list[int], plan: Plan) -> list[int]:
    shown = set(codes[-plan.window :])
    asked = dict.fromkeys(code for code in extra if code not in shown)
    if len(asked) > plan.excluded:
        raise ValueError(
            f"{len(asked)} items are to be excluded beside those of the history, expected at most {plan.excluded}"
        )
    older = dict.fromkeys(code for code in reversed(codes[: -plan.window]) if code not in shown)
    return list(asked | older)[: plan.excluded]


def _checked(codes: Sequence[int], plan: Plan) -> list[int]:
    array = np.asarray(codes if len(codes) else np.zeros(0, np.int64))
    if array.ndim != 1 or array.dtype.kind not in "iu" or np.any((array < 1) | (array > len(plan.items))):
        raise ValueError(f"item codes must be whole numbers from 1 to {len(plan.items)}, found {codes!r:.80}")
    return [int(code) for code in array]
