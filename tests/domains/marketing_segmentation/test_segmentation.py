"""Code and segments: in order of foreseen spend, the same each time, and no more than there are differences."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation import segmentation
from edgekit.domains.marketing_segmentation.features import BEHAVIOUR, NAMES
from edgekit.domains.marketing_segmentation.segmentation import (
    OUTLOOK,
    Segmentation,
    distances,
    fit_segmentation,
    parts,
    targets,
)
from edgekit.domains.marketing_segmentation.stability import adjusted_rand
from edgekit.domains.marketing_segmentation.standards import WIDTH
from edgekit.shared.domain import Examples
from edgekit.shared.errors import ConfigError

KINDS = np.repeat(np.arange(3), 60)


def shop(*, unlabelled: bool = True, seed: int = 0) -> Examples:
    """Return three kinds of customers, the later ones ordering and spending more, with and without their future."""
    rng = np.random.default_rng(seed)
    size = np.array([1.0, 6.0, 40.0])[KINDS]
    known = (size[:, None] * rng.lognormal(0, 0.2, (len(KINDS), len(NAMES)))).astype(np.float32)
    known[rng.random(known.shape) < 0.05] = np.nan
    orders = rng.poisson(size / 8)
    target = np.stack([orders, orders * 10.0 * size], axis=1).astype(np.float32)
    units = np.arange(len(KINDS))
    labelled = Examples({BEHAVIOUR: known}, target, {"unit": units})
    if not unlabelled:
        return labelled
    later = known * rng.lognormal(0, 0.1, known.shape).astype(np.float32)
    return Examples(
        {BEHAVIOUR: np.concatenate([known, later])},
        np.concatenate([target, np.full_like(target, np.nan)]),
        {"unit": np.concatenate([units, units])},
    )


def alike(different: int) -> Examples:
    """Return customers of so many different behaviours, a fifth of whom come back."""
    rng = np.random.default_rng(0)
    levels = rng.lognormal(2, 1, (different, len(NAMES))).astype(np.float32)
    orders = np.arange(100) % 5 == 0
    target = np.stack([orders, 10 * orders], axis=1).astype(np.float32)
    return Examples({BEHAVIOUR: levels[np.arange(100) % different]}, target, {"unit": np.arange(100)})


def fit(segments: int = 3, *, code: int = 5, train: Examples | None = None) -> Segmentation:
    return fit_segmentation(train or shop(), segments=segments, code=code)


def test_three_kinds_are_found_in_order_of_what_they_spend() -> None:
    later = shop(seed=1)
    labels = fit().labels(later.inputs[BEHAVIOUR])
    assert adjusted_rand(labels, np.tile(KINDS, 2)) > 0.95
    np.testing.assert_array_equal(labels[[0, 60, 120]], [0, 1, 2])


@pytest.mark.parametrize("segments", [2, 3, 5, 8])
def test_segments_are_in_order_of_foreseen_spend(segments: int) -> None:
    made = fit(segments)
    assert made.centres.shape == (segments, 5) and (np.diff(made.centres[:, 0]) > 0).all()
    assert made.variance > 0 and set(made.labels(shop().inputs[BEHAVIOUR])) == set(range(segments))


@pytest.mark.parametrize("seed", range(2))
def test_the_first_number_of_the_code_foresees_spend(seed: int) -> None:
    later = shop(unlabelled=False, seed=seed + 1)
    code = fit().code(later.inputs[BEHAVIOUR])
    assert np.corrcoef(code[:, 0], np.log1p(later.target[:, 1]))[0, 1] > 0.8


def test_the_code_can_be_turned_back_into_what_it_foresees() -> None:
    train = shop()
    made, (labelled, _) = fit(), parts(train)
    foreseen = made.code(labelled.inputs[BEHAVIOUR])[:, :OUTLOOK] * made.outlook[:, 0] + made.outlook[:, 1]
    wanted = targets(labelled.target)
    np.testing.assert_allclose(foreseen.mean(axis=0), 0, atol=1e-4)
    explained = 1 - np.square(foreseen - wanted).mean(axis=0)
    assert (explained > 0.4).all()


def test_nothing_is_drawn_at_random() -> None:
    first, again = fit(5), fit(5)
    np.testing.assert_array_equal(first.centres, again.centres)
    np.testing.assert_array_equal(first.kernel, again.kernel)
    np.testing.assert_array_equal(first.bias, again.bias)
    assert first.variance == again.variance


@pytest.mark.parametrize("code", [3, 4, 9])
def test_the_code_has_its_stated_width(code: int) -> None:
    made = fit(code=code)
    coded = made.code(shop().inputs[BEHAVIOUR])
    assert coded.shape == (360, code) and coded.dtype == np.float32 and np.isfinite(coded).all()
    assert made.kernel.shape == (WIDTH * len(NAMES), code) and made.bias.shape == (code,)
    assert made.kernel.dtype == made.bias.dtype == made.centres.dtype == np.float32
    assert made.centres.shape == (3, code) and made.outlook.shape == (OUTLOOK, 2)


def test_a_label_is_the_nearest_centre() -> None:
    made, given = fit(6), shop(seed=3).inputs[BEHAVIOUR]
    nearest = np.linalg.norm(made.code(given)[:, None] - made.centres[None], axis=2).argmin(axis=1)
    np.testing.assert_array_equal(made.labels(given), nearest)


@pytest.mark.parametrize("row", [0, 100, 359])
def test_one_customer_is_put_where_many_are(row: int) -> None:
    made, given = fit(6), shop(seed=3).inputs[BEHAVIOUR]
    assert made.labels(given[row : row + 1])[0] == made.labels(given)[row]
    np.testing.assert_allclose(made.code(given[row : row + 1])[0], made.code(given)[row], atol=1e-5)


def test_further_steps_bring_the_centres_nearer(monkeypatch: pytest.MonkeyPatch) -> None:
    made = fit(6)
    monkeypatch.setattr(segmentation, "STEPS", 1)
    assert made.variance < fit(6).variance


def test_distances_by_hand() -> None:
    found = distances(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]))
    assert found.tolist() == [[0, 9, 16], [25, 16, 9]]


def test_customers_nobody_knows_anything_of_are_put_somewhere() -> None:
    unknown = np.full((2, len(NAMES)), np.nan, np.float32)
    assert set(fit().labels(unknown)) <= {0, 1, 2} and np.isfinite(fit().code(unknown)).all()


# === What is learnt from ===


def test_segments_fit_the_customers_at_the_calibration_date() -> None:
    train = shop()
    labelled, current = parts(train)
    assert len(labelled) == 180 and np.isfinite(labelled.target).all()
    np.testing.assert_array_equal(current, train.inputs[BEHAVIOUR][180:])
    coded = fit(train=train).code(current)
    np.testing.assert_allclose(coded.mean(axis=0), 0, atol=1e-3)


def test_without_customers_of_unknown_future_all_are_taken() -> None:
    train = shop(unlabelled=False)
    labelled, current = parts(train)
    assert len(labelled) == len(current) == 180
    assert set(fit(train=train).labels(current)) == {0, 1, 2}


def test_targets_are_standardised() -> None:
    wanted = targets(shop(unlabelled=False).target)
    np.testing.assert_allclose(wanted.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(wanted.std(axis=0), 1)


def test_a_target_that_never_varies_counts_nothing() -> None:
    wanted = targets(np.array([[1, 5], [1, 9], [1, 2]], np.float32))
    assert not wanted[:, 1:].any() and wanted[:, 0].any()


# === Too few differences ===


@pytest.mark.parametrize(("different", "segments"), [(3, 4), (3, 8), (5, 6)])
def test_more_segments_than_different_customers_are_refused(different: int, segments: int) -> None:
    said = rf"model\.segments = {segments}, but .* only {different} different behaviours\. Ask for {different} or fewer"
    with pytest.raises(ConfigError, match=said):
        fit(segments, train=alike(different))


@pytest.mark.parametrize("different", [2, 3, 5])
def test_as_many_segments_as_different_customers_are_had(different: int) -> None:
    train = alike(different)
    labels = fit(different, train=train).labels(train.inputs[BEHAVIOUR])
    assert adjusted_rand(labels, np.arange(100) % different) == pytest.approx(1)


@pytest.mark.parametrize("segments", [2, 5])
def test_customers_who_are_all_alike_have_no_segments(segments: int) -> None:
    with pytest.raises(ConfigError, match="only 1 different behaviour. There is nothing to tell apart; bring more"):
        fit(segments, train=alike(1))
