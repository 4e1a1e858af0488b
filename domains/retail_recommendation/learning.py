"""How the networks learn: batches without padding, the loss over the items, and a running average of the weights."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ...shared.domain import Progress
from ...shared.files import write_text
from .config import RetailTrainingSettings
from .layers import NOTHING

UNIFORM_SHARE = 0.1  # of the negatives; the rest follows the root of popularity
_WARM = 10  # the average forgets faster at the beginning, or it would keep the initial weights for long


@dataclass(frozen=True, eq=False)
class Learner:
    """A network in training.

    Attributes:
        encoder: codes int32 (batch, any step) to states float32 (batch, step, width).
        table: float32 variable (item + 1, width) that both encoder and scores use.
        optimizer: of the encoder's weights.
        average: running averages of the encoder's trainable weights.
        proposal: float32 (item + 1,) from which negatives are drawn.
        settings: loss, negatives, momentum of the average.
    """

    encoder: keras.Model
    table: Any
    optimizer: keras.optimizers.Optimizer
    average: tuple[tf.Variable, ...]
    proposal: np.ndarray
    settings: RetailTrainingSettings


def learner(
    encoder: keras.Model, table: Any, targets: np.ndarray, settings: RetailTrainingSettings, *, steps: int
) -> Learner:
    """Return a learner at its beginning.

    Args:
        encoder: the network without its scores.
        table: the item table of the encoder.
        targets: int32 (…) codes to be learnt, 0 where there are none; their counts make the proposal.
        settings: learning rate and loss.
        steps: in all epochs together, over which the learning rate falls to a tenth.
    """
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, max(1, steps), alpha=0.1)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay)
    optimizer.build(encoder.trainable_variables)
    average = tuple(tf.Variable(variable.value, trainable=False) for variable in encoder.trainable_variables)
    return Learner(encoder, table, optimizer, average, proposal(targets, table.shape[0]), settings)


def proposal(targets: np.ndarray, rows: int) -> np.ndarray:
    """Return float32 (row,) probabilities of being drawn as a negative: the root of how often it is a target."""
    count = np.bincount(targets.ravel(), minlength=rows).astype(np.float64)
    count[0] = 0
    drawn = (1 - UNIFORM_SHARE) * np.sqrt(count) / max(np.sqrt(count).sum(), 1.0) + UNIFORM_SHARE / (rows - 1)
    drawn[0] = 0
    return np.asarray(drawn / drawn.sum(), dtype=np.float32)


def batches(
    history: np.ndarray, target: np.ndarray, *, tokens: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield windows of almost equal length together, cut to the longest of them: most histories are short.

    Args:
        history: int32 (window, step), 0 in front.
        target: int32 (window, step), 0 where there is none.
        tokens: steps that a batch holds, about.
        rng: of the order within a length, and of the batches.
    """
    length = (target > 0).sum(axis=1)
    rows = np.flatnonzero(length)
    rows = rows[np.lexsort((rng.random(len(rows)), length[rows]))]
    edges = [0]
    for place, steps in enumerate(length[rows].tolist()):
        if (place - edges[-1] + 1) * steps > tokens and place > edges[-1]:
            edges.append(place)
    groups = np.split(rows, edges[1:])
    for number in rng.permutation(len(groups)):
        group = groups[number]
        steps = int(length[group].max())
        yield history[group, -steps:], target[group, -steps:]


def count_batches(target: np.ndarray, *, tokens: int) -> int:
    """Return how many batches an epoch has."""
    return sum(1 for _ in batches(target, target, tokens=tokens, rng=np.random.default_rng(0)))


def make_step(learner: Learner) -> Callable[[Any, Any], Any]:
    """Return one step of learning on codes and targets, both int32 (batch, step); it returns the mean loss."""
    form = tf.TensorSpec((None, None), tf.int32)
    loss = _full if learner.settings.loss == "full" else _sampled
    variables = learner.encoder.trainable_variables
    momentum = learner.settings.average

    def step(codes: Any, target: Any) -> Any:
        with tf.GradientTape() as tape:
            there = tf.where(target > 0)
            states = tf.gather_nd(learner.encoder(codes, training=True), there)
            value = tf.reduce_mean(loss(learner, states, tf.gather_nd(target, there)))
        learner.optimizer.apply(tape.gradient(value, [variable.value for variable in variables]), variables)
        number = tf.cast(learner.optimizer.iterations.value, tf.float32)
        kept = tf.minimum(momentum, (1 + number) / (_WARM + number))
        for average, variable in zip(learner.average, variables, strict=True):
            average.assign(kept * average + (1 - kept) * variable.value)
        return value

    traced: Callable[[Any, Any], Any] = tf.function(step, input_signature=[form, form])
    return traced


def _full(learner: Learner, states: Any, target: Any) -> Any:
    """Cross-entropy over all items."""
    scores = tf.matmul(states, learner.table.value, transpose_b=True)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(target, scores)


def _sampled(learner: Learner, states: Any, target: Any) -> Any:
    """Cross-entropy over the target and shared negatives, corrected for how often each is drawn.

    Source: Bengio & Senécal 2008, IEEE TNN 19(4); Yi et al. 2019, RecSys (the correction by log q).
    """
    table, count = learner.table.value, learner.settings.negatives
    own = tf.reduce_sum(states * tf.gather(table, target), axis=1, keepdims=True)
    drawn = tf.searchsorted(tf.constant(np.cumsum(learner.proposal)), tf.random.uniform((count,)))
    drawn = tf.minimum(drawn, len(learner.proposal) - 1)
    log_q = tf.gather(tf.constant(np.log(np.maximum(learner.proposal, 1e-12))), drawn)
    others = tf.matmul(states, tf.gather(table, drawn), transpose_b=True) - log_q - np.log(count)
    others = tf.where(target[:, None] == drawn[None], NOTHING, others)
    return tf.reduce_logsumexp(tf.concat([own, others], axis=1), axis=1) - own[:, 0]


@dataclass(frozen=True)
class Course:
    """How the learning went: figures by epoch, and the epoch (from 1) whose averaged weights the network now has."""

    history: dict[str, list[float]]
    best_epoch: int
    seconds: float


def learn(
    learner: Learner,
    epoch: Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]],
    *,
    score: Callable[[], float],
    report: Progress,
    log: Path | None = None,
) -> Course:
    """Learn epoch by epoch and leave the network with the averaged weights that scored best on validation.

    Args:
        learner: at its beginning.
        epoch: makes the batches of one epoch.
        score: the network's figure on validation, higher is better.
        report: receives one line an epoch.
        log: where the figures go as CSV, if anywhere.
    """
    start, step, settings = time.perf_counter(), make_step(learner), learner.settings
    history: dict[str, list[float]] = {"loss": [], "score": []}
    best, best_epoch, best_weights = -np.inf, 0, list[np.ndarray]()
    for number in range(1, settings.epochs + 1):
        history["loss"].append(float(np.mean([float(step(codes, target)) for codes, target in epoch()])))
        weights = [variable.numpy() for variable in learner.encoder.trainable_variables]
        _assign(learner, [average.numpy() for average in learner.average])
        history["score"].append(value := float(score()))
        if value > best:
            best, best_epoch, best_weights = value, number, [average.numpy() for average in learner.average]
        _assign(learner, weights)
        report(
            f"epoch {number}/{settings.epochs}  loss {history['loss'][-1]:.4f}  validation {value:.4f}  "
            f"best {best:.4f} (epoch {best_epoch})"
        )
        if number - best_epoch >= settings.patience:
            break
    _assign(learner, best_weights)
    if log is not None:
        _write(log, history)
    return Course(history, best_epoch, time.perf_counter() - start)


def _assign(learner: Learner, weights: list[np.ndarray]) -> None:
    for variable, value in zip(learner.encoder.trainable_variables, weights, strict=True):
        variable.assign(value)


def _write(path: Path, history: dict[str, list[float]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["epoch", *history])
    writer.writerows([number, *row] for number, row in enumerate(zip(*history.values(), strict=True), start=1))
    write_text(path, text.getvalue())
