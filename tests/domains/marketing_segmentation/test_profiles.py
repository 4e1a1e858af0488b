"""Profiles: effects as defined, names that are true, and different shops named differently."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.domains.marketing_segmentation.features import NAMES, Plan
from edgekit.domains.marketing_segmentation.profiles import (
    AVERAGE,
    FOLLOWED,
    LEAST_EFFECT,
    SIGNS,
    SURE,
    VALUE,
    Profile,
    _standard_error,
    cliffs_delta,
    figures,
    on_validation,
    profile,
    segment_names,
)
from edgekit.shared.domain import Examples
from edgekit.shared.errors import ContractError

LONGEST = 42  # a number included
VALUES = {"high value", "low value", "top value", "least value"}


def shop(of: dict[int, dict[str, float]], *, each: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return segments and behaviour of customers who are alike but for the columns that ``of`` multiplies."""
    rng = np.random.default_rng(seed)
    segment = np.repeat(list(of), each)
    behaviour = np.exp(rng.normal(3, 0.5, (len(segment), len(NAMES))))
    behaviour[:, NAMES.index("age_days")] = rng.uniform(200, 400, len(segment))
    for code, factors in of.items():
        for name, factor in factors.items():
            behaviour[segment == code, NAMES.index(name)] *= factor
    return segment, behaviour.astype(np.float32)


def spent(segment: np.ndarray, factors: dict[int, float], *, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    orders = 1.0 + rng.poisson(2, len(segment))
    spend = rng.lognormal(3, 0.4, len(segment)) * np.array([factors.get(int(code), 1.0) for code in segment])
    return np.stack([orders, spend], axis=1).astype(np.float32)


def words(one: Profile) -> set[str]:
    return {word for part in one.name.split(" · ") for word in part.split(", ")}


# === Effects ===


def test_cliffs_delta_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    values, segment = rng.integers(0, 6, 40).astype(float), rng.integers(0, 3, 40)
    effect = cliffs_delta(values, segment, 3)
    expected = [np.sign(values[segment == code][:, None] - values[segment != code]).mean() for code in range(3)]
    assert effect == pytest.approx(expected)


def test_the_error_is_that_of_effects_by_chance() -> None:
    rng = np.random.default_rng(0)
    segment = np.repeat([0, 1], [15, 40])
    drawn = np.array([cliffs_delta(rng.normal(size=55), segment, 2) for _ in range(2000)])
    assert drawn.std(axis=0) == pytest.approx(_standard_error(segment, np.arange(55), 2), rel=0.06)


def test_several_rows_of_a_customer_are_no_more_evidence() -> None:
    segment, units = np.repeat([0, 1], [15, 40]), np.arange(55)
    once, thrice = _standard_error(segment, units, 2), _standard_error(np.tile(segment, 3), np.tile(units, 3), 2)
    assert thrice.tolist() == once.tolist()
    assert (_standard_error(np.tile(segment, 3), np.arange(165), 2) < 0.6 * once).all()


def test_a_customer_who_moved_counts_in_both_segments() -> None:
    """Customers 0 to 2 are in both: 8 of the first segment and 7 of the second, 15 in all."""
    segment, units = np.repeat([0, 1], [8, 7]), np.concatenate([np.arange(8), [0, 1, 2, 8, 9, 10, 11]])
    assert _standard_error(segment, units, 2) == pytest.approx([np.sqrt(16 / (3 * 8 * 7))] * 2)


def test_without_others_there_is_no_effect() -> None:
    segment = np.zeros(4, int)
    assert np.isnan(cliffs_delta(np.arange(4.0), segment, 2)).all()
    assert np.isinf(_standard_error(segment, np.arange(4), 2)).all()


def test_figures_are_as_documented() -> None:
    row = np.ones((1, len(NAMES)), np.float32)
    for name, value in {"age_days": 360, "orders": 8, "orders_90d": 4, "pieces": 30, "lines": 10}.items():
        row[:, NAMES.index(name)] = value
    row[:, NAMES.index("spread_of_gaps")], row[:, NAMES.index("mean_gap_days")] = 5, 20
    row[:, NAMES.index("orders_a_year_ago")] = 2
    made = figures(row, NAMES)
    found = {name: made[name][0] for name in ("trend", "pieces_a_line", "unevenness", "season", "orders_a_year")}
    assert found == {"trend": 2, "pieces_a_line": 3, "unevenness": 0.25, "season": 0.25, "orders_a_year": 1}


@pytest.mark.parametrize(
    ("age", "unknown"),
    [(89, {"trend", "orders_a_year", "spend_a_year"}), (100, {"trend"}), (180, set())],
)
def test_a_young_customer_has_no_yearly_rate(age: float, unknown: set[str]) -> None:
    row = np.ones((1, len(NAMES)), np.float32)
    row[:, NAMES.index("age_days")] = age
    assert {name for name, values in figures(row, NAMES).items() if np.isnan(values[0])} == unknown


# === Names ===


def test_names_say_what_was_made() -> None:
    segment, behaviour = shop(
        {0: {"orders_a_year": 6, "items_an_order": 5}, 1: {"recency_days": 9}, 2: {"mean_order": 0.2}}
    )
    made = profile(segment, behaviour, spent(segment, {0: 9, 1: 0.2}), 3)
    assert words(made[0]) == {"frequent", "many items", "top value"}
    assert "long away" in words(made[1]) and "least value" in words(made[1])
    assert "small orders" in words(made[2]) and not VALUES & words(made[2])


def test_two_shops_are_named_differently() -> None:
    first, second = (
        profile(*made, spent(made[0], {0: 5}), 2)
        for made in (
            shop({0: {"orders_a_year": 5}, 1: {}}),
            shop({0: {"returned_share": 5}, 1: {}}),
        )
    )
    assert {one.name for one in first}.isdisjoint(one.name for one in second)
    assert words(first[0]) == {"frequent", "top value"} and words(second[0]) == {"many returns", "top value"}


@given(st.integers(0, 10_000), st.integers(2, 8), st.integers(2, 60))
@settings(max_examples=40, deadline=None)
def test_every_word_of_a_name_is_true(seed: int, segments: int, each: int) -> None:
    rng = np.random.default_rng(seed)
    of = {code: {name: float(np.exp(rng.normal(0, 0.8))) for name in NAMES} for code in range(segments)}
    segment, behaviour = shop(of, each=each, seed=seed)
    behaviour[rng.random(behaviour.shape) < 0.1] = np.nan
    target = spent(segment, {code: float(np.exp(rng.normal())) for code in of})
    made = profile(segment, behaviour, target, segments)
    means = [target[segment == code, 1].mean() for code in range(segments)]
    assert len({one.name for one in made}) == segments
    known = figures(behaviour, NAMES) | {FOLLOWED: target[:, 1].astype(float)}
    for code, one in enumerate(made):
        assert one.name.isprintable() and one.name == one.name.lower() and len(one.name) <= LONGEST
        for word in words(one) - {AVERAGE, *(f"{AVERAGE} {number}" for number in range(2, 9))}:
            plain = word.rstrip(" 23456789").replace("top", "high").replace("least", "low")
            (sign,) = (sign for sign in SIGNS if plain in (sign.more, sign.less))
            values = known[sign.feature]
            inside, outside = (values[side & np.isfinite(values)] for side in (segment == code, segment != code))
            delta = np.sign(inside[:, None] - outside).mean()
            assert (delta if plain == sign.more else -delta) >= LEAST_EFFECT
            if word.startswith(("top", "least")):
                assert means[code] == (max(means) if "top" in word else min(means))


def test_a_name_says_a_concept_once() -> None:
    segment, behaviour = shop({0: {"recency_days": 30, "overdue": 30, "mean_order": 3}, 1: {}})
    made = profile(segment, behaviour, spent(segment, {}), 2)
    assert words(made[0]) == {"long away", "large orders"}


def test_the_same_traits_give_names_that_differ() -> None:
    strong = {"orders_a_year": 8, "mean_order": 8, "items_an_order": 4}
    segment, behaviour = shop({0: strong, 1: strong, 2: {}, 3: {}})
    made = profile(segment, behaviour, np.full((len(segment), 2), np.nan), 4)
    assert len({one.name for one in made}) == 4
    allowed = {"frequent", "large orders", "many items"}
    assert words(made[0]) <= allowed and words(made[1]) <= allowed


def test_past_spend_stands_in_where_the_future_is_unknown() -> None:
    segment, behaviour = shop({0: {"spend_a_year": 9}, 1: {}})
    unknown = profile(segment, behaviour, np.full((len(segment), 2), np.nan), 2)
    assert unknown[0].name == "big spenders" and np.isnan(unknown[0].spend) and np.isnan(unknown[0].share_of_spend)
    assert profile(segment, behaviour, spent(segment, {0: 9}), 2)[0].name == "top value"


def test_all_alike_is_average() -> None:
    segment = np.arange(100) % 3
    made = profile(segment, np.ones((100, len(NAMES)), np.float32), np.ones((100, 2)), 3)
    assert [one.name for one in made] == [AVERAGE, f"{AVERAGE} 2", f"{AVERAGE} 3"]
    assert made[0].advice == ("Nothing sets them apart: treat them like everybody.",)


def test_few_customers_are_not_called_anything() -> None:
    segment, behaviour = shop({0: {"orders_a_year": 20}, 1: {}}, each=3)
    made = profile(segment, behaviour, spent(segment, {0: 9}), 2)
    assert made[0].measures[0].effect == 1 and made[0].name == AVERAGE


def test_a_few_customers_seen_often_are_not_called_anything() -> None:
    """Without saying who they are, their many rows would count as many customers."""
    segment, behaviour = shop({0: {"orders_a_year": 20}, 1: {}})
    target, units = spent(segment, {0: 9}), np.arange(120) // 20
    named = profile(segment, behaviour, target, 2, units=units)
    assert named[0].measures[0].effect == 1 and [one.name for one in named] == [AVERAGE, f"{AVERAGE} 2"]
    assert profile(segment, behaviour, target, 2)[0].name == "frequent · top value"


def test_a_word_needs_to_be_known_of_half_the_segment() -> None:
    segment, behaviour = shop({0: {"mean_order": 20}, 1: {}})
    behaviour[:31, NAMES.index("mean_order")] = np.nan
    assert profile(segment, behaviour, spent(segment, {}), 2)[0].name == AVERAGE
    behaviour[30, NAMES.index("mean_order")] = 1000
    assert profile(segment, behaviour, spent(segment, {}), 2)[0].name == "large orders"


def test_value_must_differ_in_the_mean_too() -> None:
    segment, behaviour = shop({0: {}, 1: {}})
    target = np.ones((len(segment), 2))
    target[segment == 0, 1], target[segment == 1, 1] = 5, 2
    target[-1, 1] = 10_000  # the few who bring all are in the other segment
    assert profile(segment, behaviour, target, 2)[0].name == AVERAGE


# === Figures and bad input ===


def test_figures_of_a_segment_add_up() -> None:
    segment, behaviour = shop({0: {}, 1: {}, 3: {}})
    target = spent(segment, {})
    made = profile(segment, behaviour, target, 5)
    assert [one.size for one in made] == [60, 60, 0, 60, 0]
    assert [made[2].name, made[4].name] == ["empty", "empty 2"] and made[2].advice == () == made[2].traits
    assert sum(one.share for one in made) == pytest.approx(1) == sum(one.share_of_spend for one in made)
    assert made[1].orders == pytest.approx(target[segment == 1, 0].mean())
    assert made[3].spend == pytest.approx(target[segment == 3, 1].mean())


def test_an_unknown_future_is_left_out() -> None:
    segment, behaviour = shop({0: {}, 1: {}})
    target = spent(segment, {})
    target[::2] = np.nan
    made = profile(segment, behaviour, target, 2)
    assert made[0].spend == pytest.approx(np.nanmean(target[segment == 0, 1]))


def test_a_period_without_orders_has_no_shares() -> None:
    segment, behaviour = shop({0: {}, 1: {}})
    made = profile(segment, behaviour, np.zeros((len(segment), 2)), 2)
    assert np.isnan(made[0].share_of_spend) and made[0].spend == 0


def test_nobody_is_empty() -> None:
    made = profile(np.zeros(0, int), np.zeros((0, len(NAMES))), np.zeros((0, 2)), 2)
    assert [one.name for one in made] == ["empty", "empty 2"]


def test_unknown_behaviour_says_nothing() -> None:
    segment, behaviour = shop({0: {}, 1: {}})
    made = profile(segment, np.full_like(behaviour, np.nan), spent(segment, {0: 9}), 2)
    assert [one.name for one in made] == ["top value", "least value"]


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"segment": np.zeros(3, int)}, r"got shapes \(3,\)"),
        ({"target": np.zeros((120, 3))}, r"\(120, 3\)"),
        ({"segments": 1}, "Segment 1 of customer 60 is out of range; expected 0 to 0"),
    ],
)
def test_what_does_not_belong_together_is_refused(given_: dict[str, Any], said: str) -> None:
    segment, behaviour = shop({0: {}, 1: {}})
    whole = {"segment": segment, "behaviour": behaviour, "target": spent(segment, {}), "segments": 2, **given_}
    with pytest.raises(ContractError, match=said):
        profile(**whole)


# === On validation ===


def asked(segment: np.ndarray, behaviour: np.ndarray, target: np.ndarray, **context: np.ndarray) -> tuple[Any, Any]:
    """Return what a network answers, with one segment more than there are, and what it is asked."""
    answers = {"segments": np.eye(segment.max() + 2, dtype=np.float32)[segment]}
    return answers, Examples({"behaviour": behaviour}, target, context)


def test_names_are_made_from_all_days_of_validation() -> None:
    segment, behaviour = shop({0: {"orders_a_year": 6}, 1: {}})
    given_ = asked(segment, behaviour, spent(segment, {0: 9}), cut=np.tile([100, 200], 60), unit=np.arange(120))
    made = on_validation(*given_, Plan(91))
    assert [one.size for one in made] == [60, 60, 0]
    assert segment_names(*given_, Plan(91)) == tuple(one.name for one in made)
    assert made[0].name == "frequent · top value" and SURE == 3


def test_validation_counts_a_customer_once_for_what_is_sure() -> None:
    segment, behaviour = shop({0: {"orders_a_year": 6}, 1: {}})
    target, cut = spent(segment, {0: 9}), np.tile(np.arange(20), 6)
    few, many = (
        on_validation(*asked(segment, behaviour, target, cut=cut, unit=unit), Plan(91))
        for unit in (np.arange(120) // 20, np.arange(120))
    )
    assert few[0].name == AVERAGE and many[0].name == "frequent · top value"
    assert [trait.effect for trait in few[0].measures] == [trait.effect for trait in many[0].measures]


def test_a_segment_of_the_calibration_date_alone_gets_a_true_name() -> None:
    """Nobody was in the third at earlier days, so that what follows is known of nobody in it."""
    segment, behaviour = shop({0: {"orders_a_year": 6}, 1: {}, 2: {"recency_days": 9}})
    cut = np.where(segment == 2, 300, np.tile([100, 200, 300], 60))
    target = np.where((cut == 300)[:, None], np.nan, spent(segment, {0: 9}))
    made = on_validation(*asked(segment, behaviour, target, cut=cut, unit=np.arange(180)), Plan(91))
    assert [one.size for one in made] == [60, 60, 60, 0]
    assert made[2].name == "long away, infrequent" and np.isnan(made[2].spend)  # half of the others order more often
    assert made[0].name == "frequent, recent · top value" and made[3].name == "empty"
    assert "Win back" in made[2].advice[0]


def test_what_followed_few_rows_of_a_segment_names_no_value() -> None:
    segment, behaviour = shop({0: {"orders_a_year": 6}, 1: {}})
    target = spent(segment, {0: 99})
    target[:31] = np.nan  # all but 29 of the first are of the calibration date
    made = on_validation(*asked(segment, behaviour, target, unit=np.arange(120)), Plan(91))
    assert made[0].name == "frequent" and made[1].name == "infrequent · least value"


def test_validation_without_days_is_used_as_a_whole() -> None:
    segment, behaviour = shop({0: {}, 1: {}})
    examples = Examples({"behaviour": behaviour}, spent(segment, {}))
    assert sum(one.size for one in on_validation({"segments": np.eye(2)[segment]}, examples, Plan(91))) == 120


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.feature)
def test_signs_have_two_short_words_and_full_sentences(sign: Any) -> None:
    assert all(
        0 < len(word) <= (12 if sign.concept != VALUE else 14) and word == word.lower()
        for word in (sign.more, sign.less)
    )
    assert all(text == "" or text.endswith(".") for text in (sign.if_more, sign.if_less))
