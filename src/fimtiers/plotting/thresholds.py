"""How sharp the threshold on the tier ratio is: accuracy, ROC curve, and the window it must hit."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fimtiers.plotting.layout import (
    EDGE,
    POINTS_PER_INCH,
    Headline,
    add_axes,
    legend_line,
    new_figure,
    spread,
    widest,
    write_right,
)
from fimtiers.plotting.style import (
    COLOURS,
    FAINT,
    INK,
    NORMAL,
    SMALL,
    SOFT,
    Style,
    bare,
    decades,
    figure_style,
    format_number,
    format_percent,
)

WIDTH = 7.2
PANEL_HEIGHT = 2.1
ROW_HEIGHT = 0.19
ABOVE, BETWEEN, BELOW = 0.32, 1.1, 0.5
LEFT, RIGHT = 0.62, 0.22
CURVE_LABELS = 1.65
"""Room for the names of the curves and the axis labels of the ROC curve."""
LABEL_GAP = 0.15
LEGEND_DROP = 0.72
CURVES = {
    "sensitivity": COLOURS["deep"],
    "specificity": COLOURS["rest"],
    "balanced_accuracy": INK,
}
WINDOW = "#F0E442"
"""Yellow of the palette of Okabe and Ito (2008)."""
HEADING = "dropped values called right"
TIE = 1e-12


@figure_style()
def draw_thresholds(
    roc: pd.DataFrame,
    thresholds: pd.DataFrame,
    published: pd.DataFrame,
    windows: pd.DataFrame,
    labels: Mapping[str, str],
    threshold: float,
    subtitle: str,
) -> Figure:
    """Draw the accuracy of every threshold, the ROC curve, and the window without each system.

    Parameters
    ----------
    roc
        ``threshold``, ``false_positive_rate``, ``true_positive_rate``, threshold falling.
    thresholds, published
        ``threshold``, ``sensitivity``, ``specificity``, ``balanced_accuracy``: from the real
        values, and as published, from made-up ones; the published table may be empty.
    windows
        The best thresholds with one system dropped: ``dropped``, ``group``, ``threshold_low``,
        ``threshold_high``, ``n_dropped``, ``dropped_correct``.
    labels
        What to call each system.
    threshold
        Tier ratio of the published line.
    subtitle
        What kind of values these are.

    Raises
    ------
    ValueError
        If the ROC curve is empty.
    """
    if roc.empty:
        raise ValueError("the ROC curve is empty; expected at least one threshold")
    steps = accuracy_steps(roc)
    rows = windows.assign(width=_width(windows)).sort_values("width", kind="stable")
    lower = len(rows) * ROW_HEIGHT
    body = BELOW + lower + BETWEEN + PANEL_HEIGHT + ABOVE
    figure = new_figure(WIDTH, body, Headline(_message(steps), subtitle))
    bottom = BELOW + lower + BETWEEN
    top = bottom + PANEL_HEIGHT
    split = WIDTH - RIGHT - PANEL_HEIGHT
    _draw_accuracy(
        add_axes(figure, LEFT, bottom, split - CURVE_LABELS, top),
        steps,
        thresholds,
        published,
        threshold,
    )
    _draw_roc(add_axes(figure, split, bottom, split + PANEL_HEIGHT, top), roc, threshold)
    label_room = widest([labels[name] for name in rows["dropped"]], SMALL)
    left, right = EDGE + label_room + 0.1, WIDTH - EDGE - widest([HEADING], SMALL) - 0.12
    _draw_windows(add_axes(figure, left, BELOW, right, BELOW + lower), steps, rows, labels)
    _legend(figure, bottom, not published.empty)
    return figure


def describe_thresholds(
    roc: pd.DataFrame,
    thresholds: pd.DataFrame,
    windows: pd.DataFrame,
    labels: Mapping[str, str],
    threshold: float,
) -> str:
    """Say in sentences what the figure shows, for its caption."""
    steps = accuracy_steps(roc)
    sentences = [f"{_message(steps)}."]
    for _, row in thresholds[thresholds["threshold"] == threshold].iterrows():
        sentences.append(
            f"At {format_number(threshold)}, {row['deep_above']:.0f} of {row['n_deep']:.0f} deep "
            f"values are above and {row['rest_below']:.0f} of {row['n_rest']:.0f} others below."
        )
    if len(windows):
        widest_window = windows.loc[_width(windows).idxmax()]
        sentences.append(
            f"The window depends on single systems: it is widest, "
            f"{_window_text(widest_window['threshold_low'], widest_window['threshold_high'])}, "
            f"without {labels[widest_window['dropped']]}."
        )
        wrong = windows[windows["dropped_correct"] < windows["n_dropped"]]
        names = ", ".join(
            f"{labels[row['dropped']]} ({row['dropped_correct']} of {row['n_dropped']} right)"
            for _, row in wrong.iterrows()
        )
        sentences.append(
            f"A threshold chosen without a system misjudges values of it for: {names}."
            if len(wrong)
            else "A threshold chosen without any one system still judges that system right."
        )
    return " ".join(sentences)


def accuracy_steps(roc: pd.DataFrame) -> pd.DataFrame:
    """Turn a ROC curve into steps over the threshold.

    Returns
    -------
    DataFrame
        Ascending: ``low``, ``high`` (the rates hold for thresholds above low and up to high),
        ``sensitivity``, ``specificity``, ``balanced_accuracy``.
    """
    rising = roc.dropna(subset=["threshold"]).sort_values("threshold")
    highs = rising["threshold"].to_numpy()
    sensitivity = rising["true_positive_rate"].to_numpy()
    specificity = 1 - rising["false_positive_rate"].to_numpy()
    if np.isfinite(highs[-1]):  # above the largest value nothing is called deep
        highs = np.append(highs, np.inf)
        sensitivity, specificity = np.append(sensitivity, 0.0), np.append(specificity, 1.0)
    return pd.DataFrame(
        {
            "low": np.concatenate([[0.0], highs[:-1]]),
            "high": highs,
            "sensitivity": sensitivity,
            "specificity": specificity,
            "balanced_accuracy": (sensitivity + specificity) / 2,
        }
    )


def _best(steps: pd.DataFrame) -> "pd.Series[float]":
    """Return the step of highest balanced accuracy, the widest if there are several."""
    accuracy = steps["balanced_accuracy"]
    best = steps[np.isclose(accuracy, accuracy.max(), rtol=0, atol=TIE)]
    widths = np.log(best["high"]) - np.log(best["low"].clip(lower=np.finfo(float).tiny))
    return best.loc[widths.idxmax()]


def _message(steps: pd.DataFrame) -> str:
    best = _best(steps)
    where = _window_text(best["low"], best["high"])
    if best["balanced_accuracy"] >= 1 - TIE:
        return f"Only a threshold {where} tells all values apart"
    accuracy = format_percent(best["balanced_accuracy"])
    return f"No threshold tells all values apart: the best, {where}, reach {accuracy}"


def _window_text(low: float, high: float) -> str:
    if np.isinf(high):
        return f"above {format_number(low)}"
    if low <= 0:
        return f"below {format_number(high)}"
    factor = format_number(high / low)
    return f"from {format_number(low)} to {format_number(high)} (a factor of {factor})"


def _width(windows: pd.DataFrame) -> "pd.Series[float]":
    return np.log(windows["threshold_high"]) - np.log(windows["threshold_low"])


def _draw_accuracy(
    axes: Axes,
    steps: pd.DataFrame,
    thresholds: pd.DataFrame,
    published: pd.DataFrame,
    threshold: float,
) -> None:
    limits = _limits(steps, thresholds["threshold"])
    edges = np.concatenate([[limits[0]], steps["high"].clip(upper=limits[1])])
    for name, colour in CURVES.items():
        axes.stairs(steps[name], edges, baseline=None, color=colour, lw=1.4, zorder=3)
    dots: Style = {"marker": "o", "ls": "none", "ms": 4, "clip_on": False}
    for table, face, order in ((published, "white", 4), (thresholds, None, 5)):
        for name, colour in CURVES.items():
            style: Style = {"mfc": face or colour, "mec": colour, "mew": 1.0, "zorder": order}
            axes.plot(table["threshold"], table[name], **dots, **style)
    axes.set(xscale="log", xlim=limits, ylim=(0, 1.02), ylabel="share called right")
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.set_xlabel("threshold on the tier ratio")
    decades(axes.xaxis)
    bare(axes, "left", "bottom")
    _shade(axes, _best(steps))
    _rule(axes, threshold, f"threshold {format_number(threshold)}")
    ends = [float(steps[name][steps["low"] < limits[1]].iloc[-1]) for name in CURVES]
    gap = LABEL_GAP / PANEL_HEIGHT
    for (name, colour), height in zip(CURVES.items(), spread(ends, gap, 0, 1), strict=True):
        place: Style = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "center"}
        text = name.replace("_", " ")
        axes.annotate(text, (1, height), xytext=(5, 0), size=SMALL, color=colour, **place)


def _limits(steps: pd.DataFrame, thresholds: "pd.Series[float]") -> tuple[float, float]:
    values = np.concatenate([steps["high"], thresholds])
    finite = values[np.isfinite(values)]
    return finite.min() / 1.5, finite.max() * 2


def _shade(axes: Axes, best: "pd.Series[float]") -> None:
    low, high = axes.get_xlim()
    window = (max(best["low"], low), min(best["high"], high))
    axes.axvspan(*window, color=WINDOW, lw=0.8, zorder=0)


def _rule(axes: Axes, threshold: float, text: str) -> None:
    axes.axvline(threshold, color=INK, lw=0.8, ls=(0, (4, 2)), zorder=1)
    place: Style = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    axes.annotate(text, (threshold, 1), xytext=(0, 5), ha="center", size=SMALL, **place)


def _draw_roc(axes: Axes, roc: pd.DataFrame, threshold: float) -> None:
    false, true = roc["false_positive_rate"], roc["true_positive_rate"]
    axes.plot([0, 1], [0, 1], color=FAINT, lw=0.8)
    axes.plot(false, true, color=INK, lw=1.4, clip_on=False, zorder=3)
    at = roc[~(roc["threshold"] < threshold)].iloc[-1]
    place = (at["false_positive_rate"], at["true_positive_rate"])
    axes.plot(*place, "o", ms=5, mfc="white", mec=INK, clip_on=False, zorder=4)
    style: Style = {"textcoords": "offset points", "size": SMALL}
    axes.annotate(f"threshold {format_number(threshold)}", place, xytext=(7, -10), **style)
    area = np.trapezoid(true, false)
    axes.text(0.96, 0.06, f"area {area:.4f}".rstrip("0").rstrip("."), ha="right", size=NORMAL)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="1 − specificity", ylabel="sensitivity")
    axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes.set_title("ROC curve", loc="left", size=SMALL, color=SOFT)
    bare(axes, "left", "bottom")


def _draw_windows(
    axes: Axes, steps: pd.DataFrame, rows: pd.DataFrame, labels: Mapping[str, str]
) -> None:
    ends = rows[["threshold_low", "threshold_high"]].to_numpy()
    finite = ends[np.isfinite(ends)]
    decade = np.log10([finite.min() / 1.1, finite.max() * 1.1])
    limits = 10 ** np.array([np.floor(decade[0]), np.ceil(decade[1])])
    axes.set(xscale="log", xlim=limits, ylim=(-0.6, len(rows) - 0.4))
    high_edge = axes.get_xlim()[1]
    _shade(axes, _best(steps))
    for y, (_, row) in enumerate(rows.iterrows()):
        colour = COLOURS[row["group"]]
        low, high = row["threshold_low"], min(row["threshold_high"], high_edge)
        axes.plot([low, high], [y, y], color=colour, lw=3, solid_capstyle="butt", zorder=3)
        axes.plot([low, low, high, high], [y] * 4, "|", color=colour, ms=5, mew=1.0, zorder=4)
        right = f"{row['dropped_correct']} of {row['n_dropped']}"
        write_right(axes, y, right, colour)
    axes.set_yticks(range(len(rows)), [labels[name] for name in rows["dropped"]], size=SMALL)
    for tick, group in zip(axes.get_yticklabels(), rows["group"], strict=True):
        tick.set_color(COLOURS[group])
    decades(axes.xaxis)
    axes.set_xlabel("best thresholds without the system, by the values of all others")
    axes.set_title("Window with one system dropped", loc="left", size=SMALL, color=SOFT)
    write_right(axes, len(rows) - 0.4 + 6 / POINTS_PER_INCH / ROW_HEIGHT, HEADING, SOFT)
    bare(axes, "bottom")


def _legend(figure: Figure, bottom: float, with_published: bool) -> None:
    dot: Style = {"marker": "o", "ms": 4, "ls": "none", "mec": INK}
    handles: list[Artist] = [
        Line2D([], [], color=INK, label="measured, from every seed"),
        Line2D([], [], mfc=INK, label="measured, at the published thresholds", **dot),
    ]
    if with_published:
        handles.append(Line2D([], [], mfc="white", label="published, from made-up values", **dot))
    handles.append(Patch(color=WINDOW, lw=0, label="best thresholds"))
    legend_line(figure, handles, bottom - LEGEND_DROP)
