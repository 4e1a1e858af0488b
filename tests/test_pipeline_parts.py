"""The pipeline's own decisions: golden rows, rows evenly spread, and who is compared with whom."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgekit import pipeline
from edgekit.shared.domain import Examples
from edgekit.shared.estimates import Statistic, mean_statistic

DOMAIN: Any = SimpleNamespace(score_output="score")
UNITS = np.arange(200)


# === Golden rows ===


def examples(rows: int) -> tuple[dict[str, np.ndarray], Examples]:
    """Return scores in no order, and rows of which no two hold the same value in any column."""
    inputs = {
        "numeric": np.arange(rows * 3, dtype=np.float32).reshape(rows, 3),
        "codes": np.arange(1, 1 + rows * 2, dtype=np.int32).reshape(rows, 2),
        "history": np.arange(rows * 12, dtype=np.float32).reshape(rows, 4, 3),
    }
    score = np.random.default_rng(0).permutation(rows).astype(np.float32)
    return {"score": score[:, None]}, Examples(inputs, np.zeros(rows))


@pytest.fixture
def golden() -> dict[str, np.ndarray]:
    return pipeline._golden(*examples(100), DOMAIN)


def flat(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Return (row, value): all inputs of a row side by side."""
    return np.concatenate([values.reshape(len(values), -1) for values in arrays.values()], axis=1, dtype=np.float64)


def test_no_golden_row_is_a_real_row(golden: dict[str, np.ndarray]) -> None:
    rows = flat(golden)[:-1]
    real = flat(dict(examples(100)[1].inputs))
    shared = (rows[:, None, :] == real[None, :, :]).sum(axis=2)  # no value occurs in two rows
    assert rows.shape == (pipeline.GOLDEN_ROWS - 1, 17)
    assert shared.sum() == rows.size and shared.max() < 8


def test_golden_values_are_those_of_rows_from_the_lowest_to_the_highest_score(golden: dict[str, np.ndarray]) -> None:
    answers, real = examples(100)
    order = np.argsort(answers["score"][:, 0])
    used = order[pipeline._spread(100, pipeline.GOLDEN_ROWS - 1)]
    assert {order[0], order[-1]} <= set(used)
    np.testing.assert_array_equal(np.sort(flat(golden)[:-1], axis=0), np.sort(flat(real.take(used).inputs), axis=0))


def test_the_last_golden_row_misses_everything(golden: dict[str, np.ndarray]) -> None:
    assert np.isnan(golden["numeric"][-1]).all() and np.isnan(golden["history"][-1]).all()
    assert golden["codes"][-1].tolist() == [0, 0]
    assert not any(np.isnan(golden[name][:-1]).any() for name in golden)


def test_golden_rows_keep_types_and_repeat(golden: dict[str, np.ndarray]) -> None:
    again = pipeline._golden(*examples(100), DOMAIN)
    assert {name: (values.dtype.name, values.shape) for name, values in golden.items()} == {
        "numeric": ("float32", (24, 3)),
        "codes": ("int32", (24, 2)),
        "history": ("float32", (24, 4, 3)),
    }
    assert all(golden[name].tobytes() == again[name].tobytes() for name in golden)


@pytest.mark.parametrize("rows", [1, 2, 22, 23, 24])
def test_few_rows_give_few_golden_rows(rows: int) -> None:
    made = pipeline._golden(*examples(rows), DOMAIN)
    assert {len(values) for values in made.values()} == {min(rows, 23) + 1}


@pytest.mark.parametrize(
    ("rows", "wanted", "expected"),
    [(10, 4, [0, 3, 6, 9]), (3, 24, [0, 1, 2]), (1, 5, [0]), (5, 1, [0]), (5, 2, [0, 4]), (0, 3, [])],
)
def test_rows_are_evenly_spread(rows: int, wanted: int, expected: list[int]) -> None:
    assert pipeline._spread(rows, wanted).tolist() == expected


def test_many_rows_are_spread_once_each() -> None:
    found = pipeline._spread(10**6, 512)
    assert (len(found), found[0], found[-1]) == (512, 0, 10**6 - 1)
    assert np.ptp(np.diff(found)) <= 1


# === The verdict ===


def primary(**means: float) -> dict[str, Statistic]:
    """Return by name the mean of values that scatter alike around ``means``."""
    scatter = np.random.default_rng(0).normal(0, 0.1, len(UNITS))
    scatter -= scatter.mean()
    return {name: mean_statistic(mean + scatter, UNITS) for name, mean in means.items()}


@pytest.mark.parametrize(
    ("higher", "means", "rival", "difference"),
    [
        (True, {"keras": 0.1, "tflite": 0.8, "trees": 0.6, "line": 0.7}, "line", 0.1),
        (True, {"keras": 0.9, "tflite": 0.5, "trees": 0.6, "line": 0.2}, "trees", -0.1),
        (False, {"keras": 0.9, "tflite": 0.2, "trees": 0.6, "line": 0.5}, "line", 0.3),
        (False, {"keras": 0.1, "tflite": 0.9, "trees": 0.6, "line": 0.7}, "trees", -0.3),
        (True, {"keras": 0.9, "trees": 0.6, "line": 0.7}, "line", 0.2),
        (False, {"keras": 0.4, "trees": 0.6, "line": 0.7}, "trees", 0.2),
    ],
)
def test_what_ships_is_compared_with_the_best_rival(
    higher: bool, means: dict[str, float], rival: str, difference: float
) -> None:
    verdict = pipeline.judge(primary(**means), higher_is_better=higher, seed=0)
    assert verdict.best_rival == rival
    assert verdict.difference.value == pytest.approx(difference)
    assert verdict.earns_its_place is (difference > 0)


def test_the_interval_follows_the_seed() -> None:
    rng = np.random.default_rng(1)
    noisy = {name: mean_statistic(rng.normal(0, 1, len(UNITS)), UNITS) for name in ("keras", "trees")}
    first, again, other = (pipeline.judge(noisy, higher_is_better=True, seed=seed) for seed in (0, 0, 1))
    assert first == again and first.difference.low != other.difference.low
