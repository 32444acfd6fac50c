"""A C++ compiler that says when it begins, and goes on when it may."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

import psutil

from optlab.numerics.compiled.compiler import compiler


class SlowCompiler:
    """A script in the place of the compiler.

    Args:
        folder: for its files.

    Attributes:
        command: for the variable ``CXX``.
    """

    def __init__(self, folder: Path) -> None:
        self._begun, self._goes_on = folder / "begun", folder / "goes-on"
        script = folder / "slow-compiler"
        script.write_text(
            f'#!/bin/sh\necho once >> "{self._begun}"\n'
            f'while [ ! -e "{self._goes_on}" ]; do sleep 0.01; done\n'
            f'exec {shlex.join(compiler())} "$@"\n'
        )
        script.chmod(0o755)
        self.command = str(script)

    @property
    def begun(self) -> int:
        """How often it has been started."""
        return len(self._begun.read_text().split()) if self._begun.exists() else 0

    def wait(self) -> None:
        """Wait until it has begun."""
        while not self.begun:
            time.sleep(0.005)

    def go_on(self) -> None:
        """Let it compile."""
        self._goes_on.touch()

    def running(self) -> list[psutil.Process]:
        """Return the processes that still wait to go on."""
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if self.command in (process.info["cmdline"] or ())
        ]
