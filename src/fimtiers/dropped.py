"""What a later file of a study drops, by setting it to null, and what then names nothing any more.

Snakefiles import this module, so it must not load anything heavy.
"""

from collections.abc import Collection, Mapping
from typing import Any

VALUES = ("settings", "where")
"""Entries in which null is a value: only a substrate knows whether its settings can be null."""

NAMING = ("corrects", "control_of")
"""Entries of a system that name another one."""
NEEDED = ("systems", "panel", "statistics")
"""What no study can do without: null stays there, and is refused."""


def without_dropped(config: Any) -> Any:
    """Leave out every entry that is null, and every mention of a system or sweep that is.

    A dropped system takes along those that measure its states, and leaves the panels, the tests,
    the checks and the sweeps of it; a dropped sweep leaves the figures. Names that were never there
    stay, and are refused later on. What is not laid out as a study stays as it is, for the schema
    to refuse in words.
    """
    if not isinstance(config, dict):
        return config
    needed = {name: None for name in NEEDED if name in config and config[name] is None}
    kept = {**_without_null(config), **needed}
    dropped = _null_in(config.get("systems"))
    dropped |= _lose_measured_again(kept.get("systems"), dropped)
    for section in (kept.get("statistics"), kept.get("panel")):
        for entry in list(_names(section)):
            _lose(section, entry, dropped)
    for system in _values(kept.get("systems")):
        for entry in NAMING:
            _lose(system, entry, dropped)
    if isinstance(mechanism := kept.get("mechanism"), dict):
        _lose_sweeps(mechanism, config["mechanism"], dropped)
        _lose_checks(mechanism.get("checks"), dropped)
    return kept


def _without_null(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        key: item if key in VALUES else _without_null(item)
        for key, item in value.items()
        if item is not None
    }


def _null_in(entries: Any) -> set[str]:
    return {name for name, entry in _items(entries) if entry is None}


def _items(entries: Any) -> Collection[tuple[str, Any]]:
    return entries.items() if isinstance(entries, dict) else ()


def _names(entries: Any) -> Collection[str]:
    return entries.keys() if isinstance(entries, dict) else ()


def _values(entries: Any) -> Collection[Any]:
    return entries.values() if isinstance(entries, dict) else ()


def _lose(section: Any, entry: str, dropped: Collection[str]) -> None:
    """Take names out of a list, or out of the section the entry that is one of them."""
    if not isinstance(section, dict) or entry not in section:
        return
    value = section[entry]
    if isinstance(value, list):
        section[entry] = [name for name in value if not _is_in(name, dropped)]
    elif _is_in(value, dropped):
        del section[entry]


def _is_in(name: Any, dropped: Collection[str]) -> bool:
    return isinstance(name, str) and name in dropped


def _lose_measured_again(systems: Any, dropped: Collection[str]) -> set[str]:
    """Leave out the systems that measure the states of dropped ones; return their names."""
    names = {
        name
        for name, system in _items(systems)
        if isinstance(system, dict) and _is_in(system.get("states_of"), dropped)
    }
    for name in names:
        del systems[name]
    return names


def _lose_sweeps(
    mechanism: dict[str, Any], given: Mapping[str, Any], systems: Collection[str]
) -> None:
    """Leave out the sweeps of dropped systems, and what names a sweep that is left out."""
    if "sweeps" in given and given["sweeps"] is None:  # all of them
        mechanism.pop("figures", None)
        return
    dropped = _null_in(given.get("sweeps"))
    dropped |= {
        name
        for name, sweep in _items(mechanism.get("sweeps"))
        if isinstance(sweep, dict) and _is_in(sweep.get("system"), systems)
    }
    if isinstance(mechanism.get("sweeps"), dict):
        for name in dropped & mechanism["sweeps"].keys():
            del mechanism["sweeps"][name]
    for sweep in _values(mechanism.get("sweeps")):
        _lose(sweep, "untrained", dropped)
    for panels in _values(mechanism.get("figures")):
        for title in _names(panels):
            _lose(panels, title, dropped)


def _lose_checks(checks: Any, systems: Collection[str]) -> None:
    for name in list(_names(checks)):
        _lose(checks, name, systems)
    if isinstance(checks, dict) and "observables" not in checks:
        checks.pop("observed_as", None)
