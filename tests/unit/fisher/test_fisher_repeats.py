"""Parameters repeated over the batch, as copies or by broadcasting, against the definition."""

import pytest
import torch
from fisher_definition import by_definition, wavy
from torch import Tensor, nn

from fimtiers.fisher import diagonal

DATA = torch.randn(5, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
SPLITS = [[1], [5], [2, 3], [3, 2], [2, 2, 1]]


class Meeting(nn.Module):
    """A function of (table, data), whose result may have samples and heads in one axis."""

    def __init__(self, function, shape) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(shape, dtype=torch.float64))
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.table, x).reshape(len(x), -1)


CASES = {
    "heads repeated for each sample": (
        lambda t, x: torch.bmm(x.flatten(0, 1)[:, None], t.repeat(len(x), 1, 1)), (2, 3, 4)
    ),
    "made of others, then repeated": (
        lambda t, x: torch.bmm(x.flatten(0, 1)[:, None], t.sin().repeat(len(x), 1, 1)), (2, 3, 4)
    ),
    "repeated along two axes": (lambda t, x: x.sin() * t.repeat(len(x), 2, 3)[:, :, :3], (1, 3)),
    "tiled": (lambda t, x: x.flatten(0, 1) * torch.tile(t, (len(x), 1)), (2, 3)),
    "tiled along few axes": (lambda t, x: x * torch.tile(t, (3,)), (2, 1)),
    "rows follow their copies": (
        lambda t, x: x.sin() + t.repeat_interleave(2, 0)[:2] + t.repeat_interleave(3, dim=1)[0, :3],
        (1, 3),
    ),
    "each row for two samples": (
        lambda t, x: x * t.repeat_interleave(len(x), 0).view(2, len(x), 3).transpose(0, 1), (2, 3)
    ),
    "product broadcast over samples": (lambda t, x: x[:, :, None] @ t, (1, 2, 3, 4)),
    "product from the left": (lambda t, x: t @ x[:, :, :, None], (1, 2, 4, 3)),
    "one matrix for samples and heads": (lambda t, x: torch.matmul(x[:, :, None], t), (1, 1, 3, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_repeated_parameters(name):
    model = Meeting(*CASES[name])
    for sizes in SPLITS:
        batches = [(batch, None) for batch in DATA[: sum(sizes)].split(sizes)]
        expected = by_definition(model, wavy, DATA[: sum(sizes)], None)["table"]
        result = diagonal(model, wavy, batches)
        error = torch.linalg.vector_norm(result["table"] - expected)
        assert error <= 1e-10 * torch.linalg.vector_norm(expected), (sizes, float(error))
        assert not result.routes["table"].startswith(("vmap", "loop")), result.routes
