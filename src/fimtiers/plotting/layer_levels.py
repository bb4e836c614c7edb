"""Level of ln F in each layer of the deepest networks, beside the mean-field prediction."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from fimtiers.plotting.layout import EDGE, Headline, add_axes, legend_line, new_figure
from fimtiers.plotting.style import INK, SOFT, Style, bare, figure_style
from fimtiers.plotting.sweep_panels import curve_style
from fimtiers.statistics.prediction_errors import NEAR

WIDTH, HEIGHT = 7.2, 2.6
LEFT, BELOW, ABOVE, BETWEEN = 0.55, 0.8, 0.3, 0.2


@figure_style()
def draw_layer_levels(
    levels: pd.DataFrame,
    drift: pd.DataFrame,
    panels: Mapping[str, Sequence[str]],
    labels: Mapping[str, str],
    subtitle: str,
) -> Figure:
    """Draw ln of the mean of F of each weight matrix against its layer.

    Parameters
    ----------
    levels
        ``sweep``, ``seed``, ``layer``, ``log_of_mean``, ``predicted`` of the deepest networks.
    drift
        As `fimtiers.statistics.level_drift.drift_of_sweeps` gives it.
    panels
        Title of each panel to the sweeps in it.
    labels
        What to call each sweep.
    subtitle
        What kind of values these are.
    """
    shown_levels = levels[levels["sweep"].isin(name for shown in panels.values() for name in shown)]
    headline = Headline(layer_levels_message(drift, panels, labels), subtitle)
    figure = new_figure(WIDTH, BELOW + HEIGHT + ABOVE, headline)
    width = (WIDTH - LEFT - EDGE - BETWEEN * (len(panels) - 1)) / len(panels)
    low, high = shown_levels["log_of_mean"].min() - 1, shown_levels["log_of_mean"].max() + 1
    for number, (title, shown) in enumerate(panels.items()):
        left = LEFT + number * (width + BETWEEN)
        axes = add_axes(figure, left, BELOW, left + width, BELOW + HEIGHT)
        for index, sweep in enumerate(shown):
            _draw_levels(axes, levels[levels["sweep"] == sweep], index)
        axes.set_ylim(low, high)
        axes.set_title(title, loc="left", color=SOFT)
        axes.set_xlabel("layer, inputs first")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        bare(axes, "left", "bottom")
        if number:
            axes.set_yticklabels([])
        else:
            axes.set_ylabel("ln of the mean of F in a weight matrix")
    names = [_short(labels[name]) for name in next(iter(panels.values()))]
    handles = [
        Line2D([], [], color=curve_style(i)["color"], marker="o", ms=3, ls="none", label=name)
        for i, name in enumerate(names)
    ]
    handles.append(Line2D([], [], color=INK, lw=1, label="mean-field theory"))
    legend_line(figure, handles)
    return figure


def layer_levels_message(
    drift: pd.DataFrame, panels: Mapping[str, Sequence[str]], labels: Mapping[str, str]
) -> str:
    """Say how near mean-field theory comes to the levels of each panel."""
    parts = []
    for title, shown in panels.items():
        own = drift[drift["sweep"].isin(shown)]
        if own.empty:
            continue
        worst = own.loc[own["furthest"].idxmax()]
        near = worst["furthest"] <= NEAR
        size = f"{worst['furthest']:.1f} nats"
        parts.append(
            f"gives every level to {size} with {title}"
            if near
            else f"misses levels by up to {size} with {title} ({_short(labels[worst['sweep']])})"
        )
    if not parts:
        return "Levels of the layers, beside mean-field theory"
    return f"Mean-field theory {' and '.join(parts)}"


def describe_layer_levels(
    drift: pd.DataFrame, panels: Mapping[str, Sequence[str]], labels: Mapping[str, str]
) -> str:
    """Say in sentences what the figure shows, for its caption."""
    sentences = [f"{layer_levels_message(drift, panels, labels)}."]
    for title, shown in panels.items():
        parts = []
        for row in drift[drift["sweep"].isin(shown)].to_dict("records"):
            slope = (
                f"{signed(row['line'])} ({signed(row['line_low'])} to {signed(row['line_high'])}, "
                f"theory {signed(row['predicted_line'])}), "
            )
            parts.append(
                f"{_short(labels[row['sweep']])} {slope if np.isfinite(row['line']) else ''}"
                f"furthest from theory by {row['furthest']:.1f} in layer {row['furthest_layer']}"
            )
        if parts:
            sentences.append(
                f"{title}, slope of the level over hidden layers in nats per layer, with its 95 % "
                f"interval over seeds: {'; '.join(parts)}."
            )
    return " ".join(sentences)


def signed(value: float) -> str:
    """Write a number of nats with its sign, +1.42, −0.15, and 0.00 without one."""
    text = f"{value:+.2f}".replace("-", "−")
    return "0.00" if text in ("+0.00", "−0.00") else text


def _short(label: str) -> str:
    """Leave out of a label what the title of the panel says."""
    return label.split(",")[0]


def _draw_levels(axes: Axes, rows: pd.DataFrame, number: int) -> None:
    colour = curve_style(number)["color"]
    seeds: Style = {"color": colour, "s": 5, "lw": 0, "alpha": 0.35, "zorder": 2}
    axes.scatter(rows["layer"] + 1, rows["log_of_mean"], **seeds)
    means = rows.groupby("layer")[["log_of_mean", "predicted"]].mean()
    dots: Style = {"color": colour, "s": 14, "lw": 0, "zorder": 3}
    axes.scatter(means.index + 1, means["log_of_mean"], **dots)
    axes.plot(means.index + 1, means["predicted"], color=colour, lw=1, zorder=2)
