"""Drawings of segments: safe for the page, the same each time, and with the numbers that were given."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from edgekit.shared import plots_segments
from edgekit.shared.errors import ContractError
from edgekit.shared.report_html import drawing

HOSTILE = "<script>&\"' $x^$ --> 你 \x1b"
SHOWN = HOSTILE.replace("\x1b", "\ufffd")
Drawing = Callable[..., str]


def _map(name: str, points: int = 60) -> str:
    rng = np.random.default_rng(0)
    places, segment = rng.normal(size=(points, 2)), np.arange(points) % 3
    return plots_segments.segment_map(places, segment, (name, "b", "c", "empty"), axes_names=(name, "second"))


def _migration(name: str) -> str:
    shares = np.array([[0.75, 0.25], [np.nan, np.nan]])
    return plots_segments.migration(shares, (name, "b"), xlabel=name, ylabel="before")


def _calibration(name: str) -> str:
    expected, observed = np.array([0.1, 1, 5, np.nan]), np.array([0.0, 1.5, 4, 1])
    return plots_segments.calibration(
        {name: (expected, observed, observed * 0.8, observed * 1.3), "spend": [expected] * 4}
    )


DRAWINGS = [_map, _migration, _calibration]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter() if element.text]


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_drawing_is_accepted_by_the_page(draw: Drawing) -> None:
    assert drawing(draw("plain"), "f1-").startswith("<svg ")


@pytest.mark.parametrize("draw", DRAWINGS)
def test_the_same_input_gives_the_same_bytes_whatever_the_users_settings(draw: Drawing) -> None:
    expected = draw("plain")
    with matplotlib.rc_context({"font.size": 30, "axes.grid": False}):
        assert draw("plain") == expected


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_hostile_name_stays_text(draw: Drawing) -> None:
    svg = draw(HOSTILE)
    assert any(SHOWN in text for text in texts(svg))
    assert "<script" not in svg and "<!" not in svg


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_long_name_leaves_room_for_the_drawing(draw: Drawing) -> None:
    assert any("long name lo" in text and "…" in text for text in texts(draw("long name " * 30)))


def test_the_map_names_and_counts_every_segment() -> None:
    shown = texts(_map("a"))
    assert {"1  a (20)", "2  b (20)", "3  c (20)", "4  empty (0)", "1", "2", "3"} <= set(shown)


def test_a_large_map_draws_some_customers_and_counts_all() -> None:
    svg = _map("a", 100_000)
    assert "1  a (33,334)" in texts(svg) and len(svg) < 400_000


def test_a_customer_without_a_place_is_left_out() -> None:
    places = np.array([[0.0, 1], [np.nan, 1], [2, 3]])
    svg = plots_segments.segment_map(places, np.array([0, 0, 1]), ("a", "b"), axes_names=("x", "y"))
    assert "1  a (1)" in texts(svg)


def test_twenty_segments_look_different() -> None:
    looks = {(one["color"], one["marker"]) for one in map(plots_segments._dot, range(20))}
    assert len(looks) == 20


def test_migration_writes_shares_and_a_dash_where_nobody_was() -> None:
    shown = texts(_migration("a"))
    assert {"75\u202f%", "25\u202f%", "1  a", "2  b"} <= set(shown) and shown.count("–") == 2


def test_calibration_shows_round_numbers() -> None:
    shown = texts(_calibration("orders"))
    assert {"0.5", "2.5", "5", "orders", "spend"} <= set(shown)


@pytest.mark.parametrize(
    ("edge", "ticks"),
    [(0.7, [0, 0.05, 0.25, 0.5]), (1.0, [0, 0.1, 0.5, 1]), (3456, [0, 200, 1000, 2000]), (1e6, [0, 1e5, 5e5, 1e6])],
)
def test_ticks_are_round(edge: float, ticks: list[float]) -> None:
    assert plots_segments._round_ticks(edge) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (
            lambda: plots_segments.segment_map(np.zeros((3, 2)), np.zeros(2, int), ("a",), axes_names=("x", "y")),
            "for 2",
        ),
        (lambda: plots_segments.migration(np.zeros((3, 3)), ("a",), xlabel="x", ylabel="y"), "3 rows; got 1"),
    ],
)
def test_what_does_not_belong_together_is_refused(draw: Callable[[], str], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        draw()


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots_segments.segment_map(np.zeros((0, 2)), np.zeros(0, int), (), axes_names=("x", "y")),
        lambda: plots_segments.segment_map(np.zeros((1, 2)), np.zeros(1, int), ("a",), axes_names=("x", "y")),
        lambda: plots_segments.migration(np.zeros((0, 0)), (), xlabel="x", ylabel="y"),
        lambda: plots_segments.migration(np.ones((1, 1)), ("a",), xlabel="x", ylabel="y"),
        lambda: plots_segments.calibration({}),
        lambda: plots_segments.calibration({"a": [np.zeros(0)] * 4}),
        lambda: plots_segments.calibration({"a": [np.zeros(3)] * 4}),
    ],
)
def test_little_or_nothing_to_draw_gives_a_drawing(draw: Callable[[], str]) -> None:
    assert drawing(draw(), "f1-").startswith("<svg ")
