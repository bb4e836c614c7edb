"""The variance over draws of the weights."""

import numpy as np

from fimtiers.statistics.weight_draws import summarise_log_norms


def test_silent_networks_are_counted_and_left_out():
    summary = summarise_log_norms(np.array([0.0, 2.0, -np.inf]))
    assert (summary["draws"], summary["silent"], summary["mean"]) == (2, 1, 1)
    assert summary["variance"] == 1


def test_the_error_of_a_normal_variance_is_root_two_over_n():
    sample = np.random.default_rng(0).normal(0, 3, 200_000)
    summary = summarise_log_norms(sample)
    np.testing.assert_allclose(summary["variance_error"], 9 * (2 / 200_000) ** 0.5, rtol=0.02)
