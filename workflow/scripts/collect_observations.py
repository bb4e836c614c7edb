"""Gather one row per system, point and seed of a panel (rule collect_observations)."""

import pandas as pd

from fimtiers import io
from fimtiers.job import run_job
from fimtiers.tables import write_table

COLUMNS = [
    "tier_ratio", "tier1_mean", "tier3_mean", "zero_fraction", "gini", "effective_rank",
    "effective_rank_positive", "top_mass", "top_mass_positive", "log_variance",
]  # fmt: skip


def rows_of(path, system, group, value):
    tiers = io.read_tiers(path)
    if value == "published" and "tier_ratio_published" in tiers:
        tiers["value"] = tiers["tier_ratio_published"]
    else:
        tiers["value"] = tiers["tier_ratio"]
    rows = tiers[["value", *COLUMNS]].to_dataframe(dim_order=["point", "seed"]).reset_index()
    rows.insert(0, "system", system)
    rows.insert(1, "group", group)
    return rows[["system", "group", "point", "seed", "value", *COLUMNS]]


def main(args):
    tables = [
        rows_of(path, system, group, args.settings["value"])
        for path, (system, group) in zip(args.tiers, args.settings["members"], strict=True)
    ]
    write_table(args.output, pd.concat(tables, ignore_index=True))


if __name__ == "__main__":
    run_job(main, __file__, "settings", "tiers*", "output")
