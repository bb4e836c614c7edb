"""Elementwise functions run forward and backward without a trace of what comes before them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

aten = torch.ops.aten

Derivative = Callable[[Tensor, bool], Tensor]
"""Maps (gradient of outputs, whether another backward pass follows) to the gradient of inputs. The
gradient has shape (network, sample, width), and may be one of the first of each alone."""

IN_PLACE: dict[type[nn.Module], tuple[Callable[[Tensor], Tensor], Callable[..., Tensor]]] = {
    nn.ReLU: (torch.relu_, lambda g, y: aten.threshold_backward.grad_input(g, y, 0, grad_input=g)),
    nn.Tanh: (torch.tanh_, lambda g, y: aten.tanh_backward.grad_input(g, y, grad_input=g)),
    nn.Sigmoid: (torch.sigmoid_, lambda g, y: aten.sigmoid_backward.grad_input(g, y, grad_input=g)),
}
"""Functions whose derivative follows from their outputs, and what multiplies a gradient by it."""


def applied(functions: Sequence[nn.Module], data: Tensor) -> tuple[Tensor, list[Derivative]]:
    """Apply functions one after the other; `data`, and later the gradients, may be overwritten.

    Returns
    -------
    Tensor
        The outputs, detached.
    list of callable
        The derivative of each function.
    """
    derivatives: list[Derivative] = []
    for number, function in enumerate(functions):
        if number == 0 and type(function) in IN_PLACE:
            run, multiply = IN_PLACE[type(function)]
            data = run(data)
            derivatives.append(_from_outputs(multiply, data))
        else:
            start = data.detach().requires_grad_()
            end = function(start.clone() if getattr(function, "inplace", False) else start)
            derivatives.append(_traced(start, end))
            data = end.detach()
    return data, derivatives


def _from_outputs(multiply: Callable[..., Tensor], outputs: Tensor) -> Derivative:
    return lambda gradient, again: multiply(
        gradient, outputs[: gradient.shape[0], : gradient.shape[1]]
    )


def _traced(start: Tensor, end: Tensor) -> Derivative:
    def pulled_back(gradient: Tensor, again: bool) -> Tensor:
        networks, samples, _ = gradient.shape
        if gradient.shape != end.shape:
            whole = torch.zeros_like(end)
            whole[:networks, :samples] = gradient
            gradient = whole
        (gradient,) = torch.autograd.grad(end, start, gradient, retain_graph=again)
        return gradient[:networks, :samples]

    return pulled_back
