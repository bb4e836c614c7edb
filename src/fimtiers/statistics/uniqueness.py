"""The three published tests that a neural network is unlike six other systems.

Magnitude, stability, and a classifier that leaves out one row at a time. Leaving out rows leaks:
the other seeds of the same system stay in the training set. `fimtiers.statistics.classifier` leaves
out whole systems.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

DEGENERATE_RATIO = 1e10
DEGENERATE_VARIATION = 1.0
PASSING_Z = 2.0
PASSING_ACCURACY = 0.80
TINY_SPREAD = 1e-9
HESSIAN_RIDGE = 1e-4
TINY_WEIGHT = 1e-8
LARGEST_SCORE = 30.0
MAX_ITERATIONS = 200
STEP_TOLERANCE = 1e-6


@dataclass(frozen=True)
class UniquenessTests:
    """The three tests and their verdict, as published.

    Attributes
    ----------
    variation
        Coefficient of variation of the ratio of every system, standard deviation with ddof 0.
    degenerate
        Systems left out: a ratio of 1e10 or more, or a variation above 1.
    magnitude_z
        (mean ratio of the network − mean of the pooled others) / their standard deviation.
    magnitude_passes
        Whether that exceeds 2.
    stability_passes
        Whether the network varies less than every other system.
    coefficients
        Weights of log10 ratio and top mass, and the bias, fitted to all rows.
    accuracy
        Share of rows called right by a fit to all other rows.
    classifier_passes
        Whether that is at least 0.8.
    unique
        Whether all three pass.
    """

    variation: dict[str, float]
    degenerate: tuple[str, ...]
    magnitude_z: float
    magnitude_passes: bool
    stability_passes: bool
    coefficients: tuple[float, float, float]
    accuracy: float
    classifier_passes: bool
    unique: bool


def uniqueness_tests(rows: pd.DataFrame, network: str) -> UniquenessTests:
    """Run the three tests.

    Parameters
    ----------
    rows
        One row per system and seed: ``system``, ``tier_ratio``, ``top_mass``.
    network
        System that is claimed to be unlike the others.

    Raises
    ------
    ValueError
        If there is no such system, or no other one.
    """
    if rows["system"].nunique() < 2 or network not in set(rows["system"]):
        raise ValueError(f"no {network!r} among {sorted(set(rows['system']))}, or nothing else")
    ratios = rows.groupby("system", sort=False)["tier_ratio"]
    variation = ratios.std(ddof=0) / ratios.mean()
    hopeless = (ratios.max() >= DEGENERATE_RATIO) | (variation > DEGENERATE_VARIATION)
    degenerate = tuple(s for s in variation.index if hopeless[s] and s != network)
    kept = rows[~rows["system"].isin(degenerate)]
    is_network = (kept["system"] == network).to_numpy()

    others = kept.loc[~is_network, "tier_ratio"]
    z = (ratios.mean()[network] - others.mean()) / (others.std(ddof=0) + TINY_SPREAD)
    stable = variation[network] < variation.drop([network, *degenerate]).min()
    features = np.column_stack([np.log10(kept["tier_ratio"]), kept["top_mass"]])
    accuracy = leave_one_row_out_accuracy(features, is_network)
    log10_ratio, top_mass, bias = fit_published_logistic(features, is_network).tolist()
    return UniquenessTests(
        variation={str(system): float(value) for system, value in variation.items()},
        degenerate=degenerate,
        magnitude_z=float(z),
        magnitude_passes=bool(z > PASSING_Z),
        stability_passes=bool(stable),
        coefficients=(log10_ratio, top_mass, bias),
        accuracy=accuracy,
        classifier_passes=accuracy >= PASSING_ACCURACY,
        unique=bool(z > PASSING_Z and stable and accuracy >= PASSING_ACCURACY),
    )


def fit_published_logistic(
    features: NDArray[np.float64], labels: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Fit the published logistic classifier by reweighted least squares, features unscaled.

    The ridge of 1e-4 enters the Hessian only, bias included, and not the gradient. It damps the
    steps but leaves separable data without a finite optimum, so the weights depend on when the
    iteration stops.

    Parameters
    ----------
    features
        Shape (n, feature).
    labels
        Shape (n,).

    Returns
    -------
    NDArray
        Shape (feature + 1,), the bias last.
    """
    x = np.column_stack([features, np.ones(len(features))])
    weights = np.zeros(x.shape[1])
    for _ in range(MAX_ITERATIONS):
        score = np.clip(x @ weights, -LARGEST_SCORE, LARGEST_SCORE)
        p = 1 / (1 + np.exp(-score))
        curvature = p * (1 - p) + TINY_WEIGHT
        hessian = (x.T * curvature) @ x + HESSIAN_RIDGE * np.eye(x.shape[1])
        step = np.linalg.solve(hessian, x.T @ (p - labels))
        weights = weights - step
        if np.abs(step).max() < STEP_TOLERANCE:
            break
    return weights


def leave_one_row_out_accuracy(features: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Return the share of rows called right by the published classifier fitted to all others."""
    correct = 0
    for i in range(len(labels)):
        kept = np.arange(len(labels)) != i
        weights = fit_published_logistic(features[kept], labels[kept])
        score = features[i] @ weights[:-1] + weights[-1]
        correct += bool(score > 0) == bool(labels[i])
    return correct / len(labels)
