"""Sweeps: the curves of the study of the mechanism, each a series of points of one system.

Snakefiles import this module, so it must not load anything heavy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fimtiers.mathtext import unreadable_mathtext
from fimtiers.study import Study, StudyError, System

DEPTHS = ("depth", "length")
"""Settings that count how many maps are composed."""
OBSERVED_AS = "observed_as"
"""Among the checks, the entry that names published points and no system."""
DEPTH_LAW = "depth_law"
"""The figure that compares laws in the depth."""
FEWEST_TO_PREDICT = 3
"""Depths: two fix a line, which predicts the third."""
WIDTHS = ("width", "gates", "dim")
"""Settings that count the units of one map, the first that a substrate has."""


@dataclass(frozen=True)
class Point:
    """One point of a curve.

    Attributes
    ----------
    name
        Name of the point in the files of its system.
    position
        Value of the swept setting.
    depth, width
        Number of composed maps and of units of each; 1 for a system that has no such setting.
    published_point
        Name of the point in the table of published runs.
    """

    name: str
    position: float
    depth: int
    width: int
    published_point: str


@dataclass(frozen=True)
class Sweep:
    """One curve: the points of a system that differ in a single setting.

    Attributes
    ----------
    name, label
        Name in the configuration, and in figures and tables.
    system
        The system whose points these are.
    axis
        The setting that differs.
    experiment, subset
        Published sweep that is repeated here, and which of its fits; None if there is none.
    differs
        Why its runs cannot be those published to all digits; None if they can.
    fit_from
        Smallest position that fits use.
    untrained
        The sweep with the same networks before training, if these are trained.
    points
        In the order of the system.
    """

    name: str
    label: str
    system: str
    axis: str
    experiment: str | None
    subset: str | None
    differs: str | None
    fit_from: float
    untrained: str | None
    points: tuple[Point, ...]


def read_sweeps(study: Study) -> dict[str, Sweep]:
    """Return the sweeps of a study by name, in the order of its configuration.

    Raises
    ------
    StudyError
        Naming the entry that does not fit its system.
    """
    entries = study.config.get("mechanism", {}).get("sweeps", {})
    sweeps = {name: _sweep(name, entry, study) for name, entry in entries.items()}
    for name, sweep in sweeps.items():
        if sweep.untrained is not None and sweep.untrained not in sweeps:
            raise StudyError(
                f"mechanism.sweeps.{name}.untrained: {sweep.untrained!r} is not a sweep; "
                f"allowed: {', '.join(sweeps)}"
            )
    for figure, panels in study.config.get("mechanism", {}).get("figures", {}).items():
        for title in panels:
            if fault := unreadable_mathtext(title):
                raise StudyError(f"mechanism.figures.{figure}: {fault}")
        for name in (name for shown in panels.values() for name in shown):
            if name not in sweeps:
                raise StudyError(
                    f"mechanism.figures.{figure}: {name!r} is not a sweep; "
                    f"allowed: {', '.join(sweeps)}"
                )
            if figure == DEPTH_LAW and _fitted_depths(sweeps[name]) < FEWEST_TO_PREDICT:
                raise StudyError(
                    f"mechanism.figures.{figure}: sweep {name!r} has {_fitted_depths(sweeps[name])}"
                    f" depths to fit; at least {FEWEST_TO_PREDICT} are needed, since the figure "
                    "predicts the largest from the others"
                )
    return sweeps


def read_checks(study: Study) -> dict[str, str]:
    """Return the system that each claim about a single system is tested on, by claim.

    Raises
    ------
    StudyError
        Naming the claim whose system, or point of a system, is not there.
    """
    entries = study.config.get("mechanism", {}).get("checks", {})
    checks = {name: system for name, system in entries.items() if name != OBSERVED_AS}
    for name, system in checks.items():
        if system not in study.systems:
            raise StudyError(f"mechanism.checks.{name}: {system!r} is not a system of this study")
    if OBSERVED_AS in entries and "observables" not in checks:
        raise StudyError(
            f"mechanism.checks.{OBSERVED_AS}: names points of the system under observables, which "
            "is not given"
        )
    for point in entries.get(OBSERVED_AS, {}):
        points = [name for name, _ in study.systems[checks["observables"]].points()]
        if point not in points:
            raise StudyError(
                f"mechanism.checks.{OBSERVED_AS}: {point!r} is not a point of system "
                f"{checks['observables']!r}; allowed: {', '.join(points)}"
            )
    return checks


def read_figures(study: Study) -> dict[str, dict[str, list[str]]]:
    """Return the sweeps of each panel of each figure; what has no sweep is left out."""
    figures = study.config.get("mechanism", {}).get("figures", {})
    kept = {
        figure: {title: list(shown) for title, shown in panels.items() if shown}
        for figure, panels in figures.items()
    }
    return {figure: panels for figure, panels in kept.items() if panels}


def _fitted_depths(sweep: Sweep) -> int:
    """Count the points that fits of a law in the depth use."""
    if sweep.axis not in DEPTHS:
        return 0
    return sum(point.position >= sweep.fit_from for point in sweep.points)


def _sweep(name: str, entry: Mapping[str, Any], study: Study) -> Sweep:
    where = f"mechanism.sweeps.{name}"
    if entry["system"] not in study.systems:
        raise StudyError(f"{where}.system: {entry['system']!r} is not a system of this study")
    system = study.systems[entry["system"]]
    if system.ratio_rule == "none":
        raise StudyError(
            f"{where}.system: {system.name!r} has no ratio_rule; one is needed, since the tier "
            "ratio of a sweep is the published one beside the one with zeros"
        )
    axis, fixed = entry["axis"], dict(entry.get("where", {}))
    if set(system.sweep) != {axis, *fixed}:
        raise StudyError(
            f"{where}: axis and where name {', '.join([axis, *fixed])}; system {system.name!r} "
            f"sweeps over {', '.join(system.sweep) or 'nothing'}, each of which must be named once"
        )
    for setting, value in fixed.items():
        if value not in system.sweep[setting]:
            raise StudyError(
                f"{where}.where.{setting}: {value!r} is not swept by system {system.name!r}; "
                f"allowed: {', '.join(map(str, system.sweep[setting]))}"
            )
    for value in system.sweep[axis]:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise StudyError(
                f"{where}.axis: {axis!r} has the value {value!r}; a curve needs numbers along its "
                "axis: name another setting, and this one under where"
            )
    label = entry.get("label", name.replace("_", " "))
    if fault := unreadable_mathtext(label):
        raise StudyError(f"{where}.label: {fault}")
    published = entry.get("published", {})
    template = published.get("point", f"{axis}={{{axis}}}")
    return Sweep(
        name=name,
        label=label,
        system=system.name,
        axis=axis,
        experiment=published.get("experiment"),
        subset=published.get("subset"),
        differs=published.get("differs"),
        fit_from=float(entry.get("fit_from", 0)),
        untrained=entry.get("untrained"),
        points=_points(where, system, axis, fixed, template),
    )


def _points(
    where: str, system: System, axis: str, fixed: Mapping[str, Any], template: str
) -> tuple[Point, ...]:
    points = []
    for name, settings in system.points():
        if any(settings[setting] != value for setting, value in fixed.items()):
            continue
        try:
            published_point = template.format(**settings)
        except KeyError as error:
            raise StudyError(
                f"{where}.published.point: {error} is not a setting of {system.substrate!r}"
            ) from None
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise StudyError(
                f"{where}.published.point: {template!r} is not allowed ({error}); expected text "
                "with names of settings in braces"
            ) from None
        points.append(
            Point(
                name=name,
                position=settings[axis],
                depth=_first(settings, DEPTHS if axis not in DEPTHS else (axis,)),
                width=_first(settings, WIDTHS),
                published_point=published_point,
            )
        )
    return tuple(points)


def _first(settings: Mapping[str, Any], keys: tuple[str, ...]) -> int:
    return int(next((settings[key] for key in keys if key in settings), 1))
