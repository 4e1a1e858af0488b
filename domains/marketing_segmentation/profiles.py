"""What sets a segment apart, its name and what to do with it: a stated rule over the segment's own customers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ...shared.domain import Arrays, Examples
from ...shared.errors import ContractError
from .features import BEHAVIOUR, NAMES, SEGMENTS, Plan

LEAST_EFFECT = 0.33
"""Cliff's delta from which an effect is no longer small (Romano et al. 2006)."""
SURE = 3.0
"""Standard errors that an effect must be away from none: about a dozen signs are looked at for each segment."""
KNOWN_AGE = 90
"""Days since the first order before which yearly rates and trends say nothing."""
FOLLOWED, VALUE = "followed", "value"
AVERAGE, EMPTY = "average in all", "empty"
MOST_ADVICE = 3


@dataclass(frozen=True)
class Sign:
    """A figure of a customer, and the words for having more or less of it than all other customers.

    Attributes:
        feature: column of the behaviour, or one made of several (see ``figures``).
        concept: what it is about; a name says each concept once.
        what: the figure, in words.
        more, less: the words.
        if_more, if_less: what to do then; empty for nothing.
    """

    feature: str
    concept: str
    what: str
    more: str
    less: str
    if_more: str = ""
    if_less: str = ""


SIGNS = (
    Sign(
        FOLLOWED, VALUE, "spend in the period that followed", "high value", "low value",
        "Look after these first: they go on to spend more than others.",
        "Spend little on reaching them: they go on to spend less than others.",
    ),
    Sign(
        "orders_a_year", "frequency", "orders a year", "frequent", "infrequent",
        "Reward with service or early access rather than discounts: they order anyway.",
        "Give a reason to order once more, and keep the cost of asking low.",
    ),
    Sign(
        "recency_days", "activity", "days since the last order", "long away", "recent",
        "Win back with a reminder or an offer, and leave some out to see what it brings.",
        "Thank them while the last order is fresh.",
    ),
    Sign(
        "overdue", "activity", "days since the last order against the usual gap", "overdue", "in rhythm",
        "Remind them: the next order is late for their rhythm.",
        "Leave alone: they order without being asked.",
    ),
    Sign(
        "trend", "activity", "orders of the last 90 days against their own average", "rising", "fading",
        "Make ordering more easy: they order more than they used to.",
        "Ask what changed: they order less than they used to.",
    ),
    Sign(
        "age_days", "tenure", "days since the first order", "longer known", "newer",
        "Thank them for staying.",
        "Welcome them, and show what goes with the first orders.",
    ),
    Sign(
        "mean_order", "basket", "money an order", "large orders", "small orders",
        "Look after in person: each order is large.",
        "Offer what completes an order, or free delivery from an amount on.",
    ),
    Sign(
        "items_an_order", "breadth", "different items for each order", "many items", "few items",
        "Show what is new across the range.",
        "Cross-sell: show what goes with the few things that they know.",
    ),
    Sign(
        "pieces_a_line", "bulk", "pieces of an item in an order", "bulk buying", "single units",
        "Quote prices for quantities.",
    ),
    Sign(
        "returned_share", "returns", "share of the money that came back", "many returns", "few returns",
        "Check why goods come back: description, size, delivery.",
    ),
    Sign(
        "unevenness", "rhythm", "spread of the gaps between orders against their mean", "irregular", "regular",
        "Time messages by the last order, not by the calendar.",
        "Offer a standing order.",
    ),
    Sign(
        "season", "season", "share of the orders in the same season a year ago", "last season", "off season",
        "Write before the season begins: they ordered in it a year ago.",
    ),
    Sign("spend_a_year", VALUE, "money a year", "big spenders", "small spenders"),
)  # fmt: skip


@dataclass(frozen=True)
class Trait:
    """How the customers of a segment differ from all others by one sign.

    Attributes:
        sign: what is compared.
        word: the sign's word for this side.
        effect: Cliff's delta: the chance that a customer of the segment has more of it than another customer, less
            the chance of the reverse; -1..1.
        inside, outside: medians of the segment and of all others.
        holds: whether the effect is large and sure enough to be said.
    """

    sign: Sign
    word: str
    effect: float
    inside: float
    outside: float
    holds: bool

    @property
    def advice(self) -> str:
        """What to do about it; empty for nothing."""
        return self.sign.if_more if self.effect > 0 else self.sign.if_less


@dataclass(frozen=True)
class Profile:
    """One segment in figures and words.

    Attributes:
        name: by the rule of ``names``.
        size, share: customers, and their part of all.
        orders, spend: means a customer in the period that followed; NaN if unknown.
        share_of_spend: part of all money of that period; NaN if there was none.
        measures: every sign that can be compared, strongest first.
    """

    name: str
    size: int
    share: float
    orders: float
    spend: float
    share_of_spend: float
    measures: tuple[Trait, ...]

    @property
    def traits(self) -> tuple[Trait, ...]:
        """What sets the segment apart, strongest first."""
        return tuple(trait for trait in self.measures if trait.holds)

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do, by the table ``SIGNS``, for the strongest traits; nothing for an empty segment."""
        found = tuple(trait.advice for trait in self.traits if trait.advice)[:MOST_ADVICE]
        return found or (("Nothing sets them apart: treat them like everybody.",) if self.size else ())


def segment_names(outputs: Arrays, validation: Examples, plan: Plan) -> tuple[str, ...]:
    """Return the names of all segments in order of their codes, as ``on_validation`` finds them."""
    return tuple(one.name for one in on_validation(outputs, validation, plan))


def on_validation(outputs: Arrays, validation: Examples, plan: Plan) -> tuple[Profile, ...]:
    """Return the profiles that name the segments: of customers who were kept apart from the fit, at every day asked.

    Args:
        outputs: what a network answers to ``validation``; ``segments`` is float32 (example, segment).
        validation: examples of those customers; what followed the latest day is not known.
        plan: names the columns of the behaviour.
    """
    probability, units = outputs[SEGMENTS], validation.context.get("unit")
    segment, behaviour = probability.argmax(axis=1), validation.inputs[BEHAVIOUR]
    return profile(segment, behaviour, validation.target, probability.shape[1], columns=plan.names, units=units)


def profile(
    segment: np.ndarray,
    behaviour: np.ndarray,
    target: np.ndarray,
    segments: int,
    *,
    columns: Sequence[str] = NAMES,
    units: np.ndarray | None = None,
) -> tuple[Profile, ...]:
    """Describe every segment by its own customers, in order of the codes; an empty one has size 0.

    A trait holds if Cliff's delta is at least ``LEAST_EFFECT`` either way and ``SURE`` standard errors away from none,
    and if the figure is known of at least half of the segment. Value must differ the same way in the mean, too.

    Args:
        segment: int (customer,) codes from 0.
        behaviour: float (customer, column), NaN where unknown.
        target: float (customer, 2) orders and spend of the period that followed, NaN where unknown.
        segments: how many there are.
        columns: names of the columns of ``behaviour``.
        units: (customer,) who it is, where some are there several times: their rows count as one for the errors.

    Raises:
        ContractError: the arrays do not belong together, or a code is out of range.

    Source: Cliff 1993, Psychological Bulletin 114(3) (delta); Romano et al. 2006, Annual Meeting of the Florida
        Association of Institutional Research (what is small).
    """
    _check(segment, behaviour, target, segments)
    size = np.bincount(segment, minlength=segments)
    known = figures(behaviour, columns) | {FOLLOWED: target[:, 1].astype(np.float64)}
    measures = _measures(segment, known, segments, np.arange(len(segment)) if units is None else units)
    orders, spend = (_means(segment, target[:, side], segments) for side in (0, 1))
    total = np.bincount(segment, np.nan_to_num(target[:, 1].astype(np.float64)), segments)
    part = total / total.sum() if total.sum() > 0 else np.full(segments, np.nan)
    named = names(measures, size.tolist(), spend)
    rows = zip(named, size.tolist(), orders.tolist(), spend.tolist(), part.tolist(), measures, strict=True)
    everyone = max(len(segment), 1)
    return tuple(
        Profile(name, count, count / everyone, mean_orders, mean_spend, share, traits)
        for name, count, mean_orders, mean_spend, share, traits in rows
    )


def names(measures: Sequence[Sequence[Trait]], size: Sequence[int], spend: np.ndarray) -> tuple[str, ...]:
    """Return a name for each segment: its two strongest traits of different concepts, then its value.

    Value is told by the money of the period that followed: high or low where that trait holds, top or least for
    the segment with the highest or lowest mean. A larger segment is named first; one whose name is taken gets its next
    strongest pair of traits, and a number if there is none. Nothing is said that does not hold.

    Args:
        measures: traits of each segment, strongest first.
        size: customers of each.
        spend: float (segment,) mean in the period that followed.
    """
    found: dict[int, str] = {}
    for code in sorted(range(len(size)), key=lambda code: (-size[code], code)):
        candidates = _candidates([trait for trait in measures[code] if trait.holds], code, spend)
        candidates = candidates if size[code] else [EMPTY]
        numbered = [f"{candidates[0]} {number}" for number in range(2, len(size) + 1)]
        found[code] = next(name for name in [*candidates, *numbered] if name not in found.values())
    return tuple(found[code] for code in range(len(size)))


def figures(behaviour: np.ndarray, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """Return float64 (customer,) each figure of ``SIGNS``, NaN where the orders cannot tell.

    ``trend``: orders a day of the last 90 days against those since the first order; ``pieces_a_line``: pieces of an
    item in an order; ``unevenness``: standard deviation of the gaps by their mean; ``season``: part of all orders that
    fell in the horizon's season a year ago. Yearly rates need customers known for ``KNOWN_AGE`` days, the trend for
    twice as many.
    """
    made = dict(zip(columns, behaviour.astype(np.float64).T, strict=True))
    age = made["age_days"]
    with np.errstate(divide="ignore", invalid="ignore"):
        made["trend"] = np.where(age >= 2 * KNOWN_AGE, made["orders_90d"] / KNOWN_AGE / (made["orders"] / age), np.nan)
        made["pieces_a_line"] = made["pieces"] / made["lines"]
        made["unevenness"] = made["spread_of_gaps"] / made["mean_gap_days"]
        made["season"] = made["orders_a_year_ago"] / made["orders"]
    for name in ("orders_a_year", "spend_a_year"):
        made[name] = np.where(age >= KNOWN_AGE, made[name], np.nan)
    return {sign.feature: made[sign.feature] for sign in SIGNS if sign.feature != FOLLOWED}


def cliffs_delta(values: np.ndarray, segment: np.ndarray, segments: int) -> np.ndarray:
    """Return float64 (segment,) Cliff's delta of each segment against all others; NaN where one side is empty.

    Args:
        values: finite (customer,).
        segment: int (customer,) codes.
        segments: how many there are.
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    inside = np.bincount(segment, minlength=segments).astype(np.float64)
    pairs = inside * (inside.sum() - inside)
    above = np.bincount(segment, rank, segments) - inside * (inside + 1) / 2
    return np.where(pairs > 0, 2 * above / np.where(pairs > 0, pairs, 1) - 1, np.nan)


def _standard_error(segment: np.ndarray, units: np.ndarray, segments: int) -> np.ndarray:
    """Return float64 (segment,) the error of Cliff's delta if there is no difference, each customer counted once in a
    segment; infinity where one side is empty.
    """
    inside = np.bincount(np.unique(np.stack([segment, units]), axis=1)[0], minlength=segments).astype(np.float64)
    pairs = inside * (inside.sum() - inside)
    return np.where(pairs > 0, np.sqrt((inside.sum() + 1) / (3 * np.where(pairs > 0, pairs, 1))), np.inf)


def _measures(
    segment: np.ndarray, known: dict[str, np.ndarray], segments: int, units: np.ndarray
) -> list[tuple[Trait, ...]]:
    made: list[list[Trait]] = [[] for _ in range(segments)]
    size = np.bincount(segment, minlength=segments)
    for sign in SIGNS:
        there = np.isfinite(known[sign.feature])
        values, of = known[sign.feature][there], segment[there]
        effect = cliffs_delta(values, of, segments)
        error = _standard_error(of, units[there], segments)
        holds = np.abs(effect) >= np.maximum(LEAST_EFFECT, SURE * error)
        holds &= 2 * np.bincount(of, minlength=segments) >= size
        for code in np.flatnonzero(np.isfinite(effect)).tolist():
            inside, outside = values[of == code], values[of != code]
            same_way = sign.feature != FOLLOWED or (inside.mean() - outside.mean()) * effect[code] > 0
            word = sign.more if effect[code] > 0 else sign.less
            medians = float(np.median(inside)), float(np.median(outside))
            made[code].append(Trait(sign, word, float(effect[code]), *medians, bool(holds[code] and same_way)))
    return [tuple(sorted(traits, key=lambda trait: -abs(trait.effect))) for traits in made]


def _candidates(traits: Sequence[Trait], code: int, spend: np.ndarray) -> list[str]:
    """Return the names that are true of a segment, the best first."""
    value = next((trait for trait in traits if trait.sign.feature == FOLLOWED), None)
    strongest: dict[str, str] = {}
    for trait in traits:
        if trait is not value and (value is None or trait.sign.concept != VALUE):
            strongest.setdefault(trait.sign.concept, trait.word)
    end = _value_word(value, code, spend) if value else ""
    pairs: list[tuple[str, ...]] = [*combinations(strongest.values(), 2)]
    pairs = pairs or [tuple(strongest.values())]
    made = [" · ".join(part for part in (", ".join(pair), end) if part) for pair in pairs]
    return made if made[0] else [AVERAGE]


def _value_word(value: Trait, code: int, spend: np.ndarray) -> str:
    known = spend[np.isfinite(spend)]
    if value.effect > 0:
        return "top value" if spend[code] == known.max() else value.word
    return "least value" if spend[code] == known.min() else value.word


def _means(segment: np.ndarray, values: np.ndarray, segments: int) -> np.ndarray:
    known = np.isfinite(values)
    count = np.bincount(segment[known], minlength=segments)
    total = np.bincount(segment[known], values[known].astype(np.float64), segments)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _check(segment: np.ndarray, behaviour: np.ndarray, target: np.ndarray, segments: int) -> None:
    if behaviour.shape[:1] != segment.shape or target.shape != (len(segment), 2):
        raise ContractError(
            f"Profiles need a segment, a row of behaviour and two targets for each customer; got shapes "
            f"{segment.shape}, {behaviour.shape} and {target.shape}."
        )
    wrong = np.flatnonzero((segment < 0) | (segment >= segments))
    if len(wrong):
        raise ContractError(
            f"Segment {segment[wrong[0]]} of customer {wrong[0]} is out of range; expected 0 to {segments - 1}."
        )
