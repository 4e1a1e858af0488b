"""The synthetic shop: repeatable, described in full, and hard for who ignores the order of purchases."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

import numpy as np
import pytest

from edgekit.domains.retail_recommendation import synthesis
from edgekit.domains.retail_recommendation.config import RetailConfig, SyntheticSettings
from edgekit.domains.retail_recommendation.log import Log


@lru_cache
def shop(shoppers: int = 600, items: int = 300, days: int = 365, seed: int = 0) -> Log:
    settings = SyntheticSettings(shoppers=shoppers, items=items, days=days)
    return synthesis.synthesize(RetailConfig(synthetic=settings), seed=seed)


def sequences(log: Log) -> list[np.ndarray]:
    return [log.item[log.user == user] for user in range(int(log.user.max()) + 1)]


def test_the_same_seed_gives_the_same_shop() -> None:
    first, other = shop(), shop(seed=1)
    again = synthesis.synthesize(RetailConfig(), seed=0)
    np.testing.assert_array_equal(first.item, again.item)
    assert first.titles == again.titles and first.fingerprint == again.fingerprint != other.fingerprint
    content = b"".join(array.tobytes() for array in (first.user, first.item, first.time, first.attributes))
    assert first.fingerprint == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(("shoppers", "items", "days"), [(600, 300, 365), (30, 20, 30), (50, 700, 900)])
def test_the_shop_is_described_in_full(shoppers: int, items: int, days: int) -> None:
    log = shop(shoppers, items, days)
    rows = len(log)
    assert (log.user.dtype, log.item.dtype, log.time.dtype) == (np.int64, np.int32, np.int64)
    assert log.user.shape == log.item.shape == log.time.shape == (rows,)
    assert set(log.user) == set(range(shoppers)) and log.item.min() >= 1 and log.item.max() <= items
    assert log.timed and (np.diff(log.time) >= 0).all()
    assert log.time.min() >= synthesis.START and log.time.max() < synthesis.START + days * synthesis.DAY
    assert len(log.items) == len(set(log.items)) == len(log.titles) == items
    assert log.attributes.shape == (items + 1, len(log.attribute_names)) and log.attributes.dtype == np.uint8
    assert log.source == "edgekit synthetic shop" and "seed 0" in log.notes[0] and f"{rows:,}" in log.notes[0]


def test_about_twelve_thousand_purchases() -> None:
    assert 11_000 < len(shop()) < 13_500


def test_every_item_has_one_category_one_brand_one_price_and_a_title_of_its_own_kind() -> None:
    log = shop()
    kinds = np.array([name.split(": ")[0] for name in log.attribute_names])
    assert list(dict.fromkeys(kinds)) == ["category", "brand", "price"]
    assert not log.attributes[0].any()
    assert all((log.attributes[1:, kinds == kind].sum(axis=1) == 1).all() for kind in ("category", "brand", "price"))
    assert {"category: shoes", "price: low"} < set(log.attribute_names)
    assert len(set(log.attribute_names)) == len(log.attribute_names) and log.attributes[1:].any(axis=0).all()
    assert all(re.fullmatch(r"[A-Z][a-z]{5} [a-z]+ [a-z ]+( [123])?", title) for title in log.titles)
    brand = np.array([name.removeprefix("brand: ") for name in log.attribute_names])[kinds == "brand"]
    named = brand[log.attributes[1:, kinds == "brand"].argmax(axis=1)]
    assert [title.split()[0] for title in log.titles] == named.tolist()


def test_nobody_buys_an_item_twice() -> None:
    pairs = np.stack([shop().user, shop().item])
    assert len(np.unique(pairs, axis=1).T) == len(shop())


def test_few_items_sell_much_and_many_sell_little() -> None:
    sold = np.sort(np.bincount(shop().item, minlength=301)[1:])[::-1]
    assert sold[:30].sum() > 0.25 * sold.sum() and sold[150:].sum() < 0.25 * sold.sum()


def test_a_series_is_bought_in_order_and_soon() -> None:
    log = shop()
    assortment = synthesis.draw_assortment(np.random.default_rng(0), 300, 365)
    assert assortment.titles == log.titles
    (parts,) = np.nonzero([title.endswith(" 1") for title in log.titles])
    assert len(parts) > 5 and all(log.titles[part + 1] == log.titles[part][:-1] + "2" for part in parts)
    bought = {(user, item): time for user, item, time in zip(log.user, log.item, log.time, strict=True)}
    waits = np.array(
        [
            (bought[user, first + 2] - time) / synthesis.DAY
            for first in parts
            for (user, item), time in bought.items()
            if item == first + 1 and (user, first + 2) in bought
        ]
    )
    assert (waits > 0).mean() > 0.8 and np.quantile(waits, 0.8) < 10


def test_printers_are_followed_by_what_they_use_up() -> None:
    log = shop()
    assortment = synthesis.draw_assortment(np.random.default_rng(0), 300, 365)
    printing = list(synthesis.CATEGORIES).index("printing")
    devices = np.flatnonzero((assortment.category == printing) & (assortment.follower >= 0))
    assert len(devices) > 3
    owners = [(user, device) for device in devices for user in log.user[log.item == device + 1]]
    followed = [log.item[log.user == user] == assortment.follower[device] + 1 for user, device in owners]
    assert np.mean([found.any() for found in followed]) > 0.5
    kinds = {(log.titles[i].split(" ", 2)[2], log.titles[assortment.follower[i]].split(" ", 2)[2]) for i in devices}
    assert kinds <= {("printer", "ink set"), ("scanner", "toner")}


def test_new_items_appear_all_year_and_some_only_at_the_end() -> None:
    log = shop()
    first = np.full(301, np.inf)
    np.minimum.at(first, log.item, (log.time - synthesis.START) / synthesis.DAY)
    launch = synthesis.draw_assortment(np.random.default_rng(0), 300, 365).launch
    assert (first[1:] >= launch - 1e-4).all()  # seconds are cut off
    assert 0.6 < (launch == 0).mean() < 0.85 and ((launch > 180) & (launch < 340)).sum() > 20
    assert (launch == 365 * 0.94).sum() >= 5
    cut = np.quantile(log.time, 0.8)
    cold = np.setdiff1d(log.item[log.time > cut], log.item[log.time <= cut])
    assert len(cold) >= 3 and log.attributes[cold].any(axis=1).all()


def test_some_categories_have_a_season() -> None:
    log = shop()
    winter = log.attributes[log.item, log.attribute_names.index("category: winter")] > 0
    day = (log.time - synthesis.START) / synthesis.DAY
    share = [winter[(day > low) & (day < high)].mean() for low, high in ((305, 365), (130, 220))]
    assert share[0] > 2.5 * share[1]


def test_shoppers_switch_between_interests_and_come_back() -> None:
    log = shop()
    category = log.attributes[:, [name.startswith("category") for name in log.attribute_names]].argmax(axis=1)
    stays = np.concatenate([np.diff(category[items]) == 0 for items in sequences(log)])
    assert 0.45 < stays.mean() < 0.75
    returns = [len(np.unique(runs)) < len(runs) for runs in map(_runs, (category[items] for items in sequences(log)))]
    assert np.mean(returns) > 0.5


def _runs(codes: np.ndarray) -> np.ndarray:
    return codes[np.append(True, np.diff(codes) != 0)]


def _change(log: Log) -> float:
    """Return by how much the categories of shoppers' first and second halves differ, 0…2."""
    category = log.attributes[:, [name.startswith("category") for name in log.attribute_names]].argmax(axis=1)
    eye = np.eye(category.max() + 1)
    long = [eye[category[items]] for items in sequences(log) if len(items) > 15]
    halves = [(rows[: len(rows) // 2].mean(axis=0), rows[len(rows) // 2 :].mean(axis=0)) for rows in long]
    return float(np.mean([np.abs(first - second).sum() for first, second in halves]))


def test_tastes_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    drifting = _change(shop())
    monkeypatch.setattr(synthesis, "DRIFT", 0.0)
    assert drifting > _change(synthesis.synthesize(RetailConfig(), seed=0)) + 0.02


# === How hard it is ===


@lru_cache
def hit_rates(seed: int) -> dict[str, float]:
    """Return HR@10 of every shopper's last purchase, from all but the last two, by the plainest of methods."""
    log = shop(seed=seed)
    bought = [items for items in sequences(log) if len(items) > 2]
    had, known = np.zeros((2, len(bought), 301))
    moves = np.zeros((301, 301))
    for row, items in enumerate(bought):
        had[row, items[:-2]] = known[row, items[:-1]] = 1
        np.add.at(moves, (items[:-3], items[1:-2]), 1)
    gram, popularity = had.T @ had, had.sum(axis=0)
    size = np.sqrt(np.outer(popularity, popularity)) + 10
    inverse = np.linalg.inv(gram + 50 * np.eye(301))
    last, target = (np.array([items[place] for items in bought]) for place in (-2, -1))
    scores = {
        "popularity": np.tile(popularity, (len(bought), 1)),
        "neighbours": known @ (gram / size),
        "ease": known @ (inverse / -np.diag(inverse)),
        "markov": moves[last] / (moves[last].sum(axis=1, keepdims=True) + 1) + 0.01 * popularity / popularity.sum(),
    }
    unseen = {name: np.where(known > 0, -np.inf, score)[:, 1:] for name, score in scores.items()}
    best = {name: np.argsort(-score, axis=1)[:, :10] + 1 for name, score in unseen.items()}
    return {name: float((items == target[:, None]).any(axis=1).mean()) for name, items in best.items()}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_popularity_is_weak_neighbours_are_better_and_order_is_best(seed: int) -> None:
    rates = hit_rates(seed)
    assert 0.08 < rates["popularity"] < 0.18
    assert rates["neighbours"] > rates["popularity"] + 0.05
    assert rates["ease"] > rates["neighbours"] + 0.1
    assert rates["markov"] > rates["ease"] + 0.1
