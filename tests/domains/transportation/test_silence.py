"""Sensors that fall silent: as many as asked for, whole windows, others for each example, and nothing else changed."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.transportation.silence import SHARES, silenced
from edgekit.shared.errors import ConfigError


def inputs(num: int = 200, sensors: int = 20) -> dict[str, np.ndarray]:
    readings = np.random.default_rng(0).uniform(1, 99, (num, 12, sensors)).astype(np.float32)
    return {"readings": readings, "moment": np.zeros((num, 2), np.int32)}


def silent(given: dict[str, np.ndarray]) -> np.ndarray:
    """Return bool (example, sensor)."""
    missing = np.isnan(given["readings"])
    np.testing.assert_array_equal(missing.all(axis=1), missing.any(axis=1))
    return np.asarray(missing.all(axis=1))


@pytest.mark.parametrize(
    ("share", "sensors", "count"),
    [(0.0, 20, 0), (0.1, 20, 2), (0.3, 20, 6), (0.5, 207, 104), (1.0, 20, 20), (0.1, 3, 1)],
)
def test_that_share_of_the_sensors_is_silent_in_every_example(share: float, sensors: int, count: int) -> None:
    assert (silent(silenced(inputs(sensors=sensors), share, 0)).sum(axis=1) == count).all()


def test_what_is_not_silent_stays_and_the_given_arrays_are_not_touched() -> None:
    given = inputs()
    before = given["readings"].copy()
    made = silenced(given, 0.3, 0)
    np.testing.assert_array_equal(given["readings"], before)
    np.testing.assert_array_equal(np.where(np.isnan(made["readings"]), before, made["readings"]), before)
    assert made["moment"] is given["moment"] and made["readings"].dtype == np.float32


def test_readings_that_may_not_be_written_to_are_copied() -> None:
    given = inputs()
    given["readings"] = np.lib.stride_tricks.sliding_window_view(given["readings"][:, 0], 12, axis=0).transpose(0, 2, 1)
    assert silent(silenced(given, 0.5, 0)).mean() == 0.5


def test_every_example_and_every_sensor_has_its_turn() -> None:
    made = silent(silenced(inputs(), 0.3, 0))
    assert len(np.unique(made, axis=0)) > 190
    assert made.mean(axis=0).min() > 0.15 and made.mean(axis=0).max() < 0.45


def test_the_same_seed_silences_the_same_sensors() -> None:
    first, again, other = (silent(silenced(inputs(), 0.3, seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_larger_share_holds_the_smaller_one() -> None:
    few, some, many = (silent(silenced(inputs(), share, 0)) for share in SHARES)
    assert (few <= some).all() and (some <= many).all()


@pytest.mark.parametrize("share", [-0.1, 1.1, np.nan])
def test_a_share_lies_between_nothing_and_all(share: float) -> None:
    with pytest.raises(ConfigError, match="within 0…1; got"):
        silenced(inputs(), share, 0)
