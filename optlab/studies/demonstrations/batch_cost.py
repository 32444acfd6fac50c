"""Time and memory of one gradient against the batch size, on this device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np

from optlab.catalogue.losses.base import Loss
from optlab.catalogue.models.base import Model
from optlab.core import registry
from optlab.core.data import DataShape
from optlab.core.fields import Sizes, choice, integer, sizes
from optlab.core.lazy import torch
from optlab.objective.device import describe, resolve
from optlab.objective.objective import Objective
from optlab.objective.seeding import generator, numpy_generator
from optlab.studies.demonstrations._cost import cost_fit, fitted, peak_bytes, powers_of_two, seconds
from optlab.studies.demonstrations.base import (
    NO_PROGRESS,
    Array,
    Axis,
    Cell,
    Curve,
    Demonstration,
    DemonstrationResult,
    Plot,
    Progress,
    numbers,
    stream,
    table,
)

_INPUTS, _CLASSES = 64, 10


class BatchCost(Demonstration):
    """Time and memory of one gradient for batches of 1, 2, 4, … examples.

    Constant for small batches, proportional to the size for large ones.

    A step launches the same operations for every batch size; for small batches that is most of its
    cost, so more examples are almost free. For large batches the arithmetic of each example
    dominates. A line ``a + b m`` fitted to the measured times separates the two parts. They are
    equal at ``m = a/b``, where a step costs twice its minimum. The memory of a step has the same
    two parts: gradients and weights, and the activations of each example.

    Times depend on this machine and its current load. Their intervals come from the repetitions,
    and a line that the times do not support is reported as such.
    """

    name: ClassVar[str] = "batch_cost"
    label: ClassVar[str] = "What a batch costs"
    row: ClassVar[str] = "B5"
    sort_order: ClassVar[int] = 11
    rule: ClassVar[tuple[str, ...]] = (
        r"t(m) = a + b\, m,\quad \frac{t(m)}{m} = \frac{a}{m} + b,\quad m^{*} = \frac{a}{b}",
    )
    symbols: ClassVar[dict[str, str]] = {
        "m": "batch size",
        "a": "fixed cost of a step",
        "b": "cost per example",
    }
    source: ClassVar[str] = "Notes, section on minibatch algorithms; Deep Learning, section 8.1.3."
    note: ClassVar[str] = (
        "The time of a step is constant up to about m*; the time per example is constant beyond it."
    )

    device: Literal["auto", "cpu", "cuda", "mps"] = choice(
        "auto",
        "Device",
        help="Where the gradient is computed; auto uses a GPU if there is one.",
    )
    hidden: Sizes = sizes(
        (256, 256),
        "Hidden layers",
        unit="units",
        help="Units of each hidden layer; the network has 64 inputs and 10 classes.",
    )
    largest: int = integer(
        4096,
        "Largest batch",
        symbol="m",
        ge=4,
        le=1_048_576,
        log=True,
        slider=(64, 65_536),
        help="Batch sizes are powers of two up to this one.",
    )
    threads: int = integer(
        1,
        "Threads",
        ge=1,
        le=256,
        help="CPU threads used by one operation, as for an experiment.",
    )
    repetitions: int = integer(
        7,
        "Repetitions",
        ge=1,
        le=1000,
        log=True,
        slider=(3, 50),
        help="Measurements of each size; their median is used.",
    )

    def run(self, progress: Progress = NO_PROGRESS) -> Iterator[DemonstrationResult]:
        # By its size alone, auto would choose the CPU; if there is a GPU, measure its cost.
        device = resolve(self.device, 10**12, "float32")
        torch.set_num_threads(self.threads)
        model = registry.build(Model, {"name": "mlp", "hidden": list(self.hidden)})
        loss = registry.build(Loss, {"name": "cross_entropy"})
        objective = Objective(model, loss, DataShape((_INPUTS,), _CLASSES, "classes"))
        source = generator(self.seed, stream("batch_cost"))
        theta = 0.1 * torch.randn(1, objective.layout.total, generator=source)
        examples = torch.randn(1, self.largest, _INPUTS, generator=source)
        classes = torch.randint(_CLASSES, (1, self.largest), generator=source)
        theta, examples, classes = (part.to(device) for part in (theta, examples, classes))
        sizes_ = powers_of_two(self.largest)
        times: list[Array] = []
        memory: list[float] = []
        for number, m in enumerate(int(size) for size in sizes_):
            x, y = examples[:, :m], classes[:, :m]

            def work(x: object = x, y: object = y) -> object:
                return objective.value_and_gradient(theta, x, y)  # type: ignore[arg-type]

            times.append(seconds(work, device, self.repetitions))
            memory.append(peak_bytes(work, device))
            done = (number + 1) / len(sizes_)
            progress.report(done)
            if number >= 2:
                yield self._result(
                    describe(device), sizes_[: number + 1].tolist(), times, memory, done
                )
            if not progress.should_continue():
                return

    def _result(
        self, where: str, m: list[float], times: list[Array], memory: list[float], done: float
    ) -> DemonstrationResult:
        sizes_, every = numbers(m), np.stack(times)
        spent = np.median(every, axis=1)
        rng = numpy_generator(self.seed, stream("batch_cost/bootstrap"))
        fit = cost_fit(sizes_, every, rng)
        a, b, bend = fit.a, fit.b, fit.bend
        rows: list[tuple[Cell, ...]] = [
            (int(size), t * 1e6, t / size * 1e6, held / 1024, held / size / 1024)
            for size, t, held in zip(m, spent.tolist(), memory, strict=True)
        ]
        sentence = (
            f"On {where}, the fitted line gives {_range(a * 1e6, fit.a_interval, 1e6)} µs per step "
            f"regardless of the batch and {_range(b * 1e6, fit.b_interval, 1e6)} µs per example; "
        )
        if fit.problem:
            sentence += f"the measured times do not support this line: {fit.problem}."
        else:
            sentence += (
                f"the two parts are equal at m = {_range(bend, fit.bend_interval, 1.0)}. The line "
                f"describes the medians to within {fit.deviation:.0%}."
            )
        sentence += " In parentheses: 95% intervals."
        figures = {
            "fixed_seconds": a,
            "seconds_per_example": b,
            "bend": bend,
            "bend_low": fit.bend_interval[0],
            "bend_high": fit.bend_interval[1],
            "deviation": fit.deviation,
        }
        plots = [
            Plot("Time of a step", Axis("batch size m", log=True), Axis("time", "µs", log=True), (
                Curve("measured", sizes_, spent * 1e6), Curve("a + b m", sizes_, (a + b * sizes_) * 1e6, style="predicted")
            )),
            Plot("Time for each example", Axis("batch size m", log=True), Axis("time", "µs", log=True), (
                Curve("measured", sizes_, spent / sizes_ * 1e6), Curve("a / m + b", sizes_, (a / sizes_ + b) * 1e6, style="predicted")
            )),
        ]  # fmt: skip
        held = numbers(memory)
        if (held > 0.0).all():
            fixed, each = fitted(sizes_, held)
            sentence += (
                f" It allocates {fixed / 1024:,.0f} KiB per step and {each / 1024:.3g} KiB per "
                "example."
            )
            figures |= {"fixed_bytes": fixed, "bytes_per_example": each}
            curves = (
                Curve("measured", sizes_, held / 1024),
                Curve("a + b m", sizes_, (fixed + each * sizes_) / 1024, style="predicted"),
            )
            plots.append(
                Plot(
                    "Memory of a step",
                    Axis("batch size m", log=True),
                    Axis("memory", "KiB", log=True),
                    curves,
                )
            )
        headings = (
            "batch size",
            "time of a step [µs]",
            "time for each example [µs]",
            "memory of a step [KiB]",
            "memory for each example [KiB]",
        )
        return DemonstrationResult(table(headings, rows), tuple(plots), sentence, figures, done)


def _range(value: float, interval: tuple[float, float], unit: float) -> str:
    low, high = (one * unit for one in interval)
    digits = ",.0f" if value >= 100.0 else ".3g"
    return f"{value:{digits}} ({low:{digits}} to {high:{digits}})"
