"""The pipeline's own decisions: whose threshold, which answers, rows evenly spread, and who is compared with whom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgekit import pipeline
from edgekit.evidence import Export, Learnt, Material
from edgekit.shared.config import Settings
from edgekit.shared.decisions import Threshold
from edgekit.shared.domain import Arrays, Description, Examples, Prepared, Request
from edgekit.shared.errors import ConfigError
from edgekit.shared.estimates import Statistic, mean_statistic
from edgekit.shared.splits import Splits
from edgekit.tflite_export.card import Card, Decision
from edgekit.tflite_export.gate import Rung

UNITS = np.arange(200)
CHOSEN = Threshold(33 / 64, "fixed", {})
Inputs = dict[str, np.ndarray]


class Section(Settings):
    """Settings of a network of which one may be left to the fit."""

    parts: int | None = None
    width: int = 8


class Config(Settings):
    """Settings of the tiny domain."""

    model: Section = Section()


def constant(value: float) -> Any:
    """Return a predictor that scores its inputs from 0 to ``value``."""
    return lambda inputs: {"score": np.linspace(0, value, len(inputs["numeric"]), dtype=np.float32)[:, None]}


def evaluate(
    outputs: Arrays, given: Examples, config: Any, *, threshold: Threshold | None = None
) -> dict[str, Statistic]:
    """Return the mean score, and the share that reaches a threshold where there is one."""
    score, units = outputs["score"].reshape(-1).astype(np.float64), np.arange(len(given))
    figures = {"mean": mean_statistic(score, units)}
    return figures if threshold is None else {**figures, "share": mean_statistic(score >= threshold.value, units)}


def decide(outputs: Arrays, given: Examples, config: Any) -> Threshold:
    """Choose the median of what was seen on validation, which has 40 rows; the test split has 20."""
    if len(given) != 40:
        raise AssertionError("a threshold is chosen on validation")
    return Threshold(float(np.median(outputs["score"])), "median", {})


DOMAIN: Any = SimpleNamespace(
    name="tiny",
    title="A network for tests",
    score_output="score",
    primary_metric="mean",
    higher_is_better=True,
    views={"explain": ("parts",)},
    unmeasured=(),
    guards={"share": 0.02},
    beyond=None,
    evaluate=evaluate,
    decide=decide,
    calibration=lambda prepared, config: prepared.train.inputs,
)


@pytest.fixture
def prepared(tiny_inputs: Inputs) -> Prepared:
    """Return 40 rows to train on and to validate with, and 20 to test."""
    whole = Examples(tiny_inputs, np.zeros(40))
    return Prepared(None, whole, whole, whole.take(slice(20)))


@pytest.fixture
def learnt(tiny_model: Any, prepared: Prepared) -> Learnt:
    """Return the tiny network with a threshold that ``decide`` would not choose, and two rivals."""

    def network(inputs: Arrays) -> Inputs:
        return {name: values.numpy() for name, values in tiny_model(inputs, training=False).items()}

    predictors = {"keras": network, "low": constant(0.1), "high": constant(1.0)}
    fitted: Any = SimpleNamespace(model=tiny_model)
    answers = network(prepared.validation.inputs)
    return Learnt(fitted, answers, CHOSEN, Decision("score", CHOSEN.value, "fixed"), predictors)


def shipped(content: bytes, server: bytes | None = None) -> Export:
    rung = Rung("float32", len(content), None, True, "", content=content, server_content=server)
    return Export((rung,), rung)


# === Thresholds and answers ===


def test_every_rival_is_measured_at_the_threshold_it_chose_on_validation(prepared: Prepared, learnt: Learnt) -> None:
    found = pipeline.measure(DOMAIN, None, prepared, learnt, Export((), None), seed=0)
    assert {name: found.thresholds[name].value for name in ("low", "high")} == pytest.approx({"low": 0.05, "high": 0.5})
    assert found.figures["low"]["share"].value == found.figures["high"]["share"].value == 0.5


@pytest.mark.parametrize("device", [False, True])
def test_the_network_and_its_device_file_are_measured_at_the_threshold_of_the_card(
    prepared: Prepared, learnt: Learnt, viewed_content: bytes, device: bool
) -> None:
    export = shipped(viewed_content) if device else Export((), None)
    found = pipeline.measure(DOMAIN, None, prepared, learnt, export, seed=0)
    networks = ("keras", "tflite") if device else ("keras",)
    assert {name for name in found.predictors if found.thresholds[name] is CHOSEN} == set(networks)
    expected = (found.outputs["keras"]["score"] >= CHOSEN.value).mean()
    assert 0 < expected < 1 and expected != 0.5  # which the median would give
    assert [found.figures[name]["share"].value for name in networks] == pytest.approx([expected] * len(networks))


@pytest.mark.parametrize("server", [False, True])
def test_the_device_file_answers_with_its_views_too(
    prepared: Prepared, learnt: Learnt, viewed_content: bytes, viewed_server_content: bytes, server: bool
) -> None:
    export = shipped(viewed_content, viewed_server_content if server else None)
    found = pipeline.measure(DOMAIN, None, prepared, learnt, export, seed=0)
    assert found.parity is not None and set(found.parity.by_output) == {"score", "parts"}
    assert found.parity.max_abs_error < 1e-5
    again = found.predictors["tflite"](prepared.test.take(slice(3)).inputs)
    np.testing.assert_allclose(again["parts"], found.outputs["keras"]["parts"][:3], atol=1e-5)


@pytest.mark.parametrize(
    ("unmeasured", "kept"), [((), {"score", "parts"}), (("parts",), {"score"}), (("none",), {"score", "parts"})]
)
def test_what_is_too_large_is_not_asked_of_the_network(
    prepared: Prepared, tiny_model: Any, unmeasured: tuple[str, ...], kept: set[str]
) -> None:
    seen: list[set[str]] = []

    def decide(outputs: Arrays, given: Examples, config: Any) -> Threshold:
        seen.append(set(outputs))
        return CHOSEN

    fitted = SimpleNamespace(model=tiny_model, chosen={})
    own = {"unmeasured": unmeasured, "decide": decide, "fit": lambda *_, **__: fitted, "rivals": lambda *_, **__: {}}
    domain: Any = SimpleNamespace(**{**vars(DOMAIN), **own})
    found = pipeline.learn(domain, Config(), prepared, pipeline.Clock(lambda line: None), seed=0)
    assert seen == [kept] and set(found.answers) == kept
    assert set(found.predictors["keras"](prepared.test.inputs)) == kept
    assert found.fitted.model is tiny_model, "what ships has all outputs"


@pytest.mark.parametrize("server", [False, True])
def test_what_is_too_large_is_not_asked_of_the_device_file(
    prepared: Prepared, learnt: Learnt, viewed_content: bytes, viewed_server_content: bytes, server: bool
) -> None:
    domain: Any = SimpleNamespace(**{**vars(DOMAIN), "unmeasured": ("parts",)})
    whole = learnt.predictors["keras"]
    predictors = {**learnt.predictors, "keras": lambda inputs: {"score": whole(inputs)["score"]}}
    export = shipped(viewed_content, viewed_server_content if server else None)
    found = pipeline.measure(domain, None, prepared, replace(learnt, predictors=predictors), export, seed=0)
    assert set(found.outputs["tflite"]) == {"score"}
    assert found.parity is not None and set(found.parity.by_output) == {"score"}


@pytest.mark.parametrize(
    ("unmeasured", "asked", "kept"),
    [
        ((), ["explain", "more"], {"score", "parts", "heat", "whole"}),
        (("heat",), ["explain", "more"], {"score", "parts", "whole"}),
        (("whole",), ["explain"], {"score", "parts", "heat"}),
        (("parts", "heat"), ["more"], {"score", "whole"}),
    ],
)
def test_a_signature_answers_with_what_is_measured_alone(
    unmeasured: tuple[str, ...], asked: list[str], kept: set[str]
) -> None:
    views, called = {"explain": ("parts", "heat"), "more": ("whole",)}, list[str]()

    def answer(view: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        called.append(view)
        return {name: inputs["numeric"] for name in views[view]}

    engine: Any = SimpleNamespace(predict=lambda inputs: {"score": inputs["numeric"]}, run=answer)
    domain: Any = SimpleNamespace(views=views, unmeasured=unmeasured)
    found = pipeline._every_signature(engine, domain)({"numeric": np.zeros(2)})
    assert (called, set(found)) == (asked, kept)


def test_guards_are_figures_at_the_chosen_threshold(prepared: Prepared, learnt: Learnt) -> None:
    validation = pipeline._validation(DOMAIN, None, prepared, learnt, 0)
    (guard,) = validation.guards.values()
    outputs = {"score": np.array([[0.2], [CHOSEN.value], [0.9], [0.51], [0.1]] * 8, np.float32)}
    assert (list(validation.guards), guard.allowed, guard.figure(outputs)) == (["share"], 0.02, 0.4)
    assert validation.primary(outputs).compute(None) == pytest.approx(float(outputs["score"].mean()))


def test_the_ladder_is_told_of_views_and_guards(
    prepared: Prepared, learnt: Learnt, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {}

    def climb(model: Any, validation: Any, **settings: Any) -> tuple[Rung, ...]:
        told.update(settings, guards=set(validation.guards))
        return ()

    export = SimpleNamespace(recipes=("float32",), max_drop=0.1, max_bytes=None, max_latency_ms=None)
    monkeypatch.setattr(pipeline, "climb", climb)
    clock = pipeline.Clock(lambda line: None)
    pipeline.export_ladder(DOMAIN, SimpleNamespace(export=export), prepared, learnt, clock, seed=0)
    assert (told["views"], told["guards"]) == ({"explain": ("parts",)}, {"share"})


class Rows(list[int]):
    """Data of three rows."""

    source, fingerprint, notes = "rows.csv", "f", ()


def test_loading_says_what_it_does(prepared: Prepared) -> None:
    def load(request: Request, config: Any, *, report: Any) -> Rows:
        report("reading one")
        return Rows([1, 2, 3])

    splits = Splits(np.array([0]), np.array([1]), np.array([2]), "by row")
    domain: Any = SimpleNamespace(
        load=load, split=lambda *_, seed: splits, audit=lambda *_: [], prepare=lambda *_: prepared
    )
    said: list[str] = []
    pipeline.gather(domain, None, Request(Path("rows.csv")), pipeline.Clock(said.append), seed=0)
    assert said[:3] == ["[load]", "reading one", "3 rows from rows.csv"]


def test_the_card_is_told_the_threshold(prepared: Prepared, learnt: Learnt, tiny_card: Card) -> None:
    def describe(data: Any, prepared: Prepared, config: Any, *, threshold: Threshold) -> Description:
        settings = {"point": threshold.value}
        return Description(tiny_card.inputs, tiny_card.outputs, tiny_card.labels, "u", "MIT", (), settings)

    domain: Any = SimpleNamespace(**vars(DOMAIN), describe=describe)
    material: Any = Material(Rows([1, 2, 3]), None, (), prepared)  # type: ignore[arg-type]
    card = pipeline.card_of(domain, None, material, learnt, {})
    assert (card.settings, card.decision) == ({"point": CHOSEN.value}, learnt.decision)


# === What the fit chose, and what outputs alone do not show ===


@pytest.mark.parametrize(
    ("chosen", "parts"), [({}, None), ({"model": {"parts": 3}}, 3), ({"model": {"parts": None}}, None)]
)
def test_rivals_get_the_settings_that_the_fit_chose(
    prepared: Prepared, tiny_model: Any, chosen: dict[str, Any], parts: int | None
) -> None:
    config, told = Config(model=Section(width=5)), dict[str, Config]()

    def fit(prepared: Prepared, config: Config, **_: Any) -> Any:
        told["fit"] = config
        return SimpleNamespace(model=tiny_model, chosen=chosen)

    def decide(outputs: Arrays, given: Examples, config: Config) -> Threshold:
        told["decide"] = config
        return CHOSEN

    def rivals(prepared: Prepared, config: Config, **_: Any) -> dict[str, Any]:
        told["rivals"] = config
        return {"low": constant(0.1)}

    domain: Any = SimpleNamespace(**{**vars(DOMAIN), "fit": fit, "decide": decide, "rivals": rivals})
    found = pipeline.learn(domain, config, prepared, pipeline.Clock(lambda line: None), seed=0)
    assert told == {"fit": config, "decide": config, "rivals": Config(model=Section(parts=parts, width=5))}
    assert set(found.predictors) == {"keras", "low"} and config.model.parts is None


def test_a_setting_that_does_not_exist_cannot_be_chosen(prepared: Prepared, tiny_model: Any) -> None:
    own = {
        "fit": lambda *_, **__: SimpleNamespace(model=tiny_model, chosen={"model": {"part": 3}}),
        "decide": lambda *_: CHOSEN,
        "rivals": lambda *_, **__: {},
    }
    domain: Any = SimpleNamespace(**{**vars(DOMAIN), **own})
    with pytest.raises(ConfigError, match=r"model\.part: unknown setting") as caught:
        pipeline.learn(domain, Config(), prepared, pipeline.Clock(lambda line: None), seed=0)
    assert caught.value.__notes__ == ["in stage rivals"]


@pytest.mark.parametrize("device", [False, True])
def test_what_is_measured_beyond_the_outputs_stands_beside_the_other_figures(
    prepared: Prepared, learnt: Learnt, viewed_content: bytes, device: bool
) -> None:
    asked: list[Any] = []

    def beyond(outputs: Any, given: Prepared, config: Any, *, seed: int) -> dict[str, dict[str, Statistic]]:
        asked.append((outputs, given, config, seed))
        return {
            name: {"steady": mean_statistic(np.full(20, place / 4), np.arange(20))}
            for place, name in enumerate(outputs)
            if name != "low"
        }

    domain: Any = SimpleNamespace(**{**vars(DOMAIN), "beyond": beyond})
    export, config = shipped(viewed_content) if device else Export((), None), Config()
    found = pipeline.measure(domain, config, prepared, learnt, export, seed=7)
    ((outputs, given, told, seed),) = asked
    assert outputs is found.outputs and given is prepared and told is config and seed == 7
    names = ["keras", "low", "high", *(["tflite"] if device else [])]
    assert list(outputs) == names and len(outputs["keras"]["score"]) == 20, "the answers are those on test"
    steady = {name: figures["steady"].value for name, figures in found.figures.items() if "steady" in figures}
    assert steady == {"keras": 0, "high": 0.5, **({"tflite": 0.75} if device else {})}
    assert all({"mean", "share"} <= set(figures) for figures in found.figures.values())
    plain = pipeline.measure(DOMAIN, config, prepared, learnt, export, seed=7)
    without = {
        name: {metric: value for metric, value in figures.items() if metric != "steady"}
        for name, figures in found.figures.items()
    }
    assert without == plain.figures and found.verdict == plain.verdict


def test_a_domain_without_such_a_measure_has_no_further_figures(prepared: Prepared, learnt: Learnt) -> None:
    found = pipeline.measure(DOMAIN, None, prepared, learnt, Export((), None), seed=0)
    assert {name: tuple(figures) for name, figures in found.figures.items()} == dict.fromkeys(
        ("keras", "low", "high"), ("mean", "share")
    )


@pytest.mark.parametrize("higher", [True, False])
def test_a_rival_without_the_primary_metric_is_never_the_best(prepared: Prepared, learnt: Learnt, higher: bool) -> None:
    def partial(outputs: Arrays, given: Examples, config: Any, *, threshold: Threshold | None) -> Any:
        made = evaluate(outputs, given, config, threshold=threshold)
        return {"share": made["share"]} if outputs["score"].max() == best else made

    best = np.float32(1.0 if higher else 0.1)
    domain: Any = SimpleNamespace(**{**vars(DOMAIN), "evaluate": partial, "higher_is_better": higher})
    found = pipeline.measure(domain, None, prepared, learnt, Export((), None), seed=0)
    without, other = ("high", "low") if higher else ("low", "high")
    assert list(found.figures[without]) == ["share"] and found.verdict.best_rival == other
    whole: Any = SimpleNamespace(**{**vars(domain), "evaluate": evaluate})
    assert pipeline.measure(whole, None, prepared, learnt, Export((), None), seed=0).verdict.best_rival == without


# === The verdict ===


def primary(**means: float) -> dict[str, Statistic]:
    """Return by name the mean of values that scatter alike around ``means``."""
    scatter = np.random.default_rng(0).normal(0, 0.1, len(UNITS))
    scatter -= scatter.mean()
    return {name: mean_statistic(mean + scatter, UNITS) for name, mean in means.items()}


@pytest.mark.parametrize(
    ("higher", "means", "rival", "difference"),
    [
        (True, {"keras": 0.1, "tflite": 0.8, "trees": 0.6, "line": 0.7}, "line", 0.1),
        (True, {"keras": 0.9, "tflite": 0.5, "trees": 0.6, "line": 0.2}, "trees", -0.1),
        (False, {"keras": 0.9, "tflite": 0.2, "trees": 0.6, "line": 0.5}, "line", 0.3),
        (False, {"keras": 0.1, "tflite": 0.9, "trees": 0.6, "line": 0.7}, "trees", -0.3),
        (True, {"keras": 0.9, "trees": 0.6, "line": 0.7}, "line", 0.2),
        (False, {"keras": 0.4, "trees": 0.6, "line": 0.7}, "trees", 0.2),
    ],
)
def test_what_ships_is_compared_with_the_best_rival(
    higher: bool, means: dict[str, float], rival: str, difference: float
) -> None:
    verdict = pipeline.judge(primary(**means), higher_is_better=higher, seed=0)
    assert verdict.best_rival == rival
    assert verdict.difference.value == pytest.approx(difference)
    assert verdict.earns_its_place is (difference > 0)


def test_the_interval_follows_the_seed() -> None:
    rng = np.random.default_rng(1)
    noisy = {name: mean_statistic(rng.normal(0, 1, len(UNITS)), UNITS) for name in ("keras", "trees")}
    first, again, other = (pipeline.judge(noisy, higher_is_better=True, seed=seed) for seed in (0, 0, 1))
    assert first == again and first.difference.low != other.difference.low


@pytest.mark.parametrize(("value", "rule"), [(0.5, "median; chosen on validation"), (None, "median")])
def test_only_a_threshold_was_chosen_on_validation(
    prepared: Prepared, tiny_model: Any, value: float | None, rule: str
) -> None:
    domain: Any = SimpleNamespace(
        score_output="score",
        unmeasured=(),
        fit=lambda *_, **__: SimpleNamespace(model=tiny_model, chosen={}),
        decide=lambda *_: Threshold(value, "median", {}),
        rivals=lambda *_, **__: {},
    )
    found = pipeline.learn(domain, Config(), prepared, pipeline.Clock(lambda line: None), seed=0)
    assert found.decision == Decision("score", value, rule)
