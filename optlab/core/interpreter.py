"""Executing a script in a process of its own, also in a packaged program.

A packaged program has no interpreter beside it: it is its own, when it is started with
:data:`SCRIPT` and the path of a script.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

SCRIPT = "--script"


def command(script: Path, options: Sequence[str] = ()) -> list[str]:
    """Return the command that executes a script.

    Args:
        script: its path. options: of the interpreter, for where there is one.
    """
    if _is_packaged():
        return [sys.executable, SCRIPT, str(script)]
    return [sys.executable, *options, str(script)]


def script_of(arguments: Sequence[str]) -> Path | None:
    """Return the script that a packaged program is to execute; None for other arguments."""
    if _is_packaged() and len(arguments) == 2 and arguments[0] == SCRIPT:
        return Path(arguments[1])
    return None


def execute(script: Path) -> None:
    """Execute a script as an interpreter would: what it imports may lie beside it."""
    # Imported here: every start of OptLab imports this module.
    import runpy

    sys.argv = [str(script)]
    sys.path.insert(0, str(script.resolve().parent))
    runpy.run_path(str(script), run_name="__main__")


def _is_packaged() -> bool:
    return bool(getattr(sys, "frozen", False))
