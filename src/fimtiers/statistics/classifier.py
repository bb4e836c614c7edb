"""Logistic classifiers of tier statistics, with whole systems held out."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MAX_ITERATIONS = 200
STEP_TOLERANCE = 1e-10


def fit_logistic(
    features: NDArray[np.float64], labels: NDArray[np.bool_], ridge: float = 1.0
) -> NDArray[np.float64]:
    """Return the weights that minimise the penalised logistic loss, by Newton's method.

    −Σ_i ln p(label_i | x_i) + ridge/2 · |w|², p(1 | x) = 1 / (1 + exp(−w·x − b)); the bias b is
    not penalised.

    Parameters
    ----------
    features
        Shape (n, feature).
    labels
        Shape (n,), both labels present.
    ridge
        Positive; without it the weights of separable data diverge.

    Returns
    -------
    NDArray
        Shape (feature + 1,), the bias last.

    Raises
    ------
    ValueError
        If only one label is present.
    RuntimeError
        If Newton's method does not converge.
    """
    if labels.all() or not labels.any():
        raise ValueError(f"all {len(labels)} labels are {bool(labels[0])}; expected both")
    x = np.column_stack([features, np.ones(len(features))])
    penalty = np.full(x.shape[1], ridge)
    penalty[-1] = 0.0
    weights = np.zeros(x.shape[1])
    for _ in range(MAX_ITERATIONS):
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (p - labels) + penalty * weights
        hessian = (x.T * (p * (1 - p))) @ x + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        weights = weights - step
        if np.abs(step).max() < STEP_TOLERANCE:
            return weights
    raise RuntimeError(f"logistic fit did not converge in {MAX_ITERATIONS} steps")


@dataclass(frozen=True)
class HeldOutClassifier:
    """Accuracy of a classifier on systems it has never seen.

    Attributes
    ----------
    accuracy
        Share of rows of all held-out systems that are called right; systems whose removal leaves
        one group empty cannot be tested and are not counted.
    balanced_accuracy
        Mean over the two groups of their share of rows called right; NaN if one is untested.
    by_system
        For each system: ``system``, ``group``, ``n``, ``correct``, ``testable``.
    """

    accuracy: float
    balanced_accuracy: float
    by_system: pd.DataFrame


def leave_one_system_out_classifier(
    rows: pd.DataFrame,
    features: tuple[str, ...] = ("log10_ratio", "top_mass"),
    ridge: float = 1.0,
) -> HeldOutClassifier:
    """Classify the rows of each system by a fit to all other systems.

    Features are centred and scaled by the training rows.

    Parameters
    ----------
    rows
        One row per system, point and seed: ``system``, ``group`` (``deep`` or ``rest``) and the
        features, finite.
    features
        Columns to classify by.
    ridge
        See `fit_logistic`, for features of unit variance.
    """
    values = rows[list(features)].to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        wrong = rows.loc[~np.isfinite(values).all(axis=1), "system"].iloc[0]
        raise ValueError(f"system {wrong!r} has a feature that is not finite, of {features}")
    deep = (rows["group"] == "deep").to_numpy()
    results = []
    for system, block in rows.groupby("system", sort=False):
        held_out = (rows["system"] == system).to_numpy()
        testable = deep[~held_out].any() and not deep[~held_out].all()
        correct = (
            int((_predict(values, deep, held_out, ridge) == deep[held_out]).sum())
            if testable
            else 0
        )
        results.append(
            {
                "system": system,
                "group": block["group"].iloc[0],
                "n": len(block),
                "correct": correct,
                "testable": bool(testable),
            }
        )
    by_system = pd.DataFrame(results)
    tested = by_system[by_system["testable"]]
    totals = tested.groupby("group")[["correct", "n"]].sum()
    shares = totals["correct"] / totals["n"]
    return HeldOutClassifier(
        accuracy=float(tested["correct"].sum() / tested["n"].sum()) if len(tested) else np.nan,
        balanced_accuracy=float(shares.mean()) if len(shares) > 1 else np.nan,
        by_system=by_system,
    )


def _predict(
    values: NDArray[np.float64],
    deep: NDArray[np.bool_],
    held_out: NDArray[np.bool_],
    ridge: float,
) -> NDArray[np.bool_]:
    mean, spread = values[~held_out].mean(axis=0), values[~held_out].std(axis=0)
    scaled = (values - mean) / np.where(spread > 0, spread, 1)
    weights = fit_logistic(scaled[~held_out], deep[~held_out], ridge)
    return scaled[held_out] @ weights[:-1] + weights[-1] > 0
