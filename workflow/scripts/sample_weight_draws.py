"""Measure variances over draws of the weights (rule sample_weight_draws)."""

import numpy as np
import pandas as pd

from fimtiers.job import run_job
from fimtiers.pages import write_table_and_page
from fimtiers.statistics.weight_draws import summarise_log_norms
from fimtiers.theory.hanin_nica import (
    exact_log_norm_moments,
    log_norm_variance,
    sample_log_norms,
)


def main(args):
    settings = args.settings
    generator = np.random.default_rng(settings["seed"])
    rows = []
    for depth in settings["depths"]:
        widths = [settings["width"]] * depth
        for initialisation in ("he_normal", "torch_default"):
            norms = sample_log_norms(widths, settings["draws"], generator, initialisation)
            rows.append(
                {
                    "initialisation": initialisation,
                    "depth": depth,
                    "width": settings["width"],
                    **summarise_log_norms(norms),
                    "theorem_variance": log_norm_variance(widths),
                    "exact_variance": exact_log_norm_moments(widths)[1],
                }
            )
    table, _ = args.output
    write_table_and_page(table, pd.DataFrame(rows), "Variance over draws of the weights")


if __name__ == "__main__":
    run_job(main, __file__, "settings", "output*")
