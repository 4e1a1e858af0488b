"""What the purchase models share: impossible histories are named, and a maximum in a corner is told."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.domains.marketing_segmentation.likelihood import HIGHEST, LOWEST, history, maximise, nodes
from edgekit.shared.errors import ContractError

GOOD = {"x": [0.0, 2.0], "t_x": [0.0, 5.0], "age": [9.0, 9.0]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x": [0, -1]}, "x is -1 at position 1"),
        ({"t_x": [0, 10]}, "t_x is 10 at position 1.*not after T"),
        ({"t_x": [0, -2]}, "t_x is -2"),
        ({"t_x": [3, 5]}, "t_x is 3 at position 0.*without a repeat purchase"),
        ({"age": [9, np.nan]}, "T is nan at position 1"),
        ({"x": [0]}, r"\(1,\)"),
        ({"x": [], "t_x": [], "age": []}, "one number a customer"),
        ({"x": [[0, 2]]}, r"\(1, 2\)"),
    ],
)
def test_impossible_histories_are_named(change: dict[str, list[float]], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        history(**{name: np.array(values) for name, values in {**GOOD, **change}.items()})


def test_a_good_history_passes_as_it_is() -> None:
    x, t_x, age = history(**{name: np.array(values, np.float32) for name, values in GOOD.items()})
    assert (x.tolist(), t_x.tolist(), age.tolist()) == (GOOD["x"], GOOD["t_x"], GOOD["age"])
    assert x.dtype == t_x.dtype == age.dtype == np.float64


def test_the_highest_of_two_hills_is_found_from_several_starts() -> None:
    def hills(values: np.ndarray) -> float:
        theta = np.log(values[0])
        return float(np.exp(-((theta + 3) ** 2)) + 2 * np.exp(-((theta - 3) ** 2)))

    best, note = maximise(("a",), hills, ((0.05,), (20.0,)))
    assert np.log(best[0]) == pytest.approx(3, abs=1e-2) and note == ""


@pytest.mark.parametrize(("sign", "end"), [(1, HIGHEST), (-1, LOWEST)])
def test_a_parameter_that_runs_away_is_told(sign: int, end: float) -> None:
    best, note = maximise(("a", "b"), lambda v: float(sign * np.log(v[0]) - np.log(v[1]) ** 2), ((1.0, 2.0),))
    assert best[0] == pytest.approx(end) and "do not tell a," in note


def test_a_likelihood_that_overflows_is_no_maximum() -> None:
    best, _ = maximise(("a",), lambda v: np.inf if v[0] > 2 else float(-((v[0] - 1) ** 2)), ((1.5,),))
    assert best[0] == pytest.approx(1, abs=1e-2)


def test_quadrature_knows_an_integral() -> None:
    place, weight = nodes()
    assert weight @ np.exp(place) == pytest.approx(np.e - 1, rel=1e-12)
