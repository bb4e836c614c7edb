"""Tier ratios along sweeps: a panel for each family of curves, every seed shown."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from fimtiers.plotting.layout import (
    EDGE,
    LINE,
    POINTS_PER_INCH,
    Headline,
    add_axes,
    new_figure,
    spread,
    widest,
)
from fimtiers.plotting.style import (
    FAINT,
    SMALL,
    SOFT,
    Style,
    bare,
    decades,
    figure_style,
    format_number,
    power_of_ten,
)

CURVES = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666", "#1A1A1A")
"""The palette of Okabe and Ito (2008), dark enough for lines, and two greys."""
LINES = ("-", (0, (4, 1.5)))
"""Line styles, the second once the colours are used up."""

WIDTH, HEIGHT = 7.2, 2.9
LEFT, BELOW, ABOVE = 0.62, 0.55, 0.34
BETWEEN, BETWEEN_SCALES = 0.12, 0.42
"""Between panels that share their scale, and between those that do not."""
LABEL_GAP = 0.1
LEADER, LABEL = 0.5, 0.85
"""Where the line to a label ends and the label begins, in units of that gap."""
AXIS_NAMES = {
    "depth": "depth L",
    "length": "sequence length",
    "width": "width n",
    "probes": "number of probes",
    "inverse_coupling": "inverse coupling β",
}
LOGARITHMIC = ("width", "length", "probes")
MOST_STRETCHED = 2
"""Where one curve is longer than another by more, a linear axis would crowd the shorter one."""
CLOSEST = 0.16
"""Ticks are at least this many inches apart."""
MOST_DECADES = 12
"""With more decades than this, not every power of ten has a tick."""


@figure_style()
def draw_sweep_panels(
    runs: pd.DataFrame,
    panels: Mapping[str, Sequence[str]],
    labels: Mapping[str, str],
    headline: Headline,
    threshold: float | None = None,
) -> Figure:
    """Draw T1/T3 of every seed and its geometric mean along each sweep, a panel for each family.

    Parameters
    ----------
    runs
        ``sweep``, ``axis``, ``position``, ``seed``, ``tier_ratio_published``,
        ``tier3_substituted``.
    panels
        Title of each panel to the sweeps in it.
    labels
        What to call each sweep.
    headline
        Message and subtitle.
    threshold
        Tier ratio to mark, if any.

    Raises
    ------
    ValueError
        If a sweep has no run.
    """
    figure = new_figure(WIDTH, BELOW + HEIGHT + ABOVE, headline)
    rooms = [widest([labels[name] for name in shown], SMALL) for shown in panels.values()]
    margins = LEFT + EDGE + sum(rooms) + 2 * LABEL_GAP * len(panels)
    shared = _overlap([runs[runs["sweep"].isin(shown)] for shown in panels.values()])
    between = BETWEEN if shared else BETWEEN_SCALES
    plot_width = (WIDTH - margins - between * (len(panels) - 1)) / len(panels)
    left = LEFT
    drawn = []
    for (title, shown), room in zip(panels.items(), rooms, strict=True):
        axes = add_axes(figure, left, BELOW, left + plot_width, BELOW + HEIGHT)
        rows = runs[runs["sweep"].isin(shown)]
        missing = set(shown) - set(rows["sweep"])
        if missing:
            raise ValueError(f"no run of {', '.join(sorted(missing))}")
        _draw_panel(axes, rows, shown)
        axes.set_title(title, loc="left", color=SOFT)
        drawn.append((axes, shown, rows))
        left += plot_width + room + 2 * LABEL_GAP + between
    limits = [axes.get_ylim() for axes, *_ in drawn]
    low, high = min(limits)[0], max(top for _, top in limits)
    for number, (axes, shown, rows) in enumerate(drawn):
        if shared:
            axes.set_ylim(low, high)
        _tick_ratios(axes)
        if number and shared:
            axes.set_yticklabels([])
        bottom, top = axes.get_ylim()
        if threshold and bottom < threshold < top:
            axes.axhline(threshold, color=FAINT, lw=1, zorder=0)
            axes.set_ylim(bottom, top)
        _label_curves(axes, rows, shown, labels)
    drawn[0][0].set_ylabel("tier ratio T1/T3")
    return figure


def curve_style(number: int) -> Style:
    """Return colour and line style of the curve of that number."""
    return {
        "color": CURVES[number % len(CURVES)],
        "ls": LINES[number // len(CURVES) % len(LINES)],
    }


def geometric_means(rows: pd.DataFrame) -> "pd.Series[float]":
    """Return the geometric mean over seeds of the published ratio at each position."""
    return np.exp(np.log(rows["tier_ratio_published"]).groupby(rows["position"]).mean())


def tick_positions(axes: Axes, positions: Sequence[float]) -> None:
    """Tick the x axis at the positions of a sweep, as many as there is room for."""
    axes.xaxis.set_major_locator(FixedLocator(_apart(axes, sorted(set(positions)))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _overlap(panels: Sequence[pd.DataFrame]) -> bool:
    """Say whether the ranges of the ratios of all panels have a value in common."""
    ratios = [rows["tier_ratio_published"] for rows in panels]
    return max(ratio.min() for ratio in ratios) <= min(ratio.max() for ratio in ratios)


def _tick_ratios(axes: Axes) -> None:
    """Tick the y axis, logarithmic, at powers of ten that leave each other room."""
    low, high = np.log10(axes.get_ylim())
    step = int(np.ceil((high - low) / MOST_DECADES))
    if step == 1:
        decades(axes.yaxis)
        return
    exponents = np.arange(step * np.ceil(low / step), high, step)
    axes.yaxis.set_major_locator(FixedLocator([float(10.0**exponent) for exponent in exponents]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: power_of_ten(round(np.log10(y)))))
    axes.yaxis.set_minor_locator(NullLocator())


def _draw_panel(axes: Axes, rows: pd.DataFrame, shown: Sequence[str]) -> None:
    axis = rows["axis"].iloc[0]
    for number, name in enumerate(shown):
        own = rows[rows["sweep"] == name]
        style = curve_style(number)
        means = geometric_means(own)
        axes.plot(means.index, means, lw=1.2, zorder=3, **style)
        for substituted, face in ((False, style["color"]), (True, "white")):
            seeds = own[own["tier3_substituted"].astype(bool) == substituted]
            dots: Style = {"s": 8, "lw": 0.7, "zorder": 4, "clip_on": False}
            axes.scatter(
                seeds["position"],
                seeds["tier_ratio_published"],
                facecolor=face,
                edgecolor=style["color"],
                alpha=0.75,
                **dots,
            )
    ends = rows.groupby("sweep")["position"].max()
    wide = axis in LOGARITHMIC or ends.max() > MOST_STRETCHED * ends.min()
    axes.set(xscale="log" if wide else "linear", yscale="log")
    axes.set_xlabel(AXIS_NAMES.get(axis, axis.replace("_", " ")))
    bare(axes, "left", "bottom")
    tick_positions(axes, rows["position"])


def _apart(axes: Axes, positions: Sequence[float]) -> list[float]:
    scale = axes.figure.get_dpi()
    kept: list[float] = []
    inches = axes.transData.transform([(p, axes.get_ylim()[1]) for p in positions])[:, 0] / scale
    last = -np.inf
    for position, place in zip(positions, inches, strict=True):
        if place - last >= CLOSEST:
            kept.append(position)
            last = place
    return kept


def _label_curves(
    axes: Axes, rows: pd.DataFrame, shown: Sequence[str], labels: Mapping[str, str]
) -> None:
    """Write the name of each curve at the right, as near to its end as there is room."""
    ends = []
    for name in shown:
        means = geometric_means(rows[rows["sweep"] == name])
        ends.append((means.index[-1], means.iloc[-1]))
    fractions = [_fraction(axes, end) for end in ends]
    gap = SMALL * LINE / POINTS_PER_INCH / HEIGHT
    places = spread([y for _, y in fractions], gap, gap / 2, 1 - gap / 2)
    width = axes.get_position().width * WIDTH
    leader = 1 + LEADER * LABEL_GAP / width
    for number, (name, (x, y), place) in enumerate(zip(shown, fractions, places, strict=True)):
        colour = curve_style(number)["color"]
        axes.plot(
            [x, leader], [y, place], transform=axes.transAxes, color=colour, lw=0.4, clip_on=False
        )
        axes.annotate(
            labels[name],
            (1, place),
            xycoords="axes fraction",
            xytext=(POINTS_PER_INCH * LABEL_GAP * LABEL, 0),
            textcoords="offset points",
            va="center",
            size=SMALL,
            color=colour,
            annotation_clip=False,
        )


def _fraction(axes: Axes, point: tuple[float, float]) -> tuple[float, float]:
    x, y = axes.transAxes.inverted().transform(axes.transData.transform(point))
    return float(x), float(y)


def span(rows: pd.DataFrame) -> str:
    """Write the first and the last geometric mean of a sweep, such as 19.8 → 7.92 × 10¹⁵."""
    means = geometric_means(rows)
    return f"{format_number(means.iloc[0])} → {format_number(means.iloc[-1])}"
