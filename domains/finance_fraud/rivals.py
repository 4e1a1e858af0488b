"""The simple models that the network must beat, on the same inputs, tuned on validation."""

from __future__ import annotations

from itertools import product

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from ...shared.domain import Arrays, Examples, Predictor, Prepared, Progress
from ...shared.metrics import average_precision
from .config import FraudConfig
from .model import SCORE

BOOSTING_GRID = tuple(product((0.04, 0.1), (8, 24)))  # learning rate, leaves
BOOSTING_PENALTY = 5.0
BOOSTING_TREES = 200
TREE_STEP = 10  # the number of trees is chosen among multiples of this
LOGISTIC_GRID = (0.01, 0.1, 1.0)
MAX_TUNING_ROWS = 300_000
MAX_BOOSTED_CATEGORIES = 255  # of scikit-learn; the codes of more, most frequent first, are taken as numbers


def rivals(prepared: Prepared, config: FraudConfig, *, seed: int, report: Progress) -> dict[str, Predictor]:
    """Fit a logistic regression and histogram gradient boosting; settings and number of trees from validation."""
    return {
        "hist_gradient_boosting": _boosting(prepared, seed, report),
        "logistic_regression": _logistic(prepared, seed, report),
    }


def _boosting(prepared: Prepared, seed: int, report: Progress) -> Predictor:
    train = _thinned(prepared.train, seed)
    matrix = _matrix(train.inputs)
    matrix[:, np.isnan(matrix).all(axis=0)] = 0  # boosting cannot bin a column without any value
    few = [column for column in _categorical(train) if len(np.unique(matrix[:, column])) <= MAX_BOOSTED_CATEGORIES]
    best_score, best = -1.0, None
    for number, (rate, leaves) in enumerate(BOOSTING_GRID, start=1):
        model = HistGradientBoostingClassifier(
            learning_rate=rate,
            max_leaf_nodes=leaves,
            l2_regularization=BOOSTING_PENALTY,
            max_iter=BOOSTING_TREES,
            early_stopping=False,
            categorical_features=few,
            random_state=seed,
        ).fit(matrix, train.target)
        score, trees = _best_trees(model, prepared.validation)
        report(f"gradient boosting {number}/{len(BOOSTING_GRID)}  validation {score:.4f} with {trees} trees")
        if score > best_score:
            best_score, best = score, (model, trees)
    if best is None:
        raise RuntimeError("the boosting grid is empty")
    model, trees = best
    return lambda inputs: {SCORE: _staged(model, _matrix(inputs), trees)}


def _best_trees(model: HistGradientBoostingClassifier, validation: Examples) -> tuple[float, int]:
    """Return the best validation score and the number of trees that reached it."""
    staged = enumerate(model.staged_predict_proba(_matrix(validation.inputs)), start=1)
    scored = [
        (average_precision(validation.target, stage[:, 1]), trees) for trees, stage in staged if trees % TREE_STEP == 0
    ]
    return max(scored, key=lambda pair: pair[0])


def _staged(model: HistGradientBoostingClassifier, matrix: np.ndarray, trees: int) -> np.ndarray:
    stages = model.staged_predict_proba(matrix)
    probability: np.ndarray = next(stage for number, stage in enumerate(stages, start=1) if number == trees)
    return probability[:, 1:]


def _logistic(prepared: Prepared, seed: int, report: Progress) -> Predictor:
    train = _thinned(prepared.train, seed)
    matrix, categorical = _matrix(train.inputs), _categorical(train)
    best_score, best = -1.0, None
    for strength in LOGISTIC_GRID:
        model = make_pipeline(
            _columns(matrix.shape[1], categorical), LogisticRegression(C=strength, max_iter=1000)
        ).fit(matrix, train.target)
        score = average_precision(
            prepared.validation.target, model.predict_proba(_matrix(prepared.validation.inputs))[:, 1]
        )
        report(f"logistic regression C={strength:g}  validation {score:.4f}")
        if score > best_score:
            best_score, best = score, model
    return lambda inputs: {SCORE: best.predict_proba(_matrix(inputs))[:, 1:]}  # type: ignore[union-attr]


def _columns(width: int, categorical: list[int]) -> ColumnTransformer:
    numeric = [column for column in range(width) if column not in categorical]
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        FunctionTransformer(_signed_log),
        StandardScaler(),
    )
    words = OneHotEncoder(handle_unknown="ignore")
    return ColumnTransformer([("numbers", numbers, numeric), ("categories", words, categorical)])


def _signed_log(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))


def _matrix(inputs: Arrays) -> np.ndarray:
    """Put the numeric, categorical and flattened history inputs side by side, float32 (row, column)."""
    parts = [
        inputs[name].reshape(len(inputs[name]), -1) for name in ("numeric", "categorical", "history") if name in inputs
    ]
    return np.concatenate(parts, axis=1, dtype=np.float32, casting="unsafe")


def _categorical(examples: Examples) -> list[int]:
    first = examples.inputs["numeric"].shape[1] if "numeric" in examples.inputs else 0
    count = examples.inputs["categorical"].shape[1] if "categorical" in examples.inputs else 0
    return list(range(first, first + count))


def _thinned(train: Examples, seed: int) -> Examples:
    """Keep every fraud and at most ``MAX_TUNING_ROWS`` rows, so that tuning a large file takes minutes."""
    if len(train) <= MAX_TUNING_ROWS:
        return train
    rng = np.random.default_rng(seed)
    genuine = rng.permutation(np.flatnonzero(train.target == 0))[:MAX_TUNING_ROWS]
    return train.take(np.sort(np.concatenate([np.flatnonzero(train.target > 0), genuine])))
