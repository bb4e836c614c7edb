"""Initialise or train a system at some of its points (rules build_states and build_state)."""

import numpy as np

from fimtiers import io, substrates
from fimtiers.environment import limit_threads, provenance_attributes
from fimtiers.job import run_job
from fimtiers.progress import track


def main(args):
    job = args.settings
    substrate = substrates.load(job["substrate"])
    limit_threads()
    seeds = np.array(job["seeds"])
    states = {
        point: substrate.build_state(settings, seeds)
        for point, settings in track(job["points"], len(job["points"]), "points")
    }
    attributes = provenance_attributes(__file__, *substrates.roots(args, "build_state"))
    io.write_states(args.output, states, job, attributes)


if __name__ == "__main__":
    run_job(main, __file__, "settings", "output", modules=substrates.roots)
