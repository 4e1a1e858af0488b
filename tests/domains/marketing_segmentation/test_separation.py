"""Separation: the figures of known blobs, dashes where there are none, and not every customer of a long test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import davies_bouldin_score, silhouette_score

from edgekit.domains.marketing_segmentation import separation as module
from edgekit.domains.marketing_segmentation.features import NAMES
from edgekit.domains.marketing_segmentation.separation import separation
from edgekit.shared.domain import Arrays, Examples
from edgekit.shared.report import Cell, Report, Table, Text
from edgekit.shared.report_html import render_html

DASHES = (None, None)


def blobs(each: int = 30, *, seed: int = 0) -> tuple[Examples, np.ndarray]:
    """Return customers of two clear kinds, some figures of whom are unknown, and their segments."""
    rng = np.random.default_rng(seed)
    segment = np.repeat([0, 1], each)
    behaviour = np.exp(rng.normal(3, 0.2, (len(segment), len(NAMES))) + 2 * segment[:, None]).astype(np.float32)
    behaviour[rng.random(behaviour.shape) < 0.05] = np.nan
    return Examples({"behaviour": behaviour}, np.zeros((len(segment), 2), np.float32), {}), segment


def answered(segment: np.ndarray, code: np.ndarray | None = None, *, segments: int = 3) -> Arrays:
    made = {"segments": np.eye(segments, dtype=np.float32)[segment]}
    return made if code is None else made | {"code": code.astype(np.float32)}


def figures(outputs: dict[str, Arrays], test: Examples) -> dict[str, tuple[Cell, ...]]:
    """Return the four figures of each predictor, in the order of the columns."""
    (table,) = separation(outputs, test).blocks
    assert isinstance(table, Table)
    assert table.columns == ("predictor", "silhouette, code", "Davies-Bouldin, code", "silhouette", "Davies-Bouldin")
    return {str(name): tuple(rest) for name, *rest in table.rows}


def plain(test: Examples) -> np.ndarray:
    """Return logarithms, the median where unknown, of mean 0 and deviation 1."""
    values = np.log1p(test.inputs["behaviour"].astype(np.float64))
    values = np.where(np.isnan(values), np.nanmedian(values, axis=0), values)
    return np.asarray((values - values.mean(axis=0)) / values.std(axis=0))


def test_a_code_on_a_line_by_hand() -> None:
    """Pairs 1 apart whose middles are 10 apart: the outer customers are 10.5 from the others, the inner ones 9.5."""
    test, segment = blobs(2)
    found = figures({"one": answered(segment, np.array([[0.0], [1], [10], [11]]))}, test)["one"]
    assert found[0] == pytest.approx((9.5 / 10.5 + 8.5 / 9.5) / 2)
    assert found[1] == pytest.approx((0.5 + 0.5) / 10)


def test_two_clear_blobs_are_far_apart_in_code_and_behaviour() -> None:
    test, segment = blobs()
    code = np.random.default_rng(1).normal(size=(60, 4)) + 9 * segment[:, None]
    found = figures({"one": answered(segment, code)}, test)["one"]
    scores = (silhouette_score, davies_bouldin_score)
    expected = [score(place, segment) for place in (code.astype(np.float32), plain(test)) for score in scores]
    assert found == pytest.approx(expected)
    assert expected[0] > 0.7 and expected[2] > 0.7 and expected[1] < 0.3 and expected[3] < 0.4


def test_segments_at_random_are_not_separate() -> None:
    test, segment = blobs()
    found = figures({"clear": answered(segment), "random": answered(np.arange(60) % 3)}, test)
    silhouette, index = found["random"][2:]
    assert silhouette is not None and index is not None
    assert float(silhouette) < 0.05 and float(index) > 5  # type: ignore[arg-type]
    assert float(found["clear"][2]) > 0.7  # type: ignore[arg-type]


def test_a_predictor_without_code_has_dashes_there_alone() -> None:
    test, segment = blobs()
    found = figures({"code": answered(segment, segment[:, None] + plain(test)), "none": answered(segment)}, test)
    assert found["none"][:2] == DASHES and None not in found["code"]
    assert found["none"][2:] == found["code"][2:]
    report = render_html(Report("A run", Text("Fine."), (separation({"none": answered(segment)}, test),)))
    assert report.count(">–<") == 2 and "nan" not in report


@pytest.mark.parametrize("segment", [np.zeros(20, int), np.arange(20)], ids=["one for all", "one for each"])
def test_segments_that_cannot_be_compared_have_dashes(segment: np.ndarray) -> None:
    test, _ = blobs(10)
    assert figures({"one": answered(segment, plain(test), segments=20)}, test)["one"] == DASHES + DASHES


def test_predictors_without_segments_are_left_out() -> None:
    test, segment = blobs()
    spend: Arrays = {"spend": np.ones((60, 1), np.float32)}
    assert list(figures({"boosting": spend, "first": answered(segment), "second": answered(segment)}, test)) == [
        "first",
        "second",
    ]


def test_a_long_test_is_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 61 customers, 21 are every third; behaviour is scaled by all."""
    monkeypatch.setattr(module, "MOST_CUSTOMERS", 21)
    test, segment = blobs(31)
    test, segment = test.take(slice(0, 61)), segment[:61]
    code = np.random.default_rng(2).normal(size=(61, 2)) + segment[:, None]
    found = figures({"one": answered(segment, code)}, test)["one"]
    kept = np.arange(0, 61, 3)
    scores = (silhouette_score, davies_bouldin_score)
    places = (code[kept].astype(np.float32), plain(test)[kept])
    assert found == pytest.approx([score(place, segment[kept]) for place in places for score in scores])


def test_no_more_customers_are_compared_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counted(place: np.ndarray, segment: np.ndarray) -> Any:
        seen.append(len(place))
        return silhouette_score(place, segment)

    monkeypatch.setattr(module, "silhouette_score", counted)
    test, segment = blobs(1501)
    assert None not in figures({"one": answered(segment, plain(test))}, test)["one"]
    assert seen == [module.MOST_CUSTOMERS] * 2 == [2000, 2000]
