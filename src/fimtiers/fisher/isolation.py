"""Keeps what the engine does to a model from others: buffers as they were, one thread at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

_LOCKS: "WeakKeyDictionary[nn.Module, RLock]" = WeakKeyDictionary()
"""One lock per model that is alive: hooks and swapped parameters are seen by all threads."""

_ALL = RLock()


@contextmanager
def isolated(model: nn.Module) -> Iterator[None]:
    """Let no other thread extract from `model`, and put its buffers back at the end."""
    with _ALL:
        lock = _LOCKS.setdefault(model, RLock())
    with lock:
        kept = _buffers(model)
        try:
            yield
        finally:
            _restore(kept)


def _buffers(model: nn.Module) -> list[tuple[nn.Module, str, Tensor, int, Tensor]]:
    """Return each buffer with the module that holds it, its name, its version and a copy."""
    return [
        (module, name, buffer, buffer._version, buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None and not buffer.is_inference()
    ]


def _restore(kept: list[tuple[nn.Module, str, Tensor, int, Tensor]]) -> None:
    for module, name, buffer, version, copy in kept:
        if buffer._version != version:
            with torch.no_grad():
                buffer.detach().copy_(copy)
        if module._buffers.get(name) is not buffer:
            module._buffers[name] = buffer
