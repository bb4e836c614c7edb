"""What is wrong with a YAML file that a YAML reader does not say, or says without the file's name.

Snakefiles import this module, so it must not load anything heavy.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml


def syntax_error(path: Path) -> str | None:
    """Say where and why a file is no YAML; None if it is."""
    try:
        yaml.safe_load(path.read_bytes())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        reason = error.problem or error.context
        return f"{path}{where}: this is no YAML: {reason}"
    except yaml.YAMLError as error:
        return f"{path}: this is no YAML: {' '.join(str(error).split())}"
    return None


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
