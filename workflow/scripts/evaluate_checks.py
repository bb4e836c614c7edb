"""Evaluate the pooling bound, the full spectrum and eight observables (rule evaluate_checks)."""

import pandas as pd

from fimtiers import io
from fimtiers.job import run_job
from fimtiers.statistics.single_checks import observable_rows, pooling_rows, spectrum_rows
from fimtiers.tables import write_table


def main(args):
    settings = args.settings
    pooling, spectrum, observed = (
        io.read_fisher(path) for path in (args.pooling, args.spectrum, args.observables)
    )
    tables = [
        pooling_rows(pooling, settings["pooling"]["seeds"]).assign(experiment="V6.0c"),
        spectrum_rows(spectrum, settings["spectrum"]["seeds"]).assign(experiment="V4.2"),
        observable_rows(
            io.read_states(args.states),
            observed,
            settings["observables"]["points"],
            settings["observables"]["seeds"],
        ).assign(experiment="V10"),
    ]
    write_table(args.output, pd.concat(tables, ignore_index=True))


if __name__ == "__main__":
    run_job(main, __file__, "settings", "pooling", "spectrum", "observables", "states", "output")
