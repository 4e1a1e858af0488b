"""The segmentation sections of a report: all of them render, and their figures are those of the test."""

from __future__ import annotations

import io
from typing import Any, cast

import numpy as np
import pytest
from rich.console import Console

from edgekit.domains.marketing_segmentation import profiles
from edgekit.domains.marketing_segmentation.config import MarketingConfig
from edgekit.domains.marketing_segmentation.features import NAMES, Plan
from edgekit.domains.marketing_segmentation.illustrate import illustrate
from edgekit.shared import plots_segments
from edgekit.shared.decisions import Threshold
from edgekit.shared.domain import Arrays, Examples, Prepared
from edgekit.shared.estimates import Estimate
from edgekit.shared.report import Figure, Report, Section, Table, Text
from edgekit.shared.report_html import render_html
from edgekit.shared.report_terminal import print_report

TITLES = ["Segments", "Segment map", "Profiles", "Migration", "Calibration", "What the period held", "Separation"]
DAY = 86_400
AT = 1_315_612_799  # 2011-09-09 23:59:59
CHOICE = Threshold(None, "the most probable segment", {})
ORDERS, RECENCY = NAMES.index("orders_a_year"), NAMES.index("recency_days")


def customers(units: np.ndarray, cut: int, *, labelled: bool = True, horizon: int = 91) -> Examples:
    """Return customers of three kinds by ``unit % 3``: frequent, seldom, and long away; the first spend most."""
    rng = np.random.default_rng(cut % 1000)
    kind = units % 3
    behaviour = np.exp(rng.normal(3, 0.4, (len(units), len(NAMES))))
    behaviour[:, NAMES.index("age_days")] = rng.uniform(200, 400, len(units))
    behaviour[:, ORDERS] *= np.array([6.0, 1.0, 1.0])[kind]
    behaviour[:, RECENCY] *= np.array([1.0, 1.0, 6.0])[kind]
    orders = rng.poisson(np.array([3.0, 1.0, 0.3])[kind])
    target = np.stack([orders, orders * rng.lognormal(4, 0.4, len(units))], axis=1)
    target = (target if labelled else np.full_like(target, np.nan)).astype(np.float32)
    context = {
        "unit": units,
        "cut": np.full(len(units), cut, np.int64),
        "horizon_days": np.full(len(units), float(horizon)),
    }
    return Examples({"behaviour": behaviour.astype(np.float32)}, target, context)


def together(*parts: Examples) -> Examples:
    return Examples(
        {"behaviour": np.concatenate([part.inputs["behaviour"] for part in parts])},
        np.concatenate([part.target for part in parts]),
        {name: np.concatenate([part.context[name] for part in parts]) for name in parts[0].context},
    )


class Case:
    """Segments by two figures of the behaviour, and expectations that are right but for a fifth too much money."""

    segments, numbers = 3, 5

    def __init__(self, count: int = 300, *, currency: str = "EUR", notes: tuple[str, ...] = ()) -> None:
        units = np.arange(count)
        kept, learnt = units[units % 4 == 0], units[units % 4 != 0]
        earlier = AT - 91 * DAY
        self.train = together(
            customers(learnt, earlier - 30 * DAY),
            customers(learnt, earlier),
            customers(learnt, AT, labelled=False),
        )
        self.validation = together(
            customers(kept, earlier - 30 * DAY),
            customers(kept, earlier),
            customers(kept, AT, labelled=False),
        )
        self.test = customers(np.arange(count + count // 10), AT)
        self.plan, self.notes = Plan(91, currency), notes

    def predict(self, inputs: Arrays) -> dict[str, np.ndarray]:
        behaviour = np.nan_to_num(inputs["behaviour"], nan=20.0)
        kind = np.where(behaviour[:, ORDERS] > 50, 0, np.where(behaviour[:, RECENCY] > 50, 2, 1))
        orders = np.array([3, 1, 0.3])[kind] * (0.9 + 0.2 * (behaviour[:, 0] % 1))
        code = np.log(behaviour[:, [ORDERS, 0, 1, RECENCY, 2][: self.numbers]])
        made = {"segments": np.eye(self.segments)[kind], "code": code, "orders": orders[:, None]}
        made |= {"spend": 71 * orders[:, None], "comes_back": 1 - np.exp(-orders[:, None])}
        return {name: values.astype(np.float32) for name, values in made.items()}

    def sections(self) -> dict[str, Section]:
        prepared = Prepared(self.plan, self.train, self.validation, self.test, self.notes)
        rival = {"segments": np.eye(3)[np.arange(len(self.test)) // 2 % 3]}
        outputs = {"tflite": self.predict(self.test.inputs), "rfm_quintiles": rival}
        made = illustrate(outputs, prepared, CHOICE, MarketingConfig(), predict=self.predict)
        return {section.title: section for section in made}


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


@pytest.fixture(scope="module")
def sections(case: Case) -> dict[str, Section]:
    return case.sections()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the drawings out, which take most of the time."""
    for name in ("segment_map", "migration", "calibration"):
        monkeypatch.setattr(plots_segments, name, lambda *_, **__: "<svg/>")


def tables(section: Section) -> list[Table]:
    return [block for block in section.blocks if isinstance(block, Table)]


def words(section: Section) -> str:
    return " ".join(block.body for block in section.blocks if isinstance(block, Text))


def column(table: Table, name: str) -> list[Any]:
    return [row[table.columns.index(name)] for row in table.rows]


def value(cell: Any) -> float:
    return cell.value if isinstance(cell, Estimate) else float(cell)


def rendered(made: dict[str, Section], *, width: int = 120) -> tuple[str, str]:
    """Return the page and what the terminal shows."""
    assert list(made) == TITLES
    report = Report("A run", Text("Fine."), tuple(made.values()))
    console = Console(file=io.StringIO(), width=width)
    print_report(report, console)
    page = render_html(report)
    assert " nan" not in page and "&gt;nan" not in page
    return page, cast("io.StringIO", console.file).getvalue()


# === Rendering ===


def test_all_sections_render_and_only_the_overview_ends_a_run(sections: dict[str, Section]) -> None:
    rendered(sections)
    assert [section.title for section in sections.values() if section.brief] == ["Segments"]


def test_the_overview_is_a_table_in_a_terminal_of_common_width(sections: dict[str, Section]) -> None:
    _, shown = rendered(sections, width=90)
    (line,) = (line for line in shown.splitlines() if "segment" in line and "customers" in line and "share" in line)
    assert "came back" in line


def test_every_drawing_says_in_words_what_it_shows(sections: dict[str, Section]) -> None:
    drawn = [block for section in sections.values() for block in section.blocks if isinstance(block, Figure)]
    assert len(drawn) == 3 and all(figure.caption and len(figure.description) > 40 for figure in drawn)


def with_empty_segment() -> Case:
    made = Case(60)
    made.segments = 5
    return made


def without_unlabelled() -> Case:
    made = Case(60)
    made.train = made.train.take(np.isfinite(made.train.target).all(axis=1))
    return made


def with_unknown_columns() -> Case:
    made = Case(60)
    for part in (made.train, made.validation, made.test):
        part.inputs["behaviour"][:, 8:] = np.nan
    return made


def without_orders() -> Case:
    made = Case(60)
    made.test.target[:] = 0
    return made


def without_validation() -> Case:
    made = Case(60)
    made.validation = made.validation.take(slice(0, 0))
    return made


def as_a_table() -> Case:
    made = Case(60)
    for part in (made.train, made.validation, made.test):
        part.context.pop("cut")
    return made


@pytest.mark.parametrize(
    "make",
    [
        with_empty_segment,
        without_unlabelled,
        with_unknown_columns,
        without_orders,
        without_validation,
        as_a_table,
        lambda: Case(12),
        lambda: Case(4),
    ],
)
def test_awkward_data_render(make: Any) -> None:
    rendered(make().sections())


@pytest.mark.usefixtures("undrawn")
def test_names_stay_text() -> None:
    page, _ = rendered(Case(60, currency="<b>[bold]$x$").sections())
    assert "<b>[" not in page and "&lt;b&gt;[bold]$x$" in page


# === What it says ===


def test_the_overview_has_the_figures_of_test(case: Case, sections: dict[str, Section]) -> None:
    (table,) = tables(sections["Segments"])
    segment = case.predict(case.test.inputs)["segments"].argmax(axis=1)
    order = [int(name.partition(" ")[0]) - 1 for name in column(table, "segment")]
    assert column(table, "customers") == [int((segment == code).sum()) for code in order]
    spend = [case.test.target[segment == code, 1].mean() for code in order]
    assert column(table, "spend") == pytest.approx(spend) and spend == sorted(spend, reverse=True)
    assert column(table, "came back") == pytest.approx([(case.test.target[segment == c, 0] > 0).mean() for c in order])
    assert sum(column(table, "of spend")) == pytest.approx(1) == sum(column(table, "share"))
    assert "EUR" in table.caption and "91 days" in table.caption


def test_names_are_those_of_validation(case: Case, sections: dict[str, Section]) -> None:
    names = profiles.segment_names(case.predict(case.validation.inputs), case.validation, case.plan)
    shown = dict(str(name).split("  ") for name in column(tables(sections["Segments"])[0], "segment"))
    assert shown == {str(code + 1): name for code, name in enumerate(names)}
    assert "frequent" in names[0] and "long away" in names[2]


def test_a_page_has_effects_on_both_sides_and_advice(sections: dict[str, Section]) -> None:
    made = {table.caption.partition(" ")[0]: table for table in tables(sections["Profiles"])}
    first = {row[0]: row for row in made["1"].rows}
    _, what, here, others, seen, named = first["frequent"]
    assert what == "orders a year" and here > 4 * others and seen > 0.9 and named > 0.9
    assert "- Win back" in words(sections["Profiles"]) and "EUR in the 91 days" in words(sections["Profiles"])


def test_migration_counts_customers(case: Case, sections: dict[str, Section]) -> None:
    (table,) = tables(sections["Migration"])
    counts = np.array([row[1:] for row in table.rows])
    assert counts.sum() == len(case.test) and counts[-1].sum() == 30
    assert counts[:3].sum() - np.trace(counts[:3]) < 60
    said = words(sections["Migration"])
    assert said.startswith("Of 300 customers, ") and "on 2011-09-09 as on 2011-06-10" in said and "; 30 came" in said


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("make", "said"),
    [(as_a_table, "no earlier day"), (lambda: Case(4), "Of 4 customers")],
)
def test_migration_says_what_it_can(make: Any, said: str) -> None:
    assert said in words(make().sections()["Migration"])


@pytest.mark.usefixtures("undrawn")
def test_without_an_earlier_cut_nobody_moves() -> None:
    made = Case(60)
    made.train, made.validation = (part.take(part.context["cut"] == AT) for part in (made.train, made.validation))
    shown = made.sections()["Migration"]
    assert "no earlier day" in words(shown) and len(shown.blocks) == 1


@pytest.mark.usefixtures("undrawn")
def test_without_customers_in_common_nobody_moves() -> None:
    made = Case(60)
    made.test.context["unit"] = made.test.context["unit"] + 1000
    assert "No customer of the earlier day" in words(made.sections()["Migration"])


def test_calibration_adds_up(case: Case, sections: dict[str, Section]) -> None:
    shown = sections["Calibration"]
    groups, by_segment = tables(shown)
    assert len(groups.rows) == 10 and len(by_segment.rows) == 3
    observed = [value(row[2]) for row in groups.rows]
    assert np.mean(observed) == pytest.approx(case.test.target[:, 0].mean(), rel=0.01)
    expected = column(groups, "spend")
    assert expected == sorted(expected)
    made = case.predict(case.test.inputs)["spend"].sum() / case.test.target[:, 1].sum() - 1
    said = next(line for line in words(shown).splitlines() if line.startswith("- spend"))
    assert f"{abs(100 * made):.1f}"[:3] in said and ("too much" in said) == (made > 0)


@pytest.mark.usefixtures("undrawn")
def test_few_customers_make_few_groups() -> None:
    assert len(tables(Case(12).sections()["Calibration"])[0].rows) == 2


@pytest.mark.usefixtures("undrawn")
def test_an_unknown_future_is_not_calibrated() -> None:
    made = Case(60)
    made.test.target[:] = np.nan
    shown = made.sections()["Calibration"]
    assert "not known" in words(shown) and len(shown.blocks) == 1


@pytest.mark.usefixtures("undrawn")
def test_a_device_without_code_has_no_map(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Case(60)
    whole = made.predict
    monkeypatch.setattr(made, "predict", lambda given: {k: v for k, v in whole(given).items() if k != "code"})
    assert "no code" in words(made.sections()["Segment map"])


@pytest.mark.usefixtures("undrawn")
def test_a_code_of_one_number_has_no_map() -> None:
    made = Case(60)
    made.numbers = 1
    shown = made.sections()
    assert "no code" in words(shown["Segment map"]) and len(shown["Segment map"].blocks) == 1
    assert None not in tables(shown["Separation"])[0].rows[0]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("numbers", "second"), [(2, 1), (3, 2), (4, 3), (5, 3)])
def test_the_map_is_of_foreseen_spend_and_likeness(monkeypatch: pytest.MonkeyPatch, numbers: int, second: int) -> None:
    drawn = []
    monkeypatch.setattr(plots_segments, "segment_map", lambda places, *_, **__: drawn.append(places) or "<svg/>")
    made = Case(60)
    made.numbers = numbers
    (figure,) = made.sections()["Segment map"].blocks
    answers = made.predict(made.test.inputs)
    places = answers["code"][:, [0, second]]
    np.testing.assert_array_equal(drawn[0], places)
    assert isinstance(figure, Figure) and f"by two of {numbers} numbers of their code" in figure.caption
    x, y = np.median(places[answers["segments"].argmax(axis=1) == 0], axis=0)
    assert f"1 at {x:.2f}, {y:.2f}" in figure.description


def test_separation_tells_of_every_predictor_with_segments(sections: dict[str, Section]) -> None:
    (table,) = tables(sections["Separation"])
    assert column(table, "predictor") == ["tflite", "rfm_quintiles"]
    first, rival = table.rows
    assert first[1] > 0.2 and first[3] > rival[3] and first[4] < rival[4] and rival[1:3] == (None, None)


def test_a_season_never_seen_is_told(sections: dict[str, Section]) -> None:
    (text,) = (block for block in sections["What the period held"].blocks if isinstance(block, Text))
    assert "the 91 days from 2011-09-10 to 2011-12-09" in text.body and text.tone == "warning"
    assert "before Christmas" in text.body and "for none of these days" in text.body


@pytest.mark.usefixtures("undrawn")
def test_a_season_seen_a_year_ago_is_no_warning() -> None:
    made = Case(60)
    made.train = together(made.train, customers(np.arange(60), AT - 365 * DAY))
    (text,) = made.sections()["What the period held"].blocks
    assert isinstance(text, Text) and text.tone == "plain" and "has seen" in text.body


@pytest.mark.usefixtures("undrawn")
def test_notes_about_the_season_are_repeated() -> None:
    shown = Case(60, notes=("no horizon lies at the time of year from June", "Something else.")).sections()
    assert "year from June" in words(shown["What the period held"]) and "else" not in words(
        shown["What the period held"]
    )


@pytest.mark.usefixtures("undrawn")
def test_a_summer_holds_no_christmas() -> None:
    made = Case(60)
    made.test.context["cut"][:] = AT - 80 * DAY
    assert "Christmas" not in words(made.sections()["What the period held"])
