"""What a list of recommendations is worth, computed from the best k items of each example.

Every figure is that of a full ranking: the list is the head of all items of the catalogue, not of a sample with a
few of them, which would favour weak methods (Krichene & Rendle 2020, KDD, "On Sampled Metrics for Item
Recommendation").

Arguments that mean the same everywhere:
    items: int (example, place) item codes, best first; 0 stands for "no item" and never counts.
    target: int (example,) the item that came next.
    k: how many places count, at least 1; a shorter list counts as it is.
    popularity: (item + 1,) how many shoppers had each item in training; entry 0 is padding.
"""

from __future__ import annotations

import numpy as np


def hits(items: np.ndarray, target: np.ndarray, k: int) -> np.ndarray:
    """Return float64 (example,): 1 where the target is among the first k items, else 0.

    With one relevant item an example the mean is the hit rate, which is also the recall at k.
    """
    return np.asarray(_found(items[:, :k], target).any(axis=1), dtype=np.float64)


def ndcg(items: np.ndarray, target: np.ndarray, k: int) -> np.ndarray:
    """Return float64 (example,): the normalised discounted cumulative gain of the first k items, 0…1.

    With one relevant item it is 1 / log2(rank + 1), rank counted from 1, and 0 beyond place k.

    Source: Järvelin & Kekäläinen 2002, ACM TOIS 20(4).
    """
    found = _found(items[:, :k], target)
    gain = 1 / np.log2(np.arange(2, found.shape[1] + 2))
    return np.asarray(np.where(found.any(axis=1), gain[found.argmax(axis=1)], 0.0))


def reciprocal_rank(items: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return float64 (example,): 1 / rank of the target, counted from 1; 0 where it is not in the list.

    Source: Voorhees 1999, TREC-8 question answering track report.
    """
    found = _found(items, target)
    return np.asarray(np.where(found.any(axis=1), 1 / (found.argmax(axis=1) + 1), 0.0))


def coverage(items: np.ndarray, k: int, num_items: int) -> float:
    """Return the share of the catalogue's ``num_items`` that stands among the first k of any example, 0…1.

    Source: Ge, Delgado-Battenfeld & Jannach 2010, RecSys ("catalog coverage").
    """
    shown = np.zeros(num_items + 1, dtype=bool)
    shown[items[:, :k]] = True
    return float(shown[1:].sum() / num_items)


def novelty(items: np.ndarray, k: int, popularity: np.ndarray) -> float:
    """Return the mean of −log2 of the recommended items' share of all purchases, in bits; higher is less known.

    One purchase is added to every item, so that an item nobody had yet is rare instead of infinitely so.

    Source: Zhou et al. 2010, PNAS 107(10) (mean self-information).
    """
    counts = np.asarray(popularity[1:], dtype=np.float64) + 1
    bits = -np.log2(counts / counts.sum())
    shown = items[:, :k]
    return float(bits[shown[shown > 0] - 1].mean()) if shown.any() else float("nan")


def popularity_bias(items: np.ndarray, k: int, *, history: np.ndarray, popularity: np.ndarray) -> tuple[float, float]:
    """Return the mean popularity percentile, 0…1, of the recommended items, and of those in the histories.

    A first number above the second says that the recommender pushes shoppers towards what is popular anyway. Equal
    counts share the mean percentile of their places. Each mean is over the examples that have such items.

    Args:
        items: (example, place) item codes, best first.
        k: how many places count.
        history: int (example, place) item codes, 0 for padding.
        popularity: (item + 1,) how many shoppers had each item in training.

    Source: Abdollahpouri et al. 2019, RMSE workshop at RecSys ("The Unfairness of Popularity Bias in Recommendation").
    """
    percentile = _percentiles(np.asarray(popularity, dtype=np.float64))
    return _mean_of_means(items[:, :k], percentile), _mean_of_means(history, percentile)


def intra_list_diversity(items: np.ndarray, k: int, attributes: np.ndarray) -> float:
    """Return 1 − the mean Jaccard similarity of the attributes of two items of the same list, 0 alike to 1 different.

    Two items without any attribute count as different: nothing is known that they share. The mean is over the pairs
    of each list, then over the lists with at least two items.

    Args:
        items: (example, place) item codes, best first.
        k: how many places count.
        attributes: (item + 1, attribute) of 0 and 1; row 0 is padding.

    NaN where no list has two items.

    Source: Ziegler et al. 2005, WWW (intra-list similarity).
    """
    shown = items[:, :k]
    first, second = np.triu_indices(shown.shape[1], 1)
    sizes = attributes.sum(axis=1, dtype=np.float64)
    similarity, pairs = np.zeros(len(shown)), np.zeros(len(shown))
    for one, other in zip(shown.T[first], shown.T[second], strict=True):
        shared = np.einsum("ea,ea->e", attributes[one], attributes[other], dtype=np.float64)
        similarity += shared / np.maximum(sizes[one] + sizes[other] - shared, 1)
        pairs += (one > 0) & (other > 0)
    if not pairs.any():
        return float("nan")
    return float(1 - (similarity[pairs > 0] / pairs[pairs > 0]).mean())


def _found(items: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return bool (example, place): where the target stands; an item is listed once, and 0 is no item."""
    return np.asarray((items == target[:, None]) & (items > 0))


def _percentiles(popularity: np.ndarray) -> np.ndarray:
    """Return (item + 1,): the share of items less popular than each, half of the equal ones counted; 0 for padding."""
    counts = popularity[1:]
    ranked = np.sort(counts)
    below, through = (np.searchsorted(ranked, counts, side=side) for side in ("left", "right"))
    return np.append(0.0, (below + through) / (2 * len(counts)))


def _mean_of_means(codes: np.ndarray, values: np.ndarray) -> float:
    """Return the mean over the rows of each row's mean of ``values``; code 0 does not count."""
    known = codes > 0
    held = known.any(axis=1)
    if not held.any():
        return float("nan")
    return float(((values[codes] * known).sum(axis=1)[held] / known.sum(axis=1)[held]).mean())
