"""Draw measured tier ratios beside what laws of ln F predict (rule plot_theory)."""

from fimtiers.job import run_job
from fimtiers.plotting.save import save_figure
from fimtiers.plotting.theory_points import describe_theory_points, draw_theory_points
from fimtiers.tables import read_table

SUBTITLE = "Every run with a positive tier 3, and predictions from moments of its own ln F"


def main(args):
    panels = args.settings["panels"]
    runs, predictions = read_table(args.runs), read_table(args.predictions)
    figure = draw_theory_points(runs, predictions, panels, SUBTITLE)
    caption = describe_theory_points(predictions, panels, args.settings["labels"])
    save_figure(figure, args.settings["number"], caption, *args.output)


if __name__ == "__main__":
    run_job(main, __file__, "settings", "runs", "predictions", "output*")
