"""Attention with all that torch lets one add to it, against the definition: float64, to 1e-10."""

import pytest
import torch
from fisher_definition import by_definition, wavy
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from fimtiers.fisher import Diagonal, diagonal

WIDTH, HEADS, LENGTH = 4, 2, 3
SEQUENCES = torch.randn(
    5, LENGTH, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64
)
SPLITS = [[1], [5], [2, 3], [3, 1]]


def assert_exact(model: nn.Module, inputs: Tensor) -> Diagonal:
    """Check batches of several sizes against the definition, and that no fallback was needed."""
    model = model.double()
    for sizes in SPLITS:
        batches = inputs[: sum(sizes)].split(sizes)
        expected = by_definition(model, wavy, inputs[: sum(sizes)], None)
        result = diagonal(model, wavy, [(batch, None) for batch in batches])
        for name, reference in expected.items():
            noise = result.symmetric.get(name, torch.zeros_like(reference, dtype=torch.bool))
            left = (result[name] - reference).masked_fill(noise, 0)
            exact = reference.masked_fill(noise, 0)
            error, size = torch.linalg.vector_norm(left), torch.linalg.vector_norm(exact)
            assert error <= 1e-10 * size, (sizes, name, error)
        fallback = [r for r in result.routes.values() if r.startswith(("vmap", "loop"))]
        assert not fallback, result.routes
    return result


class MultiHead(nn.Module):
    """Self-attention, with options of the module and of the call."""

    def __init__(self, call=None, **options) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, **options)
        self.call = call or {}
        if self.attention.in_proj_bias is not None:
            nn.init.normal_(self.attention.in_proj_bias)

    def forward(self, x: Tensor) -> Tensor:
        if not self.attention.batch_first:
            x = x.transpose(0, 1)
        output, _ = self.attention(x, x, x, **self.call)
        return output if self.attention.batch_first else output.transpose(0, 1)


class Call(nn.Module):
    """A function of (self, input) with some parts."""

    def __init__(self, function, **parts) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


MASK = torch.zeros(LENGTH, LENGTH, dtype=torch.float64)
MASK[0, 1:] = float("-inf")


@pytest.mark.parametrize("options", [{"add_bias_kv": True}, {"add_zero_attn": True}])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("mask", [None, MASK])
def test_added_keys(options, batch_first, need_weights, mask):
    call = {"need_weights": need_weights, "attn_mask": mask}
    assert_exact(MultiHead(call, batch_first=batch_first, **options), SEQUENCES)


@pytest.mark.parametrize("need_weights", [True, False])
def test_padded_keys_beside_added_ones(need_weights):
    def forward(self, x):
        padding = x[..., 0] > 1
        return self.attention(x, x, x, padding, need_weights)[0]

    attention = nn.MultiheadAttention(
        WIDTH, HEADS, add_bias_kv=True, add_zero_attn=True, batch_first=True
    )
    assert_exact(Call(forward, attention=attention), SEQUENCES)


def test_keys_and_values_of_other_widths_beside_added_ones():
    def forward(self, x):
        keys, values = F.pad(x, (0, 2)).sin(), F.pad(x.square(), (0, 1))
        return self.attention(x, keys, values)[0]

    attention = nn.MultiheadAttention(
        WIDTH, HEADS, kdim=6, vdim=5, add_bias_kv=True, batch_first=True
    )
    assert_exact(Call(forward, attention=attention), SEQUENCES)


@pytest.mark.parametrize("add_zero_attn", [True, False])
def test_static_keys_and_values(add_zero_attn):
    def forward(self, x):
        x = x.transpose(0, 1)
        static = x.reshape(LENGTH, -1, WIDTH // HEADS).transpose(0, 1)
        own = self.attention
        output, _ = F.multi_head_attention_forward(
            x, x, x, WIDTH, HEADS, own.in_proj_weight, own.in_proj_bias, None, None,
            add_zero_attn, 0.0, own.out_proj.weight, own.out_proj.bias, need_weights=False,
            static_k=static.sin(), static_v=static,
        )  # fmt: skip
        return output.transpose(0, 1)

    assert_exact(Call(forward, attention=nn.MultiheadAttention(WIDTH, HEADS)), SEQUENCES)


def test_a_single_sequence_without_axis_of_samples():
    def forward(self, x):
        return torch.stack([self.attention(y, y, y)[0] for y in x.unbind(0)])

    model = Call(forward, attention=nn.MultiheadAttention(WIDTH, HEADS, add_bias_kv=True)).double()
    expected = by_definition(model, wavy, SEQUENCES[:1], None)
    result = diagonal(model, wavy, (SEQUENCES[:1], None))
    for name, reference in expected.items():
        noise = result.symmetric.get(name, torch.zeros_like(reference, dtype=torch.bool))
        assert torch.allclose(
            result[name].masked_fill(noise, 0), reference.masked_fill(noise, 0), rtol=1e-10
        )
    assert not [r for r in result.routes.values() if r.startswith(("vmap", "loop"))]


def heads(x: Tensor) -> Tensor:
    return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)


@pytest.mark.parametrize(
    "shape", [(LENGTH, LENGTH), (HEADS, LENGTH, LENGTH), (1, HEADS, LENGTH, LENGTH), (1, 1, LENGTH)]
)
def test_learned_bias_of_scores(shape):
    def forward(self, x):
        q, k, v = (heads(y) for y in self.projection(x).chunk(3, -1))
        return F.scaled_dot_product_attention(q, k, v, self.bias).transpose(1, 2)

    model = Call(
        forward, projection=nn.Linear(WIDTH, 3 * WIDTH), bias=nn.Parameter(torch.randn(shape))
    )
    routes = assert_exact(model, SEQUENCES).routes
    assert routes["bias"] == "scaled_dot_product_attention"


def test_learned_bias_of_scores_on_raw_data():
    def forward(self, x):
        return F.scaled_dot_product_attention(
            heads(x), heads(x.sin()), heads(x.cos()), attn_mask=self.bias, scale=0.3
        )

    assert_exact(Call(forward, bias=nn.Parameter(torch.randn(LENGTH, LENGTH))), SEQUENCES)


def test_bias_of_scores_made_of_a_table_of_relative_positions():
    index = torch.arange(LENGTH)[:, None] - torch.arange(LENGTH) + LENGTH - 1

    def forward(self, x):
        q, k, v = (heads(y) for y in self.projection(x).chunk(3, -1))
        bias = self.table[index].permute(2, 0, 1)
        return F.scaled_dot_product_attention(q, k, v, bias).transpose(1, 2)

    model = Call(
        forward,
        projection=nn.Linear(WIDTH, 3 * WIDTH),
        table=nn.Parameter(torch.randn(2 * LENGTH - 1, HEADS)),
    )
    assert_exact(model, SEQUENCES)


def test_learned_queries_and_keys():
    def forward(self, x):
        return F.scaled_dot_product_attention(
            self.query, torch.cat([heads(x), self.key.expand(len(x), -1, -1, -1)], 2),
            torch.cat([heads(x.cos()), heads(x)[:, :, :1]], 2),
        )  # fmt: skip

    width = WIDTH // HEADS
    model = Call(
        forward,
        query=nn.Parameter(torch.randn(HEADS, 2, width)),
        key=nn.Parameter(torch.randn(1, HEADS, 1, width)),
    )
    assert_exact(model, SEQUENCES)


def test_learned_bias_with_grouped_queries():
    def forward(self, x):
        q, k, v = heads(x), heads(x.sin())[:, :1], heads(x.cos())[:, :1]
        return F.scaled_dot_product_attention(q, k, v, self.bias, enable_gqa=True)

    assert_exact(Call(forward, bias=nn.Parameter(torch.randn(HEADS, 1, LENGTH))), SEQUENCES)


def test_learned_mask_of_multi_head_attention():
    def forward(self, x):
        return self.attention(x, x, x, attn_mask=self.mask, need_weights=False)[0]

    model = Call(
        forward,
        attention=nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, add_zero_attn=True),
        mask=nn.Parameter(torch.randn(LENGTH, LENGTH)),
    )
    assert_exact(model, SEQUENCES)
