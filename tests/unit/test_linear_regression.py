"""Linear regression: the published values, and the closed form behind them."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fimtiers.substrates import linear_regression
from fimtiers.tiers import published_ratio, tier_ratio

PUBLISHED = Path(__file__).parents[2] / "resources" / "published"


def settings(**changed):
    defaults = {name: schema["default"] for name, schema in linear_regression.SETTINGS.items()}
    return defaults | changed


def fisher(settings, seeds):
    state = linear_regression.build_state(settings, np.array(seeds))
    return linear_regression.fisher_diagonal(settings, state)


def test_the_published_protocol_gives_the_published_tier_ratios():
    table = pd.read_csv(PUBLISHED / "panel_per_seed.csv").query("system == 'linear_regression'")
    result = fisher(settings(), table["seed"])
    ratios = published_ratio(result.fim, "smallest_tenth_floor")
    np.testing.assert_allclose(ratios, table["value"], rtol=1e-11)


def test_in_expectation_every_parameter_has_fisher_information_one_over_the_noise_variance():
    result = fisher(settings(protocol="corrected"), range(5))
    assert (result.fim == result.fim[0, 0]).all()
    np.testing.assert_allclose(result.fim, 1 / 0.2**2, rtol=1e-15)
    assert (tier_ratio(result.fim) == 1).all()


def test_the_excess_of_the_tier_ratio_over_one_falls_as_the_square_root_of_the_probes():
    few, many = (
        tier_ratio(fisher(settings(probes=probes), range(20)).fim).mean() - 1
        for probes in (500, 50_000)
    )
    np.testing.assert_allclose(few / many, 10, rtol=0.15)


def test_it_is_the_squared_jacobian_of_autograd_over_the_noise_variance():
    small = settings(features=3, samples=10, probes=4, noise=0.5)
    state = linear_regression.build_state(small, np.array([7]))
    result = linear_regression.fisher_diagonal(small, state)
    inputs = torch.tensor(np.random.default_rng(7).standard_normal((4, 3)))

    def output(theta, x):
        return theta[:9].reshape(3, 3) @ x + theta[9:]

    theta = torch.tensor(state.theta[0])
    expected = sum(
        torch.autograd.functional.jacobian(lambda t, x=x: output(t, x), theta).square().sum(dim=0)
        for x in inputs
    )
    np.testing.assert_allclose(result.fim[0], expected.numpy() / 4 / 0.5**2, rtol=1e-13)


def test_the_state_minimises_the_squared_error():
    chosen = settings(features=4, samples=50)
    state = linear_regression.build_state(chosen, np.array([3]))
    stream = np.random.default_rng(3)
    x = stream.standard_normal((50, 4))
    y = x + 0.2 * stream.standard_normal((50, 4))
    weight, bias = state.theta[0, :16].reshape(4, 4), state.theta[0, 16:]
    residual = x @ weight.T + bias - y
    np.testing.assert_allclose(x.T @ residual, 0, atol=1e-12)
    np.testing.assert_allclose(residual.sum(axis=0), 0, atol=1e-12)


def test_more_probes_keep_the_ones_already_taken():
    sums = [n * fisher(settings(probes=n), [0, 1]).fim[:, :32] for n in (5, 6, 50)]
    assert (np.diff(sums, axis=0) > 0).all()
