"""Recipes for functions behind layers, called with raw parameters, some of them left out."""

from functools import partial
from typing import Any

import torch
from conformance_draws import Draws
from conformance_layouts import BATCHED, LEADING, Placed, leading
from conformance_operations import Made, Operation, Recipe, operation
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the usual name


def convolution(d: Draws, name: str, axes: int) -> Made:
    transposed = "transpose" in name
    groups, scaled = d.choice(1, 2), d.yes()
    inputs, outputs = groups * d.choice(1, 2), groups * d.choice(1, 2)
    kernel = tuple(d.choice(1, 2, 3) for _ in range(axes))
    shape = (inputs, outputs // groups) if transposed else (outputs, inputs // groups)
    options: dict[str, Any] = {"groups": groups, "stride": d.choice(1, 2)}
    if not transposed:
        options["padding"] = d.choice("valid", *(["same"] if options["stride"] == 1 else []))
    parameters = {"w": d.normal(*shape, *kernel), "b": d.normal(outputs), "s": d.normal(1)}
    use = d.choice("both", "weight", "bias")

    def run(raw: Any, x: Tensor) -> Tensor:
        w = raw["w"].detach() if use == "bias" else raw["w"]
        b = None if use == "weight" else raw["b"]
        return getattr(F, name)(x, w * raw["s"] if scaled else w, b, **options)

    space = [max(k, d.length()) for k in kernel]
    return framed(d, run, parameters, BATCHED, (inputs, *space))


def norm(d: Draws, name: str) -> Made:
    """Return a normalisation whose scale or shift, or both, are parameters."""
    channels, space = d.choice(2, 3, 4), tuple(d.length(2) for _ in range(d.choice(1, 2)))
    use = d.choice("both", "scale", *(["shift"] if name != "group_norm" else []))  # torch fails
    scale = {"w": d.normal(channels)} if use != "shift" else {}
    shift = {"b": d.normal(channels)} if use != "scale" and name != "rms_norm" else {}
    if name == "rms_norm":
        scale = {"w": d.normal(channels)}
    moments = d.normal(2, channels)

    def run(raw: Any, x: Tensor) -> Tensor:
        w = raw["w"] if scale else None
        b = raw["b"] if shift else None
        if name == "layer_norm":
            return F.layer_norm(x, (channels,), w, b)
        if name == "rms_norm":
            return F.rms_norm(x, (channels,), w)
        if name == "group_norm":
            return F.group_norm(x, 1, w, b)
        if name == "instance_norm":
            return F.instance_norm(x, None, None, w, b)
        mean, variance = moments[0].to(x), moments[1].square().add(0.5).to(x)
        return F.batch_norm(x, mean, variance, w, b)

    last = name in ("layer_norm", "rms_norm")
    item = (*space, channels) if last else (channels, *space)
    return framed(d, run, {**scale, **shift}, LEADING if last else BATCHED, item)


def framed(
    d: Draws, run: Any, parameters: dict[str, Tensor], layouts: tuple[str, ...],
    item: tuple[int, ...],
) -> Made:  # fmt: skip
    """Return a function of raw parameters in a drawn layout, and its input."""
    layout = d.choice(*layouts)
    x = d.normal(*leading(layout, d.samples, d.tokens(), item))
    scale = 1 + 0.3 * d.normal(item[-1]) if d.yes() else None
    return Placed(Operation(run, parameters), layout, scale), [x]


def embedding(d: Draws) -> Made:
    """Return rows of a table that is stored or made, looked up once or twice."""
    rows, width = d.choice(1, 2, 4, 12), d.length()
    made, padding = d.choice("stored", "scaled", "twice", "tied"), d.choice(None, 0)
    parameters = {"w": d.normal(rows, width)}
    if made == "scaled":
        parameters["s"] = d.normal(width)

    def run(raw: Any, words: Tensor) -> Tensor:
        w = raw["w"] * raw["s"] if made == "scaled" else raw["w"]
        y = F.embedding(words, w, padding)
        if made == "twice":
            return y + F.embedding((words + 1) % rows, w)
        return F.linear(torch.tanh(y), w) if made == "tied" else y

    words = d.below(rows, d.samples, d.tokens())
    return operation(d, run, parameters, words, layout=d.choice("plain", "time first"))


def attention(d: Draws) -> Made:
    heads = d.choice(1, 2)
    width = heads * d.choice(1, 2)
    separate, biased, need = d.yes(), d.yes(), d.yes()
    p = {"out": d.normal(width, width)}
    p |= (
        {name: d.normal(width, width) for name in ("q", "k", "v")}
        if separate
        else {"in": d.normal(3 * width, width)}
    )
    if biased:
        p |= {"ib": d.normal(3 * width), "ob": d.normal(width)}

    def run(raw: Any, x: Tensor) -> Tensor:
        mixed, weights = F.multi_head_attention_forward(
            x, x, x, width, heads, None if separate else raw["in"], raw["ib"] if biased else None,
            None, None, False, 0.0, raw["out"], raw["ob"] if biased else None,
            use_separate_proj_weight=separate, need_weights=need,
            **({f"{n}_proj_weight": raw[n] for n in "qkv"} if separate else {}),
        )  # fmt: skip
        return mixed if weights is None else mixed + weights.mean(-1).t().unsqueeze(-1)

    return operation(d, run, p, d.normal(d.samples, d.tokens(), width), layout="time first")


GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def recurrent(d: Draws, name: str) -> Made:
    width, hidden, biased, first = d.length(), d.length(), d.yes(), d.yes()
    rows = GATES[name] * hidden
    p = {"w": d.normal(rows, width), "u": d.normal(rows, hidden)}
    if biased:
        p |= {"b": d.normal(rows), "c": d.normal(rows)}

    def run(raw: Any, x: Tensor) -> Tensor:
        x = x if first else x.transpose(0, 1).contiguous()
        zero = x.new_zeros(1, x.shape[0 if first else 1], hidden)
        state = (zero, zero) if name == "lstm" else zero
        weights = [raw[key] for key in ("w", "u", *(("b", "c") if biased else ()))]
        y = getattr(torch, name)(x, state, weights, biased, 1, 0.0, False, False, first)[0]
        return y if first else y.transpose(0, 1)

    return operation(d, run, p, d.normal(d.samples, d.tokens(), width))


def cell(d: Draws, name: str) -> Made:
    width, hidden, biased = d.length(), d.length(), d.yes()
    rows = GATES[name.removesuffix("_cell")] * hidden
    p = {"w": d.normal(rows, width), "u": d.normal(rows, hidden)}
    if biased:
        p |= {"b": d.normal(rows), "c": d.normal(rows)}

    def run(raw: Any, x: Tensor, state: Tensor) -> Any:
        first = (state, torch.cos(state)) if name == "lstm_cell" else state
        weights = [raw[key] for key in ("w", "u", *(("b", "c") if biased else ()))]
        return getattr(torch, name)(x, first, *weights)

    return operation(d, run, p, d.normal(d.samples, width), d.normal(d.samples, hidden))


FUNCTIONAL: dict[str, Recipe] = {
    **{
        f"conv{kind}{axes}d": partial(convolution, name=f"conv{kind}{axes}d", axes=axes)
        for kind in ("", "_transpose")
        for axes in (1, 2, 3)
    },
    **{
        f"{kind}_norm": partial(norm, name=f"{kind}_norm")
        for kind in ("layer", "rms", "group", "instance", "batch")
    },
    "embedding": embedding,
    "multi_head_attention_forward": attention,
    **{name: partial(recurrent, name=name) for name in GATES},
    **{f"{name}_cell": partial(cell, name=f"{name}_cell") for name in GATES},
}
