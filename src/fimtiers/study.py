"""A study: the configured systems, checked before any job starts.

Snakefiles import this module, so it must not load anything heavy: the settings that a substrate
accepts are read from its source, not by importing it.
"""

import ast
import itertools
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fimtiers.declared import as_declared, entries_as_declared
from fimtiers.dropped import without_dropped
from fimtiers.mathtext import unreadable_mathtext
from fimtiers.schema_faults import StudyError, check, short, suggestion

SUBSTRATES = Path(__file__).parent / "substrates"
ONLY_POINT = "single"
FEWEST_IN_GROUP = 2
DEEPEST = 20
LARGEST = 2**63
PROBES = "probes"
FISHER_STAGE = "fisher"
"""Value of ``stage`` in the schema of a setting on which states do not depend."""
INHERITED = ("substrate", "seeds", "settings", "sweep", "memory", "runtime")
"""What a system that measures the states of another takes over from it."""


@dataclass(frozen=True)
class System:
    """One configured entry of the study, with every default filled in.

    ``fisher_settings`` are those that only the Fisher stage reads: states do not depend on them.
    """

    name: str
    label: str
    substrate: str
    group: str
    seeds: tuple[int, ...]
    settings: Mapping[str, Any]
    sweep: Mapping[str, tuple[Any, ...]]
    split: bool
    states_of: str | None
    fisher_settings: frozenset[str]
    ratio_rule: str
    corrects: str | None
    control_of: str | None
    published_as: str
    probe_counts: tuple[int, ...]
    memory: int
    runtime: int

    def points(self) -> list[tuple[str, dict[str, Any]]]:
        """Name and complete settings of each point of the sweep, in the order of the config."""
        names = list(self.sweep)
        combinations = itertools.product(*self.sweep.values())
        return [
            (
                ",".join(f"{name}={value}" for name, value in zip(names, values, strict=True))
                or ONLY_POINT,
                {**self.settings, **dict(zip(names, values, strict=True))},
            )
            for values in combinations
        ]

    def state_job(self, points: list[str] | None = None) -> str:
        """Give the settings of one job that builds states, as `job` does."""
        return self.job(points, without=self.fisher_settings)

    def job(
        self,
        points: list[str] | None = None,
        without: frozenset[str] = frozenset(),
        **extra: Any,
    ) -> str:
        """Give the settings of one job as JSON: what the numbers depend on, and nothing else."""
        chosen = [
            (point, {name: value for name, value in settings.items() if name not in without})
            for point, settings in self.points()
            if points is None or point in points
        ]
        return json.dumps(
            {
                "system": self.name,
                "substrate": self.substrate,
                "seeds": self.seeds,
                "points": chosen,
                **extra,
            }
        )


@dataclass(frozen=True)
class Study:
    """All systems of a study by name, and the rest of its configuration."""

    systems: Mapping[str, System]
    panel: Mapping[str, tuple[str, ...]]
    config: Mapping[str, Any]

    def labels(self) -> dict[str, str]:
        """System name to the label that figures and tables show."""
        return {name: system.label for name, system in self.systems.items()}

    def groups(self) -> dict[str, str]:
        """System name to its claimed group."""
        return {name: system.group for name, system in self.systems.items()}


def read_study(config: Mapping[str, Any], schema: Mapping[str, Any]) -> Study:
    """Check a configuration and fill in the defaults.

    Parameters
    ----------
    config
        The configuration as Snakemake hands it over. An entry that is null is left out, so that
        one file can drop what an earlier one has (see `fimtiers.dropped`).
    schema
        JSON Schema of the configuration; the settings of each system are checked against the
        ``SETTINGS`` of its substrate.

    Raises
    ------
    StudyError
        Naming the entry, its value and what is allowed.
    """
    _check_plain(config, ("config",))
    config = _with_inherited(without_dropped(config))
    check(config, schema, "config")
    config = {**config, "statistics": _with_defaults(config["statistics"], schema)}
    systems = {
        name: _system(name, {**entry, "seeds": _seeds(entry["seeds"], config)})
        for name, entry in config["systems"].items()
    }
    for name, system in systems.items():
        for entry in ("corrects", "control_of"):
            other = getattr(system, entry)
            if other is not None and other not in systems:
                raise StudyError(
                    f"systems.{name}.{entry}: {other!r} is not a system of this study"
                    f"{suggestion(other, systems)}"
                )
    panels = entries_as_declared(config["panel"], schema["properties"]["panel"]["properties"])
    panel = {name: tuple(members) for name, members in panels.items()}
    _check_panel(panel, systems)
    _check_folders(config.get("pathvars", {}))
    statistics = config["statistics"]
    lists = [name for entry in ("uniqueness", "controls") for name in statistics.get(entry, ())]
    for member in [*lists, statistics.get("partition_grid")]:
        if member is not None and member not in systems:
            raise StudyError(
                f"statistics: {member!r} is not a system of this study"
                f"{suggestion(member, systems)}; allowed: {', '.join(systems)}"
            )
    grid = statistics.get("partition_grid")
    if grid is not None and len(points := systems[grid].points()) > 1:
        raise StudyError(
            f"statistics.partition_grid: {grid!r} sweeps over {', '.join(systems[grid].sweep)} and "
            f"has {len(points)} points; name a system without a sweep"
        )
    return Study(systems=systems, panel=panel, config=config)


def substrate_settings(substrate: str) -> dict[str, dict[str, Any]]:
    """Read ``SETTINGS`` from the source of a substrate without importing it.

    Raises
    ------
    StudyError
        If there is no such substrate, or its ``SETTINGS`` is not a literal.
    """
    if substrate not in substrate_names():
        raise StudyError(
            f"substrate {substrate!r} does not exist{suggestion(substrate, substrate_names())}; "
            f"allowed: {', '.join(substrate_names())}"
        )
    path = SUBSTRATES / f"{substrate}.py"
    for node in ast.parse(path.read_bytes(), filename=str(path)).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "SETTINGS" for target in targets):
            return _literal(path, node)
    raise StudyError(f"{path} has no SETTINGS, the table of what can be configured")


def substrate_names() -> list[str]:
    """Names of all substrates that a study can use."""
    return sorted(p.stem for p in SUBSTRATES.glob("*.py") if not p.stem.startswith("_"))


def _with_inherited(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fill in what a system takes over from the one whose states it measures.

    Raises
    ------
    StudyError
        If that one is none of the study or has no states of its own, or if a setting that its
        states depend on is given again.
    """
    if not (isinstance(config, dict) and isinstance(systems := config.get("systems"), dict)):
        return config  # which the schema refuses in words
    filled = {}
    for name, entry in systems.items():
        filled[name] = entry
        if isinstance(entry, dict) and "states_of" in entry:
            filled[name] = _inherit(name, entry, systems)
    return {**config, "systems": filled}


def _inherit(name: str, entry: Mapping[str, Any], systems: Mapping[str, Any]) -> Mapping[str, Any]:
    where, owner = f"systems.{name}", entry["states_of"]
    source = systems.get(owner) if isinstance(owner, str) else None
    if not isinstance(source, dict) or "states_of" in source or "substrate" not in source:
        owners = [
            other
            for other, candidate in systems.items()
            if isinstance(candidate, dict) and "states_of" not in candidate
        ]
        raise StudyError(
            f"{where}.states_of: {owner!r} is not a system of this study with states of its own"
            f"{suggestion(owner, owners)}"
        )
    given = entry.get("settings", {})
    taken = {key: source[key] for key in INHERITED if key in source}
    again = [key for key in ("substrate", "seeds", "sweep", "split") if key in entry]
    if not isinstance(given, dict) or not isinstance(source.get("settings", {}), dict):
        return {**taken, **entry}  # which the schema refuses in words
    try:
        own = {*_fisher_settings(substrate_settings(source["substrate"])), PROBES}
    except StudyError:
        own = set(given)  # said of the other system
    again += [f"settings.{key}" for key in given if key not in own]
    if again:
        raise StudyError(
            f"{where}.{again[0]}: the states are those of {owner!r}, which sets it; allowed "
            f"under settings: {', '.join(sorted(own))}"
        )
    return {**taken, **entry, "settings": {**source.get("settings", {}), **given}}


def _fisher_settings(table: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    """Return the settings that are marked as read by the Fisher stage alone."""
    return frozenset(name for name, schema in table.items() if schema.get("stage") == FISHER_STAGE)


def _check_plain(value: Any, path: tuple[str, ...]) -> None:
    """Refuse what YAML can say but no study means: loops, dates, NaN, names that are no text."""
    where = ".".join(path)
    if len(path) > DEEPEST:
        raise StudyError(f"{'.'.join(path[:3])}: goes {DEEPEST} levels deep or contains itself")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isprintable():
                raise StudyError(
                    f"{where}: {short(repr(key))} is not allowed; names are plain text"
                )
            _check_plain(item, (*path, short(key)))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            _check_plain(item, (*path, str(position)))
    elif isinstance(value, str):
        if not value.isprintable():
            raise StudyError(f"{where}: {short(repr(value))} is not allowed; use plain text")
    elif isinstance(value, int | float):
        if not abs(value) <= LARGEST:
            shown = value if isinstance(value, float) else "an integer of this size"
            raise StudyError(f"{where}: {shown} is not allowed; the largest number is {LARGEST}")
    elif value is not None:
        raise StudyError(
            f"{where}: {short(repr(value))} is not allowed; expected text, a number, a list or "
            "named entries"
        )


def _with_defaults(entries: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    table = schema["properties"]["statistics"]["properties"]
    defaults = {key: spec["default"] for key, spec in table.items() if "default" in spec}
    return entries_as_declared({**defaults, **entries}, table)


def _seeds(own: list[int], config: Mapping[str, Any]) -> list[int]:
    """Take the seeds of the whole study in place of a system's own, and add further ones."""
    seeds = config.get("seeds", own)
    unused = (seed for seed in itertools.count() if seed not in seeds)
    return [*seeds, *itertools.islice(unused, config.get("more_seeds", 0))]


def _system(name: str, entry: Mapping[str, Any]) -> System:
    where = f"systems.{name}"
    try:
        table = substrate_settings(entry["substrate"])
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from None
    given = _without_null(entry.get("settings", {}), table)
    sweep = {key: tuple(values) for key, values in entry.get("sweep", {}).items()}
    both = sorted(set(given) & set(sweep))
    if both:
        raise StudyError(f"{where}: {both[0]!r} is given under settings and under sweep; keep one")
    properties = {
        "type": "object",
        "properties": table,
        "additionalProperties": False,
        "required": [key for key, spec in table.items() if "default" not in spec],
    }
    defaults = {key: spec["default"] for key, spec in table.items() if "default" in spec}
    system = System(
        name=name,
        label=entry.get("label", name.replace("_", " ")),
        substrate=entry["substrate"],
        group=entry["group"],
        seeds=tuple(entry["seeds"]),
        settings={**defaults, **given},
        sweep=sweep,
        split=entry.get("split", False),
        states_of=entry.get("states_of"),
        fisher_settings=_fisher_settings(table),
        ratio_rule=entry.get("ratio_rule", "none"),
        corrects=entry.get("corrects"),
        control_of=entry.get("control_of"),
        published_as=entry.get("published_as", name),
        probe_counts=tuple(entry.get("probe_counts", ())),
        memory=entry.get("memory", 700),
        runtime=entry.get("runtime", 10),
    )
    for point, settings in system.points():
        at = f"{where}.settings" + ("" if not sweep else f" at {point}")
        check(settings, properties, at)
        for key in (key for key, value in table.items() if value.get("format") == "path"):
            if isinstance(path := settings.get(key), str) and not Path(path).exists():
                raise StudyError(
                    f"{at}.{key}: there is no {path!r}; it is looked for in {Path.cwd()}"
                )
    if system.probe_counts and "probes" not in table:
        raise StudyError(f"{where}.probe_counts: substrate {system.substrate!r} has no probes")
    if system.probe_counts and "probes" in sweep:
        raise StudyError(f"{where}: probes are swept and probe_counts are given; keep one")
    for count in system.probe_counts:
        check(count, table["probes"], f"{where}.probe_counts")
    if fault := unreadable_mathtext(system.label):
        raise StudyError(f"{where}.label: {fault}")
    return replace(
        system,
        settings=entries_as_declared(system.settings, table),
        sweep={
            name: tuple(as_declared(value, table[name]) for value in sweep[name])
            for name in table
            if name in sweep
        },
    )


def _without_null(given: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the settings that a later file dropped; of some, null is a value."""
    nullable = {name for name, spec in table.items() if "null" in spec.get("type", ())}
    return {name: value for name, value in given.items() if value is not None or name in nullable}


def _check_folders(folders: Mapping[str, str]) -> None:
    """Refuse folders that Snakemake takes for something else, or finds under two names."""
    for name, folder in folders.items():
        wrong = {
            "~ is not replaced by the home folder here; write the path in full": folder[:1] == "~",
            "write it without the slash at its end": folder.endswith("/"),
            "write it without //": "//" in folder,
            "write it without ./": folder.startswith("./"),
            "braces and angle brackets stand for something else in paths": set(folder)
            & set("{}<>"),
        }
        for advice, found in wrong.items():
            if found:
                raise StudyError(f"pathvars.{name}: {folder!r} is not allowed; {advice}")


def _check_panel(panel: Mapping[str, tuple[str, ...]], systems: Mapping[str, System]) -> None:
    for name, members in panel.items():
        for member in members:
            if member not in systems:
                raise StudyError(
                    f"panel.{name}: {member!r} is not a system of this study"
                    f"{suggestion(member, systems)}; allowed: {', '.join(systems)}"
                )
        groups = Counter(systems[member].group for member in members)
        if set(groups) != {"deep", "rest"} or min(groups.values()) < FEWEST_IN_GROUP:
            has = ", ".join(f"{groups[group]} {group}" for group in sorted(groups))
            raise StudyError(
                f"panel.{name}: needs at least {FEWEST_IN_GROUP} systems of group deep and of "
                f"group rest, since each is left out in turn, and no other; has {has or 'none'}"
            )
        if not any(systems[member].probe_counts for member in members):
            raise StudyError(
                f"panel.{name}: none of its systems has probe_counts; at least one needs two or "
                "more, since the margin is followed over the number of probes"
            )


def _literal(path: Path, node: ast.stmt) -> dict[str, dict[str, Any]]:
    value = getattr(node, "value", None)
    try:
        settings = ast.literal_eval(value) if value is not None else None
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise StudyError(
            f"{path}:{node.lineno}: SETTINGS must be a dictionary of literals, since it is read "
            "without importing the module"
        )
    return settings
