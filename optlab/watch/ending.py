"""The end of a run that nobody has ended: its program exits, or lets go of model and optimizer."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from collections import deque
from collections.abc import Mapping
from typing import Any

from optlab.watch.rows import Packed, Rows
from optlab.watch.writer import CLOSE_SECONDS, Writer

_exiting: list[bool] = []
"""Holds an element once the interpreter is on its way out."""


def prepare(
    run: object, writer: Writer, rows: Rows, packed: deque[Packed]
) -> weakref.finalize[..., Any]:
    """Have what is left written once ``run`` is gone, or the program exits."""
    end = weakref.finalize(run, _end, os.getpid(), writer, rows, packed)
    # After the first finalizer, whose exit function then runs after this one.
    atexit.unregister(_note_exit)
    atexit.register(_note_exit)
    return end


def _note_exit() -> None:
    _exiting.append(True)


def _end(process: int, writer: Writer, rows: Rows, packed: deque[Packed]) -> None:
    if os.getpid() != process:
        return  # a copy of the process, which has no writer
    error = getattr(sys, "last_value", None)
    failed = bool(_exiting) and isinstance(error, Exception)
    last = {
        "kind": "ended",
        "status": "failed" if failed else "finished",
        "reason": f"{type(error).__name__}: {error}"[:500] if failed else "",
        "lost": rows.dropped + writer.lost,
    }
    finish(writer, rows, packed, last, CLOSE_SECONDS if _exiting else 0.0)


def finish(
    writer: Writer,
    rows: Rows,
    packed: deque[Packed],
    last: Mapping[str, Any],
    seconds: float = CLOSE_SECONDS,
) -> bool:
    """Write what is left and a last event, and return whether that was done within ``seconds``."""
    packed.append(rows.pack())
    while packed:
        batch = packed.popleft()
        batch.wait()
        writer.give(batch)
    return writer.close(last, seconds)
