"""The entry, and what a command costs before it begins: tested in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from optlab import __version__, entry
from optlab.core import display, paths

ROOT = Path(entry.__file__).parent.parent


def optlab(*arguments: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """``python -m optlab`` in a process of its own; None takes a variable away."""
    return _python("-m", "optlab", *arguments, **environment)


def _python(*arguments: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **environment}
    return subprocess.run(
        [sys.executable, *arguments],
        env={name: value for name, value in variables.items() if value is not None},
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )


def test_that_the_version_is_reported() -> None:
    done = optlab("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"optlab {__version__}\n", "")


@pytest.mark.parametrize(
    "command",
    [
        "run",
        *(
            pytest.param(one, marks=pytest.mark.soak)
            for one in ("list", "show", "runs", "export", "doctor")
        ),
    ],
)
def test_that_every_command_is_in_the_help_and_has_its_own(command: str) -> None:
    code = f"from optlab.cli.app import main; assert main(['--help']) == 0; assert main([{command!r}, '--help']) == 0"
    done = _python("-c", code)
    assert done.returncode == 0, done.stderr
    general, _, own = done.stdout.partition(f"Usage: optlab {command}")
    assert f"\n  {command} " in general
    assert "--help" in own


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["list", "optimizers", "--json"], ["list", "presets"], ["show", "adam"], ["runs"]],
)
def test_that_looking_things_up_loads_neither_torch_nor_sklearn(arguments: list[str]) -> None:
    code = (
        "import sys; from optlab.cli.app import main; code = main(sys.argv[1:]); "
        "loaded = {'torch', 'sklearn', 'PySide6', 'pyarrow'} & set(sys.modules); "
        "print(sorted(loaded), file=sys.stderr); sys.exit(code)"
    )
    done = _python("-c", code, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "[]"


def test_that_the_way_to_the_window_loads_neither_torch_nor_the_command_line() -> None:
    code = (
        "import sys; from optlab.core import display; from optlab import entry; display.problem = "
        "lambda: 'No display'; code = entry.main([]); "
        "print(sorted({'torch', 'typer', 'rich', 'sklearn', 'optlab.cli'} & set(sys.modules))); "
        "sys.exit(code)"
    )
    done = _python("-c", code)
    assert (done.returncode, done.stdout.strip()) == (2, "[]")


def test_that_the_window_is_refused_in_one_sentence_where_there_is_no_display() -> None:
    done = optlab(DISPLAY=None, WAYLAND_DISPLAY=None, QT_QPA_PLATFORM=None)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "no display" in done.stderr
    assert done.stdout == ""


def test_that_a_display_that_does_not_answer_is_refused_in_one_sentence() -> None:
    done = optlab(DISPLAY="127.0.0.1:6999", WAYLAND_DISPLAY=None, QT_QPA_PLATFORM=None)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "does not answer" in done.stderr


def test_that_a_missing_window_library_is_reported_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(display, "problem", lambda: "")
    monkeypatch.setitem(sys.modules, "PySide6", None)
    if "optlab.gui" in sys.modules:
        # Importing it again gives the package this attribute anew, which has to be put back, too.
        monkeypatch.setattr(sys.modules["optlab"], "gui", sys.modules["optlab.gui"])
    for module in [name for name in sys.modules if name.startswith(("PySide6.", "optlab.gui"))]:
        monkeypatch.delitem(sys.modules, module)
    assert entry.main([]) == 2
    said = capsys.readouterr().err
    assert "pip install 'optlab[gui]'" in said and said.count("\n") == 1


def test_that_a_missing_experiment_file_is_refused_before_the_window_opens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entry.main([str(tmp_path / "lost.toml")]) == 2
    said = capsys.readouterr().err
    assert "lost.toml" in said and said.count("\n") == 1


def test_that_an_experiment_file_alone_opens_the_window_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path | None] = []
    monkeypatch.setattr(entry, "_window", lambda file: opened.append(file) or 0)
    file = tmp_path / "mine.toml"
    assert entry.main([str(file)]) == 0
    assert entry.main([]) == 0
    assert opened == [file, None]


def test_that_words_are_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["list", "losses"]) == 0
    assert "cross_entropy" in capsys.readouterr().out


def test_that_a_closed_pipe_ends_a_command_in_silence() -> None:
    # The reader is gone before the first word is written.
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "optlab", "list", "optimizers", "--json"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=pipe,
            stderr=subprocess.PIPE,
            timeout=100,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert not paths.home().exists(), "a reader who left is no defect to report"


def test_that_symbols_do_not_break_a_terminal_without_them() -> None:
    done = optlab("show", "momentum", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "Momentum" in done.stdout
