"""What rules may ask of the interception that calls them."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor

from fimtiers.fisher.tape import FormBuilder
from fimtiers.fisher.tracked import Tracked

Operation = Callable[..., Any]
"""A torch function."""


class Interceptor(Protocol):
    """Delivers gradients of watched results to forms."""

    def watch(
        self,
        output: Tensor,
        uses: Sequence[tuple[Tracked, FormBuilder]],
        saved: tuple[Tensor, ...] = (),
    ) -> Tensor:
        """Return `output`; its gradient will be made into forms of the tracked tensors."""
