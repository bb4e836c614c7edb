"""U(1) lattice gauge field in four dimensions, probed by the force on each link.

Parameters are the link angles θ_μ(x) in radians, one per site x and direction μ of a periodic
lattice of extent L. They follow the law exp(−S) with the Wilson action

    S = −β Σ_{x, μ<ν} cos P_μν(x),   P_μν(x) = θ_μ(x) + θ_ν(x+μ̂) − θ_μ(x+ν̂) − θ_ν(x).

The sensitivity to a link is the force ∂S/∂θ = β Σ_{ν≠μ} [sin P_μν(x) − sin P_μν(x−ν̂)], the score
of a shift of that link, so its mean square is the true Fisher information about the shift. A probe
is one configuration of the field, drawn after a number of sweeps from the one before.

Translations and rotations of the lattice make the exact mean the same for all links: the exact
tier ratio is 1, and what is measured above it is noise of a finite number of probes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fimtiers import generators
from fimtiers.lattice import u1
from fimtiers.lattice.geometry import DIMENSIONS, PLAQUETTES_PER_LINK, neighbours
from fimtiers.lattice.measurement import diagnostics, join_partial, measure, thermalise
from fimtiers.records import FisherDiagonal, Settings, State, Tensor

SETTINGS: dict[str, dict[str, Any]] = {
    "extent": {
        "type": "integer",
        "minimum": 2,
        "default": 8,
        "description": "Number of sites along each of the four directions.",
    },
    "inverse_coupling": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 1.0,
        "description": "Inverse coupling β, dimensionless.",
    },
    "thermalisation_sweeps": {
        "type": "integer",
        "minimum": 1,
        "default": 200,
        "description": "Number of sweeps from the start to the state.",
    },
    "decorrelation_sweeps": {
        "type": "integer",
        "minimum": 1,
        "default": 20,
        "description": "Number of sweeps before each probe.",
    },
    "probes": {
        "type": "integer",
        "minimum": 2,
        "default": 80,
        "description": "Number of field configurations in the mean.",
    },
    "step": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 0.6,
        "description": "Largest change of an angle in one proposal, in radians (`published`).",
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
        "description": "`published`: a sweep is a Metropolis proposal at each of as many randomly "
        "picked links as there are, random start; `corrected`: a sweep draws every link from its "
        "heat bath, then reflects it, so that far more probes fit into the same time, start at "
        "zero.",
    },
}


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Start and thermalise, one stream of random numbers per seed."""
    shape = (settings["extent"],) * DIMENSIONS + (DIMENSIONS,)
    streams = generators.seed_numpy(seeds)
    fields = [GaugeField(settings, start(settings, stream), stream) for stream in streams]
    runs = [thermalise(field, settings["thermalisation_sweeps"]) for field in fields]
    return State(
        theta=np.stack([field.angles() for field in fields]),
        tensors=(Tensor("link", -1, "link", shape),),
        fixed={"generator": generators.pack_numpy(streams)},
        diagnostics={
            "plaquette_history": (("seed", "sweep"), np.stack([run[0] for run in runs])),
            "acceptance_rate": (("seed",), np.array([run[1] for run in runs])),
        },
    )


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Average the squared force over configurations."""
    streams = generators.unpack_numpy(state.fixed["generator"])
    measurements = [
        measure(
            GaugeField(settings, angles, stream),
            settings["probes"],
            settings["decorrelation_sweeps"],
        )
        for angles, stream in zip(state.theta, streams, strict=True)
    ]
    return FisherDiagonal(
        fim=np.stack([measurement.mean_squared_force for measurement in measurements]),
        tensors=state.tensors,
        probes=settings["probes"],
        estimator="analytic force",
        definition="true",
        # ∂²S/∂θ² = β Σ cos P over the six plaquettes of the link.
        diagnostics=diagnostics(measurements, PLAQUETTES_PER_LINK * settings["inverse_coupling"]),
        partial=join_partial(measurements),
    )


def start(settings: Settings, stream: np.random.Generator) -> NDArray[np.float64]:
    """Return angles in radians, shape (links,): from U(−π, π), or zero.

    The corrected protocol starts at zero, because a random start is caught for long in a state
    with magnetic flux around the periodic lattice where β > 1.01, in the Coulomb phase.
    """
    links = DIMENSIONS * settings["extent"] ** DIMENSIONS
    if settings["protocol"] == "corrected":
        return np.zeros(links)
    return stream.uniform(-np.pi, np.pi, size=links)


class GaugeField:
    """One field with its stream of random numbers.

    Parameters
    ----------
    settings
        Settings of the point.
    angles
        θ in radians, shape (links,); not changed.
    stream
        Random numbers; its state moves on with every sweep.
    """

    def __init__(
        self, settings: Settings, angles: NDArray[np.float64], stream: np.random.Generator
    ) -> None:
        self.settings = settings
        self.stream = stream
        self.forward, self.backward = neighbours(settings["extent"])
        self.links = np.exp(1j * angles)
        # Proposals add up in the angles: the links alone would lose how often they wound around.
        self.unwrapped = angles.copy() if settings["protocol"] == "published" else None

    def angles(self) -> NDArray[np.float64]:
        """Return θ in radians, shape (links,)."""
        return np.angle(self.links) if self.unwrapped is None else self.unwrapped

    def sweep(self) -> float:
        """Update the links in place, once over; return the fraction of accepted proposals."""
        lattice = self.links, self.forward, self.backward
        beta = self.settings["inverse_coupling"]
        if self.unwrapped is None:
            draws = u1.heat_bath_sweep(*lattice, beta, self.stream)
            for _ in range(self.settings["overrelaxation_sweeps"]):
                u1.overrelaxation_sweep(*lattice)
            return len(self.links) / draws
        picked = pick_links(self.settings["extent"], self.stream)
        accepted = u1.metropolis_sweep(
            self.unwrapped, *lattice, picked, beta, self.settings["step"], self.stream
        )
        return accepted / len(picked)

    def force(self) -> tuple[NDArray[np.float64], float]:
        """Return ∂S/∂θ, shape (links,), and the average plaquette."""
        force = np.empty(len(self.links))
        plaquette = u1.force(self.links, self.forward, self.settings["inverse_coupling"], force)
        return force, plaquette


def pick_links(extent: int, stream: np.random.Generator) -> NDArray[np.int64]:
    """Draw as many links as there are, with replacement: all sites first, then all directions."""
    n_links = DIMENSIONS * extent**DIMENSIONS
    coordinates = stream.integers(0, extent, size=(n_links, DIMENSIONS))
    directions = stream.integers(0, DIMENSIONS, size=n_links)
    sites = np.ravel_multi_index(tuple(coordinates.T), (extent,) * DIMENSIONS)
    return DIMENSIONS * sites + directions
