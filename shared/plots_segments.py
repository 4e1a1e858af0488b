"""Drawings of groups of customers: where they lie, how they move, and whether what was expected of them came true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import ContractError
from .plots import FAINT, INK, MARKERS, PALETTE, shortened, svg_of
from .report import THIN_SPACE, format_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 2000


def segment_map(places: np.ndarray, segment: np.ndarray, names: Sequence[str], *, axes_names: Sequence[str]) -> str:
    """Draw customers as dots, coloured and shaped by segment, with the segment's number at its middle.

    Args:
        places: float (customer, 2); of many customers ``MOST_POINTS`` are drawn, evenly taken.
        segment: int (customer,) codes from 0.
        names: one a segment.
        axes_names: what the two numbers of a place are.
    """
    if places.shape != (len(segment), 2):
        raise ContractError(f"A map needs two numbers for each customer; got {places.shape} for {len(segment)}.")
    known = np.isfinite(places).all(axis=1)
    places, segment = places[known].astype(np.float64), segment[known]
    shown = np.unique(np.linspace(0, len(places) - 1, min(len(places), MOST_POINTS)).astype(int))

    def draw(axes: Axes) -> None:
        for code, name in enumerate(names):
            x, y = places[shown][segment[shown] == code].T
            label = _numbered(code, f"{shortened(name)} ({format_value(int((segment == code).sum()))})")
            axes.plot(x, y, label=label, **_dot(code))
        for code in np.unique(segment).tolist():
            middle = np.median(places[segment == code], axis=0)
            box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": _colour(code), "alpha": 0.9}
            axes.annotate(str(code + 1), middle, ha="center", va="center", fontweight="bold", bbox=box)
        axes.set(xlabel=shortened(axes_names[0]), ylabel=shortened(axes_names[1]))
        figure: Any = axes.figure
        if names:
            figure.legend(loc="outside lower left", ncols=2, markerscale=1.8, handletextpad=0.2, fontsize=8)

    return svg_of(draw, height=3.7 + 0.19 * ((len(names) + 1) // 2))


def migration(shares: np.ndarray, names: Sequence[str], *, xlabel: str, ylabel: str) -> str:
    """Draw which share of each row's customers is found in which column, the darker the more.

    Args:
        shares: float (from, to) in 0..1, each row sums to one; NaN for a row without customers.
        names: one a column, and as many or more for the rows.
        xlabel: the later time.
        ylabel: the earlier time.
    """
    rows, columns = shares.shape
    if rows > len(names):
        raise ContractError(f"A migration needs a name for each of {rows} rows; got {len(names)}.")

    def draw(axes: Axes) -> None:
        for (row, column), share in np.ndenumerate(shares):
            known = bool(np.isfinite(share))
            colour = _shade(float(share)) if known else "#ffffff"
            axes.fill_between([column - 0.5, column + 0.5], row - 0.5, row + 0.5, color=colour, linewidth=0)
            text = f"{100 * share:.0f}{THIN_SPACE}%" if known else "–"
            ink = "white" if known and share > 0.55 else INK
            weight = "bold" if row == column else "normal"
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=8, fontweight=weight)
        axes.set_yticks(range(rows), [_numbered(row, shortened(name)) for row, name in enumerate(names[:rows])])
        axes.set_xticks(range(columns), [str(column + 1) for column in range(columns)])
        axes.set(xlabel=shortened(xlabel), ylabel=shortened(ylabel), xlim=(-0.5, max(columns, 1) - 0.5))
        axes.set_ylim(max(rows, 1) - 0.5, -0.5)
        axes.grid(visible=False)
        axes.tick_params(length=0)

    return svg_of(draw, height=0.95 + 0.34 * max(rows, 1))


def calibration(panels: Mapping[str, Sequence[np.ndarray]]) -> str:
    """Draw observed against expected means of groups of customers, side by side for each figure.

    Both axes are drawn by square roots, so that small groups stay apart beside large ones.

    Args:
        panels: figure to (expected, observed, low, high), each float (group,), none below 0; low and high end the
            interval of what was observed.
    """

    def draw(*cells: Axes) -> None:
        for number, (axes, (name, values)) in enumerate(zip(cells, panels.items(), strict=False)):
            sides = [np.asarray(side, dtype=float) for side in values]
            expected, observed, low, high = (side[np.isfinite(sides).all(axis=0)] for side in sides)
            edge = 1.08 * max(float(np.max([expected.max(initial=0), high.max(initial=0)])), 1e-6)
            line = edge * np.linspace(0, 1, 50)
            axes.plot(line, line, color=FAINT, linewidth=1, linestyle=(0, (1, 2)))
            reach = [np.maximum(observed - low, 0), np.maximum(high - observed, 0)]
            style: dict[str, Any] = {"color": PALETTE[number % len(PALETTE)], "marker": MARKERS[number % 7]}
            axes.errorbar(expected, observed, yerr=reach, linestyle="", markersize=4.5, linewidth=1.1, **style)
            axes.set_xscale("function", functions=(_root, np.square))
            axes.set_yscale("function", functions=(_root, np.square))
            ticks = _round_ticks(edge)
            axes.set_xticks(ticks, [f"{tick:,.10g}" for tick in ticks])
            axes.set_yticks(ticks, [f"{tick:,.10g}" for tick in ticks])
            axes.set(xlim=(0, edge), ylim=(0, edge), xlabel="expected", ylabel="observed" if number == 0 else "")
            axes.set_title(shortened(name), loc="left", fontsize=9)
            axes.set_box_aspect(1)

    return svg_of(draw, height=2.6, panels=(1.0,) * max(len(panels), 1))


def _root(values: Any) -> np.ndarray:
    return np.asarray(np.sqrt(np.maximum(values, 0)))


def _round_ticks(edge: float) -> list[float]:
    """Return nothing, the largest round number up to ``edge``, its half and its tenth."""
    power = 10.0 ** np.floor(np.log10(edge))
    top = max(step for step in (1, 2, 5) if step * power <= edge * (1 + 1e-9)) * power
    return [0.0, float(top / 10), float(top / 2), float(top)]


def _dot(code: int) -> dict[str, Any]:
    """Return the look of a segment's dots; colours and shapes together come back after 49 segments only."""
    marker = MARKERS[(code + code // len(PALETTE)) % len(MARKERS)]
    style = {"linestyle": "", "marker": marker, "markersize": 3.2, "markeredgewidth": 0, "alpha": 0.6}
    return {**style, "color": _colour(code)}


def _colour(code: int) -> str:
    return PALETTE[code % len(PALETTE)]


def _numbered(code: int, name: str) -> str:
    return f"{code + 1}  {name}"


def _shade(share: float) -> str:
    """Return a colour between white and the first of the palette."""
    full = (int(PALETTE[0][place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (part - 255) * min(max(share, 0), 1)):02x}" for part in full)
