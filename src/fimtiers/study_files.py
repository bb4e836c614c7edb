"""The files of a study: what is wrong with them, or with their order, that merging would hide.

Snakefiles import this module, so it must not load anything heavy.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fimtiers.dropped import VALUES
from fimtiers.schema_faults import StudyError, suggestion
from fimtiers.yaml_faults import duplicate_keys, misread_numbers

SECTIONS = ("systems", "panel", "statistics")
"""What every study has."""


def check_files(paths: Sequence[Path]) -> None:
    """Check the files of a study, in the order in which they are merged.

    Parameters
    ----------
    paths
        Files that Snakemake could read, the later ones on top.

    Raises
    ------
    StudyError
        If a file gives a name twice or has a number that is not read as it looks, if it changes
        systems that only a later file defines, or removes what no earlier file has.
    """
    contents = [_content(path) for path in paths]
    for position, (path, content) in enumerate(zip(paths, contents, strict=True)):
        _check_order(paths, contents, position)
        for place in _nulls(content):
            if position and (fault := _removes_nothing(contents[:position], place)):
                raise StudyError(f"{path}: {'.'.join(place)}: {fault}")


def check_whole(
    config: Mapping[str, Any], allowed: Mapping[str, Any], paths: Sequence[Path], default: Path
) -> None:
    """Say of files that are no whole study what they lack, and how to lay them on the default one.

    Parameters
    ----------
    config
        The merged configuration.
    allowed
        All entries that a study can have; one with another entry is left for the schema to refuse.
    paths
        Its files.
    default
        The default study.

    Raises
    ------
    StudyError
        Naming the files and the missing sections.
    """
    missing = [name for name in SECTIONS if not _says_something(config.get(name))]
    if not missing or not set(config) <= set(allowed):
        return
    given = " ".join(map(str, paths)) or "the configuration that is handed over"
    fault = f"{given}: {listed(missing)} missing, so this is no whole study"
    if paths:
        fault += f"; to lay it on top of the default one: --configfile {default} {given}"
    raise StudyError(fault)


def listed(names: Sequence[str]) -> str:
    """Write ``'a' is``, or ``'a', 'b' and 'c' are``."""
    quoted = [repr(name) for name in names]
    if len(quoted) == 1:
        return f"{quoted[0]} is"
    return f"{', '.join(quoted[:-1])} and {quoted[-1]} are"


def _content(path: Path) -> Any:
    """Read one file as Snakemake does, JSON or YAML; check what is lost by reading."""
    text = path.read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except ValueError:
        pass  # then it is YAML
    if duplicated := duplicate_keys(path):
        raise StudyError(f"{path}: {duplicated[0]!r} is given twice; keep one")
    if misread := misread_numbers(path):
        raise StudyError("\n".join(misread))
    return yaml.safe_load(text)


def _check_order(paths: Sequence[Path], contents: Sequence[Any], position: int) -> None:
    """Refuse a file that changes systems which only a later one defines: nothing of it is left."""
    known = {name for content in contents[:position] for name in _systems(content)}
    changed = [
        name
        for name, entry in _systems(contents[position]).items()
        if name not in known and not (isinstance(entry, dict) and "substrate" in entry)
    ]
    for later in range(position + 1, len(paths)):
        for name in changed:
            entry = _systems(contents[later]).get(name)
            if isinstance(entry, dict) and "substrate" in entry:
                order = [path for path in paths if path != paths[position]]
                raise StudyError(
                    f"{paths[position]}: changes systems.{name}, which {paths[later]} defines "
                    "after it; later files lie on top: "
                    f"--configfile {' '.join(map(str, [*order, paths[position]]))}"
                )


def _systems(content: Any) -> Mapping[str, Any]:
    systems = content.get("systems") if isinstance(content, dict) else None
    return systems if isinstance(systems, dict) else {}


def _nulls(content: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Find the entries that are null, which removes what an earlier file has there."""
    if isinstance(content, dict) and len(above) < 8:
        for name, value in content.items():
            if value is None:
                yield (*above, str(name))
            if name not in VALUES:
                yield from _nulls(value, (*above, str(name)))


def _removes_nothing(earlier: Sequence[Any], place: tuple[str, ...]) -> str | None:
    names: set[str] = set()
    for content in earlier:
        for name in place[:-1]:
            content = content.get(name) if isinstance(content, dict) else None
        if isinstance(content, dict):
            names |= set(map(str, content))
    if place[-1] in names:
        return None
    return f"null removes nothing, since no earlier file has it{suggestion(place[-1], names)}"


def _says_something(section: Any) -> bool:
    """Return whether a section has an entry that does not only drop another one."""
    if isinstance(section, dict) and section:
        return any(entry is not None for entry in section.values())
    return section is not None
