"""The files that settings name, by their content: a checkpoint that is replaced is noticed.

Snakefiles import this module, so it must not load anything heavy.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

HASH_DIGITS = 12
BLOCK_BYTES = 1 << 20


def named_files(
    settings: Iterable[Mapping[str, Any]], table: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Hash the content of every file and folder that a text among some settings names.

    Parameters
    ----------
    settings
        Those of each point. A text counts if it is the path of something that is there, absolute
        or from the folder of the run.
    table
        ``SETTINGS`` of the substrate. Where it lists the allowed values, these are no paths.

    Returns
    -------
    dict
        ``file PATH`` to a hash: of the bytes of a file, or of the names and bytes of all in a
        folder. Neither times nor permissions count.
    """
    free = [name for name, schema in table.items() if "enum" not in schema]
    texts = {text for point in settings for name in free for text in _texts(point.get(name))}
    return {f"file {text}": _digest(Path(text)) for text in sorted(texts) if _exists(text)}


def _exists(text: str) -> bool:
    try:
        return bool(text) and Path(text).exists()
    except OSError:  # longer than a name can be
        return False


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _digest(path: Path) -> str:
    """Hash a file or a folder; nothing is read again in this process while it is the same file."""
    if path.is_file():
        return _digest_of_file(path, *_version(path))
    digest = hashlib.blake2b(digest_size=HASH_DIGITS // 2)
    for folder, folders, names in os.walk(path):
        folders.sort()
        for inner in (Path(folder, name) for name in sorted(names)):
            if inner.is_file():
                line = f"{inner.relative_to(path)}\0{_digest_of_file(inner, *_version(inner))}\n"
                digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _version(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@cache
def _digest_of_file(path: Path, *version: int) -> str:
    digest = hashlib.blake2b(digest_size=HASH_DIGITS // 2)
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
