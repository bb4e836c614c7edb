"""What the engine refuses to compute, and how it says so."""

from typing import Any

from torch import nn


class SampleCouplingError(ValueError):
    """The loss of a sample depends on its batch mates or on chance; it has no gradient of its own.

    Raised by name: batch norm in train mode, dropout in train mode, random operations.
    """


class RandomCallError(SampleCouplingError):
    """The model draws random numbers; whether its losses depend on them is not known yet."""


class LossError(ValueError):
    """A loss, or its gradient, is not one finite number per sample, or per token."""


class WrongRouteError(RuntimeError):
    """Every route to a parameter's per-sample gradient disagrees with the single-sample loop."""


RANDOM_OPERATIONS = frozenset({
    "bernoulli", "bernoulli_", "multinomial", "normal", "normal_", "rand", "rand_like", "randn",
    "randn_like", "uniform_", "exponential_", "gumbel_softmax", "rrelu",
})  # fmt: skip
"""Functions that draw random numbers whatever their arguments."""

DROPOUT_OPERATIONS = frozenset({
    "dropout", "dropout_", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout",
    "alpha_dropout_", "feature_dropout", "feature_alpha_dropout", "feature_alpha_dropout_",
})  # fmt: skip
"""Functions that take ``(input, p, training)``."""


SUSPECT = RANDOM_OPERATIONS | DROPOUT_OPERATIONS | {"scaled_dot_product_attention", "batch_norm"}
"""Functions whose arguments `refuse_coupled_call` looks at."""


BATCH_NORM = nn.modules.batchnorm._BatchNorm
DROPOUT = nn.modules.dropout._DropoutNd


def refuse_coupled_modules(model: nn.Module) -> None:
    """Raise if a module of `model` would couple samples or draw random numbers.

    Raises
    ------
    SampleCouplingError
        Names the module and what to do.
    """
    for name, module in model.named_modules():
        if isinstance(module, BATCH_NORM) and (module.training or module.running_mean is None):
            raise SampleCouplingError(
                f"{_label(module, name)} normalises by the statistics of the batch, so samples "
                "have no gradients of their own; use running statistics and call model.eval()"
            )
        if isinstance(module, DROPOUT) and module.training and module.p > 0:
            raise SampleCouplingError(
                f"{_label(module, name)} with p = {module.p} in train mode makes the loss random; "
                "call model.eval() or set p to 0"
            )


def _label(module: nn.Module, name: str) -> str:
    return f"{type(module).__name__} {name!r}"


def refuse_coupled_call(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], draws_unused: bool = False
) -> None:
    """Raise if calling the function called `name` would couple samples or draw random numbers.

    Parameters
    ----------
    name, args, kwargs
        The call.
    draws_unused
        Whether random numbers may be drawn, since nothing depends on them.

    Raises
    ------
    RandomCallError
        If it draws random numbers whatever its arguments. Names the function.
    SampleCouplingError
        If it couples samples or drops some at random. Names the function.
    """
    random = name in RANDOM_OPERATIONS and not (name == "rrelu" and not _training(args, kwargs, 3))
    if random and not draws_unused:
        raise RandomCallError(
            f"{name} draws random numbers in the forward pass; pass them in as inputs instead"
        )
    if name in DROPOUT_OPERATIONS:
        p = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
        if p > 0 and _training(args, kwargs, 2, default=True):
            raise SampleCouplingError(f"{name} with p = {p} in train mode; call model.eval()")
    if name == "scaled_dot_product_attention":
        p = args[4] if len(args) > 4 else kwargs.get("dropout_p", 0.0)
        if p > 0:
            raise SampleCouplingError(f"{name} with dropout_p = {p}; call model.eval()")
    if name == "batch_norm" and _training(args, kwargs, 5):
        raise SampleCouplingError("batch_norm with batch statistics; call model.eval()")


def _training(
    args: tuple[Any, ...], kwargs: dict[str, Any], position: int, default: bool = False
) -> bool:
    return bool(args[position] if len(args) > position else kwargs.get("training", default))
