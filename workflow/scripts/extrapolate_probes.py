"""Extrapolate every tier ratio to infinitely many probes (rule extrapolate_probes)."""

import dataclasses

import pandas as pd

from fimtiers.job import run_job
from fimtiers.statistics.convergence import extrapolate_tier_ratio
from fimtiers.tables import read_table, write_table


def main(args):
    rows = []
    convergence = read_table(args.convergence)
    for (system, group, point), block in convergence.groupby(
        ["system", "group", "point"], sort=False
    ):
        ratio = block.pivot_table(index="probe_count", columns="seed", values="value")
        limit = extrapolate_tier_ratio(
            ratio.index.to_numpy(), ratio.to_numpy(), args.settings["confidence"]
        )
        rows.append({"system": system, "group": group, "point": point, **dataclasses.asdict(limit)})
    write_table(args.output, pd.DataFrame(rows))


if __name__ == "__main__":
    run_job(main, __file__, "settings", "convergence", "output")
