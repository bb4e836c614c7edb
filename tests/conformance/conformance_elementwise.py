"""Recipes for operations that act element by element, and for repetitions of parameters."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from conformance_draws import Draws
from conformance_operations import LAYOUTS, Made, Recipe, operation
from torch import Tensor

POSITIVE = ("pow", "div", "true", "hypot", "logaddexp", "atan2")
"""Beginnings of names of functions that want numbers away from zero."""


def aligned(d: Draws, layout: str, tokens: int, width: int) -> tuple[int, ...]:
    """Draw the shape of a parameter that is broadcast over samples."""
    shapes: list[tuple[int, ...]] = [(width,), (1,), (), (1, width)]
    if layout == "plain":
        shapes += [(tokens, width), (1, tokens, width), (tokens, 1)]
    elif layout == "time first":
        shapes += [(tokens, 1, width), (tokens, 1, 1), (1, 1, width)]
    return d.choice(*shapes)


def elementwise(d: Draws, name: str, apply: Callable[..., Any]) -> Made:
    """Return a model of an operation on data and one parameter, in either order."""
    layout, tokens, width = d.choice(*LAYOUTS), d.length(), d.length()
    x = d.normal(d.samples, tokens, width)
    p = d.normal(*aligned(d, layout, tokens, width))
    if name.strip("_ri").startswith(POSITIVE):
        x, p = x.abs() + 0.5, p.abs() + 0.5
    swap = d.yes() and not inplace(name)

    def run(raw: Any, data: Tensor) -> Tensor:
        return apply(raw["p"], data) if swap else apply(data, raw["p"])

    return operation(d, run, {"p": p}, x, layout=layout)


def inplace(name: str) -> bool:
    return name.startswith("__i") or (name.endswith("_") and not name.endswith("__"))


def as_function(name: str) -> Callable[..., Tensor]:
    return getattr(torch, name)


def as_method(name: str) -> Callable[..., Tensor]:
    def call(first: Tensor, *others: Tensor) -> Tensor:
        # Written into a copy: data that are inputs are not to be changed.
        return getattr(first * 1 if inplace(name) else first, name)(*others)

    return call


def ternary(d: Draws, name: str, apply: Callable[..., Any]) -> Made:
    """Return a model of an operation on data, a parameter and other data, in any order."""
    layout, tokens, width = d.choice(*LAYOUTS), d.length(), d.length()
    x = d.normal(d.samples, tokens, width).abs() + 0.5
    p = d.normal(*aligned(d, layout, tokens, width)).abs() + 0.5
    order = d.choice((0, 1, 2), (0, 2, 1), *([] if inplace(name) else [(2, 0, 1)]))

    def run(raw: Any, data: Tensor) -> Tensor:
        operands = data, torch.cos(data) + 2, raw["p"]
        return apply(*(operands[k] for k in order))

    return operation(d, run, {"p": p}, x, layout=layout)


def where(d: Draws) -> Made:
    layout, tokens, width = d.choice(*LAYOUTS), d.length(), d.length()
    p = d.normal(*aligned(d, layout, tokens, width))
    x = d.normal(d.samples, tokens, width)
    swap = d.yes()

    def run(raw: Any, data: Tensor) -> Tensor:
        first, second = (raw["p"], data) if swap else (data, raw["p"])
        return torch.where(data > 0.2, first, second)

    return operation(d, run, {"p": p}, x, layout=layout)


def repeated(d: Draws, name: str) -> Made:
    """Return a model that repeats a class token or a table for every sample."""
    time_first = d.yes()
    tokens, width = d.length(), d.length()
    shape = d.choice((tokens, width), (1, width), (1, 1))
    many = d.choice("beside", "on top")

    def run(raw: Any, data: Tensor) -> Tensor:
        p = raw["p"].unsqueeze(1 if time_first else 0)
        samples, axis = data.shape[1 if time_first else 0], 1 if time_first else 0
        if name in ("repeat", "tile"):
            times = [1, 1, 1]
            times[axis] = samples
            token = getattr(p, name)(*times)
        else:
            sizes = list(p.shape)
            sizes[axis] = samples
            if name == "expand_as":
                token = p.expand_as(data if shape[0] == tokens else data[:1, :1].expand(*sizes))
            elif name == "broadcast_to":
                token = torch.broadcast_to(p, sizes)
            else:
                token = p.expand(*sizes)
        if many == "on top" or token.shape[-1] != data.shape[-1]:
            return torch.tanh(token + data[:, : token.shape[1]] if not time_first else token
                              + data[: token.shape[0]])  # fmt: skip
        return torch.cat([token, data], 1 - axis)

    x = d.normal(d.samples, tokens, width)
    return operation(d, run, {"p": d.normal(*shape)}, x,
                     layout="time first" if time_first else "plain")  # fmt: skip


def prelu(d: Draws) -> Made:
    channels = d.length()
    space = tuple(d.length() for _ in range(d.choice(0, 1)))
    call = d.choice(torch.prelu, torch.nn.functional.prelu)
    p = {"p": d.normal(d.choice(1, channels))}
    x = d.normal(d.samples, channels, *space)
    return operation(d, lambda raw, data: call(data, raw["p"]), p, x)


_FUNCTIONS = (
    "add", "sub", "rsub", "subtract", "mul", "multiply", "div", "divide", "true_divide", "pow",
    "maximum", "minimum", "atan2", "hypot", "logaddexp",
)  # fmt: skip
_METHODS = (
    "add_", "sub_", "mul_", "div_", "__add__", "__radd__", "__sub__", "__rsub__", "__mul__",
    "__rmul__", "__truediv__", "__rtruediv__", "__div__", "__rdiv__", "__pow__", "__rpow__",
    "__iadd__", "__isub__", "__imul__", "__itruediv__",
)  # fmt: skip

ELEMENTWISE: dict[str, Recipe] = {
    **{name: partial(elementwise, name=name, apply=as_function(name)) for name in _FUNCTIONS},
    **{name: partial(elementwise, name=name, apply=as_method(name)) for name in _METHODS},
    **{name: partial(ternary, name=name, apply=as_function(name))
       for name in ("lerp", "addcmul", "addcdiv")},
    "addcmul_": partial(ternary, name="addcmul_", apply=as_method("addcmul_")),
    "where": where,
    **{name: partial(repeated, name=name)
       for name in ("expand", "expand_as", "broadcast_to", "repeat", "tile")},
    "prelu": prelu,
}  # fmt: skip
