"""The one look of all figures: fonts, line widths, colours, and how numbers are written."""

import contextlib
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

Style = dict[str, Any]
"""Keyword arguments of a drawing call."""

COLOURS = {"deep": "#D55E00", "rest": "#0072B2", "reference": "#666666"}
"""Vermilion and blue of the palette of Okabe and Ito (2008), told apart with any colour vision."""

GROUP_NAMES = {"deep": "deep", "rest": "all others", "reference": "reference"}
INK, SOFT, FAINT = "#1A1A1A", "#666666", "#D9D9D9"
SMALL, NORMAL, LARGE = 7.0, 8.0, 10.5
"""Font sizes in points."""

FEW_DECADES = 1.5
PLAIN_BELOW = 10_000
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@contextlib.contextmanager
def figure_style() -> Iterator[None]:
    """Apply the style to figures drawn or saved inside; usable as a decorator."""
    own = {
        "axes.edgecolor": SOFT,
        "axes.labelcolor": INK,
        "axes.labelsize": NORMAL,
        "axes.linewidth": 0.7,
        "axes.titlesize": NORMAL,
        "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine draws the same
        "font.size": NORMAL,
        "lines.linewidth": 1.4,
        "pdf.fonttype": 42,  # text of the PDF stays text
        "svg.fonttype": "path",  # the SVG needs no font where it is read
        "svg.hashsalt": "fimtiers",
        "text.color": INK,
        "xtick.color": SOFT,
        "xtick.labelcolor": INK,
        "xtick.labelsize": SMALL,
        "xtick.major.size": 3,
        "xtick.major.width": 0.7,
        "xtick.minor.size": 1.5,
        "xtick.minor.width": 0.5,
        "ytick.color": SOFT,
        "ytick.labelcolor": INK,
        "ytick.labelsize": SMALL,
        "ytick.major.size": 3,
        "ytick.major.width": 0.7,
        "ytick.minor.size": 1.5,
        "ytick.minor.width": 0.5,
    }
    look = {**sns.axes_style("ticks"), **sns.plotting_context("paper"), **own}
    with mpl.rc_context(look):
        yield


def format_number(value: float, digits: int = 3) -> str:
    """Write a positive number with `digits` significant digits: 1.03, 86.0, 3757, 8.84 × 10⁴, ∞."""
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞"
    if value == 0:
        return "0"
    mantissa, power = f"{value:.{digits - 1}e}".split("e")
    exponent = int(power)
    if value >= PLAIN_BELOW or exponent < -digits:
        return f"{mantissa} × {power_of_ten(exponent)}"
    return f"{value:.{max(digits - 1 - exponent, 0)}f}"


def power_of_ten(exponent: int) -> str:
    """Write 10⁴, or 0.1, 1, 10, 100 and 1000 in full."""
    if -1 <= exponent <= 3:
        return f"{10.0**exponent:g}"
    return f"10{str(exponent).translate(SUPERSCRIPTS)}"


def format_percent(fraction: float) -> str:
    """Write a fraction in percent: 0 %, 0.3 %, 13 %, 99.8 %, 100 %; never rounded to the ends."""
    percent = 100 * fraction
    if percent in (0, 100):
        return f"{percent:.0f} %"
    if percent < 1 or percent > 99:
        return f"{min(max(percent, 0.1), 99.9):.1f} %"
    return f"{percent:.0f} %"


def decades(axis: Axis) -> None:
    """Tick a logarithmic axis, once its limits are set, at powers of ten.

    On an axis of less than `FEW_DECADES` there are ticks at 2 and 5 times these as well.
    """
    low, high = np.log10(axis.get_view_interval())
    subs = (1.0, 2.0, 5.0) if high - low < FEW_DECADES else (1.0,)
    axis.set_major_locator(LogLocator(base=10.0, subs=subs, numticks=50))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))
    axis.set_minor_locator(LogLocator(base=10.0, subs=range(2, 10), numticks=200))
    axis.set_minor_formatter(NullFormatter())


def _tick(value: float) -> str:
    exponent = round(np.log10(value))
    is_power = np.isclose(value, 10.0**exponent)
    return power_of_ten(exponent) if is_power else f"{value:g}"


def bare(axes: Axes, *keep: str) -> None:
    """Remove the frame of `axes` except the sides named in `keep`, and ticks without a side."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in keep)
    if "left" not in keep:
        axes.tick_params(axis="y", which="both", left=False)
    if "bottom" not in keep:
        axes.tick_params(axis="x", which="both", bottom=False)
