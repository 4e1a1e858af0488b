"""Boosting learns counts and chances, and keeps as many trees as are best on validation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mean_poisson_deviance, roc_auc_score

from edgekit.domains.marketing_segmentation import boosting as module
from edgekit.domains.marketing_segmentation.boosting import Sample, Setting, boost

SETTING = Setting(0.2, 6, 10)


def sample(seed: int, *, chance: bool = False, unit: float = 1.0) -> Sample:
    """Return a target that follows the first column; the last column is never known."""
    rng = np.random.default_rng(seed)
    behaviour = rng.random((500, 3)).astype(np.float32)
    target = rng.poisson(4 * behaviour[:, 0] ** 2).astype(np.float64)
    behaviour[:, 2] = np.nan
    return Sample(behaviour, (target > 0) * 1.0 if chance else unit * target)


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TREES", 40)


def test_counts_are_learnt_without_bias() -> None:
    test = sample(2)
    answer = boost(sample(0), sample(1), SETTING).predict(test.behaviour)
    assert mean_poisson_deviance(test.target, answer) < 0.7 * mean_poisson_deviance(
        test.target, np.full(500, test.target.mean())
    )
    assert answer.mean() == pytest.approx(test.target.mean(), rel=0.1)


def test_chances_are_learnt() -> None:
    test = sample(2, chance=True)
    answer = boost(sample(0, chance=True), sample(1, chance=True), SETTING, chance=True).predict(test.behaviour)
    assert ((answer >= 0) & (answer <= 1)).all() and roc_auc_score(test.target, answer) > 0.75


def test_the_unit_of_money_does_not_matter() -> None:
    one, other = (boost(sample(0, unit=unit), sample(1, unit=unit), SETTING) for unit in (1.0, 1024.0))
    assert one.trees == other.trees and one.loss == pytest.approx(other.loss)
    rows = sample(2).behaviour
    np.testing.assert_allclose(other.predict(rows), 1024 * one.predict(rows), rtol=1e-5)


def test_as_many_trees_are_kept_as_are_best_on_validation() -> None:
    train, validation = sample(0), sample(1)
    kept = boost(train, validation, SETTING)
    losses = [
        mean_poisson_deviance(validation.target, s * kept.unit) / kept.unit
        for s in kept.model.staged_predict(validation.behaviour)
    ]
    tried = losses[module.TREE_STEP - 1 :: module.TREE_STEP]
    assert kept.trees == module.TREE_STEP * (1 + int(np.argmin(tried))) < 40, "more trees do worse in this sample"
    assert kept.loss == pytest.approx(min(tried))
    answer = kept.predict(validation.behaviour)
    assert mean_poisson_deviance(validation.target, answer) / kept.unit == pytest.approx(kept.loss)
