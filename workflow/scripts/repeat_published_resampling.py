"""Repeat the published tests that used made-up values (rule repeat_published_resampling).

The published threshold table and Mann-Whitney bootstrap did not use the per-seed values. They are
repeated here as they were done, from this run's intervals, to be shown beside the real ones. Where
a tier ratio is infinite they are undefined, and say so instead.
"""

import pandas as pd

from fimtiers.job import run_job
from fimtiers.statistics.mann_whitney_bootstrap import mann_whitney_bootstrap
from fimtiers.statistics.observations import values_of
from fimtiers.statistics.published_pseudodata import pseudo_observations, why_undefined
from fimtiers.statistics.thresholds import threshold_sensitivity
from fimtiers.tables import read_table, write_json, write_table


def main(args):
    # The published scripts read their own intervals with four decimals.
    intervals = read_table(args.intervals).round(4)
    thresholds, bootstrap = args.output
    if reason := why_undefined(intervals):
        values = {"threshold": args.settings["thresholds"], "undefined_because": reason}
        write_table(thresholds, pd.DataFrame(values))
        write_json(bootstrap, {"undefined_because": reason})
        return
    pseudo = pseudo_observations(intervals)
    write_table(thresholds, threshold_sensitivity(pseudo, args.settings["thresholds"]))
    result = mann_whitney_bootstrap(
        values_of(pseudo, "deep"),
        values_of(pseudo, "rest"),
        seed=args.settings["seed"],
        resamples=args.settings["cluster_resamples"],
    )
    write_json(bootstrap, result)


if __name__ == "__main__":
    run_job(main, __file__, "settings", "intervals", "output*")
