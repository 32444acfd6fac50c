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
import os
import sys
import traceback
from collections.abc import Sequence
from contextvars import ContextVar

from optlab import __version__
from optlab.cli import plain_calls
from optlab.cli.output import only_documents, say_json
from optlab.core import notices, paths, streams
from optlab.core.errors import OptLabError
from optlab.core.printable import printable
from optlab.core.streams import OutputLost, ReaderGone
from optlab.outside.own_models import deferral

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it (128 + SIGINT): different from a failure,
and not a success either.
"""
_WITH_OWN_WORKERS = ("run", "fork", "race", "study", "model")
"""Commands that give code of the user's to workers themselves."""
_in_worker = ContextVar("in a worker", default=False)


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
    except OptLabError as error:
        if _debugging():
            traceback.print_exc()
        return _refuse(words, error)
    except KeyboardInterrupt:
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
    with contextlib.ExitStack() as context:
        if not _in_worker.get() and _command(words) not in _WITH_OWN_WORKERS:
            context.enter_context(deferral.left_to_worker())
        call = plain_calls.find(words)
        if call is not None:
            call()
            return 0
        # Imported here: typer takes longer to import than a list of runs to read.
        from optlab.cli import parser

        return parser.execute(words)


def _command(words: Sequence[str]) -> str:
    return next((word for word in words if not word.startswith("-")), "")


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
