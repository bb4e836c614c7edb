"""Where things go: figures measured in inches, headlines, labels that do not overlap."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

from fimtiers.plotting.style import INK, LARGE, NORMAL, SMALL, SOFT, Style

POINTS_PER_INCH = 72
EDGE = 0.12
"""Distance of text from the edge of the figure in inches."""
LINE = 1.3
"""Line height in units of the font size."""


@dataclass(frozen=True)
class Headline:
    """The message of a figure and one line on what it shows."""

    message: str
    subtitle: str


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Return the width in inches of one line of text of `size` points."""
    font = FontProperties(family="DejaVu Sans", weight=weight)
    if not text.strip():
        return 0.0
    return float(TextPath((0, 0), text, size=size, prop=font).get_extents().x1) / POINTS_PER_INCH


def widest(texts: Sequence[str], size: float) -> float:
    """Return the width in inches of the widest of `texts`."""
    return max(text_width(text, size) for text in texts)


def wrap(text: str, width: float, size: float, weight: str = "normal") -> list[str]:
    """Break text into lines of at most `width` inches."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size, weight) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def new_figure(width: float, body: float, headline: Headline) -> Figure:
    """Make a figure with its headline written.

    Parameters
    ----------
    width
        Inches.
    body
        Height in inches of what is under the headline.
    headline
        Message and subtitle, wrapped to the width.

    Returns
    -------
    Figure
        As high as `body` and the headline together; the headline takes the top.
    """
    room = width - 2 * EDGE
    lines = [(line, LARGE, "bold") for line in wrap(headline.message, room, LARGE, "bold")]
    lines += [(line, NORMAL, "normal") for line in wrap(headline.subtitle, room, NORMAL)]
    heights = [size * LINE / POINTS_PER_INCH for _, size, _ in lines]
    figure = Figure(figsize=(width, body + sum(heights) + EDGE))
    FigureCanvasAgg(figure)
    y = body + sum(heights)
    for (line, size, weight), height in zip(lines, heights, strict=True):
        colour = INK if weight == "bold" else SOFT
        place = (EDGE / width, y / figure.get_figheight())
        figure.text(*place, line, size=size, weight=weight, color=colour, va="top")
        y -= height
    return figure


def add_axes(figure: Figure, left: float, bottom: float, right: float, top: float) -> Axes:
    """Add axes whose frame has these corners, in inches from the lower left of the figure."""
    width, height = figure.get_size_inches()
    if right <= left or top <= bottom:
        raise ValueError(f"axes from ({left}, {bottom}) to ({right}, {top}) have no area")
    box = (left / width, bottom / height, (right - left) / width, (top - bottom) / height)
    return figure.add_axes(box)


def write_right(axes: Axes, y: float, text: str, colour: str) -> None:
    """Write small text right of the frame, at height `y` in data units."""
    place: Style = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    style: Style = {"va": "center", "size": SMALL, "color": colour, "annotation_clip": False}
    axes.annotate(text, (1, y), xytext=(8, 0), **place, **style)


def legend_line(figure: Figure, handles: Sequence[Artist], bottom: float = 0.0) -> None:
    """Write a legend in one line, `bottom` inches over the lower edge of the figure."""
    figure.legend(
        handles=list(handles),
        loc="lower left",
        bbox_to_anchor=(0.01, bottom / figure.get_figheight()),
        ncols=len(handles),
        frameon=False,
        fontsize=SMALL,
        handletextpad=0.5,
        columnspacing=1.4,
    )


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> NDArray[np.float64]:
    """Move positions apart to at least `gap`, as little as possible, within [low, high].

    The sum of squared moves is the smallest possible (isotonic regression by pooling neighbours),
    the order is kept. If there is no room for `gap`, positions are evenly spread.
    """
    wanted = np.asarray(positions, dtype=np.float64)
    count = len(wanted)
    if count < 2:
        return np.clip(wanted, low, high)
    gap = min(gap, (high - low) / (count - 1))
    order = np.argsort(wanted, kind="stable")
    blocks: list[tuple[float, int]] = []
    for rank, value in enumerate(wanted[order]):
        mean, size = value - rank * gap, 1
        while blocks and blocks[-1][0] > mean:
            previous, weight = blocks.pop()
            mean, size = (previous * weight + mean * size) / (weight + size), weight + size
        blocks.append((mean, size))
    start = np.repeat([mean for mean, _ in blocks], [size for _, size in blocks])
    start = np.clip(start, low, high - (count - 1) * gap)
    moved = np.empty(count)
    moved[order] = start + np.arange(count) * gap
    return moved
