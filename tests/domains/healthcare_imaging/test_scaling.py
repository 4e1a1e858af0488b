"""Raw values to 8 bits: percentiles, and what is no number."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.healthcare_imaging import scaling
from edgekit.domains.healthcare_imaging.scaling import grey_if_equal, percentiles, to_bytes


def test_percentiles_leave_out_a_thousandth_on_both_sides() -> None:
    low, high = percentiles(np.arange(1001.0).reshape(7, 143))
    assert (low, high) == pytest.approx((1.0, 999.0))


def test_percentiles_of_many_values_look_at_some_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(500, 100, (400, 100))
    whole = percentiles(values)
    monkeypatch.setattr(scaling, "SAMPLE", 10_000)
    some = percentiles(values)
    assert some != whole and some == pytest.approx(whole, abs=30)


def test_percentiles_count_valid_and_finite_values_only() -> None:
    values = np.array([[np.nan, np.inf, -np.inf, 5.0, 9.0, 1e9]])
    valid = np.array([[True, True, True, True, True, False]])
    assert percentiles(values, valid) == pytest.approx((5.004, 8.996))
    assert percentiles(values[:, :3]) == (0.0, 0.0)


def test_values_are_scaled_clipped_and_rounded() -> None:
    made = to_bytes(np.array([-5, 10, 11, 12, 20, 99], np.int16), 10.0, 20.0)
    assert made.tolist() == [0, 0, 26, 51, 255, 255] and made.dtype == np.uint8


def test_what_is_no_number_becomes_dark_or_bright() -> None:
    assert to_bytes(np.array([np.nan, np.inf, -np.inf, 0.5]), 0.0, 1.0).tolist() == [0, 255, 0, 128]


def test_a_flat_image_becomes_black() -> None:
    assert to_bytes(np.full((2, 3), 7), 7.0, 7.0).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_the_largest_floats_do_not_overflow() -> None:
    large = float(np.finfo(np.float64).max)
    assert to_bytes(np.array([-large, 0.0, large]), -large, large).tolist() == [0, 128, 255]


def test_blocks_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(3, 17, 5))
    whole = to_bytes(values, -1.0, 1.0)
    monkeypatch.setattr(scaling, "_BLOCK", 7)
    np.testing.assert_array_equal(to_bytes(values, -1.0, 1.0), whole)


def test_equal_channels_become_grey() -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    rgb = np.stack([grey] * 3, axis=-1)
    assert grey_if_equal(rgb).tolist() == grey.tolist()
    rgb[1, 2, 2] += 1
    assert grey_if_equal(rgb) is rgb
