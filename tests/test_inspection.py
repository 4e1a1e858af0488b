"""What an inspection says of a file's decision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgekit import inspection
from edgekit.shared.report import Table
from edgekit.tflite_export.card import Card, Decision


@pytest.mark.parametrize(("threshold", "shown"), [(0.5, 0.5), (None, "none")])
def test_the_decision_is_told_with_and_without_a_threshold(
    tiny_card: Card, threshold: float | None, shown: float | str
) -> None:
    card = replace(tiny_card, decision=Decision("score", threshold, "the 10 highest scores"))
    model: Any = SimpleNamespace(card=card, content_bytes=1, golden=[])
    (table,) = inspection._overview(model, Path("x.tflite")).blocks
    assert isinstance(table, Table)
    told = dict(table.rows)
    assert (told["threshold"], told["chosen by"]) == (shown, "the 10 highest scores")
