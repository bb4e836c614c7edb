"""Compiled updates and forces of an SU(2) lattice gauge field with the Wilson action.

    S = −(β/2) Σ_{x, μ<ν} Re tr[U_μ(x) U_ν(x+μ̂) U_μ(x+ν̂)† U_ν(x)†]

A link U = u₀ + i u·σ is stored as the unit quaternion (u₀, u), so links have shape (4 sites, 4),
numbered as in `fimtiers.lattice.geometry`. A link meets its six plaquettes through the sum of its
staples A, a quaternion that does not depend on it: its part of the action is
−(β/2) Re tr(U A) = −β (u₀ a₀ − u·a).

All compiled functions stay in this one file: numba's cache notices an edit of the file of the
function it compiled, not of a compiled function imported from elsewhere.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Quaternion = tuple[float, float, float, float]

SMALL_ANGLE = 1e-12
"""Rotation vectors shorter than this, in radians, are taken for the identity (as published)."""

CREUTZ_BELOW = 1.7
"""Below this β |A| Creutz's sampler accepts more often than that of Kennedy and Pendleton."""


@njit(cache=True)
def metropolis_sweep(
    vectors: NDArray[np.float64],
    links: NDArray[np.float64],
    forward: NDArray[np.int32],
    backward: NDArray[np.int32],
    sites: NDArray[np.int64],
    beta: float,
    step: float,
    stream: np.random.Generator,
) -> int:
    """Propose one change of each component of each link, in place; return how many were accepted.

    A proposal adds `step` times a standard normal number to one component of the rotation vector,
    so the stationary measure is flat in the vectors, not Haar's. One uniform number is drawn only
    if the action does not fall, and the proposal is accepted if it is less than exp(−ΔS).

    Parameters
    ----------
    vectors
        Rotation vectors α, U = exp(iα·σ/2), in radians, never wrapped, shape (links, 3).
    links
        The same as quaternions, kept in step with `vectors`, shape (links, 4).
    forward, backward
        Neighbouring sites, shape (sites, 4).
    sites
        Order of the sites; all directions and components of one are done before the next.
    beta
        Inverse coupling β.
    step
        Standard deviation of a proposal, in radians.
    stream
        Source of the normal and uniform numbers.
    """
    accepted = 0
    for site in sites:
        for mu in range(4):
            link = 4 * site + mu
            staples = staple_sum(links, forward, backward, site, mu)
            alignment = half_trace(links[link], staples)
            for component in range(3):
                kept = vectors[link, component]
                vectors[link, component] = kept + step * stream.standard_normal()
                proposed = exponential(vectors[link])
                proposed_alignment = half_trace(proposed, staples)
                change = -beta * (proposed_alignment - alignment)
                if change < 0.0 or stream.random() < math.exp(-change):
                    store(links, link, proposed)
                    alignment = proposed_alignment
                    accepted += 1
                else:
                    vectors[link, component] = kept
    return accepted


@njit(cache=True)
def heat_bath_sweep(
    links: NDArray[np.float64],
    forward: NDArray[np.int32],
    backward: NDArray[np.int32],
    beta: float,
    stream: np.random.Generator,
) -> int:
    """Draw every link anew from its distribution given all others, in place.

    With V = A / |A|, the product W = U V has the density exp(β |A| w₀) under Haar's measure: w₀
    has the density √(1 − w₀²) exp(β |A| w₀), and the direction of w is uniform.

    Returns
    -------
    int
        Number of draws from the envelopes of the rejection samplers, at least one per link.
    """
    draws = 0
    for link in range(len(links)):
        staples = staple_sum(links, forward, backward, link >> 2, link & 3)
        length = modulus(staples)
        w0, tries = aligned_component(beta * length, stream)
        draws += tries
        drawn = on_sphere(w0, stream)
        if length > 0:
            drawn = normalised(product(drawn, conjugate(staples)))
        store(links, link, drawn)
    return draws


@njit(cache=True)
def overrelaxation_sweep(
    links: NDArray[np.float64], forward: NDArray[np.int32], backward: NDArray[np.int32]
) -> None:
    """Reflect every link about its staples, U ← V† U† V†, in place; the action is unchanged."""
    for link in range(len(links)):
        staples = staple_sum(links, forward, backward, link >> 2, link & 3)
        if modulus(staples) > 0:
            around = product(staples, product(quaternion(links[link]), staples))
            store(links, link, normalised(conjugate(around)))


@njit(cache=True)
def lie_force(
    links: NDArray[np.float64],
    forward: NDArray[np.int32],
    backward: NDArray[np.int32],
    beta: float,
    out: NDArray[np.float64],
) -> float:
    """Write the left-invariant derivative of S to `out`; return the average ⟨½ tr P⟩.

    The derivative along U → U exp(iεσ_j/2) at ε = 0 is (β/2) w_j, where w is the vector part of
    A U. It changes by a rotation under a gauge transformation, its square sum not at all.

    Parameters
    ----------
    links
        Shape (links, 4).
    forward, backward
        Neighbouring sites, shape (sites, 4).
    beta
        Inverse coupling β.
    out
        Shape (links, 3); overwritten.
    """
    total = 0.0
    for link in range(len(links)):
        staples = staple_sum(links, forward, backward, link >> 2, link & 3)
        around = product(staples, quaternion(links[link]))
        out[link, 0] = 0.5 * beta * around[1]
        out[link, 1] = 0.5 * beta * around[2]
        out[link, 2] = 0.5 * beta * around[3]
        total += around[0]
    return total / (6 * len(links))


@njit(cache=True)
def coordinate_force(
    vectors: NDArray[np.float64],
    links: NDArray[np.float64],
    forward: NDArray[np.int32],
    backward: NDArray[np.int32],
    beta: float,
    spacing: float,
    out: NDArray[np.float64],
) -> float:
    """Write (S(α + ε e_j) − S(α)) / ε of every link to `out`; return the average ⟨½ tr P⟩.

    Only the six plaquettes of the link change, so the difference is taken of its own part of the
    action. That is the difference of the full action without the rounding of the full action,
    which is about 1e-13 / ε.

    Parameters
    ----------
    vectors
        Rotation vectors α in radians, shape (links, 3); unchanged on return.
    links
        The same as quaternions, shape (links, 4).
    forward, backward
        Neighbouring sites, shape (sites, 4).
    beta
        Inverse coupling β.
    spacing
        ε in radians.
    out
        Shape (links, 3); overwritten.
    """
    total = 0.0
    for link in range(len(links)):
        staples = staple_sum(links, forward, backward, link >> 2, link & 3)
        alignment = half_trace(links[link], staples)
        total += alignment
        for component in range(3):
            kept = vectors[link, component]
            vectors[link, component] = kept + spacing
            shifted = half_trace(exponential(vectors[link]), staples)
            vectors[link, component] = kept
            out[link, component] = -beta * (shifted - alignment) / spacing
    return total / (6 * len(links))


@njit(cache=True)
def links_of(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the quaternions of exp(iα·σ/2), shape (links, 4), for α of shape (links, 3)."""
    links = np.empty((len(vectors), 4))
    for link in range(len(vectors)):
        store(links, link, exponential(vectors[link]))
    return links


@njit(cache=True)
def staple_sum(
    links: NDArray[np.float64],
    forward: NDArray[np.int32],
    backward: NDArray[np.int32],
    site: int,
    mu: int,
) -> Quaternion:
    """Return A, the sum over the six plaquettes of link (x, μ) of the product of the other links.

    A backward plaquette contains the link inversely; it is taken in reverse, which leaves the real
    part of its trace as it is.
    """
    total = (0.0, 0.0, 0.0, 0.0)
    ahead = forward[site, mu]
    for nu in range(4):
        if nu == mu:
            continue
        above = forward[site, nu]
        below = backward[site, nu]
        beside = forward[below, mu]
        right = quaternion(links[4 * ahead + nu])
        upper_left = product(quaternion(links[4 * site + nu]), quaternion(links[4 * above + mu]))
        total = added(total, product(right, conjugate(upper_left)))
        lower_right = product(quaternion(links[4 * below + mu]), quaternion(links[4 * beside + nu]))
        left = quaternion(links[4 * below + nu])
        total = added(total, product(conjugate(lower_right), left))
    return total


@njit(cache=True)
def aligned_component(strength: float, stream: np.random.Generator) -> tuple[float, int]:
    """Draw w₀ with density ∝ √(1 − w₀²) exp(k w₀) on [−1, 1], and the number of tries it took.

    Creutz 1980, Phys. Rev. D 21, 2308, where k is small; Kennedy and Pendleton 1985, Phys. Lett. B
    156, 393, elsewhere.
    """
    tries = 0
    while True:
        tries += 1
        if strength < CREUTZ_BELOW:
            w0 = exponential_on_interval(strength, stream)
            if stream.random() ** 2 <= 1 - w0 * w0:
                return w0, tries
        else:
            cosine = math.cos(2 * math.pi * stream.random())
            gamma = -math.log(1 - stream.random())
            gamma -= cosine * cosine * math.log(1 - stream.random())
            depth = gamma / strength
            if stream.random() ** 2 <= 1 - 0.5 * depth:
                return 1 - depth, tries


@njit(cache=True)
def exponential_on_interval(rate: float, stream: np.random.Generator) -> float:
    """Draw x with density ∝ exp(k x) on [−1, 1] by inversion, for any k ≥ 0."""
    u = stream.random()
    if rate < SMALL_ANGLE:
        return 2 * u - 1
    return 1 + math.log1p(-u * -math.expm1(-2 * rate)) / rate


@njit(cache=True)
def on_sphere(w0: float, stream: np.random.Generator) -> Quaternion:
    """Return (w₀, w) with |w| = √(1 − w₀²) in a direction drawn uniformly."""
    radius = math.sqrt(max(0.0, 1 - w0 * w0))
    height = 2 * stream.random() - 1
    azimuth = 2 * math.pi * stream.random()
    across = radius * math.sqrt(max(0.0, 1 - height * height))
    return w0, across * math.cos(azimuth), across * math.sin(azimuth), radius * height


@njit(cache=True)
def exponential(vector: NDArray[np.float64]) -> Quaternion:
    """Return exp(iα·σ/2) = cos(|α|/2) + i sin(|α|/2) α·σ/|α|."""
    x, y, z = vector[0], vector[1], vector[2]
    angle = math.sqrt(x * x + y * y + z * z)
    if angle < SMALL_ANGLE:
        return 1.0, 0.0, 0.0, 0.0
    factor = math.sin(0.5 * angle) / angle
    return math.cos(0.5 * angle), factor * x, factor * y, factor * z


@njit(cache=True)
def quaternion(row: NDArray[np.float64]) -> Quaternion:
    """Return a stored link as a tuple, which the compiler keeps in registers."""
    return row[0], row[1], row[2], row[3]


@njit(cache=True)
def store(links: NDArray[np.float64], link: int, value: Quaternion) -> None:
    """Set one link."""
    links[link, 0] = value[0]
    links[link, 1] = value[1]
    links[link, 2] = value[2]
    links[link, 3] = value[3]


@njit(cache=True)
def product(a: Quaternion, b: Quaternion) -> Quaternion:
    """Return (a₀ + i a·σ)(b₀ + i b·σ); the vector part is a₀ b + b₀ a − a×b."""
    return (
        a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
        a[0] * b[1] + a[1] * b[0] - a[2] * b[3] + a[3] * b[2],
        a[0] * b[2] + a[2] * b[0] - a[3] * b[1] + a[1] * b[3],
        a[0] * b[3] + a[3] * b[0] - a[1] * b[2] + a[2] * b[1],
    )


@njit(cache=True)
def conjugate(a: Quaternion) -> Quaternion:
    """Return the Hermitian conjugate, (a₀, −a)."""
    return a[0], -a[1], -a[2], -a[3]


@njit(cache=True)
def added(a: Quaternion, b: Quaternion) -> Quaternion:
    """Return a + b."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]


@njit(cache=True)
def modulus(a: Quaternion) -> float:
    """Return the square root of the determinant, √(a₀² + a·a)."""
    return math.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2] + a[3] * a[3])


@njit(cache=True)
def normalised(a: Quaternion) -> Quaternion:
    """Return the element of SU(2) in the direction of a."""
    factor = 1 / modulus(a)
    return factor * a[0], factor * a[1], factor * a[2], factor * a[3]


@njit(cache=True)
def half_trace(a: Quaternion, b: Quaternion) -> float:
    """Return ½ Re tr(a b) = a₀ b₀ − a·b."""
    return a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3]
