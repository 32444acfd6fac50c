"""The entry: what ``optlab`` means, before anything large is imported.

Without arguments, or with one experiment file, it is the window; otherwise it is a command. Window
and command line never import each other, so the choice between them is made here, above both; on
the way to the window neither torch nor the command line's libraries are loaded.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence
from pathlib import Path

from optlab.core import display
from optlab.core.errors import MissingPart

_INSTALL_WINDOW = "The window needs PySide6 and pyqtgraph, which are not installed; install them with: pip install 'optlab[gui]'"
_COMMANDS = "the commands work without a window, see optlab --help"


def main(arguments: Sequence[str] | None = None) -> int:
    """Open the window or run a command.

    Args:
        arguments: what was typed after ``optlab``; by default the process's own.

    Returns:
        the exit code: 0 fine, 1 a run failed, 2 bad usage, bad input or no way to show a window.
    """
    # In a packed application the workers are this same program, started again.
    multiprocessing.freeze_support()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or _is_file(words):
        return _window(Path(words[0]) if words else None)
    if len(words) == 2 and words[0] == "--smoke":
        return _window(picture=Path(words[1]))
    from optlab.cli.app import main as command_line

    return command_line(words)


def _is_file(words: Sequence[str]) -> bool:
    return len(words) == 1 and not words[0].startswith("-") and words[0].lower().endswith(".toml")


def _window(file: Path | None = None, picture: Path | None = None) -> int:
    """Open the window; with ``picture`` for its own trial (:mod:`optlab.gui.smoke`)."""
    try:
        if file is not None and not file.is_file():
            raise MissingPart(
                f"There is no experiment file {file}; optlab list presets shows experiments that come with OptLab."
            )
        problem = display.problem()
        if problem:
            raise MissingPart(f"{problem}; {_COMMANDS}.")
        try:
            if picture is not None:
                from optlab.gui.smoke import main as trial
            from optlab.gui.app import main as window
        except ImportError as error:
            raise MissingPart(_explained(error)) from error
    except MissingPart as error:
        print(error, file=sys.stderr)
        return 2
    return window(file) if picture is None else trial(picture)


def _explained(error: ImportError) -> str:
    """Why the window cannot be imported, in a sentence that says what to do.

    Raises:
        ImportError: it is no question of what is installed but a defect of OptLab.
    """
    top = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and top and top != "optlab":
        if top in ("PySide6", "shiboken6", "pyqtgraph"):
            return f"{_INSTALL_WINDOW}; {_COMMANDS}."
        return f"The window needs {top}, which is not installed; install everything it needs with: pip install 'optlab[gui]'; {_COMMANDS}."
    if top in ("PySide6", "shiboken6"):
        # Qt is there, but the system lacks a library that it links to ("libEGL.so.1: cannot open
        # shared object file …").
        library = str(error).partition(":")[0]
        return f"Qt cannot be loaded because {library} is missing on this system; {display.advice([library])}; {_COMMANDS}."
    raise error
