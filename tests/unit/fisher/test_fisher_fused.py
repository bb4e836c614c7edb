"""The fused kernel against plain sums: on a GPU if there is one, else in Triton's interpreter.

Collected only where Triton is installed.
"""

import pytest
import torch
from fisher_definition import by_definition
from torch import nn

from fimtiers.fisher import diagonal, fused

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(autouse=True)
def _interpreted(monkeypatch):
    if DEVICE == "cpu":
        monkeypatch.setenv("TRITON_INTERPRET", "1")
        fused._kernels()


@pytest.mark.parametrize(
    ("samples", "tokens", "groups", "rows", "columns"),
    [(3, 7, 1, 5, 9), (2, 40, 2, 70, 65), (4, 1, 3, 16, 130), (1, 33, 1, 64, 64)],
)
def test_the_kernel_sums_squares_of_sums_over_tokens(samples, tokens, groups, rows, columns):
    left = torch.randn(samples, groups, tokens, rows, device=DEVICE).transpose(1, 2)
    right = torch.randn(samples, tokens, groups, columns, device=DEVICE)
    found = fused.token_squares(left, right, 0.5)
    products = torch.einsum("ntgl,ntgr->nglr", left.double() / 2, right.double())
    torch.testing.assert_close(found.double(), products.square().sum(0), rtol=1e-4, atol=1e-5)


def test_the_engine_agrees_with_the_definition_through_the_kernel_and_says_so(monkeypatch):
    monkeypatch.setenv(fused.REQUEST, "1")
    if DEVICE == "cpu":
        monkeypatch.setattr(fused, "suits", lambda left, right: left.dtype == torch.float32)
    model = nn.Sequential(nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 3))
    inputs = torch.randn(5, 12, 6)

    def loss(outputs, targets):
        return outputs.flatten(1).square().mean(1) + torch.sin(outputs.flatten(1)).mean(1)

    expected = by_definition(model, loss, inputs, None)
    found = diagonal(model.to(DEVICE), loss, (inputs.to(DEVICE), torch.zeros(5, device=DEVICE)))
    assert found.routes == {
        "0.weight": "linear (Triton)", "0.bias": "linear",
        "2.weight": "linear (Triton)", "2.bias": "linear",
    }  # fmt: skip
    for name, reference in expected.items():
        assert (found[name].cpu() - reference).norm() <= 1e-5 * reference.norm()


def test_the_kernel_is_not_used_unless_asked_for(monkeypatch):
    monkeypatch.delenv(fused.REQUEST, raising=False)
    values = torch.randn(2, 3, 1, 4, device=DEVICE)
    assert not fused.suits(values, values)


def test_the_kernel_is_not_used_on_the_processor_even_if_asked_for(monkeypatch):
    monkeypatch.setenv(fused.REQUEST, "1")
    values = torch.randn(2, 3, 1, 4)
    assert not fused.suits(values, values)
