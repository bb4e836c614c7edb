"""What each figure of sweeps says, in sentences made from the numbers of the run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fimtiers.plotting.factor_words import (
    PUBLISHED,
    change,
    direction,
    factor_between,
    written,
)
from fimtiers.plotting.style import format_number, format_percent
from fimtiers.plotting.sweep_panels import AXIS_NAMES, geometric_means, span
from fimtiers.statistics.intervals import GeometricMeanInterval, log_t_interval

Panels = Mapping[str, Sequence[str]]
RESPONSE = "log_tier_ratio_published"
"""What these figures draw, and so what their laws are about."""
FOUND = {
    "sqrt_depth": "√L alone describes {0}",
    "depth": "L alone describes {0}",
    "tie": "for {0} √L and L tie",
    "rejected": "for {0} the better of the two is rejected by the scatter of seeds",
    "no_growth": "{0} do not grow",
    "falls": "{0} fall",
    "undetermined": "{0} cannot be fitted",
}
"""What each finding of `fimtiers.statistics.law_verdicts` is called."""
POINT_BY_POINT = ("training",)
"""Figures whose curves are compared at each position: only positions that all curves of a panel
have are drawn."""
UNLEARNED = 0.98
"""A loss above this share of its first value counts as no progress."""


@dataclass(frozen=True)
class Drawn:
    """What a figure of sweeps shows.

    Attributes
    ----------
    runs
        Runs of the shown sweeps.
    laws
        Findings of `fimtiers.statistics.law_verdicts.judge_sweeps`.
    panels
        Title of each panel to its sweeps.
    labels
        What to call each sweep.
    threshold
        Tier ratio that is claimed to separate the groups.
    """

    runs: pd.DataFrame
    laws: pd.DataFrame
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

    def at(self, sweep: str, position: float) -> pd.DataFrame:
        """Return the runs of one point."""
        own = self.runs_of(sweep)
        return own[own["position"] == position]

    def mean_at(self, sweep: str, position: float) -> str:
        """Write the geometric mean at one point with its Student's t interval."""
        return written(log_t_interval(self.at(sweep, position)[PUBLISHED].to_numpy(float)))

    def along(self, sweep: str) -> GeometricMeanInterval:
        """Return the factor from the first to the last position of a sweep, paired by seed."""
        positions = self.means(sweep).index
        return factor_between(self.at(sweep, positions[-1]), self.at(sweep, positions[0]))


def sweep_message(
    figure: str,
    runs: pd.DataFrame,
    laws: pd.DataFrame,
    panels: Panels,
    labels: Mapping[str, str],
    threshold: float,
) -> str:
    """Return the one message of a figure; the ends of its curves if it has none of its own.

    Whatever is said of a figure is computed: with other numbers the sentence says the opposite.
    """
    shown = [name for names in panels.values() for name in names]
    rows = runs[runs["sweep"].isin(shown)]
    return MESSAGES.get(figure, _ends)(Drawn(rows, laws, panels, labels, threshold))


def drawn_runs(figure: str, runs: pd.DataFrame, panels: Panels) -> pd.DataFrame:
    """Return the runs that a figure draws, see `POINT_BY_POINT`."""
    if figure not in POINT_BY_POINT:
        return runs
    kept = []
    for shown in panels.values():
        own = runs[runs["sweep"].isin(shown)]
        count = own.groupby("position")["sweep"].nunique()
        kept.append(own[own["position"].isin(count.index[count == len(shown)])])
    return pd.concat(kept, ignore_index=True)


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


def _ends(drawn: Drawn) -> str:
    parts = [
        f"{drawn.labels[name]} {span(drawn.runs_of(name))}"
        for shown in drawn.panels.values()
        for name in shown
    ]
    return "Tier ratios: " + "; ".join(parts)


def _substrates(drawn: Drawn) -> str:
    shown = drawn.sweeps()
    own = drawn.laws[drawn.laws["response"] == RESPONSE].set_index("sweep")["finding"]
    findings = [str(own.get(name, "undetermined")) for name in shown]
    counts = {finding: findings.count(finding) for finding in dict.fromkeys(findings)}
    if len(counts) == 1:
        (finding,) = counts
        return f"Of {len(shown)} curves {FOUND[finding].format('all')}"
    parts = [text.format(counts[name]) for name, text in FOUND.items() if name in counts]
    return f"No one law describes all {len(shown)} curves: {'; '.join(parts)}"


def _training(drawn: Drawn) -> str:
    parts = []
    for title, shown in drawn.panels.items():
        before, trained = drawn.runs_of(shown[0]), drawn.runs_of(shown[-1])
        left = trained["probe_loss"] / trained["first_training_loss"]
        left = left.groupby(trained["position"]).mean()
        learned = [float(one) for one in left.index[left <= UNLEARNED]]
        factors = [
            factor_between(
                trained[trained["position"] == depth], before[before["position"] == depth]
            )
            for depth in learned
        ]
        part = "nothing is learned"
        if learned:
            ends = [format_percent(one) for one in (left[learned].min(), left[learned].max())]
            part = (
                f"by {_extremes(factors)}, {_several(learned)}, loss down to "
                f"{' to '.join(dict.fromkeys(ends))}"
            )
        if learned and len(left) > len(learned):
            part += f", {len(left) - len(learned)} of {len(left)} depths learn nothing"
        parts.append(f"{title}: {part}")
    return f"Where the loss falls, training multiplies T1/T3. {'. '.join(parts)}"


def _extremes(factors: Iterable[GeometricMeanInterval]) -> str:
    """Write the smallest and the largest factor with their intervals."""
    ordered = sorted(factors, key=lambda factor: factor.geometric_mean)
    return " to ".join(dict.fromkeys(written(factor) for factor in (ordered[0], ordered[-1])))


def _several(depths: Sequence[float]) -> str:
    if len(depths) == 1:
        return f"L = {depths[0]:g}"
    return f"L = {min(depths):g} to {max(depths):g}"


def _growth(drawn: Drawn) -> str:
    growth = {title: [drawn.along(name) for name in shown] for title, shown in drawn.panels.items()}
    first, last = drawn.runs["position"].min(), drawn.runs["position"].max()
    lows = {title: min(f.low for f in own) for title, own in growth.items()}
    highs = {title: max(f.high for f in own) for title, own in growth.items()}
    apart = [
        (one, other) for one in growth for other in growth
        if one != other and lows[one] > highs[other]
    ]  # fmt: skip
    message = f"From depth {first:g} to {last:g} the tier ratio grows by a factor "
    message += ", ".join(f"{_extremes(own)} with {title}" for title, own in growth.items())
    if apart:
        return f"{message}: more with {apart[0][0]} than with {apart[0][1]} for every curve"
    return f"{message}: the intervals overlap" if len(growth) > 1 else message


def _families(drawn: Drawn) -> str:
    shown, last = drawn.sweeps(), drawn.runs["position"].max()
    top = max(shown, key=lambda name: drawn.means(name).iloc[-1])
    bottom = min(shown, key=lambda name: drawn.means(name).iloc[-1])
    axis = AXIS_NAMES.get(drawn.runs["axis"].iloc[0], drawn.runs["axis"].iloc[0])
    told = direction(factor_between(drawn.at(top, last), drawn.at(bottom, last)))
    return (
        f"At {axis} = {last:g} the same network has a tier ratio of "
        f"{drawn.mean_at(top, last)} with {drawn.labels[top]} and {drawn.mean_at(bottom, last)} "
        f"with {drawn.labels[bottom]}" + ("" if told else ", not told apart")
    )


def _gpt(drawn: Drawn) -> str:
    by_depth, by_head = [], []
    for name in drawn.sweeps():
        means = drawn.means(name)
        by_depth.append(
            factor_between(drawn.at(name, means.idxmax()), drawn.at(name, means.idxmin()))
        )
    width = {name: drawn.runs_of(name)["width"].iloc[0] for name in drawn.sweeps()}
    for depth in sorted(drawn.runs["position"].unique()):
        for one in width:
            for other in width:
                if one != other and width[one] == width[other]:
                    by_head.append(factor_between(drawn.at(one, depth), drawn.at(other, depth)))
    head = max(by_head, key=lambda factor: factor.geometric_mean, default=None)
    depth_factor = max(by_depth, key=lambda factor: factor.geometric_mean)
    if head is None:
        return f"Over depth a GPT's tier ratio changes by up to a factor {written(depth_factor)}"
    more = head.low > depth_factor.high
    less = head.high < depth_factor.low
    compared = "more than" if more else "less than" if less else "not clearly more than"
    return (
        f"In a GPT the head moves the tier ratio {compared} depth: at one depth and width heads "
        f"differ by up to a factor {written(head)}, one head over depth by up to "
        f"{written(depth_factor)}"
    )


def _resnet(drawn: Drawn) -> str:
    shown = next(iter(drawn.panels.values()))
    small, large = shown[:2]
    depth = min(drawn.means(name).index.max() for name in shown[:2])
    factor = factor_between(drawn.at(large, depth), drawn.at(small, depth))
    return (
        f"At depth {depth:g} the tier ratio {change(factor)} from {drawn.labels[small]} to "
        f"{drawn.labels[large]}"
    )


def _probes(drawn: Drawn) -> str:
    few, many = drawn.runs["position"].min(), drawn.runs["position"].max()
    excess, apart = [], []
    for shown in drawn.panels.values():
        excess += [factor_between(drawn.at(name, few), drawn.at(name, many)) for name in shown]
        apart += [
            drawn.means(name).iloc[-1] / drawn.means(shown[0]).iloc[-1] - 1 for name in shown[1:]
        ]
    told = [direction(factor) for factor in excess]
    message = f"With {few:g} instead of {many:g} probes the tier ratio is "
    if all(np.isnan(factor.low) for factor in excess):
        ends = sorted(format_number(factor.geometric_mean, 2) for factor in excess)
        between = " to ".join(dict.fromkeys((ends[0], ends[-1])))
        message += f"{between} times as high, in single seeds and so without intervals"
    else:
        message += (
            f"higher for {told.count(1)} and lower for {told.count(-1)} of {len(told)} curves, by "
            f"factors of {_extremes(excess)}"
        )
    if apart:
        most = max(abs(one) for one in apart)
        message += f"; the precisions, which draw other probes, end {100 * most:.1f} % apart"
    return message


def _widths(drawn: Drawn) -> str:
    few, many = drawn.runs["position"].min(), drawn.runs["position"].max()
    parts = [f"{drawn.labels[name]} {change(drawn.along(name))}" for name in drawn.sweeps()]
    return f"Tier ratio from {few:g} to {many:g} units per layer: {'; '.join(parts)}"


def _below(drawn: Drawn) -> str:
    below, open_, total = [], 0, 0
    for name in drawn.sweeps():
        for _, own in drawn.runs_of(name).groupby("position"):
            interval = log_t_interval(own[PUBLISHED].to_numpy(float))
            total += 1
            below += [name] if interval.high < drawn.threshold else []
            open_ += interval.low <= drawn.threshold <= interval.high
    parts = []
    for title, shown in drawn.panels.items():
        own = [name for name in below if name in shown]
        names = "; ".join(dict.fromkeys(drawn.labels[name] for name in own))
        parts += [f"{len(own)} {title} ({names})"] if own else []
    return (
        f"Of {total} deep networks {len(below)} are below {drawn.threshold:g} and {open_} are not "
        f"told from it" + (f": below are {', '.join(parts)}" if below else "")
    )


MESSAGES: dict[str, Callable[[Drawn], str]] = {
    "substrates": _substrates,
    "training": _training,
    "activations": _growth,
    "initialisations": _families,
    "activation_training": _below,
    "gpt": _gpt,
    "resnet": _resnet,
    "probes": _probes,
    "widths": _widths,
}
