"""Measure how the level of F changes from layer to layer (rule measure_drift)."""

import pandas as pd

from fimtiers.job import run_job
from fimtiers.pages import write_table_and_page
from fimtiers.statistics.level_drift import drift_of_sweeps, predicted_levels, steps_of_sweeps
from fimtiers.tables import read_table, write_table


def levels_of(name, entry, label, table):
    """Return the levels of the deepest networks of a sweep, with those of mean-field theory."""
    settings = entry["settings"]
    rows = table[table["point"] == entry["point"]]
    theory = predicted_levels(rows, settings["activation"], settings["initialisation"])
    about = {"sweep": name, "label": label, "position": entry["position"]}
    return rows.assign(**about, predicted=theory)


def main(args):
    settings = args.settings
    tables = {path.stem.removesuffix("_levels"): read_table(path) for path in args.levels}
    levels = pd.concat(
        [
            levels_of(name, entry, settings["labels"][name], tables[entry["system"]])
            for name, entry in settings["deepest"].items()
        ],
        ignore_index=True,
    )
    levels_path, *tables = [path for path in args.output if path.suffix == ".csv"]
    write_table(levels_path, levels)
    shown = {
        "Plateau and drift of the layers": drift_of_sweeps(levels, settings["confidence"]),
        "Steps from layer to layer": steps_of_sweeps(levels, settings["confidence"]),
    }
    for path, (title, table) in zip(tables, shown.items(), strict=True):
        write_table_and_page(path, table, title)


if __name__ == "__main__":
    run_job(main, __file__, "settings", "levels*", "output*")
