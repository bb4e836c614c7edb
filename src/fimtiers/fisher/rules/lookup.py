"""Tables looked up by index: embeddings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fimtiers.fisher.forms import Scatter
from fimtiers.fisher.layout import Layout
from fimtiers.fisher.rules.protocol import Interceptor, Operation
from fimtiers.fisher.tape import MixedSamplesError
from fimtiers.fisher.tracked import Tracked


@dataclass(frozen=True)
class Rows:
    """Gradient of a table of which rows were looked up.

    Attributes
    ----------
    length
        Number of rows.
    padding
        Row that takes no gradient, or None.
    """

    length: int
    padding: int | None

    def __call__(
        self, gradient: Tensor, saved: tuple[Tensor, ...], layout: Layout, samples: int
    ) -> Scatter:
        """Return the rows of gradient with where they go."""
        (index,) = saved
        axis = layout.axis or 0
        if layout.axis is not None and axis >= index.ndim:
            raise MixedSamplesError
        rows = layout.front(gradient, axis, samples)
        index = layout.front(index, axis, samples).flatten(1)
        if self.padding is not None:
            index = index.masked_fill(index == self.padding, -1)
        return Scatter(rows.flatten(1, -2), index, self.length)


def embedding(
    tape: Interceptor,
    func: Operation,
    index: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Run an embedding; one that renormalises or rescales has no rule."""
    if not isinstance(weight, Tracked) or max_norm is not None or scale_grad_by_freq:
        return NotImplemented
    length = weight.value.shape[0]
    if padding_idx is not None:
        padding_idx %= length
    # Never sparse: the gradient must reach the site as rows.
    result = func(index, weight.value, padding_idx)
    return tape.watch(result, [(weight, Rows(length, padding_idx))], (index,))


RULES: dict[str, Callable[..., Any]] = {"embedding": embedding}
