"""Splits that keep the future out, and examples whose histories hold what came before and nothing else."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.domains.retail_recommendation.config import DataSettings, ModelSettings, RetailConfig
from edgekit.domains.retail_recommendation.data import make_plan, prepare, split
from edgekit.domains.retail_recommendation.features import Plan, inputs
from edgekit.domains.retail_recommendation.log import Log
from edgekit.domains.retail_recommendation.reading import load
from edgekit.shared.domain import Examples, Request
from edgekit.shared.errors import ConfigError, ContractError

REAL = Path(__file__).parents[4] / "shared/data/retail"
BEAUTY, RATINGS = REAL / "amazon_beauty_5core/Beauty.txt", REAL / "ml-latest-small/ratings.csv"
needs_beauty = pytest.mark.skipif(not BEAUTY.exists(), reason=f"no ../shared/data/retail/{BEAUTY.name} here")
needs_ratings = pytest.mark.skipif(not RATINGS.exists(), reason=f"no ../shared/data/retail/{RATINGS.name} here")
CONFIG = RetailConfig(model=ModelSettings(window=4, excluded=5, width=8, heads=1, attributes=True))
PUBLISHED = RetailConfig(model=ModelSettings(window=50, excluded=256, width=8, heads=1))
ROWS = 400


def config(**data: Any) -> RetailConfig:
    return CONFIG.model_copy(update={"data": DataSettings(**data)})


def log(rows: int = ROWS, *, users: int = 12, items: int = 30, timed: bool = True, seed: int = 0) -> Log:
    """Return random interactions; some rows share a second."""
    rng = np.random.default_rng(seed)
    user, item, time = rng.integers(0, users, rows), rng.integers(1, items + 1, rows), rng.integers(0, 3 * rows, rows)
    user[:users], item[:items] = np.arange(users), np.arange(1, items + 1)
    if not timed:
        user = np.sort(user)
        time = np.concatenate([np.arange(count) for count in np.bincount(user)])
    order = np.lexsort((user, time)) if timed else np.arange(rows)
    attributes = np.zeros((items + 1, 2), np.uint8)
    attributes[1::2, 0], attributes[1::3, 1] = 1, 1
    return Log(
        user=user[order].astype(np.int64),
        item=item[order].astype(np.int32),
        time=time[order].astype(np.int64),
        timed=timed,
        items=tuple(f"i{code}" for code in range(1, items + 1)),
        titles=(),
        attributes=attributes,
        attribute_names=("kind: odd", "kind: third"),
        source="made.csv",
        fingerprint="",
    )


def small(*users: int) -> Log:
    """Return 60 rows of users 0…19 with three rows each, and those of further ``users``, one by one."""
    user = np.sort(np.concatenate([np.repeat(np.arange(20), 3), np.array(users, dtype=np.int64)]))
    return replace(log(len(user), timed=False), user=user, time=np.arange(len(user)))


def told(examples: Examples) -> list[list[Any]]:
    arrays = (*examples.inputs.values(), examples.target, *examples.context.values())
    return [np.where(np.isnan(array), -1, array).tolist() for array in arrays]


# === Splits ===


@pytest.mark.parametrize(
    ("timed", "asked", "rule"),
    [
        (True, "auto", "by time: "),
        (True, "time", "by time: "),
        (True, "leave_one_out", "leave one out: "),
        (False, "auto", "leave one out: "),
        (False, "leave_one_out", "leave one out: "),
    ],
)
def test_the_rule_follows_what_there_is(timed: bool, asked: str, rule: str) -> None:
    splits = split(log(timed=timed), config(split=asked), seed=0)
    assert splits.rule.startswith(rule)
    assert sum(map(len, splits.parts().values())) == ROWS


def test_a_split_by_time_needs_times() -> None:
    with pytest.raises(ConfigError, match="--columns timestamp=NAME"):
        split(log(timed=False), config(split="time"), seed=0)


@pytest.mark.parametrize(("validation", "test"), [(0.1, 0.1), (0.2, 0.05), (0.3, 0.4)])
def test_every_later_part_is_later(validation: float, test: float) -> None:
    made = log()
    splits = split(made, config(validation_share=validation, test_share=test), seed=0)
    time = made.time
    assert time[splits.train].max() < time[splits.validation].min()
    assert time[splits.validation].max() < time[splits.test].min()
    assert len(splits.test) / ROWS == pytest.approx(test, abs=0.02)
    assert len(splits.validation) / ROWS == pytest.approx(validation, abs=0.02)


def test_the_rule_names_the_moments() -> None:
    made = replace(log(), time=np.arange(ROWS) * 86_400)
    assert split(made, config(), seed=0).rule == (
        "by time: validation from 1970-11-17 00:00:00, test from 1970-12-27 00:00:00"
    )


@pytest.mark.parametrize("timed", [True, False])
def test_leaving_one_out_takes_each_users_last_rows(timed: bool) -> None:
    made = log(timed=timed)
    splits = split(made, config(split="leave_one_out"), seed=0)
    rows: dict[int, list[int]] = defaultdict(list)
    for row, user in enumerate(made.user.tolist()):
        rows[user].append(row)
    assert splits.test.tolist() == sorted(mine[-1] for mine in rows.values())
    assert splits.validation.tolist() == sorted(mine[-2] for mine in rows.values())


def test_users_with_two_rows_only_train() -> None:
    made = small(20, 20, 21)
    splits = split(made, CONFIG, seed=0)
    assert set(made.user[splits.test]) == set(made.user[splits.validation]) == set(range(20))
    assert len(splits.train) == 23 and {20, 21} < set(made.user[splits.train])
    assert "2 users with fewer than 3 rows are in train only" in splits.notes


def test_the_same_log_gives_the_same_split() -> None:
    first, other = (split(log(), CONFIG, seed=seed) for seed in (0, 1))
    assert all(np.array_equal(*rows) for rows in zip(first.parts().values(), other.parts().values(), strict=True))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (log(49), "found 49 rows"),
        (replace(log(), time=np.zeros(ROWS, np.int64)), r"leaves no rows for train and validation"),
        (replace(log(), time=np.repeat([1, 2], ROWS // 2)), r"leaves no rows for validation\."),
        (replace(log(), user=np.arange(ROWS)), "every user one row to learn from"),
        (replace(log(timed=False), user=np.arange(ROWS) // 2), "leaves no rows for validation and test"),
        (replace(small(), user=np.repeat(np.arange(20), 3)), "every user one row to learn from"),
    ],
)
def test_a_split_that_teaches_or_shows_nothing_is_refused(made: Log, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        split(made, config(validation_share=0.2, test_share=0.3), seed=0)


def test_a_share_as_small_as_can_be_leaves_one_moment() -> None:
    splits = split(log(), config(test_share=1e-17), seed=0)
    assert len(splits.test) >= 1


# === Examples ===


@pytest.mark.parametrize("timed", [True, False])
def test_a_history_is_what_the_user_had_before(timed: bool) -> None:
    made = log(timed=timed)
    splits = split(made, CONFIG, seed=0)
    prepared = prepare(made, splits, CONFIG)
    past: dict[int, list[int]] = defaultdict(list)
    before: dict[int, list[int]] = {}
    for row, (user, item) in enumerate(zip(made.user.tolist(), made.item.tolist(), strict=True)):
        before[row] = list(past[user])
        past[user].append(item)
    for rows, examples in ((splits.validation, prepared.validation), (splits.test, prepared.test)):
        expected = inputs([before[row] for row in rows.tolist()], prepared.plan)
        np.testing.assert_array_equal(examples.inputs["history"], expected["history"])
        np.testing.assert_array_equal(examples.inputs["exclude"], expected["exclude"])
        assert examples.target.tolist() == made.item[rows].tolist() and examples.target.dtype == np.int32
        assert examples.context["length"].tolist() == [len(before[row]) for row in rows]
        assert examples.context["repeat"].tolist() == [made.item[row] in before[row] for row in rows]
        assert examples.context["unit"].tolist() == made.user[rows].tolist()


def test_nothing_of_the_future_changes_an_example() -> None:
    made = log()
    splits = split(made, CONFIG, seed=0)
    shuffled = made.item.copy()
    shuffled[splits.test] = np.random.default_rng(9).permutation(shuffled[splits.test])
    first, other = (prepare(each, splits, CONFIG) for each in (made, replace(made, item=shuffled)))
    assert told(first.train) == told(other.train)
    assert told(first.validation) == told(other.validation)
    assert first.plan == other.plan


def test_training_examples_know_training_rows_only() -> None:
    made = log()
    splits = split(made, CONFIG, seed=0)
    train = prepare(made, splits, CONFIG).train
    shown = train.target > 0
    np.testing.assert_array_equal(np.bincount(train.target[shown]), np.bincount(made.item[splits.train]))
    users = np.unique(made.user[splits.train])
    assert int((shown & (train.inputs["history"] == 0)).sum()) == len(users), "each user's first row, after nothing"
    assert train.inputs["history"].shape == train.target.shape == (len(train), 4)
    assert train.inputs["history"].dtype == train.target.dtype == train.inputs["exclude"].dtype == np.int32
    assert train.inputs["exclude"].shape == (len(train), 5) and train.inputs["exclude"].strides == (0, 0)
    assert set(train.context["unit"]) <= set(made.user[splits.train])


def test_the_age_of_what_follows_is_told_in_days() -> None:
    made = replace(log(), time=np.arange(ROWS) * 86_400)
    splits = split(made, CONFIG, seed=0)
    train = prepare(made, splits, CONFIG).train
    age, shown = train.context["age_days"], train.target > 0
    assert age.dtype == np.float32 and age.shape == train.target.shape
    np.testing.assert_array_equal(np.isnan(age), ~shown)
    row = len(splits.train) - 1 - age[shown].astype(int)
    np.testing.assert_array_equal(made.item[row], train.target[shown])
    assert sorted(row.tolist()) == splits.train.tolist()


def test_without_times_there_is_no_age() -> None:
    made = log(timed=False)
    train = prepare(made, split(made, CONFIG, seed=0), CONFIG).train
    assert np.isnan(train.context["age_days"]).all() and train.context["age_days"].shape == train.target.shape


def test_training_examples_can_be_taken_apart() -> None:
    train = prepare(log(), split(log(), CONFIG, seed=0), CONFIG).train
    some = train.take(np.array([2, 0]))
    assert len(some) == 2 and some.inputs["exclude"].shape == (2, 5) and not some.inputs["exclude"].any()


def test_cold_items_and_users_are_marked() -> None:
    made = log()
    splits = split(made, CONFIG, seed=0)
    item, user = made.item.copy(), made.user.copy()
    item[splits.test[:5]], user[splits.test[3:8]] = 31, 12
    made = replace(made, item=item, user=user, items=(*made.items, "new"), attributes=np.zeros((32, 2), np.uint8))
    test = prepare(made, splits, CONFIG).test
    assert np.flatnonzero(test.context["cold_item"]).tolist() == [0, 1, 2, 3, 4]
    assert np.flatnonzero(test.context["cold_user"]).tolist() == [3, 4, 5, 6, 7]
    assert test.context["length"][3:8].tolist() == [0, 1, 2, 3, 4]
    assert not test.inputs["history"][3].any() and test.inputs["history"][4].tolist() == [0, 0, 0, 31]


# === The plan ===


def test_the_plan_holds_items_and_attributes() -> None:
    made = replace(log(), titles=tuple(f"t{code}" for code in range(30)))
    plan = make_plan(made, CONFIG)
    assert (plan.window, plan.excluded, plan.items, plan.titles) == (4, 5, made.items, made.titles)
    np.testing.assert_array_equal(plan.attribute_matrix(), made.attributes)
    assert Plan.from_json(plan.as_json()) == plan


@pytest.mark.parametrize("names", [("kind: odd", "kind: third"), ()])
def test_attributes_are_left_out_where_they_are_not_wanted(names: tuple[str, ...]) -> None:
    made = replace(log(), attribute_names=names, attributes=log().attributes[:, : len(names)])
    wanted = CONFIG.model_copy(update={"model": CONFIG.model.model_copy(update={"attributes": not names})})
    plan = make_plan(made, wanted)
    assert (plan.attribute_names, plan.attributes) == ((), ()) and Plan.from_json(plan.as_json()) == plan


def test_what_cannot_be_done_is_said() -> None:
    made = log(timed=False)
    notes = prepare(made, split(made, CONFIG, seed=0), CONFIG).notes
    assert any(note.startswith("no times") for note in notes) and any(note.startswith("no titles") for note in notes)
    titled = replace(log(), titles=("t",) * 30)
    (note,) = prepare(titled, split(titled, CONFIG, seed=0), CONFIG).notes
    longest = max(len(set(titled.item[titled.user == user])) for user in range(12))
    assert f"longest history has {longest} items, of which model.window and model.excluded hold 9" in note
    roomy = RetailConfig(model=CONFIG.model.model_copy(update={"excluded": None}))
    made = prepare(titled, split(titled, roomy, seed=0), roomy)
    assert made.notes == () and made.plan.excluded == longest - 4


# === The published sets ===


@needs_beauty
def test_amazon_beauty_has_an_example_for_each_user() -> None:
    made = load(Request(BEAUTY), PUBLISHED, report=print)
    splits = split(made, PUBLISHED, seed=0)
    prepared = prepare(made, splits, PUBLISHED)
    assert (len(prepared.validation), len(prepared.test)) == (22_363, 22_363)
    assert int((prepared.train.target > 0).sum()) == 198_502 - 2 * 22_363
    assert not prepared.test.context["cold_user"].any() and not prepared.test.context["repeat"].any()
    assert prepared.test.inputs["history"][0].tolist() == [0] * 46 + [
        prepared.plan.code_of[name] for name in ("1", "2", "3", "4")
    ]
    assert prepared.plan.items[prepared.test.target[0] - 1] == "5"


@needs_ratings
def test_movielens_is_split_in_time() -> None:
    made = load(Request(RATINGS, {"user": "userid", "item": "movieid"}), PUBLISHED, report=print)
    splits = split(made, PUBLISHED, seed=0)
    assert {name: len(rows) for name, rows in splits.parts().items()} == {
        "train": 80_668, "validation": 10_084, "test": 10_084,
    }  # fmt: skip
    test = prepare(made, splits, PUBLISHED).test
    assert (test.context["cold_item"].sum(), test.context["cold_user"].sum()) == (2_029, 9_154)
    assert (test.inputs["exclude"] > 0).any(axis=1).sum() == (test.context["length"] > 50).sum()
