"""The recommendation networks: what they answer, that they learn, and that a device file answers the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from edgekit.domains.retail_recommendation import data, model, synthesis
from edgekit.domains.retail_recommendation.config import RECIPES, ModelSettings, RetailConfig
from edgekit.domains.retail_recommendation.device import ALL_SCORES, ITEMS, SCORE, SCORES
from edgekit.domains.retail_recommendation.evaluate import evaluate
from edgekit.domains.retail_recommendation.features import Plan, inputs
from edgekit.domains.retail_recommendation.layers import NOTHING
from edgekit.domains.retail_recommendation.learning import Course, fill
from edgekit.domains.retail_recommendation.model import (
    SEEDS,
    Member,
    build_member,
    build_model,
    candidates,
    fit_model,
)
from edgekit.shared.config import override
from edgekit.shared.domain import Prepared
from edgekit.shared.training import predictor
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.quantize import export

PLAN = Plan(window=6, excluded=4, items=tuple(f"i{number}" for number in range(1, 31)))
KINDS = [ModelSettings(width=8, heads=2, blocks=2, dropout=0.5, kind=kind) for kind in ("transformer", "gru")]
VIEWS = {SCORE: (ALL_SCORES,)}
HISTORIES = [[], [3], [1, 2, 3], list(range(1, 11))]


@pytest.fixture(params=KINDS, ids=lambda settings: settings.kind)
def kind(request: pytest.FixtureRequest) -> ModelSettings:
    found: ModelSettings = request.param
    return found


@pytest.fixture
def member(kind: ModelSettings) -> Member:
    return made(kind)


@pytest.fixture(params=[1, 2], ids=["one", "two"])
def members(kind: ModelSettings, request: pytest.FixtureRequest) -> list[Member]:
    return [made(kind, number) for number in range(request.param)]


def made(settings: ModelSettings, number: int = 0) -> Member:
    """Return an untrained network whose weights are all random, the biases by distance and the lengths too."""
    keras.utils.set_random_seed(number)
    member, rng = build_member(PLAN, settings, number), np.random.default_rng(number)
    for variable in member.encoder.trainable_variables:
        if variable.name == "distance":
            variable.assign(rng.normal(size=variable.shape))
        if variable.name == "log_scale":
            variable.assign(np.log(10 + 5 * number))
    return member


def answered(members: Sequence[Member], given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what the network of these members answers."""
    return predictor(build_model(members, PLAN))(given)


def encoded(member: Member, codes: list[int]) -> np.ndarray:
    """Return the states (step, width) of one history."""
    given = keras.ops.convert_to_tensor([codes], dtype="int32")
    states: np.ndarray = member.encoder({"codes": given, "vectors": member.table(given)}).numpy()[0]
    return states


def test_both_forms_of_a_network_score_alike(member: Member) -> None:
    given = inputs(HISTORIES[1:], PLAN)
    found = answered([member], given)[ALL_SCORES]
    table = member.table.table.numpy()
    expected = [table @ encoded(member, row.tolist())[-1] for row in given["history"]]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_table_is_filled_and_not_learnt(members: list[Member]) -> None:
    ranker = build_model(members, PLAN)
    learnt = {id(variable) for member in members for variable in member.encoder.trainable_variables}
    assert learnt == {id(variable) for variable in ranker.trainable_variables}
    (held,) = ranker.get_layer("items").weights
    assert any(variable is held for variable in ranker.non_trainable_variables) and held.shape == (31, 8 * len(members))
    own = {id(variable) for member in members for variable in member.encoder.variables}
    tables = {id(member.table.table) for member in members} | {id(held)}
    assert not own & tables, "the encoders learn without items"


def test_the_best_items_are_those_of_all_scores_without_what_was_had(members: list[Member]) -> None:
    found = answered(members, inputs(HISTORIES, PLAN, exclude=[[7, 8], [], [], []]))
    for row, had in enumerate(([7, 8], [3], [1, 2, 3], list(range(1, 11)))):
        left = found[ALL_SCORES][row].copy()
        left[[0, *had]] = -np.inf
        count = len(PLAN.items) - len(had)
        assert found[ITEMS][row, :count].tolist() == np.argsort(-left, kind="stable")[:count].tolist()
        np.testing.assert_array_equal(found[SCORES][row, :count], np.sort(left)[::-1][:count])
        assert (found[SCORES][row, count:] <= NOTHING).all()


@pytest.mark.filterwarnings("ignore:.*softmax over axis -1 of a tensor of shape:UserWarning")  # one step, on purpose
@pytest.mark.parametrize("codes", [[], [1], [1, 2, 3]])
@pytest.mark.parametrize("padding", [2, 3])
def test_padding_in_front_changes_nothing_for_attention(codes: list[int], padding: int) -> None:
    member = made(KINDS[0])
    short, padded = ([0] * count + codes for count in (not codes, padding))
    np.testing.assert_allclose(encoded(member, padded)[-1], encoded(member, short)[-1], atol=1e-4)


@pytest.mark.parametrize(
    ("first", "second"), [([1, 2, 3, 4], [1, 2, 9, 8]), ([0, 2, 3, 4], [0, 2, 9, 8]), ([0, 0, 3, 4], [0, 0, 9, 8])]
)
def test_no_step_sees_a_later_one(member: Member, first: list[int], second: list[int]) -> None:
    one, other = encoded(member, first), encoded(member, second)
    np.testing.assert_allclose(one[:2], other[:2], atol=1e-5)
    assert (np.abs(one[2:] - other[2:]).max(axis=1) > 1e-3).all()


def test_a_saved_network_answers_as_before(members: list[Member], tmp_path: Path) -> None:
    ranker = build_model(members, PLAN)
    ranker.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    assert loaded.get_layer("items").members == len(members)
    given = inputs(HISTORIES, PLAN)
    for name, values in predictor(ranker)(given).items():
        np.testing.assert_allclose(predictor(loaded)(given)[name], values, atol=1e-6)


@pytest.mark.parametrize("profile", ["device", "server"])
def test_a_device_file_answers_as_the_network(members: list[Member], profile: str) -> None:
    given, ranker = inputs(HISTORIES, PLAN), build_model(members, PLAN)
    expected = predictor(ranker)(given)
    engine = Engine(export(ranker, "float32", profile=profile, views=VIEWS))
    np.testing.assert_array_equal(engine.predict(given)[ITEMS], expected[ITEMS])
    np.testing.assert_allclose(engine.run(SCORE, given)[ALL_SCORES], expected[ALL_SCORES], atol=2e-5)


# === Members ===


@pytest.mark.parametrize("count", [2, 3])
def test_the_scores_of_members_are_added_up(kind: ModelSettings, count: int) -> None:
    members, given = [made(kind, number) for number in range(count)], inputs(HISTORIES, PLAN)
    single = [answered([member], given)[ALL_SCORES] for member in members]
    assert min(np.abs(single[0] - other).max() for other in single[1:]) > 1, "they differ"
    np.testing.assert_allclose(answered(members, given)[ALL_SCORES], np.sum(single, axis=0), atol=1e-4)


def test_members_of_two_kinds_can_be_added_up() -> None:
    members, given = [made(settings, number) for number, settings in enumerate(KINDS)], inputs(HISTORIES, PLAN)
    single = [answered([member], given)[ALL_SCORES] for member in members]
    np.testing.assert_allclose(answered(members, given)[ALL_SCORES], np.sum(single, axis=0), atol=1e-4)


def test_the_order_of_members_does_not_matter(kind: ModelSettings) -> None:
    members, given = [made(kind, number) for number in range(2)], inputs(HISTORIES, PLAN)
    first, other = (answered([members[number] for number in order], given) for order in ((0, 1), (1, 0)))
    np.testing.assert_allclose(first[ALL_SCORES], other[ALL_SCORES], atol=1e-4)
    np.testing.assert_array_equal(first[ITEMS][:, :20], other[ITEMS][:, :20])


def test_a_network_has_the_weights_that_its_members_have_now(member: Member) -> None:
    given = inputs(HISTORIES, PLAN)
    before = answered([member], given)[ALL_SCORES]
    fill(member.table, [-member.table.table.numpy()])
    there = build_model([member], PLAN)
    turned = predictor(there)(given)[ALL_SCORES]
    assert np.abs(turned - before).max() > 1
    fill(member.table, [0 * member.table.table.numpy()])
    np.testing.assert_array_equal(predictor(there)(given)[ALL_SCORES], turned)


@pytest.mark.parametrize("numbers", [(0, 1), (0, 1, 2)])
def test_layers_carry_the_names_of_their_members(kind: ModelSettings, numbers: tuple[int, ...]) -> None:
    ranker = build_model([build_member(PLAN, kind, number) for number in numbers], PLAN)
    names = [layer.name for layer in ranker.layers]
    assert len(set(names)) == len(names)
    starts = [f"member_{number}_" for number in numbers]
    own = [{name.removeprefix(start) for name in names if name.startswith(start)} for start in starts]
    assert all(one == own[0] for one in own) and {"last", "cosine", "mask"} <= own[0]


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


@pytest.mark.parametrize(("loss", "members"), [("full", 1), ("sampled", 2)])
def test_it_learns_what_popularity_cannot_tell(shop: tuple[RetailConfig, Prepared], loss: str, members: int) -> None:
    config, prepared = override(shop[0], {"training": {"loss": loss}, "model": {"members": members}}), shop[1]
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
    told = [number for number, line in enumerate(said) if not line.startswith("epoch ")]
    assert [said[number] for number in told] == ["recipe as set", "member 2 of 2"][:members]
    assert [*told[1:], len(said)][0] == 1 + len(fitted.history["score"])
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


class Fits:
    """What takes the place of ``_fit``: it notes what it is asked for, and answers with the scores given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, peaks: Sequence[float]) -> None:
        self.peaks, self.asked, self.built = iter(peaks), list[tuple[Any, int, int]](), list[list[str]]()
        monkeypatch.setattr(model, "_fit", self.fit)
        monkeypatch.setattr(model, "build_model", self.build)

    def fit(self, prepared: Any, config: Any, number: int, *, seed: int, report: Any) -> tuple[str, Course]:
        self.asked.append((config, number, seed))
        place = len(self.asked)
        course = Course({"loss": [3.0, 2.5], "score": [next(self.peaks, 0.9), 0.1]}, place, 10.0**place)
        return f"fit {place}", course

    def build(self, members: list[Any], plan: str) -> str:
        self.built.append(members)
        return f"network for {plan}"


NOTHING_PREPARED: Any = SimpleNamespace(plan="a shop")


@pytest.mark.parametrize("best", [0, 1, 2])
def test_the_recipe_that_is_best_on_validation_is_kept(
    best: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    peaks = [0.3 if place == best else 0.2 for place in range(3)]
    fits, said, config = Fits(monkeypatch, peaks), list[str](), override(RetailConfig(), {"model": {"members": 1}})
    monkeypatch.setattr(model, "candidates", lambda config: dict.fromkeys("abc", config))
    found = fit_model(NOTHING_PREPARED, config, seed=0, report=said.append, log=tmp_path / "t.csv")
    assert fits.built == [[f"fit {best + 1}"]] and found.model == "network for a shop"
    assert found.history == {"loss": [3.0, 2.5], "score": [peaks[best], 0.1]} and found.best_epoch == best + 1
    assert found.seconds == 1110.0 and said == ["recipe a", "recipe b", "recipe c"]
    rows = (tmp_path / "t.csv").read_text().splitlines()
    assert rows == ["epoch,loss,score", f"1,3.000000,{peaks[best]:.6f}", "2,2.500000,0.100000"]


@pytest.mark.parametrize("members", [1, 2, 4])
@pytest.mark.parametrize("best", list(RECIPES))
def test_the_other_members_follow_the_better_recipe(best: str, members: int, monkeypatch: pytest.MonkeyPatch) -> None:
    config = override(RetailConfig(), {"model": {"members": members}})
    tried, said = candidates(config), list[str]()
    fits = Fits(monkeypatch, [0.3 if name == best else 0.2 for name in tried])
    found = fit_model(NOTHING_PREPARED, config, seed=5, report=said.append)
    others = range(1, members)
    assert fits.asked == [*((each, 0, 5) for each in tried.values()), *((tried[best], number, 5) for number in others)]
    first, later = list(tried).index(best) + 1, [f"fit {len(tried) + number}" for number in others]
    assert fits.built == [[f"fit {first}", *later]]
    assert (found.best_epoch, found.history["score"][0]) == (first, 0.3), "it is the course of the first that is told"
    assert found.seconds == sum(10.0**place for place in range(1, len(fits.asked) + 1)), "whatever was fitted took time"
    assert said == [*(f"recipe {name}" for name in tried), *(f"member {n + 1} of {members}" for n in others)]


@pytest.mark.parametrize(("number", "seed", "expected"), [(0, 3, 3), (1, 3, 3 + SEEDS), (2, 4, 4 + 2 * SEEDS)])
def test_each_member_has_seeds_of_its_own(
    number: int, seed: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds, numbers = list[int](), list[int]()
    member: Any = SimpleNamespace(encoder=None, table=None)
    monkeypatch.setattr(model, "seed_everything", seeds.append)

    def build(plan: Any, settings: Any, number: int) -> Any:
        numbers.append(number)
        return member

    monkeypatch.setattr(model, "build_member", build)
    monkeypatch.setattr(model, "make_learner", lambda *_: None)
    monkeypatch.setattr(model, "_validation_score", lambda *_: None)
    monkeypatch.setattr(model, "learn", lambda *_, seed, **__: seeds.append(seed))
    prepared: Any = SimpleNamespace(plan=None, train=None)
    found, _ = model._fit(prepared, RetailConfig(), number, seed=seed, report=lambda line: None)
    assert found is member and seeds == [expected] * 2 and numbers == [number]


def test_without_a_place_nothing_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Fits(monkeypatch, [])
    fit_model(NOTHING_PREPARED, RetailConfig(), seed=0, report=lambda line: None)
    assert not list(tmp_path.iterdir())


def test_the_score_is_that_of_what_the_member_answers_now(shop: tuple[RetailConfig, Prepared]) -> None:
    config, prepared = shop
    keras.utils.set_random_seed(0)
    member = build_member(prepared.plan, config.model)
    score, table = model._validation_score(member, prepared, config), member.table.table.numpy()
    fill(member.table, [table[::-1].copy()])
    ranker = build_model([member], prepared.plan)
    expected = evaluate(predictor(ranker)(prepared.validation.inputs), prepared.validation, config)["ndcg@10"]
    assert score() == pytest.approx(expected.compute(None), abs=1e-6)
    fill(member.table, [table])
    assert score() != pytest.approx(expected.compute(None), abs=1e-6)


def test_the_same_seed_gives_the_same_network_of_different_members(shop: tuple[RetailConfig, Prepared]) -> None:
    config, prepared = override(shop[0], {"training": {"epochs": 1}, "model": {"members": 2}}), shop[1]
    few = prepared.validation.take(slice(8)).inputs
    fitted = [fit_model(prepared, config, seed=3, report=lambda line: None).model for _ in range(2)]
    first, again = (predictor(one)(few)[ALL_SCORES] for one in fitted)
    np.testing.assert_array_equal(first, again)
    halves = np.split(fitted[0].get_layer("items").table.numpy(), 2, axis=1)
    assert (np.abs(halves[0] - halves[1]).max(axis=1) > 0.05).all(), "the members were not fitted alike"
