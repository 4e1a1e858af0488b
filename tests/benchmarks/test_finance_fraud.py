"""The Handbook's protocol: which rows a fold trains on and tests on, and how folds are averaged."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edgekit.shared.contract import Table
from edgekit.shared.estimates import Statistic

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
DAY = 86_400


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module("finance_fraud")
    finally:
        sys.path.remove(str(SCRIPTS))


def table(rows: list[tuple[int, str, int]]) -> Table:
    day, customer, label = zip(*rows, strict=True)
    columns = {
        "timestamp": np.array(day, dtype=np.int64) * DAY,
        "customer": np.array(customer, dtype=object),
        "label": np.array(label, dtype=np.int8),
    }
    return Table(columns, (), {}, "test", "")


def test_a_fold_trains_on_a_week_and_tests_a_week_after_the_delay(benchmark: ModuleType) -> None:
    fold = benchmark.fold(table([(day, "a", 0) for day in range(40)]), 10)
    assert fold.validation.tolist() == list(range(3, 10))
    assert fold.train.tolist() == list(range(10, 17))
    assert fold.test.tolist() == list(range(24, 31))


@pytest.mark.parametrize(
    ("fraud_day", "first_day_removed"),
    [
        (9, None),  # before the training week: not known to this protocol
        (10, 24),  # in the training week: removed from the first test day
        (16, 24),
        (17, 25),  # known after more than seven days
        (22, 30),
        (23, None),  # known only after the test week
    ],
)
def test_known_victims_leave_when_the_label_is_known(
    benchmark: ModuleType, fraud_day: int, first_day_removed: int | None
) -> None:
    rows = [(day, "a", int(day == fraud_day)) for day in range(31)]
    tested = benchmark.fold(table(rows), 10).test.tolist()
    assert tested == [day for day in range(24, 31) if first_day_removed is None or day < first_day_removed]


def test_folds_are_averaged_and_resampled_jointly(benchmark: ModuleType) -> None:
    values = [np.array([1.0, 3.0]), np.array([10.0])]
    folds = [Statistic(lambda weight, v=v: float(np.average(v, weights=weight)), np.arange(len(v))) for v in values]
    joined = benchmark.joined(folds)
    assert joined.compute(None) == pytest.approx((2 + 10) / 2)
    assert joined.compute(np.array([0.0, 2.0, 1.0])) == pytest.approx((3 + 10) / 2)
    assert joined.units.tolist() == [0, 1, 0]
