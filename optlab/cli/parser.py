"""The parser of the command line: what may be typed after ``optlab``, and its help."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Annotated, Any, cast

import typer

from optlab import __version__
from optlab.cli.output import say
from optlab.core import walk
from optlab.core.errors import InvalidInput

_USAGE_ERRORS = cast("tuple[type[Exception], ...]", typer.BadParameter.__bases__)
"""The class of all usage errors, which typer itself does not export."""

app = typer.Typer(
    name="optlab",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help=(
        "A laboratory for watching deep-learning optimization at work.\n\nWithout a command, or "
        "with one experiment file, optlab opens its window; with the folder of a loop that optlab.watch "
        "has watched, too. "
        "A first run without it: optlab run digits-mlp. To see what there is: optlab list."
    ),
    epilog="Exit codes: 0 success, 1 the run failed or diverged, 2 bad usage or bad input, 130 "
    "stopped by Ctrl-C. "
    "OPTLAB_HOME names the folder for runs; OPTLAB_DEBUG=1 shows tracebacks.",
)


def _show_version(asked: bool) -> None:
    if asked:
        say(f"optlab {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _begin(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        say(context.get_help())


def execute(words: Sequence[str]) -> int:
    """Execute a command line, and return its exit code.

    Raises:
        InvalidInput: it does not say what a command takes.
        KeyboardInterrupt: a question was answered by Ctrl-C or by the end of input.
        OptLabError: what the command raises.
    """
    try:
        code: Any = command_line(words).main(
            args=list(words), prog_name="optlab", standalone_mode=False
        )
    except _USAGE_ERRORS as error:
        raise InvalidInput(_usage_sentence(error)) from error
    except typer.Abort:
        raise KeyboardInterrupt from None
    return code if isinstance(code, int) else 0


def command_line(words: Sequence[str]) -> Any:
    """Return the command line with the command that is asked for, or with all of them.

    A command does not wait for the imports of the others. Its module is named after it; where that
    does not hold, or the command is not found, all modules are imported, so that nothing depends on
    the names.
    """
    asked = next((word for word in words if not word.startswith("-")), "")
    for name in walk.modules("optlab.cli"):
        if name.rpartition(".")[2] == asked.replace("-", "_"):
            _register([importlib.import_module(name)])
            if any(command.name == asked for command in app.registered_commands):
                return typer.main.get_command(app)
    _register(walk.load("optlab.cli"))
    return typer.main.get_command(app)


def is_command(word: str) -> bool:
    """Return whether a command has this name."""
    return word in command_line([word]).commands


def _register(modules: Sequence[Any]) -> None:
    commands = [module for module in modules if hasattr(module, "register")]
    app.registered_commands.clear()
    app.registered_groups.clear()
    for command in sorted(commands, key=lambda module: module.ORDER):
        command.register(app)


def _usage_sentence(error: Any) -> str:
    """Typer's message as a sentence that says where help is."""
    command = error.ctx.command_path if error.ctx is not None else "optlab"
    return f"{error.format_message().rstrip('.')}; see {command} --help."
