"""Three statistics that need no tiers: effective rank and mass of the top 1 %, and the Gini."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Affine2D, Bbox
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
)
from fimtiers.plotting.style import (
    COLOURS,
    GROUP_NAMES,
    INK,
    SMALL,
    SOFT,
    Style,
    bare,
    decades,
    figure_style,
)
from fimtiers.statistics.partition_free import DEEP, REST, classify_partition_free

WIDTH = 7.2
PLANE_HEIGHT, GINI_HEIGHT = 3.9, 0.5
ABOVE, BETWEEN, BELOW = 0.15, 0.55, 0.82
LEFT = 0.62
LEADER = 0.35
"""Length of the line from the plane to a label, in inches."""
REGION_ALPHA = 0.13
MARKERS = ("o", "s", "^", "D", "v")
"""Shapes of the dots, one system of a group after another."""
LANES = {"deep": 0.7, "rest": 0.3}
"""Height of the groups over the axis of the Gini coefficient."""
CONCENTRATION = {"gini": 1, "effective_rank": -1, "top_mass": 1}
"""Whether each statistic grows or falls as F concentrates on few parameters."""
NAMES = {"gini": "the Gini coefficient", "effective_rank": "effective rank", "top_mass": "top mass"}
COLUMN_FROM = 0.7
"""Systems right of this fraction of the plane are labelled in a column beside it."""
DOT = 0.05
"""Half the width of a dot in inches, with some air."""
PAD = 0.05


@figure_style()
def draw_invariants(observations: pd.DataFrame, labels: Mapping[str, str], subtitle: str) -> Figure:
    """Draw every seed in a plane of two statistics, and below it on the axis of the third.

    Parameters
    ----------
    observations
        ``system``, ``group``, ``gini``, ``effective_rank`` (fraction of all parameters),
        ``top_mass``.
    labels
        What to call each system.
    subtitle
        What kind of values these are.

    Returns
    -------
    Figure
        The registered regions are shaded. A dot is filled if all three statistics, the Gini
        coefficient included, fit the registered description of the group that the system is
        claimed to be in.

    Raises
    ------
    ValueError
        If there is no observation.
    """
    if observations.empty:
        raise ValueError("no observations; expected at least one system with one seed")
    seeds = observations.assign(description=_describe(observations))
    room = widest([labels[name] for name in seeds["system"].unique()], SMALL)
    body = ABOVE + PLANE_HEIGHT + BETWEEN + GINI_HEIGHT + BELOW
    figure = new_figure(WIDTH, body, Headline(_message(seeds), subtitle))
    right = WIDTH - EDGE - room - LEADER
    bottom = BELOW + GINI_HEIGHT + BETWEEN
    axes = add_axes(figure, LEFT, bottom, right, bottom + PLANE_HEIGHT)
    line = add_axes(figure, LEFT, BELOW, right, BELOW + GINI_HEIGHT)
    _frame(axes, seeds)
    _frame_gini(line)
    _shade_regions(axes)
    shapes = _shapes(seeds)
    for system, rows in seeds.groupby("system", sort=False):
        group = rows["group"].iloc[0]
        fits = rows["description"] == group
        for chosen, face in ((fits, COLOURS[group]), (~fits, "white")):
            x, y = rows.loc[chosen, "effective_rank"], rows.loc[chosen, "top_mass"]
            style: Style = {"edgecolor": COLOURS[group], "facecolor": face, "linewidth": 0.9}
            style |= {"marker": MARKERS[shapes[system]], "alpha": 0.85, "clip_on": False}
            axes.scatter(x, y, s=16, zorder=4, **style)
            gini = rows.loc[chosen, "gini"]
            line.scatter(gini, np.full(len(gini), LANES[group]), s=12, zorder=4, **style)
    _label_systems(axes, seeds, labels)
    _legend(figure)
    return figure


def describe_invariants(observations: pd.DataFrame, labels: Mapping[str, str]) -> str:
    """Say in sentences what the figure shows, for its caption."""
    seeds = observations.assign(description=_describe(observations))
    sentences = [f"{_message(seeds)}."]
    both = _less_concentrated(seeds, ["effective_rank", "top_mass"])
    if both.any():
        inverted = [labels[name] for name in seeds.loc[both.index[both], "system"].unique()]
        sentences.append(
            f"Less concentrated than one and the same other seed by rank and top mass: "
            f"{int(both.sum())} ({'; '.join(inverted)})."
        )
    for group in ("deep", "rest"):
        rows = seeds[seeds["group"] == group]
        fitting = int((rows["description"] == group).sum())
        kind = "deep" if group == "deep" else "other"
        sentences.append(f"{fitting} of {len(rows)} {kind} seeds fit their own description.")
    wrong = seeds[seeds["description"] != seeds["group"]]
    if len(wrong):
        counts = wrong.groupby("system", sort=False).size()
        totals = seeds.groupby("system").size()
        names = ", ".join(f"{labels[name]} ({n} of {totals[name]})" for name, n in counts.items())
        sentences.append(f"Seeds that do not: {names}.")
    return " ".join(sentences)


def _describe(observations: pd.DataFrame) -> NDArray[np.str_]:
    columns = (observations[name].to_numpy() for name in ("gini", "effective_rank", "top_mass"))
    return classify_partition_free(*columns)


def _shapes(seeds: pd.DataFrame) -> dict[str, int]:
    """Return the index of the marker of each system, in turn within each group."""
    systems = seeds.drop_duplicates("system")
    turn = systems.groupby("group").cumcount() % len(MARKERS)
    return dict(zip(systems["system"], turn, strict=True))


def _less_concentrated(seeds: pd.DataFrame, names: list[str]) -> "pd.Series[bool]":
    """Which deep seeds are less concentrated than one and the same other seed by all of these."""
    deep, rest = (seeds[seeds["group"] == group] for group in ("deep", "rest"))
    inverted = np.ones((len(deep), len(rest)), dtype=bool)
    for name in names:
        sign = CONCENTRATION[name]
        inverted &= sign * deep[name].to_numpy()[:, None] < sign * rest[name].to_numpy()
    return pd.Series(inverted.any(axis=1), index=deep.index)


def _message(seeds: pd.DataFrame) -> str:
    deep = int((seeds["group"] == "deep").sum())
    counts = {name: int(_less_concentrated(seeds, [name]).sum()) for name in CONCENTRATION}
    if not any(counts.values()):
        return "Without tiers, no deep seed is less concentrated than any other seed"
    most, *others = sorted(counts, key=lambda name: -counts[name])
    shares = ", ".join(f"{counts[name]} by {NAMES[name]}" for name in others)
    return (
        f"Without tiers the groups overlap: {counts[most]} of {deep} deep seeds are less "
        f"concentrated than some other seed by {NAMES[most]}, {shares}"
    )


def _frame(axes: Axes, seeds: pd.DataFrame) -> None:
    low_x, low_y = seeds["effective_rank"].min() / 1.8, seeds["top_mass"].min() / 1.4
    axes.set(xscale="log", yscale="log", xlim=(low_x, 1.12), ylim=(low_y, 1.12))
    axes.set_xlabel("effective rank (Σ F)² / Σ F², as a fraction of the parameters")
    axes.set_ylabel("share of Σ F in the top 1 % of parameters")
    decades(axes.xaxis)
    decades(axes.yaxis)
    bare(axes, "left", "bottom")


def _frame_gini(axes: Axes) -> None:
    """Shade the registered bounds on the third statistic over each group's own lane."""
    axes.set(xlim=(0, 1.0), ylim=(0, 1), yticks=list(LANES.values()))
    axes.set_yticklabels([GROUP_NAMES[group] for group in LANES], size=SMALL)
    for tick, group in zip(axes.get_yticklabels(), LANES, strict=True):
        tick.set_color(COLOURS[group])
    axes.set_xlabel("Gini coefficient of F")
    bare(axes, "bottom")
    for group, (low, high) in {"deep": (DEEP.gini, 1.0), "rest": (0.0, REST.gini)}.items():
        bottom = LANES[group] - 0.2
        style: Style = {"color": COLOURS[group], "alpha": REGION_ALPHA, "lw": 0, "zorder": 0}
        axes.add_patch(Rectangle((low, bottom), high - low, 0.4, **style))


def _shade_regions(axes: Axes) -> None:
    """Shade where two of the registered bounds hold; the third is on the axis below."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    deep = (left, DEEP.top_mass, DEEP.effective_rank, top)
    rest = (REST.effective_rank, bottom, right, REST.top_mass)
    sides: Style = {"deep": {"ha": "left", "va": "top"}, "rest": {"ha": "right", "va": "bottom"}}
    for group, (x0, y0, x1, y1) in {"deep": deep, "rest": rest}.items():
        colour = COLOURS[group]
        style: Style = {"color": colour, "alpha": REGION_ALPHA, "lw": 0, "zorder": 0}
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, **style))
        offset = (4, -3) if group == "deep" else (-4, 4)
        place: Style = {"xytext": offset, "textcoords": "offset points", **sides[group]}
        text = f"registered as {GROUP_NAMES[group]}"
        axes.annotate(text, (x0, y0), size=SMALL, style="italic", color=colour, **place)


def _label_systems(axes: Axes, seeds: pd.DataFrame, labels: Mapping[str, str]) -> None:
    """Label clusters beside them where there is room, all others in a column at the right."""
    inches = axes.transData.transform(seeds[["effective_rank", "top_mass"]]) / axes.figure.dpi
    frame = axes.get_window_extent().transformed(Affine2D().scale(1 / axes.figure.dpi))
    taken = [Bbox.from_extents(*(xy - DOT), *(xy + DOT)) for xy in inches]
    taken += [_text_box(text, axes.figure.dpi) for text in axes.texts]
    column = []
    for system in seeds["system"].unique():
        own = inches[(seeds["system"] == system).to_numpy()]
        centre = np.median(own, axis=0)
        box = None
        if centre[0] < frame.x0 + COLUMN_FROM * frame.width:
            box = _free_box(own, labels[system], taken, frame)
        if box is None:
            column.append((system, centre))
            continue
        taken.append(box)
        place = box.x0 - frame.x0, box.y0 + box.height / 2 - frame.y0
        _write(axes, place, labels[system], seeds, system)
    _label_column(axes, column, seeds, labels, frame)


def _free_box(dots: NDArray[np.float64], text: str, taken: list[Bbox], frame: Bbox) -> Bbox | None:
    """Return a box for `text` near `dots` that overlaps nothing, or None."""
    (x0, y0), (x1, y1) = dots.min(axis=0) - DOT, dots.max(axis=0) + DOT
    x, y = np.median(dots, axis=0)
    width, height = text_width(text, SMALL), SMALL * LINE / POINTS_PER_INCH
    corners = [
        (x - width / 2, y1 + PAD),
        (x1 + PAD, y - height / 2),
        (x0 - PAD - width, y - height / 2),
        (x - width / 2, y0 - PAD - height),
        (x0 - PAD - width, y1),
        (x1 + PAD, y0 - height),
        (x0 - PAD - width, y0 - height),
        (x1 + PAD, y1),
    ]
    for left, bottom in corners:
        box = Bbox.from_bounds(left, bottom, width, height)
        inside = frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1)
        if inside and not any(box.overlaps(other) for other in taken):
            return box
    return None


def _label_column(
    axes: Axes,
    column: list[tuple[str, NDArray[np.float64]]],
    seeds: pd.DataFrame,
    labels: Mapping[str, str],
    frame: Bbox,
) -> None:
    heights = [centre[1] - frame.y0 for _, centre in column]
    gap = SMALL * LINE / POINTS_PER_INCH
    moved = spread(heights, gap, gap / 2, frame.height - gap / 2)
    for (system, centre), height in zip(column, moved, strict=True):
        place = (frame.width + LEADER, float(height))
        _write(axes, place, labels[system], seeds, system)
        points = np.array([centre - frame.min, (frame.width + LEADER - PAD, height)])
        axes.plot(
            *(points / (frame.width, frame.height)).T,
            transform=axes.transAxes,
            color=SOFT,
            lw=0.5,
            clip_on=False,
            zorder=3,
        )


def _write(
    axes: Axes, place: tuple[float, float], text: str, seeds: pd.DataFrame, system: str
) -> None:
    """Write the name of a system, its left end at `place` in inches from the plane's corner."""
    colour = COLOURS[seeds.loc[seeds["system"] == system, "group"].iloc[0]]
    offset = tuple(POINTS_PER_INCH * np.array(place))
    axes.annotate(
        text,
        (0, 0),
        xycoords="axes fraction",
        xytext=offset,
        textcoords="offset points",
        va="center",
        size=SMALL,
        color=colour,
        zorder=6,
    )


def _text_box(text: Text, dpi: float) -> Bbox:
    return text.get_window_extent().transformed(Affine2D().scale(1 / dpi))


def _legend(figure: Figure) -> None:
    dot: Style = {"marker": "o", "ms": 4.5, "ls": "none"}
    handles: list[Artist] = [
        Line2D([], [], color=COLOURS[group], label=f"seed, {GROUP_NAMES[group]}", **dot)
        for group in ("deep", "rest")
    ]
    text = "hollow: does not fit the registered description of its own group"
    handles.append(Line2D([], [], mec=INK, mfc="white", label=text, **dot))
    legend_line(figure, handles)
