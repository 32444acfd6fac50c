"""The command line as a whole: its commands, and what happens when one of them fails.

A failure that a person can do something about is one sentence on standard error; a defect of OptLab
itself leaves a report in the data folder and says where. With ``--json`` standard output is one
document in every case: a failure gives ``{"error": sentence, "field": path or null}`` there, beside
the sentence on standard error. Exit codes: 0 fine, 1 the run or OptLab failed, 2 bad usage or bad
input, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import sys
import traceback
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Annotated, Any, cast

import typer

from optlab import __version__
from optlab.cli.output import ReaderGone, only_documents, say, say_json
from optlab.cli.own_process import in_worker
from optlab.core import paths, walk
from optlab.core.errors import InvalidInput, OptLabError
from optlab.outside.own_models import sources

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
        "A laboratory in which deep-learning optimization can be seen.\n\nWithout a command, or "
        "with one experiment "
        "file, optlab opens its window. "
        "A first run without it: optlab run digits-mlp. What there is to try: optlab list."
    ),
    epilog="Exit codes: 0 fine, 1 the run failed or diverged, 2 bad usage or bad input, 130 "
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
            "--version", callback=_show_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        say(context.get_help())
    elif context.invoked_subcommand not in _WITH_OWN_WORKERS and not _in_worker.get():
        context.with_resource(sources.left_to_worker())


_WITH_OWN_WORKERS = ("run", "race", "model")
"""Commands that give code of the user's to workers themselves."""
_in_worker = ContextVar("in a worker", default=False)

_commands = [module for module in walk.load("optlab.cli") if hasattr(module, "register")]
for command in sorted(_commands, key=lambda module: module.ORDER):
    command.register(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: what was typed after ``optlab``; by default the process's own.

    Returns:
        the exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal or pipe that has no ε must not end the command.
            stream.reconfigure(errors="replace")
    try:
        with only_documents() if "--json" in words else contextlib.nullcontext():
            code = _invoke(words)
        sys.stdout.flush()
    except (ReaderGone, BrokenPipeError):
        _discard_output()
        code = 0
    return code


def _invoke(words: Sequence[str]) -> int:
    try:
        try:
            return _parsed(words)
        except sources.ForWorker as own:
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
    code: Any = typer.main.get_command(app).main(
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
    if "--json" in words:
        say_json({"error": sentence, "field": getattr(error, "field", "") or None, **error.facts})
    print(sentence, file=sys.stderr)
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
    what = f"OptLab failed because of a defect of its own ({type(error).__name__})"
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
    return f"{what}; what happened is written in {path}, please report it."


def _discard_output() -> None:
    """Send the interpreter's last flush nowhere: it would complain about the closed pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
