"""Draw tier ratios along sweeps, a panel for each family (rule plot_sweeps)."""

from fimtiers.job import run_job
from fimtiers.plotting.layout import Headline
from fimtiers.plotting.save import save_figure
from fimtiers.plotting.sweep_messages import describe_sweep_panels, sweep_message
from fimtiers.plotting.sweep_panels import draw_sweep_panels
from fimtiers.tables import read_table

SUBTITLE = (
    "Every seed and the geometric mean, by the published rule; hollow where tier 3 is zero and "
    "the rule puts another number in its place"
)


def main(args):
    settings = args.settings
    panels, labels = settings["panels"], settings["labels"]
    runs, fits = read_table(args.runs), read_table(args.fits)
    threshold = settings["threshold"]
    message = sweep_message(settings["figure"], runs, fits, panels, labels, threshold)
    figure = draw_sweep_panels(runs, panels, labels, Headline(message, SUBTITLE), threshold)
    save_figure(
        figure,
        args.settings["number"],
        describe_sweep_panels(message, runs, panels, labels),
        *args.output,
    )


if __name__ == "__main__":
    run_job(main, __file__, "settings", "runs", "fits", "output*")
