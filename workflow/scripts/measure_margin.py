"""Follow the margin between the groups over the number of probes (rule measure_margin).

A system that has no probes keeps its value, which is measured at any number of them. One that was
not measured at so many probes keeps the value of its largest count, or at so few that of its
smallest, and is marked as carried.
"""

import pandas as pd

from fimtiers import io
from fimtiers.job import run_job
from fimtiers.statistics.convergence import margin_by_probe_count
from fimtiers.tables import read_table, write_table

KEYS = ["system", "group", "point", "seed"]


def measured(path, system, group, value, probes):
    tiers = io.read_tiers(path)
    published = value == "published" and "tier_ratio_published" in tiers
    rows = tiers["tier_ratio_published" if published else "tier_ratio"].rename("value")
    rows = rows.to_dataframe(dim_order=["point", "probe_count", "seed"]).reset_index()
    rows["system"], rows["group"] = system, group
    rows["probe_factor"] = rows["probe_count"] / probes
    return rows[[*KEYS, "probe_count", "probe_factor", "value"]]


def at_factor(rows, factor):
    """Take the rows of one system at the largest factor up to `factor`, or at its smallest."""
    reached = rows.loc[rows["probe_factor"] <= factor, "probe_factor"].max()
    used = rows["probe_factor"].min() if pd.isna(reached) else reached
    chosen = rows[rows["probe_factor"] == used]
    without_probes = "probe_count" in chosen and chosen["probe_count"].isna().all()
    return chosen.assign(probe_factor=factor, carried=used != factor and not without_probes)


def main(args):
    settings = args.settings
    observations = read_table(args.observations)
    convergence = pd.concat(
        [
            measured(path, system, group, settings["value"], probes)
            for path, (system, group, probes) in zip(
                args.convergence, settings["converging"], strict=True
            )
        ],
        ignore_index=True,
    )
    constant = observations[~observations["system"].isin(convergence["system"])]
    constant = constant[[*KEYS, "value"]].assign(probe_factor=1.0)
    blocks = [
        at_factor(rows, factor)
        for factor in sorted(settings["margin_factors"])
        for _, rows in pd.concat([convergence, constant]).groupby("system", sort=False)
    ]
    table, margin = args.output
    write_table(table, convergence)
    write_table(margin, margin_by_probe_count(pd.concat(blocks, ignore_index=True)))


if __name__ == "__main__":
    run_job(main, __file__, "settings", "observations", "convergence*", "output*")
