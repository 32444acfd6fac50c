"""A run in progress that is shown from a step on: nothing is missing and nothing comes twice."""

from __future__ import annotations

import numpy as np
import pytest

from optlab.gui import live_run
from optlab.gui.live_run import LiveRun
from optlab.training import events


class Job:
    """Gives the events that a test puts into it."""

    def __init__(self) -> None:
        self.run_ids = ("run",)
        self.waiting: list[events.Event] = []

    def drain(self) -> list[events.Event]:
        found, self.waiting = self.waiting, []
        return found


def block(first: int, last: int) -> events.SeriesBlock:
    steps = np.arange(first, last + 1)
    sparse = steps[steps % 10 == 0]
    return events.SeriesBlock(
        last,
        float(last),
        {
            "batch_loss": events.Series(steps, steps[:, None] * 1.0),
            "train_loss": events.Series(sparse, sparse[:, None] * 1.0),
        },
    )


def started() -> events.SessionStarted:
    return events.SessionStarted(1, 9, "cpu", "CPU", 500, 5, 4, 4, 0, ("a",))


def steps_of(found: list[events.Event], name: str = "batch_loss") -> list[int]:
    blocks = [one for one in found if isinstance(one, events.SeriesBlock)]
    return [
        step for one in blocks if name in one.series for step in one.series[name].steps.tolist()
    ]


def test_that_what_the_store_does_not_have_yet_follows_what_it_has() -> None:
    job = Job()
    live = LiveRun(job)  # type: ignore[arg-type]
    job.waiting = [started(), block(1, 8), block(9, 16), block(17, 24)]
    live.drain()
    assert live.step == 24 and live.budget == 500

    caught = live.catch_up(12, ("b",))
    assert isinstance(caught[0], events.SessionStarted)
    assert (caught[0].step, caught[0].tracked) == (12, ("b",))
    assert steps_of(caught) == [*range(13, 25)]
    assert steps_of(caught, "train_loss") == [20]
    job.waiting = [block(25, 27)]
    assert steps_of(live.drain()) == [25, 26, 27]


def test_that_values_which_the_store_has_already_are_not_delivered_again() -> None:
    job = Job()
    live = LiveRun(job)  # type: ignore[arg-type]
    job.waiting = [started(), block(1, 8)]
    live.drain()
    # The store was read after the events up to step 20 were recorded, and before they were drained.
    assert steps_of(live.catch_up(20, ())) == []
    job.waiting = [block(9, 16), block(17, 24), block(25, 27)]
    assert steps_of(live.drain()) == [*range(21, 28)]


def test_that_state_and_last_pictures_are_told_again_and_old_values_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job, now = Job(), [0.0]
    monkeypatch.setattr(live_run.time, "monotonic", lambda: now[0])
    live = LiveRun(job)  # type: ignore[arg-type]
    images = [events.InstrumentImage(0, step, "spectrum", {}) for step in (3, 6)]
    modes = [events.StepModeChanged(step, "recorded") for step in (2, 8)]
    job.waiting = [started(), block(1, 8), *images, *modes]
    live.drain()
    now[0] = live_run.KEPT_SECONDS + 1.0
    job.waiting = [block(9, 16), events.ActivityChanged(16, "paused")]
    live.drain()
    assert live.activity == "paused"
    caught = live.catch_up(0, ())
    assert steps_of(caught) == [*range(9, 17)], "older values are in the store"
    assert caught[-3:] == [images[1], modes[1], events.ActivityChanged(16, "paused")]
