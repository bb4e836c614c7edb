"""Softmax regression: published values, autograd, and the two questions of its settings."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fimtiers.substrates import logistic_regression
from fimtiers.tiers import published_ratio, tier_ratio

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"
SMALL = {"features": 4, "classes": 3, "samples": 25, "steps": 40, "learning_rate": 0.3}


def settings(**changed):
    defaults = {name: schema["default"] for name, schema in logistic_regression.SETTINGS.items()}
    return defaults | changed


def fisher(settings, seeds):
    state = logistic_regression.build_state(settings, np.array(seeds))
    return logistic_regression.fisher_diagonal(settings, state)


def loss(theta, x, label):
    """Negative log-likelihood of one point, by torch; theta holds weights, then biases."""
    weight, bias = theta[:12].reshape(4, 3), theta[12:]
    return torch.nn.functional.cross_entropy(x @ weight + bias, label)


def squared_gradient(theta, x, label):
    theta = theta.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(theta, x, label), theta)
    return gradient.square()


@pytest.fixture(scope="module")
def panel():
    """Published settings and the states of the five published seeds."""
    return settings(), logistic_regression.build_state(settings(), np.arange(5))


def test_the_published_protocol_gives_the_published_tier_ratios(panel):
    table = pd.read_csv(PUBLISHED / "panel_per_seed.csv").query("system == 'logistic_regression'")
    result = logistic_regression.fisher_diagonal(*panel)
    ratios = published_ratio(result.fim, "smallest_tenth_floor")
    np.testing.assert_allclose(ratios, table["value"], rtol=1e-11)


def test_two_hundred_thousand_probes_give_the_published_ratios_to_their_printed_digits(panel):
    defaults, state = panel
    result = logistic_regression.fisher_diagonal(defaults | {"probes": 200_000}, state)
    published = [1.95, 2.13, 1.80, 1.91, 1.96]
    np.testing.assert_allclose(tier_ratio(result.fim), published, atol=0.005)


def test_the_corrected_protocol_is_the_limit_of_many_probes(panel):
    defaults, state = panel
    exact = logistic_regression.fisher_diagonal(defaults | {"protocol": "corrected"}, state)
    sampled = logistic_regression.fisher_diagonal(defaults | {"probes": 400_000}, state)
    np.testing.assert_allclose(sampled.fim, exact.fim, rtol=0.03)
    assert exact.probes == defaults["samples"]


def test_given_labels_agree_with_autograd_at_every_training_point():
    chosen = settings(**SMALL, protocol="corrected")
    state = logistic_regression.build_state(chosen, np.array([5]))
    result = logistic_regression.fisher_diagonal(chosen, state)
    theta = torch.tensor(state.theta[0])
    inputs, labels = (torch.tensor(state.fixed[name][1][0]) for name in ("input", "label"))
    expected = sum(squared_gradient(theta, x, y) for x, y in zip(inputs, labels, strict=True))
    np.testing.assert_allclose(result.fim[0], expected.numpy() / 25, rtol=1e-12)
    assert result.definition == "loss"


def test_model_labels_average_autograd_over_the_models_own_predictions():
    chosen = settings(**SMALL, protocol="corrected", definition="true")
    state = logistic_regression.build_state(chosen, np.array([5]))
    result = logistic_regression.fisher_diagonal(chosen, state)
    theta = torch.tensor(state.theta[0])
    inputs = torch.tensor(state.fixed["input"][1][0])
    expected = sum(
        torch.exp(-loss(theta, x, label)) * squared_gradient(theta, x, label)
        for x in inputs
        for label in torch.arange(3)
    )
    np.testing.assert_allclose(result.fim[0], expected.numpy() / 25, rtol=1e-12)
    assert result.definition == "true"


def test_the_true_fisher_is_that_of_probabilities_differentiated_numerically():
    """Σ_c p_c (∂ ln p_c)² by central differences, point by point: no closed form, no autograd."""
    chosen = settings(**SMALL, protocol="corrected", definition="true")
    state = logistic_regression.build_state(chosen, np.array([3]))
    theta, inputs = state.theta[0], state.fixed["input"][1][0]

    def log_probability(theta):
        logits = inputs @ theta[:12].reshape(4, 3) + theta[12:]
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    step = 1e-5
    probability = np.exp(log_probability(theta))
    for i, shift in enumerate(step * np.eye(15)):
        slope = (log_probability(theta + shift) - log_probability(theta - shift)) / (2 * step)
        expected = (probability * slope**2).sum(axis=1).mean()
        result = logistic_regression.fisher_diagonal(chosen, state).fim[0, i]
        assert result == pytest.approx(expected, rel=1e-8)


def test_the_two_definitions_disagree_where_the_model_has_not_learnt_its_labels(panel):
    defaults, state = panel
    loss, true = (
        logistic_regression.fisher_diagonal(
            defaults | {"protocol": "corrected", "definition": definition}, state
        ).fim
        for definition in ("loss", "true")
    )
    assert (tier_ratio(loss) > 1.3 * tier_ratio(true)).all()


def test_training_follows_gradient_descent_by_autograd():
    chosen = settings(**SMALL)
    state = logistic_regression.build_state(chosen, np.array([5, 6]))
    for row, final_loss, x, y in zip(
        state.theta,
        state.diagnostics["training_loss"][1],
        torch.tensor(state.fixed["input"][1]),
        torch.tensor(state.fixed["label"][1]),
        strict=True,
    ):
        theta = torch.zeros(15, dtype=torch.float64, requires_grad=True)
        for _ in range(40):
            (gradient,) = torch.autograd.grad(loss(theta, x, y), theta)
            theta = (theta - 0.3 * gradient).detach().requires_grad_()
        np.testing.assert_allclose(row, theta.detach().numpy(), rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(final_loss, loss(theta, x, y).item(), rtol=1e-12)


def test_stacked_seeds_are_the_seeds_one_by_one():
    stacked = fisher(settings(**SMALL), [1, 2]).fim
    single = np.concatenate([fisher(settings(**SMALL), [seed]).fim for seed in (1, 2)])
    np.testing.assert_allclose(stacked, single, rtol=1e-12)


def test_more_probes_keep_the_ones_already_taken():
    state = logistic_regression.build_state(settings(**SMALL), np.array([0, 1]))
    sums = [
        n * logistic_regression.fisher_diagonal(settings(**SMALL, probes=n), state).fim
        for n in (5, 6, 50)
    ]
    assert (np.diff(sums, axis=0) > 0).all()
