"""One row per workload: what `fimtiers` costs, what is required of it, and the best peer."""

from typing import Any

import pandas as pd

from fimtiers.fisher.loop_check import SAMPLES

MEMORY_REQUIRED = 1.5
"""Most memory, as a multiple of that of the plain pass."""

EXPLANATION = """## Summary

Costs and memory are multiples of those of the plain pass. In bold is what is above the
requirement, and a correct peer that takes less than a prepared call. A first call finds routes
and compares two samples with the loop. *Check* is what these two take in the loop, from the table
of the workload: where that and a prepared call together exceed the requirement, a first call has
no room to meet it. The 20 networks are stacked, and their one call is a first one. Memory, of a
prepared and of a first call, counts the result, which in float64 is twice as large as the
gradients of the plain pass; a plain pass over 20 networks, one after the other, keeps the
gradients of one.
"""

COLUMNS = (
    "workload", "required", "prepared", "further", "first call", "check", "best peer", "memory",
)  # fmt: skip


def summary(measured: list[pd.DataFrame]) -> str:
    """Return the section that compares all workloads, Markdown."""
    lines = [EXPLANATION, "| " + " | ".join(COLUMNS) + " |"]
    lines.append("|---" + "|--:" * 5 + "|---" + "|--:|")
    lines += ["| " + " | ".join(cells(rows)) + " |" for rows in measured]
    return "\n".join(lines) + "\n"


def cells(rows: pd.DataFrame) -> list[str]:
    """Return the cells of one workload."""
    methods: dict[str, Any] = {row.method: row for row in rows.itertuples()}
    plain, stacked = methods["plain pass"], methods.get("fimtiers, stacked")
    once = stacked or methods["fimtiers, first call"]
    prepared = None if stacked else methods["fimtiers"]
    target = float("inf") if pd.isna(plain.target) else plain.target
    loop = methods.get("loop")
    return [
        plain.title.partition(",")[0],
        "" if pd.isna(plain.target) else f"{target:g}",
        "" if prepared is None else number(prepared.ratio, target),
        number((prepared or once).further, target),
        number(once.ratio, target),
        "" if loop is None else f"{loop.ratio * SAMPLES / plain.samples:.2f}",
        peer(rows, once if prepared is None else prepared),
        " / ".join(
            number(row.memory_mb / plain.memory_mb, MEMORY_REQUIRED)
            for row in (prepared, once)
            if row is not None
        ),
    ]


def peer(rows: pd.DataFrame, own: Any) -> str:
    """Return the cheapest correct method that is not ours, in bold if it costs less."""
    others = rows[(rows.status == "correct") & ~rows.method.str.startswith("fimtiers")]
    if others.empty:
        return ""
    best = others.loc[others.ratio.idxmin()]
    text = f"{best.ratio:.2f} ({best.method.partition(',')[0]})"
    return f"**{text}**" if best.ratio < own.ratio else text


def number(value: float, most: float) -> str:
    return f"**{value:.2f}**" if value > most else f"{value:.2f}"
