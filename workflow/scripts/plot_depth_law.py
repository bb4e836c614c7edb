"""Draw tier ratios against √L and L with the competing laws (rule plot_depth_law)."""

from fimtiers.job import run_job
from fimtiers.plotting.depth_law import describe_depth_law, draw_depth_law
from fimtiers.plotting.save import save_figure
from fimtiers.tables import read_table

SUBTITLE = (
    "Every seed; laws fitted to the ratio over positive F, which is finite at every depth; errors "
    "over seeds of predicting the largest depth from the others"
)


def main(args):
    labels = args.settings["labels"]
    shown = [name for names in args.settings["panels"].values() for name in names]
    runs, fits, laws = (read_table(path) for path in (args.runs, args.fits, args.laws))
    figure = draw_depth_law(runs, fits, laws, shown, labels, SUBTITLE)
    save_figure(
        figure, args.settings["number"], describe_depth_law(fits, laws, shown, labels), *args.output
    )


if __name__ == "__main__":
    run_job(main, __file__, "settings", "runs", "fits", "laws", "output*")
