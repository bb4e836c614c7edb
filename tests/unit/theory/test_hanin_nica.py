"""Fluctuation of Jacobian norms over weight draws: theorem, exact law, real networks, autograd."""

import numpy as np
import pytest
import torch

from fimtiers.theory.hanin_nica import (
    exact_log_norm_moments,
    log_norm_mean,
    log_norm_variance,
    sample_log_norms,
    variance_ratio,
)


@pytest.mark.parametrize("depth", [4, 16])
def test_real_he_networks_have_the_exact_mean_and_variance_over_weight_draws(depth):
    widths, draws = [32] * depth, 4000
    sample = sample_log_norms(widths, draws, np.random.default_rng(0))
    mean, variance = exact_log_norm_moments(widths)
    assert sample.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / draws))
    assert sample.var() == pytest.approx(variance, rel=4 * np.sqrt(2.5 / draws))


@pytest.mark.parametrize(("depth", "measured"), [(4, 0.330), (8, 0.683), (16, 1.301)])
def test_the_theorem_holds_to_seven_percent_at_width_64(depth, measured):
    widths = [64] * depth
    assert exact_log_norm_moments(widths)[1] == pytest.approx(measured, rel=0.04)
    assert variance_ratio(exact_log_norm_moments(widths)[1], widths) == pytest.approx(1, abs=0.07)


def test_the_exact_moments_approach_the_theorem_as_layers_widen():
    for n, tolerance in [(100, 0.04), (1000, 4e-3), (4000, 1e-3)]:
        mean, variance = exact_log_norm_moments([n] * 8)
        assert mean == pytest.approx(log_norm_mean([n] * 8), rel=tolerance)
        assert variance == pytest.approx(log_norm_variance([n] * 8), rel=tolerance)


def test_the_variance_depends_on_depth_over_width_and_vanishes_with_width():
    assert log_norm_variance([64] * 20) == pytest.approx(5 * 20 / 64)
    assert log_norm_variance([16, 64]) == pytest.approx(5 * (1 / 16 + 1 / 64))
    assert log_norm_variance([256] * 4) == pytest.approx(0.1, rel=0.25)


def test_torch_default_weights_lose_a_factor_six_per_layer():
    depth = 8
    sample = sample_log_norms([64] * depth, 300, np.random.default_rng(1), "torch_default")
    assert sample.mean() / depth == pytest.approx(np.log(1 / 6), abs=0.08)


def test_the_sampled_norm_is_that_of_the_jacobian_by_automatic_differentiation():
    widths = [5, 7, 6]
    rng = np.random.default_rng(3)
    sample = sample_log_norms(widths, 1, np.random.default_rng(3), "torch_default")[0]
    layers = []
    for n, fan_in in [(5, 5), (7, 5), (6, 7)]:
        bound = fan_in**-0.5
        weight = rng.uniform(-bound, bound, (1, n, fan_in))[0]
        layers.append((torch.tensor(weight), torch.tensor(rng.uniform(-bound, bound, (1, n))[0])))

    def network(x):
        for weight, bias in layers:
            x = torch.relu(weight @ x + bias)
        return x

    first, last = torch.eye(5, dtype=torch.float64)[[0, 4]]
    image = torch.autograd.functional.jvp(network, first, last)[1]
    assert sample == pytest.approx(float((image**2).sum().log()), rel=1e-12)


def test_the_sample_does_not_depend_on_how_draws_are_grouped(monkeypatch):
    whole = sample_log_norms([8, 8], 50, np.random.default_rng(0))
    assert whole.shape == (50,)
    monkeypatch.setattr("fimtiers.theory.hanin_nica.ELEMENTS_PER_CHUNK", 10 * 64)
    grouped = sample_log_norms([8, 8], 50, np.random.default_rng(0))
    assert np.isfinite(grouped).mean() == pytest.approx(np.isfinite(whole).mean(), abs=0.1)


def test_impossible_arguments_are_refused_by_value():
    with pytest.raises(ValueError, match=r"widths \[4, 0\]"):
        log_norm_variance([4, 0])
    with pytest.raises(ValueError, match="initialisation 'xavier'"):
        sample_log_norms([4], 1, np.random.default_rng(0), "xavier")
