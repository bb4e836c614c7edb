"""Multi-head attention, written out in terms of operations that have rules."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the usual name

from fimtiers.fisher.rules.elementwise import unbroadcast
from fimtiers.fisher.rules.protocol import Interceptor, Operation
from fimtiers.fisher.tracked import Tracked
from fimtiers.fisher.tracked import value as plain


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

    Layout is (token, sample, channel), or (token, channel) for a single sample.
    """
    if bias_k is not None and (static_k is not None or static_v is not None):
        return NotImplemented
    if query.ndim == 2:
        single = {id(x): x.unsqueeze(1) for x in (query, key, value)}
        output, weights = multi_head_attention_forward(
            single[id(query)], single[id(key)], single[id(value)], embed_dim_to_check,
            num_heads, in_proj_weight, in_proj_bias, bias_k, bias_v, add_zero_attn, dropout_p,
            out_proj_weight, out_proj_bias, training,
            None if key_padding_mask is None else key_padding_mask.unsqueeze(0), need_weights,
            attn_mask, use_separate_proj_weight, q_proj_weight, k_proj_weight, v_proj_weight,
            static_k, static_v, average_attn_weights, is_causal,
        )  # fmt: skip
        return output.squeeze(1), None if weights is None else weights.squeeze(0)
    if need_weights or (training and dropout_p > 0):
        is_causal = False
    targets, samples, channels = query.shape
    width = channels // num_heads
    q, k, v = (
        x.reshape(x.shape[0], samples, num_heads, width).permute(1, 2, 0, 3)
        for x in _projected(
            (query, key, value), in_proj_weight, in_proj_bias,
            (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None,
        )
    )  # fmt: skip
    if bias_k is not None and bias_v is not None:
        k, v = (
            torch.cat([x, b.view(1, num_heads, 1, width).expand(samples, -1, -1, -1)], 2)
            for x, b in ((k, bias_k), (v, bias_v))
        )
    if static_k is not None:
        k = static_k.unflatten(0, (samples, num_heads))
    if static_v is not None:
        v = static_v.unflatten(0, (samples, num_heads))
    if add_zero_attn:
        k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
    mask = _additive_mask(attn_mask, key_padding_mask, samples, num_heads, q.dtype)
    if mask is not None:
        # Keys that were added are never masked.
        mask = F.pad(mask, (0, int(bias_k is not None) + int(add_zero_attn)))
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


def scaled_dot_product_attention(
    tape: Interceptor,
    func: Operation,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: Any,
) -> Any:
    """Run attention with learned queries, keys, values or bias, repeated over the batch."""
    shapes = [plain(x).shape for x in (query, key, value)]
    if all(isinstance(x, Tracked) for x in (query, key, value)):
        return NotImplemented
    # With grouped queries, heads of keys and values are fewer, and stay as they are.
    kept = 3 if options.get("enable_gqa") else 2
    batch = np.broadcast_shapes(*(shape[:-kept] for shape in shapes))
    whole = [(*batch, *shape[-kept:]) for shape in shapes]
    whole.append((*batch, *shapes[0][-kept:-1], shapes[1][-2]))

    def repeated(item: Any, shape: tuple[int, ...]) -> Any:
        if not isinstance(item, Tracked):
            return item
        return tape.watch(item.value.expand(shape), [(item, unbroadcast(item.value.shape))])

    operands = [
        repeated(x, shape) for x, shape in zip((query, key, value, attn_mask), whole, strict=True)
    ]
    return func(*operands, dropout_p, is_causal, **options)


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
    dtype: torch.dtype,
) -> Tensor | None:
    """Return the sum of both masks, broadcastable to (sample, head, target, source)."""
    mask = None
    if attention is not None:
        mask = _as_additive(attention, dtype)
        if mask.ndim == 3:
            mask = mask.unflatten(0, (samples, heads))
    if padding is not None:
        padding = _as_additive(padding, dtype).view(samples, 1, 1, -1)
        mask = padding if mask is None else mask + padding
    return mask


def _as_additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(mask, float("-inf"))


RULES: dict[str, Callable[..., Any]] = {
    "scaled_dot_product_attention": scaled_dot_product_attention,
}
DECOMPOSITIONS: dict[str, Callable[..., Any]] = {
    "multi_head_attention_forward": multi_head_attention_forward,
}
