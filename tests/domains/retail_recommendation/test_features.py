"""Histories to inputs, identifiers to codes, and a plan that trusts nothing it reads."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from edgekit.domains.retail_recommendation.features import (
    LONGEST_ID,
    LONGEST_TITLE,
    LONGEST_WINDOW,
    MOST_ATTRIBUTES,
    MOST_EXCLUDED,
    Plan,
    as_title,
    codes_of,
    inputs,
    is_name,
    is_title,
)

PLAN = Plan(
    window=3,
    excluded=4,
    items=("007", "7", "rose, red", "Łódź", "a b", "ß", "7.0", "x", "y"),
    titles=("Bond", "", "Rose", "City", "", "", "", "", "Ω"),
    attribute_names=("genre: spy", "genre: plant"),
    attributes=((0,), (), (1,), (0, 1), (), (), (), (), ()),
)


# === Identifiers ===


def test_identifiers_are_taken_as_written() -> None:
    known, unknown = codes_of(["7", "07", "rose, red", "007", "Łódź", "", "7"], PLAN)
    assert known == [2, 3, 1, 4, 2] and unknown == ["07", ""]


def test_numbers_and_numpys_texts_are_identifiers_too() -> None:
    assert codes_of([7, np.str_("x")], PLAN) == ([2, 8], [])  # type: ignore[list-item]


@pytest.mark.parametrize("good", ["a", "7", "a b", "a,b", "東京", "a\u00a0b", "👩‍🚀", "x" * LONGEST_ID])
def test_names_of_any_script_are_names(good: str) -> None:
    assert is_name(good) and is_title(good)


@pytest.mark.parametrize(
    "bad", ["", "a\nb", "a\x00", "\x9f", "\ud800", "x" * (LONGEST_ID + 1), "a\u2028b", 7, None, b"a"]
)
def test_what_is_no_name(bad: Any) -> None:
    assert not is_name(bad)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        (" a  b\n c ", "a b c"),
        ("", ""),
        ("x" * LONGEST_TITLE, "x" * LONGEST_TITLE),
        ("x" * 999, "x" * (LONGEST_TITLE - 1) + "…"),
        ("a\x00b", "a b"),
    ],
)
def test_any_text_becomes_a_title(text: str, title: str) -> None:
    assert as_title(text) == title and is_title(as_title(text))


# === Inputs ===


@pytest.mark.parametrize(
    ("history", "window", "excluded"),
    [
        ([], [0, 0, 0], [0, 0, 0, 0]),
        ([5], [0, 0, 5], [0, 0, 0, 0]),
        ([1, 2, 3], [1, 2, 3], [0, 0, 0, 0]),
        ([9, 8, 1, 2, 3], [1, 2, 3], [8, 9, 0, 0]),
        ([9, 8, 7, 6, 5, 4, 3, 2, 1], [3, 2, 1], [4, 5, 6, 7]),
        ([9, 8, 9, 1, 2, 3], [1, 2, 3], [9, 8, 0, 0]),
        ([1, 8, 2, 8, 1, 2, 3], [1, 2, 3], [8, 0, 0, 0]),
        ([4, 4, 4, 4, 4], [4, 4, 4], [0, 0, 0, 0]),
    ],
)
def test_the_newest_stand_last_and_the_older_are_excluded(
    history: list[int], window: list[int], excluded: list[int]
) -> None:
    made = inputs([history], PLAN)
    assert made["history"].tolist() == [window] and made["exclude"].tolist() == [excluded]
    assert {array.dtype for array in made.values()} == {np.dtype(np.int32)}


def test_what_is_asked_to_be_excluded_comes_first_and_once() -> None:
    made = inputs([[9, 8, 7, 1, 2, 3], []], PLAN, exclude=[[4, 4, 8, 3], [5]])
    assert made["exclude"].tolist() == [[4, 8, 7, 9], [5, 0, 0, 0]]


def test_no_examples_are_no_rows() -> None:
    assert {name: array.shape for name, array in inputs([], PLAN).items()} == {"history": (0, 3), "exclude": (0, 4)}


@pytest.mark.parametrize("history", [[0], [10], [-1], [1.5], ["1"], [[1, 2]], [True]])
def test_codes_that_are_none_are_refused(history: Any) -> None:
    with pytest.raises(ValueError, match="whole numbers from 1 to 9"):
        inputs([history], PLAN)
    with pytest.raises(ValueError, match="whole numbers from 1 to 9"):
        inputs([[1]], PLAN, exclude=[history])


def test_more_exclusions_than_places_are_refused_and_not_cut() -> None:
    with pytest.raises(ValueError, match="5 items are to be excluded"):
        inputs([[1]], PLAN, exclude=[[2, 3, 4, 5, 6]])
    assert inputs([[1, 2, 3]], PLAN, exclude=[[1, 2, 3, 4, 5, 6, 7]])["exclude"].tolist() == [[4, 5, 6, 7]]


def test_each_history_has_its_own_exclusions() -> None:
    with pytest.raises(ValueError, match="expected one each"):
        inputs([[1], [2]], PLAN, exclude=[[3]])


def test_a_history_of_a_hundred_thousand_items() -> None:
    long = np.random.default_rng(0).integers(1, 10, 100_000)
    made = inputs([long.tolist()], PLAN)
    assert made["history"][0].tolist() == long[-3:].tolist() and (made["exclude"] > 0).all()


# === The plan ===


def test_a_plan_survives_json() -> None:
    assert Plan.from_json(json.loads(json.dumps(PLAN.as_json()))) == PLAN
    bare = Plan(window=1, excluded=1, items=("a", "b"))
    assert Plan.from_json(json.loads(json.dumps(bare.as_json()))) == bare


def test_attributes_as_a_matrix() -> None:
    assert PLAN.attribute_matrix().tolist() == [[0, 0], [1, 0], [0, 0], [0, 1], [1, 1], *[[0, 0]] * 5]
    assert Plan(window=1, excluded=1, items=("a", "b")).attribute_matrix().shape == (3, 0)


HOSTILE: dict[str, list[Any]] = {
    "window": [0, -1, True, 3.0, "3", None, LONGEST_WINDOW + 1, 10**30],
    "excluded": [0, True, 4.0, None, [], MOST_EXCLUDED + 1],
    "items": [
        None, {}, "abc", [], ["a"], ["a"] * 9, [1] * 9, [["a"]] * 9, [*"abcdefgh", ""], [*"abcdefgh", "\n"],
        [*"abcdefgh", "\ud800"], [*"abcdefgh", "i" * (LONGEST_ID + 1)], [*"abcdefghij"],
    ],
    "titles": [None, {}, "a" * 9, ["a"], [None] * 9, [1] * 9, ["t" * (LONGEST_TITLE + 1)] * 9, ["\x1b"] * 9],
    "attribute_names": [
        None, "ab", ["a", "a"], [1, 2], ["", "b"], ["a", "b", "c", 3],
        [f"a{number}" for number in range(MOST_ATTRIBUTES + 1)],
    ],
    "attributes": [
        None, {}, [], [[0]], [[2]] * 9, [[-1]] * 9, [[1, 0]] * 9, [[0, 0]] * 9, [[True]] * 9, [[0.0]] * 9, [["0"]] * 9,
        ["0"] * 9, [None] * 9, [[0, 1, 2]] * 9,
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in HOSTILE.items() for value in values],
    ids=lambda given: repr(given)[:30],
)
def test_every_hostile_value_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name) as caught:
        Plan.from_json({**PLAN.as_json(), name: value})
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize("value", [None, [], "plan", 3, {}, {"window": 3}, {**PLAN.as_json(), "more": 1}, {1: 2}])
def test_a_plan_has_exactly_its_keys(value: Any) -> None:
    with pytest.raises(ValueError, match="exactly the keys"):
        Plan.from_json(value)


@pytest.mark.parametrize("name", list(PLAN.as_json()))
def test_no_key_may_be_missing(name: str) -> None:
    with pytest.raises(ValueError, match="exactly the keys"):
        Plan.from_json({key: value for key, value in PLAN.as_json().items() if key != name})


def test_attributes_must_fit_their_names() -> None:
    with pytest.raises(ValueError, match="below 1 for each of 9"):
        Plan.from_json({**PLAN.as_json(), "attribute_names": ["one"]})
    with pytest.raises(ValueError, match="for each of 0 items"):
        Plan.from_json({**PLAN.as_json(), "attribute_names": []})


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"window.*excluded.*titles"):
        Plan.from_json({**PLAN.as_json(), "window": 0, "excluded": 0, "titles": ["one"]})
