"""Where a run executes, chosen by measurement.

A thread shares the interpreter lock with whoever draws: a training loop gives the lock up thousands
of times a second and waits each time for the painter to return it. How much speed that costs
depends on the interpreter (a free-threaded one has no such lock) and on the machine, so it is
measured, with a stand-in that needs no torch.
"""

from __future__ import annotations

import functools
import hashlib
import threading
import time
from typing import Literal

from optlab.runners.runner import RunnerName

KEPT = 0.9
"""Share of its speed that a run must keep for the thread to be chosen."""
_FRAME = 0.033
_FRAMES = 2
_ALONE = 0.03
_WORK = bytes(8192)
"""Hashing this takes a few microseconds, and gives up the interpreter lock (above 2 KB hashlib
does).
"""


def choose(asked: Literal["auto", "thread", "process"], draw_share: float) -> RunnerName:
    """The runner for a run.

    Args:
        asked: ``auto`` to measure.
        draw_share: share of the time that another thread of this process spends drawing.
    """
    if asked != "auto":
        return asked
    return "thread" if kept_speed(round(min(max(draw_share, 0.0), 1.0), 1)) >= KEPT else "process"


@functools.cache
def kept_speed(draw_share: float) -> float:
    """Share of its speed, at most 1, that a background thread keeps while another draws for this
    share of every frame; about 0.1 s.
    """
    return 1.0 if draw_share <= 0.0 else _measure(draw_share)


def _measure(draw_share: float) -> float:
    done = threading.Event()
    count = 0

    def train() -> None:
        nonlocal count
        while not done.is_set():
            hashlib.sha256(_WORK).digest()
            count += 1

    def draw() -> None:
        for _ in range(_FRAMES):
            began = time.perf_counter()
            while time.perf_counter() - began < draw_share * _FRAME:
                pass
            time.sleep(max(0.0, began + _FRAME - time.perf_counter()))

    trainer = threading.Thread(target=train, name="optlab-measure-train")
    painter = threading.Thread(target=draw, name="optlab-measure-draw")
    trainer.start()
    began, before = time.perf_counter(), count
    time.sleep(_ALONE)
    alone = (count - before) / (time.perf_counter() - began)
    began, before = time.perf_counter(), count
    painter.start()
    painter.join()
    together = (count - before) / (time.perf_counter() - began)
    done.set()
    trainer.join()
    return min(1.0, together / alone) if alone > 0 else 0.0
