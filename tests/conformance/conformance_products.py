"""Recipes for matrix products, linear maps and Einstein sums of data and a parameter."""

from functools import partial
from typing import Any

import torch
from conformance_draws import Draws
from conformance_operations import LAYOUTS, Made, Recipe, operation
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the usual name


def linear(d: Draws) -> Made:
    """Return x Wᵀ + b, W as stored or made: transposed, cut off a larger one, scaled, of two."""
    layout, width, outputs = d.choice(*LAYOUTS), d.length(), d.length()
    made = d.choice("stored", "transposed", "cut", "scaled", "low rank", "twice")
    parameters = {"w": d.normal(outputs, width), "b": d.normal(outputs)}
    if made == "transposed":
        parameters["w"] = d.normal(width, outputs)
    if made == "cut":
        parameters["w"] = d.normal(2 * outputs, width)
    if made == "scaled":
        parameters["s"] = d.normal(outputs, 1)
    if made == "low rank":
        parameters |= {"w": d.normal(outputs, 1), "s": d.normal(1, width)}
    biased = d.yes()
    if not biased:
        del parameters["b"]

    def run(raw: Any, x: Tensor) -> Tensor:
        w = raw["w"]
        if made == "transposed":
            w = w.t()
        elif made == "cut":
            w = w.chunk(2)[1]
        elif made == "scaled":
            w = w * raw["s"]
        elif made == "low rank":
            w = w @ raw["s"]
        y = F.linear(x, w, raw["b"] if biased else None)
        return y + F.linear(torch.sin(x), w) if made == "twice" else y

    x = d.normal(d.samples, d.tokens(), width)
    return operation(d, run, parameters, x, layout=layout)


def product(d: Draws, name: str) -> Made:
    """Return a product with a matrix on either side."""
    layout = d.choice("plain", "time first")
    tokens, width, outputs = d.length(), d.length(), d.length()
    x = d.normal(d.samples, tokens, width)
    left = d.yes()
    batched = layout == "time first" and d.yes()
    rows = tokens if layout == "plain" else d.samples
    if left and layout == "plain":
        shape: tuple[int, ...] = (outputs, rows)
    elif batched:
        shape, left = (tokens, width, outputs), False
    else:
        shape, left = (width, outputs), False

    def run(raw: Any, x: Tensor) -> Tensor:
        first, second = (raw["w"], x) if left else (x, raw["w"])
        if name == "__rmatmul__":
            return second.__rmatmul__(first)
        return first @ second if name == "__matmul__" else torch.matmul(first, second)

    return operation(d, run, {"w": d.normal(*shape)}, x, layout=layout)


def mm(d: Draws) -> Made:
    width = d.length()
    x = d.normal(d.samples, d.tokens(), width)
    w = {"w": d.normal(width, d.length())}
    return operation(d, lambda raw, x: torch.mm(x, raw["w"]), w, x, layout="folded")


def bmm(d: Draws) -> Made:
    width, tokens = d.length(), d.length()
    x = d.normal(d.samples, tokens, width)
    w = {"w": d.normal(tokens, width, d.length())}
    return operation(d, lambda raw, x: torch.bmm(x, raw["w"]), w, x, layout="time first")


def mv(d: Draws) -> Made:
    width = d.length()
    x = d.normal(d.samples, d.tokens(), width)
    w = {"w": d.normal(width)}

    return operation(d, lambda raw, x: torch.mv(x, raw["w"]).unsqueeze(1), w, x, layout="folded")


def addmm(d: Draws, name: str) -> Made:
    batched = name == "baddbmm"
    width, outputs, tokens = d.length(), d.length(), d.length()
    front = (tokens,) if batched else ()
    bias = d.choice((*front, 1, outputs), (outputs,), (1, outputs))
    parameters = {"w": d.normal(*front, width, outputs), "b": d.normal(*bias)}
    scales = d.choice({}, {}, {"beta": 0.5, "alpha": 2.0})

    def run(raw: Any, x: Tensor) -> Tensor:
        return getattr(torch, name)(raw["b"], x, raw["w"], **scales)

    x = d.normal(d.samples, tokens, width)
    return operation(d, run, parameters, x, layout="time first" if batched else "folded")


EQUATIONS = {
    "bti,io->bto": "io", "bti,oi->bto": "oi", "bti,tio->bto": "tio", "oi,bti->bot": "oi",
    "bti,ihd->bhtd": "ihd", "bti,ti->bi": "ti", "bti,t->bi": "t", "bti,i->bti": "i",
    "bti,tio": "tio", "bti,iop->btop": "iop", "ti,bti->bt": "ti", "bti,ti->bti": "ti",
}  # fmt: skip
"""Equations, and the axes of the parameter."""


def einsum(d: Draws) -> Made:
    equation = d.choice(*EQUATIONS)
    size = {"t": d.length(), "i": d.length(), "o": d.length(), "h": 2, "d": d.length()}
    size["p"] = d.length()
    axes = EQUATIONS[equation]
    listed, upper = d.yes(), d.yes()
    text = equation.upper() if upper else equation

    def run(raw: Any, x: Tensor) -> Tensor:
        pair = (x, raw["w"]) if equation.startswith("bti") else (raw["w"], x)
        return torch.einsum(text, pair) if listed else torch.einsum(text, *pair)

    x = d.normal(d.samples, size["t"], size["i"])
    return operation(d, run, {"w": d.normal(*(size[a] for a in axes))}, x)


def grouped_mm(d: Draws, name: str) -> Made:
    """Return tokens sorted by expert, each stretch of them times the matrix of its expert."""
    experts, width, outputs = d.choice(1, 2, 3), 8, 8  # rows of 16 bytes are asked for
    x = d.normal(d.samples, d.tokens(), width)
    chosen = d.below(experts, *x.shape[:2])

    def run(raw: Any, x: Tensor, chosen: Tensor) -> Tensor:
        order = chosen.flatten().argsort(stable=True)
        ends = torch.bincount(chosen.flatten(), minlength=experts).cumsum(0).int()
        call = torch._grouped_mm if name == "_grouped_mm" else F.grouped_mm
        rows = x.flatten(0, 1)[order]
        if x.dtype == torch.float64:  # which torch does not take
            parts = rows.tensor_split(ends[:-1].tolist())
            y = torch.cat([part @ w for part, w in zip(parts, raw["w"], strict=True)])
        else:
            y = call(rows, raw["w"], offs=ends)
        return torch.zeros_like(y).index_copy(0, order, y).unflatten(0, x.shape[:2])

    return operation(d, run, {"w": d.normal(experts, width, outputs)}, x, chosen)


PRODUCTS: dict[str, Recipe] = {
    "linear": linear,
    **{name: partial(product, name=name) for name in ("matmul", "__matmul__", "__rmatmul__")},
    "mm": mm,
    "bmm": bmm,
    "mv": mv,
    **{name: partial(addmm, name=name) for name in ("addmm", "baddbmm")},
    "einsum": einsum,
    **{name: partial(grouped_mm, name=name) for name in ("grouped_mm", "_grouped_mm")},
}
