"""Estimate confidence intervals of all tier ratios of a panel (rule estimate_intervals)."""

from fimtiers.job import run_job
from fimtiers.statistics.intervals import panel_intervals, point_intervals
from fimtiers.tables import read_table, write_table


def main(args):
    settings, observations = args.settings, read_table(args.observations)
    systems, points = args.output
    write_table(
        systems,
        panel_intervals(
            observations,
            seed=settings["seed"],
            confidence=settings["confidence"],
            resamples=settings["resamples"],
            threshold=settings["threshold"],
        ),
    )
    write_table(
        points, point_intervals(observations, settings["confidence"], settings["threshold"])
    )


if __name__ == "__main__":
    run_job(main, __file__, "settings", "observations", "output*")
