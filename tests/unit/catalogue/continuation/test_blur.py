"""The blurred objective: its stages, its closed form on a quadratic, and the plain objective once
the blur has gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from optlab.catalogue.continuation.blur import Blur
from optlab.experiment import Experiment
from optlab.objective.batch_objective import BatchObjective
from optlab.training.control import Stop
from optlab.training.events import SnapshotTaken

Build = Callable[..., Experiment]
BLUR = {"name": "blur", "sigma": 0.3, "stages": 3, "length": 10, "samples": 2}


def test_that_the_blur_fades_in_stages_of_one_length_and_then_is_gone() -> None:
    blur = Blur(sigma=0.8, stages=4, length=5)
    assert [blur.width(step) for step in range(25)] == pytest.approx(
        [0.8] * 5 + [0.6] * 5 + [0.4] * 5 + [0.2] * 5 + [0.0] * 5
    )
    assert blur.width(20) == 0.0 == blur.width(10**9), (
        "exactly, so that the plain objective is asked"
    )


def test_that_from_where_the_blur_is_gone_training_is_plain(
    build: Build, play: Any, ended: Any
) -> None:
    blurred = build(continuation=BLUR)
    events = play(blurred, at={30: [Stop()]})
    (snapshot,) = [
        event.snapshot
        for event in events
        if isinstance(event, SnapshotTaken) and event.snapshot.reason == "end"
    ]
    rest = ended(play(build(), snapshots=[snapshot]))
    assert (
        rest.theta_sha256 == ended(play(blurred)).theta_sha256 != ended(play(build())).theta_sha256
    )


@pytest.mark.parametrize("stop", [1, 10, 25, 45])
def test_that_a_blurred_run_is_stopped_and_resumed_bit_for_bit(
    build: Build, play: Any, ended: Any, stop: int
) -> None:
    experiment = build(continuation=BLUR)
    (snapshot,) = [
        e.snapshot
        for e in play(experiment, at={stop: [Stop()]})
        if isinstance(e, SnapshotTaken) and e.snapshot.reason == "end"
    ]
    assert (
        ended(play(experiment, snapshots=[snapshot])).theta_sha256
        == ended(play(experiment)).theta_sha256
    )


def test_that_each_run_of_a_population_is_blurred_as_alone(build: Build, advanced: Any) -> None:
    members = [
        build(continuation=BLUR, seed=1),
        build(continuation=BLUR, seed=2, optimizer={"name": "adam"}),
        build(continuation=BLUR, seed=3),
    ]
    together = advanced(members, 40).theta
    for run, member in enumerate(members):
        torch.testing.assert_close(
            together[run], advanced(member, 40).theta[0], rtol=1e-10, atol=1e-12
        )


def test_that_on_a_quadratic_the_blurred_gradient_is_unbiased_and_the_loss_raised_by_half_the_trace(
    build: Build, advanced: Any
) -> None:
    # J(θ + σn) = J + σ gᵀn + ½σ² nᵀHn: in the mean the gradient is g and the loss J + ½σ² tr H.
    sigma, runs, samples = 0.5, 24, 128
    experiments = [
        build(
            dataset={"name": "diabetes"},
            model={"name": "linear"},
            batches={"name": "shuffled", "size": 0},
            continuation={"name": "blur", "sigma": sigma, "samples": samples},
            seed=seed,
        )
        for seed in range(runs)
    ]
    trainer = advanced(experiments, 0)
    trainer.theta = theta = trainer.theta[:1].expand(runs, -1).contiguous()
    x, y = trainer._stream.at(0)
    taken = trainer.population.propose(x, y)
    assert torch.equal(taken.point, theta)
    batch_objective = BatchObjective(trainer.objective, x[:1], y[:1], [0], 0)
    loss, gradient = batch_objective.gradient(theta[:1])
    h = batch_objective.hessian(theta[:1])[0]
    # The noise of one draw's gradient is σH n, that of its loss has variance σ²‖g‖² + ½σ⁴‖H‖².
    draws = runs * samples
    error = (taken.gradient.mean(dim=0) - gradient[0]).abs()
    assert bool((error < 5.0 * sigma * h.square().sum(dim=1).sqrt() / draws**0.5).all())
    spread = taken.gradient.std(dim=0) / (sigma * h.square().sum(dim=1).sqrt() / samples**0.5)
    assert bool(((spread > 0.5) & (spread < 1.7)).all()), "the noise has the requested width"
    expected = loss.item() + 0.5 * sigma**2 * h.trace().item()
    noise = (sigma**2 * gradient.square().sum() + 0.5 * sigma**4 * h.square().sum()).sqrt().item()
    assert abs(taken.loss.mean().item() - expected) < 5.0 * noise / draws**0.5
    assert expected - loss.item() > 10.0 * noise / draws**0.5, (
        "so that a missing trace would be seen"
    )
