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

WIDTH, HEIGHT = 7.2, 2.6
LEFT, BELOW, ABOVE, BETWEEN = 0.55, 0.8, 0.3, 0.2


@figure_style()
def draw_layer_levels(
    layers: pd.DataFrame,
    panels: Mapping[str, Sequence[str]],
    labels: Mapping[str, str],
    subtitle: str,
) -> Figure:
    """Draw ln of the mean of F of each weight matrix against its layer.

    Parameters
    ----------
    layers
        ``sweep``, ``layer``, ``role``, ``log_of_mean``, ``predicted`` of the deepest networks.
    panels
        Title of each panel to the sweeps in it.
    labels
        What to call each sweep.
    subtitle
        What kind of values these are.
    """
    weights = layers[layers["role"] == "weight"]
    headline = Headline(layer_levels_message(weights, panels, labels), subtitle)
    figure = new_figure(WIDTH, BELOW + HEIGHT + ABOVE, headline)
    width = (WIDTH - LEFT - EDGE - BETWEEN * (len(panels) - 1)) / len(panels)
    low, high = weights["log_of_mean"].min() - 1, weights["log_of_mean"].max() + 1
    for number, (title, shown) in enumerate(panels.items()):
        left = LEFT + number * (width + BETWEEN)
        axes = add_axes(figure, left, BELOW, left + width, BELOW + HEIGHT)
        for index, sweep in enumerate(shown):
            _draw_levels(axes, weights[weights["sweep"] == sweep], index)
        axes.set_ylim(low, high)
        axes.set_title(title, loc="left", color=SOFT)
        axes.set_xlabel("layer, inputs first")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        bare(axes, "left", "bottom")
        if number:
            axes.set_yticklabels([])
        else:
            axes.set_ylabel("ln of the mean of F in a weight matrix")
    names = [labels[name].split(",")[0] for name in next(iter(panels.values()))]
    handles = [
        Line2D([], [], color=curve_style(i)["color"], marker="o", ms=3, ls="none", label=name)
        for i, name in enumerate(names)
    ]
    handles.append(Line2D([], [], color=INK, lw=1, label="mean-field theory"))
    legend_line(figure, handles)
    return figure


def drift_per_layer(weights: pd.DataFrame, sweep: str, column: str = "log_of_mean") -> float:
    """Return the slope of the level against the layer, over square matrices: hidden layers."""
    own = weights[weights["sweep"] == sweep].sort_values("layer")
    hidden = own.iloc[1:-1]
    return float(np.polyfit(hidden["layer"], hidden[column], 1)[0])


def layer_levels_message(
    weights: pd.DataFrame, panels: Mapping[str, Sequence[str]], labels: Mapping[str, str]
) -> str:
    """Say by how much the level changes per layer for the first curve of each panel."""
    parts = []
    for title, shown in panels.items():
        measured = drift_per_layer(weights, shown[0])
        predicted = drift_per_layer(weights, shown[0], "predicted")
        parts.append(
            f"{_signed(measured)} nats per layer with {title} (theory {_signed(predicted)})"
        )
    return f"F drifts along the layers of a ReLU network, {' and '.join(parts)}"


def describe_layer_levels(
    layers: pd.DataFrame, panels: Mapping[str, Sequence[str]], labels: Mapping[str, str]
) -> str:
    """Say in sentences what the figure shows, for its caption."""
    weights = layers[layers["role"] == "weight"]
    sentences = [f"{layer_levels_message(weights, panels, labels)}."]
    for title, shown in panels.items():
        drifts = [
            f"{labels[name]} {_signed(drift_per_layer(weights, name))} "
            f"({_signed(drift_per_layer(weights, name, 'predicted'))})"
            for name in shown
        ]
        sentences.append(f"{title}, measured (predicted) nats per layer: {', '.join(drifts)}.")
        own = weights[weights["sweep"].isin(shown)]
        away = (own["log_of_mean"] - own["predicted"]).abs().groupby(own["sweep"]).max()
        sentences.append(
            f"The level is furthest from the prediction for {labels[str(away.idxmax())]}, by "
            f"{away.max():.1f} nats."
        )
    return " ".join(sentences)


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _draw_levels(axes: Axes, rows: pd.DataFrame, number: int) -> None:
    colour = curve_style(number)["color"]
    rows = rows.sort_values("layer")
    dots: Style = {"color": colour, "s": 14, "lw": 0, "zorder": 3}
    axes.scatter(rows["layer"] + 1, rows["log_of_mean"], **dots)
    axes.plot(rows["layer"] + 1, rows["predicted"], color=colour, lw=1, zorder=2)
