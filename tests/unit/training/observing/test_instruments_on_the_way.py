"""Instruments in a session: taken when they should be, reported as series and images, switched on
during a run, and without a trace in the training.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.outside.own_models import sources
from optlab.outside.own_models.registering import register
from optlab.runners import ProcessRunner, ThreadRunner, TrainJob, WorkerPool
from optlab.training.control import Advance, Pause, Resume, Stop, SwitchInstrument
from optlab.training.events import (
    ActivityChanged,
    Event,
    InstrumentCosts,
    InstrumentImage,
    MessageApplied,
    RunEnded,
    SeriesBlock,
    SessionEnded,
    SnapshotTaken,
)
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]
NAMES = registry.names("instrument")


def of(events: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def series(events: list[Event], name: str) -> tuple[list[int], np.ndarray]:
    parts = [block.series[name] for block in of(events, SeriesBlock) if name in block.series]
    return [int(step) for part in parts for step in part.steps], np.concatenate(
        [part.values for part in parts]
    )


def equipped(experiment: Experiment, every: int = 1) -> Experiment:
    """With every instrument that exists for it."""
    for name in NAMES:
        quick = {"probes": 1, "steps": 4} if name == "spectral_density" else {}
        try:
            experiment = experiment.with_instrument(name, {"every": every, **quick})
        except InvalidInput:
            continue
    return experiment


def test_that_the_default_experiment_has_none_and_its_file_says_nothing_of_them(
    build: Build,
) -> None:
    assert build().instruments == ()
    assert "instruments" not in build().to_dict()


CASES: list[dict[str, Any]] = [
    {"clipping": {"name": "norm", "threshold": 0.5}},
    {"optimizer": {"name": "nesterov", "lr": 0.05}, "averaging": {"name": "polyak"}},
    {"optimizer": {"name": "adam"}, "delay": {"name": "random", "steps": 3}},
    {"optimizer": {"name": "newton"}},
    {"optimizer": {"name": "lbfgs"}, "model": {"name": "linear"}},
    {"continuation": {"name": "blur"}},
    {"model": {"name": "mlp", "hidden": [5, 5], "batch_norm": True}},
    {"model": {"name": "mlp", "hidden": [5, 5], "skip": True, "auxiliary": 0.5}},
    {"model": {"name": "deep_linear"}},
    {"model": {"name": "autoencoder", "code": 1}, "loss": {"name": "squared_error"}},
    {"model": {"name": "cnn", "channels": [2]}, "dataset": {"name": "digits"}},
    {
        "model": {"name": "rnn", "units": 3},
        "dataset": {"name": "adding_problem", "length": 4},
        "loss": {"name": "squared_error"},
    },
    {"model": {"name": "lstm", "units": 3}, "dataset": {"name": "copy_task"}},
    {
        "model": {"name": "transformer", "width": 4, "heads": 2},
        "dataset": {"name": "adding_problem", "length": 4},
        "loss": {"name": "squared_error"},
    },
    {
        "model": {"name": "rbm", "hidden": 5},
        "dataset": {"name": "digits", "unit_range": True},
        "loss": {"name": "squared_error"},
    },
]


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: "-".join(str(part.get("name")) for part in case.values())
)
def test_that_instruments_leave_no_trace_in_the_training(
    build: Build, play: Any, ended: Any, case: dict[str, Any]
) -> None:
    plain = build(**case, budget={"steps": 8}, measures={"weights": 2, "evaluate_every": 3})
    on = equipped(plain)
    assert len(on.instruments) >= 6
    without, with_all = play(plain), play(on)
    switched = play(
        plain,
        {
            2: [SwitchInstrument(one.name, one.values()) for one in on.instruments],
            5: [SwitchInstrument(one.name, None) for one in on.instruments],
        },
    )
    assert not [applied.problem for applied in of(switched, MessageApplied) if applied.problem]
    digests = {ended(events).theta_sha256 for events in (without, with_all, switched)}
    assert len(digests) == 1
    states = [
        of(events, SnapshotTaken)[-1].snapshot.state for events in (without, with_all, switched)
    ]
    for name, value in states[0].items():
        assert all(np.array_equal(value, other[name]) for other in states)
    for one in on.instruments:
        reported = {
            name
            for block in of(with_all, SeriesBlock)
            for name in block.series
            if name.startswith(f"{one.name}.")
        }
        assert reported, f"{one.name} said nothing"
        assert reported <= {f"{one.name}.{quantity.name}" for quantity in one.gives}
        for name in reported:
            assert series(with_all, name)[0] == list(range(1, 9)), name
            assert series(switched, name)[0] == [3, 4, 5], name
            vectors = {quantity.name: quantity.vector for quantity in one.gives}
            assert (series(with_all, name)[1].ndim == 3) == vectors[name.partition(".")[2]]


def test_that_a_module_of_the_users_own_is_measured_and_trains_the_same(
    build: Build, play: Any, ended: Any, tmp_path: Path
) -> None:
    """With dropout, which draws from torch's own generator."""
    path = tmp_path / "net.py"
    path.write_text(
        "import torch\nfrom torch import nn\n\nclass Net(nn.Module):\n"
        "    def __init__(self, inputs, outputs):\n        super().__init__()\n"
        "        self.a = nn.Linear(inputs, 6)\n        self.relu = nn.ReLU()\n"
        "        self.b = nn.Linear(6, outputs)\n\n"
        "    def forward(self, x):\n        return self.b(self.relu(self.a(x)))\n"
    )
    register(sources.find(str(path)), "net")
    plain = build(model={"name": "own.net"}, budget={"steps": 6})
    on = equipped(plain)
    events = play(on)
    assert ended(events).theta_sha256 == ended(play(plain)).theta_sha256
    norms = series(events, "gradient_noise.norms")[1]
    assert norms.shape == (6, 1, 5) and bool((np.diff(norms, axis=2) >= 0.0).all())
    names = next(
        block.series["activations.mean"].columns
        for block in of(events, SeriesBlock)
        if "activations.mean" in block.series
    )
    assert names == ("a", "relu", "b")


def test_that_the_state_of_the_global_generator_is_restored(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer([build(instruments={"conditioning": {"every": 1}})])
    cls = type(trainer.requested[0].instruments[0])
    read = cls.read

    def drawing(self: Any, context: Any, memory: Any) -> Any:
        torch.rand(3)
        return read(self, context, memory)

    monkeypatch.setattr(cls, "read", drawing)
    before = torch.get_rng_state()
    trainer.advance()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("deferred", [False, True])
def test_that_runs_of_a_population_report_what_they_report_alone(
    build: Build, deferred: bool
) -> None:
    members = [
        equipped(build(seed=seed, optimizer={"name": name}))
        for seed, name in ((1, "sgd"), (2, "momentum"), (3, "adam"))
    ]
    together = Trainer(members, deferred=deferred)
    for _ in range(7):
        together.advance()
    reported = together.recorder.flush()
    for run, member in enumerate(members):
        alone = Trainer([member])
        for _ in range(7):
            alone.advance()
        assert torch.allclose(alone.theta[0], together.theta[run], rtol=1e-10, atol=1e-12)
        for name, found in alone.recorder.flush().items():
            # The best that any run of a population has reached is everyone's.
            if "." in name and not name.startswith("excess_error") and name != "spectrum.products":
                np.testing.assert_allclose(
                    reported[name].values[:, run],
                    found.values[:, 0],
                    rtol=1e-6,
                    atol=1e-9,
                    err_msg=name,
                )
                assert reported[name].columns == found.columns


def test_that_runs_that_have_ended_are_not_reported_and_do_not_end_the_others(
    build: Build, play: Any
) -> None:
    quadratic = {"model": {"name": "linear"}, "loss": {"name": "squared_error"}}
    members = [
        equipped(build(seed=1, **quadratic, optimizer={"name": "sgd", "lr": lr}))
        for lr in (0.1, 1e40)
    ]
    events = play(members)
    ends = {end.run: end for end in of(events, RunEnded)}
    assert (ends[0].status, ends[1].status) == ("finished", "diverged")
    steps, values = series(events, "conditioning.gg")
    assert steps == list(range(1, 61))
    assert np.isfinite(values[:, 0]).all()
    assert np.isnan(values[5:, 1]).all()


def test_that_a_schedule_is_kept_and_none_means_pauses_and_the_end(build: Build, play: Any) -> None:
    experiment = build(
        instruments={
            "conditioning": {"every": 25},
            "spectral_density": {"probes": 1, "steps": 5},
            "update_ratio": {"every": 0},
        }
    )
    events = play(experiment, {10: [Pause()]}, [Advance(3), Resume()])
    assert series(events, "conditioning.ghg")[0] == [25, 50]
    assert series(events, "spectral_density.mean")[0] == [10, 13, 60]
    assert series(events, "update_ratio.ratio")[0] == [10, 13, 60]
    held = [
        place
        for place, event in enumerate(events)
        if isinstance(event, ActivityChanged) and event.activity == "paused"
    ]
    pictures = [
        (place, event) for place, event in enumerate(events) if isinstance(event, InstrumentImage)
    ]
    assert [event.step for _, event in pictures] == [10, 13, 60]
    assert pictures[0][0] < held[0], "what is found on a pause is reported before the pause"
    (end,) = of(events, RunEnded)
    assert pictures[-1][0] < events.index(end)
    assert set(pictures[0][1].arrays) == {"eigenvalue", "density"}
    assert pictures[0][1].arrays["density"].shape == (256,)


def test_that_the_context_at_rest_has_the_batch_of_the_next_step(
    build: Build,
) -> None:
    trainer = Trainer(
        [
            build(
                optimizer={"name": "sgd", "lr": 0.1},
                instruments={"conditioning": {"every": 0}, "update_ratio": {"every": 0}},
            )
        ]
    )
    for _ in range(4):
        trainer.advance()
    before = trainer.theta.clone()
    trainer.instrument_runner.read_unscheduled(4)
    trainer.instrument_runner.read_unscheduled(4)
    standing = trainer.recorder.flush()
    trainer.advance()
    row = trainer.recorder.flush()
    assert standing["conditioning.gg"].steps.tolist() == [4], "once a step"
    assert standing["conditioning.gg"].values[0, 0] == pytest.approx(
        row["gradient_norm"].values[0, 0] ** 2, rel=1e-12
    )
    assert float(standing["update_ratio.ratio"].values[0, 0, 0]) > 0.0
    assert not torch.equal(before, trainer.theta)


def test_that_a_switch_that_is_not_possible_is_reported_with_its_reason(
    build: Build, play: Any
) -> None:
    asked = [
        SwitchInstrument("no_such", {}),
        SwitchInstrument("time_gradient", {}),
        SwitchInstrument("conditioning", {"every": -1}),
    ]
    problems = [applied.problem for applied in of(play(build(), {3: asked}), MessageApplied)]
    assert "No instrument is called 'no_such'" in problems[0]
    assert "it needs sequences" in problems[1]
    assert "instruments.conditioning.every is -1, but it must be" in problems[2]


def test_that_another_schedule_keeps_what_an_instrument_remembers(build: Build, play: Any) -> None:
    whole = play(build(instruments={"distance": {"every": 5}}))
    changed = play(
        build(instruments={"distance": {"every": 50}}),
        {30: [SwitchInstrument("distance", {"every": 5})]},
    )
    late = play(build(), {30: [SwitchInstrument("distance", {"every": 5})]})
    there = {step: value[0] for step, value in zip(*series(whole, "distance.length"), strict=True)}
    kept = dict(
        zip(
            series(changed, "distance.length")[0],
            series(changed, "distance.length")[1][:, 0],
            strict=True,
        )
    )
    assert kept == pytest.approx({step: there[step] for step in (35, 40, 45, 50, 55, 60)})
    fresh = dict(
        zip(
            series(late, "distance.length")[0],
            series(late, "distance.length")[1][:, 0],
            strict=True,
        )
    )
    assert fresh[60] == pytest.approx(there[60] - there[30])


def test_that_a_path_continues_after_a_resume(build: Build, play: Any) -> None:
    experiment = build(instruments={"distance": {"every": 4}})
    whole = play(experiment)
    first = play(experiment, {23: [Stop()]})
    snapshot = of(first, SnapshotTaken)[-1].snapshot
    assert snapshot.memory["instrument.distance.length"] > 0.0
    again = play(experiment, snapshots=[snapshot])
    for name in ("length", "distance"):
        rest = {
            step: value[0]
            for step, value in zip(*series(whole, f"distance.{name}"), strict=True)
            if step > 23
        }
        assert dict(
            zip(
                series(again, f"distance.{name}")[0],
                series(again, f"distance.{name}")[1][:, 0],
                strict=True,
            )
        ) == pytest.approx(rest, rel=1e-12)
    assert of(again, RunEnded)[0].theta_sha256 == of(whole, RunEnded)[0].theta_sha256


def test_that_costs_are_measured_and_reported(build: Build, play: Any) -> None:
    reported = of(
        play(
            build(
                instruments={
                    "conditioning": {"every": 2},
                    "spectral_density": {"probes": 1, "steps": 4},
                }
            )
        ),
        InstrumentCosts,
    )
    assert reported[-1].plain > 0.0
    assert set(reported[-1].readings) == {"conditioning", "spectral_density"}
    assert all(seconds > 0.0 for seconds in reported[-1].readings.values())


def test_that_the_hot_path_makes_no_context_where_nothing_is_due(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> Any:
        raise AssertionError("a sight was made")

    monkeypatch.setattr(
        "optlab.training.observing.step_context.TrainingStepContext.after_step", refuse
    )
    trainer = Trainer(
        [build(instruments={"conditioning": {"every": 100}, "distance": {"every": 100}})]
    )
    for _ in range(20):
        trainer.advance()


def test_that_thread_and_process_train_the_same_with_all_with_none_and_switched() -> None:
    digits = {
        "dataset": {"name": "digits"},
        "model": {"name": "mlp"},
        "optimizer": {"name": "adam"},
        "budget": {"steps": 24},
    }
    plain = Experiment.from_dict(digits)
    on = equipped(plain, every=6)
    switches: list[tuple[int, Any]] = [
        (7, SwitchInstrument(one.name, one.values())) for one in on.instruments
    ]
    switches += [(15, SwitchInstrument(one.name, None)) for one in on.instruments]
    jobs = [
        TrainJob((plain.to_toml(),)),
        TrainJob((on.to_toml(),)),
        TrainJob((plain.to_toml(),), None, tuple(switches)),
    ]
    digests = set()
    found: dict[str, list[np.ndarray]] = {}
    pool = WorkerPool()
    try:
        for name, runner in (("thread", ThreadRunner()), ("process", ProcessRunner(pool))):
            for number, job in enumerate(jobs):
                events = list(runner.events(job, _Nothing()))
                assert isinstance(events[-1], SessionEnded)
                digests.add(of(events, RunEnded)[0].theta_sha256)
                if number:
                    found.setdefault(name, []).append(series(events, "conditioning.ghg")[1])
    finally:
        pool.close()
    assert len(digests) == 1
    for here, there in zip(found["thread"], found["process"], strict=True):
        np.testing.assert_array_equal(here, there)
    assert [len(one) for one in found["thread"]] == [4, 1], "every sixth step, and while it was on"


class _Nothing:
    """Controls without messages."""

    def receive(self, step: int) -> list[Any]:
        return []

    def wait(self, seconds: float) -> None:
        raise AssertionError("nothing holds")

    def quiet_until(self, step: int) -> float:
        return step
