"""Copies of the user's files that lie beside a script, and the lines that import from them.

A script does not repeat the user's code but imports it: from a copy of the file that the run has
used, with the files that it imports in turn, or from the package that has it.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optlab.core.errors import InvalidInput
from optlab.outside.own_models.sources import Source

_NOTHING: Mapping[str, bytes] = {}


def with_copies(
    source: Source, beside: Mapping[str, bytes] = _NOTHING
) -> tuple[str, dict[str, bytes]]:
    """Return the module from which a script imports a class, and the files that it needs for it.

    Args:
        source: of the class.
        beside: the files that lie beside the script already: path relative to its folder → content.

    Returns:
        The name of the module, and path → content of the files.

    Raises:
        InvalidInput: a file that the source imports cannot be read, or is another one than that of
            the same name in ``beside``.
    """
    if source.imported:
        return source.origin, {}
    files = source.contents_beside()
    different = [name for name in files if beside.get(name, files[name]) != files[name]]
    if different:
        raise InvalidInput(
            f"The model and the optimizer of the run import different files {different[0]}, of which "
            "only one can lie beside a script; rename one of them, and register what imports it "
            "again.",
            "format",
        )
    name = _name(source.path, {**beside, **files}, source.content)
    files[f"{name}.py"] = source.content
    return name, files


def import_line(module: str, cls: str, name: str) -> str:
    """Return the statement that imports a class from a module under a name."""
    return f"from {module} import {cls}" + ("" if cls == name else f" as {name}")


def literal(value: Any) -> str:
    """Return an argument as source; real numbers may be infinite."""
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return f'float("{value}")'
    if isinstance(value, tuple):
        parts = ", ".join(map(literal, value))
        return f"({parts},)" if len(value) == 1 else f"({parts})"
    return repr(value)


def _name(path: Path, others: Mapping[str, bytes], content: bytes) -> str:
    """Return the name under which a copy of a file can be imported, and hides no other module."""
    name = re.sub(r"\W", "_", path.stem)
    if name[:1].isdigit() or keyword.iskeyword(name) or _hides(name, path):
        name = f"own_{name}"
    while others.get(f"{name}.py", content) != content or f"{name}/__init__.py" in others:
        name += "_"
    return name


def _hides(name: str, path: Path) -> bool:
    """Return whether a file of this name would be imported in place of another module."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin != str(path)
