"""Fit exponents to the width sweeps of the published study (rule bootstrap_exponents).

Its points are published numbers: the sweeps need tasks that are no part of this study.
"""

import dataclasses

import pandas as pd

from fimtiers.job import run_job
from fimtiers.statistics.exponents import bootstrap_exponent
from fimtiers.tables import read_table, write_table

# The published "clean" fit drops the widest network, whose singular values are faulty.
LARGEST_CLEAN = 6e9


def main(args):
    settings, points = args.settings, read_table(args.points)
    rows = []
    for (task, probes), block in points.groupby(["task", "probes"], sort=False, dropna=False):
        for quantity in ("singular_value_ratio", "tier_ratio"):
            for subset, sweep in (
                ("all", block),
                ("clean", block[block["parameters"] < LARGEST_CLEAN]),
            ):
                known = sweep.dropna(subset=quantity)
                if known.empty or (subset == "clean" and len(known) == len(block)):
                    continue
                fit = bootstrap_exponent(
                    known["parameters"].to_numpy(float),
                    known[quantity].to_numpy(float),
                    seed=settings["seed"],
                    resamples=settings["resamples"],
                    confidence=settings["confidence"],
                )
                rows.append(
                    {
                        "task": task,
                        "probes": probes,
                        "quantity": quantity,
                        "subset": subset,
                        **dataclasses.asdict(fit),
                    }
                )
    write_table(args.output, pd.DataFrame(rows))


if __name__ == "__main__":
    run_job(main, __file__, "settings", "points", "output")
