"""Plain calls: what needs no parser gives what the parser gives, and waits for none of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from optlab import entry
from optlab.cli import list as list_command
from optlab.cli import parser, plain_calls, runs, show
from optlab.cli.app import main
from optlab.core.errors import OptLabError

ROOT = Path(entry.__file__).parent.parent
PLAIN = (
    ["runs"],
    ["runs", "--json"],
    ["list"],
    ["list", "optimizers"],
    ["list", "--json", "losses"],
    ["show", "clipping.none"],
    ["show", "--json", "adam"],
    ["show", "digits-mlp"],
    ["list", "nothing-like-it"],
    ["show", "nothing-like-it"],
)


def _by_parser(words: list[str]) -> int:
    try:
        return parser.execute(words)
    except OptLabError as error:
        print(error, file=sys.stderr)
        return error.exit_code


@pytest.mark.parametrize("words", PLAIN, ids=" ".join)
def test_that_a_plain_call_gives_what_the_parser_gives(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert plain_calls.find(words) is not None
    code, plain = main(words), capsys.readouterr()
    assert (_by_parser(words), capsys.readouterr().out) == (code, plain.out)
    assert code == 0 or len(plain.err.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["runs", "--help"],
        ["runs", "-h"],
        ["runs", "extra"],
        ["runs", "--yaml"],
        ["runs", "--json=1"],
        ["runs", "--"],
        ["list", "optimizers", "losses"],
        ["show", "momentum", "adam"],
        ["run", "digits-mlp"],
        ["--version"],
        ["nothing"],
        [],
    ],
    ids=" ".join,
)
def test_that_everything_else_is_left_to_the_parser(words: list[str]) -> None:
    assert plain_calls.find(words) is None


@pytest.mark.parametrize(
    ("command", "words", "values"),
    [
        (runs.PLAIN, [], {}),
        (runs.PLAIN, ["--json", "--json"], {"json": True}),
        (list_command.PLAIN, ["--json", "losses"], {"kind": "losses", "json": True}),
        (show.PLAIN, ["adam"], {"name": "adam"}),
    ],
)
def test_that_flags_and_names_become_arguments(
    command: object, words: list[str], values: dict[str, object]
) -> None:
    assert plain_calls.bind(command, words) == values  # type: ignore[arg-type]


def _imported(*words: str) -> set[str]:
    code = (
        "import json, sys; from optlab.entry import main; code = main(sys.argv[1:]); "
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return set(json.loads(done.stderr))


def test_that_a_list_of_runs_waits_for_no_library_and_for_no_writer() -> None:
    slow = {"typer", "rich", "pydantic", "numpy", "multiprocessing", "optlab.experiment"}
    assert not _imported("runs") & {*slow, "optlab.store.writer", "optlab.training.events"}


@pytest.mark.parametrize("words", [["list", "optimizers"], ["show", "adam"]], ids=" ".join)
def test_that_looking_something_up_waits_for_no_parser(words: list[str]) -> None:
    assert not _imported(*words) & {"typer", "rich"}
