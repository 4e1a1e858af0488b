"""The clusterings in common use: three kinds of customers are found, and gaps do not stop them."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation.clusterings import CLUSTERINGS, RFM, cluster, rfm_quintiles
from edgekit.domains.marketing_segmentation.features import NAMES
from edgekit.domains.marketing_segmentation.stability import adjusted_rand
from edgekit.shared.errors import ContractError

KINDS = np.repeat(np.arange(3), 80)


def shop(seed: int = 0) -> np.ndarray:
    """Return behaviour float32 of 80 customers each of three kinds, some of it unknown, one column wholly."""
    rng = np.random.default_rng(seed)
    size = np.array([1.0, 5.0, 60.0])[KINDS]
    table = size[:, None] * rng.lognormal(0, 0.15, (len(KINDS), len(NAMES)))
    table[:, RFM[0]] = 300 / table[:, RFM[0]]
    table[rng.random(table.shape) < 0.1] = np.nan
    table[:, -1] = np.nan
    for column in RFM:
        unknown = np.isnan(table[:, column])
        table[unknown, column] = (300 / size if column == RFM[0] else size)[unknown]
    return table.astype(np.float32)


@pytest.mark.parametrize("name", list(CLUSTERINGS))
def test_three_kinds_are_found_with_gaps_in_what_is_known(name: str) -> None:
    assign = cluster(name, shop(), 3, seed=0)
    labels = assign(shop(1))
    assert adjusted_rand(labels, KINDS) > 0.9
    np.testing.assert_array_equal(assign(shop(1)[:1]), labels[:1])
    np.testing.assert_array_equal(cluster(name, shop(), 3, seed=0)(shop(1)), labels)


@pytest.mark.parametrize("name", list(CLUSTERINGS))
def test_customers_who_are_all_alike_are_no_obstacle(name: str) -> None:
    labels = cluster(name, np.ones((30, len(NAMES)), np.float32), 4, seed=0)(shop())
    assert labels.shape == (240,) and set(labels) <= set(range(4))


@pytest.mark.parametrize("name", ["rfm_quintiles", "kmeans_rfm", "mixture_rfm"])
def test_what_is_named_rfm_sees_nothing_else(name: str) -> None:
    other = np.full((240, len(NAMES)), np.nan, np.float32)
    other[:, RFM] = shop()[:, RFM]
    np.testing.assert_array_equal(cluster(name, shop(), 3, seed=0)(shop()), cluster(name, other, 3, seed=0)(other))


def test_quintiles_by_hand() -> None:
    """Ten customers, each better than the one before in all three: sums 3, 3, 6, 6, … 15, cut into five pairs."""
    table = np.zeros((10, len(NAMES)), np.float32)
    table[:, RFM] = np.stack([100 - np.arange(10), 1 + np.arange(10), 10 + np.arange(10)], axis=1)
    assign = rfm_quintiles(table, 5, 0)
    assert assign(table).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    worst, best = np.zeros((2, 1, len(NAMES)), np.float32)
    worst[:, RFM], best[:, RFM] = (9999, 0, 0), (0, 9999, 9999)
    assert (assign(worst)[0], assign(best)[0]) == (0, 4)


def test_groups_of_quintiles_are_of_equal_size_though_sums_tie() -> None:
    table = shop()
    table[:, RFM[1]] = 1
    assert set(np.bincount(rfm_quintiles(table, 6, 0)(table))) <= {39, 40, 41}


def test_fewer_customers_than_segments_are_refused() -> None:
    with pytest.raises(ContractError, match="6 segments.*got 4"):
        cluster("kmeans_rfm", shop()[:4], 6, seed=0)
