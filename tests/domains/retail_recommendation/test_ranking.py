"""Figures of ranked lists, worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgekit.domains.retail_recommendation import ranking

LISTS = np.array([[3, 1, 2], [5, 4, 3], [1, 2, 0], [4, 5, 1]], np.int32)
TARGET = np.array([3, 3, 3, 5], np.int32)  # ranks 1, 3, none, 2


@pytest.mark.parametrize(("k", "found"), [(1, [1, 0, 0, 0]), (2, [1, 0, 0, 1]), (3, [1, 1, 0, 1]), (10, [1, 1, 0, 1])])
def test_hits_by_hand(k: int, found: list[float]) -> None:
    assert ranking.hits(LISTS, TARGET, k).tolist() == found


def test_ndcg_by_hand() -> None:
    expected = [1, 1 / math.log2(4), 0, 1 / math.log2(3)]
    np.testing.assert_allclose(ranking.ndcg(LISTS, TARGET, 3), expected)
    np.testing.assert_allclose(ranking.ndcg(LISTS, TARGET, 2), [1, 0, 0, expected[3]])
    np.testing.assert_allclose(ranking.ndcg(LISTS, TARGET, 10), expected)


def test_reciprocal_rank_by_hand() -> None:
    np.testing.assert_allclose(ranking.reciprocal_rank(LISTS, TARGET), [1, 1 / 3, 0, 1 / 2])


def test_no_item_is_never_found() -> None:
    nothing = np.array([[0, 0]]), np.array([0])
    assert ranking.hits(*nothing, 2).tolist() == ranking.ndcg(*nothing, 2).tolist() == [0]
    assert ranking.reciprocal_rank(*nothing).tolist() == [0]


def test_a_random_ranking_scores_what_theory_says() -> None:
    rng = np.random.default_rng(0)
    lists = np.argsort(rng.random((4000, 50)), axis=1) + 1
    target = rng.integers(1, 51, 4000)
    assert ranking.hits(lists, target, 10).mean() == pytest.approx(10 / 50, abs=0.02)
    assert ranking.ndcg(lists, target, 10).mean() == pytest.approx((1 / np.log2(np.arange(2, 12))).sum() / 50, abs=0.01)
    assert ranking.reciprocal_rank(lists, target).mean() == pytest.approx((1 / np.arange(1, 51)).sum() / 50, abs=0.01)


@pytest.mark.parametrize(("k", "share"), [(1, 4 / 8), (2, 5 / 8), (3, 5 / 8)])
def test_coverage_by_hand(k: int, share: float) -> None:
    assert ranking.coverage(LISTS, k, 8) == share


def test_novelty_by_hand() -> None:
    popularity = np.array([99, 7, 3, 3, 1, 0])  # of items 1 to 5; with one each 8, 4, 4, 2, 1 of 19
    lists = np.array([[1, 2], [5, 0]])
    expected = (math.log2(19 / 8) + math.log2(19 / 4) + math.log2(19)) / 3
    assert ranking.novelty(lists, 2, popularity) == pytest.approx(expected)
    assert ranking.novelty(lists, 1, popularity) == pytest.approx((math.log2(19 / 8) + math.log2(19)) / 2)


def test_popularity_bias_by_hand() -> None:
    popularity = np.array([99, 4, 3, 2, 2])  # percentiles 7/8, 5/8, 1/4, 1/4
    history = np.array([[0, 3, 4], [0, 0, 2], [0, 0, 0]])
    lists = np.array([[1, 2], [1, 0], [2, 1]])
    pushed, had = ranking.popularity_bias(lists, 2, history=history, popularity=popularity)
    assert pushed == pytest.approx((6 / 8 + 7 / 8 + 6 / 8) / 3)
    assert had == pytest.approx((1 / 4 + 5 / 8) / 2)


def test_diversity_by_hand() -> None:
    attributes = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 0], [0, 0, 0], [0, 0, 0]], np.uint8)
    assert ranking.intra_list_diversity(np.array([[1, 3]]), 2, attributes) == 0
    assert ranking.intra_list_diversity(np.array([[1, 2]]), 2, attributes) == pytest.approx(2 / 3)
    assert ranking.intra_list_diversity(np.array([[4, 5]]), 2, attributes) == 1
    two = np.array([[1, 2, 3], [1, 3, 0], [2, 0, 0]])  # pairs 1/3, 1, 1/3; and 1; and none
    assert ranking.intra_list_diversity(two, 3, attributes) == pytest.approx(1 - (5 / 9 + 1) / 2)
    assert np.isnan(ranking.intra_list_diversity(two, 1, attributes))


def test_where_nothing_is_shown_there_is_no_figure() -> None:
    nothing, popularity = np.zeros((2, 3), np.int64), np.array([0.0, 3.0, 1.0])
    assert np.isnan(ranking.novelty(nothing, 3, popularity))
    assert np.isnan(ranking.popularity_bias(nothing, 3, history=nothing, popularity=popularity)).all()
