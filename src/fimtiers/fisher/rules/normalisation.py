"""Normalisation followed by a scale and a shift: layer, RMS, group, instance, batch (eval)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fimtiers.fisher.forms import Dense
from fimtiers.fisher.layout import Layout
from fimtiers.fisher.rules.elementwise import Unbroadcast, unbroadcast
from fimtiers.fisher.rules.protocol import Interceptor, Operation
from fimtiers.fisher.tracked import Tracked, value


@dataclass(frozen=True)
class Scale:
    """Gradient of the scale: what comes back times the normalised data, computed anew.

    Attributes
    ----------
    normalise
        Gives the normalised data without scale and shift.
    unbroadcast
        Sums to the shape of the scale.
    """

    normalise: Callable[[Tensor], Tensor]
    unbroadcast: Unbroadcast

    def __call__(
        self, gradient: Tensor, saved: tuple[Tensor, ...], layout: Layout, samples: int
    ) -> Dense:
        """Return the per-sample sums."""
        (data,) = saved
        return self.unbroadcast(gradient * self.normalise(data), (), layout, samples)


def layer_norm(
    tape: Interceptor,
    func: Operation,
    data: Any,
    normalized_shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    *_: Any,
) -> Any:
    """Run a layer norm."""
    return _affine(tape, lambda x, w, b: func(x, normalized_shape, w, b, eps), data, weight, bias)


def rms_norm(
    tape: Interceptor,
    func: Operation,
    data: Any,
    normalized_shape: Any,
    weight: Any = None,
    eps: float | None = None,
) -> Any:
    """Run an RMS norm."""
    return _affine(tape, lambda x, w, b: func(x, normalized_shape, w, eps), data, weight, None)


def group_norm(
    tape: Interceptor,
    func: Operation,
    data: Any,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    *_: Any,
) -> Any:
    """Run a group norm."""
    return _affine(
        tape, lambda x, w, b: func(x, num_groups, w, b, eps), data, weight, bias, channels=True
    )


def instance_norm(
    tape: Interceptor,
    func: Operation,
    data: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *_: Any,
) -> Any:
    """Run an instance norm; running statistics are read, never updated."""
    mean, variance = (None, None) if use_input_stats else (running_mean, running_var)
    if not func.__module__.startswith("torch.nn"):
        return NotImplemented
    return _affine(
        tape,
        lambda x, w, b: func(x, mean, variance, w, b, use_input_stats, momentum, eps),
        data, weight, bias, channels=True,
    )  # fmt: skip


def batch_norm(
    tape: Interceptor,
    func: Operation,
    data: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *_: Any,
) -> Any:
    """Run a batch norm with running statistics; see `refusals` for the other kind."""
    if not func.__module__.startswith("torch.nn"):
        return NotImplemented
    return _affine(
        tape,
        lambda x, w, b: func(x, running_mean, running_var, w, b, False, momentum, eps),
        data, weight, bias, channels=True,
    )  # fmt: skip


def _affine(
    tape: Interceptor,
    normalise: Callable[[Tensor, Any, Any], Tensor],
    data: Any,
    weight: Any,
    bias: Any,
    channels: bool = False,
) -> Any:
    if isinstance(data, Tracked):
        return NotImplemented
    result = normalise(data, value(weight), value(bias))
    trailing = (1,) * (data.ndim - 2) if channels else ()
    uses: list[Any] = []
    for parameter in (weight, bias):
        if not isinstance(parameter, Tracked):
            continue
        shape = parameter.value.shape
        to_shape = Unbroadcast(shape, (*shape, *trailing)) if channels else unbroadcast(shape)
        if parameter is weight:
            uses.append((weight, Scale(lambda x: normalise(x, None, None), to_shape)))
        else:
            uses.append((bias, to_shape))
    return tape.watch(result, uses, (data,) if isinstance(weight, Tracked) else ())


RULES: dict[str, Callable[..., Any]] = {
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
    "batch_norm": batch_norm,
}
