import numpy as np
import pandas as pd
import pytest

from fimtiers.statistics.partition import PARTITIONS, partition_sensitivity
from fimtiers.statistics.partition_free import (
    classify_partition_free,
    partition_free_panel,
    partition_free_verdict,
)


def test_the_grid_of_a_network_of_1368_parameters_has_the_published_tier_sizes():
    grid = partition_sensitivity(np.ones((1, 1368)), np.array([0]))
    sizes = {(t, b): (k1, k3) for t, b, k1, k3 in grid.iloc[:, :4].itertuples(index=False)}
    assert [sizes[t, 50.0][0] for t in (0.5, 1.0, 5.0, 10.0)] == [6, 13, 68, 136]
    assert sizes[0.1, 10.0] == (1, 136)
    assert [sizes[1.0, b][1] for b in (30.0, 50.0, 70.0)] == [410, 684, 957]


def test_every_partition_of_equal_values_has_ratio_one():
    grid = partition_sensitivity(np.full((2, 1368), 0.2), np.array([4, 7]))
    np.testing.assert_allclose(grid["tier_ratio"], 1, rtol=1e-12)
    assert grid["seed"].tolist() == [4, 7] * len(PARTITIONS)


def test_a_bottom_of_zeros_is_infinite_and_marked_where_the_published_grid_has_a_number():
    fim = np.sort(np.random.default_rng(0).exponential(size=(1, 1000)))
    fim[:, :200] = 0
    grid = partition_sensitivity(fim, np.array([0])).set_index(["top_percent", "bottom_percent"])
    assert grid["bottom_is_zero"].to_dict() == {p: p[1] == 10.0 for p in PARTITIONS}
    zero = grid.loc[(0.1, 10.0)]
    assert zero["tier_ratio"] == np.inf
    assert zero["tier_ratio_published"] == pytest.approx(fim[0, -1] / fim[0, 200:280].mean())
    rest = grid[~grid["bottom_is_zero"]]
    np.testing.assert_allclose(rest["tier_ratio_published"], rest["tier_ratio"], rtol=1e-12)


def test_the_registered_descriptions_are_strict_bounds_on_all_three_statistics():
    gini = np.array([0.96, 0.7, 0.96, 0.96, 0.26, 0.5, 0.26, 0.26])
    rank = np.array([0.009, 0.009, 0.05, 0.009, 0.82, 0.82, 0.3, 0.82])
    mass = np.array([0.78, 0.78, 0.78, 0.4, 0.02, 0.02, 0.02, 0.1])
    expected = ["deep", *["neither"] * 3, "rest", *["neither"] * 3]
    assert classify_partition_free(gini, rank, mass).tolist() == expected


def summaries(rows):
    columns = ["system", "group", "gini", "effective_rank", "top_mass"]
    return pd.DataFrame(rows, columns=columns)


def test_the_recomputed_panel_passes_the_registered_rule_though_two_systems_fit_nothing():
    # Values over all entries, recomputed from diagonals that match the published tier ratios.
    panel = partition_free_panel(
        summaries(
            [
                ("random_matrix", "rest", 0.628, 0.180, 0.182),
                ("ising_chain", "rest", 0.261, 0.823, 0.018),
                ("harmonic_chain", "rest", 0.168, 0.890, 0.041),
                ("cellular_automaton", "rest", 0.278, 0.803, 0.035),
                ("boolean_circuit", "deep", 0.987, 0.0098, 0.822),
                ("u1_lattice", "rest", 0.082, 0.979, 0.0143),
                ("su2_lattice", "rest", 0.279, 0.790, 0.030),
                ("linear_regression", "rest", 0.019, 0.9989, 0.0112),
                ("logistic_regression", "rest", 0.215, 0.871, 0.026),
                ("kernel_ridge", "rest", 0.067, 0.986, 0.0129),
                ("gaussian_process", "rest", 0.128, 0.952, 0.0161),
                ("nn_untrained", "deep", 0.956, 0.0086, 0.775),
                ("nn_untrained", "deep", 0.881, 0.00043, 0.677),
                ("nn_trained", "deep", 0.872, 0.095, 0.225),
                ("nn_trained", "deep", 0.685, 0.246, 0.115),
            ]
        )
    )
    verdict = partition_free_verdict(panel)
    assert verdict.consistent_fraction == pytest.approx(11 / 13)
    assert verdict.registered_verdict == "PASS"
    assert verdict.exceptions == ("random_matrix", "nn_trained")
    assert verdict.overlaps == {"gini": False, "effective_rank": True, "top_mass": True}


def test_a_deep_system_that_looks_flat_is_consistent_but_does_not_agree():
    panel = partition_free_panel(summaries([("net", "deep", 0.2, 0.9, 0.02)]))
    assert panel["consistent"].tolist() == [True]
    assert panel["agrees"].tolist() == [False]
    assert partition_free_verdict(panel).registered_verdict == "INSUFFICIENT_DATA"


def test_a_table_without_a_statistic_is_refused():
    with pytest.raises(ValueError, match="lack \\['top_mass'\\]"):
        partition_free_panel(summaries([("a", "deep", 1, 0, 1)]).drop(columns="top_mass"))
