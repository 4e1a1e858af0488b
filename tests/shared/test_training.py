"""The fit: repeatable, stopped on validation, best weights kept, and logged."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from edgekit.shared.config import TrainingSettings
from edgekit.shared.domain import Examples
from edgekit.shared.training import Fitted, fit, predictor, seed_everything

Said = list[str]


def examples(rows: int = 64) -> Examples:
    x = np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)
    return Examples({"x": x}, (x @ np.array([[1.0], [-2.0], [0.5]], np.float32)))


def network(seed: int = 0) -> keras.Model:
    seed_everything(seed)
    x = keras.Input((3,), name="x")
    model = keras.Model({"x": x}, {"y": keras.layers.Dense(1)(keras.layers.Dropout(0.2)(x))})
    model.compile(optimizer="adam", loss={"y": "mse"})
    return model


def trained(
    score: Callable[[], float], *, seed: int = 0, epochs: int = 5, patience: int = 2, said: Said | None = None,
    log: Path | None = None, model: keras.Model | None = None,
) -> Fitted:  # fmt: skip
    settings = TrainingSettings(epochs=epochs, patience=patience, batch_size=16)
    report = (said if said is not None else []).append
    return fit(model or network(seed), examples(), settings=settings, score=score, report=report, log=log)


def scripted(*values: float) -> Callable[[], float]:
    following: Iterator[float] = iter(values)
    return lambda: next(following)


def test_the_same_seed_gives_the_same_weights() -> None:
    first, again, other = (trained(scripted(1, 2, 3, 4, 5), seed=seed).model.get_weights() for seed in (3, 3, 4))
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert any(not np.array_equal(one, two) for one, two in zip(first, other, strict=True))


def test_the_best_weights_come_back_and_waiting_ends() -> None:
    model, seen = network(), list[list[np.ndarray]]()
    values = scripted(0.1, 0.5, 0.4, 0.3, 0.9)  # the last is never reached: patience is 2

    def score() -> float:
        seen.append([weight.copy() for weight in model.get_weights()])
        return values()

    result = trained(score, model=model, patience=2)
    assert (result.best_epoch, len(seen)) == (2, 4)
    assert result.history["score"] == [0.1, 0.5, 0.4, 0.3] and len(result.history["loss"]) == 4
    assert all(np.array_equal(one, two) for one, two in zip(result.model.get_weights(), seen[1], strict=True))
    assert any(not np.array_equal(one, two) for one, two in zip(seen[1], seen[3], strict=True))


def test_of_equal_scores_the_first_epoch_is_kept() -> None:
    assert trained(scripted(0.5, 0.5, 0.5, 0.5, 0.5), patience=3).best_epoch == 1


def test_a_new_best_starts_the_waiting_again() -> None:
    assert trained(scripted(0.1, 0.0, 0.2, 0.1, 0.3), patience=2).best_epoch == 5


def test_every_epoch_is_told_and_logged(tmp_path: Path) -> None:
    said: Said = []
    result = trained(scripted(0.1, 0.3, 0.2), epochs=3, said=said, log=tmp_path / "log.csv")
    assert [line.split("  ")[0] for line in said] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert "validation 0.3000" in said[1] and "kept 0.3000 (epoch 2)" in said[2]
    with (tmp_path / "log.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [float(row["score"]) for row in rows] == [0.1, 0.3, 0.2] and result.seconds > 0


def test_every_row_is_seen_once_an_epoch() -> None:
    from edgekit.shared.training import _batches

    numbered = Examples({"x": np.arange(50)}, np.arange(50) * 2)
    seed_everything(0)
    batches = _batches(numbered, 16)
    first, second = ([(inputs["x"].numpy(), target.numpy()) for inputs, target in batches] for _ in range(2))
    order, again = (np.concatenate([x for x, _ in epoch]) for epoch in (first, second))
    assert sorted(order) == list(range(50)) == sorted(again)
    assert order.tolist() != again.tolist() != list(range(50))  # shuffled, and anew each epoch
    assert all((target == 2 * x).all() for x, target in first)


def test_batches_are_learnt_from_one_pass_an_epoch() -> None:
    given, model = examples(), network()
    batches = tf.data.Dataset.from_tensor_slices((given.inputs, given.target)).batch(16)
    settings = TrainingSettings(epochs=3, patience=3, batch_size=1)  # the size of the batches is their own business
    result = fit(model, batches, settings=settings, score=scripted(1, 2, 3), report=lambda line: None)
    assert int(model.optimizer.iterations) == 3 * 4
    assert (result.best_epoch, len(result.history["loss"])) == (3, 3)


MOMENTUM = 0.5


def path(scores: list[float], *, use_ema: bool) -> tuple[Fitted, list[np.ndarray]]:
    """Fit a line one full batch an epoch; return the fit and the kernel that each epoch was scored with."""
    seed_everything(0)
    x = keras.Input((3,), name="x")
    model = keras.Model({"x": x}, {"y": keras.layers.Dense(1, use_bias=False)(x)})
    model.compile(optimizer=keras.optimizers.SGD(0.05, use_ema=use_ema, ema_momentum=MOMENTUM), loss={"y": "mse"})
    seen, values = list[np.ndarray](), scripted(*scores)

    def score() -> float:
        seen.append(model.get_weights()[0].copy())
        return values()

    settings = TrainingSettings(epochs=len(scores), patience=2, batch_size=64)
    return fit(model, examples(), settings=settings, score=score, report=lambda line: None), seen


# The last best is the last epoch, an earlier one, and one that stopping came after.
@pytest.mark.parametrize("scores", [[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 2.5], [1.0, 2.0, 1.5, 1.0, 9.0]])
def test_a_running_average_is_what_is_scored_and_kept(scores: list[float]) -> None:
    plain, weights = path(scores, use_ema=False)
    result, scored = path(scores, use_ema=True)
    average, expected = weights[0], [weights[0]]
    for weight in weights[1:]:
        average = MOMENTUM * average + (1 - MOMENTUM) * weight
        expected.append(average)
    assert result.best_epoch == plain.best_epoch > 1 and len(scored) == len(expected)
    np.testing.assert_allclose(np.array(scored), np.array(expected), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(result.model.get_weights()[0], scored[result.best_epoch - 1])
    assert np.abs(scored[1] - weights[1]).max() > 1e-3  # the average is another than the weights


@pytest.mark.parametrize("batch_bytes", [1, 12 * 16, 12 * 16 + 11, 12 * 64, 12_000])
def test_a_predictor_answers_in_batches_as_at_once(batch_bytes: int) -> None:
    model, given = network(), examples()
    expected = model({"x": given.inputs["x"]}, training=False)["y"].numpy()
    np.testing.assert_allclose(predictor(model, batch_bytes=batch_bytes)(given.inputs)["y"], expected, rtol=1e-5)


class Counted(keras.layers.Layer):  # type: ignore[misc]
    """Writes down how many rows are asked for at once."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def call(self, values: Any) -> Any:
        """Return the values as they are."""
        if isinstance(values, keras.KerasTensor):
            return values
        return tf.ensure_shape(tf.numpy_function(self._count, [values], tf.float32), values.shape)

    def _count(self, values: np.ndarray) -> np.ndarray:
        self.asked.append(len(values))
        return values


@pytest.mark.parametrize(
    ("width", "rows", "batch_bytes", "asked"),
    [
        (3, 20, 100, [8, 8, 4]),  # 12 bytes a row
        (3, 20, 95, [7, 7, 6]),
        (3, 3, 1, [1, 1, 1]),  # a row that is larger than the budget
        (3, 5000, 10**9, [4096, 904]),
        (1024, 1100, None, [1024, 76]),  # 4 MB
    ],
)
def test_a_batch_holds_so_many_bytes_and_rows(width: int, rows: int, batch_bytes: int | None, asked: list[int]) -> None:
    x, layer = keras.Input((width,), name="x"), Counted()
    model = keras.Model({"x": x}, {"y": layer(x)})
    given = np.random.default_rng(0).random((rows, width), dtype=np.float32)
    budget = {} if batch_bytes is None else {"batch_bytes": batch_bytes}
    np.testing.assert_array_equal(predictor(model, **budget)({"x": given})["y"], given)
    assert layer.asked == asked


def test_every_input_of_a_row_counts_with_the_bytes_of_its_kind() -> None:
    grey, code = keras.Input((10, 10, 1), dtype="uint8", name="grey"), keras.Input((5,), dtype="int32", name="code")
    layer = Counted()
    model = keras.Model({"grey": grey, "code": code}, {"y": layer(keras.ops.cast(code, "float32"))})
    given = {"grey": np.zeros((7, 10, 10, 1), np.uint8), "code": np.zeros((7, 5), np.int32)}
    predictor(model, batch_bytes=3 * (100 + 20))(given)
    assert layer.asked == [3, 3, 1]
