"""The recommendation networks: what they answer, that they learn, and that a device file answers the same."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from edgekit.domains.retail_recommendation import data, synthesis
from edgekit.domains.retail_recommendation.config import ModelSettings, RetailConfig
from edgekit.domains.retail_recommendation.device import ALL_SCORES, ITEMS, SCORE, SCORES
from edgekit.domains.retail_recommendation.evaluate import evaluate
from edgekit.domains.retail_recommendation.features import Plan, inputs
from edgekit.domains.retail_recommendation.model import build_model, fit_model
from edgekit.shared.config import override
from edgekit.shared.domain import Prepared
from edgekit.shared.training import predictor
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.quantize import export

PLAN = Plan(window=6, excluded=4, items=tuple(f"i{number}" for number in range(1, 31)))
KINDS = [ModelSettings(width=8, blocks=1, kind=kind) for kind in ("transformer", "gru")]
VIEWS = {SCORE: (ALL_SCORES,)}
HISTORIES = [[], [3], [1, 2, 3], list(range(1, 11))]


@pytest.fixture(params=KINDS, ids=lambda settings: settings.kind)
def networks(request: pytest.FixtureRequest) -> tuple[keras.Model, keras.Model]:
    keras.utils.set_random_seed(0)
    return build_model(PLAN, request.param)


def test_the_best_items_are_those_of_all_scores_without_what_was_had(networks: tuple[Any, Any]) -> None:
    given = inputs(HISTORIES, PLAN, exclude=[[7, 8], [], [], []])
    found = predictor(networks[1])(given)
    for row, had in enumerate(([7, 8], [3], [1, 2, 3], list(range(1, 11)))):
        left = found[ALL_SCORES][row].copy()
        left[[0, *had]] = -np.inf
        count = len(PLAN.items) - len(had)
        assert found[ITEMS][row, :count].tolist() == np.argsort(-left, kind="stable")[:count].tolist()
        assert (found[SCORES][row, count:] <= -1e9).all()


def test_padding_in_front_changes_nothing_for_attention() -> None:
    keras.utils.set_random_seed(0)
    encoder, _ = build_model(PLAN, KINDS[0])
    short = np.array([[1, 2, 3]], dtype=np.int32)
    padded = np.array([[0, 0, 0, 1, 2, 3]], dtype=np.int32)
    np.testing.assert_allclose(encoder(short)[:, -1], encoder(padded)[:, -1], atol=1e-6)


def test_no_step_sees_a_later_one(networks: tuple[Any, Any]) -> None:
    first, second = np.array([[1, 2, 3, 4]], dtype=np.int32), np.array([[1, 2, 9, 8]], dtype=np.int32)
    one, other = networks[0](first).numpy(), networks[0](second).numpy()
    np.testing.assert_allclose(one[:, :2], other[:, :2], atol=1e-6)
    assert np.abs(one[:, 2:] - other[:, 2:]).max() > 1e-4


def test_a_saved_network_answers_as_before(networks: tuple[Any, Any], tmp_path: Any) -> None:
    networks[1].save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    given = inputs(HISTORIES, PLAN)
    for name, values in predictor(networks[1])(given).items():
        np.testing.assert_allclose(predictor(loaded)(given)[name], values, atol=1e-6)


@pytest.mark.parametrize("profile", ["device", "server"])
def test_a_device_file_answers_as_the_network(networks: tuple[Any, Any], profile: str) -> None:
    given = inputs(HISTORIES, PLAN)
    expected = predictor(networks[1])(given)
    engine = Engine(export(networks[1], "float32", profile=profile, views=VIEWS))
    np.testing.assert_array_equal(engine.predict(given)[ITEMS], expected[ITEMS])
    np.testing.assert_allclose(engine.run(SCORE, given)[ALL_SCORES], expected[ALL_SCORES], atol=1e-5)


@pytest.fixture(scope="module")
def shop() -> tuple[RetailConfig, Prepared]:
    config = override(
        RetailConfig(),
        {
            "synthetic": {"shoppers": 150, "items": 60, "days": 120},
            "model": {"width": 16, "blocks": 1, "window": 12, "dropout": 0.1},
            "training": {"epochs": 12, "learning_rate": 1e-2, "batch_size": 256, "negatives": 40},
        },
    )
    log = synthesis.synthesize(config, seed=0)
    return config, data.prepare(log, data.split(log, config, seed=0), config)


@pytest.mark.parametrize("loss", ["full", "sampled"])
def test_it_learns_what_popularity_cannot_tell(shop: tuple[RetailConfig, Prepared], loss: str) -> None:
    config, prepared = override(shop[0], {"training": {"loss": loss}}), shop[1]
    said: list[str] = []
    fitted = fit_model(prepared, config, seed=0, report=said.append)
    found = evaluate(predictor(fitted.model)(prepared.validation.inputs), prepared.validation, config)
    count = np.bincount(prepared.train.target.ravel(), minlength=61)
    count[0] = 0
    popular = {
        ITEMS: np.broadcast_to(np.argsort(-count)[:60].astype(np.int32), (len(prepared.validation), 60)),
        SCORES: np.ones((len(prepared.validation), 60), np.float32),
    }
    rival = evaluate(popular, prepared.validation, config)
    assert found["ndcg@10"].compute(None) > 1.3 * rival["ndcg@10"].compute(None)
    assert len(said) == len(fitted.history["score"]) and fitted.history["loss"][-1] < fitted.history["loss"][0]


def test_the_same_seed_gives_the_same_network(shop: tuple[RetailConfig, Prepared]) -> None:
    config, prepared = override(shop[0], {"training": {"epochs": 1}}), shop[1]
    few = prepared.validation.take(slice(8)).inputs
    first, second = (
        predictor(fit_model(prepared, config, seed=3, report=lambda line: None).model)(few)[ALL_SCORES]
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
