"""What looking costs: training with instruments against training without, and a watched loop.

The ratio is that of the rates, so it is below one: 1/1.5 where a step may take half as much again.
Both ways must come to the same loss, to the last bit: looking changes nothing.
"""

from __future__ import annotations

import tempfile
import time
from functools import cached_property
from typing import Any, ClassVar

from optlab.benchmarks.benchmark import Benchmark, Timing
from optlab.benchmarks.own_loop import Digits, OwnLoop
from optlab.benchmarks.training import one_thread
from optlab.core.lazy import functional, torch
from optlab.curvature.extremes import Extremes, extremes
from optlab.curvature.landscape import ObjectiveLandscape
from optlab.experiment import Experiment
from optlab.training.capturing.recorded_hessians import RecordedHessians
from optlab.training.trainer import Trainer


class _Instrument(Benchmark):
    """Base of instruments that are read after every step."""

    opponent = "the same run without the instrument"
    tolerance = 0.0
    case: ClassVar[Digits] = Digits((256, 256), 128, 200)
    begins: ClassVar[int] = 0
    """Steps before the time is taken."""
    recorded: ClassVar[bool] = True
    """Whether steps are repeated from recordings."""
    instrument: ClassVar[str]
    values: ClassVar[dict[str, Any]] = {}

    def ours(self) -> Timing:
        return self._trained(self._observed())[0]

    def theirs(self) -> Timing:
        return self._trained(self.case.experiment())[0]

    def _observed(self) -> Experiment:
        return self.case.experiment().with_instrument(self.instrument, {"every": 1, **self.values})

    def _trained(self, experiment: Experiment) -> tuple[Timing, Trainer]:
        """Train without evaluations and a store, which cost the same in both."""
        with one_thread():
            trainer = Trainer([experiment])
            if self.recorded:
                trainer.capture_steps()
            for _ in range(self.begins):
                trainer.advance()
            begun = time.process_time()
            for _ in range(self.case.steps):
                trainer.advance()
            elapsed = time.process_time() - begun
            loss = float(trainer.evaluate()["train_loss"])
        return Timing(self.case.steps / elapsed, (loss,)), trainer


class GradientNoiseCost(_Instrument):
    """Gradient noise after every step."""

    name = "noise"
    work = "steps a second of a network 64-256-256-10, batches of 128, with the gradient noise"
    target = 1.0 / 1.5
    instrument = "gradient_noise"


class EigenvalueCost(_Instrument):
    """The largest eigenvalue of the Hessian after every step: at most five steps more.

    The Hessian is that of the step's batch. The first reading starts from a random vector, and
    passes before the time is taken; each of the others starts from the eigenvector before it. The
    last one is compared with a reading from a random start.
    """

    name = "eigenvalue"
    work = (
        "steps a second of a network 64-256-256-10, batches of 128, with the top eigenvalue of the "
        "batch's Hessian to 1e-5, started from that of the batch before"
    )
    target = 1.0 / 6.0
    case = Digits((256, 256), 128, 16)
    begins = 1
    instrument = "spectrum"
    values: ClassVar[dict[str, Any]] = {"tolerance": 1e-5}
    allowed: ClassVar[float] = 1e-4
    """Relative error up to which the last reading agrees: ten times what one aims at."""

    def ours(self) -> Timing:
        timing, trainer = self._trained(self._observed())
        error = abs(_last_eigenvalue(trainer) - self._exact) / abs(self._exact)
        return Timing(timing.rate, (*timing.results, max(0.0, error - self.allowed)))

    def theirs(self) -> Timing:
        timing = super().theirs()
        return Timing(timing.rate, (*timing.results, 0.0))

    @cached_property
    def _exact(self) -> float:
        """The eigenvalue at the last step, from a random start."""
        trainer = Trainer([self.case.experiment()])
        with one_thread():
            for _ in range(self.begins + self.case.steps - 1):
                trainer.advance()
            trainer.switch_instrument(
                self.instrument, {"every": 1, **self.values, "tolerance": 1e-7}
            )
            trainer.advance()
        return _last_eigenvalue(trainer)


class FixedEigenvalueCost(EigenvalueCost):
    """The same on examples that do not change, so that only the step is between two readings.

    The first 40 readings pass before the time is taken: near the start the largest eigenvalues are
    close together, which takes three times as many Hessian products.
    """

    name = "eigenvalue-fixed"
    work = (
        "steps a second of a network 64-256-256-10, batches of 128, with the top eigenvalue of the "
        "Hessian on the same 128 examples to 1e-5, started from the one before, after 40 steps"
    )
    begins = 40
    values: ClassVar[dict[str, Any]] = {"tolerance": 1e-5, "examples": 128}


class SmallEigenvalueCost(FixedEigenvalueCost):
    """The same on a small network, in ordinary steps, which are those of the target."""

    name = "eigenvalue-small"
    work = (
        "steps a second of a network 64-32-10, batches of 32, with the top eigenvalue of the "
        "Hessian on the same 32 examples to 1e-5, started from the one before, after 200 steps; "
        "none is recorded"
    )
    case = Digits((32,), 32, 200)
    begins = 200
    recorded = False
    values: ClassVar[dict[str, Any]] = {"tolerance": 1e-5, "examples": 32}


class EigenvalueSearchCost(SmallEigenvalueCost):
    """The search alone, without what else an instrument reads and stores."""

    name = "eigenvalue-search"
    work = (
        "steps a second of a network 64-32-10, batches of 32, with a search for the top eigenvalue "
        "of the Hessian on the same 32 examples to 1e-5, started from the one before, after 200 "
        "steps; none is recorded"
    )

    def ours(self) -> Timing:
        trainer = Trainer([self.case.experiment()])
        part = trainer.requested[0].dataset.load().training
        few = slice(0, self.values["examples"])
        landscape = ObjectiveLandscape(
            trainer.objective,
            torch.from_numpy(part.x[few]).to(trainer.theta),
            torch.from_numpy(part.y[few]),
            hessians=RecordedHessians().at,
        )
        found: list[Extremes] = []

        def step() -> None:
            theta = trainer.theta
            trainer.advance()
            found[:] = [
                extremes(
                    landscape.hessian(theta).product,
                    theta,
                    start=found[0].top_vectors if found else None,
                    tolerance=self.values["tolerance"],
                    settle="value",
                )
            ]

        with one_thread():
            for _ in range(self.begins):
                step()
            begun = time.process_time()
            for _ in range(self.case.steps):
                step()
            elapsed = time.process_time() - begun
            loss = float(trainer.evaluate()["train_loss"])
        error = abs(float(found[0].top[0, 0]) - self._exact) / abs(self._exact)
        return Timing(self.case.steps / elapsed, (loss, max(0.0, error - self.allowed)))


class WatchCost(Benchmark):
    """A foreign loop under ``optlab.watch``; the time of all threads counts."""

    name = "watch"
    work = "steps a second of one's own loop 64-256-256-10, batches of 128, with optlab.watch"
    opponent = "the same loop alone"
    target = 1.0 / 1.03
    tolerance = 0.0
    case: ClassVar[Digits] = Digits((256, 256), 128, 1800)
    """Some seconds of steps: what is read is written by the clock, about once a second."""
    begins: ClassVar[int] = 300
    """Steps before the time is taken: until then the watcher learns what its readings cost."""

    @cached_property
    def _loop(self) -> OwnLoop:
        return OwnLoop(self.case)

    def ours(self) -> Timing:
        return self._run(watched=True)

    def theirs(self) -> Timing:
        return self._run(watched=False)

    def _run(self, *, watched: bool) -> Timing:
        from optlab.watch.start import watch

        with one_thread(), tempfile.TemporaryDirectory() as folder:
            model = self._loop.model()
            optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
            watcher = watch(model, optimizer, folder=folder) if watched else None
            begun = time.process_time()
            for step, (x, y) in enumerate(self._loop.batches()):
                if step == self.begins:
                    begun = time.process_time()
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                if watcher is not None:
                    watcher.log(loss=loss)
            elapsed = time.process_time() - begun
            if watcher is not None:
                watcher.detach()
        timed = self.case.steps - self.begins if self.case.steps > self.begins else self.case.steps
        return Timing(timed / elapsed, (loss.item(),))


def _last_eigenvalue(trainer: Trainer) -> float:
    """Return the largest eigenvalue of the last reading."""
    return float(trainer.recorder.flush()["spectrum.top"].values[-1, 0, 0])
