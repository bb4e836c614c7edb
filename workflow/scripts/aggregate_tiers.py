"""Cut the Fisher diagonals of a system into tiers (rule aggregate_tiers)."""

import numpy as np

from fimtiers import io
from fimtiers.environment import provenance_attributes
from fimtiers.job import run_job
from fimtiers.tiers import describe, summarise


def main(args):
    rule = args.settings["ratio_rule"]
    states = io.read_states(args.states)
    summaries = {}
    for point, diagonal in io.read_fisher(args.fisher).items():
        sizes = [tensor.size for tensor in diagonal.tensors]
        summaries[point] = summarise(
            diagonal.fim,
            layer=np.repeat([tensor.layer for tensor in diagonal.tensors], sizes),
            tensor_index=np.repeat(np.arange(len(sizes)), sizes),
            theta=states[point].theta,
            published_rule=rule if rule != "none" else None,
        )
    io.write_tiers(args.output, summaries, args.settings, provenance_attributes(__file__), describe)


if __name__ == "__main__":
    run_job(main, __file__, "settings", "fisher", "states", "output")
