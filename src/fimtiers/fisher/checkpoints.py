"""Gradients past reentrant activation checkpoints, which `torch.autograd.grad` refuses to take."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointFunction

REENTRANT = f"{CheckpointFunction.__name__}Backward"
"""Name of the node in the graph."""


def has_reentrant_checkpoint(losses: Sequence[Tensor]) -> bool:
    """Return whether backward passes from `losses` meet a reentrant checkpoint."""
    pending, seen = [loss.grad_fn for loss in losses], set()
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        if node.name() == REENTRANT:
            return True
        seen.add(node)
        pending.extend(following for following, _ in node.next_functions)
    return False


def accumulated_gradients(
    model: nn.Module, loss: Tensor, parameters: Sequence[Tensor], retain: bool
) -> list[Tensor | None]:
    """Return gradients by ``loss.backward()``, which is all that such a checkpoint allows.

    The gradients that the parameters of `model` hold are put back.
    """
    kept = [(p, p.grad) for p in model.parameters()]
    try:
        for p, _ in kept:
            p.grad = None
        loss.sum().backward(retain_graph=retain)
        return [p.grad for p in parameters]
    finally:
        for p, gradient in kept:
            p.grad = gradient
