"""What has to stay the same for preparations to hold: the model's make, not its weights."""

from typing import Any

import torch
from torch import Tensor, nn

from fimtiers.fisher.batches import Inputs
from fimtiers.fisher.tracked import mapped


def structure_of(model: nn.Module, batch: tuple[Inputs, Any]) -> tuple[Any, ...]:
    """Return what compares equal as long as the same computation is run on other numbers.

    Parameters
    ----------
    model
        Its modules with their modes, and where its parameters lie: values may change in place.
    batch
        Inputs and targets: how they nest, and of each tensor the shape of one sample, the dtype
        and the device. Whether autocast is on belongs to it.
    """
    return (
        torch.is_autocast_enabled("cpu"),
        torch.is_autocast_enabled("cuda"),
        tuple((module, module.training) for module in model.modules()),
        tuple(
            (id(p), p.data_ptr(), p.shape, p.stride(), p.dtype, p.requires_grad)
            for p in model.parameters()
        ),
        mapped(_signature, batch),
    )


def _signature(item: Any) -> Any:
    if isinstance(item, Tensor):
        return item.shape[1:], item.dtype, item.device
    return type(item), repr(item)
