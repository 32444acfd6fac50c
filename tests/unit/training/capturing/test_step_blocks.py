"""Blocks of steps give the bits of ordinary ones, read nothing from the device, or are not used.

A recorded graph takes the part of a CUDA graph (``tests/recorded_graph.py``), and a simulated device
that of a GPU (``tests/simulated_device.py``).
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from optlab.catalogue.optimizers.momentum import Momentum
from optlab.experiment import Experiment
from optlab.tasks.step_modes import explanation
from optlab.training import session, step_mode, unobserved
from optlab.training import trainer as trainer_module
from optlab.training.capturing import graph as graph_module
from optlab.training.capturing import step_blocks
from optlab.training.capturing.graph import GRAPHS, CudaGraph, Function
from optlab.training.control import SetValue, TakeSnapshot
from optlab.training.events import RunEnded, SeriesBlock, SnapshotTaken, StepModeChanged
from optlab.training.session import _Session
from optlab.training.trainer import Trainer
from tests.recorded_graph import RecordedGraph
from tests.simulated_device import DEVICE, simulated_device

Build = Callable[..., Experiment]
MOONS = {"dataset": {"name": "moons", "size": 2000}}
"""Batches of 16: an epoch has more than 32 of full size, and a smaller one."""
LSTM = {
    "dataset": {"name": "copy_task", "size": 400, "delay": 2},
    "model": {"name": "lstm", "units": 5},
}
NORMALIZED = {"name": "mlp", "hidden": [6, 6], "batch_norm": True, "skip": True, "auxiliary": 0.3}
REGRESSION = {
    "dataset": {"name": "diabetes"},
    "loss": {"name": "squared_error"},
    "model": {"name": "linear"},
}
EVERY = 37
"""Steps between ordinary ones: a block of 32 and one of 4."""


@pytest.fixture(autouse=True)
def _graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    for device in ("cpu", DEVICE):
        monkeypatch.setitem(GRAPHS, device, RecordedGraph)


def trainers(members: Sequence[Experiment]) -> tuple[Trainer, Trainer]:
    """One that takes ordinary steps, and one that takes blocks."""
    usual, blocked = Trainer(members, deferred=True), Trainer(members, deferred=True)
    blocked.capture_steps()
    return usual, blocked


def advance(trainer: Trainer, steps: int) -> None:
    """As a session does it between two evaluations."""
    end = trainer.step + steps
    while trainer.step < end:
        trainer.advance_unobserved(end - trainer.step - 1, lambda: True)
        trainer.advance()
    assert trainer.step == end


def both(members: Sequence[Experiment], steps: int = 4 * EVERY) -> tuple[Trainer, Trainer]:
    usual, blocked = trainers(members)
    for _ in range(steps // EVERY):
        advance(usual, EVERY)
        advance(blocked, EVERY)
    compare(usual, blocked)
    return usual, blocked


def compare(usual: Trainer, blocked: Trainer) -> None:
    assert torch.equal(usual.theta, blocked.theta)
    for group, other in zip(usual.population.groups, blocked.population.groups, strict=True):
        assert list(group.state) == list(other.state)
        assert all(torch.equal(value, other.state[name]) for name, value in group.state.items())
    usual.sync_divergence()
    blocked.sync_divergence()
    assert usual.endings == blocked.endings
    series, others = usual.recorder.flush(), blocked.recorder.flush()
    assert series.keys() == others.keys()
    for name, values in series.items():
        np.testing.assert_array_equal(values.steps, others[name].steps)
        np.testing.assert_array_equal(values.values, others[name].values, err_msg=name)


@pytest.mark.parametrize(
    "tables",
    [
        {"optimizer": {"name": "momentum"}},
        {"optimizer": {"name": "adam"}},
        {"optimizer": {"name": "adam"}, "schedule": {"name": "cosine"}, "precision": "float32"},
        {"optimizer": {"name": "rmsprop"}, "schedule": {"name": "exponential"}},
        {"optimizer": {"name": "nesterov"}, "loss": {"name": "cross_entropy", "l2": 1e-2}},
        {"optimizer": {"name": "adamw"}, "model": NORMALIZED},
        {"optimizer": {"name": "schedule_free_sgd"}},
        {"optimizer": {"name": "prodigy"}},
        {"optimizer": {"name": "adafactor"}, "schedule": {"name": "cosine"}},
        {"optimizer": {"name": "lookahead", "before": "adam"}},
        {"optimizer": {"name": "lamb"}, "schedule": {"name": "linear_decay"}},
        {"schedules": {"optimizer.momentum": "from 0.5; linear to 0.9 in 60"}},
        {"optimizer": {"name": "adam"}, **LSTM},
        {"averaging": {"name": "polyak", "begin": 60}},
        {
            "averaging": {"name": "exponential"},
            "schedules": {"averaging.decay": "linear to 90% in 60"},
        },
        {"stopping": {"name": "early"}},
    ],
    ids=str,
)
def test_that_blocks_have_the_bits_of_ordinary_steps(build: Build, tables: dict[str, Any]) -> None:
    """One in four steps is an ordinary one at least, and those with which a block begins."""
    _, blocked = both([build(**{**MOONS, **tables, "budget": {"steps": 400}})])
    assert blocked.steps.repeated >= 36


def test_that_runs_with_rates_and_rules_of_their_own_have_the_same_bits(build: Build) -> None:
    members = [
        build(
            **MOONS,
            seed=seed,
            optimizer={"name": name, "lr": 0.01 * (seed + 1)},
            schedule={"name": "cosine"},
        )
        for seed, name in enumerate(["sgd", "adam", "adam", "momentum"])
    ]
    _, blocked = both(members)
    assert blocked.steps.repeated >= 36


@pytest.mark.parametrize("columns", [False, True])
def test_that_a_block_reads_nothing_from_the_device(
    build: Build, monkeypatch: pytest.MonkeyPatch, columns: bool
) -> None:
    """Its numbers are copied there once, before it."""
    members = [
        build(
            **MOONS,
            seed=seed,
            optimizer={"name": "adam", "lr": 0.01 * (1 + seed * columns)},
            schedule={"name": "cosine"},
        )
        for seed in (0, 1)
    ]
    usual = Trainer(members)
    monkeypatch.setattr(trainer_module, "resolve", lambda *_: DEVICE)
    with simulated_device() as transfers:
        trainer = Trainer(members)
        trainer.capture_steps()
        advance(trainer, EVERY)
        before, step = trainer.steps.repeated, trainer.step
        transfers.clear()
        trainer.advance_unobserved(34, lambda: True)
        assert trainer.step == step + 32 and trainer.steps.repeated == before + 32
        assert [(one.kind, one.operation) for one in transfers] == [
            ("upload", "aten.copy_.default")
        ]
    while usual.step < trainer.step:
        usual.advance()
    theta: Any = trainer.theta
    assert torch.equal(theta.values, usual.theta)


@contextmanager
def planted(
    monkeypatch: pytest.MonkeyPatch, compute: Callable[[torch.Tensor, Any], Any]
) -> Iterator[None]:
    """Let momentum compute something of a gradient and its hyperparameters, and multiply by it."""
    update = Momentum.update

    def planting(theta: torch.Tensor, g: torch.Tensor, state: Any, h: Any) -> Any:
        return update(theta, g * compute(g, h), state, h)

    with monkeypatch.context() as patched:
        patched.setattr(Momentum, "update", staticmethod(planting))
        yield


@pytest.mark.parametrize(
    ("compute", "reason"),
    [
        (lambda g, _: min(1.0, g.abs().max().item()), "depends on the values of tensors"),
        (lambda g, _: g[g > 0.0].sum().clamp(0.5, 1.0), "depends on the values of tensors"),
        (lambda g, _: torch.rand_like(g), "draws random numbers"),
        (lambda g, _: g.new_tensor([0.5]), "values of the host"),
        (lambda _, h: 0.5 if h.step > 60 else 1.0, "a decision of the rule"),
        (lambda g, h: sum(g.new_ones(()) * (h.lr + i) for i in range(65)), "other numbers"),
        (lambda _, h: math.sqrt(h.lr), "has other values"),
    ],
    ids=["item", "mask", "random", "constant", "decision", "numbers", "unnoticed"],
)
def test_that_steps_that_cannot_be_in_a_block_are_ordinary_ones(
    build: Build,
    monkeypatch: pytest.MonkeyPatch,
    caplog: Any,
    compute: Callable[[torch.Tensor, Any], Any],
    reason: str,
) -> None:
    """The last of them gets a number to torch that nobody noticed: it is another one, but not in
    the first block.
    """
    caplog.set_level(logging.INFO, logger=step_blocks.__name__)
    decay = {"name": "step_decay", "every": 100}
    members = [build(**MOONS, optimizer={"name": "momentum"}, schedule=decay)]
    with planted(monkeypatch, compute):
        torch.manual_seed(1)
        usual, blocked = trainers(members)
        advance(blocked, 3 * EVERY)
        if reason != "draws random numbers":
            advance(usual, 3 * EVERY)
            compare(usual, blocked)
    assert blocked.steps.repeated == 0
    (message,) = [one.getMessage() for one in caplog.records]
    assert message.startswith("steps are not captured: ") and reason in message


def test_that_steps_that_compute_with_numbers_in_turn_are_ordinary_ones(
    build: Build, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """An odd step computes with a number that no even one has."""
    caplog.set_level(logging.INFO, logger=step_blocks.__name__)
    turns = itertools.count()

    def in_turn(g: torch.Tensor, h: Any) -> Any:
        return g.new_ones(()) * (h.step / h.step if next(turns) % 2 else h.step)

    with planted(monkeypatch, in_turn):
        _, blocked = trainers([build(**MOONS, optimizer={"name": "momentum"})])
        advance(blocked, EVERY)
    assert blocked.steps.repeated == 0
    (message,) = [one.getMessage() for one in caplog.records]
    assert "compute with other numbers" in message


@pytest.mark.parametrize(
    "compute",
    [
        lambda g: float(g.abs().max().cpu() > 0.0),
        lambda g: g.max().to("cpu").to(g.device).clamp(0.5, 0.5),
        lambda g: torch.tensor([0.5], device=g.device),
        lambda g: torch.tensor(0.5, device=g.device),
        lambda g: g.new_empty(()).copy_(torch.tensor(0.5)),
        lambda g: g.new_ones(2)[[0]],
    ],
    ids=["read", "back and forth", "constant", "number", "copy", "index"],
)
def test_that_steps_that_copy_between_host_and_device_are_ordinary_ones(
    build: Build,
    monkeypatch: pytest.MonkeyPatch,
    caplog: Any,
    compute: Callable[[torch.Tensor], Any],
) -> None:
    caplog.set_level(logging.INFO, logger=step_blocks.__name__)
    monkeypatch.setattr(trainer_module, "resolve", lambda *_: DEVICE)
    with planted(monkeypatch, lambda g, _: compute(g)), simulated_device():
        trainer = Trainer([build(**MOONS, optimizer={"name": "momentum"})])
        trainer.capture_steps()
        advance(trainer, EVERY)
    assert trainer.steps.repeated == 0
    (message,) = [one.getMessage() for one in caplog.records]
    assert message.startswith("steps are not captured: ")


@pytest.mark.parametrize(
    "tables",
    [
        {"optimizer": {"name": "adan"}},
        {"optimizer": {"name": "lbfgs"}},
        {"optimizer": {"name": "momentum"}, "delay": {"name": "fixed"}},
        {"optimizer": {"name": "momentum"}, "batches": {"name": "streaming", "size": 16}},
    ],
    ids=str,
)
def test_that_what_does_not_repeat_itself_is_computed_as_usual(
    build: Build, tables: dict[str, Any]
) -> None:
    _, blocked = both([build(**MOONS, **tables)], 2 * EVERY)
    assert blocked.steps.repeated == 0


# --- divergence -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["sgd", "momentum"])
def test_that_runs_diverge_within_a_block_as_in_ordinary_steps(build: Build, rule: str) -> None:
    """Each at a step of its own, and the others go on."""
    members = [
        build(**REGRESSION, optimizer={"name": rule, "lr": rate}) for rate in (0.01, 1e3, 1e2, 30.0)
    ]
    usual, blocked = both(members, 7 * EVERY)
    host = Trainer(members)
    while host.step < usual.step:
        host.advance()
    assert host.endings == blocked.endings and set(blocked.endings) == {1, 2, 3}
    assert torch.equal(host.theta, blocked.theta)
    ends = [blocked.endings[run].last_reported_step for run in (1, 2, 3)]
    assert len(set(ends)) == 3 and max(ends) > EVERY + 2 * 4
    assert blocked.steps.repeated > EVERY


@pytest.mark.parametrize("offset", range(6))
def test_that_a_bad_example_anywhere_in_a_block_ends_the_run(build: Build, offset: int) -> None:
    """The loss of its step is not finite: the parameters before it are kept."""
    bad = 30 + offset
    usual, blocked = trainers([build(**MOONS, optimizer={"name": "momentum"})])
    for trainer in (usual, blocked):
        indices = trainer._stream.ahead(bad, 1)
        assert indices is not None
        trainer._stream._x[indices[0, 0, 3]] = math.inf
        while not trainer.endings:
            advance(trainer, 13)
            trainer.sync_divergence()
    compare(usual, blocked)
    assert blocked.endings[0].last_reported_step == bad + 1
    assert blocked.steps.repeated


def test_that_a_run_that_has_ended_stays_as_it_is(build: Build) -> None:
    members = [build(**MOONS, seed=seed, optimizer={"name": "adam"}) for seed in (1, 2, 3)]
    usual, blocked = both(members, 2 * EVERY)
    for trainer in (usual, blocked):
        trainer.end(1, "finished", "for a test")
    ended, before = blocked.theta[1].clone(), blocked.steps.repeated
    for trainer in (usual, blocked):
        advance(trainer, EVERY)
    compare(usual, blocked)
    assert torch.equal(blocked.theta[1], ended) and blocked.steps.repeated > before


# --- what ends a block ----------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "sizes"), [(16, {4}), (0, {32, 4}), (12, {32, 4})])
def test_that_a_block_ends_where_a_batch_has_another_size(
    build: Build, size: int, sizes: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven full batches, then a smaller one; the whole set at once; full ones only."""
    used: set[int] = set()
    run = step_blocks.StepBlock.run

    def noting(self: Any, rows: torch.Tensor) -> Any:
        used.add(rows.shape[1])
        return run(self, rows)

    monkeypatch.setattr(step_blocks.StepBlock, "run", noting)
    dataset = {"name": "moons", "size": 120, "validation": 0.0, "test": 0.0}
    _, blocked = both(
        [
            build(dataset=dataset, seed=seed, batches={"name": "shuffled", "size": size})
            for seed in (1, 2)
        ]
    )
    assert used == sizes
    assert blocked.steps.repeated >= 36


def test_that_no_more_steps_are_taken_than_may_be(build: Build) -> None:
    _, blocked = both([build(**MOONS)])
    step = blocked.step
    blocked.advance_unobserved(3, lambda: True)
    assert blocked.step == step
    blocked.advance_unobserved(7, lambda: True)
    assert blocked.step == step + 4
    answers = iter([True] * 3 + [False])
    blocked.advance_unobserved(100, lambda: next(answers, False))
    assert blocked.step <= step + 4 + 32
    assert next(answers, None) is None


def test_that_a_change_of_a_value_takes_effect_and_is_captured_when_it_settles(
    build: Build,
) -> None:
    usual, blocked = both([build(**MOONS, optimizer={"name": "momentum"})])
    for trainer in (usual, blocked):
        trainer.set_value("optimizer.momentum", 0.3)
        trainer.follow(["layers.0.weight[0,0]"])
    before = blocked.steps.repeated
    advance(usual, step_blocks.SETTLED)
    advance(blocked, step_blocks.SETTLED)
    assert blocked.steps.repeated == before
    for _ in range(3):
        advance(usual, EVERY)
        advance(blocked, EVERY)
    compare(usual, blocked)
    assert blocked.steps.repeated > before


def test_that_a_change_of_the_batch_size_takes_effect(build: Build) -> None:
    usual, blocked = both([build(**MOONS, optimizer={"name": "adam"})])
    for trainer in (usual, blocked):
        trainer.set_value("batches.size", 10)
        for _ in range(4):
            advance(trainer, EVERY)
    compare(usual, blocked)


def test_that_rates_that_part_are_those_of_the_runs(build: Build) -> None:
    """A rate that was one number for all runs is another in each from then on."""
    members = [
        build(
            **MOONS,
            seed=seed,
            schedule={"name": "plateau", "patience": 1, "factor": factor, "improvement": 0.9},
        )
        for seed, factor in ((1, 0.5), (2, 0.25))
    ]
    usual, blocked = trainers(members)
    rates = []
    for _ in range(12):
        for trainer in (usual, blocked):
            advance(trainer, EVERY)
            values = trainer.evaluate()
            trainer.observe({name: value.tolist() for name, value in values.items()})
        rates.append(blocked.population.rates())
    compare(usual, blocked)
    assert rates[0][0] == rates[0][1] and rates[-1][0] != rates[-1][1]
    assert blocked.steps.repeated > EVERY


def test_that_a_session_with_blocks_reports_the_same(
    build: Build, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evaluations and messages come due in the middle of what could be a block."""
    monkeypatch.setattr(unobserved, "UNOBSERVED_SECONDS", math.inf)
    monkeypatch.setattr(session, "BLOCK_SECONDS", math.inf)
    members = [
        build(
            **MOONS,
            optimizer={"name": "adam", "lr": rate},
            budget={"steps": steps},
            measures={"evaluate_every": 41},
        )
        for rate, steps in ((0.01, 240), (0.02, 190), (1.7e308, 240))
    ]
    reported = []
    for captures in (False, True):
        trainer = Trainer(members, deferred=True)
        if captures:
            trainer.capture_steps()
        at = {
            60: [SetValue("optimizer.lr", 0.005, 0)],
            101: [TakeSnapshot()],
            150: [SetValue("optimizer.beta1", 0.8)],
        }
        events = list(_Session(trainer, script(at), None).events())
        assert bool(trainer.steps.repeated) == captures
        series: dict[str, Any] = {}
        for event in events:
            if isinstance(event, SeriesBlock):
                for name, one in event.series.items():
                    series.setdefault(name, []).append(one)
        snapshots = [
            (one.run, one.snapshot.step, one.snapshot.reason, one.snapshot.theta.tobytes())
            for one in events
            if isinstance(one, SnapshotTaken)
        ]
        ends = [
            dataclasses.replace(one, seconds=0.0) for one in events if isinstance(one, RunEnded)
        ]
        reported.append((series, snapshots, ends))
    (usual, *usual_rest), (blocked, *blocked_rest) = reported
    assert usual_rest == blocked_rest
    assert usual.keys() == blocked.keys()
    for name in usual.keys() - {"seconds"}:
        for index in ("steps", "values"):
            np.testing.assert_array_equal(
                *(
                    np.concatenate([getattr(part, index) for part in parts[name]])
                    for parts in (usual, blocked)
                ),
                err_msg=name,
            )


@pytest.mark.parametrize(
    ("tables", "mode", "reason"),
    [
        ({"optimizer": {"name": "adam"}}, "captured", ""),
        (
            {"optimizer": {"name": "adan"}},
            "ordinary",
            "a step cannot be captured: a decision of the rule depends on the step or on its rate",
        ),
        ({"delay": {"name": "fixed"}}, "ordinary", "gradients are delayed"),
        ({"compiled": True}, "captured", "steps are compiled on a CPU only"),
    ],
    ids=["captured", "decision", "delayed", "compiled"],
)
def test_that_a_session_says_how_steps_are_taken(
    build: Build,
    script: Any,
    monkeypatch: pytest.MonkeyPatch,
    tables: dict[str, Any],
    mode: str,
    reason: str,
) -> None:
    monkeypatch.setattr(unobserved, "UNOBSERVED_SECONDS", math.inf)
    monkeypatch.setattr(session, "BLOCK_SECONDS", math.inf)
    monkeypatch.setattr(trainer_module, "not_compiled", lambda _: step_mode.not_compiled("cuda"))
    trainer = Trainer([build(**MOONS, **tables)], deferred=True)
    trainer.capture_steps()
    events = list(_Session(trainer, script(), None).events())
    last = [one for one in events if isinstance(one, StepModeChanged)][-1]
    assert (last.mode, last.reason) == (mode, reason)
    assert explanation(last.mode, last.reason)


def test_that_a_large_population_is_not_captured(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_blocks, "_VALUES", 20)
    _, blocked = both([build(**MOONS)], EVERY)
    assert blocked.steps.reason == "parameters and states have more than 20 values"
    assert blocked.steps.repeated == 0


def test_that_every_step_is_looked_at_where_that_is_needed(build: Build) -> None:
    for tables in ({"clipping": {"name": "norm"}}, {"instruments": {"distance": {}}}):
        _, blocked = both([build(**MOONS, **tables)], 2 * EVERY)
        assert blocked.steps.repeated == 0


# --- graphs ---------------------------------------------------------------------------------------


class Failing(RecordedGraph):
    def capture(self, function: Function) -> list[torch.Tensor]:
        raise RuntimeError("operation not permitted when stream is capturing")


class Missing(RecordedGraph):
    def __init__(self) -> None:
        raise RuntimeError("CUDA graphs need another driver")


class Wrong(RecordedGraph):
    """Its results are further from those of the steps than may be, or not quite."""

    by = 0.0

    def capture(self, function: Function) -> list[torch.Tensor]:
        self._results = super().capture(function)
        return self._results

    def replay(self) -> None:
        super().replay()
        # Parameters after the block.
        self._results[1].mul_(1.0 + self.by)


class TooWrong(Wrong):
    tolerance, by = 1e-6, 1e-5


class CloseEnough(Wrong):
    tolerance, by = 1e-6, 1e-8


@pytest.mark.parametrize(
    ("graph", "used"), [(Failing, False), (Missing, False), (TooWrong, False), (CloseEnough, True)]
)
def test_that_graphs_that_fail_or_differ_are_not_used(
    build: Build, caplog: Any, monkeypatch: pytest.MonkeyPatch, graph: Any, used: bool
) -> None:
    caplog.set_level(logging.INFO, logger=step_blocks.__name__)
    monkeypatch.setitem(GRAPHS, "cpu", graph)
    usual, blocked = trainers([build(**MOONS, optimizer={"name": "momentum"})])
    for trainer in (usual, blocked):
        advance(trainer, 2 * EVERY)
    assert bool(blocked.steps.repeated) == used
    assert len(caplog.records) == (not used)
    if not used:
        compare(usual, blocked)


def test_that_there_are_graphs_on_cuda_gpus_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert {"cuda": CudaGraph} == GRAPHS


def test_that_a_cuda_graph_is_captured_after_warm_ups_on_a_stream_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The calls that torch's documentation asks for; nothing here is executed by a GPU."""
    calls: list[str] = []

    class Stream:
        def __init__(self, name: str = "beside") -> None:
            self.name = name

        def wait_stream(self, other: Stream) -> None:
            calls.append(f"{self.name} waits for {other.name}")

    @contextmanager
    def within(name: str) -> Iterator[None]:
        calls.append(f"begin {name}")
        yield
        calls.append(f"end {name}")

    class Captured:
        def replay(self) -> None:
            calls.append("replay")

    cuda = graph_module.torch.cuda
    monkeypatch.setattr(cuda, "CUDAGraph", Captured)
    monkeypatch.setattr(cuda, "Stream", Stream)
    monkeypatch.setattr(cuda, "current_stream", lambda: Stream("current"))
    monkeypatch.setattr(cuda, "stream", lambda stream: within(stream.name))
    monkeypatch.setattr(cuda, "graph", lambda graph, **given: within(f"capture {given}"))
    result = torch.zeros(1)

    def function() -> list[torch.Tensor]:
        calls.append("function")
        return [result]

    graph = CudaGraph()
    assert graph.capture(function) == [result]
    graph.replay()
    assert calls == [
        "beside waits for current",
        "begin beside",
        *["function"] * 3,
        "end beside",
        "current waits for beside",
        "begin capture {'capture_error_mode': 'thread_local'}",
        "function",
        "end capture {'capture_error_mode': 'thread_local'}",
        "replay",
    ]
