"""The model is left as it is, threads do not meet, and results read as mappings."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from fisher_definition import wavy
from torch import nn

from fimtiers.fisher import Extractor, diagonal

X = torch.randn(8, 4, generator=torch.Generator().manual_seed(1)).double()


class Counted(nn.Module):
    """Keeps a running mean and a count that its outputs do not depend on."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 3)
        self.register_buffer("mean", torch.full((3,), 0.25))
        self.register_buffer("calls", torch.tensor(5))
        self.double()

    def forward(self, x):
        h = self.layer(x) + 0
        self.mean.lerp_(h.detach().mean(0), 0.1)
        self.calls = self.calls + 1
        return h


@pytest.mark.parametrize("kind", ["once", "again"])
def test_buffers_are_as_they_were(kind):
    model = Counted()
    mean, calls = model.mean, model.calls
    extract = Extractor(model, wavy)
    for _ in range(1 if kind == "once" else 3):
        extract([(X[:3], None), (X[3:], None)])
        assert model.mean is mean
        assert model.mean.tolist() == [0.25] * 3
        assert model.calls is calls
        assert int(model.calls) == 5


def test_buffers_are_put_back_after_an_error():
    model = Counted()
    with pytest.raises(ValueError, match="NaN"):
        diagonal(model, lambda o, _: o.sum(1) * float("nan"), (X, None))
    assert model.mean.tolist() == [0.25] * 3


@pytest.mark.parametrize("shared", ["extractor", "model"])
def test_threads_that_share_a_model_get_what_one_gets(shared):
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.a, self.b = nn.Linear(4, 6).double(), nn.Linear(6, 3).double()

        def forward(self, x):
            return self.b(self.a(x).relu() + 0)

    model = Residual()
    extract = Extractor(model, wavy)
    expected = extract((X, None)).flat()

    def one(_):
        run = extract if shared == "extractor" else Extractor(model, wavy)
        return run((X, None)).flat()

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(one, range(24)):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_a_result_reads_as_a_mapping():
    model = Counted()
    first, second = (diagonal(model, wavy, (part, None)) for part in (X[:3], X[3:]))
    both = diagonal(model, wavy, (X, None))
    total = first + second
    assert total.n == 8
    torch.testing.assert_close(total.flat(), both.flat())
    assert list(both.keys()) == list(both) == ["layer.weight", "layer.bias"]
    assert len(both) == 2
    assert "layer.bias" in both
    assert "layer" not in both
    assert {name: tuple(f.shape) for name, f in dict(both).items()} == {
        "layer.weight": (3, 4),
        "layer.bias": (3,),
    }
    assert [name for name, _ in both.items()] == list(both)
    assert both.traces == pytest.approx({name: float(f.sum()) for name, f in both.items()})
    assert both.trace == pytest.approx(float(both.flat().sum()))
    assert torch.equal(both.to("cpu").flat(), both.flat())
    assert both.to("meta")["layer.bias"].is_meta
    with pytest.raises(KeyError, match=r"did you mean 'layer\.bias'"):
        both["layer.bais"]
    with pytest.raises(TypeError):
        both + 1


def test_squares_too_small_for_float32_are_read_as_they_are():
    torch.manual_seed(0)
    model, tiny = nn.Linear(4, 3), 1e-24

    def loss(outputs, _):
        return tiny * outputs.sum(1)

    found = diagonal(model, loss, (X.float(), None), accumulate=torch.float32)
    expected = diagonal(model.double(), loss, (X, None))
    assert found["weight"].dtype == torch.float64
    assert not found.zeros["weight"]
    torch.testing.assert_close(found["weight"], expected["weight"], rtol=1e-5, atol=0)
    assert found.trace == pytest.approx(expected.trace, rel=1e-5)


class Hidden(torch.autograd.Function):
    """The identity, out of sight of the engine."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.q, self.k, self.v = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x):
        k = nn.functional.linear(x, self.k.weight, Hidden.apply(self.k.bias))
        return nn.functional.scaled_dot_product_attention(self.q(x), k, self.v(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_key_bias_without_a_rule_is_flagged_too(dtype):
    x = torch.randn(8, 5, 6, generator=torch.Generator().manual_seed(1)).to(dtype)
    found = diagonal(Attention().to(dtype), wavy, (x, None))
    assert found.routes["k.bias"].startswith("loop")
    assert set(found.symmetric) == {"k.bias"}
    assert bool(found.symmetric["k.bias"].all())


def test_small_gradients_without_a_rule_are_not_flagged():
    class Saturated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.b = nn.Parameter(torch.tensor([0.1, 12.0, 14.0, -13.0]))

        def forward(self, x):
            return torch.tanh(x + Hidden.apply(self.b))

    found = diagonal(Saturated().double(), lambda o, _: o.sum(1), (X, None))
    assert float(found["b"].max() / found["b"].min()) > 1e15
    assert not found.symmetric


def test_entries_that_cancel_in_the_first_samples_only_are_not_flagged():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.b, self.o = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.ones(3))

        def forward(self, x):
            return (torch.tanh(x + self.b) * self.o).square().sum((1, 2))

    half = torch.randn(8, 2, 3, generator=torch.Generator().manual_seed(1))
    x = torch.cat([half, -half], 1)
    everywhere = diagonal(Odd(), lambda o, _: o, (x, None))
    assert bool(everywhere.symmetric["b"].all())
    for other in (3, 7):
        broken = x.clone()
        broken[other] = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))
        for batches in ([8], [3, 5], [2, 6]):
            data = [(part, None) for part in broken.split(batches)]
            assert not diagonal(Odd(), lambda o, _: o, data).symmetric


def test_entries_without_a_rule_that_matter_for_later_samples_only_are_not_flagged():
    """Samples of zeros make all keys equal, and the bias of the keys a flat direction."""
    x = torch.randn(8, 5, 6, generator=torch.Generator().manual_seed(1)).double()

    class Gated(Attention):
        def forward(self, x):
            gate = (x.abs().sum((1, 2)) > 0).to(x.dtype)[:, None, None]
            return super().forward(x) + gate * self.k(x).sum(2, keepdim=True)

    x[0] = x[-1] = 0.0
    found = diagonal(Gated().double(), wavy, (x, None))
    assert found.routes["k.bias"].startswith("loop")
    assert float(found["k.bias"].min()) > 1e-6
    assert "k.bias" not in found.symmetric
