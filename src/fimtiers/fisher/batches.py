"""Data as the engine takes it: pairs of inputs and targets, whole or in batches."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import Tensor

from fimtiers.fisher.tracked import leaves, mapped

Inputs = Any
"""A tensor, a tuple of tensors (positional) or a dictionary of tensors (by keyword)."""

Data = tuple[Inputs, Any] | Iterable[tuple[Inputs, Any]]
"""One tuple (inputs, targets), or any other iterable of such pairs, to be walked repeatedly.

Targets may be None. The first axis of every tensor is the sample.
"""


def pairs(data: Data) -> Iterator[tuple[Inputs, Any]]:
    """Yield the pairs of inputs and targets in `data`.

    Raises
    ------
    TypeError
        If `data` is an iterator, which can be walked only once.
    """
    if isinstance(data, Iterator):
        raise TypeError(
            f"data is a {type(data).__name__}, which can be walked only once; "
            "pass a list of batches, a DataLoader or one (inputs, targets) pair"
        )
    if isinstance(data, tuple):
        if len(data) != 2:
            raise ValueError(
                f"data is a tuple of {len(data)}; a tuple is one pair (inputs, targets), "
                "several batches come as a list"
            )
        yield data
    else:
        yield from data


def length(inputs: Inputs) -> int:
    """Return the number of samples.

    Raises
    ------
    ValueError
        If the tensors of `inputs` disagree, or there is none.
    """
    lengths = {len(x) for x in leaves(inputs) if isinstance(x, Tensor)}
    if len(lengths) != 1:
        raise ValueError(f"tensors of the inputs have lengths {sorted(lengths)}; expected one")
    return lengths.pop()


def part(tree: Any, start: int, stop: int) -> Any:
    """Return samples `start` … `stop` − 1 of nested tensors."""
    return mapped(lambda x: x[start:stop] if isinstance(x, Tensor) else x, tree)


def split(pair: tuple[Inputs, Any], size: int) -> Iterator[tuple[Inputs, Any]]:
    """Yield the samples of a pair, at most `size` at a time, in order."""
    samples = length(pair[0])
    if 0 < samples <= size:
        yield pair
        return
    for start in range(0, samples, size):
        yield part(pair, start, start + size)


def micro_batches(data: Data, size: int) -> Iterator[tuple[Inputs, Any]]:
    """Yield pairs of at most `size` samples, in order."""
    for pair in pairs(data):
        yield from split(pair, size)


def first_samples(data: Data, number: int) -> tuple[Inputs, Any]:
    """Return the first samples, at most `number`, of the first batch."""
    for inputs, targets in pairs(data):
        return part(inputs, 0, number), part(targets, 0, number)
    raise ValueError("data holds no batch; expected at least one (inputs, targets) pair")


def call(model: Callable[..., Any], inputs: Inputs) -> Any:
    """Return the outputs of `model`."""
    if isinstance(inputs, dict):
        return model(**inputs)
    if isinstance(inputs, (tuple, list)):
        return model(*inputs)
    return model(inputs)
