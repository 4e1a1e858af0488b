"""Refining segments: nothing is drawn, they stay what they are and in their order, memberships get clearer."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from edgekit.domains.marketing_segmentation import data, refine, synthesis
from edgekit.domains.marketing_segmentation.config import MarketingConfig
from edgekit.domains.marketing_segmentation.features import BEHAVIOUR
from edgekit.domains.marketing_segmentation.layers import Membership
from edgekit.domains.marketing_segmentation.segmentation import Segmentation, distances, fit_segmentation, parts
from edgekit.shared.config import override
from edgekit.shared.domain import Examples

CONFIG = override(MarketingConfig(), {"synthetic": {"customers": 200, "days": 400}, "data": {"validation_share": 0.4}})
SEGMENTS, CODE = 4, 5
MOVED = ("kernel", "bias", "centres")
KINDS = ("gaussian", "student_t")


@pytest.fixture(scope="module")
def train() -> Examples:
    orders = synthesis.synthesize(CONFIG, seed=0)
    return data.prepare(orders, data.split(orders, CONFIG, seed=0), CONFIG).train


@pytest.fixture(scope="module")
def labelled(train: Examples) -> Examples:
    """Return the examples whose future is known, as a ready table of customers has them."""
    return train.take(np.isfinite(train.target[:, 0]))


@pytest.fixture(scope="module")
def base(train: Examples) -> Segmentation:
    return fit_segmentation(train, segments=SEGMENTS, code=CODE)


@pytest.fixture(scope="module", params=KINDS)
def refined(base: Segmentation, train: Examples, request: pytest.FixtureRequest) -> tuple[str, Segmentation]:
    return request.param, refine.refine(base, train, assignment=request.param)


def highest(fitted: Segmentation, rows: np.ndarray, assignment: str) -> np.ndarray:
    """Return the membership of each customer in the segment they are put into."""
    layer = Membership(len(fitted.centres), assignment)
    layer.build((None, fitted.centres.shape[1]))
    layer.set(fitted.centres, fitted.variance)
    return np.asarray(layer(fitted.code(rows)).numpy().max(axis=1))


def test_nothing_is_drawn_at_random(refined: tuple[str, Segmentation], base: Segmentation, train: Examples) -> None:
    assignment, first = refined
    keras.utils.set_random_seed(99)
    again = refine.refine(base, train, assignment=assignment)
    for name in MOVED:
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))


def test_segments_keep_their_number_and_order(refined: tuple[str, Segmentation], base: Segmentation) -> None:
    found = refined[1]
    assert {name: getattr(found, name).shape for name in MOVED} == {name: getattr(base, name).shape for name in MOVED}
    assert all(np.isfinite(getattr(found, name)).all() for name in MOVED)
    assert (np.diff(found.centres[:, 0]) > 0).all()


def test_what_the_code_is_made_from_stays(refined: tuple[str, Segmentation], base: Segmentation) -> None:
    found = refined[1]
    assert found.standards is base.standards
    np.testing.assert_array_equal(found.outlook, base.outlook)


def test_the_segmentation_given_is_left_as_it_was(base: Segmentation, train: Examples) -> None:
    before = {name: getattr(base, name).copy() for name in MOVED}
    refine.refine(base, train, assignment="student_t")
    for name, values in before.items():
        np.testing.assert_array_equal(getattr(base, name), values)


def test_memberships_become_clearer(refined: tuple[str, Segmentation], base: Segmentation, train: Examples) -> None:
    assignment, found = refined
    current = parts(train)[1]
    before, after = (highest(fitted, current, assignment).mean() for fitted in (base, found))
    assert after > before + 0.005


def test_only_a_minority_changes_its_segment(
    refined: tuple[str, Segmentation], base: Segmentation, train: Examples
) -> None:
    found, rows = refined[1], train.inputs[BEHAVIOUR]
    assert (found.labels(rows) != base.labels(rows)).mean() < 0.15
    assert all(np.abs(getattr(found, name) - getattr(base, name)).max() > 1e-4 for name in MOVED), "all of it learns"
    assert set(found.labels(parts(train)[1])) == set(range(SEGMENTS))


def test_the_code_goes_on_to_foresee_spend(refined: tuple[str, Segmentation], labelled: Examples) -> None:
    rows, spend = labelled.inputs[BEHAVIOUR], np.log1p(labelled.target[:, 1])
    assert np.corrcoef(refined[1].code(rows)[:, 0], spend)[0, 1] > 0.3


@pytest.mark.parametrize("assignment", KINDS)
def test_it_works_where_every_future_is_known(labelled: Examples, assignment: str) -> None:
    base = fit_segmentation(labelled, segments=SEGMENTS, code=CODE)
    found, rows = refine.refine(base, labelled, assignment=assignment), labelled.inputs[BEHAVIOUR]
    assert highest(found, rows, assignment).mean() > highest(base, rows, assignment).mean()
    assert (found.labels(rows) != base.labels(rows)).mean() < 0.15 and (np.diff(found.centres[:, 0]) > 0).all()


# === Its parts ===


def test_memberships_are_sharpened_by_hand() -> None:
    found = refine._sharpened(np.array([[0.6, 0.4], [0.9, 0.1]], np.float32))
    first, second = np.array([0.36 / 1.5, 0.16 / 0.5]), np.array([0.81 / 1.5, 0.01 / 0.5])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [first / first.sum(), second / second.sum()], rtol=1e-5)


def test_segments_that_changed_places_are_put_in_order_again(base: Segmentation) -> None:
    mixed = Segmentation(base.standards, base.kernel, base.bias, base.outlook, base.centres[[2, 0, 3, 1]], 1.0)
    now = np.zeros((1, len(base.kernel)), np.float32)
    np.testing.assert_array_equal(refine._settled(now, mixed).centres, base.centres)


def test_the_variance_is_that_around_the_centres_as_they_are(
    refined: tuple[str, Segmentation], train: Examples
) -> None:
    found, current = refined[1], parts(train)[1]
    nearest = distances(found.code(current), found.centres).min(axis=1)
    assert found.variance == pytest.approx(nearest.mean() / found.kernel.shape[1], rel=1e-3)
