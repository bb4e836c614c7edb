"""Tables that are looked up and are the weight of a head too, as in most language models."""

import pytest
import torch
from fisher_definition import assert_agrees, by_definition, wavy
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from fimtiers.fisher import diagonal, joint, kernel, tape
from fimtiers.fisher.forms import Outer, Scatter
from fimtiers.fisher.joint import Tied
from fimtiers.fisher.squares import Scaler
from fimtiers.fisher.sums import Part, Sums

HEADS = {
    "linear": lambda x, table: F.linear(x, table),
    "matmul": lambda x, table: x @ table.t(),
    "einsum": lambda x, table: torch.einsum("btd,vd->btv", x, table),
    "einsum, turned": lambda x, table: torch.einsum("btd,dv->btv", x, table.T),
}


class Model(nn.Module):
    """A language model of one layer with one table; `heads` is how often it is a head."""

    def __init__(self, words=30, width=6, padding=None, head="linear", heads=1, tables=1) -> None:
        super().__init__()
        self.table = nn.Embedding(words, width, padding_idx=padding)
        self.layer = nn.Linear(width, width)
        self.head, self.heads, self.tables = HEADS[head], heads, tables

    def forward(self, tokens: Tensor) -> Tensor:
        x = sum(self.table(tokens.roll(shift, 1)) for shift in range(self.tables))
        outputs = 0
        for _ in range(self.heads):
            x = torch.tanh(self.layer(x))
            outputs = outputs + self.head(x, self.table.weight)
        return outputs


def tokens(samples: int, length: int, words: int) -> Tensor:
    return torch.randint(0, words, (samples, length), generator=torch.Generator().manual_seed(5))


@pytest.fixture
def together(monkeypatch) -> list[type]:
    """The forms in which parameters with several uses were squared; none is held in full."""
    found = []

    def note(uses):
        merged = joint.merged(uses)
        assert merged is not None
        found.append(type(merged[1]))
        return merged

    monkeypatch.setattr(tape, "merged", note)
    return found


def check(model, inputs, **options) -> None:
    result = assert_agrees(model, inputs, **options)
    assert not [r for r in result.routes.values() if r.startswith(("vmap", "loop"))], result.routes


@pytest.mark.parametrize("padding", [None, 3])
@pytest.mark.parametrize("head", HEADS)
def test_every_way_to_write_a_head(together, head, padding):
    check(Model(padding=padding, head=head), tokens(4, 9, 30))
    assert set(together) == {Tied}


@pytest.mark.parametrize(
    ("samples", "length", "words"), [(1, 7, 30), (5, 1, 8), (6, 40, 5), (3, 4, 900)]
)
def test_few_and_many_samples_tokens_and_words(together, samples, length, words):
    check(Model(words), tokens(samples, length, words))
    assert set(together) == {Tied}


def test_all_tokens_equal_and_all_but_one_padding(together):
    check(Model(), torch.full((4, 6), 7))
    rare = torch.full((4, 6), 3)
    rare[1, 2] = 8
    check(Model(padding=3), rare)
    assert set(together) == {Tied}


@pytest.mark.parametrize(("tables", "heads"), [(2, 1), (1, 2), (3, 2)])
def test_several_tables_and_several_heads(together, tables, heads):
    check(Model(tables=tables, heads=heads), tokens(4, 9, 30))
    assert Tied in together


class Twice(nn.Module):
    """Two look-ups in one table, and no head."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(30, 6)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.table(tokens) * torch.tanh(self.table(tokens.roll(1, 1)))


def test_two_tables_without_a_head(together):
    check(Twice(), tokens(4, 9, 30))
    assert set(together) == {Scatter}


@pytest.mark.parametrize("micro_batch", [1, 2, 3])
def test_micro_batches_do_not_matter(micro_batch):
    check(Model(), tokens(7, 9, 30), micro_batch=micro_batch)


def test_every_token_a_sample(together):
    model, inputs = Model().double(), tokens(3, 5, 30)

    def losses(outputs, targets):
        return torch.stack([wavy(token, None) for token in outputs.unbind(1)], 1)

    found = diagonal(model, losses, (inputs, None), unit="token")
    expected = [
        by_definition(model, lambda o, _, n=n: wavy(o[:, n], None), inputs, None) for n in range(5)
    ]
    for name in expected[0]:
        exact = sum(part[name] for part in expected) / 5
        torch.testing.assert_close(found[name], exact, rtol=1e-10, atol=1e-14)
    assert set(together) == {Tied}


def test_a_constant_gradient_of_the_outputs_that_torch_does_not_spell_out(together):
    def total(outputs, targets):
        return outputs.flatten(1).sum(1)

    check(Model(), tokens(4, 9, 30), loss=total)
    assert set(together) == {Tied}


@pytest.mark.parametrize("block", [1, 300 * 4 * 4 * 40, 1 << 20])
def test_compiled_kernel_and_rows_in_blocks(monkeypatch, together, block):
    monkeypatch.setattr(kernel, "BLOCK_BYTES", block)
    check(Model(words=1000, width=32), tokens(4, 40, 1000), tolerance=1e-5)
    assert set(together) == {Tied}


def test_gradients_of_looked_up_rows_in_chunks_of_samples(monkeypatch, together):
    monkeypatch.setattr(joint, "LOOKED_UP_BYTES", 1)
    check(Model(padding=3), tokens(5, 9, 30))
    assert set(together) == {Tied}


@pytest.mark.parametrize("padding", [None, 3])
def test_sums_in_float32(padding):
    check(Model(padding=padding), tokens(7, 9, 30))
    model, inputs = Model(padding=padding), tokens(7, 9, 30)
    found = diagonal(model, wavy, (inputs, None), accumulate=torch.float32, micro_batch=3)
    exact = by_definition(model, wavy, inputs, None)
    for name, reference in exact.items():
        error = torch.linalg.vector_norm(found[name].double() - reference)
        assert error <= 1e-5 * torch.linalg.vector_norm(reference)


def form(size_of_head=1.0, size_of_table=1.0, dtype=torch.float32, turned=False) -> Tied:
    """A gradient with padding, repeated tokens, and enough products for the compiled kernel."""
    generator = torch.Generator().manual_seed(0)
    words, width, samples, length = 700, 40, 3, 20
    left = torch.randn(samples, length, 1, words, generator=generator, dtype=torch.float64)
    right = torch.randn(samples, length, 1, width, generator=generator, dtype=torch.float64)
    rows = torch.randn(samples, length, width, generator=generator, dtype=torch.float64)
    index = torch.randint(-1, 15, (samples, length), generator=generator)
    left, right, rows = (left * size_of_head).to(dtype), right.to(dtype), (rows * size_of_table)
    head = Outer(left, right, (words, width), (0, 1))
    if turned:
        head = Outer(right, left, (width, words), (1, 0))
    return Tied(head, Scatter(rows.to(dtype), index, words))


def squares(tied: Tied, dtype: torch.dtype = torch.float64) -> Tensor:
    sums = Sums({"table": torch.Size([700, 40])}, dtype)
    tied.add_squares(Part(sums, "table", sums.totals["table"]), Scaler())
    return sums.unscaled("table")


def exact(tied: Tied) -> Tensor:
    head, table = tied.head, tied.table
    head = Outer(head.left.double(), head.right.double(), head.sizes, head.order)
    wide = Tied(head, Scatter(table.rows.double(), table.index, table.length))
    return wide.gradients(0, wide.samples).square().sum(0)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_form_of_each_dtype_leaves_what_it_was_made_of(dtype, turned):
    tied = form(dtype=dtype, turned=turned)
    before = [x.clone() for x in (tied.head.left, tied.head.right, tied.table.rows)]
    rtol = 1e-12 if dtype == torch.float64 else 1e-3
    torch.testing.assert_close(squares(tied), exact(tied), rtol=rtol, atol=rtol * 1e-2)
    for now, then in zip((tied.head.left, tied.head.right, tied.table.rows), before, strict=True):
        assert torch.equal(now, then)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("sizes", [(1e-25, 1e-25), (1e25, 1e25), (1e-12, 1.0), (1.0, 1e-12)])
def test_small_and_large_gradients_side_by_side(sizes, dtype):
    tied = form(*sizes)
    found, expected = squares(tied, dtype), exact(tied)
    scale = expected[20:].max()  # of the head alone, where nothing was looked up
    torch.testing.assert_close(found[20:] / scale, expected[20:] / scale, rtol=1e-4, atol=1e-6)
    scale = expected[:15].max()
    torch.testing.assert_close(found[:15] / scale, expected[:15] / scale, rtol=1e-4, atol=1e-6)


def test_gradients_that_cancel_leave_their_small_difference():
    tied = form()
    distinct = torch.arange(20).expand(3, -1) + torch.tensor([[0], [5], [100]])
    heads = tied.head.gradients(0, 3)
    rows = heads[torch.arange(3).unsqueeze(1), distinct]
    noise = 1e-3 * torch.randn(rows.shape, generator=torch.Generator().manual_seed(1))
    tied = Tied(tied.head, Scatter(rows * (noise - 1), distinct, 700))
    found, expected = squares(tied), exact(tied)
    assert bool((found >= 0).all())
    alone = expected[100:120]  # rows that one sample looked up: the two others have heads there
    torch.testing.assert_close(found[100:120], alone, rtol=1e-4, atol=0)
    # A sample by itself: only the small difference is left.
    one = Tied(
        Outer(tied.head.left[2:], tied.head.right[2:], (700, 40), (0, 1)),
        Scatter(tied.table.rows[2:], tied.table.index[2:], 700),
    )
    found, expected = squares(one)[100:120], exact(one)[100:120]
    heads = heads[2, 100:120].double().square()
    assert bool((expected < 1e-4 * heads).all()), "the case must be one of cancellation"
    assert float((found - expected).abs().sum() / expected.sum()) < 1e-3


def test_padding_alone_and_zero_heads():
    tied = form()
    padding = Scatter(tied.table.rows, torch.full_like(tied.table.index, -1), 700)
    torch.testing.assert_close(
        squares(Tied(tied.head, padding)), exact(Tied(tied.head, padding)), rtol=1e-3, atol=1e-4
    )
    zero = Outer(torch.zeros_like(tied.head.left), tied.head.right, (700, 40), (0, 1))
    small = Scatter(tied.table.rows * 1e-25, tied.table.index, 700)
    found, expected = squares(Tied(zero, small), torch.float32), exact(Tied(zero, small))
    torch.testing.assert_close(found / 1e-50, expected / 1e-50, rtol=1e-4, atol=0)
