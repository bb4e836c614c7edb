"""Sweeps beside published ones, competing fits, and descriptions of single diagonals."""

import numpy as np
import pandas as pd
import pytest

from fimtiers.records import FisherDiagonal, State, Tensor
from fimtiers.statistics.diagonal_description import describe_diagonal, layer_profile
from fimtiers.statistics.single_checks import observable_rows, pooling_rows, spectrum_rows
from fimtiers.statistics.sweep_agreement import (
    agrees_as_printed,
    largest_differences,
    mean_agreement,
    per_seed_agreement,
    repeat_published_fits,
)
from fimtiers.statistics.sweep_fits import fit_sweeps

DEPTHS = np.array([2, 4, 8, 16])


def runs_of(name, ratio, seeds=(0, 1), **columns):
    """Runs with tier ratio `ratio(L, seed)` at each depth L."""
    rows = [
        {
            "sweep": name, "label": name, "axis": "depth", "experiment": "E", "subset": "",
            "fit_from": 0, "point": f"p{depth}", "published_point": f"depth={depth}",
            "position": depth, "depth": depth, "width": 8, "seed": seed,
            "tier_ratio_published": ratio(depth, seed), "tier_ratio": ratio(depth, seed),
            "tier_ratio_positive": ratio(depth, seed), "quantile_ratio": ratio(depth, seed),
            "log_variance": 3.0 * depth**2 + seed, "log_variance_between_layers": depth**2 + seed,
            "log_variance_within_layers": 1.0 + 0.1 * seed, **columns,
        }
        for depth in DEPTHS for seed in seeds
    ]  # fmt: skip
    return pd.DataFrame(rows)


def published_of(runs):
    return pd.DataFrame(
        {
            "experiment": "E", "point": runs["published_point"], "seed": runs["seed"],
            "quantity": "tier_ratio_published",
            "value": [f"{value:.4f}" for value in runs["tier_ratio_published"]], "source": "file",
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("measured", "printed", "agrees"),
    [
        (0.12344, "0.123", True),
        (0.12361, "0.123", False),
        (2.4294e5, "2.429e5", True),
        (1.00000003, "1.0000000000", True),  # more digits than single precision holds
        (float("nan"), "nan", True),
        (1.0, "nan", False),
        (float("inf"), "1e35", False),
    ],
)
def test_numbers_agree_if_they_round_to_the_printed_digits(measured, printed, agrees):
    assert agrees_as_printed(measured, printed) is agrees


def test_runs_are_matched_by_point_and_seed_and_the_worst_is_named():
    runs = runs_of("net", lambda depth, seed: 10.0 * depth + seed)
    published = published_of(runs)
    runs.loc[3, "tier_ratio_published"] *= 1.01
    table = per_seed_agreement(runs, published)
    assert len(table) == len(runs)
    assert table["agrees_as_printed"].sum() == len(runs) - 1
    worst = largest_differences(table).iloc[0]
    assert worst["largest_relative_difference"] == pytest.approx(0.01)
    assert (worst["worst_point"], worst["worst_seed"]) == ("depth=4", 1)
    assert worst["agreeing_as_printed"] == len(runs) - 1


def test_a_published_number_measured_as_nan_is_the_worst():
    runs = runs_of("net", lambda depth, seed: 10.0 * depth)
    published = published_of(runs)
    runs.loc[2, "tier_ratio_published"] = np.nan
    worst = largest_differences(per_seed_agreement(runs, published)).iloc[0]
    assert np.isnan(worst["largest_relative_difference"])


def test_published_fits_are_lines_through_the_means_of_the_published_points():
    runs = runs_of("net", lambda depth, seed: np.exp(3 * depth**0.5 - 1))
    published = published_of(runs[runs["position"] < 16])
    fits = pd.DataFrame(
        [{"experiment": "E", "subset": "", "response": "log_tier_ratio",
          "predictor": "sqrt_depth", "slope": "3.0000", "r_squared": "1.000", "passed": "1"}]
    )  # fmt: skip
    row = repeat_published_fits(runs, published, fits, {}).iloc[0]
    assert row["slope_measured"] == pytest.approx(3, rel=1e-12)
    assert row["slope_agrees_as_printed"]
    assert row["r_squared_agrees_as_printed"]


def test_fits_of_untrained_twins_are_made_on_the_sweep_before_training():
    trained = runs_of("trained", lambda depth, seed: np.exp(depth), subset="state=trained")
    before = runs_of("before", lambda depth, seed: np.exp(2 * depth), experiment="other")
    fits = pd.DataFrame(
        [{"experiment": "E", "subset": f"state={state}", "response": "log_tier_ratio",
          "predictor": "depth", "slope": slope, "r_squared": "1", "passed": ""}
         for state, slope in (("trained", "1.0"), ("untrained", "2.0"))]
    )  # fmt: skip
    runs = pd.concat([trained, before])
    table = repeat_published_fits(runs, published_of(trained), fits, {"trained": "before"})
    assert table["slope_agrees_as_printed"].all()


def causes(measured, differs=None, printed="3.0", runs_printed=None):
    """Cause given for a fit of ln T on L of slope `measured`, printed as `printed`."""
    runs = runs_of("net", lambda depth, seed: np.exp(measured * depth), differs=differs)
    published = published_of(
        runs_of("net", lambda depth, seed: np.exp((runs_printed or 3) * depth))
    )
    fits = pd.DataFrame(
        [{"experiment": "E", "subset": "", "response": "log_tier_ratio", "predictor": "depth",
          "slope": printed, "r_squared": "1.0", "passed": ""}]
    )  # fmt: skip
    return repeat_published_fits(runs, published, fits, {})["cause"].iloc[0]


def test_a_fit_that_does_not_agree_has_its_cause_beside_it():
    assert causes(3) == ""
    assert causes(3.2, "known") == "known"
    assert causes(3.2) == "unknown"
    assert causes(3 + 1.5e-6, printed="3.000000").startswith("rounding of single precision")
    assert causes(3, "known", printed="3.1") == "the published runs do not give it either"


def test_means_are_compared_by_state():
    runs = runs_of("net", lambda depth, seed: depth + seed, experiment="V trained")
    published = pd.DataFrame(
        [{"experiment": "V", "point": "depth=4", "state": "trained", "parameters": 1,
          "mean": 4.5, "standard_deviation": 0.7, "source": "file"}]
    )  # fmt: skip
    row = mean_agreement(runs, published).iloc[0]
    assert row["relative_difference"] == pytest.approx(0)
    assert row["measured_standard_deviation"] == pytest.approx(0.5**0.5)
    assert row["seeds"] == 2


@pytest.mark.parametrize(("power", "law"), [(0.5, "sqrt_depth"), (1.0, "depth")])
def test_the_law_that_made_the_runs_wins(power, law):
    rng = np.random.default_rng(0)
    runs = runs_of("net", lambda depth, seed: np.exp(2 * depth**power + 0.01 * rng.normal()))
    fits = fit_sweeps(runs).set_index(["response", "law"])
    ratios = fits.loc["log_tier_ratio_positive"]
    assert ratios["aicc"].idxmin() == law
    assert abs(ratios.loc[law, "held_out_error"]) < 0.1
    assert fits.loc["log_variance"]["aicc"].idxmin() == "depth_squared"


def test_no_law_fits_an_infinite_ratio_and_undefined_variances_are_left_out():
    runs = runs_of("net", lambda depth, seed: np.exp(depth))
    runs.loc[runs["depth"] == 16, "tier_ratio"] = np.inf
    runs.loc[runs["depth"] == 2, "log_variance"] = np.nan
    fits = fit_sweeps(runs).set_index(["response", "law"])
    assert np.isnan(fits.loc[("log_tier_ratio", "depth"), "slope"])
    assert fits.loc[("log_variance", "depth_squared"), "runs"] == 6


def test_controls_below_the_first_fitted_position_are_left_out():
    runs = runs_of("net", lambda depth, seed: np.exp(depth) if depth > 2 else 1e9, fit_from=4)
    fits = fit_sweeps(runs).set_index(["response", "law"])
    assert fits.loc[("log_tier_ratio", "depth"), "slope"] == pytest.approx(1)


def two_layers():
    return (
        Tensor("layers.0.weight", 0, "weight", (20, 5)),
        Tensor("layers.0.bias", 0, "bias", (20,)),
        Tensor("layers.1.weight", 1, "weight", (4, 20)),
    )


def test_the_variance_of_one_role_is_split_by_layer():
    fim = np.concatenate([np.full(100, 1.0), np.full(20, 7.0), np.full(80, np.e**2)])[None]
    columns = describe_diagonal(fim, two_layers())
    share = 100 / 180
    expected = 4 * share * (1 - share)
    assert columns["log_variance_between_layers_of_weight"][0] == pytest.approx(expected)
    assert columns["log_variance_within_layers_of_weight"][0] == pytest.approx(0)


def test_the_published_substitute_of_tier_3_is_the_mean_of_the_smallest_tenth():
    fim = np.zeros((1, 200))
    fim[0, :50] = np.arange(1, 51)
    columns = describe_diagonal(fim, two_layers())
    assert columns["tier3_substituted"] == [1]
    assert columns["tier3_mean_published"][0] == pytest.approx(np.mean([1, 2, 3, 4, 5]))
    assert columns["tier_ratio_positive"][0] == pytest.approx(50 / 13)


def test_a_profile_has_the_level_of_every_tensor():
    fim = np.ones((2, 200))
    fim[:, 120:] = np.e
    fim[0, 0] = 0
    profile = layer_profile(fim, two_layers()).set_index("tensor")
    assert profile.loc["layers.1.weight", "log_mean"] == pytest.approx(1)
    assert profile.loc["layers.0.weight", "zero_fraction"] == pytest.approx(1 / 200)
    assert profile.loc["layers.0.weight", "log_deviation"] == pytest.approx(0)


def diagonal_of(fim, **diagnostics):
    return FisherDiagonal(fim, two_layers(), 10, "exact", "loss", diagnostics)


def test_checks_are_long_tables_of_every_seed():
    rng = np.random.default_rng(1)
    gradients = rng.normal(size=(2, 10, 200)).astype(np.float64)
    fim = (gradients**2).mean(1)
    gram = np.linalg.eigvalsh(gradients @ gradients.transpose(0, 2, 1) / 10)
    state = State(rng.normal(size=(2, 200)), two_layers())
    diagonal = diagonal_of(
        fim,
        gram_eigenvalue=(("seed", "eigenvalue"), gram),
        squared_gradient_norm=(("seed", "probe"), (gradients**2).sum(2)),
        jacobian_singular_value=(("seed", "input", "value"), np.ones((2, 3, 4))),
    )
    pooling = pooling_rows({"depth=2": diagonal}, [0, 1])
    assert {"bound", "positive_bound"} <= set(pooling["quantity"])
    spectrum = spectrum_rows({"single": diagonal}, [0, 1]).set_index(["quantity", "seed"])
    assert spectrum.loc[("rank", 0), "measured"] == 10
    assert np.isinf(spectrum.loc[("spectrum_tier_ratio", 1), "measured"])
    observed = observable_rows({"a": state}, {"a": diagonal}, {"a": "model=x"}, [0, 1])
    assert set(observed["point"]) == {"model=x"}
    assert "gram_top_over_median" in set(observed["quantity"])
