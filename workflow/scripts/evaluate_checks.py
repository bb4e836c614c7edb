"""Evaluate the pooling bound, the full spectrum and eight observables (rule evaluate_checks)."""

import pandas as pd

from fimtiers import io
from fimtiers.job import run_job
from fimtiers.statistics.single_checks import observable_rows, pooling_rows, spectrum_rows
from fimtiers.tables import write_table


def main(args):
    tables = []
    if args.pooling:
        seeds = args.settings["pooling"]["seeds"]
        rows = pooling_rows(io.read_fisher(args.pooling), seeds)
        tables.append(rows.assign(experiment="V6.0c"))
    if args.spectrum:
        seeds = args.settings["spectrum"]["seeds"]
        rows = spectrum_rows(io.read_fisher(args.spectrum), seeds)
        tables.append(rows.assign(experiment="V4.2"))
    if args.observables:
        chosen = args.settings["observables"]
        states, fisher = io.read_states(args.states), io.read_fisher(args.observables)
        rows = observable_rows(states, fisher, chosen["points"], chosen["seeds"])
        tables.append(rows.assign(experiment="V10"))
    write_table(args.output, pd.concat(tables, ignore_index=True))


if __name__ == "__main__":
    run_job(
        main, __file__, "settings", "pooling?", "spectrum?", "observables?", "states?", "output"
    )
