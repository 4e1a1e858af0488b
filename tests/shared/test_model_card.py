from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgekit.shared.estimates import Estimate
from edgekit.shared.model_card import NOT_STATED, escape, markdown_table, render_model_card
from edgekit.shared.sources import Source

HOSTILE = "a|b\n# c <script> `d` [e](f) *g* _h_"
ESCAPED = r"a\|b \# c &lt;script&gt; \`d\` \[e\](f) \*g\* \_h\_"
SOURCE = Source(
    title="Synthetic cards",
    url=None,
    sha256=None,
    licence="CC0-1.0",
    cite="edgekit",
    retrieved="generator 1",
    caveats="Made up.",
)
LOST = "The network **does not earn** its place: +0.731 [+0.712, +0.748] against the best rival, plain."
SECTIONS = [
    "Model details",
    "Intended use",
    "Data",
    "Metrics",
    "Rivals",
    "Decision threshold",
    "Device file",
    "Limits",
    "How to verify",
]


def facts(name: str = "plain") -> dict[str, Any]:
    estimate = Estimate(0.731, 0.712, 0.748, 12)
    rung = {"recipe": name, "bytes": 41216, "accepted": True, "reason": name}
    rung |= {"drop": {"value": 0.001, "low": -0.001, "high": 0.004}, "latency_ms": {"median": 0.02}}
    return {
        "domain": "finance_fraud",
        "seed": 0,
        "data": {"rows": 1000, "source": name, "fingerprint": "ab" * 32},
        "split": {"rule": name, "train": 600, "validation": 200, "test": 200},
        "primary_metric": name,
        "metrics": {
            "keras": {name: estimate},
            "tflite": {name: estimate, "auc": None},
            "rivals": {name: {name: estimate}},
        },
        "verdict": {"earns_its_place": False, "best_rival": name, "difference": estimate},
        "export": {
            "chosen": name,
            "budget": {"max_drop": 0.005, "max_bytes": None},
            "bytes": 41216,
            "rungs": [rung],
        },
        "parity": {"max_abs_error": 3.1e-4, "decision_flips": 2, "n": 200},
    }


def card(name: str = "plain") -> dict[str, Any]:
    tensor = {"name": name, "dtype": "float32", "shape": [3], "meaning": name, "unit": name}
    return {
        "summary": name,
        "inputs": [tensor | {"missing": name}],
        "outputs": [tensor],
        "labels": [name],
        "decision": {"output": name, "threshold": 0.4100000262, "rule": name},
        "recipe": name,
        "versions": {name: name},
        "licence": name,
        "intended_use": name,
        "limits": [name, "plain"],
    }


def headings(text: str) -> list[str]:
    return [line[3:] for line in text.splitlines() if line.startswith("## ")]


def test_sections_come_in_the_published_order() -> None:
    assert headings(render_model_card(facts(), source=SOURCE, card=card())) == SECTIONS


def test_an_empty_run_still_gives_every_section() -> None:
    text = render_model_card({}, source=None, card={})
    assert headings(text) == SECTIONS
    assert NOT_STATED in text


@pytest.mark.parametrize(
    "line",
    [
        "# Model card: finance_fraud",
        "| File size | 41.2\u202fkB |",
        "| input | plain | float32 (3) | plain | plain | plain |",
        "| Data set | Synthetic cards |",
        "| Rows, test | 200 |",
        "| plain | 0.731 [0.712, 0.748] | 0.731 [0.712, 0.748] | 12 |",
        "| auc | – | – | – |",
        LOST,
        "A value of plain at or above 0.4100000262 is a yes. How it was chosen: plain",
        "plain ships. Budget: max_drop 0.005.",
        "| plain | 41.2\u202fkB | +0.001 [−0.001, +0.004] | 0.020\u202fms | accepted | plain |",
        "The data: Made up.",
        "edgekit verify finance_fraud.tflite",
    ],
)
def test_the_card_says(line: str) -> None:
    assert line in render_model_card(facts(), source=SOURCE, card=card()).splitlines()


def test_a_hostile_name_changes_no_structure() -> None:
    source = replace(SOURCE, title=f"synthetic {HOSTILE}", licence=HOSTILE, caveats=HOSTILE)
    plain = render_model_card(facts(), source=SOURCE, card=card()).splitlines()
    hostile = render_model_card(facts(HOSTILE), source=source, card=card(HOSTILE)).splitlines()
    assert len(hostile) == len(plain)
    bars = [line.replace(r"\|", "").count("|") for line in hostile]
    assert bars == [line.count("|") for line in plain]
    assert not any("<" in line or line.startswith("# c") for line in hostile)


def test_without_a_passport_the_runs_own_source_is_named() -> None:
    text = render_model_card(facts("payments.csv"), source=None, card=card())
    assert "| Data set | payments.csv |" in text


def test_without_a_threshold_the_largest_value_decides() -> None:
    text = render_model_card(
        facts(),
        source=SOURCE,
        card={"decision": {"output": "label", "threshold": None, "rule": "r"}},
    )
    assert "There is no threshold; the highest of label is taken. The rule: r" in text


def test_when_nothing_ships_the_card_says_so() -> None:
    run = facts()
    run["export"]["chosen"] = None
    assert "No rung is inside the budget; nothing ships." in render_model_card(run, source=SOURCE, card=card())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (HOSTILE, ESCAPED),
        ("average_precision", "average_precision"),
        ("- item", r"\- item"),
        ("-0.5", "-0.5"),
        ("---", r"\---"),
        ("1. first", r"1\. first"),
        ("1.5", "1.5"),
        ("a & b", "a &amp; b"),
        ("\x1b[2J", "\ufffd\\[2J"),
        (None, "None"),
    ],
)
def test_escape_shows_exactly_the_text(text: Any, shown: str) -> None:
    assert escape(text) == shown


def test_a_markdown_table_formats_and_escapes() -> None:
    assert markdown_table(("a|b", "c"), [("x\ny", 0.5), (True, None)], ("", "percent")) == (
        "| a\\|b | c |\n| --- | --- |\n| x y | 50.0\u202f% |\n| yes | – |"
    )


def test_the_same_run_gives_the_same_card() -> None:
    first, second = (render_model_card(facts(), source=SOURCE, card=card()) for _ in range(2))
    assert first == second
