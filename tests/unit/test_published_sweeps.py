"""The tables of published sweeps are consistent with themselves and with one another."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"


@pytest.fixture(scope="module")
def table():
    return pd.read_csv(PUBLISHED / "depth_sweeps.csv")


@pytest.fixture(scope="module")
def wide(table):
    """One row per run, one column per quantity."""
    keys = ["experiment", "point", "seed"]
    return table.pivot_table(index=keys, columns="quantity", values="value").reset_index()


def test_every_value_is_given_once(table):
    assert not table.duplicated(["experiment", "point", "seed", "quantity"]).any()


@pytest.mark.parametrize(
    ("experiment", "runs"),
    [
        ("V6.0", 35), ("V6.0 4000 probes", 35), ("V6.1", 25), ("V6.2", 30), ("V6.3", 15),
        ("V6.4", 18), ("V6.5", 60), ("V8.0", 35), ("V6.0b", 24), ("V6.0c", 4), ("V7.1", 15),
        ("V4.2", 5), ("V9 ResNet", 12), ("V9 GPT", 18), ("V9.1", 18), ("V9.3", 30), ("V9.4", 15),
        ("V10", 5), ("V10b", 12),
    ],
)  # fmt: skip
def test_every_run_of_a_sweep_is_there(wide, experiment, runs):
    assert (wide["experiment"] == experiment).sum() == runs


def test_ratios_are_the_quotients_of_their_tiers(wide):
    rows = wide.dropna(subset=["tier1_mean", "tier3_mean_published"])
    quotient = rows["tier1_mean"] / rows["tier3_mean_published"]
    np.testing.assert_allclose(quotient, rows["tier_ratio_published"], rtol=2e-5)


def test_tier_3_was_substituted_exactly_where_half_of_the_entries_are_zero(wide):
    rows = wide.dropna(subset=["tier3_substituted"])
    zeros = rows["parameters"] - rows["positive_count"]
    half = rows["parameters"] // 2
    np.testing.assert_array_equal(rows["tier3_substituted"] == 1, zeros >= half)
    assert rows["tier3_substituted"].sum() == 16


def test_perceptrons_have_the_number_of_parameters_of_their_depth(wide):
    rows = wide[wide["experiment"] == "V6.0"]
    depth = rows["point"].str.removeprefix("depth=").astype(int)
    expected = 16 * 64 + 64 + (depth - 2) * (64**2 + 64) + 64 * 16 + 16
    np.testing.assert_array_equal(rows["parameters"], expected)


def test_sweeps_that_share_a_network_agree_on_it(wide):
    by_run = wide.set_index(["experiment", "point", "seed"])
    columns = ["tier_ratio_published", "log_variance", "positive_count"]
    deep, wide_sweep = by_run.loc["V6.0", "depth=8"], by_run.loc["V6.1", "width=64"]
    np.testing.assert_allclose(deep[columns], wide_sweep[columns], rtol=1e-9)
    for depth in (2, 3, 4, 6, 8, 12):
        untrained, trained = by_run.loc["V6.0", f"depth={depth}"], by_run.loc["V6.2"]
        trained = trained.loc[f"depth={depth}"]
        quotient = untrained["tier_ratio_published"] / trained["tier_ratio_published"]
        np.testing.assert_allclose(quotient, trained["untrained_over_trained"], rtol=1e-5)


def test_training_raises_tier_ratios_of_no_activation_on_average():
    means = pd.read_csv(PUBLISHED / "activation_training_means.csv")
    by_state = means.pivot_table(index="point", columns="state", values="mean")
    assert len(by_state) == 12
    assert (by_state["trained"] < by_state["untrained"]).all()
