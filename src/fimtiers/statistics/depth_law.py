"""Depth laws: straight lines in a function of depth, and which function describes the runs best.

The published fits take one mean per depth, five to seven points, and one candidate each; with so
few points R² > 0.9 is passed by almost any smooth increasing curve. Here candidates compete on all
runs: by the corrected Akaike criterion, by the scatter of seeds about the fitted line (lack of
fit), and by predicting the largest depth from the smaller ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
Law = Callable[[Array, Array], Array]
"""From depth L and width n of each run to the predictor x of the line y = intercept + slope x."""

CONSTANT = "constant"
TIE_DECIMALS = 6
"""AICc equal to this many decimals is a tie: one predictor is a multiple of the other."""

RATIO_LAWS: dict[str, Law | None] = {
    CONSTANT: None,
    "sqrt_depth": lambda depth, width: np.sqrt(depth),
    "depth": lambda depth, width: depth,
    "sqrt_depth_over_width": lambda depth, width: np.sqrt(depth / width),
}
"""Candidates for ln (T1/T3). At a single width the last is √L on another scale, a tie."""

VARIANCE_LAWS: dict[str, Law | None] = {
    CONSTANT: None,
    "depth": lambda depth, width: depth,
    "depth_squared": lambda depth, width: depth**2,
    "depth_over_width": lambda depth, width: depth / width,
}
"""Candidates for Var[ln F]: L for independent layers, L² for a drift of the layer means."""

POWER_LAWS: dict[str, Law] = {
    "log_depth": lambda depth, width: np.log(depth),
    "power_0.25": lambda depth, width: depth**0.25,
    "sqrt_depth": lambda depth, width: np.sqrt(depth),
    "power_0.75": lambda depth, width: depth**0.75,
    "depth": lambda depth, width: depth,
    "power_1.5": lambda depth, width: depth**1.5,
    "depth_squared": lambda depth, width: depth**2,
    "power_2.5": lambda depth, width: depth**2.5,
    "power_3": lambda depth, width: depth**3,
}
"""Powers of L, from the logarithm, where the exponent is zero, to L³: what may hold where no law
that anyone claimed does. `fimtiers.statistics.power_law` fits the exponent."""


@dataclass(frozen=True)
class Line:
    """y = intercept + slope x by least squares; all NaN where no line is determined."""

    slope: float
    intercept: float
    r_squared: float


def fit_line(x: Array, y: Array) -> Line:
    """Fit a line by ordinary least squares, slope S_xy / S_xx, R² = 1 − SS_residual / SS_total.

    Parameters
    ----------
    x, y
        Shape (point,). With fewer than two distinct x, or a value that is not finite, the line
        is NaN; with all y equal, R² is NaN.
    """
    if len(np.unique(x)) < 2 or not np.isfinite([x, y]).all():
        return Line(np.nan, np.nan, np.nan)
    dx, dy = x - x.mean(), y - y.mean()
    slope = (dx @ dy) / (dx @ dx)
    residual, total = dy - slope * dx, dy @ dy
    r_squared = 1 - (residual @ residual) / total if total > 0 else np.nan
    return Line(float(slope), float(y.mean() - slope * x.mean()), float(r_squared))


def fit_means(x: Array, y: Array) -> Line:
    """Fit a line to the mean of y at each distinct x, as all published depth fits do.

    Parameters
    ----------
    x, y
        Predictor and value of each run, shape (run,). A NaN or infinite run makes its mean, and
        so the line, NaN.
    """
    positions, index = np.unique(x, return_inverse=True)
    return fit_line(positions, np.bincount(index, weights=y) / np.bincount(index))


@dataclass(frozen=True)
class DepthLaw:
    """How one candidate law describes all runs of a sweep.

    Attributes
    ----------
    law
        Name of the candidate.
    runs
        Number of runs, over all depths and seeds.
    slope, intercept, r_squared
        Least squares over runs; the slope of the constant law is NaN and its R² zero.
    slope_error, intercept_error
        Standard errors by leaving out one seed at a time, at all depths.
    aicc
        N ln(RSS/N) + 2k + 2k(k+1)/(N−k−1) for N runs and k parameters, noise variance included.
    akaike_weight
        exp(−ΔAICc/2), normalised over the candidates that could be fitted; candidates that tie
        have the same weight and count once.
    lack_of_fit_p
        p of the F test that the means at each depth lie on the line, given the scatter of seeds.
    held_out_depth
        The largest depth.
    held_out_prediction, held_out_mean
        Prediction from all smaller depths, and the mean that was measured.
    held_out_error
        Prediction less measurement.
    held_out_standard_error
        Of `held_out_error`, by leaving out one seed at a time.
    """

    law: str
    runs: int
    slope: float
    intercept: float
    r_squared: float
    slope_error: float
    intercept_error: float
    aicc: float
    akaike_weight: float
    lack_of_fit_p: float
    held_out_depth: float
    held_out_prediction: float
    held_out_mean: float
    held_out_error: float
    held_out_standard_error: float


def compare_depth_laws(
    value: Array,
    depth: Array,
    seed: NDArray[np.integer],
    laws: Mapping[str, Law | None],
    width: float | Array = 1.0,
) -> pd.DataFrame:
    """Fit every candidate law to all runs of a sweep.

    Parameters
    ----------
    value
        ln (T1/T3) or Var[ln F] of each run, shape (run,).
    depth
        L of each run, shape (run,).
    seed
        Seed of each run, shape (run,). Errors are those of the seeds: networks of one seed share
        their first random numbers at all depths, so a seed is left out as a whole.
    laws
        `RATIO_LAWS`, `VARIANCE_LAWS`, or others of that form.
    width
        n of each run, shape (run,), or of all.

    Returns
    -------
    DataFrame
        One row per law with the fields of `DepthLaw`. What cannot be determined is NaN: all of it
        if a value is not finite (a tier ratio is infinite where tier 3 is zero; no line describes
        that), a law whose predictor does not vary, errors with a single seed, the held-out depth
        with fewer than three depths.

    Raises
    ------
    ValueError
        If the arrays differ in length.
    """
    width = np.broadcast_to(np.asarray(width, np.float64), np.shape(depth))
    if not len(value) == len(depth) == len(seed) == len(width):
        raise ValueError(
            f"{len(value)} values, {len(depth)} depths, {len(seed)} seeds, {len(width)} widths; "
            "expected one of each per run"
        )
    depth = np.asarray(depth, np.float64)
    finite = np.where(np.isfinite(value), value, np.nan)
    rows = [
        _describe(name, _design(law, depth, width), finite, depth, width, seed)
        for name, law in laws.items()
    ]
    table = pd.DataFrame(rows, columns=[field.name for field in fields(DepthLaw)])
    likelihood = np.exp(-(table["aicc"] - table["aicc"].min()) / 2)
    tied = table["aicc"].round(TIE_DECIMALS).duplicated()
    return table.assign(akaike_weight=likelihood / likelihood[~tied].sum())


@dataclass(frozen=True)
class Prediction:
    """Which of two laws predicts the largest depth from the smaller ones better.

    Attributes
    ----------
    closer_by
        |error of the second law| − |error of the first|, in units of the value; positive where
        the first law is closer.
    low, high
        Student's t interval, from leaving out one seed at a time.
    """

    closer_by: float
    low: float
    high: float

    @property
    def tie(self) -> bool:
        """Whether the seeds do not tell which of the two is closer."""
        return not (self.low > 0 or self.high < 0)


def compare_predictions(
    value: Array,
    depth: Array,
    seed: NDArray[np.integer],
    first: Law,
    second: Law,
    width: float | Array = 1.0,
    confidence: float = 0.95,
) -> Prediction:
    """Compare how far two laws, fitted to the smaller depths, miss the mean at the largest.

    Parameters
    ----------
    value, depth, seed, width
        As for `compare_depth_laws`.
    first, second
        The laws.
    confidence
        Level of the interval. With a single seed, or a value that is not finite, all is NaN, and
        so a tie.
    """
    width = np.broadcast_to(np.asarray(width, np.float64), np.shape(depth))
    finite = np.where(np.isfinite(value), value, np.nan)
    largest = depth == depth.max()
    designs = [_design(law, depth, width) for law in (first, second)]

    def closer_by(kept: NDArray[np.bool_]) -> float:
        held_out = [_hold_out(design[kept], finite[kept], largest[kept]) for design in designs]
        ours, theirs = (abs(predicted - measured) for predicted, measured in held_out)
        return theirs - ours

    seeds = np.unique(seed)
    all_of_them = closer_by(np.full(len(depth), True))
    half = np.nan
    if len(seeds) > 1:
        error = float(jackknife_error([closer_by(seed != one) for one in seeds]))
        half = float(stats.t.ppf((1 + confidence) / 2, len(seeds) - 1)) * error
    return Prediction(all_of_them, all_of_them - half, all_of_them + half)


def _design(law: Law | None, depth: Array, width: Array) -> Array:
    """Return the matrix of predictors, shape (run, 1 or 2), the column of ones first."""
    ones = np.ones_like(depth)
    return ones[:, None] if law is None else np.column_stack([ones, law(depth, width)])


def _describe(
    name: str,
    design: Array,
    value: Array,
    depth: Array,
    width: Array,
    seed: NDArray[np.integer],
) -> DepthLaw:
    coefficients = _least_squares(design, value)
    residual = value - design @ coefficients
    rss = float(residual @ residual)
    total = np.sum((value - value.mean()) ** 2)
    places = np.column_stack([depth, width])
    largest = depth == depth.max()
    held_out = _hold_out(design, value, largest)
    without = [seed != one for one in np.unique(seed)]
    refitted = [_least_squares(design[kept], value[kept]) for kept in without]
    errors = np.append(jackknife_error(refitted), np.nan)
    predicted_again = [_hold_out(design[kept], value[kept], largest[kept]) for kept in without]
    return DepthLaw(
        law=name,
        runs=len(value),
        slope=float(coefficients[1]) if len(coefficients) > 1 else np.nan,
        intercept=float(coefficients[0]),
        r_squared=float(1 - rss / total) if total > 0 else np.nan,
        slope_error=float(errors[1]),
        intercept_error=float(errors[0]),
        aicc=corrected_akaike(rss, len(value), design.shape[1] + 1),
        akaike_weight=np.nan,
        lack_of_fit_p=lack_of_fit(rss, design.shape[1], value, places),
        held_out_depth=float(depth.max()),
        held_out_prediction=float(held_out[0]),
        held_out_mean=float(held_out[1]),
        held_out_error=float(held_out[0] - held_out[1]),
        held_out_standard_error=float(
            jackknife_error([prediction - measured for prediction, measured in predicted_again])
        ),
    )


def _least_squares(design: Array, value: Array) -> Array:
    """Return the coefficients, NaN unless they are determined by finite values."""
    undetermined = len(value) == 0 or np.linalg.matrix_rank(design) < design.shape[1]
    if undetermined or not np.isfinite(value).all():
        return np.full(design.shape[1], np.nan)
    return np.asarray(np.linalg.lstsq(design, value, rcond=None)[0])


def corrected_akaike(rss: float, runs: int, parameters: int) -> float:
    """Return N ln(RSS/N) + 2k + 2k(k+1)/(N−k−1), NaN where it is not defined.

    Parameters
    ----------
    rss
        Sum of squared residuals.
    runs
        N.
    parameters
        k, the variance of the noise included.
    """
    if not (rss > 0 and runs > parameters + 1):
        return np.nan
    correction = 2 * parameters * (parameters + 1) / (runs - parameters - 1)
    return float(runs * np.log(rss / runs) + 2 * parameters + correction)


def lack_of_fit(rss: float, coefficients: int, value: Array, position: Array) -> float:
    """Return p of F = (SS about the law − SS about means) / (SS about means), each per freedom.

    Small p rejects the law: the means at the positions are further from it than the scatter of the
    runs at each position explains. NaN where there is no freedom, or no scatter.

    Parameters
    ----------
    rss
        Sum of squared residuals about the law.
    coefficients
        Number of fitted coefficients.
    value
        Shape (run,).
    position
        What a law can depend on, shape (run, quantity); equal rows are replicates.
    """
    index = np.unique(position, axis=0, return_inverse=True)[1]
    positions = index.max() + 1
    misfit_freedom, scatter_freedom = positions - coefficients, len(value) - positions
    if misfit_freedom < 1 or scatter_freedom < 1 or not np.isfinite(rss):
        return np.nan
    mean = np.bincount(index, weights=value) / np.bincount(index)
    scatter = np.sum((value - mean[index]) ** 2)
    if scatter == 0:
        return np.nan
    f = (rss - scatter) / misfit_freedom / (scatter / scatter_freedom)
    return float(stats.f.sf(f, misfit_freedom, scatter_freedom))


def jackknife_error(leave_one_out: Sequence[Array | float]) -> Array:
    """Return √((S − 1)/S Σ (x_s − x̄)²) over the S values that each leave out one seed.

    NaN for a single seed.
    """
    values = np.asarray(leave_one_out)
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    return np.asarray(np.sqrt((len(values) - 1) * values.var(axis=0)))


def _hold_out(design: Array, value: Array, largest: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the mean prediction for the largest depth from the others, and its measured mean."""
    if not largest.any():
        return np.nan, np.nan
    coefficients = _least_squares(design[~largest], value[~largest])
    return float((design[largest] @ coefficients).mean()), float(value[largest].mean())
