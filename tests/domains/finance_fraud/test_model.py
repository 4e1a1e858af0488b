"""The networks: every kind is built, learns, is calibrated, and gives the same answers on a device."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from edgekit.domains.finance_fraud import features
from edgekit.domains.finance_fraud.config import FraudConfig, ModelSettings
from edgekit.domains.finance_fraud.features import DAY, Plan
from edgekit.domains.finance_fraud.model import build_model, calibrate, fit_model
from edgekit.shared.config import TrainingSettings
from edgekit.shared.domain import Examples, Prepared
from edgekit.shared.metrics import average_precision
from edgekit.shared.training import Fitted, predictor
from edgekit.tflite_export.convert import convert
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.ops import require_builtin

SMALL = {"bins": 4, "members": 2, "width": 8, "depth": 1, "history": 3}
OWN = Plan((), ("a", "b", "c"), {"kind": ("x", "y"), "channel": ("web",)}, DAY)
PLANS = {
    "tabular": OWN,
    "autoencoder": OWN,
    "sequence": Plan(("timestamp", "customer", "amount"), ("a",), {"kind": ("x", "y")}, DAY, 3),
    "numeric only": Plan((), ("a", "b", "c"), {}, DAY),
    "categorical only": Plan((), (), {"kind": ("x", "y"), "channel": ("web",)}, DAY),
}
CASES = [
    ("tabular", "tabular"),
    ("tabular", "numeric only"),
    ("tabular", "categorical only"),
    ("sequence", "sequence"),
    ("autoencoder", "autoencoder"),
    ("autoencoder", "numeric only"),
    ("autoencoder", "categorical only"),
]


def examples(plan: Plan, rows: int, *, seed: int = 0) -> Examples:
    """Return rows in which a high first number, or a first category y, is usually a fraud; some cells are missing."""
    rng = np.random.default_rng(seed)
    fraud = rng.random(rows) < 0.2
    inputs = {}
    if plan.columns:
        numeric = rng.normal(size=(rows, len(plan.columns))) * 50 + 100
        numeric[:, 0] += 150 * fraud
        numeric[rng.random(numeric.shape) < 0.1] = np.nan
        inputs["numeric"] = numeric.astype(np.float32)
    if plan.vocabularies:
        widths = [len(words) + 1 for words in plan.vocabularies.values()]
        codes = rng.integers(0, widths, (rows, len(widths)))
        codes[:, 0] = np.where(rng.random(rows) < 0.9, 2 * fraud, codes[:, 0])
        inputs["categorical"] = codes.astype(np.int32)
    if plan.history:
        history = rng.normal(size=(rows, plan.history, 3)) * 40
        history[rng.random(rows) < 0.3, : plan.history - 1] = np.nan
        inputs["history"] = history.astype(np.float32)
    return Examples(inputs, fraud.astype(np.float32))


def prepared(plan: Plan) -> Prepared:
    return Prepared(plan, *(examples(plan, rows, seed=seed) for seed, rows in enumerate((1500, 400, 400))))


def config(kind: str, *, epochs: int = 8) -> FraudConfig:
    model = ModelSettings(kind=kind, dropout=0.0, **SMALL)  # type: ignore[arg-type]
    return FraudConfig(model=model, training=TrainingSettings(epochs=epochs, batch_size=64, learning_rate=1e-2))


def fitted(kind: str, plan: Plan, *, epochs: int = 8, seed: int = 0) -> tuple[Fitted, Prepared]:
    data = prepared(plan)
    return fit_model(data, config(kind, epochs=epochs), seed=seed, report=lambda line: None), data


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]} on {case[1]}")
def network(request: pytest.FixtureRequest) -> tuple[Fitted, Prepared]:
    kind, plan = request.param
    return fitted(kind, PLANS[plan])


# === Building ===


@pytest.mark.parametrize(("kind", "plan"), CASES)
def test_edges_have_the_names_and_shapes_of_the_features(kind: str, plan: str) -> None:
    given = examples(PLANS[plan], 4)
    model = build_model(PLANS[plan], config(kind).model, prior=0.01)
    assert {name: tuple(tensor.shape[1:]) for name, tensor in model.input.items()} == {
        name: values.shape[1:] for name, values in given.inputs.items()
    }
    output = predictor(model)(given.inputs)["probability"]
    assert output.shape == (4, 1) and ((output >= 0) & (output <= 1)).all()


def test_training_starts_at_the_share_of_frauds() -> None:
    model = build_model(PLANS["numeric only"], config("tabular").model, prior=0.01)  # scales are not learnt yet
    start = predictor(model)({"numeric": np.ones((2, 3), np.float32)})["probability"]
    np.testing.assert_allclose(start, 0.01, rtol=1e-3)


def test_the_answer_is_the_mean_of_all_members() -> None:
    plan, rows = PLANS["numeric only"], {"numeric": np.array([[90.0, 110.0, np.nan]], np.float32)}
    model = build_model(plan, config("tabular").model, prior=0.1)
    model.get_layer("numeric_embedding").learn(examples(plan, 50).inputs["numeric"], examples(plan, 50).target)
    members = predictor(keras.Model(model.inputs, {"logits": model.get_layer("logits").output}))(rows)["logits"]
    assert members.shape == (1, SMALL["members"]) and np.ptp(members) > 1e-3
    np.testing.assert_allclose(predictor(model)(rows)["probability"], 1 / (1 + np.exp(-members.mean())), rtol=1e-5)


# === Learning ===


def test_a_learnable_problem_is_learnt(network: tuple[Fitted, Prepared]) -> None:
    result, data = network
    score = predictor(result.model)(data.test.inputs)["probability"][:, 0]
    base = data.test.target.mean()
    supervised = "code" not in {layer.name for layer in result.model.layers}
    assert average_precision(data.test.target, score) > (2.5 * base if supervised else 0.5 * base)


def test_probabilities_are_calibrated_on_validation(network: tuple[Fitted, Prepared]) -> None:
    result, data = network
    score = predictor(result.model)(data.validation.inputs)["probability"][:, 0]
    assert score.mean() == pytest.approx(data.validation.target.mean(), abs=0.02)


def test_an_autoencoder_finds_what_is_out_of_the_ordinary_without_labels() -> None:
    plan = PLANS["numeric only"]
    data, rng = prepared(plan), np.random.default_rng(3)
    line = rng.normal(size=(2300, 1)) @ np.ones((1, 3))
    odd = np.arange(2300) % 20 == 0
    line[odd, 1] *= -1  # each number is usual by itself, together they are not
    whole = Examples({"numeric": line.astype(np.float32)}, odd.astype(np.float32))
    parts = [whole.take(slice(*cut)) for cut in ((0, 1500), (1500, 1900), (1900, 2300))]
    result = fit_model(Prepared(plan, *parts), config("autoencoder", epochs=15), seed=0, report=lambda line: None)
    score = predictor(result.model)(parts[2].inputs)["probability"][:, 0]
    assert average_precision(parts[2].target, score) > 4 * odd.mean()
    assert data.plan == plan


def test_the_same_seed_gives_the_same_network() -> None:
    first, again, other = (fitted("tabular", OWN, epochs=1, seed=seed)[0] for seed in (1, 1, 2))
    pairs = zip(first.model.get_weights(), again.model.get_weights(), strict=True)
    assert all(np.array_equal(one, two) for one, two in pairs)
    changed = zip(first.model.get_weights(), other.model.get_weights(), strict=True)
    assert any(not np.array_equal(one, two) for one, two in changed)


def test_calibration_keeps_the_ranking(network: tuple[Fitted, Prepared]) -> None:
    result, data = network
    before = predictor(result.model)(data.test.inputs)["probability"][:, 0]
    calibrate(result.model, data.test)
    after = predictor(result.model)(data.test.inputs)["probability"][:, 0]
    calibrate(result.model, data.validation)
    apart = np.diff(before[np.argsort(before, kind="stable")]) > 1e-6
    assert (np.diff(after[np.argsort(before, kind="stable")])[apart] > 0).all()


# === On a device ===


@pytest.mark.parametrize("profile", ["device", "server"])
def test_every_kind_converts_with_builtin_ops_and_agrees(network: tuple[Fitted, Prepared], profile: str) -> None:
    result, data = network
    content = convert(result.model, profile=profile)
    assert require_builtin(content)
    edge = {
        name: np.full_like(values[:1], np.nan if values.dtype.kind == "f" else 0)
        for name, values in data.test.inputs.items()
    }
    rows = {name: np.concatenate([values[:40], edge[name]]) for name, values in data.test.inputs.items()}
    expected = predictor(result.model)(rows)["probability"]
    got = Engine(content).predict(rows)["probability"]
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert np.isfinite(got).all() and np.ptp(got) > 1e-5


def test_a_whole_model_survives_its_file(tmp_path: Path, network: tuple[Fitted, Prepared]) -> None:
    result, data = network
    result.model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    few = {name: values[:20] for name, values in data.test.inputs.items()}
    np.testing.assert_array_equal(predictor(again)(few)["probability"], predictor(result.model)(few)["probability"])


def test_the_inputs_of_features_are_those_of_the_network() -> None:
    plan = PLANS["sequence"]
    table = {
        "timestamp": np.arange(4) * DAY,
        "customer": np.array(list("abab"), dtype=object),
        "amount": np.array([100, 200, 300, 400]),
        "a": np.array([1.0, np.nan, 2.0, 3.0]),
        "kind": np.array(["x", "", "z", "y"], dtype=object),
    }
    made = features.inputs(table, plan)
    assert predictor(build_model(plan, config("sequence").model, prior=0.1))(made)["probability"].shape == (4, 1)
