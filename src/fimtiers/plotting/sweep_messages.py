"""What each figure of sweeps says, in sentences made from the numbers of the run."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from fimtiers.plotting.style import format_number
from fimtiers.plotting.sweep_panels import AXIS_NAMES, geometric_means, span

Panels = Mapping[str, Sequence[str]]
LAWS = {"constant": "a constant", "sqrt_depth": "√L", "depth": "L"}
UNLEARNED = 0.98
"""A loss above this share of its first value counts as no progress."""


def sweep_message(
    figure: str,
    runs: pd.DataFrame,
    fits: pd.DataFrame,
    panels: Panels,
    labels: Mapping[str, str],
    threshold: float,
) -> str:
    """Return the one message of a figure; the ends of its curves if it has none of its own."""
    shown = [name for names in panels.values() for name in names]
    rows = runs[runs["sweep"].isin(shown)]
    return MESSAGES.get(figure, _ends)(rows, fits, panels, labels, threshold)


def describe_sweep_panels(
    message: str, runs: pd.DataFrame, panels: Panels, labels: Mapping[str, str]
) -> str:
    """Say in sentences what the figure shows, for its caption."""
    sentences = [f"{message}."]
    for title, shown in panels.items():
        ends = [f"{labels[name]} {span(runs[runs['sweep'] == name])}" for name in shown]
        first = runs[runs["sweep"] == shown[0]]
        axis = AXIS_NAMES.get(first["axis"].iloc[0], first["axis"].iloc[0])
        sentences.append(f"{title}, from the smallest to the largest {axis}: {'; '.join(ends)}.")
    return " ".join(sentences)


def best_law(fits: pd.DataFrame, sweep: str, response: str = "log_tier_ratio_published") -> str:
    """Return which of a constant, √L and L has the smallest AICc, and `falls` if it falls."""
    own = fits[(fits["sweep"] == sweep) & (fits["response"] == response) & fits["law"].isin(LAWS)]
    own = own.dropna(subset="aicc")
    if own.empty:
        return "none"
    best = own.loc[own["aicc"].idxmin()]
    return "falls" if best["slope"] < 0 else str(best["law"])


def _ends(
    runs: pd.DataFrame,
    fits: pd.DataFrame,
    panels: Panels,
    labels: Mapping[str, str],
    threshold: float,
) -> str:
    parts = [
        f"{labels[name]} {span(runs[runs['sweep'] == name])}"
        for shown in panels.values()
        for name in shown
    ]
    return "Tier ratios: " + "; ".join(parts)


def _substrates(
    runs: pd.DataFrame,
    fits: pd.DataFrame,
    panels: Panels,
    labels: Mapping[str, str],
    threshold: float,
) -> str:
    shown = [name for names in panels.values() for name in names]
    laws = [best_law(fits, name) for name in shown]
    counts = {law: laws.count(law) for law in ("sqrt_depth", "depth", "constant", "falls")}
    return (
        f"No law holds for all blocks: of {len(shown)} curves, √L describes "
        f"{counts['sqrt_depth']} best, L {counts['depth']}, and "
        f"{counts['constant'] + counts['falls']} do not grow"
    )


def _training(
    runs: pd.DataFrame,
    fits: pd.DataFrame,
    panels: Panels,
    labels: Mapping[str, str],
    threshold: float,
) -> str:
    parts = []
    for title, shown in panels.items():
        trained = runs[runs["sweep"] == shown[-1]]
        by_depth = trained["position"]
        factor = np.exp(np.log(trained["untrained_over_trained"]).groupby(by_depth).mean())
        kept = (trained["probe_loss"] / trained["first_training_loss"]).groupby(by_depth).mean()
        stuck = kept.index[kept > UNLEARNED]
        learned = factor.drop(stuck)
        part = "nothing is learned"
        if len(learned):
            part = _multiplies(1 / learned)
        if len(learned) and len(stuck):
            part += f", and nothing is learned from depth {stuck.min():g} on"
        parts.append(f"{title}, {part}")
    return "What training does to the tier ratio: " + "; ".join(parts)


def _multiplies(factor: "pd.Series[float]") -> str:
    """Say what a factor does to a ratio, as a division where it is below one at every depth."""
    if factor.max() < 1:
        return (
            f"divides it by {format_number(1 / factor.max())} to {format_number(1 / factor.min())}"
        )
    return f"multiplies it by {format_number(factor.min())} to {format_number(factor.max())}"


def _initialisation(
    runs: pd.DataFrame,
    fits: pd.DataFrame,
    panels: Panels,
    labels: Mapping[str, str],
    threshold: float,
) -> str:
    growth = {}
    for title, shown in panels.items():
        own = [geometric_means(runs[runs["sweep"] == name]) for name in shown]
        growth[title] = [means.iloc[-1] / means.iloc[0] for means in own]
    depth = runs["position"].max()
    parts = [
        f"{format_number(min(values))} to {format_number(max(values))} with {title}"
        for title, values in growth.items()
    ]
    return f"Initialisation sets the growth: up to depth {depth:g} a factor {', '.join(parts)}"


def _families(
    runs: pd.DataFrame,
    fits: pd.DataFrame,
    panels: Panels,
    labels: Mapping[str, str],
    threshold: float,
) -> str:
    shown = [name for names in panels.values() for name in names]
    last = {name: geometric_means(runs[runs["sweep"] == name]).iloc[-1] for name in shown}
    top, bottom = max(shown, key=lambda name: last[name]), min(shown, key=lambda name: last[name])
    axis = AXIS_NAMES.get(runs["axis"].iloc[0], runs["axis"].iloc[0])
    return (
        f"At {axis} = {runs['position'].max():g} the same network has a tier ratio of "
        f"{format_number(last[top])} ({labels[top]}) or {format_number(last[bottom])} "
        f"({labels[bottom]})"
    )


def _gpt(
    runs: pd.DataFrame,
    fits: pd.DataFrame,
    panels: Panels,
    labels: Mapping[str, str],
    threshold: float,
) -> str:
    parts = []
    for title, shown in panels.items():
        values = [geometric_means(runs[runs["sweep"] == name]) for name in shown]
        low, high = min(v.min() for v in values), max(v.max() for v in values)
        parts.append(f"{format_number(low)} to {format_number(high)} ({title})")
    return "In a GPT the head sets the tier ratio, depth hardly changes it: " + ", ".join(parts)


def _resnet(
    runs: pd.DataFrame,
    fits: pd.DataFrame,
    panels: Panels,
    labels: Mapping[str, str],
    threshold: float,
) -> str:
    shown = next(iter(panels.values()))
    small, large = (geometric_means(runs[runs["sweep"] == name]).iloc[-1] for name in shown[:2])
    return (
        f"Batch norm over two inputs makes the ResNet's tier ratio: {format_number(small)} at the "
        f"largest depth, {format_number(large)} with more inputs per batch"
    )


def _probes(
    runs: pd.DataFrame,
    fits: pd.DataFrame,
    panels: Panels,
    labels: Mapping[str, str],
    threshold: float,
) -> str:
    excess, apart = [], []
    for shown in panels.values():
        means = [geometric_means(runs[runs["sweep"] == name]) for name in shown]
        excess += [m.iloc[0] / m.iloc[-1] - 1 for m in means]
        apart += [abs(m.iloc[-1] / means[0].iloc[-1] - 1) for m in means[1:]]
    few, many = runs["position"].min(), runs["position"].max()
    return (
        f"Few probes raise the tier ratio: by {100 * min(excess):.0f} % to "
        f"{100 * max(excess):.0f} % at {few:g} instead of {many:g}; the two precisions, "
        f"which draw other probes, end {100 * max(apart):.1f} % apart at most"
    )


def _widths(
    runs: pd.DataFrame,
    fits: pd.DataFrame,
    panels: Panels,
    labels: Mapping[str, str],
    threshold: float,
) -> str:
    shown = next(iter(panels.values()))[0]
    means = geometric_means(runs[runs["sweep"] == shown])
    return (
        f"Width matters: from {means.index[0]:g} to {means.index[-1]:g} units per layer the tier "
        f"ratio falls by a factor {format_number(means.iloc[0] / means.iloc[-1])}"
    )


def _below(
    runs: pd.DataFrame,
    fits: pd.DataFrame,
    panels: Panels,
    labels: Mapping[str, str],
    threshold: float,
) -> str:
    means = runs.groupby(["sweep", "position"])["tier_ratio_published"].mean()
    below = means[means < threshold]
    parts = []
    for title, shown in panels.items():
        own = below[below.index.get_level_values("sweep").isin(shown)]
        names = dict.fromkeys(labels[name] for name in own.index.get_level_values("sweep"))
        parts += [f"{len(own)} {title} ({', '.join(names)})"] if len(own) else []
    return (
        f"{len(below)} of {len(means)} deep networks have a mean tier ratio below "
        f"{threshold:g}" + (f": {', '.join(parts)}" if len(below) else "")
    )


MESSAGES: dict[
    str, Callable[[pd.DataFrame, pd.DataFrame, Panels, Mapping[str, str], float], str]
] = {
    "substrates": _substrates,
    "training": _training,
    "activations": _initialisation,
    "initialisations": _families,
    "activation_training": _below,
    "gpt": _gpt,
    "resnet": _resnet,
    "probes": _probes,
    "widths": _widths,
}
