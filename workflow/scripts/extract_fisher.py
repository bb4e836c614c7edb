"""Measure the Fisher diagonal of a system at all its points (rule extract_fisher)."""

from fimtiers import io, substrates
from fimtiers.environment import limit_threads, provenance_attributes
from fimtiers.job import run_job
from fimtiers.partial_probes import with_histograms
from fimtiers.progress import track


def main(args):
    job = args.settings
    substrate = substrates.load(job["substrate"])
    limit_threads()
    states = io.read_states(args.states)
    diagonals = {
        point: with_histograms(substrate.fisher_diagonal(settings, states[point]))
        for point, settings in track(job["points"], len(job["points"]), "points")
    }
    attributes = provenance_attributes(__file__, *substrates.roots(args, "fisher_diagonal"))
    io.write_fisher(args.output, diagonals, job, attributes)


if __name__ == "__main__":
    run_job(main, __file__, "settings", "states", "output", modules=substrates.roots)
