"""Tabulate the panel, published and measured side by side (rule tabulate_panel)."""

from fimtiers.job import run_job
from fimtiers.pages import write_table_and_page
from fimtiers.statistics.comparison import panel_comparison, per_seed_comparison
from fimtiers.tables import read_table


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
    panel_path, per_seed_path, *_ = args.output
    write_table_and_page(panel_path, panel, "Systems, published and measured")
    write_table_and_page(per_seed_path, per_seed, "Seeds, published and measured")


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
