"""Test whether the deep systems of a panel exceed the rest (rule test_dichotomy)."""

import numpy as np

from fimtiers.job import run_job
from fimtiers.statistics.cluster_bootstrap import cluster_bootstrap
from fimtiers.statistics.dichotomy import compare_pooled, permutation_test, separation
from fimtiers.statistics.relative import in_relative_units
from fimtiers.tables import read_table, write_json


def tests(observations):
    return {
        "pooled_seeds": compare_pooled(observations),
        "systems": permutation_test(observations),
        "classes": permutation_test(observations, unit="class"),
        "separation": separation(observations),
    }


def main(args):
    settings, observations = args.settings, read_table(args.observations)
    result = {
        **tests(observations),
        "relative": tests(in_relative_units(observations)),
        "cluster_bootstrap": cluster_bootstrap(
            observations,
            np.random.default_rng(settings["seed"]),
            resamples=settings["cluster_resamples"],
            confidence=settings["confidence"],
        ),
    }
    write_json(args.output, result)


if __name__ == "__main__":
    run_job(main, __file__, "settings", "observations", "output")
