"""What benchmarks with several seeds share: one run a seed, figures over the seeds, and times measured in turns."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgekit.shared.errors import RunError
from edgekit.shared.estimates import Estimate, mean_statistic

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
UNITS = np.arange(50)
FIRST, SECOND = (np.random.default_rng(seed).random(50) for seed in (1, 2))


@pytest.fixture(scope="module")
def over_seeds() -> ModuleType:
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module("over_seeds")
    finally:
        sys.path.remove(str(SCRIPTS))


# === Figures ===


def test_a_figure_is_the_mean_of_the_seeds_and_its_spread(over_seeds: ModuleType) -> None:
    made = over_seeds.figures({"auc": [mean_statistic(FIRST, UNITS), mean_statistic(SECOND, UNITS)]})["auc"]
    means = [FIRST.mean(), SECOND.mean()]
    assert made["value"] == pytest.approx(np.mean(means))
    assert made["sd"] == pytest.approx(np.std(means))
    assert made["low"] < made["value"] < made["high"] and made["n"] == 50


def test_seeds_are_resampled_together(over_seeds: ModuleType) -> None:
    """An image drawn twice counts twice for every seed: the interval is that of the images' mean over the seeds."""
    seeds = [mean_statistic(FIRST, UNITS), mean_statistic(1 - FIRST, UNITS)]
    made = over_seeds.figures({"auc": seeds})["auc"]
    assert (made["low"], made["high"]) == pytest.approx((0.5, 0.5))


def test_joined_seeds_are_one_statistic_of_the_same_units(over_seeds: ModuleType) -> None:
    made = over_seeds.joined([mean_statistic(FIRST, UNITS), mean_statistic(SECOND, UNITS)])
    weight = np.zeros(50)
    weight[[3, 4]] = 1, 3
    np.testing.assert_array_equal(made.units, UNITS)
    assert made.compute(None) == pytest.approx((FIRST.mean() + SECOND.mean()) / 2)
    both = (FIRST + SECOND) / 2
    assert made.compute(weight) == pytest.approx((both[3] + 3 * both[4]) / 4)


def verdict(over_seeds: ModuleType, **values: np.ndarray) -> dict[str, Any]:
    """Return the verdict where the two seeds of each predictor are a tenth above and below what is given."""
    shifts = (-0.1, 0.1)
    made = {name: {"auc": [mean_statistic(each + shift, UNITS) for shift in shifts]} for name, each in values.items()}
    found: dict[str, Any] = over_seeds.verdict(made, "auc")
    return found


def test_the_verdict_is_against_the_best_rival(over_seeds: ModuleType) -> None:
    made = verdict(over_seeds, weak=FIRST - 0.2, tflite=FIRST, strong=FIRST - 0.1)
    assert made["best_rival"] == "strong" and made["metric"] == "auc"
    difference = made["difference"]
    assert [difference[name] for name in ("value", "low", "high")] == pytest.approx([0.1] * 3), "image by image"


def test_the_network_itself_is_no_rival(over_seeds: ModuleType) -> None:
    made = verdict(over_seeds, keras=FIRST + 0.3, tflite=FIRST, forest=FIRST + 0.2)
    assert made["best_rival"] == "forest" and made["difference"]["value"] == pytest.approx(-0.2)


MATERIAL: Any = SimpleNamespace(prepared=SimpleNamespace(test="test", validation="validation"))


def measured(*made: dict[str, dict[str, Any]]) -> list[Any]:
    """Return one run for each mapping of predictors to metrics."""
    return [(None, None, SimpleNamespace(outputs=dict.fromkeys(each), statistics=each)) for each in made]


def test_the_metrics_asked_for_are_gathered_by_seed(over_seeds: ModuleType) -> None:
    first, second = ({"tflite": {"auc": t, "other": 0}, "forest": {"auc": f}} for t, f in (("a", "b"), ("c", "d")))
    made = over_seeds.statistics(measured(first, second), metrics=("auc", "mrr"))
    assert made == {"tflite": {"auc": ["a", "c"]}, "forest": {"auc": ["b", "d"]}}


def test_metrics_that_a_seed_lacks_are_left_out(over_seeds: ModuleType) -> None:
    first, second = {"tflite": {"auc": 1, "accuracy": 2}}, {"tflite": {"auc": 3}}
    assert over_seeds.statistics(measured(first, second), metrics=("auc", "accuracy")) == {"tflite": {"auc": [1, 3]}}


def test_a_rival_without_the_metric_is_no_rival_in_it(over_seeds: ModuleType) -> None:
    made = {
        "tflite": {"auc": [mean_statistic(FIRST, UNITS)]},
        "forest": {"auc": [mean_statistic(FIRST - 0.1, UNITS)]},
        "other": {},
    }
    assert over_seeds.verdict(made, "auc")["best_rival"] == "forest"


# === Runs ===


def test_rivals_are_fitted_once_for_all_seeds(over_seeds: ModuleType) -> None:
    asked = list[int]()

    def fit(prepared: Any, config: Any, /, *, seed: int, report: Any) -> dict[str, Any]:
        asked.append(seed)
        return {"forest": seed}

    rivals = over_seeds.fitted_once(fit)
    assert [rivals(None, None, seed=seed, report=None) for seed in (3, 4)] == [{"forest": 3}] * 2
    assert asked == [3]


def test_a_seed_that_ships_nothing_is_one_clear_error(over_seeds: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    export = SimpleNamespace(chosen=None, rungs=[SimpleNamespace(reason="auc falls by 0.2")])
    steps = SimpleNamespace(learn=lambda *_, **__: None, export_ladder=lambda *_, **__: export)
    monkeypatch.setattr(over_seeds, "pipeline", steps)
    clock: Any = SimpleNamespace(say=lambda line: None)
    with pytest.raises(RunError, match="No rung is inside the budget with seed 7: .*auc falls by 0.2"):
        over_seeds.run(None, MATERIAL, None, clock, seed=7)


def test_every_step_of_a_run_has_its_seed(over_seeds: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds, said = list[tuple[str, int]](), list[str]()
    figures = {"tflite": {"auc": Estimate(0.91234, 0.9, 0.92, 7), "mrr": Estimate(0.5, 0.4, 0.6, 7)}}
    answers = {
        "learn": "learnt",
        "export_ladder": SimpleNamespace(chosen="int8"),
        "measure": SimpleNamespace(figures=figures),
    }

    def step(name: str) -> Callable[..., Any]:
        def made(*_: Any, seed: int, **__: Any) -> Any:
            seeds.append((name, seed))
            return answers[name]

        return made

    monkeypatch.setattr(over_seeds, "pipeline", SimpleNamespace(**{name: step(name) for name in answers}))
    found = over_seeds.run(None, MATERIAL, None, SimpleNamespace(say=said.append), seed=7)
    assert found == tuple(answers.values())
    assert seeds == [("learn", 7), ("export_ladder", 7), ("measure", 7)]
    assert said == ["seed 7", "tflite: auc 0.9123, mrr 0.5000"]


def test_the_largest_whole_files_are_told(over_seeds: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = SimpleNamespace(
        card_of=lambda *_: "card",
        device_files=lambda export, card, golden, config: {
            "shop.tflite": b"s" * export.shipped,
            "export/float32.tflite": b"f" * export.plain,
        },
    )
    monkeypatch.setattr(over_seeds, "pipeline", steps)
    domain: Any = SimpleNamespace(name="shop", golden=lambda *_: None)
    runs = [
        (
            SimpleNamespace(answers=None),
            SimpleNamespace(shipped=shipped, plain=plain, chosen=SimpleNamespace(recipe=recipe)),
            SimpleNamespace(figures=None),
        )
        for shipped, plain, recipe in ((30, 100, "int8"), (50, 90, "float16"), (40, 95, "float16"))
    ]
    assert over_seeds.sizes(domain, runs, MATERIAL, None) == {
        "chosen": "float16",
        "bytes": 50,
        "float32_bytes": 100,
        "by_seed": ["int8", "float16", "float16"],
    }


# === Times ===


def test_calls_take_turns_and_their_medians_are_told(over_seeds: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    now, order = [0.0], list[str]()
    lasts = {"a": iter([100.0, 3.0, 1.0, 2.0]), "b": iter([200.0, 9.0, 7.0, 50.0])}

    def call(name: str) -> Callable[[], None]:
        def made() -> None:
            order.append(name)
            now[0] += next(lasts[name])

        return made

    monkeypatch.setattr(over_seeds, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    assert over_seeds.median_seconds(call("a"), call("b"), times=3) == (2.0, 9.0), "the first calls do not count"
    assert order == ["a", "b"] * 4
