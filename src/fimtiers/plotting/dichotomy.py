"""The dichotomy: the tier ratio of every seed of every system, with intervals, beside published."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from fimtiers.plotting.layout import (
    EDGE,
    Headline,
    add_axes,
    legend_line,
    new_figure,
    widest,
    write_right,
)
from fimtiers.plotting.style import (
    COLOURS,
    GROUP_NAMES,
    INK,
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
ROW_HEIGHT = 0.38
ABOVE, BELOW = 0.34, 0.78
INFINITE_STRIP = 0.55
HEADING = "geometric mean (95 %, Student's t)"
QUANTITY = "tier ratio, mean of the top 1 % of F over mean of the bottom 50 %"
CROWDED, NAME_ROOM = 0.6, 0.35
"""Right of the first fraction of the axis a name is written left, if so much room is there."""
CAP = 0.09
"""Half the height of the ends of Student's t intervals, in rows."""
DEFINITIONS = {
    "true": "F is the Fisher information of a likelihood for",
    "loss": "F is the mean square of the loss gradient at given targets for",
    "response": "F is a mean squared response for",
}
SEEDS, MEASURED, PUBLISHED = 0.16, -0.14, -0.34
"""Height of the three lanes over the middle of a row, in rows."""
SEED_LANE = 0.26


@figure_style()
def draw_dichotomy(
    observations: pd.DataFrame,
    intervals: pd.DataFrame,
    published: pd.DataFrame,
    labels: Mapping[str, str],
    threshold: float,
    subtitle: str,
    quantity: str = QUANTITY,
) -> Figure:
    """Draw one row per system: every seed, the intervals, and the published interval below.

    Parameters
    ----------
    observations
        ``system``, ``group``, ``point``, ``seed``, ``value`` (tier ratio, possibly infinite); with
        a column ``positive_ratio``, infinite values are drawn over positive entries too, hollow.
    intervals
        One row per system: ``system``, ``group``, ``geometric_mean``, ``low``, ``high`` (by the
        bootstrap), ``t_low``, ``t_high`` (Student's t over seeds).
    published
        ``system`` (name in this study), ``geometric_mean``, ``low``, ``high``; systems may lack.
    labels
        What to call each system.
    threshold
        Tier ratio of the published line.
    subtitle
        What kind of values these are.
    quantity
        What is on the axis.

    Returns
    -------
    Figure
        Rows ascend by geometric mean. Infinite values stand in a strip of their own, right of a
        broken axis.

    Raises
    ------
    ValueError
        If there is no observation.
    """
    if observations.empty:
        raise ValueError("no observations; expected at least one system with one seed")
    rows = intervals.sort_values("geometric_mean", kind="stable").reset_index(drop=True)
    texts = {row["system"]: _mean_text(row, observations) for _, row in rows.iterrows()}
    label_room = widest([labels[name] for name in rows["system"]], NORMAL)
    text_room = widest([*texts.values(), HEADING], SMALL)
    infinite = _has_infinite(observations, intervals)
    body = len(rows) * ROW_HEIGHT + ABOVE + BELOW
    figure = new_figure(WIDTH, body, Headline(_message(observations, labels), subtitle))
    right = WIDTH - EDGE - text_room - 0.15
    edge = right - INFINITE_STRIP if infinite else right
    bottom, top = BELOW, BELOW + len(rows) * ROW_HEIGHT
    axes = add_axes(figure, EDGE + label_room + 0.12, bottom, edge, top)
    strip = add_axes(figure, edge, bottom, right, top) if infinite else None
    drawn = [observations["value"], published["high"], _over_positive(observations), [threshold]]
    _frame(axes, strip, rows, _limits(np.concatenate(drawn)), labels)
    axes.set_xlabel(quantity)
    for y, row in rows.iterrows():
        _draw_row(axes, strip, float(y), row, observations[observations["system"] == row["system"]])
        _draw_published(axes, float(y), published[published["system"] == row["system"]])
        write_right(strip or axes, float(y), texts[row["system"]], COLOURS[row["group"]])
    write_right(strip or axes, len(rows) - 0.5 + ABOVE / 2 / ROW_HEIGHT, HEADING, SOFT)
    _mark(axes, observations, threshold)
    _legend(figure, not published.empty, len(_over_positive(observations)) > 0)
    return figure


def describe_dichotomy(
    observations: pd.DataFrame,
    intervals: pd.DataFrame,
    threshold: float,
    labels: Mapping[str, str],
) -> str:
    """Say in sentences what the figure shows, for its caption."""
    deep, rest = (observations[observations["group"] == group] for group in ("deep", "rest"))
    infinite = observations[np.isinf(observations["value"])]
    sentences = [
        f"{_message(observations, labels)}.",
        f"{len(observations)} values of {intervals['system'].nunique()} systems: "
        f"{len(deep)} deep, {len(rest)} other.",
        f"{int((deep['value'] > threshold).sum())} of {len(deep)} deep values are above "
        f"{format_number(threshold)}, as are {int((rest['value'] > threshold).sum())} of "
        f"{len(rest)} others.",
    ]
    if len(infinite):
        sentences.append(
            f"{len(infinite)} values are infinite, since their tier 3 is exactly zero; "
            "they are drawn beyond the broken axis."
        )
        positive = _over_positive(observations)
        if len(positive):
            sentences.append(
                f"Over the entries that are not zero these are {format_number(positive.min())} to "
                f"{format_number(positive.max())}, geometric mean "
                f"{format_number(np.exp(np.log(positive).mean()))}: the hollow dots."
            )
    if "definition" in observations:
        known = observations.drop_duplicates(["system", "definition"])
        for definition, words in DEFINITIONS.items():
            systems = known.loc[known["definition"] == definition, "system"]
            if len(systems):
                sentences.append(f"{words}: {'; '.join(labels[name] for name in systems)}.")
    return " ".join(sentences)


def _message(observations: pd.DataFrame, labels: Mapping[str, str]) -> str:
    deep = observations.loc[observations["group"] == "deep", "value"]
    rest = observations.loc[observations["group"] == "rest", "value"]
    if deep.empty or rest.empty:
        return "Tier ratio of every seed"
    if deep.min() > rest.max():
        return (
            "Every deep value exceeds every other, at the closest by a factor of "
            f"{format_number(deep.min() / rest.max())}"
        )
    finite = rest[np.isfinite(rest)]
    largest = labels[observations.loc[finite.idxmax(), "system"]]
    kind = "largest" if len(finite) == len(rest) else "largest finite"
    return (
        f"The groups overlap: {int((deep <= finite.max()).sum())} of {len(deep)} deep values do "
        f"not exceed the {kind} other, {format_number(finite.max())} ({largest})"
    )


def _has_infinite(observations: pd.DataFrame, intervals: pd.DataFrame) -> bool:
    bounds = intervals[["geometric_mean", "high"]].to_numpy()
    return bool(np.isinf(observations["value"]).any() or np.isinf(bounds).any())


def _limits(values: NDArray[np.float64]) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return finite.min() / 1.4, finite.max() * 2


def _frame(
    axes: Axes,
    strip: Axes | None,
    rows: pd.DataFrame,
    limits: tuple[float, float],
    labels: Mapping[str, str],
) -> None:
    axes.set(xscale="log", xlim=limits, ylim=(-0.5, len(rows) - 0.5))
    decades(axes.xaxis)
    bare(axes, "bottom")
    axes.set_yticks(range(len(rows)), [labels[name] for name in rows["system"]], size=NORMAL)
    for tick, group in zip(axes.get_yticklabels(), rows["group"], strict=True):
        tick.set_color(COLOURS[group])
    for part in (axes, strip) if strip else (axes,):
        for y in range(0, len(rows), 2):
            part.axhspan(y - 0.5, y + 0.5, color="#F6F6F6", lw=0, zorder=0)
    if strip:
        strip.set(xlim=(0, 1), ylim=axes.get_ylim(), xticks=[0.5], yticks=[])
        strip.set_xticklabels(["∞"], size=NORMAL)
        bare(strip, "bottom")
        strip.axvline(0.05, color=SOFT, lw=0.7, ls=(0, (1, 2)))
        _break(axes)


def _break(axes: Axes) -> None:
    """Mark with two strokes where the axis is broken."""
    for x in (0.997, 1.003):
        stroke: Style = {
            "marker": [(-0.4, -1), (0.4, 1)],
            "markersize": 7,
            "mew": 0.8,
            "ls": "none",
        }
        axes.plot(x, 0, transform=axes.transAxes, color=SOFT, clip_on=False, zorder=9, **stroke)


def _draw_row(
    axes: Axes, strip: Axes | None, y: float, row: "pd.Series", seeds: pd.DataFrame
) -> None:
    colour = COLOURS[row["group"]]
    heights = y + SEEDS + _lanes(len(seeds))
    values = seeds["value"].to_numpy()
    dots: Style = {"s": 9, "color": colour, "alpha": 0.75, "lw": 0, "clip_on": False, "zorder": 3}
    finite = np.isfinite(values)
    axes.scatter(values[finite], heights[finite], **dots)
    if strip and not finite.all():
        strip.scatter(np.full((~finite).sum(), 0.5), heights[~finite], **dots)
        if "positive_ratio" in seeds:
            hollow: Style = {"s": 9, "facecolor": "white", "edgecolor": colour, "lw": 0.8}
            over_positive = seeds["positive_ratio"].to_numpy()
            axes.scatter(over_positive[~finite], heights[~finite], zorder=3, **hollow)
    # An infinite mean has no interval: resampled means of infinite values are infinite.
    if np.isfinite(row["low"]):
        _span(axes, strip, row["low"], row["high"], y + MEASURED, colour)
    _student(axes, row["t_low"], row["t_high"], y + MEASURED)
    mean = row["geometric_mean"]
    target, x = (axes, mean) if np.isfinite(mean) else (strip, 0.5)
    if target:
        target.plot(x, y + MEASURED, "D", ms=3.4, color=colour, mew=0, zorder=6)


def _lanes(count: int) -> NDArray[np.float64]:
    """Give every seed its own height, points of a sweep from top to bottom."""
    return np.linspace(SEED_LANE / 2, -SEED_LANE / 2, count) if count > 1 else np.zeros(1)


def _span(axes: Axes, strip: Axes | None, low: float, high: float, y: float, colour: str) -> None:
    """Draw a bootstrap interval; an infinite end reaches across the break."""
    line: Style = {"color": colour, "alpha": 0.55, "lw": 3.4, "solid_capstyle": "butt", "zorder": 4}
    axes.plot([low, high if np.isfinite(high) else axes.get_xlim()[1]], [y, y], **line)
    if strip and np.isinf(high):
        strip.plot([0.0, 0.7], [y, y], **line)


def _student(axes: Axes, low: float, high: float, y: float) -> None:
    """Draw Student's t interval, its ends marked where they lie on the axis."""
    if np.isnan(low):
        return
    left, right = axes.get_xlim()
    line: Style = {"color": INK, "lw": 0.8, "solid_capstyle": "butt", "zorder": 5}
    axes.plot(np.clip([low, high], left, right), [y, y], **line)
    for end in (low, high):
        if left <= end <= right:
            axes.plot([end, end], [y - CAP, y + CAP], **line)


def _over_positive(observations: pd.DataFrame) -> NDArray[np.float64]:
    """Return the ratios over positive entries of the seeds whose ratio is infinite."""
    if "positive_ratio" not in observations:
        return np.empty(0)
    infinite = np.isinf(observations["value"].to_numpy())
    return observations.loc[infinite, "positive_ratio"].to_numpy(dtype=np.float64)


def _draw_published(axes: Axes, y: float, published: pd.DataFrame) -> None:
    for _, row in published.iterrows():
        height = y + PUBLISHED
        axes.plot([row["low"], row["high"]], [height, height], color=SOFT, lw=0.9, zorder=4)
        marker: Style = {"ms": 4.2, "mfc": "white", "mec": SOFT, "mew": 0.9, "zorder": 5}
        axes.plot(row["geometric_mean"], height, "D", **marker)


def _mean_text(row: "pd.Series", observations: pd.DataFrame) -> str:
    mean, low, high = (format_number(row[name]) for name in ("geometric_mean", "t_low", "t_high"))
    if np.isinf(row["geometric_mean"]):
        own = observations[observations["system"] == row["system"]]
        positive = _over_positive(own)
        all_infinite = len(positive) == len(own) and len(own)
        if not all_infinite:
            return f"∞ ({len(positive)} of {len(own)})" if len(positive) else "∞"
        return f"∞ (not zero: {format_number(np.exp(np.log(positive).mean()))})"
    return mean if low == high or np.isnan(row["t_low"]) else f"{mean} ({low} – {high})"


def _mark(axes: Axes, observations: pd.DataFrame, threshold: float) -> None:
    """Draw the threshold and the largest value outside the deep group."""
    rest = observations.loc[observations["group"] != "deep", "value"]
    finite = rest[np.isfinite(rest)]
    largest = finite.max() if len(finite) else np.nan
    _upright(axes, threshold, f"threshold {format_number(threshold)}", INK, not threshold < largest)
    if len(finite):
        text = f"largest other {format_number(largest)}"
        _upright(axes, largest, text, COLOURS["rest"], _right_of(axes, threshold, largest))


def _right_of(axes: Axes, threshold: float, largest: float) -> bool:
    """Whether the name of the larger line goes right of it, not where the means are written."""
    low, high = np.log(axes.get_xlim())
    first, second = ((np.log(x) - low) / (high - low) for x in (threshold, largest))
    return bool(first < second and (second < CROWDED or second - first < NAME_ROOM))


def _upright(axes: Axes, x: float, text: str, colour: str, label_right: bool) -> None:
    axes.axvline(x, color=colour, lw=0.8, ls=(0, (4, 2)), zorder=1)
    place: Style = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    side: Style = (
        {"ha": "left", "xytext": (3, 4)} if label_right else {"ha": "right", "xytext": (-3, 4)}
    )
    axes.annotate(text, (x, 1), size=SMALL, color=colour, **place, **side)


def _legend(figure: Figure, with_published: bool, with_positive: bool) -> None:
    handles = [
        Line2D([], [], ls="none", marker="o", ms=3.4, color=COLOURS[group], label=f"seed, {name}")
        for group, name in GROUP_NAMES.items()
        if group != "reference"
    ]
    if with_positive:
        hollow: Style = {"ls": "none", "marker": "o", "ms": 3.4, "mfc": "white", "mew": 0.8}
        handles.append(Line2D([], [], color=COLOURS["deep"], label="over nonzero F", **hollow))
    handles += [
        Line2D([], [], marker="D", ms=3.4, lw=3.4, color=SOFT, label="mean, bootstrap"),
        Line2D([], [], lw=0.8, color=INK, marker="|", ms=5, label="Student's t"),
    ]
    if with_published:
        style: Style = {
            "marker": "D",
            "ms": 4.2,
            "mfc": "white",
            "mec": SOFT,
            "color": SOFT,
            "lw": 0.9,
        }
        handles.append(Line2D([], [], label="published", **style))
    legend_line(figure, handles)
