"""Draw the tier ratio of every seed beside the published ones (rule plot_dichotomy)."""

from fimtiers.job import run_job
from fimtiers.plotting.dichotomy import describe_dichotomy, draw_dichotomy
from fimtiers.plotting.save import save_figure
from fimtiers.tables import read_table

SUBTITLE = (
    "Tier ratio of every seed, geometric mean and confidence interval of every system, "
    "in the panel “{panel}”"
)


def published_intervals(path, published_as):
    """Return the published row of each system that has one, under its name in this study."""
    table = read_table(path).set_index("system")
    known = {name: old for name, old in published_as.items() if old in table.index}
    rows = table.loc[list(known.values())].assign(system=list(known))
    return rows.rename(columns={"ci95_low": "low", "ci95_high": "high"})


def main(args):
    settings = args.settings
    observations, intervals = read_table(args.observations), read_table(args.intervals)
    figure = draw_dichotomy(
        observations,
        intervals,
        published_intervals(args.published, settings["published_as"]),
        settings["labels"],
        settings["threshold"],
        SUBTITLE.format(panel=settings["panel"]),
    )
    caption = describe_dichotomy(observations, intervals, settings["threshold"])
    save_figure(figure, args.settings["number"], caption, *args.output)


if __name__ == "__main__":
    run_job(main, __file__, "settings", "observations", "intervals", "published", "output*")
