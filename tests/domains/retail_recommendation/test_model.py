"""The recommendation networks: what they answer, that they learn, and that a device file answers the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edgekit.domains.retail_recommendation import data, model, synthesis
from edgekit.domains.retail_recommendation.config import RECIPES, ModelSettings, RetailConfig
from edgekit.domains.retail_recommendation.device import ALL_SCORES, ITEMS, SCORE, SCORES
from edgekit.domains.retail_recommendation.evaluate import evaluate
from edgekit.domains.retail_recommendation.features import Plan, inputs
from edgekit.domains.retail_recommendation.model import Networks, build_model, candidates, fit_model
from edgekit.shared.config import override
from edgekit.shared.domain import Prepared
from edgekit.shared.training import Fitted, predictor
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.quantize import export

PLAN = Plan(window=6, excluded=4, items=tuple(f"i{number}" for number in range(1, 31)))
KINDS = [ModelSettings(width=8, heads=2, blocks=2, dropout=0.5, kind=kind) for kind in ("transformer", "gru")]
VIEWS = {SCORE: (ALL_SCORES,)}
HISTORIES = [[], [3], [1, 2, 3], list(range(1, 11))]


@pytest.fixture(params=KINDS, ids=lambda settings: settings.kind)
def networks(request: pytest.FixtureRequest) -> Networks:
    return made(request.param)


def made(settings: ModelSettings) -> Networks:
    """Return untrained networks whose weights are all random, the biases by distance too."""
    keras.utils.set_random_seed(0)
    networks, rng = build_model(PLAN, settings), np.random.default_rng(0)
    for variable in networks.encoder.trainable_variables:
        if variable.name == "distance":
            variable.assign(rng.normal(size=variable.shape))
    return networks


def encoded(networks: Networks, codes: list[int]) -> np.ndarray:
    """Return the states (step, width) of one history."""
    given = keras.ops.convert_to_tensor([codes], dtype="int32")
    states: np.ndarray = networks.encoder({"codes": given, "vectors": networks.table(given)}).numpy()[0]
    return states


def test_both_forms_of_a_network_score_alike(networks: Networks) -> None:
    given = inputs(HISTORIES[1:], PLAN)
    found = predictor(networks.ranker)(given)[ALL_SCORES]
    table = networks.table.table.numpy()
    expected = [table @ encoded(networks, row.tolist())[-1] for row in given["history"]]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_table_is_filled_and_not_learnt(networks: Networks) -> None:
    learnt = {id(variable) for variable in networks.encoder.trainable_variables}
    assert learnt == {id(variable) for variable in networks.ranker.trainable_variables}
    held = networks.table.table
    assert any(variable is held for variable in networks.ranker.non_trainable_variables) and held.shape == (31, 8)
    assert not any(variable is held for variable in networks.encoder.variables), "the encoder learns without items"


def test_the_best_items_are_those_of_all_scores_without_what_was_had(networks: Networks) -> None:
    given = inputs(HISTORIES, PLAN, exclude=[[7, 8], [], [], []])
    found = predictor(networks.ranker)(given)
    for row, had in enumerate(([7, 8], [3], [1, 2, 3], list(range(1, 11)))):
        left = found[ALL_SCORES][row].copy()
        left[[0, *had]] = -np.inf
        count = len(PLAN.items) - len(had)
        assert found[ITEMS][row, :count].tolist() == np.argsort(-left, kind="stable")[:count].tolist()
        assert (found[SCORES][row, count:] <= -1e9).all()


@pytest.mark.filterwarnings("ignore:.*softmax over axis -1 of a tensor of shape:UserWarning")  # one step, on purpose
@pytest.mark.parametrize("codes", [[], [1], [1, 2, 3]])
@pytest.mark.parametrize("padding", [2, 3])
def test_padding_in_front_changes_nothing_for_attention(codes: list[int], padding: int) -> None:
    networks = made(KINDS[0])
    short, padded = ([0] * count + codes for count in (not codes, padding))
    np.testing.assert_allclose(encoded(networks, padded)[-1], encoded(networks, short)[-1], atol=1e-4)


@pytest.mark.parametrize(
    ("first", "second"), [([1, 2, 3, 4], [1, 2, 9, 8]), ([0, 2, 3, 4], [0, 2, 9, 8]), ([0, 0, 3, 4], [0, 0, 9, 8])]
)
def test_no_step_sees_a_later_one(networks: Networks, first: list[int], second: list[int]) -> None:
    one, other = encoded(networks, first), encoded(networks, second)
    np.testing.assert_allclose(one[:2], other[:2], atol=1e-5)
    assert (np.abs(one[2:] - other[2:]).max(axis=1) > 1e-3).all()


def test_a_saved_network_answers_as_before(networks: Networks, tmp_path: Any) -> None:
    networks.ranker.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    given = inputs(HISTORIES, PLAN)
    for name, values in predictor(networks.ranker)(given).items():
        np.testing.assert_allclose(predictor(loaded)(given)[name], values, atol=1e-6)


@pytest.mark.parametrize("profile", ["device", "server"])
def test_a_device_file_answers_as_the_network(networks: Networks, profile: str) -> None:
    given = inputs(HISTORIES, PLAN)
    expected = predictor(networks.ranker)(given)
    engine = Engine(export(networks.ranker, "float32", profile=profile, views=VIEWS))
    np.testing.assert_array_equal(engine.predict(given)[ITEMS], expected[ITEMS])
    np.testing.assert_allclose(engine.run(SCORE, given)[ALL_SCORES], expected[ALL_SCORES], atol=1e-5)


@pytest.fixture(scope="module")
def shop() -> tuple[RetailConfig, Prepared]:
    config = override(
        RetailConfig(),
        {
            "synthetic": {"shoppers": 150, "items": 60, "days": 120},
            "model": {"kind": "transformer", "width": 16, "heads": 2, "blocks": 1, "window": 12, "dropout": 0.1},
            "training": {"epochs": 12, "patience": 12, "learning_rate": 1e-2, "batch_size": 256, "negatives": 40},
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
    assert said[0] == "recipe as set" and len(said) == 1 + len(fitted.history["score"])
    assert fitted.history["loss"][-1] < fitted.history["loss"][0]


@pytest.mark.parametrize(
    ("changed", "tried"),
    [
        ({}, {name: (r["model"]["dropout"], r["training"]["next_weights"]) for name, r in RECIPES.items()}),
        ({"model": {"dropout": 0.4}}, {"as set": (0.4, RECIPES["dense"]["training"]["next_weights"])}),
        ({"model": {"dropout": 0.0}}, {"as set": (0.0, RECIPES["dense"]["training"]["next_weights"])}),
        ({"training": {"next_weights": [2.0, 1.0]}}, {"as set": (RECIPES["dense"]["model"]["dropout"], (2.0, 1.0))}),
        ({"model": {"dropout": 0.4}, "training": {"next_weights": [2.0]}}, {"as set": (0.4, (2.0,))}),
    ],
)
def test_what_is_set_is_not_tried_out(changed: dict[str, Any], tried: dict[str, Any]) -> None:
    nothing = override(RetailConfig(), {"model": {"dropout": None}, "training": {"next_weights": None}})
    found = candidates(override(nothing, changed))
    assert {name: (each.model.dropout, each.training.next_weights) for name, each in found.items()} == tried
    assert all(each.data == nothing.data and each.model.width == nothing.model.width for each in found.values())


@pytest.mark.parametrize("best", [0, 1, 2])
def test_the_recipe_that_is_best_on_validation_is_kept(
    best: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    peaks = [0.3 if place == best else 0.2 for place in range(3)]
    fitted = [
        Fitted(object(), {"loss": [3.0, 2.5], "score": [peak, 0.1]}, 1, 10.0 + place)
        for place, peak in enumerate(peaks)
    ]
    given, said = iter(fitted), list[str]()
    monkeypatch.setattr(model, "candidates", lambda config: dict.fromkeys("abc", config))
    monkeypatch.setattr(model, "_fit", lambda *_, **__: next(given))
    found = fit_model(None, RetailConfig(), seed=0, report=said.append, log=tmp_path / "t.csv")  # type: ignore[arg-type]
    assert found.model is fitted[best].model and found.history == fitted[best].history
    assert found.seconds == 33.0 and said == ["recipe a", "recipe b", "recipe c"]
    rows = (tmp_path / "t.csv").read_text().splitlines()
    assert rows == ["epoch,loss,score", f"1,3.000000,{peaks[best]:.6f}", "2,2.500000,0.100000"]


def test_without_a_place_nothing_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model, "_fit", lambda *_, **__: Fitted(object(), {"loss": [3.0], "score": [0.1]}, 1, 1.0))
    fit_model(None, RetailConfig(), seed=0, report=lambda line: None)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_the_same_seed_gives_the_same_network(shop: tuple[RetailConfig, Prepared]) -> None:
    config, prepared = override(shop[0], {"training": {"epochs": 1}}), shop[1]
    few = prepared.validation.take(slice(8)).inputs
    first, second = (
        predictor(fit_model(prepared, config, seed=3, report=lambda line: None).model)(few)[ALL_SCORES]
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
