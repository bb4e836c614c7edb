"""Initialise a system and measure its Fisher diagonal, at all points (rule measure_initialised)."""

import numpy as np

from fimtiers import io, substrates
from fimtiers.environment import limit_threads, provenance_attributes
from fimtiers.job import run_job
from fimtiers.progress import track
from fimtiers.twins import fisher_diagonals


def main(args):
    job = args.settings
    states_file, fisher_file = args.output
    substrate = substrates.load(job["substrate"])
    limit_threads()
    functions = ("build_state", "fisher_diagonal")
    roots = [root for name in functions for root in substrates.roots(args, name)]
    attributes = provenance_attributes(__file__, *roots)
    seeds = np.array(job["seeds"])
    states = {
        point: substrate.build_state(settings, seeds)
        for point, settings in track(job["points"], len(job["points"]), "states")
    }
    io.write_states(states_file, states, job, attributes)
    diagonals = fisher_diagonals(substrate, job["points"], states)
    io.write_fisher(fisher_file, diagonals, job, attributes)


if __name__ == "__main__":
    run_job(main, __file__, "settings", "output*", modules=substrates.roots)
