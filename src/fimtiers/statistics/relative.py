"""Observations of θ²F in place of F: the same systems in units of relative changes."""

import pandas as pd


def in_relative_units(observations: pd.DataFrame) -> pd.DataFrame:
    """Return the observations with the tier ratio of θ²F as their value.

    Parameters
    ----------
    observations
        See `fimtiers.statistics.observations`; with ``relative_tier_ratio``.

    Returns
    -------
    DataFrame
        Without the columns that describe F alone, ``positive_ratio`` and ``definition``. A system
        all of whose parameters are zero at some seed has no such ratio there and is left out.
    """
    undefined = observations.loc[observations["relative_tier_ratio"].isna(), "system"]
    kept = observations[~observations["system"].isin(undefined)]
    return kept.assign(value=kept["relative_tier_ratio"]).drop(
        columns=["positive_ratio", "definition"]
    )
