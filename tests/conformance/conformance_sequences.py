"""Layers over time: recurrent networks and cells, attention, transformers."""

from functools import partial
from typing import Any

import torch
from conformance_draws import Draws
from conformance_layouts import Sequences
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

Made = tuple[nn.Module, list[Tensor]]


class Packed(nn.Module):
    """A recurrent network over sequences of unequal lengths, in any order."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, further: Tensor) -> Tensor:
        """Return the padded outputs of sequences with some steps further than the first."""
        first = self.layer.batch_first
        x = x if first else x.transpose(0, 1)
        packed = pack_padded_sequence(x, 1 + further.cpu(), first, enforce_sorted=False)
        time = x.shape[1 if first else 0]
        output, _ = pad_packed_sequence(self.layer(packed)[0], first, total_length=time)
        return output if first else output.transpose(0, 1)


class States(nn.Module):
    """A recurrent network that starts from given states; all last states are returned."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, *states: Tensor) -> Any:
        """Return the last states, samples in front, of (sample, time, channel)."""
        states = tuple(s.transpose(0, 1).contiguous() for s in states)
        x = x if self.layer.batch_first else x.transpose(0, 1)
        _, last = self.layer(x, states if len(states) > 1 else states[0])
        return tuple(s.transpose(0, 1) for s in (last if isinstance(last, tuple) else (last,)))


def recurrent(d: Draws, kind: str) -> Made:
    width, hidden, first = d.length(), d.length(), d.yes()
    options: dict[str, Any] = {"bias": d.yes(), "bidirectional": d.yes(), "batch_first": first}
    if kind == "LSTM" and hidden > 1:
        options["proj_size"] = d.choice(0, 0, 1, hidden - 1)
    if kind == "RNN":
        options["nonlinearity"] = d.choice("tanh", "relu")
    layers = d.choice(1, 1, 2)
    layer = getattr(nn, kind)(width, hidden, layers, **options)
    time = d.tokens()
    x = d.normal(d.samples, time, width)
    use = d.choice("outputs", "packed", "states")
    if use == "packed":
        return Packed(layer), [x, d.below(time, d.samples)]
    if use == "states":
        stacked = layers * (1 + options["bidirectional"])
        sizes = [options.get("proj_size") or hidden, *([hidden] if kind == "LSTM" else [])]
        return States(layer), [x, *(d.normal(d.samples, stacked, size) for size in sizes)]
    return Sequences(layer, first, 1 + 0.3 * d.normal(width) if d.yes() else None), [x]


class Cell(nn.Module):
    """A recurrent cell, run once from given states or along a sequence from none."""

    def __init__(self, layer: nn.RNNCellBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, *states: Tensor) -> Any:
        """Return the states of (sample, channel) or the last of (sample, time, channel)."""
        if x.ndim == 2:
            return self.layer(x, states if len(states) > 1 else states[0])
        state = None
        for step in x.unbind(1):
            state = self.layer(step, state)
        return state


def cell(d: Draws, kind: str) -> Made:
    width, hidden = d.length(), d.length()
    options = {"nonlinearity": d.choice("tanh", "relu")} if kind == "RNNCell" else {}
    layer = getattr(nn, kind)(width, hidden, bias=d.yes(), **options)
    if d.yes():
        return Cell(layer), [d.normal(d.samples, d.tokens(), width)]
    states = [d.normal(d.samples, hidden) for _ in range(1 + (kind == "LSTMCell"))]
    return Cell(layer), [d.normal(d.samples, width), *states]


class Attention(nn.Module):
    """Attention of a sequence to itself or to another one, some of whose keys are masked."""

    def __init__(self, layer: nn.MultiheadAttention, options: dict[str, Any]) -> None:
        super().__init__()
        self.layer, self.options = layer, options

    def forward(self, x: Tensor, *others: Tensor) -> Any:
        """Return the outputs and the attention, samples in front."""
        sources, padding = others[:-1] or (x, x), others[-1]
        swap = not self.layer.batch_first
        query, key, value = (y.transpose(0, 1) if swap else y for y in (x, *sources))
        if not others[:-1]:
            key = value = query
        masks: dict[str, Any] = {}
        if self.options["padding"]:
            masks["key_padding_mask"] = padding
        if self.options["causal"]:
            shape = query.shape[1 - swap], key.shape[1 - swap]
            masks["attn_mask"] = torch.ones(shape, dtype=torch.bool, device=x.device).triu(1)
        need = self.options["weights"]
        mixed, weights = self.layer(
            query, key, value, need_weights=need, average_attn_weights=self.options["average"],
            **masks,
        )  # fmt: skip
        mixed = mixed.transpose(0, 1) if swap else mixed
        return (mixed, weights) if need else mixed


def attention(d: Draws) -> Made:
    heads = d.choice(1, 2)
    width, time, other = heads * d.choice(1, 2, 3), d.tokens(), d.length()
    cross = d.yes()
    key_width, value_width = (d.choice(width, d.length()) for _ in range(2))
    layer = nn.MultiheadAttention(
        width, heads, bias=d.yes(), batch_first=d.yes(),
        add_bias_kv=d.choice(False, False, True), add_zero_attn=d.choice(False, False, True),
        **({"kdim": key_width, "vdim": value_width} if cross else {}),
    )  # fmt: skip
    options = {name: d.yes() for name in ("padding", "causal", "weights", "average")}
    sources = (
        [d.normal(d.samples, other, key_width), d.normal(d.samples, other, value_width)]
        if cross
        else []
    )
    masked = d.below(2, d.samples, other if cross else time).bool()
    masked[:, 0] = False  # a query without keys has no attention
    return Attention(layer, options), [d.normal(d.samples, time, width), *sources, masked]


def transformer(d: Draws, kind: str) -> Made:
    heads, first = d.choice(1, 2), d.yes()
    width = heads * d.choice(1, 2, 3)
    options: dict[str, Any] = {
        "dim_feedforward": d.length(), "dropout": 0.0, "batch_first": first,
        "norm_first": d.yes(), "bias": d.yes(), "activation": d.choice("relu", "gelu"),
    }  # fmt: skip
    if kind == "Transformer":
        options |= {"num_encoder_layers": 1, "num_decoder_layers": 1}
        layer = nn.Transformer(width, heads, **options)
    elif kind.endswith("Layer"):
        layer = getattr(nn, kind)(width, heads, **options)
    else:
        one = getattr(nn, f"{kind}Layer")(width, heads, **options)
        nested = {"enable_nested_tensor": False} if kind == "TransformerEncoder" else {}
        norm = nn.LayerNorm(width) if d.yes() else None
        layer = getattr(nn, kind)(one, d.choice(1, 2), norm, **nested)
    sequences = 1 if "Encoder" in kind else 2
    scale = 1 + 0.3 * d.normal(width) if d.yes() else None
    inputs = [d.normal(d.samples, d.tokens(), width) for _ in range(sequences)]
    return Sequences(layer, first, scale).train(d.yes()), inputs


SEQUENCES = {
    **{kind: partial(recurrent, kind=kind) for kind in ("LSTM", "GRU", "RNN")},
    **{kind: partial(cell, kind=kind) for kind in ("LSTMCell", "GRUCell", "RNNCell")},
    "MultiheadAttention": attention,
    **{
        kind: partial(transformer, kind=kind)
        for kind in (
            "Transformer", "TransformerEncoder", "TransformerEncoderLayer",
            "TransformerDecoder", "TransformerDecoderLayer",
        )
    },
}  # fmt: skip
