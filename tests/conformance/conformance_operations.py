"""A model that is one function of raw parameters and data."""

from collections.abc import Callable, Mapping
from typing import Any

from conformance_draws import Draws
from torch import Tensor, nn

Made = tuple[nn.Module, list[Tensor]]
Recipe = Callable[[Draws], Made]


class Operation(nn.Module):
    """A function of parameters and data in one of the layouts of (sample, token, channel).

    Attributes
    ----------
    function
        Maps (parameters by name, data, further inputs …) to outputs in the layout of the data.
    layout
        ``plain``, ``time first``, or ``folded``: samples and tokens in one axis.
    stem
        A scale in front, so that the data have a gradient; or None.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        parameters: Mapping[str, Tensor],
        layout: str = "plain",
        stem: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.function, self.layout = function, layout
        self.raw = nn.ParameterDict({k: nn.Parameter(v) for k, v in parameters.items()})
        self.stem = None if stem is None else nn.Parameter(stem)

    def forward(self, x: Tensor, *others: Tensor) -> Any:
        """Return the result, samples in front."""
        if self.stem is not None:
            x = x * self.stem
        front = x.shape[:2]
        if self.layout == "time first":
            x = x.transpose(0, 1)
        elif self.layout == "folded":
            x = x.flatten(0, 1)
        y = self.function(self.raw, x, *others)
        if self.layout == "time first":
            return y.transpose(0, 1)
        return y.unflatten(0, front) if self.layout == "folded" else y


LAYOUTS = ("plain", "time first", "folded")


def operation(
    d: Draws,
    function: Callable[..., Any],
    parameters: Mapping[str, Tensor],
    x: Tensor,
    *others: Tensor,
    layout: str = "plain",
) -> Made:
    """Return a model of one function, with a stem or without, and its inputs."""
    stem = 1 + 0.3 * d.normal(x.shape[-1]) if x.is_floating_point() and d.yes() else None
    return Operation(function, parameters, layout, stem), [x, *others]
