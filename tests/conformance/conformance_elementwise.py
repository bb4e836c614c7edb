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
    layout, tokens, width = d.choice(*LAYOUTS), d.tokens(), d.length()
    x = d.normal(d.samples, tokens, width)
    p = d.normal(*aligned(d, layout, tokens, width))
    positive = name.strip("_ri").startswith(POSITIVE)
    p = p.abs() + 0.5 if positive else p
    swap = d.yes() and not inplace(name)

    def run(raw: Any, data: Tensor) -> Tensor:
        data = data.square() + 0.5 if positive else data
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
    layout, tokens, width = d.choice(*LAYOUTS), d.tokens(), d.length()
    x = d.normal(d.samples, tokens, width).abs() + 0.5
    p = d.normal(*aligned(d, layout, tokens, width)).abs() + 0.5
    order = d.choice((0, 1, 2), (0, 2, 1), *([] if inplace(name) else [(2, 0, 1)]))

    def run(raw: Any, data: Tensor) -> Tensor:
        operands = data, torch.cos(data) + 2, raw["p"]
        return apply(*(operands[k] for k in order))

    return operation(d, run, {"p": p}, x, layout=layout)


def where(d: Draws) -> Made:
    layout, tokens, width = d.choice(*LAYOUTS), d.tokens(), d.length()
    p = d.normal(*aligned(d, layout, tokens, width))
    x = d.normal(d.samples, tokens, width)
    swap = d.yes()

    def run(raw: Any, data: Tensor) -> Tensor:
        first, second = (raw["p"], data) if swap else (data, raw["p"])
        return torch.where(data > 0.2, first, second)

    return operation(d, run, {"p": p}, x, layout=layout)


def repeated(d: Draws, name: str) -> Made:
    """Return a model that repeats a class token or a table for every sample."""
    axis = d.choice(0, 1)  # of samples
    tokens, width = d.tokens(), d.length()
    own, beside = d.choice(1, tokens), d.yes()

    def run(raw: Any, data: Tensor) -> Tensor:
        p, samples = raw["p"].unsqueeze(axis), data.shape[axis]
        sizes = [*p.shape]
        sizes[axis] = samples
        if name in ("repeat", "tile"):
            token = getattr(p, name)(*(n // k for n, k in zip(sizes, p.shape, strict=True)))
        elif name == "repeat_interleave":
            token = p.repeat_interleave(samples, axis)
        elif name == "expand_as":
            token = p.expand_as(data.narrow(1 - axis, 0, own))
        else:
            token = getattr(p, name)(sizes)
        return torch.cat([token, data], 1 - axis) if beside else torch.tanh(token + data)

    x = d.normal(d.samples, tokens, width)
    layout = "time first" if axis else "plain"
    return operation(d, run, {"p": d.normal(own, width)}, x, layout=layout)


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
       for name in ("expand", "expand_as", "broadcast_to", "repeat", "tile", "repeat_interleave")},
    "prelu": prelu,
}  # fmt: skip
