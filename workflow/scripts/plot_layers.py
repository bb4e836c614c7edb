"""Draw the level of F in each layer beside mean-field theory (rule plot_layers)."""

import pandas as pd

from fimtiers.job import run_job
from fimtiers.plotting.layer_levels import describe_layer_levels, draw_layer_levels
from fimtiers.plotting.save import save_figure
from fimtiers.tables import read_table
from fimtiers.theory.mean_field import layer_profile

SUBTITLE = (
    "Weight matrices of the deepest network of each curve, mean over seeds; lines: mean-field "
    "theory of wide layers and inputs of one length, nothing fitted"
)


def with_prediction(name, deepest, tables):
    """Return the layers of the deepest network of a sweep with their predicted level."""
    table, settings = tables[f"{deepest['system']}_layers"], deepest["settings"]
    rows = table[table["point"] == deepest["point"]].assign(sweep=name)
    sizes = [settings["dim"], *[settings["width"]] * (settings["depth"] - 1), settings["dim"]]
    theory = layer_profile(sizes, settings["activation"], settings["initialisation"])
    return rows.assign(predicted=rows["layer"].map(dict(enumerate(theory.log_weight_fisher))))


def main(args):
    settings = args.settings
    panels, labels = settings["panels"], settings["labels"]
    tables = {path.stem: read_table(path) for path in args.layers}
    layers = pd.concat(
        [with_prediction(name, deepest, tables) for name, deepest in settings["deepest"].items()],
        ignore_index=True,
    )
    figure = draw_layer_levels(layers, panels, labels, SUBTITLE)
    save_figure(
        figure, args.settings["number"], describe_layer_levels(layers, panels, labels), *args.output
    )


if __name__ == "__main__":
    run_job(main, __file__, "settings", "layers*", "output*")
