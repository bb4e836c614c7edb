"""Parameters used where operations cannot be seen, or where derivatives are taken inside."""

import pytest
import torch
from fisher_definition import by_definition, wavy
from torch import nn
from torch.utils.checkpoint import checkpoint

from fimtiers.fisher import Extractor, diagonal, diagonal_ensemble

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)).double()


class Times(torch.autograd.Function):
    """A product that torch functions do not show."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x * w

    @staticmethod
    def backward(ctx, gradient):
        x, w = ctx.saved_tensors
        return gradient * w, (gradient * x).sum(0)


class Hidden(nn.Module):
    """Meets `scale` out of sight, for inputs above a threshold only."""

    def __init__(self, threshold: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Linear(4, 5)
        self.scale = nn.Parameter(torch.randn(5))
        self.outer = nn.Linear(5, 2)
        self.threshold = threshold
        self.double()

    def forward(self, x):
        h = self.inner(x).tanh()
        return self.outer(Times.apply(h, self.scale) if x.abs().max() > self.threshold else h)


def assert_right(model, found, x):
    for name, expected in by_definition(model, wavy, x, None).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-9, atol=1e-25)


def test_a_custom_function_takes_just_its_own_parameter_to_the_fallback():
    model = Hidden()
    found = diagonal(model, wavy, (X, None))
    assert found.routes["scale"].startswith("loop")
    assert found.routes["inner.weight"] == found.routes["outer.weight"] == "linear"
    assert_right(model, found, X)


@pytest.mark.parametrize("check", [True, False])
def test_a_use_that_begins_in_a_later_batch_is_seen(check):
    model, x = Hidden(threshold=50.0), torch.cat([X, 100 * X])
    batches = [(x[:6], None), (x[6:], None)]
    found = diagonal(model, wavy, batches, check=check)
    assert found.n == 12
    total = {
        name: (first + second) / 2
        for (name, first), second in zip(
            by_definition(model, wavy, x[:6], None).items(),
            by_definition(model, wavy, x[6:], None).values(),
            strict=True,
        )
    }
    for name, expected in total.items():
        torch.testing.assert_close(found[name], expected, rtol=1e-9, atol=1e-25)


def test_a_use_that_begins_in_a_later_call_is_seen():
    model = Hidden(threshold=50.0)
    extract = Extractor(model, wavy)
    extract((X, None))
    assert_right(model, extract((100 * X, None)), 100 * X)


def test_an_ensemble_sees_a_late_use():
    models = [Hidden(threshold=50.0), Hidden(threshold=50.0)]
    batches = [(X, None), (100 * X, None)]
    for model, found in zip(models, diagonal_ensemble(models, wavy, batches), strict=True):
        expected = diagonal(model, wavy, batches)
        torch.testing.assert_close(found.flat(), expected.flat(), rtol=1e-9, atol=1e-25)


class Force(nn.Module):
    """Minus the derivative of an energy by its inputs, as in force fields."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.energy = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double()

    def forward(self, x):
        x = x.detach().requires_grad_()
        energy = self.energy(x)
        (slope,) = torch.autograd.grad(energy.sum(), x, create_graph=True)
        return torch.cat([-slope, energy], 1)


def test_derivatives_inside_the_model():
    found = diagonal(Force(), wavy, (X, None))
    assert {route.split(" (")[0] for route in found.routes.values()} <= {"vmap", "loop"}
    assert_right(Force(), found, X)


def test_derivatives_inside_the_loss():
    """A physics-informed network: u' = −u at given points."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)).double()

    class Points(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.u = model

        def forward(self, x):
            x = x.detach().requires_grad_()
            return x, self.u(x)

    def residual(outputs, _):
        x, u = outputs
        (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        return (slope + u).square().mean(1)

    x = torch.rand(7, 1, dtype=torch.float64)
    found = diagonal(Points(), residual, (x, None))
    total = {name: torch.zeros_like(p) for name, p in Points().named_parameters()}
    for n in range(7):
        points = Points()
        loss = residual(points(x[n : n + 1]), None).sum()
        for name, gradient in zip(
            total,
            torch.autograd.grad(loss, list(points.parameters()), materialize_grads=True),
            strict=True,
        ):
            total[name] += gradient.square() / 7
    for name, expected in total.items():
        torch.testing.assert_close(found[name], expected, rtol=1e-9, atol=1e-25)


def test_derivatives_by_the_parameters_inside_the_model():
    """One step of gradient descent on a task, as in meta-learning."""

    class Adapted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.weight = nn.Parameter(torch.randn(4, 3, dtype=torch.float64))

        def forward(self, x):
            outputs = []
            for row in x:
                inner = (row @ self.weight).square().sum()
                (step,) = torch.autograd.grad(inner, self.weight, create_graph=True)
                outputs.append(row @ (self.weight - 0.1 * step))
            return torch.stack(outputs)

    with pytest.warns(UserWarning, match="cannot be watched"):
        found = diagonal(Adapted(), wavy, (X, None))
    assert_right(Adapted(), found, X)


@pytest.mark.parametrize("transform", ["vmap", "jacrev"])
def test_torch_func_inside_the_model(transform):
    class Inside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer = nn.Linear(4, 3).double()
            self.outer = nn.Linear(3, 2).double()

        def one(self, x):
            return self.layer(x).tanh()

        def forward(self, x):
            if transform == "vmap":
                return self.outer(torch.func.vmap(self.one)(x))
            slopes = torch.func.vmap(torch.func.jacrev(self.one))(x).sum(2)
            return slopes[:, :2] + self.outer(x[:, :3])

    found = diagonal(Inside(), wavy, (X, None))
    assert found.routes["layer.weight"].startswith("vmap (used inside torch.func")
    assert found.routes["outer.weight"] == "linear"
    assert_right(Inside(), found, X)


@pytest.mark.parametrize("reentrant", [True, False])
def test_activation_checkpoints(reentrant):
    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first, self.second = nn.Linear(4, 6).double(), nn.Linear(6, 6).double()
            self.last = nn.Linear(6, 2).double()

        def forward(self, x):
            h = checkpoint(self.second, self.first(x).tanh(), use_reentrant=reentrant)
            return self.last(h.tanh())

    model = Checkpointed()
    model.first.weight.grad = kept = torch.ones_like(model.first.weight)
    found = diagonal(model, wavy, (X, None))
    assert_right(Checkpointed(), found, X)
    assert model.first.weight.grad is kept
    assert bool((kept == 1).all())
    assert model.last.weight.grad is None


def test_an_error_of_the_model_is_its_own():
    class Broken(nn.Linear):
        def forward(self, x):
            raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing"):
        diagonal(Broken(4, 2), wavy, (X, None))


def test_changes_in_place_of_what_a_layer_gave():
    torch.manual_seed(0)
    tokens = torch.randn(5, 7, 4, dtype=torch.float64)

    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.outer = nn.Linear(4, 6), nn.Linear(6, 2)
            self.token = nn.Parameter(torch.randn(6))
            self.double()

        def forward(self, x):
            h = self.layer(x)
            h[:, 2] = self.token
            h = self.outer(h.relu_())
            h[:, -1] *= 0.5
            return h

    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 2)).double()
    for tried in (model, Masked()):
        found = diagonal(tried, wavy, (tokens, None))
        assert_right(tried, found, tokens)
        assert {found.routes[name] for name in found if name.endswith("weight")} == {"linear"}


def test_complex_and_empty_parameters():
    class Rotated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.phase = nn.Parameter(torch.randn(4, dtype=torch.cdouble))
            self.layer = nn.Linear(4, 4).double()
            self.nothing = nn.Parameter(torch.empty(0, dtype=torch.float64))

        def forward(self, x):
            return (self.layer(x) * self.phase).abs() + self.nothing.sum()

    model, total = Rotated(), {}
    for n in range(len(X)):
        loss = wavy(model(X[n : n + 1]), None).sum()
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        for name, gradient in zip(dict(model.named_parameters()), gradients, strict=True):
            total[name] = total.get(name, 0) + gradient.abs().square() / len(X)
    found = diagonal(model, wavy, (X, None))
    assert found["nothing"].shape == (0,)
    for name, expected in total.items():
        torch.testing.assert_close(found[name], expected, rtol=1e-9, atol=1e-25)
