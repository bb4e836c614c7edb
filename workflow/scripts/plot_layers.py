"""Draw the level of F in each layer beside mean-field theory (rule plot_layers)."""

from fimtiers.job import run_job
from fimtiers.plotting.layer_levels import describe_layer_levels, draw_layer_levels
from fimtiers.plotting.save import save_figure
from fimtiers.tables import read_table

SUBTITLE = (
    "Weight matrices of the deepest network of each curve, every seed and the mean; lines: "
    "mean-field theory of wide layers and inputs of one length, nothing fitted"
)


def main(args):
    panels, labels = args.settings["panels"], args.settings["labels"]
    levels, drift = read_table(args.levels), read_table(args.drift)
    figure = draw_layer_levels(levels, drift, panels, labels, SUBTITLE)
    save_figure(
        figure, args.settings["number"], describe_layer_levels(drift, panels, labels), *args.output
    )


if __name__ == "__main__":
    run_job(main, __file__, "settings", "levels", "drift", "output*")
