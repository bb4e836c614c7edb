"""Gather one row per system, point and seed of a panel (rule collect_observations)."""

import pandas as pd

from fimtiers import io
from fimtiers.job import run_job
from fimtiers.statistics.positive_entries import positive_ratio
from fimtiers.tables import write_table

COLUMNS = [
    "tier_ratio", "tier1_mean", "tier3_mean", "zero_fraction", "gini", "effective_rank",
    "effective_rank_positive", "top_mass", "top_mass_positive", "log_variance",
    "relative_tier_ratio", "relative_zero_fraction",
]  # fmt: skip
KEYS = ["system", "class", "group", "definition", "point", "seed", "value", "positive_ratio"]


def rows_of(tiers_path, fisher_path, system, group, value):
    tiers, diagonals = io.read_tiers(tiers_path), io.read_fisher(fisher_path)
    if value == "published" and "tier_ratio_published" in tiers:
        tiers["value"] = tiers["tier_ratio_published"]
    else:
        tiers["value"] = tiers["tier_ratio"]
    rows = tiers[["value", *COLUMNS]].to_dataframe(dim_order=["point", "seed"]).reset_index()
    # Both files have their points in the order of the study, and seeds within.
    rows["positive_ratio"] = [
        ratio
        for point in tiers["point"].to_numpy()
        for ratio in positive_ratio(diagonals[point].fim)
    ]
    rows["definition"] = rows["point"].map(lambda point: diagonals[point].definition)
    rows = rows.assign(**{"system": system, "group": group, "class": tiers.attrs["substrate"]})
    return rows[[*KEYS, *COLUMNS]]


def main(args):
    paths = zip(args.tiers, args.fisher, args.settings["members"], strict=True)
    tables = [
        rows_of(tiers, fisher, system, group, args.settings["value"])
        for tiers, fisher, (system, group) in paths
    ]
    write_table(args.output, pd.concat(tables, ignore_index=True))


if __name__ == "__main__":
    run_job(main, __file__, "settings", "tiers*", "fisher*", "output")
