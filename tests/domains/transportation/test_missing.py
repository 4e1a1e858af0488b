"""What cannot be a reading becomes missing, with counts."""

from __future__ import annotations

import numpy as np

from edgekit.domains.transportation.missing import without_impossible

VALUES = np.array([[0, 65, -1], [np.inf, np.nan, 300]], np.float32)


def test_codes_and_impossible_values_are_missing_and_counted() -> None:
    cleaned, notes = without_impossible(VALUES, code=0.0, low=0.0, high=130.0)
    np.testing.assert_array_equal(cleaned, [[np.nan, 65, np.nan], [np.nan, np.nan, np.nan]])
    assert [note.split(":")[0] for note in notes] == [
        "1 readings (16.67%) are infinite",
        "1 readings (16.67%) are 0, which means missing (data.missing_code)",
        "1 readings (16.67%) are below 0 (data.low)",
        "1 readings (16.67%) are above 130 (data.high)",
    ]


def test_limits_are_possible_and_the_code_is_met_as_written() -> None:
    kept, notes = without_impossible(np.array([0.1, 130], np.float32), low=0.1, high=130.0)
    assert not np.isnan(kept).any() and not notes
    assert np.isnan(without_impossible(np.array([-0.1], np.float32), code=-0.1)[0]).all()


def test_nothing_is_changed_in_place() -> None:
    values = VALUES.copy()
    without_impossible(values, code=0.0)
    np.testing.assert_array_equal(values, VALUES)
