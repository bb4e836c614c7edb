"""Stacks of dense networks: random draws, derivatives and training against plain torch."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from fimtiers import torch_generators
from fimtiers.networks import dense_stack
from fimtiers.networks.activations import ACTIVATIONS
from fimtiers.networks.initialisation import INITIALISATIONS, initialise
from fimtiers.networks.sampling import standard_normal
from fimtiers.networks.training import MomentumDescent
from fimtiers.substrates import mlp
from fimtiers.tiers import published_ratio

MODULES = {
    "relu": torch.nn.ReLU,
    "gelu": torch.nn.GELU,
    "tanh": torch.nn.Tanh,
    "silu": torch.nn.SiLU,
    "identity": torch.nn.Identity,
}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As in the jobs of the workflow: rounding depends on the number of threads, and speed too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def plain_network(sizes, activation):
    layers = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [torch.nn.Linear(fan_in, fan_out), MODULES[activation]()]
    return torch.nn.Sequential(*layers[:-1])


def flat_parameters(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def stacked(networks, sizes, activation):
    theta = torch.stack([flat_parameters(network) for network in networks])
    return dense_stack.stack_from_theta(theta, sizes, ACTIVATIONS[activation])


def test_the_default_initialisation_is_bit_equal_to_linear_layers_after_manual_seed():
    sizes = [16, 34, 7, 8]
    torch.manual_seed(3)
    expected = plain_network(sizes, "relu")
    generator = torch.Generator().manual_seed(3)
    for ours, theirs in zip(
        initialise("torch_default", sizes, generator), expected.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)
    assert torch.equal(torch.randn(5), torch.randn(0).new_empty(5).normal_(generator=generator))


def test_he_initialisation_is_bit_equal_to_reinitialising_linear_layers():
    sizes = [8, 20, 8]
    torch.manual_seed(1)
    expected = plain_network(sizes, "relu")
    for layer in expected[::2]:
        torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        torch.nn.init.zeros_(layer.bias)
    ours = initialise("he_normal", sizes, torch.Generator().manual_seed(1))
    assert all(torch.equal(a, b) for a, b in zip(ours, expected.parameters(), strict=True))


def test_an_unknown_initialisation_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'he'.*torch_default, he_normal"):
        initialise("he", [2, 2], torch.Generator())
    assert set(INITIALISATIONS) == {
        "torch_default",
        "he_normal",
        "xavier_normal",
        "orthogonal",
        "identity_with_noise",
    }


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("he_normal", [638.5, 364.4, 517.8]),
        ("xavier_normal", [2619.8, 1103.9, 1652.8]),
        ("orthogonal", [277.0, 326.0, 246.8]),
        ("identity_with_noise", [40.86, 42.63, 42.80]),
    ],
)
def test_families_of_initialisations_have_their_published_tier_ratios(name, published):
    settings = {key: schema["default"] for key, schema in mlp.SETTINGS.items()}
    settings |= {"width": 128, "depth": 8, "initialisation": name, "initialised_in_turn": True}
    state = mlp.build_state(settings, np.arange(3))
    ratio = published_ratio(mlp.fisher_diagonal(settings, state).fim, "smallest_tenth_floor")
    np.testing.assert_allclose(ratio, published, rtol=2e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "shape", [(1,), (8,), (15,), (16,), (17,), (20,), (48,), (72,), (3, 8), (4, 16)]
)
def test_normals_are_those_of_successive_calls_of_randn(shape, dtype):
    torch.manual_seed(11)
    expected = torch.stack([torch.randn(shape, dtype=dtype) for _ in range(7)])
    after = torch.randn(3)
    generator = torch.Generator().manual_seed(11)
    drawn = standard_normal([generator], 7, shape, dtype)
    assert torch.equal(drawn[0], expected)
    assert torch.equal(torch.empty(3).normal_(generator=generator), after)


@pytest.mark.parametrize("dim", [8, 16])
def test_the_first_normals_do_not_depend_on_how_many_follow(dim):
    few, many = (
        standard_normal(torch_generators.seed(np.array([5, 6])), calls, (dim,)) for calls in (9, 18)
    )
    assert torch.equal(few, many[:, :9])


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_outputs_and_gradients_equal_autograd_in_double_precision(activation, depth):
    torch.manual_seed(0)
    sizes = [3, *[5] * (depth - 1), 4]
    networks = [plain_network(sizes, activation).double() for _ in range(2)]
    stack = stacked(networks, sizes, activation)
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    pull = torch.randn(2, 6, 4, dtype=torch.float64)
    tape = dense_stack.forward(stack, x)
    output = tape.outputs[-1].clone()
    gradient = dense_stack.zeros_like(stack)
    for layer, a, delta in dense_stack.backward(stack, tape, pull):
        gradient.weights[layer].copy_(delta.mT @ a)
        gradient.biases[layer].copy_(delta.sum(1, keepdim=True))
    ours = dense_stack.theta_from_stack(gradient)
    for seed, network in enumerate(networks):
        y = network(x[seed])
        torch.testing.assert_close(output[seed], y, rtol=1e-13, atol=1e-14)
        expected = torch.autograd.grad((y * pull[seed]).sum(), list(network.parameters()))
        expected = torch.cat([g.flatten() for g in expected]).numpy()
        np.testing.assert_allclose(ours[seed], expected, rtol=1e-12, atol=1e-14)


def test_parameters_survive_the_way_into_a_stack_and_back():
    sizes = [4, 3, 2]
    size = sum(tensor.size for tensor in dense_stack.tensor_table(sizes))
    theta = torch.arange(2.0 * size).reshape(2, size)
    stack = dense_stack.stack_from_theta(theta, sizes, ACTIVATIONS["relu"])
    assert np.array_equal(dense_stack.theta_from_stack(stack), theta.numpy())
    assert [w.shape for w in stack.weights] == [(2, 3, 4), (2, 2, 3)]
    assert torch.equal(stack.weights[1][1].flatten(), theta[1, 15:21])


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_training_equals_the_optimiser_of_torch_to_rounding(activation, momentum):
    torch.manual_seed(7)
    sizes = [6, 10, 10, 6]
    networks = [plain_network(sizes, activation) for _ in range(3)]
    stack = stacked(networks, sizes, activation)
    batches = torch.randn(200, 3, 9, 6)
    descent = MomentumDescent(stack, rows=9, learning_rate=0.05, momentum=momentum)
    for x in batches:
        tape = descent.forward(x)
        descent.step(tape, (tape.outputs[-1] - x) / (9 * 6))
    for seed, network in enumerate(networks):
        optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=momentum)
        for x in batches[:, seed]:
            optimiser.zero_grad()
            (0.5 * (network(x) - x).square().mean()).backward()
            optimiser.step()
        ours = dense_stack.theta_from_stack(stack)[seed]
        np.testing.assert_allclose(ours, flat_parameters(network), rtol=0, atol=2e-5)
