"""The simple models that the network must beat, on the same images, tuned on validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ...shared.domain import Examples, Predictor, Prepared, Progress
from .config import ImagingConfig
from .evaluate import evaluate
from .features import Plan
from .verdicts import PROBABILITY, SUSPICION, suspicion

COMPONENTS = (32, 96)
STRENGTHS = (0.01, 0.1, 1.0)
LEAVES = (8, 24)
RATE = 0.1
TREES = 150
MAX_TUNING_IMAGES = 20_000
EDGE = 64  # larger images are averaged down to this many pixels for the rivals
ORIENTATIONS = 9
CELLS = 7  # cells along an edge
_PART_BYTES = 64 << 20

Features = Callable[[np.ndarray], np.ndarray]


def rivals(prepared: Prepared, config: ImagingConfig, *, seed: int, report: Progress) -> dict[str, Predictor]:
    """Fit logistic regression on principal components and gradient boosting on histograms of oriented gradients."""
    train = _thinned(prepared.train, seed, report)
    regressions = {
        f"{components} components, C={strength:g}": make_pipeline(
            PCA(min(components, len(train) - 1), random_state=seed),
            StandardScaler(),
            LogisticRegression(C=strength, max_iter=500),
        )
        for components, strength in product(COMPONENTS, STRENGTHS)
    }
    boostings = {
        f"{leaves} leaves": HistGradientBoostingClassifier(
            learning_rate=RATE, max_leaf_nodes=leaves, max_iter=TREES, early_stopping=False, random_state=seed
        )
        for leaves in LEAVES
    }
    return {
        "pca_logistic_regression": _tuned(regressions, pixels, train, prepared, config, report),
        "hog_hist_gradient_boosting": _tuned(boostings, oriented_gradients, train, prepared, config, report),
    }


def _tuned(
    candidates: dict[str, Any],
    features: Features,
    train: Examples,
    prepared: Prepared,
    config: ImagingConfig,
    report: Progress,
) -> Predictor:
    """Fit every candidate and return the one with the highest validation AUC as a predictor."""
    plan: Plan = prepared.plan
    matrix, validation = features(train.inputs["image"]), features(prepared.validation.inputs["image"])
    best_score, best = -np.inf, None
    for name, model in candidates.items():
        fitted = (OneVsRestClassifier(model) if plan.multi_label else model).fit(matrix, train.target)
        answers = _answers(fitted, validation, plan)
        score = evaluate(answers, prepared.validation, config)["auc"].compute(None)
        report(f"{features.__name__.replace('_', ' ')}, {name}  validation {score:.4f}")
        if best is None or score > best_score:
            best_score, best = score, fitted
    return lambda inputs: _answers(best, features(inputs["image"]), plan)


def _answers(model: Any, matrix: np.ndarray, plan: Plan) -> dict[str, np.ndarray]:
    """Return the outputs of the network's form; a class that training lacks has probability 0."""
    found = model.predict_proba(matrix).astype(np.float32)
    probability = np.zeros((len(matrix), len(plan.classes)), dtype=np.float32)
    probability[:, np.asarray(model.classes_, dtype=np.int64)] = found
    return {
        PROBABILITY: probability,
        SUSPICION: suspicion(probability, normal=plan.normal, multi_label=plan.multi_label),
    }


def pixels(images: np.ndarray) -> np.ndarray:
    """Return float32 (image, value) levels 0…1 of images averaged down to at most ``EDGE`` pixels."""
    return np.concatenate([_small(part).reshape(len(part), -1) for part in _parts(images)])


def oriented_gradients(images: np.ndarray) -> np.ndarray:
    """Return float32 (image, feature): histograms of oriented gradients; of colour, mean and spread too.

    Source: Dalal & Triggs 2005, CVPR; unsigned gradients in nine directions, here in 7 × 7 cells and one block.
    """
    return np.concatenate([_described(_small(part)) for part in _parts(images)])


def _described(small: np.ndarray) -> np.ndarray:
    gradients = _histograms(small.mean(axis=-1))
    if small.shape[-1] == 1:
        return gradients
    return np.hstack([gradients, small.mean(axis=(1, 2)), small.std(axis=(1, 2))])


def _histograms(grey: np.ndarray) -> np.ndarray:
    edge = grey.shape[1]
    down, right = np.gradient(grey, axis=(1, 2))
    strength, angle = np.hypot(down, right), np.arctan2(down, right) % np.pi
    bins = np.minimum((angle / np.pi * ORIENTATIONS).astype(np.int64), ORIENTATIONS - 1)
    row = np.arange(edge) * CELLS // edge
    place = (np.arange(len(grey))[:, None, None] * CELLS + row[None, :, None]) * CELLS + row[None, None, :]
    flat = np.bincount((place * ORIENTATIONS + bins).ravel(), strength.ravel(), len(grey) * CELLS**2 * ORIENTATIONS)
    cells = flat.reshape(len(grey), -1)
    norm = np.sqrt(np.square(cells).sum(axis=1, keepdims=True)) + 1e-6
    return np.asarray(np.sqrt(cells / norm), dtype=np.float32)


def _small(images: np.ndarray) -> np.ndarray:
    """Return float32 (image, edge, edge, channel) in 0…1: block means, the remainder at the border cut off."""
    edge = _edge(images)
    step = images.shape[1] // edge
    level = images[:, : edge * step, : edge * step].astype(np.float32) / 255
    return np.asarray(level.reshape(len(images), edge, step, edge, step, -1).mean(axis=(2, 4)))


def _edge(images: np.ndarray) -> int:
    return int(images.shape[1] // -(-images.shape[1] // EDGE))


def _parts(images: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the images in parts that fit in memory as float32."""
    count = max(1, _PART_BYTES // (4 * int(np.prod(images.shape[1:]))))
    return (images[start : start + count] for start in range(0, len(images), count))


def _thinned(train: Examples, seed: int, report: Progress) -> Examples:
    """Take at most ``MAX_TUNING_IMAGES``, so that tuning on a large set takes minutes."""
    if len(train) <= MAX_TUNING_IMAGES:
        return train
    report(f"the rivals learn from {MAX_TUNING_IMAGES:,} of {len(train):,} training images")
    return train.take(np.sort(np.random.default_rng(seed).permutation(len(train))[:MAX_TUNING_IMAGES]))
