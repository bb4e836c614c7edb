"""Gather, compare and fit the runs of all sweeps (rule tabulate_sweeps)."""

import pandas as pd

from fimtiers.job import run_job
from fimtiers.pages import write_table_and_page
from fimtiers.statistics.partial_ratios import probe_limits
from fimtiers.statistics.sweep_agreement import (
    largest_differences,
    mean_agreement,
    per_seed_agreement,
    repeat_published_fits,
    set_beside,
)
from fimtiers.statistics.sweep_fits import fit_sweeps
from fimtiers.tables import read_table, write_table

OF_SWEEP = ("label", "axis", "experiment", "subset", "differs", "fit_from")
CHECKS = "checks"
OF_POINT = ("position", "depth", "width", "published_point")


def runs_of(name, sweep, table):
    """Return the runs of one sweep, in the order of its points."""
    points = pd.DataFrame(sweep["points"]).rename(columns={"name": "point"})
    about = {key: sweep[key] for key in OF_SWEEP}
    return points.merge(table, on="point", how="left").assign(sweep=name, **about)


def with_untrained(runs, untrained):
    """Add the quotient of the tier ratios before and after training."""
    keys = ["position", "seed"]
    before = runs.set_index(["sweep", *keys])["tier_ratio_published"]
    twin = pd.MultiIndex.from_arrays([runs["sweep"].map(untrained), runs["position"], runs["seed"]])
    quotient = before.reindex(twin).to_numpy() / runs["tier_ratio_published"].to_numpy()
    return runs.copy().assign(untrained_over_trained=quotient)


def as_printed(path):
    """Read a table with its numbers as text, to know how many digits they have."""
    return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")


def main(args):
    sweeps = args.settings
    tables = {path.stem: read_table(path) for path in args.runs}
    untrained = {name: sweep["untrained"] for name, sweep in sweeps.items() if sweep["untrained"]}
    runs = pd.concat(
        [runs_of(name, sweep, tables[sweep["system"]]) for name, sweep in sweeps.items()],
        ignore_index=True,
    )
    runs = with_untrained(runs, untrained)
    first = ["sweep", *OF_SWEEP, "point", *OF_POINT, "seed"]
    runs = runs[[*first, *(name for name in runs if name not in first)]]
    published = as_printed(args.published_runs).astype({"seed": int})
    printed = as_printed(args.published_fits)
    per_seed = per_seed_agreement(runs, published)
    if CHECKS in tables:
        checks = tables[CHECKS].assign(sweep="single claims", label="Single claims")
        per_seed = pd.concat([per_seed, set_beside(checks, published)], ignore_index=True)
    means = mean_agreement(runs, read_table(args.published_means))
    shown = {
        "Activations, published and measured means": means,
        "Runs, published and measured": per_seed,
        "Largest difference of every sweep": largest_differences(per_seed),
        "Published fits": repeat_published_fits(runs, published, printed, untrained),
        "Competing laws": fit_sweeps(runs),
        "Tier ratios for infinitely many probes": probe_limits(runs),
    }
    runs_path, *tables = [path for path in args.output if path.suffix == ".csv"]
    write_table(runs_path, runs)
    for path, (title, table) in zip(tables, shown.items(), strict=True):
        write_table_and_page(path, table, title)


if __name__ == "__main__":
    run_job(
        main,
        __file__,
        "settings",
        "runs*",
        "published_runs",
        "published_means",
        "published_fits",
        "output*",
    )
