"""What is said of a sweep follows from its numbers, and turns round with them."""

import numpy as np
import pandas as pd
import pytest

from fimtiers.statistics.depth_law import POWER_LAWS, compare_predictions
from fimtiers.statistics.law_verdicts import judge_laws, judge_sweeps
from fimtiers.statistics.sweep_fits import fit_sweeps

DEPTHS = (2, 3, 4, 6, 8, 12, 20)
PUBLISHED = "log_tier_ratio_published"


def fits(aicc, p=0.5, slope=1.0):
    """Return fits of a constant, √L and L with these AICc; `p` and `slope` for all or each."""
    laws = ["constant", "sqrt_depth", "depth"]
    columns = {"law": laws, "aicc": aicc, "lack_of_fit_p": p, "slope": slope}
    return pd.DataFrame(columns)


@pytest.mark.parametrize(
    ("table", "finding"),
    [
        (fits([50, 10, 20]), "sqrt_depth"),
        (fits([50, 20, 10]), "depth"),
        (fits([50, 10, 11.96]), "tie"),
        (fits([50, 10, 12]), "sqrt_depth"),
        (fits([50, 10, 20], p=[0.5, 0.009, 0.5]), "rejected"),
        (fits([50, 10, 20], p=[0.5, 0.01, 0.5]), "sqrt_depth"),
        (fits([50, 10, 11], p=[0.5, 0.001, 0.001]), "rejected"),
        (fits([50, 10, 11], p=[0.5, 0.001, 0.2]), "tie"),
        (fits([10, 20, 30]), "no_growth"),
        (fits([11, 10, 30]), "no_growth"),
        (fits([50, 10, 20], slope=[np.nan, -1, -1]), "falls"),
        (fits([np.nan] * 3), "undetermined"),
        (fits([50, 10, 20], p=np.nan), "sqrt_depth"),
    ],
)
def test_a_finding_turns_with_its_numbers(table, finding):
    assert judge_laws(table, PUBLISHED)["finding"] == finding


def test_the_lead_is_positive_where_the_published_law_is_better():
    assert judge_laws(fits([50, 10, 12.5]), PUBLISHED)["aicc_lead"] == 2.5
    assert judge_laws(fits([50, 12.5, 10]), PUBLISHED)["aicc_lead"] == -2.5


def runs_of(log_ratio, variance=lambda depth: depth, seeds=5, noise=0.05):
    rng = np.random.default_rng(0)
    rows = []
    for depth in DEPTHS:
        for seed in range(seeds):
            ratio = np.exp(log_ratio(depth) + noise * rng.standard_normal())
            v = variance(depth) + noise * rng.standard_normal()
            rows.append({
                "sweep": "net", "label": "Net", "axis": "depth", "position": depth, "depth": depth,
                "width": 8, "fit_from": 0, "seed": seed, "tier_ratio": ratio,
                "tier_ratio_published": ratio, "tier_ratio_positive": ratio,
                "quantile_ratio": ratio, "log_variance": v, "log_variance_between_layers": v,
                "log_variance_within_layers": 1.0,
            })  # fmt: skip
    return pd.DataFrame(rows)


def judged(runs):
    return judge_sweeps(runs, fit_sweeps(runs)).set_index("response")


def test_a_power_that_nobody_claimed_is_found_where_the_claimed_laws_are_rejected():
    table = judged(runs_of(lambda depth: depth, variance=lambda depth: depth**2.5))
    row = table.loc["log_variance"]
    assert row["finding"] == "rejected"
    assert row["best_power"] == "power_2.5"
    assert row["best_power_p"] > 0.01
    assert row["exponent_low"] < 2.5 < row["exponent_high"]
    assert row["exponent"] == pytest.approx(2.5, abs=0.01)


def test_a_law_that_was_claimed_is_found_where_it_made_the_runs():
    linear = judged(runs_of(lambda depth: 2 * depth))
    root = judged(runs_of(lambda depth: 2 * depth**0.5))
    assert linear.loc[PUBLISHED, ["finding", "held_out_closer"]].tolist() == ["depth", "depth"]
    assert root.loc[PUBLISHED, ["finding", "held_out_closer"]].tolist() == ["sqrt_depth"] * 2
    assert linear.loc[PUBLISHED, "closer_by_high"] < 0 < root.loc[PUBLISHED, "closer_by_low"]


def test_a_sweep_over_widths_has_no_law_in_the_depth():
    runs = runs_of(lambda depth: depth).assign(axis="width")
    assert judge_sweeps(runs, fit_sweeps(runs)).empty


def predictions(value, depth, seed):
    return compare_predictions(value, depth, seed, POWER_LAWS["sqrt_depth"], POWER_LAWS["depth"])


def test_two_laws_that_miss_the_held_out_depth_by_as_much_tie():
    depth = np.repeat([2.0, 4, 6, 8, 12], 3)
    seed = np.tile(np.arange(3), 5)
    both = depth / depth.max() + np.sqrt(depth / depth.max())
    noisy = 5 * both + np.random.default_rng(2).standard_normal(15)
    assert predictions(noisy, depth, seed).tie
    assert not predictions(5 * depth + 0.01 * noisy, depth, seed).tie


def test_a_single_seed_cannot_tell_which_law_predicts_better():
    depth = np.array([2.0, 4, 8])
    assert predictions(depth, depth, np.zeros(3, int)).tie
