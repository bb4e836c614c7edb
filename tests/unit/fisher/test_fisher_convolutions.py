"""Convolutions large enough for every way of squaring their weight gradients."""

import pytest
import torch
from fisher_definition import assert_agrees
from torch import nn

from fimtiers.fisher.forms import Windowed
from fimtiers.fisher.squares import Scaler
from fimtiers.fisher.sums import Part, Sums
from fimtiers.fisher.windows import Window

CONVOLUTION = 1e-4


def squares_of(form, turned=False):
    """The sum of squares, added to sums that are contiguous or turned."""
    shape = form.gradients(0, 1)[0].shape
    sums = Sums({"weight": shape[::-1] if turned else shape})
    view = sums.totals["weight"]
    view = view.permute(*reversed(range(view.ndim))) if turned else view
    form.add_squares(Part(sums, "weight", view), Scaler())
    return view


@pytest.mark.parametrize("positions", [32, 16, 11, 8, 7, 4, 1])
@pytest.mark.parametrize("kernel", [1, 3])
def test_squares_are_those_of_the_per_sample_gradients(positions, kernel):
    generator = torch.Generator().manual_seed(positions)
    window = Window((kernel, kernel), (2, 1), (1, 2), (1, 0), (0, 1))
    length = [(positions - 1) * s + (kernel - 1) * d for s, d in ((2, 1), (1, 2))]
    fixed = torch.randn(6, 1, 41, positions, positions, generator=generator)
    source = torch.randn(6, 1, 53, *length, generator=generator)
    for samples, turned in ((6, False), (3, False), (6, True)):
        squares = squares_of(Windowed(fixed, source, window, samples), turned)
        exact = Windowed(fixed.double(), source.double(), window, samples)
        expected = exact.gradients(0, samples).square().sum(0)
        torch.testing.assert_close(squares, expected, rtol=1e-4, atol=1e-4 * positions**2)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    "layer", [nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d]
)
def test_many_positions(layer, groups):
    axes = int(layer.__name__[-2])
    options = {"output_padding": 1} if "Transpose" in layer.__name__ else {}
    torch.manual_seed(1)
    model = nn.Sequential(
        layer(16, 32, 3, stride=2, padding=1, groups=groups, **options), nn.Flatten()
    )
    size = {1: (1600,), 2: (48, 40), 3: (16, 12, 14)}[axes]
    assert_agrees(model, torch.randn(3, 16, *size), tolerance=CONVOLUTION)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_even_kernels_pad_one_end_more(padding):
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv2d(16, 24, 4, padding=padding), nn.Flatten())
    assert_agrees(model, torch.randn(3, 16, 24, 20), tolerance=CONVOLUTION)


def test_gradients_of_many_positions_far_below_the_range_of_their_squares():
    generator = torch.Generator().manual_seed(3)
    window = Window((3, 3), (1, 1), (1, 1), (1, 1), (1, 1))
    fixed = torch.randn(4, 1, 32, 16, 16, generator=generator)
    source = torch.randn(4, 1, 32, 16, 16, generator=generator)
    squares = squares_of(Windowed(fixed, source, window, 4))
    tiny = squares_of(Windowed(fixed * 2.0**-100, source, window, 4))
    assert torch.equal(squares, tiny * 4.0**100)
