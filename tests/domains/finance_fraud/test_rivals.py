"""The rivals: on the same inputs, tuned on validation only, repeatable, and strong enough to matter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from edgekit.domains.finance_fraud import rivals as module
from edgekit.domains.finance_fraud.config import FraudConfig
from edgekit.domains.finance_fraud.features import DAY, Plan
from edgekit.domains.finance_fraud.rivals import rivals
from edgekit.shared.domain import Examples, Predictor, Prepared
from edgekit.shared.metrics import average_precision

NAMES = ["hist_gradient_boosting", "logistic_regression"]
PLAN = Plan((), ("a", "b"), {"kind": ("x", "y")}, DAY)


def examples(rows: int, seed: int) -> Examples:
    """Return rows with gaps, an all-missing column and a category; fraud follows from a high ``a`` and category 2."""
    rng = np.random.default_rng(seed)
    numeric = rng.lognormal(2, 1, (rows, 3)).astype(np.float32)
    kind = rng.integers(0, 3, (rows, 1)).astype(np.int32)
    chance = 0.02 + 0.6 * ((numeric[:, 0] > 10) & (kind[:, 0] == 2))
    numeric[rng.random((rows, 3)) < 0.1] = np.nan
    numeric[:, 2] = np.nan
    return Examples({"numeric": numeric, "categorical": kind}, (rng.random(rows) < chance).astype(np.float32))


def prepared() -> Prepared:
    return Prepared(PLAN, *(examples(rows, seed) for seed, rows in enumerate((600, 300, 300))))


@pytest.fixture(scope="module", autouse=True)
def fewer_trees() -> Iterator[None]:
    """Keep the fits small; on threads that other processes want too, they would take seconds each."""
    with pytest.MonkeyPatch.context() as patch, threadpool_limits(1):
        patch.setattr(module, "BOOSTING_TREES", 20)
        patch.setattr(module, "BOOSTING_GRID", ((0.1, 8), (0.3, 8)))
        yield


def fit(data: Prepared, seed: int = 0) -> tuple[dict[str, Predictor], list[str]]:
    said: list[str] = []
    return rivals(data, FraudConfig(), seed=seed, report=said.append), said


@pytest.fixture(scope="module")
def fitted(fewer_trees: None) -> tuple[dict[str, Predictor], Prepared]:
    data = prepared()
    return fit(data)[0], data


@pytest.fixture(scope="module")
def again(fitted: tuple[dict[str, Predictor], Prepared]) -> dict[str, Predictor]:
    """Return rivals fitted once more, with all labels of test turned round."""
    data = fitted[1]
    return fit(replace(data, test=Examples(data.test.inputs, 1 - data.test.target)))[0]


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_probabilities_of_the_models_shape(
    fitted: tuple[dict[str, Predictor], Prepared], name: str
) -> None:
    rival, data = fitted[0][name], fitted[1]
    score = rival(data.test.inputs)["probability"]
    assert score.shape == (300, 1) and ((score >= 0) & (score <= 1)).all()
    one = rival(data.test.take(slice(0, 1)).inputs)["probability"]
    np.testing.assert_allclose(one, score[:1], rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_rivals_learn(fitted: tuple[dict[str, Predictor], Prepared], name: str) -> None:
    data = fitted[1]
    score = fitted[0][name](data.test.inputs)["probability"][:, 0]
    assert average_precision(data.test.target, score) > 2 * data.test.target.mean()


@pytest.mark.parametrize("name", NAMES)
def test_a_second_fit_is_equal_and_the_test_rows_play_no_part(
    fitted: tuple[dict[str, Predictor], Prepared], again: dict[str, Predictor], name: str
) -> None:
    rows = fitted[1].test.inputs
    np.testing.assert_array_equal(again[name](rows)["probability"], fitted[0][name](rows)["probability"])


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_or_new_category_and_missing_numbers_are_answered(
    fitted: tuple[dict[str, Predictor], Prepared], name: str
) -> None:
    odd = {"numeric": np.full((2, 3), np.nan, np.float32), "categorical": np.array([[0], [77]], np.int32)}
    assert np.isfinite(fitted[0][name](odd)["probability"]).all()


@pytest.mark.parametrize("turn", [1, -1])
def test_settings_are_those_best_on_validation(monkeypatch: pytest.MonkeyPatch, turn: int) -> None:
    monkeypatch.setattr(module, "LOGISTIC_GRID", (1e-4, 1.0)[::turn])
    monkeypatch.setattr(module, "BOOSTING_GRID", ((0.001, 2), (0.3, 8))[::turn])
    data = prepared()
    made, said = fit(data)
    told = [float(line.split("validation ")[1].split()[0]) for line in said]
    boosting = [value for value, line in zip(told, said, strict=True) if "boosting" in line]
    logistic = [value for value, line in zip(told, said, strict=True) if "logistic" in line]
    assert (len(boosting), len(logistic)) == (2, len(module.LOGISTIC_GRID))
    for name, values in zip(NAMES, (boosting, logistic), strict=True):
        score = made[name](data.validation.inputs)["probability"][:, 0]
        assert average_precision(data.validation.target, score) == pytest.approx(max(values), abs=1e-4)


def test_as_many_trees_are_kept_as_are_best_on_validation() -> None:
    train, validation = (
        Examples({"numeric": part.inputs["numeric"][:, :2]}, part.target)
        for part in (examples(600, 0), examples(300, 1))
    )
    boosting = HistGradientBoostingClassifier(learning_rate=0.5, max_iter=60, early_stopping=False, random_state=0)
    model = boosting.fit(train.inputs["numeric"], train.target)
    stages = [
        average_precision(validation.target, stage[:, 1])
        for stage in model.staged_predict_proba(validation.inputs["numeric"])
    ]
    tried = stages[module.TREE_STEP - 1 :: module.TREE_STEP]
    score, trees = module._best_trees(model, validation)
    assert score == max(tried) > min(tried)
    assert trees == module.TREE_STEP * (tried.index(score) + 1)
    kept = module._staged(model, validation.inputs["numeric"], trees)[:, 0]
    assert average_precision(validation.target, kept) == score


@pytest.mark.parametrize("kept", ["numeric", "categorical"])
def test_one_kind_of_input_is_enough(kept: str) -> None:
    data = prepared()
    parts = [Examples({kept: part.inputs[kept]}, part.target) for part in (data.train, data.validation, data.test)]
    made, _ = fit(Prepared(PLAN, *parts))
    assert all(made[name](parts[2].inputs)["probability"].shape == (300, 1) for name in NAMES)


def test_the_history_is_seen_too() -> None:
    inputs = {"numeric": np.zeros((3, 2), np.float32), "history": np.arange(18, dtype=np.float32).reshape(3, 2, 3)}
    assert module._matrix(inputs).shape == (3, 8)
    assert module._matrix(inputs)[1, 2:].tolist() == [6, 7, 8, 9, 10, 11]


def test_more_categories_than_boosting_takes_are_no_obstacle() -> None:
    data = prepared()
    rng = np.random.default_rng(0)
    parts = [
        Examples({"categorical": rng.permutation(len(part) * 2)[: len(part), None].astype(np.int32)}, part.target)
        for part in (data.train, data.validation, data.test)
    ]
    made, _ = fit(Prepared(PLAN, *parts))
    assert np.isfinite(made["hist_gradient_boosting"](parts[2].inputs)["probability"]).all()


def test_a_large_file_is_thinned_but_keeps_every_fraud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TUNING_ROWS", 100)
    train = examples(600, 0)
    thin, again = module._thinned(train, 0), module._thinned(train, 0)
    assert thin.target.sum() == train.target.sum() and (thin.target == 0).sum() == 100
    np.testing.assert_array_equal(thin.inputs["numeric"], again.inputs["numeric"])
    assert module._thinned(examples(90, 0), 0).inputs["numeric"].shape == (90, 3)
