"""Estimate confidence intervals of all tier ratios of a panel (rule estimate_intervals)."""

from fimtiers.job import run_job
from fimtiers.statistics.intervals import panel_intervals, point_intervals
from fimtiers.statistics.relative import in_relative_units
from fimtiers.tables import read_table, write_table


def main(args):
    settings, observations = args.settings, read_table(args.observations)
    systems, points, relative = args.output
    for path, table in ((systems, observations), (relative, in_relative_units(observations))):
        intervals = panel_intervals(
            table,
            seed=settings["seed"],
            confidence=settings["confidence"],
            resamples=settings["resamples"],
            threshold=settings["threshold"],
        )
        write_table(path, intervals)
    write_table(
        points, point_intervals(observations, settings["confidence"], settings["threshold"])
    )


if __name__ == "__main__":
    run_job(main, __file__, "settings", "observations", "output*")
