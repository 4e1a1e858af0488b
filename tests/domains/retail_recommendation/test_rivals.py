"""The simple recommenders: worked by hand, masked, tuned on validation, and right in a shop of two colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from edgekit.domains.retail_recommendation import rivals as module
from edgekit.domains.retail_recommendation.config import RetailConfig
from edgekit.domains.retail_recommendation.evaluate import NOTHING_LEFT, evaluate
from edgekit.domains.retail_recommendation.features import Plan
from edgekit.domains.retail_recommendation.rivals import ease, latest, neighbours, purchases, recommend, rivals
from edgekit.shared.domain import Examples, Predictor, Prepared
from edgekit.shared.errors import RunError

CONFIG = RetailConfig()
NAMES = ["popularity", "recent_popularity", "item_knn", "ease"]
WINDOW, EXCLUDED = 6, 5
COLOUR = 10  # items of each colour


def inputs(histories: Sequence[Sequence[int]], window: int = WINDOW) -> dict[str, np.ndarray]:
    made = {"history": np.zeros((len(histories), window), np.int32)}
    made["exclude"] = np.zeros((len(histories), EXCLUDED), np.int32)
    for row, items in enumerate(histories):
        shown, older = items[-window:], items[:-window][::-1][:EXCLUDED]
        made["history"][row, window - len(shown) :] = shown
        made["exclude"][row, : len(older)] = older
    return made


def windows(sequences: Sequence[Sequence[int]], *, forward: bool = True, window: int = WINDOW) -> Examples:
    """Cut sequences into windows from the end, every next item a target once."""
    history, target, unit = [], [], []
    for user, items in enumerate(sequences):
        stops = list(range(len(items) - 1, 0, -window))
        for stop in reversed(stops) if forward else stops:
            seen, after = (list(items[max(0, stop - window) + shift : stop + shift]) for shift in (0, 1))
            history.append([0] * (window - len(seen)) + seen)
            target.append([0] * (window - len(after)) + after)
            unit.append(user)
    given = np.array(history, np.int32)
    nothing = np.broadcast_to(np.int32(0), (len(given), EXCLUDED))
    return Examples({"history": given, "exclude": nothing}, np.array(target, np.int32), {"unit": np.array(unit)})


def following(sequences: Sequence[Sequence[int]], last: int, num_items: int) -> Examples:
    """Ask for the ``last``-th item from the end of each sequence, given all before it."""
    context = {"unit": np.arange(len(sequences)), "catalogue": np.full(len(sequences), num_items)}
    target = np.array([items[-last] for items in sequences], np.int32)
    return Examples(inputs([items[:-last] for items in sequences]), target, context)


def prepared(sequences: Sequence[Sequence[int]], num_items: int) -> Prepared:
    plan = Plan(WINDOW, EXCLUDED, tuple(f"i{code}" for code in range(1, num_items + 1)))
    train = windows([items[:-2] for items in sequences])
    return Prepared(plan, train, *(following(sequences, last, num_items) for last in (2, 1)))


def checkerboard(users: int = 40, seed: int = 0) -> Prepared:
    """Return a shop of black items 1…10 and white ones 11…20; everybody buys all of one colour, in any order."""
    rng = np.random.default_rng(seed)
    bought = [(rng.permutation(COLOUR) + 1 + user % 2 * COLOUR).tolist() for user in range(users)]
    return prepared(bought, 2 * COLOUR)


Made = tuple[Prepared, dict[str, Predictor], list[str]]


@pytest.fixture(scope="module")
def made() -> Made:
    given, lines = checkerboard(), list[str]()
    return given, rivals(given, CONFIG, seed=0, report=lines.append), lines


def hit_rate(answers: dict[str, np.ndarray], target: np.ndarray, k: int) -> float:
    return float((answers["items"][:, :k] == target[:, None]).any(axis=1).mean())


# === The shop of two colours ===


@pytest.mark.parametrize("name", ["item_knn", "ease"])
def test_the_last_item_of_ones_colour_comes_first(made: Made, name: str) -> None:
    given, predictors, _ = made
    assert hit_rate(predictors[name](given.test.inputs), given.test.target, 1) == 1
    assert hit_rate(predictors[name](given.validation.inputs), given.validation.target, 2) == 1


def test_popularity_knows_no_colours(made: Made) -> None:
    given, predictors, _ = made
    for name in ("popularity", "recent_popularity"):
        assert hit_rate(predictors[name](given.test.inputs), given.test.target, 1) < 0.6


@pytest.mark.parametrize("name", NAMES)
def test_answers_have_the_form_of_the_network(made: Made, name: str) -> None:
    given, predictors, _ = made
    answers = predictors[name](given.test.inputs)
    items, scores = answers["items"], answers["scores"]
    assert set(answers) == {"items", "scores"} and items.shape == scores.shape == (40, 20)  # the whole catalogue
    assert (items.dtype, scores.dtype) == (np.int32, np.float32)
    assert (np.diff(scores, axis=1) <= 0).all() and np.isfinite(scores).all()
    np.testing.assert_array_equal(np.sort(items, axis=1), np.tile(np.arange(1, 21), (40, 1)))


@pytest.mark.parametrize("name", NAMES)
def test_what_a_shopper_had_is_never_recommended(made: Made, name: str) -> None:
    given, predictors, _ = made
    asked = given.test.inputs
    assert (asked["exclude"][:, :3] > 0).all()  # nine items had, six of them in the window
    answers = predictors[name](asked)
    left = answers["scores"] > NOTHING_LEFT
    had = np.concatenate([asked["history"], asked["exclude"]], axis=1)
    assert (left.sum(axis=1) == 11).all()
    assert not (left[:, :, None] & (answers["items"][:, :, None] == had[:, None, :])).any()


@pytest.mark.parametrize("name", NAMES)
def test_a_shopper_without_a_history_is_shown_what_sells(made: Made, name: str) -> None:
    given, predictors, _ = made
    counts = np.bincount(np.concatenate([given.train.target.ravel(), first_items(given.train)]), minlength=21)
    nobody = {name: np.zeros((1, width), np.int32) for name, width in (("history", WINDOW), ("exclude", EXCLUDED))}
    items = predictors[name](nobody)["items"][0]
    if name == "recent_popularity":
        counts = np.bincount(given.train.target[latest(given.train)], minlength=21) + counts / 1000
    assert (np.diff(counts[items]) <= 0).all()


def first_items(train: Examples) -> np.ndarray:
    """Return each shopper's first item: windows run forward here."""
    first = np.unique(train.context["unit"], return_index=True)[1]
    history = train.inputs["history"][first]
    return np.array([row[row > 0][0] for row in history])


# === Tuning ===


def test_every_candidate_is_told_and_the_best_on_validation_is_taken(made: Made) -> None:
    given, predictors, lines = made
    grids = len(module.DECAYS) * len(module.NEIGHBOURS) * len(module.SHRINKAGES), len(module.STRENGTHS)
    told = {kind: [float(line.split()[-1]) for line in lines if kind in line] for kind in ("neighbours", "strength")}
    assert tuple(map(len, told.values())) == grids and list(predictors) == NAMES
    figures = {
        name: evaluate(predict(given.validation.inputs), given.validation, CONFIG)["ndcg@10"].compute(None)
        for name, predict in predictors.items()
    }
    assert figures["item_knn"] == pytest.approx(max(told["neighbours"]), abs=6e-5)
    assert figures["ease"] == pytest.approx(max(told["strength"]), abs=6e-5)


def test_a_decay_is_chosen_where_the_newest_item_tells() -> None:
    """Each shopper buys two of the five items of one kind, then two of another, and so on; asked is a second one."""
    rng = np.random.default_rng(0)
    kinds = (rng.permutation(12)[:5] for _ in range(300))
    bought = [np.concatenate([5 * kind + rng.permutation(5)[:2] + 1 for kind in mine])[:-1].tolist() for mine in kinds]
    lines = list[str]()
    given = prepared(bought, 60)
    predict = rivals(given, CONFIG, seed=0, report=lines.append)["item_knn"]
    figures = {line.split("  ")[0]: float(line.split()[-1]) for line in lines if line.startswith("200 neighbours")}
    by_decay = [figures[f"200 neighbours, shrinkage 10, decay {decay:g}"] for decay in module.DECAYS]
    assert by_decay == sorted(by_decay, reverse=True) and by_decay[0] > by_decay[-1] + 0.2
    taken = evaluate(predict(given.validation.inputs), given.validation, CONFIG)["ndcg@10"].compute(None)
    assert taken == pytest.approx(max(figures.values()), abs=0.01)


def test_the_test_split_is_never_looked_at(made: Made) -> None:
    given, predictors, _ = made
    blind = Prepared(given.plan, given.train, given.validation, None)  # type: ignore[arg-type]
    other = rivals(blind, CONFIG, seed=0, report=lambda line: None)
    for name in NAMES:
        found = (predict(given.test.inputs)["items"] for predict in (predictors[name], other[name]))
        np.testing.assert_array_equal(*found)


def test_a_large_validation_split_is_thinned_repeatably(monkeypatch: pytest.MonkeyPatch) -> None:
    given = checkerboard().validation
    assert module._thinned(given, 0) is given
    monkeypatch.setattr(module, "MAX_TUNING_EXAMPLES", 15)
    units = [module._thinned(given, seed).context["unit"] for seed in (0, 0, 1)]
    assert len(set(units[0])) == 15 and (np.diff(units[0]) > 0).all()
    assert np.array_equal(units[0], units[1]) and not np.array_equal(units[0], units[2])


def test_a_large_catalogue_chooses_the_strength_on_some_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STRENGTH_ITEMS", 12)
    given, lines = checkerboard(), list[str]()
    predict = rivals(given, CONFIG, seed=0, report=lines.append)["ease"]
    assert sum("EASE among 12 items" in line for line in lines) == len(module.STRENGTHS)
    assert hit_rate(predict(given.test.inputs), given.test.target, 1) == 1  # and is fitted on all


def test_fewer_items_mean_the_same_shop_without_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STRENGTH_ITEMS", 12)
    given = checkerboard()
    had = purchases(given.train, 20)
    fewer, judge = module._fewer_items(had, module._Judge(given.validation, CONFIG, 20, print), 0)
    kept = np.sort(np.random.default_rng(0).permutation(20)[:12]) + 1
    np.testing.assert_array_equal(fewer.toarray()[:, 1:], had.toarray()[:, kept])
    asked = given.validation.take(np.isin(given.validation.target, kept))
    np.testing.assert_array_equal(kept[judge.examples.target - 1], asked.target)
    old = np.where(np.isin(asked.inputs["history"], kept), asked.inputs["history"], 0)
    new = judge.examples.inputs["history"]
    np.testing.assert_array_equal(np.append(0, kept)[new], old)


@pytest.mark.parametrize(("most", "names"), [(19, NAMES[:3]), (20, NAMES)])
def test_too_many_items_leave_ease_out(monkeypatch: pytest.MonkeyPatch, most: int, names: list[str]) -> None:
    monkeypatch.setattr(module, "MAX_EASE_ITEMS", most)
    lines = list[str]()
    assert list(rivals(checkerboard(), CONFIG, seed=0, report=lines.append)) == names
    told = "EASE is left out: it inverts a matrix of all 20 items; up to 19 are taken"
    assert (lines[-1] == told) is (most < 20)


# === What was bought ===


@pytest.mark.parametrize("forward", [True, False])
def test_purchases_hold_every_item_of_every_shopper_once(forward: bool) -> None:
    sequences = [[1, 2, 3], list(range(20, 3, -1)), [5, 5, 6, 5]]
    had = purchases(windows(sequences, forward=forward), 20).toarray()
    expected = np.zeros((3, 21))
    for row, items in enumerate(sequences):
        expected[row, items] = 1
    np.testing.assert_array_equal(had, expected)


@pytest.mark.parametrize("forward", [True, False])
def test_the_latest_fifth_of_each_sequence(forward: bool) -> None:
    train = windows([[1, 2, 3], list(range(4, 20)), [20, 19]], forward=forward)
    assert sorted(train.target[latest(train)]) == [3, 17, 18, 19, 19]  # 1 of 2, 3 of 15, 1 of 1


def test_recent_popularity_counts_the_days_that_do_best() -> None:
    """Item 1 sold for ever, item 2 in the last month, item 3 yesterday; the next one is item 2."""
    days = {1: [300.0] * 9, 2: [20.0] * 5, 3: [80.0] * 7, 4: [1.0] * 2}
    target = np.array([[item] for item, ages in days.items() for _ in ages], np.int32)
    age = np.array([[day] for ages in days.values() for day in ages], np.float32)
    train = Examples({"history": np.full((23, 1), 5, np.int32)}, target, {"unit": np.arange(23), "age_days": age})
    given = following([[5, 2]] * 3, 1, 5)
    lines = list[str]()
    judge = module._Judge(given, CONFIG, 5, lines.append)
    score = module._recent(train, np.array([0, 9, 5, 7, 2, 23.0]), judge)
    assert score(np.zeros((1, 1), np.int32))[0].argsort()[::-1][:2].tolist() == [2, 4]
    assert [line.split("  ")[0] for line in lines] == [f"popularity in the last {d} days" for d in (7, 30, 90)]


def test_ages_that_are_not_known_count_as_no_times() -> None:
    train = windows([[1, 2, 3]])
    unknown = replace(train, context={**train.context, "age_days": np.full(train.target.shape, np.nan, np.float32)})
    lines = list[str]()
    judge = module._Judge(following([[1, 2, 3]], 1, 3), CONFIG, 3, lines.append)
    module._recent(unknown, np.ones(4), judge)
    assert len(lines) == 1 and lines[0].startswith("popularity in the last 20% of each sequence")


# === Neighbours and EASE by hand ===

HAD = csr_array(np.array([[0, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 0], [0, 1, 0, 0, 0]], np.float32))
COSINE = {(1, 2): 2 / 3, (1, 3): 1 / 6**0.5, (2, 3): 2 / 6**0.5}


@pytest.mark.parametrize("cells", [1 << 23, 7])
def test_similarity_is_the_shrunk_cosine(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    monkeypatch.setattr(module, "_CELLS", cells)
    codes, similarity = neighbours(HAD, most=2, shrinkage=0)
    found = {
        (row, int(code)): value for row in range(5) for code, value in zip(codes[row], similarity[row], strict=True)
    }
    expected = {**COSINE, **{(b, a): value for (a, b), value in COSINE.items()}}
    assert {pair: value for pair, value in found.items() if value > 0} == pytest.approx(expected)
    assert codes[2, 0] == 3 and codes[1, 0] == 2 and codes[3, 0] == 2
    assert neighbours(HAD, most=1, shrinkage=3)[1][1, 0] == pytest.approx(2 / (3 + 3))


def test_neighbours_of_newer_items_count_more() -> None:
    table = module._table(*neighbours(HAD, most=4, shrinkage=0))
    score = module._neighbour_score(table, np.zeros(5, np.float32), 0.5)(np.array([[0, 0, 1, 3], [0, 3, 1, 1]]))
    assert score[0, 2] == pytest.approx(COSINE[2, 3] + 0.5 * COSINE[1, 2])
    assert score[1, 2] == pytest.approx(1.5 * COSINE[1, 2] + 0.25 * COSINE[2, 3])


def test_popularity_decides_only_where_nothing_else_does() -> None:
    table = module._table(*neighbours(HAD, most=4, shrinkage=0))
    score = module._neighbour_score(table, np.array([0, 1, 9, 100, 50], np.float32), 1.0)
    assert score(np.array([[0], [1]]))[:, 1:].argsort(axis=1)[:, ::-1].tolist() == [[2, 3, 1, 0], [1, 2, 3, 0]]


@pytest.mark.parametrize("cells", [1 << 23, 7, 90])
def test_ease_is_the_closed_form(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    monkeypatch.setattr(module, "_CELLS", cells)
    monkeypatch.setattr(module, "_TIE", 0.0)
    rng = np.random.default_rng(0)
    dense = (rng.random((50, 31)) < 0.3).astype(np.float32)
    dense[:, 0] = 0
    weights = np.linalg.inv(dense.T @ dense.astype(float) + 20 * np.eye(31))
    weights = weights / -np.diag(weights)
    np.fill_diagonal(weights, 0)
    history = np.array([[0, 0, 4, 9], [0, 7, 7, 2], [0, 0, 0, 0]])
    found = ease(csr_array(dense), strength=20.0)(history)
    expected = weights[[4, 7]] + weights[[9, 2]]  # an item had twice was had
    others = np.setdiff1d(np.arange(1, 31), [4, 9, 7, 2])
    np.testing.assert_allclose(found[:2, others], expected[:, others], atol=1e-5)
    assert not found[2].any() and found.dtype == np.float32


# === Lists ===


def test_lists_are_the_same_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    table = rng.random((9, 31)).astype(np.float32)
    asked = inputs([rng.permutation(30)[:4] + 1 for _ in range(9)])
    asked["history"][:, 0] = np.arange(9) % 3  # rows can be told apart

    def score(history: np.ndarray) -> Any:
        return table[: len(history)] + history[:, :1]

    whole = recommend(lambda history: score(history).copy(), asked, 30, top=7)
    expected = score(asked["history"])
    for name in ("history", "exclude"):
        np.put_along_axis(expected, asked[name].astype(np.int64), NOTHING_LEFT, axis=1)
    expected[:, 0] = -np.inf
    np.testing.assert_array_equal(whole["items"], np.argsort(-expected, axis=1)[:, :7])
    monkeypatch.setattr(module, "_CELLS", 31)
    calls = list[int]()

    def in_turn(history: np.ndarray) -> Any:
        calls.append(len(history))
        return (table[len(calls) - 1 : len(calls)] + history[:, :1]).copy()

    blocks = recommend(in_turn, asked, 30, top=7)
    assert calls == [1] * 9
    np.testing.assert_array_equal(blocks["items"], whole["items"])
    np.testing.assert_array_equal(blocks["scores"], whole["scores"])


def test_of_equal_scores_the_lowest_code_comes_first() -> None:
    found = recommend(lambda history: np.ones((len(history), 6), np.float32), inputs([[2]]), 5)
    assert found["items"].tolist() == [[1, 3, 4, 5, 2]] and found["scores"][0, -1] == np.float32(NOTHING_LEFT)


def test_padding_is_never_recommended() -> None:
    """Not even where its column scores highest and neither history nor exclude has a 0 that would mask it."""
    asked = {"history": np.array([[1, 2]], np.int32), "exclude": np.array([[3, 4]], np.int32)}
    found = recommend(lambda history: np.arange(9, 0, -1, dtype=np.float32)[None], asked, 8, top=3)
    assert found["items"].tolist() == [[5, 6, 7]]


def weak(monkeypatch: pytest.MonkeyPatch, below: float) -> None:
    """Let penalties below a strength fail, as in a shop whose matrix float32 cannot invert."""

    def failing(had: csr_array, *, strength: float) -> module.Score:
        if strength < below:
            raise RunError(f"EASE cannot invert its matrix with strength {strength:g}: too weak for float32")
        return ease(had, strength=strength)

    monkeypatch.setattr(module, "ease", failing)


@pytest.mark.parametrize(("below", "left"), [(100.0, True), (1e9, False)])
def test_penalties_that_are_too_weak_are_told_and_end_no_run(
    monkeypatch: pytest.MonkeyPatch, below: float, left: bool
) -> None:
    weak(monkeypatch, below)
    lines: list[str] = []
    found = rivals(checkerboard(), RetailConfig(), seed=0, report=lines.append)
    assert ("ease" in found) == left
    assert sum("too weak for float32" in line for line in lines) >= 2
    assert any("no penalty makes" in line for line in lines) == (not left)
