"""Per-sample gradients without rules: in chunks by vmap, or one sample after the other.

The loop is the definition; the engine is checked against it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap
from torch.utils.hooks import RemovableHandle

from fimtiers.fisher.batches import Inputs, call, length, part
from fimtiers.fisher.checkpoints import accumulated_gradients, has_reentrant_checkpoint
from fimtiers.fisher.forms import Dense
from fimtiers.fisher.objective import Objective
from fimtiers.fisher.squares import Scaler
from fimtiers.fisher.sums import TILE, Sums
from fimtiers.fisher.tracked import mapped

CHUNK_BYTES = 64 << 20
"""Size of the per-sample gradients that exist at a time."""


def add_by_loop(
    model: nn.Module, objective: Objective, batch: tuple[Inputs, Any], names: Sequence[str],
    sums: Sums,
) -> Tensor:  # fmt: skip
    """Add the squared gradients of one sample after the other, by plain backward passes.

    Parameters
    ----------
    model, objective, batch, names, sums
        As of `fimtiers.fisher.engine.Engine`.

    Returns
    -------
    Tensor
        The losses, shape (sample, backward pass).
    """

    def receive(gradients: Mapping[str, Tensor]) -> None:
        for name, gradient in gradients.items():
            add_square(sums, name, gradient)

    parameters = dict(model.named_parameters())
    chosen = {name: parameters[name] for name in names}
    return loop_gradients(model, objective, batch, chosen, receive)


def loop_gradients(
    model: nn.Module, objective: Objective, batch: tuple[Inputs, Any],
    parameters: Mapping[str, Tensor], receive: Callable[[dict[str, Tensor]], None],
) -> Tensor:  # fmt: skip
    """Hand the gradients of one sample after the other to `receive`, as they are computed.

    Large ones come alone, and are freed before those of the next parameter are computed, unless
    `receive` keeps them.

    Parameters
    ----------
    model, objective, batch
        As of `fimtiers.fisher.engine.Engine`.
    parameters
        Those to take gradients of, by name.
    receive
        Takes gradients of one loss of one sample by the names of parameters; those that the loss
        does not depend on are left out.

    Returns
    -------
    Tensor
        The losses, shape (sample, backward pass).
    """
    inputs, labels = batch
    chosen, values = list(parameters.values()), []
    for n in range(length(inputs)):
        outputs = call(model, part(inputs, n, n + 1))
        losses = objective.losses(outputs, part(labels, n, n + 1), 1)
        values.append(torch.stack([loss.detach() for loss in losses], 1))
        reached = [loss for loss in losses if loss.requires_grad]
        if n == 0:
            accumulates = has_reentrant_checkpoint(reached)
        hooks: list[RemovableHandle] = []
        try:
            # Not before the forward pass, whose own derivatives are not the loop's.
            for name, p in parameters.items():
                if p.numel() > TILE:
                    hooks.append(p.register_hook(_taker(name, receive)))
            for number, loss in enumerate(reached):
                retain = number + 1 < len(reached)
                gradients: Sequence[Tensor | None]
                if accumulates:
                    gradients = accumulated_gradients(model, loss, chosen, retain)
                else:
                    gradients = torch.autograd.grad(
                        loss, chosen, retain_graph=retain, allow_unused=True
                    )
                named = zip(parameters, gradients, strict=True)
                given = {name: gradient for name, gradient in named if gradient is not None}
                for name, gradient in given.items():
                    if gradient.is_sparse:
                        receive({name: gradient.to_dense()})
                receive({
                    name: _magnitude(gradient) for name, gradient in given.items()
                    if not gradient.is_sparse and gradient.numel() <= TILE
                })  # fmt: skip
        finally:
            for hook in hooks:
                hook.remove()
    return torch.cat(values)


def _taker(
    name: str, receive: Callable[[dict[str, Tensor]], None]
) -> Callable[[Tensor], Tensor | None]:
    """Return a hook that hands a gradient over and lets torch collect an empty shell of it."""

    def take(gradient: Tensor) -> Tensor | None:
        if gradient.is_sparse:
            return None
        receive({name: _magnitude(gradient)})
        return gradient.new_zeros(()).expand_as(gradient)

    return take


def _magnitude(gradient: Tensor) -> Tensor:
    """Return |g| of complex gradients: F sums the squares of both parts."""
    return gradient.abs() if gradient.is_complex() else gradient


def add_square(sums: Sums, name: str, gradient: Tensor) -> None:
    """Add the square of a gradient to the sums of the parameter called `name`."""
    total = sums.totals[name]
    if total.dtype == torch.float64 and total.device == gradient.device and total.numel() <= TILE:
        exact = gradient.double()  # whose square needs no scale
        total.addcmul_(exact, exact)
    else:
        sums.add(name, total, *Dense(gradient[None]).squares(Scaler()))


def add_by_vmap(
    model: nn.Module, objective: Objective, batch: tuple[Inputs, Any], names: Sequence[str],
    sums: Sums, draws_unused: bool = False,
) -> Tensor:  # fmt: skip
    """Add the squared gradients of some samples at a time, by `torch.func.vmap`.

    Parameters
    ----------
    model, objective, batch, names, sums
        As of `fimtiers.fisher.engine.Engine`.
    draws_unused
        Whether the model draws random numbers that its losses do not depend on.

    Returns
    -------
    Tensor
        The losses, shape (sample, backward pass).
    """
    inputs, labels = batch
    fixed = {name: p.detach() for name, p in model.named_parameters()}
    chosen = {name: fixed[name] for name in names}

    def losses(chosen: Mapping[str, Tensor], inputs: Inputs, labels: Any) -> tuple[Tensor, Tensor]:
        inputs, labels = mapped(_with_axis, (inputs, labels))
        outputs = call(Functional(model, {**fixed, **chosen}), inputs)
        values = torch.cat(list(objective.losses(outputs, labels, 1)))
        return values, values

    samples = length(inputs)
    size = sum(p.numel() * p.element_size() for p in chosen.values())
    chunk, found = max(1, CHUNK_BYTES // max(1, size)), []
    randomness = "different" if draws_unused else "error"
    for start in range(0, samples, chunk):
        piece = part(inputs, start, start + chunk), part(labels, start, start + chunk)
        axes = mapped(lambda x: 0 if isinstance(x, Tensor) else None, piece)
        gradients, values = vmap(
            jacrev(losses, has_aux=True), (None, *axes), randomness=randomness
        )(chosen, *piece)
        found.append(values.detach())
        for name, gradient in gradients.items():
            squares = Dense(_magnitude(gradient).flatten(0, 1)).squares(Scaler())
            sums.add(name, sums.totals[name], *squares)
    return torch.cat(found)


class Functional:
    """A model called with other parameters and buffers."""

    def __init__(self, model: nn.Module, state: Mapping[str, Tensor]) -> None:
        self.model, self.state = model, _at_every_place(model, state)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model."""
        return functional_call(self.model, self.state, args, kwargs, tie_weights=False)


def _at_every_place(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state with tied tensors under the name of each module that holds them.

    torch does so by itself, but names a module that is used twice twice, and then puts back the
    wrong tensor after the call.
    """
    named = (*model.named_parameters(), *model.named_buffers())
    given = {id(tensor): state[name] for name, tensor in named if name in state}
    return {
        f"{path}.{name}" if path else name: given[id(tensor)]
        for path, module in model.named_modules()
        for name, tensor in (*module._parameters.items(), *module._buffers.items())
        if id(tensor) in given
    }


def _with_axis(item: Any) -> Any:
    return item.unsqueeze(0) if isinstance(item, Tensor) else item
