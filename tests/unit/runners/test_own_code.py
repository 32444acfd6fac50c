"""Code of the user's in a run: it gets a worker, and each of its failures is reported as its own."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from optlab.catalogue.optimizers._bridge import discovery
from optlab.core import registry
from optlab.experiment import Experiment
from optlab.experiment.own_code import own_code
from optlab.outside.own_models import sources
from optlab.outside.own_models.registering import register
from optlab.runners import ProcessRunner, ThreadRunner, TrainJob, resume, train
from optlab.store import Store
from optlab.training.control import Inbox, Stop
from optlab.training.events import Event, RunEnded, SessionFailed

NET = """
import os, signal, sys, torch

STEPS = [0]

def late():
    STEPS[0] += 1
    return STEPS[0] > 60

class Odd(BaseException):
    pass

class Backward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        if late():
            {backward}
        return g

def deep(n):
    return deep(n + 1)

class Net(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.a = torch.nn.Linear(inputs, outputs)

    def forward(self, x):
        if late():
            {forward}
        return Backward.apply(self.a(x))
"""


def job(tmp_path: Path, forward: str = "pass", backward: str = "pass") -> TrainJob:
    path = tmp_path / "net.py"
    path.write_text(NET.format(forward=forward, backward=backward), encoding="utf-8")
    register(sources.find(f"{path}:Net"), "net")
    experiment = Experiment.from_dict(
        {"dataset": {"name": "iris"}, "model": {"name": "own.net"}, "budget": {"steps": 200}}
    )
    return TrainJob((experiment.to_toml(),))


def failure(events: list[Event]) -> SessionFailed:
    assert isinstance(events[-1], SessionFailed), events[-1]
    return events[-1]


FORWARD = {
    "raise RuntimeError('negative inputs')": "RuntimeError: negative inputs",
    "raise ValueError('two\\nlines')": "ValueError: two lines",
    "sys.exit('bye')": "SystemExit: bye",
    "sys.exit()": "SystemExit",
    "raise MemoryError()": "MemoryError",
    "import no_such_package": "ModuleNotFoundError: No module named 'no_such_package'",
    "deep(0)": "RecursionError: maximum recursion depth exceeded",
    "x.nothing": "AttributeError: 'Tensor' object has no attribute 'nothing'",
    "assert False": "AssertionError",
}


@pytest.mark.parametrize("forward", FORWARD)
def test_that_a_failing_forward_pass_is_told_as_the_models_own(
    tmp_path: Path, forward: str
) -> None:
    failed = failure(list(ThreadRunner().events(job(tmp_path, forward), Inbox())))
    assert failed.message.startswith(
        f"model.name is 'own.net': its forward pass failed with {FORWARD[forward]}"
    )
    assert "report" not in failed.message and "\n" not in failed.message


BACKWARD = {
    "raise RuntimeError('no gradient')": "RuntimeError: no gradient",
    "sys.exit('bye')": "SystemExit: bye",
    "raise Odd('odd')": "Odd: odd",
    "raise KeyboardInterrupt()": "KeyboardInterrupt",
}


@pytest.mark.parametrize("backward", BACKWARD)
def test_that_a_failing_backward_pass_is_told_as_the_models_own(
    tmp_path: Path, backward: str
) -> None:
    failed = failure(list(ThreadRunner().events(job(tmp_path, backward=backward), Inbox())))
    assert failed.message.startswith(
        f"model.name is 'own.net': its code failed with {BACKWARD[backward]} (net.py, line "
    )
    assert "report" not in failed.message and "Traceback" in failed.detail


def test_that_a_base_exception_in_a_forward_pass_is_told_as_well(tmp_path: Path) -> None:
    failed = failure(list(ThreadRunner().events(job(tmp_path, "raise Odd('odd')"), Inbox())))
    assert failed.message.startswith("model.name is 'own.net': its code failed with Odd: odd (net")


def test_that_an_error_of_autograd_without_a_place_is_told_as_the_backward_pass(
    tmp_path: Path,
) -> None:
    # The product keeps its factor for the backward pass, which then finds another one.
    forward = "h = self.a(x); y = h * h.exp(); h.add_(1.0); return y"
    failed = failure(list(ThreadRunner().events(job(tmp_path, forward), Inbox())))
    assert failed.message.startswith(
        "model.name is 'own.net': its backward pass failed with RuntimeError: one of the variables"
    )


def test_that_a_defect_of_optlab_is_not_blamed_on_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> object:
        raise ValueError("a defect")

    monkeypatch.setattr("optlab.training.stepping.Stepper.propose_at", broken)
    failed = failure(list(ThreadRunner().events(job(tmp_path), Inbox())))
    assert failed.message.startswith("An unexpected error occurred (ValueError: a defect)")


@pytest.mark.expects_log("worker process ended unexpectedly")
@pytest.mark.parametrize(
    ("forward", "how"),
    [
        ("os._exit(3)", "ended with exit code 3."),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was killed by signal 11, SIGSEGV."),
        ("os.kill(os.getpid(), signal.SIGTERM)", "was killed by signal 15, SIGTERM."),
    ],
)
def test_that_the_end_of_a_worker_names_the_code_of_the_users_that_it_executed(
    tmp_path: Path, forward: str, how: str
) -> None:
    failed = failure(list(ProcessRunner().events(job(tmp_path, forward), Inbox())))
    assert failed.message == (
        f"The worker process {how} It executed code of your own (model.name is 'own.net'). The "
        "run can be resumed from its last snapshot."
    )


def test_that_a_run_with_code_of_the_users_gets_a_worker_also_when_it_is_resumed(
    tmp_path: Path,
) -> None:
    (text,) = job(tmp_path).experiments
    experiment = Experiment.from_toml(text)
    assert own_code(text) == ("model.name is 'own.net'",)
    with Store.open(tmp_path) as store:
        first = train([experiment], store=store, log=[(50, Stop())])
        assert first.runner == "process" and first.join(60)
        again = resume(first.run_ids, store=store)
        assert again.runner == "process" and again.join(60)
        assert store.run(first.run_ids[0]).status == "finished"
        other = train([experiment], store=None, runner="thread")
        assert other.runner == "thread" and other.join(60)
    plain = Experiment.from_dict(
        {"dataset": {"name": "iris"}, "model": {"name": "linear"}, "budget": {"steps": 5}}
    )
    job_of_ours = train([plain])
    assert job_of_ours.runner == "thread" and job_of_ours.join(60)


ACME = """
import torch

STEPS = [0]

class Acme(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, dict(lr=lr))

    def step(self, closure=None):
        STEPS[0] += 1
        if STEPS[0] > 20:
            {step}
        for group in self.param_groups:
            for p in group["params"]:
                p.data.add_(p.grad, alpha=-group["lr"])
"""


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An optimizer of another package, registered by an entry point; its step raises."""
    (tmp_path / "acme_optim.py").write_text(
        ACME.format(step="raise RuntimeError('sparse gradients')"), encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    real = importlib.metadata.entry_points

    def fake(**selection: str) -> importlib.metadata.EntryPoints:
        if selection.get("group") != discovery.ENTRY_POINTS:
            return real(**selection)
        point = importlib.metadata.EntryPoint(
            "acme.acme", "acme_optim:Acme", discovery.ENTRY_POINTS
        )
        return importlib.metadata.EntryPoints([point])

    monkeypatch.setattr(importlib.metadata, "entry_points", fake)
    registry.rescan()
    yield "acme.acme"
    monkeypatch.undo()
    registry.rescan()
    sys.modules.pop("acme_optim", None)


def test_that_a_failing_optimizer_of_another_package_is_told_as_its_own(acme: str) -> None:
    experiment = Experiment.from_dict(
        {
            "dataset": {"name": "iris"},
            "model": {"name": "linear"},
            "optimizer": {"name": acme},
            "budget": {"steps": 50},
        }
    )
    assert own_code(experiment.to_toml()) == ("optimizer.name is 'acme.acme'",)
    events = list(ThreadRunner().events(TrainJob((experiment.to_toml(),)), Inbox()))
    assert failure(events).message.startswith(
        "optimizer.name is 'acme.acme': its code failed with RuntimeError: sparse gradients "
        "(acme_optim.py, line "
    )
    assert not any(isinstance(event, RunEnded) for event in events)
