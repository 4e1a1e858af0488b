"""The sections of a report that a marketer would look at: who the segments are, how they move, what came true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import numpy as np

from ...shared import plots_segments
from ...shared.decisions import Threshold
from ...shared.domain import Arrays, Examples, Predictor, Prepared
from ...shared.errors import ContractError
from ...shared.estimates import Estimate, bootstrap, mean_statistic
from ...shared.report import Block, Cell, Figure, Section, Table, Text, format_value
from . import profiles
from .config import MarketingConfig
from .features import BEHAVIOUR, SECONDS_A_DAY, Plan
from .profiles import Profile, Trait
from .segmentation import OUTLOOK
from .separation import separation

ORDERS, SPEND, BACK = "orders", "spend", "comes back"
_SHORT = {ORDERS: "orders", SPEND: "spend", BACK: "back"}
GROUPS, LEAST_IN_GROUP = 10, 5
"""Groups of customers that calibration is told for, fewer where they would hold too few."""


@dataclass(frozen=True, eq=False)
class _View:
    """What the sections look at.

    Attributes:
        name: of the predictor that counts.
        named, seen: profiles on validation, which name the segments, and on test, whose figures are shown.
        segment: int (customer,) code of every customer of test.
        expected, observed: float (customer,) orders, spend and coming back, by name.
        answers, test, plan: what was asked and answered.
    """

    name: str
    named: tuple[Profile, ...]
    seen: tuple[Profile, ...]
    segment: np.ndarray
    expected: Mapping[str, np.ndarray]
    observed: Mapping[str, np.ndarray]
    answers: Arrays
    test: Examples
    plan: Plan

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.named)

    @property
    def following(self) -> str:
        return f"in the {self.plan.horizon_days} days that followed"

    @property
    def money(self) -> str:
        return f" in {self.plan.currency}" if self.plan.currency else ""


def illustrate(
    outputs: Mapping[str, Arrays],
    prepared: Prepared,
    threshold: Threshold,
    config: MarketingConfig,
    *,
    predict: Predictor,
) -> tuple[Section, ...]:
    """Return profiles, map, migration, calibration, season and separation; the first of ``outputs`` counts."""
    view = _view(outputs, prepared, predict)
    return (
        _overview(view),
        _map(view),
        _profiles(view),
        _migration(view, prepared, predict),
        _calibration(view),
        _season(view, prepared),
        separation(outputs, prepared.test),
    )


def _view(outputs: Mapping[str, Arrays], prepared: Prepared, predict: Predictor) -> _View:
    name, answers = next(iter(outputs.items()))
    plan, test = cast("Plan", prepared.plan), prepared.test
    segment = answers["segments"].argmax(axis=1)
    target = test.target.astype(np.float64)
    expected = {
        what: answers[output][:, 0].astype(np.float64)
        for what, output in ((ORDERS, "orders"), (SPEND, "spend"), (BACK, "comes_back"))
    }
    observed = {ORDERS: target[:, 0], SPEND: target[:, 1], BACK: _again(target[:, 0])}
    named = profiles.on_validation(predict(prepared.validation.inputs), prepared.validation, plan)
    segments = answers["segments"].shape[1]
    seen = profiles.profile(segment, test.inputs[BEHAVIOUR], test.target, segments, columns=plan.names)
    return _View(name, named, seen, segment, expected, observed, answers, test, plan)


def _again(orders: np.ndarray) -> np.ndarray:
    """Return 1 for customers who ordered again, NaN where that is not known."""
    return np.where(np.isfinite(orders), orders > 0, np.nan)


# === Who the segments are ===


def _overview(view: _View) -> Section:
    rows = tuple(_overview_row(view, code) for code in _by_value(view))
    columns = ("segment", "customers", "share", "orders", "spend", "of spend", "come back", "came back")
    caption = (
        f"Customers of test and what they did {view.following}: mean orders and mean spend{view.money} of each, the "
        "segment's part of all spend, the share expected to come back, and that which came back."
    )
    table = Table(columns, rows, caption, None, ("", "", "percent", "", "", "percent", "percent", "percent"))
    note = (
        "Names come from customers who were kept apart from the fit and compare with all other customers; "
        "the rule is in the profiles below."
    )
    return Section("Segments", (table,), note, brief=True)


def _overview_row(view: _View, code: int) -> tuple[Cell, ...]:
    one, rows = view.seen[code], view.segment == code
    back = (_mean(view.expected[BACK][rows]), _mean(view.observed[BACK][rows]))
    return (_title(view, code), one.size, one.share, one.orders, one.spend, one.share_of_spend, *back)


def _by_value(view: _View) -> list[int]:
    """Return the codes, the highest spend a customer first, those without customers last."""
    return sorted(range(len(view.seen)), key=lambda code: -np.nan_to_num(view.seen[code].spend, nan=-1.0))


def _title(view: _View, code: int) -> str:
    return f"{code + 1}  {view.names[code]}"


def _map(view: _View) -> Section:
    code = view.answers.get("code")
    if code is None or code.shape[1] < 2 or not len(code):
        return Section("Segment map", (Text(f"{view.name} has no code to draw customers by."),))
    drawn = min(len(code), plots_segments.MOST_POINTS)
    shown = code[
        :, [0, min(OUTLOOK + 1, code.shape[1] - 1)]
    ]  # the rest of the outlook and the first component say nearly the same
    axes_names = ("code: foreseen spend", "code: what behaviour is like")
    figure = Figure(
        plots_segments.segment_map(shown, view.segment, view.names, axes_names=axes_names),
        f"{drawn:,} of {len(code):,} customers of test by two of {code.shape[1]} numbers of their code. "
        "Segments that overlap here may still differ in the others.",
        f"A dot for each customer, coloured by segment, and at each segment's middle its number: {_middles(view)}.",
    )
    return Section("Segment map", (figure,))


def _middles(view: _View) -> str:
    code = view.answers["code"]
    places = code[:, [0, min(OUTLOOK + 1, code.shape[1] - 1)]]
    found = [(code, np.median(places[view.segment == code], axis=0)) for code in np.unique(view.segment).tolist()]
    return "; ".join(f"{code + 1} at {x:.2f}, {y:.2f}" for code, (x, y) in found)


def _profiles(view: _View) -> Section:
    rule = Text(
        "A segment is set apart by a trait if Cliff's delta, the chance that one of its customers has more of it than "
        f"a customer of another segment, less the chance of the reverse, is at least {profiles.LEAST_EFFECT:g} either "
        f"way and {profiles.SURE:g} standard errors from none. Its name says the two strongest traits of different "
        "kinds, and its value if that is one. Effects on validation made the name; those on test say whether it holds. "
        "None of this says why customers act so."
    )
    blocks: list[Block] = [rule]
    for code in _by_value(view):
        blocks += _page(view, code)
    return Section("Profiles", tuple(blocks))


def _page(view: _View, code: int) -> list[Block]:
    named, seen = view.named[code], view.seen[code]
    if not seen.size:
        return [Text(f"{_title(view, code)}: no customer of test is in this segment.")]
    found = {trait.sign.feature: trait for trait in (*seen.traits, *named.traits)}
    rows = tuple(_trait_row(trait, named, seen) for trait in sorted(found.values(), key=lambda one: -abs(one.effect)))
    columns = ("trait", "figure", "here", "others", "effect", "validation")
    title = f"{_title(view, code)}. {seen.size:,} customers"
    caption = f"{title}: medians here and of all others, effect on test, and effect on validation."
    page: list[Block] = []
    if rows:
        page.append(Table(columns, rows, caption, None, ("", "", "", "", "change", "change")))
    else:
        page.append(Text(f"{title}: no trait sets them apart."))
    return [*page, Text("\n".join(f"- {line}" for line in (*(named.advice or seen.advice), _worth(view, code))))]


def _trait_row(trait: Trait, named: Profile, seen: Profile) -> tuple[Cell, ...]:
    here, before = _measured(seen, trait), _measured(named, trait)
    medians = (here.inside, here.outside) if here else (None, None)
    return (
        trait.word,
        trait.sign.what,
        *medians,
        here.effect if here else None,
        before.effect if before else None,
    )


def _measured(one: Profile, trait: Trait) -> Trait | None:
    return next((found for found in one.measures if found.sign is trait.sign), None)


def _worth(view: _View, code: int) -> str:
    rows = view.segment == code
    expected, observed = _mean(view.expected[SPEND][rows]), _interval(view.observed[SPEND][rows])
    unit = f" {view.plan.currency}" if view.plan.currency else ""
    return (
        f"A customer is expected to spend {format_value(expected)}{unit} {view.following} and spent "
        f"{format_value(observed)}{unit} on average. What reaching one may cost follows from that."
    )


# === Migration ===


def _migration(view: _View, prepared: Prepared, predict: Predictor) -> Section:
    title = "Migration"
    earlier = _earlier(prepared)
    if earlier is None:
        return Section(title, (Text("There is no earlier day at which these customers could be looked at."),))
    before = predict(earlier.inputs)["segments"].argmax(axis=1)
    _, place, now = np.intersect1d(earlier.context["unit"], view.test.context["unit"], return_indices=True)
    if not len(place):
        return Section(title, (Text("No customer of the earlier day is in test, so none can have moved."),))
    moved = np.zeros((len(view.names), len(view.names)), dtype=np.int64)
    np.add.at(moved, (before[place], view.segment[now]), 1)
    fresh = np.bincount(np.delete(view.segment, now), minlength=len(view.names))
    days = tuple(_day(int(one.context["cut"].max())) for one in (earlier, view.test))
    stayed = _interval((before[place] == view.segment[now]).astype(np.float64))
    words = Text(
        f"Of {len(place):,} customers, {format_value(stayed, 'percent')} are in the same segment on {days[1]} as on "
        f"{days[0]}; {int(fresh.sum()):,} came since. Customers move because they act otherwise, or do nothing while "
        "time goes by; those of training are among them."
    )
    return Section(title, (words, _moves(view, moved, fresh), _moves_drawn(view, moved, days)))


def _earlier(prepared: Prepared) -> Examples | None:
    """Return all customers at the latest day before that of test whose future is known, or None."""
    at = prepared.test.context.get("cut")
    if at is None or not len(at):
        return None
    chosen = []
    for part in (prepared.train, prepared.validation):
        if "cut" in part.context and "unit" in part.context:
            chosen.append(part.take(np.isfinite(part.target).all(axis=1) & (part.context["cut"] < at.max())))
    cuts = np.concatenate([part.context["cut"] for part in chosen]) if chosen else np.zeros(0)
    if not len(cuts):
        return None
    latest = [part.take(part.context["cut"] == cuts.max()) for part in chosen]
    return Examples(
        {BEHAVIOUR: np.concatenate([part.inputs[BEHAVIOUR] for part in latest])},
        np.concatenate([part.target for part in latest]),
        {name: np.concatenate([part.context[name] for part in latest]) for name in ("cut", "unit")},
    )


def _moves(view: _View, moved: np.ndarray, fresh: np.ndarray) -> Table:
    columns = ("from", *(f"to {code + 1}" for code in range(len(view.names))))
    names = (*(_title(view, code) for code in range(len(view.names))), "not a customer yet")
    rows = tuple((name, *counts) for name, counts in zip(names, [*moved, fresh], strict=True))
    return Table(columns, rows, "Customers by the segment that they were in and the one that they are in.")


def _moves_drawn(view: _View, moved: np.ndarray, days: Sequence[str]) -> Figure:
    total = moved.sum(axis=1, keepdims=True)
    shares = np.where(total > 0, moved / np.maximum(total, 1), np.nan)
    svg = plots_segments.migration(shares, view.names, xlabel=f"segment on {days[1]}", ylabel=f"segment on {days[0]}")
    kept = "; ".join(
        f"{code + 1}: {format_value(float(shares[code, code]), 'percent')}" for code in np.flatnonzero(total).tolist()
    )
    return Figure(
        svg,
        f"Where the customers of each segment on {days[0]} are on {days[1]}.",
        f"Each row sums to 100 %. Shares that stayed, by segment: {kept}.",
    )


# === Calibration ===


def _calibration(view: _View) -> Section:
    known = {what: _known(view, what) for what in view.expected}
    if not any(len(expected) for expected, _ in known.values()):
        return Section("Calibration", (Text("What the customers of test did next is not known."),))
    groups = {what: _groups(*pair) for what, pair in known.items() if len(pair[0])}
    words = Text("\n".join(f"- {_aggregate(view, what, *known[what])}" for what in groups))
    drawn = {_unit(view, what): _drawn(rows) for what, rows in groups.items()}
    count = len(next(iter(groups.values())))
    figure = Figure(
        plots_segments.calibration(drawn),
        f"Means of {count} groups of customers by what {view.name} expected of them, with intervals by customer; "
        "on the dotted line all came true. Square-root axes.",
        "A dot for each group of the table below, observed over expected, and the line where both are the same.",
    )
    return Section("Calibration", (words, figure, _deciles(view, groups), _by_segment(view)))


def _known(view: _View, what: str) -> tuple[np.ndarray, np.ndarray]:
    there = np.isfinite(view.test.target).all(axis=1)
    return view.expected[what][there], view.observed[what][there]


def _groups(expected: np.ndarray, observed: np.ndarray) -> list[tuple[float | None, Cell]]:
    """Return mean expectation and mean observation of groups of equal size, by rising expectation."""
    count = min(GROUPS, max(1, len(expected) // LEAST_IN_GROUP))
    parts = np.array_split(np.argsort(expected, kind="stable"), count)
    return [(_mean(expected[part]), _interval(observed[part])) for part in parts]


def _aggregate(view: _View, what: str, expected: np.ndarray, observed: np.ndarray) -> str:
    """Say in words how far the sum of what was expected is from the sum of what came."""
    unit = f" {view.plan.currency}" if what == SPEND and view.plan.currency else ""
    name = {ORDERS: "orders", SPEND: "spend", BACK: "customers who come back"}[what]
    total = f"{format_value(round(expected.sum()))}{unit} expected, {format_value(round(observed.sum()))}{unit} came"
    if not observed.sum():
        return f"{name}: {total}."
    error = float(expected.sum() / observed.sum() - 1)
    words = ("too much", "too little") if what == SPEND else ("too many", "too few")
    return f"{name}: {total}: {format_value(abs(error), 'percent')} {words[error < 0]} expected."


def _drawn(rows: Sequence[tuple[float | None, Cell]]) -> list[np.ndarray]:
    """Return expected, observed, low and high, each (group,)."""
    made = []
    for expected, cell in rows:
        value = np.nan if cell is None else cell
        sides = (cell.value, cell.low, cell.high) if isinstance(cell, Estimate) else (value,) * 3
        made.append((np.nan if expected is None else expected, *sides))
    return list(np.array(made, dtype=float).T)


def _deciles(view: _View, groups: Mapping[str, Sequence[tuple[float | None, Cell]]]) -> Table:
    columns = tuple(name for what in groups for name in (_SHORT[what], "came"))
    rows = tuple(
        (str(number), *(cell for pair in together for cell in pair))
        for number, together in enumerate(zip(*groups.values(), strict=True), start=1)
    )
    caption = (
        "Groups of equal size, made for each figure by what was expected of it. Means a customer of orders, "
        f"spend{view.money} and coming back: expected, and beside it what came, with intervals by customer."
    )
    return Table(("group", *columns), rows, caption)


def _by_segment(view: _View) -> Table:
    columns = tuple(name for what in view.expected for name in (_SHORT[what], "came"))
    rows = []
    for code in _by_value(view):
        inside = view.segment == code
        pairs = [(_mean(view.expected[what][inside]), _interval(view.observed[what][inside])) for what in view.expected]
        rows.append((_title(view, code), *(cell for pair in pairs for cell in pair)))
    return Table(("segment", *columns), tuple(rows), "The same by segment.")


def _unit(view: _View, what: str) -> str:
    return f"{what}{view.money}" if what == SPEND else what


# === Season ===


def _season(view: _View, prepared: Prepared) -> Section:
    notes = [note for note in prepared.notes if "season" in note.lower() or "year" in note.lower()]
    words, tone = _horizon(view, prepared)
    body = "\n\n".join([words, *notes])
    return Section("What the period held", (Text(body, "warning" if notes or tone else "plain"),))


def _horizon(view: _View, prepared: Prepared) -> tuple[str, bool]:
    """Say which days were foreseen and how many of their season were ever learnt from; True if some were not."""
    cut = view.test.context.get("cut")
    if cut is None or not len(cut) or cut.max() <= 0:
        return f"What followed is {view.plan.horizon_days} days long; the table does not say when they were.", False
    ahead = _days_after(int(cut.max()), view.plan.horizon_days)
    learnt = np.zeros(0, dtype=np.int64)
    if "cut" in prepared.train.context:
        labelled = np.isfinite(prepared.train.target).all(axis=1)
        cuts = np.unique(prepared.train.context["cut"][labelled]).tolist()
        learnt = np.concatenate([learnt, *(_days_after(one, view.plan.horizon_days) for one in cuts)])
    seen = int(np.isin(_of_year(ahead), _of_year(learnt)).sum())
    first, last = (_day(int(day) * SECONDS_A_DAY) for day in (ahead[0], ahead[-1]))
    before_christmas = (_of_year(ahead) >= 1101) & (_of_year(ahead) <= 1225)
    held = ", with weeks before Christmas among them" if before_christmas.any() else ""
    words = f"Foreseen were the {len(ahead)} days from {first} to {last}{held}. "
    if seen == len(ahead):
        return words + "Training has seen what customers do at this time of the year.", False
    return words + (
        f"Training has seen what customers do at this time of the year for {seen or 'none'} of these days. For the "
        "others nobody could learn from these orders whether more or less is bought then: the order of customers and "
        "segments does not need that, the level of expected orders and spend does, so read the sums above with it."
    ), True


def _days_after(cut: int, horizon_days: int) -> np.ndarray:
    """Return int64 (day,) days since 1970 that follow a moment, the day that it ends left out."""
    return (cut + 1) // SECONDS_A_DAY + np.arange(horizon_days, dtype=np.int64)


def _of_year(days: np.ndarray) -> np.ndarray:
    """Return month and day as one number, 1225 for Christmas."""
    date = days.astype("datetime64[D]")
    month = date.astype("datetime64[M]")
    return np.asarray((month.astype(np.int64) % 12 + 1) * 100 + (date - month).astype(np.int64) + 1)


# === Cells ===


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _interval(values: np.ndarray) -> Cell:
    """Return the mean with its interval by customer; without one where all are alike, None where there are none."""
    known = values[np.isfinite(values)]
    if len(known) and np.ptp(known) > 0:
        with suppress(ContractError):
            return bootstrap(mean_statistic(known, np.arange(len(known))))
    return _mean(values)


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
