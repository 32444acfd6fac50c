"""The files beside a model's source that it imports: found in syntax trees, executed by nothing.

A model that is one file imports from the file's folder; one that is a module imports from its own
package. What an installed package imports is not looked up: it changes with the package alone.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

from optlab.core.errors import InvalidInput
from optlab.core.reading import open_regular

LARGEST_SOURCE = 1024 * 1024
"""Bytes that a source file may have."""
MAX_FILES = 256
"""Files that a model may import from beside its own."""
_INSTALLED = frozenset({"site-packages", "dist-packages"})


def beside(path: Path, content: bytes, module: str = "") -> dict[str, str]:
    """Return the files that a source imports from beside it, and those that they import.

    Imports that are computed while the code is executed are not found.

    Args:
        path: of the source.
        content: of the source.
        module: its dotted name where it is a module of a package; "" where it is a file alone.

    Returns:
        Path, relative to the folder from which names are imported, → SHA-256.

    Raises:
        InvalidInput: they are too many, or one cannot be read.
    """
    root, top = _root(path, module)
    if is_installed(root):
        return {}
    found: dict[str, str] = {}
    waiting = [(path, content)]
    while waiting:
        importer, text = waiting.pop()
        for name in _names(text, _package(importer, root)):
            if top and name[0] != top:
                continue
            for file in _files(root, name):
                relative = file.relative_to(root).as_posix()
                if file == path or relative in found:
                    continue
                if len(found) >= MAX_FILES:
                    raise InvalidInput(
                        f"{path} imports more than {MAX_FILES} files from {root}; put the model "
                        "into a folder of its own, or install them as a package.",
                        "origin",
                    )
                imported = _read(file)
                found[relative] = hashlib.sha256(imported).hexdigest()
                waiting.append((file, imported))
    return dict(sorted(found.items()))


def is_installed(path: Path) -> bool:
    """Return whether a file is part of an installed package."""
    return not _INSTALLED.isdisjoint(path.parts)


def folder(path: Path, module: str = "") -> Path:
    """Return the folder to which the paths of :func:`beside` are relative."""
    return _root(path, module)[0]


def _root(path: Path, module: str) -> tuple[Path, str]:
    """Return the folder from which names are imported, and the package that they have to be of."""
    if not module:
        return path.parent, ""
    parts = module.split(".")
    above = len(parts) if path.name == "__init__.py" else len(parts) - 1
    return path.parents[above], parts[0]


def _package(importer: Path, root: Path) -> tuple[str, ...]:
    return importer.parent.relative_to(root).parts


def _names(content: bytes, package: tuple[str, ...]) -> list[tuple[str, ...]]:
    names: list[tuple[str, ...]] = []
    for level, name in _imports(content):
        # One dot is the package of the file itself.
        base = package[: len(package) - (level - 1)] if level else ()
        full = (*base, *(name.split(".") if name else ()))
        if full:
            names.append(full)
    return names


@functools.lru_cache(maxsize=MAX_FILES)
def _imports(content: bytes) -> tuple[tuple[int, str], ...]:
    """Return the level of each import, 0 for an absolute one, and the name that it may load."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # Python cannot import it either, and says so when it is executed.
        return ()
    found: dict[tuple[int, str], None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(((0, alias.name), None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # What is imported from a package may be a module of it.
            for last in ("", *(alias.name for alias in node.names)):
                name = ".".join(filter(None, (node.module, last)))
                found[node.level, name] = None
    return tuple(found)


def _files(root: Path, name: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files that importing a name executes: its module, and the packages around it."""
    at = root
    for part in name:
        at = at / part
        if (at / "__init__.py").is_file():
            yield at / "__init__.py"
        elif (module := at.with_name(f"{part}.py")).is_file():
            yield module
            return
        elif not at.is_dir():
            return


def _read(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            content = file.read(LARGEST_SOURCE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(f"{path} cannot be read: {reason}.", "origin") from None
    if len(content) > LARGEST_SOURCE:
        raise InvalidInput(
            f"{path} is larger than {LARGEST_SOURCE // 1024} KiB, so it is no model's source.",
            "origin",
        )
    return content
