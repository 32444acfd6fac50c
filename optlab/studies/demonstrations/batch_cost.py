"""What a batch costs: time and memory of one gradient against the batch size, on this device."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar, Literal

from optlab.catalogue.losses.base import Loss
from optlab.catalogue.models.base import Model
from optlab.core import registry
from optlab.core.data import DataShape
from optlab.core.fields import Sizes, choice, integer, sizes
from optlab.core.lazy import torch
from optlab.objective.device import describe, resolve
from optlab.objective.objective import Objective
from optlab.objective.seeding import generator
from optlab.studies.demonstrations._cost import fitted, peak_bytes, powers_of_two, seconds
from optlab.studies.demonstrations.base import (
    NO_PROGRESS,
    Axis,
    Cell,
    Curve,
    Demonstration,
    DemonstrationResult,
    Plot,
    Progress,
    numbers,
    table,
)

_INPUTS, _CLASSES = 64, 10


class BatchCost(Demonstration):
    """Time and memory of one gradient for batches of 1, 2, 4, … examples: flat below some size, in
    proportion above it.

    Whatever the batch, a step launches the same operations; below some size that is all it costs,
    so more examples there are free. Above it each example adds its own arithmetic. A line ``a + b
    m`` fitted to the measured times tells the two apart; they are alike at ``m = a/b``, where a
    step costs twice what it costs at least. The memory of a step has the same two parts: gradients
    and weights, and the activations of each example.

    Times are those of this machine at this moment; everything else a bench tells is the same each
    time.
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
        "a": "cost of a step whatever the batch",
        "b": "cost that each example adds",
    }
    source: ClassVar[str] = "Notes, section on minibatch algorithms; Deep Learning, section 8.1.3."
    note: ClassVar[str] = (
        "The time of a step stays level up to about m*; the time for each example is level beyond it."
    )

    device: Literal["auto", "cpu", "cuda", "mps"] = choice(
        "auto",
        "Device",
        help="Where the gradient is computed; auto takes a GPU where there is one.",
    )
    hidden: Sizes = sizes(
        (256, 256),
        "Hidden layers",
        unit="units",
        help="Units of each hidden layer of the network, which has 64 inputs and 10 classes.",
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
        help="CPU threads of one operation, as the threads of an experiment.",
    )
    repetitions: int = integer(
        7,
        "Repetitions",
        ge=1,
        le=1000,
        log=True,
        slider=(3, 50),
        help="Measurements of each size, of which the median is taken.",
    )

    def run(self, course: Progress = NO_PROGRESS) -> Iterator[DemonstrationResult]:
        # One number per step is too small for auto to weigh: where a GPU is there, its cost is what
        # is asked for.
        device = resolve(self.device, 10**12, "float32")
        torch.set_num_threads(self.threads)
        model = registry.build(Model, {"name": "mlp", "hidden": list(self.hidden)})
        loss = registry.build(Loss, {"name": "cross_entropy"})
        objective = Objective(model, loss, DataShape((_INPUTS,), _CLASSES, "classes"))
        source = generator(self.seed, "bench/batch_cost")
        theta = 0.1 * torch.randn(1, objective.layout.total, generator=source)
        everyone = torch.randn(1, self.largest, _INPUTS, generator=source)
        classes = torch.randint(_CLASSES, (1, self.largest), generator=source)
        theta, everyone, classes = (part.to(device) for part in (theta, everyone, classes))
        sizes_ = powers_of_two(self.largest)
        times: list[float] = []
        memory: list[float] = []
        for number, m in enumerate(int(size) for size in sizes_):
            x, y = everyone[:, :m], classes[:, :m]

            def work(x: object = x, y: object = y) -> object:
                return objective.value_and_gradient(theta, x, y)  # type: ignore[arg-type]

            times.append(seconds(work, device, self.repetitions))
            memory.append(peak_bytes(work, device))
            done = (number + 1) / len(sizes_)
            course.told(done)
            if number >= 2:
                yield self._found(
                    describe(device), sizes_[: number + 1].tolist(), times, memory, done
                )
            if not course.going():
                return

    def _found(
        self, where: str, m: list[float], times: list[float], memory: list[float], done: float
    ) -> DemonstrationResult:
        sizes_, spent = numbers(m), numbers(times)
        a, b = fitted(sizes_, spent)
        rows: list[tuple[Cell, ...]] = [
            (int(size), t * 1e6, t / size * 1e6, held / 1024, held / size / 1024)
            for size, t, held in zip(m, times, memory, strict=True)
        ]
        bend = a / b if b > 0.0 else math.inf
        words = f"On {where} a step takes {a * 1e6:,.0f} µs whatever the batch and {b * 1e6:.3g} µs more for each example"
        words += (
            f"; the two are alike at m = {bend:,.0f}."
            if math.isfinite(bend)
            else f", up to the {m[-1]:,.0f} examples tried."
        )
        figures = {"fixed_seconds": a, "seconds_per_example": b, "bend": bend}
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
            words += f" It holds {fixed / 1024:,.0f} KiB whatever the batch and {each / 1024:.3g} KiB for each example."
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
        return DemonstrationResult(table(headings, rows), tuple(plots), words, figures, done)
