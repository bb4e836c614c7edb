"""Measured tier ratios against Var[ln F], beside the published law and the exact one."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fimtiers.plotting.layout import EDGE, Headline, add_axes, legend_line, new_figure
from fimtiers.plotting.style import INK, SOFT, Style, bare, decades, figure_style
from fimtiers.plotting.sweep_panels import CURVES
from fimtiers.theory.log_normal import log_tier_ratio, small_variance_log_ratio

PREDICTIONS = {
    "predicted_sqrt_variance": "√v law",
    "predicted_log_normal": "exact log-normal",
    "predicted_layer_mixture": "mixture of layers",
}
WIDE = 3.0
"""A variance of ln F above this is called large; the exact law leaves its small-v form near it."""
WIDTH, HEIGHT = 7.2, 3.0
LEFT, BELOW, ABOVE, BETWEEN = 0.55, 0.8, 0.3, 0.75
FINE = 400


@figure_style()
def draw_theory_points(
    runs: pd.DataFrame, panels: Mapping[str, Sequence[str]], subtitle: str
) -> Figure:
    """Draw ln T1/T3 against Var[ln F], and the error of each prediction of every run.

    Parameters
    ----------
    runs
        ``sweep``, ``tier_ratio``, ``log_variance`` and the ``predicted_*`` columns.
    panels
        Name of each family of sweeps to the sweeps in it; each has a colour.
    subtitle
        What kind of values these are.
    """
    used = finite_runs(runs, panels)
    headline = Headline(theory_message(used), subtitle)
    figure = new_figure(WIDTH, BELOW + HEIGHT + ABOVE, headline)
    width = (WIDTH - LEFT - EDGE - BETWEEN) / 2
    axes = add_axes(figure, LEFT, BELOW, LEFT + width, BELOW + HEIGHT)
    _draw_laws(axes, used, panels)
    left = LEFT + width + BETWEEN
    axes = add_axes(figure, left, BELOW, left + width, BELOW + HEIGHT)
    _draw_predictions(axes, used)
    handles = [
        Line2D([], [], color=CURVES[i], marker="o", ms=3.5, ls="none", label=name)
        for i, name in enumerate(panels)
    ]
    handles.append(Line2D([], [], color=INK, lw=1.2, label="exact log-normal"))
    handles.append(Line2D([], [], color=INK, lw=1.2, ls=(0, (4, 1.5)), label="3.463 √v"))
    legend_line(figure, handles)
    return figure


def finite_runs(runs: pd.DataFrame, panels: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return the runs of these sweeps with a finite ratio and a variance, with their family."""
    family = {name: title for title, shown in panels.items() for name in shown}
    used = runs[runs["sweep"].isin(family)].copy()
    used["family"] = used["sweep"].map(family)
    used["log_ratio"] = np.log(used["tier_ratio"])
    return used[np.isfinite(used["log_ratio"]) & (used["log_variance"] > 0)]


def prediction_errors(used: pd.DataFrame) -> "pd.Series[float]":
    """Return the median size of the error of each prediction of ln T1/T3, in nats."""
    return pd.Series(
        {name: (used[name] - used["log_ratio"]).abs().median() for name in PREDICTIONS}
    )


def theory_message(used: pd.DataFrame) -> str:
    """Say how far each prediction is off where the variance is large, in the median over runs."""
    wide = used[used["log_variance"] > WIDE]
    small = prediction_errors(used[used["log_variance"] <= WIDE]).max()
    parts = [f"{PREDICTIONS[name]} {error:.1f}" for name, error in prediction_errors(wide).items()]
    return (
        f"Every law holds while Var[ln F] ≤ {WIDE:g} (median error at most {small:.1f} nats); "
        f"beyond, none does: {', '.join(parts)} nats"
    )


def describe_theory_points(runs: pd.DataFrame, panels: Mapping[str, Sequence[str]]) -> str:
    """Say in sentences what the figure shows, for its caption."""
    used = finite_runs(runs, panels)
    sentences = [f"{theory_message(used)}."]
    for title, own in used.groupby("family", sort=False):
        errors = prediction_errors(own)
        parts = [f"{PREDICTIONS[name]} {error:.2f}" for name, error in errors.items()]
        sentences.append(f"{title}: {', '.join(parts)}.")
    return " ".join(sentences)


def _draw_laws(axes: Axes, used: pd.DataFrame, panels: Mapping[str, Sequence[str]]) -> None:
    for number, title in enumerate(panels):
        own = used[used["family"] == title]
        dots: Style = {"s": 8, "lw": 0, "alpha": 0.7, "color": CURVES[number]}
        axes.scatter(own["log_variance"], own["log_ratio"], zorder=3, **dots)
    low, high = used["log_variance"].min() / 1.3, used["log_variance"].max() * 1.3
    variance = np.geomspace(low, high, FINE)
    line: Style = {"color": INK, "lw": 1.2, "zorder": 2}
    axes.plot(variance, log_tier_ratio(variance), **line)
    axes.plot(variance, small_variance_log_ratio(variance), ls=(0, (4, 1.5)), **line)
    axes.set(xscale="log", xlim=(low, high), ylim=(0, 1.1 * used["log_ratio"].max()))
    axes.set_xlabel("v = Var[ln F], nats²")
    axes.set_ylabel("ln T1/T3")
    axes.set_title("measured, and two laws of v", loc="left", color=SOFT)
    decades(axes.xaxis)
    bare(axes, "left", "bottom")


def _draw_predictions(axes: Axes, used: pd.DataFrame) -> None:
    # Not the colours of the families at the left, which mean something else.
    styles: dict[str, Style] = {
        "predicted_sqrt_variance": {"color": CURVES[3], "marker": "v"},
        "predicted_log_normal": {"color": CURVES[4], "marker": "s"},
        "predicted_layer_mixture": {"color": INK, "marker": "o"},
    }
    right, top = 1.05 * used["log_ratio"].max(), 0.0
    for name, style in styles.items():
        shown = used[np.isfinite(used[name])]
        top = max(top, 1.05 * shown[name].max())
        dots: Style = {"s": 8, "lw": 0, "alpha": 0.5, "label": PREDICTIONS[name], **style}
        axes.scatter(shown["log_ratio"], shown[name], **dots)
    axes.plot([0, right], [0, right], color=SOFT, lw=0.8, zorder=0)
    axes.set(xlim=(0, right), ylim=(0, top))
    axes.set_xlabel("measured ln T1/T3")
    axes.set_ylabel("predicted ln T1/T3")
    axes.set_title("three predictions from the same diagonal", loc="left", color=SOFT)
    axes.legend(frameon=False, fontsize="small", loc="lower right", handletextpad=0.2)
    bare(axes, "left", "bottom")
