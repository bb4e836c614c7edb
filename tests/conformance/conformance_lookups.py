"""Recipes for tables looked up by index, other than by an embedding, and attention to a table."""

from functools import partial
from typing import Any

import torch
from conformance_draws import Draws
from conformance_operations import Made, Recipe, operation
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the usual name


def getitem(d: Draws) -> Made:
    """Return rows, columns or single elements of a table."""
    rows, width, way = d.choice(1, 2, 4, 12), d.length(), d.choice("rows", "columns", "elements")
    shape = (width, rows) if way == "columns" else (rows, width)

    def run(raw: Any, words: Tensor) -> Tensor:
        if way == "columns":
            return raw["w"][:, words].movedim(0, -1)
        return raw["w"][words] if way == "rows" else raw["w"][words, words % width]

    return looked_up(d, run, rows, shape)


def index_select(d: Draws) -> Made:
    rows, width, axis = d.choice(1, 2, 4, 12), d.length(), d.choice(0, 1)

    def run(raw: Any, words: Tensor) -> Tensor:
        y = torch.index_select(raw["w"], axis, words.flatten())
        return (y.t() if axis else y).unflatten(0, words.shape)

    return looked_up(d, run, rows, (width, rows) if axis else (rows, width))


def along(d: Draws, name: str) -> Made:
    """Return elements along the first axis, the same of each column or other ones."""
    rows, width, whole = d.choice(1, 2, 4, 12), d.length(), d.yes()

    def run(raw: Any, words: Tensor) -> Tensor:
        index = words.reshape(-1, 1).expand(-1, width)
        if not whole:
            index = (index + torch.arange(width, device=index.device)) % rows
        call = torch.gather if name == "gather" else torch.take_along_dim
        y = call(raw["w"], 0, index) if name == "gather" else call(raw["w"], index, 0)
        return y.unflatten(0, words.shape)

    return looked_up(d, run, rows, (rows, width))


def take(d: Draws) -> Made:
    rows, width = d.choice(1, 2, 4, 12), d.length()
    return looked_up(d, lambda raw, words: torch.take(raw["w"], words), rows, (rows, width))


def looked_up(d: Draws, run: Any, rows: int, shape: tuple[int, ...]) -> Made:
    """Return a model that looks up words of its samples, first or second, in a table."""
    words = d.below(rows, d.samples, d.tokens())
    layout = d.choice("plain", "time first")
    return operation(d, run, {"w": d.normal(*shape)}, words, layout=layout)


def embedding_bag(d: Draws) -> Made:
    rows, mode = d.choice(1, 2, 4, 12), d.choice("sum", "mean", "max")

    def run(raw: Any, words: Tensor) -> Tensor:
        return F.embedding_bag(words, raw["w"], mode=mode)

    words = d.below(rows, d.samples, d.tokens())
    return operation(d, run, {"w": d.normal(rows, d.length())}, words)


def attention(d: Draws) -> Made:
    """Return attention whose queries, keys with values, or bias are a parameter."""
    heads, tokens, width, role = d.choice(1, 2), d.tokens(), d.length(), d.choice("q", "kv", "bias")
    shape = (heads, tokens, tokens) if role == "bias" else (heads, d.length(), width)

    def run(raw: Any, x: Tensor) -> Tensor:
        p = raw["p"].unsqueeze(0)
        q = k = v = x
        mask = None
        if role == "q":
            q = p
        elif role == "kv":
            k, v = p, torch.tanh(p)
        else:
            mask = p
        return F.scaled_dot_product_attention(q, k, v, mask)

    x = d.normal(d.samples, heads, tokens, width)
    return operation(d, run, {"p": d.normal(*shape)}, x)


LOOKUPS: dict[str, Recipe] = {
    "__getitem__": getitem,
    "index_select": index_select,
    **{name: partial(along, name=name) for name in ("gather", "take_along_dim")},
    "take": take,
    "embedding_bag": embedding_bag,
    "scaled_dot_product_attention": attention,
}
