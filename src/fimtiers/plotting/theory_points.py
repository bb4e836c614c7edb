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
from fimtiers.statistics.prediction_errors import WIDE, finite_runs
from fimtiers.theory.log_normal import log_tier_ratio, small_variance_log_ratio

NAMES = {
    "sqrt_variance": "√v law",
    "log_normal": "exact log-normal",
    "layer_mixture": "mixture of layers",
}
WIDTH, HEIGHT = 7.2, 3.0
LEFT, BELOW, ABOVE, BETWEEN = 0.55, 0.8, 0.3, 0.75
FINE = 400


@figure_style()
def draw_theory_points(
    runs: pd.DataFrame,
    predictions: pd.DataFrame,
    panels: Mapping[str, Sequence[str]],
    subtitle: str,
) -> Figure:
    """Draw ln T1/T3 against Var[ln F], and the error of each prediction of every run.

    Parameters
    ----------
    runs
        ``sweep``, ``tier_ratio``, ``log_variance`` and the ``predicted_*`` columns.
    predictions
        Errors by sweep, as `fimtiers.statistics.prediction_errors.prediction_errors` gives them.
    panels
        Name of each family of sweeps to the sweeps in it; each has a colour.
    subtitle
        What kind of values these are.
    """
    used = with_families(runs, panels)
    headline = Headline(theory_message(predictions, panels), subtitle)
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


def with_families(runs: pd.DataFrame, panels: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return the runs of these sweeps with a finite ratio and a variance, with their family."""
    family = {name: title for title, shown in panels.items() for name in shown}
    used = finite_runs(runs[runs["sweep"].isin(family)])
    return used.assign(family=used["sweep"].map(family))


def theory_message(predictions: pd.DataFrame, panels: Mapping[str, Sequence[str]]) -> str:
    """Say for how many sweeps each prediction holds, for small variances and for large ones."""
    own = _shown(predictions, panels)
    kinds = {"small": f"while Var[ln F] ≤ {WIDE:g}", "large": "beyond"}
    kinds = {kind: where for kind, where in kinds.items() if kind in own["variance"].unique()}
    parts = []
    for number, (prediction, name) in enumerate(NAMES.items()):
        counts = []
        for kind, where in kinds.items():
            holds = own[(own["prediction"] == prediction) & (own["variance"] == kind)]["holds"]
            counts.append(
                f"{holds.sum()} of {len(holds)} {where}" if not number else f"{holds.sum()}"
            )
        parts.append(f"{name} {' and '.join(counts)}")
    return "Sweeps whose T1/T3 is predicted to a factor of two, in their median: " + "; ".join(
        parts
    )


def describe_theory_points(
    predictions: pd.DataFrame, panels: Mapping[str, Sequence[str]], labels: Mapping[str, str]
) -> str:
    """Say in sentences what the figure shows, for its caption: every sweep, and its worst run."""
    own = _shown(predictions, panels)
    sentences = [f"{theory_message(predictions, panels)}."]
    for kind, where in (("small", f"Var[ln F] ≤ {WIDE:g}"), ("large", "beyond")):
        for prediction, name in NAMES.items():
            rows = own[(own["prediction"] == prediction) & (own["variance"] == kind)]
            parts = [
                f"{labels[row['sweep']]} {row['median']:.1f} ({row['worst']:.1f})"
                for row in rows.to_dict("records")
            ]
            if parts:
                sentences.append(
                    f"{name}, {where}, median error (worst), nats: {', '.join(parts)}."
                )
    return " ".join(sentences)


def _shown(predictions: pd.DataFrame, panels: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    names = [name for shown in panels.values() for name in shown]
    return predictions[predictions["sweep"].isin(names)]


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
    if low < WIDE < high:
        axes.axvline(WIDE, color=SOFT, lw=0.7, ls=":", zorder=0)
    axes.set(xscale="log", xlim=(low, high), ylim=(0, 1.1 * used["log_ratio"].max()))
    axes.set_xlabel("v = Var[ln F], nats²")
    axes.set_ylabel("ln T1/T3")
    axes.set_title("measured, and two laws of v", loc="left", color=SOFT)
    decades(axes.xaxis)
    bare(axes, "left", "bottom")


def _draw_predictions(axes: Axes, used: pd.DataFrame) -> None:
    # Not the colours of the families at the left, which mean something else.
    styles: dict[str, Style] = {
        "sqrt_variance": {"color": CURVES[3], "marker": "v"},
        "log_normal": {"color": CURVES[4], "marker": "s"},
        "layer_mixture": {"color": INK, "marker": "o"},
    }
    right, top = 1.05 * used["log_ratio"].max(), 0.0
    for name, style in styles.items():
        column = f"predicted_{name}"
        shown = used[np.isfinite(used[column])]
        top = max(top, 1.05 * shown[column].max())
        dots: Style = {"s": 8, "lw": 0, "alpha": 0.5, "label": NAMES[name], **style}
        axes.scatter(shown["log_ratio"], shown[column], **dots)
    axes.plot([0, right], [0, right], color=SOFT, lw=0.8, zorder=0)
    axes.set(xlim=(0, right), ylim=(0, top))
    axes.set_xlabel("measured ln T1/T3")
    axes.set_ylabel("predicted ln T1/T3")
    axes.set_title("three predictions from the same diagonal", loc="left", color=SOFT)
    axes.legend(frameon=False, fontsize="small", loc="lower right", handletextpad=0.2)
    bare(axes, "left", "bottom")
