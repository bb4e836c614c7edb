"""How the level of F changes from layer to layer: a plateau, then a drift.

If F fell by a constant factor per layer, Var[ln F] would be quadratic in depth from the start. The
steps say whether it does; the plateau and the drift behind it are measured by

    y_ℓ = c + s max(0, ℓ − o),

a level c up to the onset o and a slope s, in nats per layer, beyond it. Only hidden matrices enter:
the first and the last have other shapes, which alone moves their level.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats

from fimtiers.theory.mean_field import layer_profile

Array = NDArray[np.float64]

LEVEL = "log_of_mean"
"""ln of the mean of F in a matrix, which is what mean-field theory predicts."""
FEWEST_LAYERS = 5
"""Hidden matrices; with fewer, a plateau and a drift are not told from a line."""
GRID = 200


@dataclass(frozen=True)
class Drift:
    """Plateau and drift of the levels of hidden layers.

    Attributes
    ----------
    seeds, layers
        Number of networks, and of hidden matrices.
    onset, onset_low, onset_high
        o, as a layer number from 1, the mean over seeds with Student's t interval. It means
        nothing where a constant step is not rejected.
    slope, slope_low, slope_high
        s, nats per layer beyond the onset.
    line, line_low, line_high
        Slope of a straight line through all hidden layers, nats per layer.
    steps_equal_p
        p of the test that the mean step is the same between all neighbours: F of a two-way
        analysis of variance of steps by layer and seed. Small p rejects a constant step.
    share_of_misfit
        Sum of squares about plateau and drift over that about the line, of the mean levels.
    """

    seeds: int
    layers: int
    onset: float
    onset_low: float
    onset_high: float
    slope: float
    slope_low: float
    slope_high: float
    line: float
    line_low: float
    line_high: float
    steps_equal_p: float
    share_of_misfit: float


OF_SWEEP = ["sweep", "label", "position"]
DRIFT_COLUMNS = [
    *OF_SWEEP,
    *(field.name for field in fields(Drift)),
    *("predicted_onset", "predicted_slope", "predicted_line", "furthest", "furthest_layer"),
]
STEP_COLUMNS = [*OF_SWEEP, "layer", "hidden", "seeds", "step", "low", "high", "predicted"]


def measure_drift(level: Array, layer: Array, confidence: float = 0.95) -> Drift:
    """Fit a plateau and a drift, and a line, to the levels of each network.

    Parameters
    ----------
    level
        y, shape (seed, layer), finite.
    layer
        ℓ, numbers of the hidden layers, ascending, shape (layer,), at least `FEWEST_LAYERS`.
    confidence
        Level of the intervals over seeds; NaN for a single one.

    Raises
    ------
    ValueError
        If the shapes disagree, a level is not finite or there are too few layers.
    """
    if level.ndim != 2 or level.shape[1] != len(layer) or len(layer) < FEWEST_LAYERS:
        raise ValueError(
            f"levels of shape {level.shape} for {len(layer)} layers; expected (seed, layer) and "
            f"at least {FEWEST_LAYERS} layers"
        )
    if not np.isfinite(level).all():
        raise ValueError("a level is not finite; every matrix needs a positive entry")
    hinges = np.array([_hinge(row, layer) for row in level])
    lines = np.array([np.polyfit(layer, row, 1)[0] for row in level])
    onset = mean_interval(hinges[:, 0], confidence)
    slope = mean_interval(hinges[:, 1], confidence)
    line = mean_interval(lines, confidence)
    return Drift(
        seeds=len(level),
        layers=len(layer),
        onset=onset[0],
        onset_low=onset[1],
        onset_high=onset[2],
        slope=slope[0],
        slope_low=slope[1],
        slope_high=slope[2],
        line=line[0],
        line_low=line[1],
        line_high=line[2],
        steps_equal_p=equal_means_p(np.diff(level, axis=1)),
        share_of_misfit=_share_of_misfit(level.mean(axis=0), layer),
    )


def predicted_levels(levels: pd.DataFrame, activation: str, initialisation: str) -> Array:
    """Return the mean-field level of each row of levels of one point.

    Parameters
    ----------
    levels
        ``layer``, ``fan_in`` and ``fan_out``, any number of seeds.
    activation, initialisation
        See `fimtiers.theory.mean_field.layer_profile`.
    """
    shapes = levels.drop_duplicates("layer").sort_values("layer")
    sizes = [int(shapes["fan_in"].iloc[0]), *shapes["fan_out"].astype(int)]
    theory = layer_profile(sizes, activation, initialisation).log_weight_fisher
    place = levels["layer"].map({layer: i for i, layer in enumerate(shapes["layer"])})
    return np.asarray(theory[place.to_numpy()])


def hidden(levels: pd.DataFrame) -> pd.DataFrame:
    """Return the levels between the first and the last layer of a point."""
    return levels[levels["layer"].between(levels["layer"].min() + 1, levels["layer"].max() - 1)]


def drift_of_sweeps(levels: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Measure plateau and drift of every sweep, and the same of the mean-field levels.

    Parameters
    ----------
    levels
        Levels of one point of each sweep: ``sweep``, ``label``, ``position``, ``seed``, ``layer``,
        ``log_of_mean``, ``predicted``.
    confidence
        Level of the intervals.

    Returns
    -------
    DataFrame
        One row per sweep: ``sweep``, ``label``, ``position``, the fields of `Drift`,
        ``predicted_onset``, ``predicted_slope`` and ``predicted_line``, NaN with fewer than
        `FEWEST_LAYERS` hidden layers; ``furthest``, the largest distance of the mean level of any
        layer from its prediction, in nats, with the ``furthest_layer``, numbered from 1.
    """
    rows = []
    for (sweep, label, position), own in levels.groupby(["sweep", "label", "position"], sort=False):
        away = (own.groupby("layer")[[LEVEL, "predicted"]].mean()).diff(axis=1).iloc[:, 1].abs()
        rows.append(
            {
                "sweep": sweep,
                "label": label,
                "position": position,
                **_drift_beside_theory(hidden(own), confidence),
                "furthest": away.max(),
                "furthest_layer": int(away.idxmax()) + 1,
            }
        )
    return pd.DataFrame(rows, columns=DRIFT_COLUMNS)


def _drift_beside_theory(inner: pd.DataFrame, confidence: float) -> dict[str, float]:
    """Return the drift of the levels of hidden layers, and of theory, if there are enough."""
    if inner["layer"].nunique() < FEWEST_LAYERS:
        return {}
    wide = inner.pivot_table(index="seed", columns="layer", values=LEVEL)
    number = wide.columns.to_numpy(float) + 1
    predicted = measure_drift(inner.groupby("layer")["predicted"].first().to_numpy()[None], number)
    return {
        **asdict(measure_drift(wide.to_numpy(), number, confidence)),
        "predicted_onset": predicted.onset,
        "predicted_slope": predicted.slope,
        "predicted_line": predicted.line,
    }


def steps_of_sweeps(levels: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Return the step of the level between neighbouring layers, with its interval over seeds.

    Parameters
    ----------
    levels
        As for `drift_of_sweeps`.
    confidence
        Level of the intervals.

    Returns
    -------
    DataFrame
        ``sweep``, ``label``, ``position``, ``layer``, the number from 1 of the layer that the step
        leads to, ``hidden``, whether both its ends are hidden layers, ``seeds``, ``step``, ``low``
        and ``high``, and ``predicted`` by mean-field theory, in nats.
    """
    rows = []
    for (sweep, label, position), own in levels.groupby(["sweep", "label", "position"], sort=False):
        wide = own.pivot_table(index="seed", columns="layer", values=LEVEL)
        theory = own.groupby("layer")["predicted"].first()
        for below, above in zip(wide.columns[:-1], wide.columns[1:], strict=True):
            steps = (wide[above] - wide[below]).to_numpy()
            mean, low, high = mean_interval(steps, confidence)
            rows.append(
                {
                    "sweep": sweep,
                    "label": label,
                    "position": position,
                    "layer": int(above) + 1,
                    "hidden": below > wide.columns[0] and above < wide.columns[-1],
                    "seeds": len(steps),
                    "step": mean,
                    "low": low,
                    "high": high,
                    "predicted": theory[above] - theory[below],
                }
            )
    return pd.DataFrame(rows, columns=STEP_COLUMNS)


def mean_interval(values: Sequence[float] | Array, confidence: float) -> tuple[float, float, float]:
    """Return the mean and the ends of its Student's t interval, NaN for a single value."""
    values = np.asarray(values, np.float64)
    mean, half = float(values.mean()), np.nan
    if len(values) > 1:
        quantile = stats.t.ppf((1 + confidence) / 2, len(values) - 1)
        half = float(quantile * values.std(ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def equal_means_p(values: Array) -> float:
    """Return p of the test that all columns of a table (seed, column) have one mean.

    F = (SS between columns / (c − 1)) / (SS left by rows and columns / ((r − 1)(c − 1))). NaN with
    one row or column, or without scatter.
    """
    rows, columns = values.shape
    freedom = (rows - 1) * (columns - 1)
    if freedom < 1:
        return np.nan
    column = values.mean(axis=0)
    left = values - values.mean(axis=1, keepdims=True) - column + values.mean()
    scatter = float(np.sum(left**2))
    between = rows * float(np.sum((column - values.mean()) ** 2))
    if scatter == 0:
        return np.nan
    return float(stats.f.sf(between / (columns - 1) / (scatter / freedom), columns - 1, freedom))


def _hinge(level: Array, layer: Array) -> tuple[float, float]:
    """Return onset and slope of the plateau and drift with the smallest sum of squares."""
    onsets = np.linspace(layer[0], layer[-2], GRID)
    start = int(np.argmin([_misfit(level, layer, onset) for onset in onsets]))
    ends = onsets[max(start - 1, 0)], onsets[min(start + 1, GRID - 1)]
    found: Any = optimize.minimize_scalar(
        lambda onset: _misfit(level, layer, onset), bounds=ends, method="bounded"
    )
    return float(found.x), float(_coefficients(level, layer, float(found.x))[1])


def _coefficients(level: Array, layer: Array, onset: float) -> Array:
    design = np.column_stack([np.ones_like(layer), np.maximum(0, layer - onset)])
    return np.asarray(np.linalg.lstsq(design, level, rcond=None)[0])


def _misfit(level: Array, layer: Array, onset: float) -> float:
    constant, slope = _coefficients(level, layer, onset)
    return float(np.sum((level - constant - slope * np.maximum(0, layer - onset)) ** 2))


def _share_of_misfit(level: Array, layer: Array) -> float:
    residual = level - np.polyval(np.polyfit(layer, level, 1), layer)
    about_line = float(residual @ residual)
    onset, _ = _hinge(level, layer)
    return _misfit(level, layer, onset) / about_line if about_line > 0 else np.nan
