"""Where samples are: guesses are proved, and asked again when axes move."""

import pytest
import torch
from fisher_definition import by_definition, wavy
from torch import nn

from fimtiers.fisher import Extractor, diagonal, diagonal_ensemble


def seeded(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)).double()


class TimeFirst(nn.Module):
    """A layer, or a table, whose data have time in front and samples behind."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind = kind
        self.layer = nn.Embedding(9, 3) if kind == "embedding" else nn.Linear(4, 3)
        self.outer = nn.Linear(3, 2)
        self.double()

    def forward(self, x):
        x = x.transpose(0, 1)
        if self.kind == "flattened":
            h = self.layer(x.reshape(-1, 4)).view(*x.shape[:2], 3)
        else:
            h = self.layer(x)
        return self.outer(torch.tanh(h)).transpose(0, 1)


@pytest.mark.parametrize("kind", ["linear", "embedding", "flattened"])
@pytest.mark.parametrize("first", ["random", "zeros", "twins", "constant"])
@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("batches", [[7], [2, 5], [5, 2], [2, 2, 3], [3, 2, 2], [1, 2, 4]])
def test_an_axis_in_front_of_the_samples(kind, first, length, batches):
    if kind == "embedding":
        x = torch.arange(7 * length).view(7, length) * 4 % 9
    else:
        x = seeded(7, length, 4)
    if first == "zeros":
        x[:2] = 0
    elif first == "twins":
        x[1] = x[0]
    elif first == "constant":
        x[:2] = x[0, 0]
    model = TimeFirst(kind)
    expected = by_definition(model, wavy, x, None)
    for data, check in (([(part, None) for part in x.split(batches)], True),
                        ([(part, None) for part in x.split(batches)], False)):  # fmt: skip
        found = diagonal(model, wavy, data, check=check)
        for name, f in expected.items():
            torch.testing.assert_close(found[name], f, rtol=1e-9, atol=1e-24)


@pytest.mark.parametrize("samples", [2, 5])
def test_axes_that_move_under_an_extractor(samples):
    class Switched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer = nn.Linear(4, 4).double()
            self.settings = {"time_first": False}

        def forward(self, x):
            if self.settings["time_first"]:
                return torch.tanh(self.layer(x.transpose(0, 1))).permute(1, 0, 2)
            return torch.tanh(self.layer(x))

    model, x = Switched(), seeded(samples, samples, 4)
    extract = Extractor(model, wavy)
    for time_first in (False, True, False, True):
        model.settings["time_first"] = time_first
        found = extract((x, None))
        for name, f in by_definition(model, wavy, x, None).items():
            torch.testing.assert_close(found[name], f, rtol=1e-9, atol=1e-24)


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_stacked_networks_on_as_few_samples_as_the_check_takes(samples):
    models = [TimeFirst("linear") for _ in range(3)]
    with torch.no_grad():
        for k, model in enumerate(models):
            model.layer.weight *= 1 + k
    x = seeded(samples, 2, 4)
    for model, found in zip(models, diagonal_ensemble(models, wavy, (x, None)), strict=True):
        for name, f in by_definition(model, wavy, x, None).items():
            torch.testing.assert_close(found[name], f, rtol=1e-9, atol=1e-24)


def test_networks_that_differ_in_a_setting_are_not_stacked():
    """A slope is no parameter, but the networks are not of one architecture."""

    class Leaky(TimeFirst):
        def __init__(self, slope: float) -> None:
            super().__init__("linear")
            self.slope = slope

        def forward(self, x):
            return self.outer(nn.functional.leaky_relu(self.layer(x), self.slope))

    models, x = [Leaky(0.1), Leaky(0.9)], seeded(6, 3, 4)
    for model, found in zip(models, diagonal_ensemble(models, wavy, (x, None)), strict=True):
        for name, f in by_definition(model, wavy, x, None).items():
            torch.testing.assert_close(found[name], f, rtol=1e-9, atol=1e-24)


@pytest.mark.parametrize("kind", ["linear", "flattened"])
def test_one_token_that_outweighs_all_others_does_not_hide_where_samples_are(kind):
    """A wrong guess differs from the loop by less than its tolerance then, but in every entry."""
    for seed in range(5):
        x = torch.randn(4, 2, 4, generator=torch.Generator().manual_seed(seed)).double()
        model = TimeFirst(kind)

        def weighted(outputs, weights):
            return (weights * outputs.square().sum(2)).sum(1)

        weights = torch.ones(4, 2, dtype=torch.float64)
        weights[0, 0] = 1e8
        found = diagonal(model, weighted, (x, weights))
        for name, p in model.named_parameters():
            f = torch.zeros_like(p)
            for n in range(4):
                loss = weighted(model(x[n : n + 1]), weights[n : n + 1]).sum()
                f += torch.autograd.grad(loss, p)[0].square() / 4
            torch.testing.assert_close(found[name], f, rtol=1e-11, atol=0)
