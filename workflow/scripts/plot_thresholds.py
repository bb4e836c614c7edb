"""Draw how sharp the threshold on the tier ratio is (rule plot_thresholds)."""

from fimtiers.job import run_job
from fimtiers.plotting.save import save_figure
from fimtiers.plotting.thresholds import describe_thresholds, draw_thresholds
from fimtiers.tables import read_table

SUBTITLE = (
    "Share of values that a threshold on the tier ratio calls right, in the panel “{panel}”, "
    "and the best thresholds without each of its systems"
)


def main(args):
    settings = args.settings
    labels, threshold = settings["labels"], settings["threshold"]
    roc, thresholds = read_table(args.roc), read_table(args.thresholds)
    windows = read_table(args.windows)
    figure = draw_thresholds(
        roc,
        thresholds,
        read_table(args.published),
        windows,
        labels,
        threshold,
        SUBTITLE.format(panel=settings["panel"]),
    )
    caption = describe_thresholds(roc, thresholds, windows, labels, threshold)
    save_figure(figure, args.settings["number"], caption, *args.output)


if __name__ == "__main__":
    run_job(main, __file__, "settings", "roc", "thresholds", "published", "windows", "output*")
