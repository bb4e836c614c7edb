"""Draw the margin between the groups against the number of probes (rule plot_margin)."""

import pandas as pd

from fimtiers.job import run_job
from fimtiers.plotting.margin import describe_margin, draw_margin
from fimtiers.plotting.save import save_figure
from fimtiers.tables import read_table

SUBTITLE = (
    "Tier ratios measured with more and with fewer probes. Points are drawn where both ends of the "
    "gap were measured, or belong to a system without probes"
)


def stack(paths, panels):
    tables = [
        read_table(path).assign(panel=panel) for path, panel in zip(paths, panels, strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


def main(args):
    settings = args.settings
    margin = stack(args.margin, settings["panels"])
    convergence = stack(args.convergence, settings["panels"])
    figure = draw_margin(margin, convergence, settings["labels"], SUBTITLE)
    save_figure(
        figure, args.settings["number"], describe_margin(margin, settings["labels"]), *args.output
    )


if __name__ == "__main__":
    run_job(main, __file__, "settings", "margin*", "convergence*", "output*")
