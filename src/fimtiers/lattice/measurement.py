"""Bring a gauge field to equilibrium, then average the squared force over its configurations.

For a field with the law exp(−S) the score of a shift of one link is the force −∂S, so the mean
squared force is the diagonal of the Fisher information about shifts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fimtiers.lattice.noise import noise_floor
from fimtiers.partial_probes import partial_counts
from fimtiers.progress import track
from fimtiers.records import Variable


class Field(Protocol):
    """A gauge field and the stream of random numbers that updates it."""

    def sweep(self) -> float:
        """Update the links in place, once over; return the fraction of accepted proposals."""

    def force(self) -> tuple[NDArray[np.float64], float]:
        """Return the force on every parameter, shape (parameters,), and the average plaquette."""


@dataclass(frozen=True)
class Measurement:
    """What the configurations of one field say.

    Attributes
    ----------
    mean_squared_force
        F, shape (parameters,).
    plaquette
        Average plaquette, over the lattice and the configurations.
    acceptance_rate
        Fraction of proposals accepted between the configurations.
    standard_error
        Root mean square over parameters of the standard error of F, relative to the mean of F.
    variance_between_parameters
        Variance of the exact F over parameters, relative to the squared mean; the part of the
        variance of F that both halves of the run agree on. Negative values are noise.
    partial
        F of the first configurations alone, by their number.
    """

    mean_squared_force: NDArray[np.float64]
    plaquette: float
    acceptance_rate: float
    standard_error: float
    variance_between_parameters: float
    partial: Mapping[int, NDArray[np.float64]]


def thermalise(field: Field, sweeps: int) -> tuple[NDArray[np.float64], float]:
    """Update `field` in place; return the plaquette after each sweep and the acceptance rate."""
    plaquettes, rates = np.empty(sweeps), np.empty(sweeps)
    for sweep in track(range(sweeps), sweeps, "thermalisation sweeps"):
        rates[sweep] = field.sweep()
        plaquettes[sweep] = field.force()[1]
    return plaquettes, float(rates.mean())


def measure(field: Field, probes: int, decorrelation_sweeps: int) -> Measurement:
    """Average the squared force over `probes` configurations, with sweeps before each of them.

    The two halves of the run are summed apart: how much they differ gives the standard error
    without a model of the autocorrelation, as long as that is short against half a run. Drift
    counts as error.

    Parameters
    ----------
    field
        Field in equilibrium; updated in place.
    probes
        Number of configurations, at least 2.
    decorrelation_sweeps
        Number of sweeps before each configuration.

    Raises
    ------
    ValueError
        If there are not two probes, one for each half.
    """
    if probes < 2:
        raise ValueError(f"{probes} probes; at least 2 are needed, one for each half of the run")
    sizes = np.array([probes // 2, probes - probes // 2])
    sums: list[NDArray[np.float64]] = []
    partial: dict[int, NDArray[np.float64]] = {}
    plaquettes, rates = np.empty(probes), np.empty((probes, decorrelation_sweeps))
    for probe in track(range(probes), probes, "configurations"):
        for sweep in range(decorrelation_sweeps):
            rates[probe, sweep] = field.sweep()
        force, plaquettes[probe] = field.force()
        if probe in (0, sizes[0]):
            sums.append(np.zeros_like(force))
        sums[-1] += force**2
        if probe + 1 in partial_counts(probes):
            partial[probe + 1] = np.sum(sums, axis=0) / (probe + 1)
    mean = (sums[0] + sums[1]) / probes
    difference = sums[0] / sizes[0] - sums[1] / sizes[1]
    squared_error = (difference**2).mean() * sizes.prod() / probes**2
    return Measurement(
        mean_squared_force=mean,
        plaquette=float(plaquettes.mean()),
        acceptance_rate=float(rates.mean()),
        standard_error=float(np.sqrt(squared_error) / mean.mean()),
        variance_between_parameters=float((mean.var() - squared_error) / mean.mean() ** 2),
        partial=partial,
    )


def join_partial(measurements: Sequence[Measurement]) -> dict[int, NDArray[np.float64]]:
    """Return F of the first configurations of all seeds by their number, (seed, parameter)."""
    return {
        count: np.stack([measurement.partial[count] for measurement in measurements])
        for count in measurements[0].partial
    }


def diagnostics(
    measurements: Sequence[Measurement], curvature_per_plaquette: float
) -> dict[str, Variable]:
    """Tabulate what the measurements of all seeds say, apart from F.

    Parameters
    ----------
    measurements
        One per seed.
    curvature_per_plaquette
        Mean of ∂²S over that of the plaquette. In equilibrium under the invariant measure the
        mean squared force is the mean of ∂²S (Schwinger-Dyson equation), so the ratio of the two
        is 1.
    """
    mean_force = np.array([m.mean_squared_force.mean() for m in measurements])
    plaquette = np.array([m.plaquette for m in measurements])
    per_seed = {
        "plaquette": plaquette,
        "acceptance_rate": np.array([m.acceptance_rate for m in measurements]),
        "schwinger_dyson_ratio": mean_force / (curvature_per_plaquette * plaquette),
        "relative_standard_error": np.array([m.standard_error for m in measurements]),
        "noise_floor": np.array([noise_floor(m.standard_error) for m in measurements]),
        "relative_variance_between_parameters": np.array(
            [m.variance_between_parameters for m in measurements]
        ),
    }
    return {name: (("seed",), values) for name, values in per_seed.items()}
