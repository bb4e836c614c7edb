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
    largest = depth == depth.max()
    held_out = _hold_out(design, value, largest)
    without = [seed != one for one in np.unique(seed)]
    refitted = [_least_squares(design[kept], value[kept]) for kept in without]
    errors = np.append(_jackknife_error(refitted), np.nan)
    predicted_again = [_hold_out(design[kept], value[kept], largest[kept]) for kept in without]
    return DepthLaw(
        law=name,
        runs=len(value),
        slope=float(coefficients[1]) if len(coefficients) > 1 else np.nan,
        intercept=float(coefficients[0]),
        r_squared=float(1 - rss / total) if total > 0 else np.nan,
        slope_error=float(errors[1]),
        intercept_error=float(errors[0]),
        aicc=_aicc(rss, len(value), design.shape[1] + 1),
        akaike_weight=np.nan,
        lack_of_fit_p=_lack_of_fit(rss, design.shape[1], value, np.column_stack([depth, width])),
        held_out_depth=float(depth.max()),
        held_out_prediction=float(held_out[0]),
        held_out_mean=float(held_out[1]),
        held_out_error=float(held_out[0] - held_out[1]),
        held_out_standard_error=float(
            _jackknife_error([prediction - measured for prediction, measured in predicted_again])
        ),
    )


def _least_squares(design: Array, value: Array) -> Array:
    """Return the coefficients, NaN unless they are determined by finite values."""
    undetermined = len(value) == 0 or np.linalg.matrix_rank(design) < design.shape[1]
    if undetermined or not np.isfinite(value).all():
        return np.full(design.shape[1], np.nan)
    return np.asarray(np.linalg.lstsq(design, value, rcond=None)[0])


def _aicc(rss: float, runs: int, parameters: int) -> float:
    if not (rss > 0 and runs > parameters + 1):
        return np.nan
    correction = 2 * parameters * (parameters + 1) / (runs - parameters - 1)
    return float(runs * np.log(rss / runs) + 2 * parameters + correction)


def _lack_of_fit(rss: float, coefficients: int, value: Array, position: Array) -> float:
    """Return p of F = (SS about line − SS about means) / (SS about means), each per freedom."""
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


def _hold_out(design: Array, value: Array, largest: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the mean prediction for the largest depth from the others, and its measured mean."""
    if not largest.any():
        return np.nan, np.nan
    coefficients = _least_squares(design[~largest], value[~largest])
    return float((design[largest] @ coefficients).mean()), float(value[largest].mean())


def _jackknife_error(leave_one_out: Sequence[Array | float]) -> Array:
    """Return √((S − 1)/S Σ (x_s − x̄)²) over the S values that each leave out one seed."""
    values = np.asarray(leave_one_out)
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    return np.asarray(np.sqrt((len(values) - 1) * values.var(axis=0)))
