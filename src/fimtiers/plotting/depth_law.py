"""The depth law: tier ratios against √L and against L, and which of the two predicts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fimtiers.plotting.layout import (
    EDGE,
    LINE,
    POINTS_PER_INCH,
    Headline,
    add_axes,
    legend_line,
    new_figure,
)
from fimtiers.plotting.style import INK, SMALL, SOFT, Style, bare, figure_style
from fimtiers.plotting.sweep_panels import curve_style

RESPONSE = "log_tier_ratio_positive"
"""What the lines are fitted to, and the message is about."""
RESPONSES = {RESPONSE: "positive F", "log_tier_ratio_published": "published rule"}
LAWS = {"sqrt_depth": "√L", "depth": "L"}
LAW_LINES: dict[str, Style] = {
    "sqrt_depth": {"ls": (0, (4, 1.5)), "lw": 1.1},
    "depth": {"ls": "-", "lw": 1.1},
}
WIDTH, HEIGHT = 7.2, 2.7
LEFT, BELOW, ABOVE, BETWEEN = 0.5, 0.85, 0.3, 0.3
ERROR_WIDTH, ERROR_LABELS = 1.3, 1.55
FINE = 200
FOUND = {
    "sqrt_depth": "{0} describes it",
    "depth": "{1} describes it",
    "tie": "{0} and {1} tie",
    "rejected": "the better one, {2}, is rejected",
    "no_growth": "it does not grow",
    "falls": "it falls",
    "undetermined": "no law can be fitted",
}
"""What each finding of `fimtiers.statistics.law_verdicts` is called."""


@figure_style()
def draw_depth_law(
    runs: pd.DataFrame,
    fits: pd.DataFrame,
    laws: pd.DataFrame,
    shown: Sequence[str],
    labels: Mapping[str, str],
    subtitle: str,
) -> Figure:
    """Draw ln (T1/T3) against √L and L with both fitted laws, and the errors of prediction.

    Parameters
    ----------
    runs
        ``sweep``, ``position`` (depth), ``seed``, ``fit_from``, ``tier_ratio_positive``,
        ``tier_ratio_published``.
    fits
        As `fimtiers.statistics.sweep_fits.fit_sweeps` gives them.
    laws
        As `fimtiers.statistics.law_verdicts.judge_sweeps` gives them.
    shown
        Sweeps, in order; each has a colour.
    labels
        What to call each sweep.
    subtitle
        What kind of values these are.
    """
    figure = new_figure(
        WIDTH,
        BELOW + HEIGHT + ABOVE,
        Headline(depth_law_message(fits, laws, shown, labels), subtitle),
    )
    room = WIDTH - LEFT - BETWEEN - ERROR_LABELS - ERROR_WIDTH - EDGE
    width = (room - BETWEEN) / 2
    for number, (law, name) in enumerate(LAWS.items()):
        left = LEFT + number * (width + BETWEEN)
        axes = add_axes(figure, left, BELOW, left + width, BELOW + HEIGHT)
        _draw_against(axes, runs, fits, shown, law)
        axes.set_xlabel(f"{'square root of depth' if law == 'sqrt_depth' else 'depth'} {name}")
        axes.set_title(f"against {name}", loc="left", color=SOFT)
        if number:
            axes.set_yticklabels([])
        else:
            axes.set_ylabel("ln T1/T3")
            _name_curves(axes, shown, labels)
    left = WIDTH - EDGE - ERROR_WIDTH
    axes = add_axes(figure, left, BELOW, left + ERROR_WIDTH, BELOW + HEIGHT)
    _draw_errors(axes, fits, shown, labels)
    dot: Style = {"ls": "none", "color": INK}
    legend_line(
        figure,
        [
            Line2D([], [], marker="o", ms=3.5, label=RESPONSES[RESPONSE], **dot),
            Line2D([], [], marker="D", ms=3.5, mfc="white", label="published rule", **dot),
            Line2D([], [], color=INK, label="fit in L", **LAW_LINES["depth"]),
            Line2D([], [], color=INK, label="fit in √L", **LAW_LINES["sqrt_depth"]),
        ],
    )
    return figure


def depth_law_message(
    fits: pd.DataFrame, laws: pd.DataFrame, shown: Sequence[str], labels: Mapping[str, str]
) -> str:
    """Say for each sweep which law describes positive F, and which predicts the held-out depth."""
    parts = []
    for sweep in shown:
        rows, law = _rows(fits, sweep), _law(laws, sweep)
        errors = rows["held_out_error"].abs()
        first, second = sorted(LAWS, key=lambda name: errors[name])
        told = "" if law["held_out_closer"] in LAWS else ", a tie"
        parts.append(
            f"{labels[sweep]}: {_found(law)}; "
            f"{LAWS[first]} misses depth {rows['held_out_depth'].iloc[0]:g} by "
            f"{errors[first]:.1f} nats, {LAWS[second]} by {errors[second]:.1f}{told}"
        )
    return ". ".join(parts)


def describe_depth_law(
    fits: pd.DataFrame, laws: pd.DataFrame, shown: Sequence[str], labels: Mapping[str, str]
) -> str:
    """Say in sentences what the figure shows, for its caption."""
    sentences = [f"{depth_law_message(fits, laws, shown, labels)}."]
    for sweep in shown:
        for response, name in RESPONSES.items():
            for law, row in _rows(fits, sweep, response).iterrows():
                sentences.append(
                    f"{labels[sweep]}, {name}, {LAWS[str(law)]}: slope {row['slope']:.2f} ± "
                    f"{row['slope_error']:.2f}, R² {row['r_squared']:.3f}, AICc {row['aicc']:.1f}, "
                    f"lack of fit p = {row['lack_of_fit_p']:.1g}."
                )
            law = _law(laws, sweep, response)
            sentences.append(
                f"{labels[sweep]}, {name}: exponent of L {law['exponent']:.2f} "
                f"({law['exponent_low']:.2f} to {law['exponent_high']:.2f}), lack of fit p = "
                f"{law['exponent_p']:.1g}."
            )
    return " ".join(sentences)


def _found(law: "pd.Series[Any]") -> str:
    """Say in words what was found."""
    return FOUND[law["finding"]].format(*LAWS.values(), LAWS.get(str(law["best"]), "no law"))


def _law(laws: pd.DataFrame, sweep: str, response: str = RESPONSE) -> "pd.Series[Any]":
    """Return what was found of one response of a sweep."""
    return laws[(laws["sweep"] == sweep) & (laws["response"] == response)].iloc[0]


def _rows(fits: pd.DataFrame, sweep: str, response: str = RESPONSE) -> pd.DataFrame:
    own = fits[(fits["sweep"] == sweep) & (fits["response"] == response)]
    return own.set_index("law").loc[list(LAWS)]


def _draw_against(
    axes: Axes, runs: pd.DataFrame, fits: pd.DataFrame, shown: Sequence[str], law: str
) -> None:
    transform = np.sqrt if law == "sqrt_depth" else np.asarray
    for number, sweep in enumerate(shown):
        own = runs[(runs["sweep"] == sweep) & (runs["position"] >= runs["fit_from"])]
        colour = curve_style(number)["color"]
        x = transform(own["position"].to_numpy(float))
        published: Style = {"marker": "D", "s": 9, "facecolor": "none", "lw": 0.6, "alpha": 0.55}
        axes.scatter(x, np.log(own["tier_ratio_published"]), edgecolor=colour, **published)
        axes.scatter(x, np.log(own["tier_ratio_positive"]), s=9, color=colour, lw=0, zorder=3)
        depth = np.linspace(own["position"].min(), own["position"].max(), FINE)
        for fitted, row in _rows(fits, sweep).iterrows():
            predictor = np.sqrt(depth) if fitted == "sqrt_depth" else depth
            style = LAW_LINES[str(fitted)]
            line = row["intercept"] + row["slope"] * predictor
            axes.plot(transform(depth), line, color=colour, zorder=2, **style)
    axes.set_ylim(
        0, 1.04 * np.log(runs.loc[runs["sweep"].isin(shown), "tier_ratio_published"]).max()
    )
    bare(axes, "left", "bottom")


def _name_curves(axes: Axes, shown: Sequence[str], labels: Mapping[str, str]) -> None:
    """Write the name of each sweep in its colour, at the upper left, where no run is."""
    for number, sweep in enumerate(shown):
        axes.annotate(
            labels[sweep],
            (0.04, 0.97 - number * SMALL * LINE / POINTS_PER_INCH / HEIGHT),
            xycoords="axes fraction",
            va="top",
            size=SMALL,
            color=curve_style(number)["color"],
        )


def _draw_errors(
    axes: Axes, fits: pd.DataFrame, shown: Sequence[str], labels: Mapping[str, str]
) -> None:
    """Draw predicted less measured ln T at the largest depth, with errors over seeds."""
    names: list[str] = []
    places: list[float] = []
    colours: list[str] = []
    y = 0.0
    for number, sweep in enumerate(shown):
        for response, marker in zip(RESPONSES, "oD", strict=True):
            for law, row in _rows(fits, sweep, response).iterrows():
                colour = curve_style(number)["color"]
                face = colour if response == RESPONSE else "white"
                style: Style = {"color": colour, "marker": marker, "ms": 4, "mfc": face}
                error = row["held_out_standard_error"]
                axes.errorbar(row["held_out_error"], y, xerr=error, lw=0.9, **style)
                names.append(f"{labels[sweep]}, {LAWS[str(law)]}, {RESPONSES[response]}")
                places.append(y)
                colours.append(colour)
                y -= 1
        y -= 0.6
    axes.axvline(0, color=SOFT, lw=0.7, zorder=0)
    axes.set_yticks(places, names, size=SMALL)
    for label, colour in zip(axes.get_yticklabels(), colours, strict=True):
        label.set_color(colour)
    bare(axes, "bottom")
    depth = fits.loc[fits["sweep"].isin(shown), "held_out_depth"].max()
    axes.set_xlabel(f"error at L = {depth:g}, nats")
    axes.set_title("held-out depth", loc="left", color=SOFT)
