"""A session: the order of its events, control between steps, and why it ends."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from optlab.catalogue.stopping.base import FullGradientNorm, Memory, Stopping
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.training.clock import TrainingClock
from optlab.training.control import Advance, Follow, Pause, Resume, SetValue, Stop, TakeSnapshot
from optlab.training.events import (
    ActivityChanged,
    Event,
    MessageApplied,
    RunEnded,
    SeriesBlock,
    SessionEnded,
    SessionStarted,
    SnapshotTaken,
    StepWarning,
    WeightPath,
)
from optlab.training.notes import MAX_NOTES
from optlab.training.session import session
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]


def of(events: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def series(events: list[Event], name: str) -> tuple[np.ndarray, np.ndarray]:
    parts = [block.series[name] for block in of(events, SeriesBlock) if name in block.series]
    return np.concatenate([part.steps for part in parts]), np.concatenate(
        [part.values for part in parts]
    )


def test_that_a_session_begins_with_its_setting_and_ends_with_its_end(
    build: Build, play: Any
) -> None:
    events = play(build())
    started = events[0]
    assert isinstance(started, SessionStarted)
    assert (started.runs, started.parameters, started.device, started.steps, started.step) == (
        1,
        27,
        "cpu",
        60,
        0,
    )
    assert (started.steps_per_epoch, started.batch, started.last_batch) == (5, 16, 8)
    assert len(started.tracked) == 8
    assert isinstance(events[-1], SessionEnded)
    assert [type(event) for event in events].count(SessionEnded) == 1
    (end,) = of(events, RunEnded)
    before = events[: events.index(end)]
    assert isinstance(before[-1], SnapshotTaken)
    assert before[-1].snapshot.reason == "end"
    assert not of(events[events.index(end) :], SeriesBlock)


def test_that_every_step_is_reported_once_and_in_order(
    build: Build, play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optlab.training.session.BLOCK_SECONDS", 0.0)
    events = play(build(measures={"evaluate_every": 7}))
    assert len(of(events, SeriesBlock)) >= 60
    for name in (
        "batch_loss",
        "gradient_norm",
        "update_norm",
        "learning_rate",
        "weights",
        "seconds",
    ):
        assert series(events, name)[0].tolist() == list(range(1, 61))
    assert series(events, "weights")[1].shape == (60, 1, 8)
    # At the start, every seventh step, and at the end.
    assert series(events, "train_loss")[0].tolist() == [0, 7, 14, 21, 28, 35, 42, 49, 56, 60]
    steps = [block.step for block in of(events, SeriesBlock)]
    assert steps == sorted(steps)


@pytest.mark.parametrize("messages", [{}, {57: [SetValue("optimizer.lr", 0.2)], 91: [Pause()]}])
def test_that_steps_without_a_look_at_the_run_change_nothing(
    build: Build, monkeypatch: pytest.MonkeyPatch, play: Any, messages: Any
) -> None:
    """Neither values nor when they are measured nor the step at which a message is applied."""
    members = [
        build(seed=seed, budget={"steps": steps}, measures={"evaluate_every": 40})
        for seed, steps in ((1, 130), (2, 260))
    ]
    monkeypatch.setattr("optlab.training.session.BLOCK_SECONDS", 1e9)
    found = []
    for seconds in (0.0, 1e9):
        monkeypatch.setattr("optlab.training.unobserved.UNOBSERVED_SECONDS", seconds)
        found.append(play(members, messages, idle=[Resume()]))
    usual, quick = found
    assert len(of(quick, SessionStarted)) == 1
    for name in ("batch_loss", "gradient_norm", "train_loss", "validation_error"):
        for one, other in zip(series(usual, name), series(quick, name), strict=True):
            np.testing.assert_array_equal(one, other)
    assert series(quick, "seconds")[0].tolist() == list(range(1, 261))
    assert [(end.run, end.steps, end.theta_sha256) for end in of(usual, RunEnded)] == [
        (end.run, end.steps, end.theta_sha256) for end in of(quick, RunEnded)
    ]
    applied = [(event.step, event.message) for event in of(quick, MessageApplied)]
    assert [step for step, _ in applied] == [57, 91, 91][: len(applied)]
    assert len(applied) == (3 if messages else 0)


def test_that_evaluations_are_once_an_epoch_by_default(build: Build, play: Any) -> None:
    assert series(play(build()), "validation_loss")[0].tolist() == list(range(0, 61, 5))


def test_that_a_full_recorder_makes_a_block(
    build: Build, play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optlab.training.session.BLOCK_SECONDS", 1e9)
    for module in ("session", "unobserved"):
        monkeypatch.setattr(f"optlab.training.{module}.MAX_ROWS", 10)
    events = play(build())
    sizes = [
        len(block.series["batch_loss"].steps)
        for block in of(events, SeriesBlock)
        if "batch_loss" in block.series
    ]
    assert sizes == [10] * 6


def test_that_a_finished_run_reports_its_final_values(build: Build, play: Any, ended: Any) -> None:
    events = play(build())
    end = ended(events)
    assert (end.status, end.steps) == ("finished", 60)
    assert end.reason == "the budget of 60 steps is spent"
    assert set(end.final) >= {
        "train_loss",
        "validation_loss",
        "train_error",
        "validation_error",
        "test_loss",
        "test_error",
        "gradient_norm",
        "gradient_norm_at_start",
    }
    for name in ("train_loss", "validation_loss", "train_error", "validation_error"):
        assert end.final[name] == series(events, name)[1][-1, 0]


def test_that_a_value_without_a_meaning_is_none(build: Build, play: Any, ended: Any) -> None:
    regression = build(
        dataset={"name": "diabetes", "validation": 0.0},
        loss={"name": "squared_error"},
        optimizer={"name": "sgd", "lr": 0.01},
    )
    final = ended(play(regression)).final
    assert {name for name, value in final.items() if value is None} == {
        "validation_loss",
        "train_error",
        "validation_error",
        "test_error",
    }


def test_that_pause_advance_and_resume_work(build: Build, play: Any, ended: Any) -> None:
    events = play(build(), at={10: [Pause()]}, idle=[Advance(3), Advance(), Resume()])
    changes = [(event.step, event.activity) for event in of(events, ActivityChanged)]
    assert changes == [(10, "paused"), (13, "paused"), (14, "paused"), (14, "running")]
    kept = [
        event.snapshot.step
        for event in of(events, SnapshotTaken)
        if event.snapshot.reason == "paused"
    ]
    assert kept == [10, 13, 14]
    assert ended(events).theta_sha256 == ended(play(build())).theta_sha256


def test_that_everything_measured_is_reported_before_a_pause(
    build: Build, play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optlab.training.observing.path._SHARE", 1e9)  # a point at every step
    events = play(build(), at={10: [Pause()]}, idle=[Resume()])
    hold = next(place for place, event in enumerate(events) if isinstance(event, ActivityChanged))
    assert series(events[:hold], "batch_loss")[0].tolist() == list(range(1, 11))
    assert any(isinstance(event, WeightPath) for event in events[:hold])


def test_that_a_paused_run_can_be_stopped(build: Build, play: Any, ended: Any) -> None:
    end = ended(play(build(), at={10: [Pause()]}, idle=[Stop()]))
    assert (end.status, end.steps, end.reason) == ("stopped", 10, "stopped by the user")


def test_that_advance_beyond_the_budget_ends_with_the_budget(
    build: Build, play: Any, ended: Any
) -> None:
    end = ended(play(build(), at={50: [Pause()]}, idle=[Advance(1000)]))
    assert (end.status, end.steps) == ("finished", 60)


def test_that_every_message_is_reported_with_the_step_at_which_it_was_applied(
    build: Build, play: Any
) -> None:
    messages = {
        3: [SetValue("optimizer.lr", 0.1)],
        8: [TakeSnapshot(), SetValue("optimizer.lr", -1.0)],
        9: [SetValue("seed", 3.0)],
    }
    events = play(build(), at=messages)
    applied = of(events, MessageApplied)
    assert [(event.step, event.message) for event in applied] == [
        (step, m) for step, members in messages.items() for m in members
    ]
    assert applied[0].problem == applied[1].problem == ""
    assert applied[2].problem == "optimizer.lr is -1.0, but it must be a number above 0."
    assert applied[3].problem.startswith(
        "seed cannot be changed during a run; these can: optimizer.lr"
    )
    rates = series(events, "learning_rate")[1][:, 0]
    assert rates[:3].tolist() == [0.05] * 3
    assert rates[3:].tolist() == [0.1] * 57


def test_that_a_requested_snapshot_is_of_that_step(build: Build, play: Any, advanced: Any) -> None:
    events = play(build(), at={8: [TakeSnapshot()]})
    (kept,) = [event for event in of(events, SnapshotTaken) if event.snapshot.reason == "asked"]
    assert kept.snapshot.step == 8
    assert kept.snapshot.theta.tobytes() == advanced(build(), 8).theta[0].numpy().tobytes()


def test_that_weights_can_be_followed_by_name_during_a_run(build: Build, play: Any) -> None:
    names = ("layers.1.bias[0]", "layers.0.weight[2,1]")
    events = play(build(), at={10: [Follow(names)], 20: [Follow(("nonsense",)), Follow(())]})
    applied = of(events, MessageApplied)
    assert [bool(event.problem) for event in applied] == [False, True, False]
    assert "is not a weight" in applied[1].problem
    widths = {
        int(step): values.shape[-1]
        for b in of(events, SeriesBlock)
        for step, values in zip(*_weights(b), strict=True)
    }
    assert [widths[step] for step in (10, 11, 20, 21)] == [8, 2, 2, 8]


def _weights(block: SeriesBlock) -> tuple[Any, Any]:
    found = block.series.get("weights")
    return (found.steps, found.values) if found else ([], [])


def test_that_a_budget_of_seconds_ends_the_run(build: Build, play: Any, ended: Any) -> None:
    end = ended(play(build(budget={"steps": 10**9, "seconds": 0.05})))
    assert end.status == "finished"
    assert end.reason == "the budget of 0.05 seconds is spent"
    assert 0 < end.steps < 10**9


def test_that_paused_time_does_not_count(
    build: Build, play: Any, ended: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = time.perf_counter()
    now = [begun]
    monkeypatch.setattr(
        "optlab.training.session.time", SimpleNamespace(perf_counter=lambda: now[0])
    )

    class Slow:
        """A control that lets an hour pass while the session holds."""

        resumed = False

        def receive(self, step: int) -> list[Any]:
            if step == 10 and now[0] == begun:
                return [Pause()]
            if now[0] > begun and not self.resumed:
                self.resumed = True
                return [Resume()]
            return []

        def wait(self, seconds: float) -> None:
            now[0] += 3600.0

        def quiet_until(self, step: int) -> float:
            return step

    end = ended(list(session([build(budget={"seconds": 1800.0})], Slow())))
    assert end.reason == "the budget of 60 steps is spent"
    assert abs(end.seconds) < 1800.0


def test_that_a_target_ends_the_run_at_the_first_evaluation_that_meets_it(
    build: Build, play: Any, ended: Any
) -> None:
    experiment = build(
        stopping={"name": "target", "error": 0.2},
        optimizer={"name": "adam", "lr": 0.05},
        budget={"steps": 2000},
    )
    events = play(experiment)
    end = ended(events)
    steps, errors = series(events, "validation_error")
    assert end.status == "finished"
    assert "is at most 0.2" in end.reason
    assert end.steps == steps[-1] < 2000
    assert errors[-1, 0] <= 0.2
    assert (errors[:-1, 0] > 0.2).all()


class ThirdEvaluation(Stopping):
    """Stops at the third evaluation it is asked about."""

    def verdict(
        self,
        memory: Memory,
        step: int,
        values: Mapping[str, float],
        gradient_norm: FullGradientNorm,
    ) -> tuple[Memory, str | None]:
        seen = memory.get("seen", 0.0) + 1.0
        return {"seen": seen}, "seen three times" if seen == 3.0 else None


def test_that_a_stopping_rule_keeps_its_memory_also_after_a_resume(
    build: Build, play: Any, ended: Any
) -> None:
    experiment = dataclasses.replace(
        build(measures={"evaluate_every": 7}), stopping=ThirdEvaluation()
    )
    end = ended(play(experiment))
    assert (end.status, end.steps, end.reason) == ("finished", 21, "seen three times")
    first = play(experiment, at={16: [Stop()]})
    assert ended(play(experiment, snapshots=[of(first, SnapshotTaken)[-1].snapshot])).steps == 21


def test_that_runs_end_one_by_one_and_the_others_continue(
    build: Build, play: Any, ended: Any
) -> None:
    def member(**changes: Any) -> Experiment:
        return build(budget={"steps": 300}, **changes)

    quick = member(
        stopping={"name": "target", "error": 0.2}, optimizer={"name": "adam", "lr": 0.05}
    )
    slow = member(optimizer={"name": "sgd", "lr": 1e-3})
    events = play([quick, slow])
    assert [event.run for event in of(events, RunEnded)] == [0, 1]
    first, second = ended(events, 0), ended(events, 1)
    assert first.steps < 300 == second.steps
    assert (
        first.theta_sha256
        == [e.snapshot for e in of(events, SnapshotTaken) if e.run == 0][-1].theta_sha256
    )
    alone = ended(play(slow))
    assert second.final == pytest.approx(alone.final, rel=1e-9)
    steps, losses = series(events, "batch_loss")
    assert np.isfinite(losses[steps <= first.steps]).all()
    assert np.isfinite(losses[:, 1]).all()


def test_that_an_experiment_that_cannot_run_is_refused_before_the_first_event(
    build: Build, play: Any
) -> None:
    with pytest.raises(InvalidInput, match="is not a weight"):
        play(build(measures={"chosen": ["layers.9.weight[0,0]"]}))
    with pytest.raises(InvalidInput, match="differs from run 1"):
        play([build(), build(threads=2)])


def test_that_a_resumed_session_counts_time_and_steps_from_its_snapshot(
    build: Build, play: Any, ended: Any
) -> None:
    first = play(build(), at={20: [Stop()]})
    snapshot = of(first, SnapshotTaken)[-1].snapshot
    events = play(build(), snapshots=[snapshot])
    assert events[0].step == 20
    assert series(events, "batch_loss")[0].tolist() == list(range(21, 61))
    assert ended(events).seconds >= snapshot.seconds > 0.0
    steps, seconds = series(events, "seconds")
    assert steps.tolist() == list(range(21, 61))
    assert snapshot.seconds < seconds[0, 0] and seconds[-1, 0] <= ended(events).seconds
    assert np.all(np.diff(seconds[:, 0]) > 0.0)
    assert not [event for event in of(events, SnapshotTaken) if event.snapshot.reason == "start"]


def test_that_a_step_that_breaks_its_promise_is_reported_once(build: Build, play: Any) -> None:
    events = play(
        build(
            model={"name": "mlp", "hidden": [3]},
            optimizer={"name": "newton", "damping": 1e-6, "solver": "exact"},
        )
    )
    words = [event.words for event in of(events, StepWarning)]
    assert words
    assert len(set(words)) == len(words)


def test_that_warnings_that_differ_at_every_step_are_bounded(
    build: Build, play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance = Trainer.advance

    def warning(self: Trainer) -> None:
        advance(self)
        self.notes[0] = f"the value was {self.step}"

    monkeypatch.setattr(Trainer, "advance", warning)
    monkeypatch.setattr("optlab.training.session.BLOCK_SECONDS", 0.0)
    warnings = of(play(build(budget={"steps": 3 * MAX_NOTES})), StepWarning)
    assert [one.words for one in warnings[:MAX_NOTES]] == [
        f"the value was {step}" for step in range(1, MAX_NOTES + 1)
    ]
    assert [one.words for one in warnings[MAX_NOTES:]] == [
        f"there have been {MAX_NOTES} different warnings; others are not reported"
    ]


def test_that_the_time_of_every_step_is_that_of_the_clock_without_pauses(
    build: Build, play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = itertools.count()
    monkeypatch.setattr("optlab.training.session.BLOCK_SECONDS", 1e9)
    monkeypatch.setattr(TrainingClock, "seconds", lambda _clock: 10.0 * next(now))
    steps, seconds = series(play([build(seed=seed) for seed in (1, 2)]), "seconds")
    assert seconds.shape == (60, 2) and np.array_equal(seconds[:, 0], seconds[:, 1])
    assert np.all(np.diff(seconds[:, 0]) >= 10.0), "each step is read from the clock by itself"
    assert steps.tolist() == list(range(1, 61))
