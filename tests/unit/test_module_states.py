"""Torch modules as states, and their Fisher diagonals from per-probe gradients."""

import numpy as np
import pytest
import torch
from torch import nn

from fimtiers import torch_generators
from fimtiers.networks.module_fisher import fisher_of_modules
from fimtiers.networks.modules import construct, fill, module_state, parameter_vector, tensor_table
from fimtiers.networks.per_sample import fisher_with_gradient_norms

ROLES = {"0.weight": "weight", "0.bias": "bias", "weight": "weight", "bias": "bias"}


def build():
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


def loss(output, x):
    return (output - x[..., :3]).square().sum(-1)


def draw(stream, probes):
    return torch.randn(probes, 16, generator=stream)[:, :4]


def test_construction_equals_that_after_manual_seed():
    (module,), (stream,) = construct(build, [7])
    torch.manual_seed(7)
    expected = build()
    following = torch.randn(5)
    for ours, theirs in zip(module.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(torch.randn(5, generator=stream), following)


def test_construction_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    construct(build, [1, 2])
    assert torch.equal(torch.get_rng_state(), before)


def test_filling_a_module_gives_back_its_parameters_in_evaluation_mode():
    (module,), _ = construct(build, [3])
    theta = parameter_vector(module)
    filled = fill(build, theta, torch.float32)
    assert np.array_equal(parameter_vector(filled), theta)
    assert not filled.training
    with torch.no_grad():
        filled[0].weight.zero_()
    assert theta.any(), "the module must not write to the state"


def test_layers_are_numbered_in_the_order_of_the_children():
    module = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Sequential(*[nn.Linear(2, 2)] * 1)})
    roles = {"a.weight": "in", "a.bias": "shift", "b.weight": "out", "b.bias": "shift"}
    table = tensor_table(module, roles)
    assert [(t.name, t.layer, t.role) for t in table] == [
        ("a.weight", 0, "in"),
        ("a.bias", 0, "shift"),
        ("b.0.weight", 1, "out"),
        ("b.0.bias", 1, "shift"),
    ]


def test_a_parameter_without_a_role_is_named():
    with pytest.raises(KeyError, match="weight"):
        tensor_table(build(), {})


@pytest.mark.parametrize("measure", [fisher_of_modules, fisher_with_gradient_norms])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fisher_diagonal_is_the_mean_square_of_single_probe_gradients(measure, dtype, monkeypatch):
    monkeypatch.setattr("fimtiers.networks.per_sample.PROBES_PER_PASS", 4)
    monkeypatch.setattr("fimtiers.networks.per_sample.ELEMENTS_PER_CHUNK", 50)
    state, _, _ = module_state(build, np.array([0, 5]), ROLES)
    modules = [fill(build, theta, dtype) for theta in state.theta]
    result = measure(state, modules, loss, lambda s, n: draw(s, n).to(dtype), 9)
    for seed, stream in enumerate(torch_generators.unpack(state.fixed["generator"])):
        squares, losses = 0.0, []
        for x in draw(stream, 9).to(dtype):
            gradient, value = gradient_and_loss(modules[seed], x)
            squares = squares + gradient**2
            losses.append(value)
        np.testing.assert_allclose(result.fim[seed], squares / 9, rtol=1e-4, atol=1e-12)
        assert result.diagnostics["probe_loss"][1][seed] == pytest.approx(np.mean(losses), rel=1e-5)


def gradient_and_loss(module, x):
    module.zero_grad()
    value = loss(module(x), x)
    value.backward()
    gradient = torch.cat([p.grad.double().flatten() for p in module.parameters()])
    return gradient.numpy(), value.item()


def test_gradient_norms_say_how_many_probes_carry_the_mean():
    state, (stream,), (module,) = module_state(build, np.array([0]), ROLES)
    gradients = [gradient_and_loss(module, x)[0] for x in draw(stream, 9)]
    masses = np.square(gradients).sum(axis=1)
    diagnostics = fisher_with_gradient_norms(state, [module], loss, draw, 9).diagnostics
    np.testing.assert_allclose(diagnostics["squared_gradient_norm"][1][0], masses, rtol=1e-5)
    share = diagnostics["largest_probe_share"][1][0]
    assert share == pytest.approx(masses.max() / masses.sum(), rel=1e-5)
    effective = masses.sum() ** 2 / np.square(masses).sum()
    assert diagnostics["effective_probes"][1][0] == pytest.approx(effective, rel=1e-5)


@pytest.mark.parametrize("measure", [fisher_of_modules, fisher_with_gradient_norms])
def test_measuring_leaves_no_gradients_behind(measure):
    state, _, modules = module_state(build, np.array([0]), ROLES)
    measure(state, modules, loss, draw, 2)
    assert all(parameter.grad is None for parameter in modules[0].parameters())
