"""Draw tier ratios along sweeps, a panel for each family (rule plot_sweeps)."""

from fimtiers.job import run_job
from fimtiers.plotting.layout import Headline
from fimtiers.plotting.save import save_figure
from fimtiers.plotting.sweep_messages import describe_sweep_panels, drawn_runs, sweep_message
from fimtiers.plotting.sweep_panels import draw_sweep_panels
from fimtiers.tables import read_table

SUBTITLE = (
    "Every seed and the geometric mean, by the published rule; hollow where tier 3 is zero and "
    "the rule puts another number in its place"
)


def main(args):
    settings = args.settings
    panels, labels = settings["panels"], settings["labels"]
    runs = drawn_runs(settings["figure"], read_table(args.runs), panels)
    threshold = settings["threshold"]
    laws = read_table(args.laws)
    message = sweep_message(settings["figure"], runs, laws, panels, labels, threshold)
    figure = draw_sweep_panels(runs, panels, labels, Headline(message, SUBTITLE), threshold)
    save_figure(
        figure,
        args.settings["number"],
        describe_sweep_panels(message, runs, panels, labels),
        *args.output,
    )


if __name__ == "__main__":
    run_job(main, __file__, "settings", "runs", "laws", "output*")
