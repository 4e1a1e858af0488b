"""Synthetic scans: repeatable, fair between the classes, with lesions where the masks say."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import pytest

from edgekit.domains.healthcare_imaging import synthesis
from edgekit.domains.healthcare_imaging.config import ImagingConfig, SyntheticSettings
from edgekit.domains.healthcare_imaging.scans import Scans
from edgekit.shared.errors import ConfigError


@lru_cache
def scans(patients: int = 200, size: int = 48, seed: int = 0) -> Scans:
    return synthesis.synthesize(ImagingConfig(synthetic=SyntheticSettings(patients=patients, size=size)), seed=seed)


def test_the_same_seed_gives_the_same_scans() -> None:
    first = scans()
    again = synthesis.synthesize(ImagingConfig(synthetic=SyntheticSettings(patients=200, size=48)), seed=0)
    other = scans(seed=1)
    np.testing.assert_array_equal(first.images, again.images)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.fingerprint == hashlib.sha256(first.images.tobytes() + first.labels.tobytes()).hexdigest()


def test_the_set_is_described_in_full() -> None:
    found = scans()
    count = len(found)
    assert found.images.shape == (count, 48, 48, 1) and found.images.dtype == np.uint8
    assert found.labels.dtype == np.int64 and found.classes == ("normal", "lesion")
    assert found.source == "edgekit synthetic scans" and "seed 0" in found.notes[0]
    assert {name: set(values) for name, values in found.groups.items()} == {
        "sex": {"F", "M"},
        "age": {"20-39", "40-59", "60-79"},
        "site": {"north", "south", "east"},
    }
    assert all(values.shape == (count,) for values in found.groups.values())


def test_each_patient_has_one_to_three_images_of_one_class_and_site() -> None:
    found = scans()
    assert found.patient is not None
    assert set(np.bincount(found.patient)) == {1, 2, 3}
    sites = np.unique(found.groups["site"], return_inverse=True)[1]
    assert len(np.unique(np.stack([found.patient, found.labels, sites]), axis=1).T) == 200
    ill = np.unique(found.patient[found.labels == 1])
    assert len(ill) == 70  # 35 % of 200


def test_all_images_of_the_ill_show_lesions_and_no_others_do() -> None:
    found = scans()
    assert found.lesions is not None and found.lesions.shape == found.images.shape[:3]
    np.testing.assert_array_equal(found.lesions.any(axis=(1, 2)), found.labels == 1)
    area = found.lesions[found.labels == 1].mean(axis=(1, 2))
    assert area.min() > 0.001 and area.max() < 0.05


def test_a_lesion_brightens_its_mask_and_leaves_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    with_lesions = scans()
    monkeypatch.setattr(synthesis, "LESION_CONTRAST", (1e-9, 2e-9))
    without = synthesis.synthesize(ImagingConfig(synthetic=SyntheticSettings(patients=200, size=48)), seed=0)
    added = with_lesions.images[..., 0].astype(int) - without.images[..., 0]
    assert with_lesions.lesions is not None
    mask, ill = with_lesions.lesions, with_lesions.labels == 1
    assert not added[~ill].any() and added.min() >= -1
    per_image = np.array([image[where].mean() for image, where in zip(added[ill], mask[ill], strict=True)])
    assert per_image.min() > 3 and np.ptp(per_image) > 50  # from barely visible to plain
    assert added[ill][~mask[ill]].mean() < 0.05 * per_image.mean()


def test_sites_differ_and_classes_do_not_in_brightness() -> None:
    found = scans(patients=400)
    level = found.images.mean(axis=(1, 2, 3))
    north, south = (level[found.groups["site"] == name].mean() for name in ("north", "south"))
    assert south > north + 4
    plain = level[found.labels == 0].mean()
    assert level[found.labels == 1].mean() == pytest.approx(plain, abs=4)
    share = {name: found.labels[found.groups["site"] == name].mean() for name in synthesis.SITES}
    assert max(share.values()) - min(share.values()) < 0.2


def test_dots_and_rings_are_drawn_in_both_classes_alike() -> None:
    ill = np.arange(1000) % 2
    marks = synthesis.draw_anatomy(np.random.default_rng(0), ill).marks[..., 3] > 0
    assert marks.mean() == pytest.approx(0.5, abs=0.03)
    assert marks[ill == 1].mean() == pytest.approx(marks[ill == 0].mean(), abs=0.05)


def test_images_of_a_patient_resemble_each_other_more_than_those_of_others() -> None:
    found = scans()
    assert found.patient is not None
    north = np.flatnonzero(found.groups["site"] == "north")
    flat = found.images[north].reshape(len(north), -1).astype(float)
    alike = np.corrcoef(flat)
    same = found.patient[north][:, None] == found.patient[north]
    np.fill_diagonal(alike, np.nan)
    assert np.nanmean(alike[same]) > np.nanmean(alike[~same]) + 0.01


def test_scans_are_neither_black_nor_washed_out() -> None:
    images = scans().images
    assert 70 < images.mean() < 150
    assert (images == 255).mean() < 0.01
    assert images.std(axis=(1, 2, 3)).min() > 20


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (64, 3), (512, 1)])
def test_golden_scans_of_any_size_end_with_black_and_a_ramp(size: int, channels: int) -> None:
    images = synthesis.golden_scans(4, size=size, channels=channels, seed=0)
    assert images.shape == (4, size, size, channels) and images.dtype == np.uint8
    assert not images[2].any()
    ramp = images[3]
    assert ramp[0, 0].tolist() == [0] * channels and ramp[-1, -1].tolist() == [255] * channels
    assert (np.diff(ramp[0, :, 0].astype(int)) >= 0).all() and (ramp == ramp[:1]).all()
    assert images[0].std() > 20 and not np.array_equal(images[0], images[1])
    np.testing.assert_array_equal(images, synthesis.golden_scans(4, size=size, channels=channels, seed=0))


def test_channels_of_golden_colour_scans_can_be_told_apart() -> None:
    first = synthesis.golden_scans(3, size=32, channels=3, seed=0)[0].mean(axis=(0, 1))
    assert first[0] > first[1] + 5 > first[2] + 10


@pytest.mark.parametrize(("count", "channels"), [(2, 1), (3, 4)])
def test_golden_scans_refuse_what_they_cannot_be(count: int, channels: int) -> None:
    with pytest.raises(ConfigError, match=f"count={count}, channels={channels}"):
        synthesis.golden_scans(count, size=32, channels=channels, seed=0)
