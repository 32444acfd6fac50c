"""Ordinary steps that go on in compiled loops: when, with the same bits, and what if they cannot."""

from __future__ import annotations

import copy
import pickle  # noqa: TID251 -- users pickle optimizers; these bytes are our own
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from optlab import optim
from optlab.numerics.compiled import background
from optlab.optim.flat import steps
from tests.slow_compiler import SlowCompiler
from tests.unit.optim.flat.test_flat_steps import RULES, SEAMS, Twins

AFTER = 5


@pytest.fixture(autouse=True)
def _nothing_compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let loops be compiled after five steps, in each test anew."""
    monkeypatch.setattr(steps, "LEAST_STEPS", AFTER)
    monkeypatch.setattr(steps, "LEAST_VALUES", 0)
    monkeypatch.setattr(Twins, "fused", None)
    monkeypatch.setattr(background, "_functions", {})
    monkeypatch.setattr(background, "_failures", {})
    yield
    background.wait()


def is_compiling() -> bool:
    return "optlab-compiler" in [thread.name for thread in threading.enumerate()]


def parameters(count: int = 1, dtype: torch.dtype = torch.float32) -> list[torch.nn.Parameter]:
    given = [torch.nn.Parameter(torch.linspace(-1.0, 1.0, 12, dtype=dtype)) for _ in range(count)]
    for one in given:
        one.grad = torch.full_like(one, 0.3)
    return given


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", RULES)
def test_that_the_bits_of_all_steps_stay_the_same(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins = Twins(monkeypatch, name, dtype, **RULES[name])
    modes = []
    for _ in range(15):
        twins.step(1)
        twins.agree()
        modes.append(twins.optimizers[0].fused_groups)
        background.wait()  # for what the step has asked for
    assert modes == [(False, False)] * (AFTER + 1) + [(True, True)] * (14 - AFTER)
    assert twins.served() == 15  # nothing has begun anew


@pytest.mark.parametrize("when", [2, AFTER, AFTER + 1, AFTER + 3])
@pytest.mark.parametrize("seam", SEAMS, ids=lambda seam: seam.__name__)
def test_that_whatever_is_done_before_at_and_after_the_switch_gives_the_same_steps(
    seam: Callable[..., None], when: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins = Twins(monkeypatch)
    twins.step(when)
    background.wait()
    for optimizer, given in twins.both():
        seam(optimizer, given)
    for _ in range(AFTER + 2):
        twins.step(1)
        background.wait()
    twins.agree()
    if seam.__name__ != "gives_a_tensor_rate":
        assert twins.optimizers[0].fused_groups[0]


def test_that_steps_with_a_closure_switch_too(monkeypatch: pytest.MonkeyPatch) -> None:
    (weights,), (others,) = parameters(), parameters()
    ours, theirs = optim.Adam([weights]), optim.Adam([others], fused=False)

    def loss(optimizer: Any, value: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        result = (value**2).sum()
        result.backward()
        return result

    for _ in range(AFTER + 4):
        one = ours.step(lambda: loss(ours, weights))
        other = theirs.step(lambda: loss(theirs, others))
        assert torch.equal(one, other) and torch.equal(weights, others)
        background.wait()
    assert ours.fused_groups == (True,) and theirs.fused_groups == (False,)


def test_that_gradients_may_be_missing_at_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    twins = Twins(monkeypatch)
    twins.step(AFTER + 1)
    background.wait()
    twins.step(1, (1, 4))
    twins.step(40)
    twins.agree()
    assert twins.optimizers[0].fused_groups == (True, True)


def test_that_a_short_training_starts_no_thread() -> None:
    optimizer = optim.Adam(parameters())
    for _ in range(AFTER):
        optimizer.step()
    assert not is_compiling() and not background._functions
    optimizer.step()
    background.wait()
    assert background._functions


def test_that_small_parameters_wait_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "LEAST_VALUES", 240)
    optimizer = optim.Momentum(parameters(2))
    for _ in range(240 // 24):
        optimizer.step()
        background.wait()
        assert not background._functions
    optimizer.step()
    background.wait()
    assert background._functions


def test_that_steps_between_two_savings_are_counted_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "_SETTLED", 2)
    optimizer = optim.Momentum(parameters())
    modes = []
    for _ in range(AFTER):
        optimizer.step()
        optimizer.step()
        optimizer.state_dict()
        background.wait()
        modes.append(optimizer.fused_groups[0])
    assert modes == [False] * 3 + [True] * (AFTER - 3)


def test_that_steps_go_on_while_the_compiler_is_slow_and_that_it_is_asked_once(
    slow: SlowCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins = Twins(monkeypatch, "Momentum")
    others = [optim.Momentum(parameters(dtype=torch.float64)) for _ in range(2)]
    for _ in range(4 * AFTER):
        twins.step(1)
        for other in others:
            other.step()
    slow.wait()
    assert is_compiling() and twins.optimizers[0].fused_groups == (False, False)
    twins.agree()
    slow.go_on()
    background.wait()
    twins.step(2)
    twins.agree()
    for other in others:
        other.step()
    assert all(all(one.fused_groups) for one in (twins.optimizers[0], *others))
    # A new one has nothing to wait for.
    later = optim.Momentum(parameters(dtype=torch.float64))
    later.step()
    assert later.fused_groups == (True,)
    assert slow.begun == 1


@pytest.mark.parametrize("missing", [True, False])
def test_that_steps_stay_ordinary_without_a_compiler(
    missing: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: Any
) -> None:
    monkeypatch.setenv("CXX", "" if missing else "false")
    if missing:
        monkeypatch.setenv("PATH", "")
    twins = Twins(monkeypatch)
    with caplog.at_level("INFO", "optlab"):
        for _ in range(AFTER + 3):
            twins.step(1)
            background.wait()
    twins.agree()
    assert twins.optimizers[0].fused_groups == (False, False)
    assert len(caplog.messages) == 1
    # Nobody asks any more.
    assert all(
        flat.due == float("inf") for flat in twins.optimizers[0]._flat_steps._groups.values()
    )


def test_that_fused_false_never_switches_and_that_the_choice_can_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Twins, "fused", False)
    twins = Twins(monkeypatch)
    twins.step(3 * AFTER)
    background.wait()
    assert not background._functions
    for choice, expected in ((True, True), (False, False), (None, False)):
        for group in twins.optimizers[0].param_groups:
            group["fused"] = choice
        twins.step(2)
        assert twins.optimizers[0].fused_groups == (expected, expected)
    twins.step(AFTER)
    background.wait()
    twins.step(1)
    assert twins.optimizers[0].fused_groups == (True, True)
    twins.agree()


def test_that_a_group_with_parameters_that_no_loop_updates_is_not_called_fused() -> None:
    given = [*parameters(2), torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))]
    given[2].grad = torch.ones_like(given[2])
    optimizer = optim.Adam([{"params": given[:1]}, {"params": given[1:]}])
    assert optimizer.fused_groups == (False, False)
    for _ in range(AFTER + 2):
        optimizer.step()
        background.wait()
    assert optimizer.fused_groups == (True, False)
    optimizer.state_dict()
    assert optimizer.fused_groups == (True, False)


def test_that_an_optimizer_can_be_copied_and_saved_while_its_loops_are_compiled(
    slow: SlowCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins = Twins(monkeypatch)
    twins.step(AFTER + 1)
    slow.wait()
    kept = twins.optimizers[0], twins.flat
    copied = copy.deepcopy(kept)
    pickled = pickle.loads(pickle.dumps(kept))  # noqa: S301 -- bytes of our own
    saved = copy.deepcopy(kept[0].state_dict())
    slow.go_on()
    loaded = copy.deepcopy(kept[1])
    fresh = optim.Adam([{"params": loaded[:5]}, {"params": loaded[5:]}])
    fresh.load_state_dict(saved)
    assert fresh.param_groups[0]["fused"] is None
    background.wait()
    state = twins.generator.get_state()
    plain = copy.deepcopy((twins.optimizers[1], twins.plain))
    for ours in (kept, copied, pickled, (fresh, loaded)):
        twins.generator.set_state(state)
        twins.optimizers[0], twins.flat = ours
        twins.optimizers[1], twins.plain = copy.deepcopy(plain)
        twins.step(3)
        twins.agree()
        assert ours[0].fused_groups == (True, True)


def test_that_the_switch_copies_no_state() -> None:
    # One that is cut into blocks, two that share one, and one whose memory has another order.
    given = [torch.nn.Parameter(torch.ones(size)) for size in ((400, 400), (7,), (20, 3))]
    given.append(torch.nn.Parameter(torch.ones(5, 9).t()))
    for one in given:
        one.grad = torch.ones_like(one)
    optimizer = optim.Adam(given)
    for _ in range(AFTER + 1):
        optimizer.step()
    background.wait()
    before = [[optimizer.state[one][name].data_ptr() for name in ("s", "r")] for one in given]
    optimizer.step()
    assert optimizer.fused_groups == (True,)
    after = [[optimizer.state[one][name].data_ptr() for name in ("s", "r")] for one in given]
    assert after[:3] == before[:3]
    assert after[3] != before[3]


def test_that_a_saved_state_stays_what_it_was_across_the_switch() -> None:
    given = parameters()
    optimizer = optim.Momentum(given)
    for _ in range(AFTER + 1):
        optimizer.step()
    background.wait()
    saved = optimizer.state_dict()["state"][0]["v"]
    before = saved.clone()
    for _ in range(4):
        optimizer.step()
    assert optimizer.fused_groups == (True,) and torch.equal(saved, before)


FORKS = """
import os, sys
from pathlib import Path
import torch
from optlab import optim
from optlab.numerics.compiled import background
from optlab.optim.flat import fused, steps
from tests.slow_compiler import SlowCompiler

torch.get_num_threads = lambda: 3
fused.THREAD_VALUES = 4
steps.LEAST_STEPS, steps.LEAST_VALUES = 3, 0
slow = SlowCompiler(Path(sys.argv[1]))
os.environ["CXX"] = slow.command
given = [torch.nn.Parameter(torch.ones(50)) for _ in range(2)]
for one in given:
    one.grad = torch.ones(50)
ours, plain = optim.Adam(given[:1]), optim.Adam(given[1:], fused=False)

def step(count):
    for _ in range(count):
        ours.step()
        plain.step()
        assert torch.equal(*given)

def forked():
    child = os.fork()
    if not child:
        slow.go_on()
        step(2)
        background.wait()
        step(2)
        os._exit(7 if ours.fused_groups == (True,) else 8)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

step(4)
slow.wait()
forked()
background.wait()
step(2)
assert ours.fused_groups == (True,)
forked()  # which has none of the threads that have taken the last step
step(2)
"""


def test_that_processes_forked_while_compiling_and_afterwards_take_the_same_steps(
    tmp_path: Path,
) -> None:
    # Newer versions of Python warn of any fork beside threads.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_that_a_program_ends_at_once_while_its_loops_are_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = FORKS.split("step(4)", maxsplit=1)[0] + "step(4)\nslow.wait()\n"
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    assert not SlowCompiler(tmp_path).running()
    assert not list((tmp_path / "temporary").glob("optlab-*"))
