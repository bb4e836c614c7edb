"""Squares by the compiled kernel: every remainder of rows, columns, tokens and samples."""

import pytest
import torch

from fimtiers.fisher import kernel
from fimtiers.fisher.windows import Window, unfold


def assert_squares(found, left, columns, rtol=1e-5):
    """Compare with the definition in float64; `columns` has shape (sample, token, R, tap)."""
    gradients = torch.einsum("ntl,ntrk->nlrk", left.double(), columns.double())
    expected = gradients.square().sum(0)
    torch.testing.assert_close(found.double(), expected, rtol=rtol, atol=rtol * left.shape[1])


@pytest.mark.parametrize("length", [1, 5, 6, 13])
@pytest.mark.parametrize("width", [1, 15, 16, 17, 64, 65, 79, 127, 130])
def test_tiles_at_the_edges_of_the_result(length, width):
    generator = torch.Generator().manual_seed(1000 * length + width)
    left = torch.randn(3, 5, length, generator=generator)
    right = torch.randn(3, 5, width, generator=generator)
    found = kernel.token_squares(left, right, 1.0)
    assert_squares(found, left, right.unsqueeze(3))


@pytest.mark.parametrize(
    ("samples", "tokens"), [(1, 1), (1, 2), (40, 3), (5, 64), (2, 65), (3, 200)]
)
def test_tokens_and_samples_in_and_beyond_one_group(samples, tokens):
    generator = torch.Generator().manual_seed(tokens)
    left = torch.randn(samples, tokens, 9, generator=generator)
    right = torch.randn(samples, tokens, 33, generator=generator)
    assert_squares(kernel.token_squares(left, right, 1.0), left, right.unsqueeze(3))


def test_a_result_with_more_rows_than_a_panel():
    generator = torch.Generator().manual_seed(0)
    left, right = (
        torch.randn(2, 3, 1540, generator=generator),
        torch.randn(2, 3, 20, generator=generator),
    )
    assert_squares(kernel.token_squares(left, right, 1.0), left, right.unsqueeze(3))


def test_samples_copied_in_parts(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    left, right = (
        torch.randn(7, 4, 8, generator=generator),
        torch.randn(7, 4, 20, generator=generator),
    )
    monkeypatch.setattr(kernel, "COPY_BYTES", 3 * right[0].numel() * right.element_size())
    assert_squares(kernel.token_squares(left, right, 1.0), left, right.unsqueeze(3))


def test_strides_do_not_matter():
    generator = torch.Generator().manual_seed(0)
    left, right = (
        torch.randn(4, 6, 10, generator=generator),
        torch.randn(4, 6, 50, generator=generator),
    )
    straight = kernel.token_squares(left, right, 1.0)
    across = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in (left, right)]
    repeated = [x.repeat_interleave(2, 2)[..., ::2] for x in (left, right)]
    assert torch.equal(kernel.token_squares(*across, 1.0), straight)
    assert torch.equal(kernel.token_squares(*repeated, 1.0), straight)


def test_powers_of_two_scale_exactly():
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(2, 8, 12, generator=generator)
    right = torch.randn(2, 8, 40, generator=generator)
    straight = kernel.token_squares(left, right, 1.0)
    assert torch.equal(kernel.token_squares(left * 2.0**-60, right, 2.0**60), straight)


@pytest.mark.parametrize(
    ("before", "after"), [((0, 0), (0, 0)), ((1, 2), (2, 0)), ((1, 1), (-1, -2))]
)
def test_rows_of_a_window_are_what_unfolding_shows(before, after):
    window = Window((3, 2), (2, 1), (1, 2), before, after)
    generator = torch.Generator().manual_seed(0)
    source = torch.randn(2, 1, 5, 9, 8, generator=generator)
    rows = window.rows((9, 8))
    with_zero = torch.nn.functional.pad(source.flatten(3), (1, 0))
    assert torch.equal(with_zero[..., rows], unfold(source, window))
    left = torch.randn(2, rows.shape[1], 7, generator=generator)
    found = kernel.token_squares(left, source.flatten(3)[:, 0].transpose(1, 2), 1.0, rows)
    assert_squares(found, left, unfold(source, window)[:, 0].permute(0, 3, 1, 2))
