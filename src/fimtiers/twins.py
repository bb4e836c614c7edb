"""Points that differ only in whether exact zeros replace rounding errors share a measurement."""

import json
from collections.abc import Mapping, Sequence

from fimtiers.networks.exact_zeros import zero_role
from fimtiers.partial_probes import with_histograms
from fimtiers.progress import track
from fimtiers.records import FisherDiagonal, Settings, State
from fimtiers.substrates import Substrate

SETTING = "exact_zeros"


def fisher_diagonals(
    substrate: Substrate, points: Sequence[tuple[str, Settings]], states: Mapping[str, State]
) -> dict[str, FisherDiagonal]:
    """Measure all points of a system, each diagonal with histograms of its partial sums.

    Parameters
    ----------
    substrate
        If it has a ``WITHOUT_EFFECT``, that names the role whose F its setting ``exact_zeros``
        replaces; nothing else may depend on the setting. If not, every point is measured.
    points
        Name and settings of each point.
    states
        By the names of the points.

    Returns
    -------
    dict
        In the order of `points`.
    """
    role = getattr(substrate, "WITHOUT_EFFECT", None)
    ignored = {SETTING} if role else set()
    twins: dict[str, list[tuple[str, Settings]]] = {}
    for point, settings in points:
        shared = {name: value for name, value in settings.items() if name not in ignored}
        twins.setdefault(json.dumps(shared, sort_keys=True), []).append((point, settings))
    found = {}
    for together in track(twins.values(), len(twins), "diagonals"):
        point, settings = together[0]
        changed = dict.fromkeys(ignored, False)
        measured = substrate.fisher_diagonal({**settings, **changed}, states[point])
        for point, settings in together:
            result = zero_role(measured, role) if role and settings[SETTING] else measured
            found[point] = with_histograms(result)
    return {point: found[point] for point, _ in points}
