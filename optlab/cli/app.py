"""The command line as a whole: its commands, and what happens when one of them fails.

A failure that a person can do something about is one sentence on standard error; a defect of OptLab
itself leaves a report in the data folder and says where. With ``--json`` standard output is one
document in every case: a failure gives ``{"error": sentence, "field": path or null}`` there, beside
the sentence on standard error. Exit codes: 0 success, 1 the run or OptLab failed, 2 bad usage or bad
input, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Annotated, Any, cast

import typer

from optlab import __version__
from optlab.cli.output import only_documents, say, say_json
from optlab.core import notices, paths, streams, walk
from optlab.core.errors import InvalidInput, OptLabError
from optlab.core.printable import printable
from optlab.core.streams import OutputLost, ReaderGone
from optlab.outside.own_models import deferral

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it (128 + SIGINT): different from a failure,
and not a success either.
"""
_USAGE_ERRORS = cast("tuple[type[Exception], ...]", typer.BadParameter.__bases__)
"""The class of all usage errors, which typer itself does not export."""

app = typer.Typer(
    name="optlab",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help=(
        "A laboratory for watching deep-learning optimization at work.\n\nWithout a command, or with "
        "one experiment file, optlab opens its window. "
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
    elif context.invoked_subcommand not in _WITH_OWN_WORKERS and not _in_worker.get():
        context.with_resource(deferral.left_to_worker())


_WITH_OWN_WORKERS = ("run", "race", "model")
"""Commands that give code of the user's to workers themselves."""
_in_worker = ContextVar("in a worker", default=False)


def _command_line(words: Sequence[str]) -> Any:
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


def _register(modules: Sequence[Any]) -> None:
    commands = [module for module in modules if hasattr(module, "register")]
    app.registered_commands.clear()
    app.registered_groups.clear()
    for command in sorted(commands, key=lambda module: module.ORDER):
        command.register(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: what was typed after ``optlab``; by default the process's own.

    Returns:
        the exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    code = 0
    streams.guard(results=True)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal or pipe that has no ε must not end the command.
            stream.reconfigure(errors="replace")
    try:
        with (
            only_documents() if "--json" in words else contextlib.nullcontext(),
            notices.heard(lambda sentence: print(sentence, file=sys.stderr)),
        ):
            code = _invoke(words)
        sys.stdout.flush()
    except (ReaderGone, BrokenPipeError):
        return 0
    except OutputLost as error:
        print(error, file=sys.stderr)
        return code or error.exit_code
    return code


def _invoke(words: Sequence[str]) -> int:
    try:
        try:
            return _parsed(words)
        except deferral.ForWorker as own:
            # Imported here: most commands do not need it.
            from optlab.cli.own_process import in_worker

            return in_worker(words, own.what, lambda text: print(text, end="", file=sys.stderr))
    except _USAGE_ERRORS as error:
        return _refuse(words, InvalidInput(_usage_sentence(error)))
    except OptLabError as error:
        if _debugging():
            traceback.print_exc()
        return _refuse(words, error)
    except (KeyboardInterrupt, typer.Abort):
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except (ReaderGone, BrokenPipeError):
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the outermost place of all: what arrives here is a defect, and becomes a report
        return _refuse(words, OptLabError(_blame(error) or _report(words, error)))


def _blame(error: BaseException) -> str:
    """A sentence about an error of the user's own code; "" for a defect."""
    # Imported here: most commands do not need it.
    from optlab.experiment.own_code import blame

    sentence = blame(error)
    if sentence and _debugging():
        traceback.print_exception(error)
    return sentence


def _parsed(words: Sequence[str]) -> int:
    code: Any = _command_line(words).main(
        args=list(words), prog_name="optlab", standalone_mode=False
    )
    return code if isinstance(code, int) else 0


def execute(words: Sequence[str]) -> int:
    """Execute one command in a worker process, and return its exit code.

    Raises:
        OptLabError: what the command raises.
    """
    token = _in_worker.set(True)
    try:
        return _parsed(words)
    finally:
        _in_worker.reset(token)


def _refuse(words: Sequence[str], error: OptLabError) -> int:
    sentence = " ".join(str(error).splitlines())
    shown = printable(sentence)
    print(shown, file=sys.stderr)
    if "--json" in words:
        document = {"error": sentence, "field": getattr(error, "field", "") or None, **error.facts}
        # The code says that the command failed, whoever reads the document.
        with contextlib.suppress(ReaderGone, OutputLost):
            say_json(document)
    return error.exit_code


def _usage_sentence(error: Any) -> str:
    """Typer's message as a sentence that says where help is."""
    command = error.ctx.command_path if error.ctx is not None else "optlab"
    return f"{error.format_message().rstrip('.')}; see {command} --help."


def _debugging() -> bool:
    return os.environ.get("OPTLAB_DEBUG", "") not in ("", "0")


def _report(words: Sequence[str], error: BaseException) -> str:
    """Write a report about a defect; the sentence that says where it is."""
    lines = "".join(traceback.format_exception(error))
    what = f"OptLab failed because of a bug in OptLab ({type(error).__name__})"
    if _debugging():
        print(lines, file=sys.stderr)
        return f"{what}; please report the lines above."
    now = datetime.datetime.now().astimezone()
    text = f"OptLab {__version__}, Python {sys.version}, {sys.platform}\n{now.isoformat()}\noptlab {' '.join(words)}\n\n{lines}"
    try:
        folder = paths.writable_home() / "reports"
        folder.mkdir(exist_ok=True)
        path = folder / f"{now:%Y-%m-%d-%H%M%S}-{os.getpid()}.txt"
        path.write_text(text, encoding="utf-8")
    except (OSError, OptLabError) as problem:
        print(lines, file=sys.stderr)
        return (
            f"{what}; a report could not be written ({problem}), so please report the lines above."
        )
    return f"{what}; the details are in {path}, please report them."
