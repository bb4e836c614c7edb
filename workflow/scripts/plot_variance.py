"""Draw Var[ln F] between and within layers against depth (rule plot_variance)."""

from fimtiers.job import run_job
from fimtiers.plotting.save import save_figure
from fimtiers.plotting.variance_split import describe_variance_split, draw_variance_split
from fimtiers.tables import read_table

SUBTITLE = "Both parts of Var[ln F] over positive entries, every seed and the mean"


def main(args):
    panels = args.settings["panels"]
    runs = read_table(args.runs)
    figure = draw_variance_split(runs, panels, SUBTITLE)
    save_figure(
        figure, args.settings["number"], describe_variance_split(runs, panels), *args.output
    )


if __name__ == "__main__":
    run_job(main, __file__, "settings", "runs", "output*")
