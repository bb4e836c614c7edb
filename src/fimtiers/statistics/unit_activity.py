"""How the hidden units of a network respond: never, rarely, always linearly, or not any more.

A ReLU that is off for every probe has F exactly zero in all its weights, and so have all units
whose only readers are off; one that is always on is linear. Both come from initialisations in
which the signal shrinks and the biases take over. Smooth activations have no dead units in this
strict sense, as no slope is exactly zero. They saturate: a unit is saturated if its slope is below
0.01 at every probe (that of a sigmoid relative to its largest), and linear if it is within 0.01 of
one.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers.records import Variable

RARELY = 0.01
"""A ReLU that is on for fewer probes than this share is called rare."""
STRICT = ("relu",)
"""Activations whose slope is zero or one."""


def unit_activity(diagnostics: Mapping[str, Variable]) -> dict[str, NDArray[np.float64]]:
    """Return fractions of the hidden units of each network, shape (seed,).

    ``dead_units``, ``rare_units`` and ``always_on_units`` of those that are ReLUs;
    ``saturated_units`` and ``linear_units`` of those that are smooth, and ``saturated_share``, the
    share of pairs of a smooth unit and a probe at which the slope is below 0.01.
    ``constant_units`` of the gates of a circuit, see `fimtiers.substrates.layered_circuit`. What a
    network does not have is left out.

    Parameters
    ----------
    diagnostics
        Of a Fisher diagonal: ``unit_kind``, shape (unit,); ``unit_inputs``; ``unit_flat`` and
        ``unit_linear``, numbers of inputs, shape (seed, unit); or ``constant_fraction``.

    Raises
    ------
    ValueError
        If a unit is flat or linear for more inputs than there are.
    """
    fractions = {}
    if "constant_fraction" in diagnostics:
        fractions["constant_units"] = diagnostics["constant_fraction"][1]
    if "unit_kind" not in diagnostics:
        return fractions
    strict = np.isin(diagnostics["unit_kind"][1], STRICT)
    inputs = int(diagnostics["unit_inputs"][1])
    flat, linear = diagnostics["unit_flat"][1], diagnostics["unit_linear"][1]
    if max(flat.max(), linear.max()) > inputs:
        raise ValueError(
            f"a unit is flat for {flat.max()} and one linear for {linear.max()} of {inputs} inputs"
        )
    if strict.any():
        fractions |= _of_relus(inputs - flat[:, strict], inputs)
    if not strict.all():
        fractions |= {
            "saturated_units": (flat[:, ~strict] == inputs).mean(axis=1),
            "saturated_share": flat[:, ~strict].mean(axis=1) / inputs,
            "linear_units": (linear[:, ~strict] == inputs).mean(axis=1),
        }
    return fractions


def _of_relus(on: NDArray[np.integer[Any]], inputs: int) -> dict[str, NDArray[np.float64]]:
    rare = (on > 0) & (on < min(RARELY * inputs, inputs))
    return {
        "dead_units": (on == 0).mean(axis=1),
        "rare_units": rare.mean(axis=1),
        "always_on_units": (on == inputs).mean(axis=1),
    }
