"""The sections of a report that who runs a road would look at: forecasts as drawn, and where and when they fail."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import numpy as np

from ...shared import plots
from ...shared.decisions import Threshold
from ...shared.domain import Arrays, Examples, Predictor, Prepared
from ...shared.errors import ContractError
from ...shared.estimates import Estimate, Statistic, bootstrap
from ...shared.report import THIN_SPACE, Block, Cell, Figure, Section, Table, Text, Unit
from . import breakdowns, excerpt, masked_errors
from .breakdowns import FORECAST, HOURS, Congestion, Silence
from .config import TrafficConfig
from .evaluate import UNIT
from .features import Plan
from .masked_errors import Sums

NETWORKS = ("tflite", "keras")
SAME = 1e-6
"""Part of a figure; where resamples differ by less, it does not depend on the unit, and an interval says nothing."""
MOST_STEPS = 12
"""Steps of the horizon that tables and drawings show; of a longer one so many, evenly spread."""
ENDS, MOST_NAMED = 5, 20
COVERAGE, TIMES = "coverage", "times none silent"
FIGURES = {
    "mae": masked_errors.mae,
    "rmse": masked_errors.rmse,
    COVERAGE: masked_errors.coverage,
    "width": masked_errors.width,
}
QUANTILES = {"best": 0.0, "10 %": 0.1, "median": 0.5, "90 %": 0.9, "worst": 1.0}


@dataclass(frozen=True, eq=False)
class _View:
    """What the sections look at.

    Attributes:
        name: of the predictor that counts.
        rival: the rival with the lowest mean absolute error on test, or None.
        outputs, windows: forecasts by predictor, and their errors by window.
        test, plan: what was forecast.
        time, readings: the course of test.
        congestion: below what a road is congested, or None.
    """

    name: str
    rival: str | None
    outputs: Mapping[str, Arrays]
    windows: Mapping[str, Sums]
    test: Examples
    plan: Plan
    time: np.ndarray
    readings: np.ndarray
    congestion: Congestion | None

    @property
    def pair(self) -> tuple[str, ...]:
        """The predictor that counts, and the best rival."""
        return (self.name,) if self.rival is None else (self.name, self.rival)

    @property
    def band(self) -> str:
        return f"{100 * self.plan.coverage:g}{THIN_SPACE}% band"

    def minutes(self, step: int) -> float:
        """Return how far ahead a step is, counted from 1."""
        minutes = step * self.plan.interval / 60
        return int(minutes) if minutes == int(minutes) else minutes


def illustrate(
    outputs: Mapping[str, Arrays],
    prepared: Prepared,
    threshold: Threshold,
    config: TrafficConfig,
    *,
    predict: Predictor,
) -> tuple[Section, ...]:
    """Return forecasts, and errors by horizon, hour, sensor and state; the first of ``outputs`` is what counts."""
    view = _view(outputs, prepared, config)
    return (
        _forecasts(view),
        _by_horizon(view),
        _by_hour(view),
        _sensors(view),
        _congested(view),
        _silent(view, predict),
        _bands(view),
    )


def _view(outputs: Mapping[str, Arrays], prepared: Prepared, config: TrafficConfig) -> _View:
    plan, test = cast("Plan", prepared.plan), prepared.test
    windows = {name: breakdowns.by_window(answers, test) for name, answers in outputs.items()}
    rivals = {name: masked_errors.mae(sums).compute(None) for name, sums in windows.items() if name not in NETWORKS}
    first = next(iter(outputs))
    rivals.pop(first, None)
    time, readings = breakdowns.course(test)
    found = breakdowns.congestion(readings, plan.unit, config.decision.congestion)
    best = min(rivals, key=lambda name: rivals[name]) if rivals else None
    return _View(first, best, outputs, windows, test, plan, time, readings, found)


# === Forecasts ===


def _forecasts(view: _View) -> Section:
    step, (shown, why) = excerpt.step_shown(view.plan), excerpt.stretch(view.time, view.readings, view.congestion)
    errors = breakdowns.by_sensor(view.outputs[view.name], view.test.target)
    sensors = excerpt.telling(errors, view.readings, view.congestion)
    answers, panels, rows = view.outputs[view.name], dict[str, list[np.ndarray]](), list[tuple[Cell, ...]]()
    for sensor, reason in sensors.items():
        own = {name: answers[name][..., [sensor]] for name in FORECAST}
        courses = [breakdowns.ahead(values, view.test, step)[shown, 0] for values in own.values()]
        panels[f"{view.plan.sensors[sensor]}: {reason}"] = [view.readings[shown, sensor], *courses]
        sums = masked_errors.add_up(own, view.test.target[..., [sensor]], view.test.context[UNIT])
        figures = (masked_errors.mae(sums), masked_errors.rmse(sums), masked_errors.coverage(sums))
        rows.append((view.plan.sensors[sensor], reason, *map(_cell, figures)))
    start, end = (_moment(int(view.time[shown][place])) for place in (0, -1))
    caption = (
        f"Readings and what {view.name} forecast of them {view.minutes(step):g} minutes before, with its {view.band}: "
        f"{why}, {start} to {end}."
    )
    figure = Figure(
        plots.forecast(view.time[shown], panels, ylabel=view.plan.unit or "reading"),
        caption,
        f"{len(panels)} sensors, each with readings, forecast and band over time. The table has their errors.",
    )
    columns = ("sensor", "shown for", "mae", "rmse", "coverage")
    words = f"Over all of test and all steps up to {view.minutes(view.plan.horizon):g} minutes{_in_unit(view)}."
    return Section("Forecasts", (Table(columns, tuple(rows), words, None, _units(columns)), figure), brief=True)


# === By horizon and by hour ===


def _by_horizon(view: _View) -> Section:
    blocks: list[Block] = []
    for what in ("mae", "rmse"):
        columns = {name: _at_steps(view, name, what) for name in view.outputs}
        blocks += [_table(view, columns, f"{_title(view, what)} by minutes ahead."), _over_steps(view, what, columns)]
    note = "Each figure is of that step alone; the metrics named mae@15 and so on are over all steps up to there."
    return Section("Error by horizon", tuple(blocks), note)


def _at_steps(view: _View, name: str, what: str) -> list[Cell]:
    """Return a figure of a predictor at each shown step, with intervals for the one that counts."""
    sums, figure = breakdowns.by_unit(view.windows[name]), FIGURES[what]
    made = [figure(sums, slice(step - 1, step)) for step in _steps(view.plan.horizon)]
    return [_cell(one, interval=name == view.name) for one in made]


def _table(view: _View, columns: Mapping[str, list[Cell]], caption: str) -> Table:
    rows = tuple(zip(_minutes(view), *columns.values(), strict=True))
    names = ("minutes ahead", *columns)
    return Table(names, rows, caption, None, _units(names))


def _over_steps(view: _View, what: str, columns: Mapping[str, list[Cell]]) -> Figure:
    return _lines(view, what, ("minutes ahead", _minutes(view)), columns, f"{_title(view, what)} by minutes ahead")


def _minutes(view: _View) -> list[float]:
    return [view.minutes(step) for step in _steps(view.plan.horizon)]


def _lines(
    view: _View, what: str, axis: tuple[str, list[float]], columns: Mapping[str, list[Cell]], title: str
) -> Figure:
    """Draw figures over an axis, given as its name and its places; figures with an interval get a band."""
    xlabel, places = axis
    scale = 100 if what == COVERAGE else 1
    sides = {name: np.array([_drawn(cell, scale) for cell in cells]) for name, cells in columns.items()}
    known = {name for name, cells in columns.items() if any(isinstance(cell, Estimate) for cell in cells)}
    svg = plots.lines(
        np.array(places, dtype=float),
        {name: values[:, 0] for name, values in sides.items()},
        xlabel=xlabel,
        ylabel=_with_unit(view, what),
        bands={name: (values[:, 1], values[:, 2]) for name, values in sides.items() if name in known},
        aim=scale * view.plan.coverage if what == COVERAGE else None,
    )
    said = [f"{name} {_course(values[:, 0], places)}" for name, values in sides.items()]
    return Figure(svg, f"{title}{'; shaded: 95 % intervals' if known else ''}.", "; ".join(said) + ".")


def _by_hour(view: _View) -> Section:
    sums = {name: breakdowns.by_hour(view.windows[name], view.test, apart=True) for name in view.pair}
    there = sums[view.name].count.sum(axis=1).reshape(2, HOURS).any(axis=1)
    parts = zip(("Monday to Friday", "Saturday and Sunday"), (slice(HOURS), slice(HOURS, None)), there, strict=True)
    figures = tuple(_over_hours(view, "mae", sums, hours, f", {days}") for days, hours, some in parts if some)
    rival = f"; {view.rival} is the rival with the lowest mae on test" if view.rival else ""
    return Section("Error by hour of the day", figures, f"The hour is that for which a forecast was made{rival}.")


def _over_hours(view: _View, what: str, sums: Mapping[str, Sums], part: slice = slice(None), days: str = "") -> Figure:
    """Draw figures by hour of the day; ``part`` is where these hours stand in the sums."""
    hours = np.flatnonzero(sums[view.name].count[part].any(axis=1))
    columns = {name: breakdowns.rates(one)[what][part][hours].tolist() for name, one in sums.items()}
    title = f"{_title(view, what)} by hour of the day{days}"
    return _lines(view, what, ("hour of the day", [float(hour) for hour in hours]), columns, title)


# === By sensor ===


def _sensors(view: _View) -> Section:
    sums = {name: breakdowns.by_sensor(view.outputs[name], view.test.target) for name in view.pair}
    rates = {name: breakdowns.rates(one) for name, one in sums.items()}
    count = sums[view.name].count.sum(axis=1).astype(np.int64)
    heard = np.flatnonzero(count)
    order = heard[np.argsort(-rates[view.name]["mae"][heard], kind="stable")]
    shown = order if len(order) <= 2 * ENDS else np.concatenate([order[:ENDS], order[-ENDS:]])
    mean = np.asarray(np.nanmean(view.readings[:, heard], axis=0, dtype=np.float64))
    usual = dict(zip(heard.tolist(), mean.tolist(), strict=True))
    rows = tuple(
        (
            view.plan.sensors[sensor], int(count[sensor]), usual[sensor],
            *(float(rates[view.name][what][sensor]) for what in ("mae", "rmse", COVERAGE)),
        )
        for sensor in shown.tolist()
    )  # fmt: skip
    some = f"The {ENDS} sensors with the largest and the {ENDS} with the smallest mae"
    which = "All sensors" if len(shown) == len(order) else some
    columns = ("sensor", "readings scored", "mean reading", "mae", "rmse", COVERAGE)
    worst = Table(columns, rows, f"{which}, {view.name} on test{_in_unit(view)}.", None, _units(columns))
    spread = (_spread(rates, heard),) if len(heard) > 1 else ()
    return Section("Sensors", (worst, *spread, Text(_heard(view, rates, heard))))


def _spread(rates: Mapping[str, Mapping[str, np.ndarray]], heard: np.ndarray) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, figures in rates.items():
        for what in ("mae", "rmse"):
            rows.append((f"{what}, {name}", *np.quantile(figures[what][heard], list(QUANTILES.values())).tolist()))
        covered = 100 * np.quantile(figures[COVERAGE][heard], [1 - part for part in QUANTILES.values()])
        rows.append((f"coverage in %, {name}", *covered.tolist()))
    caption = (
        f"Spread over {len(heard):,} sensors: half do no worse than the median, nine of ten no worse than the 90 %."
    )
    return Table(("figure by sensor", *QUANTILES), tuple(rows), caption)


def _heard(view: _View, rates: Mapping[str, Mapping[str, np.ndarray]], heard: np.ndarray) -> str:
    """Say at how many sensors the best rival is better, and which sensors never report."""
    told = []
    if view.rival is not None:
        better = int((rates[view.rival]["mae"][heard] < rates[view.name]["mae"][heard]).sum())
        told.append(f"{view.rival} has the lower mae at {better:,} of {len(heard):,} sensors.")
    silent = np.setdiff1d(np.arange(len(view.plan.sensors)), heard).tolist()
    names = ", ".join(view.plan.sensors[sensor] for sensor in silent[:MOST_NAMED])
    more = f" and {len(silent) - MOST_NAMED:,} more" if len(silent) > MOST_NAMED else ""
    told.append(
        f"Sensors that never report in test, {len(silent):,}: {names}{more}."
        if silent
        else "Every sensor reports in test."
    )
    return " ".join(told)


# === Congestion ===


def _congested(view: _View) -> Section:
    if view.congestion is None:
        words = f"Readings in {view.plan.unit} are no speeds: decision.congestion says below which one is congestion."
        return Section("Congestion", (Text(words),))
    target, unit = view.congestion.only(view.test.target), view.test.context[UNIT]
    share = float((view.readings < view.congestion.limit).sum() / np.isfinite(view.readings).sum())
    if not np.isfinite(target).any():
        return Section("Congestion", (Text(f"No reading of test is congested, which is {view.congestion.rule}."),))
    rows: list[tuple[Cell, ...]] = []
    for name, answers in view.outputs.items():
        slow = masked_errors.add_up(answers, target, unit)
        parts = (slow, breakdowns.less(breakdowns.by_unit(view.windows[name]), slow))
        rows.append((name, *(_cell(FIGURES[what](part)) for what in ("mae", "rmse", COVERAGE) for part in parts)))
    kinds = [f"{what}, {part}" for what in ("mae", "rmse", COVERAGE) for part in ("congested", "rest")]
    columns = ("predictor", *kinds)
    caption = (
        f"Errors{_in_unit(view)} where readings are congested, which is {view.congestion.rule} ({100 * share:.1f} % of "
        "them), and in the rest. They are told apart by what came, which no forecast knew, so by its nature a "
        f"{view.band} holds fewer of the congested ones."
    )
    note = "" if view.plan.unit else "The unit is not declared: if readings are no speeds, this is no congestion."
    return Section("Congestion", (Table(columns, tuple(rows), caption, 0, _units(columns)),), note)


# === Silent sensors ===


def _silent(view: _View, predict: Predictor) -> Section:
    found = breakdowns.under_silence(predict, view.test)
    none = found[0]
    rows = [_silent_row(one, none, len(view.plan.sensors)) for one in found]
    columns = ("silent, %", "sensors", "mae", TIMES, "mae, silent ones", "mae, others", COVERAGE)
    windows = min(len(view.test), breakdowns.MOST_SILENT_WINDOWS)
    caption = (
        f"{view.name}{_in_unit(view)} on {windows:,} of {len(view.test):,} windows of test, evenly spread, in which "
        "sensors drawn at random say nothing. What they would have read is still scored."
    )
    axis = ("silent sensors, %", [float(cast("int", row[0])) for row in rows])
    curves = {"all": 2, "silent ones": 4, "others": 5}  # drawn without intervals, which are those of the days
    values: dict[str, list[Cell]] = {name: [_sides(row[place])[0] for row in rows] for name, place in curves.items()}
    times: dict[str, list[Cell]] = {view.name: [1.0, *(row[3] for row in rows[1:])]}
    figures = (
        _lines(view, "mae", axis, values, f"{_title(view, 'mae')} with silent sensors"),
        _lines(view, TIMES, axis, times, "Mean absolute error over all sensors against that with none silent"),
    )
    return Section("Silent sensors", (Table(columns, tuple(rows), caption, None, _units(columns)), *figures))


def _silent_row(one: Silence, none: Silence, sensors: int) -> tuple[Cell, ...]:
    some = one is not none
    return (
        round(100 * one.count / sensors),
        one.count,
        _cell(masked_errors.mae(one.everywhere)),
        _cell(_ratio(one, none)) if some else None,
        _cell(masked_errors.mae(one.silent)) if some else None,
        _cell(masked_errors.mae(one.others)),
        _cell(masked_errors.coverage(one.everywhere)),
    )


def _ratio(one: Silence, none: Silence) -> Statistic:
    """Return the mean absolute error against that with no sensor silent, over the same readings."""
    above, below = (masked_errors.mae(silence.everywhere).compute for silence in (one, none))

    def compute(weight: np.ndarray | None) -> float:
        divisor = below(weight)
        return above(weight) / divisor if divisor else np.nan

    return Statistic(compute, one.everywhere.units)


# === Bands ===


def _bands(view: _View) -> Section:
    columns = {what: {name: _at_steps(view, name, what) for name in view.pair} for what in (COVERAGE, "width")}
    hours = {name: breakdowns.by_hour(view.windows[name], view.test) for name in view.pair}
    together = {f"{what}, {name}": cells for what, named in columns.items() for name, cells in named.items()}
    caption = (
        f"The {view.band} by minutes ahead, widths{_in_unit(view)}. Of bands that hold enough, the narrower is better."
    )
    figures = [
        figure
        for what, named in columns.items()
        for figure in (_over_steps(view, what, named), _over_hours(view, what, hours))
    ]
    return Section("Bands", (_table(view, together, caption), *figures))


# === Cells ===


def _cell(figure: Statistic, *, interval: bool = True) -> Cell:
    """Return a figure, with its interval where there is one, None where there is no figure."""
    if interval:
        with suppress(ContractError):  # a single unit has no interval
            made = bootstrap(figure)
            if made.high - made.low > SAME * abs(made.value):
                return made
    value = figure.compute(None)
    return value if np.isfinite(value) else None


def _sides(cell: Cell) -> tuple[float, float, float]:
    """Return value, low and high, all the same where there is no interval."""
    if isinstance(cell, Estimate):
        return cell.value, cell.low, cell.high
    value = np.nan if cell is None else float(cell)
    return value, value, value


def _drawn(cell: Cell, scale: int) -> list[float]:
    """Return value, low and high to the digits that a drawing needs: noise in the last ones would fill its axis."""
    return [float(f"{scale * side:.5g}") for side in _sides(cell)]


def _steps(horizon: int) -> list[int]:
    return [round(step) for step in np.linspace(1, horizon, min(horizon, MOST_STEPS)).tolist()]


def _title(view: _View, what: str) -> str:
    names = {"mae": "Mean absolute error", "rmse": "Root mean squared error", "width": f"Width of the {view.band}"}
    return f"{names[what]}{_in_unit(view)}" if what in names else f"Coverage of the {view.band}"


def _with_unit(view: _View, what: str) -> str:
    unit = {COVERAGE: "%", TIMES: ""}.get(what, view.plan.unit)
    return f"{what}, {unit}" if unit else what


def _in_unit(view: _View) -> str:
    return f" in {view.plan.unit}" if view.plan.unit else ""


def _units(columns: tuple[str, ...]) -> tuple[Unit, ...]:
    return tuple("percent" if column.startswith(COVERAGE) else "" for column in columns)


def _course(values: np.ndarray, places: list[float]) -> str:
    """Say in words how a line goes."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return "has no figure"
    low, high = known[values[known].argmin()], known[values[known].argmax()]
    return f"is lowest at {places[low]:g} ({values[low]:.3g}) and highest at {places[high]:g} ({values[high]:.3g})"


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
