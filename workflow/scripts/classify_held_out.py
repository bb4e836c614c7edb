"""Classify each system by a fit to all others (rule classify_held_out)."""

import numpy as np

from fimtiers.job import run_job
from fimtiers.statistics.classifier import leave_one_system_out_classifier
from fimtiers.tables import read_table, write_json

FEATURES = {
    "tier_ratio_and_top_mass": ("log10_ratio", "top_mass"),
    "without_tier_ratio": ("gini", "effective_rank", "top_mass"),
}


def main(args):
    observations = read_table(args.observations)
    observations["log10_ratio"] = np.log10(observations["value"])
    write_json(
        args.output,
        {
            name: leave_one_system_out_classifier(observations, features)
            for name, features in FEATURES.items()
            if np.isfinite(observations[list(features)]).all(axis=None)
        },
    )


if __name__ == "__main__":
    run_job(main, __file__, "observations", "output")
