"""What each figure of sweeps says, in sentences made from the numbers of the run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fimtiers.plotting.style import format_number
from fimtiers.plotting.sweep_panels import AXIS_NAMES, geometric_means, span

Panels = Mapping[str, Sequence[str]]
LAWS = {"constant": "a constant", "sqrt_depth": "√L", "depth": "L"}
UNLEARNED = 0.98
"""A loss above this share of its first value counts as no progress."""


@dataclass(frozen=True)
class Drawn:
    """What a figure of sweeps shows.

    Attributes
    ----------
    runs, fits
        Runs of the shown sweeps, and fits of all.
    panels
        Title of each panel to its sweeps.
    labels
        What to call each sweep.
    threshold
        Tier ratio that is claimed to separate the groups.
    """

    runs: pd.DataFrame
    fits: pd.DataFrame
    panels: Panels
    labels: Mapping[str, str]
    threshold: float

    def sweeps(self) -> list[str]:
        """Names of all shown sweeps, panel by panel."""
        return [name for shown in self.panels.values() for name in shown]

    def runs_of(self, sweep: str) -> pd.DataFrame:
        """Return the runs of one sweep."""
        return self.runs[self.runs["sweep"] == sweep]

    def means(self, sweep: str) -> "pd.Series[float]":
        """Return the geometric mean over seeds of the tier ratio, by position."""
        return geometric_means(self.runs_of(sweep))


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
    return MESSAGES.get(figure, _ends)(Drawn(rows, fits, panels, labels, threshold))


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


def _ends(drawn: Drawn) -> str:
    parts = [
        f"{drawn.labels[name]} {span(drawn.runs_of(name))}"
        for shown in drawn.panels.values()
        for name in shown
    ]
    return "Tier ratios: " + "; ".join(parts)


def _substrates(drawn: Drawn) -> str:
    shown = drawn.sweeps()
    laws = [best_law(drawn.fits, name) for name in shown]
    counts = {law: laws.count(law) for law in ("sqrt_depth", "depth", "constant", "falls")}
    return (
        f"No law holds for all blocks: of {len(shown)} curves, √L describes "
        f"{counts['sqrt_depth']} best, L {counts['depth']}, and "
        f"{counts['constant'] + counts['falls']} do not grow"
    )


def _training(drawn: Drawn) -> str:
    parts = []
    for title, shown in drawn.panels.items():
        trained = drawn.runs_of(shown[-1])
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


def _initialisation(drawn: Drawn) -> str:
    growth = {}
    for title, shown in drawn.panels.items():
        own = [drawn.means(name) for name in shown]
        growth[title] = [means.iloc[-1] / means.iloc[0] for means in own]
    depth = drawn.runs["position"].max()
    parts = [
        f"{format_number(min(values))} to {format_number(max(values))} with {title}"
        for title, values in growth.items()
    ]
    return f"Initialisation sets the growth: up to depth {depth:g} a factor {', '.join(parts)}"


def _families(drawn: Drawn) -> str:
    shown = drawn.sweeps()
    last = {name: drawn.means(name).iloc[-1] for name in shown}
    top, bottom = max(shown, key=lambda name: last[name]), min(shown, key=lambda name: last[name])
    axis = AXIS_NAMES.get(drawn.runs["axis"].iloc[0], drawn.runs["axis"].iloc[0])
    return (
        f"At {axis} = {drawn.runs['position'].max():g} the same network has a tier ratio of "
        f"{format_number(last[top])} ({drawn.labels[top]}) or {format_number(last[bottom])} "
        f"({drawn.labels[bottom]})"
    )


def _gpt(drawn: Drawn) -> str:
    parts = []
    for title, shown in drawn.panels.items():
        values = [drawn.means(name) for name in shown]
        low, high = min(v.min() for v in values), max(v.max() for v in values)
        parts.append(f"{format_number(low)} to {format_number(high)} ({title})")
    return "In a GPT the head sets the tier ratio, depth hardly changes it: " + ", ".join(parts)


def _resnet(drawn: Drawn) -> str:
    shown = next(iter(drawn.panels.values()))
    small, large = (drawn.means(name).iloc[-1] for name in shown[:2])
    return (
        f"Batch norm over two inputs makes the ResNet's tier ratio: {format_number(small)} at the "
        f"largest depth, {format_number(large)} with more inputs per batch"
    )


def _probes(drawn: Drawn) -> str:
    excess, apart = [], []
    for shown in drawn.panels.values():
        means = [drawn.means(name) for name in shown]
        excess += [m.iloc[0] / m.iloc[-1] - 1 for m in means]
        apart += [abs(m.iloc[-1] / means[0].iloc[-1] - 1) for m in means[1:]]
    few, many = drawn.runs["position"].min(), drawn.runs["position"].max()
    return (
        f"Few probes raise the tier ratio: by {100 * min(excess):.0f} % to "
        f"{100 * max(excess):.0f} % at {few:g} instead of {many:g}; the two precisions, "
        f"which draw other probes, end {100 * max(apart):.1f} % apart at most"
    )


def _widths(drawn: Drawn) -> str:
    parts = []
    for name in drawn.sweeps():
        means = drawn.means(name)
        factor = means.iloc[0] / means.iloc[-1]
        change = "falls" if factor >= 1 else "grows"
        size = format_number(max(factor, 1 / factor))
        parts.append(f"{change} by a factor {size} ({drawn.labels[name]})")
    few, many = drawn.runs["position"].min(), drawn.runs["position"].max()
    return (
        f"Width matters: from {few:g} to {many:g} units per layer the tier ratio "
        f"{' and '.join(parts)}"
    )


def _below(drawn: Drawn) -> str:
    means = drawn.runs.groupby(["sweep", "position"])["tier_ratio_published"].mean()
    below = means[means < drawn.threshold]
    parts = []
    for title, shown in drawn.panels.items():
        own = below[below.index.get_level_values("sweep").isin(shown)]
        names = dict.fromkeys(drawn.labels[name] for name in own.index.get_level_values("sweep"))
        parts += [f"{len(own)} {title} ({'; '.join(names)})"] if len(own) else []
    return (
        f"{len(below)} of {len(means)} deep networks have a mean tier ratio below "
        f"{drawn.threshold:g}" + (f": {', '.join(parts)}" if len(below) else "")
    )


MESSAGES: dict[str, Callable[[Drawn], str]] = {
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
