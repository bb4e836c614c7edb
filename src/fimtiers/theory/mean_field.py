"""Mean-field profile of the Fisher diagonal along the layers of a random dense network.

In wide layers pre-activations are normal with second moment q. From layer to layer

    q_l = σ_w² m_{l−1} + σ_b²,    m_l = E φ(√q_l Z)²,    χ_l = σ_w² E φ'(√q_l Z)²,

with σ_w² = fan-in · Var w, σ_b² = Var b, and m_0 the second moment of the inputs (Poole et al.
2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232). χ is the mean-square gain of a
gradient in one layer: He's weights for ReLU have χ = 1, torch's default weights, with a sixth of
their variance, χ = 1/6. The mean of F is the product of the two chains, for weights
E[δ_l²] m_{l−1} and for biases E[δ_l²], so ln F drifts along the layers unless all gains are 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

Array = NDArray[np.float64]


def _gelu_slope(z: Array) -> Array:
    return ndtr(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def _silu_slope(z: Array) -> Array:
    return expit(z) * (1 + z * (1 - expit(z)))


ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: np.heaviside(z, 0.5)),
    "gelu": (lambda z: z * ndtr(z), _gelu_slope),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "silu": (lambda z: z * expit(z), _silu_slope),
    "identity": (lambda z: z, np.ones_like),
}
"""φ and φ'."""

INITIALISATIONS: dict[str, tuple[float, float]] = {
    "torch_default": (1 / 3, 1 / 3),
    "he_normal": (2.0, 0.0),
}
"""fan-in · variance of weights and of biases."""

# The trapezoidal rule is exact to rounding for smooth integrands here; the grid contains 0, where
# ReLU has its kink.
_NODES = np.linspace(-12, 12, 4801)
_WEIGHTS = np.exp(-(_NODES**2) / 2)
_WEIGHTS /= _WEIGHTS.sum()


@dataclass(frozen=True)
class LayerProfile:
    """Mean of F in each layer of a random dense network with the loss ½ mean_j (y_j − x_j)².

    Attributes
    ----------
    gain
        χ_l of each activation, from the output of linear layer l to its input: shape (L − 1,).
    log_weight_fisher
        ln E[F] of the weights of each linear layer, shape (L,).
    log_bias_fisher
        ln E[F] of its biases, shape (L,).
    """

    gain: Array
    log_weight_fisher: Array
    log_bias_fisher: Array

    @property
    def log_range(self) -> float:
        """R, the largest less the smallest of ln E[F] of the weights."""
        return float(np.ptp(self.log_weight_fisher))


def layer_profile(
    sizes: Sequence[int], activation: str = "relu", initialisation: str = "torch_default"
) -> LayerProfile:
    """Predict the mean of F in each layer at initialisation, for inputs x ~ N(0, 1).

    All inputs are taken to have the length √n_0, and layers to be wide. Otherwise q spreads over
    inputs and weight draws, and the mean of F is larger where small q shrink faster than large
    ones, as with SiLU and GELU under He's weights.

    Parameters
    ----------
    sizes
        Number of units (n_0, …, n_L), inputs first, for L linear layers.
    activation
        A key of `ACTIVATIONS`; it follows every linear layer but the last.
    initialisation
        A key of `INITIALISATIONS`.

    Raises
    ------
    ValueError
        If a name is unknown or there is no linear layer.
    """
    _check(sizes, activation, initialisation)
    weight_gain, bias_gain = INITIALISATIONS[initialisation]
    fan_in, fan_out = np.array(sizes[:-1], float), np.array(sizes[1:], float)
    moment, slope = [1.0], []
    for n in fan_in[:-1]:
        q = weight_gain * moment[-1] + bias_gain / n
        moment.append(activation_moment(q, activation))
        slope.append(slope_moment(q, activation))
    output = weight_gain * moment[-1] + bias_gain / fan_in[-1]
    # δ at the output is (y − x) / n_L, with y and x independent.
    log_delta = [np.log((output + 1) / fan_out[-1] ** 2)]
    gain = weight_gain * np.array(slope)
    for layer in reversed(range(len(slope))):
        spread = fan_out[layer + 1] / fan_in[layer + 1]
        log_delta.insert(0, log_delta[0] + np.log(gain[layer] * spread))
    log_bias = np.array(log_delta)
    return LayerProfile(gain, log_bias + np.log(moment), log_bias)


def layer_gain(q: float, activation: str = "relu", initialisation: str = "torch_default") -> float:
    """Return χ = σ_w² E φ'(√q Z)² of one layer whose pre-activations have second moment q."""
    _check([1, 1], activation, initialisation)
    return INITIALISATIONS[initialisation][0] * slope_moment(q, activation)


def activation_moment(q: float, activation: str) -> float:
    """Return E φ(√q Z)² for standard normal Z; q/2 for ReLU."""
    return float(_WEIGHTS @ ACTIVATIONS[activation][0](np.sqrt(q) * _NODES) ** 2)


def slope_moment(q: float, activation: str) -> float:
    """Return E φ'(√q Z)² for standard normal Z; ½ for ReLU."""
    slope = ACTIVATIONS[activation][1](np.sqrt(q) * _NODES) ** 2
    if activation == "relu":
        slope[_NODES == 0] = 0.5  # the mean of both sides, not its square
    return float(_WEIGHTS @ slope)


def _check(sizes: Sequence[int], activation: str, initialisation: str) -> None:
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"sizes {list(sizes)}; expected at least two, all positive")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation {activation!r}; allowed: {', '.join(ACTIVATIONS)}")
    if initialisation not in INITIALISATIONS:
        raise ValueError(
            f"initialisation {initialisation!r}; allowed: {', '.join(INITIALISATIONS)}"
        )
