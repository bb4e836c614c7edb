"""The mean-field profile of F along the layers: closed forms and measured networks."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from fimtiers.substrates import mlp
from fimtiers.theory.mean_field import (
    ACTIVATIONS,
    activation_moment,
    layer_gain,
    layer_profile,
    slope_moment,
)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("q", [0.01, 1.0, 4.0])
def test_moments_are_gaussian_integrals(activation, q):
    phi, slope = ACTIVATIONS[activation]
    for moment, f in [(activation_moment, phi), (slope_moment, slope)]:
        parts = [
            quad(lambda z, f=f: norm.pdf(z) * f(np.array([np.sqrt(q) * z]))[0] ** 2, a, b)[0]
            for a, b in [(-12, 0), (0, 12)]
        ]
        assert moment(q, activation) == pytest.approx(sum(parts), rel=1e-7)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_slopes_are_the_derivatives_of_the_activations(activation):
    phi, slope = ACTIVATIONS[activation]
    z = np.array([-3.0, -0.5, 0.2, 1.7])
    difference = (phi(z + 1e-6) - phi(z - 1e-6)) / 2e-6
    np.testing.assert_allclose(slope(z), difference, rtol=1e-6, atol=1e-9)


def test_relu_gains_are_one_for_he_and_a_sixth_for_torch_default_at_any_scale():
    for q in (1e-3, 1.0, 50.0):
        assert layer_gain(q, "relu", "he_normal") == pytest.approx(1, rel=1e-9)
        assert layer_gain(q, "relu", "torch_default") == pytest.approx(1 / 6, rel=1e-9)


def test_a_linear_he_network_doubles_its_moments_in_each_layer():
    profile = layer_profile([8, 8, 8], "identity", "he_normal")
    np.testing.assert_allclose(profile.gain, [2])
    # E y² = 4, so E δ² = (4 + 1) / 64 at the output, times 2 below; m = 1, 2.
    np.testing.assert_allclose(np.exp(profile.log_bias_fisher), [10 / 64, 5 / 64])
    np.testing.assert_allclose(np.exp(profile.log_weight_fisher), [10 / 64, 10 / 64])


def test_he_relu_networks_have_no_drift_between_hidden_layers():
    profile = layer_profile([64] * 13, "relu", "he_normal")
    assert profile.log_range == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", "silu"])
def test_default_networks_have_the_predicted_mean_fisher_information_in_each_layer(activation):
    settings = {name: schema["default"] for name, schema in mlp.SETTINGS.items()}
    settings |= {"depth": 8, "activation": activation, "probes": 300}
    result = mlp.fisher_diagonal(settings, mlp.build_state(settings, np.arange(5)))
    tensor = np.repeat(np.arange(16), [t.size for t in result.tensors])
    measured = np.log([result.fim[:, tensor == i].mean() for i in range(16)])
    profile = layer_profile([16, *[64] * 7, 16], activation)
    np.testing.assert_allclose(profile.log_weight_fisher, measured[::2], atol=0.35)
    np.testing.assert_allclose(profile.log_bias_fisher, measured[1::2], atol=0.35)
    assert profile.log_range > 4


def test_unknown_names_are_refused_with_what_is_allowed():
    with pytest.raises(ValueError, match=r"'swish'; allowed: relu, gelu, tanh, silu"):
        layer_profile([2, 2], "swish")
    with pytest.raises(ValueError, match=r"'xavier'; allowed: torch_default, he_normal"):
        layer_profile([2, 2], initialisation="xavier")
    with pytest.raises(ValueError, match=r"sizes \[3\]"):
        layer_profile([3])
