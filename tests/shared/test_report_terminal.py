from __future__ import annotations

import io
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from edgekit.shared.estimates import Estimate
from edgekit.shared.report import Cell, Figure, Report, Section, Table, Text
from edgekit.shared.report_terminal import print_report, table

HOSTILE = "[red]x[/] [link=y]z[/link] [/] \x1b[31m:boom:"
SHOWN = HOSTILE.replace("\x1b", "\ufffd")
ESTIMATE = Estimate(0.731, 0.712, 0.748, 12)


def printed(content: Any, width: int = 80, **settings: Any) -> str:
    console = Console(file=io.StringIO(), width=width, **settings)
    if isinstance(content, Report):
        print_report(content, console)
    else:
        console.print(table(content, console))
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


def estimates(columns: int) -> Table:
    names = tuple(f"predictor {number}" for number in range(columns))
    row: tuple[Cell, ...] = ("average_precision", *(ESTIMATE for _ in names))
    return Table(("Metric", *names), (row,), highlight=0)


def report(name: str = "plain") -> Report:
    ladder = Table(
        ("Recipe", "Size", "Drop", "Verdict", "Reason"),
        (
            (name, 41216, Estimate(0.001, -0.001, 0.003, 9), True, ""),
            ("static_int8", 39872, None, False, f"{name} does not work, for a long reason " * 3),
        ),
        caption=name,
        highlight=0,
        units=("", "bytes", "change", "verdict", ""),
    )
    blocks = (
        Text(name),
        Text(f"- {name}\n- b", "bad"),
        Text("- c"),
        ladder,
        Figure("", name, name),
    )
    facts = {"primary_metric": name, "metrics": {"tflite": {name: ESTIMATE}}}
    return Report(name, Text(name, "good"), (Section(name, blocks, note=name),), facts)


def test_a_table_at_80_columns_looks_like_this() -> None:
    content = Table(
        ("Recipe", "Size", "Verdict"),
        (("float32", 118432, False), ("dynamic_int8", 41216, True)),
        caption="The ladder",
        highlight=1,
        units=("", "bytes", "verdict"),
    )
    assert lines(printed(content)) == [
        "The ladder",
        "  Recipe           Size  Verdict",
        "───────────────────────────────────",
        "  float32        118\u202fkB  ✗ refused",
        "▸ dynamic_int8  41.2\u202fkB  ✓ accepted",
    ]


def test_a_table_without_titles_has_no_head() -> None:
    assert lines(printed(Table(("", ""), (("Licence", "MIT"),)))) == ["Licence  MIT"]


def test_intervals_stay_beside_their_values_where_there_is_room() -> None:
    assert lines(printed(estimates(4), width=120))[2].count("0.731 [0.712, 0.748]") == 4


def test_intervals_go_under_their_values_where_room_is_short() -> None:
    rows = lines(printed(estimates(3), width=80))[2:]
    assert rows[0].split() == ["▸", "average_precision", "0.731", "0.731", "0.731"]
    assert rows[1].split() == ["[0.712,", "0.748]"] * 3


def test_a_table_too_wide_becomes_records() -> None:
    assert lines(printed(estimates(7), width=80))[:3] == [
        "▸ average_precision",
        "  predictor 0  0.731 [0.712, 0.748]",
        "  predictor 1  0.731 [0.712, 0.748]",
    ]


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("columns", [1, 3, 4, 5, 7])
def test_no_number_is_ever_cut(columns: int, width: int) -> None:
    text = printed(estimates(columns), width=width)
    assert text.count("0.731") == text.count("[0.712, 0.748]") == columns
    assert "…" not in text


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("settings", [{}, {"force_terminal": True, "no_color": True}])
def test_no_line_is_wider_than_the_screen(width: int, settings: dict[str, Any]) -> None:
    text = printed(report("long name " * 30), width=width, **settings)
    plain = text.replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[0m", "")
    assert max(cell_len(line) for line in plain.splitlines()) <= width


def test_markup_and_control_characters_are_shown_in_every_position() -> None:
    text = printed(report(HOSTILE), width=400)
    assert text.count(SHOWN) >= 11
    assert "\x1b" not in text


def test_without_colour_no_colour_is_sent() -> None:
    text = printed(report(), force_terminal=True, no_color=True)
    assert "\x1b[3" not in text
    assert "✓ plain" in text


def test_with_colour_the_tone_is_coloured() -> None:
    text = printed(report(), force_terminal=True, color_system="standard")
    assert "\x1b[1;32m✓ accepted" in text


def test_a_terminal_of_few_characters_gets_plain_ones() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    print_report(report("naïve ✓ 你"), Console(file=file, width=80))
    file.seek(0)
    text = file.read()
    assert "naïve + ?" in text
    assert "+ accepted" in text


def test_the_report_is_complete_and_in_order() -> None:
    text = printed(report())
    parts = [
        "plain",
        "✓ plain",
        "Summary",
        "0.731",
        "1  plain",
        "✗ b",
        "- c",
        "✓ accepted",
        "Figure",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
