"""Data as the engine takes it: pairs of inputs and targets, whole or in batches."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from fimtiers.fisher.tracked import leaves, mapped

Inputs = Any
"""A tensor, a tuple of tensors (positional) or a mapping of tensors (by keyword)."""

Data = tuple[Inputs, Any] | Mapping[str, Any] | Iterable[Any]
"""One tuple (inputs, targets), one mapping with its labels inside, or any other iterable of such
batches, to be walked repeatedly.

Targets may be None. The first axis of every tensor is the sample.
"""

LABELS = "labels"
"""Key of the targets in a batch that is one mapping, as those of Hugging Face loaders are."""

PAIR = "a pair (inputs, targets), or a dictionary with 'labels'"


def pairs(data: Data, model: Callable[..., Any] | None = None) -> Iterator[tuple[Inputs, Any]]:
    """Yield the pairs of inputs and targets in `data`, checked, mappings as dictionaries.

    Parameters
    ----------
    data
        One batch or an iterable of batches. A batch that is one mapping has its targets under
        ``labels``; the model is given them too if its forward pass takes them.
    model
        Says whether labels are passed on.

    Raises
    ------
    TypeError
        If `data` is an iterator, which can be walked only once, or holds no batches.
    ValueError
        If a batch is no pair, or its tensors disagree on the number of samples.
    """
    if isinstance(data, Iterator):
        raise TypeError(
            f"data is a {type(data).__name__}, which can be walked only once; "
            "pass a list of batches, a DataLoader or one (inputs, targets) pair"
        )
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        raise TypeError(
            f"data is a {type(data).__name__}, whose entries are single samples; wrap it in a "
            f"torch.utils.data.DataLoader, whose batches are each {PAIR}"
        )
    if isinstance(data, Tensor) or not isinstance(data, Iterable):
        raise TypeError(f"data is a {type(data).__name__}; expected {PAIR}, or batches of such")
    if isinstance(data, (tuple, Mapping)):
        yield _pair(data, model)
    else:
        for batch in data:
            yield _pair(batch, model)


def _pair(batch: Any, model: Callable[..., Any] | None) -> tuple[Inputs, Any]:
    """Return a batch as a checked pair."""
    if isinstance(batch, Mapping):
        if LABELS not in batch:
            raise ValueError(f"a batch has the keys {sorted(map(str, batch))}; expected {PAIR}")
        inputs = {key: x for key, x in batch.items() if key != LABELS or _takes_labels(model)}
        batch = inputs, batch[LABELS]
    elif not isinstance(batch, (tuple, list)):
        raise TypeError(f"a batch is a {type(batch).__name__}; expected {PAIR}")
    elif len(batch) != 2:
        raise ValueError(
            f"a batch holds {len(batch)} entries; expected {PAIR}. Several inputs come as "
            "((first, second), targets), several batches as a list of pairs"
        )
    inputs, targets = (_plain(x) for x in batch)
    samples = length(inputs)
    for target in leaves(targets):
        if isinstance(target, np.ndarray) or (
            isinstance(target, (int, float, complex)) and not isinstance(target, bool)
        ):
            raise TypeError(
                f"the targets hold a {type(target).__name__}, which cannot be told apart by "
                "sample; expected tensors, None, or nested tuples and dictionaries of such: "
                "use torch.as_tensor"
            )
        if isinstance(target, Tensor) and (target.ndim == 0 or len(target) != samples):
            raise ValueError(
                f"the targets have a tensor of shape {tuple(target.shape)} for {samples} samples; "
                "the first axis must be the sample"
            )
    return inputs, targets


def _takes_labels(model: Callable[..., Any] | None) -> bool:
    """Return whether the forward pass of a model takes labels by keyword."""
    forward = getattr(model, "forward", model)
    if forward is None:
        return False
    taken = inspect.signature(forward).parameters
    return LABELS in taken or any(p.kind is p.VAR_KEYWORD for p in taken.values())


def _plain(tree: Any) -> Any:
    """Return nested data with mappings as dictionaries and tensors that autograd can save."""
    if isinstance(tree, Mapping):
        return {key: _plain(x) for key, x in tree.items()}
    if type(tree) in (tuple, list):
        return type(tree)(_plain(x) for x in tree)
    return tree.clone() if isinstance(tree, Tensor) and tree.is_inference() else tree


def length(inputs: Inputs) -> int:
    """Return the number of samples.

    Raises
    ------
    ValueError
        If the tensors of `inputs` disagree, or there is none.
    TypeError
        If `inputs` hold an array that is no tensor.
    """
    lengths = set()
    for x in leaves(inputs):
        if isinstance(x, np.ndarray):
            raise TypeError("the inputs hold a numpy array; use torch.as_tensor")
        if isinstance(x, Tensor):
            if x.ndim == 0:
                raise ValueError(
                    "the inputs hold a tensor without axes; expected lengths of the sample axis"
                )
            lengths.add(len(x))
    if len(lengths) != 1:
        raise ValueError(
            f"tensors of the inputs have lengths {sorted(lengths)}; expected one, that of the "
            "first axis, the sample"
        )
    return lengths.pop()


def part(tree: Any, start: int, stop: int) -> Any:
    """Return samples `start` … `stop` − 1 of nested tensors."""
    return mapped(lambda x: x[start:stop] if isinstance(x, Tensor) else x, tree)


def ends(pair: tuple[Inputs, Any], number: int) -> tuple[Inputs, Any]:
    """Return the first sample of a pair, or the first and the last if `number` is 2."""
    samples = length(pair[0])
    if samples <= number:
        return pair
    if number == 1:
        return part(pair, 0, 1)
    chosen = [0, samples - 1]
    return mapped(lambda x: x[chosen] if isinstance(x, Tensor) else x, pair)


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


def typical(data: Data) -> tuple[Inputs, Any]:
    """Return the first batch with several samples, or else the first with one.

    Raises
    ------
    ValueError
        If there is no sample at all.
    """
    single = None
    for pair in pairs(data):
        samples = length(pair[0])
        if samples > 1:
            return pair
        if samples == 1 and single is None:
            single = pair
    if single is None:
        raise ValueError(NO_SAMPLES)
    return single


NO_SAMPLES = "data holds no sample; expected at least one in (inputs, targets) pairs"


def call(model: Callable[..., Any], inputs: Inputs) -> Any:
    """Return the outputs of `model`."""
    if isinstance(inputs, dict):
        return model(**inputs)
    if isinstance(inputs, (tuple, list)):
        return model(*inputs)
    return model(inputs)
