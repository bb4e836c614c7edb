"""Draw the plane of two statistics that need no tiers (rule plot_invariants)."""

from fimtiers.job import run_job
from fimtiers.plotting.invariants import describe_invariants, draw_invariants
from fimtiers.plotting.save import save_figure
from fimtiers.tables import read_table

SUBTITLE = "Two statistics of F that need no tiers, for every seed of the panel “{panel}”"


def main(args):
    settings, observations = args.settings, read_table(args.observations)
    labels = settings["labels"]
    figure = draw_invariants(observations, labels, SUBTITLE.format(panel=settings["panel"]))
    save_figure(
        figure, args.settings["number"], describe_invariants(observations, labels), *args.output
    )


if __name__ == "__main__":
    run_job(main, __file__, "settings", "observations", "output*")
