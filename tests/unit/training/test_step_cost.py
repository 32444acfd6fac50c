"""What a step costs beside its arithmetic, counted and not timed, so that it cannot creep up."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from optlab.catalogue.clipping.norm import ClipByNorm
from optlab.experiment import Experiment
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]
STEPS = 20


def warmed_up(experiment: Experiment) -> Trainer:
    trainer = Trainer([experiment])
    for _ in range(3):
        trainer.advance()
    return trainer


def calls_a_step(trainer: Trainer, advance: Callable[[], object] | None = None) -> float:
    """Calls of Python functions and of functions in C, those inside torch's Python code, too."""
    advance = advance or trainer.advance
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        for _ in range(STEPS):
            advance()
    finally:
        sys.setprofile(before)
    return count / STEPS


def operations_a_step(trainer: Trainer) -> float:
    """Operations of torch."""
    count = 0

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal count
            count += 1
            return func(*args, **(kwargs or {}))

    with Counting():
        for _ in range(STEPS):
            trainer.advance()
    return count / STEPS


def test_that_a_step_makes_few_calls_and_operations(build: Build) -> None:
    """The bounds are today's calls, 177 and 195, and two more than today's operations."""
    plain = warmed_up(build())
    assert calls_a_step(plain) <= 177
    assert operations_a_step(plain) <= 54
    clipped = warmed_up(build(clipping={"name": "norm"}))
    assert calls_a_step(clipped) <= 195
    assert operations_a_step(clipped) <= 64


def test_that_a_captured_step_makes_half_the_calls(build: Build) -> None:
    """The bounds are today's numbers, 80 and 35, with room for one or two more."""
    trainer = Trainer([build(dataset={"name": "moons", "size": 2000})])
    trainer.capture_steps()
    while trainer.steps.repeated < 3:
        trainer.advance()
    assert calls_a_step(trainer) <= 83
    assert operations_a_step(trainer) <= 37


def test_that_a_step_at_which_nothing_looks_makes_two_thirds_of_these(build: Build) -> None:
    """The bound is today's number, 56 where ten are taken at once, with room for one or two more."""
    trainer = Trainer([build(dataset={"name": "moons", "size": 2000}, budget={"steps": 400})])
    trainer.capture_steps()
    while trainer.steps.repeated < 3:
        trainer.advance()
    step = trainer.step
    calls = calls_a_step(trainer, lambda: trainer.advance_unobserved(10, lambda: True)) / 10
    assert trainer.step == step + 10 * STEPS
    assert calls <= 58


@pytest.mark.parametrize("deferred", [False, True])
def test_that_a_gradient_is_clipped_once_a_step(
    build: Build, monkeypatch: pytest.MonkeyPatch, deferred: bool
) -> None:
    """Also where the check for finite values is left on the device, or a run has ended."""
    clip, calls = ClipByNorm.clip, []

    def counted(self: ClipByNorm, g: torch.Tensor, *rest: Any) -> torch.Tensor:
        calls.append(len(g))
        return clip(self, g, *rest)

    monkeypatch.setattr(ClipByNorm, "clip", counted)
    trainer = Trainer(
        [build(seed=seed, clipping={"name": "norm"}) for seed in (1, 2)], deferred=deferred
    )
    trainer.advance()
    trainer.end(0, "stopped", "for a test")
    trainer.advance()
    assert calls == [2, 2]
