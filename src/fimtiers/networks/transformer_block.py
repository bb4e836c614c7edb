"""The pre-norm transformer block, initialised in the order in which torch's own modules draw."""

from math import inf

import torch
from torch import Tensor, nn

ROLES: dict[str, str] = {
    "attention_norm.weight": "norm_scale",
    "attention_norm.bias": "norm_shift",
    "attention.out.weight": "attention_out_weight",
    "attention.out.bias": "attention_out_bias",
    "attention.query.weight": "query_weight",
    "attention.query.bias": "query_bias",
    "attention.key.weight": "key_weight",
    "attention.key.bias": "key_bias",
    "attention.value.weight": "value_weight",
    "attention.value.bias": "value_bias",
    "mlp_norm.weight": "norm_scale",
    "mlp_norm.bias": "norm_shift",
    "mlp_in.weight": "mlp_in_weight",
    "mlp_in.bias": "mlp_in_bias",
    "mlp_out.weight": "mlp_out_weight",
    "mlp_out.bias": "mlp_out_bias",
}
"""Role of each parameter of a block, by its name within the block."""

MLP_EXPANSION = 4


class PreNormBlock(nn.Module):
    """x ← x + attention(norm(x)), then x ← x + mlp(norm(x)), mlp = linear, exact GELU, linear.

    Parameters
    ----------
    width
        Numbers per position.
    heads
        Number of attention heads, a divisor of `width`.
    causal
        Let a position see only itself and earlier ones.
    """

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads, causal=causal)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp_in = nn.Linear(width, MLP_EXPANSION * width)
        self.activation = nn.GELU()
        self.mlp_out = nn.Linear(MLP_EXPANSION * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., position, width) to the same shape."""
        x = x + self.attention(self.attention_norm(x))
        hidden = self.activation(self.mlp_in(self.mlp_norm(x)))
        return x + self.mlp_out(hidden)


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself, softmax(q kᵀ / √width_per_head) v per head.

    Equals ``torch.nn.MultiheadAttention`` in its values, its initial parameters and its use of
    the random stream; query, key and value are separate parameters here, so that each has a name.

    A softmax does not change if all its arguments move together, so the bias of the keys has no
    effect: its true gradient is zero, and what floating point makes of it is rounding error.

    Parameters
    ----------
    width, heads, causal
        As in `PreNormBlock`.
    """

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width is {width}; expected a multiple of heads ({heads})")
        self.heads = heads
        self.causal = causal
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.bias)
        # Torch keeps the three weights in one matrix, whose size sets the range of the draws.
        stacked = nn.init.xavier_uniform_(torch.empty(3 * width, width))
        self.query, self.key, self.value = map(_linear, stacked.chunk(3))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., position, width) to the same shape."""
        query, key, value = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
            for projection in (self.query, self.key, self.value)
        )
        scores = query @ key.mT / query.shape[-1] ** 0.5
        if self.causal:
            later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
            scores = scores.masked_fill(later, -inf)
        mixed = scores.softmax(-1) @ value
        return self.out(mixed.transpose(-3, -2).flatten(-2))


def _linear(weight: Tensor) -> nn.Linear:
    """Return a linear layer with this weight and no bias yet."""
    with torch.random.fork_rng(devices=[]):  # The layer's own draws must not move the stream.
        layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.data.copy_(weight)
    nn.init.zeros_(layer.bias)
    return layer
