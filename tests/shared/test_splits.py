from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.shared import splits
from edgekit.shared.errors import ConfigError, ContractError

SHARES: dict[str, Any] = {"validation_share": 0.2, "test_share": 0.2}
DAY = 86_400


def together(parts: splits.Splits) -> np.ndarray:
    return np.concatenate(list(parts.parts().values()))


# === By time ===


def test_by_time_without_delay_cuts_in_order() -> None:
    result = splits.by_time(np.arange(100), delay_seconds=0, **SHARES)
    np.testing.assert_array_equal(result.train, np.arange(60))
    np.testing.assert_array_equal(result.validation, np.arange(60, 80))
    np.testing.assert_array_equal(result.test, np.arange(80, 100))
    assert result.notes == ()
    assert result.rule == (
        "by time: validation from 1970-01-01 00:01:00, test from 1970-01-01 00:01:20; labels known after 0 seconds"
    )


def test_the_delay_leaves_a_gap_before_validation_and_test() -> None:
    result = splits.by_time(np.arange(100) * DAY, delay_seconds=7 * DAY, **SHARES)
    np.testing.assert_array_equal(result.train, np.arange(53))
    np.testing.assert_array_equal(result.validation, np.arange(60, 73))
    np.testing.assert_array_equal(result.test, np.arange(80, 100))
    assert result.notes == (
        "7 rows in the 7 days before validation are in no split: their labels were not yet known",
        "7 rows in the 7 days before test are in no split: their labels were not yet known",
    )


def test_rows_in_any_order_come_back_in_order_of_time() -> None:
    times = np.random.default_rng(0).permutation(100)
    result = splits.by_time(times, delay_seconds=5, **SHARES)
    np.testing.assert_array_equal(times[result.train], np.arange(55))
    np.testing.assert_array_equal(times[result.test], np.arange(80, 100))


@settings(max_examples=60, deadline=None)
@given(
    gaps=st.lists(st.integers(0, 3), min_size=60, max_size=120),
    delay=st.integers(0, 15),
    seed=st.integers(0, 100),
)
def test_time_never_leaks(gaps: list[int], delay: int, seed: int) -> None:
    times = np.random.default_rng(seed).permutation(np.cumsum(gaps))
    try:
        result = splits.by_time(times, delay_seconds=delay, **SHARES)
    except ContractError:
        return
    train, validation, test = (times[index] for index in result.parts().values())
    assert validation.min() - train.max() > delay
    assert test.min() - validation.max() > delay
    assert len(np.unique(together(result))) == len(together(result))
    in_gap = int(sum(int(note.split()[0]) for note in result.notes))
    assert len(together(result)) + in_gap == len(times)


def test_rows_of_one_second_stay_on_one_side() -> None:
    times = np.repeat(np.arange(10), 13)
    result = splits.by_time(times, delay_seconds=0, **SHARES)
    sides = [set(times[index]) for index in result.parts().values()]
    assert not (sides[0] & sides[1] or sides[1] & sides[2] or sides[0] & sides[2])
    assert len(together(result)) == 130


def test_a_delay_longer_than_validation_is_refused() -> None:
    with pytest.raises(ContractError, match=r"no rows for validation\. The data span 99 days"):
        splits.by_time(np.arange(100) * DAY, delay_seconds=30 * DAY, **SHARES)


def test_one_second_cannot_be_divided() -> None:
    with pytest.raises(ContractError, match="no rows for train and validation"):
        splits.by_time(np.zeros(100, dtype=np.int64), delay_seconds=0, **SHARES)


def test_positives_in_one_period_are_listed() -> None:
    labels = np.zeros(100, dtype=np.int64)
    labels[88:] = 1
    with pytest.raises(
        ContractError,
        match="Only one class in train and validation. Rows of class 1: 0 of 60 in train, "
        "0 of 20 in validation, 12 of 20 in test",
    ):
        splits.by_time(np.arange(100), delay_seconds=0, labels=labels, **SHARES)


@pytest.mark.parametrize("dtype", ["float64", "datetime64[s]"])
def test_times_are_whole_seconds(dtype: str) -> None:
    with pytest.raises(ContractError, match=f"whole seconds .* got dtype {dtype[:8]}"):
        splits.by_time(np.arange(100).astype(dtype), delay_seconds=0, **SHARES)


def test_a_delay_is_not_negative() -> None:
    with pytest.raises(ConfigError, match="delay_seconds=-1"):
        splits.by_time(np.arange(100), delay_seconds=-1, **SHARES)


# === By group ===


def test_groups_stay_whole_and_all_rows_are_used() -> None:
    groups = np.repeat(np.arange(20), 5)
    result = splits.by_group(groups, seed=1, **SHARES)
    sides = [set(groups[index]) for index in result.parts().values()]
    assert [len(side) for side in sides] == [12, 4, 4]
    assert sides[0] | sides[1] | sides[2] == set(range(20))
    np.testing.assert_array_equal(np.sort(together(result)), np.arange(100))
    assert result.notes == ("groups: 12 train, 4 validation, 4 test",)


def test_groups_may_be_text() -> None:
    groups = np.repeat(np.array(["ann", "bob", "cy", "dee"]), 20)
    result = splits.by_group(groups, seed=0, **SHARES)
    assert [len(index) for index in result.parts().values()] == [40, 20, 20]


def test_three_sick_groups_reach_every_split() -> None:
    groups = np.repeat(np.arange(50), 2)
    labels = np.isin(groups, (3, 17, 40)).astype(np.int64)
    result = splits.by_group(groups, seed=0, labels=labels, **SHARES)
    assert [labels[index].sum() for index in result.parts().values()] == [2, 2, 2]


def test_two_sick_groups_are_refused() -> None:
    groups = np.repeat(np.arange(50), 2)
    labels = np.isin(groups, (3, 17)).astype(np.int64)
    with pytest.raises(ContractError, match=r"Rows of class 1: 4 of \d+ in train, 0 of"):
        splits.by_group(groups, seed=0, labels=labels, **SHARES)


def test_two_groups_are_too_few() -> None:
    with pytest.raises(ContractError, match="at least 3 groups; found 2 in 100 rows"):
        splits.by_group(np.repeat([0, 1], 50), seed=0, **SHARES)


# === Stratified ===


def test_each_class_in_the_same_shares() -> None:
    labels = np.array(["a"] * 70 + ["b"] * 30)
    result = splits.stratified(labels, seed=0, **SHARES)
    assert [int((labels[index] == "b").sum()) for index in result.parts().values()] == [18, 6, 6]
    np.testing.assert_array_equal(np.sort(together(result)), np.arange(100))
    assert result.rule.startswith(splits.STRATIFIED)


def test_three_rows_of_a_class_go_one_to_each_split() -> None:
    labels = np.array([0] * 97 + [1] * 3)
    result = splits.stratified(labels, seed=0, **SHARES)
    assert [labels[index].sum() for index in result.parts().values()] == [1, 1, 1]


@pytest.mark.parametrize("num_rare", [0, 2])
def test_a_class_too_small_is_named(num_rare: int) -> None:
    labels = np.array([0] * (100 - num_rare) + [1] * num_rare)
    with pytest.raises(ContractError, match=f"0: {100 - num_rare} rows"):
        splits.stratified(labels, seed=0, **SHARES)


# === All ===

CUTS: list[Callable[..., splits.Splits]] = [
    lambda n, **shares: splits.by_time(np.arange(n), delay_seconds=0, **shares),
    lambda n, **shares: splits.by_group(np.arange(n) // 2, seed=0, **shares),
    lambda n, **shares: splits.stratified(np.arange(n) % 2, seed=0, **shares),
]


@pytest.mark.parametrize("cut", CUTS)
def test_few_rows_are_refused(cut: Callable[..., splits.Splits]) -> None:
    with pytest.raises(ContractError, match="Found 49 rows; a split needs at least 50"):
        cut(49, **SHARES)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("validation", "test"), [(0.0, 0.2), (0.2, 0.0), (0.5, 0.5), (-0.1, 0.2)])
def test_shares_leave_rows_for_all(cut: Callable[..., splits.Splits], validation: float, test: float) -> None:
    with pytest.raises(ConfigError, match=f"validation_share={validation}, test_share={test}"):
        cut(100, validation_share=validation, test_share=test)


@pytest.mark.parametrize("cut", CUTS)
def test_positions_are_int64(cut: Callable[..., splits.Splits]) -> None:
    assert {index.dtype for index in cut(100, **SHARES).parts().values()} == {np.dtype(np.int64)}


@pytest.mark.parametrize(
    "cut",
    [
        lambda seed: splits.by_group(np.arange(100), seed=seed, **SHARES),
        lambda seed: splits.stratified(np.arange(100) % 2, seed=seed, **SHARES),
    ],
)
def test_the_seed_decides(cut: Callable[[int], splits.Splits]) -> None:
    np.testing.assert_array_equal(together(cut(3)), together(cut(3)))
    assert not np.array_equal(together(cut(3)), together(cut(4)))


def test_labels_and_rows_must_agree() -> None:
    with pytest.raises(ContractError, match="Found 3 labels for 100 rows"):
        splits.by_time(np.arange(100), delay_seconds=0, labels=np.zeros(3), **SHARES)


def test_a_row_in_two_splits_is_refused() -> None:
    with pytest.raises(ContractError, match=r"Row 2 stands in more than one split .* \(1 such"):
        splits.Splits(np.array([0, 2]), np.array([1]), np.array([2, 3]), rule="by hand")
