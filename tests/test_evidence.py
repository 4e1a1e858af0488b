"""The verdict in words: what cannot be trusted first, then a rival that wins, then what ships."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgekit import evidence
from edgekit.evidence import Verdict
from edgekit.shared import plots
from edgekit.shared.audit import Finding
from edgekit.shared.estimates import Estimate
from edgekit.shared.report import MISSING, Figure, Report, Section, Table, Text, Tone
from edgekit.shared.report_html import render_html
from edgekit.shared.run_folder import start
from edgekit.tflite_export.card import Card
from edgekit.tflite_export.gate import Rung

WINS, LOSES, TIES = (Estimate((low + high) / 2, low, high, 100) for low, high in ((1, 3), (-3, -1), (-1, 2)))
LEAK = Finding("error", "Column 'TX_SCENARIO' gives away the label", "It ranks the label at 1.000. Leave it out.")
SHARED = Finding("error", "Customers in train and test", "30 of 40.")
HARMLESS = Finding("warning", "Column 'x' is constant", "It says nothing.")
RUNG = Rung("dynamic_int8", 41_000, None, True, "")


def run(
    difference: Estimate = WINS, *findings: Finding, synthetic: bool = False, chosen: Rung | None = RUNG, **more: Any
) -> Any:
    """Return as much of the evidence of a run as its lead needs."""
    return SimpleNamespace(
        domain=SimpleNamespace(name="fraud", primary_metric="auc", sources=()),
        material=SimpleNamespace(findings=findings),
        synthetic=synthetic,
        measured=SimpleNamespace(verdict=Verdict("boosting", difference)),
        export=SimpleNamespace(chosen=chosen),
        sizes={"fraud.tflite": 41_000} if chosen else {},
        **more,
    )


@pytest.mark.parametrize(
    ("low", "high", "earns", "begins"),
    [
        (0.01, 0.03, True, "The network beats the best rival, boosting"),
        (-0.03, -0.01, False, "boosting beats the network"),
        (-0.01, 0.02, False, "The network and boosting cannot be told apart"),
        (0.0, 0.02, False, "The network and boosting cannot be told apart"),
    ],
)
def test_the_interval_decides(low: float, high: float, earns: bool, begins: str) -> None:
    verdict = Verdict("boosting", Estimate((low + high) / 2, low, high, 100))
    assert verdict.earns_its_place is earns
    assert verdict.sentence("average_precision").startswith(begins)


# === The lead ===


def test_the_lead_is_the_verdict_and_what_ships() -> None:
    verdict, ships = evidence._lead(run())
    assert verdict.startswith("The network beats the best rival, boosting, in auc:")
    assert ships == "The device file is dynamic_int8, 41.0\u202fkB."


def test_an_audit_error_comes_first_and_names_the_column_as_it_is_written() -> None:
    lead = evidence._lead(run(WINS, HARMLESS, LEAK, SHARED, synthetic=True))
    assert lead[:3] == (
        "The figures cannot be trusted. Column 'TX_SCENARIO' gives away the label. It ranks the label at 1.000. "
        "Leave it out.",
        "The figures cannot be trusted. Customers in train and test. 30 of 40.",
        "On synthetic data:",
    )
    assert lead[3:] == evidence._lead(run())


@pytest.mark.parametrize("synthetic", [True, False])
def test_a_synthetic_run_says_so(synthetic: bool) -> None:
    assert ("On synthetic data: The network beats" in " ".join(evidence._lead(run(synthetic=synthetic)))) is synthetic


def test_a_run_without_a_device_file_says_so() -> None:
    assert evidence._lead(run(chosen=None))[-1].startswith("No device file ships")


@pytest.mark.parametrize(
    ("given", "tone"),
    [
        (run(WINS), "good"),
        (run(WINS, HARMLESS), "good"),
        (run(TIES), "warning"),
        (run(LOSES), "bad"),
        (run(WINS, chosen=None), "bad"),
        (run(WINS, LEAK), "bad"),
        (run(TIES, HARMLESS, SHARED), "bad"),
    ],
)
def test_the_tone_is_that_of_the_worst_news(given: Any, tone: Tone) -> None:
    assert evidence._tone(given) == tone


# === The tables and the figure of bars ===


def measured(figures: Mapping[str, Mapping[str, float]], headline: tuple[str, ...] = ()) -> Any:
    """Return as much of the evidence of a run as its tables need."""
    return SimpleNamespace(
        domain=SimpleNamespace(primary_metric="auc", headline=headline),
        material=SimpleNamespace(splits=SimpleNamespace(rule="by time")),
        measured=SimpleNamespace(
            figures={
                name: {metric: Estimate(value, value - 0.1, value + 0.1, 50) for metric, value in made.items()}
                for name, made in figures.items()
            }
        ),
    )


def table_and_figure(section: Section) -> tuple[Table, Figure]:
    table, figure = section.blocks
    if not isinstance(table, Table) or not isinstance(figure, Figure):
        raise TypeError("a table and a figure are expected")
    return table, figure


WHOLE = {"auc": 0.7, "error": 0.3}
PARTIAL = {"trees": {"auc": 0.6, "error": 0.4}, "keras": WHOLE, "counts": {"error": 0.2}}


@pytest.mark.parametrize("device", [False, True])
def test_a_rival_without_the_primary_metric_has_a_dash_and_no_bar(
    monkeypatch: pytest.MonkeyPatch, device: bool
) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(plots, "bars", lambda values, **how: drawn.update(values=values, **how) or "<svg/>")
    section = evidence._metrics(measured({**PARTIAL, **({"tflite": WHOLE} if device else {})}))
    table, figure = table_and_figure(section)
    networks = ["keras", "tflite"] if device else ["keras"]
    assert table.columns == ("predictor", "auc", "error")
    rows = {str(row[0]): row[1:] for row in table.rows}
    assert list(rows) == [*networks, "counts", "trees"]
    assert rows["counts"][0] is None and isinstance(rows["counts"][1], Estimate)
    assert all(cell is not None for name, row in rows.items() if name != "counts" for cell in row)
    assert list(drawn["values"]) == [*networks, "trees"] and drawn["highlight"] == networks[-1]
    assert "counts" not in figure.description and "trees 0.600" in figure.description


def test_the_dash_is_seen_in_the_report() -> None:
    section = evidence._metrics(measured(PARTIAL))
    page = render_html(Report("A run", Text("It ran."), (section,)))
    row = page[page.index(">counts<") :]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row[: row.index("</tr>")])
    assert [re.sub("<[^>]*>", "", cell) for cell in cells] == [MISSING, "0.200 [0.100, 0.300]"]


def test_what_only_some_rivals_have_stands_side_by_side_with_dashes() -> None:
    many = {f"m{number}": number / 10 for number in range(evidence.MOST_COLUMNS)}
    section = evidence._metrics(measured({"keras": {"auc": 0.7, **many}, "counts": many}))
    table, _ = table_and_figure(section)
    assert table.columns == ("metric", "keras", "counts")
    rows = {str(row[0]): row[1:] for row in table.rows}
    assert rows["auc"][0] is not None and rows["auc"][1] is None
    assert all(cell is not None for name in many for cell in rows[name])


def test_figures_that_are_measured_beyond_the_outputs_are_told_with_the_others() -> None:
    given = measured({"keras": {**WHOLE, "steady": 0.9}, "counts": {"error": 0.2}}, headline=("auc", "steady"))
    table, _ = table_and_figure(evidence._metrics(given))
    assert table.columns == ("predictor", "auc", "steady")
    assert [row[1:] for row in table.rows if row[0] == "counts"] == [(None, None)]
    (others,) = evidence._other_metrics(given)
    (rest,) = others.blocks
    assert isinstance(rest, Table) and rest.columns == ("predictor", "error")
    assert all(row[1] is not None for row in rest.rows)


# === The domain's own sections ===


@pytest.mark.parametrize(
    ("names", "featured"), [(["keras", "trees"], "keras"), (["keras", "trees", "tflite"], "tflite")]
)
def test_the_domain_sees_all_answers_and_may_ask_the_predictor_that_counts(names: list[str], featured: str) -> None:
    seen: dict[str, Any] = {}

    def illustrate(outputs: Any, prepared: Any, threshold: Any, config: Any, *, predict: Any) -> tuple[str, ...]:
        seen.update(outputs=outputs, prepared=prepared, threshold=threshold, config=config, predict=predict)
        return ("own",)

    measured = SimpleNamespace(
        outputs={name: f"answers of {name}" for name in names}, predictors={name: f"predictor {name}" for name in names}
    )
    given: Any = SimpleNamespace(
        domain=SimpleNamespace(illustrate=illustrate),
        material=SimpleNamespace(prepared="prepared"),
        learnt=SimpleNamespace(threshold="threshold"),
        config="config",
        measured=measured,
    )
    assert evidence._own_sections(given) == ("own",)
    assert next(iter(seen["outputs"])) == featured and seen.pop("outputs") == measured.outputs
    assert seen == {
        "prepared": "prepared", "threshold": "threshold", "config": "config", "predict": f"predictor {featured}",
    }  # fmt: skip


# === The end of a run ===


def test_a_run_ends_with_the_brief_sections_in_their_order() -> None:
    sections = tuple(Section(str(place), (), brief=place in (0, 2, 3)) for place in range(5))
    report = Report("A run", Text("It ran."), sections, {"format": 1})
    shown = evidence.summary(report)
    assert [section.title for section in shown.sections] == ["0", "2", "3"]
    assert (shown.title, shown.lead, shown.facts) == (report.title, report.lead, report.facts)


# === The model card ===


@pytest.mark.parametrize(("chosen", "told"), [(RUNG, r"dynamic\_int8"), (None, "none")])
def test_the_model_card_states_the_recipe_that_ships(
    tmp_path: Path, tiny_card: Card, chosen: Rung | None, told: str
) -> None:
    folder = start(tmp_path / "out")
    evidence.write(folder, Report("A run", Text("It ran."), ()), run(chosen=chosen, card=tiny_card))
    lines = folder.path("model_card.md").read_text(encoding="utf-8").splitlines()
    recipe = next(line for line in lines if line.startswith("| Recipe |"))
    assert recipe.replace("\\", "") == f"| Recipe | {told} |".replace("\\", "")
    assert {path.name for path in folder.working.iterdir()} == {"report.json", "report.html", "model_card.md"}
