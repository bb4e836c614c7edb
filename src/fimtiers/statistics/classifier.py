"""What six classifiers call each system when they have not seen it.

One classifier more or less strict, and the answer to "is this system deep?" changes, so no single
one says whether the groups tell systems apart. The six differ in the features, in the weights of
the groups and in the penalty of the logistic fit; the first is a threshold alone.

Where a tier ratio is infinite no logistic fit can use it. All take the ratio over positive entries
then, if there is one, and the table says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fimtiers.statistics.observations import check_observations
from fimtiers.statistics.thresholds import best_thresholds

RATIO = "log10_ratio"
WITHOUT_RATIO = ("gini", "effective_rank", "top_mass")


@dataclass(frozen=True)
class Logistic:
    """A logistic fit on standardised features.

    Attributes
    ----------
    features
        Columns.
    penalty
        Minimised is the logistic loss plus penalty/2 · |w|², the bias not penalised. Positive:
        without it the weights of separable data diverge.
    balanced
        Whether both groups have the same total weight.
    """

    features: tuple[str, ...]
    penalty: float = 1.0
    balanced: bool = False

    def fit(self, rows: pd.DataFrame, deep: NDArray[np.bool_]) -> Callable[[pd.DataFrame], Any]:
        """Return what calls rows deep or not, fitted to these rows."""
        columns = list(self.features)
        model = make_pipeline(
            StandardScaler(),
            LogisticRegression(
                C=1 / self.penalty,
                class_weight="balanced" if self.balanced else None,
                max_iter=10_000,
            ),
        )
        model.fit(rows[columns].to_numpy(), deep)
        return lambda others: model.predict(others[columns].to_numpy())


@dataclass(frozen=True)
class Threshold:
    """The geometric middle of the thresholds with the highest balanced accuracy."""

    features: tuple[str, ...] = (RATIO,)

    def fit(self, rows: pd.DataFrame, deep: NDArray[np.bool_]) -> Callable[[pd.DataFrame], Any]:
        """Return what calls rows deep or not, fitted to these rows."""
        values = 10 ** rows[RATIO].to_numpy()
        low, high = best_thresholds(values[deep], values[~deep])
        middle = np.log10(low) / 2 + np.log10(high) / 2
        return lambda others: others[RATIO].to_numpy() > middle


CLASSIFIERS: dict[str, Threshold | Logistic] = {
    "best threshold": Threshold(),
    "logistic": Logistic((RATIO,)),
    "logistic, hardly penalised": Logistic((RATIO,), penalty=1e-6),
    "logistic, groups balanced": Logistic((RATIO,), balanced=True),
    "logistic with top mass": Logistic((RATIO, "top_mass")),
    "logistic without tier ratio": Logistic(WITHOUT_RATIO),
}


def classify_held_out(observations: pd.DataFrame) -> pd.DataFrame:
    """Call the rows of each system by fits to all other systems.

    Parameters
    ----------
    observations
        See `fimtiers.statistics.observations`; with ``positive_ratio``, ``gini``,
        ``effective_rank`` and ``top_mass``.

    Returns
    -------
    DataFrame
        One row per classifier and system: ``classifier``, ``ratio`` (``tier_ratio``, or
        ``positive_ratio`` where one is infinite; empty for a classifier without it), ``system``,
        ``group``, ``n``, ``called_deep``, ``correct``; and ``threshold``, the tier ratio from which
        a classifier by that alone calls a row deep, as fitted without that system. A system whose
        group is empty without it is left out.
    """
    rows = check_observations(observations).reset_index(drop=True)
    finite = bool(np.isfinite(rows["value"]).all())
    ratio = rows["value"] if finite else rows["positive_ratio"]
    rows[RATIO] = np.log10(ratio)
    deep = (rows["group"] == "deep").to_numpy()
    found: list[dict[str, Any]] = []
    for name, classifier in CLASSIFIERS.items():
        with_ratio = RATIO in classifier.features
        for system, block in rows.groupby("system", sort=False):
            others = (rows["system"] != system).to_numpy()
            if deep[others].all() or not deep[others].any():
                continue
            call = classifier.fit(rows[others], deep[others])
            called = np.asarray(call(block), dtype=bool)
            found.append(
                {
                    "classifier": name,
                    "ratio": ("tier_ratio" if finite else "positive_ratio") if with_ratio else "",
                    "system": system,
                    "group": block["group"].iloc[0],
                    "n": len(block),
                    "called_deep": int(called.sum()),
                    "correct": int((called == (block["group"] == "deep").to_numpy()).sum()),
                    "threshold": _threshold(call, rows)
                    if classifier.features == (RATIO,)
                    else np.nan,
                }
            )
    return pd.DataFrame(found)


def _threshold(call: Callable[[pd.DataFrame], Any], rows: pd.DataFrame) -> float:
    """Find by bisection where a classifier that rises with one feature changes its answer."""
    low, high = rows[RATIO].min() - 1, rows[RATIO].max() + 1
    for _ in range(60):
        middle = (low + high) / 2
        if bool(np.asarray(call(pd.DataFrame({RATIO: [middle]})))[0]):
            high = middle
        else:
            low = middle
    return float(10**high)
