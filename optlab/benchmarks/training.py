"""Steps a second of recorded and stored runs against the loop that a user would write."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from optlab.benchmarks.benchmark import Benchmark, Timing
from optlab.benchmarks.own_loop import DESCRIPTION, Digits, OwnLoop
from optlab.core.lazy import torch
from optlab.experiment import Experiment
from optlab.numerics.compiled.compiler import has_compiler
from optlab.store import Store
from optlab.training.control import Inbox
from optlab.training.events import RunEnded, SessionStarted
from optlab.training.session import session


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread inside, as both ways have it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def trained(experiments: Sequence[Experiment]) -> Timing:
    """Train a population, every step recorded and stored.

    Returns:
        Steps a second of all runs together, and the final training losses.
    """
    losses: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        writer = store.begin(experiments, "thread")
        begun = time.perf_counter()
        for event in session(experiments, Inbox()):
            if isinstance(event, SessionStarted):
                begun = time.perf_counter()
            elif isinstance(event, RunEnded):
                losses[event.run] = float(event.final["train_loss"] or 0.0)
            writer.record(event)
        elapsed = time.perf_counter() - begun
        writer.close()
    steps = len(experiments) * experiments[0].budget.steps
    return Timing(steps / elapsed, tuple(losses[run] for run in range(len(experiments))))


class _OneRun(Benchmark):
    case: ClassVar[Digits]
    opponent = DESCRIPTION

    @cached_property
    def _loop(self) -> OwnLoop:
        return OwnLoop(self.case)

    def ours(self) -> Timing:
        with one_thread():
            return trained([self.case.experiment()])

    def theirs(self) -> Timing:
        with one_thread():
            return self._loop.run()


def compiled(work: str) -> str:
    """Return what is measured of compiled steps, which are others where nothing compiles them."""
    how = "not counting the compiler" if has_compiler() else "no C++ compiler: not compiled"
    return f"{work}, compiled ({how})"


class SmallNetwork(_OneRun):
    """A network so small that most of a step is overhead."""

    name = "small"
    work = "steps a second of a network 64-32-10, batches of 32, one thread"
    target = 5.0
    case = Digits((32,), 32, 1000)


class MediumNetwork(_OneRun):
    """A network in which matrix products take a good half of a step."""

    name = "medium"
    work = "steps a second of a network 64-256-256-10, batches of 128, one thread"
    target = 2.0
    case = Digits((256, 256), 128, 1000)


class CompiledSmallNetwork(SmallNetwork):
    """The small network with compiled steps; the first turn, which does not count, compiles them."""

    name = "small-compiled"
    work = compiled(SmallNetwork.work)
    target = 12.0
    case = Digits((32,), 32, 10_000, compiled=True)


class CompiledMediumNetwork(MediumNetwork):
    """The medium network with compiled steps, in which products are those of torch."""

    name = "medium-compiled"
    work = compiled(MediumNetwork.work)
    case = Digits((256, 256), 128, 1000, compiled=True)


class ManyRuns(Benchmark):
    """64 seeds as one population, against one seed after the other."""

    name = "population"
    work = "steps a second of 64 runs of a network 64-32-10, batches of 32, one thread"
    opponent = f"{DESCRIPTION}; one run after the other"
    target = 25.0
    case: ClassVar[Digits] = Digits((32,), 32, 1000)
    runs: ClassVar[int] = 64
    compared: ClassVar[int] = 2
    """Runs that the opponent trains: all take the same time."""

    @cached_property
    def _loops(self) -> list[OwnLoop]:
        return [OwnLoop(self.case, self.case.experiment(seed)) for seed in range(self.compared)]

    def ours(self) -> Timing:
        with one_thread():
            timing = trained([self.case.experiment(seed) for seed in range(self.runs)])
        return Timing(timing.rate, timing.results[: self.compared])

    def theirs(self) -> Timing:
        with one_thread():
            timings = [loop.run() for loop in self._loops]
        seconds = sum(1.0 / timing.rate for timing in timings)
        return Timing(
            len(timings) / seconds, tuple(loss for timing in timings for loss in timing.results)
        )


class CompiledManyRuns(ManyRuns):
    """64 seeds as one population with compiled steps."""

    name = "population-compiled"
    work = compiled(ManyRuns.work)
    target = 35.0
    case = Digits((32,), 32, 2000, compiled=True)
