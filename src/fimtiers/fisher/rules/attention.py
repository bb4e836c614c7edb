"""Multi-head attention, written out in terms of operations that have rules."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the usual name


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> Any:
    """Compute what `torch.nn.functional.multi_head_attention_forward` does.

    Layout is (token, sample, channel). Extra key and value vectors, zero attention, static keys
    and unbatched inputs are not covered.
    """
    uncovered = (bias_k, bias_v, static_k, static_v)
    if query.ndim != 3 or add_zero_attn or any(x is not None for x in uncovered):
        return NotImplemented
    if need_weights or (training and dropout_p > 0):
        is_causal = False
    targets, samples, channels = query.shape
    sources, width = key.shape[0], channels // num_heads
    q, k, v = (
        x.reshape(x.shape[0], samples, num_heads, width).permute(1, 2, 0, 3)
        for x in _projected(
            (query, key, value), in_proj_weight, in_proj_bias,
            (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None,
        )
    )  # fmt: skip
    mask = _additive_mask(attn_mask, key_padding_mask, samples, num_heads, sources, q.dtype)
    if need_weights:
        scores = q @ k.transpose(-2, -1) * width**-0.5
        weights = F.dropout((scores if mask is None else scores + mask).softmax(-1),
                            dropout_p, training)  # fmt: skip
        mixed = weights @ v
    else:
        p = dropout_p if training else 0.0
        causal = is_causal and key_padding_mask is None
        mixed = F.scaled_dot_product_attention(
            q, k, v, None if causal else mask, dropout_p=p, is_causal=causal
        )
    mixed = mixed.permute(2, 0, 1, 3).reshape(targets, samples, channels)
    output = F.linear(mixed, out_proj_weight, out_proj_bias)
    if not need_weights:
        return output, None
    return output, weights.mean(1) if average_attn_weights else weights


def _projected(
    inputs: tuple[Tensor, Tensor, Tensor],
    packed: Tensor | None,
    bias: Tensor | None,
    separate: tuple[Tensor | None, ...] | None,
) -> Any:
    query, key, value = inputs
    if separate is None and packed is not None and query is key and key is value:
        return F.linear(query, packed, bias).chunk(3, -1)
    weights = packed.chunk(3) if separate is None and packed is not None else separate
    biases = bias.chunk(3) if bias is not None else (None, None, None)
    assert weights is not None
    return [F.linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True)]  # type: ignore[arg-type]


def _additive_mask(
    attention: Tensor | None,
    padding: Tensor | None,
    samples: int,
    heads: int,
    sources: int,
    dtype: torch.dtype,
) -> Tensor | None:
    """Return the sum of both masks, broadcastable to (sample, head, target, source)."""
    mask = None
    if attention is not None:
        mask = _as_additive(attention, dtype)
        if mask.ndim == 3:
            mask = mask.unflatten(0, (samples, heads))
    if padding is not None:
        padding = _as_additive(padding, dtype).view(samples, 1, 1, sources)
        mask = padding if mask is None else mask + padding
    return mask


def _as_additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(mask, float("-inf"))


DECOMPOSITIONS: dict[str, Callable[..., Any]] = {
    "multi_head_attention_forward": multi_head_attention_forward,
}
