"""Depth laws: published fits to all printed digits, and comparison of candidate laws."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fimtiers.statistics.depth_law import (
    RATIO_LAWS,
    VARIANCE_LAWS,
    compare_depth_laws,
    fit_line,
    fit_means,
)
from fimtiers.substrates import layered_circuit, mlp, tensor_network
from fimtiers.tiers import log_moments, published_ratio

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"
PREDICTORS = {
    "depth": lambda x: x,
    "width": lambda x: x,
    "sqrt_depth": np.sqrt,
    "sqrt_length": np.sqrt,
    "log_width": np.log,
}


def published_fits(*experiments, response=""):
    """Return the fits as printed, as text, so that the number of digits is known."""
    table = pd.read_csv(PUBLISHED / "depth_fits.csv", dtype=str, keep_default_na=False)
    return [
        pytest.param(fit, id="-".join([fit.experiment, fit.subset, fit.response, fit.predictor]))
        for fit in table.itertuples()
        if (fit.experiment in experiments or not experiments) and response in fit.response
    ]


def published_runs(experiment, subset, response):
    """Return position along the sweep and value of each published run."""
    table = pd.read_csv(PUBLISHED / "depth_sweeps.csv")
    position = table["point"].str.extract(r"(?:depth|width|length)=(\d+)")[0].astype(float)
    name = "tier_ratio_published" if response == "log_tier_ratio" else response
    # The untrained half of the trained sweep is the depth sweep up to 12 layers.
    untrained = subset == "state=untrained"
    chosen = (table["experiment"] == ("V6.0" if untrained else experiment)) & (
        table["quantity"] == name.removeprefix("absolute_")
    )
    if untrained:
        chosen &= position <= 12
    elif subset and not subset.startswith("state"):
        chosen &= table["point"].str.contains(subset)
    value = table.loc[chosen, "value"].to_numpy()
    if response == "log_tier_ratio":
        value = np.log(value)
    return position[chosen].to_numpy(), value


def significant_digits(text):
    mantissa = text.lower().split("e")[0].lstrip("-").replace(".", "").lstrip("0")
    return len(mantissa)


def assert_all_printed_digits(value, text):
    if text:
        assert float(f"{value:.{significant_digits(text)}g}") == float(text)


@pytest.mark.parametrize("fit", published_fits())
def test_published_fits_follow_from_the_published_runs(fit):
    x, y = published_runs(fit.experiment, fit.subset, fit.response)
    x = PREDICTORS[fit.predictor](x)
    if fit.response.startswith("absolute"):  # of the mean, not the mean of absolute values
        mean = pd.Series(y).groupby(x).mean()
        line = fit_line(mean.index.to_numpy(), mean.abs().to_numpy())
    else:
        line = fit_means(x, y)
    for measured, printed in [
        (line.slope, fit.slope),
        (line.intercept, fit.intercept),
        (line.r_squared, fit.r_squared),
    ]:
        if printed:
            # Runs are printed with 7 to 10 digits, fits with up to 10: the last two may differ.
            digits = 10.0 ** -min(significant_digits(printed) - 1, 6)
            np.testing.assert_allclose(measured, float(printed), rtol=digits)


def measured_runs(substrate, seeds, depths, **changed):
    settings = {name: schema["default"] for name, schema in substrate.SETTINGS.items()} | changed
    depth, ratio, variance = [], [], []
    for one in depths:
        chosen = settings | {"depth": one}
        state = substrate.build_state(chosen, np.arange(seeds))
        fim = substrate.fisher_diagonal(chosen, state).fim
        depth += [one] * seeds
        ratio += list(np.log(published_ratio(fim, "smallest_tenth_floor")))
        variance += list(log_moments(fim).variance)
    return np.array(depth, float), {
        "log_tier_ratio": np.array(ratio),
        "log_variance": np.array(variance),
    }


@pytest.fixture(scope="module")
def measured():
    return {
        "V6.0": measured_runs(mlp, 5, [2, 3, 4, 6, 8, 12, 20], probes=1000),
        "V6.3": measured_runs(layered_circuit, 3, [2, 4, 8, 16, 32], gradient="forward_difference"),
        "V8.0": measured_runs(tensor_network, 5, range(2, 9)),
    }


@pytest.mark.parametrize("fit", published_fits("V6.3", "V8.0", response="log_tier_ratio"))
def test_published_ratio_fits_are_measured_to_all_printed_digits(fit, measured):
    depth, responses = measured[fit.experiment]
    line = fit_means(PREDICTORS[fit.predictor](depth), responses[fit.response])
    assert_all_printed_digits(line.slope, fit.slope)
    assert_all_printed_digits(line.r_squared, fit.r_squared)


def test_the_variance_fit_of_published_differences_is_measured_to_their_rounding(measured):
    """At depth 32 the output changes by 1e-10 per step, so Var[ln F] has eight digits."""
    (case,) = published_fits("V6.3", response="log_variance")
    (fit,) = case.values  # noqa: PD011
    depth, responses = measured["V6.3"]
    line = fit_means(depth, responses["log_variance"])
    np.testing.assert_allclose(line.slope, float(fit.slope), rtol=1e-8)
    np.testing.assert_allclose(line.r_squared, float(fit.r_squared), rtol=1e-9)


def test_a_variance_that_is_undefined_at_one_depth_has_no_published_fit(measured):
    depth, responses = measured["V8.0"]
    line = fit_means(depth, responses["log_variance"])
    assert np.isnan([line.slope, line.intercept, line.r_squared]).all()


def test_a_line_is_recovered():
    x = np.array([1.0, 2, 5])
    line = fit_line(x, 2 * x + 3)
    assert (line.slope, line.intercept, line.r_squared) == pytest.approx((2, 3, 1))


def test_no_line_goes_through_a_single_point_or_a_single_position():
    for x in (np.array([1.0]), np.array([2.0, 2.0])):
        assert np.isnan(fit_line(x, x).slope)
    assert np.isnan(fit_line(np.array([1.0, 2]), np.array([1.0, np.inf])).slope)


def test_means_are_fitted_and_not_runs():
    x = np.array([1.0, 1, 1, 2, 3])
    line = fit_means(x, np.array([0.0, 1, 2, 2, 3]))
    assert (line.slope, line.intercept, line.r_squared) == pytest.approx((1, 0, 1))


def synthetic(law, noise=0.1, depths=(2, 3, 4, 6, 8, 12, 20), seeds=5, width=64.0):
    depth = np.repeat(np.array(depths, float), seeds)
    seed = np.tile(np.arange(seeds), len(depths))
    rng = np.random.default_rng(0)
    return 1 + 2 * law(depth, width) + noise * rng.standard_normal(len(depth)), depth, seed


@pytest.mark.parametrize(
    ("laws", "true"),
    [(RATIO_LAWS, "sqrt_depth"), (RATIO_LAWS, "depth"), (VARIANCE_LAWS, "depth_squared")],
)
def test_the_law_that_made_the_runs_wins_by_every_criterion(laws, true):
    value, depth, seed = synthetic(laws[true])
    at_one_width = {name: law for name, law in laws.items() if "over_width" not in name}
    table = compare_depth_laws(value, depth, seed, at_one_width).set_index("law")
    assert table["aicc"].idxmin() == true
    assert table["held_out_error"].abs().idxmin() == true
    assert table.loc[true, "akaike_weight"] == pytest.approx(1, abs=1e-6)
    assert table.loc[true, "lack_of_fit_p"] > 0.01
    assert (table.drop(true)["lack_of_fit_p"] < 1e-6).all()
    assert table.loc[true, "slope"] == pytest.approx(2, rel=0.05)
    row = table.loc[true]
    assert abs(row["held_out_error"]) < 4 * row["held_out_standard_error"]


def test_at_one_width_depth_and_depth_over_width_tie_and_count_once():
    value, depth, seed = synthetic(RATIO_LAWS["sqrt_depth"])
    table = compare_depth_laws(value, depth, seed, RATIO_LAWS, width=64.0).set_index("law")
    assert table.loc["sqrt_depth", "akaike_weight"] == pytest.approx(1, abs=1e-6)
    assert table.loc["sqrt_depth_over_width", "akaike_weight"] == pytest.approx(1, abs=1e-6)


def test_with_several_widths_depth_over_width_is_told_from_depth():
    depth = np.repeat([2.0, 4, 8], 8)
    width = np.tile(np.repeat([16.0, 256], 4), 3)
    seed = np.tile(np.arange(4), 6)
    noise = 0.01 * np.random.default_rng(0).standard_normal(24)
    table = compare_depth_laws(
        5 * depth / width + noise, depth, seed, VARIANCE_LAWS, width=width
    ).set_index("law")
    assert table["aicc"].idxmin() == "depth_over_width"
    assert table.loc["depth_over_width", "slope"] == pytest.approx(5, rel=0.01)


def test_a_straight_law_agrees_with_an_ordinary_regression_of_all_runs():
    value, depth, seed = synthetic(RATIO_LAWS["depth"], noise=3)
    row = compare_depth_laws(value, depth, seed, RATIO_LAWS).set_index("law").loc["depth"]
    plain = stats.linregress(depth, value)
    assert (row["slope"], row["intercept"]) == pytest.approx((plain.slope, plain.intercept))
    assert row["r_squared"] == pytest.approx(plain.rvalue**2)
    rss = np.sum((value - plain.intercept - plain.slope * depth) ** 2)
    assert row["aicc"] == pytest.approx(35 * np.log(rss / 35) + 6 + 24 / 31)
    kept = depth < 20
    shorter = stats.linregress(depth[kept], value[kept])
    assert row["held_out_prediction"] == pytest.approx(shorter.intercept + 20 * shorter.slope)
    assert row["held_out_mean"] == pytest.approx(value[~kept].mean())


def test_errors_are_those_of_seeds_and_not_of_points():
    """If each seed has its own slope, the error of the slope is its scatter over seeds."""
    slopes = np.array([1.0, 2, 3, 4, 5])
    depth = np.repeat([1.0, 2, 3, 4], 5)
    seed = np.tile(np.arange(5), 4)
    row = compare_depth_laws(slopes[seed] * depth, depth, seed, RATIO_LAWS).set_index("law")
    expected = slopes.std(ddof=1) / np.sqrt(5)
    assert row.loc["depth", "slope_error"] == pytest.approx(expected)


def test_lack_of_fit_is_uniform_under_the_law():
    rng = np.random.default_rng(0)
    depth, seed = np.repeat([2.0, 4, 6, 8], 4), np.tile(np.arange(4), 4)
    p = [
        compare_depth_laws(
            depth + rng.standard_normal(16), depth, seed, {"depth": RATIO_LAWS["depth"]}
        )["lack_of_fit_p"][0]
        for _ in range(200)
    ]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_an_infinite_ratio_leaves_every_law_undetermined():
    value, depth, seed = synthetic(RATIO_LAWS["depth"])
    value[-1] = np.inf
    table = compare_depth_laws(value, depth, seed, RATIO_LAWS)
    assert (
        table[["slope", "intercept", "aicc", "akaike_weight", "held_out_error"]]
        .isna()
        .to_numpy()
        .all()
    )


def test_a_single_seed_has_no_errors_and_no_scatter():
    value, depth, seed = synthetic(RATIO_LAWS["depth"], seeds=1)
    row = compare_depth_laws(value, depth, seed, RATIO_LAWS).set_index("law").loc["depth"]
    assert row[["slope_error", "lack_of_fit_p", "held_out_standard_error"]].isna().all()
    assert np.isfinite(row[["slope", "aicc", "held_out_error"]].astype(float)).all()


def test_published_depth_sweep_has_no_square_root_law():
    """On the published runs L beats √L by AICc, and seed scatter rejects √L, except in the tree."""
    for experiment in ("V6.0", "V6.2", "V6.3", "V6.4", "V8.0"):
        depth, value = published_runs(experiment, "", "log_tier_ratio")
        seed = pd.Series(depth).groupby(depth).cumcount().to_numpy()
        table = compare_depth_laws(value, depth, seed, RATIO_LAWS).set_index("law")
        best = table.loc[["sqrt_depth", "depth"], "aicc"].idxmin()
        assert best == ("sqrt_depth" if experiment == "V8.0" else "depth")


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="3 values, 2 depths, 2 seeds"):
        compare_depth_laws(np.ones(3), np.ones(2), np.ones(2, int), RATIO_LAWS)
