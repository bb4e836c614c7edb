"""Draw the distribution of log F of every system of a panel (rule plot_log_fisher)."""

from fimtiers import io
from fimtiers.job import run_job
from fimtiers.plotting.log_fisher import (
    describe_log_fisher,
    draw_log_fisher,
    tabulate_log_fisher,
)
from fimtiers.plotting.save import save_figure
from fimtiers.tables import read_table

SUBTITLE = (
    "Distribution of log F over parameters, each seed in units of the mean of its own top 1 %, "
    "in the panel “{panel}”"
)


def main(args):
    settings = args.settings
    labels, groups = settings["labels"], settings["groups"]
    points = (
        (path.stem, [point.fim for point in io.read_fisher(path).values()]) for path in args.fisher
    )
    values = read_table(args.observations)
    histogram, summary = tabulate_log_fisher(points)
    subtitle = SUBTITLE.format(panel=settings["panel"])
    figure = draw_log_fisher(histogram, summary, labels, groups, values, subtitle)
    caption = describe_log_fisher(summary, labels, values)
    save_figure(figure, settings["number"], caption, *args.output)


if __name__ == "__main__":
    run_job(main, __file__, "settings", "fisher*", "observations", "output*")
