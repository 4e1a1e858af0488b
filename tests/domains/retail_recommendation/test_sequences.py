"""Windows made for all rows at once equal those made one by one."""

from __future__ import annotations

import time
from collections import Counter, defaultdict

import numpy as np
import pytest

from edgekit.domains.retail_recommendation.features import Plan, inputs
from edgekit.domains.retail_recommendation.log import Log
from edgekit.domains.retail_recommendation.sequences import NO_ROW, group, newest, older, training_windows


def log(user: np.ndarray, item: np.ndarray) -> Log:
    """Return a log of rows that are in order of time already."""
    count = int(item.max())
    return Log(
        user=user.astype(np.int64),
        item=item.astype(np.int32),
        time=np.arange(len(user)),
        timed=True,
        items=tuple(f"i{code}" for code in range(1, count + 1)),
        titles=(),
        attributes=np.zeros((count + 1, 0), np.uint8),
        attribute_names=(),
        source="made",
        fingerprint="",
    )


def random_log(rows: int, *, users: int, items: int, seed: int = 0) -> Log:
    rng = np.random.default_rng(seed)
    item = rng.integers(1, items + 1, rows)
    item[0] = items
    return log(rng.integers(0, users, rows), item)


def one_by_one(made: Log, rows: np.ndarray, plan: Plan) -> dict[str, np.ndarray]:
    """Return what ``features.inputs`` makes of each row's history, walking through the log."""
    past: dict[int, list[int]] = defaultdict(list)
    before: dict[int, list[int]] = {}
    wanted = set(rows.tolist())
    for row, (user, item) in enumerate(zip(made.user.tolist(), made.item.tolist(), strict=True)):
        if row in wanted:
            before[row] = list(past[user])
        past[user].append(item)
    return inputs([before[row] for row in rows.tolist()], plan)


@pytest.mark.parametrize("items", [3, 12, 400])
@pytest.mark.parametrize("limit", [1, 4, 64])
@pytest.mark.parametrize("window", [1, 3, 20])
def test_all_at_once_equals_one_by_one(items: int, limit: int, window: int) -> None:
    made = random_log(900, users=9, items=items)
    rows = np.sort(np.random.default_rng(1).permutation(900)[:300])
    plan = Plan(window, limit, made.items)
    expected = one_by_one(made, rows, plan)
    sequences = group(made)
    np.testing.assert_array_equal(newest(sequences, rows, window=window), expected["history"])
    np.testing.assert_array_equal(older(sequences, rows, window=window, limit=limit), expected["exclude"])


def test_rows_may_come_in_any_order() -> None:
    made = random_log(400, users=3, items=50)
    rows = np.random.default_rng(2).permutation(400)
    found = older(group(made), rows, window=5, limit=20)
    np.testing.assert_array_equal(found, one_by_one(made, rows, Plan(5, 20, made.items))["exclude"])


def test_earlier_rows_are_counted_and_repeats_found() -> None:
    made = log(np.array([0, 1, 0, 0, 1, 0]), np.array([1, 1, 2, 1, 2, 2]))
    sequences, rows = group(made), np.arange(6)
    assert sequences.earlier(rows).tolist() == [0, 0, 1, 2, 1, 3]
    assert sequences.repeats(rows).tolist() == [False, False, False, True, False, True]


# === Training windows ===


def test_windows_are_cut_from_the_end() -> None:
    made = log(np.array([0] * 6 + [1] * 2 + [2]), np.array([1, 2, 3, 4, 5, 6, 7, 8, 9]))
    history, follows, user = training_windows(group(made), np.arange(9), window=3)
    assert history.tolist() == [[3, 4, 5], [0, 1, 2], [0, 0, 7], [0, 0, 0]]
    assert follows.tolist() == [[3, 4, 5], [0, 1, 2], [NO_ROW, 6, 7], [NO_ROW, NO_ROW, 8]]
    assert user.tolist() == [0, 0, 1, 2]
    assert history.dtype == np.int32 and follows.dtype == user.dtype == np.int64


def test_rows_that_are_not_to_be_learnt_from_are_nowhere() -> None:
    made = log(np.zeros(6), np.array([1, 2, 3, 4, 5, 6]))
    history, follows, user = training_windows(group(made), np.array([0, 2, 5]), window=4)
    assert history.tolist() == [[0, 0, 1, 3]] and follows.tolist() == [[NO_ROW, 0, 2, 5]] and user.tolist() == [0]


@pytest.mark.parametrize("window", [1, 2, 7, 300])
def test_every_row_is_a_target_once_after_the_items_before_it(window: int) -> None:
    made = random_log(500, users=20, items=30)
    train = np.sort(np.random.default_rng(3).permutation(500)[:350])
    history, follows, user = training_windows(group(made), train, window=window)
    past: dict[int, list[int]] = defaultdict(list)
    expected: Counter[tuple[int, int, int]] = Counter()  # user, the item before or 0, the row
    for row in train.tolist():
        who = int(made.user[row])
        expected[who, past[who][-1] if past[who] else 0, row] += 1
        past[who].append(int(made.item[row]))
    shown = follows != NO_ROW
    owner = np.broadcast_to(user[:, None], follows.shape)
    found = zip(owner[shown].tolist(), history[shown].tolist(), follows[shown].tolist(), strict=True)
    assert Counter(found) == expected
    assert not history[~shown].any() and (np.diff(shown.astype(int), axis=1) >= 0).all(), "what is none is in front"
    first = (history == 0) & shown
    assert first.sum() == len(past), "one empty history a user"


@pytest.mark.parametrize("window", [2, 7, 300])
def test_a_window_goes_on_where_the_one_before_it_ends(window: int) -> None:
    made = random_log(500, users=9, items=30)
    history, follows, user = training_windows(group(made), np.arange(500), window=window)
    target = np.where(follows == NO_ROW, 0, made.item[follows])
    inside = history[:, 1:] > 0
    np.testing.assert_array_equal(history[:, 1:][inside], target[:, :-1][inside])
    full = (follows != NO_ROW).all(axis=1)
    newest_of_user = np.append(True, user[1:] != user[:-1])
    oldest_of_user = np.append(user[1:] != user[:-1], True)
    assert full[~oldest_of_user].all(), "only the oldest window of a user may be short"
    last_row = [np.flatnonzero(made.user == who)[-1] for who in user[newest_of_user]]
    assert follows[newest_of_user, -1].tolist() == last_row, "cut from the end"


def test_a_user_with_one_row_teaches_what_newcomers_begin_with() -> None:
    history, follows, user = training_windows(group(log(np.arange(4), np.arange(1, 5))), np.arange(4), window=3)
    assert not history.any() and history.shape == (4, 3) and user.tolist() == [0, 1, 2, 3]
    assert follows.tolist() == [[NO_ROW, NO_ROW, row] for row in range(4)]


# === Size ===


@pytest.mark.parametrize(("users", "items"), [(20_000, 10_000), (200, 5_000)])
def test_two_hundred_thousand_rows_take_no_time(users: int, items: int) -> None:
    made = random_log(200_000, users=users, items=items)
    start = time.process_time()
    sequences, rows = group(made), np.arange(160_000, 200_000)
    newest(sequences, rows, window=50)
    older(sequences, rows, window=50, limit=256)
    training_windows(sequences, np.arange(160_000), window=50)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("items", [40, 1000, 90_000])
def test_a_user_with_a_hundred_thousand_events_works(items: int) -> None:
    rng = np.random.default_rng(0)
    item = np.append(rng.integers(1, items + 1, 100_000), items)
    made = log(np.zeros(100_001), item)
    rows = np.arange(98_000, 100_001)
    start = time.process_time()
    found = older(group(made), rows, window=50, limit=256)
    assert time.process_time() - start < 5
    expected = one_by_one(made, rows[-2:], Plan(50, 256, made.items))["exclude"]
    np.testing.assert_array_equal(found[-2:], expected)
