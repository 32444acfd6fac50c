"""The trainer's step: against a loop written with torch alone, exact replay, snapshots, and
measures that change nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.training.control import Replay, SetValue, Stop
from optlab.training.events import MessageApplied, SnapshotTaken
from optlab.training.session import session
from optlab.training.snapshot import theta_sha256

Build = Callable[..., Experiment]
OPTIMIZERS = [
    {"name": "sgd", "lr": 0.1},
    {"name": "momentum", "lr": 0.05},
    {"name": "nesterov", "lr": 0.05},
    {"name": "adam", "lr": 0.01},
]


def test_that_training_equals_a_loop_written_with_torch_alone(build: Build, advanced: Any) -> None:
    experiment = build(
        optimizer={"name": "momentum", "lr": 0.05, "form": "torch"},
        batches={"name": "never_shuffled", "size": 16},
        loss={"name": "cross_entropy", "l2": 0.01},
        schedule={"name": "linear_decay", "tau": 30, "last": 0.1},
        clipping={"name": "norm", "threshold": 0.3},
    )
    ours = advanced(experiment, 0)
    data = experiment.dataset.load().training
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)
    ).double()
    torch.nn.utils.vector_to_parameters(ours.theta[0].clone(), model.parameters())
    weights = [p for p in model.parameters() if p.dim() == 2]
    biases = [p for p in model.parameters() if p.dim() == 1]
    batch_objective = torch.optim.SGD(
        [{"params": weights, "weight_decay": 0.0}, {"params": biases}], lr=0.05, momentum=0.9
    )
    scheduler = torch.optim.lr_scheduler.LinearLR(
        batch_objective, start_factor=1.0, end_factor=0.1, total_iters=30
    )
    losses = []
    for step in range(50):
        rows = slice(step % 5 * 16, min((step % 5 + 1) * 16, 72))
        batch_objective.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
        (loss + 0.005 * sum(w.square().sum() for w in weights)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.3)
        batch_objective.step()
        scheduler.step()
        losses.append(loss.item())
        ours.advance()
    # clip_grad_norm_ divides by the norm plus 1e-6: the one difference that is left.
    theirs = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    torch.testing.assert_close(ours.theta[0], theirs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.recorder.flush()["batch_loss"].values[:, 0], losses, rtol=1e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: o["name"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_that_the_same_seed_gives_the_same_parameters_bit_for_bit(
    build: Build, play: Any, ended: Any, optimizer: dict[str, Any], precision: str
) -> None:
    first = ended(play(build(optimizer=optimizer, precision=precision)))
    again = ended(play(build(optimizer=optimizer, precision=precision)))
    other = ended(play(build(optimizer=optimizer, precision=precision, seed=2)))
    assert first.theta_sha256 == again.theta_sha256 != other.theta_sha256
    assert len(first.theta_sha256) == 64
    assert first.final == again.final


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: o["name"])
@pytest.mark.parametrize("stop", [1, 4, 5, 6, 23, 59])
def test_that_a_stopped_run_resumed_from_its_snapshot_is_the_run_that_was_not_stopped(
    build: Build, play: Any, ended: Any, optimizer: dict[str, Any], stop: int
) -> None:
    experiment = build(
        optimizer=optimizer,
        schedule={"name": "linear_decay", "tau": 50},
        clipping={"name": "norm", "threshold": 0.5},
    )
    straight = ended(play(experiment))
    first = play(experiment, at={stop: [Stop()]})
    assert ended(first).status == "stopped"
    assert ended(first).steps == stop
    (snapshot,) = [
        event.snapshot
        for event in first
        if isinstance(event, SnapshotTaken) and event.snapshot.reason == "end"
    ]
    assert snapshot.step == stop
    resumed = ended(play(experiment, snapshots=[snapshot]))
    assert resumed.status == "finished"
    assert resumed.steps == 60
    assert resumed.theta_sha256 == straight.theta_sha256
    assert resumed.final == straight.final


def test_that_values_changed_during_a_run_are_replayed_exactly_from_the_log(
    build: Build, play: Any, ended: Any, script: Any
) -> None:
    experiment = build(clipping={"name": "norm", "threshold": 5.0})
    changes = {
        3: [SetValue("optimizer.lr", 0.2)],
        17: [SetValue("optimizer.momentum", 0.5), SetValue("clipping.threshold", 0.1)],
        40: [SetValue("optimizer.lr", 0.01)],
    }
    events = play(experiment, at=changes)
    log = [
        (event.step, event.message)
        for event in events
        if isinstance(event, MessageApplied) and not event.problem
    ]
    assert [step for step, _ in log] == [3, 17, 17, 40]
    replayed = ended(list(session([experiment], Replay(log))))
    assert (
        replayed.theta_sha256 == ended(events).theta_sha256 != ended(play(experiment)).theta_sha256
    )


def test_that_a_snapshot_carries_the_values_that_were_changed(
    build: Build, play: Any, ended: Any
) -> None:
    experiment = build()
    straight = ended(play(experiment, at={10: [SetValue("optimizer.lr", 0.2)]}))
    first = play(experiment, at={10: [SetValue("optimizer.lr", 0.2)], 30: [Stop()]})
    (snapshot,) = [
        event.snapshot
        for event in first
        if isinstance(event, SnapshotTaken) and event.snapshot.reason == "end"
    ]
    assert snapshot.values == {"optimizer.lr": 0.2}
    assert ended(play(experiment, snapshots=[snapshot])).theta_sha256 == straight.theta_sha256


@pytest.mark.parametrize(
    "measures",
    [
        {"evaluate_every": 1},
        {"evaluate_every": 7},
        {"gradient_every": 1},
        {"weights": 0},
        {"weights": 50},
        {"chosen": ["layers.1.bias[0]", "layers.0.weight[3,1]"]},
    ],
)
def test_that_what_is_measured_does_not_change_the_training(
    build: Build, play: Any, ended: Any, measures: dict[str, Any]
) -> None:
    assert ended(play(build(measures=measures))).theta_sha256 == ended(play(build())).theta_sha256


def test_that_blocks_do_not_change_the_training(
    build: Build, play: Any, ended: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ended(play(build())).theta_sha256
    monkeypatch.setattr("optlab.training.session.BLOCK_SECONDS", 0.0)
    monkeypatch.setattr("optlab.training.session.CHECKPOINT_SECONDS", 0.0)
    events = play(build())
    assert ended(events).theta_sha256 == plain
    assert (
        sum(
            isinstance(event, SnapshotTaken) and event.snapshot.reason == "checkpoint"
            for event in events
        )
        == 60
    )


def test_that_series_are_what_they_say(build: Build, advanced: Any) -> None:
    trainer = advanced(build(measures={"chosen": ["layers.1.bias[1]"]}), 0)
    before = trainer.theta.clone()
    x, y = trainer._stream.at(0)
    loss, gradient = trainer.objective.value_and_gradient(before, x, y)
    trainer.advance()
    taken = {name: values.values[0, 0] for name, values in trainer.recorder.flush().items()}
    assert taken["batch_loss"] == pytest.approx(loss.item(), rel=1e-13)
    assert taken["gradient_norm"] == pytest.approx(gradient.norm().item(), rel=1e-13)
    assert taken["update_norm"] == pytest.approx((trainer.theta - before).norm().item(), rel=1e-13)
    assert taken["learning_rate"] == 0.05
    assert taken["weights"].tolist() == [trainer.theta[0, -1].item()]


def test_that_evaluation_measures_are_means_over_whole_parts(build: Build, advanced: Any) -> None:
    experiment = build(loss={"name": "cross_entropy", "l2": 0.5})
    trainer = advanced(experiment, 10)
    data = experiment.dataset.load()
    w0, b0, w1, b1 = (part[0] for part in trainer.layout.split(trainer.theta))
    for name, part in (("train", data.training), ("validation", data.validation)):
        x, y = torch.from_numpy(part.x), torch.from_numpy(part.y)
        outputs = torch.tanh(x @ w0.T + b0) @ w1.T + b1
        values = trainer.evaluate()
        assert values[f"{name}_loss"].item() == pytest.approx(
            torch.nn.functional.cross_entropy(outputs, y).item(), rel=1e-12
        )
        assert values[f"{name}_error"].item() == pytest.approx(
            (outputs.argmax(1) != y).double().mean().item(), rel=1e-12
        )


@pytest.mark.parametrize("values", [2, 100, 4_000_000])
def test_that_the_full_gradient_is_that_of_the_objective_on_the_whole_training_set(
    build: Build, advanced: Any, values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optlab.training.full_gradient.CHUNK_VALUES", values)
    experiment = build(loss={"name": "cross_entropy", "l2": 0.3, "l1": 0.01})
    trainer = advanced(experiment, 10)
    data = experiment.dataset.load().training
    theta = trainer.theta.clone().requires_grad_()
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    w0, b0, w1, b1 = (part[0] for part in trainer.layout.split(theta))
    loss = torch.nn.functional.cross_entropy(torch.tanh(x @ w0.T + b0) @ w1.T + b1, y)
    penalty = sum(0.15 * w.square().sum() + 0.01 * w.abs().sum() for w in (w0, w1))
    (gradient,) = torch.autograd.grad(loss + penalty, theta)
    assert trainer.full_gradient_norm().item() == pytest.approx(gradient.norm().item(), rel=1e-11)


def test_that_a_snapshot_of_another_model_or_optimizer_is_refused(
    build: Build, advanced: Any
) -> None:
    snapshot = advanced(build(), 3).snapshot(0, 0.0, "asked")
    with pytest.raises(InvalidInput, match="it is of another model"):
        advanced(build(model={"name": "mlp", "hidden": [6]}), 0, snapshots=[snapshot])
    with pytest.raises(InvalidInput, match="it is of another optimizer"):
        advanced(build(optimizer={"name": "adam"}), 0, snapshots=[snapshot])
    later = dataclasses.replace(snapshot, step=4)
    with pytest.raises(InvalidInput, match="at the same step"):
        advanced([build(), build(seed=2)], 0, snapshots=[snapshot, later])


def test_that_a_snapshot_is_a_copy(build: Build, advanced: Any) -> None:
    trainer = advanced(build(), 3)
    snapshot = trainer.snapshot(0, 1.5, "asked")
    before = snapshot.theta_sha256
    for _ in range(3):
        trainer.advance()
    assert snapshot.theta_sha256 == before == theta_sha256(snapshot.theta)
    assert (snapshot.step, snapshot.seconds, snapshot.reason) == (3, 1.5, "asked")
    assert set(snapshot.state) == {"v"}


def test_that_a_snapshot_carries_what_the_stopping_rule_remembers(
    build: Build, advanced: Any
) -> None:
    trainer = advanced([build(), build(seed=2)], 3)
    trainer.memories[1] = {"best": 0.25}
    snapshots = [trainer.snapshot(run, 0.0, "asked") for run in range(2)]
    assert [dict(snapshot.memory) for snapshot in snapshots] == [{}, {"best": 0.25}]
    assert advanced([build(), build(seed=2)], 0, snapshots=snapshots).memories == [
        {},
        {"best": 0.25},
    ]


def test_that_a_field_that_is_not_live_or_a_value_that_is_not_allowed_is_refused(
    build: Build, advanced: Any
) -> None:
    trainer = advanced(build(), 1)
    with pytest.raises(
        InvalidInput,
        match=r"dataset\.size cannot be changed during a run; these can: optimizer\.lr, "
        r"optimizer\.momentum",
    ):
        trainer.set_value("dataset.size", 3)
    with pytest.raises(
        InvalidInput, match=r"optimizer\.lr is -1\.0, but it must be a number above 0"
    ):
        trainer.set_value("optimizer.lr", -1.0)
    assert trainer.effective[0] == trainer.requested[0]
