"""Per-probe gradients of one pass are those that plain autograd gives probe by probe."""

import pytest
import torch
from torch import nn

from fimtiers.networks.batch_norm import BatchNorm
from fimtiers.networks.echo import half_squared_error
from fimtiers.networks.gradient_factors import Factors, gradient_factors
from fimtiers.substrates.resnet import ResidualNetwork


def residual_network(training):
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(0)
        network = ResidualNetwork(4, 6, 2).double().train(training)
        for parameter in network.parameters():
            nn.init.normal_(parameter)
        for buffer in network.buffers():
            buffer.uniform_(0.5, 2)
    return network


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)).double()


def assert_single_probes_agree(network, loss, probes):
    factors, losses = gradient_factors(network, loss, probes)
    assert list(factors) == [name for name, _ in network.named_parameters()]
    for n, probe in enumerate(probes):
        alone = loss(network(probe[None]), probe[None]).squeeze(0)
        torch.testing.assert_close(losses[n], alone.detach())
        expected = torch.autograd.grad(alone, list(network.parameters()))
        for (name, factor), gradient in zip(factors.items(), expected, strict=True):
            formed = torch.cat([some for _, some in factor.split(elements=20)])[n]
            # A bias before a batch norm does nothing: its gradient is rounding error in both.
            close = torch.isclose(formed, gradient.flatten(), rtol=1e-9, atol=1e-12)
            assert close.all(), f"probe {n}, {name}"


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch", [2, 5])
def test_each_probe_has_the_gradient_it_has_alone(training, batch):
    assert_single_probes_agree(residual_network(training), half_squared_error, normal(7, batch, 4))


def test_a_probe_may_be_a_single_input_and_a_layer_without_a_bias():
    network = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 4, bias=False)).double()
    assert_single_probes_agree(network, lambda y, x: (y - x).square().sum(-1), normal(5, 4))


def test_parameters_are_left_without_gradients():
    network = residual_network(training=True)
    gradient_factors(network, half_squared_error, normal(3, 2, 4))
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(layer._forward_hooks for layer in network.modules())


@pytest.mark.parametrize("elements", [1, 24, 50, 1000])
def test_gradients_are_formed_in_parts_that_hold_so_many_numbers(elements):
    outer, inner = normal(7, 3, 4), normal(7, 3, 6)
    parts = list(Factors(outer, inner).split(elements))
    assert all(gradients.numel() <= max(elements, 24) for _, gradients in parts)
    assert torch.cat([torch.arange(7)[chosen] for chosen, _ in parts]).tolist() == list(range(7))
    joined = torch.cat([gradients for _, gradients in parts])
    torch.testing.assert_close(joined, torch.einsum("nro,nri->noi", outer, inner).flatten(1))


def test_a_layer_of_another_kind_is_named():
    network = nn.Sequential(nn.Linear(4, 4), BatchNorm(4), nn.LayerNorm(4))
    with pytest.raises(TypeError, match="layer '2' is a LayerNorm; expected Linear or BatchNorm"):
        gradient_factors(network, half_squared_error, torch.zeros(3, 2, 4))
