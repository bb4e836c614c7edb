"""The published bootstrap of the Mann–Whitney p-value, which carries no information.

It resamples each group with replacement and repeats the test. Once the groups do not overlap, U is
n_deep · n_rest in every resample, and p varies only through the correction for the ties that
resampling makes, that is, through which positions were drawn twice. The values play no part: any
two separated samples of these sizes give the same numbers to the last digit. A bootstrap over
systems that does depend on them is in `fimtiers.statistics.cluster_bootstrap`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True)
class MannWhitneyBootstrap:
    """Distribution of p and r over resamples of pooled values.

    Attributes
    ----------
    U
        Statistic of the values themselves.
    median_p, mean_p, max_p, p95_p, p99_p
        Of the one-sided asymptotic p-values.
    smallest_rank_biserial
        Of 2 U / (n_deep n_rest) − 1 over resamples.
    depends_on_values
        False if the groups do not overlap: then nothing above is a property of the data.
    """

    U: float
    median_p: float
    mean_p: float
    max_p: float
    p95_p: float
    p99_p: float
    smallest_rank_biserial: float
    depends_on_values: bool


def mann_whitney_bootstrap(
    deep: NDArray[np.float64],
    rest: NDArray[np.float64],
    seed: int = 42,
    resamples: int = 10_000,
) -> MannWhitneyBootstrap:
    """Resample the pooled groups and test each resample, as published.

    Parameters
    ----------
    deep, rest
        Values, shapes (n_deep,), (n_rest,).
    seed
        Seed of the generator; each resample draws from the deep values, then from the rest.
    resamples
        Number of resamples.
    """
    generator = np.random.default_rng(seed)
    deep_chosen = np.empty((resamples, len(deep)), dtype=np.int64)
    rest_chosen = np.empty((resamples, len(rest)), dtype=np.int64)
    for i in range(resamples):
        deep_chosen[i] = generator.integers(0, len(deep), size=len(deep))
        rest_chosen[i] = generator.integers(0, len(rest), size=len(rest))
    test = stats.mannwhitneyu(
        deep[deep_chosen], rest[rest_chosen], alternative="greater", method="asymptotic", axis=1
    )
    median_p, p95_p, p99_p = np.percentile(test.pvalue, [50, 95, 99])
    rank_biserial = 2 * test.statistic / (len(deep) * len(rest)) - 1
    observed = stats.mannwhitneyu(deep, rest, alternative="greater", method="asymptotic")
    return MannWhitneyBootstrap(
        U=float(observed.statistic),
        median_p=float(median_p),
        mean_p=float(test.pvalue.mean()),
        max_p=float(test.pvalue.max()),
        p95_p=float(p95_p),
        p99_p=float(p99_p),
        smallest_rank_biserial=float(rank_biserial.min()),
        depends_on_values=bool(deep.min() <= rest.max()),
    )
