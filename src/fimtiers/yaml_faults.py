"""What is wrong with a YAML file that a YAML reader does not say, or says without the file's name.

Snakefiles import this module, so it must not load anything heavy.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

OCTAL = re.compile(r"[-+]?0[0-7_]+")


def syntax_error(path: Path) -> str | None:
    """Say where and why a file is no YAML with names at its top; None if it is."""
    try:
        content = yaml.safe_load(path.read_bytes())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        reason = str(error.problem or error.context)
        if "'\\t'" in reason:
            reason += "; indent with spaces, not with tabs"
        return f"{path}{where}: this is no YAML: {reason}"
    except yaml.YAMLError as error:
        return f"{path}: this is no YAML: {' '.join(str(error).split())}"
    if content is None:
        return f"{path}: this file is empty; expected named entries"
    if not isinstance(content, dict):
        return f"{path}: this is a {type(content).__name__}; expected named entries"
    return None


def misread_numbers(path: Path) -> list[str]:
    """Say which numbers of a YAML file are not read as they look: YAML 1.1 knows bases 8 and 60."""
    root = yaml.compose(path.read_text(encoding="utf-8"))
    return [
        f"{path}, line {node.start_mark.line + 1}: {node.value} is read as {value}, "
        f"in base {base}; {advice}"
        for node in _scalars(root)
        for value, base, advice in _other_base(node)
    ]


def _other_base(node: yaml.ScalarNode) -> Iterator[tuple[Any, int, str]]:
    if node.style is not None or node.tag.rpartition(":")[2] not in ("int", "float"):
        return
    value = yaml.safe_load(node.value)
    if ":" in node.value:
        yield value, 60, f"write {value}, or what is meant"
    elif OCTAL.fullmatch(node.value) and value != int(node.value):
        yield value, 8, f"write {int(node.value)}, or {value} if that is meant"


def _scalars(node: Any, above: tuple[Any, ...] = ()) -> Iterator[yaml.ScalarNode]:
    if node in above:  # an alias of something that contains it
        return
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.CollectionNode):
        for child in node.value:
            for part in child if isinstance(child, tuple) else (child,):
                yield from _scalars(part, (*above, node))


def duplicate_keys(path: Path) -> list[str]:
    """Find the keys that a YAML file gives twice; YAML itself silently keeps the last."""
    root = yaml.compose(path.read_text(encoding="utf-8"))
    return list(_duplicates(root, ())) if root else []


def _duplicates(node: Any, prefix: tuple[str, ...], above: tuple[Any, ...] = ()) -> Iterator[str]:
    if node in above:  # an alias of something that contains it
        return
    above = (*above, node)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            name = str(key.value)
            here = (*prefix, name)
            if name in seen:
                yield ".".join(here)
            seen.add(name)
            yield from _duplicates(value, here, above)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield from _duplicates(value, (*prefix, str(position)), above)
