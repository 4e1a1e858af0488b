"""The card: round trip, versions and hostile text."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edgekit import __version__
from edgekit.shared.errors import DeviceFileError, ExportError
from edgekit.tflite_export.card import FORMAT, Card, Decision, Field, Tensor, from_json, to_json


def test_round_trip(tiny_card: Card) -> None:
    assert from_json(to_json(tiny_card)) == tiny_card


def test_bytes_are_read_as_well_as_text(tiny_card: Card) -> None:
    assert from_json(to_json(tiny_card).encode()) == tiny_card


def test_text_is_canonical(tiny_card: Card) -> None:
    one = to_json(replace(tiny_card, settings={"a": 1, "b": 2}))
    other = to_json(replace(tiny_card, settings={"b": 2, "a": 1}))
    assert one == other


def test_vocabulary_from_real_shops_survives(tiny_card: Card) -> None:
    words = ("Müller\u00a0GmbH", "", "日本", "a" * 300)
    inputs = (Tensor("codes", "int32", (1,), "m", fields=(Field("shop", vocabulary=words),)),)
    assert from_json(to_json(replace(tiny_card, inputs=inputs))).inputs == inputs


@pytest.mark.parametrize("number", [FORMAT + 1, FORMAT + 99])
def test_newer_format_names_who_can_read_it(tiny_card: Card, number: int) -> None:
    raw = {**json.loads(to_json(tiny_card)), "format": number, "versions": {"edgekit": "7.1"}}
    with pytest.raises(DeviceFileError, match=rf"edgekit 7\.1; this is edgekit {__version__}"):
        from_json(json.dumps(raw))


def test_newer_format_wins_over_unknown_keys(tiny_card: Card) -> None:
    raw = {**json.loads(to_json(tiny_card)), "format": FORMAT + 1, "novelty": 1}
    with pytest.raises(DeviceFileError, match="Upgrade"):
        from_json(json.dumps(raw))


def _without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda raw: raw.pop(key)


def _with(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda raw: raw.__setitem__(key, value)


def _input(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda raw: raw["inputs"][0].__setitem__(key, value)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (_without("domain"), "missing key 'domain'"),
        (_with("extra", 1), "unknown key 'extra'"),
        (_with("domain", 3), "card.domain: found 3, expected text"),
        (_with("domain", ""), "found empty text"),
        (_with("domain", "two\nlines"), "expected one line"),
        (_with("summary", "x" * 20_001), "20001 characters"),
        (_with("inputs", []), "found 0 entries"),
        (_with("inputs", {}), "found a dict, expected a list"),
        (_with("labels", "yes"), "expected a list"),
        (_with("labels", [1]), r"labels\[0\]: found 1"),
        (_with("metrics", []), "card.metrics: found a list, expected an object"),
        (_with("format", True), "card.format: found True"),
        (_with("format", 0), "card.format: found 0"),
        (_with("versions", {}), "the version that wrote the file"),
        (_with("decision", {"output": "score"}), "missing key 'threshold'"),
        (_with("decision", {"output": "x", "threshold": 1, "rule": ""}), "expected one of"),
        (_with("decision", {"output": "score", "threshold": "1", "rule": ""}), "a number or null"),
        (_with("decision", {"output": "score", "threshold": 3.1e38, "rule": ""}), "found 3.1e\\+38, expected a number"),
        (_with("decision", {"output": "score", "threshold": -3.1e38, "rule": ""}), "expected a number or null"),
        (_with("decision", {"output": "score", "threshold": 10**400, "rule": ""}), "expected a number or null"),
        (_with("decision", {"output": "score", "threshold": True, "rule": ""}), "expected a number or null"),
        (_input("dtype", "int64"), "found 'int64', expected one of float32, int32, uint8"),
        (_input("dtype", ["float32"]), "found a list"),
        (_input("shape", [0]), "whole number of at least 1"),
        (_input("shape", [2.0]), "whole number of at least 1"),
        (_input("shape", [1] * 9), "found 9 entries"),
        (_input("name", "codes"), "a name twice"),
        (
            _input("fields", [{"name": "a", "unit": "", "meaning": "", "vocabulary": []}]),
            "last axis",
        ),
    ],
)
def test_every_broken_value_is_named(tiny_card: Card, spoil: Callable[[dict[str, Any]], None], match: str) -> None:
    raw = json.loads(to_json(tiny_card))
    spoil(raw)
    with pytest.raises(DeviceFileError, match=match):
        from_json(json.dumps(raw))


@pytest.mark.parametrize("threshold", [3e38, -3e38, 0, 1e-45, 1.0000001])
def test_a_threshold_that_float32_can_reach_is_kept(tiny_card: Card, threshold: float) -> None:
    decision = from_json(to_json(replace(tiny_card, decision=Decision("score", threshold, "")))).decision
    assert decision is not None and decision.threshold == threshold


def test_all_problems_come_in_one_error(tiny_card: Card) -> None:
    raw = json.loads(to_json(tiny_card))
    del raw["licence"]
    raw["recipe"] = 1
    raw["inputs"][1]["unit"] = None
    with pytest.raises(DeviceFileError, match="3 problem") as caught:
        from_json(json.dumps(raw))
    assert all(word in str(caught.value) for word in ("licence", "recipe", r"inputs[1].unit"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        "\x00",
        b"\xff\xfe\xfa",
        "[" * 100_000,
        '{"format": ' + "9" * 5000 + "}",
        '{"format": 1, "format": 1}',
        '{"a": NaN}',
        '{"a": 1e999}',
    ],
    ids=["empty", "null", "list", "open", "nul", "bytes", "deep", "long", "twice", "nan", "inf"],
)
def test_hostile_text_is_refused(text: str | bytes) -> None:
    with pytest.raises(DeviceFileError, match=r"expected|Expected"):
        from_json(text)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"metrics": {"auc": float("nan")}}, "replace NaN by null"),
        ({"settings": {"when": object()}}, "JSON cannot hold"),
        ({"settings": {"name": "\ud800"}}, "JSON cannot hold"),
        ({"decision": Decision("nothing", 0.5, "")}, "expected one of"),
        ({"inputs": ()}, "found 0 entries"),
    ],
)
def test_an_unreadable_card_is_not_written(tiny_card: Card, change: dict[str, Any], match: str) -> None:
    with pytest.raises(ExportError, match=match):
        to_json(replace(tiny_card, **change))


def test_largest_of_a_scalar_is_no_decision(tiny_card: Card) -> None:
    outputs = (Tensor("score", "float32", (), "probability"),)
    card = replace(tiny_card, outputs=outputs, decision=Decision("score", None, "largest"))
    with pytest.raises(ExportError, match="scalar output"):
        to_json(card)
