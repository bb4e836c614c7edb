"""The margin between the groups, and every tier ratio, as the number of probes grows."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from fimtiers.plotting.layout import (
    EDGE,
    LINE,
    POINTS_PER_INCH,
    Headline,
    add_axes,
    legend_line,
    new_figure,
    spread,
    text_width,
    widest,
    wrap,
)
from fimtiers.plotting.style import (
    COLOURS,
    GROUP_NAMES,
    NORMAL,
    SMALL,
    SOFT,
    Style,
    bare,
    decades,
    figure_style,
    format_number,
)

WIDTH = 7.2
ROW_HEIGHT, BETWEEN = 1.65, 0.72
ABOVE, BELOW = 0.55, 0.8
LEFT, MIDDLE = 0.62, 0.55
LEADER = 0.18
GAP_SHARE = 0.55
FINE = 400
LEAST_RANGE, PADDING = 3.0, 0.3
"""The gap fills its plot with this much free on a logarithmic scale, but is not blown up."""
AXIS_LABEL = 0.26
AIR = 0.05
"""Least distance of neighbouring numbers in inches."""
TITLE: Style = {"loc": "left", "size": SMALL, "color": SOFT, "pad": 16}
X_LABEL = "number of probes, in units of the number that each system has in the study"
ENDS = {"smallest_deep": "deep", "largest_rest": "rest"}
APART, OVERLAP = "#DDDDDD", "#E6B8CF"
"""Grey, and a tint of the purple of the palette of Okabe and Ito (2008)."""


@figure_style()
def draw_margin(
    margin: pd.DataFrame, convergence: pd.DataFrame, labels: Mapping[str, str], subtitle: str
) -> Figure:
    """Draw one row per panel: its margin at the left, its tier ratios at the right.

    Parameters
    ----------
    margin
        ``panel``, ``probe_factor`` (number of probes in units of each system's own),
        ``margin_ratio``, ``smallest_deep``, ``largest_rest``, ``smallest_deep_system``,
        ``largest_rest_system``, ``smallest_deep_carried``, ``largest_rest_carried``. Where an end
        was carried from another number of probes there is no point.
    convergence
        ``panel``, ``system``, ``group``, ``probe_factor``, ``value`` (tier ratio) of every point
        and seed of the systems that were measured at several numbers of probes.
    labels
        What to call each system.
    subtitle
        What kind of values these are.

    Raises
    ------
    ValueError
        If there is no panel.
    """
    if margin.empty:
        raise ValueError("no margin; expected at least one panel at one number of probes")
    margin = _measured(margin)
    panels = list(margin["panel"].unique())
    names = [labels[name] for name in convergence["system"].unique()]
    room = widest([f"{name} (∞)" for name in names], SMALL) if names else 0.0
    body = BELOW + len(panels) * ROW_HEIGHT + (len(panels) - 1) * BETWEEN + ABOVE
    figure = new_figure(WIDTH, body, Headline(_message(margin), subtitle))
    free = WIDTH - LEFT - MIDDLE - LEADER - room - EDGE
    width = GAP_SHARE * free
    top = body - ABOVE
    for panel in panels:
        gap = margin[margin["panel"] == panel].sort_values("probe_factor")
        ratios = _geometric_means(convergence[convergence["panel"] == panel])
        bottom = top - ROW_HEIGHT
        left_axes = add_axes(figure, LEFT, bottom, LEFT + width, top)
        right = LEFT + width + MIDDLE
        right_axes = add_axes(figure, right, bottom, LEFT + MIDDLE + free, top)
        _frame(left_axes, width, gap["probe_factor"])
        _frame(right_axes, free - width, ratios["probe_factor"])
        left_axes.set_title(f"Panel “{panel}”: the margin", **TITLE)
        right_axes.set_title("Geometric mean of each system", **TITLE)
        _draw_gap(left_axes, width, gap, labels)
        _draw_ratios(right_axes, free - width, ratios, labels)
        left_axes.set_ylabel("tier ratio")
        top = bottom - BETWEEN
    x, y = 0.5, (BELOW - AXIS_LABEL) / figure.get_figheight()
    figure.text(x, y, X_LABEL, ha="center", va="top", size=NORMAL)
    _legend(figure)
    return figure


def describe_margin(margin: pd.DataFrame, labels: Mapping[str, str]) -> str:
    """Say in sentences what the figure shows, for its caption."""
    margin = _measured(margin)
    sentences = [f"{_message(margin)}."]
    for panel, rows in margin.groupby("panel", sort=False):
        for _, row in rows.sort_values("probe_factor").iloc[[0, -1]].iterrows():
            sentences.append(
                f"Panel “{panel}”, {row['probe_factor']:g} times the probes: the smallest deep "
                f"value is {format_number(row['smallest_deep'])} "
                f"({labels[row['smallest_deep_system']]}), the largest other "
                f"{format_number(row['largest_rest'])} ({labels[row['largest_rest_system']]})."
            )
    return " ".join(sentences)


def _measured(margin: pd.DataFrame) -> pd.DataFrame:
    """Leave out numbers of probes at which an end of the gap was not measured."""
    carried = margin["smallest_deep_carried"] | margin["largest_rest_carried"]
    return margin[~carried.astype(bool)]


def _message(margin: pd.DataFrame) -> str:
    """Say for every panel how far the groups are apart at its own number of probes, and at most."""
    texts = []
    for panel, rows in margin.groupby("panel", sort=False):
        ordered = rows.sort_values("probe_factor")
        own = ordered.loc[np.abs(np.log(ordered["probe_factor"])).idxmin()]
        most = ordered.iloc[-1]
        text = f"{_ratio(own['margin_ratio'])} in “{panel}”"
        if most["probe_factor"] > own["probe_factor"]:
            text += (
                f" ({_ratio(most['margin_ratio'])} at {most['probe_factor']:g} times the probes)"
            )
        texts.append(text)
    return f"The margin between the groups, below 1 where they overlap: {', '.join(texts)}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value < 10 else format_number(value)


def _geometric_means(convergence: pd.DataFrame) -> pd.DataFrame:
    logs = convergence.assign(value=np.log(convergence["value"]))
    keys = ["system", "group", "probe_factor"]
    means = logs.groupby(keys, sort=False)["value"].mean().reset_index()
    return means.assign(value=np.exp(means["value"])).sort_values("probe_factor")


def _draw_gap(axes: Axes, width: float, gap: pd.DataFrame, labels: Mapping[str, str]) -> None:
    """Draw both ends of the gap, shade between them, and write its factor over each number."""
    ends = gap[list(ENDS)].to_numpy()
    finite = ends[np.isfinite(ends)]
    low, high = (finite.min(), finite.max()) if len(finite) else (1.0, 1.0)
    stretch = max(high / low, LEAST_RANGE)
    limits = low / stretch**PADDING, high * stretch**PADDING
    axes.set_ylim(*limits)
    x = gap["probe_factor"].to_numpy()
    _shade(axes, x, *(np.minimum(gap[name], limits[1]).to_numpy() for name in ENDS))
    place: Style = {"xycoords": "axes fraction", "textcoords": "offset points"}
    for (name, group), words in zip(ENDS.items(), ("smallest deep", "largest other"), strict=True):
        _line(axes, x, gap[name].to_numpy(), COLOURS[group])
        systems = " / ".join(labels[system] for system in gap[f"{name}_system"].unique())
        height, va, offset = (1, "top", -4) if group == "deep" else (0, "bottom", 4)
        style: Style = {"xytext": (4, offset), "va": va, "size": SMALL, "color": COLOURS[group]}
        lines = wrap(f"{words}: {systems}", width, SMALL)
        axes.annotate("\n".join(lines), (0, height), **style, **place)
    texts = [_ratio(ratio) for ratio in gap["margin_ratio"]]
    over: Style = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    for factor, text, shown in zip(x, texts, _with_room(axes, width, x, texts, SMALL), strict=True):
        if shown:
            axes.annotate(text, (factor, 1), xytext=(0, 4), ha="center", size=SMALL, **over)
    decades(axes.yaxis)


def _shade(
    axes: Axes, x: NDArray[np.float64], deep: NDArray[np.float64], rest: NDArray[np.float64]
) -> None:
    """Shade between two lines that are straight on logarithmic scales, by which is above."""
    fine = np.geomspace(x[0], x[-1], FINE)
    deep, rest = (np.exp(np.interp(np.log(fine), np.log(x), np.log(y))) for y in (deep, rest))
    for where, colour in ((deep >= rest, APART), (deep <= rest, OVERLAP)):
        axes.fill_between(fine, rest, deep, where=where.tolist(), color=colour, lw=0)


def _draw_ratios(axes: Axes, width: float, ratios: pd.DataFrame, labels: Mapping[str, str]) -> None:
    finite = ratios.loc[np.isfinite(ratios["value"]), "value"]
    low, high = (finite.min(), finite.max()) if len(finite) else (1.0, 10.0)
    axes.set_ylim(low / 1.3, high * 1.8)
    decades(axes.yaxis)
    ends = []
    for system, rows in ratios.groupby("system", sort=False):
        colour = COLOURS[rows["group"].iloc[0]]
        values = rows["value"].to_numpy()
        _line(axes, rows["probe_factor"].to_numpy(), values, colour)
        shown = min(values[-1], axes.get_ylim()[1])
        ends.append((labels[system], colour, rows["probe_factor"].iloc[-1], shown, values[-1]))
    _label_ends(axes, width, ends)


def _line(axes: Axes, x: NDArray[np.float64], values: NDArray[np.float64], colour: str) -> None:
    """Draw a line; infinite values lie on the upper edge, as triangles."""
    finite = np.isfinite(values)
    shown = np.where(finite, values, axes.get_ylim()[1])
    style: Style = {"color": colour, "clip_on": False, "zorder": 3}
    axes.plot(x, shown, lw=1.2, **style)
    axes.plot(x[finite], shown[finite], "o", ms=3, **style)
    axes.plot(x[~finite], shown[~finite], "^", ms=4.5, mfc="white", **style)


def _label_ends(axes: Axes, width: float, ends: list[tuple[str, str, float, float, float]]) -> None:
    """Name every line in a column right of axes of `width` inches, where no name hides another."""
    to_fraction = (axes.transData + axes.transAxes.inverted()).transform
    starts = [to_fraction((x, shown)) for _, _, x, shown, _ in ends]
    gap = SMALL * LINE / POINTS_PER_INCH / ROW_HEIGHT
    column = spread([start[1] for start in starts], gap, 0, 1)
    for (text, colour, _, _, value), start, height in zip(ends, starts, column, strict=True):
        end = (1 + LEADER / width, height)
        line: Style = {"transform": axes.transAxes, "clip_on": False, "color": colour, "lw": 0.5}
        axes.plot(*np.array([start, end]).T, **line)
        label = f"{text} (∞)" if np.isinf(value) else text
        place: Style = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "center"}
        axes.annotate(label, end, xytext=(2, 0), size=SMALL, color=colour, **place)


def _frame(axes: Axes, width: float, factors: "pd.Series[float]") -> None:
    """Tick axes of `width` inches at the factors, where their names have room."""
    ticks = np.unique(factors)
    axes.set(xscale="log", yscale="log", xlim=(ticks[0] / 1.3, ticks[-1] * 1.3))
    names = [_factor_text(tick) for tick in ticks]
    shown = _with_room(axes, width, ticks, names, SMALL)
    axes.set_xticks(ticks, [name if keep else "" for name, keep in zip(names, shown, strict=True)])
    axes.xaxis.set_minor_locator(NullLocator())
    bare(axes, "left", "bottom")


def _factor_text(factor: float) -> str:
    """Write a factor on the number of probes: 64, 1, 1/4, 0.3."""
    inverse = 1 / factor
    return (
        f"1/{inverse:.0f}" if inverse > 1 and np.isclose(inverse, round(inverse)) else f"{factor:g}"
    )


def _with_room(
    axes: Axes, width: float, x: NDArray[np.float64], texts: Sequence[str], size: float
) -> NDArray[np.bool_]:
    """Choose which texts centred at `x` can be written side by side, that nearest to 1 first."""
    low, high = np.log(axes.get_xlim())
    centres = (np.log(x) - low) / (high - low) * width
    halves = [(text_width(text, size) + AIR) / 2 for text in texts]
    shown = np.zeros(len(x), dtype=bool)
    for i in np.argsort(np.abs(np.log(x)), kind="stable"):
        shown[i] = all(
            abs(centres[i] - centres[j]) >= halves[i] + halves[j] for j in np.flatnonzero(shown)
        )
    return shown


def _legend(figure: Figure) -> None:
    handles: list[Artist] = [
        Line2D([], [], color=COLOURS[group], marker="o", ms=3, lw=1.2, label=GROUP_NAMES[group])
        for group in ("deep", "rest")
    ]
    handles += [
        Patch(color=APART, lw=0, label="margin (its factor above)"),
        Patch(color=OVERLAP, lw=0, label="overlap (factor below 1)"),
        Line2D([], [], color=SOFT, marker="^", mfc="white", ms=4.5, lw=1.2, label="infinite"),
    ]
    legend_line(figure, handles)
