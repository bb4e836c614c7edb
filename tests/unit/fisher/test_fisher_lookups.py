"""Tables looked up in any way torch has, against the definition: float64, to 1e-10."""

import numpy as np
import pytest
import torch
from fisher_definition import by_definition, wavy
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from fimtiers.fisher import Diagonal, diagonal

ROWS, WIDTH = 7, 3
TOKENS = torch.randint(0, ROWS, (7, 3), generator=torch.Generator().manual_seed(0))
TOKENS[0] = TOKENS[0, 0]  # one row thrice in a sample
SPLITS = [[1], [2], [7], [2, 2, 2, 1], [1, 2, 4], [5, 2]]


class Lookup(nn.Module):
    """A table, looked up by a function of (table, tokens), and a head on what it gives."""

    def __init__(self, function, shape=(ROWS, WIDTH), head=True) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(shape, dtype=torch.float64))
        self.function = function
        if head:
            self.head = nn.Linear(WIDTH, 2).double()

    def forward(self, tokens: Tensor) -> Tensor:
        found = self.function(self.table, tokens)
        return self.head(torch.tanh(found)) if hasattr(self, "head") else torch.tanh(found)


def assert_exact(model: nn.Module, inputs: Tensor, splits=SPLITS, fallback=()) -> Diagonal:
    """Check batches of several sizes against the definition."""
    for sizes in splits:
        batches = inputs[: sum(sizes)].split(sizes)
        expected = by_definition(model, wavy, inputs[: sum(sizes)], None)
        result = diagonal(model, wavy, [(batch, None) for batch in batches])
        for name, reference in expected.items():
            error = torch.linalg.vector_norm(result[name] - reference)
            assert error <= 1e-10 * torch.linalg.vector_norm(reference), (sizes, name, error)
        taken = {name for name, r in result.routes.items() if r.startswith(("vmap", "loop"))}
        assert taken == set(fallback), result.routes
    return result


def rows(tokens: Tensor) -> Tensor:
    return tokens.reshape(-1, 1)


LOOKUPS = {
    "table[ids]": lambda t, x: t[x],
    "negative indices": lambda t, x: t[x - ROWS],
    "an axis of length one": lambda t, x: t[x[:, None]][:, 0],
    "torch.embedding": lambda t, x: torch.embedding(t, x),
    "F.embedding": lambda t, x: F.embedding(x, t),
    "F.embedding with padding": lambda t, x: F.embedding(x, t, padding_idx=-2),
    "torch.embedding with padding": lambda t, x: torch.embedding(t, x, 3),
    "index_select": lambda t, x: t.index_select(0, x.flatten()).view(*x.shape, -1),
    "torch.index_select": lambda t, x: torch.index_select(input=t, dim=-2, index=x.flatten()).view(
        *x.shape, -1
    ),
    "columns by index_select": lambda t, x: (
        t.t().index_select(-1, x.flatten()).t().reshape(*x.shape, -1)
    ),
    "columns by brackets": lambda t, x: t.t()[:, x].permute(1, 2, 0),
    "columns behind dots": lambda t, x: t.t()[..., x - ROWS].permute(1, 2, 0),
    "gather of rows": lambda t, x: t.gather(0, rows(x).expand(-1, WIDTH)).view(*x.shape, -1),
    "gather of elements": lambda t, x: t.gather(0, (rows(x) + torch.arange(WIDTH)) % ROWS).view(
        *x.shape, -1
    ),
    "gather of columns": lambda t, x: (
        torch.gather(t.t(), 1, x.reshape(1, -1).expand(WIDTH, -1)).t().reshape(*x.shape, -1)
    ),
    "take_along_dim": lambda t, x: torch.take_along_dim(t, rows(x), 0).view(*x.shape, -1),
    "take_along_dim of elements": lambda t, x: torch.take_along_dim(
        t, (rows(x) * torch.arange(1, WIDTH + 1)) % ROWS, 0
    ).view(*x.shape, -1),
    "take_along_dim without axis": lambda t, x: torch.take_along_dim(
        t, (rows(x) * WIDTH + torch.arange(WIDTH)).flatten()
    ).view(*x.shape, -1),
    "take": lambda t, x: t.take(x[..., None] * WIDTH + torch.arange(WIDTH)),
    "torch.take from the end": lambda t, x: torch.take(
        t, x[..., None] * WIDTH + torch.arange(WIDTH) - ROWS * WIDTH
    ),
    "two indices": lambda t, x: t[None].expand(2, -1, -1)[x % 2, x],
    "index and list": lambda t, x: t[x[..., None], [2, 0, 1]],
    "index and slice": lambda t, x: t[x, 0:3],
    "index and part": lambda t, x: F.pad(t[x, 1:], (1, 0)),
    "index and new axis": lambda t, x: t[None, x][0],
    "numpy index": lambda t, x: t[x.numpy()],
    "list": lambda t, x: t[x.flatten().tolist()].view(*x.shape, -1),
    "time first": lambda t, x: t[x.t()].transpose(0, 1),
    "time first by F.embedding": lambda t, x: F.embedding(x.t(), t).transpose(0, 1),
    "tokens of all samples in a row": lambda t, x: t[x.flatten()].view(*x.shape, -1),
    "a scaled table": lambda t, x: (t * 0.5)[x],
    "a normalised table": lambda t, x: F.embedding(x, F.normalize(t, dim=1)),
    "two operations": lambda t, x: t[x] + t.index_select(0, x[:, 0])[:, None],
    "rows and columns": lambda t, x: t[x] + t.t()[:, x[:, :1]].permute(1, 2, 0) ** 2,
    "positions for all": lambda t, x: torch.sin(x)[..., None] * t[torch.arange(x.shape[1])],
    "one row of positions": lambda t, x: (
        torch.sin(x)[..., None] + t[torch.arange(x.shape[1])[None]]
    ),
}


@pytest.mark.parametrize("how", LOOKUPS)
def test_lookups_agree_with_the_definition(how):
    assert_exact(Lookup(LOOKUPS[how]), TOKENS)


@pytest.mark.parametrize("how", ["table[ids]", "gather of elements", "time first", "take"])
def test_axes_as_long_as_there_are_samples(how):
    tokens = TOKENS[:3]
    assert_exact(Lookup(LOOKUPS[how]), tokens, splits=[[3], [2, 1], [1, 1, 1]])


@pytest.mark.parametrize("length", [1, 2])
def test_time_first_with_few_steps(length):
    def forward(table, tokens):
        return F.embedding(tokens.t(), table).sum(0)[:, None]

    result = assert_exact(Lookup(forward), TOKENS[:, :length])
    assert result.routes["table"] == "embedding"


def test_table_of_three_axes_with_two_indices():
    model = Lookup(lambda t, x: t[x % 2, x % 4], shape=(2, 4, WIDTH))
    assert assert_exact(model, TOKENS).routes["table"] == "__getitem__"


def test_index_between_axes():
    model = Lookup(lambda t, x: t[:, x].permute(1, 2, 0, 3).flatten(2), shape=(1, ROWS, WIDTH))
    assert_exact(model, TOKENS)


def test_indices_with_a_slice_in_between():
    model = Lookup(lambda t, x: t[x % 2, :, x][..., 0, :], shape=(2, 2, ROWS, WIDTH))
    assert_exact(model, TOKENS)


def test_single_numbers_per_row():
    model = Lookup(lambda t, x: t[x], shape=(ROWS,), head=False)
    assert assert_exact(model, TOKENS).routes == {"table": "__getitem__"}


def test_lookup_is_all_there_is():
    assert_exact(Lookup(lambda t, x: t[x], head=False), TOKENS)


def test_tied_with_a_head():
    def forward(table, tokens):
        return F.linear(torch.tanh(table[tokens]), table)

    model = Lookup(forward, head=False)
    assert assert_exact(model, TOKENS).routes["table"] == "__getitem__, linear"


def test_rows_picked_by_a_mask_first():
    def forward(table, tokens):
        kept = tokens != ROWS - 1
        kept[:, 0] = True
        found = table[tokens[kept]]
        padded = found.new_zeros(*tokens.shape, WIDTH)
        return padded.masked_scatter(kept[..., None], torch.tanh(found))

    assert_exact(Lookup(forward), TOKENS)


def test_constant_index_with_a_mask_of_a_parameter():
    mask = torch.ones(ROWS, dtype=torch.bool)
    mask[2] = False

    def forward(table, tokens):
        return torch.sin(tokens)[..., None] * table[mask].sum(0)

    assert_exact(Lookup(forward), TOKENS)


def test_relative_positions_are_a_constant_index():
    index = torch.arange(3)[:, None] - torch.arange(3) + 2

    def forward(table, tokens):
        scores = torch.sin(tokens)[:, None, :, None] * torch.cos(tokens)[:, None, None, :]
        bias = table[index.view(-1)].view(3, 3, WIDTH).permute(2, 0, 1)
        return torch.softmax(scores + bias, -1).mean(2).transpose(1, 2)

    assert_exact(Lookup(forward), TOKENS)


def test_numpy_array_of_the_right_kind():
    index = np.arange(ROWS)[::-1].copy()
    assert_exact(Lookup(lambda t, x: t[index][x]), TOKENS)


def test_time_first_layers_behind_columns_picked_by_index():
    def forward(table, tokens):
        data = torch.sin(F.embedding(tokens.t(), table))  # (time, sample, channel)
        return data.index_select(2, torch.arange(WIDTH).flip(0)).mul(table[0]).transpose(0, 1)

    assert_exact(Lookup(forward), TOKENS)


def test_time_first_head_behind_columns_picked_by_index():
    class Flipped(Lookup):
        def forward(self, tokens: Tensor) -> Tensor:
            data = torch.sin(F.embedding(tokens.t(), self.table))
            picked = data.index_select(2, torch.arange(WIDTH).flip(0))
            return self.head(torch.tanh(self.head.weight.sum() * picked)).transpose(0, 1)

    assert_exact(Flipped(None), TOKENS)
