"""Gradient boosting of orders, spend and coming back, its trees counted on validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, mean_poisson_deviance
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

TREES = 150
TREE_STEP = 10  # the number of trees is chosen among multiples of this
PENALTY = 1.0
THREADS = 1  # a shop's arithmetic is so small that sharing it out takes longer, on a busy machine fifty times so

Model: TypeAlias = Any
"""One of scikit-learn's two boosting models, which have no types."""


@dataclass(frozen=True)
class Setting:
    """How trees grow: learning rate, most leaves of a tree, fewest customers in a leaf."""

    rate: float
    leaves: int
    rows: int


@dataclass(frozen=True, eq=False)
class Sample:
    """Behaviour float32 (row, name) and one target float (row,)."""

    behaviour: np.ndarray
    target: np.ndarray


@dataclass(frozen=True, eq=False)
class Boosted:
    """A fitted model, cut off after the trees that do best on validation.

    Attributes:
        model: as fitted, with all trees.
        trees: how many are used.
        unit: what its answers are multiplied by.
        loss: on validation; Poisson deviance in units, or log loss of probabilities.
    """

    model: Model
    trees: int
    unit: float
    loss: float

    def predict(self, behaviour: np.ndarray) -> np.ndarray:
        """Return the expectation or probability, float64 (row,)."""
        with threadpool_limits(THREADS):
            stages = enumerate(_stages(self.model, behaviour), start=1)
            stage = next(stage for number, stage in stages if number == self.trees)
        return np.asarray(stage * self.unit, dtype=np.float64)


def boost(train: Sample, validation: Sample, setting: Setting, *, chance: bool = False, seed: int = 0) -> Boosted:
    """Fit one target and choose how many trees are used.

    A target of counts or money is fitted by Poisson deviance, which asks for the mean without a transformation and
    bears many zeros; it is told in units of its mean, so that the deviance has no unit.

    Args:
        train: not all 0; behaviour that it never has is not used.
        validation: the number of trees is chosen on it.
        setting: of the trees.
        chance: the target is 0 or 1, both occur, and its probability is wanted.
        seed: of the binning.
    """
    unit = 1.0 if chance else float(train.target.mean())
    matrix = train.behaviour.copy()
    matrix[:, np.isnan(matrix).all(axis=0)] = 0  # boosting cannot bin a column without any value
    truth = validation.target / unit
    with threadpool_limits(THREADS):
        model = _model(setting, chance, seed).fit(matrix, train.target / unit)
        stages = enumerate(_stages(model, validation.behaviour), start=1)
        losses = {trees: _loss(truth, stage, chance) for trees, stage in stages if trees % TREE_STEP == 0}
    trees = min(losses, key=lambda number: losses[number])
    return Boosted(model, trees, unit, losses[trees])


def _model(setting: Setting, chance: bool, seed: int) -> Model:
    kind, loss = (HistGradientBoostingClassifier, "log_loss") if chance else (HistGradientBoostingRegressor, "poisson")
    return kind(
        loss=loss,
        learning_rate=setting.rate,
        max_leaf_nodes=setting.leaves,
        min_samples_leaf=setting.rows,
        l2_regularization=PENALTY,
        max_iter=TREES,
        early_stopping=False,
        random_state=seed,
    )


def _stages(model: Model, behaviour: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the answers (row,) of one tree, of two, and so on."""
    if isinstance(model, HistGradientBoostingClassifier):
        return (stage[:, 1] for stage in model.staged_predict_proba(behaviour))
    return iter(model.staged_predict(behaviour))


def _loss(truth: np.ndarray, answer: np.ndarray, chance: bool) -> float:
    return float(log_loss(truth, answer, labels=[0, 1]) if chance else mean_poisson_deviance(truth, answer))
