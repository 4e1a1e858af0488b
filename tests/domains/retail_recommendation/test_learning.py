"""How the networks learn: what is drawn, batches that lose nothing, losses by hand, and the weights that stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from edgekit.domains.retail_recommendation import learning
from edgekit.domains.retail_recommendation.config import ModelSettings, RetailTrainingSettings
from edgekit.domains.retail_recommendation.features import Plan
from edgekit.domains.retail_recommendation.layers import ItemRows, ItemTable
from edgekit.domains.retail_recommendation.learning import (
    EXACT_SHARE,
    FEW_ITEMS,
    LAST_RATE,
    LEAST_BATCH,
    MANY_ITEMS,
    MOST_BATCH,
    STEPS_AN_EPOCH,
    UNIFORM_SHARE,
    Learner,
    batch_targets,
    batches,
    count_batches,
    fill,
    following,
    learn,
    make_learner,
    make_step,
    proposal,
    uses_all_items,
    vectors,
)
from edgekit.domains.retail_recommendation.model import Member, build_member, build_model
from edgekit.shared.domain import Examples

WINDOW, WIDTH = 8, 8
MODEL = ModelSettings(kind="transformer", window=WINDOW, width=WIDTH, heads=2, blocks=1, dropout=0.0, excluded=2)
TRAINING = RetailTrainingSettings(
    epochs=2,
    patience=2,
    batch_size=16,
    average=0.9,
    learning_rate=1e-2,
    weight_decay=0.0,
    loss="full",
    negatives=8,
    next_weights=(1.0, 0.5, 0.25),
    hidden_items=0.0,
)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    keras.utils.set_random_seed(0)


def settings(**changes: Any) -> RetailTrainingSettings:
    return TRAINING.model_copy(update=changes)


def windows(sequences: Sequence[Sequence[int]], window: int = WINDOW) -> Examples:
    """Return one window a sequence; its first item follows no item at all."""
    history, target = np.zeros((2, len(sequences), window), np.int32)
    for row, items in enumerate(sequences):
        target[row, window - len(items) :] = items
        history[row, window - len(items) + 1 :] = items[:-1]
    return Examples({"history": history}, target)


def random_windows(count: int, *, window: int = WINDOW, items: int = 12, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, window + 1, count)
    return windows([rng.integers(1, items + 1, length).tolist() for length in lengths], window)


def plan(count: int, attributes: Sequence[tuple[int, ...]] = ()) -> Plan:
    names = ("kind: a", "kind: b") if attributes else ()
    items = tuple(f"i{code}" for code in range(1, count + 1))
    return Plan(WINDOW, 2, items, attribute_names=names, attributes=tuple(attributes))


def made(
    given: Plan, train: Examples, changed: RetailTrainingSettings = TRAINING, *, dropout: float = 0.0
) -> tuple[Member, Learner]:
    member = build_member(given, MODEL.model_copy(update={"dropout": dropout}))
    return member, make_learner(member.encoder, member.table, given, train, changed)


def values(variables: Sequence[Any]) -> list[np.ndarray]:
    return [variable.numpy() for variable in variables]


def alike(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> bool:
    return all(np.allclose(one, other, atol=1e-6) for one, other in zip(first, second, strict=True))


# === What is drawn ===


def test_negatives_are_drawn_by_the_root_of_popularity_and_a_part_evenly() -> None:
    found = proposal(np.array([70, 4, 9, 0, 0]), unknown=np.array([False, False, False, False, True]))
    even = UNIFORM_SHARE / 3
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [0, 0.9 * 2 / 5 + even, 0.9 * 3 / 5 + even, even, 0], rtol=1e-5)


@pytest.mark.parametrize("items", [2, 500, 100_000])
def test_it_sums_to_one_and_leaves_out_padding_and_unknown_items(items: int) -> None:
    rng = np.random.default_rng(0)
    count, unknown = rng.zipf(1.4, items + 1) % 1000, rng.random(items + 1) < 0.1
    unknown[1], count[unknown] = False, 0
    found = proposal(count, unknown=unknown)
    assert found.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(found > 0, ~unknown & (np.arange(items + 1) > 0))


def test_an_item_that_is_new_and_described_is_no_negative() -> None:
    train = windows([[1, 2, 3], [2, 1]])
    given = plan(5, [(0,), (), (1,), (0, 1), ()])  # 4 is new and described, 5 is new and nothing is known of it
    drawn = made(given, train)[1].proposal
    assert (drawn > 0).tolist() == [False, True, True, True, False, True]
    assert (made(plan(5), train)[1].proposal > 0).tolist() == [False, True, True, True, True, True]


# === Batches ===


def drawn(train: Examples, *, size: int, ahead: int = 1, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return list(batches(train.inputs["history"], train.target, size=size, ahead=ahead, rng=rng))


def numbered(count: int, seed: int = 0) -> Examples:
    """Return windows in which every target is another number, and so is what stands before it."""
    made = random_windows(count, seed=seed)
    number = np.arange(1, made.target.size + 1, dtype=np.int32).reshape(made.target.shape)
    history = np.where(made.inputs["history"] > 0, number - 1, 0).astype(np.int32)
    return Examples({"history": history}, np.where(made.target > 0, number, 0).astype(np.int32))


@pytest.mark.parametrize("size", [1, 20, 100, 10_000])
def test_every_target_comes_once_after_what_stood_before_it(size: int) -> None:
    train = numbered(150)
    found = Counter(
        pair
        for history, target in drawn(train, size=size)
        for pair in zip(history.ravel().tolist(), target.ravel().tolist(), strict=True)
        if pair[1]
    )
    there = train.target > 0
    expected = zip(train.inputs["history"][there].tolist(), train.target[there].tolist(), strict=True)
    assert found == Counter(expected)


@pytest.mark.parametrize("size", [1, 20, 100])
def test_windows_are_whole_and_batches_as_narrow_as_can_be(size: int) -> None:
    train = numbered(150)
    rows = {tuple(row[row > 0].tolist()) for row in train.target}
    found = drawn(train, size=size)
    assert {tuple(row[row > 0].tolist()) for _, target in found for row in target[..., 0]} == rows
    for history, target in found:
        assert history.shape == target.shape[:2] and target.shape[2] == 1
        assert (target[:, 0] > 0).any(), "no column of nothing but padding"


def test_batches_hold_about_as_many_targets_as_asked_for() -> None:
    train = random_windows(2000)
    counts = np.array([np.count_nonzero(target) for _, target in drawn(train, size=200)])
    assert counts.max() <= 200 and np.mean(counts) > 180
    assert {history.shape[0] for history, _ in drawn(train, size=1)} == {1}, "a window is never cut"


def test_lengths_are_kept_together() -> None:
    found = drawn(random_windows(2000), size=200)
    assert np.mean([np.count_nonzero(target) / target.size for _, target in found]) > 0.97


def test_windows_without_a_target_are_left_out() -> None:
    train = windows([[1, 2], [3]])
    empty = Examples({"history": np.zeros((4, WINDOW), np.int32)}, np.zeros((4, WINDOW), np.int32))
    empty.target[1], empty.inputs["history"][1] = train.target[0], train.inputs["history"][0]
    (batch,) = drawn(empty, size=100)
    assert batch[0].tolist() == [[0, 1]] and batch[1].tolist() == [[[1], [2]]]


def test_the_generator_decides_the_order() -> None:
    train = numbered(300)
    first, again, other = (drawn(train, size=50, seed=seed) for seed in (0, 0, 1))
    same = [np.array_equal(one[1], two[1]) for one, two in zip(first, again, strict=True)]
    assert all(same) and len(first) > 10
    assert not all(np.array_equal(one[1], two[1]) for one, two in zip(first, other, strict=True))
    groups = [frozenset(target[target > 0].tolist()) for _, target in first]
    assert set(groups) != {frozenset(target[target > 0].tolist()) for _, target in other}, "other neighbours, too"
    lengths = [history.shape[1] for history, _ in first]
    assert lengths not in (sorted(lengths), sorted(lengths, reverse=True)), "short and long ones are mixed"


@pytest.mark.parametrize("size", [1, 30, 4000])
def test_the_number_of_batches_is_known_beforehand(size: int) -> None:
    train = random_windows(200)
    assert {len(drawn(train, size=size, seed=seed)) for seed in range(3)} == {count_batches(train.target, size=size)}


def test_what_follows_later_is_told_too() -> None:
    found = following(np.array([[0, 5, 6, 7]], np.int32), 3)
    assert found.tolist() == [[[0, 5, 6], [5, 6, 7], [6, 7, 0], [7, 0, 0]]] and found.dtype == np.int32


def test_nothing_follows_beyond_the_end() -> None:
    assert following(np.array([[4, 5]]), 4).tolist() == [[[4, 5, 0, 0], [5, 0, 0, 0]]]


def test_batches_ask_for_what_follows_within_the_window() -> None:
    ((_, target),) = drawn(windows([[1, 2, 3], [4, 5]]), size=100, ahead=2)
    assert sorted(target.tolist()) == [[[0, 4], [4, 5], [5, 0]], [[1, 2], [2, 3], [3, 0]]]


@pytest.mark.parametrize(
    ("targets", "asked", "expected"),
    [
        (10, 0, LEAST_BATCH),
        (LEAST_BATCH * STEPS_AN_EPOCH, 0, LEAST_BATCH),
        (500 * STEPS_AN_EPOCH, 0, 500),
        (MOST_BATCH * STEPS_AN_EPOCH * 3, 0, MOST_BATCH),
        (10, 7, 7),
        (MOST_BATCH * STEPS_AN_EPOCH * 3, 9999, 9999),
    ],
)
def test_how_many_targets_a_batch_holds(targets: int, asked: int, expected: int) -> None:
    target = np.zeros(targets * 2, np.int32)
    target[::2] = 1
    assert batch_targets(target.reshape(-1, 2), settings(batch_size=asked)) == expected


# === Losses ===


@pytest.mark.parametrize(
    ("loss", "rows", "negatives", "exact"),
    [
        ("full", 10**6, 1, "all"),
        ("sampled", 3, 1000, "none"),
        ("auto", FEW_ITEMS * 50, 50, "all"),
        ("auto", FEW_ITEMS * 50 + 1, 50, "last"),
        ("auto", MANY_ITEMS * 50, 50, "last"),
        ("auto", MANY_ITEMS * 50 + 1, 50, "none"),
    ],
)
@pytest.mark.parametrize("epochs", [1, 4, 10, 20])
def test_small_catalogues_are_taken_whole_and_larger_ones_at_the_end(
    loss: str, rows: int, negatives: int, exact: str, epochs: int
) -> None:
    changed = settings(loss=loss, negatives=negatives, epochs=epochs)
    found = [uses_all_items(changed, rows, number) for number in range(1, epochs + 1)]
    last = {"all": epochs, "none": 0, "last": int(np.ceil(EXACT_SHARE * epochs))}[exact]
    assert found == [False] * (epochs - last) + [True] * last


NEW_ONE = plan(6, [(0,), (1,), (0, 1), (), (1,), (0,)])
SEQUENCES = [[1, 2, 3], [4, 1], [5], [2, 3, 4, 1]]  # nobody has item 6, which is described


def logsumexp(values: np.ndarray) -> np.ndarray:
    highest = values.max(axis=-1, keepdims=True)
    found: np.ndarray = np.log(np.exp(values - highest).sum(axis=-1)) + highest[..., 0]
    return found


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 0.5, 0.25), (2.0, 0.0, 1.0)])
def test_the_loss_worked_by_hand(weights: tuple[float, ...]) -> None:
    train = windows(SEQUENCES)
    member, learner = made(NEW_ONE, train, settings(next_weights=weights, batch_size=1000))
    ((codes, target),) = drawn(train, size=1000, ahead=len(weights))
    items = learner.rows(np.arange(7)).numpy()
    given = {"codes": tf.constant(codes), "vectors": tf.constant(items[codes] * np.sqrt(WIDTH))}
    scores = member.encoder(given).numpy() @ items.T
    losses = []
    for row, step in np.argwhere(target[..., 0] > 0):
        pairs = [(weight, item) for weight, item in zip(weights, target[row, step], strict=True) if item]
        wanted = sum(weight * scores[row, step, item] for weight, item in pairs) / sum(weight for weight, _ in pairs)
        losses.append(logsumexp(scores[row, step, 1:6]) - wanted)  # neither the padding nor the new item competes
    found = learning._loss(learner, tf.constant(codes), tf.constant(target), exact=True)
    assert float(found) == pytest.approx(np.mean(losses), rel=1e-4)


def test_the_sampled_loss_estimates_the_full_one() -> None:
    _, learner = made(NEW_ONE, windows(SEQUENCES), settings(loss="sampled", negatives=64))
    rng = np.random.default_rng(0)
    states = tf.constant(rng.normal(size=(8, WIDTH)) * 2, tf.float32)
    target = tf.constant(rng.integers(1, 6, 8), tf.int32)
    own = tf.reduce_sum(states * learner.rows(target), axis=1)[:, None]
    sampled = tf.function(lambda: tf.exp(learning._sampled(learner, states, target, own)))
    draws = np.array([sampled().numpy() for _ in range(600)])
    full = np.exp(learning._all(learner, states).numpy())
    np.testing.assert_allclose(draws.mean(axis=0) / full, 1, atol=0.02)
    assert draws.std(axis=0).min() > 0, "it is an estimate, by other items each time"


def test_the_full_loss_is_over_all_but_padding_and_new_described_items() -> None:
    _, learner = made(NEW_ONE, windows(SEQUENCES))
    states = np.random.default_rng(0).normal(size=(3, WIDTH)).astype(np.float32)
    scores = states @ learner.rows(np.arange(1, 6)).numpy().T
    np.testing.assert_allclose(learning._all(learner, tf.constant(states)), logsumexp(scores), rtol=1e-5)


@pytest.mark.parametrize("new", [0, 18])
def test_a_large_catalogue_is_drawn_as_proposed(new: int) -> None:
    _, learner = made(NEW_ONE, windows(SEQUENCES))
    items = 100_000
    count = np.random.default_rng(0).zipf(1.5, items + 1) % 5000
    count[items + 1 - new :] = 0
    described = np.zeros((items + 1, 1), np.uint8)
    described[items + 1 - new :] = 1
    rows = ItemRows(count > 0, described, WIDTH, hidden=0.0)
    rows.build(())
    large = replace(
        learner,
        rows=rows,
        proposal=proposal(count, unknown=described[:, 0] > 0),
        settings=settings(loss="sampled", negatives=1 << 16),
    )
    target, own = tf.constant([1], tf.int32), tf.zeros((1, 1))
    found = [float(learning._sampled(large, tf.zeros((1, WIDTH)), target, own)[0]) for _ in range(5)]
    assert found == pytest.approx([np.log(items - new)] * 5, abs=0.1), "of all items with the same score"


class Noted:
    """What takes the place of the items' rows: it notes which were drawn, and describes all of them by zeros."""

    def __init__(self) -> None:
        self.drawn = list[np.ndarray]()

    def __call__(self, codes: Any, training: bool) -> Any:
        self.drawn.append(codes.numpy())
        return tf.zeros((len(codes), WIDTH))


def draws_of(count: np.ndarray, unknown: np.ndarray, *, negatives: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how often each item is expected to be drawn, and how often it is."""
    expected = proposal(count, unknown=unknown)
    rows: Any = Noted()
    _, learner = made(NEW_ONE, windows(SEQUENCES))
    changed = replace(learner, rows=rows, proposal=expected, settings=settings(loss="sampled", negatives=negatives))
    learning._sampled(changed, tf.zeros((1, WIDTH)), tf.constant([1], tf.int32), tf.zeros((1, 1)))
    (found,) = rows.drawn
    assert len(found) == negatives
    return expected * negatives, np.bincount(found, minlength=len(count))


@pytest.mark.parametrize("items", [6, 300_000, 3_000_000])
@pytest.mark.parametrize("new", [0, 3])
def test_items_are_drawn_as_often_as_proposed(items: int, new: int) -> None:
    count = np.zeros(items + 1)
    count[1 : items // 2] = np.random.default_rng(0).zipf(1.6, items // 2 - 1) % 5000
    unknown = np.zeros(items + 1, bool)
    unknown[items // 3 : items // 3 + new] = unknown[items + 1 - new :] = True  # among the others, and at the end
    count[unknown] = 0
    expected, found = draws_of(count, unknown, negatives=1 << 21)
    assert not found[0] and not found[unknown].any(), "what must not be a negative is never drawn"
    parts = [part for part in np.array_split(np.arange(1, items + 1), 40) if expected[part].any()]
    parts += [np.arange(first, items + 1, 8) for first in range(1, 9)]  # each eighth item
    wanted, drawn = (np.array([values[part].sum() for part in parts]) for values in (expected, found))
    there = wanted > 0
    assert (np.abs(drawn - wanted)[there] < 5 * np.sqrt(wanted[there]) + 1).all(), "but for chance"
    last = np.flatnonzero(expected)[-1]
    assert abs(found[last] - expected[last]) < 5 * np.sqrt(expected[last]) + 5, "the last takes none of the others'"
    unlucky = np.exp(-expected[expected > 0]).sum()  # items that chance alone leaves out
    missed = (found[expected > 0] == 0).sum()
    assert abs(missed - unlucky) < 5 * np.sqrt(unlucky) + 1, "no item is out of reach"


# === A step ===


@pytest.mark.parametrize(("momentum", "kept"), [(0.0, 0.0), (0.1, 0.1), (0.999, 5 / 14)])
def test_a_step_moves_the_weights_and_their_average(momentum: float, kept: float) -> None:
    train = windows(SEQUENCES)
    _, learner = made(NEW_ONE, train, settings(average=momentum, epochs=50))
    learner.optimizer.iterations.assign(3)  # so that the rate is above 0, and the average still forgets fast
    before, ((codes, target),) = values(learner.variables), drawn(train, size=1000, ahead=3)
    make_step(learner, exact=True)(codes, target)
    after = values(learner.variables)
    assert max(np.abs(one - other).max() for one, other in zip(after, before, strict=True)) > 1e-3
    expected = [kept * one + (1 - kept) * other for one, other in zip(before, after, strict=True)]
    assert alike(values(learner.average), expected)


@pytest.mark.parametrize("exact", [False, True])
def test_a_step_returns_the_loss_that_it_was_made_for(exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    train = windows(SEQUENCES)
    _, learner = made(NEW_ONE, train)
    monkeypatch.setattr(learning, "_all", lambda learner, states: tf.fill((len(states),), 1000.0))
    ((codes, target),) = drawn(train, size=1000, ahead=3)
    assert (float(make_step(learner, exact=exact)(codes, target)) > 900) is exact


def test_the_rate_rises_in_the_first_epoch_and_falls_to_the_end() -> None:
    train = random_windows(60)
    _, learner = made(plan(12), train, settings(epochs=5, learning_rate=0.02))
    steps = count_batches(train.target, size=learner.size)
    found = []
    for number in (0, steps // 2, steps, 3 * steps, 5 * steps):
        learner.optimizer.iterations.assign(number)
        found.append(float(learner.optimizer.learning_rate))
    assert found[0] == 0 and found[1] == pytest.approx(0.02 * (steps // 2) / steps, rel=1e-3)
    assert found[2] == pytest.approx(0.02, rel=1e-3) and 0.02 > found[3] > found[4]
    assert found[4] == pytest.approx(0.02 * LAST_RATE, rel=1e-3)


def test_what_is_learnt_is_the_items_and_the_encoder() -> None:
    member, learner = made(NEW_ONE, windows(SEQUENCES))
    wanted = [*learner.rows.trainable_variables, *member.encoder.trainable_variables]
    assert [id(variable) for variable in learner.variables] == [id(variable) for variable in wanted]
    assert alike(values(learner.average), values(learner.variables))


# === The course ===


class Watched:
    """A score that is set beforehand, and what the network was like when it was asked for."""

    def __init__(self, member: Member, learner: Learner, scores: Sequence[float]) -> None:
        self.member, self.learner, self.scores = member, learner, iter(scores)
        self.tables, self.weights, self.lines = list[np.ndarray](), list[list[np.ndarray]](), list[str]()
        self.averages_were_shown, self.others_go_on = list[bool](), list[bool]()

    def score(self) -> float:
        self.tables.append(self.member.table.table.numpy())
        self.weights.append(values(self.learner.variables))
        self.averages_were_shown.append(alike(self.weights[-1], values(self.learner.average)))
        return next(self.scores)

    def report(self, line: str) -> None:
        self.lines.append(line)
        self.others_go_on.append(not alike(values(self.learner.variables), values(self.learner.average)))


def course(scores: Sequence[float], **changed: Any) -> tuple[Watched, learning.Course]:
    train = random_windows(30)
    member, learner = made(plan(12), train, settings(epochs=len(scores), **changed))
    watched = Watched(member, learner, scores)
    found = learn(learner, train, score=watched.score, seed=0, report=watched.report)
    return watched, found


def test_the_best_epochs_averaged_weights_stay() -> None:
    watched, found = course([0.1, 0.4, 0.2, 0.4, 0.3], patience=5)
    assert found.best_epoch == 2, "of equal ones the first"
    assert alike(values(watched.learner.variables), watched.weights[1])
    np.testing.assert_allclose(watched.member.table.table, watched.tables[1], atol=1e-6)
    assert not np.allclose(watched.tables[1], watched.tables[4], atol=1e-3)
    assert all(watched.averages_were_shown) and all(watched.others_go_on)


def test_what_was_scored_is_the_table_of_the_averaged_items() -> None:
    watched, _ = course([0.1])
    np.testing.assert_allclose(watched.tables[0], watched.learner.rows(np.arange(13)), atol=1e-6)


@pytest.mark.parametrize(
    ("scores", "patience", "epochs", "best"),
    [([0.3] * 9, 3, 4, 1), ([0.1, 0.2, 0.1, 0.1, 0.9], 2, 4, 2), ([0.1, 0.2, 0.1, 0.3], 2, 4, 4), ([0.0], 1, 1, 1)],
)
def test_it_stops_when_nothing_gets_better(
    scores: list[float], patience: int, epochs: int, best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "run_epoch", lambda learner, step, train, rng: 0.0)
    watched, found = course(scores, patience=patience)
    assert (len(found.history["score"]), len(watched.lines), found.best_epoch) == (epochs, epochs, best)


def test_every_epoch_is_told() -> None:
    watched, found = course([0.1, 0.3, 0.2], patience=3)
    assert list(found.history) == ["loss", "score"] and found.history["score"] == [0.1, 0.3, 0.2]
    assert watched.lines[1].startswith(f"epoch 2/3  loss {found.history['loss'][1]:.4f}  validation 0.3000  ")
    assert watched.lines[2].endswith("best 0.3000 (epoch 2)")
    assert found.history["loss"][2] < found.history["loss"][0] and found.seconds > 0


def test_the_last_epochs_are_exact_where_all_items_cost_much(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[Any] = []
    monkeypatch.setattr(learning, "make_step", lambda learner, *, exact: exact)

    def epoch(learner: Learner, step: Any, train: Examples, rng: np.random.Generator) -> float:
        steps.append(step)
        return 0.0

    monkeypatch.setattr(learning, "run_epoch", epoch)
    course([0.1] * 10, patience=10, loss="auto", negatives=1)
    assert steps == [False] * 8 + [True] * 2


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_many_items_are_described_part_by_part(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "_CHUNK", chunk)
    _, learner = made(NEW_ONE, windows(SEQUENCES), settings(hidden_items=0.9))
    found = vectors(learner.rows, 7)
    assert found.shape == (7, WIDTH) and found.dtype == np.float32
    np.testing.assert_allclose(found, learner.rows(np.arange(7)), atol=1e-6)


@pytest.mark.parametrize("members", [1, 2, 3])
def test_the_table_holds_the_vectors_of_the_members_side_by_side(members: int) -> None:
    table = ItemTable(7, WIDTH, members=members)
    table.build(())
    given = [np.random.default_rng(number).random((7, WIDTH), np.float32) for number in range(members)]
    fill(table, given)
    found = table(np.array([[5, 0, 6]], np.int32)).numpy() / np.sqrt(WIDTH)
    for number, part in enumerate(np.split(found, members, axis=-1)):
        np.testing.assert_allclose(part[0], given[number][[5, 0, 6]], atol=1e-6)


# === New items ===

COLOUR = 8  # items of each colour: black 1…8, white 9…16; nobody had black 17 and white 18
COLOURS = [(0,)] * COLOUR + [(1,)] * COLOUR + [(0,), (1,)]
Rank = Callable[[list[int]], list[int]]


def fitted(attributes: Sequence[tuple[int, ...]], loss: str) -> Rank:
    """Return what ranks all 18 items after a history, in a shop where everybody buys one colour, in any order."""
    rng = np.random.default_rng(0)
    train = windows([(rng.permutation(COLOUR) + 1 + user % 2 * COLOUR).tolist() for user in range(60)])
    changed = settings(epochs=8, patience=8, batch_size=32, loss=loss, hidden_items=0.2)
    given = plan(18, attributes)
    member, learner = made(given, train, changed, dropout=0.1)
    scores = iter(range(100))
    learn(learner, train, score=lambda: float(next(scores)), seed=0, report=lambda line: None)
    ranker = build_model([member], given)

    def rank(items: list[int]) -> list[int]:
        history = np.zeros((1, WINDOW), np.int32)
        history[0, WINDOW - len(items) :] = items
        found: list[int] = (
            ranker({"history": history, "exclude": np.zeros((1, 2), np.int32)})["items"][0].numpy().tolist()
        )
        return found[: 18 - len(items)]

    return rank


@pytest.mark.parametrize("loss", ["full", "sampled"])
def test_an_item_that_nobody_had_is_recommended_by_its_attributes(loss: str) -> None:
    rank = fitted(COLOURS, loss)
    assert set(rank([1, 4, 7])[:6]) == {2, 3, 5, 6, 8, 17}
    assert set(rank([16, 9, 12])[:6]) == {10, 11, 13, 14, 15, 18}


@pytest.mark.parametrize("loss", ["full", "sampled"])
def test_of_which_nothing_is_known_is_not_recommended(loss: str) -> None:
    rank = fitted((), loss)
    assert set(rank([1, 4, 7])[:5]) == {2, 3, 5, 6, 8} and not {17, 18} & set(rank([])[:16])
    assert set(rank([16, 9, 12])[:5]) == {10, 11, 13, 14, 15}
