"""Eight observables in one setting: published values, and the definitions written out."""

from decimal import Decimal

import numpy as np
import pytest
import torch
from torch import nn

from fimtiers.statistics.observables import DESCRIPTIONS, eight_observables, separations
from fimtiers.substrates import mlp, observed_mlp

SYSTEMS = {
    "depth 5": {"depth": 5},
    "depth 8": {"depth": 8},
    "depth 12": {"depth": 12},
    "four outputs": {"depth": 1, "outputs": 4},
    "linear": {"depth": 1},
}
PUBLISHED = {
    "depth 5": "4264.2 0.7490 0.9419 63.63 128.3 4.917 0.1625 397.5",
    "depth 8": "2.8546e6 0.8709 0.9929 5144.8 10997 4.298 0.1190 2365.8",
    "depth 12": "6.627e14 0.9277 0.9972 - - 4.022 0.1605 12165",
    "four outputs": "4.816 0.0468 0.2406 23.71 94.40 - 1.0404 -",
    "linear": "4.095 0.0216 0.2098 10.50 23.48 3.417 0.5868 55.58",
}
"""Without the two entries of depth 12 that rounding decides, which have a test of their own."""

PARAMETERS = {
    "depth 5": 14_608,
    "depth 8": 27_088,
    "depth 12": 43_728,
    "four outputs": 68,
    "linear": 272,
}


def settings(**changed):
    defaults = {name: schema["default"] for name, schema in observed_mlp.SETTINGS.items()}
    return defaults | changed


def observe(settings, seeds=(0,)):
    state = observed_mlp.build_state(settings, np.array(seeds))
    fisher = observed_mlp.fisher_diagonal(settings, state)
    return eight_observables(
        fisher.fim,
        state.theta,
        state.tensors,
        fisher.diagnostics["gram_eigenvalue"][1],
        fisher.diagnostics["squared_gradient_norm"][1],
        fisher.diagnostics["jacobian_singular_value"][1],
    )


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_observable_has_its_published_value_to_the_printed_digits(system):
    changed = settings(**SYSTEMS[system])
    assert observed_mlp.build_state(changed, np.array([0])).theta.shape[1] == PARAMETERS[system]
    values = observe(changed)
    for name, printed in zip(DESCRIPTIONS, PUBLISHED[system].split(), strict=True):
        if printed != "-":
            value = Decimal(float(values[name][0]))
            assert abs(value - Decimal(printed)) <= half_unit(printed), name


def half_unit(printed):
    """Half a unit of the last printed digit."""
    return Decimal(5).scaleb(Decimal(printed).as_tuple().exponent - 1)


def test_observables_that_do_not_apply_are_not_a_number():
    values = observe(settings(depth=1, outputs=4))
    assert np.isnan(values["weight_tail_exponent"][0])
    assert np.isnan(values["jacobian_condition"][0])


def test_at_depth_12_rounding_decides_the_median_eigenvalue():
    # Published 6.466e6 and 1.617e7; a repetition of the published run gave 6.43e6 and 1.66e7.
    single = observe(settings(depth=12))
    double = observe(settings(depth=12, precision="float64"))
    for name, published in (("gram_top_to_median", 6.466e6), ("gram_top_to_lower_half", 1.617e7)):
        assert single[name][0] == pytest.approx(published, rel=0.05)
        assert double[name][0] == pytest.approx(published, rel=0.05)
        assert single[name][0] != pytest.approx(double[name][0], rel=1e-3)


def test_every_observable_separates_depth_and_one_does_so_the_other_way_round():
    observed = {system: observe(settings(**changed)) for system, changed in SYSTEMS.items()}
    deep, rest = (
        {name: np.concatenate([observed[s][name] for s in systems]) for name in DESCRIPTIONS}
        for systems in (list(SYSTEMS)[:3], list(SYSTEMS)[3:])
    )
    signs = separations(deep, rest)
    assert signs.pop("gradient_log_variance") == -1
    assert set(signs.values()) == {1}


def test_fisher_diagonal_equals_that_of_the_plain_perceptron():
    common = {"depth": 3, "probes": 40}
    defaults = {name: schema["default"] for name, schema in mlp.SETTINGS.items()}
    plain = mlp.fisher_diagonal(
        defaults | common, mlp.build_state(defaults | common, np.array([0, 1]))
    )
    changed = settings(**common)
    observed = observed_mlp.fisher_diagonal(
        changed, observed_mlp.build_state(changed, np.array([0, 1]))
    )
    np.testing.assert_allclose(observed.fim, plain.fim, rtol=1e-4, atol=1e-14)


def test_gram_eigenvalues_and_jacobian_are_those_of_single_gradients():
    changed = settings(dim=16, width=6, depth=2, gram_probes=5, jacobian_inputs=3, probes=4)
    changed |= {"precision": "float64"}
    state = observed_mlp.build_state(changed, np.array([8]))
    diagnostics = observed_mlp.fisher_diagonal(changed, state).diagnostics
    torch.manual_seed(8)
    network = nn.Sequential(nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 16))
    inputs = torch.randn(5, 16).double()
    network.double()
    gradients, conditions = [], []
    for x in inputs:
        network.zero_grad()
        (0.5 * (network(x) - x).square().mean()).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters()]).numpy())
    for x in inputs[:3]:
        jacobian = torch.autograd.functional.jacobian(network, x).numpy()
        conditions.append(np.linalg.svd(jacobian, compute_uv=False))
    gram = np.array(gradients) @ np.array(gradients).T / 5
    eigenvalues = diagnostics["gram_eigenvalue"][1][0]
    np.testing.assert_allclose(eigenvalues, np.linalg.eigvalsh(gram), rtol=1e-9)
    singular_values = diagnostics["jacobian_singular_value"][1][0]
    np.testing.assert_allclose(singular_values, conditions, rtol=1e-9, atol=1e-14)


def test_the_smaller_gram_matrix_is_taken():
    changed = settings(dim=2, outputs=1, depth=1, gram_probes=40, jacobian_inputs=1)
    state = observed_mlp.build_state(changed, np.array([0]))
    diagnostics = observed_mlp.fisher_diagonal(changed, state).diagnostics
    assert diagnostics["gram_eigenvalue"][1].shape == (1, 3)
    assert diagnostics["jacobian_singular_value"][1].shape == (1, 1, 0)


def test_more_outputs_than_inputs_are_refused():
    with pytest.raises(ValueError, match=r"outputs is 17; expected at most dim \(16\)"):
        observed_mlp.build_state(settings(outputs=17), np.array([0]))
