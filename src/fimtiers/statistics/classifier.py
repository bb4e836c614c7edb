"""Logistic classifiers of tier statistics, with whole systems held out."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


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

    Features are centred and scaled by the training rows; the fit minimises the logistic loss plus
    ridge/2 · |w|², the bias not penalised.

    Parameters
    ----------
    rows
        One row per system, point and seed: ``system``, ``group`` (``deep`` or ``rest``) and the
        features, finite.
    features
        Columns to classify by.
    ridge
        Positive; without it the weights of separable data diverge.
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
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1 / ridge))
    model.fit(values[~held_out], deep[~held_out])
    return np.asarray(model.predict(values[held_out]))
