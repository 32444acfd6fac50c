"""How the steps of a session are taken, and why not in a faster way, as the session reports it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from optlab.experiment import Experiment
from optlab.objective.ranks import ALONE
from optlab.training import step_mode
from optlab.training.capturing import captured_steps
from optlab.training.control import SetValue
from optlab.training.events import Event, SeriesBlock, SessionStarted, StepModeChanged, StepWarning
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]
MOMENTUM = {"optimizer": {"name": "momentum"}}


def changes(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.mode, event.reason) for event in events if isinstance(event, StepModeChanged)]


def notes(events: list[Event]) -> list[tuple[int, str]]:
    return [(event.run, event.words) for event in events if isinstance(event, StepWarning)]


def test_that_a_session_says_once_that_it_takes_recorded_steps(build: Build, play: Any) -> None:
    events = play(build(**MOMENTUM, budget={"steps": 200}))
    assert changes(events) == [("recorded", "")]
    assert notes(events) == []


def test_that_it_says_so_in_the_block_in_which_it_is_noticed(
    build: Build, play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optlab.training.session.BLOCK_SECONDS", 0.0)
    messages = {100: [SetValue("optimizer.lr", 0.01)]}
    one_shape = {"name": "shuffled", "size": 0}
    events = play(build(**MOMENTUM, budget={"steps": 200}, batches=one_shape), messages)
    found = [event for event in events if isinstance(event, SeriesBlock | StepModeChanged)]
    assert changes(events) == [("recorded", ""), ("ordinary", ""), ("recorded", "")]
    for before, event in zip(found, found[1:], strict=False):
        if isinstance(event, StepModeChanged):
            assert isinstance(before, SeriesBlock) and before.step == event.step
    first, changed, again = (one.step for one in found if isinstance(one, StepModeChanged))
    assert first == captured_steps.SOON + captured_steps.CHECKED + 1
    assert changed == 100 and again == 100 + first


@pytest.mark.parametrize(
    ("tables", "reason"),
    [
        ({"optimizer": {"name": "lbfgs"}}, "the optimizer evaluates the objective itself"),
        ({"continuation": {"name": "blur"}}, "each gradient depends on random draws"),
        ({"delay": {"name": "fixed"}}, "gradients are delayed"),
        (
            {
                "schedules": {"loss.l2": "linear to 10% in 30"},
                "loss": {"name": "cross_entropy", "l2": 0.1},
            },
            "weight decay follows a schedule",
        ),
        (
            {"model": {"name": "mlp", "hidden": [5], "dropout": 0.5}},
            "the model draws random numbers or has values beside its parameters",
        ),
        (
            {"optimizer": {"name": "adan"}},
            "a step cannot be repeated: a decision of the rule depends on the step or on its rate",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_that_ordinary_steps_come_with_their_reason(
    build: Build, play: Any, tables: dict[str, Any], reason: str
) -> None:
    events = play(build(**tables, budget={"steps": 60}))
    assert changes(events) == [("ordinary", reason)]
    assert notes(events) == []
    asked = play(build(**tables, budget={"steps": 60}, compiled=True))
    assert notes(asked) == [(0, f"steps are not compiled: {reason}")]


@pytest.mark.parametrize(
    "tables",
    [
        {"averaging": {"name": "polyak", "begin": 100}},
        {"averaging": {"name": "exponential"}},
        {"stopping": {"name": "early"}},
        {"loss": {"name": "squared_error"}},
    ],
    ids=["mean", "average", "best", "squares"],
)
def test_that_steps_beside_which_weights_are_kept_are_recorded(
    build: Build, play: Any, tables: dict[str, Any]
) -> None:
    events = play(build(**MOMENTUM, **tables, budget={"steps": 200}))
    assert changes(events) == [("recorded", "")]


def test_that_a_large_population_is_not_recorded(
    build: Build, play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captured_steps, "_VALUES", 20)
    assert changes(play(build(**MOMENTUM))) == [
        ("ordinary", "parameters and states have more than 20 values")
    ]


def test_that_a_recording_with_other_values_is_given_up(
    build: Build, play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captured_steps.torch, "allclose", lambda *_, **__: False)
    (change,) = changes(play(build(**MOMENTUM)))
    assert change == ("ordinary", "a repeated step has other values than an ordinary one")


def test_that_steps_elsewhere_are_ordinary_ones(build: Build) -> None:
    one = [build(**MOMENTUM)]
    assert step_mode.not_recorded(one, "cpu", ALONE) == ""
    assert step_mode.not_recorded(one, "cuda", ALONE) == ""
    assert step_mode.not_recorded(one, "mps", ALONE) == (
        "steps are recorded on CPUs and CUDA GPUs only"
    )
    assert step_mode.not_compiled("cuda") == "steps are compiled on a CPU only"
    assert Trainer(one).steps.mode == "ordinary"


def test_that_compiled_steps_are_asked_for(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_mode, "has_compiler", lambda: True)
    for compiled in (False, True):
        trainer = Trainer([build(**MOMENTUM, compiled=compiled)])
        asked: list[bool] = []
        capture = trainer.steps.capture
        monkeypatch.setattr(
            trainer.steps,
            "capture",
            lambda steps, *, compiled, capture=capture, asked=asked: (
                asked.append(compiled),
                capture(steps, compiled=compiled),
            ),
        )
        trainer.capture_steps()
        assert asked == [compiled] and trainer.steps.reason == ""


def test_that_a_run_without_a_compiler_says_so_and_takes_recorded_steps(
    build: Build, play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_mode, "has_compiler", lambda: False)
    reason = "there is no C++ compiler on this machine"
    members = [build(**MOMENTUM, compiled=True, seed=seed) for seed in (1, 2)]
    events = play(members)
    assert isinstance(events[0], SessionStarted)
    assert changes(events)[-1] == ("recorded", reason)
    assert notes(events) == [(0, f"steps are not compiled: {reason}")]
    assert changes(play(build(**MOMENTUM))) == [("recorded", "")]
