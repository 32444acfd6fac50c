"""The entry point of the command ``optlab``, which imports nothing large.

Without arguments, or with one experiment file or folder of watched runs, it opens the window;
otherwise it runs a command. Window and command line never import each other, so this module chooses between them. Opening the
window imports neither torch nor the libraries of the command line.
"""

from __future__ import annotations

import builtins
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from optlab.core import interpreter, streams
from optlab.core.errors import MissingPart
from optlab.core.logging import log_to_file
from optlab.core.printable import printable

_INSTALL_WINDOW = (
    "The window needs PySide6 and pyqtgraph, which are not installed; "
    "install them with: pip install 'optlab[gui]'"
)
_COMMANDS = "the commands work without a window, see optlab --help"


def main(arguments: Sequence[str] | None = None) -> int:
    """Open the window or run a command.

    Args:
        arguments: arguments after ``optlab``; by default those of the process.

    Returns:
        The exit code: 0 for success, 1 if a run failed, 2 for bad usage, bad input or if no window
        can be opened.
    """
    if getattr(sys, "frozen", False):
        # In a packaged application the workers are this same program, started again.
        import multiprocessing

        multiprocessing.freeze_support()
    typed = list(sys.argv[1:] if arguments is None else arguments)
    script = interpreter.script_of(typed)
    if script is not None:
        interpreter.execute(script)
        return 0
    streams.hold_numbers()
    log_to_file()
    if not typed or _is_file(typed):
        return _window(Path(typed[0]) if typed else None)
    if len(typed) == 2 and typed[0] == "--smoke":
        return _window(picture=Path(typed[1]))
    if _is_folder(typed):
        if len(typed) == 1 and not _no_window():
            return _window(folder=Path(typed[0]))
        typed = ["watched", *typed]
    from optlab.cli.app import main as command_line

    return command_line(typed)


def _is_folder(typed: Sequence[str]) -> bool:
    """Return whether a command line begins with a folder, of which no command has the name."""
    if typed[0].startswith("-") or not Path(typed[0]).expanduser().is_dir():
        return False
    if Path(typed[0]).name != typed[0]:
        return True
    # Imported here: hardly any word is a folder.
    from optlab.cli.parser import is_command

    return not is_command(typed[0])


def _no_window() -> str:
    """Return why no window can be opened, or ""."""
    from optlab.core import display

    if importlib.util.find_spec("PySide6") is None or importlib.util.find_spec("pyqtgraph") is None:
        return _INSTALL_WINDOW
    return display.problem()


def _is_file(typed: Sequence[str]) -> bool:
    return len(typed) == 1 and not typed[0].startswith("-") and typed[0].lower().endswith(".toml")


def _window(
    file: Path | None = None, picture: Path | None = None, folder: Path | None = None
) -> int:
    """Open the window, with the runs of a folder if there is one.

    With ``picture``, run its smoke test (:mod:`optlab.gui.smoke`).
    """
    # Imported here: commands do not need it.
    from optlab.core import display

    streams.guard(results=False)
    try:
        if file is not None and not file.exists():
            raise MissingPart(
                f"There is no experiment file {file}; "
                "optlab list presets shows the experiments that come with OptLab."
            )
        problem = display.problem()
        if problem:
            raise MissingPart(f"{problem}; {_COMMANDS}.")
        # PySide6 replaces this by a function that reads the source of every module that is imported
        # from then on, for a statement that is not used here: from __feature__ import …
        plain_import = builtins.__import__
        try:
            if picture is not None:
                from optlab.gui.smoke import main as smoke_test
            from optlab.gui.app import main as window
        except ImportError as error:
            raise MissingPart(_explained(error)) from error
        finally:
            builtins.__import__ = plain_import
    except MissingPart as error:
        print(printable(str(error)), file=sys.stderr)
        return 2
    return window(file, folder=folder) if picture is None else smoke_test(picture)


def _explained(error: ImportError) -> str:
    """Return why the window cannot be imported, in a sentence that says what to do.

    Raises:
        ImportError: the cause is not a missing library but a defect of OptLab.
    """
    from optlab.core import display

    top = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and top and top != "optlab":
        if top in ("PySide6", "shiboken6", "pyqtgraph"):
            return f"{_INSTALL_WINDOW}; {_COMMANDS}."
        return (
            f"The window needs {top}, which is not installed; "
            f"install everything it needs with: pip install 'optlab[gui]'; {_COMMANDS}."
        )
    if top in ("PySide6", "shiboken6"):
        # Qt is installed, but the system lacks a library that it links to ("libEGL.so.1: cannot
        # open shared object file …").
        library = str(error).partition(":")[0]
        return (
            f"Qt cannot be loaded because {library} is missing on this system; "
            f"{display.advice([library])}; {_COMMANDS}."
        )
    raise error
