"""What code a result depends on: the hashes of a script's import closure, without importing it.

Snakemake tracks a script's own file at most. Here each rule declares its roots, a script and the
modules that it loads by name, and gets one hash for every module of the package that these import,
directly or not. The hash is taken of the normalised syntax tree, so comments, docstrings and
layout do not count. Only the standard library is used: Snakefiles import this module.

A root can be one function of a module: then just the part of the module counts that the function
can reach by name, so that a new formula for F trains nothing again.
"""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

PACKAGE = "fimtiers"
SOURCE = Path(__file__).parent.parent
DISTRIBUTIONS = {"sklearn": "scikit-learn", "yaml": "PyYAML"}
HASH_DIGITS = 12
FRAME = frozenset({f"{PACKAGE}.{name}" for name in ("job", "progress", "provenance", "failures")})
"""What starts, logs and checks every job and computes nothing: no edit of these re-runs a job."""


def code_closure(*roots: str | Path) -> dict[str, str]:
    """Hash everything that `roots` import inside the package.

    Parameters
    ----------
    *roots
        Dotted module names (``fimtiers.substrates.mlp``), one function of a module
        (``fimtiers.substrates.mlp:build_state``), or paths of scripts.

    Returns
    -------
    dict
        Module name, or file name of a script, to a hash of its normalised syntax tree, sorted by
        name. Function-level imports and parent packages are included, imports under
        ``if TYPE_CHECKING`` are not. A function that is looked up by a text is not seen.

    Raises
    ------
    ModuleNotFoundError
        If a root is a dotted name without a file.
    AttributeError
        If a root names a function that its module does not define.
    """
    hashes: dict[str, str] = {}
    waiting: list[str | Path] = list(roots)
    while waiting:
        root = waiting.pop()
        name = root.name if isinstance(root, Path) else root
        if name in hashes:
            continue
        hashes[name], imported, _ = _read(root)
        if name in FRAME:
            hashes[name] = "frame"
        waiting.extend(imported)
        if not isinstance(root, Path):
            waiting.extend(_parents(root.partition(":")[0]))
    return dict(sorted(hashes.items()))


def package_versions(*roots: str | Path) -> dict[str, str]:
    """Versions of the third-party packages that the closure of `roots` imports.

    A package that is not installed where Snakemake runs has the version ``absent``: its rule then
    runs in an environment of its own, which Snakemake tracks itself.
    """
    closure: list[str | Path] = [root for root in roots if isinstance(root, Path)]
    closure += [name for name in code_closure(*roots) if not name.endswith(".py")]
    names = {name for root in closure for name in _read(root)[2]}
    return {name: _version(name) for name in sorted(names)}


def undeclared_modules(closure: Iterable[str]) -> list[str]:
    """Modules of the package that this process has loaded and that `closure` does not name."""
    loaded = {
        name for name in list(sys.modules) if name == PACKAGE or name.startswith(f"{PACKAGE}.")
    }
    return sorted(loaded - set(closure))


def normalised(source: bytes) -> str:
    """Return all that counts of a Python source as text, without comments and documentation."""
    return ast.dump(_without_documentation(ast.parse(source)))


def _path_of(root: str | Path) -> Path:
    if isinstance(root, Path):
        return root
    stem = SOURCE.joinpath(*root.partition(":")[0].split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    raise ModuleNotFoundError(f"no module {root!r} in {SOURCE}", name=root)


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def _read(root: str | Path) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Hash, modules of the package and other packages of one root, read again if it changed."""
    path = _path_of(root)
    function = "" if isinstance(root, Path) else root.partition(":")[2]
    status = path.stat()
    return _read_version(path, function, status.st_mtime_ns, status.st_size)


@cache
def _read_version(
    path: Path, function: str, mtime_ns: int, size: int
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    tree = _without_documentation(ast.parse(path.read_bytes(), filename=str(path)))
    if function:
        tree.body = _reached(tree.body, function, path)
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:HASH_DIGITS]
    imported = set(_imported_modules(tree, path))
    return digest, tuple(sorted(imported)), tuple(sorted(set(_third_party(tree, path))))


def _reached(body: list[ast.stmt], function: str, path: Path) -> list[ast.stmt]:
    """Statements of a module that `function` can reach by name, and those that define no name."""
    defining: dict[str, list[int]] = {}
    for position, statement in enumerate(body):
        for name in _defined_names(statement):
            defining.setdefault(name, []).append(position)
    if function not in defining:
        raise AttributeError(f"{path} defines no {function!r}", name=function)
    reached: set[int] = set()
    waiting = [position for position, node in enumerate(body) if not _defined_names(node)]
    waiting += defining[function]
    while waiting:
        position = waiting.pop()
        if position in reached:
            continue
        reached.add(position)
        for node in ast.walk(body[position]):
            if isinstance(node, ast.Name):
                waiting += defining.get(node.id, [])
    return [body[position] for position in sorted(reached)]


def _defined_names(statement: ast.stmt) -> set[str]:
    """Names that a definition, an import or an assignment gives; none for other statements."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {statement.name}
        case ast.Import() | ast.ImportFrom():
            return {alias.asname or alias.name.split(".")[0] for alias in statement.names} - {"*"}
        case ast.Assign() | ast.AnnAssign():
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            parts = [part for target in targets for part in _unpacked(target)]
            if all(isinstance(part, ast.Name) for part in parts):
                return {part.id for part in parts if isinstance(part, ast.Name)}
    return set()


def _unpacked(target: ast.expr) -> Iterator[ast.expr]:
    """Parts of the left side of an assignment: names, or attributes and items of something."""
    match target:
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _unpacked(part)
        case ast.Starred(value=part):
            yield from _unpacked(part)
        case _:
            yield target


def _without_documentation(tree: ast.Module) -> ast.Module:
    """Drop docstrings, type-checking imports and the literal ``SETTINGS`` of a substrate.

    ``SETTINGS`` reaches the jobs as the settings themselves, each with its value or default, so
    that a better description re-runs nothing.
    """
    tree.body = [node for node in tree.body if not _is_settings(node)]
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        kept = [child for child in body if not _is_type_checking(child)]
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            kept = [child for child in kept if not _is_string(child)]
        node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    return tree


def _is_settings(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(isinstance(target, ast.Name) and target.id == "SETTINGS" for target in targets)


def _is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def _is_string(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _imported_modules(tree: ast.Module, path: Path) -> Iterator[str]:
    for name in _import_names(tree, path):
        if name.split(".")[0] == PACKAGE:
            yield from (part for part in (*_parents(name), name) if _exists(part))


def _import_names(tree: ast.Module, path: Path) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, path)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _absolute(node: ast.ImportFrom, path: Path) -> str:
    if not node.level:
        return node.module or ""
    package = path.parent.relative_to(SOURCE).parts
    package = package[: len(package) - node.level + 1]
    return ".".join((*package, *(node.module or "").split("."))).rstrip(".")


def _exists(module: str) -> bool:
    stem = SOURCE.joinpath(*module.split("."))
    return stem.with_suffix(".py").is_file() or (stem / "__init__.py").is_file()


def _third_party(tree: ast.Module, path: Path) -> Iterator[str]:
    for name in _import_names(tree, path):
        top = name.split(".")[0]
        if top and top != PACKAGE and top not in sys.stdlib_module_names:
            yield top


@cache
def _version(name: str) -> str:
    try:
        return metadata.version(DISTRIBUTIONS.get(name, name))
    except metadata.PackageNotFoundError:
        return "absent"
