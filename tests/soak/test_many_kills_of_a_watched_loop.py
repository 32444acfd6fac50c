"""50 kills of a watched loop, and 50 of who looks on."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from optlab.outside.foreign_runs.watched import find_runs
from tests.end_to_end import train_watched
from tests.end_to_end.test_watched_kills import (
    Start,
    check_what_is_left,
    loop,
    onlooker,
    start,
    wait_for,
)

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]
__all__ = ["start"]


class Nursery:
    """Starts loops quickly: a process that has imported torch makes copies of itself."""

    def __init__(self, start: Start) -> None:
        self._process = start(str(Path(train_watched.__file__)))

    def loop(self, folder: Path) -> int:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(folder, file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


def test_that_fifty_kills_of_the_loop_leave_what_was_recorded(start: Start, tmp_path: Path) -> None:
    draw = random.Random(0)
    nursery = Nursery(start)
    for _ in range(50):
        process = nursery.loop(tmp_path / "runs")
        run = wait_for(tmp_path / "runs", draw.randrange(1, 1000), process, 120)
        time.sleep(draw.random())
        os.kill(process, signal.SIGKILL)
        while run.status == "running":
            time.sleep(0.01)
        check_what_is_left(run.source.path, run.last("loss")[0])
    assert len(find_runs(tmp_path / "runs")) == 50


def test_that_fifty_kills_of_onlookers_leave_the_loop_alone(start: Start, tmp_path: Path) -> None:
    draw = random.Random(1)
    expected, _ = loop(start, tmp_path / "alone", 2000).communicate()
    process = Nursery(start).loop(tmp_path / "runs")
    for _ in range(50):
        run = wait_for(tmp_path / "runs", 1, process, 120)
        looks = onlooker(start, tmp_path / "runs")
        time.sleep(draw.random() * 2.0)
        looks.kill()
        looks.wait()
        wait_for(tmp_path / "runs", run.last("loss")[0] + 1, process, 120)
    os.kill(process, signal.SIGKILL)
    again = loop(start, tmp_path / "again", 2000)
    onlooker(start, tmp_path / "again")
    assert again.communicate()[0] == expected
