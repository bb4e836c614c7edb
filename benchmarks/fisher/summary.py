"""One row per workload: what `fimtiers` costs over all runs, what is required, the best peer."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from fimtiers.fisher.loop_check import SAMPLES

MEMORY_REQUIRED = 1.5
"""Most memory, as a multiple of that of the plain pass."""

EXPLANATION = """## Summary

Costs and memory are multiples of those of the plain pass; a range is that of the medians of all
runs listed above. In bold is what is above the requirement in one of them, and a correct peer that
takes less than a prepared call of the same run. A first call finds routes and compares two samples
with the loop; it is in bold above its own requirement, where it has one. *Check* is what these two
take in the loop. The 20 networks are stacked, and their one call is a first one. Memory, of a
prepared and of a first call, counts the result, which in float64 is twice as large as the
gradients of the plain pass; a plain pass over 20 networks, one after the other, keeps the
gradients of one.
"""

COLUMNS = (
    "workload", "required", "prepared", "further", "first call", "check", "best peer", "memory",
)  # fmt: skip

Row = Any
"""A row of a table, with the columns as attributes."""


def summary(measured: Sequence[Sequence[pd.DataFrame]]) -> str:
    """Return the section that compares all workloads, Markdown.

    Parameters
    ----------
    measured
        The tables of each workload, one of each run.
    """
    lines = [EXPLANATION, "| " + " | ".join(COLUMNS) + " |"]
    lines.append("|---" + "|--:" * 5 + "|---" + "|--:|")
    lines += ["| " + " | ".join(cells(tables)) + " |" for tables in measured]
    return "\n".join(lines) + "\n"


def cells(tables: Sequence[pd.DataFrame]) -> list[str]:
    """Return the cells of one workload."""
    runs = [{row.method: row for row in table.itertuples()} for table in tables]
    plain = runs[-1]["plain pass"]
    stacked = "fimtiers, stacked" in runs[-1]
    once = "fimtiers, stacked" if stacked else "fimtiers, first call"
    own = once if stacked else "fimtiers"
    target = limit(plain.target)
    first = target if stacked else limit(getattr(plain, "first", float("nan")))
    memory = [(own,), (once,)] if own != once else [(own,)]
    return [
        plain.title.partition(",")[0],
        "" if pd.isna(plain.target) else f"{target:g}",
        "" if stacked else span([run[own].ratio for run in runs], target),
        span([run[own].further for run in runs], target),
        span([run[once].ratio for run in runs], first),
        span([r["loop"].ratio * SAMPLES / r["plain pass"].samples for r in runs if "loop" in r]),
        peer(tables, [run[own] for run in runs]),
        " / ".join(
            span([r[name].memory_mb / r["plain pass"].memory_mb for r in runs], MEMORY_REQUIRED)
            for (name,) in memory
        ),
    ]


def limit(value: float) -> float:
    return float("inf") if pd.isna(value) else value


def span(values: Sequence[float], most: float = float("inf")) -> str:
    """Return the range of values, in bold if one is more than allowed."""
    if not values:
        return ""
    low, high = (f"{value:.2f}" for value in (min(values), max(values)))
    text = low if low == high else f"{low}–{high}"
    return f"**{text}**" if max(values) > most else text


def peer(tables: Sequence[pd.DataFrame], own: Sequence[Row]) -> str:
    """Return the cheapest correct methods that are not ours, in bold if one ever costs less."""
    best = []
    for table in tables:
        others = table[(table.status == "correct") & ~table.method.str.startswith("fimtiers")]
        best.append(None if others.empty else others.loc[others.ratio.idxmin()])
    known = [row for row in best if row is not None]
    if not known:
        return ""
    names = ", ".join(dict.fromkeys(row.method.partition(",")[0] for row in known))
    text = f"{span([row.ratio for row in known])} ({names})"
    less = any(
        row is not None and row.ratio < ours.ratio for row, ours in zip(best, own, strict=True)
    )
    return f"**{text}**" if less else text
