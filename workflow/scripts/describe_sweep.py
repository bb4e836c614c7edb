"""Describe every run of a swept system, its layers, and their levels (rule describe_sweep)."""

import pandas as pd

from fimtiers import io
from fimtiers.job import run_job
from fimtiers.statistics.diagonal_description import describe_diagonal, layer_profile
from fimtiers.statistics.layer_levels import layer_levels
from fimtiers.statistics.partial_ratios import partial_ratios
from fimtiers.statistics.unit_activity import unit_activity
from fimtiers.tables import write_table


def loss(state, diagonal):
    """Return the loss of the probes, and that before the first and after the last training step."""
    values = {}
    if "probe_loss" in diagonal.diagnostics:
        values["probe_loss"] = diagonal.diagnostics["probe_loss"][1]
    if "training_loss" in state.diagnostics:
        values["first_training_loss"] = state.diagnostics["training_loss"][1][:, 0]
    return values


def main(args):
    job = args.settings
    states, diagonals = io.read_states(args.states), io.read_fisher(args.fisher)
    tiers = io.read_tiers(args.tiers)
    runs, layers, levels = [], [], []
    for point, _ in job["points"]:
        diagonal = diagonals[point]
        columns = {
            **describe_diagonal(diagonal.fim, diagonal.tensors),
            **partial_ratios(diagonal),
            **unit_activity(diagonal.diagnostics),
            **loss(states[point], diagonal),
        }
        cut = {
            str(name): values.to_numpy()
            for name, values in tiers.sel(point=point).data_vars.items()
        }
        runs.append(pd.DataFrame({"point": point, "seed": job["seeds"], **cut, **columns}))
        layers.append(layer_profile(diagonal.fim, diagonal.tensors).assign(point=point))
        own = layer_levels(diagonal.fim, diagonal.tensors, job["seeds"])
        levels.append(own.assign(point=point))
    runs_path, layers_path, levels_path = args.output
    write_table(runs_path, pd.concat(runs, ignore_index=True))
    write_table(layers_path, pd.concat(layers, ignore_index=True))
    write_table(levels_path, pd.concat(levels, ignore_index=True))


if __name__ == "__main__":
    run_job(main, __file__, "settings", "states", "fisher", "tiers", "output*")
