"""50 kills of a watched loop, and 50 of who looks on."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

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


def test_that_fifty_kills_of_the_loop_leave_what_was_recorded(start: Start, tmp_path: Path) -> None:
    draw = random.Random(0)
    for _ in range(50):
        trained = loop(start, tmp_path / "runs", 0)
        run = wait_for(tmp_path / "runs", draw.randrange(1, 2000), trained, 120)
        time.sleep(draw.random())
        trained.kill()
        trained.wait()
        check_what_is_left(run.folder, run.last("loss")[0])


def test_that_fifty_kills_of_onlookers_leave_the_loop_alone(start: Start, tmp_path: Path) -> None:
    draw = random.Random(1)
    alone = loop(start, tmp_path / "alone", 3000)
    expected, _ = alone.communicate()
    trained = loop(start, tmp_path / "runs", 0)
    for _ in range(50):
        run = wait_for(tmp_path / "runs", 1, trained, 120)
        looks = onlooker(start, tmp_path / "runs")
        time.sleep(draw.random() * 3.0)
        looks.kill()
        looks.wait()
        wait_for(tmp_path / "runs", run.last("loss")[0] + 1, trained, 120)
    trained.kill()
    trained.wait()
    again = loop(start, tmp_path / "again", 3000)
    onlooker(start, tmp_path / "again")
    assert again.communicate()[0] == expected
