"""Draw the tier ratio of every seed beside the published ones (rule plot_dichotomy)."""

from fimtiers.job import run_job
from fimtiers.plotting.dichotomy import describe_dichotomy, draw_dichotomy
from fimtiers.plotting.save import save_figure
from fimtiers.statistics.relative import in_relative_units
from fimtiers.tables import read_table

SUBTITLE = (
    "Tier ratio of every seed, geometric mean and confidence interval of every system, "
    "in the panel “{panel}”"
)
RELATIVE_SUBTITLE = (
    "The same of θ²F, which is F for relative changes of the parameters and does not depend on "
    "their units, in the panel “{panel}”"
)
RELATIVE_QUANTITY = "tier ratio of θ²F, mean of its top 1 % over mean of its bottom 50 %"


def published_intervals(path, published_as):
    """Return the published row of each system that has one, under its name in this study."""
    table = read_table(path).set_index("system")
    known = {name: old for name, old in published_as.items() if old in table.index}
    rows = table.loc[list(known.values())].assign(system=list(known))
    return rows.rename(columns={"ci95_low": "low", "ci95_high": "high"})


def main(args):
    settings = args.settings
    observations, intervals = read_table(args.observations), read_table(args.intervals)
    known = published_intervals(args.published, settings["published_as"])
    words = {"subtitle": SUBTITLE.format(panel=settings["panel"])}
    if settings["relative"]:
        observations = in_relative_units(observations)
        known = known.iloc[:0]
        words = {
            "subtitle": RELATIVE_SUBTITLE.format(panel=settings["panel"]),
            "quantity": RELATIVE_QUANTITY,
        }
    labels, threshold = settings["labels"], settings["threshold"]
    figure = draw_dichotomy(observations, intervals, known, labels, threshold, **words)
    caption = describe_dichotomy(observations, intervals, threshold, labels)
    save_figure(figure, settings["number"], caption, *args.output)


if __name__ == "__main__":
    run_job(main, __file__, "settings", "observations", "intervals", "published", "output*")
