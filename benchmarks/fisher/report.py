"""Make the page and the figure of the benchmark from its CSV files."""

import argparse
from importlib.metadata import version
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from benchmarks.fisher import runs
from benchmarks.fisher.measure import BUDGET, CHECKED, ROUNDS, TOLERANCE
from benchmarks.fisher.peers import PROBES
from benchmarks.fisher.summary import summary
from benchmarks.fisher.workloads import WORKLOADS
from fimtiers.plotting.style import COLOURS, FAINT, SMALL, SOFT, bare, decades, figure_style

NAMES = {
    "fimtiers": "fimtiers, prepared",
    "fimtiers, first call": "fimtiers, first call",
    "fimtiers, further batch": "fimtiers, further batch",
    "fimtiers, stacked": "fimtiers, stacked",
    "nngeometry": "nngeometry",
    "BackPACK": "BackPACK",
    "asdl": "asdl",
    "vmap": "torch.func vmap(grad)",
    "Opacus": "Opacus",
    "laplace": "laplace",
    "kronfluence": "kronfluence",
    "curvlinops": "curvlinops",
    "loop": "loop over samples",
}
"""Rows of the figure from top to bottom."""

PACKAGES = (
    "torch", "backpack-for-pytorch", "opacus", "nngeometry", "laplace-torch", "asdfghjkl",
    "kronfluence", "curvlinops-for-pytorch", "transformers",
)  # fmt: skip

INTRODUCTION = f"""# Benchmark of the Fisher engine

Cost is CPU time divided by that of one plain batched forward and backward pass of the same
samples in the same round, on one thread: the median over interleaved rounds, and in brackets the
range. There are {ROUNDS} rounds; a peer that has used {BUDGET:.0f} s takes part in no further one.
The set-up of a method is not counted: for `fimtiers` that of an `Extractor`, a call on few samples
that finds routes and checks them against a single-sample loop. *First call* counts all of it: it is
`diagonal` as called once. A further batch is what each batch of a call costs beyond the first. Of
several networks, the plain pass, `fimtiers` and its first call take one after the other; the
stacked plain pass is one of all at once, by torch.func.vmap. Where the table gives a
peer fewer samples than the plain pass, its cost is scaled to all. vmap runs in chunks of 8, 32 and
128 samples, or all if there are fewer, and the fastest is shown.

Values are compared with a float64 loop on {CHECKED} samples; the error is ‖F − F_loop‖ / ‖F_loop‖
of the worst tensor. *Correct*: all tensors within {TOLERANCE:g}. *Incomplete*: tensors are missing,
the others right. *Wrong*: a tensor is beyond {TOLERANCE:g}, and nothing says so. *Estimate*: the
library says that it gives one; `curvlinops` has no exact diagonal in its release, and {PROBES}
random vectors estimate that of the empirical Fisher. `kronfluence` gives its strategy `diagonal`,
the squares of linear layers and convolutions alone. *Raises*: no result. Memory is the peak of a
second call above what is resident before it, in a fresh process whose allocator gives back at once
what is free, for the samples in the table; the result counts.

![Cost of each method on each workload](images/benchmark.svg)
"""


def main() -> None:
    """Read the runs, keep the newest if asked to, and write the page and the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("reports/benchmark"))
    parser.add_argument("--recorded", type=Path, default=Path("benchmarks/recorded"))
    parser.add_argument("--record", action="store_true", help="keep the results among the recorded")
    parser.add_argument("--to", type=Path, default=Path("reports/benchmark"))
    arguments = parser.parse_args()
    if arguments.record:
        runs.record(arguments.results, arguments.recorded)
    found = runs.read([*runs.folders(arguments.recorded), arguments.results])
    if not found:
        raise FileNotFoundError(f"no results in {arguments.results}; run `make benchmark`")
    measured = {name: found[name] for name in WORKLOADS if name in found}
    (arguments.to / "images").mkdir(parents=True, exist_ok=True)
    (arguments.to / "benchmarks.md").write_text(page(measured), encoding="utf-8")
    newest = [tables[-1] for tables in measured.values()]
    draw(newest, arguments.to / "images" / "benchmark.svg")


def page(measured: dict[str, list[pd.DataFrame]]) -> str:
    """Return the page: how it was measured, on what, a summary, and a table per workload.

    Parameters
    ----------
    measured
        Tables of each workload, the newest run last.
    """
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    every = [table for tables in measured.values() for table in tables]
    parts = [
        INTRODUCTION,
        runs.listed(every),
        f"Tables and figure show the newest, with {versions}.\n",
    ]
    newest = [table(tables[-1]) for tables in measured.values()]
    return "\n".join([*parts, summary(list(measured.values())), *newest])


def table(rows: pd.DataFrame) -> str:
    """Return the Markdown table of a workload."""
    first = rows.iloc[0]
    goal = "" if pd.isna(first.target) else f"\nRequired: at most {first.target:g}.\n"
    lines = [f"## {first.title}\n{goal}"]
    lines.append("| method | values | worst error | missing | cost | rounds | samples | MB |")
    lines.append("|---|---|--:|--:|--:|--:|--:|--:|")
    for row in rows.itertuples():
        if pd.isna(row.ratio):
            lines.append(f"| {row.method} | {row.status} | | | | | | |")
            continue
        status = "" if pd.isna(row.status) else row.status
        error = "" if pd.isna(row.error) else f"{row.error:.0e}"
        missing = "" if pd.isna(row.missing) else row.missing
        cost = interval(row.ratio, row.low, row.high)
        lines.append(
            f"| {row.method} | {status} | {error} | {missing} | {cost} | {row.rounds:.0f} "
            f"| {row.samples:.0f} | {row.memory_mb:.0f} |"
        )
        if not pd.isna(row.further):
            cost = interval(row.further, row.further_low, row.further_high)
            lines.append(f"| {row.method}, further batch | | | | {cost} | {row.rounds:.0f} | | |")
    return "\n".join(lines) + "\n"


def interval(median: float, low: float, high: float) -> str:
    return f"{median:.2f}" if low == high else f"{median:.2f} [{low:.2f}–{high:.2f}]"


@figure_style()
def draw(measured: list[pd.DataFrame], file: Path) -> None:
    """Draw the cost of every method, one panel per workload."""
    figure, grid = plt.subplots(3, 4, figsize=(9.6, 8.0), sharex=True, sharey=True)
    for axes, rows in zip(grid.flat, measured, strict=False):
        draw_workload(axes, rows)
    for axes in list(grid.flat)[len(measured) :]:
        axes.set_visible(False)
    figure.supxlabel(
        "CPU time / plain batched forward and backward pass      "
        "(filled: correct, hollow: incomplete, an estimate, or wrong)",
        fontsize=8,
    )
    figure.tight_layout(w_pad=0.6)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


def draw_workload(axes: Axes, rows: pd.DataFrame) -> None:
    axes.set(xscale="log", xlim=(0.7, 900), ylim=(len(NAMES) - 0.5, -0.5))
    axes.axvline(1, color=FAINT, zorder=0)
    axes.set_yticks(range(len(NAMES)), NAMES.values())
    axes.set_title(rows.title[0].replace(", ", "\n", 1), loc="left")
    positions = {name: y for y, name in enumerate(NAMES)}
    for row in rows[~rows.method.str.startswith("plain pass")].itertuples():
        y = positions[row.method.split(",")[0] if row.method.startswith("vmap") else row.method]
        colour = COLOURS["deep" if row.method.startswith("fimtiers") else "rest"]
        if pd.isna(row.ratio):
            axes.text(1.1, y, "raises", va="center", color=SOFT, fontsize=SMALL)
            continue
        draw_cost(axes, y, (row.ratio, row.low, row.high), colour, row.status)
        if not pd.isna(row.further):
            cost = row.further, row.further_low, row.further_high
            draw_cost(axes, positions["fimtiers, further batch"], cost, colour, row.status)
    bare(axes, "bottom")
    decades(axes.xaxis)


def draw_cost(
    axes: Axes, y: float, cost: tuple[float, float, float], colour: str, status: str
) -> None:
    ratio, low, high = cost
    fill = colour if status == "correct" else "white"
    axes.plot([max(low, 0.75), high], [y, y], color=colour, linewidth=1)
    axes.plot(ratio, y, "o", color=colour, markerfacecolor=fill, markersize=4)
    note = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
    note += "" if status == "correct" else f" {status}"
    axes.annotate(
        note, (max(high, ratio), y), (5, 0), textcoords="offset points", va="center",
        fontsize=SMALL, color=colour if status == "correct" else SOFT,
    )  # fmt: skip


if __name__ == "__main__":
    main()
