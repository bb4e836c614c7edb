"""Measured sweeps beside published ones: run by run, and fit by fit as published."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from fimtiers.statistics.depth_law import Line, fit_line

RUN = ["experiment", "point", "seed", "quantity"]
ROUNDED = 0.5 + 1e-6
"""Units of the last printed digit by which a correctly rounded number may differ."""
DIGITS = 7
"""Significant digits that results of single precision can share; more are not compared."""
UNTRAINED = "state=untrained"
"""Subset of the fits of a trained sweep that are made before the training."""
SINGLE_PRECISION = 1e-6
"""Relative difference of fits that the rounding of single precision makes."""


def per_seed_agreement(runs: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Set every published number of every run beside the measured one.

    Parameters
    ----------
    runs
        One row per sweep, point and seed: ``sweep``, ``label``, ``experiment``,
        ``published_point``, ``seed``, and a column for each measured quantity.
    published
        ``experiment``, ``point``, ``seed``, ``quantity``, ``value``, the number as printed text,
        and ``source``.

    Returns
    -------
    DataFrame
        One row per published number that is measured: ``sweep``, ``label``, ``experiment``,
        ``point``, ``seed``, ``quantity``, ``published``, ``measured``, ``relative_difference``
        (measured / published − 1; zero where both are zero or both NaN), ``agrees_as_printed``
        (see `agrees_as_printed`), ``source``.
    """
    known = [name for name in published["quantity"].unique() if name in runs.columns]
    repeated = runs[runs["experiment"].isin(published["experiment"])]
    repeated = repeated.drop(columns="point").rename(columns={"published_point": "point"})
    keys = ["sweep", "label", *RUN[:3]]
    measured = repeated[[*keys, *known]].melt(keys, var_name="quantity", value_name="measured")
    return set_beside(measured, published)


def set_beside(measured: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Join measured numbers in long form, with ``measured``, to published ones by run."""
    table = measured.merge(published.rename(columns={"value": "printed"}), on=RUN)
    table["published"] = table["printed"].astype(float)
    pairs = zip(table["measured"], table["printed"], strict=True)
    table["agrees_as_printed"] = [agrees_as_printed(value, printed) for value, printed in pairs]
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = table["measured"] / table["published"] - 1
    same = (table["measured"] == table["published"]) | (
        table["measured"].isna() & table["published"].isna()
    )
    table["relative_difference"] = difference.where(~same, 0.0)
    columns = ["sweep", "label", *RUN, "published", "measured", "relative_difference"]
    return table[[*columns, "agrees_as_printed", "source"]]


def mean_agreement(runs: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Set published means over seeds beside measured ones, where nothing else was published.

    Parameters
    ----------
    runs
        As for `per_seed_agreement`; ``experiment`` is the published one with its state.
    published
        ``experiment``, ``point``, ``state``, ``mean`` and ``standard_deviation`` over seeds.

    Returns
    -------
    DataFrame
        Published columns with ``measured_mean``, ``measured_standard_deviation`` (n − 1),
        ``relative_difference`` and ``standard_score``: the difference of the means over its
        standard error, for as many published seeds as measured ones.
    """
    keys = ["experiment", "published_point"]
    groups = runs.groupby(keys, sort=False)["tier_ratio_published"]
    measured = groups.agg(measured_mean="mean", measured_standard_deviation="std", seeds="count")
    named = published.assign(
        experiment=published["experiment"] + " " + published["state"],
        published_point=published["point"],
    )
    table = named.merge(measured.reset_index(), on=keys).drop(columns="published_point")
    table["relative_difference"] = table["measured_mean"] / table["mean"] - 1
    variance = table["measured_standard_deviation"] ** 2 + table["standard_deviation"] ** 2
    table["standard_score"] = (table["measured_mean"] - table["mean"]) / np.sqrt(
        variance / table["seeds"]
    )
    return table


def largest_differences(per_seed: pd.DataFrame) -> pd.DataFrame:
    """Summarise `per_seed_agreement`: the worst and the median run of every sweep and quantity.

    Returns
    -------
    DataFrame
        ``sweep``, ``label``, ``experiment``, ``quantity``, ``runs``, ``agreeing_as_printed``,
        ``largest_relative_difference``, ``median_relative_difference``, ``worst_point``,
        ``worst_seed``. A NaN on one side alone makes the largest difference NaN.
    """
    rows = []
    keys = ["sweep", "label", "experiment", "quantity"]
    for names, group in per_seed.groupby(keys, sort=False):
        size = group["relative_difference"].abs().fillna(np.inf)
        worst = group.loc[size.idxmax()]
        rows.append(
            {
                **dict(zip(keys, names, strict=True)),
                "runs": len(group),
                "agreeing_as_printed": int(group["agrees_as_printed"].sum()),
                "largest_relative_difference": abs(worst["relative_difference"]),
                "median_relative_difference": group["relative_difference"].abs().median(),
                "worst_point": worst["point"],
                "worst_seed": worst["seed"],
            }
        )
    return pd.DataFrame(rows)


def repeat_published_fits(
    runs: pd.DataFrame,
    published_runs: pd.DataFrame,
    published_fits: pd.DataFrame,
    untrained: Mapping[str, str],
) -> pd.DataFrame:
    """Fit as published, a line through one mean per point, and compare slope and R².

    Parameters
    ----------
    runs
        As for `per_seed_agreement`, with ``subset`` and ``position``.
    published_runs
        Says which points the published fit used.
    published_fits
        ``experiment``, ``subset``, ``response``, ``predictor``, ``slope`` and ``r_squared``, the
        numbers as printed text, and ``passed``.
    untrained
        From a sweep of trained networks to that of the same networks before training.

    Returns
    -------
    DataFrame
        One row per sweep and published fit, with ``…_published``, ``…_measured``,
        ``…_relative_difference`` and ``…_agrees_as_printed`` for slope and R²; the same fit
        through the published runs, ``…_of_published_runs``, where they are printed; and, for a fit
        that does not agree, its ``cause`` in words (see `_cause`).
    """
    rows = []
    for fit in published_fits.to_dict("records"):
        subset = fit["subset"]
        for sweep, own in runs[runs["experiment"] == fit["experiment"]].groupby(
            "sweep", sort=False
        ):
            before_training = subset == UNTRAINED
            if not before_training and own["subset"].iloc[0] not in (subset, None, ""):
                continue
            points = published_runs.loc[
                published_runs["experiment"] == fit["experiment"], "point"
            ].unique()
            used = own[own["published_point"].isin(points)]
            if before_training:
                twin = runs[runs["sweep"] == untrained.get(str(sweep))]
                used = twin[twin["position"].isin(used["position"])]
            row = _compare_fit(used, published_runs, fit)
            differs = own["differs"].iloc[0] if "differs" in own else None
            rows.append({"sweep": sweep, **row, "cause": _cause(row, differs)})
    return pd.DataFrame(rows)


def _compare_fit(
    runs: pd.DataFrame, published_runs: pd.DataFrame, fit: Mapping[str, str]
) -> dict[str, object]:
    line = _fit(runs, fit)
    printed_runs = _as_published(runs, published_runs, fit["response"])
    again = _fit(printed_runs, fit)
    row: dict[str, object] = {
        name: fit[name] for name in ("experiment", "subset", "response", "predictor")
    }
    for name, measured in (("slope", line.slope), ("r_squared", line.r_squared)):
        printed = fit[name]
        row[f"{name}_published"] = float(printed)
        row[f"{name}_measured"] = measured
        row[f"{name}_relative_difference"] = measured / float(printed) - 1
        row[f"{name}_agrees_as_printed"] = agrees_as_printed(measured, printed)
        row[f"{name}_of_published_runs"] = getattr(again, name)
        # Where the runs are not printed the fit is taken at its word.
        known = np.isfinite(getattr(again, name))
        agrees = agrees_as_printed(getattr(again, name), printed)
        row[f"{name}_of_published_runs_agrees"] = agrees or not known
    pairs = zip(printed_runs["measured"], printed_runs["value"], strict=True)
    agreeing = [agrees_as_printed(measured, printed) for measured, printed in pairs]
    row["runs_agree_as_printed"] = bool(agreeing) and all(agreeing)
    row["passed_as_published"] = fit["passed"]
    return row


def agrees_as_printed(measured: float, printed: str) -> bool:
    """Say whether `measured`, rounded to the digits of `printed`, is that number; NaN is NaN."""
    number = Decimal(printed)
    if number.is_nan() or np.isnan(measured):
        return bool(number.is_nan() and np.isnan(measured))
    last = max(int(number.as_tuple().exponent), number.adjusted() - DIGITS + 1)
    return abs(measured - float(printed)) <= ROUNDED * 10.0**last


def _cause(row: Mapping[str, Any], differs: object) -> str:
    """Say why a fit does not agree as printed; nothing if it does."""
    names = [name for name in ("slope", "r_squared") if not row[f"{name}_agrees_as_printed"]]
    if not names:
        return ""
    if not any(row[f"{name}_of_published_runs_agrees"] for name in names):
        return "the published runs do not give it either"
    if isinstance(differs, str) and row["subset"] != UNTRAINED:
        return differs
    if all(abs(row[f"{name}_relative_difference"]) < SINGLE_PRECISION for name in names):
        return "rounding of single precision in the last digit compared"
    if row["runs_agree_as_printed"]:
        return "rounding of the printed runs, all of which agree"
    return "unknown"


def _fit(runs: pd.DataFrame, fit: Mapping[str, str]) -> Line:
    means = _published_means(runs, fit["response"])
    return fit_line(_transform(means.index.to_numpy(float), fit["predictor"]), means.to_numpy())


def _as_published(runs: pd.DataFrame, published: pd.DataFrame, response: str) -> pd.DataFrame:
    """Return runs with the published values of a response, no rows if one is not printed.

    ``value`` is the number as text, ``measured`` the measured one.
    """
    quantity = _quantity(response)
    values = published[published["quantity"] == quantity].rename(
        columns={"point": "published_point"}
    )
    keys = ["experiment", "published_point", "seed"]
    joined = runs[[*keys, "position", quantity]].merge(values[[*keys, "value"]], on=keys)
    joined = joined.rename(columns={quantity: "measured"})
    joined[quantity] = joined["value"].astype(float)
    return joined if len(joined) == len(runs) else joined.iloc[:0]


def _quantity(response: str) -> str:
    if response == "log_tier_ratio":
        return "tier_ratio_published"
    return response.removeprefix("absolute_")


def _published_means(runs: pd.DataFrame, response: str) -> "pd.Series[float]":
    values = runs[_quantity(response)]
    if response == "log_tier_ratio":
        values = np.log(values)
    means = values.groupby(runs["position"]).agg(lambda group: group.to_numpy().mean())
    return means.abs() if response.startswith("absolute_") else means


def _transform(position: np.ndarray, predictor: str) -> np.ndarray:
    if predictor.startswith("sqrt_"):
        return np.sqrt(position)
    return np.log(position) if predictor.startswith("log_") else position
