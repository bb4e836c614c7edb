"""The engine makes its tensors where the model is, and gives the same numbers on every device.

Without an accelerator, a default device of `meta` shows what would be made in the wrong place: a
tensor that is made without naming a device has no values there, and cannot meet one that has.
"""

import copy

import pytest
import torch
from fisher_definition import by_definition
from torch import nn

from fimtiers.fisher import Categorical, Gaussian, diagonal, diagonal_ensemble, kernel

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
VECTORS = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
IMAGES = torch.randn(8, 4, 8, 8, generator=torch.Generator().manual_seed(2))
SEQUENCES = torch.randn(8, 12, 6, generator=torch.Generator().manual_seed(3))
TOKENS = torch.randint(0, 11, (8, 12), generator=torch.Generator().manual_seed(4))


class Attention(nn.Module):
    """Embedding, self-attention and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 8)
        self.mix = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens):
        x = self.table(tokens)
        return self.head(self.mix(x, x, x)[0])


CASES = {
    "perceptron": (lambda: nn.Sequential(nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 3)), VECTORS),
    "layer norm": (lambda: nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8)), SEQUENCES),
    "convolution": (
        lambda: nn.Sequential(
            nn.Conv2d(4, 16, 3, padding=1, bias=False), nn.GroupNorm(4, 16), nn.ReLU(),
            nn.Conv2d(16, 8, 3, stride=2, groups=2), nn.Flatten(), nn.Linear(72, 3),
        ),
        IMAGES,
    ),
    "attention": (Attention, TOKENS),
    "recurrent": (lambda: First(nn.LSTM(6, 5, batch_first=True)), SEQUENCES),
}  # fmt: skip


class First(nn.Module):
    """The first output of a module."""

    def __init__(self, module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x)[0]


def loss(outputs, targets):
    flat = outputs.flatten(1)
    return flat.square().mean(1) + torch.sin(flat).mean(1)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CASES)
def test_a_model_on_any_device_has_the_diagonal_of_the_definition(name, device):
    make, inputs = CASES[name]
    model = make()
    expected = by_definition(model, loss, inputs, None)
    targets = torch.zeros(len(inputs), device=device)
    found = diagonal(copy.deepcopy(model).to(device), loss, (inputs.to(device), targets))
    for tensor, reference in expected.items():
        error = (found[tensor].cpu() - reference).norm()
        assert found[tensor].device.type == device
        assert error <= 1e-4 * reference.norm(), tensor


@pytest.mark.parametrize("device", DEVICES)
def test_sums_live_on_the_host_if_asked_for(device):
    model = nn.Linear(6, 300).to(device)
    data = VECTORS.to(device), torch.zeros(len(VECTORS), device=device)
    host, same = (diagonal(model, loss, data, device=place) for place in ("cpu", None))
    for name in same:
        assert host[name].device.type == "cpu"
        torch.testing.assert_close(host[name], same[name].cpu())


@pytest.fixture(params=[True, False], ids=["compiled kernels", "tiles"])
def elsewhere(request, monkeypatch):
    """Make `meta` the default device, with the kernels of the processor and without."""
    if not request.param:
        monkeypatch.setattr(kernel, "_on_processor", lambda *tensors: False)
    monkeypatch.setattr(kernel, "MINIMUM_PRODUCTS", 1)
    monkeypatch.setattr(kernel, "MINIMUM_LENGTH", 1)
    return torch.device("meta")


@pytest.mark.parametrize("name", CASES)
def test_the_engine_makes_no_tensor_on_the_default_device(name, elsewhere):
    make, inputs = CASES[name]
    model, targets = make(), torch.zeros(len(inputs))
    expected = diagonal(model, loss, (inputs, targets))
    with elsewhere:
        found = diagonal(model, loss, (inputs, targets))
    for tensor in expected:
        torch.testing.assert_close(found[tensor], expected[tensor])


@pytest.mark.parametrize("kind", ["empirical", "mc", "exact"])
@pytest.mark.parametrize("unit", ["sequence", "token"])
def test_likelihoods_make_no_tensor_on_the_default_device(kind, unit, elsewhere):
    labels = torch.randint(0, 3, TOKENS.shape, generator=torch.Generator().manual_seed(5))
    for likelihood, targets in ((Categorical(), labels), (Gaussian(), torch.zeros(8, 12, 3))):
        model = Attention()
        with elsewhere:
            found = diagonal(model, likelihood, (TOKENS, targets), kind=kind, unit=unit)
        assert all(found[name].device.type == "cpu" for name in found)


def test_ensembles_make_no_tensor_on_the_default_device(elsewhere):
    make, inputs = CASES["perceptron"]
    models = [make() for _ in range(3)]
    targets = torch.zeros(len(inputs))
    expected = [diagonal(model, loss, (inputs, targets)) for model in models]
    with elsewhere:
        found = diagonal_ensemble(models, loss, (inputs, targets))
    for one, other in zip(found, expected, strict=True):
        for name in other:
            torch.testing.assert_close(one[name], other[name])
