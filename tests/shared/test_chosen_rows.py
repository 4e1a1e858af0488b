"""Golden rows travel inside a device file: real values over the whole range, and nobody's row."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.shared.chosen_rows import GOLDEN_ROWS, shuffled_rows, spread
from edgekit.shared.domain import Examples


def examples(rows: int) -> tuple[Examples, np.ndarray]:
    """Return rows of which no two hold the same value in any column, and scores in no order."""
    inputs = {
        "numeric": np.arange(rows * 3, dtype=np.float32).reshape(rows, 3),
        "codes": np.arange(1, 1 + rows * 2, dtype=np.int32).reshape(rows, 2),
        "history": np.arange(rows * 12, dtype=np.float32).reshape(rows, 4, 3),
    }
    score = np.random.default_rng(0).permutation(rows).astype(np.float32)
    return Examples(inputs, np.zeros(rows)), score[:, None]


@pytest.fixture
def golden() -> dict[str, np.ndarray]:
    return shuffled_rows(*examples(100))


def flat(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Return (row, value): all inputs of a row side by side."""
    return np.concatenate([values.reshape(len(values), -1) for values in arrays.values()], axis=1, dtype=np.float64)


def test_no_golden_row_is_a_real_row(golden: dict[str, np.ndarray]) -> None:
    rows = flat(golden)[:-1]
    real = flat(dict(examples(100)[0].inputs))
    shared = (rows[:, None, :] == real[None, :, :]).sum(axis=2)  # no value occurs in two rows
    assert rows.shape == (GOLDEN_ROWS - 1, 17)
    assert shared.sum() == rows.size and shared.max() < 8


def test_golden_values_are_those_of_rows_from_the_lowest_to_the_highest_score(golden: dict[str, np.ndarray]) -> None:
    real, score = examples(100)
    order = np.argsort(score[:, 0])
    used = order[np.linspace(0, 99, GOLDEN_ROWS - 1).astype(int)]
    assert {order[0], order[-1]} <= set(used)
    np.testing.assert_array_equal(np.sort(flat(golden)[:-1], axis=0), np.sort(flat(real.take(used).inputs), axis=0))


def test_of_several_scores_the_highest_counts() -> None:
    real, score = examples(100)
    lower = np.full_like(score, -1.0)
    assert {name: values.tobytes() for name, values in shuffled_rows(real, score).items()} == {
        name: values.tobytes() for name, values in shuffled_rows(real, np.hstack([lower, score, lower])).items()
    }


def test_the_last_golden_row_misses_everything(golden: dict[str, np.ndarray]) -> None:
    assert np.isnan(golden["numeric"][-1]).all() and np.isnan(golden["history"][-1]).all()
    assert golden["codes"][-1].tolist() == [0, 0]
    assert not any(np.isnan(golden[name][:-1]).any() for name in golden)


def test_golden_rows_keep_types_and_repeat(golden: dict[str, np.ndarray]) -> None:
    again = shuffled_rows(*examples(100))
    assert {name: (values.dtype.name, values.shape) for name, values in golden.items()} == {
        "numeric": ("float32", (24, 3)),
        "codes": ("int32", (24, 2)),
        "history": ("float32", (24, 4, 3)),
    }
    assert all(golden[name].tobytes() == again[name].tobytes() for name in golden)


@pytest.mark.parametrize("rows", [1, 2, 22, 23, 24])
def test_few_rows_give_few_golden_rows(rows: int) -> None:
    made = shuffled_rows(*examples(rows))
    assert {len(values) for values in made.values()} == {min(rows, 23) + 1}


@pytest.mark.parametrize(
    ("rows", "wanted", "expected"),
    [(10, 4, [0, 3, 6, 9]), (3, 24, [0, 1, 2]), (1, 5, [0]), (5, 1, [0]), (5, 2, [0, 4]), (0, 3, [])],
)
def test_rows_are_evenly_spread(rows: int, wanted: int, expected: list[int]) -> None:
    assert spread(rows, wanted).tolist() == expected


def test_many_rows_are_spread_once_each() -> None:
    found = spread(10**6, 512)
    assert (len(found), found[0], found[-1]) == (512, 0, 10**6 - 1)
    assert np.ptp(np.diff(found)) <= 1
