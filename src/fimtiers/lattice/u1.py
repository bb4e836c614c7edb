"""Compiled updates and forces of a U(1) lattice gauge field with the Wilson action.

    S = −β Σ_{x, μ<ν} cos P_μν(x),   P_μν(x) = θ_μ(x) + θ_ν(x+μ̂) − θ_μ(x+ν̂) − θ_ν(x)

Links are unit complex numbers U = exp(iθ), shape (4 sites,), numbered as in
`fimtiers.lattice.geometry`. A link meets its six plaquettes through the sum of its staples A,
which does not depend on it: its part of the action is −β Re(U A), its force ∂S/∂θ = β Im(U A).
One staple sum serves all values of the link, so an update needs no trigonometry but its own.

All compiled functions stay in this one file: numba's cache notices an edit of the file of the
function it compiled, not of a compiled function imported from elsewhere.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

SMALL_CONCENTRATION = 1e-5
"""Below this κ the von Mises envelope takes its expansion s = 1/κ + κ, free of cancellation."""

TINY_CONCENTRATION = 1e-300
"""Taken instead of κ = 0, which is the uniform law and leaves s without a value."""


@njit(cache=True)
def metropolis_sweep(
    angles: NDArray[np.float64],
    links: NDArray[np.complex128],
    forward: NDArray[np.int32],
    backward: NDArray[np.int32],
    picked: NDArray[np.int64],
    beta: float,
    step: float,
    stream: np.random.Generator,
) -> int:
    """Propose one change at each picked link in turn, in place; return how many were accepted.

    A proposal adds an increment from U(−step, step). One more uniform number is drawn only if the
    action does not fall, and the proposal is accepted if it is less than exp(−ΔS).

    Parameters
    ----------
    angles
        θ in radians, never wrapped, shape (links,).
    links
        exp(iθ), kept in step with `angles`, shape (links,).
    forward, backward
        Neighbouring sites, shape (sites, 4).
    picked
        Numbers of the links to visit, in order; a link may come more than once.
    beta
        Inverse coupling β.
    step
        Largest increment, in radians.
    stream
        Source of the increments and of the uniform numbers.
    """
    accepted = 0
    for link in picked:
        staples = staple_sum(links, forward, backward, link >> 2, link & 3)
        increment = -step + (step + step) * stream.random()
        angle = angles[link] + increment
        proposed = links[link] * rotation(increment)
        change = -beta * ((proposed - links[link]) * staples).real
        if change < 0.0 or stream.random() < math.exp(-change):
            angles[link] = angle
            links[link] = proposed
            accepted += 1
    return accepted


@njit(cache=True)
def heat_bath_sweep(
    links: NDArray[np.complex128],
    forward: NDArray[np.int32],
    backward: NDArray[np.int32],
    beta: float,
    stream: np.random.Generator,
) -> int:
    """Draw every link anew from its distribution given all others, in place.

    Given its staples, exp(β Re(U A)) is a von Mises law of concentration β |A| about −arg A.

    Returns
    -------
    int
        Number of draws from the envelope of the rejection sampler, at least one per link.
    """
    draws = 0
    for link in range(len(links)):
        staples = staple_sum(links, forward, backward, link >> 2, link & 3)
        length = modulus(staples)
        deviation, tries = von_mises(beta * length, stream)
        draws += tries
        links[link] = unit(deviation * staples.conjugate()) if length > 0 else deviation
    return draws


@njit(cache=True)
def overrelaxation_sweep(
    links: NDArray[np.complex128], forward: NDArray[np.int32], backward: NDArray[np.int32]
) -> None:
    """Reflect every link about the direction of its staples, in place; the action is unchanged.

    U ← conj(U A²) / |A|², rescaled to the unit circle so that rounding does not add up.
    """
    for link in range(len(links)):
        staples = staple_sum(links, forward, backward, link >> 2, link & 3)
        if modulus(staples) > 0:
            links[link] = unit((links[link] * staples * staples).conjugate())


@njit(cache=True)
def force(
    links: NDArray[np.complex128],
    forward: NDArray[np.int32],
    beta: float,
    out: NDArray[np.float64],
) -> float:
    """Write ∂S/∂θ of every link to `out`, shape (links,); return the average plaquette ⟨cos P⟩.

    Every plaquette is visited once: it adds β sin P to the force on the two links along its
    direction and takes it from that on the other two.
    """
    out[:] = 0.0
    total = 0.0
    sites = len(forward)
    for site in range(sites):
        for mu in range(3):
            ahead = forward[site, mu]
            for nu in range(mu + 1, 4):
                above = forward[site, nu]
                upper, left = 4 * above + mu, 4 * site + nu
                lower, right = 4 * site + mu, 4 * ahead + nu
                plaquette = links[lower] * links[right] * (links[upper] * links[left]).conjugate()
                torque = beta * plaquette.imag
                out[lower] += torque
                out[right] += torque
                out[upper] -= torque
                out[left] -= torque
                total += plaquette.real
    return total / (6 * sites)


@njit(cache=True)
def staple_sum(
    links: NDArray[np.complex128],
    forward: NDArray[np.int32],
    backward: NDArray[np.int32],
    site: int,
    mu: int,
) -> complex:
    """Return A, the sum over the six plaquettes of link (x, μ) of the product of the other links.

    The backward plaquettes contain the link inversely; they enter complex conjugate, which leaves
    their cosine as it is.
    """
    total = 0j
    ahead = forward[site, mu]
    for nu in range(4):
        if nu == mu:
            continue
        above = forward[site, nu]
        below = backward[site, nu]
        beside = forward[below, mu]
        total += links[4 * ahead + nu] * (links[4 * above + mu] * links[4 * site + nu]).conjugate()
        total += (links[4 * beside + nu] * links[4 * below + mu]).conjugate() * links[
            4 * below + nu
        ]
    return total


@njit(cache=True)
def von_mises(concentration: float, stream: np.random.Generator) -> tuple[complex, int]:
    """Draw exp(iφ), φ with density ∝ exp(κ cos φ), and the number of tries it took.

    Rejection from a wrapped Cauchy envelope (Best and Fisher 1979, Appl. Statist. 28, 152). The
    sampler yields cos φ, so the sine follows without φ itself.
    """
    kappa = max(concentration, TINY_CONCENTRATION)
    if kappa < SMALL_CONCENTRATION:
        s = 1 / kappa + kappa
    else:
        tau = 1 + math.sqrt(1 + 4 * kappa * kappa)
        rho = (tau - math.sqrt(2 * tau)) / (2 * kappa)
        s = (1 + rho * rho) / (2 * rho)
    tries = 0
    while True:
        tries += 1
        z = math.cos(math.pi * stream.random())
        cosine = (1 + s * z) / (s + z)
        c = kappa * (s - cosine)
        u = 1 - stream.random()
        if u < c * (2 - c) or math.log(c / u) + 1 - c >= 0:
            break
    sine = math.sqrt(max(0.0, 1 - cosine * cosine))
    return complex(cosine, sine if stream.random() < 0.5 else -sine), tries


@njit(cache=True, fastmath={"contract"})
def rotation(angle: float) -> complex:
    """Return exp(iφ): up to one radian from its Taylor series, at a third of a library's cost.

    The first terms left out, φ¹⁸ / 18! and φ¹⁹ / 19!, do not reach the rounding error.
    """
    if abs(angle) > 1:
        return complex(math.cos(angle), math.sin(angle))
    z = angle * angle
    cosine, sine = 1.0, 1.0
    for n in range(16, 0, -2):
        cosine = 1 - z * (1 / (n * (n - 1))) * cosine
        sine = 1 - z * (1 / (n * (n + 1))) * sine
    return complex(cosine, angle * sine)


@njit(cache=True)
def modulus(z: complex) -> float:
    """Return |z|; plain, because a staple sum of at most six cannot overflow as `abs` guards."""
    return math.sqrt(z.real * z.real + z.imag * z.imag)


@njit(cache=True)
def unit(z: complex) -> complex:
    """Return z / |z|."""
    factor = 1 / modulus(z)
    return complex(factor * z.real, factor * z.imag)
