"""Tabulate the panels, published and measured side by side (rule tabulate_panel)."""

from fimtiers.job import run_job
from fimtiers.pages import write_table_and_page
from fimtiers.statistics.comparison import panel_comparison, per_seed_comparison
from fimtiers.statistics.separation_table import separation_table
from fimtiers.tables import read_json, read_table


def main(args):
    settings = args.settings
    panels = settings["panels"]
    intervals, relative, observations = (
        dict(zip(panels, map(read_table, paths), strict=True))
        for paths in (args.intervals, args.relative, args.observations)
    )
    dichotomies = dict(zip(panels, map(read_json, args.dichotomies), strict=True))
    per_seed = per_seed_comparison(
        observations["published"], read_table(args.published_values), settings["published_as"]
    )
    panel = panel_comparison(
        intervals,
        relative,
        read_table(args.published_intervals),
        per_seed,
        settings["published_as"],
        settings["stands_for"],
    )
    panel.insert(1, "label", panel["system"].map(settings["labels"]))
    panel_path, per_seed_path, separation_path, *_ = args.output
    write_table_and_page(panel_path, panel, "Systems, published and measured")
    write_table_and_page(per_seed_path, per_seed, "Seeds, published and measured")
    write_table_and_page(
        separation_path, separation_table(dichotomies, observations), "The separation of the groups"
    )


if __name__ == "__main__":
    run_job(
        main,
        __file__,
        "settings",
        "observations*",
        "intervals*",
        "relative*",
        "dichotomies*",
        "published_values",
        "published_intervals",
        "output*",
    )
