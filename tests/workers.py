"""The worker processes of a command, a window or a test."""

from __future__ import annotations

import sys

import psutil


def workers_of(process: int) -> list[psutil.Process]:
    """Return the workers of a process, without the one from which they are forked."""
    family = [
        child
        for child in psutil.Process(process).children(recursive=True)
        if "spawn_main" in " ".join(child.cmdline())
    ]
    if sys.platform != "linux":
        return family
    return [child for child in family if child.ppid() in {one.pid for one in family}]
