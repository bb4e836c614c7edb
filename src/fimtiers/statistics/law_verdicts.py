"""What may be said of each sweep: the law that describes it, a tie, another power, or no growth.

A law *describes* a response of a sweep if its AICc is the smallest of the claimed laws, and the
test of its lack of fit does not reject it. Laws whose AICc differs by less than two from the best
tie: the runs do not tell them apart. Where every law that is claimed is rejected, the exponent of
L^a is fitted, and may be rejected too.
"""

from typing import Any

import numpy as np
import pandas as pd

from fimtiers.statistics.depth_law import POWER_LAWS, compare_predictions
from fimtiers.statistics.power_law import fit_power_law
from fimtiers.statistics.sweep_fits import COMPOSED, is_ratio, values_of

LEVEL = 0.01
"""A law whose lack of fit has a smaller p is rejected."""
TIE = 2.0
"""AICc closer than this to the best is a tie (Burnham & Anderson 2002, section 2.6)."""
RATIO_CLAIMS = ("constant", "sqrt_depth", "depth")
VARIANCE_CLAIMS = ("constant", "depth", "depth_squared")
"""The laws that compete, of a tier ratio and of a variance: no growth, the published law, and that
of a drift."""
COLUMNS = [
    *("sweep", "label", "response", "finding", "best", "tied", "not_rejected", "aicc_lead"),
    *("lack_of_fit_p", "best_power", "best_power_p", "exponent", "exponent_low", "exponent_high"),
    *("exponent_aicc", "exponent_p", "held_out_closer"),
    *("closer_by", "closer_by_low", "closer_by_high"),
]
FINDINGS = {
    "no_growth": "a constant is the best of the claimed laws, or ties with the best",
    "falls": "the best law falls with depth",
    "tie": "two growing laws within the margin, and not both rejected",
    "rejected": "the best of the claimed laws, and all that tie with it, are rejected",
    "undetermined": "no law can be fitted: a value is infinite, or there are too few runs",
}
"""Findings besides the name of the one law that describes the runs."""


def claimed_laws(response: str) -> tuple[str, ...]:
    """Return the laws that compete for a response, the constant first."""
    return RATIO_CLAIMS if is_ratio(response) else VARIANCE_CLAIMS


def judge_laws(fits: pd.DataFrame, response: str, level: float = LEVEL) -> dict[str, Any]:
    """Decide which of the claimed laws describes one response of one sweep.

    Parameters
    ----------
    fits
        Rows of `compare_depth_laws` for one sweep and response: ``law``, ``slope``, ``aicc``,
        ``lack_of_fit_p``.
    response
        Which laws compete, see `claimed_laws`.
    level
        Of the test of lack of fit. A p that is NaN, with a single seed, rejects nothing.

    Returns
    -------
    dict
        ``finding``: the law that describes the runs, or a key of `FINDINGS`. ``best``: the law with
        the smallest AICc. ``tied``: all laws within `TIE` of it, the best first. ``not_rejected``:
        those of them that are not rejected. ``aicc_lead``: AICc of the last of the claimed laws
        less that of the one before, positive where the published law is the better one.
        ``lack_of_fit_p``: of the best.
    """
    claims = claimed_laws(response)
    rows = fits[fits["law"].isin(claims)].set_index("law")
    determined = rows.dropna(subset="aicc").sort_values("aicc", kind="stable")
    lead = float(rows["aicc"].get(claims[2], np.nan) - rows["aicc"].get(claims[1], np.nan))
    if determined.empty:
        return _verdict("undetermined", "", [], [], lead, np.nan)
    best = str(determined.index[0])
    tied = [str(n) for n in determined.index[determined["aicc"] - determined["aicc"].iloc[0] < TIE]]
    kept = [name for name in tied if not determined.loc[name, "lack_of_fit_p"] < level]
    p = float(determined.loc[best, "lack_of_fit_p"])
    if claims[0] in tied:
        finding = "no_growth"
    elif determined.loc[best, "slope"] < 0:
        finding = "falls"
    elif not kept:
        finding = "rejected"
    else:
        finding = "tie" if len(tied) > 1 else best
    return _verdict(finding, best, tied, kept, lead, p)


def judge_sweeps(
    runs: pd.DataFrame, fits: pd.DataFrame, confidence: float = 0.95, level: float = LEVEL
) -> pd.DataFrame:
    """Decide for every sweep and response, and fit the exponent of L.

    Parameters
    ----------
    runs, fits
        As `fimtiers.statistics.sweep_fits.fit_sweeps` takes and gives them.
    confidence
        Level of the intervals.
    level
        Of the test of lack of fit.

    Returns
    -------
    DataFrame
        One row per sweep over depth or length, and response: ``sweep``, ``label``, ``response``,
        the entries of `judge_laws`; ``best_power``, the fixed power of L with the smallest AICc,
        and ``best_power_p``, its lack of fit; ``exponent`` with ``exponent_low``,
        ``exponent_high``, ``exponent_aicc`` and ``exponent_p`` of `fit_power_law`; and of the
        prediction of the largest depth by the two growing laws ``held_out_closer``, the law that is
        closer or ``tie``, and ``closer_by`` with ``closer_by_low`` and ``closer_by_high``, by how
        much the published law is closer.
    """
    rows: list[dict[str, Any]] = []
    if fits.empty:
        return pd.DataFrame(rows, columns=COLUMNS)
    composed = runs[runs["axis"].isin(COMPOSED) & (runs["position"] >= runs["fit_from"])]
    fitted = fits[fits["sweep"].isin(composed["sweep"])]
    for (sweep, label, response), own in fitted.groupby(["sweep", "label", "response"], sort=False):
        used = composed[composed["sweep"] == sweep]
        about = {"sweep": sweep, "label": label, "response": response}
        rows.append(
            {
                **about,
                **judge_laws(own, str(response), level),
                **_powers(own),
                **_own_exponent(used, str(response), confidence),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _verdict(
    finding: str, best: str, tied: list[str], kept: list[str], lead: float, p: float
) -> dict[str, Any]:
    return {
        "finding": finding,
        "best": best,
        "tied": " ".join(tied),
        "not_rejected": " ".join(kept),
        "aicc_lead": lead,
        "lack_of_fit_p": p,
    }


def _powers(fits: pd.DataFrame) -> dict[str, Any]:
    rows = fits[fits["law"].isin(POWER_LAWS)].dropna(subset="aicc")
    if rows.empty:
        return {"best_power": "", "best_power_p": np.nan}
    best = rows.loc[rows["aicc"].idxmin()]
    return {"best_power": best["law"], "best_power_p": best["lack_of_fit_p"]}


def _own_exponent(runs: pd.DataFrame, response: str, confidence: float) -> dict[str, Any]:
    used = values_of(runs, response)
    value, depth = used["value"].to_numpy(), used["depth"].to_numpy(float)
    seed = used["seed"].to_numpy()
    power = fit_power_law(value, depth, seed, confidence)
    published, drift = claimed_laws(response)[1:]
    first, second = POWER_LAWS[published], POWER_LAWS[drift]
    compared = compare_predictions(value, depth, seed, first, second, confidence=confidence)
    closer = "tie" if compared.tie else (published if compared.closer_by > 0 else drift)
    return {
        "exponent": power.exponent,
        "exponent_low": power.low,
        "exponent_high": power.high,
        "exponent_aicc": power.aicc,
        "exponent_p": power.lack_of_fit_p,
        "held_out_closer": closer,
        "closer_by": compared.closer_by,
        "closer_by_low": compared.low,
        "closer_by_high": compared.high,
    }
