"""One module per substrate; nothing is imported here, so editing one substrate touches no other.

Only substrate modules may live in this folder; ``docs/how-to/add-a-substrate.md`` shows how to
write one.
"""

from argparse import Namespace
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np

from fimtiers.records import FisherDiagonal, Settings, State


class Substrate(Protocol):
    """What a substrate module offers.

    ``SETTINGS`` is a literal dictionary, setting name to JSON Schema (with ``description``, and
    ``default`` where the setting may be left out). It is read from the source without importing
    the module, so it must not contain anything but literals.
    """

    SETTINGS: dict[str, dict[str, Any]]
    WITHOUT_EFFECT: str
    """Optional, with a setting ``exact_zeros``: the role of the parameters whose F it zeroes."""

    def build_state(self, settings: Settings, seeds: "np.ndarray") -> State:
        """Initialise or train the parameters of one point, for all its seeds at once."""

    def fisher_diagonal(self, settings: Settings, state: State) -> FisherDiagonal:
        """Return the Fisher diagonal of one point, for all its seeds at once."""


def load(name: str) -> Substrate:
    """Import the substrate called `name`.

    Raises
    ------
    ModuleNotFoundError
        If there is no module of that name in this folder.
    """
    return cast(Substrate, import_module(f"fimtiers.substrates.{name}"))


def roots(args: Namespace, function: str = "") -> list[str]:
    """Name what a script with these arguments loads by name: a module, or one function of it."""
    module = f"fimtiers.substrates.{args.settings['substrate']}"
    return [f"{module}:{function}" if function else module]
