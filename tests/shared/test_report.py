from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.shared.errors import ConfigError, ContractError
from edgekit.shared.estimates import Estimate
from edgekit.shared.report import (
    Figure,
    Headline,
    Report,
    Section,
    Table,
    Text,
    as_json,
    format_value,
    headline,
    printable,
    read_estimate,
    to_json,
)

FACTS: dict[str, Any] = {
    "domain": "finance_fraud",
    "primary_metric": "average_precision",
    "metrics": {
        "tflite": {"average_precision": Estimate(0.731, 0.712, 0.748, 12)},
        "rivals": {"gbm": {"average_precision": Estimate(0.711, 0.690, 0.730, 12)}},
    },
    "verdict": {"best_rival": "gbm", "difference": {"value": 0.02, "low": 0.004, "high": 0.037}},
    "export": {"chosen": "dynamic_int8", "bytes": 41216},
    "parity": {"decision_flips": 2, "n": 1000},
}


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (None, "", "–"),
        (math.nan, "", "–"),
        (math.inf, "percent", "–"),
        ("as it is", "bytes", "as it is"),
        (True, "", "yes"),
        (False, "", "no"),
        (np.True_, "verdict", "accepted"),
        (False, "verdict", "refused"),
        (284807, "", "284,807"),
        (np.int64(284807), "", "284,807"),
        (-3, "", "−3"),
        (0.73149, "", "0.731"),
        (np.float32(0.5), "", "0.500"),
        (12.345, "", "12.35"),
        (1234.5, "", "1,234"),
        (0.0, "", "0.000"),
        (-0.0, "", "0.000"),
        (0.00031, "", "3.1e−04"),
        (-0.0004, "change", "−4.0e−04"),
        (0.02, "change", "+0.020"),
        (3, "change", "+3"),
        (0, "change", "0"),
        (812, "bytes", "812\u202fB"),
        (41216, "bytes", "41.2\u202fkB"),
        (118432, "bytes", "118\u202fkB"),
        (2_310_000, "bytes", "2.31\u202fMB"),
        (0.00173, "percent", "0.173\u202f%"),
        (0.9642, "percent", "96.4\u202f%"),
        (0.041, "ms", "0.041\u202fms"),
        (78.94, "s", "78.9\u202fs"),
        (Estimate(0.731, 0.712, 0.748, 9), "", "0.731 [0.712, 0.748]"),
        (Estimate(0.0008, -0.0011, 0.0027, 9), "change", "+0.0008 [−0.0011, +0.0027]"),
        (Estimate(0.0, 0.0, 0.0, 9), "change", "0.000 [0.000, 0.000]"),
        (Estimate(0.0017, 0.0015, 0.0019, 9), "percent", "0.170 [0.150, 0.190]\u202f%"),
        (Estimate(340.21, 334.0, 346.3, 9), "", "340.2 [334.0, 346.3]"),
        (Estimate(41216.0, 40000.0, 42000.0, 9), "bytes", "41.2 [40.0, 42.0]\u202fkB"),
    ],
)
def test_format_value_gives_the_text_a_reader_expects(value: Any, unit: Any, shown: str) -> None:
    assert format_value(value, unit) == shown


def test_format_value_refuses_an_unknown_unit_and_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'percent'"):
        format_value(1, "percen")  # type: ignore[arg-type]


def test_as_json_round_trips_without_nan() -> None:
    figure = Figure("<svg/>", "caption", "description")
    table = Table(("a", "b"), (("x", Estimate(1.0, 0.5, 1.5, 3)), ("y", math.nan)), highlight=0)
    report = Report("T", Text("L", "good"), (Section("S", (Text("t"), table, figure)),), FACTS)

    record = as_json(report)

    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["metrics"]["tflite"]["average_precision"]["high"] == 0.748
    blocks = record["sections"][0]["blocks"]
    assert [block["kind"] for block in blocks] == ["text", "table", "figure"]
    assert blocks[1]["rows"] == [
        ["x", {"value": 1.0, "low": 0.5, "high": 1.5, "n": 3}],
        ["y", None],
    ]
    assert blocks[2] == {"kind": "figure", "caption": "caption", "description": "description"}


def test_as_json_refuses_facts_with_sections_of_their_own() -> None:
    with pytest.raises(ContractError, match="'sections'"):
        as_json(Report("T", Text("L"), (), {"sections": []}))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(0.5), 0.5),
        (np.array([[1.0, np.nan]]), [[1.0, None]]),
        (np.bool_(True), True),
        (Path("a") / "b", "a/b"),
        ({1: (2, 3)}, {"1": [2, 3]}),
        (-math.inf, None),
        (Headline("a", "b"), {"label": "a", "value": "b", "detail": ""}),
    ],
)
def test_to_json_gives_plain_types(value: Any, plain: Any) -> None:
    assert to_json(value) == plain


def test_to_json_names_the_place_of_a_foreign_type() -> None:
    with pytest.raises(ContractError, match=r"facts\.a\[1\] is .* of type object"):
        to_json({"a": [1, object()]})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (lambda: Table(("a", "b"), (("x",),), "caption"), "row 0 has 1 cells, expected 2"),
        (lambda: Table(("a",), (("x",),), units=("", "ms")), "2 units for 1 columns"),
        (lambda: Table(("a",), (("x",),), highlight=1), "highlight is row 1, expected 0 to 0"),
    ],
)
def test_a_table_refuses_what_does_not_fit(table: Any, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        table()


def test_an_unknown_tone_is_refused() -> None:
    with pytest.raises(ConfigError, match="tone: 'goood'.*Did you mean 'good'"):
        Text("x", "goood")  # type: ignore[arg-type]


def test_only_columns_of_numbers_are_numeric() -> None:
    rows = (("x", 1, None, True, 2), ("y", Estimate(1, 0, 2, 3), None, False, "z"))
    table = Table(("name", "value", "empty", "flag", "mixed"), rows)
    assert table.numeric() == (False, True, False, False, False)


def test_paragraphs_tell_prose_from_lists() -> None:
    text = Text("One\nline.\n\n- a\n- b\n\n\n- c\nno list")
    assert text.paragraphs() == ("One line.", ("a", "b"), "- c no list")


def test_the_tree_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Text("a").body = "b"  # type: ignore[misc]


@pytest.mark.parametrize("acting", ["\x1b", "\x00", "\x07", "\x9b", "\u202e", "\u2066", "\ud800"])
def test_printable_shows_what_would_act_on_the_screen(acting: str) -> None:
    assert printable(f"a{acting}b\nc") == "a\ufffdb\nc"


@pytest.mark.parametrize(
    ("fact", "figure"),
    [
        (None, None),
        ({"value": None}, None),
        (0.5, 0.5),
        ({"value": 1, "low": None, "high": 2}, 1.0),
        ({"value": 1, "low": 0, "high": 2}, Estimate(1.0, 0.0, 2.0, 0)),
        ({"value": 1, "low": 0, "high": 2, "n": 7}, Estimate(1.0, 0.0, 2.0, 7)),
    ],
)
def test_read_estimate_takes_every_form_of_a_fact(fact: Any, figure: Any) -> None:
    assert read_estimate(fact) == figure


def test_the_headline_sums_up_the_facts() -> None:
    assert headline(FACTS) == (
        Headline("average_precision, device file", "0.731", "[0.712, 0.748]"),
        Headline("average_precision, best rival", "0.711", "gbm [0.690, 0.730]"),
        Headline("Network less rival", "+0.020", "[+0.004, +0.037]"),
        Headline("Device file", "41.2\u202fkB", "dynamic_int8"),
        Headline("Decision flips", "2", "of 1,000 examples, Keras to device"),
    )


@pytest.mark.parametrize("facts", [{}, {"export": {"chosen": None, "bytes": None}, "verdict": None}])
def test_the_headline_leaves_out_what_is_not_known(facts: dict[str, Any]) -> None:
    assert headline(facts) == ()
