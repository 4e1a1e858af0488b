"""Window sums against pandas and against the plainest Python."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edgekit.domains.finance_fraud import windows

DAY = 86_400
ROWS = 400


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Return rows in time order, many of them in the same second."""
    rng = np.random.default_rng(4)
    seconds = np.sort(rng.integers(0, 40, ROWS)) * 43_200 + 1_522_540_800
    entity = rng.integers(0, 5, ROWS)
    return pd.DataFrame({"seconds": seconds, "entity": entity, "cents": rng.integers(-500, 90_000, ROWS)})


def sums(rows: pd.DataFrame, seconds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return count and sum of the entity's rows in (t - seconds, t], the row itself included."""
    grouped = windows.group(rows["entity"].to_numpy(), rows["seconds"].to_numpy(), longest=30 * DAY)
    total = windows.running(grouped, rows["cents"].to_numpy())
    start, here = grouped.since(seconds), grouped.before()
    return grouped.in_row_order(here + 1 - start), grouped.in_row_order(total[here + 1] - total[start])


@pytest.mark.parametrize("days", [1, 7, 30])
def test_windows_are_those_of_pandas(rows: pd.DataFrame, days: int) -> None:
    dated = rows.assign(time=pd.to_datetime(rows["seconds"], unit="s"), row=np.arange(ROWS))
    rolling = dated.groupby("entity").rolling(f"{days}D", on="time")["cents"]
    order = dated.sort_values(["entity", "row"])["row"].to_numpy()
    count, total = sums(rows, days * DAY)
    np.testing.assert_array_equal(count[order], rolling.count().to_numpy().astype(np.int64))
    np.testing.assert_array_equal(total[order], rolling.sum().round().to_numpy().astype(np.int64))


@pytest.mark.parametrize("days", [1, 7, 30])
def test_windows_are_those_of_a_loop(rows: pd.DataFrame, days: int) -> None:
    plain = list(rows.itertuples(index=False))

    def inside(number: int) -> list[int]:
        row = plain[number]
        own = [before for before in plain[: number + 1] if before.entity == row.entity]
        return [before.cents for before in own if before.seconds > row.seconds - days * DAY]

    count, total = sums(rows, days * DAY)
    assert count.tolist() == [len(inside(number)) for number in range(ROWS)]
    assert total.tolist() == [sum(inside(number)) for number in range(ROWS)]


def test_a_row_exactly_as_old_as_the_window_is_out() -> None:
    grouped = windows.group(np.zeros(3, np.int64), np.array([0, 1, DAY]), longest=30 * DAY)
    assert grouped.since(DAY).tolist() == [0, 0, 1]


def test_ties_are_taken_in_the_order_of_the_rows() -> None:
    grouped = windows.group(np.array([0, 1, 0, 0]), np.array([5, 5, 5, 5]), longest=DAY)
    here, start = grouped.before(), grouped.since(DAY)
    assert grouped.in_row_order(here - start).tolist() == [0, 0, 1, 2]


def test_entities_never_touch() -> None:
    seconds = np.repeat(np.array([-5 * DAY, 0, 300 * DAY]), 2)
    grouped = windows.group(np.array([1, 0, 0, 1, 1, 0]), seconds, longest=400 * DAY)
    assert grouped.in_row_order(grouped.since(400 * DAY) == grouped.first).all()


def test_sums_of_large_amounts_are_exact() -> None:
    cents = np.full(100_000, 10**9 - 1)
    grouped = windows.group(np.zeros(100_000, np.int64), np.arange(100_000), longest=DAY)
    total = windows.running(grouped, cents)
    assert total[-1] - total[-2] == 10**9 - 1 and total[-1] == 100_000 * (10**9 - 1)
