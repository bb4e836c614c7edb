"""Tabulate the panel, published and measured side by side (rule tabulate_panel)."""

from fimtiers.job import run_job
from fimtiers.pages import write_page
from fimtiers.statistics.comparison import panel_comparison, per_seed_comparison
from fimtiers.tables import read_table, write_table


def main(args):
    settings = args.settings
    per_seed = per_seed_comparison(
        read_table(args.observations),
        read_table(args.published_values),
        settings["published_as"],
    )
    panel = panel_comparison(
        read_table(args.intervals),
        read_table(args.corrected),
        read_table(args.published_intervals),
        per_seed,
        settings["published_as"],
        settings["corrects"],
    )
    panel.insert(1, "label", panel["system"].map(settings["labels"]))
    panel_path, per_seed_path, panel_page, per_seed_page = args.output
    write_table(panel_path, panel)
    write_table(per_seed_path, per_seed)
    write_page(panel_page, panel, "Systems, published and measured")
    write_page(per_seed_page, per_seed, "Seeds, published and measured")


if __name__ == "__main__":
    run_job(
        main,
        __file__,
        "settings",
        "observations",
        "intervals",
        "corrected",
        "published_values",
        "published_intervals",
        "output*",
    )
