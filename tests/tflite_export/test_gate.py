"""The gate: what ships is the smallest file whose worst plausible loss is inside the budget."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from edgekit.shared.errors import ConfigError
from edgekit.shared.estimates import Estimate
from edgekit.tflite_export.benchmark import Latency
from edgekit.tflite_export.gate import Budget, Measured, Rung, failed, judge, smallest_accepted
from edgekit.tflite_export.parity import Parity

PARITY = Parity(0.1, 0.01, 1, 10, {"y": 0.1})


def measured(*, high: float = 0.001, size: int = 100, median_ms: float = 1.0) -> Measured:
    """Return measurements of a file with a drop of 0 up to ``high``."""
    return Measured(b"x" * size, Estimate(0.0, -0.001, high, 50), Latency(median_ms, 2.0, 9), PARITY)


def test_inside_the_budget_is_accepted() -> None:
    rung = judge("float16", measured(high=0.005), Budget(max_drop=0.005))
    assert rung.accepted
    assert rung.reason == "drop at most 0.005, 0.005 allowed"


def test_the_upper_bound_decides_not_the_value() -> None:
    rung = judge("float16", measured(high=0.0051), Budget(max_drop=0.005))
    assert not rung.accepted
    assert rung.reason == "drop may be 0.0051 (measured 0), 0.005 allowed"


@pytest.mark.parametrize(
    ("budget", "match"),
    [
        (Budget(max_bytes=99), "100 bytes, 99 allowed"),
        (Budget(max_latency_ms=0.5), "1 ms per call, 0.5 allowed"),
    ],
)
def test_size_and_time_are_limits_too(budget: Budget, match: str) -> None:
    rung = judge("float16", measured(), budget)
    assert (rung.accepted, rung.reason) == (False, match)


@pytest.mark.parametrize(
    ("change", "allowed", "accepted"),
    [
        (0.0, 0.0, True),
        (0.02, 0.02, True),
        (-0.02, 0.02, True),
        (0.021, 0.02, False),
        (-0.021, 0.02, False),
        (math.nan, 0.02, False),
        (math.inf, 0.02, False),
    ],
)
def test_a_guarded_figure_may_change_by_what_is_allowed_either_way(
    change: float, allowed: float, accepted: bool
) -> None:
    rung = judge("float16", replace(measured(), changes={"coverage": (change, allowed)}), Budget())
    assert rung.accepted is accepted
    assert rung.reason.startswith("drop at most" if accepted else f"coverage changes by {change:+.3g}, 0.02 allowed")


def test_a_changed_figure_is_named_beside_other_broken_limits() -> None:
    changes = {"coverage": (-0.05, 0.03), "refused": (0.01, 0.02)}
    rung = judge("float16", replace(measured(high=1.0), changes=changes), Budget())
    assert "drop may be 1" in rung.reason and "; coverage changes by -0.05, 0.03 allowed" in rung.reason
    assert "refused" not in rung.reason


def test_every_broken_limit_is_named() -> None:
    rung = judge("float16", measured(high=1.0), Budget(max_bytes=1, max_latency_ms=0.1))
    assert rung.reason.count(";") == 2


def test_the_smallest_accepted_ships() -> None:
    rungs = [
        Rung("float32", 400, None, True, ""),
        Rung("float16", 200, None, True, ""),
        Rung("dynamic_int8", 100, None, False, ""),
        Rung("dynamic_int4", 200, None, True, ""),
    ]
    chosen = smallest_accepted(rungs)
    assert chosen is rungs[1]


@pytest.mark.parametrize("rungs", [[], [failed("float32", "no")]])
def test_nothing_accepted_ships_nothing(rungs: list[Rung]) -> None:
    assert smallest_accepted(rungs) is None


def test_a_rung_stands_in_the_report_as_promised() -> None:
    found = judge("float16", measured(), Budget()).as_json()
    assert found["drop"] == {"value": 0.0, "low": -0.001, "high": 0.001}
    assert found["latency_ms"] == {"median": 1.0, "p95": 2.0}
    assert (found["recipe"], found["bytes"], found["accepted"]) == ("float16", 100, True)
    assert found["parity"]["decision_flips"] == 1


def test_a_failed_rung_stands_in_the_report_too() -> None:
    found = failed("static_int8", "it crashed").as_json()
    assert (found["drop"], found["latency_ms"], found["reason"]) == (None, None, "it crashed")


@pytest.mark.parametrize("value", [-0.1, math.nan])
def test_a_budget_is_a_number_of_at_least_0(value: float) -> None:
    with pytest.raises(ConfigError, match="max_drop"):
        Budget(max_drop=value)


def test_a_budget_stands_in_the_report() -> None:
    assert Budget().as_json() == {"max_drop": 0.005, "max_bytes": None, "max_latency_ms": None}
