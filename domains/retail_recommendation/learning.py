"""How the networks learn: batches without padding, the loss over the items, and a running average of the weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ...shared.domain import Examples, Progress
from .config import RetailTrainingSettings
from .features import Plan
from .layers import NOTHING, ItemRows, ItemTable

UNIFORM_SHARE = 0.1  # of the negatives; the rest follows the root of popularity
FEW_ITEMS, MANY_ITEMS = 4, 50  # times as many as negatives: all items cost little, or do not fit into the memory
EXACT_SHARE = 0.2  # of the epochs, at the end
STEPS_AN_EPOCH, LEAST_BATCH, MOST_BATCH = 100, 64, 1280
SECOND_MOMENT = 0.98  # rare items' gradients come seldom; a longer memory would keep their first steps small
LAST_RATE = 0.02  # of the learning rate, at the end
_WARM = 10  # the average forgets faster at the beginning, or it would keep the initial weights for long
_CHUNK = 1 << 16  # items whose vectors are made together


@dataclass(frozen=True, eq=False)
class Learner:
    """A network in training.

    Attributes:
        encoder: ``codes`` int32 (batch, any step) and ``vectors`` float32 (batch, step, width) to states of that form.
        table: holds the items' vectors for use, to be filled.
        rows: what items are described by.
        variables: all that is learnt.
        optimizer: of the variables.
        average: their running averages.
        proposal: float32 (item + 1,) from which negatives are drawn; 0 for items that must not be any.
        settings: loss, negatives, momentum of the average.
        size: targets a batch, about.
    """

    encoder: keras.Model
    table: ItemTable
    rows: ItemRows
    variables: tuple[Any, ...]
    optimizer: keras.optimizers.Optimizer
    average: tuple[tf.Variable, ...]
    proposal: np.ndarray
    settings: RetailTrainingSettings
    size: int


def make_learner(
    encoder: keras.Model, table: ItemTable, plan: Plan, train: Examples, settings: RetailTrainingSettings
) -> Learner:
    """Return a learner at its beginning.

    In the first epoch the learning rate rises, then it falls along a cosine.

    Args:
        encoder: the network without its items.
        table: holds the items' vectors for use.
        plan: the catalogue, with attributes or without.
        train: windows of histories and what follows; an item that is never a target is new.
        settings: learning rate and loss.
    """
    count = np.bincount(train.target.ravel(), minlength=len(plan.items) + 1)
    attributes = plan.attribute_matrix()
    rows = ItemRows(count > 0, attributes, table.width, hidden=settings.hidden_items)
    rows.build(())
    size = batch_targets(train.target, settings)
    steps = count_batches(train.target, size=size)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps * max(settings.epochs - 1, 1), LAST_RATE, warmup_target=settings.learning_rate, warmup_steps=steps
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay, beta_2=SECOND_MOMENT)
    variables = (*rows.trainable_variables, *encoder.trainable_variables)
    optimizer.build(variables)
    average = tuple(tf.Variable(variable.value, trainable=False) for variable in variables)
    drawn = proposal(count, unknown=attributes.any(axis=1) & (count == 0))
    return Learner(encoder, table, rows, variables, optimizer, average, drawn, settings, size)


def proposal(count: np.ndarray, *, unknown: np.ndarray) -> np.ndarray:
    """Return float32 (item + 1,) probabilities of being drawn as a negative: by the root of how often it is a target.

    A part is drawn evenly, so that items which nobody had, and of which nothing is known, learn to be last.

    Args:
        count: (item + 1,) how often each item is a target.
        unknown: bool (item + 1,) items that are judged by their attributes only, and so must not learn to be last.
    """
    allowed = ~unknown
    allowed[0] = False
    root = np.sqrt(np.where(allowed, count, 0))
    drawn = (1 - UNIFORM_SHARE) * root / max(root.sum(), 1.0) + UNIFORM_SHARE * allowed / max(allowed.sum(), 1)
    return np.asarray(drawn / drawn.sum(), dtype=np.float32)


# === Batches ===


def batch_targets(target: np.ndarray, settings: RetailTrainingSettings) -> int:
    """Return how many targets a batch holds: as set, or so that an epoch has about ``STEPS_AN_EPOCH``."""
    if settings.batch_size:
        return settings.batch_size
    return int(np.clip(np.count_nonzero(target) // STEPS_AN_EPOCH, LEAST_BATCH, MOST_BATCH))


def batches(
    history: np.ndarray, target: np.ndarray, *, size: int, ahead: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield windows of almost equal length together, cut to the longest of them: most histories are short.

    Args:
        history: int32 (window, step), 0 in front.
        target: int32 (window, step) the item that follows each, 0 where there is none.
        size: targets that a batch holds, about.
        ahead: how many of the items that follow are asked for.
        rng: of the order within a length, and of the batches.

    Yields:
        int32 (window, step) items; int32 (window, step, ahead) the next one, the one after it and so on, 0 for none.
    """
    length = (target > 0).sum(axis=1)
    rows = np.flatnonzero(length)
    rows = rows[np.lexsort((rng.random(len(rows)), length[rows]))]
    edges = [0]
    for place, steps in enumerate(length[rows].tolist()):
        if (place - edges[-1] + 1) * steps > size and place > edges[-1]:
            edges.append(place)
    groups = np.split(rows, edges[1:])
    for number in rng.permutation(len(groups)):
        group = groups[number]
        steps = int(length[group].max())
        yield history[group, -steps:], following(target[group, -steps:], ahead)


def following(target: np.ndarray, ahead: int) -> np.ndarray:
    """Return (window, step, ahead): the target of each step, of the step after it and so on, 0 beyond the end."""
    made = np.zeros((*target.shape, ahead), dtype=target.dtype)
    for later in range(min(ahead, target.shape[1])):
        made[:, : target.shape[1] - later, later] = target[:, later:]
    return made


def count_batches(target: np.ndarray, *, size: int) -> int:
    """Return how many batches an epoch has."""
    return sum(1 for _ in batches(target, target, size=size, ahead=1, rng=np.random.default_rng(0)))


# === Losses ===


def make_step(learner: Learner, *, exact: bool) -> Callable[[Any, Any], Any]:
    """Return one step, from what ``batches`` yields to the mean loss, which is over all items if ``exact``."""
    forms = [tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, None, None), tf.int32)]
    variables, momentum = learner.variables, learner.settings.average

    def step(codes: Any, target: Any) -> Any:
        with tf.GradientTape() as tape:
            value = _loss(learner, codes, target, exact=exact)
        learner.optimizer.apply(tape.gradient(value, [variable.value for variable in variables]), variables)
        number = tf.cast(learner.optimizer.iterations.value, tf.float32)
        kept = tf.minimum(momentum, (1 + number) / (_WARM + number))
        for average, variable in zip(learner.average, variables, strict=True):
            average.assign(kept * average + (1 - kept) * variable.value)
        return value

    traced: Callable[[Any, Any], Any] = tf.function(step, input_signature=forms)
    return traced


def _loss(learner: Learner, codes: Any, target: Any, *, exact: bool) -> Any:
    """Return the mean over the steps that have a target; those after the next one count by their weights."""
    there = tf.where(target[:, :, 0] > 0)
    vectors = learner.rows(codes, training=True) * learner.rows.width**0.5
    states = learner.encoder({"codes": codes, "vectors": vectors}, training=True)
    states, target = tf.gather_nd(states, there), tf.gather_nd(target, there)
    own = tf.einsum("tw,taw->ta", states, learner.rows(target, training=True))
    share = tf.constant(learner.settings.weights) * tf.cast(target > 0, tf.float32)
    wanted = tf.reduce_sum(own * share, axis=1) / tf.reduce_sum(share, axis=1)
    against = _all(learner, states) if exact else _sampled(learner, states, target[:, 0], own[:, :1])
    return tf.reduce_mean(against - wanted)


def uses_all_items(settings: RetailTrainingSettings, rows: int, epoch: int) -> bool:
    """Tell whether the loss of an epoch (from 1) is over all items of a table with so many rows."""
    if settings.loss != "auto":
        return settings.loss == "full"
    ending = epoch > (1 - EXACT_SHARE) * settings.epochs
    return rows <= (MANY_ITEMS if ending else FEW_ITEMS) * settings.negatives


def _all(learner: Learner, states: Any) -> Any:
    """Return the logarithm of the sum over all items, but for those that must not be negatives."""
    items = learner.rows(tf.range(len(learner.proposal)), training=True)
    left_out = tf.constant(np.where(learner.proposal > 0, 0.0, NOTHING).astype(np.float32))
    return tf.reduce_logsumexp(tf.matmul(states, items, transpose_b=True) + left_out, axis=1)


def _sampled(learner: Learner, states: Any, target: Any, own: Any) -> Any:
    """Return the same, estimated from the target and shared negatives, each corrected for how often it is drawn.

    Source: Bengio & Senécal 2008, IEEE TNN 19(4); Yi et al. 2019, RecSys (the correction by log q).
    """
    count = learner.settings.negatives
    edges = np.cumsum(learner.proposal, dtype=np.float64)  # with fewer digits the last items would take what is lost
    drawn = tf.searchsorted(edges / edges[-1], tf.random.uniform((count,), dtype=tf.float64), side="right")
    log_q = tf.gather(tf.constant(np.log(np.maximum(learner.proposal, 1e-12))), drawn)
    others = tf.matmul(states, learner.rows(drawn, training=True), transpose_b=True) - log_q - np.log(count)
    others = tf.where(target[:, None] == drawn[None], NOTHING, others)
    return tf.reduce_logsumexp(tf.concat([own, others], axis=1), axis=1)


# === The course ===


@dataclass(frozen=True)
class Course:
    """How the learning went: figures by epoch, and the epoch (from 1) whose averaged weights the network now has."""

    history: dict[str, list[float]]
    best_epoch: int
    seconds: float


def learn(
    learner: Learner,
    train: Examples,
    *,
    score: Callable[[], float],
    seed: int,
    report: Progress,
) -> Course:
    """Learn epoch by epoch and leave the network with the averaged weights that scored best on validation.

    Args:
        learner: at its beginning.
        train: windows of histories and what follows.
        score: the figure on validation of the network that ships, higher is better.
        seed: of the order of the batches.
        report: receives one line an epoch.
    """
    start, rng, settings = time.perf_counter(), np.random.default_rng(seed), learner.settings
    steps = {exact: make_step(learner, exact=exact) for exact in (False, True)}
    figures: dict[str, list[float]] = {"loss": [], "score": []}
    best, best_epoch, best_weights = -np.inf, 0, list[np.ndarray]()
    for number in range(1, settings.epochs + 1):
        exact = uses_all_items(settings, learner.table.rows, number)
        figures["loss"].append(run_epoch(learner, steps[exact], train, rng))
        figures["score"].append(value := _averaged_score(learner, score))
        if value > best:
            best, best_epoch = value, number
            best_weights = [average.numpy() for average in learner.average]
        report(
            f"epoch {number}/{settings.epochs}  loss {figures['loss'][-1]:.4f}  validation {value:.4f}  "
            f"best {best:.4f} (epoch {best_epoch})"
        )
        if number - best_epoch >= settings.patience:
            break
    _assign(learner, best_weights)
    fill(learner.table, [vectors(learner.rows, learner.table.rows)])
    return Course(figures, best_epoch, time.perf_counter() - start)


def run_epoch(learner: Learner, step: Callable[[Any, Any], Any], train: Examples, rng: np.random.Generator) -> float:
    """Go once through the windows and return the mean loss."""
    ahead = len(learner.settings.weights)
    drawn = batches(train.inputs["history"], train.target, size=learner.size, ahead=ahead, rng=rng)
    losses = [step(*batch) for batch in drawn]
    return float(np.mean([float(value) for value in losses]))


def _averaged_score(learner: Learner, score: Callable[[], float]) -> float:
    """Return the figure of the averaged weights; learning goes on with the others."""
    weights = [variable.numpy() for variable in learner.variables]
    _assign(learner, [average.numpy() for average in learner.average])
    fill(learner.table, [vectors(learner.rows, learner.table.rows)])
    value = float(score())
    _assign(learner, weights)
    return value


def vectors(rows: ItemRows, count: int) -> np.ndarray:
    """Return float32 (count, width): what the first ``count`` rows, padding included, are described by in use."""
    starts = range(0, count, _CHUNK)
    return np.concatenate([rows(tf.range(start, min(start + _CHUNK, count))).numpy() for start in starts])


def fill(table: ItemTable, members: Sequence[np.ndarray]) -> None:
    """Put the members' vectors, float32 (item + 1, width) each, into the table side by side."""
    table.table.assign(np.concatenate(members, axis=1))


def _assign(learner: Learner, weights: list[np.ndarray]) -> None:
    for variable, value in zip(learner.variables, weights, strict=True):
        variable.assign(value)
