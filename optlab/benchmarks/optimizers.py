"""A step of an optimizer of :mod:`optlab.optim` against the same optimizer of torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from optlab.benchmarks.benchmark import Benchmark, Row, Timing
from optlab.benchmarks.training import one_thread
from optlab.core.lazy import torch
from optlab.numerics.compiled.compiler import has_compiler

_SHAPES: Mapping[int, Sequence[tuple[int, ...]]] = {
    4: ((32, 64), (32,), (10, 32), (10,)),
    6: ((256, 64), (256,), (256, 256), (256,), (10, 256), (10,)),
    70: ((64, 64), (64,)) * 35,
}
"""Number of tensors → shapes: of a small, a medium and a deep network."""
_PARAMETERS = {4: "2,400", 6: "85,000", 70: "146,000"}

Way = Literal["default", "ordinary", "fused"]
_FUSED: Mapping[Way, bool | None] = {"default": None, "ordinary": False, "fused": True}
_IN_WORDS: Mapping[Way, str] = {
    "default": "once its loop is compiled",
    "ordinary": "with fused=False",
    "fused": "with fused=True",
}


class OptimizerStep(Benchmark):
    """Base of those below: steps with a fixed gradient."""

    target = 1.0
    tolerance = 1e-4
    steps: ClassVar[int] = 200
    tensors: ClassVar[int] = 6
    way: ClassVar[Way] = "default"
    optimizer: ClassVar[str]
    """Class of ``optlab.optim``, with the arguments :attr:`arguments`."""
    arguments: ClassVar[Mapping[str, float]]
    theirs_called: ClassVar[str]
    """Class of ``torch.optim``, with the same arguments."""

    def __init_subclass__(cls) -> None:
        """Say in words what is measured."""
        if not hasattr(cls, "optimizer"):
            return
        how = _IN_WORDS[cls.way]
        if cls.way != "ordinary" and not has_compiler():
            how = "no C++ compiler: not compiled"
        cls.work = (
            f"steps a second of optlab.optim.{cls.optimizer} ({how}) on {cls.tensors} tensors,"
            f" {_PARAMETERS[cls.tensors]} parameters, one thread"
        )
        given = "".join(f"{name}={value:g}, " for name, value in cls.arguments.items())
        form = "fused" if cls.way == "fused" else "foreach"
        cls.opponent = f"torch.optim.{cls.theirs_called}({given}{form}=True)"

    def measure(self, turns: int) -> Row:
        """Return what comes out; the loops are compiled before, as in a long training."""
        if self.way == "default":
            self._have_compiled()
        return super().measure(turns)

    def ours(self) -> Timing:
        """Take the steps with OptLab."""
        return self._stepped(self._made)

    def theirs(self) -> Timing:
        """Take the steps with torch."""
        form = {"fused" if self.way == "fused" else "foreach": True}
        made = getattr(torch.optim, self.theirs_called)
        return self._stepped(lambda given: made(given, lr=1e-3, **self.arguments, **form))

    def _made(self, parameters: Sequence[Any]) -> Any:
        from optlab import optim

        # Without a compiler, True would be refused.
        fused = _FUSED[self.way] if has_compiler() else False
        made = getattr(optim, self.optimizer)
        return made(parameters, lr=1e-3, **self.arguments, fused=fused)

    def _have_compiled(self) -> None:
        """Train a large model until a thread has compiled the loops, which later ones share."""
        from optlab.numerics.compiled import background
        from optlab.optim.flat import steps

        parameter = torch.nn.Parameter(torch.zeros(steps.LEAST_VALUES // steps.LEAST_STEPS))
        parameter.grad = torch.zeros_like(parameter)
        optimizer = self._made([parameter])
        for _ in range(steps.LEAST_STEPS + 1):
            optimizer.step()
        background.wait()

    def _stepped(self, made: Callable[[list[Any]], Any]) -> Timing:
        generator = torch.Generator().manual_seed(0)
        parameters = [
            torch.nn.Parameter(torch.randn(shape, generator=generator))
            for shape in _SHAPES[self.tensors]
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
    """``optlab.optim.Momentum`` as it is against ``torch.optim.SGD``."""

    name = "optim-momentum"
    optimizer, theirs_called, arguments = "Momentum", "SGD", {"momentum": 0.9}


class AdamStep(OptimizerStep):
    """``optlab.optim.Adam`` as it is against ``torch.optim.Adam``."""

    name = "optim-adam"
    optimizer, theirs_called, arguments = "Adam", "Adam", {}


class SmallMomentumStep(MomentumStep):
    """The same on the tensors of a small network."""

    name = "optim-momentum-4"
    tensors = 4


class SmallAdamStep(AdamStep):
    """The same on the tensors of a small network."""

    name = "optim-adam-4"
    tensors = 4


class DeepMomentumStep(MomentumStep):
    """The same on the tensors of a deep network."""

    name = "optim-momentum-70"
    tensors = 70


class DeepAdamStep(AdamStep):
    """The same on the tensors of a deep network."""

    name = "optim-adam-70"
    tensors = 70


class OrdinaryMomentumStep(MomentumStep):
    """Ordinary steps of ``optlab.optim.Momentum`` against ``torch.optim.SGD``."""

    name = "optim-momentum-ordinary"
    way = "ordinary"


class OrdinaryAdamStep(AdamStep):
    """Ordinary steps of ``optlab.optim.Adam`` against ``torch.optim.Adam``."""

    name = "optim-adam-ordinary"
    way = "ordinary"


class FusedMomentumStep(MomentumStep):
    """The fused ``optlab.optim.Momentum`` against the fused ``torch.optim.SGD``, which is one call."""

    name = "optim-momentum-fused"
    way = "fused"
    target = 1.0 / 1.5


class FusedAdamStep(AdamStep):
    """The fused ``optlab.optim.Adam`` against the fused ``torch.optim.Adam``, which is one call."""

    name = "optim-adam-fused"
    way = "fused"
    target = 1.0 / 1.5
