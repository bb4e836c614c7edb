"""Samples that share something are noticed wherever it begins; what is merely random is not."""

import pytest
import torch
from fisher_definition import by_definition, wavy
from torch import nn

from fimtiers.fisher import Extractor, SampleCouplingError, diagonal, diagonal_ensemble

X = torch.randn(40, 4, generator=torch.Generator().manual_seed(1))


class Changed(nn.Module):
    """A layer whose outputs are changed by a function of all of them."""

    def __init__(self, change) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Linear(4, 5)
        self.outer = nn.Linear(5, 3)
        self.change = change

    def forward(self, x):
        return self.outer(self.change(torch.tanh(self.inner(x))))


def centred(h):
    return h - h.mean(0)


def with_capacity(h):
    """Rows beyond the third are dropped, as by an expert that is full."""
    return torch.cat([h[:3], torch.zeros_like(h[3:])])


def scaled_by_length(h):
    return h / len(h)


def last_takes_from_first(h):
    return torch.cat([h[:-1], h[-1:] + (len(h) > 2) * h[:1]])


@pytest.mark.parametrize(
    "change", [centred, with_capacity, scaled_by_length, last_takes_from_first]
)
@pytest.mark.parametrize("batches", [[40], [1, 39], [1, 1, 38], [2, 38], [3, 37]])
@pytest.mark.parametrize("twins", [False, True])
def test_coupled_samples_are_noticed(change, batches, twins):
    x = X.clone()
    if twins:
        x[1] = x[0]
    data = [(part, None) for part in x.split(batches)]
    with pytest.raises(SampleCouplingError, match="couples samples"):
        diagonal(Changed(change), wavy, data)


def test_samples_that_run_one_by_one_cannot_be_coupled():
    model = Changed(centred)
    found = diagonal(model, wavy, (X, None), micro_batch=1)
    for name, expected in by_definition(model, wavy, X, None).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-14)


def test_a_later_call_with_more_samples_is_checked_too():
    extract = Extractor(Changed(with_capacity), wavy)
    assert extract((X[:3], None)).n == 3
    with pytest.raises(SampleCouplingError):
        extract((X, None))


def test_a_loss_that_couples_a_chain_is_noticed():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))

    def hardest(outputs, _):
        losses = outputs.square().mean(1)
        threshold = losses[:3].min() if len(losses) > 3 else 0.0
        return losses.where(losses > threshold, torch.zeros_like(losses))

    x = X.clone()
    x[-1] = 0.0
    with pytest.raises(SampleCouplingError):
        diagonal(model, hardest, (x, None))


def test_an_ensemble_is_checked_on_its_full_batch():
    class Residual(Changed):
        def forward(self, x):
            return super().forward(x) + self.outer(torch.tanh(self.inner(x)))

    with pytest.raises(SampleCouplingError):
        diagonal_ensemble([Residual(with_capacity), Residual(with_capacity)], wavy, (X, None))


@pytest.mark.parametrize("shape", [(2,), (1,), (39,)])
def test_a_loss_with_another_number_of_samples_is_refused(shape):
    def reduced(outputs, _):
        losses = outputs.square().mean(1)
        return losses if len(losses) <= 2 else losses.sum().expand(shape)

    with pytest.raises(ValueError, match=r"shape \(\d+,\) for (40|38) samples"):
        diagonal(Changed(torch.tanh), reduced, (X, None))


class LayerDrop(nn.Module):
    """Layers that are skipped at random, in train mode only, as in encoders of speech."""

    def __init__(self, p: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
        self.p = p

    def forward(self, x):
        for layer in self.layers:
            dropped = torch.rand([]) < self.p
            if not (self.training and dropped):
                x = layer(x).tanh()
        return x


@pytest.mark.parametrize("p", [0.01, 0.5, 0.99])
def test_a_random_number_counts_only_where_it_decides_something(p):
    model = LayerDrop(p)
    with pytest.raises(SampleCouplingError, match="rand draws random numbers"):
        diagonal(model.train(), wavy, (X, None))
    state = torch.get_rng_state()
    found = diagonal(model.eval(), wavy, (X, None))
    assert not [route for route in found.routes.values() if route.startswith(("vmap", "loop"))]
    torch.set_rng_state(state)
    for name, expected in by_definition(model, wavy, X, None).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-14)


@pytest.mark.parametrize("sample", [0, 17, 39])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("chain", [False, True])
def test_losses_that_are_no_numbers_are_called_so(sample, value, chain):
    x = X.clone()
    x[sample, 0] = value
    model = nn.Linear(4, 3) if chain else nn.Conv1d(4, 3, 1)

    with pytest.raises(ValueError, match=r"the loss of a sample is (NaN|infinite)") as caught:
        diagonal(model, wavy, (x if chain else x.unsqueeze(2), None))
    assert "coupl" not in str(caught.value)


def test_a_gradient_that_is_no_number_is_called_so():
    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(4))

        def forward(self, x):
            return (x + self.bias).abs().sqrt()

    x = torch.ones(6, 4)
    for sample in (0, 3):
        x[sample] = 0.0
        with pytest.raises(ValueError, match="gradient of bias is NaN"):
            diagonal(Root(), lambda o, _: o.sum(1), (x, None))
        x[sample] = 1.0
