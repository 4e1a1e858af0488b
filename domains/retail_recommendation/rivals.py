"""The simple recommenders that the network must beat: what sells, what sold lately, item neighbours, and EASE.

All are fitted on the training windows and tuned by NDCG@10 on validation. Like the network they see the window of a
history, and never return what a shopper had.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg.lapack import spotrf, spotri
from scipy.sparse import csr_array

from ...shared.domain import Arrays, Examples, Predictor, Prepared, Progress
from ...shared.errors import RunError
from .config import RetailConfig
from .evaluate import ITEMS, NOTHING_LEFT, SCORES, evaluate
from .features import TOP

RECENT_DAYS = (7.0, 30.0, 90.0)
RECENT_SHARE = 0.2  # of each shopper's sequence, where there are no times
DECAYS = (0.4, 0.6, 0.8, 1.0)
NEIGHBOURS = (50, 200)
SHRINKAGES = (0.0, 10.0, 50.0)
STRENGTHS = (10.0, 50.0, 100.0, 250.0, 500.0)
MAX_EASE_ITEMS = 20_000
"""A matrix of so many rows and columns takes 1.6 GB; everything else here stays below a fifth of that."""
MAX_STRENGTH_ITEMS = 4000
"""With more items, the strength of EASE is chosen on so many, drawn at random: inverting takes their number cubed.

Random ones keep how often an item is bought, which is what the strength is weighed against.
"""
MAX_TUNING_EXAMPLES = 5000
_CELLS = 1 << 23  # scores held at once
_TIE = 1e-6  # what popularity adds, so that it decides where nothing else does

Score = Callable[[np.ndarray], np.ndarray]
"""Histories int32 (example, window) to float32 (example, item + 1), freshly made; column 0 is ignored."""


def rivals(prepared: Prepared, config: RetailConfig, /, *, seed: int, report: Progress) -> dict[str, Predictor]:
    """Fit and tune the rivals.

    Returns:
        ``popularity`` (by shoppers who had an item), ``recent_popularity``, ``item_knn`` and, up to
        ``MAX_EASE_ITEMS`` items, ``ease``; each answers with ``items`` and ``scores`` of the best ``TOP`` items.
    """
    num_items = len(prepared.plan.items)
    had = purchases(prepared.train, num_items)
    judge = _Judge(_thinned(prepared.validation, seed), config, num_items, report)
    popularity = _popularity(had)
    scores = {
        "popularity": _constant(popularity),
        "recent_popularity": _recent(prepared.train, popularity, judge),
        "item_knn": _tuned_neighbours(had, judge),
    }
    judge.score("popularity", scores["popularity"])
    if num_items <= MAX_EASE_ITEMS:
        scores |= _tuned_ease(had, judge, seed)
    else:
        report(f"EASE is left out: it inverts a matrix of all {num_items:,} items; up to {MAX_EASE_ITEMS:,} are taken")
    return {name: _predictor(score, num_items) for name, score in scores.items()}


def _tuned_ease(had: csr_array, judge: _Judge, seed: int) -> dict[str, Score]:
    """Return the model with the best penalty, or the next heavier one that can be inverted; nothing if none can."""
    chosen = _tuned_strength(had, judge, seed)
    for strength in (each for each in STRENGTHS if each >= chosen):
        try:
            score = ease(had, strength=strength)
        except RunError as error:
            judge.report(str(error))
            continue
        judge.score("EASE", score)
        return {"ease": score}
    judge.report("EASE is left out: no penalty makes its matrix invertible in float32")
    return {}


def _predictor(score: Score, num_items: int) -> Predictor:
    return lambda inputs: recommend(score, inputs, num_items)


def recommend(score: Score, inputs: Arrays, num_items: int, *, top: int = TOP) -> dict[str, np.ndarray]:
    """Return the best items that are in neither ``history`` nor ``exclude``, computed in blocks.

    Args:
        score: what to rank by.
        inputs: ``history`` and ``exclude`` int32 (example, place), 0 for none.
        num_items: size of the catalogue.
        top: how many to return; all where the catalogue is smaller.

    Returns:
        ``items`` int32 and ``scores`` float32 (example, place), the highest first, of equal ones the lowest code;
        where fewer items are left, their score is ``NOTHING_LEFT``.
    """
    history, exclude, top = inputs["history"], inputs["exclude"], min(top, num_items)
    items, scores = np.empty((len(history), top), np.int32), np.empty((len(history), top), np.float32)
    step = max(1, _CELLS // (num_items + 1))
    for start in range(0, len(history), step):
        block = slice(start, start + step)
        found = score(history[block])
        row = np.arange(len(found))[:, None]
        found[row, history[block]] = found[row, exclude[block]] = NOTHING_LEFT
        best = np.argpartition(found[:, 1:], num_items - top, axis=1)[:, num_items - top :] + 1
        values = found[row, best]
        order = np.lexsort((best, -values))
        items[block], scores[block] = best[row, order], values[row, order]
    return {ITEMS: items, SCORES: scores}


@dataclass(frozen=True, eq=False)
class _Judge:
    """Scores a candidate on validation and tells of it."""

    examples: Examples
    config: RetailConfig
    num_items: int
    report: Progress

    def score(self, name: str, score: Score) -> float:
        outputs = recommend(score, self.examples.inputs, self.num_items, top=10)
        figure = evaluate(outputs, self.examples, self.config)["ndcg@10"].compute(None)
        self.report(f"{name}  validation {figure:.4f}")
        return figure


def _thinned(validation: Examples, seed: int) -> Examples:
    """Take at most ``MAX_TUNING_EXAMPLES``, the same for all candidates, so that tuning takes minutes."""
    if len(validation) <= MAX_TUNING_EXAMPLES:
        return validation
    rng = np.random.default_rng(seed)
    return validation.take(np.sort(rng.permutation(len(validation))[:MAX_TUNING_EXAMPLES]))


def purchases(train: Examples, num_items: int) -> csr_array:
    """Return float32 (shopper, item + 1) of 1 where the training windows hold an item of a shopper; column 0 empty."""
    unit = np.unique(train.context["unit"], return_inverse=True)[1]
    parts = [(array, np.broadcast_to(unit[:, None], array.shape)) for array in (train.inputs["history"], train.target)]
    item, user = (np.concatenate([part[side][part[0] > 0] for part in parts]) for side in range(2))
    shape = (int(unit.max(initial=-1)) + 1, num_items + 1)
    had = csr_array((np.ones(len(item), np.float32), (user, item)), shape=shape)
    had.data[:] = 1  # building it added repeats up
    return had


# === Popularity ===


def _popularity(had: csr_array) -> np.ndarray:
    return np.asarray(had.sum(axis=0), dtype=np.float32).ravel()


def _constant(values: np.ndarray) -> Score:
    return lambda history: np.tile(values.astype(np.float32), (len(history), 1))


def _recent(train: Examples, popularity: np.ndarray, judge: _Judge) -> Score:
    """Return popularity among the last purchases, over the days that do best on validation; all time breaks ties."""
    ages = train.context.get("age_days")
    if ages is None or not np.isfinite(ages).any():
        masks = {f"the last {RECENT_SHARE:.0%} of each sequence": latest(train)}
    else:
        masks = {f"the last {days:g} days": (train.target > 0) & (ages <= days) for days in RECENT_DAYS}
    best, best_figure = _constant(popularity), -np.inf
    for name, mask in masks.items():
        counts = np.bincount(train.target[mask], minlength=len(popularity))
        score = _constant(counts + popularity / (popularity.sum() + 1))
        figure = judge.score(f"popularity in {name}", score)
        if figure > best_figure:
            best, best_figure = score, figure
    return best


def latest(train: Examples) -> np.ndarray:
    """Return bool (window, place): the targets in the last ``RECENT_SHARE`` of their shopper's sequence, at least one.

    Windows of a shopper follow each other either forwards or backwards; the last target of one is the first item of
    the history of the next, which tells.
    """
    row, place = np.nonzero(train.target)
    order = row if _runs_forward(train) else -row
    unit = train.context["unit"][row]
    ranked = np.lexsort((place, order, unit))
    unit = unit[ranked]
    _, first, count = np.unique(unit, return_index=True, return_counts=True)
    later = np.repeat(first + count, count) - np.arange(len(unit))  # 1 for the last of a shopper
    chosen = ranked[later <= np.maximum(1, np.round(RECENT_SHARE * np.repeat(count, count)))]
    mask = np.zeros(train.target.shape, dtype=bool)
    mask[row[chosen], place[chosen]] = True
    return mask


def _runs_forward(train: Examples) -> bool:
    """Tell whether a shopper's earlier windows come first."""
    history, unit = train.inputs["history"], train.context["unit"]
    first = np.take_along_axis(history, (history > 0).argmax(axis=1)[:, None], axis=1)[:, 0]
    last = train.target[:, -1]
    same = unit[1:] == unit[:-1]
    forward, backward = (last[:-1] == first[1:])[same].sum(), (first[:-1] == last[1:])[same].sum()
    return bool(forward >= backward)


# === Neighbours ===


def _tuned_neighbours(had: csr_array, judge: _Judge) -> Score:
    best, best_figure = _constant(_popularity(had)), -np.inf
    for shrinkage in SHRINKAGES:
        codes, similarity = neighbours(had, most=max(NEIGHBOURS), shrinkage=shrinkage)
        for k in NEIGHBOURS:
            table = _table(codes[:, :k], similarity[:, :k])
            for decay in DECAYS:
                score = _neighbour_score(table, _popularity(had), decay)
                figure = judge.score(f"{k} neighbours, shrinkage {shrinkage:g}, decay {decay:g}", score)
                if figure > best_figure:
                    best, best_figure = score, figure
    return best


def neighbours(had: csr_array, *, most: int, shrinkage: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the items most often had by the same shoppers, nearest first, computed in blocks.

    Args:
        had: float32 (shopper, item + 1) of 0 and 1.
        most: how many to return of each item.
        shrinkage: added to the denominator, so that two items that one shopper had by chance are not near.

    Returns:
        ``codes`` int64 and ``similarity`` float32, both (item + 1, neighbour); the similarity is the number of
        shoppers who had both / (√(shoppers of one · of the other) + shrinkage), 0 where there is no neighbour.

    Source: Deshpande & Karypis 2004, ACM TOIS 22(1).
    """
    width, counts = had.shape[1], _popularity(had)
    most, by_item = min(most, width), had.T.tocsr()
    codes, similarity = np.empty((width, most), np.int64), np.empty((width, most), np.float32)
    step = max(1, _CELLS // width)
    for start in range(0, width, step):
        block = slice(start, start + step)
        shared = (by_item[block] @ had).toarray()
        row = np.arange(len(shared))[:, None]
        shared /= np.sqrt(np.maximum(np.outer(counts[block], counts), 1)) + np.float32(shrinkage)
        shared[row[:, 0], np.arange(start, start + len(shared))] = 0
        nearest = np.argpartition(shared, width - most, axis=1)[:, width - most :]
        values = shared[row, nearest]
        order = np.lexsort((nearest, -values))
        codes[block], similarity[block] = nearest[row, order], values[row, order]
    return codes, similarity


def _table(codes: np.ndarray, similarity: np.ndarray) -> csr_array:
    row = np.broadcast_to(np.arange(len(codes))[:, None], codes.shape)
    held = similarity > 0
    return csr_array((similarity[held], (row[held], codes[held])), shape=(len(codes), len(codes)))


def _neighbour_score(table: csr_array, popularity: np.ndarray, decay: float) -> Score:
    """Add up the similarities to the items of a history, each counting ``decay`` times the one after it."""
    usual = np.float32(_TIE) * popularity / max(popularity.max(), 1)

    def score(history: np.ndarray) -> np.ndarray:
        weight = np.float32(decay) ** np.arange(history.shape[1])[::-1]
        return np.asarray((_rows(history, weight, table.shape[0]) @ table).toarray() + usual, dtype=np.float32)

    return score


def _rows(history: np.ndarray, weight: np.ndarray, width: int) -> csr_array:
    """Return float32 (example, width): at each item of a history the weight of its place, repeats added."""
    row, place = np.nonzero(history)
    values = weight[place].astype(np.float32)
    return csr_array((values, (row, history[row, place])), shape=(len(history), width))


# === EASE ===


def ease(had: csr_array, *, strength: float) -> Score:
    """Fit the closed-form linear autoencoder in float32; holds one matrix of items × items.

    Args:
        had: float32 (shopper, item + 1) of 0 and 1.
        strength: of the ridge penalty, λ > 0.

    Raises:
        RunError: float32 is too coarse for so weak a penalty: a heavier one may do.

    Source: Steck 2019, WWW ("Embarrassingly Shallow Autoencoders for Sparse Data").
    """
    inverse = _inverse_gram(had, strength)
    scale = -1 / np.diagonal(inverse).copy()
    popularity = _popularity(had)
    usual = np.float32(_TIE) * popularity / max(popularity.max(), 1)

    def score(history: np.ndarray) -> np.ndarray:
        rows = _rows(history, np.ones(history.shape[1]), len(inverse))
        rows.data[:] = 1  # had once or twice is had
        made = np.asarray(rows @ inverse, dtype=np.float32)
        made *= scale  # B = −P / diag(P); its diagonal of 0 only concerns items that are not recommended
        made += usual
        return made

    return score


def _inverse_gram(had: csr_array, strength: float) -> np.ndarray:
    """Return float32 (item + 1, item + 1): (XᵀX + λI)⁻¹ by Cholesky, in place, so that memory holds one matrix."""
    width, by_item = had.shape[1], had.T.tocsr()
    gram = np.empty((width, width), np.float32, order="F")
    step = max(1, _CELLS // width)
    for start in range(0, width, step):
        gram[:, start : start + step] = (by_item[start : start + step] @ had).toarray().T  # symmetric, so a column
    gram[np.arange(width), np.arange(width)] += np.float32(strength)
    factor, failed = spotrf(gram, lower=1, clean=0, overwrite_a=1)
    if failed:
        raise RunError(f"EASE cannot invert its matrix with strength {strength:g}: too weak for float32")
    inverse, _ = spotri(factor, lower=1, overwrite_c=1)
    for start in range(0, width, step):  # it fills one triangle
        block = slice(start, start + step)
        inverse[:start, block] = inverse[block, :start].T
        corner = np.tril(inverse[block, block])
        inverse[block, block] = corner + np.tril(corner, -1).T
    return np.asarray(inverse.T)  # rows in one piece


def _tuned_strength(had: csr_array, judge: _Judge, seed: int) -> float:
    """Choose λ on validation, among at most ``MAX_STRENGTH_ITEMS`` items, drawn at random where there are more."""
    had, judge = _fewer_items(had, judge, seed)
    figures: dict[float, float] = {}
    for strength in STRENGTHS:
        try:
            score = ease(had, strength=strength)
        except RunError as error:
            judge.report(str(error))
            continue
        figures[strength] = judge.score(f"EASE among {judge.num_items:,} items, strength {strength:g}", score)
    return max(figures, key=lambda strength: figures[strength], default=STRENGTHS[0])


def _fewer_items(had: csr_array, judge: _Judge, seed: int) -> tuple[csr_array, _Judge]:
    """Return the matrix and the examples as if the shop sold some of its items only."""
    if judge.num_items <= MAX_STRENGTH_ITEMS:
        return had, judge
    chosen = np.sort(np.random.default_rng(seed).permutation(judge.num_items)[:MAX_STRENGTH_ITEMS]) + 1
    new_code = np.zeros(judge.num_items + 1, np.int32)
    new_code[chosen] = np.arange(1, MAX_STRENGTH_ITEMS + 1)
    examples = judge.examples.take(new_code[judge.examples.target] > 0)
    examples = replace(
        examples,
        inputs={name: new_code[examples.inputs[name]] for name in ("history", "exclude")},
        target=new_code[examples.target],
    )
    columns = had.tocsc()[:, np.append(0, chosen)].tocsr()
    return columns, replace(judge, examples=examples, num_items=MAX_STRENGTH_ITEMS)
