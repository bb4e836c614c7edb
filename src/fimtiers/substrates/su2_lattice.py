"""SU(2) lattice gauge field in four dimensions, probed by the force on each link.

Parameters are the rotation vectors α_μ(x) ∈ R³ in radians, one per site x and direction μ of a
periodic lattice of extent L, with the links U = exp(iα·σ/2) and the Wilson action

    S = −(β/2) Σ_{x, μ<ν} Re tr[U_μ(x) U_ν(x+μ̂) U_μ(x+ν̂)† U_ν(x)†].

The sensitivity is the derivative of S with respect to a link. A probe is one configuration of the
field, drawn after a number of sweeps from the one before.

The published protocol draws configurations from exp(−S) with a measure that is flat in α, which
cannot be normalised, so the vectors drift outwards and there is no equilibrium. Its derivative is
a forward difference along the components of α, and depends on |α| through the coordinates. The
corrected one draws from exp(−S) with Haar's measure and takes the left-invariant derivative along
U → U exp(iεσ_j/2), the score of a shift of the link in that direction; its mean square is the true
Fisher information about the shift. It is the same for all links and j by symmetry, so the exact
tier ratio is 1.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers import generators
from fimtiers.lattice import su2
from fimtiers.lattice.geometry import DIMENSIONS, PLAQUETTES_PER_LINK, neighbours
from fimtiers.lattice.measurement import diagnostics, join_partial, measure, thermalise
from fimtiers.records import FisherDiagonal, Settings, State, Tensor

SETTINGS: dict[str, dict[str, Any]] = {
    "extent": {
        "type": "integer",
        "minimum": 2,
        "default": 3,
        "description": "Number of sites along each of the four directions.",
    },
    "inverse_coupling": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 2.0,
        "description": "Inverse coupling β, dimensionless.",
    },
    "thermalisation_sweeps": {
        "type": "integer",
        "minimum": 1,
        "default": 50,
        "description": "Number of sweeps from the start to the state.",
    },
    "decorrelation_sweeps": {
        "type": "integer",
        "minimum": 1,
        "default": 10,
        "description": "Number of sweeps before each probe.",
    },
    "probes": {
        "type": "integer",
        "minimum": 2,
        "default": 20,
        "description": "Number of field configurations in the mean.",
    },
    "step": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 0.2,
        "description": "Standard deviation of one proposal for a component of a rotation vector, "
        "in radians (`published`).",
    },
    "overrelaxation_sweeps": {
        "type": "integer",
        "minimum": 0,
        "default": 1,
        "description": "Number of reflections of all links after each heat bath (`corrected`).",
    },
    "protocol": {
        "enum": ["published", "corrected"],
        "default": "published",
        "description": "`published`: Metropolis with a flat measure on rotation vectors, random "
        "start near zero, forward difference in the components of the vectors; `corrected`: a "
        "sweep draws every link from its heat bath with Haar's measure, then reflects it, start "
        "at zero, left-invariant derivative.",
    },
}

COMPONENTS = 3
START_SCALE = 0.3
"""Standard deviation of the components of the published start, in radians."""
SPACING = 1e-3
"""Spacing of the published forward difference, in radians."""


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Start near the identity and thermalise, one stream of random numbers per seed."""
    shape = (settings["extent"],) * DIMENSIONS + (DIMENSIONS, COMPONENTS)
    streams = generators.seed_numpy(seeds)
    fields = [GaugeField(settings, start(settings, stream), stream) for stream in streams]
    runs = [thermalise(field, settings["thermalisation_sweeps"]) for field in fields]
    theta = np.stack([field.rotation_vectors() for field in fields])
    return State(
        theta=theta.reshape(len(fields), -1),
        tensors=(Tensor("link", -1, "link", shape),),
        fixed={"generator": generators.pack_numpy(streams)},
        diagnostics={
            "plaquette_history": (("seed", "sweep"), np.stack([run[0] for run in runs])),
            "acceptance_rate": (("seed",), np.array([run[1] for run in runs])),
            "mean_rotation_angle": (("seed",), mean_rotation_angle(fields)),
        },
    )


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Average the squared force over configurations."""
    streams = generators.unpack_numpy(state.fixed["generator"])
    fields = [
        GaugeField(settings, vectors.reshape(-1, COMPONENTS), stream)
        for vectors, stream in zip(state.theta, streams, strict=True)
    ]
    measurements = [
        measure(field, settings["probes"], settings["decorrelation_sweeps"]) for field in fields
    ]
    published = settings["protocol"] == "published"
    # The second left-invariant derivative is (β/4) Σ ½ tr P over the six plaquettes of the link.
    curvature_per_plaquette = PLAQUETTES_PER_LINK * settings["inverse_coupling"] / 4
    return FisherDiagonal(
        fim=np.stack([measurement.mean_squared_force for measurement in measurements]),
        tensors=state.tensors,
        probes=settings["probes"],
        estimator="forward difference" if published else "analytic left-invariant derivative",
        definition="true",
        diagnostics={
            **diagnostics(measurements, curvature_per_plaquette),
            "mean_rotation_angle": (("seed",), mean_rotation_angle(fields)),
        },
        partial=join_partial(measurements),
    )


def start(settings: Settings, stream: np.random.Generator) -> NDArray[np.float64]:
    """Return rotation vectors in radians, shape (links, 3): small random ones, or zero.

    The heat bath forgets its start, so the corrected protocol takes the simplest one.
    """
    links = DIMENSIONS * settings["extent"] ** DIMENSIONS
    if settings["protocol"] == "corrected":
        return np.zeros((links, COMPONENTS))
    return START_SCALE * stream.standard_normal((links, COMPONENTS))


def rotation_vectors(links: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return α with |α| ≤ 2π and exp(iα·σ/2) = U, shape (links, 3), for U of shape (links, 4)."""
    length = np.linalg.norm(links[:, 1:], axis=1, keepdims=True)
    half_angle = np.arctan2(length, links[:, :1])
    any_axis = np.tile([0.0, 0.0, 1.0], (len(links), 1))  # of ±1, which have none of their own
    direction = np.divide(links[:, 1:], length, out=any_axis, where=length > 0)
    return 2 * half_angle * direction


class GaugeField:
    """One field with its stream of random numbers.

    Parameters
    ----------
    settings
        Settings of the point.
    vectors
        Rotation vectors α in radians, shape (links, 3); not changed.
    stream
        Random numbers; its state moves on with every sweep.
    """

    def __init__(
        self, settings: Settings, vectors: NDArray[np.float64], stream: np.random.Generator
    ) -> None:
        self.settings = settings
        self.stream = stream
        self.forward, self.backward = neighbours(settings["extent"])
        self.links = su2.links_of(vectors)
        # Proposals add up in the vectors: the links alone would lose how far they have drifted.
        self.unwrapped = vectors.copy() if settings["protocol"] == "published" else None

    def rotation_vectors(self) -> NDArray[np.float64]:
        """Return α in radians, shape (links, 3)."""
        return rotation_vectors(self.links) if self.unwrapped is None else self.unwrapped

    def sweep(self) -> float:
        """Update the links in place, once over; return the fraction of accepted proposals."""
        lattice = self.links, self.forward, self.backward
        beta = self.settings["inverse_coupling"]
        if self.unwrapped is None:
            draws = su2.heat_bath_sweep(*lattice, beta, self.stream)
            for _ in range(self.settings["overrelaxation_sweeps"]):
                su2.overrelaxation_sweep(*lattice)
            return len(self.links) / draws
        sites = np.arange(len(self.forward))
        self.stream.shuffle(sites)
        accepted = su2.metropolis_sweep(
            self.unwrapped, *lattice, sites, beta, self.settings["step"], self.stream
        )
        return accepted / self.unwrapped.size

    def force(self) -> tuple[NDArray[np.float64], float]:
        """Return the derivative of S, shape (3 links,), and the average plaquette."""
        lattice = self.links, self.forward, self.backward
        beta = self.settings["inverse_coupling"]
        force = np.empty((len(self.links), COMPONENTS))
        if self.unwrapped is None:
            plaquette = su2.lie_force(*lattice, beta, force)
        else:
            plaquette = su2.coordinate_force(self.unwrapped, *lattice, beta, SPACING, force)
        return force.ravel(), plaquette


def mean_rotation_angle(fields: list[GaugeField]) -> NDArray[np.float64]:
    """Return the mean of |α| over links, in radians, shape (seed,)."""
    return np.array([np.linalg.norm(field.rotation_vectors(), axis=1).mean() for field in fields])
