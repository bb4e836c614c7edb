"""How far laws of ln F miss the measured tier ratio, sweep by sweep.

A median over the runs of many sweeps hides those that a law misses, so every sweep has its own, and
its worst run beside it.
"""

import numpy as np
import pandas as pd

PREDICTIONS = ("predicted_sqrt_variance", "predicted_log_normal", "predicted_layer_mixture")
COLUMNS = ["sweep", "label", "variance", "prediction", "runs", "median", "worst", "holds"]
WIDE = 3.0
"""A variance of ln F above this, in nats², is called large; the exact ratio of a log-normal leaves
its small-v form near it."""
NEAR = float(np.log(2))
"""A law holds for a sweep if the median of its errors, in nats, is a factor of two in the ratio or
less."""


def finite_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with a finite ratio and a variance, with ``log_ratio``, ln (T1/T3)."""
    used = runs.copy().assign(log_ratio=np.log(runs["tier_ratio"]))
    return used[np.isfinite(used["log_ratio"]) & (used["log_variance"] > 0)]


def prediction_errors(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the errors of every prediction for every sweep, where v is small and where it is not.

    Parameters
    ----------
    runs
        ``sweep``, ``label``, ``tier_ratio``, ``log_variance`` and the columns `PREDICTIONS`,
        predictions of ln (T1/T3).

    Returns
    -------
    DataFrame
        One row per sweep, ``variance`` (``small``, v ≤ `WIDE`, or ``large``) and ``prediction``:
        ``runs``, ``median`` and ``worst``, sizes of errors in nats, and ``holds``, whether the
        median is at most `NEAR`. A prediction that is not finite is infinitely wrong.
    """
    used = finite_runs(runs).copy()  # in one block: the table is wide
    used = used.assign(variance=np.where(used["log_variance"] <= WIDE, "small", "large"))
    rows = []
    for (sweep, label, variance), own in used.groupby(["sweep", "label", "variance"], sort=False):
        for name in PREDICTIONS:
            errors = (own[name] - own["log_ratio"]).abs().fillna(np.inf)
            rows.append(
                {
                    "sweep": sweep,
                    "label": label,
                    "variance": variance,
                    "prediction": name.removeprefix("predicted_"),
                    "runs": len(own),
                    "median": errors.median(),
                    "worst": errors.max(),
                    "holds": bool(errors.median() <= NEAR),
                }
            )
    return pd.DataFrame(rows, columns=COLUMNS)
