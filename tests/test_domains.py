"""The contract of a domain: every check over every domain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgekit.domains import registry
from edgekit.shared.config import override
from edgekit.shared.domain import Domain, Prepared

TINY = {
    "finance_fraud": {
        "synthetic": {"customers": 60, "terminals": 80, "days": 70},
        "model": {"width": 8, "members": 2, "bins": 4},
        "training": {"epochs": 2},
    },
    "healthcare_imaging": {
        "synthetic": {"patients": 60, "size": 28},
        "model": {"width": 16},
        "training": {"epochs": 2},
    },
    "marketing_segmentation": {
        "synthetic": {"customers": 300, "days": 400},
        "model": {"segments": 4, "width": 8, "members": 2},
        "training": {"epochs": 2, "refits": 2},
    },
    "retail_recommendation": {
        "synthetic": {"shoppers": 120, "items": 60, "days": 120},
        "model": {"kind": "transformer", "width": 16, "heads": 2, "blocks": 1, "window": 12, "dropout": 0.1},
        "training": {"epochs": 2, "next_weights": [1.0]},
    },
    "transportation": {
        "synthetic": {"sensors": 6, "days": 7, "interval_minutes": 30},
        "model": {"window": 6, "horizon": 4, "width": 8, "identity": 4, "clock": 4, "blocks": 1, "members": 2},
        "training": {"epochs": 2},
    },
}
Case = tuple[Domain, Any, Prepared]


@pytest.fixture(scope="module", params=registry.NAMES)
def case(request: pytest.FixtureRequest) -> Case:
    domain = registry.get(request.param)
    config = override(domain.config, TINY[request.param])
    data = domain.synthesize(config, seed=0)
    return domain, config, domain.prepare(data, domain.split(data, config, seed=0), config)


@pytest.fixture(scope="module")
def fitted(case: Case) -> Any:
    domain, config, prepared = case
    return domain.fit(prepared, config, seed=0, report=lambda line: None, log=None).model


def equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name], equal_nan=first[name].dtype.kind == "f") for name in first
    )


def counts(domain: Domain) -> str:
    """Return the output that a domain goes by: what it decides with, or what it forecasts."""
    return domain.score_output or "median"


def answers(domain: Domain, score: np.ndarray) -> dict[str, np.ndarray]:
    """Put (row, 1) scores into the outputs of a domain's predictors."""
    beside = {"healthcare_imaging": {"probability": np.hstack([1 - score, score])}}
    return {domain.score_output: score, **beside.get(domain.name, {})}


def lists(items: np.ndarray) -> dict[str, np.ndarray]:
    """Put (row,) codes into the outputs of a recommender, as lists of one item."""
    return {"items": items.astype(np.int32)[:, None], "scores": np.ones((len(items), 1), np.float32)}


def truth_and_noise(domain: Domain, prepared: Prepared) -> list[dict[str, np.ndarray]]:
    """Return the answers of who knows the targets of the test split, and of who knows nothing."""
    target, rng = prepared.test.target, np.random.default_rng(0)
    if domain.name == "retail_recommendation":
        return [lists(target), lists(rng.integers(1, len(prepared.plan.items) + 1, len(target)))]
    if domain.name == "marketing_segmentation":
        by_spend = np.searchsorted(np.quantile(target[:, 1], (0.25, 0.5, 0.75)), target[:, 1])
        return [{"segments": np.eye(4, dtype=np.float32)[by]} for by in (by_spend, rng.permutation(by_spend))]
    if domain.name == "transportation":
        known = np.nan_to_num(target)
        return [
            dict.fromkeys(("median", "low", "high"), each) for each in (known, known + rng.normal(size=known.shape))
        ]
    return [answers(domain, score.astype(np.float32)[:, None]) for score in (target, rng.random(len(target)))]


def test_every_domain_is_tested_here() -> None:
    assert set(TINY) == set(registry.NAMES)


def test_same_seed_same_data(case: Case) -> None:
    domain, config, _ = case
    first, second = (domain.synthesize(config, seed=3) for _ in range(2))
    other = domain.synthesize(config, seed=4)
    assert first.fingerprint == second.fingerprint != other.fingerprint


def test_no_row_is_in_two_splits(case: Case) -> None:
    domain, config, _ = case
    data = domain.synthesize(config, seed=0)
    parts = list(domain.split(data, config, seed=0).parts().values())
    rows = np.concatenate(parts)
    assert len(np.unique(rows)) == len(rows)
    assert min(map(len, parts)) > 0


def test_prepared_inputs_are_portable(case: Case) -> None:
    _, _, prepared = case
    kinds = {str(values.dtype) for values in prepared.train.inputs.values()}
    assert kinds <= {"float32", "int32", "uint8"}


def test_preparing_twice_gives_the_same(case: Case) -> None:
    domain, config, prepared = case
    data = domain.synthesize(config, seed=0)
    again = domain.prepare(data, domain.split(data, config, seed=0), config)
    assert equal(prepared.test.inputs, again.test.inputs)


def test_the_metrics_include_the_primary_one_and_rank_truth_above_noise(case: Case) -> None:
    domain, config, prepared = case
    best, random = (
        domain.evaluate(given, prepared.test, config)[domain.primary_metric].compute(None)
        for given in truth_and_noise(domain, prepared)
    )
    assert best > random if domain.higher_is_better else best < random


def test_a_saved_model_answers_as_before(case: Case, fitted: Any, tmp_path: Any) -> None:
    import keras

    from edgekit.shared.training import predictor

    _, _, prepared = case
    fitted.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    few = prepared.test.take(slice(64)).inputs
    assert equal(predictor(fitted)(few), predictor(loaded)(few))


@pytest.mark.parametrize("profile", ["device", "server"])
def test_the_exported_model_answers_as_keras_does(case: Case, fitted: Any, profile: str) -> None:
    from edgekit.shared.training import predictor
    from edgekit.tflite_export.convert import convert
    from edgekit.tflite_export.engine import Engine
    from edgekit.tflite_export.parity import same_ranking

    domain, _, prepared = case
    few = {name: values.copy() for name, values in prepared.test.take(slice(32)).inputs.items()}
    for values in few.values():
        values[0] = np.nan if values.dtype.kind == "f" else 0
    expected = predictor(fitted)(few)
    found = Engine(convert(fitted, profile=profile, views=domain.views)).predict(few)
    score, codes = found[counts(domain)], [name for name, values in found.items() if values.dtype.kind == "i"]
    assert np.isfinite(score).all()
    np.testing.assert_allclose(
        score, expected[counts(domain)], rtol=1e-5 if domain.score_output == "" else 1e-6, atol=1e-5
    )
    assert codes == (["items"] if domain.name == "retail_recommendation" else [])
    assert all(same_ranking(expected[name], found[name], score, allowed=1e-4) for name in codes)


def test_rivals_answer_in_the_form_of_the_network(case: Case, fitted: Any) -> None:
    from edgekit.shared.training import predictor

    domain, config, prepared = case
    few = prepared.test.take(slice(16)).inputs
    network = predictor(fitted)(few)
    fit_rivals: Callable[..., dict[str, Any]] = domain.rivals
    rivals = fit_rivals(prepared, config, seed=0, report=lambda line: None)
    assert len(rivals) >= 2
    found = [rival(few) for rival in rivals.values()]
    assert any(counts(domain) in each for each in found)
    forms = {(name, values.shape, values.dtype.kind) for each in found for name, values in each.items()}
    assert forms <= {(name, values.shape, values.dtype.kind) for name, values in network.items()}


def test_what_is_not_measured_is_an_output_that_nothing_needs(case: Case, fitted: Any) -> None:
    from edgekit.shared.training import predictor

    domain, config, prepared = case
    few = prepared.validation.take(slice(64))
    outputs = predictor(fitted)(few.inputs)
    measured = {name: values for name, values in outputs.items() if name not in domain.unmeasured}
    assert len(measured) == len(outputs) - len(domain.unmeasured) and counts(domain) in measured
    threshold = domain.decide(measured, few, config)
    assert domain.primary_metric in domain.evaluate(measured, few, config, threshold=threshold)


def test_every_passport_is_complete_and_one_is_synthetic(case: Case) -> None:
    domain, _, _ = case
    assert any(source.synthetic for source in domain.sources)


def test_the_contract_has_an_example_of_every_role(case: Case) -> None:
    domain, _, _ = case
    assert all(column.example and column.meaning for column in domain.contract.roles)
