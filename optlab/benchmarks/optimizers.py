"""A step of an optimizer of :mod:`optlab.optim` against the same optimizer of torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

from optlab.benchmarks.benchmark import Benchmark, Timing
from optlab.benchmarks.training import one_thread
from optlab.core.lazy import torch
from optlab.numerics.compiled.compiler import has_compiler

_SHAPES = ((256, 64), (256,), (256, 256), (256,), (10, 256), (10,))


def _fused(work: str) -> str:
    """Return what is measured of fused steps, which are ordinary ones where nothing compiles them."""
    how = "with fused=True" if has_compiler() else "(no C++ compiler: not fused)"
    return work.replace(" on 6 tensors", f" {how} on 6 tensors")


class OptimizerStep(Benchmark):
    """Base of those below: steps with a fixed gradient, on the tensors of a medium network."""

    target = 1.0
    tolerance = 1e-4
    steps: ClassVar[int] = 200

    def _stepped(self, made: Callable[[list[Any]], Any]) -> Timing:
        generator = torch.Generator().manual_seed(0)
        parameters = [
            torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in _SHAPES
        ]
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer = made(parameters)
        with one_thread():
            begun = time.perf_counter()
            for _ in range(self.steps):
                optimizer.step()
            elapsed = time.perf_counter() - begun
        norms = tuple(float(parameter.detach().norm()) for parameter in parameters)
        return Timing(self.steps / elapsed, norms)


class MomentumStep(OptimizerStep):
    """``optlab.optim.Momentum`` against ``torch.optim.SGD``."""

    name = "optim-momentum"
    work = "steps a second of optlab.optim.Momentum on 6 tensors, 85,000 parameters, one thread"
    opponent = "torch.optim.SGD(momentum=0.9, foreach=True)"

    def ours(self) -> Timing:
        from optlab import optim

        return self._stepped(lambda given: optim.Momentum(given, lr=1e-3, momentum=0.9))

    def theirs(self) -> Timing:
        return self._stepped(
            lambda given: torch.optim.SGD(given, lr=1e-3, momentum=0.9, foreach=True)
        )


class AdamStep(OptimizerStep):
    """``optlab.optim.Adam`` against ``torch.optim.Adam``."""

    name = "optim-adam"
    work = "steps a second of optlab.optim.Adam on 6 tensors, 85,000 parameters, one thread"
    opponent = "torch.optim.Adam(foreach=True)"

    def ours(self) -> Timing:
        from optlab import optim

        return self._stepped(lambda given: optim.Adam(given, lr=1e-3))

    def theirs(self) -> Timing:
        return self._stepped(lambda given: torch.optim.Adam(given, lr=1e-3, foreach=True))


class FusedMomentumStep(MomentumStep):
    """The fused ``optlab.optim.Momentum`` against the fused ``torch.optim.SGD``, which is one call."""

    name = "optim-momentum-fused"
    work = _fused(MomentumStep.work)
    opponent = "torch.optim.SGD(momentum=0.9, fused=True)"
    target = 1.0 / 1.5

    def ours(self) -> Timing:
        from optlab import optim

        return self._stepped(
            lambda given: optim.Momentum(given, lr=1e-3, momentum=0.9, fused=has_compiler())
        )

    def theirs(self) -> Timing:
        return self._stepped(
            lambda given: torch.optim.SGD(given, lr=1e-3, momentum=0.9, fused=True)
        )


class FusedAdamStep(AdamStep):
    """The fused ``optlab.optim.Adam`` against the fused ``torch.optim.Adam``, which is one call."""

    name = "optim-adam-fused"
    work = _fused(AdamStep.work)
    opponent = "torch.optim.Adam(fused=True)"
    target = 1.0 / 1.5

    def ours(self) -> Timing:
        from optlab import optim

        return self._stepped(lambda given: optim.Adam(given, lr=1e-3, fused=has_compiler()))

    def theirs(self) -> Timing:
        return self._stepped(lambda given: torch.optim.Adam(given, lr=1e-3, fused=True))
