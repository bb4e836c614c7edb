"""Var[ln F] against depth, split into its parts between and within layers."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fimtiers.plotting.layout import EDGE, Headline, add_axes, legend_line, new_figure
from fimtiers.plotting.style import (
    COLOURS,
    SMALL,
    SOFT,
    Style,
    bare,
    decades,
    figure_style,
    format_percent,
)
from fimtiers.plotting.sweep_panels import AXIS_NAMES, tick_positions

PARTS = {
    "log_variance_between_layers": ("between layers", COLOURS["deep"]),
    "log_variance_within_layers": ("within layers", COLOURS["rest"]),
}
WIDTH, HEIGHT = 7.2, 2.1
LEFT, BELOW, ABOVE, BETWEEN = 0.55, 0.78, 0.3, 0.16


@figure_style()
def draw_variance_split(
    runs: pd.DataFrame, panels: Mapping[str, Sequence[str]], subtitle: str
) -> Figure:
    """Draw both parts of Var[ln F] of every seed, a panel for each sweep.

    Parameters
    ----------
    runs
        ``sweep``, ``position``, ``fit_from``, ``seed``, ``log_variance_between_layers``,
        ``log_variance_within_layers``.
    panels
        Title of each panel to its one sweep.
    subtitle
        What kind of values these are.
    """
    headline = Headline(variance_split_message(runs, panels), subtitle)
    figure = new_figure(WIDTH, BELOW + HEIGHT + ABOVE, headline)
    width = (WIDTH - LEFT - EDGE - BETWEEN * (len(panels) - 1)) / len(panels)
    drawn = []
    for number, (title, shown) in enumerate(panels.items()):
        left = LEFT + number * (width + BETWEEN)
        axes = add_axes(figure, left, BELOW, left + width, BELOW + HEIGHT)
        rows = runs[runs["sweep"].isin(shown) & (runs["position"] >= runs["fit_from"])]
        rows = rows.dropna(subset=list(PARTS))
        _draw_parts(axes, rows)
        axes.set_title(title, loc="left", color=SOFT, size=SMALL + 0.5)
        drawn.append(axes)
    limits = [axes.get_ylim() for axes in drawn]
    for number, axes in enumerate(drawn):
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        decades(axes.yaxis)
        if number:
            axes.set_yticklabels([])
    drawn[0].set_ylabel("Var[ln F], nats²")
    legend_line(
        figure, [Line2D([], [], color=c, marker="o", ms=3, label=t) for t, c in PARTS.values()]
    )
    return figure


def variance_split_message(runs: pd.DataFrame, panels: Mapping[str, Sequence[str]]) -> str:
    """Say how much of the variance lies between layers at the largest depth."""
    shares = {title: share_between(runs[runs["sweep"].isin(s)]) for title, s in panels.items()}
    parts = [f"{format_percent(share)} ({title})" for title, share in shares.items()]
    shown = ", ".join(parts)
    return f"The share of Var[ln F] that lies between layers, at the largest depth: {shown}"


def share_between(rows: pd.DataFrame) -> float:
    """Return the share of Var[ln F] between layers at the largest position, mean over seeds."""
    deepest = rows[rows["position"] == rows["position"].max()]
    between = deepest["log_variance_between_layers"]
    return float((between / (between + deepest["log_variance_within_layers"])).mean())


def describe_variance_split(runs: pd.DataFrame, panels: Mapping[str, Sequence[str]]) -> str:
    """Say in sentences what the figure shows, for its caption."""
    sentences = [f"{variance_split_message(runs, panels)}."]
    for title, shown in panels.items():
        rows = runs[runs["sweep"].isin(shown)]
        means = rows.groupby("position")[list(PARTS)].mean().dropna()
        last = means.iloc[-1]
        sentences.append(
            f"{title}, {AXIS_NAMES['depth']} = {means.index[-1]:g}: between layers "
            f"{last.iloc[0]:.2f}, within {last.iloc[1]:.2f}."
        )
    return " ".join(sentences)


def _draw_parts(axes: Axes, rows: pd.DataFrame) -> None:
    for column, (_, colour) in PARTS.items():
        means = rows.groupby("position")[column].mean()
        kept = means > 0
        axes.plot(means.index[kept], means[kept], color=colour, lw=1.3)
        dots: Style = {"s": 7, "color": colour, "alpha": 0.6, "lw": 0}
        positive = rows[rows[column] > 0]
        axes.scatter(positive["position"], positive[column], **dots)
    axes.set_yscale("log")
    axes.set_xlim(left=np.min(rows["position"]) - 1)
    axes.set_xlabel(AXIS_NAMES["depth"])
    bare(axes, "left", "bottom")
    tick_positions(axes, rows["position"])
