"""Who is whose neighbour: every layout gives the same weights, and what does not fit is told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.domains.transportation.adjacency import Wanted, kernel, read_adjacency
from edgekit.shared.errors import ContractError, SourceError

SENSORS = ("a", "b", "c")
WEIGHTS = np.array([[0, 0.5, 0.25], [0, 0, 1], [2, 0, 0]], np.float32)
LOS = Path(__file__).parents[4] / "shared/data/transportation/los_adj.csv"


def read(folder: Path, *lines: str, sensors: tuple[str, ...] = SENSORS, **given: Any) -> tuple[np.ndarray, list[str]]:
    (folder / "adj.csv").write_text("\n".join(lines), encoding="utf-8")
    return read_adjacency(folder / "adj.csv", Wanted(sensors, **given))


def refused(folder: Path, *lines: str, **given: Any) -> str:
    with pytest.raises(ContractError) as caught:
        read(folder, *lines, **given)
    return str(caught.value)


# === Layouts ===


@pytest.mark.parametrize(
    "lines",
    [
        ("0,.5,.25", "0,0,1", "2,0,0"),
        ("1,.5,.25", "0,9,1", "2,0,1"),
        ("a,b,c", "0,.5,.25", "0,0,1", "2,0,0"),
        ("c,a,b", "0,2,0", ".25,0,.5", "1,0,0"),
        (",b,c,a", "c,0,0,2", "a,.5,.25,0", "b,0,1,0"),
        ("from,to,weight", "a,b,.5", "a,c,.25", "b,c,1", "c,a,2"),
        ("weight,to,from", ".5,b,a", ".25,c,a", "1,c,b", "2,a,c", "3,a,a"),
        ("source_id;target_id;w", "a;b;.5", "a;c;.25", "b;c;1", "c;a;2", "c;a;2"),
    ],
    ids=["plain", "diagonal", "header", "other order", "labels", "edges", "columns turned", "repeated"],
)
def test_every_layout_gives_the_same_weights(tmp_path: Path, lines: tuple[str, ...]) -> None:
    weights = read(tmp_path, *lines)[0]
    np.testing.assert_array_equal(weights, WEIGHTS)
    assert weights.dtype == np.float32


def test_numbers_name_sensors_in_another_order(tmp_path: Path) -> None:
    weights, notes = read(tmp_path, "2,0,1", "0,2,0", ".25,0,.5", "1,0,0", sensors=("0", "1", "2"))
    np.testing.assert_array_equal(weights, WEIGHTS)
    assert any("sorted by their names" in note for note in notes)


def test_a_plain_matrix_of_sensors_called_by_numbers_has_no_header(tmp_path: Path) -> None:
    weights = read(tmp_path, "0,.5,.25", "0,0,1", "2,0,0", sensors=("0", "1", "2"))[0]
    np.testing.assert_array_equal(weights, WEIGHTS)


def test_what_is_assumed_is_said(tmp_path: Path) -> None:
    notes = " ".join(read(tmp_path, "1,.5,0", "0,1,0", "0,0,1")[1])
    for said in ("names no sensors", "1 connections between 3 sensors; 1 of them has none", "to itself are dropped",
                 "weights differ by direction", "adj.csv (sha256"):  # fmt: skip
        assert said in notes


def test_symmetric_weights_do_not_differ_by_direction(tmp_path: Path) -> None:
    assert "direction" not in " ".join(read(tmp_path, "0,1,0", "1,0,0", "0,0,0")[1])


def test_connections_without_a_weight_weigh_one(tmp_path: Path) -> None:
    weights, notes = read(tmp_path, "from,to", "a,b", "c,a")
    assert weights.tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]
    assert "no column holds weights: each of 2 connections weighs 1" in notes


def test_sensors_left_out_on_purpose_are_ignored(tmp_path: Path) -> None:
    lines = ("from,to,weight", "a,b,.5", "b,x,1", "x,a,1")
    assert read(tmp_path, *lines, left_out=("x",))[0].sum() == 0.5
    matrix = ("a,x,b,c", "0,9,.5,.25", "9,9,9,9", "0,9,0,1", "2,9,0,0")
    np.testing.assert_array_equal(read(tmp_path, *matrix, left_out=("x",))[0], WEIGHTS)


@pytest.mark.skipif(not LOS.exists(), reason="no ../shared/data/transportation here")
def test_the_real_matrix_is_read() -> None:
    weights, _ = read_adjacency(LOS, Wanted(tuple(map(str, range(207)))))
    assert weights.shape == (207, 207) and (weights > 0).sum() == 2626 and not np.diagonal(weights).any()


# === Distances ===


def test_the_kernel_is_that_of_its_source() -> None:
    away = np.array([[0.0, 1.0], [2.0, np.inf]])
    spread = np.std([0, 1, 2])
    expected = [[1, np.exp(-1 / spread**2)], [0, 0]]
    np.testing.assert_allclose(kernel(away, cutoff=0.1), expected)
    assert kernel(away, cutoff=0.0)[1, 0] == pytest.approx(np.exp(-4 / spread**2))


def test_equal_distances_have_a_weight() -> None:
    assert kernel(np.full((2, 2), 0.5), cutoff=0.1) == pytest.approx(np.exp(-0.25))


@pytest.mark.parametrize("header", ["from,to,cost", "from,to,Distance", "source,target,km"])
def test_distances_become_weights_and_the_kernel_is_said(tmp_path: Path, header: str) -> None:
    weights, notes = read(tmp_path, header, "a,a,0", "b,b,0", "a,b,1", "c,b,2", "c,c,0")
    spread = np.std([0, 0, 0, 1, 2])
    assert weights[0, 1] == pytest.approx(np.exp(-1 / spread**2)) and (weights > 0).sum() == 1
    assert any("exp(-d²/σ²)" in note for note in notes)


def test_a_matrix_of_distances(tmp_path: Path) -> None:
    lines = ("0,1,inf", "inf,0,1", "1,inf,0")
    weights = read(tmp_path, *lines, kind="distances", cutoff=0.01)[0]
    assert (weights > 0).tolist() == [[False, True, False], [False, False, True], [True, False, False]]


def test_distances_of_a_larger_network_are_left_out_and_said(tmp_path: Path) -> None:
    lines = ("from,to,cost", "a,b,1", "b,c,1.5", "x,a,3", "x,y,9")
    weights, notes = read(tmp_path, *lines, cutoff=0.0)
    assert "distances of 2 sensors without readings are left out" in notes
    assert weights[0, 1] == pytest.approx(np.exp(-1 / 0.25**2))


# === What does not fit ===


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("0,1", "1,0"), "found 2 rows of 2 weights, expected 3 rows of 3"),
        (("0,1,0,0", "1,0,0,0", "0,0,0,1", "0,0,1,0"), "found 4 rows of 4 weights, expected 3 rows of 3"),
        (("1,2,3", "0,0,1", "0,0,0", "0,0,0"), "Its first line was not taken for sensors' names"),
        (("0,1,0", "1,0,-2", "0,-1,0"), "2 entries are negative, the first in row 2, column 3 (-2)"),
        (("0,1,0", "1,,0", "0,1,0"), "1 entry is missing, the first in row 2, column 2 (nan)"),
        (("0,inf,0", "1,0,0", "0,1,0"), "1 entry is infinite, the first in row 1, column 2"),
        (("a,b,c", "0,x,0", "1,0,0", "0,1,0"), "column 'b': row 1: found 'x', expected a weight"),
        (("a,b,d", "0,1,0", "1,0,0", "0,1,0"), "columns name 1 unknown sensors: 'd'"),
        (("a,b,d", "0,1,0", "1,0,0", "0,1,0"), "columns lack 1 sensors of the readings: 'c'"),
        (("a,b,b", "0,1,0", "1,0,0", "0,1,0"), "columns repeat 1 names: 'b'"),
        ((",a,b,c", "a,0,1,0", "b,0,1,0", "b,0,0,0"), "rows lack 1 sensors of the readings: 'c'"),
        (("from,to,weight", "a,b,1", "a,bb,1"), "it names 1 unknown sensors: 'bb'. Did you mean 'b'?"),
        (("from,to,weight", "a,b,-1"), "1 entry is negative"),
        (("from,to,weight", "a,b,"), "1 entry is missing"),
        (("from,to,weight", "a,b,near"), "column 'weight': row 1: found 'near', expected a weight"),
        (("from,to,weight", "a,b,1", "a,b,2"), "named again with another number, the first from 'a' to 'b' (1 and 2)"),
        (("from,to,cost", "a,b,1", "a,x,1"), "it does not name 1 sensors of the readings: 'c'"),
        (("from,to,cost", "a,b,-1"), "1 entry is negative"),
    ],
)
def test_what_is_no_adjacency_is_told(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    assert said in refused(tmp_path, *lines)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    told = refused(tmp_path, "a,d,c", "0,x,-1", "1,,0", "0,1,0", "0,0,0")
    for said in ("unknown sensors: 'd'", "lack 1 sensors", "found 'x'", "negative", "found 4 rows of 3 weights"):
        assert said in told


@pytest.mark.parametrize(
    ("kind", "lines", "said"),
    [
        ("edges", ("0,1,0", "1,0,0", "0,1,0"), "Expected a list with the columns from, to and weight"),
        ("matrix", ("from,to,weight", "a,b,1"), "Expected a square matrix"),
        ("distances", ("from,to", "a,b"), "there is no column of distances"),
    ],
)
def test_a_kind_that_the_file_is_not(tmp_path: Path, kind: str, lines: tuple[str, ...], said: str) -> None:
    assert said in refused(tmp_path, *lines, kind=kind)


def test_a_pickle_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "adj.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(SourceError, match="A pickle can run foreign code"):
        read_adjacency(tmp_path / "adj.pkl", Wanted(SENSORS))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No file at"):
        read_adjacency(tmp_path / "adj.csv", Wanted(SENSORS))
