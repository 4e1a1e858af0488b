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


def answers(domain: Domain, score: np.ndarray) -> dict[str, np.ndarray]:
    """Put (row, 1) scores into the outputs of a domain's predictors."""
    beside = {"healthcare_imaging": {"probability": np.hstack([1 - score, score])}}
    return {domain.score_output: score, **beside.get(domain.name, {})}


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
    truth = prepared.test.target.astype(np.float32)[:, None]
    noise = np.random.default_rng(0).random((len(prepared.test), 1), dtype=np.float32)
    best, random = (
        domain.evaluate(answers(domain, score), prepared.test, config)[domain.primary_metric].compute(None)
        for score in (truth, noise)
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

    domain, _, prepared = case
    few = {name: values.copy() for name, values in prepared.test.take(slice(32)).inputs.items()}
    for values in few.values():
        values[0] = np.nan if values.dtype.kind == "f" else 0
    expected = predictor(fitted)(few)[domain.score_output]
    found = Engine(convert(fitted, profile=profile, views=domain.views)).predict(few)[domain.score_output]
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_rivals_answer_in_the_form_of_the_network(case: Case, fitted: Any) -> None:
    from edgekit.shared.training import predictor

    domain, config, prepared = case
    few = prepared.test.take(slice(16)).inputs
    shape = predictor(fitted)(few)[domain.score_output].shape
    fit_rivals: Callable[..., dict[str, Any]] = domain.rivals
    rivals = fit_rivals(prepared, config, seed=0, report=lambda line: None)
    assert len(rivals) >= 2
    assert {rival(few)[domain.score_output].shape for rival in rivals.values()} == {shape}


def test_every_passport_is_complete_and_one_is_synthetic(case: Case) -> None:
    domain, _, _ = case
    assert any(source.synthetic for source in domain.sources)


def test_the_contract_has_an_example_of_every_role(case: Case) -> None:
    domain, _, _ = case
    assert all(column.example and column.meaning for column in domain.contract.roles)
