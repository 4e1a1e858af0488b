"""The ladder: every recipe is judged by the user's metric, and none stops the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.shared.errors import ConfigError, ExportError
from edgekit.shared.estimates import Statistic
from edgekit.tflite_export import ladder
from edgekit.tflite_export.card import Decision
from edgekit.tflite_export.engine import Engine
from edgekit.tflite_export.flatfile import pack, unpack
from edgekit.tflite_export.gate import Budget, smallest_accepted
from edgekit.tflite_export.ladder import Guard, Validation, climb, metric_drop
from edgekit.tflite_export.quantize import quantize
from edgekit.tflite_export.signature import read_signatures

if TYPE_CHECKING:
    import keras

Inputs = dict[str, np.ndarray]


def closeness(reference: np.ndarray, scale: float) -> Callable[[Inputs], Statistic]:
    """Return a metric that is 0 for the reference and falls by ``scale`` per unit of error."""

    def primary(outputs: Inputs) -> Statistic:
        loss = -scale * np.abs(outputs["score"] - reference)[:, 0].astype(np.float64)
        return Statistic(lambda weight: float(np.average(loss, weights=weight)), np.arange(len(loss)))

    return primary


@pytest.fixture(scope="module")
def validation(tiny_model: keras.Model, tiny_inputs: Inputs) -> Validation:
    """Return validation data for the tiny network with a forgiving metric."""
    reference = {k: np.asarray(v) for k, v in tiny_model(tiny_inputs, training=False).items()}
    primary = closeness(reference["score"], 0.1)
    return Validation(tiny_inputs, reference, primary, decision=Decision("score", 0.5, ""))


def stricter(validation: Validation, scale: float) -> Validation:
    """Return the same data with a metric that punishes every error by ``scale``."""
    primary = closeness(np.asarray(validation.reference_outputs["score"]), scale)
    return Validation(validation.inputs, validation.reference_outputs, primary)


def test_every_recipe_is_judged_in_order(tiny_model: keras.Model, validation: Validation) -> None:
    lines: list[str] = []
    rungs = climb(tiny_model, validation, progress=lines.append)
    assert [rung.recipe for rung in rungs] == ["float32", "float16", "dynamic_int8", "dynamic_int4"]
    assert all(rung.accepted and rung.content and rung.server_content for rung in rungs)
    assert all(rung.bytes == len(rung.content or b"") for rung in rungs)
    assert all(rung.parity is not None and rung.parity.n == 40 for rung in rungs)
    chosen = smallest_accepted(rungs)
    assert chosen is not None and chosen.recipe == "dynamic_int8"
    assert any("float16: accepted" in line for line in lines)


def test_a_rung_that_loses_too_much_is_refused(tiny_model: keras.Model, validation: Validation) -> None:
    strict = stricter(validation, 1000.0)
    rungs = climb(tiny_model, strict, recipes=("float32", "dynamic_int8"))
    assert [rung.accepted for rung in rungs] == [True, False]
    assert "drop may be" in rungs[1].reason


def test_nothing_ships_when_no_rung_is_inside(tiny_model: keras.Model, validation: Validation) -> None:
    rungs = climb(tiny_model, validation, recipes=("float32",), budget=Budget(max_bytes=1))
    assert smallest_accepted(rungs) is None


def mean_score(outputs: Inputs) -> float:
    """Return a figure to guard."""
    return float(outputs["score"].mean())


@pytest.mark.parametrize(("allowed", "accepted"), [(1.0, [True, True]), (1e-5, [True, False])])
def test_a_guarded_figure_may_not_change_by_more_than_is_allowed(
    tiny_model: keras.Model, validation: Validation, allowed: float, accepted: list[bool]
) -> None:
    guarded = replace(validation, guards={"mean score": Guard(mean_score, allowed)})
    rungs = climb(tiny_model, guarded, recipes=("float32", "dynamic_int4"))
    assert [rung.accepted for rung in rungs] == accepted
    assert ("mean score changes by" in rungs[1].reason) is not accepted[1]


def test_a_change_is_that_of_the_device_file_less_that_of_keras(
    tiny_content: bytes, tiny_server_content: bytes, validation: Validation
) -> None:
    shifted = {name: values - np.float32(0.25) for name, values in validation.reference_outputs.items()}
    guarded = replace(validation, reference_outputs=shifted, guards={"mean score": Guard(mean_score, 0.1)})
    measured = ladder._measure(tiny_content, tiny_server_content, guarded)
    assert measured.changes == {"mean score": (pytest.approx(0.25, abs=1e-5), 0.1)}


def test_a_guard_that_fails_refuses_its_rung_alone(tiny_model: keras.Model, validation: Validation) -> None:
    guarded = replace(validation, guards={"parts": Guard(lambda outputs: float(outputs["none"].sum()), 0.1)})
    (rung,) = climb(tiny_model, guarded, recipes=("float32",))
    assert (rung.accepted, rung.reason) == (False, "KeyError: 'none'")


def test_views_leave_predict_and_the_comparison(tiny_model: keras.Model, validation: Validation) -> None:
    rungs = climb(tiny_model, validation, recipes=("float32", "dynamic_int8"), views={"explain": ("parts",)})
    assert all(rung.accepted and rung.parity and set(rung.parity.by_output) == {"score"} for rung in rungs)
    contents = [content for rung in rungs for content in (rung.content, rung.server_content)]
    assert [sorted(read_signatures(content or b"")) for content in contents] == [["explain", "predict"]] * 4
    answers = [Engine(content or b"").run("explain", dict(validation.inputs))["parts"] for content in contents]
    np.testing.assert_allclose(answers[0], validation.reference_outputs["parts"], atol=1e-5)
    np.testing.assert_allclose(answers[2], answers[3], atol=1e-5)


def test_an_output_that_keras_lacks_is_named(tiny_content: bytes, validation: Validation) -> None:
    lacking = replace(validation, reference_outputs={"score": validation.reference_outputs["score"]})
    with pytest.raises(ExportError, match=r"Found outputs \['parts', 'score'\], expected \['score'\]"):
        ladder._measure(tiny_content, None, lacking)


def test_a_failing_rung_does_not_stop_the_others(tiny_model: keras.Model, validation: Validation) -> None:
    rungs = climb(tiny_model, validation, recipes=("static_int8", "float32"))
    assert [rung.accepted for rung in rungs] == [False, True]
    assert "Pass calibration inputs" in rungs[0].reason


def test_an_error_of_a_library_does_not_stop_the_others(
    tiny_model: keras.Model, validation: Validation, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = quantize

    def breaking(saved: Any, chosen: Any, **settings: Any) -> bytes:
        if chosen.name == "float16":
            raise ZeroDivisionError("odd")
        return genuine(saved, chosen, **settings)

    monkeypatch.setattr(ladder, "quantize", breaking)
    rungs = climb(tiny_model, validation, recipes=("float16", "float32"))
    assert [rung.reason for rung in rungs[:1]] == ["ZeroDivisionError: odd"]
    assert rungs[1].accepted


def test_recurrent_networks_answer_row_by_row() -> None:
    import keras

    keras.utils.set_random_seed(3)
    steps = keras.Input((5, 2), name="steps")
    score = keras.layers.Dense(1, name="score")(keras.layers.GRU(4)(steps))
    model = keras.Model({"steps": steps}, {"score": score})
    inputs = {"steps": np.random.default_rng(0).normal(size=(9, 5, 2)).astype(np.float32)}
    reference = {"score": np.asarray(model(inputs)["score"])}
    data = Validation(inputs, reference, closeness(reference["score"], 1.0))
    (rung,) = climb(model, data, recipes=("float32",))
    assert (rung.accepted, rung.server_content) == (True, None)
    assert rung.parity is not None and rung.parity.max_abs_error < 1e-6


@pytest.fixture(scope="module")
def other_server(tiny_server_content: bytes) -> bytes:
    """Return the free-batch file with its largest weights set to zero."""
    model = unpack(tiny_server_content)
    largest = max((b for b in model.buffers if b.data is not None), key=lambda b: len(b.data))
    largest.data = np.zeros(len(largest.data), np.uint8)
    return pack(model)


def test_a_server_file_that_answers_differently_is_not_believed(
    tiny_content: bytes, tiny_server_content: bytes, other_server: bytes, tiny_inputs: Inputs
) -> None:
    device = Engine(tiny_content)
    found, alike = ladder._outputs(device, other_server, tiny_inputs)
    np.testing.assert_array_equal(found["score"], device.predict(tiny_inputs)["score"])
    assert not alike and ladder._outputs(device, tiny_server_content, tiny_inputs)[1]


def test_a_server_file_that_answers_differently_does_not_ship(
    tiny_model: keras.Model, other_server: bytes, validation: Validation, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = stricter(validation, 1000.0)  # by which the other file would lose everything
    monkeypatch.setattr(ladder, "_server_content", lambda *_: other_server)
    (rung,) = climb(tiny_model, strict, recipes=("float32",))
    assert (rung.accepted, rung.server_content) == (True, None)
    assert rung.drop is not None and abs(rung.drop.value) < 1e-3
    assert rung.parity is not None and rung.parity.max_abs_error < 1e-6


def test_equal_outputs_have_no_drop_at_all(validation: Validation) -> None:
    drop = metric_drop(dict(validation.reference_outputs), validation)
    assert (drop.value, drop.low, drop.high, drop.n) == (0.0, 0.0, 0.0, 40)


@pytest.mark.parametrize(("higher", "sign"), [(True, 1.0), (False, -1.0)])
def test_the_sign_follows_the_direction(validation: Validation, higher: bool, sign: float) -> None:
    worse = {**validation.reference_outputs}
    worse["score"] = worse["score"] + np.float32(0.1)
    data = Validation(validation.inputs, validation.reference_outputs, validation.primary, higher_is_better=higher)
    assert metric_drop(worse, data).value == pytest.approx(sign * 0.01, rel=1e-3)


def test_an_unknown_recipe_is_refused_at_once(tiny_model: keras.Model, validation: Validation) -> None:
    with pytest.raises(ConfigError, match="Unknown export recipe"):
        climb(tiny_model, validation, recipes=("float64",))


def test_a_network_that_cannot_be_exported_at_all_is_an_error(validation: Validation) -> None:
    import keras

    x = keras.Input((4,), name="x")
    with pytest.raises(ExportError, match="expected a dict"):
        climb(keras.Model(x, x * 2.0), validation)
