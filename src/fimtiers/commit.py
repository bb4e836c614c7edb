"""The commit of the code that a study runs with, and whether that code differs from it.

What cannot change a result does not count: comments, layout, memory and time, the profile of a
cluster, captions, pages. Snakefiles import this module, so it must not load anything heavy.
"""

import io
import subprocess
import tokenize
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from fimtiers.provenance import normalised

NO_CHECKOUT = "unknown, the workflow runs outside of a git checkout"
COUNTED = ("src", "workflow", "config", "resources")
"""Folders of a checkout whose content can change a result."""
NOT_COUNTED = ("workflow/profiles", "workflow/report", "*.md")
"""Pathspecs within these that cannot."""
NOT_OF_RESULTS = ("memory", "runtime")
"""Entries of a study that say what a job may use and nothing of what it computes."""
NO_TOKENS = (tokenize.COMMENT, tokenize.NL)


def commit_of(folder: Path) -> str:
    """Return the newest commit of a git checkout that touched what can change a result.

    It ends in ``-dirty`` if tracked files differ from it in what they compute. Without such a
    checkout, or without git, the text says so.
    """
    if not (folder / ".git").exists():
        return NO_CHECKOUT
    paths = [*COUNTED, *(f":(exclude){path}" for path in NOT_COUNTED)]
    try:
        commit = _git(folder, "log", "--max-count=1", "--format=%H", "--", *paths)
        commit = commit or _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "diff", "--name-only", "-z", "HEAD", "--", *paths)
        dirty = any(_differs(folder, name.decode()) for name in changed.split(b"\0") if name)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"unknown, {error}"
    return commit.decode().strip() + "-dirty" * dirty


def _git(folder: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=True).stdout


def _differs(folder: Path, name: str) -> bool:
    """Tell whether a file computes something else than the same file of the last commit."""
    path = folder / name
    in_commit = _git(folder, "ls-tree", "--name-only", "HEAD", "--", name)
    if not path.is_file() or not in_commit:
        return True
    committed = _git(folder, "show", f"HEAD:{name}")
    return bool(_meaning(name, path.read_bytes()) != _meaning(name, committed))


def _meaning(name: str, content: bytes) -> Any:
    """Return what counts of a file; all of it, if it cannot be read as what its name says."""
    suffix = PurePosixPath(name).suffix
    try:
        if suffix == ".py":
            return normalised(content)
        if suffix in (".yaml", ".yml"):
            return _without_allowances(yaml.safe_load(content))
        if suffix == ".smk" or name.endswith("Snakefile"):
            tokens = tokenize.tokenize(io.BytesIO(content).readline)
            return [(token.type, token.string) for token in tokens if token.type not in NO_TOKENS]
    except (SyntaxError, tokenize.TokenError, yaml.YAMLError, UnicodeDecodeError):
        pass  # a file in the middle of an edit: every byte counts
    return content


def _without_allowances(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_allowances(item)
            for key, item in value.items()
            if key not in NOT_OF_RESULTS
        }
    if isinstance(value, list):
        return [_without_allowances(item) for item in value]
    return value
