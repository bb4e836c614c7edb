"""Fluctuation of gradients of random ReLU networks over draws of their weights.

Let J be the Jacobian of a network with ReLU layers of widths n_1, …, n_L at a fixed input, weights
independent normal with variance 2/fan-in, biases zero, and u a fixed unit vector. Hanin & Nica
(2020, Commun. Math. Phys. 376, 287, arXiv:1812.05994) show that, as depth and width grow together,
ln ‖Ju‖² is normal with

    variance 5 Σ_l 1/n_l,    mean −(5/2) Σ_l 1/n_l,

up to a constant from the ratio of widths. Three things are often overlooked: the variance is one
over weight draws at a fixed input, and not over inputs or over parameters; it vanishes as the
layers widen; and the mean square is conserved, so there is no drift.

At finite width the law is known too. Given the layer below, z = W h is normal and isotropic; by its
symmetry z → −z the units are on or off at even odds, independently of the squares of their
tangents. So ‖Ju‖² = Π_l (2/n_l) χ²(k_l), with independent k_l ~ Binomial(n_l, ½) degrees of
freedom.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma
from scipy.stats import binom

RELU_FLUCTUATION = 5.0
"""(E[(2·1{z>0} z²)²] − 1) for standard normal z: 4 · ½ · 3 − 1."""

ELEMENTS_PER_CHUNK = 2**22
"""Weights are drawn for so many networks at a time that one layer holds about this many."""


def log_norm_variance(widths: Sequence[int]) -> float:
    """Return the asymptotic variance of ln ‖Ju‖² over weight draws, 5 Σ 1/n_l.

    Parameters
    ----------
    widths
        n_1, …, n_L, widths of the ReLU layers.
    """
    _check_widths(widths)
    return RELU_FLUCTUATION * sum(1 / n for n in widths)


def log_norm_mean(widths: Sequence[int]) -> float:
    """Return the asymptotic mean of ln ‖Ju‖² over weight draws, −(5/2) Σ 1/n_l."""
    return -log_norm_variance(widths) / 2


def exact_log_norm_moments(widths: Sequence[int]) -> tuple[float, float]:
    """Return mean and variance of ln ‖Ju‖² at finite width.

    With ψ the digamma function, ln χ²(k) has mean ψ(k/2) + ln 2 and variance ψ'(k/2), so each
    layer adds ln(4/n) + E ψ(k/2) to the mean and E ψ'(k/2) + Var ψ(k/2) to the variance, over
    k ~ Binomial(n, ½) given k > 0: networks with a layer that is off altogether are left out.
    """
    _check_widths(widths)
    mean, variance = np.sum([_exact_layer_moments(n) for n in widths], axis=0)
    return float(mean), float(variance)


def variance_ratio(measured: float, widths: Sequence[int]) -> float:
    """Return a measured log-variance over 5 Σ 1/n_l; near 1 if the theorem explains it."""
    return measured / log_norm_variance(widths)


def sample_log_norms(
    widths: Sequence[int],
    draws: int,
    generator: np.random.Generator,
    initialisation: str = "he_normal",
) -> NDArray[np.float64]:
    """Measure ln ‖Ju‖² of real networks, one per draw of weights, at one fixed input.

    The input x and the tangent u are two fixed, orthogonal unit vectors of n_1 dimensions.

    Parameters
    ----------
    widths
        n_1, …, n_L, widths of the ReLU layers; the input is as wide as the first.
    draws
        Number of networks.
    generator
        Where the weights come from.
    initialisation
        ``he_normal``, or ``torch_default``: weights and biases uniform on ±1/√fan_in.

    Returns
    -------
    NDArray
        Shape (draw,), −∞ for a network with a layer that is off altogether.
    """
    if initialisation not in _LAYERS:
        raise ValueError(f"initialisation {initialisation!r}; allowed: {', '.join(_LAYERS)}")
    _check_widths(widths)
    fan_ins = [widths[0], *widths[:-1]]
    largest = max(n * fan_in for n, fan_in in zip(widths, fan_ins, strict=True))
    per_chunk = max(1, ELEMENTS_PER_CHUNK // largest)
    samples = np.empty(draws)
    for first in range(0, draws, per_chunk):
        chunk = samples[first : first + per_chunk]
        pair = np.zeros((len(chunk), widths[0], 2))
        pair[:, 0, 0] = 1
        pair[:, -1, 1] = 1
        for n, fan_in in zip(widths, fan_ins, strict=True):
            weight, bias = _LAYERS[initialisation](generator, len(chunk), n, fan_in)
            pair = weight @ pair
            pair[..., 0] += bias
            pair *= pair[..., :1] > 0
        with np.errstate(divide="ignore"):
            chunk[:] = np.log((pair[..., 1] ** 2).sum(axis=1))
    return samples


Layer = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Weights, shape (draw, unit, input), and biases, shape (draw, unit)."""


def _he_normal(generator: np.random.Generator, draws: int, n: int, fan_in: int) -> Layer:
    weight = generator.standard_normal((draws, n, fan_in))
    weight *= np.sqrt(2 / fan_in)
    return weight, np.zeros((draws, n))


def _torch_default(generator: np.random.Generator, draws: int, n: int, fan_in: int) -> Layer:
    bound = fan_in**-0.5
    weight = generator.uniform(-bound, bound, (draws, n, fan_in))
    return weight, generator.uniform(-bound, bound, (draws, n))


_LAYERS: dict[str, Callable[[np.random.Generator, int, int, int], Layer]] = {
    "he_normal": _he_normal,
    "torch_default": _torch_default,
}


def _check_widths(widths: Sequence[int]) -> None:
    if not len(widths) or min(widths) < 1:
        raise ValueError(f"widths {list(widths)}; expected at least one, all positive")


def _exact_layer_moments(n: int) -> tuple[float, float]:
    k = np.arange(1, n + 1)
    probability = binom.pmf(k, n, 0.5)
    probability /= probability.sum()
    psi = digamma(k / 2)
    mean = probability @ psi
    variance = probability @ polygamma(1, k / 2) + probability @ (psi - mean) ** 2
    return float(np.log(4 / n) + mean), float(variance)
