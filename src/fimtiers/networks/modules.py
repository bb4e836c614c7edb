"""Ordinary torch modules as states: constructed once per seed, flattened, and filled again."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from fimtiers import records, torch_generators
from fimtiers.records import State

Build = Callable[[], nn.Module]
"""Constructs one module, drawing its initial parameters from torch's global generator."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""Takes outputs and probes, each with the probe as its first axis; returns losses (probe,)."""

Draw = Callable[[Generator, int], Tensor]
"""Draws the next probes of a stream, shape (probe, ...)."""


def module_state(
    build: Build, seeds: NDArray[np.int64], roles: Mapping[str, str]
) -> tuple[State, list[Generator], list[nn.Module]]:
    """Construct one module per seed, as after ``torch.manual_seed(seed)``.

    Parameters
    ----------
    build
        Constructs the module.
    seeds
        Shape (seed,).
    roles
        For `tensor_table`.

    Returns
    -------
    state
        Parameters in the order of ``named_parameters``, and the generators.
    streams
        One generator per seed, where the construction left it.
    modules
        One per seed.
    """
    modules, streams = construct(build, seeds)
    state = State(
        theta=np.stack([parameter_vector(module) for module in modules]),
        tensors=tensor_table(modules[0], roles),
        fixed={"generator": torch_generators.pack(streams)},
    )
    return state, streams, modules


def construct(
    build: Build, seeds: Sequence[int] | NDArray[np.int64]
) -> tuple[list[nn.Module], list[Generator]]:
    """Return one module per seed and, per seed, the generator that goes on after its construction.

    Constructors of torch draw from the global generator; it is put back afterwards.
    """
    modules, streams = [], []
    for seed in seeds:
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(int(seed))
            modules.append(build())
            stream = Generator()
            stream.set_state(torch.random.default_generator.get_state())
        streams.append(stream)
    return modules, streams


def parameter_vector(module: nn.Module) -> NDArray[np.float32]:
    """Return all parameters in one vector; a parameter that is used twice appears once."""
    return nn.utils.parameters_to_vector(module.parameters()).detach().numpy()


def fill(build: Build, theta: NDArray[np.float32], dtype: torch.dtype) -> nn.Module:
    """Return a module with the given parameters, shape (parameter,), in evaluation mode."""
    (module,), _ = construct(build, [0])
    # A copy, because the parameters become views of the vector.
    nn.utils.vector_to_parameters(torch.tensor(theta), module.parameters())
    return module.to(dtype).eval()


def tensor_table(module: nn.Module, roles: Mapping[str, str]) -> tuple[records.Tensor, ...]:
    """Name the tensors in the order of `parameter_vector`, with their layers and roles.

    The layers are the children of the module in their order, each element of a sequence of
    children being a layer of its own; so children have to be listed in the order of computation.

    Parameters
    ----------
    module
        Any module.
    roles
        Role by name of parameter, without the numbers: ``blocks.mlp_in.weight``.

    Raises
    ------
    KeyError
        If a parameter has no role.
    """
    layers: dict[str, int] = {}
    table = []
    for name, parameter in module.named_parameters():
        child, *rest = name.split(".")
        stage = f"{child}.{rest[0]}" if rest and rest[0].isdigit() else child
        layer = layers.setdefault(stage, len(layers))
        role = roles[".".join(part for part in name.split(".") if not part.isdigit())]
        table.append(records.Tensor(name, layer, role, tuple(parameter.shape)))
    return tuple(table)
