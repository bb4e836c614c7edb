"""Measure tier ratios of a system at several probe counts (rule measure_convergence)."""

import numpy as np

from fimtiers import io, substrates
from fimtiers.environment import limit_threads, provenance_attributes
from fimtiers.job import run_job
from fimtiers.progress import track
from fimtiers.tiers import describe, published_ratio, tier_ratio, zero_fraction


def main(args):
    job = args.settings
    substrate = substrates.load(job["substrate"])
    limit_threads()
    states = io.read_states(args.states)
    summaries = {}
    for point, settings in job["points"]:
        diagonals = [
            substrate.fisher_diagonal({**settings, "probes": count}, states[point]).fim
            for count in track(job["probe_counts"], len(job["probe_counts"]), "probe counts")
        ]
        summaries[point] = {
            "tier_ratio": np.stack([tier_ratio(fim) for fim in diagonals]),
            "zero_fraction": np.stack([zero_fraction(fim) for fim in diagonals]),
        }
        if job["ratio_rule"] != "none":
            summaries[point]["tier_ratio_published"] = np.stack(
                [published_ratio(fim, job["ratio_rule"]) for fim in diagonals]
            )
    attributes = provenance_attributes(__file__, *substrates.roots(args, "fisher_diagonal"))
    io.write_tiers(args.output, summaries, job, attributes, describe)


if __name__ == "__main__":
    run_job(main, __file__, "settings", "states", "output", modules=substrates.roots)
