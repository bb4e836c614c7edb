"""Predicted beside measured tier ratios of samples whose law is known."""

import numpy as np
import pytest

from fimtiers.theory.log_normal import log_tier_ratio
from fimtiers.theory.prediction import predict_log_ratio
from fimtiers.tiers import tier_ratio

N = 400_000


def sample(means, variance, seed=0):
    z = np.random.default_rng(seed).standard_normal((2, N))
    layer = np.arange(N) % len(means)
    return np.exp(np.array(means)[layer] + np.sqrt(variance) * z), layer


def test_a_log_normal_diagonal_is_predicted_by_its_variance():
    fim, layer = sample([0.0, 0.0], 3.0)
    prediction = predict_log_ratio(fim, layer)
    np.testing.assert_allclose(prediction.measured, np.log(tier_ratio(fim)))
    np.testing.assert_allclose(prediction.log_normal, prediction.measured, atol=0.03)
    np.testing.assert_allclose(prediction.layer_mixture, prediction.measured, atol=0.03)
    np.testing.assert_allclose(prediction.log_normal, log_tier_ratio(3.0), atol=0.03)
    assert (prediction.drift < 0.1).all()


def test_drifting_layers_are_predicted_by_their_mixture_and_not_by_the_pooled_variance():
    fim, layer = sample([-30.0, -20.0, -10.0, 0.0], 1.0)
    prediction = predict_log_ratio(fim, layer)
    np.testing.assert_allclose(prediction.layer_mixture, prediction.measured, atol=0.05)
    np.testing.assert_allclose(prediction.log_range, 30, atol=0.05)
    assert (np.abs(prediction.log_normal - prediction.measured) > 5).all()


def test_steady_drift_alone_is_predicted_by_its_range():
    layer = np.arange(10_000)
    fim = np.exp(np.linspace(0, 40, 10_000))
    prediction = predict_log_ratio(fim, layer)
    assert prediction.drift == pytest.approx(prediction.measured, abs=0.005)


def test_zeros_that_fill_tier_3_are_measured_and_predicted_as_infinite():
    fim, layer = sample([0.0, 1.0], 1.0)
    fim[:, : N * 6 // 10] = 0
    prediction = predict_log_ratio(fim, layer)
    assert np.isinf(prediction.measured).all()
    assert np.isinf(prediction.layer_mixture).all()
    assert np.isfinite(prediction.log_normal).all()


def test_layers_must_match_the_parameters():
    with pytest.raises(ValueError, match=r"layer has shape \(2,\); fim has 3"):
        predict_log_ratio(np.ones(3), np.zeros(2, int))
