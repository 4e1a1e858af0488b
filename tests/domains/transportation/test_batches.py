"""Training batches: each window once, the same for the same seed, and sensors that fall silent as often as said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.domains.transportation.batches import OFTEN, SINGLE_OFTEN, SINGLE_SHARE, batches, draw, silenced
from edgekit.domains.transportation.config import TrafficTrainingSettings
from edgekit.shared.domain import Examples

WINDOW, HORIZON, SENSORS = 4, 2, 3
Batch = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


def settings(batch_size: int = 5, silent: float = 0.5) -> TrafficTrainingSettings:
    return TrafficTrainingSettings(batch_size=batch_size, silent=silent)


def examples(rows: int = 22) -> Examples:
    """Return windows whose readings, moment and target all tell the row."""
    row = np.arange(rows, dtype=np.float32)
    shapes = ((rows, WINDOW, SENSORS), (rows, HORIZON, SENSORS))
    readings, target = (np.broadcast_to(row[:, None, None], shape) for shape in shapes)
    moment = np.stack([np.arange(rows), np.zeros(rows)], axis=1).astype(np.int32)
    return Examples({"readings": readings, "moment": moment}, target)


def epoch(dataset: Any) -> list[Batch]:
    return [({n: v.numpy() for n, v in given.items()}, {n: v.numpy() for n, v in truth.items()})
            for given, truth in dataset]  # fmt: skip


def same(one: list[Batch], other: list[Batch]) -> bool:
    return all(
        np.array_equal(first[side][name], second[side][name], equal_nan=True)
        for first, second in zip(one, other, strict=True)
        for side in (0, 1)
        for name in first[side]
    )


@pytest.mark.parametrize(
    ("rows", "size", "sizes"), [(22, 5, [5, 5, 5, 5, 2]), (20, 5, [5] * 4), (3, 16, [3]), (2, 1, [1, 1])]
)
def test_each_window_comes_once_and_their_number_is_known(rows: int, size: int, sizes: list[int]) -> None:
    dataset = batches(examples(rows), settings(size), seed=0)
    made = epoch(dataset)
    assert [len(given["moment"]) for given, _ in made] == sizes and int(dataset.cardinality()) == len(sizes)
    assert sorted(int(row) for given, _ in made for row in given["moment"][:, 0]) == list(range(rows))


def test_a_window_keeps_its_target_which_is_the_same_for_each_output() -> None:
    for given, truth in epoch(batches(examples(), settings(silent=0.0), seed=0)):
        assert set(truth) == {"median", "low", "high"}
        row = given["moment"][:, 0].astype(np.float32)
        for target in truth.values():
            assert target.dtype == np.float32 and target.shape == (len(row), HORIZON, SENSORS)
            np.testing.assert_array_equal(target[:, 0, 0], row)
        readings = given["readings"]
        expected = np.where(np.isnan(readings), np.nan, row[:, None, None])
        np.testing.assert_array_equal(readings, expected)


def test_missing_targets_stay_missing() -> None:
    given = examples()
    target = given.target.copy()
    target[::2] = np.nan
    made = epoch(batches(Examples(given.inputs, target), settings(), seed=0))
    assert sum(np.isnan(truth["low"][:, 0, 0]).sum() for _, truth in made) == 11


def test_the_same_seed_gives_the_same_batches_and_another_epoch_others() -> None:
    first, again, other = (batches(examples(), settings(), seed=seed) for seed in (3, 3, 4))
    one, two = epoch(first), epoch(first)
    assert same(one, epoch(again)) and not same(one, epoch(other)) and not same(one, two)
    orders = [[row for given, _ in made for row in given["moment"][:, 0].tolist()] for made in (one, two)]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])


def test_the_examples_are_not_written_to() -> None:
    given = examples()
    readings = given.inputs["readings"].copy()
    given.inputs["readings"] = readings
    list(draw(given, settings(silent=0.9), np.random.default_rng(0)))
    assert np.isfinite(readings).all()


# === Silence ===


def gaps(most: float, windows: int = 4000, sensors: int = 20, seed: int = 0) -> np.ndarray:
    """Return bool (window, step, sensor): what is missing."""
    made = silenced(np.ones((windows, 6, sensors), np.float32), most, np.random.default_rng(seed))
    assert made.dtype == np.float32
    return np.isnan(made)


def test_every_other_window_has_silent_sensors_up_to_the_share() -> None:
    silent = gaps(0.6).all(axis=1)
    share = silent.mean(axis=1)
    assert share.mean() == pytest.approx(OFTEN * 0.3, abs=0.01)
    assert (share > 0).mean() == pytest.approx(0.47, abs=0.03)  # a small share may hit none of 20
    assert np.quantile(share, 0.995) > 0.55 and share.max() < 0.9


def test_sensors_fall_silent_for_the_whole_window_each_as_often() -> None:
    missing = gaps(0.5)
    by_sensor = missing.all(axis=1).mean(axis=0)
    assert by_sensor.min() > 0.1 and by_sensor.max() < 0.15
    single = (missing & ~missing.all(axis=1, keepdims=True)).any(axis=(1, 2))
    assert single.mean() == pytest.approx(SINGLE_OFTEN, abs=0.02)


def test_without_silence_single_readings_are_lost() -> None:
    missing = gaps(0.0)
    assert missing.mean() == pytest.approx(SINGLE_OFTEN * SINGLE_SHARE / 2, abs=0.003)
    assert missing.any(axis=(1, 2)).mean() == pytest.approx(SINGLE_OFTEN, abs=0.02)


def test_what_was_missing_stays_missing_and_the_rest_as_it_was() -> None:
    given = np.random.default_rng(0).normal(size=(200, 6, 5)).astype(np.float32)
    given[:, 2, 1] = np.nan
    made = silenced(given, 0.5, np.random.default_rng(0))
    assert np.isnan(made[:, 2, 1]).all()
    np.testing.assert_array_equal(made, np.where(np.isnan(made), np.nan, given))
