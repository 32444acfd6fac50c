"""Scripts are executed by the interpreter, or by a packaged program itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from optlab.core import interpreter
from optlab.entry import main


def test_that_an_interpreter_executes_a_script(tmp_path: Path) -> None:
    script = tmp_path / "a script.py"
    script.write_text("print(__name__)", encoding="utf-8")
    done = subprocess.run(
        interpreter.command(script, ["-I"]), capture_output=True, text=True, check=True
    )
    assert done.stdout == "__main__\n"


def test_that_a_packaged_program_executes_a_script_and_what_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "a_script_of_mine.py"
    script.write_text(
        "import sys, beside_it_lies\nprint(__name__, __file__, sys.argv, beside_it_lies.A)\n",
        encoding="utf-8",
    )
    (tmp_path / "beside_it_lies.py").write_text("A = 1\n", encoding="utf-8")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", [])
    program, *arguments = interpreter.command(script, ["-I"])
    assert program == sys.executable
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"__main__ {script} ['{script}'] 1\n"


def test_that_other_programs_execute_no_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "a_script.py"
    script.write_text("print('executed')", encoding="utf-8")
    assert main([interpreter.SCRIPT, str(script)]) == 2
    assert capsys.readouterr().out == ""
