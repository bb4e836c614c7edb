"""Variance of ln ‖Ju‖² over draws of the weights, at one fixed input, with its standard error."""

import numpy as np
from numpy.typing import NDArray


def summarise_log_norms(log_norms: NDArray[np.float64]) -> dict[str, float]:
    """Return mean and variance of ln ‖Ju‖² over networks, and the error of the variance.

    The standard error is √((m₄ − v²) / k), with m₄ the fourth central moment of k networks.

    Parameters
    ----------
    log_norms
        Shape (draw,), −∞ for a network with a layer that is off altogether; those are counted in
        ``silent`` and left out.
    """
    kept = log_norms[np.isfinite(log_norms)]
    centred = kept - kept.mean()
    variance = float(np.mean(centred**2))
    return {
        "draws": float(len(kept)),
        "silent": float(len(log_norms) - len(kept)),
        "mean": float(kept.mean()),
        "variance": variance,
        "variance_error": float(np.sqrt((np.mean(centred**4) - variance**2) / len(kept))),
    }
