"""What operations on parameters and data mean for per-sample gradients, one family per file.

A rule runs the operation on values and watches the result; it returns ``NotImplemented`` for
arguments it does not cover. A decomposition rewrites a composite operation into others.
"""

from collections.abc import Callable
from typing import Any

from fimtiers.fisher.rules import (
    attention,
    bag,
    contraction,
    convolution,
    elementwise,
    lookup,
    normalisation,
    recurrent,
)

RULES: dict[str, Callable[..., Any]] = {
    **attention.RULES,
    **bag.RULES,
    **contraction.RULES,
    **convolution.RULES,
    **elementwise.RULES,
    **lookup.RULES,
    **normalisation.RULES,
    **recurrent.RULES,
}
"""Rules by name of the torch function."""

DECOMPOSITIONS: dict[str, Callable[..., Any]] = {
    **attention.DECOMPOSITIONS,
    **contraction.DECOMPOSITIONS,
    **elementwise.DECOMPOSITIONS,
    **recurrent.DECOMPOSITIONS,
}
"""Decompositions by name of the torch function."""
