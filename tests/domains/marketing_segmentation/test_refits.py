"""Stability of all segmentations of a small shop: each is fitted again to customers drawn anew."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation.clusterings import CLUSTERINGS
from edgekit.domains.marketing_segmentation.config import (
    DataSettings,
    MarketingConfig,
    MarketingTrainingSettings,
    ModelSettings,
    SyntheticSettings,
)
from edgekit.domains.marketing_segmentation.data import prepare, split
from edgekit.domains.marketing_segmentation.features import BEHAVIOUR, CODE, SEGMENTS
from edgekit.domains.marketing_segmentation.model import fitted_segmentation
from edgekit.domains.marketing_segmentation.refits import beyond
from edgekit.domains.marketing_segmentation.rivals import refit
from edgekit.domains.marketing_segmentation.synthesis import synthesize
from edgekit.shared.config import override
from edgekit.shared.domain import Prepared
from edgekit.shared.estimates import Statistic, bootstrap

CONFIG = MarketingConfig(
    synthetic=SyntheticSettings(customers=220, days=300, items=40),
    data=DataSettings(horizon_days=60, most_cuts=2, validation_share=0.35),
    model=ModelSettings(segments=3),
    training=MarketingTrainingSettings(refits=2),
)
RIVALS = ("rfm_quintiles", "kmeans_rfm")


@pytest.fixture(scope="module")
def shop() -> Prepared:
    made = synthesize(CONFIG, seed=0)
    return prepare(made, split(made, CONFIG, seed=0), CONFIG)


@pytest.fixture(scope="module")
def answers(shop: Prepared) -> dict[str, dict[str, np.ndarray]]:
    """Return what the network's segments, two clusterings and a model without segments say of test."""
    fitted = fitted_segmentation(shop.train, CONFIG.model, segments=3)
    certain = np.eye(3, dtype=np.float32)
    known = shop.test.inputs[BEHAVIOUR]
    made = {"network": {SEGMENTS: certain[fitted.labels(known)], CODE: fitted.code(known)}}
    made |= {name: refit(name, shop.train, CONFIG, seed=0)(shop.test.inputs) for name in RIVALS}
    groups = certain[np.zeros(len(shop.test), np.int64)]  # of a predictor that is neither
    return made | {
        "bg_nbd": {"orders": np.ones((len(shop.test), 1), np.float32)},
        "boosting_groups": {SEGMENTS: groups},
    }


@pytest.fixture(scope="module")
def stability(shop: Prepared, answers: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, Statistic]]:
    return beyond(answers, shop, CONFIG, seed=0)


def test_what_has_segments_has_a_stability(stability: dict[str, dict[str, Statistic]]) -> None:
    assert set(stability) == {"network", *RIVALS} and set(RIVALS) < set(CLUSTERINGS)
    assert all(set(figures) == {"stability_ari"} for figures in stability.values())


@pytest.mark.parametrize("name", ["network", *RIVALS])
def test_segments_of_a_shop_stay_in_part(name: str, shop: Prepared, stability: dict[str, dict[str, Statistic]]) -> None:
    figure = stability[name]["stability_ari"]
    assert 0.2 < figure.compute(None) < 1
    np.testing.assert_array_equal(figure.units, shop.test.context["unit"])
    assert bootstrap(figure, draws=10).n == len(shop.test)


def test_segments_by_chance_do_not_stay(shop: Prepared) -> None:
    labels = np.random.default_rng(0).integers(0, 3, len(shop.test))
    made = beyond({"kmeans_rfm": {SEGMENTS: np.eye(3)[labels]}}, shop, CONFIG, seed=0)
    assert abs(made["kmeans_rfm"]["stability_ari"].compute(None)) < 0.1


def test_a_refit_has_as_many_segments_as_the_answer(shop: Prepared) -> None:
    """The settings ask for three, the answer has five."""
    five = refit("rfm_quintiles", shop.train, override(CONFIG, {"model": {"segments": 5}}), seed=0)(shop.test.inputs)
    (made,) = beyond({"rfm_quintiles": five}, shop, CONFIG, seed=0).values()
    assert made["stability_ari"].compute(None) > 0.6


@pytest.mark.parametrize(("seed", "same"), [(0, True), (1, False)])
def test_a_seed_says_who_is_drawn(
    seed: int, same: bool, shop: Prepared, answers: dict[str, dict[str, np.ndarray]],
    stability: dict[str, dict[str, Statistic]],
) -> None:  # fmt: skip
    (again,) = beyond({"rfm_quintiles": answers["rfm_quintiles"]}, shop, CONFIG, seed=seed).values()
    first = stability["rfm_quintiles"]["stability_ari"].compute(None)
    assert (again["stability_ari"].compute(None) == first) == same
