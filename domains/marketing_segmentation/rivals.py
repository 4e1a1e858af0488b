"""What the network must beat: common clusterings for its segments, and purchase models and boosting for its outlook.

The clusterings and purchase models are fitted to the training customers as they stand at the calibration date, boosting
to the same customers at earlier dates, whose horizon is known. All see the same behaviour.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ...shared.domain import Arrays, Examples, Predictor, Prepared, Progress
from ...shared.errors import choose
from . import bgnbd, gamma_gamma, pareto_nbd
from .boosting import Boosted, Sample, Setting, boost
from .clusterings import CLUSTERINGS, cluster
from .config import MarketingConfig
from .features import BEHAVIOUR, COMES_BACK, DAYS_A_WEEK, NAMES, ORDERS, SEGMENTS, SMALLEST_ORDER, SPEND, histories

BOOSTING_GRID = (Setting(0.1, 6, 40), Setting(0.05, 6, 20), Setting(0.05, 8, 100), Setting(0.05, 15, 40))
MAX_TUNING_ROWS = 200_000
MAX_PURCHASE_ROWS = 20_000
"""Four parameters need no more customers."""


class _PurchaseModel(Protocol):
    @property
    def note(self) -> str: ...

    def expected(self, x: np.ndarray, t_x: np.ndarray, age: np.ndarray, horizon: float) -> np.ndarray: ...

    def comes_back(self, x: np.ndarray, t_x: np.ndarray, age: np.ndarray, horizon: float) -> np.ndarray: ...


def rivals(prepared: Prepared, config: MarketingConfig, *, seed: int, report: Progress) -> dict[str, Predictor]:
    """Fit the rivals.

    Returns:
        The clusterings of ``clusterings.CLUSTERINGS``, which answer ``segments`` float32 (customer, segment) of 0 and
        1, and ``bg_nbd``, ``pareto_nbd`` and ``gradient_boosting``, which answer ``orders``, ``spend`` and
        ``comes_back`` float32 (customer, 1); ``boosting_groups`` are equal shares of customers by boosted spend.
        Boosting is left out where no horizon in the past is known.
    """
    made = {name: refit(name, prepared.train, config, seed=seed) for name in CLUSTERINGS}
    made |= _purchase_models(prepared, seed, report)
    return made | _boosting(prepared, config, seed, report)


def refit(name: str, train: Examples, config: MarketingConfig, *, seed: int) -> Predictor:
    """Fit one clustering, for example to resampled customers.

    Args:
        name: one of ``clusterings.CLUSTERINGS``.
        train: of which those at the calibration date are learnt from.
        config: with ``model.segments``.
        seed: of the random starts.

    Raises:
        ConfigError: there is no such clustering.
        ContractError: there are fewer customers than segments.
    """
    segments = _segments(config)
    choose("clustering", name, CLUSTERINGS)
    assign = cluster(name, current(train).inputs[BEHAVIOUR], segments, seed=seed)
    certain = np.eye(segments, dtype=np.float32)
    return lambda inputs: {SEGMENTS: certain[assign(inputs[BEHAVIOUR])]}


def _segments(config: MarketingConfig) -> int:
    return config.model.segments or max(config.model.candidates)


def current(train: Examples) -> Examples:
    """Return the rows at the calibration date, whose target is not known; all rows if there are none."""
    unknown = ~labelled(train)
    return train.take(unknown) if unknown.any() else train


def labelled(examples: Examples) -> np.ndarray:
    """Return bool (row,): whether orders and spend of the horizon are known."""
    return np.asarray(np.isfinite(examples.target).all(axis=1))


# === Purchase models ===


def _purchase_models(prepared: Prepared, seed: int, report: Progress) -> dict[str, Predictor]:
    behaviour = _thinned(current(prepared.train), seed, MAX_PURCHASE_ROWS).inputs[BEHAVIOUR]
    told = histories(behaviour)
    worth = gamma_gamma.fit(*_worth(behaviour))
    models: dict[str, _PurchaseModel] = {"bg_nbd": bgnbd.fit(*told), "pareto_nbd": pareto_nbd.fit(*told)}
    for name, note in {"gamma_gamma": worth.note, **{name: model.note for name, model in models.items()}}.items():
        if note:
            report(f"{name}: {note}")
    horizon = prepared.plan.horizon_days / DAYS_A_WEEK
    return {name: _outlook(model, worth, horizon) for name, model in models.items()}


def _outlook(model: _PurchaseModel, worth: gamma_gamma.GammaGamma, horizon: float) -> Predictor:
    def predict(inputs: Arrays) -> dict[str, np.ndarray]:
        behaviour = inputs[BEHAVIOUR]
        history = histories(behaviour)
        orders = model.expected(*history, horizon)
        spend = orders * worth.expected_value(*_worth(behaviour))
        return _answers(orders, spend, model.comes_back(*history, horizon))

    return predict


def _worth(behaviour: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return orders, at least 1, and their mean, at least ``SMALLEST_ORDER``, float64 (customer,)."""
    orders = np.maximum(_column(behaviour, "orders"), 1)
    return orders, np.maximum(_column(behaviour, "spend") / orders, SMALLEST_ORDER)


def _column(behaviour: np.ndarray, name: str) -> np.ndarray:
    return np.asarray(behaviour[:, NAMES.index(name)], dtype=np.float64)


def _answers(orders: np.ndarray, spend: np.ndarray, comes_back: np.ndarray) -> dict[str, np.ndarray]:
    named = {ORDERS: orders, SPEND: spend, COMES_BACK: comes_back}
    return {name: values.astype(np.float32)[:, None] for name, values in named.items()}


# === Gradient boosting ===


def _boosting(prepared: Prepared, config: MarketingConfig, seed: int, report: Progress) -> dict[str, Predictor]:
    """Choose the setting by the Poisson deviance of orders on validation; each target has its own number of trees.

    Groups of equal size by the boosted spend are a rival to the segments, too.
    """
    train, validation = (part.take(labelled(part)) for part in (prepared.train, prepared.validation))
    if not len(validation) or len(np.unique(train.target[:, 0] > 0)) < 2:
        report("gradient boosting is left out: it needs past horizons in which some customers came back and some not")
        return {}
    train = _thinned(train, seed, MAX_TUNING_ROWS)
    orders, setting = _tuned(train, validation, seed, report)
    others = (_samples(train, validation, name) for name in (SPEND, COMES_BACK))
    spend = boost(*next(others), setting, seed=seed)
    comes_back = boost(*next(others), setting, chance=True, seed=seed)
    return {
        "gradient_boosting": lambda inputs: _answers(
            *(model.predict(inputs[BEHAVIOUR]) for model in (orders, spend, comes_back))
        ),
        "boosting_groups": _groups(spend, current(prepared.train), _segments(config)),
    }


def _groups(spend: Boosted, now: Examples, segments: int) -> Predictor:
    cuts = np.quantile(spend.predict(now.inputs[BEHAVIOUR]), np.arange(1, segments) / segments)
    certain = np.eye(segments, dtype=np.float32)
    return lambda inputs: {SEGMENTS: certain[np.searchsorted(cuts, spend.predict(inputs[BEHAVIOUR]))]}


def _tuned(train: Examples, validation: Examples, seed: int, report: Progress) -> tuple[Boosted, Setting]:
    tried = []
    for number, setting in enumerate(BOOSTING_GRID, start=1):
        model = boost(*_samples(train, validation, ORDERS), setting, seed=seed)
        report(f"gradient boosting {number}/{len(BOOSTING_GRID)}  validation {model.loss:.4f} with {model.trees} trees")
        tried.append((model, setting))
    return min(tried, key=lambda pair: pair[0].loss)


def _samples(train: Examples, validation: Examples, name: str) -> tuple[Sample, Sample]:
    first, second = (Sample(part.inputs[BEHAVIOUR], _target(part, name)) for part in (train, validation))
    return first, second


def _target(examples: Examples, name: str) -> np.ndarray:
    orders, spend = examples.target.astype(np.float64).T
    named: dict[str, np.ndarray] = {ORDERS: orders, SPEND: np.maximum(spend, 0), COMES_BACK: (orders > 0) * 1.0}
    return named[name]


def _thinned(train: Examples, seed: int, most: int) -> Examples:
    """Take at most so many rows, so that a large shop takes minutes."""
    if len(train) <= most:
        return train
    return train.take(np.sort(np.random.default_rng(seed).permutation(len(train))[:most]))
