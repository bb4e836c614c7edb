"""Refuses losses that are random, and notices those that are made of parameters."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from fimtiers.fisher.refusals import SUSPECT, refuse_coupled_call

SEQUENCES = (tuple, list)
"""Arguments that parameters are looked for in."""


class LossOfParametersError(Exception):
    """A loss is made of parameters itself, so more than the model's outputs leads to them."""


class LossWatch(TorchFunctionMode):
    """Raises when a torch function draws random numbers, couples samples or meets a parameter.

    Parameters
    ----------
    parameters
        Tensors that must not be met.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        super().__init__()
        self.parameters = frozenset(id(p) for p in parameters)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run one torch function.

        Raises
        ------
        LossOfParametersError, SampleCouplingError
            If it is none for a loss.
        """
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in SUSPECT:
            refuse_coupled_call(name, args, kwargs)
        if self._met(args) or (kwargs and self._met(kwargs.values())):
            raise LossOfParametersError(f"the loss meets a parameter in {name}")
        return func(*args, **kwargs)

    def _met(self, args: Iterable[Any]) -> bool:
        """Return whether a parameter is among arguments; called for every operation."""
        for x in args:
            if id(x) in self.parameters or (isinstance(x, SEQUENCES) and self._met(x)):
                return True
        return False
