"""How far the groups are apart in every panel, by F and by θ²F, and what unit the test counts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


def separation_table(
    dichotomies: Mapping[str, Mapping[str, Any]], observations: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Return one row per panel and quantity.

    Parameters
    ----------
    dichotomies
        Panel to its entries of ``dichotomy.json``.
    observations
        Panel to its observations, with ``definition`` and ``class``.

    Returns
    -------
    DataFrame
        ``panel``; ``definitions``, those of F among its systems that have a likelihood;
        ``quantity``, ``F`` or ``θ²F``; ``separated``; ``smallest_deep``, ``smallest_deep_system``,
        ``largest_rest``, ``largest_rest_system``, ``margin_ratio``; ``largest_finite_rest`` and
        its system, since θ²F is zero, and its ratio infinite, where half of the parameters are;
        ``deep_below``, how many deep values do not exceed that, of ``n_deep``; ``systems``,
        ``p_systems``, ``classes``, ``p_classes``, numbers of units and exact permutation p.
    """
    rows: list[dict[str, Any]] = []
    for panel, result in dichotomies.items():
        table = observations[panel]
        learnt = table.loc[table["definition"] != "response", "definition"]
        for quantity, column, tests in (
            ("F", "value", result),
            ("θ²F", "relative_tier_ratio", result["relative"]),
        ):
            gap, systems, classes = tests["separation"], tests["systems"], tests["classes"]
            rest = table[(table["group"] == "rest") & np.isfinite(table[column])]
            largest = {column: np.nan, "system": ""}
            if len(rest):
                largest = rest.loc[rest[column].idxmax(), [column, "system"]].to_dict()
            deep = table.loc[table["group"] == "deep", column]
            rows.append(
                {
                    "panel": panel,
                    "definitions": "/".join(sorted(learnt.unique())),
                    "quantity": quantity,
                    "separated": gap["separated"],
                    "smallest_deep": gap["smallest_deep"]["value"],
                    "smallest_deep_system": gap["smallest_deep"]["system"],
                    "largest_rest": gap["largest_rest"]["value"],
                    "largest_rest_system": gap["largest_rest"]["system"],
                    "margin_ratio": gap["margin_ratio"],
                    "largest_finite_rest": largest[column],
                    "largest_finite_rest_system": largest["system"],
                    "deep_below": int((deep <= largest[column]).sum()),
                    "n_deep": len(deep),
                    "systems": systems["n_deep"] + systems["n_rest"],
                    "p_systems": systems["p_value"],
                    "classes": classes["n_deep"] + classes["n_rest"],
                    "p_classes": classes["p_value"],
                }
            )
    return pd.DataFrame(rows)
