"""One ``fit`` for every domain: seeded, early stopping on validation, best weights back, progress, CSV log."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .config import TrainingSettings
from .domain import Arrays, Examples, Predictor, Progress

MAX_BATCH = 4096


@dataclass(frozen=True)
class Fitted:
    """What a training left behind.

    Attributes:
        model: the network with the weights of its best epoch.
        history: per-epoch values by name (``loss``, ``score``, …).
        best_epoch: 1-based epoch whose weights were kept.
        seconds: wall-clock time of the fit.
        notes: what was chosen among several fits, and by what figure.
        chosen: settings that the fit chose on validation, by section and key; the rivals get them too.
    """

    model: keras.Model
    history: dict[str, list[float]]
    best_epoch: int
    seconds: float
    notes: tuple[str, ...] = ()
    chosen: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and TensorFlow and ask for deterministic kernels."""
    keras.utils.set_random_seed(seed)
    with contextlib.suppress(RuntimeError):  # once TensorFlow has run, the switch is already as it is
        tf.config.experimental.enable_op_determinism()


def predictor(model: keras.Model, *, batch_bytes: int = 4 << 20) -> Predictor:
    """Return ``model`` as a predictor: named arrays in, named arrays out.

    Batches hold at most ``MAX_BATCH`` rows and ``batch_bytes`` of input: images need hundreds of times their own size
    in between.
    """
    row_bytes = sum(math.prod(item.shape[1:]) * np.dtype(item.dtype).itemsize for item in model.inputs)
    batch_size = min(MAX_BATCH, max(1, batch_bytes // max(row_bytes, 1)))
    signature = {item.name: tf.TensorSpec((None, *item.shape[1:]), item.dtype, item.name) for item in model.inputs}
    run = tf.function(lambda inputs: model(inputs, training=False), input_signature=[signature])

    def predict(inputs: Arrays) -> dict[str, np.ndarray]:
        count = len(next(iter(inputs.values())))
        parts = [
            run({name: tf.constant(array[start : start + batch_size]) for name, array in inputs.items()})
            for start in range(0, count, batch_size)
        ]
        return {name: np.concatenate([part[name].numpy() for part in parts]) for name in parts[0]}

    return predict


def fit(
    model: keras.Model,
    train: Examples | tf.data.Dataset,
    *,
    settings: TrainingSettings,
    score: Callable[[], float],
    report: Progress,
    log: Path | None = None,
) -> Fitted:
    """Fit a compiled ``model`` and keep the weights of the epoch with the highest validation ``score``, or of the last.

    The order of the batches follows the seed given to :func:`seed_everything`. An optimizer that keeps a running
    average of the weights (``use_ema``) is scored by it, and it is kept.

    Args:
        model: compiled Keras model with named inputs.
        train: examples to learn from, or batches of them, one pass an epoch.
        settings: epochs, patience and batch size.
        score: the model's figure on validation, higher is better; called after every epoch.
        report: receives one line per epoch.
        log: where the per-epoch CSV goes, if anywhere.
    """
    start = time.perf_counter()
    watcher = _BestEpoch(score, settings, report)
    averaged = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if model.optimizer.use_ema else []
    callbacks: list[keras.callbacks.Callback] = [*averaged, watcher]
    if log is not None:
        callbacks.append(keras.callbacks.CSVLogger(str(log)))
    history = model.fit(
        _batches(train, settings.batch_size) if isinstance(train, Examples) else train,
        epochs=settings.epochs,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )
    watcher.restore()
    return Fitted(model, dict(history.history), watcher.best_epoch, time.perf_counter() - start)


def _batches(examples: Examples, batch_size: int) -> tf.data.Dataset:
    """Shuffle and batch index-wise: one gather per batch is far cheaper than one slice per row."""
    inputs = {name: tf.constant(array) for name, array in examples.inputs.items()}
    target = tf.constant(examples.target)

    def gather(index: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        return {name: tf.gather(array, index) for name, array in inputs.items()}, tf.gather(target, index)

    rows = tf.data.Dataset.range(len(examples))
    shuffled = rows.shuffle(len(examples), reshuffle_each_iteration=True)
    return shuffled.batch(batch_size).map(gather).prefetch(2)


class _BestEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Scores each epoch on validation, keeps the best weights (or the last) and stops after ``patience`` worse ones."""

    def __init__(self, score: Callable[[], float], settings: TrainingSettings, report: Progress) -> None:
        super().__init__()
        self._score, self._settings, self._report = score, settings, report
        self._best = -np.inf
        self._weights: list[np.ndarray] = []
        self.best_epoch = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = {} if logs is None else logs
        logs["score"] = value = float(self._score())
        if value > self._best or self._settings.keep == "last":
            self._best, self.best_epoch, self._weights = value, epoch + 1, self.model.get_weights()
        self._report(
            f"epoch {epoch + 1}/{self._settings.epochs}  loss {logs.get('loss', float('nan')):.4f}  "
            f"validation {value:.4f}  kept {self._best:.4f} (epoch {self.best_epoch})"
        )
        if epoch + 1 - self.best_epoch >= self._settings.patience:
            self.model.stop_training = True

    def restore(self) -> None:
        if self._weights:
            self.model.set_weights(self._weights)
