from __future__ import annotations

import base64
import io
import subprocess
import sys
from collections.abc import Callable
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import Image

from edgekit.shared import plots
from edgekit.shared.errors import ContractError
from edgekit.shared.estimates import Estimate
from edgekit.shared.report_html import drawing

HOSTILE = "<script>&\"' $x^$ --> 你 \x1b"
SHOWN = HOSTILE.replace("\x1b", "\ufffd")
MONDAY = 1_704_067_200
ESTIMATE = Estimate(0.7, 0.6, 0.8, 12)


def _precision_recall(name: str, points: int = 50) -> str:
    recall = np.linspace(0, 1, points)
    return plots.precision_recall({name: (recall, 1 - recall**2), "b": (recall, 1 - recall)}, 0.01)


def _reliability(name: str, points: int = 50) -> str:
    predicted = np.array([0.1, np.nan, 0.9])
    return plots.reliability((predicted, predicted**2), np.array([5, 0, 2]))


def _ladder(name: str, points: int = 50) -> str:
    rungs = {name: (41216, ESTIMATE), "float32": (118432, Estimate(0.0, 0.0, 0.0, 12))}
    return plots.ladder(rungs, max_drop=0.005, chosen="float32")


def _bars(name: str, points: int = 50) -> str:
    return plots.bars({name: ESTIMATE, "b": ESTIMATE}, xlabel=name, highlight=name)


def _curve(name: str, points: int = 50) -> str:
    x = np.linspace(0, 1, points)
    y = np.where(x > 0.5, np.sin(40 * x), np.nan)
    return plots.curve(x, {name: y, "b": x}, xlabel=name, ylabel=name, mark=0.3)


def _histogram(name: str, points: int = 50) -> str:
    scores = np.random.default_rng(0).random(points)
    return plots.score_histogram(scores, (scores > 0.9).astype(int), threshold=0.5)


GREY = np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)
COLOUR = np.stack([GREY, GREY.T, 255 - GREY], axis=2)


def _pictures(name: str, points: int = 50) -> str:
    return plots.pictures([(name, (GREY, COLOUR)), ("b", (COLOUR, GREY))], columns=(name, "seen"))


def _lines(name: str, points: int = 50) -> str:
    x = np.linspace(0, 1, points)
    y = np.where(x > 0.5, np.sin(40 * x), np.nan)
    return plots.lines(x, {name: y, "b": x}, xlabel=name, ylabel=name, bands={name: (y - 0.1, y + 0.1)}, aim=0.9)


def _forecast(name: str, points: int = 50) -> str:
    course = np.where(np.arange(points) % 7 == 0, np.nan, 60 + np.sin(np.arange(points)))
    panel = (course, course + 1, course - 5, course + 5)
    return plots.forecast(MONDAY + 300 * np.arange(points), {name: panel, "b": panel}, ylabel=name)


DRAWINGS = [_precision_recall, _reliability, _ladder, _bars, _curve, _histogram, _pictures, _lines, _forecast]
NAMED = [_precision_recall, _ladder, _bars, _curve, _pictures, _lines, _forecast]
Drawing = Callable[..., str]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter() if element.text]


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_drawing_is_accepted_by_the_page(draw: Drawing) -> None:
    assert drawing(draw("plain"), "f1-").startswith("<svg ")


@pytest.mark.parametrize("draw", DRAWINGS)
def test_the_same_input_gives_the_same_bytes(draw: Drawing) -> None:
    assert draw("plain") == draw("plain")


@pytest.mark.parametrize("draw", DRAWINGS)
def test_the_users_settings_change_nothing_and_are_left_alone(draw: Drawing) -> None:
    expected = draw("plain")
    with matplotlib.rc_context({"font.size": 30, "axes.grid": False, "svg.fonttype": "path"}):
        assert draw("plain") == expected
        assert matplotlib.rcParams["font.size"] == 30


@pytest.mark.parametrize("draw", NAMED)
def test_a_hostile_name_stays_text(draw: Drawing) -> None:
    svg = draw(HOSTILE)
    assert any(SHOWN in text for text in texts(svg))
    assert "<script" not in svg
    assert "<!" not in svg


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_drawing_holds_no_date_and_no_address(draw: Drawing) -> None:
    svg = draw("plain")
    assert "metadata" not in svg
    spaces = ("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink")
    assert svg.count("http") == sum(svg.count(space) for space in spaces)


@pytest.mark.parametrize("draw", [_precision_recall, _curve, _histogram, _lines])
def test_a_million_points_stay_small(draw: Drawing) -> None:
    assert len(draw("plain", 1_000_000)) < 60_000


def test_two_processes_give_the_same_bytes() -> None:
    code = (
        "import hashlib, numpy as np; from edgekit.shared import plots; x = np.arange(9.0);"
        "svg = plots.curve(x, {'a': x}, xlabel='x', ylabel='y');"
        "print(hashlib.sha256(svg.encode()).hexdigest())"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert len(runs[0].stdout.strip()) == 64
    assert runs[0].stdout == runs[1].stdout


def test_thin_keeps_ends_and_steep_parts() -> None:
    x = np.arange(100_000.0)
    y = np.where(x < 50_000, 0.0, 1.0)
    thin_x, thin_y = plots.thin(x, y)
    assert len(thin_x) <= plots.MAX_POINTS
    assert (thin_x[0], thin_x[-1]) == (0.0, 99_999.0)
    step = int(np.flatnonzero(np.diff(thin_y))[0])
    assert thin_x[step + 1] == 50_000


def test_thin_leaves_a_short_line_alone() -> None:
    x, y = plots.thin(np.arange(3), np.array([1, np.nan, 2]))
    np.testing.assert_array_equal(x, [0, 1, 2])
    np.testing.assert_array_equal(y, [1, np.nan, 2])


def test_thin_copes_with_a_line_that_does_not_move() -> None:
    x, _ = plots.thin(np.zeros(1000), np.zeros(1000))
    assert 1 <= len(x) <= plots.MAX_POINTS


def test_a_line_needs_as_many_x_as_y() -> None:
    with pytest.raises(ContractError, match=r"found \(3,\) and \(2,\)"):
        plots.curve(np.arange(3), {"a": np.arange(2)}, xlabel="x", ylabel="y")


def test_the_ladder_marks_what_ships_and_the_budget() -> None:
    shown = texts(_ladder("int8"))
    assert "float32 ✓ ships" in shown
    assert "int8" in shown
    assert "budget 0.005" in shown
    assert "41.2\u202fkB" in shown


def test_bars_write_the_numbers_beside_the_dots() -> None:
    assert texts(_bars("a")).count("0.700 [0.600, 0.800]") == 2


def pixels(svg: str) -> list[np.ndarray]:
    """Return the pictures in a drawing, from left to right and top to bottom, uint8 (height, width, 3)."""
    elements = [element for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("image")]
    links = [value for element in elements for name, value in element.attrib.items() if name.endswith("href")]
    contents = [base64.b64decode(link.partition(",")[2]) for link in links]
    return [np.asarray(Image.open(io.BytesIO(content)).convert("RGB")) for content in contents]


def test_pictures_stand_in_rows_with_titles_and_texts() -> None:
    svg = plots.pictures([("first\nline", (GREY, COLOUR)), ("second", (COLOUR, GREY))], columns=("image", "evidence"))
    assert [text for text in texts(svg) if text.strip()] == ["first", "line", "image", "evidence", "second"]
    found = pixels(svg)
    assert [bool((picture[..., 0] == picture[..., 1]).all()) for picture in found] == [True, False, False, True]


def test_a_picture_keeps_its_greys() -> None:
    dim = np.full((4, 4), 90, np.uint8)
    dim[0, 0] = 100
    (found,) = pixels(plots.pictures([("a", (dim,))], columns=("b",)))
    assert np.unique(found) == pytest.approx([90, 100], abs=1)  # neither stretched from black to white nor mixed


def test_a_picture_drawn_twice_puts_no_id_on_the_page_twice() -> None:
    svg = drawing(plots.pictures([("a", (GREY, GREY)), ("b", (GREY, GREY))], columns=("c", "d")), "f1-")
    ids = [element.attrib["id"] for element in ElementTree.fromstring(svg).iter() if "id" in element.attrib]
    assert svg.count("<image") == 4 and len(ids) == len(set(ids))


def test_near_line_ends_are_named_apart() -> None:
    x = np.arange(5.0)
    svg = plots.curve(x, {"first": x, "second": x + 1e-6}, xlabel="x", ylabel="y")
    heights = [
        float((element.get("transform") or "0 0)").split()[-1].rstrip(")").split(",")[-1])
        if element.get("transform")
        else float(element.get("y") or "nan")
        for element in ElementTree.fromstring(svg).iter()
        if element.text in ("first", "second")
    ]
    assert abs(heights[0] - heights[1]) > 8


def test_lines_are_told_apart_without_colours() -> None:
    x = np.arange(4.0)
    svg = plots.lines(x, {name: x * number for number, name in enumerate("abcdefg")}, xlabel="x", ylabel="y")
    shapes = {style.get("d") for style in ElementTree.fromstring(svg).iter() if style.tag.endswith("path")}
    marks = {element.get("href") or element.get("{http://www.w3.org/1999/xlink}href") for element in uses(svg)}
    assert set("abcdefg") <= set(texts(svg))
    assert len(shapes) > 7 and len(marks) >= 7


def uses(svg: str) -> list[ElementTree.Element]:
    return [element for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("}use")]


@pytest.mark.parametrize(
    ("x", "shown"),
    [
        (np.arange(5.0, 61, 5), [str(minutes) for minutes in range(5, 61, 5)]),
        (np.arange(24.0), [str(hour) for hour in range(0, 24, 2)]),
        (np.array([0.0, 10, 30, 50]), ["0", "10", "30", "50"]),
        (np.array([60.0]), ["60"]),
    ],
)
def test_few_points_are_named_on_the_axis(x: np.ndarray, shown: list[str]) -> None:
    svg = plots.lines(x, {"a": np.zeros(len(x))}, xlabel="x", ylabel="y")
    assert [text for text in texts(svg) if text.isdigit()][: len(shown)] == shown


def test_what_lines_should_reach_is_named() -> None:
    x = np.arange(4.0)
    assert "aim: 90" in texts(plots.lines(x, {"a": 88 + x}, xlabel="x", ylabel="y", aim=90))
    assert not any("aim" in text for text in texts(plots.lines(x, {"a": 88 + x}, xlabel="x", ylabel="y")))


def test_a_band_is_drawn_for_its_own_line() -> None:
    x = np.arange(4.0)
    series = {"a": x, "b": x + 1}
    plain, banded = (plots.lines(x, series, xlabel="x", ylabel="y", bands=bands) for bands in (None, {"b": (x, x + 2)}))
    assert banded.count("fill-opacity: 0.16") == 1 and "fill-opacity: 0.16" not in plain
    found = next(line for line in banded.splitlines() if "fill-opacity: 0.16" in line)
    assert plots.PALETTE[1].lower() in found


def test_a_forecast_tells_the_time_and_at_midnight_the_date() -> None:
    course = np.ones(289)
    svg = plots.forecast(MONDAY + 300 * np.arange(289), {"one": [course] * 4, "two": [course] * 4}, ylabel="mph")
    shown = texts(svg)
    assert shown.count("2024-01-01") == shown.count("2024-01-02") == shown.count("12:00") == 1  # under the last panel
    assert {"one", "two", "band", "reading", "forecast"} <= set(shown) and shown.count("mph") == 2


def test_a_long_forecast_stays_small() -> None:
    assert len(_forecast("plain", 100_000)) < 200_000


def test_a_single_reading_shows() -> None:
    one = np.array([60.0])
    svg = plots.forecast(np.array([MONDAY + 9 * 3600]), {"a": [one] * 4}, ylabel="y")
    assert len(uses(svg)) > 2 and "09:00" in texts(svg)  # not an axis of years


@pytest.mark.parametrize("target", [np.zeros(9, int), np.ones(9, int)])
def test_a_histogram_of_one_class_is_drawn(target: np.ndarray) -> None:
    svg = plots.score_histogram(np.linspace(0, 1, 9), target)
    assert {f"negative ({9 - target.sum()})", f"positive ({target.sum()})"} <= set(texts(svg))


@pytest.mark.parametrize("draw", NAMED)
def test_a_long_name_leaves_room_for_the_drawing(draw: Drawing) -> None:
    assert any("long name lo" in text and text.endswith("…") for text in texts(draw("long name " * 30)))


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.ladder({}, max_drop=0.005, chosen=None),
        lambda: plots.bars({}, xlabel="x"),
        lambda: plots.curve(np.array([]), {"a": np.array([])}, xlabel="x", ylabel="y"),
        lambda: plots.curve(np.arange(2), {}, xlabel="x", ylabel="y"),
        lambda: plots.curve(np.arange(2), {"a": np.full(2, np.nan)}, xlabel="x", ylabel="y"),
        lambda: plots.reliability((np.full(3, np.nan), np.full(3, np.nan)), np.zeros(3, int)),
        lambda: plots.precision_recall({}, 0.5),
        lambda: plots.score_histogram(np.array([]), np.array([])),
        lambda: plots.pictures([], columns=("a", "b")),
        lambda: plots.lines(np.array([]), {"a": np.array([])}, xlabel="x", ylabel="y", aim=1.0),
        lambda: plots.lines(np.arange(2.0), {}, xlabel="x", ylabel="y"),
        lambda: plots.lines(np.arange(2.0), {"a": np.full(2, np.nan)}, xlabel="x", ylabel="y"),
        lambda: plots.forecast(np.array([], np.int64), {"a": [np.array([])] * 4}, ylabel="y"),
        lambda: plots.forecast(MONDAY + 300 * np.arange(9), {}, ylabel="y"),
        lambda: plots.forecast(MONDAY + 300 * np.arange(9), {"a": [np.full(9, np.nan)] * 4}, ylabel="y"),
    ],
)
def test_nothing_to_draw_gives_an_empty_drawing(draw: Callable[[], str]) -> None:
    assert drawing(draw(), "f1-").startswith("<svg ")
