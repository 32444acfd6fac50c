"""Choice between a thread and a process by measurement; code of the user's has a process always.

A thread shares the interpreter lock with the thread that draws: a training loop releases the lock
thousands of times per second, and each time it waits until the drawing thread releases it again. How
much speed that costs depends on the interpreter (a free-threaded one has no such lock) and on the
machine, so it is measured, with a substitute that does not need torch.
"""

from __future__ import annotations

import functools
import hashlib
import threading
import time
from typing import Literal

from optlab.runners.runner import RunnerName

MIN_KEPT_SPEED = 0.9
"""Share of its speed that a run must keep for the thread to be chosen."""
_FRAME_SECONDS = 0.033
_FRAMES = 2
_ALONE_SECONDS = 0.03
_WORK = bytes(8192)
"""Hashing this takes a few microseconds and releases the interpreter lock, as hashlib does above
2 KB.
"""


def choose(
    requested: Literal["auto", "thread", "process"], draw_share: float, *, own_code: bool = False
) -> RunnerName:
    """Return the runner for a run.

    The first measurement takes about 0.1 s; see :func:`measure_in_background`.

    Args:
        requested: ``auto`` to measure.
        draw_share: share of the time that another thread of this process spends drawing.
        own_code: whether the run executes code that does not belong to OptLab. It gets a process,
            because it may print, hang or end its process.
    """
    if requested != "auto":
        return requested
    if own_code:
        return "process"
    return "thread" if kept_speed(_rounded(draw_share)) >= MIN_KEPT_SPEED else "process"


def measure_in_background(draw_share: float) -> threading.Thread:
    """Start a thread that measures, so that a later :func:`choose` returns at once.

    Args:
        draw_share: as for :func:`choose`; shares are measured in tenths.
    """
    thread = threading.Thread(
        target=kept_speed, args=(_rounded(draw_share),), name="optlab-measure"
    )
    thread.start()
    return thread


def _rounded(draw_share: float) -> float:
    return round(min(max(draw_share, 0.0), 1.0), 1)


def kept_speed(draw_share: float) -> float:
    """Return the share of its speed, at most 1, that a thread keeps while another one draws.

    Each share is measured once per process, by one thread at a time.

    Args:
        draw_share: share of every frame that the other thread draws.
    """
    with _lock:
        return _measured(draw_share)


_lock = threading.Lock()


@functools.cache
def _measured(draw_share: float) -> float:
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
            while time.perf_counter() - began < draw_share * _FRAME_SECONDS:
                pass
            time.sleep(max(0.0, began + _FRAME_SECONDS - time.perf_counter()))

    trainer = threading.Thread(target=train, name="optlab-measure-train")
    painter = threading.Thread(target=draw, name="optlab-measure-draw")
    trainer.start()
    began, before = time.perf_counter(), count
    time.sleep(_ALONE_SECONDS)
    alone = (count - before) / (time.perf_counter() - began)
    began, before = time.perf_counter(), count
    painter.start()
    painter.join()
    together = (count - before) / (time.perf_counter() - began)
    done.set()
    trainer.join()
    return min(1.0, together / alone) if alone > 0 else 0.0
