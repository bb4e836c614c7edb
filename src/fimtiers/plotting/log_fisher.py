"""The distribution of log F of every system, with its tiers and its zeros."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
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
    FAINT,
    GROUP_NAMES,
    INK,
    NORMAL,
    SMALL,
    SOFT,
    Style,
    bare,
    figure_style,
    format_number,
    format_percent,
    power_of_ten,
)
from fimtiers.tiers.ratio import BOTTOM_PERCENT, TOP_PERCENT, cut_tiers, tier_size, zero_fraction

BINS_PER_DECADE = 8
ROUNDING = 9
"""Decimals of log₁₀ F / T1, so that equal values do not fall on both sides of an edge."""
TIERS = ("bottom 50 %", "middle", "top 1 %")

WIDTH = 7.2
ROW_HEIGHT = 0.42
ABOVE, BELOW = 0.32, 0.82
ZERO_STRIP = 0.62
RIDGE = 0.80
"""Height of the tallest bin of a row, in rows."""
STRIP_GAP = 0.3
MIDDLE_TINT = 0.6
"""White mixed into the colour of the group for the middle of the parameters."""
BEYOND = 1e-3
"""Fraction of a system's parameters that may lie left of the axis, where it is written."""
MARGIN = 0.3
TICK_STEPS = (1, 2, 5, 10, 20)
MOST_TICKS = 10
HEADING = "tier ratio"
OTHER_RULE = "† is not the ratio of the marked means."


def tabulate_log_fisher(
    diagonals: Iterable[tuple[str, Iterable[NDArray[Any]]]],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Count F by decade and tier, every diagonal in units of the mean of its own tier 1.

    Parameters
    ----------
    diagonals
        Name of each system and F at each of its points, not negative, shape (seed, parameter).

    Returns
    -------
    histogram
        ``system``, ``tier``, ``low`` and ``high`` (log₁₀ of F / T1 at the edges of the bin) and
        ``fraction`` of the parameters, averaged over points and seeds. Zeros count among the
        parameters but are in no bin.
    summary
        ``system``, ``log10_ratio`` (mean over points and seeds of log₁₀ T1 / T3, infinite if any
        T3 is zero), ``infinite_fraction`` of points and seeds with such a T3, ``zero_fraction``.

    Raises
    ------
    ValueError
        If a diagonal is zero everywhere, so that there is no unit.
    """
    histograms, summaries = [], []
    for system, points in diagonals:
        rows = [row for fim in points for row in np.asarray(fim, dtype=np.float64)]
        if not rows or not all(row.any() for row in rows):
            raise ValueError(f"system {system!r} has no Fisher diagonal, or one that is all zero")
        counts: dict[tuple[int, int], float] = {}
        for row in rows:
            for key, fraction in _fractions(row).items():
                counts[key] = counts.get(key, 0.0) + fraction / len(rows)
        keys = sorted(counts)
        table = pd.DataFrame(keys, columns=["tier", "low"]).assign(
            system=system, fraction=[counts[key] for key in keys]
        )
        table["tier"] = table["tier"].map(dict(enumerate(TIERS)))
        table["high"] = (table["low"] + 1) / BINS_PER_DECADE
        table["low"] = table["low"] / BINS_PER_DECADE
        histograms.append(table[["system", "tier", "low", "high", "fraction"]])
        ratios = np.array([float(cut_tiers(row).ratio) for row in rows])
        summaries.append(
            {
                "system": system,
                "log10_ratio": np.log10(ratios).mean(),
                "infinite_fraction": np.isinf(ratios).mean(),
                "zero_fraction": np.mean([zero_fraction(row) for row in rows]),
            }
        )
    return pd.concat(histograms, ignore_index=True), pd.DataFrame(summaries)


@figure_style()
def draw_log_fisher(
    histogram: pd.DataFrame,
    summary: pd.DataFrame,
    labels: Mapping[str, str],
    groups: Mapping[str, str],
    values: pd.DataFrame,
    subtitle: str,
) -> Figure:
    """Draw one ridge per system, its tiers told apart by tint, its zeros in a strip at the left.

    Parameters
    ----------
    histogram, summary
        From `tabulate_log_fisher`.
    labels, groups
        What to call each system, and its claimed group.
    values
        ``system``, ``group`` and ``value``, the tier ratio of every seed in this panel. It is what
        is written; where the panel's rule differs from T1 / T3, the row is marked.
    subtitle
        What kind of values these are.

    Returns
    -------
    Figure
        Rows ascend by tier ratio. The largest bins of all rows are equally high.

    Raises
    ------
    ValueError
        If there is no system.
    """
    if summary.empty:
        raise ValueError("no systems; expected the Fisher diagonals of at least one")
    rows = summary.sort_values("log10_ratio", kind="stable").reset_index(drop=True)
    texts = {row["system"]: _ratio_text(row, values) for _, row in rows.iterrows()}
    label_room = widest([labels[name] for name in rows["system"]], NORMAL)
    text_room = widest([HEADING, *texts.values()], SMALL)
    figure = new_figure(
        WIDTH,
        len(rows) * ROW_HEIGHT + ABOVE + BELOW,
        Headline(_message(values), subtitle),
    )
    left, right = EDGE + label_room + 0.12, WIDTH - EDGE - text_room - 0.12
    bottom, top = BELOW, BELOW + len(rows) * ROW_HEIGHT
    strip = add_axes(figure, left, bottom, left + ZERO_STRIP, top)
    axes = add_axes(figure, left + ZERO_STRIP + STRIP_GAP, bottom, right, top)
    _frame(strip, axes, histogram, rows, labels, groups)
    for y, row in rows.iterrows():
        colour = COLOURS[groups[row["system"]]]
        own = histogram[histogram["system"] == row["system"]]
        _draw_ridge(axes, float(y), own, colour)
        _note_beyond(axes, float(y), own)
        _draw_zeros(strip, float(y), row["zero_fraction"], colour)
        _draw_bottom_mean(strip, axes, float(y), row["log10_ratio"])
        write_right(axes, float(y) + 0.2, texts[row["system"]], colour)
    _head(strip, axes, len(rows))
    _legend(figure)
    return figure


def describe_log_fisher(
    summary: pd.DataFrame, labels: Mapping[str, str], values: pd.DataFrame
) -> str:
    """Say in sentences what the figure shows, for its caption."""
    with_zeros = summary[summary["zero_fraction"] > 0]
    sentences = [f"{_message(values)}."]
    if len(with_zeros):
        most = with_zeros.loc[with_zeros["zero_fraction"].idxmax()]
        share = format_percent(most["zero_fraction"])
        sentences.append(
            f"F is exactly zero for some parameters of {len(with_zeros)} of {len(summary)} "
            f"systems, at most for {share} ({labels[most['system']]})."
        )
    infinite = summary[summary["infinite_fraction"] > 0]
    if len(infinite):
        names = ", ".join(labels[name] for name in infinite["system"])
        sentences.append(f"Tier 3 is exactly zero, and T1 over T3 infinite, for: {names}.")
    if any(_differs(row, values) for _, row in summary.iterrows()):
        sentences.append(f"{OTHER_RULE} The published rule cuts or divides otherwise there.")
    return " ".join(sentences)


def _message(values: pd.DataFrame) -> str:
    decades = np.log10(values["value"])
    deep, rest = (decades[values["group"] == group] for group in ("deep", "rest"))
    if deep.empty or rest.empty:
        return "How log F is distributed in every system"
    least, most = deep.min(), rest.max()
    words = ("at least", "at most") if least > most else ("as little as", "as much as")
    digits = next(n for n in (2, 3, 4) if f"{least:.{n}f}" != f"{most:.{n}f}" or n == 4)
    texts = ["infinitely many" if np.isinf(x) else f"{x:.{digits}f}" for x in (least, most)]
    return (
        f"From the top 1 % to the bottom 50 % of parameters, F falls by {words[0]} {texts[0]} "
        f"decades in a deep seed, by {words[1]} {texts[1]} in any other"
    )


def _differs(row: "pd.Series[Any]", values: pd.DataFrame) -> bool:
    """Whether the panel's tier ratio of a system is not T1 / T3 as marked, to three digits."""
    panel = _panel_ratio(row, values)
    return format_number(panel) != format_number(10 ** row["log10_ratio"])


def _panel_ratio(row: "pd.Series[Any]", values: pd.DataFrame) -> float:
    own = values.loc[values["system"] == row["system"], "value"]
    return float(np.exp(np.log(own).mean()))


def _fractions(row: NDArray[np.float64]) -> dict[tuple[int, int], float]:
    """Return the fraction of one diagonal by (tier, bin)."""
    ordered, n = np.sort(row), len(row)
    tier = np.ones(n, dtype=np.int64)
    tier[: tier_size(n, BOTTOM_PERCENT)] = 0
    tier[n - tier_size(n, TOP_PERCENT) :] = 2
    positive = ordered > 0
    relative = np.log10(ordered[positive]) - np.log10(float(cut_tiers(row).tier1_mean))
    relative = relative.round(ROUNDING)
    bins = np.floor(relative * BINS_PER_DECADE).astype(np.int64)
    pairs, counts = np.unique(np.stack([tier[positive], bins]), axis=1, return_counts=True)
    return {(int(t), int(b)): c / n for (t, b), c in zip(pairs.T, counts, strict=True)}


def _frame(
    strip: Axes,
    axes: Axes,
    histogram: pd.DataFrame,
    rows: pd.DataFrame,
    labels: Mapping[str, str],
    groups: Mapping[str, str],
) -> None:
    low, high = _limits(histogram)
    axes.set(xlim=(low, high), ylim=(-0.12, len(rows)), yticks=[])
    step = next(n for n in TICK_STEPS if (high - low) / n <= MOST_TICKS or n == TICK_STEPS[-1])
    ticks = range(int(np.ceil(low / step)) * step, int(high) + 1, step)
    axes.set_xticks(list(ticks), [power_of_ten(tick) for tick in ticks])
    axes.set_xlabel("F in units of the mean of the top 1 % of its own seed")
    axes.axvline(0, color=INK, lw=0.7, zorder=1)
    bare(axes, "bottom")
    strip.set(xlim=(0, 1), ylim=axes.get_ylim(), xticks=[0, 1])
    strip.set_xticklabels(["0", "100 %"])
    strip.set_xlabel("exactly zero")
    strip.set_yticks(
        np.arange(len(rows)) + 0.2, [labels[name] for name in rows["system"]], size=NORMAL
    )
    for tick, name in zip(strip.get_yticklabels(), rows["system"], strict=True):
        tick.set_color(COLOURS[groups[name]])
    bare(strip, "bottom")
    for part in (strip, axes):
        for y in range(len(rows)):
            part.axhline(y, color=FAINT, lw=0.6, zorder=0)


def _limits(histogram: pd.DataFrame) -> tuple[float, float]:
    """Leave out at most `BEYOND` of the parameters of any system at the left."""
    lows = []
    for _, rows in histogram.sort_values("low").groupby("system"):
        lows.append(rows.loc[rows["fraction"].cumsum() > BEYOND, "low"].min())
    return min(lows) - MARGIN, max(histogram["high"].max(), 0.0) + MARGIN


def _note_beyond(axes: Axes, y: float, histogram: pd.DataFrame) -> None:
    """Write how much of a system lies left of the axis."""
    low = axes.get_xlim()[0]
    beyond = histogram.loc[histogram["low"] < low, "fraction"].sum()
    if beyond > 0:
        style: Style = {
            "textcoords": "offset points",
            "va": "bottom",
            "size": SMALL - 1,
            "color": SOFT,
        }
        axes.annotate(f"◂ {100 * beyond:.1g} %", (low, y), xytext=(0, 9), **style)


def _draw_ridge(axes: Axes, y: float, histogram: pd.DataFrame, colour: str) -> None:
    """Stack the tiers of one system; the largest bin of the stack has height `RIDGE`."""
    first = round(histogram["low"].min() * BINS_PER_DECADE)
    bins = (histogram["low"] * BINS_PER_DECADE).round().astype(int) - first
    heights = np.zeros((len(TIERS), bins.max() + 1))
    for position, tier in enumerate(TIERS):
        chosen = histogram["tier"] == tier
        heights[position, bins[chosen]] = histogram.loc[chosen, "fraction"]
    tops = y + RIDGE * heights.cumsum(axis=0) / heights.sum(axis=0).max()
    edges = (first + np.arange(heights.shape[1] + 1)) / BINS_PER_DECADE
    floor = np.full(heights.shape[1], y)
    for top, tint in zip(tops, _tints(colour), strict=True):
        axes.stairs(top, edges, baseline=floor, fill=True, color=tint, lw=0, zorder=2)
        floor = top
    axes.stairs(tops[-1], edges, baseline=y, color=colour, lw=0.6, zorder=3)


def _tints(colour: str) -> list[str]:
    """Return the colours of the tiers: the colour of the group, a tint of it, ink."""
    base = np.array(to_rgb(colour))
    return [colour, to_hex(tuple(base + (1 - base) * MIDDLE_TINT)), INK]


def _draw_zeros(strip: Axes, y: float, fraction: float, colour: str) -> None:
    if fraction > 0:
        strip.barh(y + 0.2, fraction, height=0.26, color=colour, lw=0, zorder=2)
    text = format_percent(fraction)
    strip.annotate(text, (0.5, y + 0.4), ha="center", va="bottom", size=SMALL, color=colour)


def _draw_bottom_mean(strip: Axes, axes: Axes, y: float, log10_ratio: float) -> None:
    """Mark the mean of tier 3 under the ridge; a mean of zero lies in the strip of zeros."""
    marker: Style = {
        "marker": "^",
        "ms": 4.5,
        "color": INK,
        "mec": "white",
        "mew": 0.5,
        "zorder": 6,
    }
    if np.isfinite(log10_ratio):
        axes.plot(-log10_ratio, y - 0.02, clip_on=False, **marker)
    else:
        strip.plot(0.5, y - 0.02, clip_on=False, **marker)


def _ratio_text(row: "pd.Series[Any]", values: pd.DataFrame) -> str:
    mark = " †" if _differs(row, values) else ""
    return format_number(_panel_ratio(row, values)) + mark


def _head(strip: Axes, axes: Axes, count: int) -> None:
    height = count + ABOVE / 2 / ROW_HEIGHT
    write_right(axes, height, HEADING, SOFT)
    style: Style = {"ha": "right", "va": "center", "size": SMALL, "annotation_clip": False}
    axes.annotate("mean of the top 1 %", (0, height), **style)


def _legend(figure: Figure) -> None:
    tints = _tints(SOFT)
    handles: list[Any] = [
        Patch(color=tint, lw=0, label=name) for tint, name in zip(tints, TIERS, strict=True)
    ]
    marker: Style = {"marker": "^", "ms": 4.5, "color": INK, "ls": "none"}
    handles.append(Line2D([], [], label="mean of the bottom 50 %", **marker))
    handles += [
        Patch(color=COLOURS[group], lw=0, label=GROUP_NAMES[group]) for group in ("deep", "rest")
    ]
    legend_line(figure, handles)
