"""Ensembles of chains of layers: which networks are one, and that members come out as alone."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from fimtiers.fisher import Categorical, SampleCouplingError, diagonal, diagonal_ensemble
from fimtiers.fisher import chain as chains

X = torch.randn(70, 5, generator=torch.Generator().manual_seed(1))
Y = torch.randint(0, 3, (70,), generator=torch.Generator().manual_seed(2))


def loss(outputs, targets):
    return cross_entropy(outputs, targets, reduction="none")


def ensemble(make, members=3):
    torch.manual_seed(3)
    return [make() for _ in range(members)]


def assert_members_agree(models, per_sample_loss, x, y, **options):
    together = diagonal_ensemble(models, per_sample_loss, (x, y), **options)
    unit = {"unit": options["unit"]} if "unit" in options else {}
    for model, result in zip(models, together, strict=True):
        alone = diagonal(model, per_sample_loss, (x, y), **unit)
        assert result.n == alone.n
        torch.testing.assert_close(result.flat(), alone.flat(), rtol=1e-5, atol=1e-13)
    return together


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.GELU, nn.LeakyReLU, nn.Softplus])
@pytest.mark.parametrize("samples", [70, 9])
def test_chains_take_the_stacked_route(activation, samples):
    models = ensemble(
        lambda: nn.Sequential(
            nn.Sequential(nn.Linear(5, 16), activation()), nn.Linear(16, 16, bias=False),
            activation(), nn.Linear(16, 3),
        )
    )  # fmt: skip
    for result in assert_members_agree(models, loss, X, Y, micro_batch=samples):
        assert set(result.routes.values()) == {chains.ROUTE}


def test_activations_in_place_and_a_single_layer():
    assert_members_agree(
        ensemble(lambda: nn.Sequential(nn.Linear(5, 8), nn.ReLU(inplace=True), nn.Linear(8, 3))),
        loss, X, Y,
    )  # fmt: skip
    assert_members_agree(ensemble(lambda: nn.Linear(5, 3)), loss, X, Y)


def test_little_memory_changes_no_result():
    models = ensemble(lambda: nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)), 5)
    assert_members_agree(models, loss, X, Y, memory=1 << 10)


def test_every_token_of_a_likelihood_counts_as_a_sample():
    models = ensemble(
        lambda: nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 12), nn.Unflatten(1, (4, 3)))
    )
    tokens = torch.randint(0, 3, (70, 4), generator=torch.Generator().manual_seed(4))
    assert_members_agree(models, Categorical(), X, tokens, unit="token")


def test_some_parameters_only():
    models = ensemble(lambda: nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)))
    results = diagonal_ensemble(models, loss, (X, Y), parameters=["2.weight"])
    for model, result in zip(models, results, strict=True):
        assert list(result.sums) == ["2.weight"]
        torch.testing.assert_close(result["2.weight"], diagonal(model, loss, (X, Y))["2.weight"])


def shared_layer():
    layer = nn.Linear(5, 5)
    return nn.Sequential(layer, nn.Tanh(), layer)


def tied_weight():
    model = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5))
    model[2].weight = model[0].weight
    return model


def hooked():
    model = nn.Sequential(nn.Linear(5, 5), nn.Tanh())
    model[0].register_forward_hook(lambda module, inputs, output: 2 * output)
    return model


def hooked_outside():
    model = nn.Sequential(nn.Linear(5, 5), nn.Tanh())
    model.register_forward_hook(lambda module, inputs, output: 2 * output)
    return model


@pytest.mark.parametrize("make", [shared_layer, tied_weight, hooked, hooked_outside])
def test_what_only_looks_like_a_chain_takes_the_general_route(make):
    for result in assert_members_agree(ensemble(make), loss, X, Y):
        assert chains.ROUTE not in result.routes.values()


def test_a_loss_that_couples_samples_is_refused():
    models = ensemble(lambda: nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)))
    with pytest.raises(SampleCouplingError):
        diagonal_ensemble(models, lambda o, y: loss(o - o.mean(0), y), (X, Y))
