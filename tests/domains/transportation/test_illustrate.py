"""The traffic sections of a report: all of them render, and their figures are those of the test."""

from __future__ import annotations

import io
from typing import Any, cast

import numpy as np
import pytest
from rich.console import Console

from edgekit.domains.transportation import breakdowns
from edgekit.domains.transportation.config import DecisionSettings, TrafficConfig
from edgekit.domains.transportation.features import Plan, inputs
from edgekit.domains.transportation.illustrate import illustrate
from edgekit.domains.transportation.masked_errors import mae, rmse
from edgekit.shared import plots
from edgekit.shared.decisions import Threshold
from edgekit.shared.domain import Arrays, Examples, Prepared
from edgekit.shared.estimates import Estimate
from edgekit.shared.report import Figure, Report, Section, Table, Text
from edgekit.shared.report_html import render_html
from edgekit.shared.report_terminal import print_report

DAY, FRIDAY = 86_400, 1_704_412_800  # 2024-01-05
WINDOW = 3
TITLES = [
    "Forecasts", "Error by horizon", "Error by hour of the day", "Sensors", "Congestion", "Silent sensors", "Bands",
]  # fmt: skip
NAN = np.float32(np.nan)
POINT = Threshold(None, "the median", {})


def network(steps: int, sensors: int, *, per_day: int = 48) -> np.ndarray:
    """Return speeds with a jam in the afternoon, the longer the higher a sensor's number."""
    rng = np.random.default_rng(0)
    of_day = np.arange(steps)[:, None] % per_day / per_day * 24
    jam = (of_day >= 16) & (of_day < 17 + np.arange(sensors))
    return (np.where(jam, 20, 60) + rng.normal(0, 3, (steps, sensors))).astype(np.float32)


class Case:
    """Forecasts of the last reading as the network and as a rival, and of one speed as another rival."""

    def __init__(self, values: np.ndarray, *, horizon: int = 4, interval: int = 1800, unit: str = "km/h") -> None:
        names = tuple(f"S{number}" for number in range(values.shape[1]))
        self.plan = Plan(names, WINDOW, horizon, interval, unit, 0.9)
        last = np.arange(WINDOW - 1, len(values) - horizon)
        time = FRIDAY + last * interval
        windows = np.stack([values[step - WINDOW + 1 : step + 1] for step in last])
        target = np.stack([values[step + 1 : step + 1 + horizon] for step in last])
        context = {"unit": time // 7200, "time": time, "interval": np.full(len(last), interval)}
        self.test = Examples(inputs(windows, time, self.plan), target, context)
        self.outputs: dict[str, Arrays] = {
            "tflite": self.predict(self.test.inputs),
            "keras": self.predict(self.test.inputs),
            "one_speed": self._answer(np.full(target.shape, 40)),
            "last_but_worse": self._answer(self.predict(self.test.inputs)["median"] + 4),
        }

    def predict(self, given: Arrays) -> dict[str, np.ndarray]:
        last = np.where(np.isnan(given["readings"][:, -1:]), 55, given["readings"][:, -1:])
        return self._answer(np.repeat(last, self.plan.horizon, axis=1))

    def sections(self, config: TrafficConfig | None = None) -> dict[str, Section]:
        prepared = Prepared(self.plan, self.test, self.test, self.test)
        made = illustrate(self.outputs, prepared, POINT, config or TrafficConfig(), predict=self.predict)
        return {section.title: section for section in made}

    @staticmethod
    def _answer(median: np.ndarray) -> dict[str, np.ndarray]:
        median = median.astype(np.float32)
        return {"median": median, "low": median - 6, "high": median + 6}


@pytest.fixture(scope="module")
def case() -> Case:
    """Return three sensors over three days, Friday to Sunday."""
    return Case(network(144, 3))


@pytest.fixture(scope="module")
def sections(case: Case) -> dict[str, Section]:
    return case.sections()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the drawings out, which take most of the time."""
    for name in ("lines", "forecast"):
        monkeypatch.setattr(plots, name, lambda *_, **__: "<svg/>")


def table(section: Section, number: int = 0) -> Table:
    return [block for block in section.blocks if isinstance(block, Table)][number]


def figures(section: Section) -> list[Figure]:
    return [block for block in section.blocks if isinstance(block, Figure)]


def words(section: Section) -> str:
    return " ".join(block.body for block in section.blocks if isinstance(block, Text))


def value(cell: Any) -> float:
    return cell.value if isinstance(cell, Estimate) else float(cell)


def column(section: Section, name: str, number: int = 0) -> list[Any]:
    shown = table(section, number)
    return [row[shown.columns.index(name)] for row in shown.rows]


# === Rendering ===


def rendered(made: dict[str, Section]) -> str:
    assert list(made) == TITLES
    report = Report("A run", Text("Fine."), tuple(made.values()))
    console = Console(file=io.StringIO(), width=120)
    print_report(report, console)
    assert "Forecasts" in cast("io.StringIO", console.file).getvalue()
    page = render_html(report)
    assert " nan" not in page and "&gt;nan" not in page
    return page


def test_all_sections_render_and_only_the_forecasts_end_a_run(sections: dict[str, Section]) -> None:
    rendered(sections)
    assert [section.title for section in sections.values() if section.brief] == ["Forecasts"]


def test_every_drawing_says_in_words_what_it_shows(sections: dict[str, Section]) -> None:
    drawn = [figure for section in sections.values() for figure in figures(section)]
    assert len(drawn) == 11 and all(figure.caption and len(figure.description) > 40 for figure in drawn)


@pytest.mark.parametrize(
    ("values", "settings"),
    [
        (network(144, 1), {}),
        (network(7, 2), {"horizon": 4}),  # one window
        (network(4, 1), {"horizon": 1}),  # one reading
        (network(60, 3, per_day=24), {"interval": 3600, "horizon": 1}),
        (network(30, 3), {"interval": DAY, "horizon": 2}),
        (network(90, 3), {"interval": 30, "horizon": 40}),
        (np.zeros((60, 3), np.float32), {}),
        (np.where(np.arange(3) > 0, NAN, network(144, 3)), {"unit": ""}),
        (network(144, 3), {"unit": "vehicles/5min"}),
        (np.where(np.random.default_rng(1).random((144, 3)) < 0.5, NAN, network(144, 3)), {}),
    ],
)
def test_awkward_data_render(values: np.ndarray, settings: dict[str, Any]) -> None:
    rendered(Case(values, **settings).sections())


def test_names_stay_text() -> None:
    hostile = Case(network(60, 2), unit="<b>km/h")
    object.__setattr__(hostile.plan, "sensors", ("<script>[bold]$x$", "b"))
    page = rendered(hostile.sections())
    assert "<script>[" not in page and "&lt;script&gt;[bold]$x$" in page


def test_the_network_alone_can_be_shown() -> None:
    alone = Case(network(60, 2))
    alone.outputs = {"keras": alone.outputs["keras"]}
    made = alone.sections()
    rendered(made)
    assert "rival" not in made["Error by hour of the day"].note
    assert table(made["Bands"]).columns == ("minutes ahead", "coverage, keras", "width, keras")


# === What it says ===


def test_the_forecasts_are_those_made_half_an_hour_before(case: Case, sections: dict[str, Section]) -> None:
    (figure,) = figures(sections["Forecasts"])
    assert "30 minutes before" in figure.caption and "90\u202f% band" in figure.caption
    assert "most congestion, 2024-01-0" in figure.caption
    shown = table(sections["Forecasts"])
    assert {row[1] for row in shown.rows} == {"error in the middle", "largest error", "most congestion"}
    errors = breakdowns.rates(breakdowns.by_sensor(case.outputs["tflite"], case.test.target))
    for name, _, error, root, covered in shown.rows:
        sensor = case.plan.sensors.index(str(name))
        assert value(error) == pytest.approx(errors["mae"][sensor])
        assert value(root) == pytest.approx(errors["rmse"][sensor])
        assert value(covered) == pytest.approx(errors["coverage"][sensor])
        assert isinstance(error, Estimate)


@pytest.mark.parametrize(("number", "figure"), [(0, mae), (1, rmse)])
def test_errors_by_horizon_are_of_that_step(case: Case, sections: dict[str, Section], number: int, figure: Any) -> None:
    shown = sections["Error by horizon"]
    assert column(shown, "minutes ahead", number) == [30, 60, 90, 120]
    for name, outputs in case.outputs.items():
        sums = breakdowns.by_window(outputs, case.test)
        expected = [figure(sums, slice(step, step + 1)).compute(None) for step in range(4)]
        found = column(shown, name, number)
        assert [value(cell) for cell in found] == pytest.approx(expected)
        assert {isinstance(cell, Estimate) for cell in found} == {name == "tflite"}


@pytest.mark.usefixtures("undrawn")
def test_a_long_horizon_is_shown_in_twelve_steps() -> None:
    long = Case(network(120, 2), interval=300, horizon=36).sections()["Error by horizon"]
    minutes = column(long, "minutes ahead")
    assert len(minutes) == 12 and (minutes[0], minutes[-1]) == (5, 180)


def test_working_days_and_the_weekend_are_drawn_apart(sections: dict[str, Section]) -> None:
    shown = sections["Error by hour of the day"]
    assert [figure.caption.rpartition(", ")[2] for figure in figures(shown)] == [
        "Monday to Friday.", "Saturday and Sunday.",
    ]  # fmt: skip
    assert "last_but_worse is the rival with the lowest mae" in shown.note
    assert "tflite is lowest at" in figures(shown)[0].description and "one_speed" not in figures(shown)[0].description


@pytest.mark.usefixtures("undrawn")
def test_a_test_of_working_days_has_one_drawing_by_hour() -> None:
    assert len(figures(Case(network(48, 2)).sections()["Error by hour of the day"])) == 1


@pytest.mark.usefixtures("undrawn")
def test_sensors_are_ranked_and_those_that_never_report_are_named() -> None:
    values = network(100, 14)
    values[:, [3, 5]] = np.nan
    shown = Case(values).sections()["Sensors"]
    errors = [value(cell) for cell in column(shown, "mae")]
    assert len(errors) == 10 and errors == sorted(errors, reverse=True)
    assert "Sensors that never report in test, 2: S3, S5." in words(shown)
    assert not {"S3", "S5"} & set(column(shown, "sensor"))
    spread = {row[0]: row[1:] for row in table(shown, 1).rows}
    assert spread["mae, tflite"][0] == errors[-1] and spread["mae, tflite"][-1] == errors[0]
    assert list(spread["coverage in %, tflite"]) == sorted(spread["coverage in %, tflite"], reverse=True)
    assert "last_but_worse has the lower mae at 0 of 12 sensors." in words(shown)


@pytest.mark.usefixtures("undrawn")
def test_many_silent_sensors_are_counted() -> None:
    values = network(30, 40)
    values[:, 5:] = np.nan
    said = words(Case(values).sections()["Sensors"])
    assert "in test, 35: S5, " in said and said.endswith("S24 and 15 more.")


def test_congestion_and_the_rest_are_all_readings(case: Case, sections: dict[str, Section]) -> None:
    shown = sections["Congestion"]
    assert "below 60 % of their sensor's 85th percentile" in table(shown).caption and not shown.note
    slow = np.isfinite(case.test.target) & (case.test.target < 36)  # between 20 and 60, so any such limit does
    error = np.abs(case.outputs["tflite"]["median"] - case.test.target)
    row = dict(zip(table(shown).columns, table(shown).rows[0], strict=True))
    assert value(row["mae, congested"]) == pytest.approx(error[slow].mean(), rel=1e-5)
    assert value(row["mae, rest"]) == pytest.approx(error[~slow].mean(), rel=1e-5)
    assert value(row["coverage, rest"]) == pytest.approx((error[~slow] <= 6).mean())
    assert [row[0] for row in table(shown).rows] == list(case.outputs)


@pytest.mark.usefixtures("undrawn")
def test_a_given_limit_is_used(case: Case) -> None:
    shown = case.sections(TrafficConfig(decision=DecisionSettings(congestion=30)))["Congestion"]
    assert "congested, which is below 30 km/h" in table(shown).caption


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("unit", "limit", "said"),
    [
        ("vehicles/5min", None, "are no speeds: decision.congestion says"),
        ("km/h", 1.0, "No reading of test is congested, which is below 1 km/h."),
    ],
)
def test_without_congestion_the_report_says_so(unit: str, limit: float | None, said: str) -> None:
    config = TrafficConfig(decision=DecisionSettings(congestion=limit))
    shown = Case(network(60, 2), unit=unit).sections(config)["Congestion"]
    assert said in words(shown) and len(shown.blocks) == 1


@pytest.mark.usefixtures("undrawn")
def test_an_undeclared_unit_is_taken_for_a_speed_and_that_is_said() -> None:
    shown = Case(network(60, 2), unit="").sections()["Congestion"]
    assert "unit is not declared" in shown.note and table(shown).rows


@pytest.mark.usefixtures("undrawn")
def test_silent_sensors_are_set_against_none() -> None:
    wide = Case(network(144, 10))
    shown = wide.sections()["Silent sensors"]
    assert column(shown, "silent, %") == [0, 10, 30, 50] and column(shown, "sensors") == [0, 1, 3, 5]
    errors = [value(cell) for cell in column(shown, "mae")]
    times = column(shown, "times none silent")
    assert times[0] is None and all(isinstance(cell, Estimate) for cell in times[1:])
    assert [value(cell) for cell in times[1:]] == pytest.approx([error / errors[0] for error in errors[1:]])
    silent = [value(cell) for cell in column(shown, "mae, silent ones")[1:]]
    assert all(of_silent > of_all for of_silent, of_all in zip(silent, errors[1:], strict=True))
    whole = breakdowns.rates(breakdowns.by_sensor(wide.outputs["tflite"], wide.test.target))
    assert errors[0] == pytest.approx(whole["mae"].mean())


def test_bands_have_an_aim_and_a_constant_width_no_interval(sections: dict[str, Section]) -> None:
    shown = sections["Bands"]
    assert column(shown, "width, tflite") == pytest.approx([12.0] * 4)
    assert all(isinstance(cell, Estimate) for cell in column(shown, "coverage, tflite"))
    aims = ["aim: 90" in figure.svg for figure in figures(shown)]
    assert aims == [True, True, False, False]
