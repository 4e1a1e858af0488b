"""Every drawing of a report, each returned as an SVG string.

One look for all: the same input gives the same bytes, whatever the machine's matplotlib settings
are. Text stays text, so a page can be searched and read aloud, and any script's letters show.
Colours are Okabe and Ito's, which colour-blind readers can tell apart; shapes repeat what they say.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .errors import ContractError, require
from .estimates import Estimate
from .report import format_value, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#5A5A5A")
INK, FAINT, GRID = "#26292e", "#6b7178", "#e3e5e8"
BAD = "#b3400a"
MAX_POINTS = 400
MAX_NAME = 40
MOST_MARKS = 40  # points of a line up to which each is marked
_DASHES = ("-", (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.5, 1.2, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Of dots, by number of the series."""
_STYLE: dict[str, Any] = {
    "svg.hashsalt": "edgekit",
    "svg.fonttype": "none",
    "text.parse_math": False,  # a column called $x^$ is a name, not a formula
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.7,
    "legend.frameon": False,
}


def precision_recall(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], base_rate: float) -> str:
    """Draw precision against recall, one line per predictor.

    Args:
        curves: name to (recall, precision), each float (threshold,) in 0..1; the first is drawn
            strongest.
        base_rate: share of positives, the precision of guessing; drawn as a dotted line.
    """

    def draw(axes: Axes) -> None:
        for number, (name, (recall, precision)) in enumerate(curves.items()):
            axes.plot(*thin(recall, precision), label=shortened(name), **_line(number))
        axes.axhline(base_rate, color=FAINT, linewidth=1, linestyle=(0, (1, 2)))
        rate = format_value(float(base_rate), "percent")
        _note(axes, (0.01, base_rate), f"guessing: {rate}")
        axes.set(xlim=(0, 1.005), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        if len(curves) > 1:
            _legend(axes)

    return svg_of(draw, height=3.3)


def reliability(points: tuple[np.ndarray, np.ndarray], counts: np.ndarray) -> str:
    """Draw the observed rate against the predicted one, per bin of score.

    Args:
        points: (predicted, observed), each float (bin,) in 0..1; NaN where a bin is empty.
        counts: int (bin,), examples per bin; the area of a dot grows with it.
    """

    def draw(axes: Axes) -> None:
        predicted, observed = (np.asarray(side, dtype=float) for side in points)
        filled = np.isfinite(predicted) & np.isfinite(observed)
        share = np.sqrt(np.asarray(counts, dtype=float) / max(float(np.max(counts)), 1.0))
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (1, 2)))
        axes.plot(predicted[filled], observed[filled], color=PALETTE[0], linewidth=1)
        sizes = (14 + 90 * share)[filled]
        axes.scatter(predicted[filled], observed[filled], s=sizes, color=PALETTE[0], alpha=0.75)
        largest = float(np.max([predicted[filled].max(initial=0), observed[filled].max(initial=0)]))
        edge = min(1.02, max(largest * 1.08, 0.05))
        axes.set(xlim=(0, edge), ylim=(0, edge), xlabel="predicted", ylabel="observed")
        axes.set_box_aspect(1)
        _note(axes, (0.6 * edge, 0.6 * edge), "calibrated", anchor="below")

    return svg_of(draw, height=3.3)


def ladder(rungs: Mapping[str, tuple[int, Estimate]], *, max_drop: float, chosen: str | None) -> str:
    """Draw the export ladder: file size against the drop of the metric, with its interval.

    Args:
        rungs: recipe to (file size in bytes, drop against Keras; positive is worse).
        max_drop: the budget, in the metric's unit; drawn as a line.
        chosen: the recipe that ships, or None.
    """

    def draw(sizes: Axes, drops: Axes) -> None:
        for row, (name, (size, drop)) in enumerate(rungs.items()):
            colour = PALETTE[0] if drop.high <= max_drop else BAD
            weight = "bold" if name == chosen else "normal"
            sizes.barh(row, size / 1000, height=0.5, color=colour, alpha=1 if name == chosen else 0.4)
            sizes.annotate(
                format_value(size, "bytes"),
                (size / 1000, row),
                (4, 0),
                va="center",
                textcoords="offset points",
                fontweight=weight,
            )
            _interval(drops, row, drop, colour=colour, filled=drop.high <= max_drop)
        names = [f"{shortened(name)}{' ✓ ships' if name == chosen else ''}" for name in rungs]
        sizes.set_yticks(range(len(rungs)), names)
        drops.set_yticks([])
        drops.axvline(max_drop, color=BAD, linewidth=1.2, linestyle=(0, (4, 2)))
        _note(drops, (max_drop, 1.0), f"budget {format_value(max_drop)}", colour=BAD, anchor="top")
        sizes.set(xlabel="file size, kB", ylim=(len(rungs) - 0.5, -0.9))
        drops.set(xlabel="drop against Keras (lower is better)", ylim=sizes.get_ylim())
        sizes.grid(visible=False, axis="y")
        sizes.margins(x=0.3)
        drops.margins(x=0.12)

    return svg_of(draw, height=1.0 + 0.32 * len(rungs), panels=(1.0, 1.5))


def bars(values: Mapping[str, Estimate], *, xlabel: str, highlight: str | None = None) -> str:
    """Draw one estimate per predictor: a dot with its interval, and the numbers beside it.

    Args:
        values: name to estimate, from top to bottom.
        xlabel: the metric.
        highlight: the name to set off, or None.
    """

    def draw(axes: Axes) -> None:
        for row, (name, estimate) in enumerate(values.items()):
            colour = PALETTE[0] if name == highlight or highlight is None else FAINT
            _interval(axes, row, estimate, colour=colour)
            axes.annotate(
                format_value(estimate),
                (1.02, row),
                xycoords=("axes fraction", "data"),
                va="center",
                color=colour if name == highlight else INK,
            )
        axes.set_yticks(range(len(values)), [shortened(name) for name in values])
        axes.set(ylim=(len(values) - 0.4, -0.6), xlabel=shortened(xlabel))
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.12)

    return svg_of(draw, height=0.85 + 0.3 * len(values))


def curve(
    x: np.ndarray,
    series: Mapping[str, np.ndarray],
    *,
    xlabel: str,
    ylabel: str,
    mark: float | None = None,
) -> str:
    """Draw lines over a shared axis, each named at its right end.

    Args:
        x: float (point,), increasing: epoch, threshold, …
        series: name to float (point,), aligned with ``x``; NaN leaves a gap.
        xlabel: what ``x`` is, with its unit.
        ylabel: what the lines are, with their unit.
        mark: a value of ``x`` to point out (the chosen epoch or threshold), or None.
    """

    def draw(axes: Axes) -> None:
        ends: list[tuple[float, str, str]] = []
        for number, (name, y) in enumerate(series.items()):
            line = axes.plot(*thin(x, y), **_line(number))[0]
            known = np.asarray(y, dtype=float)[np.isfinite(np.asarray(y, dtype=float))]
            if len(known):
                ends.append((float(known[-1]), shortened(name), str(line.get_color())))
        if mark is not None:
            axes.axvline(mark, color=FAINT, linewidth=1, linestyle=(0, (4, 2)))
            _note(axes, (mark, 1.0), f"chosen: {format_value(mark)}", anchor="top")
        axes.set(xlabel=shortened(xlabel), ylabel=shortened(ylabel))
        axes.margins(x=0.01)
        if len(ends) > 1:
            _name_ends(axes, ends)

    return svg_of(draw)


def pictures(rows: Sequence[tuple[str, Sequence[np.ndarray]]], *, columns: Sequence[str]) -> str:
    """Draw a grid of images, a title over each column and a text beside each row.

    Args:
        rows: text and images of each row; an image is uint8 (height, width) grey or (height, width, 3).
        columns: one title a column.
    """

    def draw(*cells: Axes) -> None:
        for number, axes in enumerate(cells[: len(rows) * len(columns)]):
            row, column = divmod(number, len(columns))
            image = rows[row][1][column]
            axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.grid(visible=False)
            for spine in axes.spines.values():
                spine.set_visible(False)
            if row == 0:
                axes.set_title(shortened(columns[column]), fontsize=9)
            if column == 0:
                axes.set_ylabel(_lines(rows[row][0]), rotation=0, ha="right", va="center", fontsize=8)

    height = 1.55 * max(len(rows), 1) + 0.3
    return svg_of(draw, height=height, panels=(1.0,) * len(columns), rows=max(len(rows), 1))


def lines(
    x: np.ndarray,
    series: Mapping[str, np.ndarray],
    *,
    xlabel: str,
    ylabel: str,
    bands: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    aim: float | None = None,
) -> str:
    """Draw lines through few points, each with its own mark, some within a shaded band.

    Args:
        x: float (point,), increasing: horizon, hour, …
        series: name to float (point,); NaN leaves a gap. The first is drawn strongest.
        xlabel: what ``x`` is, with its unit.
        ylabel: what the lines are, with their unit.
        bands: name of a line to (low, high), each float (point,).
        aim: a value that the lines should reach, drawn dotted, or None.
    """

    def draw(axes: Axes) -> None:
        keep = slice(None, None, 1 + len(x) // MAX_POINTS)
        for number, (name, y) in enumerate(series.items()):
            marker = MARKERS[number % len(MARKERS)] if len(x) <= MOST_MARKS else ""
            style = {**_line(number), "marker": marker, "markersize": 4.5}
            axes.plot(x[keep], y[keep], label=shortened(name), **style)
            if bands and name in bands:
                low, high = (side[keep] for side in bands[name])
                axes.fill_between(x[keep], low, high, color=style["color"], alpha=0.16, linewidth=0)
        if aim is not None:
            axes.axhline(aim, color=FAINT, linewidth=1.2, linestyle=(0, (1, 2)), label=f"aim: {aim:g}")
        if len(x) <= MOST_MARKS:
            axes.set_xticks(x[:: 1 + len(x) // 14])
        axes.set(xlabel=shortened(xlabel), ylabel=shortened(ylabel))
        axes.margins(x=0.02)
        if len(series) + (aim is not None) > 1:
            _legend(axes)

    return svg_of(draw)


def forecast(time: np.ndarray, panels: Mapping[str, Sequence[np.ndarray]], *, ylabel: str) -> str:
    """Draw readings and their forecasts over time, one panel under the other.

    Args:
        time: int64 (step,) seconds since 1970 on the clock that is shown, evenly spaced.
        panels: title to (reading, median, low, high), each float (step,); NaN leaves a gap.
        ylabel: what is read, with its unit.
    """

    def draw(*cells: Axes) -> None:
        keep = slice(None, None, 1 + len(time) // MAX_POINTS)
        when = np.asarray(time)[keep].astype("datetime64[s]")
        marks: dict[str, Any] = {"marker": "o", "markersize": 3} if len(time) <= MOST_MARKS else {}
        for number, (axes, (title, values)) in enumerate(zip(cells, panels.items(), strict=False)):
            reading, median, low, high = (np.asarray(side, dtype=float)[keep] for side in values)
            axes.fill_between(when, low, high, color=PALETTE[0], alpha=0.18, linewidth=0, label="band")
            axes.plot(when, reading, color=INK, linewidth=1.1, label="reading", **marks)
            axes.plot(when, median, color=PALETTE[0], linestyle=_DASHES[1], label="forecast", **marks)
            axes.set_title(shortened(title), loc="left", fontsize=9)
            axes.set(ylabel=shortened(ylabel))
            axes.xaxis.set_major_locator(require("matplotlib.dates", extra="train").AutoDateLocator(maxticks=9))
            axes.xaxis.set_major_formatter(_clock)
            axes.tick_params(labelbottom=number == len(panels) - 1)
            axes.margins(x=0.01)
            if len(when) == 1:
                axes.set_xlim(when[0] - np.timedelta64(1, "h"), when[0] + np.timedelta64(1, "h"))
            if number == 0:
                axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.1)

    return svg_of(draw, height=0.6 + 1.7 * max(len(panels), 1), rows=max(len(panels), 1))


def score_histogram(scores: np.ndarray, target: np.ndarray, *, threshold: float | None = None, bins: int = 40) -> str:
    """Draw how many examples of each class get which score, counts on a log scale.

    Args:
        scores: float (example,) in 0..1.
        target: (example,), 0 or 1.
        threshold: the decision threshold to point out, or None.
        bins: number of bins over 0..1.
    """

    def draw(axes: Axes) -> None:
        edges = np.linspace(0, 1, bins + 1)
        for number, label in enumerate(("negative", "positive")):
            chosen = np.asarray(scores)[np.asarray(target) == number]
            counts, _ = np.histogram(np.clip(chosen, 0, 1), edges)
            # Half a count is the floor of the log axis: an empty bin draws nothing, one shows.
            shown, colour = np.maximum(counts, 0.5), PALETTE[number]
            name = f"{label} ({format_value(len(chosen))})"
            axes.stairs(shown, edges, baseline=0.5, fill=True, alpha=0.25, color=colour)
            axes.stairs(shown, edges, baseline=0.5, color=colour, linewidth=1.3, label=name)
        axes.set(yscale="log", xlim=(0, 1), xlabel="score", ylabel="examples (log scale)")
        axes.set_ylim(bottom=0.5)
        axes.yaxis.set_major_formatter(lambda count, _: format_value(int(count)))
        axes.minorticks_off()
        if threshold is not None:
            axes.axvline(threshold, color=INK, linewidth=1, linestyle=(0, (4, 2)))
            _note(axes, (threshold, 1.0), f"threshold: {format_value(threshold)}", anchor="top")
        _legend(axes)

    return svg_of(draw)


def thin(x: np.ndarray, y: np.ndarray, limit: int = MAX_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Return at most ``limit`` points of a line, evenly spaced along the drawn line, ends included.

    Spacing along the line keeps the steep parts, which spacing by index would lose.

    Raises:
        ContractError: ``x`` and ``y`` differ in shape or are not one-dimensional.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape or x.ndim != 1:
        raise ContractError(f"A line needs x and y of one shape (point,); found {x.shape} and {y.shape}.")
    if len(x) <= limit:
        return x, y
    steps = np.hypot(_relative_steps(x), _relative_steps(y))
    along = np.concatenate([[0.0], np.cumsum(steps)])
    keep = np.searchsorted(along, np.linspace(0, along[-1], limit))
    keep = np.unique(np.concatenate([[0], keep, [len(x) - 1]]))
    keep = keep if len(keep) <= limit else np.delete(keep, -2)
    return x[keep], y[keep]


def _clock(place: float, _: float = 0) -> str:
    """Return days since 1970 as the time of day, at midnight as the date."""
    when = np.datetime64(round(place * 86_400), "s").item()
    return f"{when:%H:%M}" if when.hour or when.minute else f"{when:%Y-%m-%d}"


def shortened(text: str) -> str:
    """Return a name as shown in a drawing, cut where it would leave no room for the drawing."""
    text = " ".join(printable(text).split("\n"))
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"


def _lines(text: str) -> str:
    return "\n".join(shortened(line) for line in text.split("\n"))


def _relative_steps(values: np.ndarray) -> np.ndarray:
    known = values[np.isfinite(values)]
    spread = float(np.ptp(known)) if len(known) else 0.0
    return np.nan_to_num(np.diff(values) / (spread or 1.0), posinf=0.0, neginf=0.0)


def svg_of(draw: Callable[..., None], *, height: float = 2.9, panels: tuple[float, ...] = (1.0,), rows: int = 1) -> str:
    """Run ``draw`` on fresh axes, one per panel, row by row, under the fixed style and return the SVG."""
    matplotlib = require("matplotlib", extra="train")
    figures = require("matplotlib.figure", extra="train")
    with matplotlib.rc_context(), warnings.catch_warnings():
        # The reader's browser picks the font; one missing here is not missing there.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = figures.Figure(figsize=(6.8, height), layout="constrained")
        grid = figure.subplots(rows, len(panels), squeeze=False, width_ratios=panels)
        draw(*grid.ravel())
        return _svg(figure)


def _svg(figure: Any) -> str:
    """Return the figure as an ``<svg>`` element: no prologue, date, style sheet or comments."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing, facecolor="white")
    text = buffer.getvalue()
    text = re.sub(r"<!--.*?-->\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    # A picture is named by its pixels, so one drawn twice would put an id on the page twice.
    text = re.sub(r'(<image\b[^>]*?) id="[^"]*"', r"\1", text)
    # matplotlib's sheet is a rule for "*", which inside a page would style the page.
    text, found = re.subn(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", text, flags=re.DOTALL)
    style = ' stroke-linejoin="round" stroke-linecap="butt"' if found else ""
    return text.replace("<svg", f"<svg{style}", 1).strip()


def _line(number: int) -> dict[str, Any]:
    return {
        "color": PALETTE[number % len(PALETTE)],
        "linestyle": _DASHES[number % len(_DASHES)],
        "zorder": 3 - 0.01 * number,
        "linewidth": 2.2 if number == 0 else 1.5,
    }


def _legend(axes: Axes) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2, handlelength=2.4)


def _note(
    axes: Axes,
    place: tuple[float, float],
    text: str,
    *,
    colour: str = FAINT,
    anchor: Literal["above", "below", "top"] = "above",
) -> None:
    """Write small text right of ``place``, in data units; ``top`` reads its second as 0..1."""
    axes.annotate(
        text,
        place,
        (4, 3 if anchor == "above" else -4),
        xycoords=("data", "axes fraction" if anchor == "top" else "data"),
        textcoords="offset points",
        va="bottom" if anchor == "above" else "top",
        color=colour,
        fontsize=8,
    )


def _interval(axes: Axes, row: int, estimate: Estimate, *, colour: str, filled: bool = True) -> None:
    """Draw a dot with its interval; a hollow dot says that it fails, even without colour."""
    reach = [[max(estimate.value - estimate.low, 0.0)], [max(estimate.high - estimate.value, 0.0)]]
    axes.errorbar(
        estimate.value,
        row,
        xerr=reach,
        color=colour,
        capsize=3,
        linewidth=2,
        marker="o",
        markersize=6,
        markerfacecolor=colour if filled else "white",
    )


def _name_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write each line's name right of its last point, pushed apart where they would touch."""
    low, high = axes.get_ylim()
    gap, last = (high - low) * 0.075, -np.inf
    for y, name, colour in sorted(ends):
        last = max(y, last + gap)
        axes.annotate(
            name,
            (1.01, last),
            xycoords=("axes fraction", "data"),
            color=colour,
            va="center",
            annotation_clip=False,
        )
